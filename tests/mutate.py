"""Do the tests notice?  Changes a source in one place at a time and looks whether a test fails.

    python3 tests/mutate.py src/codec/ip.c src/json          files, or folders of them
    python3 tests/mutate.py --seconds 120 --seed 7 src/codec       no longer than that, another choice
    python3 tests/mutate.py --sample 130 --blackbox rooms src      a sample of so many that count; what the unit tests
                                                                   let live, to the black-box tests of its room
    python3 tests/mutate.py --blackbox "test_proxy.py" src/codec/proxy.c
    python3 tests/mutate.py --record FILE ...                      go on where that trial ended
    python3 tests/mutate.py --only src/codec/ip.c:31 src/codec/ip.c   what is changed in some lines (once more)
    python3 tests/mutate.py --list src/codec/ip.c                  only say what would be changed

Each mutation is a flipped comparison, a changed constant, plus for minus, a negated condition, "and" for "or", a
removed statement or another value returned. The unit tests that concern the file (tests/lint/changed.py), at most
UNIT_MAX of them, run on the objects that black-box workers are linked from, too, not under sanitizers. When --seconds
are over or all have been tried, what lived is given to black-box tests: those of the table BLACKBOX for "rooms", else
the words for pytest that --blackbox has. Only the programs that they start are linked again, into
build/mutate/build/mutant. The first test that fails, and fails again by itself, ends it; a test that fails without
any change, too, is left out.

All of it happens in a copy of the tree, build/mutate: this one is never touched, and the copy is mended when it is
next used. MUTATE_FOLDER names another folder of build/, for two at a time. It sees no other processes than its own
(unshare): what is changed in src/process may kill all that it finds. A mutation that does not compile, or that
compiles to the same code, does not count. The order is random, by --seed; each room has its share by its lines and
each kind its turn, so that a run that ends early is a sample. Exit status 0; 1 where a mutation survived.
"""

import argparse
import contextlib
import filecmp
import itertools
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COPY = ROOT / "build" / os.environ.get("MUTATE_FOLDER", "mutate")
sys.path.insert(0, str(ROOT / "tests" / "lint"))
import changed  # noqa: E402

