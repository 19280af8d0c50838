"""The kit for a machine with a GPU (./build.sh gpukit), run where there is none: without a driver, and on the fake one."""

import json
import os
import shutil
import subprocess

import pytest

from fakecuda import fake_cuda
from gpulib import gpu_folder, no_device
from own_handlers import own
from workerproc import BUILD, ROOT, binary

pytestmark = [pytest.mark.xdist_group("build"), no_device]


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    """The folder, made of the binaries that are tested."""
    if BUILD != ROOT / "build":
        pytest.skip("the kit is made of build/, which is not what is tested here")
    gpu_folder()
    for name in ("gpu", "matmul_served"):
        own(name)
    for name in ("worker-gpu", "vector_add", "matmul", "nvrtc", "gemm", "sentiment"):
        binary(name)
    done = subprocess.run([ROOT / "tests/gpukit.sh"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    copy = tmp_path_factory.mktemp("carried") / "kit"  # nothing of the checkout is needed
    shutil.copytree(ROOT / "build/gpukit", copy)
    assert sum(path.stat().st_size for path in copy.rglob("*") if path.is_file()) < 40 << 20
    return copy


def run(kit, out, **env):
    """Its exit status, and what the report says of each step: {name: (status, figure)}."""
    done = subprocess.run(
        ["bash", kit / "run.sh", out], env={**os.environ, "LD_LIBRARY_PATH": "", **env}, capture_output=True, text=True, timeout=300, check=False
    )
    assert (out / "report.json").exists(), done.stdout + done.stderr
    report = json.loads((out / "report.json").read_text())
    steps = {step["name"]: (step["status"], step["figure"]) for step in report["steps"]}
    lines = done.stdout.splitlines()
    assert [line.split()[1].rstrip(":") for line in lines[:-1]] == list(steps), done.stdout + done.stderr
    assert lines[-1].startswith(f"{report['counts']['ok']} ok, {report['counts']['failed']} failed, "), lines[-1]
    return done.returncode, steps


def test_without_a_driver_it_says_what_it_left(kit, tmp_path):
    status, steps = run(kit, tmp_path / "out", RP_LIBCUDA="/no/such/driver")
    assert status == 0, steps
    assert steps["machine"][0] == "ok"
    left = {name for name, (status, _) in steps.items() if status == "left"}
    assert {"information", "load", "timed", "eight", "fitness", "empty-root", "exit", "gemm-handler"} <= left, steps
    assert steps["load"] == ("left", "no libcuda.so.1")


def test_on_the_fake_driver_the_live_steps_run(kit, tmp_path):
    status, steps = run(kit, tmp_path / "out", RP_LIBCUDA=fake_cuda(), GPU_SIZES="1 17")
    assert status == 0, {name: step for name, step in steps.items() if step[0] == "failed"}
    done = {name for name, (status, _) in steps.items() if status == "ok"}
    assert {"information", "libraries", "load", "timed", "jobs", "eight", "fitness", "exit", "sentiment"} <= done, steps
    assert steps["information"][1].startswith("1 x Fake GPU 0, CUDA 12.2")
    assert steps["eight"][1].startswith("200 jobs in ")


HANDLERS = "nvrtc-handler gemm-handler"


def test_handlers_of_cudas_libraries_run_where_these_are(kit, tmp_path):
    env = {"RP_LIBCUDA": fake_cuda(), "KIT_CUDA": str(gpu_folder()), "KIT_STEPS": HANDLERS}
    status, steps = run(kit, tmp_path / "out", **env)
    assert status == 0 and steps["nvrtc-handler"][0] == steps["gemm-handler"][0] == "ok", steps
    assert steps["nvrtc-handler"][1].endswith("200 results right on Fake GPU 0")
    assert steps["gemm-handler"][1].startswith("n 20: ")
    status, steps = run(kit, tmp_path / "wrong", **env, FAKE_CUBLAS_WRONG="1", FAKE_CUDA_WRONG="1")
    assert status == 1 and steps["nvrtc-handler"][1].startswith("1 of 200 results are wrong"), steps
    assert "differs from the CPU's by 1" in steps["gemm-handler"][1], steps


def test_handlers_of_cudas_libraries_without_a_device(kit, tmp_path):
    env = {"RP_LIBCUDA": "/no/such/driver", "KIT_CUDA": str(gpu_folder()), "KIT_STEPS": HANDLERS}
    status, steps = run(kit, tmp_path / "out", **env)
    assert status == 0 and "there is no device to run it" in steps["nvrtc-handler"][1] and steps["gemm-handler"] == ("left", "no libcuda.so.1"), steps
    (tmp_path / "empty").mkdir()
    status, steps = run(kit, tmp_path / "none", **{**env, "KIT_CUDA": str(tmp_path / "empty")})
    assert status == 0 and steps["nvrtc-handler"] == ("left", "no libnvrtc on this machine"), steps


def test_a_failing_step_fails_the_run(kit, tmp_path):
    status, steps = run(kit, tmp_path / "out", RP_LIBCUDA=fake_cuda(), FAKE_CUDA_WRONG="1", GPU_SIZES="1", KIT_STEPS="jobs")
    assert status == 1
    assert steps["jobs"][0] == "failed" and "vector_add" in steps["jobs"][1], steps
