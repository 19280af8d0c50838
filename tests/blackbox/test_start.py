"""tests/CONTRACT.md, "A start-up that fails" and "Order of events": what the start does in which order, and what it
says where it fails."""

import json
import sys

import pytest

from actions import answer, hand_out, hold
from badserver import plain
from children import actor, do, failure, program, sh  # noqa: F401 (fixtures)
from httphandler import own, own_server, serve, server  # noqa: F401 (fixtures)
from own_handlers import own as own_handler
from servers import free_port
from starts import start_error, told
from test_fitness import REAL, UNFIT
from test_http_handler import CHAT, HELLO

SICK_MEMORY = {**REAL, **UNFIT["memory_check"][0]}


# ---- order ----


def test_machine_before_the_setup(platform, worker):
    process = worker(platform, handler=own_handler("checks"), env=SICK_MEMORY)
    assert process.wait() == 1
    assert [request.route for request in platform.record] == ["ping"]
    assert platform.requests("ping")[0].param("check") == "memory_check"
    assert not process.lines("setup has run|first check has run")


@pytest.mark.parametrize("kind", ["program", "server"])
def test_machine_before_the_program(platform, worker, tmp_path, kind):
    """Nothing was started beside which the memory was measured."""
    started = tmp_path / "started"
    script = sh(f"echo >{started}; exec cat")
    flags = ["--handler", script]
    if kind == "server":
        flags = ["--handler", own_server(free_port(), f"starts={started}"), "--handler-http", "http://127.0.0.1:9"]
    process = worker(platform, *flags, handler="worker", env=SICK_MEMORY)
    assert process.wait() == 1
    assert platform.requests("ping")[0].param("check") == "memory_check"
    assert not started.exists()


def test_handler_before_the_programs_checks(platform, worker):
    """Machine, setup, the program's own checks, --fitness; then the first job."""
    worker_of = worker(platform, "--fitness", sh("echo the program has run"), handler=own_handler("checks"), env=REAL)
    assert platform.run(1) == {"output": 1}
    lines = worker_of.lines("has run|Fitness check passed|Started")
    assert [line.rpartition("| ")[2] for line in lines] == [
        "Fitness check passed: memory_check", "Fitness check passed: disk_check", "Fitness check passed: network_check",
        "setup has run", "first check has run", "Fitness check passed: first", "Fitness check passed: scratch & room",
        "the program has run", "Fitness check passed: fitness", "Started."], lines


# ---- a start that fails ----

CRASH = "echo loading the weights; echo out of memory, sorry >&2; exit 4"


def failing(kind, tmp_path):
    """Flags, hook and words of the reason, for each kind of handler that cannot be started."""
    port = free_port()
    server_flags = ["--handler-http", f"http://127.0.0.1:{port}"]
    file = tmp_path / "script"
    file.write_text("no interpreter is named\n")
    file.chmod(0o755)
    return {
        "exits": (["--handler", sh(CRASH), "--handler-ready", "line"], "handler", "out of memory, sorry"),
        "exits, shared": (["--handler", sh(CRASH), "--handler-ready", "line", "--handler-jobs", "3"], "handler",
                          "out of memory, sorry"),
        "cannot run": (["--handler", str(file)], "handler", "cannot run"),
        "silent": (["--handler", sh("echo loading >&2; exec sleep 600"), "--handler-ready", "line",
                    "--handler-ready-timeout", "2"], "handler", "loading"),
        "several slots": (["--handler", sh(CRASH), "--handler-ready", "line", "--concurrency", "3"], "handler",
                          "out of memory, sorry"),
        "server dies": (["--handler", own_server(port, "dies=137"), *server_flags, "--handler-deaths", "2"],
                        "handler_http", "cannot allocate memory for the model"),
        "server waits": (["--handler", own_server(port, f"ready={tmp_path}/never"), *server_flags,
                          "--handler-ready-timeout", "1.5"], "handler_http", "not ready in time"),
        "no server": ([*server_flags, "--handler-ready-timeout", "2"], "handler_http", "refused"),
    }[kind]


