"""docker/sentiment and cuda.Dockerfile: images FROM scratch with more in them than a binary, built and run without a GPU."""

import pytest

import modelkit
from gpulib import cuda_libraries
from modelkit import Model, configuration, seeded
from test_docker import engine  # noqa: F401 (a fixture)
from test_http_docker import built, run  # noqa: F401 (a fixture)
from test_sentiment import TINY, check_numbers
from workerproc import ROOT, binary

pytestmark = pytest.mark.xdist_group("build")

SOURCE = 'extern "C" __global__ void twice(float *x, unsigned n) { unsigned i = threadIdx.x; if (i < n) x[i] *= 2; }'


@pytest.mark.skipif(not modelkit.HAVE, reason=modelkit.MISSING)
def test_sentiment(built, tmp_path):  # noqa: F811
    """The model is found where the image has it, and another one where it is mounted instead."""
    config = configuration(*TINY, 100)
    inside, mounted = (Model(tmp_path / name, config, seeded(config, seed)) for seed, name in enumerate(("inside", "mounted")))
    files = {f"model/{path.name}": path for path in inside.folder.iterdir()}
    tag = built("sentiment.Dockerfile", {"sentiment": binary("sentiment"), "tmp.tar": ROOT / "build/tmp.tar", **files})
    job = {"prompt": "The quick brown fox jumps", "debug": True}
    check_numbers(inside, [run(tag, job)["output"]])
    check_numbers(mounted, [run(tag, job, "--volume", f"{mounted.folder}:/model:ro")["output"]])


def test_library_of_cuda(built):  # noqa: F811
    """NVIDIA's own compiler, without glibc; what a worker does not find is named with the place."""
    names = ("libnvrtc.so.12", "libnvrtc-builtins.so.12.9")
    files = {f"cuda/{name}": cuda_libraries()[name] for name in names}
    tag = built("cuda.Dockerfile", {"worker": binary("nvrtc"), "tmp.tar": ROOT / "build/tmp.tar", **files})
    job = {"source": SOURCE, "kernel": "twice", "data": [1, 2]}
    output = run(tag, job)["output"]
    assert output["ptx_bytes"] > 100 and "no_gpu" in output, output
    assert "no libother.so.1 in /cuda/lib" in run(tag, job, "-e", "NVRTC_NAME=libother.so.1", status=1)
