"""Handlers that are programs: a job a line."""

import glob
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

import actions
from children import (PROGRAMS, actor, children_of, descriptors, do, failure, is_alive, pid_of, program, sh,  # noqa: F401
                      wait_gone, wait_reaped)
from starts import told

CRASHES = {
    "exit": (do(("error", "the last word"), ("exit", 3)), "exited with status 3.*standard error:\nthe last word"),
    "exit 0": (do(("exit", 0)), "exited with status 0"),
    "segfault": (do(("signal", signal.SIGSEGV)), "killed by signal 11 \\(SIGSEGV\\)"),
    "killed": (do(("signal", signal.SIGKILL)), "killed by signal 9 \\(SIGKILL"),
    "half an answer": (do(("raw", '{"output": 1'), ("exit", 0)), "not valid JSON|exited with status 0"),
    "closed pipe": (do(("close", 1), ("sleep", 600)), "closed its standard output"),
    "too much": (do(("raw", "x", 1500000), ("sleep", 600)), "wrote too much.*limit"),
}


@pytest.mark.parametrize("name", CRASHES)
def test_what_a_child_does_costs_its_own_job(name, actor, platform, tmp_path):
    acts, told = CRASHES[name]
    process = actor(env={"RP_MAX_RESULT_MB": "1"})
    first = pid_of(platform)
    error = failure(platform.run(acts))
    assert re.search(told, error["error_message"], re.S)
    assert error["error_type"] in ("HandlerCrashed", "ResultError")
    second = pid_of(platform)
    assert second != first and not is_alive(first)
    wait_reaped(platform, process)


def test_one_process_answers_job_after_job(actor, platform):
    actor()
    assert len({pid_of(platform) for _ in range(5)}) == 1


@pytest.mark.parametrize("value", [None, True, 0, "x\n\"ä\u2028", [1, {"a": []}], {"": {}}], ids=repr)
def test_outputs_arrive_as_they_are(value, actor, platform):
    actor()
    expected = {} if value == {} else {"output": value}
    assert platform.run(do(("output", value))) == expected


def test_a_job_of_many_lines_arrives_on_one(worker, platform):
    worker(platform, "--handler", program("echo.py"), handler="worker")
    job = {"id": "pretty", "input": {"text": "a\nb\r\n", "list": [1, 2]}, "webhook": None}
    platform.script("take", actions.answer(200, json.dumps(job, indent=3).replace("\n", "\r\n").encode()))
    assert platform.result("pretty") == {"output": job["input"]}


def test_what_else_it_says_is_in_the_log_under_the_job(actor, platform):
    process = actor()
    job = platform.give(input=do(
        ("raw", "plain text\n[1]\n{\"no\": \"message\"}\n\n{broken\n"),
        ("error", "an error line"),
        ("say", {"log": "a warning", "level": "WARN"}),
        ("say", {"log": {"structured": 1}}),
        ("say", {"log": "python's", "level": "warning"}),
        ("output", "done"),
    ))
    assert platform.result(job) == {"output": "done"}
    for line in ("INFO .*plain text", "INFO .*\\[1\\]", 'INFO .*{"no": "message"}', "INFO .*{broken", "INFO .*an error line",
                 "WARN .*a warning", 'INFO .*{"structured": 1}', "WARN .*python's"):
        assert job in process.wait_log(line)


def test_an_answer_that_is_no_json_fails_at_once(actor, platform):
    actor()
    pid = pid_of(platform)
    error = failure(platform.run(do(("raw", '{"output": NaN}\n'))))
    assert error["error_type"] == "ResultError" and "not valid JSON" in error["error_message"]
    assert pid_of(platform) == pid


@pytest.mark.parametrize("before", ["loading... ", "\r 10%|#  | 1/10\r100%|###| 10/10", "\ufeff", "\x1b[0m"], ids=repr)
def test_text_before_the_answer_hides_nothing(before, actor, platform):
    actor()
    assert platform.run(do(("raw", before + '{"output": "ok"}\n'))) == {"output": "ok"}