@pytest.mark.parametrize("kind", ["exits", "exits, shared", "cannot run", "silent", "several slots", "server dies",
                                  "server waits", "no server"])
def test_a_start_that_fails_is_told(platform, worker, tmp_path, kind):
    """The platform by a ping, the client by the error of the job that waits for a worker."""
    flags, hook, words = failing(kind, tmp_path)
    process = worker(platform, *flags, handler="worker")
    job = platform.give(input={"x": 1})
    error = start_error(platform.result(job))
    assert process.wait() == 1
    ping = told(platform, hook, words)
    assert error["error_type"] == "StartError" and error["hook"] == hook
    assert error["worker_id"] == platform.worker_id and error["runpod_version"] == ping.param("runpod_version")
    assert ping.param("reason").startswith(error["error_message"][:100])
    assert words in error["error_message"] + error["error_traceback"]
    assert platform.finals(job)[0].param("isStream") == "false"
    assert process.lines(f"ERROR.*{job}.*could not start")


@pytest.mark.parametrize("isolate", [False, True], ids=["linked", "isolated"])
def test_a_setup_that_fails_is_told(platform, worker, isolate):
    process = worker(platform, *(["--isolate"] if isolate else []), handler=own_handler("checks"), env={"CHECKS_SETUP": "7"})
    error = start_error(platform.result(platform.give(input=1)))
    assert process.wait() == 1
    told(platform, "setup")
    assert "setup returned 7" in error["error_message"] + error["logs"] and "loading the model" in error["logs"]


@pytest.mark.unlisted
@pytest.mark.parametrize("isolate", [False, True], ids=["linked", "isolated"])
def test_a_setup_that_hangs_is_told(platform, worker, isolate):
    """It has the budget of programs and servers, and is not waited for at the end."""
    env = {"CHECKS_SETUP": "hangs", "RUNPOD_INIT_TIMEOUT": "2"}
    process = worker(platform, *(["--isolate"] if isolate else []), handler=own_handler("checks"), env=env)
    error = start_error(platform.result(platform.give(input=1)))
    assert process.wait() == 1
    told(platform, "setup")
    assert "within 2 s (RUNPOD_INIT_TIMEOUT" in error["error_message"] and "loading the model" in error["logs"]


def test_nobody_waits_for_the_worker(platform, worker):
    """One take, which is answered 204: that is all."""
    platform.poll_s = 0
    process = worker(platform, handler=own_handler("checks"), env={"CHECKS_SETUP": "7"})
    assert process.wait() == 1
    told(platform, "setup", "setup returned 7")
    assert not platform.requests("done")


def test_the_last_take_is_bounded(platform, worker):
    """To 10 s, where the platform holds it for 25."""
    process = worker(platform, handler=own_handler("checks"), env={"CHECKS_SETUP": "7"})
    assert process.wait() == 1
    told(platform, "setup")
    platform.wait_for(lambda: platform.requests("take")[0].dropped, "the end of the take")


@pytest.mark.parametrize("action", [answer(500), answer(401), answer(200, b"{"), answer(204), answer(200, [{"id": "x"}])],
                         ids=["500", "401", "half", "204", "no input"])
def test_whatever_the_last_take_brings(platform, worker, action):
    """It is not repeated, and the worker ends."""
    platform.script("take", action)
    process = worker(platform, handler=own_handler("checks"), env={"CHECKS_SETUP": "7"})
    assert process.wait() == 1
    told(platform, "setup")


def test_more_jobs_than_asked_for(platform, worker):
    platform.script("take", hand_out({"id": "a", "input": 1}, {"id": "b", "input": 2}))
    process = worker(platform, handler=own_handler("checks"), env={"CHECKS_SETUP": "7"})
    assert [start_error(platform.result(job))["hook"] for job in ("a", "b")] == ["setup"] * 2
    assert process.wait() == 1


