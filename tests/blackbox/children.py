"""What the tests of child-process handlers share."""

import json
import os
import shlex
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"


def program(name, *arguments):
    """The command line of one of the programs; Python ones by this Python, without its site packages."""
    words = [str(PROGRAMS / name), *arguments]
    if name.endswith(".py"):
        words = [sys.executable, "-S", "-E", *words]
    return shlex.join(words)


def sh(script):
    """The command line of a shell's script."""
    return shlex.join(["/bin/sh", "-c", script])


def failure(result):
    """The error object of a failed job."""
    assert set(result) <= {"error", "stopPod"}, result
    return json.loads(result["error"])


def do(*acts):
    return {"do": [list(act) for act in acts]}


def children_of(pid):
    """{pid: state} of the process's children."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found[int(entry.name)] = fields[0]
    return found


def is_alive(pid):
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_gone(platform, *pids):
    """Killed is not gone yet: the kernel takes a moment, and so does whoever reaps them."""
    platform.wait_for(lambda: not any(map(is_alive, pids)) or None, f"the end of {pids}")


def wait_reaped(platform, process):
    """Until the worker has no zombie among its children."""
    platform.wait_for(lambda: "Z" not in children_of(process.pid).values() or None, "no zombies")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.fixture
def actor(worker, platform):
    """actor(*flags, env=...) -> a worker whose handler is programs/actor.py."""

    def start(*flags, env=None, **options):
        return worker(platform, "--handler", program("actor.py"), *flags, handler="worker", env=env, **options)

    return start


def pid_of(platform):
    """The process that answers now."""
    return platform.run(do(("about", "pid")))["output"]
