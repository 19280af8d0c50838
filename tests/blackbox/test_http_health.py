"""HTTP handlers whose server runs elsewhere and becomes unhealthy; test_http_own.py has servers that the worker starts."""

import threading
import time

import pytest

from badserver import BadServer, echo, plain
from httphandler import ask, error_of, serve, server  # noqa: F401 (fixtures)
from starts import start_error
from test_http_handler import CHAT, HELLO

LIMIT = "--handler-unhealthy-timeout"


@pytest.mark.parametrize("how", ["says so", "is silent", "refuses"])
def test_server_of_somebody_else_is_given_up(platform, server, serve, how):
    """The waiting job fails with the reason, then the worker ends with status 1."""
    server.pages[CHAT] = echo
    process = serve(platform, server, LIMIT, "1", "--concurrency", "2")
    ask(platform, messages=HELLO)
    if how == "refuses":
        server.stop()
    else:
        server.pages["/health"] = plain(503) if how == "says so" else lambda talk: talk.wait_gone()
    process.wait_log("server is unhealthy")
    message = start_error(platform.run({"messages": HELLO}))["error_message"]
    assert LIMIT in message and "/health" in message
    assert process.wait() == 1
    assert len(server.of(CHAT)) == 1, "a job was sent to an unhealthy server"


def test_server_of_somebody_else_that_comes_back(platform, server, serve):
    server.pages[CHAT] = echo
    process = serve(platform, server, LIMIT, "25")
    ask(platform, messages=HELLO)
    server.pages["/health"] = plain(503)
    process.wait_log("server is unhealthy")
    job = platform.give(input={"messages": HELLO})
    process.wait_log(f"{job} .*Started")
    server.pages["/health"] = plain(200)
    assert platform.result(job)["output"]["target"] == CHAT


@pytest.mark.parametrize("how", ["500", "broken off"])
def test_failed_job_makes_a_look_due(platform, server, serve, how):
    """It does not wait for the 10 s between probes of an idle server."""
    server.pages[CHAT] = plain(500, b"CUDA error") if how == "500" else lambda talk: talk.reset()
    process = serve(platform, server, "--served-model", "m")
    platform.wait_request("take")
    server.pages["/health"] = plain(503)
    error_of(platform.run({"messages": HELLO}))
    process.wait_log("server is unhealthy", timeout_s=8)


def test_refused_requests_are_no_sign_of_illness(platform, server, serve):
    """A client's mistake does not even cause a probe."""
    server.pages[CHAT] = plain(400, b"no")
    serve(platform, server, LIMIT, "30")
    platform.wait_request("take")
    before, begun_s = len(server.of("/health")), time.monotonic()
    for _ in range(5):
        error_of(platform.run({"messages": HELLO}))
    of_their_own = 1 + (time.monotonic() - begun_s) / 10  # one every 10 s, whatever happens
    assert len(server.of("/health")) - before <= of_their_own


def test_server_that_works_on_one_thing_at_a_time(platform, server, serve):
    """It answers no probe while it works: that does not count as unhealthy, however long the work takes."""
    working = threading.Event()
    server.pages[CHAT] = lambda talk: (working.wait(60), echo(talk))
    server.pages["/health"] = lambda talk: (not server.of(CHAT) or working.wait(60), talk.reply(200))
    process = serve(platform, server, LIMIT, "1", "--served-model", "m")
    job = platform.give(input={"messages": HELLO})
    server.wait(CHAT)
    server.wait("/health", len(server.of("/health")) + 4)
    working.set()
    assert platform.result(job)["output"]["target"] == CHAT
    assert not process.lines("unhealthy")


def test_work_is_a_sign_of_life(platform, server, serve):
    """As long as jobs are answered the worker goes on, whatever the health route says."""
    steps = [threading.Event() for _ in range(4)]
    server.pages[CHAT] = lambda talk: (steps[talk.json()["n"]].wait(60), echo(talk))
    process = serve(platform, server, LIMIT, "8", "--concurrency", "4", "--served-model", "m")
    jobs = [platform.give(input={"messages": HELLO, "sampling_params": {"n": n}}) for n in range(4)]
    server.wait(CHAT, 4)
    server.pages["/health"] = plain(503)
    process.wait_log("server is unhealthy")
    for job, step, looks in zip(jobs, steps, (8, 4, 4, 4)):  # 10 ms, 20 ms ... 1 s: less than the limit, more in all
        server.wait("/health", len(server.of("/health")) + looks)
        step.set()
        assert "output" in platform.result(job)
    server.pages["/health"] = plain(200)
    process.wait_log("healthy again")
    assert process.process.poll() is None


# ---- a server that fails every job ----


SICK = {  # the page of a server that fails every job, and how the log names that
    "500": (plain(500, b"the engine is dead"), "status 500"),
    "broken off": (lambda talk: talk.reset(), "no complete response"),
    "silent": (lambda talk: talk.wait_gone(), "a time-out"),
}