def test_the_report_that_nobody_answers_holds_up_little(platform, worker):
    platform.script("ping", hold())
    process = worker(platform, handler=own_handler("checks"), env={"CHECKS_SETUP": "7"})
    start_error(platform.result(platform.give(input=1)))
    assert process.wait() == 1


@pytest.mark.parametrize("missing", ["RUNPOD_AI_API_KEY", "RUNPOD_WEBHOOK_PING"])
def test_without_a_ping_the_client_is_told(platform, worker, missing):
    platform.key = "" if missing == "RUNPOD_AI_API_KEY" else platform.key
    process = worker(platform, handler=own_handler("checks"), env={"CHECKS_SETUP": "7", missing: None})
    start_error(platform.result(platform.give(input=1)))
    assert process.wait() == 1
    assert not platform.requests("ping")


def test_a_platform_that_is_not_there(platform, worker):
    platform.refuse()
    process = worker(platform, handler=own_handler("checks"), env={"CHECKS_SETUP": "7"})
    assert process.wait() == 1


def test_a_result_that_is_refused_first_is_delivered(platform, worker):
    """The job's error is posted as any result is."""
    platform.script("done", answer(503))
    process = worker(platform, handler=own_handler("checks"), env={"CHECKS_SETUP": "7"})
    start_error(platform.result(platform.give(input=1)))
    assert process.wait() == 1


def test_a_signal_before_it_is_ready_tells_nobody(platform, worker):
    """The job that waits is another worker's."""
    process = worker(platform, "--handler", sh("echo it loads >&2; exec sleep 600"), "--handler-ready", "line",
                     handler="worker")
    platform.give(input=1)
    process.wait_log("it loads")
    process.terminate()
    assert process.wait() == 0
    assert not platform.record and platform.pending()


@pytest.mark.unlisted
def test_a_signal_ends_a_setup_that_hangs(platform, worker):
    process = worker(platform, handler=own_handler("checks"), env={"CHECKS_SETUP": "hangs"})
    process.wait_log("setup has run")
    process.terminate()
    assert process.wait() == 0
    assert not platform.record


@pytest.mark.unlisted
@pytest.mark.parametrize("setup, says", [("7", "setup returned 7"), ("hangs", "setup has not returned within 0.5 s")])
@pytest.mark.parametrize("mode", ["local", "realtime", "development"])
def test_not_where_somebody_watches(platform, worker, mode, setup, says):
    """Local, realtime and development runs say it in the log, and end."""
    env, flags = {"CHECKS_SETUP": setup, "RUNPOD_INIT_TIMEOUT": "0.5"}, []
    if mode == "local":
        flags = ["--test_input", '{"input": 1}']
    elif mode == "realtime":
        env |= {"RUNPOD_REALTIME_PORT": str(free_port()), "RUNPOD_ENDPOINT_ID": "ep"}
    else:
        flags = ["--rp_serve_api", "--rp_api_port", "0"]
    process = worker(platform, *flags, handler=own_handler("checks"), env=env)
    assert process.wait() == 1
    assert process.lines(says) and not platform.record


def test_one_budget_for_all_tries_of_a_server(platform, own, tmp_path):  # noqa: F811
    """One that dies at once, again and again, is never alive when its time is over."""
    platform.poll_s = 0
    starts = tmp_path / "starts"
    process = own("dies=1", f"starts={starts}", flags=["--handler-deaths", "1000"], env={"RUNPOD_INIT_TIMEOUT": "1.5"})
    assert process.wait() == 1
    told(platform, "handler_http", "not ready in time")
    assert process.lines("ERROR.*RUNPOD_INIT_TIMEOUT")


# ---- jobs that the worker holds when it loses its handler ----


