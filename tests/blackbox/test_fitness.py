"""tests/CONTRACT.md, "Heartbeat" and environment: a machine that is not fit says so once and takes no job."""

import json
import os
import re
from pathlib import Path

import pytest

from actions import answer, close, hold, reset
from own_handlers import own
from workerproc import SANITIZED, mount_prefix

REAL = {"RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": None, "RUNPOD_MIN_MEMORY_GB": "0.01", "RUNPOD_MIN_DISK_PERCENT": "0"}
UNFIT = {
    "memory_check": ({"RUNPOD_MIN_MEMORY_GB": "999999"}, "999999"),
    "disk_check": ({"RUNPOD_MIN_DISK_PERCENT": "100"}, "100"),
}


def report_of(platform):
    """The one ping that tells of the failure; nothing else was asked for."""
    assert [request.route for request in platform.record] == ["ping"], platform.story()
    ping = platform.requests("ping")[0]
    assert ping.target.startswith("/v2/ep0test/ping/pod-7x2?status=unhealthy&check=")
    assert [name for name, _ in ping.query] == ["status", "check", "reason", "runpod_version"]
    assert len(ping.param("reason")) <= 256 and ping.param("runpod_version")
    return ping


@pytest.mark.parametrize("check", UNFIT)
def test_unfit_machine(platform, worker, check):
    changes, word = UNFIT[check]
    process = worker(platform, env={**REAL, **changes})
    platform.give(input=1)
    assert process.wait() == 1
    ping = report_of(platform)
    assert ping.param("check") == check and word in ping.param("reason")
    assert process.lines(f"ERROR.*{check}.*{word}")
    assert platform.pending(), "the job, which nobody took"


def test_reasons_name_what_there_is_and_what_is_asked_for(platform, make_platform, worker):
    """In GiB, and of the container's limit where that is what counts; in percent of the disk."""
    reasons = []
    for place, check in zip((platform, make_platform()), UNFIT):
        assert worker(place, env={**REAL, **UNFIT[check][0]}).wait() == 1
        reasons.append(report_of(place).param("reason"))
    memory = re.fullmatch(r"Insufficient memory: (\d+\.\d\d) GiB available( of the container's limit of (\d+\.\d\d))?, "
                          r"999999\.00 required \(RUNPOD_MIN_MEMORY_GB\)", reasons[0])
    total = re.search(r"MemTotal: +(\d+) kB", Path("/proc/meminfo").read_text())[1]
    assert memory and float(memory[1]) <= int(total) / (1 << 20) and (not memory[2] or float(memory[1]) <= float(memory[3]))
    disk = re.fullmatch(r"Insufficient disk space: (\d+\.\d) % free, 100\.0 % required \(RUNPOD_MIN_DISK_PERCENT\)", reasons[1])
    there = os.statvfs("/")
    assert disk and abs(float(disk[1]) - 100 * there.f_bavail / there.f_blocks) < 5  # others write, too


@pytest.mark.skipif(SANITIZED, reason="sanitizers need a /proc")
def test_memory_that_nobody_tells_is_not_too_little(platform, worker):
    """As without a /proc: the check is left out, with a warning, and jobs are taken."""
    empty = mount_prefix("-t", "tmpfs", "none", "/proc")
    process = worker(platform, env={**REAL, **UNFIT["memory_check"][0]}, prefix=empty)
    assert platform.run("fit") == {"output": "fit"}
    assert process.lines(r"WARN   \| The memory check is skipped: /proc/meminfo cannot be read\.")


def test_network_is_the_platforms(platform, make_platform, worker):
    """What must be reached is the host of the job-take, not a public address."""
    absent = make_platform()
    absent.refuse()
    process = worker(platform, env={**REAL, "RUNPOD_WEBHOOK_GET_JOB": absent.env()["RUNPOD_WEBHOOK_GET_JOB"]})
    assert process.wait() == 1
    ping = report_of(platform)
    assert ping.param("check") == "network_check" and "refused" in ping.param("reason").lower()


def test_a_signal_ends_the_network_check(platform, make_platform, worker):
    """It is not a verdict: nothing is reported, and the end is a clean one."""
    absent = make_platform()
    absent.refuse()
    take = absent.env()["RUNPOD_WEBHOOK_GET_JOB"]
    env = {**REAL, "RUNPOD_NETWORK_CHECK_TIMEOUT": "60", "RUNPOD_WEBHOOK_GET_JOB": take}
    process = worker(platform, env=env)
    process.wait_log("passed: disk_check")
    process.terminate()
    assert process.wait() == 0
    assert not process.lines("Fitness check failed") and not platform.record


def test_network_that_swallows(platform, worker, deaf_port):
    """An address that never answers: the check's time-out ends it."""
    process = worker(
        platform,
        env={
            **REAL,
            "RUNPOD_WEBHOOK_GET_JOB": f"http://127.0.0.1:{deaf_port}/v2/x/job-take/$ID?a=b",
            "RUNPOD_NETWORK_CHECK_TIMEOUT": "1",
        },
    )
    assert process.wait() == 1
    assert report_of(platform).param("check") == "network_check"
    assert "timed out" in report_of(platform).param("reason")


