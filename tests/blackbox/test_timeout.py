"""--execution-timeout: a job that takes too long fails, and costs no other."""

import pytest

from children import children_of, do, failure, program
from own_handlers import Gate, own, steps

FLAG = ("--execution-timeout", "1")  # also for jobs that are to be in time


def check_late(result, seconds="1"):
    error = failure(result)
    assert error["error_type"] == "TimeoutError" and f"execution timeout of {seconds} s" in error["error_message"]


@pytest.mark.parametrize("ending", [{"return": 1}, {"fail": "told to stop"}, {"yield": 1}], ids=lambda step: list(step)[0])
def test_a_linked_handler_is_told_and_its_client_why(platform, worker, ending):
    """Whatever it returns then."""
    process = worker(platform, *FLAG, handler=own("steps"))
    check_late(platform.run(steps({"await_stop": 60_000}, ending)))
    assert process.lines("stopped=1")
    assert platform.run(steps({"return": 2})) == {"output": 2}


def test_one_that_yields(platform, worker):
    worker(platform, "--stream", *FLAG, handler=own("steps"))
    job = platform.give(input=steps({"yield": 1}, {"await_stop": 60_000}))
    check_late(platform.result(job))
    assert [post.json()["output"] for post in platform.requests("stream", job)] == [1]


def test_one_that_does_not_listen_is_killed_where_it_is_isolated(platform, worker, tmp_path):
    gate = Gate(tmp_path / "gate")
    process = worker(platform, "--isolate", "--kill-grace", "0.2", *FLAG, handler=own("steps"))
    platform.run(steps({"return": 1}))
    (before,) = children_of(process.pid)
    check_late(platform.run(steps(gate.step)))
    assert platform.run(steps({"return": 2})) == {"output": 2}
    assert before not in children_of(process.pid)


def test_others_go_on(platform, worker, tmp_path):
    gate = Gate(tmp_path / "gate")
    worker(platform, "--concurrency", "2", "--execution-timeout", "5", handler=own("steps"))
    late = platform.give(input=steps({"await_stop": 60_000}))
    platform.wait_request("take", 2)
    other = platform.give(input=steps({"await_stop": 600}, gate.step, {"return": "in time"}))
    gate.open()
    assert platform.result(other) == {"output": "in time"}
    check_late(platform.result(late), "5")


def test_variables(platform, worker):
    """Those of the flags that are about a program's time and secrets."""
    env = {"RP_HANDLER": program("actor.py"), "RP_EXECUTION_TIMEOUT": "2", "RP_KILL_GRACE": "0.2", "RP_PASS_API_KEY": "1",
           "RP_HANDLER_READY": "line", "AT_START": '[["say", {"ready": true}]]'}  # its start is in no job's time
    worker(platform, handler="worker", env=env)
    seen = platform.run(do(("about", "env")))["output"]
    assert seen.pop("RUNPOD_AI_API_KEY") == platform.key
    check_late(platform.run(do(("on_term", "ignore"), ("sleep", 600))), "2")


def test_isolation_by_variable(platform, worker):
    worker(platform, handler="mock", env={"RP_ISOLATE": "true"})
    assert failure(platform.run({"mock_crash": True}))["error_type"] == "HandlerCrashed"
    assert platform.run({}) == {"output": "Hello World!"}


def test_a_process_a_job_by_variable(platform, worker):
    worker(platform, handler="worker", env={"RP_HANDLER_ONCE": "/bin/echo 5"})
    assert platform.run({}) == {"output": 5}


@pytest.mark.parametrize("value", ["x", "-1", "1.2345", "86401"])
def test_bad_number(local, value):
    done = local("--execution-timeout", value, "--test_input", '{"input": 1}')
    assert done.returncode == 2 and "--execution-timeout" in done.stdout
