"""tests/CONTRACT.md, "Signals": take no more, finish, post, exit 0 at once; nothing stays behind."""

import json
import os
import signal
import socket
from pathlib import Path

import pytest

from actions import answer, hand_out, hold, raw, reset, stall
from children import sh
from own_handlers import Gate, own, steps
from wire import encode

BOTH = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])


@BOTH
@pytest.mark.smoke
def test_idle_worker_exits_at_once(platform, worker, number):
    """The open polls, which the platform would hold for 25 s more, are dropped."""
    process = worker(platform)
    platform.wait_idle()
    platform.wait_request("stop")
    process.signal(number)
    assert process.wait() == 0
    polls = platform.wait_for(
        lambda: [request for request in platform.record if request.route in ("take", "stop") and request.dropped],
        "dropped polls",
    )
    assert len(polls) >= 1
    platform.wait_for(lambda: all(connection.closed_by for connection in platform.connections), "the connections' end")


@BOTH
def test_running_job_finishes_and_posts(platform, worker, tmp_path, number):
    gate = Gate(tmp_path / "gate")
    process = worker(platform, handler=own("steps"))
    job = platform.give(input=steps(gate.step, {"return": "finished"}))
    process.wait_log("at step 1")
    process.signal(number)
    process.wait_log("Waiting for 1 job")  # said when nothing is taken any more
    gate.open()
    assert platform.result(job) == {"output": "finished"}
    assert process.wait() == 0
    assert len(platform.requests("take")) == 1


def test_jobs_that_wait_for_their_turn_are_not_lost(platform, worker):
    """They were taken: each runs or is handed back as an error."""
    process = worker(platform, handler="mock")
    platform.script("take", hand_out(*[{"id": f"job-{n}", "input": {"mock_delay": 0.3}} for n in range(3)]))
    process.wait_log(r"Started\.")
    process.terminate()
    assert process.wait() == 0
    for number in range(3):
        assert set(platform.result(f"job-{number}")) & {"output", "error"}


@BOTH
def test_second_signal_is_for_the_impatient(platform, worker, number):
    """It ends the worker now, and the log says whose results are lost by that."""
    process = worker(platform, handler="mock")
    job = platform.give(input={"mock_delay": 600})
    process.wait_log(r"Started\.")
    process.signal(number)
    process.wait_log("(?i)shutting down|SIG(TERM|INT)")
    process.signal(number)
    assert process.wait() == 1
    assert process.lines(f"ERROR.*{job}")


def test_result_is_retried_after_the_signal(platform, worker):
    process = worker(platform, handler="mock")
    platform.script("done", reset(), answer(503))
    job = platform.give(input={"mock_delay": 0.5, "mock_return": "finished"})
    process.wait_log(r"Started\.")
    process.terminate()
    assert platform.result(job) == {"output": "finished"}
    assert process.wait() == 0


def test_grace_is_bounded(platform, worker):
    """A platform that never takes the result does not keep the worker for ever."""
    platform.always("done", answer(503))
    process = worker(platform, env={"RP_SHUTDOWN_GRACE_S": "1"})
    platform.give(input=1)
    platform.wait_final("job-1")
    process.terminate()
    process.wait()
    assert process.lines("ERROR.*job-1")


def test_handler_that_never_ends_is_left_after_the_grace(platform, worker):
    process = worker(platform, handler="mock", env={"RP_SHUTDOWN_GRACE_S": "1"})
    platform.give(input={"mock_delay": 600})
    process.wait_log(r"Started\.")
    process.terminate()
    process.wait()


def test_during_the_pause_after_an_error(platform, worker):
    platform.always("take", answer(500))
    platform.always("stop", answer(500))
    process = worker(platform)
    platform.wait_request("take", 3)
    process.terminate()
    assert process.wait() == 0


def test_during_the_pause_after_429(platform, worker):
    platform.script("take", answer(429))
    platform.script("stop", answer(429))
    process = worker(platform)
    platform.wait_for(
        lambda: all(platform.requests(route) and platform.requests(route)[0].answered for route in ("take", "stop")),
        "both 429",
    )
    process.terminate()
    assert process.wait() == 0


def test_while_nobody_accepts(platform, worker, deaf_port):
    """connect() itself blocks."""
    url = f"http://127.0.0.1:{deaf_port}/v2/x/job-take/$ID?a=b"
    process = worker(platform, env={"RUNPOD_WEBHOOK_GET_JOB": url})
    platform.wait_request("ping")
    process.terminate()
    assert process.wait() == 0


