"""What the tests of HTTP handlers share: a worker in front of a server, and what its posts say.

Decided here where the issue leaves it open:
- a stream's part is a string, the server's bytes as they are; the last post is {"output": []}, isStream=true
- with --aggregate-stream the output is the whole text (a list of parts that join to it will do)
- the error of a failed request is a JSON text {"error": {"message", "type", "code"}}, and so is that of a server that
  cannot be reached, breaks off or takes too long
"""

import json
import sys
from pathlib import Path

import pytest

from badserver import BadServer
from servers import free_port

OWN_SERVER = Path(__file__).with_name("ownserver.py")


@pytest.fixture
def server(witness):
    """A scripted server, already up; what it got must be in order."""
    one = BadServer(witness)
    yield one
    one.stop()
    assert not one.complaints, one.complaints


@pytest.fixture
def serve(worker):
    """serve(platform, server or URL, *flags) -> the worker in front of it; shape None: the default."""

    def start(platform, target, *flags, shape="plain", **how):
        url = target if isinstance(target, str) else target.url
        shape_flags = ["--answer-shape", shape] if shape else []
        return worker(platform, "--handler-http", url, *shape_flags, *flags, handler="worker", **how)

    return start


@pytest.fixture
def own(worker, platform):
    """own(options, *flags) -> a worker that starts ownserver.py, and its port."""

    def start(*options, flags=(), env=None):
        port = free_port()
        command = ["--handler", own_server(port, *options), "--handler-http", f"http://127.0.0.1:{port}", *flags]
        return worker(platform, *command, handler="worker", env=env)

    return start


def own_server(port, *options):
    """The command of the tests' own small server, for --handler."""
    return " ".join([sys.executable, str(OWN_SERVER), str(port), *map(str, options)])


def ask(platform, **input):
    """The output of a job with this input."""
    result = platform.run(input)
    assert set(result) == {"output"}, result
    return result["output"]


def parts(platform, job_id):
    """The texts of a job's stream, in order."""
    return [post.json()["output"] for post in platform.requests("stream", job_id) if post.settled]


def whole(output):
    """The text of an aggregated stream."""
    return "".join(output) if isinstance(output, list) else output


def error_of(result):
    """{"message", "type", "code"} of a failed job."""
    assert result.get("error"), f"not failed: {result!s:.500}"
    assert "output" not in result
    details = json.loads(result["error"])
    assert set(details) == {"error"} and {"message", "type", "code"} <= set(details["error"])
    assert isinstance(details["error"]["message"], str) and details["error"]["message"]
    assert len(result["error"]) < 16384, "an error's text has a limit"
    return details["error"]


def events_of(text):
    """The JSON of each event of a stream of an OpenAI-compatible server, without the last [DONE]."""
    data = [block.removeprefix("data: ") for block in text.split("\n\n") if block.startswith("data: ")]
    return [json.loads(piece) for piece in data if piece != "[DONE]"]
