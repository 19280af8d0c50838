"""The image, really run: without rights, without a network, and against a TLS platform on a private network."""

import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import uuid
from pathlib import Path

import pytest

from docker_base import PYTHON, make_image
from gpulib import driver_folder
from workerproc import BUILD, ROOT

HARDENED = ["--rm", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "65534"]
PORT = 8443
NAME = "api.platform.test"
SOURCES = ["actions.py", "container_platform.py", "ports.py", "testplatform.py", "wire.py", "witness.py"]

pytestmark = pytest.mark.xdist_group("build")


def docker(*args, check=True, timeout=120):
    done = subprocess.run(
        ["docker", *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False
    )
    assert not check or done.returncode == 0, f"docker {' '.join(args)}: {done.stdout}"
    return done


@pytest.fixture(scope="module")
def engine():
    try:
        done = docker("version", check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"NO DOCKER ENGINE, THE IMAGE WAS NOT RUN: {error}")
    if done.returncode != 0:
        pytest.skip(f"NO DOCKER ENGINE, THE IMAGE WAS NOT RUN: {done.stdout.strip().splitlines()[-1]}")


@pytest.fixture(scope="module")
def archive():
    path = BUILD / "image.tar"
    assert path.exists(), f"{path} is not there; run ./build.sh image first"
    return path


def load(path):
    """docker load; the name of what was loaded."""
    said = docker("load", "-i", str(path)).stdout
    return re.search(r"Loaded image(?: ID)?: (\S+)", said)[1]


@pytest.fixture(scope="module")
def image(engine, archive):
    name = load(archive)
    yield name
    docker("image", "rm", "-f", name, check=False)


@pytest.fixture(scope="module")
def echo_image(engine):
    """The same kind of image around the echo handler: FROM scratch, one file."""
    tag = f"slim-worker-test-echo:{uuid.uuid4().hex[:12]}"
    packed = BUILD / "handlers/echo"
    tar = subprocess.run(
        ["tar", "-C", str(packed.parent), "-cf", "-", packed.name], capture_output=True, check=True
    ).stdout
    subprocess.run(
        ["docker", "import", "--change", 'ENTRYPOINT ["/echo"]', "-", tag], input=tar, check=True, capture_output=True
    )
    yield tag
    docker("image", "rm", "-f", tag, check=False)


def described(outer):
    """An open archive's manifest and configuration."""
    manifest = json.load(outer.extractfile("manifest.json"))
    return manifest, json.load(outer.extractfile(manifest[0]["Config"]))


def test_archive_holds_the_binary_and_an_empty_tmp(archive):
    """One layer, one file, a folder for everybody's files, a numeric user that is not root."""
    with tarfile.open(archive) as outer:
        manifest, config = described(outer)
        assert len(manifest) == 1 and len(manifest[0]["Layers"]) == 1
        with tarfile.open(fileobj=outer.extractfile(manifest[0]["Layers"][0])) as layer:
            folders = [(member.name, member.mode) for member in layer.getmembers() if member.isdir()]
            assert folders == [("tmp", 0o1777)]
            files = [member for member in layer.getmembers() if not member.isdir()]
            assert len(files) == 1 and files[0].isreg() and files[0].mode & 0o111
            assert layer.extractfile(files[0]).read() == (BUILD / "worker").read_bytes()
            assert files[0].size + 4096 >= archive.stat().st_size - 16384
    user = config["config"]["User"].split(":")[0]
    assert user.isdigit() and int(user) > 0
    assert config["os"] == "linux" and config["config"]["Entrypoint"]


def test_labels_name_the_bill_of_materials(archive, tmp_path):
    """Of a binary that carries it; of another one there is none."""
    printed = subprocess.run([str(BUILD / "worker"), "--sbom"], capture_output=True, check=True).stdout
    with tarfile.open(archive) as outer:
        labels = described(outer)[1]["config"]["Labels"]
    assert labels == {"slim-worker.sbom.sha256": hashlib.sha256(printed).hexdigest(), "slim-worker.sbom.print": "/worker --sbom"}
    subprocess.run([ROOT / "docker/image.sh", BUILD / "handlers/echo", tmp_path / "echo.tar", "archive"], check=True)
    with tarfile.open(tmp_path / "echo.tar") as outer:
        assert "Labels" not in described(outer)[1]["config"]


def test_size(engine, image, archive):
    """Binary and at most 4 KB, as the engine sees it."""
    size = int(docker("image", "inspect", "-f", "{{.Size}}", image).stdout)
    assert size <= (BUILD / "worker").stat().st_size + 4096


def test_image_runs_without_any_rights(image):
    done = docker(
        "run",
        *HARDENED,
        "--network",
        "none",
        image,
        "--handler-once",
        "/worker --version",  # the one program that is in the image
        "--test_input",
        '{"input": {"prompt": "The quick brown fox jumps"}}',
    )
    assert re.match(r"--- Starting Serverless Worker \|  Version \S+ ---", done.stdout), done.stdout
    assert re.search(r'Job result: {"output": "slim-worker/\d', done.stdout), done.stdout


def test_handler_image_runs_without_any_rights(echo_image):
    done = docker(
        "run",
        *HARDENED,
        "--network",
        "none",
        echo_image,
        "--test_input",
        '{"input": {"prompt": "The quick brown fox jumps"}}',
    )
    assert json.loads(re.search("Job result: (.*)", done.stdout)[1]) == {
        "output": {"prompt": "The quick brown fox jumps"}
    }


def test_exit_status_passes_through(echo_image):
    assert (
        docker(
            "run", *HARDENED, "--network", "none", echo_image, "--test_input", '{"id": "no input"}', check=False
        ).returncode
        == 1
    )


def test_version_without_proc_or_network(image):
    assert re.search(r"\d+\.\d+\.\d+", docker("run", *HARDENED, "--network", "none", image, "--version").stdout)


@pytest.fixture(scope="module")
def private_network(engine):
    name = f"slim-worker-test-{uuid.uuid4().hex[:12]}"
    docker("network", "create", "--internal", name)
    yield name
    docker("network", "rm", name, check=False)


@pytest.fixture(scope="module")
def python_image(engine, authority):
    """The platform's image: a Python, the platform's files, a certificate for its name."""
    chain, key = authority.leaf(NAME, tag="container")
    here = Path(__file__).parent
    files = {f"/test/{name}": (here / name).read_bytes() for name in SOURCES}
    files |= {"/test/chain.pem": chain.read_bytes(), "/test/key.pem": key.read_bytes(), "/tmp/.keep": b""}
    tag = f"slim-worker-test-python:{uuid.uuid4().hex[:12]}"
    make_image(tag, files)
    yield tag
    docker("image", "rm", "-f", tag, check=False)


@pytest.fixture
def container():
    """container(...) -> id of a detached container, removed after the test."""
    started = []

    def run(*args):
        started.append(docker("run", "-d", *args).stdout.strip().splitlines()[-1])
        return started[-1]

    yield run
    for one in started:
        docker("rm", "-f", one, check=False)


def test_job_over_tls_on_a_private_network(echo_image, python_image, private_network, authority, container):
    """Name resolution by the network's own DNS, TLS 1.2, one job, one result, SIGTERM, exit 0."""
    platform = container(
        "--network",
        private_network,
        "--network-alias",
        NAME,
        python_image,
        PYTHON,
        "/test/container_platform.py",
        "/test/chain.pem",
        "/test/key.pem",
        NAME,
        str(PORT),
    )
    root = f"https://{NAME}:{PORT}/v2/ep0test"
    variables = {
        "RUNPOD_WEBHOOK_GET_JOB": f"{root}/job-take/$ID?gpu=x",
        "RUNPOD_WEBHOOK_POST_OUTPUT": f"{root}/job-done/$RUNPOD_POD_ID/$ID?gpu=x",
        "RUNPOD_WEBHOOK_PING": f"{root}/ping/$RUNPOD_POD_ID",
        "RUNPOD_AI_API_KEY": "rpa_TESTKEY0123456789SECRET",
        "RUNPOD_POD_ID": "pod-7x2",
        "SSL_CERT_FILE": "/roots.pem",
    }
    env = [part for name, value in variables.items() for part in ("--env", f"{name}={value}")]
    worker = container(
        *[flag for flag in HARDENED if flag != "--rm"],
        "--network",
        private_network,
        *env,
        "--volume",
        f"{authority.root_file}:/roots.pem:ro",
        echo_image,
    )
    status = docker("wait", platform, timeout=120).stdout.strip()
    said, log = docker("logs", platform).stdout, docker("logs", worker).stdout
    assert status == "0" and "RESULT" in said, f"{said}\n=== worker\n{log}"
    assert json.loads(re.search("RESULT (.*)", said)[1]) == {"output": {"from": "the private network"}}
    docker("stop", "--time", "20", worker)
    assert docker("inspect", "-f", "{{.State.ExitCode}}", worker).stdout.strip() == "0"
    assert "rpa_TESTKEY" not in log


# ---- a container's memory ----


def checked(image, *options):
    """The log of a worker that looks at its machine; its platform cannot be reached, so the last check fails in any case."""
    root = "http://127.0.0.1:1/v2/ep0test"
    variables = {
        "RUNPOD_WEBHOOK_GET_JOB": f"{root}/job-take/$ID",
        "RUNPOD_WEBHOOK_POST_OUTPUT": f"{root}/job-done/$RUNPOD_POD_ID/$ID",
        "RUNPOD_MIN_MEMORY_GB": "0.3",
        "RUNPOD_MIN_DISK_PERCENT": "0",
        "RUNPOD_NETWORK_CHECK_TIMEOUT": "1",
    }
    env = [part for name, value in variables.items() for part in ("--env", f"{name}={value}")]
    done = docker("run", *HARDENED, "--network", "none", *options, *env, image, check=False)
    if "does not support memory limit" in done.stdout:
        pytest.skip("this engine limits no memory: THE MEMORY CHECK WAS NOT TESTED IN A CONTAINER")
    assert done.returncode == 1, done.stdout
    return done.stdout


def test_memory_check_holds_a_container_to_its_limit(echo_image):
    """Not the machine's memory, which is enough, but what docker run --memory leaves."""
    said = checked(echo_image, "--memory", "256m")
    unfit = r"memory_check \| Insufficient memory: 0\.2\d GiB available of the container's limit of 0\.25, 0\.30 required "
    assert re.search(unfit, said) and "passed: memory_check" not in said, said
    for options in ((), ("--memory", "320m")):
        said = checked(echo_image, *options)
        assert "passed: memory_check" in said and "network_check |" in said, said


# ---- a GPU's image ----

ASKS_FOR_GPU = {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility"}


def asked_for(environment):
    """Those of a list of NAME=VALUE (or None) that NVIDIA's runtime reads."""
    return dict(entry.split("=", 1) for entry in environment or [] if entry.startswith("NVIDIA_"))


@pytest.mark.parametrize(
    "name, wanted",
    [("worker-gpu", ASKS_FOR_GPU), ("handlers/vector_add", ASKS_FOR_GPU), ("worker", {}), ("handlers/echo", {})],
)
def test_archive_asks_for_the_driver_if_its_binary_uses_one(tmp_path, name, wanted):
    out = tmp_path / "image.tar"
    command = [str(ROOT / "docker/image.sh"), str(BUILD / name), str(out), "archive"]
    subprocess.run(command, check=True, capture_output=True)
    with tarfile.open(out) as outer:
        assert asked_for(described(outer)[1]["config"].get("Env")) == wanted


def built(folder, dockerfile):
    """The tag of an image of that folder."""
    tag = f"slim-worker-test-gpu:{uuid.uuid4().hex[:12]}"
    docker("build", "--tag", tag, "--file", str(dockerfile), str(folder))
    return tag


@pytest.fixture(scope="module")
def gpu_image(engine, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpu-image")
    shutil.copy(BUILD / "worker-gpu", folder / "worker")
    shutil.copy(ROOT / "build/tmp.tar", folder)
    tag = built(folder, ROOT / "docker/gpu.Dockerfile")
    yield tag
    docker("image", "rm", "-f", tag, check=False)


def test_dockerfile_asks_for_the_driver(gpu_image):
    found = docker("image", "inspect", "-f", "{{json .Config.Env}}", gpu_image).stdout
    assert asked_for(json.loads(found)) == ASKS_FOR_GPU


def test_gpu_image_without_a_driver_says_what_to_do(gpu_image):
    done = docker("run", *HARDENED, "--network", "none", gpu_image, "--gpu-info", check=False)
    assert done.returncode == 3 and "--gpus all" in done.stdout and "no libcuda.so.1 in /usr/lib64" in done.stdout


@pytest.mark.parametrize("with_links", [True, False], ids=["links", "the .1 link is missing"])
def test_gpu_image_finds_the_driver_where_the_runtime_puts_it(gpu_image, tmp_path, with_links):
    """The driver's libraries in /usr/lib64, by a layer on top since an engine may be far away; there is no device."""
    for path in driver_folder().glob("*.so.*"):
        if "nvvm" not in path.name and (with_links or not path.is_symlink()):
            shutil.copy(path, tmp_path, follow_symlinks=False)
    (tmp_path / "Dockerfile").write_text(f"FROM {gpu_image}\nCOPY . /usr/lib64/\n", "ascii")
    tag = built(tmp_path, tmp_path / "Dockerfile")
    try:
        done = docker("run", *HARDENED, "--network", "none", tag, "--gpu-info", "--json", check=False)
    finally:
        docker("image", "rm", "-f", tag, check=False)
    found = json.loads(done.stdout)
    assert done.returncode == 4 and "CUDA_ERROR_NO_DEVICE (100)" in found["error"], found
    assert re.fullmatch(r"/usr/lib64/libcuda\.so\.[\d.]+", found["driver"]["file"])