def test_fit_machine_takes_jobs(platform, worker):
    worker(platform, env=REAL)
    assert platform.run("fit") == {"output": "fit"}
    assert all(ping.param("status") is None for ping in platform.requests("ping"))


@pytest.mark.parametrize("value", ["true", "1", "TRUE", "yes"])
def test_checks_are_left_out(platform, worker, value):
    worker(platform, env={"RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": value, "RUNPOD_MIN_MEMORY_GB": "999999"})
    assert platform.run(1) == {"output": 1}


@pytest.mark.parametrize(
    "action", [answer(500), answer(429), answer(401), reset(), close()], ids=lambda action: action.label
)
def test_report_is_not_repeated(platform, worker, action):
    """Whatever it meets: two tries at most (one more for a connection that was stale), then the end."""
    platform.always("ping", action)
    process = worker(platform, env={**REAL, **UNFIT["memory_check"][0]})
    assert process.wait() == 1
    assert 1 <= len(platform.requests("ping")) <= 2
    assert {request.route for request in platform.record} == {"ping"}


def test_report_that_is_never_answered(platform, worker):
    held = hold()
    platform.script("ping", held)
    process = worker(platform, env={**REAL, **UNFIT["memory_check"][0]})
    assert process.wait() == 1
    assert held.reached.is_set() and report_of(platform)


def test_report_that_finds_nobody(platform, worker):
    platform.refuse()
    process = worker(platform, env={**REAL, **UNFIT["memory_check"][0]})
    assert process.wait() == 1
    assert process.lines("ERROR.*memory_check")


@pytest.mark.parametrize("missing", ["RUNPOD_AI_API_KEY", "RUNPOD_WEBHOOK_PING"])
def test_no_report_where_no_ping_goes(platform, worker, missing):
    platform.key = "" if missing == "RUNPOD_AI_API_KEY" else platform.key
    process = worker(platform, env={**REAL, **UNFIT["disk_check"][0], missing: None})
    assert process.wait() == 1
    assert process.lines("ERROR.*disk_check") and not platform.record


@pytest.mark.parametrize(
    "name, value",
    [
        ("RUNPOD_MIN_MEMORY_GB", "much"),
        ("RUNPOD_MIN_MEMORY_GB", "-1"),
        ("RUNPOD_MIN_DISK_PERCENT", "101"),
        ("RUNPOD_MIN_DISK_PERCENT", "ten"),
        ("RUNPOD_NETWORK_CHECK_TIMEOUT", "0"),
        ("RUNPOD_NETWORK_CHECK_TIMEOUT", "soon"),
        ("RUNPOD_SKIP_AUTO_SYSTEM_CHECKS", "perhaps"),
    ],
)
def test_value_that_cannot_be_used(platform, worker, name, value):
    process = worker(platform, env={**REAL, name: value})
    assert process.wait() == 2
    assert process.lines(name) and not platform.record


@pytest.mark.parametrize("value", ["4", "4.0", "0.5", "0", "0.001"])
def test_decimals(local, value):
    done = local("--test_input", '{"input": 1}', env={"RUNPOD_MIN_MEMORY_GB": value})
    assert done.returncode == 0, done.stdout


# ---- the program's own checks ----


def test_own_checks_pass(platform, worker):
    process = worker(platform, handler=own("checks"))
    assert platform.run([1]) == {"output": [1]}
    lines = process.lines("setup has run|first check has run|Started")
    assert "setup" in lines[0] and "first check" in lines[1]


def test_own_check_fails(platform, worker):
    """Even where the automatic ones are left out."""
    process = worker(platform, handler=own("checks"), env={"CHECKS_REASON": "only 3 % left & no more\nto come, žluť"})
    assert process.wait() == 1
    ping = report_of(platform)
    assert ping.param("check") == "scratch & room"
    assert ping.param("reason") == "only 3 % left & no more\nto come, žluť"
    assert process.lines("ERROR.*scratch & room")


@pytest.mark.parametrize("reason", ["x" * 5000, "ž" * 300, "x" + "🦊" * 100, ""], ids=["long", "2", "4", "none"])
def test_reason_is_cut_between_characters(platform, worker, reason):
    process = worker(platform, handler=own("checks"), env={"CHECKS_REASON": reason})
    assert process.wait() == 1
    told = report_of(platform).param("reason")
    assert reason.startswith(told) and "\ufffd" not in told


def test_own_checks_come_last(platform, worker):
    """After the setup, which may be what they check."""
    process = worker(platform, handler=own("checks"), env={**REAL, **UNFIT["memory_check"][0], "CHECKS_REASON": "mine"})
    assert process.wait() == 1
    assert report_of(platform).param("check") == "memory_check"


def test_local_runs_check_nothing(local):
    job = json.dumps({"input": 1})
    done = local("--test_input", job, handler=own("checks"), env={"CHECKS_REASON": "x", "RUNPOD_MIN_MEMORY_GB": "999999"})
    assert done.returncode == 0, done.stdout
