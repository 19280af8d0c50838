"""rp_gpu_library and rp_gpu_symbol through the handlers that use CUDA's own libraries, nvrtc and gemm; with fakes of those
(tests/gpu/fakenvrtc.c, fakecublas.c) on the fake driver."""

import json
import os
import re
import shutil
import subprocess

import pytest

from fakecuda import fake, fake_cuda, result_of, run_job
from gpulib import cuda_libraries, gpu_folder
from test_gpu import error_of
from workerproc import RUNNER, binary

pytestmark = pytest.mark.skipif(bool(RUNNER), reason="the fake libraries are built for this machine")

SOURCE = """extern "C" __global__ void scale(float *x, unsigned n)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        x[i] = 3.0f * x[i] + 0.5f;
}
"""
JOB = {"source": SOURCE, "kernel": "scale", "data": [1, 2, -0.5]}


def libraries(**variables):
    """The environment of a worker with all fakes; FAKE_... are their variables."""
    return {**fake(), "LD_LIBRARY_PATH": str(gpu_folder()), **{name: str(value) for name, value in variables.items()}}


@pytest.fixture
def run(local):
    """run(handler, input, **variables) -> exit status, result, everything printed."""
    return lambda handler, job, **variables: run_job(local, handler, job, libraries(**variables))


# ---- where a library is looked for ----


@pytest.mark.parametrize("by", ["folder", "name", "path"])
def test_library_is_found(run, tmp_path, by):
    shutil.copy(gpu_folder() / "libnvrtc.so.12", tmp_path / "libother.so")
    variables = {
        "folder": {},
        "name": {"NVRTC_NAME": "libother.so", "LD_LIBRARY_PATH": tmp_path},
        "path": {"NVRTC_NAME": tmp_path / "libother.so", "LD_LIBRARY_PATH": ""},
    }[by]
    status, result, printed = run("nvrtc", JOB, **variables)
    assert status == 0 and result["output"]["data"] == [3.5, 6.5, -1], printed


@pytest.mark.shipped
def test_library_of_an_image_with_nothing_else_in_it(tmp_path):
    """In /cuda/lib, whatever else there is."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for chroot(2)")

    def enter():
        os.chroot(tmp_path)
        os.chdir("/")

    (tmp_path / "cuda/lib").mkdir(parents=True)
    shutil.copy(gpu_folder() / "libnvrtc.so.12", tmp_path / "cuda/lib")
    shutil.copy(fake_cuda(), tmp_path / "libcuda.so.1")
    shutil.copy(binary("nvrtc"), tmp_path / "worker")
    command = ["/worker", "--test_input", json.dumps({"input": JOB})]
    done = subprocess.run(command, preexec_fn=enter, env={"RP_LIBCUDA": "/libcuda.so.1"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and result_of(done)["output"]["data"] == [3.5, 6.5, -1], done


@pytest.mark.parametrize(
    "handler, variables, why",
    [
        ("nvrtc", {"NVRTC_NAME": "libnobody.so"}, "no libnobody.so in /cuda/lib: .*LD_LIBRARY_PATH"),
        ("gemm", {"CUBLAS_NAME": "/nowhere/libcublas.so.12"}, "/nowhere/libcublas.so.12: it cannot be opened: No such file"),
        ("nvrtc", {"NVRTC_NAME": "libcublas.so.12"}, "/libcublas.so.12 has no nvrtcCreateProgram"),
        ("gemm", {"CUBLAS_NAME": "libnvrtc.so.12"}, "/libnvrtc.so.12 has no cublasCreate_v2"),
    ],
)
def test_library_that_cannot_be_used(local, handler, variables, why):
    """The start fails, and says which file and what is wrong with it."""
    done = local("--test_input", json.dumps({"input": JOB}), handler=handler, env=libraries(**variables))
    assert done.returncode == 1
    assert re.search(f"^ERROR .*The handler's setup returned -?[0-9]+. The GPU's last error: .*{why}", done.stdout, re.M), done.stdout


# ---- nvrtc ----


def test_source_is_compiled_and_run(platform, worker):
    data = [i / 4 for i in range(1000)]
    worker(platform, handler="nvrtc", env=libraries())
    output = platform.run({**JOB, "source": f"#warning of nothing\n{SOURCE}", "data": data})["output"]
    assert output["data"] == [3 * value + 0.5 for value in data]
    assert output["log"] == "job.cu(1): warning: of nothing\n" and output["device"] == "Fake GPU 0"


def test_source_is_compiled_without_a_device(run):
    status, result, printed = run("nvrtc", JOB, FAKE_CUDA_DEVICES=0)
    assert status == 0 and result["output"]["ptx_bytes"] > 100 and "NO_DEVICE" in result["output"]["no_gpu"], printed


@pytest.mark.parametrize(
    "changes, variables, why",
    [
        ({"source": "int x;"}, {}, "NVRTC_ERROR_COMPILATION: job.cu(1): error: not what this one can compile\n"),
        ({"kernel": "nobody"}, {}, 'kernel "nobody": CUDA_ERROR_NOT_FOUND (500): named symbol not found'),
        ({"kernel": 1}, {}, "input.kernel must be a string"),
        ({"source": 1}, {}, "input.source must be a string"),
        ({"data": []}, {}, "input.data must be a list of 1 to 1000000 numbers"),
        ({"data": {"x": 1}}, {}, "input.data must be a list of 1 to 1000000 numbers"),
        ({"data": [1, "2"]}, {}, "input.data[1] is not a number that fits a 32-bit float"),
        ({"data": [1e39]}, {}, "input.data[0] is not a number that fits a 32-bit float"),
        ({}, {"FAKE_CUDA_FAIL": "cuModuleLoadDataEx=1"}, "load kernels on GPU 0: CUDA_ERROR_INVALID_VALUE (1): invalid argument"),
        ({}, {"FAKE_NVRTC_FAIL": "nvrtcCreateProgram"}, "NVRTC_ERROR_OUT_OF_MEMORY"),
        ({}, {"FAKE_NVRTC_FAIL": "nvrtcCompileProgram"}, "NVRTC_ERROR_OUT_OF_MEMORY: "),
        ({}, {"FAKE_NVRTC_FAIL": "nvrtcGetPTXSize"}, "the compiled code: NVRTC_ERROR_INVALID_PROGRAM"),
        ({}, {"FAKE_NVRTC_FAIL": "nvrtcGetPTX"}, "the compiled code: NVRTC_ERROR_INVALID_PROGRAM"),
    ],
)
def test_job_of_nvrtc_that_fails(run, changes, variables, why):
    status, result, _ = run("nvrtc", {**JOB, **changes}, **variables)
    assert status == 1 and error_of(result)["error_message"] == why


@pytest.mark.parametrize("call", ["nvrtcGetProgramLogSize", "nvrtcGetProgramLog"])
def test_messages_that_are_not_to_be_had_are_none(platform, worker, call):
    """The second job's memory is where the first one had its source."""
    process = worker(platform, handler="nvrtc", env=libraries(FAKE_NVRTC_FAIL=call))
    for padding in (5000, 0):
        output = platform.run({**JOB, "source": SOURCE + "/" * padding})["output"]
        assert output["log"] == "" and output["data"] == [3.5, 6.5, -1]
    process.terminate()
    assert process.wait() == 0


