"""tests/CONTRACT.md, "Refresh": a worker that is to be replaced tells so with its result and takes no more jobs."""

import pytest

from actions import answer
from own_handlers import Gate, own, steps

FAST = {"RUNPOD_PING_INTERVAL": "200"}


@pytest.fixture
def start(worker):
    return lambda platform, *flags, **how: worker(platform, *flags, handler=own("steps"), **how)


def last_open_take(platform):
    """The job-take that is held now."""
    return platform.wait_for(
        lambda: platform.requests("take") and platform.requests("take")[-1].answered is None and platform.requests("take")[-1],
        "an open job-take",
    )


def test_by_result(platform, start):
    """stopPod with the result, no job-take after it; the pings go on, since the platform ends the worker."""
    process = start(platform, env=FAST)
    job = platform.give(input=steps({"refresh": True}, {"return": {"x": 1}}))
    assert platform.result(job) == {"output": {"x": 1}, "stopPod": True}
    platform.give({"id": "never", "input": steps()})
    platform.wait_more("ping", 4)
    assert len(platform.requests("take")) == 1 and platform.pending()
    platform.wait_ping()
    process.terminate()
    assert process.wait() == 0


def test_by_the_output_of_a_failure(platform, start):
    start(platform, env=FAST)
    job = platform.give(input=steps({"refresh": True}, {"fail": "and now replace me"}))
    result = platform.result(job)
    assert result["stopPod"] is True and "and now replace me" in result["error"]
    platform.wait_more("ping", 2)
    assert len(platform.requests("take")) == 1


def test_by_result_gives_up_the_open_take(platform, start, tmp_path):
    """Others run on and post; the job-take that was open for a third one is closed."""
    gate = Gate(tmp_path / "gate")
    start(platform, "--concurrency", "3", env=FAST)
    platform.give({"id": "other", "input": steps(gate.step, {"return": "too"})})
    platform.wait_for(lambda: last_open_take(platform).param("batch_size") == "2", "a job-take for two")
    platform.give({"id": "last", "input": steps({"refresh": True}, {"return": "bye"})})
    assert platform.result("last") == {"output": "bye", "stopPod": True}
    platform.wait_for(lambda: platform.requests("take")[-1].dropped, "the end of the open job-take")
    platform.give({"id": "never", "input": steps()})
    platform.wait_ping("other")
    gate.open()
    assert platform.result("other") == {"output": "too"}
    platform.wait_ping()
    assert platform.pending() and not platform.finals("never")


def test_by_result_while_a_stream(platform, start):
    start(platform, "--stream", env=FAST)
    job = platform.give(input=steps({"yield": 1}, {"refresh": True}))
    assert platform.result(job) == {"output": [], "stopPod": True}
    platform.wait_more("ping", 2)
    assert len(platform.requests("take")) == 1


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_by_configuration(platform, start, how):
    """stopPod with the first result, then the worker ends by itself."""
    flags, variables = (["--refresh-worker"], {}) if how == "flag" else ([], {"RP_REFRESH_WORKER": "1"})
    process = start(platform, *flags, env=variables)
    assert platform.run(steps({"return": "only"})) == {"output": "only", "stopPod": True}
    assert process.wait() == 0
    assert len(platform.requests("take")) == 1


def test_by_configuration_after_a_failure(platform, start):
    process = start(platform, "--refresh-worker")
    result = platform.run(steps({"fail": "no"}))
    assert result["stopPod"] is True and "no" in result["error"]
    assert process.wait() == 0


def test_by_configuration_waits_for_a_result_that_is_retried(platform, start):
    platform.script("done", answer(503), answer(503))
    process = start(platform, "--refresh-worker")
    assert platform.run(steps({"return": "only"})) == {"output": "only", "stopPod": True}
    assert process.wait() == 0


def test_by_configuration_lets_the_others_finish(platform, start, tmp_path):
    """With two slots the other job is not torn off: the worker ends when it has posted too."""
    gate = Gate(tmp_path / "gate")
    process = start(platform, "--refresh-worker", "--concurrency", "2", env=FAST)
    platform.give({"id": "slow", "input": steps(gate.step, {"return": "slow"})})
    process.wait_log("slow.*at step 1")
    platform.give({"id": "quick", "input": steps({"return": "quick"})})
    assert platform.result("quick") == {"output": "quick", "stopPod": True}
    platform.wait_more("ping", 3)
    platform.wait_ping("slow")
    assert not process.ended
    gate.open()
    assert platform.result("slow") == {"output": "slow", "stopPod": True}
    assert process.wait() == 0


def test_by_configuration_gives_up_the_open_take(platform, start, tmp_path):
    """More slots than jobs: a long poll is open while the job runs, and must not keep the worker."""
    gate = Gate(tmp_path / "gate")
    process = start(platform, "--refresh-worker", "--concurrency", "4")
    job = platform.give(input=steps(gate.step, {"return": "only"}))
    process.wait_log("at step 1")
    platform.wait_for(lambda: last_open_take(platform).param("batch_size") == "3", "a job-take for three")
    gate.open()
    assert platform.result(job) == {"output": "only", "stopPod": True}
    assert process.wait() == 0
    platform.wait_for(lambda: platform.requests("take")[-1].dropped, "the end of the open job-take")


def test_stopped_job_of_a_worker_to_be_refreshed(platform, start):
    """It had its one job: nothing is posted, and the worker ends all the same."""
    process = start(platform, "--refresh-worker")
    platform.give({"id": "stopped", "input": steps({"await_stop": 120_000})})
    process.wait_log("at step 1")
    platform.stop_jobs("stopped")
    assert process.wait() == 0
    assert not platform.requests("done")
