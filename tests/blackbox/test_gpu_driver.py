"""The real driver's libraries in the static binary, beside a glibc program that makes the same calls."""

import functools
import io
import re
import subprocess
import tarfile
import uuid

import pytest

from gpulib import driver_folder, no_device, probe, static_program
from own_handlers import own
from test_docker import HARDENED, docker, engine  # noqa: F401 (a fixture)
from workerproc import ROOT, binary

LIBS = "usr/lib/x86_64-linux-gnu"

pytestmark = pytest.mark.xdist_group("build")


def same_as_glibc(*args):
    """Standard output, the same from both."""
    done = [probe(*args, glibc=glibc) for glibc in (True, False)]
    assert done[0].returncode == done[1].returncode == 0, done
    assert done[1].stdout == done[0].stdout
    assert done[1].stderr == ""
    return done[1].stdout


def check_driver_answer(said):
    """No device, and yet all answers; one line, since every thread got the same."""
    assert len(said.splitlines()) == 1, said
    assert said.startswith("init 100 version 0 12"), said
    assert "name 0 CUDA_ERROR_NO_DEVICE" in said
    assert " entry 100 none" in said or " entry 3 none" in said or " entry 0 found" in said


@no_device
def test_driver_without_a_device():
    check_driver_answer(same_as_glibc("driver", driver_folder() / "libcuda.so.1", 8))


@no_device
def test_management_library():
    assert same_as_glibc("nvml", driver_folder() / "libnvidia-ml.so.1") == "init 9 Driver Not Loaded\n"


def test_compiler_of_nvvm_loads():
    said = probe("each", driver_folder() / "libnvidia-nvvm.so.4").stdout
    assert said.endswith(": loaded\n")


# ---- the kernels that ship ----


@functools.lru_cache(maxsize=None)
def kernels():
    """Every text of PTX with a kernel in it, as it lies in the built binaries: {name of its kernel: text}."""
    shipped = [path.stem for path in (ROOT / "src/handlers").glob("*.c")]
    shipped += sorted({path.parent.name for path in (ROOT / "src/handlers").glob("*/*.c")})
    found = {}
    for name in ("worker-gpu", *shipped, own("gpu"), own("gpu_first")):
        for text in re.findall(rb"\.version [^\0]+", binary(name).read_bytes()):
            for entry in re.findall(r"\.entry (\w+)", text.decode("ascii")):
                found[entry] = text.decode("ascii")
    return found


def compiled(ptx, target, folder, glibc=False, threads=1):
    """A run of the driver's compiler, and the cubin it has made."""
    source, out = folder / "kernel.ptx", folder / f"cubin-{glibc}"
    source.write_text(ptx, "ascii")
    done = probe("ptx", driver_folder() / "libnvidia-ptxjitcompiler.so.1", source, target, out, threads, glibc=glibc)
    return done, out.read_bytes() if done.returncode == 0 else b""


def test_every_kernel_is_known():
    """Of the handlers that ship, of the fitness check and of the tests' own handler."""
    assert {"vector_add", "matmul", "rp_check", "poke", "spin"} <= set(kernels())
    folders = (ROOT / "src", ROOT / "tests/blackbox/handlers")
    written = [path.read_text() for folder in folders for kind in ("*.c", "*.inc") for path in folder.rglob(kind)]
    assert set(re.findall(r"\.entry (\w+)\(", "".join(written))) == set(kernels())


COMPILED = [(kernel, target) for kernel in ("vector_add", "matmul", "rp_check", "spin", "attend", "multiply_tensor")
            for target in ("sm_70", "sm_80", "sm_90") if (kernel, target) != ("multiply_tensor", "sm_70")]


@pytest.mark.parametrize("kernel, target", COMPILED)
def test_kernel_becomes_the_cubin_that_glibc_makes(public_path, kernel, target):
    """attend and multiply_tensor stand for all of their modules, which are the sentiment handler's."""
    cubins = []
    for glibc in (True, False):
        done, cubin = compiled(kernels()[kernel], target, public_path, glibc, threads=3)
        assert re.fullmatch(r"compiled 3, \d+ bytes\n", done.stdout), done
        cubins.append(cubin)
    assert cubins[0] == cubins[1]
    assert cubins[0][:4] == b"\x7fELF" and f".text.{kernel}".encode() in cubins[0]


def test_kernel_with_a_mistake_is_refused_with_its_line(public_path):
    good = kernels()["vector_add"]
    line = good[: good.index("add.rn.f32")].count("\n") + 1
    done, _ = compiled(good.replace("add.rn.f32", "add.rn.f99"), "sm_80", public_path)
    assert done.returncode == 1 and f"line {line}" in done.stdout, done


# ---- nothing but the driver and the binary ----


@no_device
def test_empty_container_holds_only_the_binary_and_the_driver(engine):  # noqa: F811
    tag = f"slim-worker-test-driver:{uuid.uuid4().hex[:12]}"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(static_program("probe"), "probe")
        for path in sorted(driver_folder().iterdir()):
            if "nvvm" not in path.name:
                archive.add(path, f"{LIBS}/{path.name}")
    subprocess.run(["docker", "import", "-", tag], input=packed.getvalue(), capture_output=True, check=True)
    try:
        done = docker("run", *HARDENED, "--network", "none", tag, "/probe", "driver", f"/{LIBS}/libcuda.so.1", "4", check=False)
    finally:
        docker("image", "rm", "-f", tag, check=False)
    assert done.returncode == 0, done.stdout
    check_driver_answer(done.stdout)
