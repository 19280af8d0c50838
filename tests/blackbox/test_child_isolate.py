"""--isolate: the linked handler in a child of the same binary."""

import json
import os
import signal

from children import children_of, failure, is_alive
from own_handlers import own, steps


def only_child(process):
    (pid,) = children_of(process.pid)
    return pid


def test_jobs_are_answered_as_by_a_linked_handler(worker, platform):
    worker(platform, "--isolate", handler="echo")
    for value in ({"a": [1, "ä\n"]}, None, "x" * 300000):
        assert platform.run(value) == {"output": value}


def test_a_crash_costs_one_job(worker, platform):
    process = worker(platform, "--isolate", handler="mock")
    platform.run({})
    pid = only_child(process)
    error = failure(platform.run({"mock_crash": True}))
    assert error["error_type"] == "HandlerCrashed" and "status 1" in error["error_message"]
    assert platform.run({"mock_return": 5}) == {"output": 5}
    assert not is_alive(pid) and only_child(process) != pid


def test_a_segfault_costs_one_job(worker, platform):
    process = worker(platform, "--isolate", handler="mock")
    job = platform.give(input={"mock_logs": 1, "mock_delay": 600})
    process.wait_log("mock log")
    os.kill(only_child(process), signal.SIGSEGV)
    assert "SIGSEGV" in failure(platform.result(job))["error_message"]
    assert platform.run({}) == {"output": "Hello World!"}


def test_errors_keep_their_place(worker, platform):
    worker(platform, "--isolate", handler="mock")
    error = failure(platform.run({"mock_error": True}))
    assert error["error_type"] == "HandlerError" and error["error_message"] == "Mock error"
    assert "mock.c" in error["error_traceback"]


def test_logs_progress_and_refresh_pass(worker, platform):
    process = worker(platform, "--isolate", handler="mock")
    job = platform.give(input={"mock_logs": ["one \"line\"\nand two"], "mock_refresh": True, "mock_return": 1,
                               "mock_progress": {"updates": 1, "wait_time": 0}})
    assert platform.result(job) == {"output": {"mock_return": 1}, "stopPod": True}
    assert platform.requests("done", job)[0].json()["status"] == "IN_PROGRESS"
    assert job in process.wait_log('INFO .*one "line"')


def test_stopping_reaches_the_handler(worker, platform):
    process = worker(platform, "--isolate", handler="mock")
    platform.run({})
    pid = only_child(process)
    job = platform.give(input={"mock_logs": 1, "mock_delay": 600})
    process.wait_log("mock log")
    platform.stop_jobs(job)
    assert platform.run({"mock_return": 2}) == {"output": 2}
    assert only_child(process) == pid
    assert not platform.finals(job)


def test_a_stream_needs_no_output(worker, platform):
    worker(platform, "--isolate", "--stream", handler=own("steps"))
    job = platform.give(input=steps({"yield": 1}, {"yield": {"a": 2}}))
    assert platform.result(job) == {"output": []}
    assert [post.json()["output"] for post in platform.requests("stream", job)] == [1, {"a": 2}]
    assert platform.run(steps()) == {"output": []}


def test_local(local):
    ended = local("--isolate", "--test_input", json.dumps({"input": {"mock_return": [1]}}), handler="mock")
    assert ended.returncode == 0 and 'Job result: {"output": [1]}' in ended.stdout
    assert "RP_ISOLATED" not in ended.stdout
