"""Python handlers on the package in src/handlers/python: what the worker makes of them, and what it tells them."""

import io
import json
import os
import re
import shlex
import subprocess
import sys
import urllib.parse
import zipfile

import pytest

import actions
from children import PROGRAMS, do, failure, program
from fakes3 import ACCESS, SECRET, FakeS3, fail, signature
from fileserver import FileServer, body, chunked, cut_off, in_turn, redirect, until_close
from python_handlers import HANDLERS_ENV, PACKAGE, python

SCRIPT = PROGRAMS / "sdk_more.py"


@pytest.fixture
def handler(worker, platform):
    """handler(name, *flags) -> a worker with that handler of sdk_more.py."""

    def start(name, *flags, env=None):
        line = ("--handler", python(SCRIPT, name), "--handler-ready", "line", *flags)
        env = {**HANDLERS_ENV, "PATH": os.defpath, **(env or {})}
        return worker(platform, *line, handler="worker", env=env)

    return start


def pid_of(platform):
    return platform.run({})["output"]["pid"]


@pytest.mark.parametrize("name", ["plain", "coroutine"])
def test_a_stopped_job_ends_and_its_process_goes_on(platform, handler, name):
    process = handler(name)
    before = pid_of(platform)
    job = platform.give(input={"wait": True})
    process.wait_log(r"\| waiting$")
    platform.stop_jobs(job)
    assert pid_of(platform) == before
    assert not platform.finals(job)


def test_a_stopped_stream_ends_and_its_process_goes_on(platform, handler):
    process = handler("parts")
    job = platform.give(input={})
    platform.wait_request("stream")
    platform.stop_jobs(job)
    platform.give(input={})
    platform.wait_request("stream", 2)
    assert not process.lines("exited|was killed")


@pytest.mark.parametrize("name", ["plain", "coroutine"])
def test_a_job_over_its_time_fails_and_its_process_goes_on(platform, handler, name):
    handler(name, "--execution-timeout", "4")  # the first job imports what it needs
    before = pid_of(platform)
    assert failure(platform.run({"wait": True}))["error_type"] == "TimeoutError"
    assert pid_of(platform) == before


def test_a_stop_that_comes_while_the_loop_is_loaded_counts(platform, handler):
    handler("late")
    assert platform.run({}) == {"error": "The job was stopped."}


@pytest.mark.skipif(not hasattr(sys, "get_int_max_str_digits"), reason="this Python reads any number")
@pytest.mark.parametrize("name, jobs", [("plain", 1), ("coroutine", 1), ("coroutine", 2)])
def test_a_job_that_json_cannot_read_fails_alone(platform, handler, name, jobs):
    handler(name, "--handler-jobs", str(jobs))
    before = pid_of(platform)
    number = "9" * (sys.get_int_max_str_digits() + 1)
    text = '{"input": {"id": "no", "n": %s}, "tag": "id", "id": "j\\u0031"}' % number
    platform.script("take", actions.answer(200, text.encode()))
    error = failure(platform.result("j1"))
    assert error["error_message"].startswith("The job cannot be read: ") and "ValueError" in error["error_type"]
    assert pid_of(platform) == before


def test_one_of_several_jobs_is_stopped(platform, handler):
    process = handler("coroutine", "--handler-jobs", "3")
    jobs = [platform.give(input={"wait": True}) for _ in range(2)]
    process.wait_log(r"\| waiting$", 2)
    platform.stop_jobs(jobs[0])
    pid_of(platform)
    platform.wait_ping(jobs[1])
    assert not platform.finals(jobs[1])


def test_the_modifier_decides_how_many_jobs_a_process_gets(platform, handler, tmp_path):
    names = [str(tmp_path / str(n)) for n in range(3)]
    for name in names:  # each waits until all three are at work
        platform.give(input={"name": name, "all": names})
    process = handler("coroutine", "--handler-jobs", "8")
    platform.wait_for(lambda: len(platform.requests("done")) == 3 or None, "three results")
    assert process.lines("The concurrency is now 3")
    first = next(take for take in platform.requests("take") if take.jobs)
    assert first.param("batch_size") == "3"


def test_a_modifier_that_cannot_be_followed_is_named(platform, handler):
    process = handler("coroutine")
    process.wait_log("WARN.*asks for 3 jobs at a time.*--handler-jobs 3")
    pid_of(platform)


