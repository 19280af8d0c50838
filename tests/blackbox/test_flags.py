"""Command line: the flags of the contract, --help, --version, and what is refused."""

import re

import pytest

JOB = '{"input": 1}'


@pytest.mark.parametrize("handler", ["worker", "echo", "mock"])
def test_help(local, handler):
    done = local("--help", handler=handler)
    assert done.returncode == 0
    for flag in ("--test_input", "--test_output", "--rp_log_level", "--version", "--help"):
        assert flag in done.stdout
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 120 and len(lines) <= 50, "it fits a screen"


@pytest.mark.parametrize("handler", ["worker", "echo", "mock"])
def test_version(local, handler):
    done = local("--version", handler=handler)
    assert done.returncode == 0 and re.search(r"\d+\.\d+\.\d+", done.stdout)
    assert "Starting" not in done.stdout


def test_version_is_the_same_everywhere(local):
    version = re.search(r"\d+\.\d+\.\d+\S*", local("--version").stdout)[0]
    assert f"Version {version} ---" in local("--test_input", JOB).stdout


def test_unknown_flags_are_left_to_the_program(local):
    done = local("--model", "llama", "-x", "--gpu=all", "word", "--test_input", JOB)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("argument", ["--concurency", "-x", "word"])
def test_unknown_flags_of_the_stock_worker(local, argument):
    """There is no code of a user's in it that could know them."""
    done = local("--handler-once", "/bin/true", argument, "4", "--test_input", JOB, handler="worker")
    assert done.returncode == 2 and f"{argument} is no flag" in done.stdout
    assert local("--handler-once", "/bin/true", "--test_input", JOB, "--", argument, handler="worker").returncode == 0


def test_everything_behind_two_dashes_is_left_to_the_program(local):
    """As with the SDK's argument parser."""
    assert local("--test_input", JOB, "--", "--rp_log_level", "nonsense").returncode == 0


@pytest.mark.parametrize(
    "level", ["NOTSET", "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "info", "0", "1", "2", "3", "4", "5"]
)
def test_log_level_is_accepted(local, level):
    assert local("--rp_log_level", level, "--test_input", JOB).returncode == 0
    assert local(f"--rp_log_level={level}", "--test_input", JOB).returncode == 0


@pytest.mark.parametrize("level", ["LOUD", "6", "-1", "", "1.5", "INFO "])
def test_bad_log_level_is_named(local, level):
    done = local(f"--rp_log_level={level}", "--test_input", JOB)
    assert done.returncode == 2 and "rp_log_level" in done.stdout


@pytest.mark.parametrize(
    "flag",
    ["--test_input", "--test_output", "--rp_log_level", "--rp_api_port", "--rp_api_host", "--rp_api_concurrency"],
)
def test_flag_without_its_value(local, flag):
    done = local(flag)
    assert done.returncode == 2 and flag.lstrip("-") in done.stdout


def test_debugger_flag_is_accepted(local):
    assert local("--rp_debugger", "--test_input", JOB).returncode == 0


def test_serve_api_is_refused_for_now(local):
    done = local("--rp_serve_api", "--rp_api_port", "8123", "--rp_api_host=0.0.0.0", "--rp_api_concurrency", "2")
    assert done.returncode == 2 and "not supported by this version" in done.stdout and "rp_serve_api" in done.stdout


@pytest.mark.parametrize("name", ["RUNPOD_LOG_LEVEL", "RUNPOD_DEBUG_LEVEL"])
def test_bad_log_level_in_the_environment_is_named(local, name):
    done = local("--test_input", JOB, env={name: "LOUD"})
    assert done.returncode == 2 and name in done.stdout


@pytest.mark.parametrize("name", ["RP_MAX_RESULT_MB", "RP_RESULT_RETRY_S", "RP_SHUTDOWN_GRACE_S"])
@pytest.mark.parametrize("value", ["x", "-1", "1x", "99999999999999999999"])
def test_bad_number_in_the_environment_is_named(local, name, value):
    done = local("--test_input", JOB, env={name: value})
    assert done.returncode == 2 and name in done.stdout


def test_missing_result_template_is_named(local, platform):
    """A worker that could take jobs but never answer them would lose every one."""
    done = local(env=platform.env(RUNPOD_WEBHOOK_POST_OUTPUT=None))
    assert done.returncode == 2 and "RUNPOD_WEBHOOK_POST_OUTPUT" in done.stdout
    assert not platform.connections


@pytest.mark.parametrize("key", ["a\r\nX-Evil: 1", "a\nb", "a\x01"])
def test_key_that_is_no_header_value(local, platform, key):
    done = local(env=platform.env(RUNPOD_AI_API_KEY=key))
    assert done.returncode == 2 and "RUNPOD_AI_API_KEY" in done.stdout and key not in done.stdout
    assert not platform.connections


def test_hostile_worker_id_is_encoded(platform, worker):
    worker(platform, env={"RUNPOD_POD_ID": "p/../x?y#z w\n"})
    take = platform.wait_request("take")
    assert take.path.count("/") == 4
    assert platform.run(1) == {"output": 1}
