"""A handler of one's own (probe.c), built with ./build.sh handler: what authors may rely on, seen from outside."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from actions import answer
from starts import told
from workerproc import ROOT, RUNNER

pytestmark = pytest.mark.xdist_group("build")


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    """The built probe's path, as a worker's name."""
    if RUNNER:
        pytest.skip("probe.c is built for this machine, the tested workers are not")
    out = tmp_path_factory.mktemp("probe") / "probe"
    command = [str(ROOT / "build.sh"), "handler", str(Path(__file__).with_name("probe.c")), "-o", str(out)]
    done = subprocess.run(
        command, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    assert done.returncode == 0, done.stdout
    return str(out)


def test_no_take_before_the_setup_is_done(platform, worker, probe, tmp_path):
    """A model that takes minutes to load must not have a job waiting for it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = worker(platform, handler=probe, env={"PROBE_PIPE": str(pipe)})
    process.wait_log("setup begins")
    assert not platform.requests("take")
    with open(pipe, "wb"):
        platform.wait_request("take")


def test_setup_that_fails_runs_no_job(platform, worker, probe):
    """test_start.py has what it tells."""
    platform.poll_s = 0
    process = worker(platform, handler=probe, env={"PROBE_SETUP": "7"})
    assert process.wait() == 1
    assert process.lines("ERROR.*setup")
    told(platform, "setup")


def test_signal_during_the_setup(platform, worker, probe, tmp_path):
    """Nothing was taken, so there is nothing to wait for."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = worker(platform, handler=probe, env={"PROBE_PIPE": str(pipe)})
    process.wait_log("setup begins")
    process.terminate()
    assert process.wait() == 0


@pytest.mark.unlisted
@pytest.mark.parametrize("moment", ["idle", "after a job"])
def test_program_that_goes_on_after_rp_start(platform, worker, probe, moment):
    """rp_start has returned and its stack is gone: what of the worker still runs must not touch it."""
    process = worker(platform, handler=probe, env={"PROBE_STAYS": "1", "RUNPOD_PING_INTERVAL": "100"})
    platform.wait_idle()
    if moment == "after a job":
        platform.run({"do": "logs"})
    platform.always("take", answer(204))
    platform.always("stop", answer(200, {"jobsToStop": ["nobody"]}))
    process.terminate()
    assert process.wait() == 0
    assert process.lines("rp_start returned 0")


def test_refresh_by_configuration(platform, worker, probe):
    """stopPod with the result, then the worker ends."""
    process = worker(platform, handler=probe, env={"PROBE_REFRESH": "1"})
    result = platform.run({"do": "logs"})
    assert result == {"output": None, "stopPod": True}
    assert process.wait() == 0
    assert len(platform.requests("take")) == 1


@pytest.mark.parametrize("mistake", ["text", "half", "zero", "none", "code", "unknown"])
def test_mistake_of_a_handler_fails_its_job_visibly(platform, worker, probe, mistake):
    process = worker(platform, handler=probe)
    result = platform.run({"do": mistake})
    assert set(result) == {"error"}
    details = json.loads(result["error"])
    assert details["error_message"] and details["error_type"]
    process.wait_log("ERROR.*job-1")
    assert platform.run({"do": "deep"}) == {"output": ord("x")}


def test_failure_says_where(platform, worker, probe):
    worker(platform, handler=probe)
    details = json.loads(platform.run({"do": 'žluť "\n'})["error"])
    assert details["error_message"] == 'cannot do "žluť "\n"'
    assert re.search(r"probe\.c.*\d+", details["error_traceback"])


def test_whole_job_is_there(platform, worker, probe):
    """Members that this worker knows nothing of are the handler's."""
    worker(platform, handler=probe)
    job = {"id": "whole", "input": {"do": "page"}, "webhook": "https://example.com/x", "more": [1, {"a": None}]}
    platform.give(job)
    assert platform.result("whole") == {"output": job}


def test_waiting_handler_is_woken_by_a_stop(platform, worker, probe):
    process = worker(platform, handler=probe)
    platform.give({"id": "w", "input": {"do": "wait"}})
    process.wait_log(r"w.*Started\.")
    platform.stop_jobs("w")
    process.wait_log("told to stop, stopped=1")
    platform.wait_request("take", 2)
    assert not platform.requests("done")


@pytest.mark.parametrize("level, shown", [("TRACE", "12345"), ("INFO", "345"), ("ERROR", "5"), ("NOTSET", "")])
def test_levels_of_a_handlers_log(platform, worker, probe, level, shown):
    process = worker(platform, handler=probe, env={"RUNPOD_LOG_LEVEL": level})
    platform.run({"do": "logs"})
    platform.wait_idle()
    if shown:  # lines may wait for the log's thread, in their order
        process.wait_log(rf"level {shown[-1]}$")
    assert "".join(line[-1] for line in process.lines(r"level \d$")) == shown
