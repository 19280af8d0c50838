"""CUDA's own libraries in the static binary, from a root with nothing else in it, beside the same source on glibc."""

import os
import re
import shutil
import subprocess

import pytest

from gpulib import NOBODY, cuda_libraries, gpu_folder, no_device, run_unprivileged, static_program
from workerproc import ROOT

KERNEL = ROOT / "tests/gpu/kernel.cu"

pytestmark = pytest.mark.xdist_group("build")


def lay_out(folder, *names):
    """The libraries of those names in the folder; links where the file system allows."""
    for name in names:
        source = cuda_libraries()[name]
        try:
            os.link(source, folder / name)
        except OSError:
            shutil.copy(source, folder / name)
        (folder / name).chmod(0o755)


def alone(folder, *args):
    """A run of cudalibs with the folder as its root, without /proc, as an ordinary user; LD_LIBRARY_PATH is the root.
    Without the rights for that, in the folder as it is."""

    def enter():
        os.chroot(folder)
        os.chdir("/")
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)

    root = os.geteuid() == 0
    shutil.copy(static_program("cudalibs"), folder / "cudalibs")
    return subprocess.run(
        ["/cudalibs" if root else folder / "cudalibs", *args],
        preexec_fn=enter if root else None,
        cwd=None if root else folder,
        env={"LD_LIBRARY_PATH": "/" if root else str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def on_glibc(folder, *args):
    return run_unprivileged(gpu_folder() / "cudalibs-glibc", *args, env={"LD_LIBRARY_PATH": str(folder)})


def without_times(said):
    """The last line; before it the loader logs at debug level what NVRTC looks for in vain."""
    return re.sub(r"[\d.]+ ms", "N ms", said.splitlines()[-1])


def test_cuda_c_is_compiled_to_the_code_that_glibc_makes(public_path):
    """Four threads at once. libnvrtc-builtins needs libstdc++ and libgcc_s, which are not there, and uses nothing of them."""
    lay_out(public_path, "libnvrtc.so.12", "libnvrtc-builtins.so.12.9")
    (public_path / "kernel.cu").write_text(KERNEL.read_text())
    glibc = on_glibc(public_path, "nvrtc", public_path / "libnvrtc.so.12", KERNEL, "sm_90", public_path / "glibc.cubin", 4)
    done = alone(public_path, "nvrtc", "libnvrtc.so.12", "kernel.cu", "sm_90", "own.cubin", "4")
    assert (glibc.returncode, done.returncode) == (0, 0), (glibc, done)
    assert without_times(done.stdout) == without_times(glibc.stdout)
    own = (public_path / "own.cubin").read_bytes()
    assert own == (public_path / "glibc.cubin").read_bytes()
    assert own[:4] == b"\x7fELF" and b".text.waves" in own


@no_device
def test_runtime_library_answers_as_on_glibc(public_path):
    """Its thread-local storage is a page, aligned to one."""
    lay_out(public_path, "libcudart.so.12")
    glibc = on_glibc(public_path, "cudart", public_path / "libcudart.so.12")
    done = alone(public_path, "cudart", "libcudart.so.12")
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (4, glibc.stdout.splitlines()), done
    assert glibc.stdout.startswith("cudart 12090 driver 0 count 35 0 cudaErrorInsufficientDriver malloc 35"), glibc