def test_during_a_tls_handshake_that_hangs(platform, make_platform, worker):
    """A server that accepts and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        listener.settimeout(30)
        url = f"https://localhost:{listener.getsockname()[1]}/v2/x/job-take/$ID?a=b"
        process = worker(platform, env={"RUNPOD_WEBHOOK_GET_JOB": url})
        first, _ = listener.accept()
        assert first.recv(1) == b"\x16"
        process.terminate()
        assert process.wait() == 0
        first.close()


def test_during_a_ping(platform, worker):
    platform.script("ping", hold())
    process = worker(platform)
    platform.wait_request("ping")
    process.terminate()
    assert process.wait() == 0


def test_during_a_slow_answer(platform, worker):
    """A job of which only a part has come is nobody's yet: the platform keeps it, or it is run."""
    whole = encode(200, {"id": "torn", "input": 1})
    held = hold()
    platform.script("take", held)
    process = worker(platform)
    platform.wait_for(held.reached.is_set, "the take")
    held.release(raw(whole[:-5]))
    platform.wait_request("ping")
    process.terminate()
    assert process.wait() == 0
    assert not platform.requests("done")


@pytest.mark.parametrize("round_number", range(5))
def test_job_on_the_open_take_after_the_signal(platform, worker, round_number):
    """Either the platform keeps the job, or it is run, or it comes back as an error. It is never lost."""
    process = worker(platform)
    platform.wait_idle()
    process.terminate()
    platform.give({"id": "late", "input": "late"})
    assert process.wait() == 0
    platform.wait_for(lambda: all(connection.closed_by for connection in platform.connections), "the connections' end")
    handed = [take for take in platform.requests("take") if take.jobs]
    if handed:
        connection = platform.connections[handed[0].connection - 1]
        assert connection.closed_by == "worker's reset" or platform.finals("late"), "taken and lost"
    else:
        assert platform.pending()


def test_job_that_is_on_its_way_when_the_signal_comes(platform, worker):
    """The worker closes its half of the open take; what the platform had sent by then is still taken, and run."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v2/ep/job-take/$ID?gpu=L4"
        process = worker(platform, env={"RUNPOD_WEBHOOK_GET_JOB": url})
        polls = {}
        while set(polls) != {b"job-take", b"job-stop"}:
            connection, _ = listener.accept()
            polls[connection.recv(4096).split(b"/")[3]] = connection
        process.terminate()
        take = polls[b"job-take"]
        assert take.recv(1) == b"", "the end of the worker's half"
        take.sendall(encode(200, {"id": "late", "input": "late"}))
        assert platform.result("late") == {"output": "late"}
        assert process.wait() == 0
        for connection in polls.values():
            connection.close()


def queues(local_port, remote_port):
    """(bytes not yet received by the peer, bytes not yet read here) of one end of a connection, as /proc tells it."""
    for line in Path("/proc/net/tcp").read_text().splitlines():
        fields = line.split()
        if fields[1].endswith(f":{local_port:04X}") and fields[2].endswith(f":{remote_port:04X}"):
            return tuple(int(number, 16) for number in fields[4].split(":"))
    return 0, 0


def on_the_way(platform, connection):
    """Whether the worker's process has not read all that was sent to it; our end is asked first, then its."""
    port = connection.peer[1]
    return (
        connection.transport.get_write_buffer_size() or queues(platform.port, port)[0] or queues(port, platform.port)[1]
    )


def test_job_that_was_read_just_before_the_signal(platform, worker):
    """Its last byte has left the socket, the worker still looks through the megabytes: the job is taken, so it runs.

    Seen from outside: the signal comes as soon as the kernel holds nothing more for the worker.
    """
    values = [0] * 4_000_000
    whole = encode(200, {"id": "read", "input": values})
    held = hold()
    platform.script("take", held)
    process = worker(platform, env={"RP_SHUTDOWN_GRACE_S": "20"})
    platform.wait_for(held.reached.is_set, "the take")
    connection = platform.connections[held.exchange.request.connection - 1]
    held.release(raw(whole, label="a large job"))
    platform.wait_for(lambda: held.exchange.request.answered, "the hand-out")
    while on_the_way(platform, connection):
        pass
    process.terminate()
    assert platform.result("read") == {"output": values}
    assert process.wait() == 0