def test_an_unfit_machine_is_reported_and_the_worker_ends(platform, handler):
    platform.give(input={})
    process = handler("unfit")
    assert process.wait() == 1
    ping = next(ping for ping in platform.requests("ping") if ping.param("status"))
    assert ping.param("status") == "unhealthy"
    assert ping.param("check") == "check_model"
    assert ping.param("reason") == "RuntimeError: the model is damaged"
    assert not platform.requests("take")
    process.wait_log("the first check ran")


def test_a_program_that_is_unfit_when_it_is_started_again_is_not_used(platform, handler):
    process = handler("fading", "--handler-deaths", "2")
    assert "status 3" in failure(platform.run({"exit": True}))["error_message"]
    process.wait_log("restarted and says that the machine is not fit: .*FileExistsError")
    assert process.wait() == 1


def test_a_local_test_has_no_fitness_checks(local):
    done = local(
        "--handler", python(SCRIPT, "unfit"), "--test_input", '{"input": {}}', handler="worker",
        env={**HANDLERS_ENV, "PATH": os.defpath},
    )
    assert done.returncode == 0, done.stdout
    assert "the first check ran" not in done.stdout


def test_logs(platform, handler):
    process = handler("plain")
    job = platform.give(input={"log": True})
    platform.result(job)
    process.wait_log(r"^DEBUG +\| before start")
    process.wait_log(rf"WARN +\| {job} \| a warning of the handler's")
    process.wait_log(rf"INFO +\| {job} \| another \| about another job")
    process.wait_log(rf"INFO +\| ({job} \| )?printed, Grüße")


def test_the_key_is_not_the_handlers(platform, handler):
    handler("plain")
    assert platform.run({})["output"]["env"] is None


@pytest.mark.parametrize("output, problem", [("set", "set is not JSON serializable"), ("nan", "JSON compliant")])
def test_an_output_that_is_not_json_fails_the_job(platform, handler, output, problem):
    handler("plain")
    error = failure(platform.run({"output": output}))
    assert problem in error["error_message"]
    assert error["error_type"] in ("<class 'TypeError'>", "<class 'ValueError'>")
    pid_of(platform)


def test_a_long_traceback_keeps_its_end(platform, handler):
    handler("plain")
    traceback = failure(platform.run({"raise": 400}))["error_traceback"]
    assert 3000 < len(traceback.encode()) <= 4096
    assert traceback.endswith("ValueError: at the bottom\n")


def run(*words, folder, env=None):
    """Python without a worker."""
    return subprocess.run(
        [sys.executable, "-S", *words],
        env={**HANDLERS_ENV, **(env or {})},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "statement, name",
    [
        ("from runpod import Endpoint", "runpod.Endpoint"),
        ("import runpod; runpod.get_pods()", "runpod.get_pods"),
        ("import runpod.api.ctl_commands", "runpod.api"),
        ("from runpod.serverless.modules import rp_fastapi", "runpod.serverless.modules.rp_fastapi"),
        ("from runpod.serverless import VolumeCache", "runpod.serverless.VolumeCache"),
        ("from runpod.serverless.utils.rp_upload import get_boto_client", "rp_upload.get_boto_client"),
    ],
)
def test_what_is_not_there_is_named(tmp_path, statement, name):
    done = run("-c", statement, folder=tmp_path)
    assert done.returncode == 1
    assert f"{name} is not in slim-worker's stand-in" in done.stderr


def test_a_local_test_without_a_worker(tmp_path):
    done = run(str(SCRIPT), "plain", "--test_input", '{"input": {}}', folder=tmp_path)
    assert done.returncode == 0 and "Job result" in done.stdout, done.stdout
    done = run(str(SCRIPT), "plain", folder=tmp_path)
    assert done.returncode == 1 and "--handler 'python3 handler.py'" in done.stdout
    (tmp_path / "test_input.json").write_text('{"input": {"raise": 1}}')
    done = run(str(SCRIPT), "plain", folder=tmp_path)
    assert done.returncode == 1 and "ValueError: at the bottom" in done.stdout


def test_the_manuals_example(tmp_path, local):
    text = (PACKAGE / "README.md").read_text()
    code, command = re.findall(r"```(?:python|sh)\n(.*?)```", text, re.S)
    (tmp_path / "handler.py").write_text(code)
    variable, worker, *flags = shlex.split(command)
    assert (variable, worker) == ("PYTHONPATH=src/handlers/python", "build/worker")
    flags[flags.index("python3 handler.py")] = python("handler.py")
    done = local(*flags, "--test_input", '{"input": {"name": "Ann"}}', handler="worker", env=HANDLERS_ENV)
    assert done.returncode == 0 and "Hello, Ann!" in done.stdout, done.stdout


