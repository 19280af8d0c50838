"""What each of the worker's parts costs: bytes of the program, and lines of C that are linked.

    python3 tests/bench/parts.py        prints the table of vendor/kit/README.md; `./build.sh bench --only parts` has its bytes

A handler is linked by worker-cc without any part, with each of them alone, and with all of them. Parts share code (an HTTP
server, say), so they do not add up. Lines are those of the files of which something is linked, with their headers.
"""

import os
import re
import subprocess
import tempfile
from pathlib import Path

from procs import BenchError
from table import Row

ROOT = Path(__file__).resolve().parents[2]
PLAIN_KB = 300  # the aim for a handler without any part
WORKER_CC = ROOT / "build/core/bin/worker-cc"
HANDLER = """
#include "worker.h"
#include "rp_gpu.h"

static int echo(rp_job *job, void *user)
{
    (void)user;
    return rp_return_json(job, rp_input_json(job));
}

int main(int argc, char **argv)
{
    return rp_start(argc, argv, &(rp_config){ .handler = echo, PARTS });
}
"""
PARTS = {
    "none": ".user = 0",
    **{part: f".{part} = &rp_{part}_part" for part in ("programs", "servers", "realtime", "job_api", "storage", "audit")},
    "all of these": "RP_ALL_PARTS",
    "gpu": ".gpu = &rp_gpu_part",
}


def link(folder, parts):
    out = folder / "handler"
    command = [WORKER_CC, "-O2", f"-DPARTS={parts}", "-x", "c", "-o", out, "-"]
    subprocess.run(command, input=HANDLER, text=True, check=True)
    return out


def linked_lines(binary):
    """Of the worker's own files that a function or a table of the program comes from."""
    told = subprocess.run(["nm", "-l", "--defined-only", binary], capture_output=True, text=True, check=True).stdout
    files = {ROOT / "src" / name for name in re.findall(r"\bsrc/(\S+\.[ch]):\d+$", told, re.M)}
    files |= {path.with_suffix(".h") for path in files}
    return sum(len(path.read_text("utf-8").splitlines()) for path in files if path.exists())


def measure(folder, parts):
    binary = link(folder, parts)
    lines = linked_lines(binary)
    subprocess.run(["strip", "--strip-all", "-R", ".comment", "-R", ".note.gnu.property", binary], check=True)
    return os.path.getsize(binary), lines


def make_core():
    subprocess.run([ROOT / "build.sh", "core"], check=True, stdout=subprocess.DEVNULL)


def added_bytes(part, beside):
    """What the part adds to a handler that has the other one, or "none"."""
    try:
        make_core()
        with tempfile.TemporaryDirectory() as folder:
            without, _ = measure(Path(folder), PARTS[beside])
            both, _ = measure(Path(folder), f"{PARTS[beside]}, {PARTS[part]}")
    except (subprocess.CalledProcessError, OSError) as e:
        raise BenchError(f"the worker's part {part}: {e}") from e
    return both - without


def measure_all():
    make_core()
    with tempfile.TemporaryDirectory() as folder:
        return {part: measure(Path(folder), parts) for part, parts in PARTS.items()}


def all_figures(bench):  # pylint: disable=unused-argument
    """A handler without parts, and what each of them adds."""
    try:
        found = measure_all()
    except (subprocess.CalledProcessError, OSError) as e:
        raise BenchError(f"the parts of the worker: {e}") from e
    rows = []
    for part, (size, lines) in found.items():
        plain = part == "none"
        row = Row("a C handler without any part" if plain else f"with {part}: more", "KB", limit=PLAIN_KB if plain else None)
        row.add("ours", (size - (0 if plain else found["none"][0])) / 1000)
        row.note = f"{lines - (0 if plain else found['none'][1]):,} lines of C"
        rows.append(row)
    return rows


def main():
    rows = measure_all()
    least = rows["none"]
    print("| Part | Bytes | Lines |\n|---|---|---|")
    for part, (size, lines) in rows.items():
        more = part != "none"
        print(f"| {part} | {'+ ' if more else ''}{size - more * least[0]:,} | {'+ ' if more else ''}{lines - more * least[1]:,} |")


if __name__ == "__main__":
    main()
