"""Handlers of the tests' own, built as a user would: ./build.sh handler FILE.c. One build for all processes."""

import fcntl
import subprocess
from pathlib import Path

import pytest

from workerproc import BUILD, ROOT, RUNNER

SOURCES = Path(__file__).parent / "handlers"


def user_handler(name):
    """The name under which handlers/NAME.c can be started; made when first asked for, and when it is older."""
    if RUNNER:
        pytest.skip("handlers of the tests' own are built for this machine only")
    source, target = SOURCES / f"{name}.c", BUILD / "handlers" / f"test-{name}"
    with open(BUILD / "handlers" / ".test-handlers", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        newest = max(source.stat().st_mtime, (BUILD / "worker").stat().st_mtime)
        if not target.exists() or target.stat().st_mtime < newest:
            done = subprocess.run(
                [ROOT / "build.sh", "handler", source, "-o", target, "--offline"],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout
    return target.name
