"""tests/CONTRACT.md, "Results", streaming handlers: parts in order as they come, the last post, errors, back-pressure."""

import json

import pytest

from actions import answer, close, hold, raw, reset
from own_handlers import Gate, own, steps
from testplatform import FAST_PING
from workerproc import RUNNER

STREAM_BYTES = 1 << 20  # of parts that wait for the platform; then the handler waits
TRANSIENT = [answer(503), reset(), close(), answer(429, headers=[("Retry-After", "1")]), raw(b"HTTP/1.1 2", then="reset")]


@pytest.fixture
def start(worker):
    """start(platform, *flags) -> a worker with the steps handler, told that it streams."""
    return lambda platform, *flags, **how: worker(platform, "--stream", *flags, handler=own("steps"), **how)


@pytest.fixture
def gate(tmp_path):
    return Gate(tmp_path / "gate")


def parts(platform, job_id, settled=True):
    """The parts of a job's stream in the order of their posts."""
    return [post.json()["output"] for post in platform.requests("stream", job_id) if post.settled or not settled]


def test_null_is_no_last_part(platform, start):
    start(platform, "--aggregate-stream")
    job = platform.give(input=steps({"yield": None}, {"return": None}))
    assert platform.result(job) == {"output": [None]}
    assert parts(platform, job) == [None]


def error_of(result):
    """The details of a failure."""
    assert set(result) == {"error"}
    return json.loads(result["error"])


def test_parts_in_order_then_the_last_post(platform, start):
    start(platform)
    values = [1, "žluť 🦊", None, [], {"a": {"error": "inside"}}, {}]
    job = platform.give(input=steps(*[{"yield": value} for value in values]))
    assert platform.result(job) == {"output": []}
    assert parts(platform, job) == values
    final = platform.finals(job)[0]
    assert final.target == f"/v2/ep0test/job-done/pod-7x2/{job}?gpu=NVIDIA+L4&isStream=true"
    assert all(post.number < final.number for post in platform.requests("stream"))


def test_request_of_a_part(platform, start):
    start(platform)
    job = platform.give(input=steps({"yield": {"token": "x"}}))
    platform.result(job)
    post = platform.requests("stream")[0]
    assert post.method == "POST" and post.json() == {"output": {"token": "x"}}
    assert post.target == f"/v2/ep0test/job-stream/pod-7x2/{job}?gpu=NVIDIA+L4&isStream=false"
    assert post.header("Content-Type") == "application/x-www-form-urlencoded"
    assert post.header("charset") == "utf-8" and post.header("X-Request-ID") == job
    assert post.header("Content-Length") == str(len(post.body))


def test_parts_come_while_the_handler_works(platform, start, gate):
    start(platform)
    job = platform.give(input=steps({"yield": 1}, {"yield": 2}, gate.step, {"yield": 3}))
    platform.wait_for(lambda: parts(platform, job) == [1, 2], "two parts")
    assert not platform.finals(job)
    gate.open()
    assert platform.result(job) == {"output": []}
    assert parts(platform, job) == [1, 2, 3]


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_aggregate(platform, worker, how):
    flags = ["--stream", "--aggregate-stream"] if how == "flag" else []
    variables = {} if how == "flag" else {"RP_STREAM": "1", "RP_AGGREGATE_STREAM": "1"}
    worker(platform, *flags, handler=own("steps"), env=variables)
    for values in ([1, {"a": [2]}, "x"], []):
        job = platform.give(input=steps(*[{"yield": value} for value in values]))
        assert platform.result(job) == {"output": values}
        assert parts(platform, job) == values
        assert platform.finals(job)[0].param("isStream") == "true"


def test_nothing_yielded(platform, start):
    """A streaming handler that has nothing to say still ends as a stream."""
    start(platform)
    job = platform.give(input=steps())
    assert platform.result(job) == {"output": []}
    assert platform.finals(job)[0].param("isStream") == "true" and not platform.requests("stream")


