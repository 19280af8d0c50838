"""tests/CONTRACT.md, "Heartbeat"."""

import pytest

from actions import answer, close, hold, raw, reset
from own_handlers import Gate, own, steps

QUICK = {"RUNPOD_PING_INTERVAL": "200"}
SLOW = {"RUNPOD_PING_INTERVAL": "60000"}


def test_ping(platform, worker):
    """runpod_version is the version of the contract: test_start.py changes it."""
    worker(platform)
    ping = platform.wait_request("ping")
    assert ping.method == "GET" and ping.path == "/v2/ep0test/ping/pod-7x2"
    assert ping.query == [("runpod_version", "1.12.0")]


def test_ping_url_with_a_query_of_its_own(platform, worker):
    worker(platform, env={"RUNPOD_WEBHOOK_PING": f"{platform.base}/v2/e/ping/$RUNPOD_POD_ID?gpu=a%20b"})
    ping = platform.wait_request("ping")
    assert ping.target.startswith("/v2/e/ping/pod-7x2?gpu=a%20b&runpod_version=")


def test_the_first_job_take_goes_before_it(platform, worker):
    worker(platform)
    platform.wait_request("ping")
    platform.wait_request("stop")
    assert platform.connections[0].requests[0].route == "take"


def test_a_job_take_that_does_not_connect_holds_it_up_no_longer(platform, worker, deaf_port):
    worker(platform, env={"RUNPOD_WEBHOOK_GET_JOB": f"http://127.0.0.1:{deaf_port}/v2/x/job-take/$ID?a=b"})
    platform.wait_request("ping")


def test_interval_is_in_milliseconds(platform, worker):
    """Ten of them: at the default interval they would take longer than the test waits."""
    worker(platform, env={"RUNPOD_PING_INTERVAL": "100"})
    platform.wait_request("ping", 10)


@pytest.fixture
def gate(tmp_path):
    return Gate(tmp_path / "gate")


def test_goes_on_while_the_handler_blocks(platform, worker, gate):
    worker(platform, handler=own("steps"), env=QUICK)
    platform.give({"id": "blocking", "input": steps(gate.step)})
    platform.wait_for(
        lambda: len([ping for ping in platform.requests("ping") if ping.param("job_id") == "blocking"]) >= 4,
        "four pings of the running job",
    )
    assert not platform.requests("done")
    gate.open()
    platform.result("blocking")
    platform.wait_ping()


def test_names_every_job_in_progress(platform, worker, gate):
    """Jobs of one answer that wait for their turn count as well: they were taken."""
    worker(platform, handler=own("steps"), env=QUICK)
    jobs = [{"id": "one", "input": steps(gate.step)}, {"id": "two", "input": steps()}]
    platform.script("take", answer(200, jobs))
    platform.wait_for(
        lambda: any(ping.param("job_id") in ("one,two", "two,one") for ping in platform.requests("ping")),
        "a ping with both ids",
    )
    gate.open()
    platform.result("two")


@pytest.mark.parametrize("job_id", ["a&runpod_version=0", "a b#c", "ž/🦊", "x\r\nEvil: 1", "a+b%41"])
def test_hostile_id_in_the_query(platform, worker, gate, job_id):
    worker(platform, handler=own("steps"), env=QUICK)
    platform.give({"id": job_id, "input": steps(gate.step)})
    platform.wait_for(
        lambda: any(ping.param("job_id") == job_id for ping in platform.requests("ping")), "a ping with the id"
    )
    gate.open()
    assert all(len(ping.query) <= 2 for ping in platform.requests("ping"))
    platform.result(job_id)


@pytest.mark.parametrize("missing", ["RUNPOD_AI_API_KEY", "RUNPOD_POD_ID", "RUNPOD_WEBHOOK_PING"])
def test_not_sent_without(platform, worker, missing):
    if missing == "RUNPOD_AI_API_KEY":
        platform.key = None
    worker(platform, env={**QUICK, missing: None})
    for number in range(3):
        platform.run(number)
    platform.stop_jobs("nobody")
    platform.wait_request("stop", 2)
    assert not platform.requests("ping")


@pytest.mark.parametrize(
    "failure", [answer(500), answer(503), answer(429), reset(), close()], ids=lambda action: action.label
)
def test_first_retry_comes_at_once(platform, worker, failure):
    """The interval is a minute: the second ping is a retry."""
    platform.script("ping", failure)
    worker(platform, env=SLOW)
    platform.wait_request("ping", 2)


def test_no_more_than_three_retries(platform, worker):
    platform.always("ping", answer(500))
    process = worker(platform, env=SLOW)
    platform.wait_request("ping", 4)
    process.wait_log("ERROR .*Heartbeat failed: the platform answered 500")
    for number in range(3):
        platform.run(number)
    assert len(platform.requests("ping")) == 4


@pytest.mark.parametrize("status", [200, 204, 400, 401, 404])
def test_other_answers_are_not_retried(platform, worker, status):
    platform.always("ping", answer(status))
    worker(platform, env=SLOW)
    platform.wait_request("ping")
    for number in range(3):
        platform.run(number)
    assert len(platform.requests("ping")) == 1


def test_unanswered_ping_is_given_up(platform, worker):
    """After twice the interval."""
    platform.script("ping", hold())
    worker(platform, env=QUICK)
    second = platform.wait_request("ping", 2)
    first = platform.requests("ping")[0]
    platform.wait_for(lambda: first.dropped, "the end of the first ping's connection")
    assert first.connection != second.connection
    platform.wait_request("ping", 4)


def test_failing_pings_hurt_no_job(platform, worker):
    platform.always("ping", raw(b"\x00\xff garbage \r\n\r\n", then="close"))
    process = worker(platform, env=QUICK)
    for number in range(3):
        assert platform.run(number) == {"output": number}
    platform.wait_request("ping", 3)
    assert len(process.lines()) < 100


@pytest.mark.parametrize("value", ["abc", "-5", "", "10s", "1e99"])
def test_odd_interval(local, value):
    done = (
        local(
            env={
                "RUNPOD_WEBHOOK_GET_JOB": "http://127.0.0.1:1/job-take/$ID?x=1",
                "RUNPOD_PING_INTERVAL": value,
                "RUNPOD_WEBHOOK_POST_OUTPUT": "http://127.0.0.1:1/job-done/$RUNPOD_POD_ID/$ID?x=1",
                "RUNPOD_POD_ID": "p",
                "RUNPOD_AI_API_KEY": "k",
            }
        )
        if value
        else None
    )
    assert done is None or (done.returncode == 2 and "RUNPOD_PING_INTERVAL" in done.stdout)
