"""Rules about the texts of the repository that no compiler checks. One at a time:

    python3 tests/lint/sources.py tags        no two definitions of one struct, union or enum tag in src/
    python3 tests/lint/sources.py columns     no line over 100 columns in C, shell and make files, and in the Python of src/
    python3 tests/lint/sources.py comments    every .c file of src/ opens with a comment, or has a header that does
    python3 tests/lint/sources.py citations   no text refers to a document that is not in the repository
    python3 tests/lint/sources.py bounded     no snprintf whose size is a subtraction, or whose result is added up: base/text.h
    python3 tests/lint/sources.py calls       no function of libc that makes other system calls than --audit lists
    python3 tests/lint/sources.py sizes       no function of src/ over 40 lines, no folder of it over 5,500
    python3 tests/lint/sources.py pipes       no pipe of a script into what leaves before its input ends
    python3 tests/lint/sources.py audit       the numbers of lines in src/AUDIT.md are those of the files, within 5 % or 100

Exit status 0, or 1 with one line for each break.
"""

import re
import subprocess
import sys
from pathlib import Path

COLUMNS = 100
FUNCTION_LINES = 40
ROOM_LINES = 5500
C_SUFFIXES = {".c", ".h", ".def", ".inc"}
TEXT_SUFFIXES = C_SUFFIXES | {".py", ".sh", ".mk", ".md", ".yml", ".txt", ""}
NOT_OURS = {"build", ".git", ".src", ".cache", "__pycache__", ".pytest_cache", ".hypothesis", "corpus"}

COMMENT_OR_LITERAL = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.S)
TAG = re.compile(r"\b(struct|union|enum)\s+(?:__attribute__\s*\(\(.*?\)\)\s*)?(\w+)\s*\{")
PRINTS = re.compile(r"(\+=\s*(?:\([\w ]+\)\s*)?)?\b(v?snprintf)\s*\(")
UNLISTED = re.compile(r"(?<![\w.>])(nanosleep|u?sleep|thrd_sleep|socket|if_\w*name\w*|get(?:if)?addr\w*|gethostby\w+|v?syslog)\s*\(")
DOCUMENT = re.compile(r"(?<![\w/.:-])(?:\.{0,2}/)?(?:[\w.-]+/)*[\w-]+\.md\b")
LEAVES_EARLY = re.compile(r"\|\s*(?:\w+=\S*\s+)?(?:head\b|grep\b[^|]* -[a-zA-Z]*[qm]|sed\b[^|]*[;0-9/{ ]q[;}'\" ])")
URL = re.compile(r"https?://\S+")
# Documents that are, or were, kept elsewhere, named without an ending.
ELSEWHERE = re.compile(r"(?<![\w/.-])(CONTRACT|DESIGN|ROOMS|STYLE|GPU-LOADER)\b(?!\.md)(?=$|[\s,.:;)\"'])")


def ours(*folders):
    """The repository's files below the folders, sorted."""
    for folder in folders:
        for path in sorted(Path(folder).rglob("*")):
            if not NOT_OURS.intersection(path.parts) and path.is_file() and not path.is_symlink():
                yield path


def blank(match):
    """As many lines, and nothing on them: positions in the file stay."""
    return re.sub(r"[^\n]", " ", match[0])


def tags():
    seen = {}
    for path in ours("src"):
        if path.suffix not in C_SUFFIXES:
            continue
        text = COMMENT_OR_LITERAL.sub(blank, path.read_text("utf-8"))
        for match in TAG.finditer(text):
            place = f"{path}:{text.count(chr(10), 0, match.start()) + 1}"
            if match[2] in seen:  # one name space for all three kinds: C11 6.2.3
                yield f"{place}: {match[1]} {match[2]} is also defined in {seen[match[2]]}"
            seen.setdefault(match[2], place)


def columns():
    for path in (*ours("src", "tests", "vendor", "docker", ".ci"), Path("build.sh")):
        shipped_python = path.suffix == ".py" and path.parts[0] == "src"
        if path.suffix not in C_SUFFIXES | {".sh", ".mk"} and path.parent != Path(".ci") and not shipped_python:
            continue
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if len(line) > COLUMNS:
                yield f"{path}:{number}: {len(line)} columns; at most {COLUMNS}"


def opens_with_comment(path):
    return path.read_text("utf-8").lstrip().startswith(("/*", "//"))


def comments():
    for path in ours("src"):
        header = path.with_suffix(".h")
        if path.suffix == ".c" and not opens_with_comment(path):
            if not header.exists() or not opens_with_comment(header):
                yield f"{path}:1: a comment must say what the file is for, here or at the top of {header.name}"