@pytest.mark.parametrize("line", ['{"id": "x", "output": NaN}', '{"log": NaN}', 'loading... {"output": NaN}', '{"output": {'])
def test_a_line_that_is_almost_a_message_fails_the_job_at_once(line, actor, platform):
    actor()
    assert "not valid JSON" in failure(platform.run(do(("raw", line + "\n"))))["error_message"]


def test_colours_around_the_answer_hide_nothing(actor, platform):
    """As `tput` switches them on and off."""
    actor()
    assert platform.run(do(("raw", 'done: \x1b[32m{"output": "ok"}\x1b(B\x1b[m\n'))) == {"output": "ok"}


@pytest.mark.parametrize("value", [{"output": [1, None, "it's"]}, {"error": "bad"}], ids=repr)
def test_what_python_prints_of_an_object_fails_the_job_at_once(value, actor, platform):
    actor()
    assert "not valid JSON" in failure(platform.run(do(("raw", f"{value}\n"))))["error_message"]


def test_an_object_of_the_programs_own_is_text_however_it_is_printed(actor, platform):
    actor()
    acts = do(("raw", f"{ {'output': 1, 'status': 'ok'} }\n"), ("output", "ok"))
    assert platform.run(acts) == {"output": "ok"}


@pytest.mark.parametrize("printed", ['{\n  "result": 1\n}\n', '{"result": 1}\n', '{"output": 1}', ""], ids=repr)
def test_after_ten_seconds_without_an_answer_one_warning_says_what_is_missing(printed, actor, platform):
    process = actor(env={"RP_SHUTDOWN_GRACE_S": "0"})
    job = platform.give(input=do(("raw", printed), ("sleep", 600)))
    assert job in process.wait_log("WARN .*No answer for 10 s. A job ends with one line")
    process.terminate()
    process.wait()