# What all is built with here: no LTO, since a link of that takes longer than the tests.
FAST = {"LTO": "", "OPT": "-O1", "DEBUG_INFO": ""}
BUILT = f"build/{os.uname().machine}"
MUTANT = "build/mutant"
# What the black-box tests run against; where one is not there, its tests are skipped and notice nothing.
FETCHED = [f"build/{name}" for name in ("venv", "venv-clients", "model", "s3", "llama", "driver")]
UNIT_MAX = 12  # unit tests for one file
UNIT_S, BLACKBOX_S = 60, 600  # how long a unit test, and all black-box tests of a file, may take
OBJECT_S = 120  # and what is changed to compile: a program that runs at build time may be what it hangs
# Black-box tests by what they concern: test_NAME.py, what notices most first. The longest path that fits counts.
BLACKBOX = {
    "src/api/": "handler result stream payload local mock progress",
    "src/api/download": "download archives",
    "src/api/model": "models",
    "src/api/scratch": "scratch upload_program hardening",
    "src/api/s3": "upload upload_program",
    "src/api/transfer": "download upload",
    "src/api/unzip": "archives",
    "src/api/upload": "upload upload_program",
    "src/api/validate": "validate",
    "src/app/": "start take signals stop fitness heartbeat delivery concurrency refresh timeout flags logs",
    "src/app/cache": "cache",
    "src/app/metrics": "metrics",
    "src/app/sbom": "sbom",
    "src/app/shutdown": "signals scratch stop start",
    "src/app/start": "start flags parts hardening confine fitness",
    "src/audit/": "audit confine confine_log",
    "src/base/": "logs local take result flags scratch hardening",
    "src/child/": "child python child_jobs child_once child_isolate child_many upload_program progress fitness_program",
    "src/codec/": "take http malformed result local roundtrip http_handler proxy",
    "src/codec/dns/": "dns",
    "src/codec/elf/": "gpu_loader",
    "src/codec/exposition": "metrics",
    "src/codec/filename": "download upload",
    "src/codec/ip": "proxy http tls",
    "src/codec/ld_cache": "gpu_loader gpu",
    "src/codec/route": "endpoint realtime serve",
    "src/codec/sigv4": "upload",
    "src/codec/xml": "upload",
    "src/config/": "flags start local secrets fitness parts",
    "src/files/": "archives cache",
    "src/files/model_cache": "models",
    "src/files/volume": "cache",
    "src/gpu/": "gpu gpu_open gpu_libraries",
    "src/handlers/": "mock gpu gpu_libraries gpu_cuda",
    "src/handlers/sentiment/": "sentiment sentiment_gpu",
    "src/handlers/sentiment/network_gpu": "sentiment_gpu",
    "src/http/": "http malformed take delivery flood proxy robustness",
    "src/http/relay": "serve http_bad",
    "src/http/server": "realtime endpoint serve flood endpoint_hostile metrics",
    "src/job/": "result progress stream delivery metrics hardening take timeout",
    "src/job/debugger": "debugger",
    "src/json/": "local roundtrip take result validate malformed",
    "src/linked/": "child_isolate mock handler stream stop",
    "src/loader/": "gpu_loader gpu",
    "src/model/": "sentiment tokenizer",
    "src/net/": "tls tls_matrix http flood proxy take",
    "src/net/resolve": "dns http",
    "src/process/": "child child_once signals http_own watch hardening",
    "src/source/": "take result pacing stream delivery heartbeat",
    "src/source/endpoint": "endpoint endpoint_hostile realtime",
    "src/source/endpoint_openai": "clients",
    "src/source/events": "endpoint realtime",
    "src/source/front": "serve",
    "src/source/local": "local",
    "src/source/realtime": "realtime",
    "src/source/result_store": "result_dir",
    "src/upstream/": "http_handler http_bad http_own http_health concurrency http_workervllm models",
    "src/upstream/pass": "serve",
}
HIDDEN = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])+'|^[ \t]*#(?:\\\n|[^\n])*|"
                    r"_Static_assert\([^;]*;", re.S | re.M)
FLIPPED = {"==": "!=", "!=": "==", "<": "<=", "<=": "<", ">": ">=", ">=": ">"}
CALL = re.compile(r"(?:\(void\))?[a-z_]\w*\(.*\);", re.S)
ASSIGNMENT = re.compile(r"[*(]*[a-z_][\w.\[\]()>-]*\)* (?:[+\-*/|&^]|<<|>>)?= .*;|[a-z_][\w.\[\]>-]*(?:\+\+|--);", re.S)
RETURNED = {"0": "-1", "-1": "0", "1": "0", "true": "false", "false": "true", "rc": "0", "NULL": None}


@dataclass(frozen=True)
class Mutation:
    path: str
    start: int
    end: int
    new: str
    kind: str

    def apply(self, text):
        return text[: self.start] + self.new + text[self.end :]

    def describe(self, text):
        """Place, kind, and the line as it becomes, the change in brackets."""
        line = text.count("\n", 0, self.start) + 1
        before = text[text.rfind("\n", 0, self.start) + 1 : self.start].lstrip()
        after = text[self.end :].split("\n", 1)[0]
        old = " ".join(text[self.start : self.end].split())
        changed_to = f"{before}[{old[:50]} => {self.new[:50]}]{after}"
        return f"{self.path}:{line}: {self.kind}: {changed_to[:150]}"


# ---- what can be changed -----------------------------------------------------------------------------


def closing(text, at):
    """The position behind the bracket that closes the one at `at`."""
    depth = 0
    for i in range(at, len(text)):
        depth += (text[i] == "(") - (text[i] == ")")
        if depth == 0:
            return i + 1
    return len(text)


def operators(code):
    for match in re.finditer(r"(?<=[\w\])'\"] )(==|!=|<=|>=|<|>)(?=\s)", code):
        yield match.span(), FLIPPED[match[0]], "comparison"
    for match in re.finditer(r"(?<=[\w\])] )([+-])(?= )", code):
        yield match.span(), "-" if match[0] == "+" else "+", "arithmetic"
    for match in re.finditer(r"(?<= )(&&|\|\|)(?=\s)", code):
        yield match.span(), "||" if match[0] == "&&" else "&&", "logic"


