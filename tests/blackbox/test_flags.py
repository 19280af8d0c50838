"""Command line: the flags of the contract, --help, --version, and what is refused."""

import re

import pytest

JOB = '{"input": 1}'
TOPICS = ("handlers", "servers", "platform", "files", "local", "serve")


def fits_a_screen(text):
    lines = text.splitlines()
    return max(map(len, lines)) <= 100 and len(lines) <= 50


@pytest.mark.parametrize("handler", ["worker", "echo", "mock"])
def test_help(local, handler):
    done = local("--help", handler=handler)
    assert done.returncode == 0
    for flag in ("--test_input", "--test_output", "--rp_log_level", "--version", "--help"):
        assert flag in done.stdout
    for topic in TOPICS:
        assert topic in done.stdout
    assert fits_a_screen(done.stdout)


@pytest.mark.parametrize("argument", [("--help", "{}"), ("--help={}",)])
@pytest.mark.parametrize(
    "topic, flag, details",
    [
        ("handlers", "--kill-grace S", "(RP_KILL_GRACE; 0 to 3600 s; default 5)"),
        ("servers", "--handler-idle-timeout S", "(RP_HANDLER_IDLE_TIMEOUT; 0 to 86400 s; default 0)"),
        ("platform", "RP_RESULT_RETRY_S", "(0 to 86400 s; default 300)"),
        ("files", "RP_SCRATCH_DIR", ""),
        ("local", "--rp_log_level LEVEL", "(RUNPOD_LOG_LEVEL; default DEBUG)"),
    ],
)
def test_help_on_a_topic(local, topic, flag, details, argument):
    done = local(*(word.format(topic) for word in argument), handler="worker")
    assert done.returncode == 0 and fits_a_screen(done.stdout)
    assert flag in done.stdout and details in done.stdout


def test_help_on_all_topics(local):
    done = local("--help", "all", handler="worker")
    assert "()" not in done.stdout
    assert done.returncode == 0 and max(map(len, done.stdout.splitlines())) <= 100
    for topic in TOPICS:
        for line in local("--help", topic, handler="worker").stdout.splitlines():
            assert line in done.stdout


def test_every_flag_of_the_overview_is_in_a_topic(local):
    """The overview shows the common ones; none of them only there."""
    names = r"^  (--[a-z_-]+|[A-Z_]{6,})"
    overview = set(re.findall(names, local("--help").stdout, re.M))
    every = set(re.findall(names, local("--help", "all").stdout, re.M))
    assert overview < every and len(every) > 60


@pytest.mark.parametrize("arguments", [("--help", "nonsense"), ("--help=nonsense",), ("--help=",)])
def test_unknown_help_topic_names_the_topics(local, arguments):
    done = local(*arguments, handler="worker")
    assert done.returncode == 2 and "unknown topic" in done.stdout
    for topic in (*TOPICS, "all"):
        assert topic in done.stdout


def test_a_flag_after_help_is_not_its_topic(local):
    assert local("--help", "--stream").stdout == local("--help").stdout


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
    assert done.returncode == 2 and f"unknown argument {argument}" in done.stdout
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


@pytest.mark.parametrize(
    "flags, told",
    [
        (("--handler", "/bin/cat", "--handler-once", "/bin/cat"), "--handler and --handler-once exclude each other"),
        (("--handler", "/bin/cat", "--handler-ready", "tcp"), '--handler-ready is "tcp"; without --handler-http'),
        (("--handler-once", "/bin/cat", "--handler-ready", "/ready"), '--handler-ready is "/ready"; without'),
        (("--handler", "/bin/cat", "--handler-concurrency-path", "/n"), "--handler-concurrency-path is a path on"),
    ],
)
def test_flags_that_exclude_each_other(local, flags, told):
    done = local(*flags, "--test_input", JOB, handler="worker")
    assert done.returncode == 2 and told in done.stdout


def test_debugger_flag_is_accepted(local):
    assert local("--rp_debugger", "--test_input", JOB).returncode == 0


@pytest.mark.parametrize("name", ["RUNPOD_LOG_LEVEL", "RUNPOD_DEBUG_LEVEL"])
def test_bad_log_level_in_the_environment_is_named(local, name):
    done = local("--test_input", JOB, env={name: "LOUD"})
    assert done.returncode == 2 and name in done.stdout


@pytest.mark.parametrize("name", ["RP_MAX_RESULT_MB", "RP_RESULT_RETRY_S", "RP_SHUTDOWN_GRACE_S"])
@pytest.mark.parametrize("value", ["x", "-1", "1x", "99999999999999999999"])
def test_bad_number_in_the_environment_is_named(local, name, value):
    done = local("--test_input", JOB, env={name: value})
    assert done.returncode == 2 and name in done.stdout


@pytest.mark.parametrize("value", ["10.0.0.0/33", "::1,metadata.test", "127.1"])
def test_denied_downloads_that_are_no_ranges_are_named(local, value):
    done = local("--test_input", JOB, env={"RP_DENY_DOWNLOADS": value})
    assert done.returncode == 2 and "RP_DENY_DOWNLOADS" in done.stdout
    assert f'"{value.split(",")[-1]}" is not an address or a range' in done.stdout
    assert local("--deny-downloads", value, "--test_input", JOB).returncode == 2


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
