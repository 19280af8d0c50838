"""The real driver's libraries in the static binary, beside a glibc program that makes the same calls."""

import io
import re
import subprocess
import tarfile
import uuid

import pytest

from gpulib import NOBODY, driver_folder, gpu_folder, probe

LIBS = "usr/lib/x86_64-linux-gnu"
PTX = """\
.version 6.0
.target sm_70
.address_size 64
.visible .entry twice(.param .u64 at, .param .u32 count)
{
    .reg .pred %p; .reg .u32 %r<5>; .reg .u64 %a<3>; .reg .f32 %f;
    ld.param.u64 %a0, [at];
    ld.param.u32 %r0, [count];
    mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.x;
    mad.lo.u32 %r4, %r1, %r2, %r3;
    setp.ge.u32 %p, %r4, %r0;
    @%p ret;
    mul.wide.u32 %a1, %r4, 4;
    add.u64 %a2, %a0, %a1;
    ld.global.f32 %f, [%a2];
    add.f32 %f, %f, %f;
    st.global.f32 [%a2], %f;
    ret;
}
"""

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


def test_driver_without_a_device():
    check_driver_answer(same_as_glibc("driver", driver_folder() / "libcuda.so.1", 8))


def test_management_library():
    assert same_as_glibc("nvml", driver_folder() / "libnvidia-ml.so.1") == "init 9 Driver Not Loaded\n"


def test_compiler_of_nvvm_loads():
    said = probe("each", driver_folder() / "libnvidia-nvvm.so.4").stdout
    assert said.endswith(": loaded\n")


@pytest.mark.parametrize("target", ["sm_70", "sm_80", "sm_90"])
def test_ptx_becomes_the_cubin_that_glibc_makes(tmp_path, target):
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents:
        if parent.name.startswith("pytest-"):
            parent.chmod(0o755)
    source = tmp_path / "kernel.ptx"
    source.write_text(PTX)
    cubins = []
    for glibc in (True, False):
        out = tmp_path / f"cubin-{glibc}"
        done = probe("ptx", driver_folder() / "libnvidia-ptxjitcompiler.so.1", source, target, out, 5, glibc=glibc)
        assert done.returncode == 0 and re.fullmatch(r"compiled 5, \d+ bytes\n", done.stdout), done
        cubins.append(out.read_bytes())
    assert cubins[0] == cubins[1]
    assert cubins[0][:4] == b"\x7fELF" and b"twice" in cubins[0]


def test_ptx_with_a_mistake_says_where(tmp_path):
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents:
        if parent.name.startswith("pytest-"):
            parent.chmod(0o755)
    source = tmp_path / "wrong.ptx"
    source.write_text(PTX.replace("add.f32", "add.f99"))
    done = probe("ptx", driver_folder() / "libnvidia-ptxjitcompiler.so.1", source, "sm_80", tmp_path / "out")
    assert done.returncode == 1 and "line 16" in done.stdout, done


def test_empty_container_holds_only_the_binary_and_the_driver():
    try:
        version = subprocess.run(["docker", "version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"NO DOCKER ENGINE, THE DRIVER WAS NOT LOADED IN AN EMPTY IMAGE: {error}")
    if version.returncode != 0:
        pytest.skip("NO DOCKER ENGINE, THE DRIVER WAS NOT LOADED IN AN EMPTY IMAGE")
    tag = f"slim-worker-test-driver:{uuid.uuid4().hex[:12]}"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(gpu_folder() / "probe", "probe")
        for path in sorted(driver_folder().iterdir()):
            if "nvvm" not in path.name:
                archive.add(path, f"{LIBS}/{path.name}")
    subprocess.run(["docker", "import", "-", tag], input=packed.getvalue(), capture_output=True, check=True)
    try:
        hardened = ["--rm", "--read-only", "--cap-drop", "ALL", "--user", str(NOBODY), "--network", "none"]
        command = ["docker", "run", *hardened, tag, "/probe", "driver", f"/{LIBS}/libcuda.so.1", "4"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    finally:
        subprocess.run(["docker", "image", "rm", "-f", tag], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    check_driver_answer(done.stdout)
