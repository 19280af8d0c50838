"""tests/CONTRACT.md, "Stop channel"."""

import pytest

from actions import answer, hand_out, raw, reset
from own_handlers import Gate, own, steps
from testplatform import FAST_PING


def test_polls_from_the_start(platform, worker):
    worker(platform)
    stop = platform.wait_request("stop")
    assert stop.target == "/v2/ep0test/job-stop/pod-7x2?gpu=NVIDIA+L4"


def test_no_channel_without_the_word_in_the_template(platform, worker):
    worker(platform, env={"RUNPOD_WEBHOOK_GET_JOB": f"{platform.base}/take/$ID?a=b"})
    for number in range(3):
        assert platform.run(number) == {"output": number}
    assert not platform.requests("stop") and not platform.requests("other")


def test_stopped_job_posts_no_result(platform, worker):
    process = worker(platform, handler="mock")
    platform.give({"id": "stopped", "input": {"mock_delay": 120}})
    process.wait_log(r"stopped.*Started\.")
    platform.stop_jobs("stopped")
    assert platform.run({"mock_return": "next"}) == {"output": "next"}
    assert not platform.requests("done", "stopped")
    process.wait_log("stopped.*(?i:stop)")


def test_stopped_job_is_no_longer_in_progress(platform, worker):
    process = worker(platform, handler="mock", env={"RUNPOD_PING_INTERVAL": "200"})
    platform.give({"id": "stopped", "input": {"mock_delay": 120}})
    process.wait_log(r"stopped.*Started\.")
    platform.stop_jobs("stopped")
    assert platform.wait_request("take", 2).param("job_in_progress") == "0"
    platform.wait_ping()


def test_stop_of_a_job_that_waits_for_its_turn(platform, worker):
    """It was taken, so it is in progress; stopped, it never starts."""
    process = worker(platform, handler="mock")
    platform.script(
        "take",
        hand_out(
            {"id": "first", "input": {"mock_delay": 120}}, {"id": "second", "input": {"mock_logs": ["second has run"]}}
        ),
    )
    process.wait_log(r"first.*Started\.")
    platform.stop_jobs("second", "first")
    platform.wait_request("take", 2)
    assert not platform.requests("done") and not process.lines("second has run")


def test_only_the_named_job_is_stopped(platform, worker, tmp_path):
    gate = Gate(tmp_path / "gate")
    process = worker(platform, handler=own("steps"))
    platform.give({"id": "going-on", "input": steps(gate.step, {"return": "done"})})
    process.wait_log(r"going-on.*Started\.")
    platform.stop_jobs("going", "going-on-and-on", "", "GOING-ON", "*")
    platform.wait_request("stop", 2)
    gate.open()
    assert platform.result("going-on") == {"output": "done"}


def test_stop_by_number_id(platform, worker):
    process = worker(platform, handler="mock")
    platform.give({"id": 4711, "input": {"mock_delay": 120}})
    process.wait_log(r"4711.*Started\.")
    platform.stop_jobs("4711")
    platform.wait_request("take", 2)
    assert not platform.requests("done")


def test_stop_while_the_result_is_retried(platform, worker):
    """The result of a stopped job is of no use to anybody; the worker goes on either way."""
    platform.script("done", reset(), reset())
    worker(platform)
    platform.give({"id": "late", "input": 1})
    platform.wait_final("late")
    platform.stop_jobs("late")
    assert platform.run("next") == {"output": "next"}


def test_unknown_and_finished_ids_are_ignored(platform, worker):
    process = worker(platform, env={"RUNPOD_PING_INTERVAL": "200"})
    platform.run(1)
    platform.wait_ping()  # the worker holds a job until its result was answered
    platform.stop_jobs("job-1", "never-seen")
    platform.wait_request("stop", 2)
    assert platform.run(2) == {"output": 2}
    assert process.lines("DEBUG .*job-1 .*Ignored a stop for a job that this worker does not hold")
    assert not process.lines("ERROR|WARN|Stopping job")
    platform.give({"id": "never-seen", "input": 3})
    assert platform.result("never-seen") == {"output": 3}


MALFORMED = {
    "array": answer(200, ["victim"]),
    "text": answer(200, "victim"),
    "number": answer(200, 5),
    "null": answer(200, None),
    "no member": answer(200, {"stop": ["victim"]}),
    "string for list": answer(200, {"jobsToStop": "victim"}),
    "object for list": answer(200, {"jobsToStop": {"victim": True}}),
    "null for list": answer(200, {"jobsToStop": None}),
    "empty": answer(200, b""),
    "no JSON": answer(200, b'{"jobsToStop": ["victim"'),
    "html": answer(200, {"jobsToStop": ["victim"]}, content_type="text/html"),
    "garbage": raw(b"\xff\xfe\x00 \r\n\r\n", then="close"),
    "truncated": raw(
        b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"jobsToStop": ["victim"]}',
        then="close",
    ),
    "deep": answer(200, b'{"jobsToStop": ' + b"[" * 50000 + b'"victim"' + b"]" * 50000 + b"}"),
    "500": answer(500, {"jobsToStop": ["victim"]}),
    "404": answer(404, {"jobsToStop": ["victim"]}),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_answer_stops_nothing(platform, worker, case):
    process = worker(platform, handler="mock")
    platform.give({"id": "victim", "input": {"mock_delay": 1.5, "mock_return": "alive"}})
    process.wait_log(r"victim.*Started\.")
    platform.script("stop", MALFORMED[case])
    platform.wait_more("stop")
    assert platform.result("victim") == {"output": "alive"}


def test_ids_beside_junk_still_count(platform, worker):
    process = worker(platform, handler="mock")
    platform.give({"id": "stopped", "input": {"mock_delay": 120}})
    process.wait_log(r"stopped.*Started\.")
    platform.script("stop", answer(200, {"jobsToStop": [None, 5, {"id": "x"}, "stopped", []]}))
    assert platform.run({"mock_return": "next"}) == {"output": "next"}
    assert not platform.requests("done", "stopped")
    assert process.lines("WARN .*a job id that is not a string") and process.lines("INFO .*stopped .*Stopping job")


@pytest.mark.parametrize(
    "action",
    [answer(500), answer(404), reset(), answer(200, {"jobsToStop": []}), answer(200, b"oops"), answer(204)],
    ids=lambda action: action.label,
)
def test_immediate_answers_for_ever_are_no_hot_loop(platform, worker, action):
    platform.always("stop", action)
    process = worker(platform, env=FAST_PING)
    platform.wait_request("ping", 3)
    assert len(platform.requests("stop")) <= (50 if action.label == "204" else 10)
    assert len(process.lines()) <= 60
    assert platform.run("fine") == {"output": "fine"}


def test_too_many_requests_waits(platform, worker):
    """Five seconds, counted by when both requests came in: the pause begins after that of the first."""
    platform.script("stop", answer(429))
    worker(platform)
    second = platform.wait_request("stop", 2)
    assert second.time_s - platform.requests("stop")[0].time_s > 4.9
