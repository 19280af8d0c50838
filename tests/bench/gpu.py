"""Loading the real driver into a static binary, beside glibc's dlopen: time and memory.

The driver's libraries come from tests/driver.sh, both programs from tests/gpu/probe.c. No device is
needed: cuInit then says that there is none. The column "sdk" is the glibc program's.
"""

import json
import os
import subprocess

from procs import BenchError
from table import Row

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
GPU = os.path.join(ROOT, "build", "gpu")
DRIVER = os.path.join(ROOT, "build", "driver")
PROGRAMS = {"ours": "probe", "sdk": "probe-glibc"}
RUNS = 20  # of each side in a round, taking turns; a load is one millisecond
NOBODY = 65534


def _make(*command):
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise BenchError((done.stdout + done.stderr).strip()[-300:])


def _once(side):
    """One process: what it tells of itself. As an ordinary user, since root's cuInit makes device nodes."""
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    command = [os.path.join(GPU, PROGRAMS[side]), "time", os.path.join(DRIVER, "lib/libcuda.so.1"), "cuInit"]
    done = subprocess.run(
        command, env={}, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False, **user
    )
    if done.returncode != 0:
        raise BenchError(f"{PROGRAMS[side]}: {done.stdout}{done.stderr}".strip()[:300])
    return json.loads(done.stdout)


def load(bench):
    """Rows: load alone, load and cuInit, resident memory after each."""
    rows = {
        "load_ms": Row("libcuda: load (sdk: glibc)", "ms", min_ratio=0.83),
        "ready_ms": Row("libcuda: load and cuInit (sdk: glibc)", "ms", min_ratio=0.83),
        "rss_loaded_kb": Row("libcuda: resident after load (sdk: glibc)", "MiB"),
        "rss_ready_kb": Row("libcuda: resident after cuInit (sdk: glibc)", "MiB"),
    }
    try:
        _make(os.path.join(ROOT, "tests", "gpulibs.sh"))
        _make(os.path.join(ROOT, "tests", "driver.sh"), DRIVER, os.environ.get("OFFLINE", "0"))
        for side in PROGRAMS:
            _once(side)  # the files are in memory from now on
        for _ in range(RUNS * bench.rounds):
            for side in PROGRAMS:
                seen = _once(side)
                for key, row in rows.items():
                    row.add(side, seen[key] / 1024 if key.endswith("_kb") else seen[key])
        with open(os.path.join(DRIVER, "version"), encoding="ascii") as file:
            rows["load_ms"].note = f"driver {file.read().strip()}, no device"
    except (BenchError, OSError, ValueError) as e:
        for row in rows.values():
            row.errors.update({side: str(e) for side in PROGRAMS})
    return list(rows.values())