def test_a_job_that_waits_for_a_program_that_is_lost(platform, worker, tmp_path):
    """The first job is the program's, and fails with its crash; the second never reached one."""
    mark = tmp_path / "mark"
    script = (f"[ -e {mark} ] && {{ echo the card is gone >&2; exit 9; }}; "
              f"echo '{{\"ready\": true}}'; read -r job; touch {mark}; exit 3")
    flags = ["--handler", sh(script), "--handler-ready", "line", "--handler-deaths", "3"]
    platform.script("take", hand_out({"id": "a", "input": 1}, {"id": "b", "input": 2}))
    process = worker(platform, *flags, handler="worker")
    assert "exited with status 3" in failure(platform.result("a"))["error_message"]
    error = start_error(platform.result("b"))
    assert process.wait() == 1
    assert error["error_type"] == "HandlerLost" and "3 starts in a row" in error["error_message"]
    assert "the card is gone" in error["error_traceback"] and "logs" not in error
    ping = [ping for ping in platform.requests("ping") if ping.param("status")]
    assert len(ping) == 1 and "the card is gone" in ping[0].param("reason")
    assert len([take for take in platform.requests("take") if take.jobs]) == 1


@pytest.mark.parametrize("state", ["unhealthy", "fine"])
def test_a_job_that_waits_for_a_server_that_is_lost(platform, server, serve, state):  # noqa: F811
    """It was never sent. One that has served jobs before claims no other one to fail it."""
    server.pages[CHAT] = lambda talk: talk.reply(200, {"ok": 1})
    process = serve(platform, server, "--handler-unhealthy-timeout", "1", "--served-model", "m", "--concurrency", "2")
    if state == "fine":
        platform.run({"messages": HELLO})
    platform.wait_request("take")
    server.pages["/health"] = plain(503)
    server.pages[CHAT] = lambda talk: talk.reset()
    process.wait_log("server is unhealthy")
    error = start_error(platform.run({"messages": HELLO}))
    assert "--handler-unhealthy-timeout" in error["error_message"] and error["hook"] == "handler_http"
    # The job-take for the other slot is given up beside the result: a job that still reached it would be this worker's.
    takes = platform.requests("take")
    platform.wait_for(lambda: all(take.answered or take.dropped for take in takes), "the end of the open job-take")
    platform.give(input={"messages": HELLO})
    assert process.wait() == 1
    assert platform.pending(), "the other job is for another worker"


# ---- RUNPOD_LOG_CAPTURE ----

CHATTY = ("i=0; while [ $i -lt 3000 ]; do echo \"line $i of the program\"; i=$((i+1)); done; "
          "echo the key is $RUNPOD_AI_API_KEY; exit 4")


@pytest.mark.parametrize("capture", [None, "auto", "all", "off", "ALL"])
def test_logs_of_a_start_that_failed(platform, worker, capture):
    flags = ["--handler", sh(CHATTY), "--handler-ready", "line", "--handler-deaths", "1", "--pass-api-key"]
    env = {"RUNPOD_LOG_LEVEL": "ERROR", "RUNPOD_LOG_CAPTURE": capture}
    process = worker(platform, *flags, handler="worker", env=env)
    error = start_error(platform.result(platform.give(input=1)))
    assert process.wait() == 1
    if capture == "off":
        assert "logs" not in error and not error["error_traceback"]
        return
    assert 15_000 < len(error["logs"]) <= 16_384, "the last 16 KiB"
    assert error["logs"].startswith("line ") and "line 2999 of the program" in error["logs"]
    assert error["logs"].splitlines()[-1].startswith("the key is *****"), "and no secret"
    assert error["logs"].endswith(error["error_traceback"])


@pytest.mark.parametrize("capture", [None, "all"])
def test_logs_of_a_job_that_failed(platform, actor, capture):  # noqa: F811
    """Only with all, and only what was printed for this job."""
    actor(env={"RUNPOD_LOG_CAPTURE": capture})
    platform.run(do(("error", "of another job"), ("output", 1)))
    said = do(("error", "on standard error"), ("raw", "on standard output\n"), ("say", {"log": "a message"}),
              ("say", {"error": "no luck"}))
    error = failure(platform.run(said))
    if capture is None:
        assert "logs" not in error
    else:
        assert sorted(error["logs"].splitlines()) == ["a message", "on standard error", "on standard output"]


