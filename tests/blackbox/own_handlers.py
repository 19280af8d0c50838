"""The tests' own handlers (handlers/*.c), built with ./build.sh handler once for all processes of a test run."""

import fcntl
import functools
import os
import re
import subprocess
from pathlib import Path

import pytest

from workerproc import BUILD, ROOT, RUNNER

SOURCES = Path(__file__).with_name("handlers")


def _is_fresh(out, source):
    inputs = [source, BUILD / "handlers" / "echo"]  # every build of the worker makes a new echo
    return out.exists() and all(out.stat().st_mtime >= path.stat().st_mtime for path in inputs)


def _internals(source):
    """What a handler needs that reaches into src/: the worker's parts under their own names, before the kit's library."""
    if not re.search(r'^#include "\w+/', source.read_text("utf-8"), re.M):
        return []
    parts = ROOT / "build" / os.uname().machine / "kit/worker.a"
    return ["--", f"-I{ROOT}/src", "-isystem", f"{ROOT}/vendor/.src/bearssl/inc", str(parts)]


@functools.lru_cache(maxsize=None)
def own(name):
    """The path of the built handler, as a worker's name."""
    out = BUILD / "test-handlers" / name
    if RUNNER or BUILD != (ROOT / "build").resolve():  # another compiler made these workers: its handlers are there
        if not out.exists():
            pytest.skip(f"{out} is not there, and ./build.sh builds for another kind of worker")
        return str(out)
    out.parent.mkdir(exist_ok=True)
    with open(out.parent / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_fresh(out, SOURCES / f"{name}.c"):
            source = SOURCES / f"{name}.c"
            command = [str(ROOT / "build.sh"), "handler", str(source), "-o", str(out), *_internals(source)]
            done = subprocess.run(
                command, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
            )
            assert done.returncode == 0, done.stdout
            os.utime(out)
    return str(out)


class Gate:
    """A pipe on which a job's {"gate": path} step waits until open() is called."""

    def __init__(self, path):
        self.path = str(path)
        os.mkfifo(path)

    @property
    def step(self):
        return {"gate": self.path}

    def open(self):
        """Let the job go on; blocks until it has come to the gate."""
        with open(self.path, "wb"):
            pass


def steps(*todo):
    """A job's input for handlers/steps.c."""
    return {"steps": list(todo)}