def test_code_of_a_job_ends_with_it(platform, worker, tmp_path):
    """Where the kernel is not found, too."""
    process = worker(platform, handler="nvrtc", env=libraries(FAKE_CUDA_TRACE=tmp_path / "trace"))
    for i in range(4):
        platform.run({**JOB, "kernel": "scale" if i % 2 == 0 else "nobody"})
    process.terminate()
    assert process.wait() == 0
    calls = (tmp_path / "trace").read_text().splitlines()
    assert calls.count("cuModuleLoadDataEx") == calls.count("cuModuleUnload") == 4
    assert calls[-1] == "end: 0 bytes allocated"


def test_nvidias_compiler(run):
    """The real NVRTC's code on the fake device."""
    library = cuda_libraries()["libnvrtc.so.12"]
    status, result, printed = run("nvrtc", JOB, NVRTC_NAME=library)
    assert status == 0 and result["output"]["data"] == [3.5, 6.5, -1], printed
    status, result, _ = run("nvrtc", {**JOB, "source": "int x"}, NVRTC_NAME=library)
    assert status == 1 and re.match('NVRTC_ERROR_COMPILATION: job.cu.1.: error: (.|\n)*expected a ";"', error_of(result)["error_message"])


# ---- gemm ----


@pytest.mark.parametrize("n", [1, 33])
def test_product(run, n):
    status, result, printed = run("gemm", {"n": n})
    assert status == 0, printed
    assert result["output"]["n"] == n and result["output"]["max_error"] == 0 and result["output"]["device"] == "Fake GPU 0"


def test_each_thread_has_its_own_handle_and_stream(platform, worker):
    process = worker(platform, "--concurrency", "4", handler="gemm", env=libraries())
    for number in range(16):
        platform.give({"id": f"j{number}", "input": {"n": 20 + number}})
    for number in range(16):
        assert platform.result(f"j{number}")["output"]["n"] == 20 + number
    process.terminate()
    assert process.wait() == 0


@pytest.mark.parametrize(
    "job, variables, why",
    [
        ({"n": 0}, {}, "input.n must be a whole number from 1 to 8192"),
        ({"n": 8193}, {}, "input.n must be a whole number from 1 to 8192"),
        ({"n": "9"}, {}, "input.n must be a whole number from 1 to 8192"),
        ({"n": 9}, {"FAKE_CUDA_FAIL": "cuEventRecord=1"}, "cuEventRecord: CUDA_ERROR_INVALID_VALUE (1): invalid argument"),
        ({"n": 9}, {"FAKE_CUBLAS_FAIL": "cublasCreate_v2"}, "cuBLAS does not start: status 1"),
        ({"n": 9}, {"FAKE_CUBLAS_FAIL": "cublasSetStream_v2"}, "cuBLAS does not start: status 1"),
        ({"n": 9}, {"FAKE_CUBLAS_FAIL": "cublasSgemm_v2"}, "cublasSgemm: status 13"),
        ({"n": 9}, {"FAKE_CUBLAS_WRONG": "1"}, "the GPU's product differs from the CPU's by 1"),
    ],
)
def test_job_of_gemm_that_fails(run, job, variables, why):
    status, result, _ = run("gemm", job, **variables)
    assert status == 1 and error_of(result)["error_message"] == why
