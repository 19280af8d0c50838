"""HTTP handlers whose server somebody else runs, was ready and then is not well; test_http_own.py has the worker's own."""

import threading

import pytest

from badserver import echo, plain
from httphandler import ask, error_of, serve, server  # noqa: F401 (fixtures)
from test_http_handler import CHAT, HELLO

LIMIT = "--handler-unhealthy-timeout"


@pytest.mark.parametrize("how", ["says so", "is silent", "refuses"])
def test_server_of_somebody_else_is_given_up(platform, server, serve, how):
    """The job that waits fails with the reason, then the worker ends, with a status that is not 0."""
    server.pages[CHAT] = echo
    process = serve(platform, server, LIMIT, "1", "--concurrency", "2")
    ask(platform, messages=HELLO)
    if how == "refuses":
        server.stop()
    else:
        server.pages["/health"] = plain(503) if how == "says so" else lambda talk: talk.wait_gone()
    process.wait_log("server is unhealthy")
    details = error_of(platform.run({"messages": HELLO}))
    assert details["code"] == 503 and LIMIT in details["message"] and "/health" in details["message"]
    assert process.wait() == 1
    assert len(server.of(CHAT)) == 1, "a job went to a server that is not well"


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
    """Not after the 10 s that an idle server is left alone."""
    server.pages[CHAT] = plain(500, b"CUDA error") if how == "500" else lambda talk: talk.reset()
    process = serve(platform, server, "--served-model", "m")
    platform.wait_request("take")
    server.pages["/health"] = plain(503)
    error_of(platform.run({"messages": HELLO}))
    process.wait_log("server is unhealthy", timeout_s=8)


def test_refused_requests_are_no_sign_of_illness(platform, server, serve):
    """A client's mistake costs the server nothing, not even a look."""
    server.pages[CHAT] = plain(400, b"no")
    serve(platform, server, LIMIT, "30")
    before = len(server.of("/health"))
    for _ in range(5):
        error_of(platform.run({"messages": HELLO}))
    assert len(server.of("/health")) - before <= 1


def test_server_that_works_on_one_thing_at_a_time(platform, server, serve):
    """It does not answer at its health route while it works: that is no illness, however long the work takes."""
    working = threading.Event()
    server.pages[CHAT] = lambda talk: (working.wait(60), echo(talk))
    server.pages["/health"] = lambda talk: talk.wait_gone() if server.of(CHAT) and not working.is_set() else talk.reply(200)
    process = serve(platform, server, LIMIT, "1", "--served-model", "m")
    job = platform.give(input={"messages": HELLO})
    server.wait(CHAT)
    server.wait("/health", len(server.of("/health")) + 4)
    working.set()
    assert platform.result(job)["output"]["target"] == CHAT
    assert not process.lines("unhealthy")


def test_work_is_a_sign_of_life(platform, server, serve):
    """Jobs are under way and go well: whatever the health route says, that is no reason to end."""
    steps = [threading.Event() for _ in range(4)]
    server.pages[CHAT] = lambda talk: (steps[talk.json()["n"]].wait(60), echo(talk))
    process = serve(platform, server, LIMIT, "5", "--concurrency", "4", "--served-model", "m")
    jobs = [platform.give(input={"messages": HELLO, "sampling_params": {"n": n}}) for n in range(4)]
    server.wait(CHAT, 4)
    server.pages["/health"] = plain(503)
    process.wait_log("server is unhealthy")
    for job, step, looks in zip(jobs, steps, (8, 3, 3, 3)):  # 10 ms, 20 ms ... 1 s: less than the limit, more in all
        server.wait("/health", len(server.of("/health")) + looks)
        step.set()
        assert "output" in platform.result(job)
    server.pages["/health"] = plain(200)
    process.wait_log("healthy again")
    assert process.process.poll() is None
