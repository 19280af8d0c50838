"""The fake libcuda, which has devices (tests/gpu/fakedevice.c)."""

from gpulib import gpu_folder


def fake_cuda():
    """The path of the built library, for --libcuda and RP_LIBCUDA."""
    return str(gpu_folder() / "libcuda.so.1")


def fake(**variables):
    """The environment of a worker with the fake driver; DEVICES=2 is FAKE_CUDA_DEVICES=2."""
    return {"RP_LIBCUDA": fake_cuda(), **{f"FAKE_CUDA_{name}": str(value) for name, value in variables.items()}}