def constants(code):
    for match in re.finditer(r"(?<![\w.\"'])(\d+|0x[0-9a-fA-F]+)(?![\w.])", code):
        octal = len(match[0]) > 1 and match[0].isdigit() and match[0][0] == "0"
        yield match.span(), str(int(match[0], 8 if octal else 0) + 1), "constant"


def conditions(code):
    for match in re.finditer(r"\b(?:if|while) (?=\()", code):
        start, end = match.end(), closing(code, match.end())
        yield (start, end), None, "condition"


def statements(code):
    """Whole statements: what stands between two of ; { } and is a call or an assignment."""
    for match in re.finditer(r"(?<=[;{})e])(\n\s+)([^;{}]+;)(?=\n)", code):
        text = match[2]
        if CALL.fullmatch(text) or ASSIGNMENT.fullmatch(text):
            yield match.span(2), ";", "statement removed"


def returns(code):
    for match in re.finditer(r"\breturn (-?\w+);", code):
        new = RETURNED.get(match[1])
        if new is not None:
            yield match.span(1), new, "returned"


def mutations(path):
    text = (ROOT / path).read_text("utf-8")
    code = HIDDEN.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    for find in (operators, constants, conditions, statements, returns):
        for (start, end), new, kind in find(code):
            new = f"(!{text[start:end]})" if new is None else new
            yield Mutation(path, start, end, new, kind)


# ---- the copy ------------------------------------------------------------------------------------------


def sync():
    """Make the copy what this tree is. A file that differs gets a new date, so that make sees it."""
    for top in ("src", "tests", "vendor", "docker"):
        for folder, _, names in os.walk(ROOT / top):
            there = COPY / Path(folder).relative_to(ROOT)
            if {"__pycache__", ".cache", ".src"}.intersection(there.parts):
                continue
            there.mkdir(parents=True, exist_ok=True)
            for name in names:
                refresh(Path(folder, name), there / name)
            for gone in set(os.listdir(there)) - set(os.listdir(folder)):
                stale = there / gone
                shutil.rmtree(stale) if stale.is_dir() and not stale.is_symlink() else stale.unlink()
    for path in ROOT.iterdir():
        if path.is_file():
            refresh(path, COPY / path.name)
    for link in ("vendor/.src", "vendor/.cache", *FETCHED):
        (COPY / link).parent.mkdir(exist_ok=True)
        if not (COPY / link).is_symlink():
            (COPY / link).symlink_to(ROOT / link)


def refresh(source, target):
    if not target.exists():
        shutil.copy2(source, target)
    elif not filecmp.cmp(source, target, shallow=False):
        shutil.copyfile(source, target)


def run(command, timeout_s, **options):
    """A command in the copy; its exit status, or None where it took too long (all that it started is killed)."""
    options = {"stdout": subprocess.DEVNULL, **options}
    process = subprocess.Popen(command, cwd=COPY, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT,
                               start_new_session=True, **options)
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        try:
            os.killpg(process.pid, 9)
        except ProcessLookupError:
            pass
        process.wait()


def make(*targets, timeout_s=900):
    """0 where the targets of tests/build.mk are made; the words of make are in build/mutate/make.log."""
    script = '''. vendor/packages.sh; . vendor/toolchain.sh; say() { :; }; die() { echo "$*"; exit 1; }
        toolchain "$NATIVE"; exec make "${MAKE_ARGS[@]}" "$@"'''
    variables = {**os.environ, **FAST, "OFFLINE": "1", "NATIVE": os.uname().machine, "MAKEFILE": "tests/build.mk",
                 "JOBS": str(os.cpu_count())}
    command = ["bash", "-c", script, "make", f"OUT={MUTANT}", "NOISE=-w", *targets]
    with open(COPY / "make.log", "w", encoding="utf-8") as log:
        return run(command, timeout_s, env=variables, stdout=log)


def build(*targets):
    """The same where they have to be made: what a mutation changes compiles, so that anything else is no verdict."""
    if targets and make(*targets) != 0:
        sys.exit(f"they cannot be built: see {COPY}/make.log")


# ---- the tests -----------------------------------------------------------------------------------------