def test_while_the_platform_reads_nothing(platform, worker):
    """A result half sent to somebody who does not read on: the grace ends that, too."""
    stalled = stall()
    platform.script("done", stalled)
    process = worker(platform, env={"RP_SHUTDOWN_GRACE_S": "1"})
    platform.give({"id": "stuck", "input": "x" * 9_000_000})
    platform.wait_for(stalled.reached.is_set, "the post")
    process.terminate()
    process.wait()
    assert process.lines("ERROR.*stuck")


def test_no_request_after_the_end_of_the_job(platform, worker, tmp_path):
    gate = Gate(tmp_path / "gate")
    process = worker(platform, handler=own("steps"), env={"RUNPOD_PING_INTERVAL": "100"})
    job = platform.give(input=steps(gate.step))
    process.wait_log("at step 1")
    process.terminate()
    process.wait_log("Waiting for 1 job")  # said when nothing is taken any more
    gate.open()
    platform.result(job)
    assert process.wait() == 0
    last = platform.requests("done")[-1]
    assert not [request for request in platform.record if request.number > last.number and request.route == "take"]


def test_kill_leaves_nothing_behind(platform, worker):
    process = worker(platform, handler="mock")
    platform.give(input={"mock_delay": 600})
    process.wait_log(r"Started\.")
    process.killed = True
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not process.leftovers()
    platform.wait_for(lambda: all(connection.closed_by for connection in platform.connections), "the connections' end")


def test_reader_of_the_log_that_went_away(platform, worker):
    """Nobody reads standard output any more: jobs go on, SIGPIPE kills nothing."""
    worker(platform, prefix=["/bin/sh", "-c", '"$@" | :', "sh"])
    for number in range(3):
        assert platform.run(number) == {"output": number}


# ---- what a signal waits for ----


@pytest.mark.parametrize("grace", [None, "25"])
def test_log_says_what_is_waited_for_and_how_long(platform, worker, tmp_path, grace):
    """As the SDK, without a limit of its own unless one is set."""
    gate = Gate(tmp_path / "gate")
    process = worker(platform, handler=own("steps"), env={"RP_SHUTDOWN_GRACE_S": grace})
    job = platform.give(input=steps(gate.step, {"return": "finished"}))
    process.wait_log("at step 1")
    process.terminate()
    line = process.wait_log("INFO .*Waiting for ")
    assert f"1 job ({job})" in line and "second signal" in line and "RP_SHUTDOWN_GRACE_S" in line
    assert "so far" not in line and ("no time limit" in line) is (grace is None) and ("25 s left" in line) is (grace is not None)
    gate.open()
    assert platform.result(job) == {"output": "finished"}
    assert process.wait() == 0


def test_only_some_of_many_ids_are_named(platform, worker, tmp_path):
    gate = Gate(tmp_path / "gate")
    process = worker(platform, handler=own("steps"))
    jobs = [{"id": f"{n}-" + "x" * 100, "input": steps(*[gate.step] * (n == 0), {"return": n})} for n in range(6)]
    platform.script("take", hand_out(*jobs))
    process.wait_log("at step 1")
    process.terminate()
    line = process.wait_log("INFO .*Waiting for 6 jobs ")
    assert " and others) to end" in line and sum(job["id"] in line for job in jobs) == 3
    gate.open()
    assert process.wait() == 0
    assert [platform.result(job["id"]) for job in jobs] == [{"output": n} for n in range(6)]


def test_an_idle_worker_waits_for_nothing(platform, worker):
    process = worker(platform)
    platform.wait_idle()
    process.terminate()
    assert process.wait() == 0
    assert not process.lines("Waiting for")


@BOTH
@pytest.mark.parametrize("kind", ["linked", "program"])
def test_a_local_run_ends_at_the_first_signal(worker, tmp_path, number, kind):
    """Whoever presses Ctrl-C wants the prompt back; a program is ended with it."""
    flags, handler, job = [], own("steps"), steps({"await_stop": 600000})
    if kind == "program":
        flags, handler, job = ["--handler", sh("read -r job; echo at step 1 >&2; exec sleep 600")], "worker", 1
    process = worker(None, *flags, "--test_input", json.dumps({"input": job}), handler=handler)
    process.wait_log("at step 1")
    process.signal(number)
    assert process.wait() == 1
    assert process.lines("ERROR.*local_test") and not process.lines("Job result")