def test_what_is_returned_is_one_more_part(platform, start):
    start(platform)
    job = platform.give(input=steps({"yield": 1}, {"return": {"last": 2}}))
    assert platform.result(job) == {"output": []}
    assert parts(platform, job) == [1, {"last": 2}]


def test_yield_without_the_flag(platform, worker):
    """The handler streams, so the job is a stream; the next one is none."""
    worker(platform, handler=own("steps"))
    job = platform.give(input=steps({"yield": 1}))
    assert platform.result(job) == {"output": []}
    assert platform.finals(job)[0].param("isStream") == "true"
    assert platform.run(steps({"return": 2})) == {"output": 2}
    assert platform.requests("done")[-1].param("isStream") == "false"


@pytest.mark.parametrize("flags", [[], ["--aggregate-stream"]], ids=["plain", "aggregate"])
def test_part_with_an_error_ends_the_stream(platform, start, flags):
    start(platform, *flags)
    job = platform.give(input=steps({"yield": 1}, {"yield": {"error": "boom", "x": 1}}, {"yield": 3}))
    assert platform.result(job)["error"] == "boom"
    assert parts(platform, job) == [1]
    assert platform.finals(job)[0].param("isStream") == "true"


def test_part_with_a_false_error_is_a_part(platform, start):
    start(platform)
    job = platform.give(input=steps({"yield": {"error": None, "x": 1}}, {"yield": {"error": ""}}, {"yield": 3}))
    assert platform.result(job) == {"output": []}
    assert len(parts(platform, job)) == 3


def test_failure_midway(platform, start):
    start(platform)
    job = platform.give(input=steps({"yield": 1}, {"yield": 2}, {"fail": "out of ideas"}, {"yield": 3}))
    assert error_of(platform.result(job))["error_message"] == "out of ideas"
    assert parts(platform, job) == [1, 2]
    assert platform.finals(job)[0].param("isStream") == "true"
    assert platform.run(steps({"yield": 4})) == {"output": []}


def test_part_that_is_no_json(platform, start):
    start(platform)
    job = platform.give(input=steps({"yield": 1}, {"bad_yield": 0}, {"yield": 3}))
    assert "error_message" in error_of(platform.result(job))
    assert parts(platform, job) == [1]


def test_part_over_the_limit(platform, start):
    start(platform, env={"RP_MAX_RESULT_MB": "1"})
    job = platform.give(input=steps({"yields": {"parts": 1, "bytes": 1_500_000}}, {"yield": 3}))
    assert "limit" in error_of(platform.result(job))["error_message"]
    assert not parts(platform, job)


def test_aggregate_over_the_limit(platform, start):
    """Each part fits, all of them together do not: the job fails and says so."""
    start(platform, "--aggregate-stream", env={"RP_MAX_RESULT_MB": "1"})
    job = platform.give(input=steps({"yields": {"parts": 3, "bytes": 400_000}}))
    assert "limit" in error_of(platform.result(job))["error_message"]
    assert len(parts(platform, job)) == 2


def test_slow_platform_makes_the_handler_wait(platform, start):
    """10 MB of parts: about one MB of them waits, the handler waits for the rest, nothing is dropped."""
    held = hold()
    platform.script("stream", held)
    process = start(platform, env=FAST_PING)
    job = platform.give(input=steps({"yields": {"parts": 40, "bytes": 262_000}}))
    fit = STREAM_BYTES // 262_000 + 1  # and the one under way
    process.wait_log(f"yielded {fit}$")
    platform.wait_for(held.reached.is_set, "the first part")
    platform.wait_more("ping", 2)
    assert not process.lines(f"yielded {fit + 1}$")
    held.release(answer(200))
    assert platform.result(job) == {"output": []}
    assert [part["n"] for part in parts(platform, job)] == list(range(1, 41))
    assert RUNNER or process.peak_kib() < 6 * 1024