class UnitTests:
    """Those that concern a file: by its name first, no more than UNIT_MAX."""

    good = {}  # by name, whether it passes when nothing is changed: looked at when it first fails

    def __init__(self, path):
        words = set(re.findall(r"[a-z0-9]+", path.removeprefix("src/").removesuffix(".c")))
        names = changed.concerned_tests([path])
        self.names = sorted(names, key=lambda name: -len(words.intersection(name.split("_"))))[:UNIT_MAX]

    def failing(self):
        """The name of the first test that fails on the tree as it stands; None: all pass."""
        for few in (self.names[:2], self.names[2:]):
            build(*(f"{BUILT}/unit/{name}" for name in few))
            for name in few:
                if self.good.get(name, True) and run([f"{BUILT}/unit/{name}"], UNIT_S) != 0:
                    return name
        return None

    def is_good(self, name):
        """Whether that test passes now, when nothing is changed. One that does not is not asked any more."""
        if name not in self.good:
            build(f"{BUILT}/unit/{name}")
            self.good[name] = run([f"{BUILT}/unit/{name}"], UNIT_S) == 0
        return self.good[name]


class BlackBoxTests:
    """Words for pytest, and the programs that the files among them start."""

    def __init__(self, words):
        self.words = [f"tests/blackbox/{word}" if re.match("test_[^/]*$", word) else word for word in words]
        files = [Path(word.split("::")[0]) for word in self.words if word.startswith("tests/")]
        named = self.named_in(files or sorted(Path("tests/blackbox").glob("test_*.py")))
        wanted = [f"handlers/{path.stem}" for path in Path("src/handlers").iterdir() if path.stem in named | {"echo"}
                  and (path.suffix == ".c" or any(path.glob("*.c")))]
        own = Path("tests/blackbox/handlers").glob("*.c")
        wanted += [f"test-handlers/{path.stem}" for path in own if path.stem in named]
        self.unsteady, self.good = [], set()
        self.programs = [f"{MUTANT}/{name}" for name in ("worker", "worker-gpu", *wanted)]

    @staticmethod
    def named_in(files):
        """Quoted words of test files and of the modules that they import."""
        words, todo, seen = set(), list(files), set()
        while todo:
            path = todo.pop()
            if path not in seen and path.is_file():
                seen.add(path)
                text = path.read_text("utf-8")
                words.update(re.findall(r"[\"'](\w+)[\"']", text))
                todo += [path.with_name(f"{name}.py") for name in re.findall(r"^(?:from|import) (\w+)", text, re.M)]
        return words

    def failing(self):
        """The first test that fails and fails again by itself; None: all pass, but for one that fails now and then."""
        build(*self.programs)
        for _ in range(3):
            status, failed = self.pytest(*self.words, *(f"--deselect={name}" for name in self.unsteady))
            if status in (0, 5):  # 5: nothing to run
                return None
            if not failed:
                return "too long" if status is None else f"pytest: exit status {status}"
            if self.pytest(failed)[0] != 0:
                return failed
            self.unsteady.append(failed)
        return None

    def is_good(self, failed):
        """Whether that test passes now, when nothing is changed. One that does not is not asked any more."""
        if failed not in self.good:
            self.good.add(failed)
            build(*self.programs)
            if "::" not in failed or self.pytest(failed)[0] != 0:
                self.unsteady.append(failed)
        return failed not in self.unsteady

    def pytest(self, *words):
        """Exit status and the first test that failed."""
        at_once = 2 * os.cpu_count() if len(words) > 1 or "::" not in words[0] else 0
        command = [str(ROOT / "build/venv/bin/python"), "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--tb=no",
                   "-n", str(at_once), "--dist", "loadgroup", *words]
        with open(COPY / "pytest.log", "w+", encoding="utf-8") as log:
            variables = {**os.environ, **FAST, "WORKER_BUILD": MUTANT, "OFFLINE": "1"}
            status = run(command, BLACKBOX_S, env=variables, stdout=log)
            log.seek(0)
            found = re.search(r"^(?:FAILED|ERROR) (.+?)(?:@\w+)?(?: - .*)?$", log.read(), re.M)
        return status, found and found[1]


