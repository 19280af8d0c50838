"""The fake libcuda, which has devices (tests/gpu/fakedevice.c)."""

import json
import re

from gpulib import gpu_folder


def fake_cuda():
    """The path of the built library, for --libcuda and RP_LIBCUDA."""
    return str(gpu_folder() / "libcuda.so.1")


def fake(**variables):
    """The environment of a worker with the fake driver; DEVICES=2 is FAKE_CUDA_DEVICES=2."""
    return {"RP_LIBCUDA": fake_cuda(), **{f"FAKE_CUDA_{name}": str(value) for name, value in variables.items()}}


def result_of(done):
    """The result of a local run, whether the job has failed or not."""
    found = re.search("Job result: (.*)|failed with error: (.*)", done.stdout)
    assert found, done.stdout
    return json.loads(found[1] or found[2])


def run_job(local, handler, job, env):
    """A local run of one job: exit status, result, everything printed."""
    done = local("--test_input", json.dumps({"input": job}), handler=handler, env=env)
    return done.returncode, result_of(done), done.stdout