def test_failed_posts_of_parts_are_repeated_in_order(platform, start):
    start(platform)
    platform.script("stream", answer(200), *TRANSIENT[:2], answer(200), *TRANSIENT[2:])
    job = platform.give(input=steps({"yields": {"parts": 8, "bytes": 10}}))
    assert platform.result(job) == {"output": []}
    assert [part["n"] for part in parts(platform, job)] == list(range(1, 9))
    tried = [part["n"] for part in parts(platform, job, settled=False)]
    assert tried == sorted(tried) and len(tried) == 8 + len(TRANSIENT)


def test_refused_part_fails_the_job_visibly(platform, start):
    start(platform)
    platform.script("stream", answer(200), answer(400, {"why": "no"}))
    job = platform.give(input=steps(*[{"yield": number} for number in range(1, 6)]))
    assert "400" in error_of(platform.result(job))["error_message"]
    assert parts(platform, job, settled=False) == [1, 2]
    assert platform.run(steps({"yield": 4})) == {"output": []}


def test_parts_go_out_before_the_last_post(platform, start):
    """The handler has returned; its last part is refused for a while, and the end waits for it."""
    process = start(platform)
    platform.script("stream", answer(500), answer(500))
    job = platform.give(input=steps({"yield": 1}))
    process.wait_log("steps end")
    assert platform.result(job) == {"output": []}
    assert len(platform.requests("stream", job)) == 3
    assert platform.finals(job)[0].number > platform.requests("stream", job)[-1].number


def test_stopped_job_ends_without_a_result(platform, start):
    process = start(platform)
    platform.give({"id": "stopped", "input": steps({"yield": 1}, {"await_stop": 120_000}, {"yield": 2}, {"yield": 3})})
    platform.wait_for(lambda: parts(platform, "stopped") == [1], "the first part")
    platform.stop_jobs("stopped")
    process.wait_log("stopped=1")
    assert platform.run(steps({"yield": 4})) == {"output": []}
    assert not platform.requests("done", "stopped") and parts(platform, "stopped") == [1]
    assert not process.lines("ERROR")


def test_stopped_job_drops_the_parts_that_wait(platform, start):
    """The handler waits for a slow platform; stopped, it need not wait for the rest to be sent."""
    held = hold()
    platform.script("stream", held)
    process = start(platform)
    platform.give({"id": "stopped", "input": steps({"yields": {"parts": 40, "bytes": 262_000}})})
    process.wait_log(f"yielded {STREAM_BYTES // 262_000 + 1}$")
    platform.wait_for(held.reached.is_set, "the first part")
    platform.stop_jobs("stopped")
    process.wait_log("Stopping job")
    held.release(answer(200))
    assert platform.run(steps({"yield": 4})) == {"output": []}
    assert not platform.requests("done", "stopped")
    assert len(platform.requests("stream", "stopped")) == 1
    assert not process.lines("ERROR")


def test_stop_while_a_part_is_retried(platform, start):
    platform.script("stream", answer(200))
    platform.always("stream", answer(503))
    process = start(platform)
    platform.give({"id": "stopped", "input": steps({"yield": 1}, {"yield": 2}, {"yield": 3})})
    platform.wait_request("stream", 2)
    platform.stop_jobs("stopped")
    process.wait_log("Job stopped")
    assert not platform.requests("done", "stopped") and parts(platform, "stopped") == [1]


def test_no_part_of_one_job_under_the_name_of_another(platform, start):
    start(platform, "--concurrency", "4", "--aggregate-stream")
    jobs = [
        platform.give({"id": f"s{number}", "input": steps(*[{"yield": f"s{number}.{n}"} for n in range(20)])})
        for number in range(12)
    ]
    for job in jobs:
        expected = [f"{job}.{n}" for n in range(20)]
        assert platform.result(job) == {"output": expected}
        assert parts(platform, job) == expected
    assert all(post.header("X-Request-ID") == post.job_id for post in platform.requests("stream"))


def test_local_run_shows_the_parts(local):
    job = {"input": steps({"yield": {"token": "one"}}, {"yield": {"token": "two"}})}
    done = local("--stream", "--test_input", json.dumps(job), handler=own("steps"))
    assert done.returncode == 0, done.stdout
    assert done.stdout.index("one") < done.stdout.index("two") < done.stdout.index("Local testing complete")
