"""README.md as a newcomer reads it: its handler is built and run as it stands there."""

import functools
import itertools
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from outcome import run_locally
from shell import run_shell
from workerproc import BUILD, ROOT, RUNNER

README = ROOT / "README.md"
FLAGS = ROOT / "src/config/README.md"
GPU = ROOT / "src/gpu/README.md"
# The pages that speak for the code, each held to it below.
PAGES = [README, FLAGS, GPU, ROOT / "src/README.md", ROOT / "src/base/LIMITS.md", ROOT / "src/handlers/README.md",
         ROOT / "src/handlers/python/README.md", ROOT / "vendor/kit/README.md", ROOT / "src/AUDIT.md",
         ROOT / "src/source/README.md", ROOT / "src/source/SERVE.md", ROOT / "tests/README.md",
         ROOT / "tests/bench/README.md", ROOT / "CHANGELOG.md", ROOT / ".github/CONTRIBUTING.md"]
HAS_GPU = Path("/proc/driver/nvidia").exists()

# In one process, one after the other: several builds in the same folder would be in each other's way.
pytestmark = pytest.mark.xdist_group("build")


def first_block(language):
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", README.read_text("utf-8"), re.M | re.S)
    assert blocks, f"README.md shows no {language} block"
    return blocks[0]


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The README's handler, built with the command that the README gives."""
    if RUNNER:
        pytest.skip("the README's example is built for this machine, the tested workers are not")
    folder = tmp_path_factory.mktemp("readme")
    source = folder / "readme_example.c"
    source.write_text(first_block("c"), "utf-8")
    binary = folder / "readme_example"
    done = subprocess.run(
        [str(ROOT / "build.sh"), "handler", str(source), "-o", str(binary)],
        cwd=folder,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return binary


def test_example_is_short():
    assert len([line for line in first_block("c").splitlines() if line.strip()]) <= 25


def test_example_runs(example):
    """On the first input that stands in the README behind --test_input, and on one with all kinds of characters."""
    shown = [json.loads(job) for job in re.findall(r"--test_input '(\{.*?\})'", README.read_text("utf-8"))]
    assert shown, "README.md shows no --test_input"
    status, result, log = run_locally(example, shown[0])
    assert status == 0 and "output" in result, log
    status, result, log = run_locally(example, {"input": {"name": 'Ada "žluť" \u0001', "prompt": "The quick brown fox jumps"}})
    assert status == 0 and result and "output" in result, log


def test_example_fails_visibly_on_nonsense(example):
    status, _, log = run_locally(example, {"input": {"nothing": "of use"}})
    assert status in (0, 1) and "Starting Serverless Worker" in log


NOT_HERE = r"(\./build\.sh (test|bench|clean|fmt|vendor)|git |#)"  # starts this suite again, or runs for long


def commands():
    """The shell commands of the README's sh blocks; a block that leaves something running until its end is one."""
    for block in re.findall(r"^```sh\n(.*?)^```$", README.read_text("utf-8"), re.M | re.S):
        if " & " in block:
            yield block.strip()
            continue
        for line in block.replace("\\\n", " ").splitlines():
            if line.strip() and not re.match(NOT_HERE, line.strip()):
                yield line.strip()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the repository, built as far as this one is, with the example saved under its name."""
    folder = tmp_path_factory.mktemp("readme") / "checkout"
    # The last two come and go while other processes of the test run build.
    names = (".git", "__pycache__", "venv*", "bench*", "driver", "log", "tests", "*.tar", "test-handlers", "*.part")
    shutil.copytree(ROOT, folder, symlinks=True, ignore=shutil.ignore_patterns(*names))
    name = re.search(r"as `(\w+\.c)`", README.read_text("utf-8"))
    (folder / (name[1] if name else "greet.c")).write_text(first_block("c"), "utf-8")
    return folder


@pytest.mark.parametrize("command", list(commands()) if README.exists() else [])
def test_command_as_written(checkout, command):
    """One after the other, in the order of the README."""
    if (
        command.startswith("docker ")
        and subprocess.run(["docker", "version"], capture_output=True, check=False).returncode
    ):
        pytest.skip(f"NO DOCKER ENGINE, NOT RUN: {command}")
    if "--gpus" in command and not HAS_GPU:
        pytest.skip(f"NO GPU, NOT RUN: {command}")
    done = run_shell(command, checkout, timeout_s=300)
    good = (0, 3, 4) if "--gpu-info" in command and not HAS_GPU else (0,)
    assert done.returncode in good, f"{command}\n{done.stdout}"


def usage():
    return subprocess.run([str(ROOT / "build.sh"), "--help"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_exists(page):
    """Every ./build.sh verb, every file of the repository and every page that a page names is there."""
    text = page.read_text("utf-8")
    for verb in set(re.findall(r"\./build\.sh ([a-z]+)", text)):
        assert re.search(rf"^  {verb}\b", usage(), re.M), f"{page} names ./build.sh {verb}; --help does not"
    named = re.sub(r"`[^`\n]*\*[^`\n]*`", "", text)  # wildcards: lint's "audit" holds those of src/AUDIT.md
    for path in set(re.findall(r"\b((?:src|tests|docker|vendor)/[\w./+-]+\w)", named)):
        assert (ROOT / path).exists(), f"{page} names {path}"
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / link).exists(), f"{page} links to {link}"


def test_readme_stays_short():
    assert len(README.read_text("utf-8").splitlines()) < 200


VARIABLE = r"\b[A-Z]+_[A-Z_]+\b"


def help_of_all():
    return subprocess.run(
        [*RUNNER, str(BUILD / "worker-gpu"), "--help", "all"], capture_output=True, text=True, check=True
    ).stdout


def flags_of_help():
    told = help_of_all()
    return set(re.findall(r"--[a-z_-]+", told)), set(re.findall(VARIABLE, told))


def test_flags_page_has_every_flag_and_no_other():
    flags, variables = flags_of_help()
    rows = "\n".join(re.findall(r"^\| `.*$", FLAGS.read_text("utf-8"), re.M))
    named = set(re.findall(r"`(--[a-z_-]+)", rows))
    assert named == flags, "src/config/README.md and worker-gpu --help all name different flags"
    assert variables <= set(re.findall(VARIABLE, rows)), "src/config/README.md lacks variables that --help all names"


def test_flags_page_has_the_defaults_of_the_help():
    """Those that are numbers."""
    told = re.findall(r"^  (--[a-z_-]+).*?\bdefault (\d+)\)", re.sub(r"\n {20,}", " ", help_of_all()), re.M)
    rows = re.findall(r"^\| `(--[a-z_-]+)[^|]*\| (\d*)", FLAGS.read_text("utf-8"), re.M)
    assert len(told) > 10, "the help no longer says its defaults as this test reads them"
    assert dict(told) == {flag: number for flag, number in rows if number and flag != "--concurrency"}


@functools.cache
def defined():
    """What all files of src/ define."""
    texts = (path.read_text("utf-8") for path in sorted(ROOT.glob("src/**/*.[ch]")))
    found = (re.findall(r"^#define (\w+) (?:\\\n +)?([^/\n]+)", text, re.M) for text in texts)
    return dict(itertools.chain.from_iterable(found))


def limit(name):
    """A number of limits.h, its name without LIMIT_, or of another file; sizes in bytes, times in the name's unit."""
    value = defined().get(f"LIMIT_{name}") or defined()[name]
    words = re.sub(r"\b(\d+)u?l?l?\b", r"\1", value.replace("LIMIT_MIB", "1048576"))
    assert re.fullmatch(r"[\d()*<+ -]+", words), words
    return eval(words)  # noqa: S307 (digits and operators)


def as_written(name):
    """The ways in which a page may write it."""
    value = limit(name)
    ways = {str(value), f"{value:,}"}
    ways |= {f"{value // size} {unit}" for size, unit in ((1 << 10, "KiB"), (1 << 20, "MiB"), (1 << 30, "GiB")) if value % size == 0}
    ways |= {str(value >> 20)} if value % (1 << 20) == 0 else set()
    ways |= {f"{value // 1000} s"} if name.endswith("_MS") and value % 1000 == 0 else set()
    return ways


# How the row begins, and what it says: a number of limits.h or of another file, or several.
LIMITS = {
    "jobs at the same time": "CONCURRENCY",
    "one response to a job-take": "TAKE_BYTES",
    "a result |": "RESULT_MB RESULT_UPLOADED_MB",
    "an error's text": "ERROR_BYTES",
    "what a handler has printed": "CAPTURE_BYTES",
    "the job-take of a start that failed": "LAST_TAKE_MS",
    "a job id": "JOB_ID_BYTES",
    "JSON nesting": "JSON_DEPTH_MAX JSON_DOC_DEPTH_MAX",
    "head of an HTTP response": "HTTP1_HEAD_MAX_BYTES HTTP1_FIELDS_MAX",
    "interim (1xx) responses": "INTERIM_RESPONSES",
    "memory a job may allocate": "ARENA_BYTES",
    "jobs taken of one response": "JOBS_AN_ANSWER",
    "results that wait for a slow platform": "UNDELIVERED UNDELIVERED_BYTES",
    "a heartbeat's URL": "URL_MAX_BYTES",
    "the stack of a C handler": "STACK_SERVICE_BYTES",
    "stream parts that wait": "STREAM_BYTES",
    "progress updates that wait": "PROGRESS_WAITING",
    "an open job-take": "POLL_MS",
    "connecting, TLS handshake included": "CONNECT_MS",
    "a download |": "DOWNLOAD_BYTES DOWNLOAD_S DOWNLOAD_TRIES",
    "downloads side by side": "DOWNLOADS DOWNLOADS_MAX",
    "an archive that is unpacked": "UNZIP_FILES UNZIP_RATIO",
    "folders of `--cache`": "VOLUME_CACHE_FOLDERS_MAX VOLUME_LIST_BYTES",
    "an upload |": "UPLOAD_S UPLOAD_TRIES",
    "files that one output names": "UPLOADS_AN_OUTPUT",
    "a line of a program's standard error": "CHILD_TEXT_BYTES",
    "last lines of a program": "CHILD_TAIL_BYTES",
    "words of a command line": "CHILD_WORDS",
    "rules of `--handler-routes`": "ROUTE_RULES_MAX ROUTE_MAP_MAX",
    "a route that a job names": "ROUTE_MAX_BYTES",
    "members other than `messages`": "MEMBERS_MAX",
    "jobs in a row that a server may fail": "SERVER_FAILURES",
    "requests that wait in realtime mode": "REALTIME_WAITING",
    "connections beside those at work or waiting there": "SERVER_SPARE",
    "requests at the same time with `--serve`": "SERVE_CONCURRENCY",
    "connections beside those |": "SERVE_CONNECTIONS",
    "a request's body there": "REQUEST_BYTES",
    "a request of `/run`": "ENDPOINT_RUN_BYTES ENDPOINT_RUNSYNC_BYTES",
    "connections of `--rp_serve_api`": "ENDPOINT_CONNECTIONS",
    "jobs that wait there": "ENDPOINT_QUEUED",
    "jobs kept there": "ENDPOINT_ENDED ENDPOINT_BYTES",
}


def test_every_row_of_the_limits_page_is_tested():
    rows = re.findall(r"^\| (?!What|-)(.*)$", (ROOT / "src/base/LIMITS.md").read_text("utf-8"), re.M)
    assert [row for row in rows if not row.startswith(tuple(LIMITS))] == []


@pytest.mark.parametrize("row", LIMITS)
def test_limits_page_has_the_numbers_of_the_code(row):
    text = (ROOT / "src/base/LIMITS.md").read_text("utf-8")
    found = re.search(rf"^\| {re.escape(row)}[^\n]*$", text, re.M)
    assert found, f"src/base/LIMITS.md has no such row: {row}"
    for name in LIMITS[row].split():
        ways = as_written(name)
        assert re.search(rf"(?<![\d,])(?:{'|'.join(map(re.escape, ways))})(?![\d,]\d)", found[0]), (name, ways)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_flags_that_a_page_names_are_known(page):
    flags, _ = flags_of_help()
    text = page.read_text("utf-8")
    for flag in set(re.findall(r"`(--(?:test|rp|handler|kill|result)[a-z_-]*)", text)):
        assert flag in flags, f"{page} names {flag}; worker-gpu --help all does not"


def test_map_names_every_room_and_file():
    """Each folder of src/ has a row in the map, and every file that the map names is there."""
    text = (ROOT / "src/README.md").read_text("utf-8")
    for room in sorted(path.name for path in (ROOT / "src").iterdir() if path.is_dir()):
        assert f"`{room}/`" in text, f"src/README.md does not name src/{room}"
    for path in set(re.findall(r"`((?:[a-z]+/)+[a-z0-9_]+\.[ch])`", text)):
        found = (ROOT / "src" / path).exists() or (ROOT / path).exists()
        assert found, f"src/README.md names {path}"


def gpu_section():
    return GPU.read_text("utf-8")


def test_coverage_table_has_every_room():
    rows = set(re.findall(r"^\| ([\w.]+/?) \| [\d,]+ \| [\d.]+ % \|", (ROOT / "tests/README.md").read_text("utf-8"), re.M))
    assert rows == {"main.c", *(f"{folder.name}/" for folder in (ROOT / "src").iterdir() if folder.is_dir())}


def test_gpu_names_are_as_many_as_it_says():
    table = (ROOT / "src/loader/libc_names.def").read_text("utf-8")
    assert f"{len(re.findall(r'^(?:MUSL|ALIAS|WRAPPER)[(]', table, re.M)):,} names of glibc" in gpu_section()


def test_gpu_driver_is_looked_for_where_it_says():
    """The folders in the README, in its order, are those that the worker names where it finds no driver."""
    if RUNNER:
        pytest.skip("the folders differ by processor")
    done = subprocess.run([str(BUILD / "worker-gpu"), "--gpu-info"], env={}, capture_output=True, text=True, check=False)
    looked = re.search(r"no libcuda\.so\.1 in (.*)", done.stdout)
    if not looked:
        pytest.skip(f"A DRIVER IS INSTALLED HERE, SO NO FOLDERS ARE NAMED: {done.stdout.splitlines()[0]}")
    order = re.search(r"`LD_LIBRARY_PATH`,(.*?)\. Where", gpu_section(), re.S)[1]
    assert re.findall(r"`(/[^`]*)`", order) == looked[1].split(", ")