def test_its_start_imports_little(tmp_path):
    """What takes time to import is imported when it is used: a start is a few milliseconds."""
    done = run("-c", "import runpod, sys; print(*sys.modules)", folder=tmp_path)
    loaded = set(done.stdout.split())
    assert not loaded & {"asyncio", "urllib.request", "http.client", "inspect", "argparse", "json", "re"}


def test_every_file_is_for_python_3_8():
    import ast

    files = list(PACKAGE.rglob("*.py"))
    assert len(files) > 15
    for file in files:
        ast.parse(file.read_text(), str(file), feature_version=(3, 8))


# ---- the lines of the protocol that this package uses, by a program that does not ----


def act(worker, platform, *flags):
    return worker(platform, "--handler", program("actor.py"), *flags, handler="worker")


@pytest.mark.parametrize("how, output", [("parts", []), ("list", ["a"])])
def test_a_program_says_how_its_stream_ends(platform, worker, how, output):
    act(worker, platform)
    job = platform.give(input=do(("say", {"streaming": how}), ("say", {"stream": "a"}), ("output", None)))
    assert platform.result(job) == {"output": output}
    assert platform.wait_final(job).param("isStream") == "true"
    assert [post.json() for post in platform.requests("stream")] == [{"output": "a"}]
    job = platform.give(input=do(("say", {"streaming": how}), ("output", None)))
    assert platform.result(job) == {"output": []}
    assert platform.wait_final(job).param("isStream") == "true"
    assert platform.run(do(("output", 1))) == {"output": 1}


@pytest.mark.parametrize("flag", [(), ("--handler-jobs", "4")])
def test_a_program_is_told_how_many_jobs_it_gets(platform, worker, flag):
    act(worker, platform, *flag)
    env = platform.run(do(("about", "env")))["output"]
    assert env["RP_HANDLER_JOBS"] == (flag[1] if flag else "1")


# ---- downloads and uploads ----

STORE = """
import json
from runpod.serverless.utils import rp_upload, upload_file_to_bucket, upload_in_memory_object
open("a b.png", "wb").write(b"a picture")
print(json.dumps([
    upload_in_memory_object("x.bin", b"bytes", bucket_name="bucket", prefix="job/1"),
    upload_file_to_bucket("a b.png", "a b.png", bucket_name="bucket", extra_args={"ContentType": "image/png"}),
    rp_upload.upload_image("job", "a b.png", bucket_name="bucket"),
    *rp_upload.files("job", ["a b.png"]),
    *rp_upload.bucket_upload("job", ["a b.png"], {"endpointUrl": ENDPOINT, "accessId": ID, "accessSecret": SECRET,
                                                  "bucketName": "own"}),
]))
"""


@pytest.fixture
def storage():
    fake = FakeS3()
    yield fake
    fake.stop()


def test_uploads_are_signed_and_their_links_are_good(tmp_path, storage):
    script = f"ENDPOINT, ID, SECRET = {storage.base!r}, {ACCESS!r}, {SECRET!r}\n" + STORE
    storage.script = [fail(503)]  # tried again
    done = run("-c", script, folder=tmp_path, env=storage.env())
    assert done.returncode == 0, done.stderr
    links = json.loads(done.stdout)
    assert not storage.wrong
    assert storage.seen[0] == storage.seen[1] == "PUT /bucket/job/1/x.bin"
    assert storage.seen[2] == "PUT /bucket/a%20b.png"
    assert [storage.objects[good(storage, link)] for link in links[:4]] == [b"bytes", *[b"a picture"] * 3]
    assert links[4] == f"{storage.base}/own/job/a b.png"
    assert storage.objects["/own/job/a%20b.png"] == b"a picture"
    assert SECRET not in done.stdout + done.stderr


def good(storage, link):
    """The path of the object that a signed link is for."""
    target = link.removeprefix(storage.base)
    path, _, query = target.partition("?")
    said = dict(urllib.parse.parse_qsl(query))
    scope = said["X-Amz-Credential"].partition("/")[2]
    host = {"host": storage.base.partition("//")[2]}
    wanted = signature("GET", target, host, ["host"], "UNSIGNED-PAYLOAD", said["X-Amz-Date"], scope)
    assert said["X-Amz-Signature"] == wanted and said["X-Amz-Expires"] == "604800"
    return path


