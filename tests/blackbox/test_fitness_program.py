"""--fitness PROGRAM: a check in any language, beside those that a C program registers."""

import os
import signal

import pytest

from children import actor, program, sh, wait_gone  # noqa: F401
from test_fitness import REAL, UNFIT, report_of


def test_a_fit_machine_takes_jobs(platform, worker):
    process = worker(platform, "--fitness", sh("echo all is well; exit 0"))
    assert platform.run(1) == {"output": 1}
    assert all(ping.param("status") is None for ping in platform.requests("ping"))
    assert process.lines("INFO .*all is well")


@pytest.mark.parametrize("script, reason", [
    ("echo looking; echo no room left >&2; exit 3", "exited with status 3: no room left"),
    ("echo first >&2; printf 'the last, without a line feed'; exit 1",
     "exited with status 1: the last, without a line feed"),
    ("printf 'a line\\n\\n\\n'; exit 1", "exited with status 1: a line"),
    ("exit 77", "exited with status 77"),
    ("echo ouch; kill -SEGV $$", "was killed by signal 11 (SIGSEGV): ouch"),
], ids=["stderr", "both", "empty lines", "silent", "signal"])
def test_an_unfit_machine_says_why_and_takes_no_job(platform, worker, script, reason):
    process = worker(platform, env={"RP_FITNESS": sh(script)})
    platform.give(input=1)
    assert process.wait() == 1
    ping = report_of(platform)
    assert (ping.param("check"), ping.param("reason")) == ("fitness", f"The program {reason}")
    assert process.lines("ERROR.*Fitness check failed: fitness")
    assert platform.pending(), "the job, which nobody took"


def test_all_it_says_is_in_the_log(platform, worker):
    process = worker(platform, "--fitness", sh("echo one; echo two >&2; echo three; exit 1"))
    assert process.wait() == 1
    said = [line.rpartition(" ")[2] for line in process.lines("INFO .*(one|two|three)$")]
    assert said == ["one", "two", "three"]


@pytest.mark.parametrize("said", ["x" * 100_000, "ž" * 50_000 + "\n"], ids=["no line feed", "two bytes"])
def test_a_long_last_line_is_cut(platform, worker, tmp_path, said):
    file = tmp_path / "said"
    file.write_text(said)
    process = worker(platform, "--fitness", sh(f"cat {file}; exit 1"))
    assert process.wait() == 1
    reason = report_of(platform).param("reason")
    assert reason.startswith("The program exited with status 1") and "\ufffd" not in reason


@pytest.mark.parametrize("what", ["echo waiting; exec sleep 600", "trap '' TERM; while :; do echo waiting; done"],
                         ids=["silent", "chatty"])
def test_one_that_does_not_end_is_killed(platform, worker, what):
    process = worker(platform, "--fitness", sh(what), "--fitness-timeout", "2", env={"RUNPOD_LOG_LEVEL": "WARN"})
    assert process.wait() == 1
    assert report_of(platform).param("reason") == "The program took longer than 2 s: waiting"


@pytest.mark.parametrize("status", [0, 1])
def test_what_it_has_started_goes_with_it(platform, worker, tmp_path, status):
    file = tmp_path / "pid"
    process = worker(platform, "--fitness", sh(f"setsid sleep 600 >&2 & echo $! >{file}; exit {status}"))
    if status == 0:
        assert platform.run(1) == {"output": 1}
    else:
        assert process.wait() == 1
    wait_gone(platform, int(file.read_text()))


def test_it_finds_no_key_no_descriptor_and_nothing_to_read(platform, worker):
    """What a handler's program would find, with nothing on its standard input."""
    script = "read -r line && exit 9; [ -z \"$RUNPOD_AI_API_KEY\" ] || exit 8; [ ! -e /proc/self/fd/3 ] || exit 7"
    worker(platform, "--fitness", sh(script))
    assert platform.run(1) == {"output": 1}


def test_the_key_is_passed_when_asked_for(platform, worker):
    worker(platform, "--fitness", sh('[ -n "$RUNPOD_AI_API_KEY" ]'), "--pass-api-key")
    assert platform.run(1) == {"output": 1}


@pytest.mark.parametrize("command, told", [
    ("/nowhere/to/be", "/nowhere/to/be"), ("not-there-at-all", "PATH"), ("'open", "quote"), ("  ", "empty"),
    ("/etc/passwd", "not an executable file")])
def test_one_that_is_not_there(platform, worker, command, told):
    process = worker(platform, "--fitness", command)
    assert process.wait() == 2
    assert process.lines(f"--fitness: .*{told}") and not platform.record


def test_a_file_that_is_no_program(platform, worker, tmp_path):
    file = tmp_path / "script"
    file.write_text("no interpreter is named\n")
    file.chmod(0o755)
    process = worker(platform, "--fitness", str(file))
    assert process.wait() == 2
    assert process.lines("ERROR.*--fitness: cannot run") and not platform.record


def test_order(platform, worker):
    """After those of the machine; test_start.py has all of it."""
    process = worker(platform, "--fitness", sh("echo the program has run"), env={**REAL, **UNFIT["memory_check"][0]})
    assert process.wait() == 1
    assert report_of(platform).param("check") == "memory_check"
    assert not process.lines("has run")


def test_it_runs_where_the_automatic_checks_are_left_out(platform, worker):
    process = worker(platform, "--fitness", "/bin/false", env={"RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true"})
    assert process.wait() == 1
    assert report_of(platform).param("check") == "fitness"


def test_beside_a_child_handler(platform, actor, tmp_path):  # noqa: F811
    file = tmp_path / "checked"
    actor("--fitness", sh(f"touch {file}"), "--concurrency", "2")
    assert platform.run({"do": [["output", 1]]}) == {"output": 1}
    assert file.exists()


@pytest.mark.parametrize("handler", [[], ["--handler", program("actor.py")]], ids=["linked", "child"])
def test_a_signal_while_it_runs_reports_nothing(platform, worker, tmp_path, handler):
    file = tmp_path / "pid"
    process = worker(platform, "--fitness", sh(f"echo $$ >{file}; echo it runs; exec sleep 600"), *handler,
                     handler="worker" if handler else "echo")
    process.wait_log("it runs")
    process.terminate()
    assert process.wait() == 0
    assert not platform.record
    wait_gone(platform, int(file.read_text()))


def test_a_killed_worker_takes_it_along(platform, worker, tmp_path):
    file = tmp_path / "pid"
    process = worker(platform, "--fitness", sh(f"echo $$ >{file}; echo it runs; exec sleep 600"))
    process.wait_log("it runs")
    process.killed = True
    process.signal(signal.SIGKILL)
    process.wait()
    wait_gone(platform, int(file.read_text()))


def test_local_runs_do_without(local, tmp_path):
    done = local("--fitness", sh(f"touch {tmp_path}/ran; exit 1"), "--test_input", '{"input": 1}')
    assert done.returncode == 0, done.stdout
    assert "ran" not in os.listdir(tmp_path)
