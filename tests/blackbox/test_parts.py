"""The worker's parts: a program has the flags of those that it names, and says what is missing of the others."""

import re

import pytest

from httphandler import server  # noqa: F401 (a fixture)
from own_handlers import own
from workerproc import BUILD, binary

JOB = '{"input": {"a": 1}}'
PARTS = {
    "programs": ["--handler", "--handler-once", "--handler-ready-timeout", "--isolate", "--fitness"],
    "servers": ["--handler-http", "--stream-interval", "--route"],
    "realtime": ["--serve", "--realtime-host", "--metrics-port"],
    "job_api": ["--rp_serve_api", "--rp_api_port", "--watch"],
    "storage": ["--upload-above", "--cache"],
    "audit": ["--audit"],
    "gpu": ["--gpu-info", "--libcuda"],
}


def flags_of(local, handler):
    told = local("--help", "all", handler=handler).stdout
    return set(re.findall(r"^  (--[a-z_-]+)", told, re.M)) - {"--help", "--version"}


def assert_refused(done, name, part):
    assert done.returncode == 2, done.stdout
    assert f'{name}: this program is built without its part "{part}"' in done.stdout
    assert f"set .{part} = &rp_{part}_part in its rp_config" in done.stdout


@pytest.mark.parametrize("part", PARTS)
def test_flags_of_a_part_that_is_not_there(local, part):
    shown = flags_of(local, own("plain"))
    for flag in PARTS[part]:
        assert flag not in shown
        assert_refused(local(f"{flag}=1", "--test_input", JOB, handler=own("plain")), flag, part)


def test_every_flag_is_in_the_help_or_refused(local):
    shown, every = flags_of(local, own("plain")), flags_of(local, "worker-gpu")
    assert {"--test_input", "--concurrency", "--stream", "--result-dir"} <= shown < every
    for flag in every - shown:
        done = local(f"{flag}=1", handler=own("plain"))
        why = "linked without its bill of materials" if flag == "--sbom" else "built without its part"
        assert done.returncode == 2 and why in done.stdout, flag


def test_help_on_a_part_that_is_not_there(local):
    overview = local("--help", handler=own("plain")).stdout
    assert "handlers, platform, files or all" in overview and "server" not in overview
    assert_refused(local("--help", "servers", handler=own("plain")), "--help servers", "servers")


@pytest.mark.parametrize(
    "name, value, part",
    [
        ("RP_HANDLER", "cat", "programs"),
        ("RP_HANDLER_HTTP", "http://127.0.0.1:1", "servers"),
        ("RP_SERVE", "1", "realtime"),
        ("RP_CACHE", "/x", "storage"),
        ("RUNPOD_REALTIME_PORT", "0", "realtime"),
    ],
)
def test_variables_that_ask_for_a_part(local, name, value, part):
    assert_refused(local("--test_input", JOB, handler=own("plain"), env={name: value}), name, part)


def test_variables_that_everybody_gets(platform, worker):
    """A platform or an image may set them for all programs."""
    env = {"PORT": "x", "RUNPOD_API_KEY": "k", "MAX_CONCURRENCY": "x", "RP_LIBCUDA": "/x"}
    worker(platform, handler=own("plain"), env=env)
    assert platform.run({"a": 1}) == {"output": {"a": 1}}


def test_the_accounts_key_is_masked_all_the_same(local):
    key = "rpa_0123456789abcdef"
    done = local("--test_input", '{"input": "it is %s"}' % key, handler=own("plain"), env={"RUNPOD_API_KEY": key})
    assert done.returncode == 0 and "it is" in done.stdout and key not in done.stdout


def test_a_local_test(local):
    done = local("--test_input", JOB, "--test_output", '{"output": {"a": 1}}', handler=own("plain"))
    assert done.returncode == 0, done.stdout


def test_one_part_alone(platform, worker, local, server):  # noqa: F811
    server.pages["/x"] = lambda talk: talk.reply(200, {"from": "the server"})
    worker(platform, "--handler-http", server.url, handler=own("server"))
    assert platform.run({"route": "/x"})["output"] == {"from": "the server"}
    assert "--handler PROGRAM" in local("--help", handler=own("server")).stdout  # it starts the server
    assert_refused(local("--handler", "cat", handler=own("server")), "--handler without --handler-http", "programs")
    assert_refused(local("--handler-once", "cat", handler=own("server")), "--handler-once", "programs")


@pytest.mark.shipped
@pytest.mark.skipif(BUILD.name == "coverage", reason="there all of it is linked")
def test_what_is_not_named_is_not_linked():
    """The plain program is not much more than half of the one with everything."""
    sizes = {name: binary(own(name)).stat().st_size for name in ("plain", "steps")}
    assert sizes["plain"] < 0.65 * sizes["steps"], sizes
