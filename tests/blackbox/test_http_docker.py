"""docker/http.Dockerfile and docker/stage.Dockerfile: built without pulling anything, and run."""

import json
import re
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest

from docker_base import PYTHON, make_image
from servers import tool
from test_docker import HARDENED, docker, engine  # noqa: F401 (a fixture)
from workerproc import ROOT, binary

pytestmark = pytest.mark.xdist_group("build")


@pytest.fixture
def built(engine, tmp_path):  # noqa: F811
    """built(Dockerfile, {name: path or bytes}, *options) -> the image's tag; removed at the end."""
    tags = []

    def build(name, files, *options):
        folder = tmp_path / "context"
        for path, content in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                shutil.copy(content, target)
            else:
                target.write_bytes(content)
        tags.append(f"slim-worker-test-http:{uuid.uuid4().hex[:12]}")
        docker("build", "--network", "none", "-t", tags[-1], "-f", str(ROOT / "docker" / name), *options, str(folder))
        return tags[-1]

    yield build
    for tag in tags:
        docker("image", "rm", "-f", tag, check=False)


def run(tag, input, status=0):
    """The result of one local job in a container without rights and without a network but its own loopback."""
    name = f"slim-worker-test-{uuid.uuid4().hex[:12]}"
    job = json.dumps({"input": input})
    try:
        done = docker("run", "--name", name, *HARDENED, "--network", "none", tag, "--test_input", job, check=False, timeout=60)
    except subprocess.TimeoutExpired:  # the client is gone, the container is not
        docker("rm", "-f", name, check=False)
        raise
    assert done.returncode == status, done.stdout
    return json.loads(re.search("Job result: (.*)", done.stdout)[1]) if status == 0 else done.stdout


def static(path):
    """Whether this program runs in an empty image."""
    return b"statically linked" in subprocess.run(["file", "-L", path], capture_output=True, check=False).stdout or (
        "not a dynamic executable" in subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stderr
    )


def test_server_copied_into_an_empty_image(built):
    busybox = Path(tool("busybox", "busybox-static"))
    if not static(busybox):
        pytest.skip("busybox is not static here (package busybox-static): docker/http.Dockerfile was NOT built")
    files = {"files/health": b"up", "files/hello.txt": "hello, ž\n".encode(), "files/a.json": b'{"a": [1, 2]}'}
    tag = built("http.Dockerfile", {"worker": binary("worker"), "busybox": busybox, **files})
    assert run(tag, {"route": "/hello.txt"}) == {"output": "hello, ž\n"}
    assert "404" in run(tag, {"route": "/none"}, status=1)
    names = subprocess.run(
        f"id=$(docker create {tag}) && docker export $id | tar t && docker rm $id", shell=True, capture_output=True, text=True
    ).stdout
    assert {"worker", "busybox", "files/hello.txt"} <= set(names.split()) and not re.search(r"bin/|lib/", names)


def test_worker_copied_into_another_image(built, engine):  # noqa: F811
    """The base is this machine's Python with a server in it; its own entry point is replaced."""
    base = f"slim-worker-test-base:{uuid.uuid4().hex[:12]}"
    server = Path(__file__).with_name("ownserver.py").read_bytes()
    make_image(base, {"/server.py": server, "/tmp/.keep": b""})
    try:
        options = ["--build-arg", f"BASE={base}", "--build-arg", f"SERVER={PYTHON} /server.py 8081"]
        tag = built("stage.Dockerfile", {"worker": binary("worker")}, *options)
        assert run(tag, {"route": "/echo", "body": {"a": "ž"}})["output"]["body"] == {"a": "ž"}
    finally:
        docker("image", "rm", "-f", base, check=False)
