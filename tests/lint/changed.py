"""Which files a change concerns, for checks that do not have to look at all of them.

    python3 tests/lint/changed.py files     files that differ from the base, new ones included
    python3 tests/lint/changed.py sources   .c files of src/ among them, or that include one of them
    python3 tests/lint/changed.py tests     names of the unit tests that concern them (test_json, ...)

The base is where this branch left the main one, or the last commit where there is nothing since then.
Without git, or with CI set, everything counts as changed.
"""

import functools
import os
import re
import subprocess
import sys
from pathlib import Path

INDIRECT_MAX = 12  # tests of what uses a file; more say nothing of it
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.M)


def git(*args):
    done = subprocess.run(["git", *args], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def base():
    """The commit that the work since is compared with; None: there is nothing to compare with."""
    for main in ("origin/HEAD", "origin/main", "origin/master", "main", "master"):
        found = git("merge-base", "HEAD", main)
        if found and (found != git("rev-parse", "HEAD") or git("status", "--porcelain")):
            return found
    return git("rev-parse", "--verify", "--quiet", "HEAD~1")


def changed_files():
    """Paths; None: all of them count as changed."""
    since = base() if not os.environ.get("CI") else None
    if not since:
        return None
    names = git("diff", "--name-only", since).splitlines()
    names += git("ls-files", "--others", "--exclude-standard").splitlines()
    return sorted({name for name in names if Path(name).is_file()})


@functools.lru_cache(maxsize=None)
def includes(path):
    """Files of the repository that one includes itself."""
    wanted = INCLUDE.findall(Path(path).read_text("utf-8"))
    places = (Path("src"), Path(path).parent, Path("tests/unit"))
    found = (next((place / name for place in places if (place / name).is_file()), None) for name in wanted)
    return frozenset(str(path) for path in found if path)


@functools.lru_cache(maxsize=None)
def closure(path):
    """The file and all that it includes, directly or not."""
    seen, todo = set(), [path]
    while todo:
        one = todo.pop()
        if one not in seen:
            seen.add(one)
            todo += includes(one)
    return frozenset(seen)


def all_sources():
    return sorted(str(path) for path in Path("src").rglob("*.c"))


def concerned_sources(changed):
    everything = all_sources()
    if changed is None or any(name.startswith("tests/lint/clang-tidy") for name in changed):
        return everything
    return [path for path in everything if closure(path).intersection(changed)]


def interface(path):
    """The headers by which a .c file is used: its own, or that of the module it is a part of."""
    name = path.removesuffix(".c")
    headers = [str(header) for top in ("src", "tests/unit") for header in Path(top).rglob("*.h")]
    modules = {header: header[:-2].removesuffix("_private") for header in headers}
    own = [header for header in headers if re.match(re.escape(modules[header]) + r"($|[/_])", name)]
    return own or sorted(includes(path))


def includes_of_test(path):
    """Files that a test includes itself, or by a header of the tests."""
    own = includes(path)
    return own.union(*(includes_of_test(name) for name in own if name.startswith("tests/unit/")))


def named_after(path):
    """What tests of a .c file are called: test_bind and test_loader_bind for src/loader/bind.c."""
    parts = Path(path).with_suffix("").parts[1:]
    return {"test_" + "_".join(parts[at:]) for at in range(len(parts))}


@functools.lru_cache(maxsize=None)
def includes_of_part(path):
    """Files that a source includes itself, or by a private header."""
    own = includes(path)
    return own.union(*(includes(name) for name in own if name.endswith("_private.h")))


def users(path):
    """The headers of what includes the header of a .c file."""
    own = set(interface(path))
    return {header for source in all_sources() if includes_of_part(source) & own for header in interface(source)}


def tests_of(path, tests):
    """Tests with the name of a .c file, and that include its header themselves, or else that of what uses it, if few."""
    names = named_after(path)
    named = {test for test in tests if Path(test).stem in names}

    def including(headers):
        return {test for test in tests if includes_of_test(test) & headers}

    direct = including(set(interface(path)))
    if direct:
        return named | direct
    indirect = including(users(path))
    return named | indirect if len(indirect) <= INDIRECT_MAX else named


def concerned_tests(changed):
    """Tests that use a changed header, and those of a changed .c file."""
    tests = sorted(str(path) for path in Path("tests/unit").glob("test_*.c"))
    if changed is not None:
        sources = [path for path in changed if re.match(r"(src|tests/unit)/.*\.c$", path)]
        of_sources = set().union(*(tests_of(path, tests) for path in sources))
        tests = [path for path in tests if path in of_sources or closure(path).intersection(changed)]
    return [Path(path).stem for path in tests]


def main():
    changed = changed_files()
    answers = {
        "files": lambda: changed if changed is not None else git("ls-files").splitlines(),
        "sources": lambda: concerned_sources(changed),
        "tests": lambda: concerned_tests(changed),
    }
    if len(sys.argv) != 2 or sys.argv[1] not in answers:
        print(__doc__)
        return 2
    print("\n".join(answers[sys.argv[1]]()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