@pytest.mark.parametrize("how", SICK)
def test_server_that_fails_every_job_is_given_up(platform, server, serve, how):
    """Its health route says 200 all the while: so many failures count as a death, and the worker does not eat the queue."""
    server.pages[CHAT], words = SICK[how]
    flags = ["--handler-failures", "4", "--handler-deaths", "2", "--served-model", "m", "--concurrency", "1"]
    flags += ["--execution-timeout", "0.2"] if how == "silent" else []
    process = serve(platform, server, *flags)
    jobs = [platform.give(input={"messages": HELLO}) for _ in range(20)]
    assert process.wait() == 1
    assert len([job for job in jobs if platform.finals(job)]) <= 9
    assert len(process.lines(f"WARN.*counts as dead: 4 jobs in a row failed, the last one with {words}")) == 2
    assert process.lines("ERROR.*--handler-failures, --handler-deaths")


def test_failures_with_answers_between_them(platform, server, serve):
    """Nor do the failures of clients count, or a handler that is told not to count."""
    turns = iter([500, 500, 400, 200, 400, 500, 500, 200])
    server.pages[CHAT] = lambda talk: talk.reply(next(turns), {"ok": 1})
    process = serve(platform, server, "--handler-failures", "3", "--handler-deaths", "1", "--served-model", "m")
    for _ in range(8):
        platform.run({"messages": HELLO})
    assert process.process.poll() is None


def test_redirects_elsewhere_do_not_count(platform, server, serve):
    """The server has answered, if not with what the job can use."""
    server.pages[CHAT] = plain(307, headers=[("Location", "http://other.test/")])
    process = serve(platform, server, "--handler-failures", "1", "--handler-deaths", "1", "--served-model", "m")
    for _ in range(3):
        assert "another origin" in error_of(platform.run({"messages": HELLO}))["message"]
    assert process.process.poll() is None


def test_failures_that_do_not_count(platform, server, serve):
    server.pages[CHAT] = plain(500, b"no")
    process = serve(platform, server, "--handler-deaths", "1", "--served-model", "m", env={"RP_HANDLER_FAILURES": "0"})
    for _ in range(15):
        error_of(platform.run({"messages": HELLO}))
    assert process.process.poll() is None


def test_running_jobs_fail_when_the_server_is_given_up(platform, server, serve):
    """No clock of the worker's ends them: a server that has answered probes while it worked, and is silent now."""
    silent = threading.Event()
    server.pages[CHAT] = lambda talk: talk.wait_gone()
    server.pages["/health"] = lambda talk: talk.wait_gone() if silent.is_set() else talk.reply(200)
    process = serve(platform, server, LIMIT, "1", "--served-model", "m")
    job = platform.give(input={"messages": HELLO})
    server.wait(CHAT)
    server.wait("/health", len(server.of("/health")) + 3)
    silent.set()
    details = error_of(platform.result(job))
    assert details["code"] == 503 and LIMIT in details["message"]
    assert process.wait() == 1


def test_job_that_waits_for_the_server_may_be_stopped(platform, server, serve):
    server.pages |= {CHAT: plain(500, b"no"), "/health": plain(200)}
    process = serve(platform, server, LIMIT, "60", "--served-model", "m")
    platform.wait_request("take")
    server.pages["/health"] = plain(503)
    error_of(platform.run({"messages": HELLO}))
    process.wait_log("server is unhealthy")
    job = platform.give(input={"messages": HELLO})
    process.wait_log(f"{job} .*Started")
    platform.stop_jobs(job)
    process.wait_log(f"{job} .*Job stopped")
    server.pages |= {CHAT: echo, "/health": plain(200)}
    assert ask(platform, messages=HELLO)["target"] == CHAT
    assert not platform.finals(job) and len(server.of(CHAT)) == 2


def test_job_that_cannot_connect_waits(platform, serve, witness, tmp_path):
    """It was never sent: once the server is back it is."""
    path = tmp_path / "s.sock"
    first = BadServer(witness, path=path)
    first.pages[CHAT] = lambda talk: (talk.reply(200, {"from": "first"}, [("Connection", "close")]), talk.close())
    process = serve(platform, first, "--served-model", "m")
    assert ask(platform, messages=HELLO) == {"from": "first"}
    first.stop()
    job = platform.give(input={"messages": HELLO})
    process.wait_log("server is unhealthy")
    assert not platform.finals(job)
    second = BadServer(witness, path=path)
    second.pages[CHAT] = lambda talk: talk.reply(200, {"from": "second"})
    try:
        assert platform.result(job) == {"output": {"from": "second"}}
        assert len(second.of(CHAT)) == 1
    finally:
        second.stop()