FETCH = """
import json, os, sys
from runpod.serverless.utils import download_files_from_urls
from runpod.serverless.utils.rp_download import file
base = sys.argv[1]
paths = download_files_from_urls("job", [base + "/a.png?x=1", None, base + "/gone", base + "/moved"])
zipped = file(base + "/disposed")
print(json.dumps([[path and open(path).read() for path in paths],
                  [path and os.path.splitext(path)[1] for path in paths],
                  zipped["type"], zipped["original_name"], os.listdir(zipped["extracted_path"])]))
"""


@pytest.fixture
def files():
    server = FileServer()
    yield server
    server.stop()


def test_downloads(tmp_path, files):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as each:
        each.writestr("inside.txt", "text")
    disposed = body(archive.getvalue(), Content_Disposition='attachment; filename="set.zip"')
    files.pages = {"/a.png": b"picture", "/moved": redirect("/a.png"), "/disposed": disposed}
    allowed = {"RUNPOD_ALLOW_PRIVATE_DOWNLOAD_URLS": "true"}
    done = run("-c", FETCH, files.base, folder=tmp_path, env=allowed)
    assert done.returncode == 0, done.stderr
    failed, found = done.stdout.splitlines()
    assert failed.startswith(f"Failed to download {files.base}/gone: 404")
    texts, endings, kind, name, inside = json.loads(found)
    assert texts == ["picture", None, None, "picture"]
    assert endings == [".png", None, None, ""]
    assert (kind, name, inside) == ("zip", "set.zip", ["inside.txt"])


FETCH_MORE = """
import json, sys
from runpod.serverless.utils import download_files_from_urls
paths = download_files_from_urls("../../j/1", [sys.argv[1] + "/" + name + "?sig=secret" for name in "abcd"])
print(json.dumps([path and open(path).read() for path in paths]))
"""


def test_a_download_that_breaks_off_is_tried_again_and_never_taken_for_whole(tmp_path, files):
    files.pages = {
        "/a": in_turn(cut_off(b"pic", 7), body(b"picture")),
        "/b": cut_off(b"pic", 7),
        "/c": chunked([b"pic", b"ture"]),
        "/d": until_close(b"picture"),
    }
    allowed = {"RUNPOD_ALLOW_PRIVATE_DOWNLOAD_URLS": "true"}
    done = run("-c", FETCH_MORE, files.base, folder=tmp_path, env=allowed)
    assert done.returncode == 0, done.stderr
    failed, found = done.stdout.splitlines()
    assert failed.startswith(f"Failed to download {files.base}/b: ") and "secret" not in done.stdout + done.stderr
    assert json.loads(found) == ["picture", None, "picture", "picture"]
    assert [path.name for path in (tmp_path / "jobs").iterdir()] == ["%2F..%2Fj%2F1"], "one folder, whatever the id"


@pytest.mark.parametrize(
    "url, env, problem",
    [
        ("{base}/a.png", {}, "non-public address 127.0.0.1"),
        ("http://[::ffff:127.0.0.1]/", {}, "non-public address"),
        ("http://169.254.169.254/latest", {}, "non-public address 169.254.169.254"),
        ("file:///etc/passwd", {}, "blocked URL scheme 'file'"),
        ("{base}/a.png", {"http_proxy": "http://127.0.0.1:9"}, "does not go through a proxy"),
        ("{base}/large", {"RUNPOD_MAX_DOWNLOAD_BYTES": "9", "RUNPOD_ALLOW_PRIVATE_DOWNLOAD_URLS": "1"}, "over 9 bytes"),
    ],
)
def test_a_url_that_is_not_for_a_job_is_refused(tmp_path, files, url, env, problem):
    files.pages = {"/a.png": b"secret", "/large": b"0123456789"}
    script = "import sys; from runpod.serverless.utils.rp_download import *\n"
    script += "try: download_files_from_urls('job', sys.argv[1])\nexcept SSRFError as problem: print(problem)"
    done = run("-c", script, url.format(base=files.base), folder=tmp_path, env=env)
    assert problem in done.stdout, done.stdout + done.stderr
    assert not [path for path, _ in files.requests if path == "/a.png"]
    assert not any(path.is_file() for path in (tmp_path / "jobs").rglob("*"))