@pytest.mark.parametrize("number", [0, 1])
def test_one_that_closes_a_stream_while_it_is_idle_is_replaced(number, worker, platform, tmp_path):
    """It waits for the gate, since one that has closed it with its answer is replaced at once, without a word."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    script = (f"read -r job; echo '{{\"output\": \"'$$'\"}}'; read -r go <{gate}; "
              f"exec {number}{'<' if number == 0 else '>'}&-; exec sleep 600")
    process = worker(platform, "--handler", sh(script), handler="worker")
    first = platform.run(1)
    gate.write_text("go\n")
    process.wait_log("closed its standard (input|output) while it had no job")
    assert platform.run(2) != first


def test_after_a_crash_jobs_go_to_a_program_that_is_ready(worker, platform, tmp_path):
    """Two slots. The program of one dies and its next one never gets ready: all jobs go to the other."""
    gate = tmp_path / "gate"
    script = (f"if [ -e {gate} ]; then exec sleep 600; fi; echo '{{\"ready\": true}}'; while read -r job; do "
              f"case $job in *die*) : >{gate}; exit 3;; esac; echo '{{\"output\": \"'$$'\"}}'; done")
    process = worker(platform, "--handler", sh(script), "--handler-ready", "line", "--concurrency", "2",
                     "--execution-timeout", "20", handler="worker", env={"RP_SHUTDOWN_GRACE_S": "0"})
    failure(platform.run("die"))
    pids = {platform.run(number)["output"] for number in range(6)}
    assert len(pids) == 1 and not process.ended


def test_a_job_that_is_stopped_before_any_program_is_ready(worker, platform, tmp_path):
    """It waits for a program that never gets ready, and need not wait to be stopped."""
    gate = tmp_path / "gate"
    script = (f"if [ -e {gate} ]; then echo loading >&2; exec sleep 600; fi; echo '{{\"ready\": true}}'; "
              f"read -r job; : >{gate}; exit 3")
    process = worker(platform, "--handler", sh(script), "--handler-ready", "line", handler="worker")
    failure(platform.run(1))
    process.wait_log("loading")
    platform.give({"id": "waiting", "input": 2})
    platform.wait_ping("waiting")
    platform.stop_jobs("waiting")
    assert process.wait_log(r"waiting .*Job stopped before it started\.")
    platform.wait_ping()
    assert not platform.requests("done", "waiting") and not process.lines("waiting .*Started")


def test_the_platform_s_limit_for_getting_ready_wins(actor, platform):
    process = actor("--handler-ready", "line", "--handler-ready-timeout", "600", env={"RUNPOD_INIT_TIMEOUT": "0.1"})
    assert process.wait() == 1
    assert process.lines("was not ready within 0.1 s")


@pytest.mark.parametrize("value", [None, "0", ""], ids=repr)
def test_python_does_not_buffer_its_output(value, actor, platform):
    actor(env={} if value is None else {"PYTHONUNBUFFERED": value})
    env = platform.run(do(("about", "env")))["output"]
    assert env["PYTHONUNBUFFERED"] == ("1" if value is None else value)


def test_text_with_a_bad_byte_is_mended(worker, platform):
    script = r"""while read -r job; do case $job in *binary*) printf '{"output": "\\377\\330\\377\\340\\377"}\\n';;
                 *) printf '{"output": "caf\\351"}\\n';; esac; done""".replace("\\\\", "\\")
    process = worker(platform, "--handler", sh(script), handler="worker")
    assert platform.run("text") == {"output": "caf\ufffd"}
    process.wait_log("WARN .*is not valid UTF-8")
    assert "is binary" in failure(platform.run("binary"))["error_message"]


def test_errors_are_told_with_what_comes_with_them(actor, platform):
    actor()
    error = failure(platform.run(do(("say", {"error": "no \"luck\"", "error_type": "Luck", "traceback": "line 7"}))))
    assert (error["error_message"], error["error_type"], error["error_traceback"]) == ('no "luck"', "Luck", "line 7")
    error = failure(platform.run(do(("say", {"error": {"code": 7}}))))
    assert json.loads(error["error_message"]) == {"code": 7} and error["error_type"] == "HandlerError"
    assert platform.run(do(("say", {"error": None, "output": 1}))) == {"output": 1}


def test_a_message_for_another_job_is_not_taken_for_the_answer(actor, platform):
    process = actor()
    job = platform.give(id="j\u00e4", input=do(
        ("say", {"id": "other", "output": "wrong"}), ("raw", '{"id": "j\\u00e4", "output": "right"}\n')))
    assert platform.result(job) == {"output": "right"}
    process.wait_log("Ignored a message .* for another job")


def test_of_a_line_with_messages_for_another_job_each_is_told_once(actor, platform):
    process = actor()
    assert platform.run(do(("raw", '{"id": "other", "output": 1}{"id": "other", "output": 2}{"output": "right"}\n'))) == {"output": "right"}
    told = process.wait_log("Ignored a message .* for another job.*\"output\": 1}")
    assert '"output": 2' not in str(told) and '"right"' not in str(told)


def test_progress_is_posted_before_the_result(actor, platform):
    actor()
    job = platform.give(input=do(("say", {"progress": {"at": 1}}), ("output", 2)))
    assert platform.result(job) == {"output": 2}
    posts = [post.json() for post in platform.requests("done", job)]
    assert posts[0] == {"status": "IN_PROGRESS", "output": {"at": 1}}


@pytest.mark.parametrize("flags", [[], ["--stream"], ["--aggregate-stream"]], ids=" ".join)
@pytest.mark.parametrize("last, added", [(None, []), ([7], [[7]]), ({}, [{}])], ids=repr)
def test_the_end_of_a_stream(flags, last, added, actor, platform):
    """null says that all of it was in the parts; anything else is one more of them."""
    actor(*flags)
    job = platform.give(input=do(("say", {"stream": 1}), ("say", {"stream": None}), ("output", last)))
    parts = [1, None, *added]
    assert platform.result(job) == {"output": parts if "--aggregate-stream" in flags else []}
    assert [post.json()["output"] for post in platform.requests("stream", job)] == parts
    assert platform.finals(job)[0].param("isStream") == "true"


def test_refresh_worker_ends_the_taking(actor, platform):
    actor()
    assert platform.run(do(("say", {"output": 1, "refresh_worker": True}))) == {"output": 1, "stopPod": True}


# ---- time ----


def test_silence_beyond_the_timeout(actor, platform):
    """Its start is in no job's time."""
    actor("--handler-ready", "line", "--execution-timeout", "2", "--kill-grace", "5",
          env={"AT_START": json.dumps([["say", {"ready": True}]])})
    first = pid_of(platform)
    error = failure(platform.run(do(("sleep", 600))))
    assert error["error_type"] == "TimeoutError" and "execution timeout of 2 s" in error["error_message"]
    assert pid_of(platform) != first and not is_alive(first)


