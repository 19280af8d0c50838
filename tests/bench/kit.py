"""The kit's figures: made from nothing but a copy of the sources, an edit of a handler, and a first handler out of it.

The copy is vendor/kit/sources.sh's archive, which is a fresh clone and what it would fetch. Seconds as the clock counts them; the
note has those of CPU.
"""

import os
import resource
import shutil
import subprocess
import tarfile
import time

from procs import BenchError
from table import Row

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EXAMPLE = os.path.join("vendor", "kit", "examples", "c", "greet.c")
JOB = '{"input": {"name": "Ann"}}'


def _run(command, folder):
    """Seconds of the clock and of CPU."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    passed, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise BenchError(f"{command[0]}: {(done.stdout + done.stderr).strip()[-300:]}")
    return passed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _made(tree, ending):
    """What the kit's verb has made, of the version that the tree has."""
    version = subprocess.run([os.path.join(tree, "vendor", "version.sh")], capture_output=True, text=True, check=True).stdout
    return os.path.join(tree, "build", "kit", f"slim-worker-{version.strip()}-{ending}")


def _unpack(archive, folder):
    with tarfile.open(archive) as packed:
        packed.extractall(folder)
    (tree,) = os.listdir(folder)
    return os.path.join(folder, tree)


def _fresh_kit(folder, row):
    """The tree that the kit was built in."""
    _run(["vendor/kit/sources.sh"], ROOT)
    tree = _unpack(_made(ROOT, "sources.tar"), folder)
    seconds, cpu = _run([os.path.join(tree, "build.sh"), "--offline", "kit"], tree)
    row.add("ours", seconds)
    row.note = f"{cpu:.0f} s of CPU on {os.cpu_count()} cores"
    return tree


def _edits(tree, row, rounds):
    handler = os.path.join(tree, "greet.c")
    shutil.copy(os.path.join(tree, EXAMPLE), handler)
    for turn in range(rounds + 1):
        with open(handler, "a", encoding="ascii") as source:
            source.write(f"/* edit {turn} */\n")
        seconds, cpu = _run([os.path.join(tree, "build.sh"), "--offline", "handler", "greet.c"], tree)
        if turn > 0:
            row.add("ours", seconds)
            row.note = f"{cpu:.2f} s of CPU"


def _first_handler(tree, folder, row, rounds):
    """Unpacked, compiled, run: the three commands of the kit's manual."""
    archive = _made(tree, f"{os.uname().machine}.tar.gz")
    for turn in range(rounds):
        place = os.path.join(folder, str(turn))
        os.makedirs(place)
        command = (f"tar -xzf '{archive}' && slim-worker-*/bin/worker-cc -O2 -s -o greet slim-worker-*/examples/c/greet.c"
                   f" && ./greet --test_input '{JOB}'")
        row.add("ours", _run(["sh", "-ec", command], place)[0])


def all_figures(bench):
    made = Row("the kit from a fresh clone", "s")
    edit = Row("edit of a handler to its binary", "s", 0.5)
    first = Row("kit unpacked, first handler compiled and run", "s", 5)
    rows = [made, edit, first]
    if "ours" not in bench.sides:
        return rows
    folder = bench.file("kit")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    try:
        bench.progress("building a kit from nothing")
        tree = _fresh_kit(os.path.join(folder, "tree"), made)
        _edits(tree, edit, bench.rounds)
        _first_handler(tree, os.path.join(folder, "first"), first, bench.rounds)
    except (BenchError, OSError, ValueError) as e:
        for row in rows:
            row.fail_unmeasured(str(e))
    shutil.rmtree(folder, ignore_errors=True)
    return rows