def test_logs_of_a_c_handler(platform, worker):
    worker(platform, handler=own_handler("steps"), env={"RUNPOD_LOG_CAPTURE": "all"})
    error = failure(platform.run({"steps": [{"begin": "x"}, {"fail": "no luck"}]}))
    assert error["logs"].splitlines()[:2] == ["at step 1", "at step 2"]


def test_a_value_that_cannot_be_used(local):
    done = local("--test_input", '{"input": 1}', env={"RUNPOD_LOG_CAPTURE": "some"})
    assert done.returncode == 2 and "RUNPOD_LOG_CAPTURE" in done.stdout


# ---- ready ----


def ready_line(process):
    return json.loads(process.wait_log('{"event": "ready"').partition("| ")[2])


@pytest.mark.parametrize("kind", ["linked", "program", "once", "server"])
def test_one_line_says_what_the_start_took(platform, worker, tmp_path, kind):
    url = f"http://127.0.0.1:{free_port()}"
    flags = {"linked": [], "program": ["--handler", f"{program('actor.py')} secret-word"],
             "once": ["--handler-once", "/bin/cat"],
             "server": ["--handler", own_server(url.rpartition(":")[2]), "--handler-http", url]}[kind]
    handler = own_handler("checks") if kind == "linked" else "worker"
    process = worker(platform, *flags, "--fitness", "/bin/true", handler=handler, env=REAL)
    platform.wait_request("take")
    line = ready_line(process)
    assert list(line) == ["event", "init_ms", "first_take_ms", "loaded", "waited_for"]
    assert 0 <= line["init_ms"] <= line["first_take_ms"]
    python = {"kind": "program", "name": sys.executable}
    assert line["loaded"] == {
        "linked": [{"kind": "linked handler", "name": "setup"}], "program": [python],
        "once": [{"kind": "program, one a job", "name": "/bin/cat"}],
        "server": [python, {"kind": "server", "name": url}]}[kind]
    waited = [one["what"] for one in line["waited_for"]]
    handlers_part = {"linked": "setup", "program": "start of the program", "once": "nothing of the program",
                     "server": "/health"}[kind]
    assert waited == ["checks of the machine", handlers_part, "checks of the program"]
    assert all(one["ms"] >= 0 for one in line["waited_for"])
    assert sum(one["ms"] for one in line["waited_for"]) <= line["first_take_ms"]
    assert len(process.lines('"event": "ready"')) == 1 and not process.lines('"event": "ready".*secret-word')


def test_the_line_is_a_message_of_json_lines(platform, worker):
    process = worker(platform, env={"RUNPOD_ENDPOINT_ID": "ep"})
    line = json.loads(process.wait_log("first_take_ms"))
    assert json.loads(line["message"])["event"] == "ready"


# ---- the version of the contract ----


@pytest.mark.parametrize("variable, version", [(None, "1.12.0"), ("1.13.0+x y", "1.13.0+x y")])
def test_version_of_the_contract(platform, worker, variable, version):
    """In pings and errors; the User-Agent has the worker's own."""
    process = worker(platform, handler=own_handler("steps"), env={"RP_CONTRACT_VERSION": variable})
    assert platform.wait_request("ping").param("runpod_version") == version
    assert failure(platform.run({"steps": [{"fail": "no"}]}))["runpod_version"] == version
    banner = process.wait_log("Starting Serverless Worker").split("Version")[1].split()[0]
    assert banner != version and f"slim-worker/{banner}" == platform.requests("ping")[0].header("User-Agent")


def test_version_of_the_contract_in_reports(platform, worker):
    process = worker(platform, env={**SICK_MEMORY, "RP_CONTRACT_VERSION": "9.9"})
    assert process.wait() == 1
    assert platform.requests("ping")[0].param("runpod_version") == "9.9"
