"""HTTP handlers whose server was ready and then is not well: looks at its health, restarts, the end; and how it is ended."""

import threading

import pytest

from badserver import echo, plain
from httphandler import ask, error_of, own, parts, serve, server  # noqa: F401 (fixtures)
from test_http_handler import CHAT, HELLO

LIMIT = "--handler-unhealthy-timeout"


@pytest.fixture
def sick(tmp_path):
    """The file that makes ownserver.py unhealthy."""
    return tmp_path / "sick"


# ---- a server that the worker has started ----


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_unhealthy_server_is_replaced(platform, own, sick, how):
    """No job is there to notice: its health is looked at while it is idle."""
    flags, env = ([LIMIT, "1"], {}) if how == "flag" else ([], {"RP_HANDLER_UNHEALTHY_TIMEOUT": "1"})
    process = own(f"sick={sick}", flags=flags, env=env)
    first = ask(platform, route="/echo", body=1)["pid"]
    sick.touch()
    process.wait_log("own server: starting", 2)
    sick.unlink()
    assert ask(platform, route="/echo", body=1)["pid"] != first
    assert process.lines("WARN.*was ended: it stayed unhealthy .*/health: it answers 503")


def test_unhealthy_server_fails_its_jobs_with_its_last_words(platform, own, sick):
    process = own(f"sick={sick}", flags=[LIMIT, "1"])
    job = platform.give(input={"route": "/stream"})
    platform.wait_for(lambda: parts(platform, job), "the first part")
    sick.touch()
    message = error_of(platform.result(job))["message"]
    assert "stayed unhealthy" in message and "the GPU has fallen off the bus" in message
    sick.unlink()
    assert ask(platform, route="/echo", body=2)["body"] == 2
    assert process.process.poll() is None


def test_server_that_gets_well_in_time_is_left_alone(platform, own, sick):
    """And a job that comes meanwhile waits for it."""
    process = own(f"sick={sick}", flags=[LIMIT, "25"])
    first = ask(platform, route="/echo", body=1)["pid"]
    sick.touch()
    process.wait_log("server is unhealthy")
    job = platform.give(input={"route": "/echo", "body": 2})
    process.wait_log(f"{job} .*Started")
    assert not platform.finals(job)
    sick.unlink()
    assert platform.result(job)["output"] == {"body": 2, "pid": first}
    assert process.lines(r"healthy again after \d+ ms")


def test_after_so_many_in_a_row_the_worker_ends(platform, own, sick, tmp_path):
    """With the error and the last words for the job that waits, and a status that has the platform replace it."""
    starts = tmp_path / "starts"
    process = own(f"sick={sick}", f"starts={starts}", flags=[LIMIT, "1", "--handler-deaths", "2"])
    platform.wait_request("take")
    sick.touch()
    process.wait_log("own server: starting", 2)
    sick.unlink()
    process.wait_log("server is ready", 2)
    sick.touch()
    process.wait_log("server is unhealthy", 2)
    message = error_of(platform.run({"route": "/echo", "body": 1}))["message"]
    assert "--handler-deaths" in message and "unhealthy" in message and "the GPU has fallen off the bus" in message
    assert process.wait() == 1
    assert len(starts.read_text().splitlines()) == 2


def test_unhealthy_server_that_ignores_sigterm_is_killed(platform, own, sick):
    process = own(f"sick={sick}", "lasts=600", flags=[LIMIT, "1", "--kill-grace", "0.1"])
    platform.wait_request("take")
    sick.touch()
    process.wait_log("own server: starting", 2)


# ---- a server that somebody else runs ----


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


# ---- the end of a server that the worker has started ----


@pytest.mark.parametrize("grace, ends_itself", [("flag", False), ("variable", False), ("default", True)])
def test_kill_grace(platform, own, grace, ends_itself):
    """A server that goes on for 2 s after SIGTERM: with a short grace it does not get so far, with the default it does."""
    flags, env = (["--kill-grace", "0.1"] if grace == "flag" else []), ({"RP_KILL_GRACE": "0.1"} if grace == "variable" else {})
    process = own("lasts=2", flags=flags, env=env)
    ask(platform, route="/echo", body={})
    process.terminate()
    assert process.wait() == 0
    assert bool(process.lines("own server: good-bye")) is ends_itself
