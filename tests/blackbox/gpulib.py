"""The GPU loader's probe (tests/gpu/probe.c), the libraries made for it, and the real driver's."""

import fcntl
import functools
import os
import platform
import subprocess

import pytest

from workerproc import BUILD, ROOT, RUNNER

GPU = ROOT / "build" / "gpu"
DRIVER = ROOT / "build" / "driver"
NOBODY = 65534


def _shell(*command):
    done = subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done


@functools.lru_cache(maxsize=None)
def gpu_folder():
    """The folder of the built probe and libraries; one build for all processes of a test run."""
    if RUNNER or BUILD != (ROOT / "build").resolve():
        pytest.skip("the loader's probe is built for this machine's own worker")
    GPU.mkdir(parents=True, exist_ok=True)
    with open(GPU / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = _shell(ROOT / "tests" / "gpulibs.sh")
    assert done.returncode == 0, done.stdout
    return GPU


@functools.lru_cache(maxsize=None)
def driver_folder():
    """The folder with the real driver's libraries, fetched when first asked for."""
    if platform.machine() != "x86_64":
        pytest.skip("NO DRIVER TO TEST WITH: the distribution's is for x86-64")
    GPU.mkdir(parents=True, exist_ok=True)
    with open(GPU / "driver-lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = _shell(ROOT / "tests" / "driver.sh", DRIVER, os.environ.get("OFFLINE", "0"))
    if done.returncode == 3:
        pytest.skip(f"NO DRIVER TO TEST WITH: {done.stdout.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stdout
    return DRIVER / "lib"


def unprivileged():
    """Arguments of Popen: as root, libcuda would make device nodes."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def probe(*args, glibc=False, env=None, timeout=120, **options):
    """A finished run of the probe, as an ordinary user, with an empty environment."""
    program = gpu_folder() / ("probe-glibc" if glibc else "probe")
    return subprocess.run(
        [str(program), *(str(arg) for arg in args)],
        env=env or {},
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
        **{**unprivileged(), **options},
    )


@functools.lru_cache(maxsize=None)
def reachable():
    """Skips where an ordinary user cannot reach the build folder (a home of root's)."""
    done = probe("each", gpu_folder() / "no-such-library.so")
    if done.returncode != 0:
        pytest.skip(f"the user {NOBODY} cannot run {gpu_folder()}/probe")
