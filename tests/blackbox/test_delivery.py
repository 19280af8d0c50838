"""tests/CONTRACT.md, "Order of events": results and parts that the platform does not take are retried beside the next jobs."""

import json

import pytest

from actions import answer, hold
from own_handlers import Gate, own, steps
from testplatform import FAST_PING

STORE = 64  # LIMIT_UNDELIVERED of src/base/limits.h


def refuse_for(*job_ids, status=503):
    """An action for every post: 5xx for these jobs, 200 for all others."""

    async def act(exchange):
        await answer(status if exchange.request.job_id in job_ids else 200)(exchange)

    act.label, act.early = "as the job is", False
    return act


def test_a_result_that_is_never_taken_holds_no_slot(platform, worker):
    platform.always("done", refuse_for("stuck"))
    worker(platform, env=FAST_PING)
    platform.give({"id": "stuck", "input": "late"})
    platform.wait_final("stuck")
    for number in range(5):
        assert platform.run(number) == {"output": number}
    platform.wait_ping("stuck")
    assert platform.requests("take")[-1].param("job_in_progress") == "1"
    assert not [post for post in platform.finals("stuck") if post.settled]
    platform.always("done", None)
    assert platform.result("stuck") == {"output": "late"}
    platform.wait_ping()


def test_parts_that_are_never_taken_hold_no_slot(platform, worker):
    """They go out later, in order, and the result after them."""
    platform.always("stream", refuse_for("stuck"))
    worker(platform, handler=own("steps"), env=FAST_PING)
    platform.give({"id": "stuck", "input": steps({"yield": 1}, {"yield": 2})})
    platform.wait_request("stream")
    platform.give({"id": "next", "input": steps({"yield": 3}, {"yield": 4})})
    assert platform.result("next") == {"output": []}
    platform.wait_ping("stuck")
    assert not platform.finals("stuck")
    platform.always("stream", None)
    assert platform.result("stuck") == {"output": []}
    for job, parts in (("stuck", [1, 2]), ("next", [3, 4])):
        taken = [post for post in platform.requests("stream", job) if post.settled]
        assert [post.json()["output"] for post in taken] == parts
        assert max(post.number for post in taken) < platform.finals(job)[0].number


def test_a_part_that_is_given_up_fails_its_job_alone(platform, worker):
    platform.always("stream", refuse_for("lost"))
    worker(platform, handler=own("steps"), env={"RP_RESULT_RETRY_S": "2"})
    platform.give({"id": "lost", "input": steps({"yield": 1}, {"return": "end"})})
    platform.wait_request("stream")
    assert platform.run(steps({"yield": 2})) == {"output": []}
    result = platform.result("lost")
    assert set(result) == {"error"} and json.loads(result["error"])["error_type"] == "StreamError"
    assert platform.finals("lost")[0].param("isStream") == "true"


def test_the_store_is_bounded_and_nothing_is_lost(platform, worker):
    """With the store full, a slot keeps its result, and no job is taken until there is room."""
    jobs = [f"many-{number}" for number in range(STORE + 5)]
    platform.always("done", refuse_for(*jobs))
    process = worker(platform, env=FAST_PING)
    for job in jobs:
        platform.give({"id": job, "input": job})
    process.wait_log(r"many-.*Started\.", STORE + 1)
    platform.wait_more("ping", 3)
    assert len(process.lines(r"Started\.")) == STORE + 1
    assert len(platform.pending()) == 4
    platform.always("done", None)
    for job in jobs:
        assert platform.result(job) == {"output": job}
    platform.wait_ping()


def test_large_results_fill_the_store_too(platform, worker):
    """Each of these is more than half of its bytes, with its job: the second one's slot waits."""
    jobs = ["large-1", "large-2", "large-3"]
    platform.always("done", refuse_for(*jobs))
    process = worker(platform, env={**FAST_PING, "RP_MAX_RESULT_MB": "40"})
    for job in jobs:
        platform.give({"id": job, "input": "x" * 17_000_000})
    platform.wait_final("large-2")
    platform.wait_more("ping", 3)
    assert len(process.lines(r"Started\.")) == 2 and len(platform.pending()) == 1
    platform.always("done", None)
    for job in jobs:
        assert len(platform.result(job)["output"]) == 17_000_000


def test_a_stop_ends_the_retries(platform, worker):
    platform.always("done", refuse_for("stuck"))
    process = worker(platform, env=FAST_PING)
    platform.give({"id": "stuck", "input": 1})
    platform.wait_final("stuck", 2)
    assert platform.run("beside") == {"output": "beside"}
    platform.stop_jobs("stuck")
    process.wait_log("stuck.*Job stopped")
    platform.wait_ping()
    count = len(platform.finals("stuck"))
    platform.wait_more("ping", 2)
    assert len(platform.finals("stuck")) == count


