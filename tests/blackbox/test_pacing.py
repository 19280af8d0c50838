"""tests/CONTRACT.md, "Taking jobs" and "Stop channel": what is asked for again, and how soon."""

import json
import sys

import pytest

from actions import answer, close, hand_out, hold, reset
from own_handlers import Gate, own, steps
from testplatform import FAST_PING
from workerproc import SANITIZED


def test_an_id_that_is_handed_out_over_and_over_is_no_hot_loop(platform, worker, tmp_path):
    gate = Gate(tmp_path / "gate")
    process = worker(platform, "--concurrency", "2", handler=own("steps"), env=FAST_PING)
    twin = {"id": "twin", "input": steps(gate.step, {"return": "once"})}
    platform.give(twin)
    process.wait_log("at step 1")
    platform.always("take", hand_out(twin))
    platform.wait_more("ping", 3)
    assert len(platform.requests("take")) <= 20
    assert len(process.lines("Duplicate job")) == 1
    platform.always("take", None)
    platform.give({"id": "other", "input": steps({"return": 2})})
    assert platform.result("other") == {"output": 2}
    gate.open()
    assert platform.result("twin") == {"output": "once"}
    assert len(platform.finals("twin")) == 1


@pytest.mark.parametrize("ids", [["running"], ["nobody"], [5], ["running", "nobody", None]])
def test_a_stop_channel_that_answers_at_once_is_no_hot_loop(platform, worker, tmp_path, ids):
    """The first stop is obeyed at once; the job it is for takes its time."""
    gate = Gate(tmp_path / "gate")
    process = worker(platform, handler=own("steps"), env=FAST_PING)
    platform.give({"id": "running", "input": steps(gate.step)})
    process.wait_log("at step 1")
    platform.always("stop", answer(200, {"jobsToStop": ids}))
    platform.wait_more("ping", 3)
    assert len(platform.requests("stop")) <= 12
    assert len(process.lines("(?i)stop")) <= 6
    platform.always("stop", None)
    gate.open()
    platform.wait_ping()


def test_stops_of_new_jobs_follow_at_once(platform, worker):
    """Pacing is for answers that change nothing: three stops, one after the other."""
    process = worker(platform, "--concurrency", "3", handler=own("steps"))
    jobs = ["a", "b", "c"]
    for job in jobs:
        platform.give({"id": job, "input": steps({"await_stop": 120_000})})
        process.wait_log(f"{job}.*at step 1")
    platform.stop_jobs("a")
    platform.stop_jobs("b")
    platform.stop_jobs("c")
    for job in jobs:
        process.wait_log(f"{job}.*Job stopped")


CUTS = {"504": answer(504, b"<html>", content_type="text/html"), "408": answer(408), "closed": close(), "reset": reset(),
        "empty 200": answer(200, b"")}


@pytest.mark.parametrize("case", CUTS)
@pytest.mark.parametrize("route", ["take", "stop"])
def test_a_poll_that_a_gateway_cuts_is_no_failure(platform, worker, case, route):
    """Held for four pings, so for more than three seconds, then cut: asked again, without an error and a longer pause."""
    held = hold()
    platform.script(route, held)
    process = worker(platform, env=FAST_PING)
    platform.wait_for(held.reached.is_set, "the poll")
    platform.wait_more("ping", 4)
    held.release(CUTS[case])
    platform.wait_request(route, 2)
    if route == "take":
        process.wait_log(r"INFO.*A job-take was cut after \d{4,5} ms \(.+\); asking again\.")
    assert platform.run("after") == {"output": "after"}
    assert not process.lines("ERROR|WARN")


def test_a_refusal_after_a_long_wait_is_a_failure(platform, worker):
    """401 is an answer of the platform, however long it took."""
    held = hold()
    platform.script("take", held)
    process = worker(platform, env=FAST_PING)
    platform.wait_for(held.reached.is_set, "the poll")
    platform.wait_more("ping", 4)
    held.release(answer(401))
    process.wait_log("ERROR.*401")


def test_an_answer_with_a_hundred_thousand_jobs(platform, worker):
    """A thousand are taken, the rest stays the platform's, one line says so; pings go on meanwhile."""
    process = worker(platform, env={"RUNPOD_PING_INTERVAL": "200"})
    body = json.dumps([{"id": f"n{number}", "input": 0} for number in range(100_000)]).encode()
    platform.script("take", answer(200, body))
    process.wait_log("ERROR.*99000 jobs more than the 1000")
    platform.wait_ping()
    assert platform.run("after") == {"output": "after"}
    ids = {post.job_id for post in platform.requests("done")} - {"job-1"}
    assert ids == {f"n{number}" for number in range(1000)}
    assert len(process.lines("ERROR")) == 1


def test_an_answer_full_of_junk(platform, worker):
    process = worker(platform)
    platform.script("take", answer(200, b"[" + b"1," * 50_000 + b'{"id": "good", "input": 1}]'))
    assert platform.result("good") == {"output": 1}
    assert process.lines("50000 jobs of this batch were skipped")
    assert len(process.lines("ERROR")) <= 10


def test_a_small_stack_is_raised(tls_platform, worker):
    process = worker(tls_platform, handler=own("stack"), env={"STACK_BYTES": "40000"})
    assert tls_platform.run("x" * 100_000) == {"output": "x" * 100_000}
    assert process.lines("WARN.*stack_bytes is 40000.*262144")


# There is room for one stack of 256 MiB, not for two.
LIMITED = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20)); " \
          "os.execv(sys.argv[1], sys.argv[1:])"


@pytest.mark.skipif(SANITIZED, reason="a sanitizer takes terabytes of address space")
def test_slots_that_cannot_be_started(platform, worker):
    """The jobs wait for those there are, and no more of them are asked for than these can run."""
    env = {"STACK_BYTES": str(256 << 20)}
    process = worker(platform, "--concurrency", "3", handler=own("stack"), env=env, prefix=(sys.executable, "-c", LIMITED))
    platform.script("take", hand_out({"id": "a", "input": 1}, {"id": "b", "input": 2}, {"id": "c", "input": 3}))
    assert [platform.result(job) for job in "abc"] == [{"output": 1}, {"output": 2}, {"output": 3}]
    assert platform.run(4) == {"output": 4}
    assert len(process.lines("ERROR.*cannot start a thread.*continuing with the 1 slots already running")) == 1
    first, *others = [take.param("batch_size") for take in platform.requests("take")]
    assert first == "3" and set(others) == {None}
