"""docker/http, stage, vllm, sglang and llamacpp.Dockerfile: built without pulling anything, on bases of our own, and run."""

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
from test_http_real import LLAMA, MODEL
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


def run(tag, input, *options, status=0):
    """The result of one local job in a container without rights and without a network but its own loopback."""
    name = f"slim-worker-test-{uuid.uuid4().hex[:12]}"
    job = json.dumps({"input": input})
    try:
        done = docker("run", "--name", name, *HARDENED, "--network", "none", *options, tag, "--test_input", job, check=False, timeout=60)
    except subprocess.TimeoutExpired:  # the client is gone, the container is not
        docker("rm", "-f", name, check=False)
        raise
    assert done.returncode == status, done.stdout
    return json.loads(re.search("Job result: (.*)", done.stdout)[1]) if status == 0 else done.stdout


def has_gpu_checks(tag):
    """Whether the image's worker is the one that looks at the GPU: --gpu-info is a flag of no other."""
    done = docker("run", *HARDENED, "--network", "none", tag, "--gpu-info", check=False)
    assert (done.returncode, "no libcuda.so.1 in " in done.stdout) in ((2, False), (3, True)), done.stdout
    return done.returncode == 3


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
    tag = built("http.Dockerfile", {"worker": binary("worker"), "tmp.tar": ROOT / "build/tmp.tar", "busybox": busybox, **files})
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
        files = {name: binary(name) for name in ("worker", "worker-gpu")}
        tag = built("stage.Dockerfile", files, *options)
        assert run(tag, {"route": "/echo", "body": {"a": "ž"}})["output"]["body"] == {"a": "ž"}
        assert not has_gpu_checks(tag)
        assert has_gpu_checks(built("stage.Dockerfile", files, *options, "--build-arg", "WORKER=worker-gpu"))
    finally:
        docker("image", "rm", "-f", base, check=False)


# ---- inference servers ----

SHELL_SCRIPT = "#!/bin/sh\nexec %s \"$@\"\n"
STAND_IN = """#!{python}
# In the place of an inference server: says how it was called, and answers as vLLM's server does.
import sys
import threading
sys.path.insert(0, "/standin")
import fakevllm
print("called with:", *sys.argv[1:], flush=True)
fakevllm.serve(int(sys.argv[sys.argv.index("--port") + 1]))
threading.Event().wait()
"""


@pytest.fixture
def based(built, engine):  # noqa: F811
    """based(Dockerfile, {path: bytes}, ...) -> the tag of its image, on a base with this Python, a shell and those files."""
    bases = []

    def build(name, extra, **how):
        busybox = Path(tool("busybox", "busybox-static"))
        if not static(busybox):
            pytest.skip(f"busybox is not static here (package busybox-static): docker/{name} was NOT built")
        bases.append(f"slim-worker-test-base:{uuid.uuid4().hex[:12]}")
        python = (SHELL_SCRIPT % PYTHON).encode()
        make_image(bases[-1], {"/bin/sh": busybox.read_bytes(), "/usr/bin/python3": python, "/tmp/.keep": b"", **extra}, **how)
        return built(name, {"worker-gpu": binary("worker-gpu")}, "--build-arg", f"BASE={bases[-1]}")

    yield build
    for base in bases:
        docker("image", "rm", "-f", base, check=False)


@pytest.mark.parametrize("name, path, called", [
    ("vllm", "/usr/bin/vllm", "serve org/a model --host 127.0.0.1 --port 8000 --max-model-len 2048"),
    ("sglang", "/standin/sglang/launch_server.py", "--model-path org/a model --host 127.0.0.1 --port 30000 --max-model-len 2048"),
])
def test_engine(based, name, path, called):
    """The server is called with what the variables say, and its answers have the published workers' shape."""
    fake = Path(__file__).with_name("workervllm") / "fakevllm.py"
    extra = {"/standin/fakevllm.py": fake.read_bytes(), path: STAND_IN.format(python=PYTHON).encode()}
    tag = based(f"{name}.Dockerfile", extra)
    options = ["-e", "MODEL_NAME=org/a model", "-e", f"{name.upper()}_ARGS=--max-model-len 2048", "-e", "PYTHONPATH=/standin"]
    (answer,) = run(tag, {"messages": [{"role": "user", "content": "hello"}]}, *options)["output"]
    assert answer["choices"][0]["message"]["content"] == "You said: hello."
    said = run(tag, {"openai_route": "/v1/chat/completions", "openai_input": {"x": 1}}, *options, status=1)
    assert f"called with: {called}\n" in said and "Field required" in said
    assert has_gpu_checks(tag)


LLAMA_SERVER = """#!{python}
# llama.cpp's own server, by the tests' package of it; its variables are read here.
import os
import signal
import sys
sys.path.insert(0, "/standin")
import llamaserver
assert (os.environ["LLAMA_ARG_HOST"], os.environ["LLAMA_ARG_N_PARALLEL"]) == ("127.0.0.1", os.environ["MAX_CONCURRENCY"])
signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGTERM, signal.SIGINT}})
llamaserver.main(os.environ["LLAMA_ARG_MODEL"], os.environ["LLAMA_ARG_PORT"])
"""


LLAMA_STAND_IN = """#!{python}
# In the place of llama-server: says which variables of its own it has, and answers.
import os
import sys
import threading
sys.path.insert(0, "/standin")
import fakevllm
given = sorted(name + "=" + value for name, value in os.environ.items() if name.startswith("LLAMA_ARG_"))
print("given:", *given, flush=True)
fakevllm.serve(int(os.environ["LLAMA_ARG_PORT"]))
threading.Event().wait()
"""


@pytest.mark.parametrize("model", ["LLAMA_ARG_HF_REPO=org/model-GGUF", "LLAMA_ARG_MODEL=/runpod-volume/model.gguf"])
def test_llamacpp_loads_the_model_that_the_endpoint_names(based, model):
    """It alone: a repository and a path together are a file of that repository."""
    extra = {
        "/app/llama-server": LLAMA_STAND_IN.format(python=PYTHON).encode(),
        "/standin/fakevllm.py": (Path(__file__).with_name("workervllm") / "fakevllm.py").read_bytes(),
    }
    tag = based("llamacpp.Dockerfile", extra)
    said = run(tag, {"openai_route": "/v1/chat/completions", "openai_input": {"x": 1}}, "-e", model, status=1)
    given = sorted(["LLAMA_ARG_HOST=127.0.0.1", "LLAMA_ARG_N_PARALLEL=8", "LLAMA_ARG_PORT=8080", model])
    assert f"given: {' '.join(given)}\n" in said and "Field required" in said
    assert has_gpu_checks(tag)


@pytest.mark.skipif(not MODEL.exists(), reason="build/llama is not there (tests/realserver.sh): docker/llamacpp.Dockerfile was NOT run")
def test_llamacpp(based):
    """With a real model, though a tiny one."""
    (package,) = LLAMA.glob("venv/lib/python3*/site-packages/xllamacpp")
    extra = {
        "/app/llama-server": LLAMA_SERVER.format(python=PYTHON).encode(),
        "/standin/llamaserver.py": Path(__file__).with_name("llamaserver.py").read_bytes(),
        "/models/model.gguf": MODEL.read_bytes(),
    }
    tag = based("llamacpp.Dockerfile", extra, modules=[package])
    job = {"prompt": "Once upon a time", "sampling_params": {"max_tokens": 6}}
    (answer,) = run(tag, job, "-e", "LLAMA_ARG_MODEL=/models/model.gguf")["output"]
    assert answer["usage"]["completion_tokens"] == 6
