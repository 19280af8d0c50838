"""rp_scratch: a job's folder, and that nothing is left of it."""

import json
import signal
from pathlib import Path

import pytest

from own_handlers import own


@pytest.fixture
def place(tmp_path):
    """Where the folders are made."""
    return tmp_path / "scratch"


@pytest.fixture
def start(platform, worker, place):
    """start(...) -> a running worker with scratch folders in `place`."""
    return lambda **env: worker(platform, handler=own("files"), env={"RP_SCRATCH_DIR": str(place), **env})


def end(process):
    process.terminate()
    status = process.wait()
    return status


@pytest.mark.unlisted
@pytest.mark.parametrize("then", ["", "fail", "tree"])
def test_gone_after_the_job(platform, start, place, then):
    """After a success, a failure, and a job that makes it hard: 3,000 folders deep, shut ones, links, a pipe."""
    process = start()
    platform.run({"action": "scratch", "then": then}, timeout_s=60)
    assert end(process) == 0
    assert process.lines(f"scratch {place}/rp-scratch-") and not list(place.iterdir())
    assert Path("/etc/passwd").exists() and not process.lines("could not be removed")


def test_jobs_do_not_share_one(platform, start, place):
    process = start()
    outputs = [platform.run({"action": "scratch"})["output"]["path"] for _ in range(3)]
    assert len(set(outputs)) == 3 and all(path.startswith(f"{place}/") for path in outputs)
    assert end(process) == 0 and not list(place.iterdir())


def test_gone_when_the_job_is_stopped(platform, start, place):
    process = start()
    platform.give({"id": "stopped", "input": {"action": "scratch", "then": "wait"}})
    process.wait_log("stopped.*scratch /")
    platform.stop_jobs("stopped")
    process.wait_log("Job stopped")
    assert end(process) == 0 and not list(place.iterdir())


@pytest.mark.unlisted
def test_gone_when_the_worker_ends_in_the_middle(platform, start, place):
    """A shutdown whose grace is over before the handler is."""
    process = start(RP_SHUTDOWN_GRACE_S="0")
    platform.give({"id": "hanging", "input": {"action": "scratch", "then": "hang"}})
    process.wait_log("hanging.*scratch /")
    assert list(place.iterdir())
    assert end(process) == 1
    assert process.lines("ERROR.*without the results of these jobs: hanging$")
    assert not list(place.iterdir())


@pytest.mark.unlisted
@pytest.mark.parametrize("how", ["crash", "kill"])
def test_leftovers_of_a_dead_worker(platform, start, place, how):
    first = start()
    first.crash_expected = True
    platform.give({"id": "last", "input": {"action": "scratch", "then": "crash" if how == "crash" else "hang"}})
    first.wait_log("last.*scratch /")
    if how == "kill":
        first.signal(signal.SIGKILL)
    first.wait()
    (left,) = place.iterdir()
    (place / "not-ours").mkdir()
    second = start()
    platform.run({"action": "scratch"})
    second.wait_log(f"Removed the scratch folder of an earlier worker: {left.name}")
    assert end(second) == 0
    assert [entry.name for entry in place.iterdir()] == ["not-ours"]


@pytest.mark.unlisted
def test_not_those_of_a_worker_that_runs(platform, start, place):
    first = start()
    platform.give({"id": "running", "input": {"action": "scratch", "then": "hang"}})
    first.wait_log("running.*scratch /")
    (running,) = place.iterdir()
    second = start()
    platform.run({"action": "scratch"})
    assert end(second) == 0 and list(place.iterdir()) == [running]


def test_order_of_the_variables(local, tmp_path):
    def path(**env):
        done = local(
            "--test_input", json.dumps({"input": {"action": "scratch"}}), handler=own("files"), env=env
        )
        (line,) = [line for line in done.stdout.splitlines() if "scratch /" in line]
        return line.partition("scratch ")[2].rpartition("/")[0]

    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    theirs.mkdir()
    assert path(RP_SCRATCH_DIR=str(ours), TMPDIR=str(theirs)) == str(ours)
    assert path(TMPDIR=str(theirs)) == str(theirs)
    assert path() == "/tmp"


def test_read_only_image(local, tmp_path):
    """The error says what to set."""
    done = local(
        "--test_input",
        json.dumps({"input": {"action": "scratch"}}),
        handler=own("files"),
        env={"TMPDIR": "/proc/1"},
    )
    assert done.returncode == 1
    assert "cannot create a scratch folder in /proc/1 (set RP_SCRATCH_DIR to a writable folder)" in done.stdout