def test_a_stopped_child_that_ends_the_job_lives_on(actor, platform):
    process = actor()
    pid = pid_of(platform)
    job = platform.give(input=do(("on_term", "answer"), ("say", {"log": "it runs"}), ("sleep", 600)))
    process.wait_log("it runs")
    platform.stop_jobs(job)
    assert pid_of(platform) == pid
    assert not platform.finals(job)


@pytest.mark.parametrize("act", ["die", "ignore"])
def test_a_stopped_child_that_does_not_is_killed(act, actor, platform):
    process = actor("--kill-grace", "0.3")
    pid = pid_of(platform)
    acts = [("on_term", act)] if act == "ignore" else []
    job = platform.give(input=do(*acts, ("say", {"log": "it runs"}), ("sleep", 600)))
    process.wait_log("it runs")
    platform.stop_jobs(job)
    assert pid_of(platform) != pid and not is_alive(pid)
    assert not platform.finals(job)


def test_one_that_talks_on_is_killed_all_the_same(worker, platform):
    script = "trap '' TERM; read -r job; exec yes"
    worker(platform, "--handler", sh(script), "--execution-timeout", "0.2", "--kill-grace", "0.3", handler="worker")
    assert failure(platform.run(1))["error_type"] == "TimeoutError"


# ---- deaths ----


def test_after_five_deaths_in_a_row_the_worker_ends(actor, platform):
    process = actor()
    for _ in range(4):
        failure(platform.run(do(("exit", 7))))
    assert platform.run(do(("output", 1))) == {"output": 1}
    jobs = [platform.give(input=do(("exit", 7))) for _ in range(5)]
    for job in jobs:
        assert "status 7" in failure(platform.result(job))["error_message"]
    assert process.wait() == 1
    process.wait_log("5 times in a row")


def test_a_program_that_can_be_started_no_more_counts_as_dead(worker, platform, tmp_path):
    shell = Path(shutil.copy("/bin/sh", tmp_path / "shell"))
    script = shlex.quote("read -r job; echo '{\"output\": 1}'; read -r job; exit 3")
    process = worker(platform, "--handler", f"{shell} -c {script}", "--handler-deaths", "3", handler="worker")
    assert platform.run("first") == {"output": 1}
    shell.unlink()
    assert "exited with status 3" in failure(platform.run("second"))["error_message"]
    assert process.wait() == 1, "it takes no more jobs, since none could be run"
    process.wait_log("cannot run")
    process.wait_log("3 starts in a row")


def test_a_program_that_cannot_be_started_is_told_at_once(local):
    for command, told in (("/nowhere/to/be", "/nowhere/to/be"), ("not-there-at-all", "PATH"), ("'open", "quote"),
                          ("", "empty"), ("/etc/passwd", "not an executable file")):
        ended = local("--handler", command, "--test_input", '{"input": 1}', handler="worker")
        assert ended.returncode == 2 and told in ended.stdout, ended.stdout


