"""What the worker does for its own safety, seen from outside: secrets in errors, streams, descriptors, privileges."""

import base64
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from children import actor, do, failure, sh  # noqa: F401 (a fixture)
from gpulib import NOBODY, run_unprivileged
from httphandler import error_of, serve, server  # noqa: F401 (fixtures)
from testplatform import API_KEY
from workerproc import RUNNER, SANITIZED, binary

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="NOT ROOT: IT WAS NOT TESTED")

# ---- secrets in errors that clients read ----

BUCKET_SECRET = "bucket/secret+0123456789"
SECRETS = {
    "API key": ({}, [API_KEY]),
    "bucket": ({"BUCKET_SECRET_ACCESS_KEY": BUCKET_SECRET}, [BUCKET_SECRET]),
    "proxy": (
        {"HTTPS_PROXY": "http://me:pass%2Fword%40x@127.0.0.1:1", "NO_PROXY": "*"},
        ["pass%2Fword%40x", "pass/word@x", base64.b64encode(b"me:pass/word@x").decode()],
    ),
    "one within another": (
        {"BUCKET_SECRET_ACCESS_KEY": f"{API_KEY}-and-more"},
        [API_KEY, f"{API_KEY}-and-more"],
    ),
    "other proxy": ({"HTTP_PROXY": "http://me:hunter2hunter2@127.0.0.1:1", "NO_PROXY": "*"}, ["hunter2hunter2"]),
}
each_secret = pytest.mark.parametrize("name", SECRETS)


def look(result, process, secrets):
    """The error is there, and has asterisks in the place of each secret; the log as well."""
    text = json.dumps(result, ensure_ascii=False)
    assert "error" in result and text.count("before ***") == text.count("*** behind") == len(secrets)
    for secret in secrets:
        assert secret not in text and secret not in process.log


def quote(secrets):
    return " and ".join(f"before {secret} behind" for secret in secrets)


@each_secret
def test_in_what_a_program_reports(platform, actor, name):  # noqa: F811
    env, secrets = SECRETS[name]
    process = actor(env=env)
    result = platform.run(do(("say", {"error": quote(secrets), "error_type": "Leak", "traceback": f"at {secrets[0]}"})))
    look(result, process, secrets)
    assert re.fullmatch(r"at \*+", failure(result)["error_traceback"])


@each_secret
def test_in_the_end_of_a_programs_log(platform, worker, name):
    env, secrets = SECRETS[name]
    process = worker(
        platform, "--handler-once", sh(f"echo '{quote(secrets)}' >&2; exit 3"), handler="worker", env=env
    )
    look(platform.run(1), process, secrets)


@each_secret
def test_in_what_a_server_answers(platform, serve, server, name):  # noqa: F811
    env, secrets = SECRETS[name]
    server.pages["/x"] = lambda talk: talk.reply(400, {"error": {"message": quote(secrets), "type": "leak"}})
    process = serve(platform, server, env=env)
    result = platform.run({"route": "/x"})
    look(result, process, secrets)
    assert error_of(result)["type"] == "leak"


def test_a_secret_that_the_limit_of_an_error_would_cut(platform, actor):  # noqa: F811
    """4,096 bytes are passed on: no start of the key is left at their end."""
    process = actor()
    for room in (1, len(API_KEY) // 2, len(API_KEY) - 1):
        message = failure(platform.run(do(("say", {"error": "x" * (4096 - room) + API_KEY}))))["error_message"]
        assert message == "x" * (4096 - room) + "*" * room
    assert API_KEY[: len(API_KEY) // 2] not in process.log


# ---- the standard streams ----


@as_root  # a worker with a key hides its descriptors from others
@pytest.mark.parametrize("closed", ["0", "1", "2", "01", "12", "012"])
def test_closed_streams_are_opened_on_nothing(platform, worker, closed):
    """The next descriptor to be opened would be the log's: a socket, or an eventfd."""
    script = "".join(f"exec {number}{'<' if number == '0' else '>'}&-; " for number in closed)
    process = worker(platform, prefix=["/bin/sh", "-c", script + 'exec "$@"', "sh"])
    assert platform.run(1) == {"output": 1}
    streams = {str(number): os.readlink(f"/proc/{process.pid}/fd/{number}") for number in range(3)}
    for number, target in streams.items():
        assert (target == "/dev/null") == (number in closed or number == "0"), streams


def test_a_program_of_a_worker_without_streams_has_all_three(platform, worker):
    look_at = "for n in 0 1 2; do readlink /proc/$$/fd/$n | cut -d : -f 1; done"
    prefix = ["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    worker(platform, "--handler-once", sh(look_at), handler="worker", prefix=prefix)
    assert platform.run(1) == {"output": "pipe\npipe\npipe"}


# ---- the limit of descriptors ----


def test_the_soft_limit_is_raised_and_programs_keep_theirs(platform, worker):
    prefix = ["/bin/sh", "-c", 'ulimit -Sn 200; ulimit -Hn 4000; exec "$@"', "sh"]
    process = worker(platform, "--handler-once", sh("ulimit -Sn; ulimit -Hn"), handler="worker", prefix=prefix)
    assert platform.run(1) == {"output": "200\n4000"}
    limits = Path(f"/proc/{process.pid}/limits").read_text()
    assert re.search(r"^Max open files +4000 +4000 ", limits, re.M), limits


# ---- a set-user-ID binary ----


def need_setuid(folder):
    status = Path("/proc/self/status").read_text()
    if os.statvfs(folder).f_flag & os.ST_NOSUID or re.search(r"NoNewPrivs:\s*1", status):
        pytest.skip("NO SET-USER-ID BIT COUNTS HERE: IT WAS NOT TESTED")


def copy_of(name, folder):
    copy = folder / name
    shutil.copy(binary(name), copy)
    copy.chmod(0o755)
    return copy


def make_setuid(copy):
    os.chown(copy, NOBODY - 1, NOBODY - 1)
    copy.chmod(0o4755)


ships = pytest.mark.skipif(bool(RUNNER) or SANITIZED, reason="about the binary that ships")


@as_root
@ships
@pytest.mark.parametrize("how", ["LD_LIBRARY_PATH", "RP_LIBCUDA", "--libcuda"])
def test_a_setuid_binary_takes_no_library_from_its_user(public_path, how):
    """Whoever starts it would run code of their own as its owner."""
    need_setuid(public_path)
    library = public_path / "libcuda.so.1"
    library.write_text("not a library, but long enough for the head of one " * 4)
    library.chmod(0o755)
    copy = copy_of("worker-gpu", public_path)
    env = {} if how.startswith("--") else {how: str(public_path)}
    flags = ["--libcuda", str(library)] if how.startswith("--") else []

    def look():
        done = run_unprivileged(copy, "--gpu-info", *flags, env=env)
        return done.stdout + done.stderr

    assert str(public_path) in look()
    make_setuid(copy)
    assert str(public_path) not in look()


@as_root
@ships
def test_a_setuid_binary_takes_no_program_from_the_environment(public_path):
    need_setuid(public_path)
    copy = copy_of("worker", public_path)
    env = {"RP_HANDLER_ONCE": "/bin/echo run by its owner"}
    job = ["--test_input", '{"input": 1}']
    assert "run by its owner" in run_unprivileged(copy, *job, env=env).stdout
    make_setuid(copy)
    done = run_unprivileged(copy, *job, env=env)
    assert done.returncode == 2 and "no handler" in done.stdout + done.stderr
