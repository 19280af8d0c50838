"""The Python package that stands in for the SDK, side by side with the SDK: the same handlers, the same posts.

The SDK runs in a process for each group of handlers (programs/sdk_handlers.py), all of them at the same time, and in one for each
handler of programs/documented: our own, of the shapes that RunPod's documentation and the public repositories of workers have.
"""

import ast
import base64
import json
import os
import re
import signal
import subprocess
import sys
import urllib.parse

import pytest

from children import PROGRAMS
from fakes3 import FakeS3
from fileserver import FileServer
from testplatform import Platform
from witness import Witness
from workerproc import ROOT
from python_handlers import HANDLERS_ENV, python

SDK = ROOT / "build/venv-clients/bin/python"
SCRIPT = PROGRAMS / "sdk_handlers.py"
SDK_START_S = 150
FRAME = re.compile(r'File "[^"]*/programs/([\w/]+\.py)", line (\d+), in (\S+)')

pytestmark = pytest.mark.xdist_group("python_sdk")


def _cases():
    """{group: [case, ...]}, read off the script: importing it takes the SDK."""
    tables, groups = {}, {}
    for node in ast.parse(SCRIPT.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            tables[node.targets[0].id] = node.value
    for name, value in zip(tables["GROUPS"].keys, tables["GROUPS"].values):
        cases = value.elts[1]
        names = tables[cases.id].keys if isinstance(cases, ast.Name) else cases.elts
        groups[name.value] = [each.value for each in names]
    return groups


CASES = _cases()


def _give(platform, inputs):
    """Jobs with these inputs, by their ids."""
    for job_id, given in inputs.items():
        platform.give({"id": job_id, "input": given, "webhook": "https://example.com/x"})


def _inputs(group):
    return {f"{group}-{case}": {"case": case, "name": "you"} for case in CASES[group]}


def _posted(platform, job_id, updates=0):
    """What came of the job, in a form that can be compared. The SDK sends each update from a thread of its own: they may come in any
    order, and later than the result."""
    final = platform.wait_final(job_id, timeout_s=SDK_START_S)
    platform.wait_for(lambda: len(_progress(platform, job_id)) >= updates, f"progress of {job_id}")
    return {
        "final": _comparable(final.json()),
        "is_stream": final.param("isStream"),
        "parts": [(post.json(), post.param("isStream")) for post in platform.requests("stream", job_id)],
        "progress": sorted(_progress(platform, job_id), key=json.dumps),
    }


def _progress(platform, job_id):
    posts = [post.json() for post in platform.requests("done", job_id) if post.body]
    return [post for post in posts if post.get("status") == "IN_PROGRESS"]


def _comparable(result):
    """The traceback is left with its frames in the handler; the version is each side's own."""
    error = result.get("error")
    if isinstance(error, str) and error.startswith('{"'):
        error = json.loads(error)
        assert error.pop("runpod_version")
        error["error_traceback"] = _frames(error["error_traceback"])
        return {**result, "error": error}
    if isinstance(error, str) and "\ntraceback: " in error:
        text, _, traceback = error.partition("\ntraceback: ")
        return {**result, "error": [text, _frames(traceback)]}
    return result


def _frames(traceback):
    assert traceback.startswith("Traceback (most recent call last):\n"), traceback
    return FRAME.findall(traceback), traceback.rstrip("\n").splitlines()[-1]


class Sdk:
    """A process of the SDK on a platform of its own; nothing is asked of how it behaves there."""

    def __init__(self, folder, inputs, script, *arguments, env=None):
        folder.mkdir()
        self.platform = Platform(Witness())
        _give(self.platform, inputs)
        env = self.platform.env(HOME=str(folder), PATH=os.defpath, RUNPOD_POD_HOSTNAME="host-1", PYTHONDONTWRITEBYTECODE="1", **(env or {}))
        self.log = open(folder / "log", "wb")
        self.process = subprocess.Popen(
            [SDK, script, *arguments],
            env=env,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def end(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.log.close()
        self.platform.stop()


def _ours(worker, platform, script, *arguments, flags=(), env=None):
    """The same handler on the worker and the package."""
    variables = {**HANDLERS_ENV, "RUNPOD_POD_HOSTNAME": "host-1", "PATH": os.defpath, **(env or {})}
    line = ("--handler", python(script, *arguments), "--handler-ready", "line")
    return worker(platform, *line, *flags, handler="worker", env=variables)


@pytest.fixture(scope="module")
def sdks(tmp_path_factory):
    if not SDK.exists():
        pytest.skip("build/venv-clients is not there: THE SDK WAS NOT RUN BESIDE ITS STAND-IN")
    root = tmp_path_factory.mktemp("sdk")
    started = {group: Sdk(root / group, _inputs(group), SCRIPT, group) for group in CASES}
    yield started
    for each in started.values():
        each.end()


@pytest.mark.parametrize("jobs", [1, 50])
@pytest.mark.parametrize("group", CASES)
def test_posts_are_the_sdks(sdks, platform, worker, group, jobs):
    inputs = _inputs(group)
    _give(platform, inputs)
    _ours(worker, platform, SCRIPT, group, flags=("--handler-jobs", str(jobs)))
    for job_id in inputs:
        updates = int(job_id.endswith("-progress"))
        ours, sdk = _posted(platform, job_id, updates), _posted(sdks[group].platform, job_id, updates)
        assert ours == sdk, job_id


# --- examples of the documentation -----------------------------------------------------------------

IMAGE = bytes(range(256)) * 40


class Example:
    """A handler of programs/documented, the jobs that it gets, and what it is started with."""

    def __init__(self, script, *inputs, flags=(), arguments=(), updates=0):
        self.script = PROGRAMS / f"documented/{script}.py"
        self.inputs = {f"{script}-{number}": given for number, given in enumerate(inputs)}
        self.flags, self.arguments, self.updates = flags, arguments, updates


EXAMPLES = {
    "hello world": Example("hello_world", {"name": "Ann"}, {}),
    "quick start": Example("quick_start", {"prompt": "Hello"}, {"prompt": "é", "seconds": 0.01}, {"seconds": -1}),
    "async function": Example("async_function", {"cities": ["Oslo", "Rome"]}, {"cities": []}, {"cities": 1}),
    "stream": Example("stream", {}, {"count": 0}),
    "aggregate": Example("aggregate", {"items": ["a", "b"]}, {}, {"items": ["a", 2]}),
    "async stream": Example("async_stream", {"prompt": "to be or not"}, {"prompt": ""}, {}),
    "concurrency": Example(
        "concurrency", *({"name": f"job {number}", "delay": 0.01} for number in range(8)), {}, flags=("--handler-jobs", "6")
    ),
    "progress": Example("progress", {}, updates=3),
    "refresh": Example("refresh", {"factor": 2}),
    "fitness": Example("fitness", {"a": 1}),
    "template": Example(
        "template",
        {"prompt": "a cat"},
        {"prompt": "a dog", "width": 256, "num_outputs": 2, "guidance_scale": 2, "seed": 5},
        {"prompt": "", "negative_prompt": "everything"},
        {"width": 300, "num_outputs": 10, "unknown": True},
        {"prompt": 1, "seed": "none"},
        arguments=("--model_tag", "tiny"),
    ),
}


IMAGES = Example("images", {"images": ["image.png?signature=x", None, "absent.png"], "more": "notes/more.txt"})
UNFIT = {"MODEL_IS_MISSING": "1"}


@pytest.fixture(scope="module")
def files():
    """A server of what the jobs name."""
    server = FileServer()
    server.pages = {"/image.png": IMAGE, "/notes/more.txt": b"more"}
    yield server
    server.stop()


@pytest.fixture(scope="module")
def storage():
    """The SDK's. Its stand-in has one of its own."""
    storage = FakeS3()
    yield storage
    storage.stop()


def _images_env(files, storage=None):
    return {"FILES": files.base, "RUNPOD_ALLOW_PRIVATE_DOWNLOAD_URLS": "true", **(storage.env() if storage else {})}


@pytest.fixture(scope="module")
def examples(tmp_path_factory, files, storage):
    """{title: the SDK at work on it}, all at the same time."""
    if not SDK.exists():
        pytest.skip("build/venv-clients is not there: THE EXAMPLES WERE NOT RUN ON THE SDK")
    root = tmp_path_factory.mktemp("examples")

    def start(title, example, env=None):
        return Sdk(root / title, example.inputs, example.script, *example.arguments, env=env)

    started = {title: start(title, each) for title, each in EXAMPLES.items()}
    started["images"] = start("images", IMAGES, _images_env(files))
    started["images, stored"] = start("images, stored", IMAGES, _images_env(files, storage))
    started["unfit"] = start("unfit", EXAMPLES["fitness"], UNFIT)
    yield started
    for each in started.values():
        each.end()


@pytest.mark.parametrize("title", EXAMPLES)
def test_documented_example(examples, platform, worker, title):
    example = EXAMPLES[title]
    _give(platform, example.inputs)
    _ours(worker, platform, example.script, *example.arguments, flags=example.flags)
    for job_id in example.inputs:
        ours, sdk = _posted(platform, job_id, example.updates), _posted(examples[title].platform, job_id, example.updates)
        assert ours == sdk, job_id


def test_documented_files(examples, platform, worker, files):
    """Downloads, answers with the content, and what is left in the working folder."""
    _give(platform, IMAGES.inputs)
    _ours(worker, platform, IMAGES.script, env=_images_env(files))
    ours = platform.wait_final("images-0").json()["output"]
    assert ours == examples["images"].platform.wait_final("images-0", timeout_s=SDK_START_S).json()["output"]
    assert ours == {"results": [base64.b64encode(IMAGE[::-1]).decode(), None, None], "more": ["more.txt", "txt", 4], "left": []}


def test_documented_uploads(examples, platform, worker, files, storage):
    """Links to what is in the storage then, under a random name, with a signature."""
    own = FakeS3()
    try:
        _give(platform, IMAGES.inputs)
        _ours(worker, platform, IMAGES.script, env=_images_env(files, own))
        ours = _stored(platform.wait_final("images-0"), own)
    finally:
        own.stop()
    assert ours == _stored(examples["images, stored"].platform.wait_final("images-0", timeout_s=SDK_START_S), storage)
    assert ours["results"] == [IMAGE[::-1], None, None] and not own.wrong


def _stored(final, storage):
    """The output with what its links lead to in their place."""
    output = final.json()["output"]
    for index, link in enumerate(output["results"]):
        if link:
            path = urllib.parse.urlsplit(link).path
            assert link.startswith(storage.base) and re.search(r"^/\d\d-\d\d/images-0/[0-9a-f]{8}\.png$", path), link
            output["results"][index] = storage.objects[path]
    return output


def test_documented_check_that_fails(examples, platform, worker):
    """One ping says which it was, and no job is taken."""
    process = _ours(worker, platform, EXAMPLES["fitness"].script, env=UNFIT)
    sdk = examples["unfit"]
    assert process.wait() == sdk.process.wait(SDK_START_S) == 1
    told = [
        [[ping.param(name) for name in ("status", "check", "reason")] for ping in side.requests("ping") if ping.param("status")]
        for side in (platform, sdk.platform)
    ]
    assert told == [[["unhealthy", "check_model", "RuntimeError: the model file is not there"]]] * 2
    assert not platform.requests("take") and not sdk.platform.requests("take")