def test_a_file_that_is_no_program(local, tmp_path):
    file = tmp_path / "script"
    file.write_text("no interpreter is named\n")
    file.chmod(0o755)
    ended = local("--handler", str(file), "--test_input", '{"input": 1}', handler="worker")
    assert ended.returncode == 1 and "cannot run" in ended.stdout


def test_the_last_words_of_one_that_dies_while_it_is_idle_are_logged(worker, platform, tmp_path):
    """With or without a line's end."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    script = f"read -r job; echo '{{\"output\": 1}}'; read -r go <{gate}; printf 'one\\nlast words' >&2; exit 3"
    process = worker(platform, "--handler", sh(script), handler="worker")
    platform.run(1)
    gate.write_text("go\n")
    process.wait_log("exited with status 3 while it had no job")
    assert process.lines("one$") and process.lines("last words$")


def test_a_child_that_dies_between_jobs_is_replaced(actor, platform):
    process = actor()
    pid = pid_of(platform)
    os.kill(pid, signal.SIGKILL)
    process.wait_log("SIGKILL.* while it had no job")
    assert pid_of(platform) not in (pid, None)


def test_what_an_idle_child_says_is_logged(actor, platform):
    process = actor(env={"AT_START": json.dumps([["error", "loading"], ["say", {"log": "loaded"}], ["raw", "stray\n"]])})
    for line in ("loading", "loaded", "stray"):
        process.wait_log(f"INFO .*{line}")
    assert pid_of(platform)


def test_one_that_never_stops_talking_gets_its_jobs(worker, platform):
    script = "yes >&2 & while read -r job; do echo '{\"output\": 1}'; done"
    worker(platform, "--handler", sh(script), "--concurrency", "2", handler="worker", env={"RP_SHUTDOWN_GRACE_S": "0"})
    for job in range(3):
        assert platform.run(job) == {"output": 1}


def test_one_that_never_stops_printing_between_jobs_gets_its_jobs(worker, platform):
    """yes on standard output, which is where messages are, is text for the log: it holds up nothing."""
    script = "yes & while read -r job; do printf '\\n{\"output\": \"%s\"}\\n' \"$$\"; done"
    process = worker(platform, "--handler", sh(script), handler="worker", env={"RP_SHUTDOWN_GRACE_S": "0"})
    first = platform.run(0)
    process.wait_log("INFO .*y", 3)
    assert [platform.run(job) for job in range(3)] == [first] * 3, "one child for all jobs"


def test_a_part_that_cannot_be_sent_is_one_warning(actor, platform):
    """A part that is an error ends the stream: the job fails with it, and nothing more is sent."""
    process = actor("--stream")
    job = platform.give(input=do(("say", {"stream": 1}), ("say", {"stream": {"error": "no luck"}}),
                                 ("say", {"stream": 2}), ("output", 3)))
    assert platform.result(job) == {"error": "no luck"}
    assert [post.json()["output"] for post in platform.requests("stream", job)] == [1]
    assert len(process.lines("WARN .*A stream part was not sent: ")) == 1
    assert platform.run(do(("output", 4))) == {"output": []}, "the next job is not touched by it"


# ---- ready ----


def test_no_job_is_taken_before_it_is_ready(actor, platform, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    process = actor("--handler-ready", "line", env={
        "AT_START": json.dumps([["error", "loading"], ["touch", str(gate)], ["say", {"ready": True}]])})
    process.wait_log("loading")
    assert not platform.requests("take")
    gate.read_bytes()  # lets it go on
    assert platform.run(do(("output", 1))) == {"output": 1}


def test_a_child_that_is_never_ready(actor, platform):
    platform.poll_s = 0
    process = actor("--handler-ready", "line", "--handler-ready-timeout", "0.05")
    assert process.wait() == 1
    assert process.lines("was not ready within 0.05 s .RUNPOD_INIT_TIMEOUT or --handler-ready-timeout; all tries together")
    told(platform, "handler", "not ready within 0.05 s")


def test_a_child_that_dies_while_it_loads(actor, platform):
    platform.poll_s = 0
    process = actor("--handler-ready", "line", env={"AT_START": '[["exit", 4]]'})
    assert process.wait() == 1
    assert process.lines("exited with status 4 before it was ready")
    told(platform, "handler", "exited with status 4 before it was ready")


# ---- nothing is left ----


@pytest.mark.parametrize("how", ["group", "session"])
def test_children_of_children_go_too(how, actor, platform, tmp_path):
    process = actor()
    name = tmp_path / "helper"
    error = failure(platform.run(do(("start", how, str(name)), ("exit", 1))))
    assert "exited with status 1" in error["error_message"]
    wait_gone(platform, int(name.read_text()))
    wait_reaped(platform, process)


@pytest.mark.parametrize("when", ["job", "end"])
def test_daemons_without_an_environment_go_too(when, worker, platform, tmp_path):
    """Nothing but their descent tells that they are ours."""
    daemon, begun = tmp_path / "daemon", tmp_path / "begun"
    os.mkfifo(begun)
    start = (f"env -i setsid /bin/sh -c 'echo $$ >{daemon}; echo >{begun}; exec sleep 600' >/dev/null 2>&1 & "
             f"read -r line <{begun}")
    script = f"cat >/dev/null; ({start}); echo 1"
    if when == "end":
        script = f"read -r job; ({start}); echo '{{\"output\": 1}}'; read -r job"
    flag = "--handler-once" if when == "job" else "--handler"
    process = worker(platform, flag, sh(script), handler="worker")
    assert platform.run({}) == {"output": 1}
    pid = int(daemon.read_text())
    if when == "end":
        assert is_alive(pid)
        process.terminate()
        assert process.wait() == 0
    wait_gone(platform, pid)


def test_orphans_are_reaped(actor, platform):
    process = actor()
    platform.run(do(("lost_child",), ("output", 1)))
    platform.wait_for(lambda: len(children_of(process.pid)) == 1 or None, "orphans reaped")


def test_no_descriptor_is_lost(actor, platform):
    process = actor()
    pid_of(platform)
    for route in ("ping", "stop"):  # each has its connection, which stays
        platform.wait_request(route)
    before = descriptors(process.pid)
    for acts in [do(("exit", 1)), do(("close", 1), ("exit", 0)), do(("signal", 11))]:
        platform.run(acts)
        fds = platform.run(do(("about", "fds")))["output"]
        assert sorted(fds) == ["0", "1", "2"]
    platform.wait_idle()
    platform.wait_for(lambda: descriptors(process.pid) <= before + 2 or None, "descriptors closed, but for two of results")


def test_its_signals_are_at_their_defaults(actor, platform):
    actor()
    status = platform.run(do(("about", "status")))["output"]
    masks = dict(re.findall(r"Sig(Blk|Ign):\s*(\w+)", status))
    assert int(masks["Blk"], 16) == 0
    assert not int(masks["Ign"], 16) & ~(1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1))  # Python's own


def test_the_key_stays_with_the_worker(actor, platform):
    actor()
    env = platform.run(do(("about", "env")))["output"]
    assert "RUNPOD_AI_API_KEY" not in env and env["RUNPOD_POD_ID"] == platform.worker_id


def test_the_key_is_passed_when_asked_for(actor, platform):
    actor("--pass-api-key")
    env = platform.run(do(("about", "env")))["output"]
    assert env.pop("RUNPOD_AI_API_KEY") == platform.key


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_worker_that_goes_takes_its_child_along(number, actor, platform):
    process = actor()
    pid = pid_of(platform)
    process.killed = number == signal.SIGKILL
    process.signal(number)
    assert process.wait() == (0 if number == signal.SIGTERM else -signal.SIGKILL)
    wait_gone(platform, pid)


def test_a_running_job_is_finished_at_the_worker_s_end(actor, platform):
    process = actor()
    job = platform.give(input=do(("say", {"log": "it runs"}), ("sleep", 0.3), ("output", "finished")))
    process.wait_log("it runs")
    process.terminate()
    assert platform.result(job) == {"output": "finished"}
    assert process.wait() == 0


# ---- large ----


@pytest.mark.parametrize("wanted", ["later", "never"])
def test_an_answer_before_the_job_is_read(wanted, worker, platform):
    grace = "60" if wanted == "later" else "0.5"  # for the rest of the job to be read
    process = worker(platform, "--handler", program("deaf.py", wanted), "--kill-grace", grace, handler="worker")
    for _ in range(3):
        assert platform.run({"first": 1, "rest": "x" * 3000000}) == {"output": "early"}
    if wanted == "later":
        process.wait_log("read it all", 3)


def test_ten_megabytes_each_way_cost_little_more_than_themselves(worker, platform):
    process = worker(platform, "--handler", "/bin/sh -c 'while IFS= read -r job; do :; done'", handler="worker")
    process.end()
    process = worker(platform, "--handler", program("echo.py"), handler="worker", env={"RUNPOD_PING_INTERVAL": "200"})
    platform.run("warm")
    payload = "y" * (10 * 1000 * 1000 - 200)
    before = process.peak_kib()
    assert platform.run(payload) == {"output": payload}
    grown = process.peak_kib() - before
    print(f"resident memory: {before} KiB, {grown} KiB more for 10 MB in and out")
    assert grown * 1024 <= len(payload) + 4 * 1024 * 1024
    for _ in range(2):
        platform.wait_ping()  # the job before is gone, and its memory
        platform.run(payload)
    assert process.peak_kib() - before <= grown + 1024


# ---- examples ----


EXAMPLES = ["echo.sh", "echo.py", "echo.go", "async_echo.py"]


@pytest.fixture(params=EXAMPLES)
def example(request, tmp_path):
    """(name, flags) of an example of the manual; a Go one is built first."""
    name = request.param
    if not name.endswith(".go"):
        flags = ["--handler-ready", "line"] if name.endswith(".py") else []
        return name, ["--handler", program(name), *flags, *(["--handler-jobs", "4"] if "async" in name else [])]
    folders = [os.environ.get("PATH", ""), "/usr/local/go/bin", *glob.glob("/usr/lib/go*/bin")]
    go = shutil.which("go", path=":".join(folders))
    if go is None:
        pytest.skip("NO GO TOOLCHAIN: the Go example was not tried (apt-get install golang-go)")
    binary = str(tmp_path / "echo")
    env = {**os.environ, "CGO_ENABLED": "0", "GOCACHE": str(tmp_path / "cache"), "HOME": str(tmp_path)}
    subprocess.run([go, "build", "-o", binary, str(PROGRAMS / name)], check=True, env=env, cwd=tmp_path)
    return name, ["--handler", binary]


def test_the_examples_work(example, worker, platform):
    name, flags = example
    worker(platform, *flags, handler="worker")
    for value in ({"a": "\u00e4 <b> \\ \"q\""}, {"list": [1, 2.5]}, {"a": "x" * 200000}):
        output = platform.run(value)["output"]
        assert (output["input"] if name == "echo.sh" else output) == value


def test_the_examples_work_in_a_local_test(example, local):
    name, flags = example
    ended = local(*flags, "--test_input", '{"input": {"a": 1}}', "--test_result", "-", handler="worker")
    assert ended.returncode == 0, ended.stdout
    answer = [line for line in ended.stdout.splitlines() if line.startswith('{"output"')]
    output = json.loads(answer[0])["output"]
    if name == "echo.sh":
        assert output.pop("scratch").startswith("/tmp/rp-scratch-")
    assert output == ({"id": "local_test", "input": {"a": 1}} if name == "echo.sh" else {"a": 1})


def test_the_readme_shows_the_examples_as_they_are():
    text = (Path(__file__).parents[2] / "src/handlers/README.md").read_text()
    for name in EXAMPLES:
        assert (PROGRAMS / name).read_text() in text, f"{name} differs from src/handlers/README.md"
