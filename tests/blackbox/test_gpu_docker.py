"""docker/gpu.Dockerfile as it is, with the real driver mounted as NVIDIA's container runtime does: file by file, read-only.
There is no device."""

import json
import re

import pytest

from gpulib import driver_folder, no_device
from test_docker import docker, engine  # noqa: F401 (a fixture)
from test_http_docker import built  # noqa: F401 (a fixture)
from workerproc import ROOT, binary

# The user is the Dockerfile's.
HARDENED = ["--rm", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "none"]

pytestmark = [pytest.mark.xdist_group("build"), no_device]


@pytest.fixture
def image(built):  # noqa: F811
    return built("gpu.Dockerfile", {"worker": binary("worker-gpu"), "tmp.tar": ROOT / "build/tmp.tar"})


def files_alone(folder):
    """Into an image without ldconfig come the files by their versions, and no links."""
    files = [path for path in driver_folder().iterdir() if not path.is_symlink() and "nvvm" not in path.name]
    return [part for path in files for part in ("--volume", f"{path}:{folder}/{path.name}:ro")]


def files_and_links(folder):
    return ["--volume", f"{driver_folder()}:{folder}:ro"]


def run(tag, *args, options=()):
    return docker("run", *HARDENED, *options, tag, *args, check=False)


@pytest.mark.parametrize(
    "mounts, folder",
    [(files_alone, "/usr/lib64"), (files_and_links, "/usr/lib/x86_64-linux-gnu")],
    ids=["the .1 links are missing", "as on Debian, with links"],
)
def test_driver_without_a_device(image, mounts, folder):
    """As text and as JSON."""
    file = f"{folder}/{(driver_folder() / 'libcuda.so.1').resolve().name}"
    version = file.partition(".so.")[2]
    done = run(image, "--gpu-info", options=mounts(folder))
    assert done.returncode == 4, done.stdout
    for line in (f"driver   {file}", f"version  {version}", r"CUDA     \d+\.\d", r"no GPU   driver found \(.*\), but no device.*\(100\).*"):
        assert re.search(f"^{line}$", done.stdout, re.M), done.stdout
    done = run(image, "--gpu-info", "--json", options=mounts(folder))
    found = json.loads(done.stdout)
    assert done.returncode == 4 and not found["devices"]
    assert found["driver"]["file"] == file and found["driver"]["version"] == version
    assert found["driver"]["cuda_version"] >= 11000 and re.search(r"no device.*CUDA_ERROR_NO_DEVICE \(100\)", found["error"])


def test_image_alone(image):
    """It holds the binary, asks NVIDIA's runtime for the driver, and says that there is none."""
    config = json.loads(docker("image", "inspect", "-f", "{{json .Config}}", image).stdout)
    assert config["User"] == "65534:65534" and config["Entrypoint"] == ["/worker"]
    assert {"NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=compute,utility"} <= set(config["Env"])
    layers, size = docker("image", "inspect", "-f", "{{len .RootFS.Layers}} {{.Size}}", image).stdout.split()
    assert int(layers) == 2 and int(size) <= binary("worker-gpu").stat().st_size + 4096
    for flags in (["--gpu-info"], ["--gpu-info", "--json"]):
        done = run(image, *flags)
        assert done.returncode == 3 and "no libcuda.so.1 in /usr/lib64, /usr/lib/x86_64-linux-gnu, " in done.stdout, done.stdout


def test_handler_goes_on_with_the_cpu(built):  # noqa: F811
    tag = built("gpu.Dockerfile", {"worker": binary("vector_add"), "tmp.tar": ROOT / "build/tmp.tar"})
    job = json.dumps({"input": {"a": [1, 2], "b": [3, 4]}})
    done = run(tag, "--test_input", job, options=files_alone("/usr/lib64"))
    assert done.returncode == 0, done.stdout
    output = json.loads(re.search("Job result: (.*)", done.stdout)[1])["output"]
    assert (output["sum"], output["device"]) == ([4, 6], "CPU") and "CUDA_ERROR_NO_DEVICE (100)" in output["no_gpu"]
