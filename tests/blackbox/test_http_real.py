"""HTTP handlers in front of a real inference server: llama.cpp's, with a tiny model (tests/realserver.sh)."""

import contextlib
import os
import re
import shutil
import signal
from pathlib import Path

import pytest

from actions import answer, close, reset
from httphandler import error_of, events_of, parts, whole
from servers import free_port
from starts import told
from workerproc import BUILD, ROOT, RUNNER

LLAMA = (ROOT / "build" if RUNNER else BUILD) / "llama"
PYTHON, MODEL = LLAMA / "venv/bin/python", LLAMA / "tiny.gguf"
SERVER = Path(__file__).with_name("llamaserver.py")
HELLO = [{"role": "user", "content": "Say something, quickly: žluť"}]
NAME = "tiny-model"

pytestmark = pytest.mark.skipif(
    not (PYTHON.exists() and MODEL.exists()),
    reason="build/llama is not there (tests/realserver.sh): HTTP handlers were NOT tested with a real inference server",
)


@pytest.fixture
def llama(worker, platform):
    """llama(*flags) -> a worker that starts llama.cpp's server."""

    def start(*flags, prefix="", model=MODEL, env=None):
        port = free_port()
        program = f"{prefix}{PYTHON} {SERVER} {model} {port}"
        how = ["--handler", program, "--handler-http", f"http://127.0.0.1:{port}", "--answer-shape", "plain"]
        return worker(platform, *how, *flags, handler="worker", env=env)

    return start


def chat(tokens, **more):
    return {"messages": HELLO, "sampling_params": {"max_tokens": tokens, "temperature": 0, **more}}


def server_pid(process):
    """The process id of llama.cpp's server under this worker."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(entry.name) != process.pid == int(fields[3]) and str(SERVER).encode() in (entry / "cmdline").read_bytes():
                return int(entry.name)
    raise AssertionError("llama.cpp's server does not run")


def content(answer):
    return answer["choices"][0]["message"]["content"]


@pytest.mark.parametrize("concurrency", [1, 4])
def test_all_routes(platform, llama, concurrency):
    """Chat, completions, models, tokens: single and batch."""
    process = llama("--concurrency", str(concurrency))
    inputs = [
        chat(5),
        {"prompt": "Once upon a time", "sampling_params": {"max_tokens": 6}},
        {"openai_route": "/v1/models"},
        {"openai_route": "/v1/chat/completions", "openai_input": {"messages": HELLO, "max_tokens": 7}},
        {"route": "/tokenize", "body": {"content": "abc"}},
        {"route": "/props"},
    ]
    jobs = [platform.give(input=input) for input in inputs]
    said, told, models, again, tokens, props = (platform.result(job)["output"] for job in jobs)
    assert said["object"] == "chat.completion" and said["usage"]["completion_tokens"] == 5 and content(said)
    assert said["model"] == NAME, "filled in from /v1/models"
    assert told["object"] == "text_completion" and told["usage"]["completion_tokens"] == 6 and told["choices"][0]["text"]
    assert models["data"][0]["id"] == NAME
    assert again["usage"]["completion_tokens"] == 7
    assert len(tokens["tokens"]) >= 3 and props["default_generation_settings"]
    assert process.lines("model loaded"), "the server's log is in the worker's"


def test_stream(platform, llama):
    """Streamed, the text is the same as in one piece."""
    llama()
    text = content(platform.run(chat(50, seed=1))["output"])
    job = platform.give(input={**chat(50, seed=1), "stream": True})
    assert platform.result(job) == {"output": []}
    raw = "".join(parts(platform, job))
    assert raw.endswith("data: [DONE]\n\n")
    events = events_of(raw)
    assert len(events) >= 50 and "".join(event["choices"][0]["delta"].get("content") or "" for event in events) == text
    assert all(part.endswith("\n\n") for part in parts(platform, job))


def test_aggregated_stream(platform, llama):
    llama("--aggregate-stream")
    raw = whole(platform.run({"prompt": "x", "sampling_params": {"max_tokens": 20}, "stream": True})["output"])
    assert len(events_of(raw)) >= 20 and raw.endswith("data: [DONE]\n\n")


def test_two_at_once(platform, llama):
    """Both streams are under way at the same time."""
    llama("--concurrency", "2")
    jobs = [platform.give(input={**chat(1500), "stream": True}) for _ in range(2)]
    platform.wait_for(lambda: all(parts(platform, job) for job in jobs), "a part of each")
    assert [platform.result(job) for job in jobs] == [{"output": []}] * 2
    for job in jobs:
        assert len(events_of("".join(parts(platform, job)))) >= 1500
    numbers = [[post.number for post in platform.requests("stream", job)] for job in jobs]
    assert numbers[0][0] < numbers[1][-1] and numbers[1][0] < numbers[0][-1]


def test_error_of_the_server(platform, llama):
    llama()
    details = error_of(platform.run({"openai_route": "/v1/chat/completions", "openai_input": {"messages": "no list"}}))
    assert 400 <= details["code"] <= 500 and re.search("messages|array", details["message"])
    assert error_of(platform.run({"route": "/no/such/page"}))["code"] == 404


def test_stop_in_mid_stream(platform, llama):
    """The server sees the abort and says so; the next job is served."""
    process = llama()
    job = platform.give(input={**chat(15_000), "stream": True})
    platform.wait_for(lambda: len(parts(platform, job)) >= 2, "two parts")
    platform.stop_jobs(job)
    process.wait_log("cancel task")
    assert content(platform.run(chat(3))["output"])
    assert not platform.requests("done", job)


def test_stop_before_the_answer(platform, llama):
    """Not streamed: nothing has come yet, and still the server gives up."""
    process = llama()
    job = platform.give(input=chat(15_000))
    process.wait_log("processing task")
    platform.stop_jobs(job)
    process.wait_log("cancel task")
    assert content(platform.run(chat(3))["output"])
    assert not platform.requests("done", job)


def test_server_killed_in_mid_stream(platform, llama):
    """That job fails and says why, the server comes back, the next job is served."""
    process = llama()
    job = platform.give(input={**chat(15_000), "stream": True})
    platform.wait_for(lambda: len(parts(platform, job)) >= 2, "two parts")
    os.kill(server_pid(process), signal.SIGKILL)
    assert re.search(r"(?i)killed|signal 9|SIGKILL", error_of(platform.result(job))["message"])
    assert content(platform.run(chat(3))["output"])


def test_server_stopped_by_a_debugger(platform, llama):
    """It hangs in the middle of a stream: the idle time-out ends the job."""
    process = llama("--handler-idle-timeout", "1")
    job = platform.give(input={**chat(15_000), "stream": True})
    platform.wait_for(lambda: len(parts(platform, job)) >= 2, "two parts")
    pid = server_pid(process)
    os.kill(pid, signal.SIGSTOP)
    try:
        assert "--handler-idle-timeout" in error_of(platform.result(job))["message"]
    finally:
        os.kill(pid, signal.SIGCONT)
    assert content(platform.run(chat(3))["output"])


def test_never_ready(platform, llama):
    """It is up, but not at the path that is asked: no job is taken, the worker leaves."""
    platform.poll_s = 0
    process = llama("--handler-ready", "/no/such/page", "--handler-ready-timeout", "2")
    assert process.wait() not in (0, 2)
    assert "404" in process.log and "--handler-ready-timeout" in process.log
    told(platform, "handler_http", "status 404")


def test_out_of_memory_at_its_start(platform, llama):
    """A limit of 150 MB: the loader of the server's library, or the server itself, finds no memory."""
    if not shutil.which("prlimit"):
        pytest.skip("no prlimit (util-linux): a server out of memory was NOT tested")
    platform.poll_s = 0
    process = llama("--handler-deaths", "3", prefix=f"{shutil.which('prlimit')} --as=150000000 ")
    assert process.wait() not in (0, 2)
    assert re.search("(?i)cannot allocate|memory|unavailable|failed to map", process.log)
    told(platform, "handler_http")


