"""HTTP handlers whose server the worker starts: its output, crashes, health and end."""

import os
import signal

import pytest

from httphandler import ask, error_of, own, own_server, parts  # noqa: F401 (fixtures)
from servers import free_port
from starts import start_error, told

LIMIT = "--handler-unhealthy-timeout"


@pytest.fixture
def sick(tmp_path):
    """The file that makes ownserver.py unhealthy."""
    return tmp_path / "sick"


# ---- start and crashes ----


def test_server_is_started_and_ended(platform, own):
    process = own()
    got = ask(platform, route="/echo", body={"a": 1})
    assert got["body"] == {"a": 1}
    assert process.lines("own server: starting"), "its output is in the log"
    process.terminate()
    assert process.wait() == 0
    with pytest.raises(ProcessLookupError):
        os.kill(got["pid"], 0)


def test_variables(platform, worker):
    port = free_port()
    env = {"RP_HANDLER": own_server(port), "RP_HANDLER_HTTP": f"http://127.0.0.1:{port}"}
    worker(platform, handler="worker", env=env)
    assert ask(platform, route="/echo", body=3)["body"] == 3


def test_the_server_does_not_see_the_key(platform, own):
    own()
    seen = ask(platform, route="/environment")
    assert not [name for name, value in seen.items() if value == platform.key or name == "RUNPOD_AI_API_KEY"]


def test_server_that_dies_in_a_job_is_restarted(platform, own):
    own()
    first = ask(platform, route="/echo", body=1)["pid"]
    details = error_of(platform.run({"route": "/exit", "body": {"status": 9}}))
    assert "9" in details["message"] and "these are my last words" in details["message"]
    assert ask(platform, route="/echo", body=1)["pid"] != first


def test_stream_that_only_the_connection_ends(platform, own):
    """When the server is killed the response looks complete: the job fails all the same."""
    own()
    pid = ask(platform, route="/echo", body=1)["pid"]
    job = platform.give(input={"route": "/stream"})
    platform.wait_for(lambda: parts(platform, job), "the first part")
    os.kill(pid, signal.SIGKILL)
    assert "SIGKILL" in error_of(platform.result(job))["message"]


def test_no_job_while_it_restarts(platform, own, tmp_path):
    """The new server is not ready yet: the next job waits for it."""
    ready = tmp_path / "ready"
    ready.touch()
    process = own(f"ready={ready}")
    ask(platform, route="/echo", body=1)
    ready.unlink()
    error_of(platform.run({"route": "/exit", "body": {"status": 1}}))
    job = platform.give(input={"route": "/echo", "body": 5})
    process.wait_log("own server: starting", 2)
    assert not platform.finals(job)
    ready.touch()
    assert platform.result(job)["output"]["body"] == 5


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_server_that_dies_at_its_start(platform, own, tmp_path, how):
    """Out of memory: after --handler-deaths starts in a row the worker ends, and logs the server's last words."""
    platform.poll_s = 0
    starts = tmp_path / "starts"
    flags = ["--handler-deaths", "3"] if how == "flag" else []
    process = own("dies=137", f"starts={starts}", flags=flags, env={"RP_HANDLER_DEATHS": "3"} if how != "flag" else {})
    assert process.wait() not in (0, 2)
    assert len(starts.read_text().splitlines()) == 3
    assert "cannot allocate memory for the model" in process.log and "137" in process.log
    told(platform, "handler_http", "cannot allocate memory for the model")


def test_program_that_is_not_there(platform, worker):
    process = worker(platform, "--handler", "/no/such/server", "--handler-http", "http://127.0.0.1:9", handler="worker")
    assert process.wait() != 0 and "/no/such/server" in process.log


# ---- a server that becomes unhealthy ----


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_unhealthy_server_is_replaced(platform, own, sick, how):
    """An idle server is probed too."""
    flags, env = ([LIMIT, "2"], {}) if how == "flag" else ([], {"RP_HANDLER_UNHEALTHY_TIMEOUT": "2"})
    process = own(f"sick={sick}", flags=flags, env=env)
    first = ask(platform, route="/echo", body=1)["pid"]
    sick.touch()
    process.wait_log("own server: starting", 2)
    sick.unlink()
    assert ask(platform, route="/echo", body=1)["pid"] != first
    assert process.lines("WARN.*was stopped because it stayed unhealthy .*/health: status 503")


def test_unhealthy_server_fails_its_jobs_with_its_last_words(platform, own, sick):
    process = own(f"sick={sick}", flags=[LIMIT, "2"])
    job = platform.give(input={"route": "/stream"})
    platform.wait_for(lambda: parts(platform, job), "the first part")
    sick.touch()
    message = error_of(platform.result(job))["message"]
    assert "stayed unhealthy" in message and "the GPU has fallen off the bus" in message
    sick.unlink()
    assert ask(platform, route="/echo", body=2)["body"] == 2
    assert process.process.poll() is None


def test_server_that_gets_well_in_time_is_left_alone(platform, own, sick):
    """A job that arrives meanwhile waits for it."""
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
    """The waiting job gets the error and the last words; the exit status has the platform replace the worker."""
    starts = tmp_path / "starts"
    process = own(f"sick={sick}", f"starts={starts}", flags=[LIMIT, "2", "--handler-deaths", "2"])
    platform.wait_request("take")
    sick.touch()
    process.wait_log("own server: starting", 2)
    sick.unlink()
    process.wait_log("server is ready", 2)
    sick.touch()
    process.wait_log("server is unhealthy", 2)
    error = start_error(platform.run({"route": "/echo", "body": 1}))
    assert "--handler-deaths" in error["error_message"] and "unhealthy" in error["error_message"]
    assert "the GPU has fallen off the bus" in error["error_traceback"]
    assert process.wait() == 1
    assert len(starts.read_text().splitlines()) == 2


def test_unhealthy_server_that_ignores_sigterm_is_killed(platform, own, sick):
    process = own(f"sick={sick}", "lasts=600", flags=[LIMIT, "2", "--kill-grace", "0.1"])
    platform.wait_request("take")
    sick.touch()
    process.wait_log("own server: starting", 2)


def test_server_that_fails_every_job_is_replaced(platform, own):
    """/health says 200 all the while."""
    process = own(flags=["--handler-failures", "3", "--concurrency", "1"])
    first = ask(platform, route="/echo", body=1)["pid"]
    for _ in range(3):
        assert error_of(platform.run({"route": "/fail", "body": 1}))["code"] == 500
    assert ask(platform, route="/echo", body=2)["pid"] != first
    assert process.lines("WARN.*was stopped because 3 jobs in a row failed, the last one with status 500")


# ---- the end ----


@pytest.mark.parametrize("grace, ends_itself", [("flag", False), ("variable", False), ("default", True)])
def test_kill_grace(platform, own, grace, ends_itself):
    """A server that goes on after SIGTERM: a short grace kills it, the default lets it have 2 s."""
    flags, env = (["--kill-grace", "0.1"] if grace == "flag" else []), ({"RP_KILL_GRACE": "0.1"} if grace == "variable" else {})
    process = own(f"lasts={2 if ends_itself else 600}", flags=flags, env=env)
    ask(platform, route="/echo", body=1)
    process.terminate()
    assert process.wait() == 0
    assert bool(process.lines("own server: good-bye")) is ends_itself
