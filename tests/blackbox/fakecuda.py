"""The fake libcuda (tests/gpu/fakedevice.c), built once for all processes of a test run."""

import fcntl
import functools
import subprocess

from workerproc import ROOT

SOURCE = ROOT / "tests" / "gpu" / "fakedevice.c"


@functools.lru_cache(maxsize=None)
def fake_cuda():
    """The path of the built library, for --libcuda and RP_LIBCUDA."""
    out = ROOT / "build" / "gpu" / "libcuda.so.1"
    out.parent.mkdir(parents=True, exist_ok=True)
    with open(out.parent / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not out.exists() or out.stat().st_mtime < SOURCE.stat().st_mtime:
            command = ["gcc", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden"]
            command += ["-Wl,-soname,libcuda.so.1", "-o", str(out), str(SOURCE), "-lpthread"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
    return str(out)