def test_model_that_is_not_there(platform, llama):
    platform.poll_s = 0
    process = llama("--handler-deaths", "2", model="/no/such/model.gguf")
    assert process.wait() not in (0, 2)
    assert "/no/such/model.gguf" in process.log
    told(platform, "handler_http")


def test_sigterm_lets_the_stream_finish(platform, llama):
    process = llama()
    job = platform.give(input={**chat(800), "stream": True})
    platform.wait_for(lambda: parts(platform, job), "the first part")
    process.terminate()
    assert platform.result(job) == {"output": []}
    assert "".join(parts(platform, job)).endswith("data: [DONE]\n\n")
    assert process.wait() == 0


@pytest.mark.parametrize("concurrency", [1, 4])
def test_faults_on_both_sides(platform, llama, concurrency):
    """The platform fails now and then, the server is killed in the middle: each job gets its one end."""
    for route in ("take", "done", "stream"):
        platform.script(route, answer(503), reset(), close(), answer(500))
    process = llama("--concurrency", str(concurrency))
    jobs = [platform.give(input={**chat(200), "stream": bool(n % 2)}) for n in range(12)]
    long = platform.give(input={**chat(15_000), "stream": True})
    rest = [platform.give(input=chat(20)) for _ in range(4)]
    platform.wait_for(lambda: parts(platform, long), "the long one's first part")
    os.kill(server_pid(process), signal.SIGKILL)
    error_of(platform.result(long))
    for n, job in enumerate(jobs):
        result = platform.result(job)
        if "error" not in result and n % 2:
            assert "".join(parts(platform, job)).endswith("data: [DONE]\n\n")
    results = [platform.result(job) for job in rest]
    assert content(platform.run(chat(3))["output"]) and len(results) == 4
    assert sum("error" in platform.result(job) for job in jobs) <= concurrency