def tracked():
    """Every text of the repository, as git has it, new files included; without git, what lies here."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        listed = [str(path) for path in ours(".")]
    return [path for path in map(Path, filter(None, listed)) if path.is_file()]


def exists(name, beside):
    return any((folder / name).is_file() for folder in (beside, Path("."), Path("src")))


def citations():
    this = Path("tests/lint/sources.py")
    for path in tracked():
        if path == this or path.name == "LICENSE" or path.suffix not in TEXT_SUFFIXES:
            continue
        try:
            lines = path.read_text("utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(lines, 1):
            line = URL.sub("", line)
            wrong = [name for name in DOCUMENT.findall(line) if not exists(name, path.parent)]
            if path.suffix != ".md":
                wrong += ELSEWHERE.findall(line)
            for name in wrong:
                yield f"{path}:{number}: refers to {name}, which is not in the repository"


def arguments(text, start):
    """The arguments of a call, `start` being the place behind its opening parenthesis."""
    depth, begin = 0, start
    for at in range(start, len(text)):
        if text[at] in "([{":
            depth += 1
        elif text[at] in ")]}" and depth > 0:
            depth -= 1
        elif text[at] in ",)" and depth == 0:
            yield text[begin:at]
            begin = at + 1
            if text[at] == ")":
                return


def bounded():
    for path in ours("src"):
        if path.suffix not in C_SUFFIXES or path == Path("src/base/text.c"):
            continue
        text = COMMENT_OR_LITERAL.sub(blank, path.read_text("utf-8"))
        for match in PRINTS.finditer(text):
            place = f"{path}:{text.count(chr(10), 0, match.start(2)) + 1}"
            given = list(arguments(text, match.end()))
            if len(given) > 1 and "-" in given[1].replace("->", ""):
                yield f"{place}: the size of {match[2]} is a subtraction, which can wrap; use base/text.h"
            if match[1]:
                yield f"{place}: what {match[2]} returns may be more than it wrote; use base/text.h"


def calls():
    """Under --confine they fail: sleeps that are not clock_nanosleep, sockets that are not base/own_call.h's. A handler may have others."""
    for path in ours("src"):
        if path.suffix not in C_SUFFIXES or path.parts[1] in ("handlers", "loader"):
            continue
        text = COMMENT_OR_LITERAL.sub(blank, path.read_text("utf-8"))
        for match in UNLISTED.finditer(text):
            place = f"{path}:{text.count(chr(10), 0, match.start()) + 1}"
            yield f"{place}: --confine refuses what {match[1]} calls; use clock_sleep, own_socket or net/resolve.h"


def functions(lines):
    """The first line of each body and how many lines it has. clang-format puts the braces of both into the first column."""
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            yield start, number - start - 1
            start = None


def sizes():
    rooms = {}
    for path in ours("src"):
        if path.suffix not in C_SUFFIXES:
            continue
        lines = path.read_text("utf-8").splitlines()
        if len(path.parts) > 2:
            rooms[path.parts[1]] = rooms.get(path.parts[1], 0) + len(lines)
        for number, count in functions(lines):
            if count > FUNCTION_LINES:
                yield f"{path}:{number}: a function of {count} lines; at most {FUNCTION_LINES}"
    for room, count in rooms.items():
        if count > ROOM_LINES:
            yield f"src/{room}: {count} lines; a room has at most {ROOM_LINES}"


AUDIT = Path("src/AUDIT.md")
COUNTED_ROW = re.compile(r"^\|(.*)\| ([\d,]+) \|$", re.M)


def pipes():
    """Such a writer dies of SIGPIPE if it is not done yet, which is luck; with "pipefail" the pipe has failed."""
    for path in [Path("build.sh"), *ours("vendor", "docker", "tests", ".ci", "src")]:
        if path.suffix != ".sh" and path.parent.name not in (".ci", "bin"):
            continue
        # A pipe goes on below: its bar is moved there, and the lines keep their numbers.
        text = re.sub(r"\|([ \\]*\n\s*)", r"\1| ", path.read_text("utf-8"))
        if text.startswith("#!/bin/sh"):  # has no pipefail
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if LEAVES_EARLY.search(line):
                yield f"{path}:{number}: the reader of this pipe leaves early; give it a here-string, or read on"


def counted(pattern):
    """The files of a pattern of src/AUDIT.md: below a folder, or by a shell's wildcards."""
    if pattern.endswith("/"):
        return [path for path in ours(pattern) if path.suffix in C_SUFFIXES]
    return sorted(Path(".").glob(pattern))


def follows(text, row):
    """Whether the line before is a counted row of the same table."""
    return COUNTED_ROW.fullmatch(text[: row.start()].splitlines()[-1]) is not None


def audit():
    """Each row that ends with a number counts the lines of the files that it names; if it names none, it is the sum of the rows above it.
    Every room has one."""
    text = AUDIT.read_text("utf-8")
    for room in sorted(path for path in Path("src").iterdir() if path.is_dir()):
        if f"| `{room}/` |" not in text:
            yield f"{AUDIT}: no row for {room}/"
    above = 0
    for row in COUNTED_ROW.finditer(text):
        place = f"{AUDIT}:{text.count(chr(10), 0, row.start()) + 1}"
        said, lines, patterns = int(row[2].replace(",", "")), 0, re.findall(r"`([^`]+)`", row[1])
        above = above if follows(text, row) else 0
        if not patterns:
            if said != above:
                yield f"{place}: says {said:,} lines; the rows above it say {above:,}"
            continue
        above += said
        for pattern in patterns:
            files = counted(pattern)
            if not files:
                yield f"{place}: there is no {pattern}"
            lines += sum(len(path.read_text("utf-8").splitlines()) for path in files)
        if abs(lines - said) > max(100, lines // 20):
            yield f"{place}: says {said:,} lines; there are {lines:,}"


RULES = {rule.__name__: rule for rule in (tags, columns, comments, citations, bounded, calls, sizes, pipes, audit)}


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in RULES:
        print(__doc__)
        return 2
    broken = list(RULES[sys.argv[1]]())
    print("\n".join(broken) if broken else f"{sys.argv[1]}: nothing to complain about")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