def test_the_execution_timeout_ends_with_the_handler(platform, worker):
    """A result that is retried for longer than a job may run is still the job's own."""
    platform.always("done", refuse_for("slow-post"))
    worker(platform, "--execution-timeout", "1", env=FAST_PING)
    platform.give({"id": "slow-post", "input": "kept"})
    platform.wait_final("slow-post")
    platform.wait_more("ping", 3)
    platform.always("done", None)
    assert platform.result("slow-post") == {"output": "kept"}


def test_all_are_kept_at_a_shutdown(platform, worker, tmp_path):
    folder = tmp_path / "kept"
    folder.mkdir(0o755)
    jobs = {f"keep-{number}": number for number in range(4)}
    platform.always("done", answer(503))
    process = worker(platform, "--result-dir", str(folder), env={"RP_SHUTDOWN_GRACE_S": "1"})
    for job, value in jobs.items():
        platform.give({"id": job, "input": value})
        platform.wait_final(job)
    process.terminate()
    assert process.wait() == 1
    kept = [json.loads(file.read_text()) for file in folder.glob("*.result")]
    assert {entry["id"]: entry["result"]["output"] for entry in kept} == jobs


def test_grace_delivers_what_is_on_its_way(platform, worker):
    platform.always("done", answer(503))
    process = worker(platform)
    for number in range(3):
        platform.give({"id": f"late-{number}", "input": number})
        platform.wait_final(f"late-{number}")
    process.terminate()
    process.wait_log("Shutting down")
    platform.always("done", None)
    for number in range(3):
        assert platform.result(f"late-{number}") == {"output": number}
    assert process.wait() == 0


def test_no_job_follows_a_refresh_whose_post_is_held(platform, worker):
    """The slot is free, but the result says that the worker is to be replaced."""
    held = hold()
    platform.script("done", held)
    process = worker(platform, "--refresh-worker", env=FAST_PING)
    platform.give({"id": "only", "input": 1})
    platform.give({"id": "never", "input": 2})
    platform.wait_for(held.reached.is_set, "the result post")
    platform.wait_more("ping", 2)
    assert len(platform.requests("take")) == 1 and not process.ended
    held.release(answer(200))
    assert process.wait() == 0
    assert platform.pending()


def test_results_of_many_slots(platform, worker):
    """Half of the jobs are refused a few times: every result arrives once, whatever runs meanwhile."""
    flaky = [f"r-{number}" for number in range(0, 60, 2)]
    platform.always("done", refuse_for(*flaky))
    worker(platform, "--concurrency", "8")
    for number in range(60):
        platform.give({"id": f"r-{number}", "input": number})
    for number in range(1, 60, 2):
        assert platform.result(f"r-{number}") == {"output": number}
    platform.always("done", None)
    for number in range(0, 60, 2):
        assert platform.result(f"r-{number}") == {"output": number}


@pytest.mark.parametrize("how", ["--handler", "--isolate"])
def test_programs_too(platform, worker, how, tmp_path):
    platform.always("done", refuse_for("stuck"))
    program = tmp_path / "program.sh"
    program.write_text('#!/bin/sh\nwhile read -r line; do echo \'{"output": "by a program"}\'; done\n')
    program.chmod(0o755)
    flags = ("--handler", str(program)) if how == "--handler" else ("--isolate",)
    worker(platform, *flags, handler="worker" if how == "--handler" else "echo", env=FAST_PING)
    expected = {"output": "by a program"} if how == "--handler" else {"output": "x"}
    platform.give({"id": "stuck", "input": "x"})
    platform.wait_final("stuck")
    assert platform.run("x") == expected
    platform.always("done", None)
    assert platform.result("stuck") == expected


def test_ids_that_do_not_fit_into_a_ping(platform, worker, tmp_path):
    """Six ids of 512 bytes that are percent-encoded: no ping is left out, and each id is named by some."""
    gate = Gate(tmp_path / "gate")
    process = worker(platform, handler=own("steps"), env={"RUNPOD_PING_INTERVAL": "200"})
    jobs = [{"id": chr(ord("a") + n) + "é" * 255, "input": steps(*[gate.step] * (n == 0))} for n in range(6)]
    platform.script("take", answer(200, jobs, jobs=jobs))
    process.wait_log("at step 1")

    def named():
        pings = [ping.param("job_id") or "" for ping in platform.requests("ping")]
        return {job_id for ids in pings for job_id in ids.split(",")} >= {job["id"] for job in jobs}

    platform.wait_for(named, "pings that name all jobs")
    assert max(len(platform.base + ping.target) for ping in platform.requests("ping")) <= 8192
    assert len(process.lines("WARN.*heartbeat")) == 1
    gate.open()
    for job in jobs:
        platform.result(job["id"])
    platform.wait_ping()
