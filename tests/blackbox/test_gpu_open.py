"""What a handler that opens a GPU is told of one that is there and does not work: it must not go on without."""

import json

import pytest

from fakecuda import fake_cuda
from workerproc import RUNNER

pytestmark = pytest.mark.skipif(bool(RUNNER), reason="the fake libcuda is built for this machine")
JOB = json.dumps({"input": {"a": [1], "b": [2]}})


@pytest.mark.parametrize("failing", ["cuInit=803", "cuInit=999", "cuDeviceGetCount=3"])
def test_driver_that_does_not_start(local, failing):
    done = local("--test_input", JOB, handler="vector_add", env={"RP_LIBCUDA": fake_cuda(), "FAKE_CUDA_FAIL": failing})
    assert done.returncode == 1 and '"device": "CPU"' not in done.stdout, done.stdout


def test_driver_that_cannot_be_loaded(local, tmp_path):
    broken = tmp_path / "libcuda.so.1"
    broken.write_bytes(b"\x7fELF and no more")
    done = local("--test_input", JOB, handler="vector_add", env={"RP_LIBCUDA": str(broken)})
    assert done.returncode == 1 and '"device": "CPU"' not in done.stdout, done.stdout