def blackbox_tests(path, asked):
    if asked != ["rooms"]:
        return tuple(asked)
    fits = max((prefix for prefix in BLACKBOX if path.startswith(prefix)), key=len, default=None)
    return tuple(f"test_{name}.py" for name in BLACKBOX.get(fits, "").split())


def object_code(path):
    """The bytes of a source's object; None: it does not compile."""
    target = Path(BUILT, path).with_suffix(".o")
    return (COPY / target).read_bytes() if make(str(target), timeout_s=OBJECT_S) == 0 else None


@contextlib.contextmanager
def applied(mutation, text):
    """The copy's file as it is mutated, for as long as it takes."""
    target = COPY / mutation.path
    try:
        target.write_text(mutation.apply(text), "utf-8")
        yield
    finally:
        target.write_text(text, "utf-8")


class Trial:
    """What has been tried, and what came of it."""

    def __init__(self, texts, seconds, record):
        self.texts, self.seconds, self.deadline = texts, seconds, None
        self.unit, self.original, self.lived = {}, {}, []
        self.record, self.known = record, {}
        self.counts = dict.fromkeys(("caught", "survived", "does not compile", "same code"), 0)
        if record and record.exists():
            self.known = dict(line.rsplit("\t", 1) for line in record.read_text("utf-8").splitlines())

    def key(self, mutation):
        return f"{mutation.describe(self.texts[mutation.path])}\t{mutation.start}"

    def say(self, outcome, mutation, by=None):
        what = f"{outcome:<9}{mutation.describe(self.texts[mutation.path])}"
        print(what + (f"  ({by})" if by else ""), flush=True)

    def note(self, outcome, mutation):
        if self.record:
            with self.record.open("a", encoding="utf-8") as file:
                file.write(f"{self.key(mutation)}\t{outcome}\n")

    def begin(self):
        self.deadline = time.monotonic() + self.seconds

    def over(self):
        return time.monotonic() > self.deadline

    def by_unit_tests(self, mutation):
        outcome, by = self.known.get(self.key(mutation)), None
        if outcome is None:
            outcome, by = self.try_unit_tests(mutation)
            self.note(outcome, mutation)
            if outcome in ("caught", "lives"):
                self.say(outcome, mutation, by)
        self.counts["survived" if outcome == "lives" else outcome] += 1
        self.lived += [mutation] if outcome == "lives" else []

    def try_unit_tests(self, mutation):
        """The outcome, and by which test."""
        path = mutation.path
        if path not in self.unit:
            self.unit[path], self.original[path] = UnitTests(path), object_code(path)
        with applied(mutation, self.texts[path]):
            code = object_code(path)
        if code is None or code == self.original[path]:
            return "does not compile" if code is None else "same code", None
        by = self.noticed(mutation, self.unit[path])
        return "caught" if by else "lives", by

    def noticed(self, mutation, tests):
        """The test that fails for it alone; None: none does."""
        for _ in range(4):
            with applied(mutation, self.texts[mutation.path]):
                by = tests.failing()
            if by in (None, "too long") or tests.is_good(by):
                return by
            print(f"{by} fails without any change: left out", flush=True)
        return None

    def by_blackbox(self, asked):
        """The same for what lived, by the tests it is to be given to."""
        self.begin()
        groups = {}
        for mutation in self.lived:
            groups.setdefault(blackbox_tests(mutation.path, asked), []).append(mutation)
        for words, group in groups.items():
            tests = BlackBoxTests(words) if words else None
            for mutation in group:
                self.one_by_blackbox(mutation, tests)

    def one_by_blackbox(self, mutation, tests):
        if tests is None or self.over():
            self.say("survived", mutation, "the black box was not tried")
            return
        by = self.noticed(mutation, tests)
        if by:
            self.note("caught", mutation)
            self.counts["survived"] -= 1
            self.counts["caught"] += 1
        self.say("caught" if by else "survived", mutation, by)

    def counted(self):
        return self.counts["caught"] + self.counts["survived"]

    def summary(self, number):
        counts = self.counts
        share = 100 * counts["caught"] / max(self.counted(), 1)
        return (f"{counts['caught']} of {self.counted()} caught ({share:.0f} %), "
                f"{counts['same code']} the same code, {counts['does not compile']} that do not compile; "
                f"{number - sum(counts.values())} of {number} not tried")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--seconds", type=float, default=300,
                        help="begin no mutation so long after the first (300); the black box has as long again")
    parser.add_argument("--sample", type=int, metavar="N", help="no more that count")
    parser.add_argument("--record", metavar="FILE", help="what came of each; what is in it is not tried again")
    parser.add_argument("--seed", type=int, default=1, help="another order (1)")
    parser.add_argument("--blackbox", default="", metavar="WORDS", help='"rooms", or words for pytest')
    parser.add_argument("--only", action="append", metavar="FILE:LINE", help="only what is changed there")
    parser.add_argument("--list", action="store_true", help="print the mutations and end")
    return parser.parse_args()


