"""The cases of RunPod's public mock worker (its .github/tests.json), by a linked handler, the same in a process of its
own, and a program: nobody can tell from outside which it was."""

import pytest

from children import failure, program

# Flags for a plain handler, and for a generator with its parts as the output, too.
KINDS = {
    "linked": ("mock", [], ["--generator", "--return_aggregate_stream"]),
    "isolated": ("mock", ["--isolate"], ["--isolate", "--generator", "--return_aggregate_stream"]),
    "child": (
        "worker",
        ["--handler", program("mock.py")],
        ["--handler", program("mock.py", "--generator"), "--stream", "--aggregate-stream"],
    ),
}


@pytest.fixture(params=KINDS)
def mock(request, worker, platform):
    """mock(generator=False) -> a worker of one kind."""
    handler, plain, generator = KINDS[request.param]

    def start(*flags, generates=False, env=None):
        return worker(platform, *(generator if generates else plain), *flags, handler=handler, env=env)

    return start


def stream_of(platform, job):
    return [post.json()["output"] for post in platform.requests("stream", job)]


def final_of(platform, job):
    (post,) = platform.finals(job)
    return post


def test_basic(mock, platform):
    mock()
    job = platform.give(input={"mock_return": "this worked!"})
    assert platform.result(job) == {"output": "this worked!"}
    assert final_of(platform, job).param("isStream") == "false" and not stream_of(platform, job)
    assert platform.run({}) == {"output": "Hello World!"}


def test_long_job(mock, platform):
    """As long as many pings, of which two will do on a busy machine; the official one takes five minutes."""
    mock(env={"RUNPOD_PING_INTERVAL": "100"})
    text = "Delay test successful returned after waiting 5 minutes."
    job = platform.give(input={"mock_return": text, "mock_delay": 4})
    assert platform.result(job) == {"output": text}
    named = [ping.number for ping in platform.requests("ping") if ping.param("job_id") == job]
    assert len(named) > 1 and named[1] < final_of(platform, job).number


def test_generator_with_aggregate(mock, platform):
    mock(generates=True)
    values = ["value1", "value2", "value3"]
    for _ in range(2):
        job = platform.give(input={"mock_return": values})
        assert platform.result(job) == {"output": values}
        assert final_of(platform, job).param("isStream") == "true"
        assert stream_of(platform, job) == values


def test_generator_of_nothing(mock, platform):
    mock(generates=True)
    job = platform.give(input={"mock_return": []})
    assert platform.result(job) == {"output": []}
    assert final_of(platform, job).param("isStream") == "true" and not stream_of(platform, job)


@pytest.mark.parametrize("generates", [False, True], ids=["plain", "generator"])
def test_error(mock, platform, generates):
    mock(generates=generates)
    error = failure(platform.run({"mock_error": True}))
    assert error["error_message"] == "Mock error" and error["worker_id"] == platform.worker_id
    assert "output" in platform.run({})


def test_refresh(mock, platform):
    mock()
    job = platform.give(input={"mock_return": [1], "mock_refresh": True})
    assert platform.result(job) == {"output": {"mock_return": [1]}, "stopPod": True}
    platform.wait_for(lambda: all(take.answered or take.dropped for take in platform.requests("take")), "no open job-take")
    assert len([take for take in platform.requests("take") if take.jobs]) == 1
