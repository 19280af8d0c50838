"""The GPU without a GPU: the loader's probe and the libraries made for it (tests/gpu), the real driver's, and programs
run as an ordinary user."""

import fcntl
import functools
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from workerproc import BUILD, ROOT, RUNNER, binary

GPU = ROOT / "build" / "gpu"
DRIVER = ROOT / "build" / "driver"
CUDA = ROOT / "build" / "cuda-venv"
# On musl, for this machine; the last one by tests/mutate.py.
STATIC_BUILDS = [(ROOT / name).resolve() for name in ("build", "build/coverage", "build/newer", "build/mutant")]
NOBODY = 65534

# The driver of the distribution is another one than the kernel's, and tests/gpu.sh is for the device.
HAS_DEVICE = any(os.path.exists(path) for path in ("/proc/driver/nvidia", "/dev/nvidia0", "/dev/dxg"))
no_device = pytest.mark.skipif(HAS_DEVICE, reason="A MACHINE WITH A GPU: tests/gpu.sh IS ITS TEST")


def _script(lock_name, name, *args):
    """A script of tests/, one run at a time in all processes of a test run."""
    GPU.mkdir(parents=True, exist_ok=True)
    with open(GPU / lock_name, "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return subprocess.run(
            [str(ROOT / "tests" / name), *(str(arg) for arg in args)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )


# ---- an ordinary user ----


def unprivileged():
    """Arguments of Popen: as root, libcuda would make device nodes."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def run_unprivileged(program, *args, env=None, timeout=120, **options):
    """A finished run of a program as an ordinary user, with an empty environment."""
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


def public_folder():
    """A tempfile.TemporaryDirectory that everybody reaches and may write to, which pytest's are not."""
    folder = tempfile.TemporaryDirectory(prefix="worker-test-")
    os.chmod(folder.name, 0o777)
    return folder


COPIES = []  # go when the process ends


@functools.lru_cache(maxsize=None)
def reachable(path):
    """The path, or that of a copy where the ordinary user does not get to it (a checkout in a home of root's)."""
    if run_unprivileged("/usr/bin/test", "-r", path).returncode == 0:
        return path
    COPIES.append(public_folder())
    copy = Path(COPIES[-1].name) / path.name
    if path.is_dir():
        shutil.copytree(path, copy, symlinks=True)
    else:
        shutil.copy(path, copy)
    return copy


def for_this_machine():
    """Skips where the workers are of another build, which no library of this machine can be loaded into."""
    if RUNNER or BUILD not in STATIC_BUILDS:
        pytest.skip("the libraries are for this machine's own worker")


def reachable_binary(name):
    """The worker of that name, see workerproc.binary."""
    for_this_machine()
    return reachable(binary(name))


# ---- what is built and fetched ----


@functools.lru_cache(maxsize=None)
def gpu_folder():
    """The folder of the built probe and libraries; one build for all processes of a test run."""
    for_this_machine()
    done = _script("lock", "gpulibs.sh")
    assert done.returncode == 0, done.stdout
    return reachable(GPU)


@functools.lru_cache(maxsize=None)
def driver_folder():
    """The folder with the real driver's libraries, fetched when first asked for."""
    if platform.machine() != "x86_64":
        pytest.skip("NO DRIVER TO TEST WITH: the distribution's is for x86-64")
    done = _script("driver-lock", "driver.sh", DRIVER, os.environ.get("OFFLINE", "0"))
    if done.returncode == 3:
        pytest.skip(f"NO DRIVER TO TEST WITH: {done.stdout.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stdout
    return reachable(DRIVER / "lib")


@functools.lru_cache(maxsize=None)
def cuda_libraries():
    """{name: path} of CUDA's own libraries for x86-64 (tests/cuda-requirements.txt), fetched when first asked for."""
    if platform.machine() != "x86_64":
        pytest.skip("NO CUDA LIBRARIES TO TEST WITH: the pinned ones are for x86-64")
    done = _script("cuda-lock", "venv.sh", CUDA, ROOT / "tests/cuda-requirements.txt", os.environ.get("OFFLINE", "0"))
    if done.returncode == 3:
        pytest.skip(f"NO CUDA LIBRARIES TO TEST WITH: {done.stdout.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stdout
    return {path.name: path for path in CUDA.glob("lib/python3*/site-packages/nvidia/*/lib/lib*.so.*")}


def static_program(name):
    """The program of tests/gpu, static on musl, of the build that is tested."""
    gpu_folder()
    return reachable(BUILD / "gpu" / name)


def probe(*args, glibc=False, **options):
    """A finished run of the probe."""
    program = gpu_folder() / "probe-glibc" if glibc else static_program("probe")
    return run_unprivileged(program, *args, **options)