def in_turn(todo, seed):
    """A random order in which all kinds take turns: a table of constants is not to crowd out the rest."""
    kinds = {}
    for mutation in todo:
        kinds.setdefault(mutation.kind, []).append(mutation)
    choice = random.Random(seed)
    for kind in kinds.values():
        choice.shuffle(kind)
    rounds = itertools.zip_longest(*choice.sample(list(kinds.values()), len(kinds)))
    return [mutation for one in rounds for mutation in one if mutation]


def by_rooms(todo, texts, seed):
    """All rooms at once, each as often as it has lines."""
    rooms, lines = {}, {}
    for mutation in todo:
        rooms.setdefault(Path(mutation.path).parts[1], []).append(mutation)
    for path, text in texts.items():
        room = Path(path).parts[1]
        lines[room] = lines.get(room, 0) + text.count("\n")
    places = (((number + 0.5) / lines[room], room, mutation)
              for room, found in rooms.items() for number, mutation in enumerate(in_turn(found, f"{seed} {room}")))
    return [mutation for _, _, mutation in sorted(places, key=lambda place: place[:2])]


def wanted(mutation, text, only):
    return not only or f"{mutation.path}:{text.count(chr(10), 0, mutation.start) + 1}" in only


def be_alone(paths):
    """Begin again where the processes of this trial are the only ones: a changed sweep kills all that it sees."""
    rights = [] if os.geteuid() == 0 else ["--user", "--map-current-user"]
    command = ["unshare", *rights, "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.environ.get("MUTATE_ALONE") == "1" and os.getpid() == 1:
        return
    if shutil.which("unshare") and subprocess.run([*command, "true"], check=False).returncode == 0:
        os.environ["MUTATE_ALONE"] = "1"
        os.execvp(command[0], [*command, sys.executable, str(ROOT / "tests" / "mutate.py"), *sys.argv[1:]])
    if any(path.startswith("src/process/") for path in paths):
        sys.exit("mutate.py: without unshare, a change of src/process could kill every process of this user")


def main():
    options = arguments()
    os.chdir(ROOT)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what a mutation changed is put back then, too
    files = (path for name in options.files for path in sorted(Path(name).rglob("*.c")) or [Path(name)])
    paths = [os.path.relpath(path, ROOT) for path in files]
    texts = {path: (ROOT / path).read_text("utf-8") for path in paths}
    found = [one for path in paths for one in mutations(path) if wanted(one, texts[path], options.only)]
    todo = by_rooms(found, texts, options.seed)
    if options.list:
        print("\n".join(mutation.describe(texts[mutation.path]) for mutation in todo))
        return 0
    absent = [folder for folder in FETCHED if not (ROOT / folder).exists()]
    if options.blackbox and absent:
        sys.exit(f"mutate.py: --blackbox needs {', '.join(absent)}: run ./build.sh test blackbox once")
    be_alone(paths)
    sync()
    trial = Trial(texts, options.seconds, options.record and Path(options.record))
    trial.begin()
    for mutation in todo:
        if trial.over() or trial.counted() == options.sample:
            break
        trial.by_unit_tests(mutation)
    if options.blackbox:
        trial.by_blackbox(shlex.split(options.blackbox))
    print(trial.summary(len(todo)))
    return 1 if trial.counts["survived"] else 0


if __name__ == "__main__":
    sys.exit(main())
