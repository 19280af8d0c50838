"""Files of programs: the folder of each job, and what becomes of {"upload": "PATH"}; outputs that are too large."""

import json
import os
import time
from pathlib import Path

import pytest

from children import failure, program, sh
from fakes3 import ACCESS, SECRET, fail
from httphandler import parts, serve, server  # noqa: F401 (fixtures)
from s3kit import fake, get, real  # noqa: F401 (fixtures)

PAINTER = program("painter.py")
OWN = {"accessId": ACCESS, "accessSecret": SECRET, "bucketName": "theirs", "objectPath": "/a/b/"}


@pytest.fixture
def place(tmp_path):
    """Where the folders are made."""
    return tmp_path / "scratch"


@pytest.fixture
def paint(worker, platform, place):
    """paint(*flags, env={}, once=False) -> a worker whose program is painter.py."""

    def start(*flags, env=None, once=False):
        flag = "--handler-once" if once else "--handler"
        return worker(
            platform, flag, PAINTER, *flags, handler="worker", env={"RP_SCRATCH_DIR": str(place), **(env or {})}
        )

    return start


def month():
    return time.strftime("%m-%y", time.gmtime())


def files(place):
    """What is in the folders of jobs now."""
    return list(place.glob("*/job-*/*"))


def wait_empty(platform, place):
    platform.wait_for(lambda: not files(place) or None, "the end of the jobs' files")


# ---- the folder ----


def test_each_job_has_a_folder_that_goes_with_it(platform, paint, place):
    process = paint()
    look = {"files": {"x": "1", "deep/y": "2"}, "say": [{"output": ["$FOLDER", "$PARENT"]}]}
    first, second = (platform.run(look)["output"] for _ in range(2))
    assert first[0] != second[0] and first[1] == second[1]
    for folder, parent in (first, second):
        assert folder.startswith(f"{parent}/") and parent.startswith(f"{place}/rp-scratch-")
    wait_empty(platform, place)
    process.terminate()
    assert process.wait() == 0 and not list(place.iterdir())


def test_a_process_a_job_has_its_own(platform, paint, place):
    process = paint(once=True)
    job = platform.give(input={"files": {"x": "1"}, "say": [["$FOLDER", "$PARENT"]]})
    folder, parent = platform.result(job)["output"]
    assert folder == parent and folder.startswith(f"{place}/rp-scratch-")
    wait_empty(platform, place)
    assert platform.run({"say": ["$FOLDER"]})["output"] != folder
    process.terminate()
    assert process.wait() == 0 and not list(place.iterdir())


@pytest.mark.parametrize("how", ["remove", "replace", "link", "shut", "keep"])
def test_whatever_a_program_does_with_the_folder_the_next_job_has_an_empty_one(platform, paint, place, how):
    """A folder that is empty serves again under another name: not if it is another one now, or something came late."""
    process = paint()
    script = {
        "remove": "rm -rf $RP_SCRATCH/*",
        "replace": "mv $FOLDER $FOLDER-old; mkdir $FOLDER; touch $FOLDER/x",
        "link": "rmdir $FOLDER; ln -s /etc $FOLDER",
        "shut": "chmod 0 $FOLDER",
        "keep": "mkdir -p $FOLDER/a/b; touch $FOLDER/a/b/c $FOLDER/.hidden",
    }[how]
    seen = set()
    for _ in range(3):
        order = {"list": True, "say": [{"output": "$FOLDER"}]}
        assert (folder := platform.run(order)["output"]) not in seen
        seen.add(folder)
        assert platform.run({"list": True, "run": script, "say": [{"output": 1}]}) == {"output": 1}
    assert len(process.lines("its folder: \\[\\]")) == 6 and Path("/etc/passwd").exists()
    process.terminate()
    assert process.wait() == 0 and not list(place.iterdir())


def test_a_folder_that_was_moved_away_keeps_its_files(platform, paint, place, tmp_path):
    process = paint()
    moved = tmp_path / "moved"
    order = {"files": {"a/x": "1"}, "run": f"mv $FOLDER {moved}", "say": [{"output": 1}]}
    assert platform.run(order) == {"output": 1}
    assert platform.run({"list": True, "files": {"y": "2"}, "say": [{"output": 2}]}) == {"output": 2}
    wait_empty(platform, place)
    assert process.lines("its folder: \\[\\]") and (moved / "a/x").read_text() == "1"
    process.terminate()
    assert process.wait() == 0 and not list(place.iterdir())
    assert [path.name for path in moved.rglob("*")] == ["a", "x"]


def test_what_a_dead_program_has_left_goes(platform, paint, place):
    process = paint()
    output = {"files": {"x": "1", "../kept": "2"}, "say": [{"output": "$PARENT"}]}
    parent = Path(platform.run(output)["output"])
    assert (parent / "kept").exists()
    failure(platform.run({"files": {"x": "1"}, "die": True}))
    platform.wait_for(lambda: not (parent / "kept").exists() or None, "the end of what it kept")
    wait_empty(platform, place)
    assert platform.run({"files": {"x": "1"}, "say": [{"output": "$PARENT"}]}) == {"output": str(parent)}
    process.terminate()
    assert process.wait() == 0 and not list(place.iterdir())


@pytest.mark.parametrize("once", [False, True], ids=["lines", "once"])
def test_without_a_place_programs_go_without(platform, worker, once):
    flag = "--handler-once" if once else "--handler"
    process = worker(platform, flag, PAINTER, handler="worker", env={"TMPDIR": "/proc/1", "RP_SCRATCH": "/somewhere"})
    say = "none" if once else {"output": "none"}
    for _ in range(2):
        assert platform.run({"say": [say]}) == {"output": "none"}
    assert platform.run({"say": ["$PARENT" if once else {"output": "$PARENT"}]}) == {"output": "none"}
    mark = {"upload": "x"}
    details = failure(platform.run({"say": [mark if once else {"output": mark}]}))
    assert details["error_type"] == "UploadError" and "set RP_SCRATCH_DIR" in details["error_message"]
    assert len(process.lines("Programs get no RP_SCRATCH: .*set RP_SCRATCH_DIR")) == 1


def test_no_client_can_name_the_folder(platform, paint):
    paint()
    job = platform.give({"id": "sly", "input": {"say": [{"output": "$FOLDER"}]}, "scratch": "/etc"})
    assert '"scratch", which is reserved' in failure(platform.result(job))["error_message"]
    assert platform.run({"say": [{"output": 1}]}) == {"output": 1}


def test_a_programs_jobs_at_a_time_have_folders_of_their_own(platform, paint, place, fake):  # noqa: F811
    paint("--handler-jobs", "3", env=fake.env())
    jobs = [
        platform.give({"id": f"j{i}", "input": {"files": {"x": f"{i}"}, "say": [{"id": f"j{i}", "upload": "x"}]}})
        for i in range(6)
    ]
    for i, job in enumerate(jobs):
        url = platform.result(job)["output"]
        assert url.startswith(f"{fake.base}/{month()}/j{i}/x?")
        assert fake.objects[f"/{month()}/j{i}/x"] == f"{i}".encode()
    wait_empty(platform, place)


# ---- uploads ----


def test_links_in_the_place_of_files(platform, paint, real):  # noqa: F811
    paint(env=real.env)
    files = {"a b.png": "one", "masks/1.json": "two", "x": "three"}
    output = {
        "image": {"upload": "a b.png"},
        "list": [1, {"upload": "./masks//1.json"}, {"upload": "$FOLDER/x"}],
        "seed": "\\\"{\"upload\": \"x\"}",
        "not": [{"upload": 1}, {"upload": "x", "more": 1}, {"uploads": "x"}, "upload"],
    }
    job = platform.give({"id": "j", "input": {"files": files, "say": [{"output": output}]}})
    got = platform.result(job)["output"]
    links = [got["image"], got["list"][1], got["list"][2]]
    for link, name in zip(links, ["a%20b.png", "masks/1.json", "x"], strict=True):
        assert f"/{month()}/j/{name}?" in link and "X-Amz-Signature=" in link
    assert [get(link)[1] for link in links] == [b"one", b"two", b"three"]
    assert [get(link)[2]["Content-Type"] for link in links[:2]] == ["image/png", "application/json"]
    assert (got["list"][0], got["seed"], got["not"]) == (1, output["seed"], output["not"])


def test_a_file_is_an_output(platform, paint, real):  # noqa: F811
    paint(env=real.env)
    url = platform.run({"files": {"x.txt": "hello"}, "say": [{"upload": "x.txt"}]})["output"]
    assert get(url)[1] == b"hello"
    assert platform.run({"say": [{"upload": 0.5}, {"output": 1}]}) == {"output": 1}  # somebody's progress


def test_of_a_process_a_job(platform, worker, place, real):  # noqa: F811
    script = 'printf hello >"$RP_SCRATCH/x.txt"; printf \'{"text": {"upload": "x.txt"}}\''
    worker(
        platform, "--handler-once", sh(script), handler="worker", env={**real.env, "RP_SCRATCH_DIR": str(place)}
    )
    assert get(platform.run(1)["output"]["text"])[1] == b"hello"


def test_in_parts_of_a_stream(platform, paint, fake):  # noqa: F811
    paint(env=fake.env())
    say = [{"stream": {"n": 1, "frame": {"upload": "1.png"}}}, {"stream": {"upload": "2.png"}}, {"output": None}]
    job = platform.give({"id": "j", "input": {"files": {"1.png": "one", "2.png": "two"}, "say": say}})
    platform.result(job)
    first, second = parts(platform, job)
    assert first["n"] == 1 and first["frame"].startswith(f"{fake.base}/{month()}/j/1.png?")
    assert second.startswith(f"{fake.base}/{month()}/j/2.png?")
    assert fake.objects[f"/{month()}/j/2.png"] == b"two"


HOSTILE = {
    "missing": ("nothing.png", "nothing.png: No such file"),
    "empty": ("", "it names no file"),
    "folder": ("sub", "it is not a regular file"),
    "pipe": ("pipe", "it is not a regular file"),
    "link": ("link", "a part of it is a link"),
    "link-in-a-link": ("up/passwd", "a part of it is a link"),
    "inner-link": ("inner", "a part of it is a link"),
    "above": ("../x", 'is not allowed in it'),
    "above-in-it": ("sub/../../x", 'is not allowed in it'),
    "outside": ("/etc/passwd", "it is not in the job's folder"),
    "beside": ("$FOLDER-x/passwd", "it is not in the job's folder"),
    "parent": ("$PARENT/kept", "it is not in the job's folder"),
    "nul": ("good\0", "NUL byte"),
    "long": ("x" * 300, "ame too long"),
    "longer": ("x/" * 600, "it is longer than 1023 bytes"),
}


@pytest.mark.parametrize("once", [False, True], ids=["lines", "once"])
@pytest.mark.parametrize("name", HOSTILE)
def test_no_path_leads_out_of_the_folder(platform, paint, fake, name, once):  # noqa: F811
    path, words = HOSTILE[name]
    if once and name == "parent":
        pytest.skip("a process for one job has one folder")
    process = paint(once=once, env=fake.env())
    output = {"x": {"upload": path}}
    given = {
        "files": {"good": "1", "sub/y": "2"},
        "links": {"link": "/etc/passwd", "up": "/etc", "inner": "good"},
        "pipes": ["pipe"],
        "say": [output if once else {"output": output}],
    }
    details = failure(platform.run(given))
    assert details["error_type"] == "UploadError" and words in details["error_message"]
    assert not fake.seen and Path("/etc/passwd").exists()
    process.wait_log("UploadError")


def test_a_refused_upload_fails_the_job(platform, paint, fake):  # noqa: F811
    paint(env=fake.env())
    fake.script = [fail(403, "AccessDenied", "Not you")]
    details = failure(platform.run({"files": {"x": "1"}, "say": [{"output": {"upload": "x"}}]}))
    assert "the storage answered 403 AccessDenied: Not you" in details["error_message"]
    fake.script = [fail(403, "AccessDenied", "Not you")]
    details = failure(platform.run({"files": {"x": "1"}, "say": [{"stream": {"upload": "x"}}, {"output": 1}]}))
    assert "the storage answered 403 AccessDenied: Not you" in details["error_message"]
    assert platform.run({"say": [{"output": 1}]}) == {"output": 1}


def test_stop_in_the_middle_of_an_upload(platform, paint, fake):  # noqa: F811
    def hold(request):
        fake.waiting.set()
        fake.go_on.wait(60)
        request.close_connection = True
        return True

    process = paint(env=fake.env())
    pid = process.pid
    fake.script = [hold]
    platform.give({"id": "stopped", "input": {"files": {"x": "1"}, "say": [{"stream": {"upload": "x"}}]}})
    assert fake.waiting.wait(60)
    platform.stop_jobs("stopped")
    process.wait_log("stopped.*Job stopped")
    fake.go_on.set()
    assert not platform.requests("done") and process.pid == pid
    assert platform.run({"say": [{"output": 1}]}) == {"output": 1}


def test_without_a_storage(platform, paint):
    paint()
    details = failure(platform.run({"files": {"x": "1"}, "say": [{"output": {"upload": "x"}}]}))
    assert "BUCKET_ENDPOINT_URL is not set: no storage to upload to, and the job has no s3Config" in (
        details["error_message"]
    )


# ---- a storage of the job's own ----

ALLOWED = {"RP_ALLOW_PRIVATE_DOWNLOADS": "1"}
OTHER = {
    "BUCKET_ENDPOINT_URL": "http://127.0.0.1:1",
    "BUCKET_ACCESS_KEY_ID": "AKIAOTHER",
    "BUCKET_SECRET_ACCESS_KEY": "another-secret",
    "AWS_REGION": "xx-other-1",
}


def give(platform, config, **job):
    """The result of a job that uploads a file."""
    given = {"input": {"files": {"x.png": "1"}, "say": [{"output": {"upload": "x.png"}}]}, "s3Config": config, **job}
    return platform.result(platform.give({"id": "j", **given}))


def test_s3config_wins_as_a_whole(platform, paint, fake):  # noqa: F811
    paint(env={**ALLOWED, **OTHER})
    url = give(platform, {**OWN, "endpointUrl": fake.base})["output"]
    assert url.startswith(f"{fake.base}/theirs/a/b/j/x.png?") and f"{ACCESS}%2F" in url and "us-east-1" in url
    assert fake.objects == {"/theirs/a/b/j/x.png": b"1"}


def test_s3config_of_a_real_server(platform, paint, real):  # noqa: F811
    paint(env=ALLOWED)
    config = {
        "accessId": real.env["BUCKET_ACCESS_KEY_ID"],
        "accessSecret": real.env["BUCKET_SECRET_ACCESS_KEY"],
        "bucketName": "mybucket",
        "endpointUrl": real.env["BUCKET_ENDPOINT_URL"],
    }
    assert get(give(platform, config)["output"])[1] == b"1"


@pytest.mark.parametrize(
    "config",
    [None, {}, {"accessId": "", "accessSecret": None}, {"bucketName": "theirs", "objectPath": "p"}],
    ids=repr,
)
def test_an_empty_s3config_is_none(platform, paint, fake, config):  # noqa: F811
    paint(env=fake.env())
    assert give(platform, config)["output"].startswith(f"{fake.base}/{month()}/j/x.png?")


@pytest.mark.parametrize(
    "change, words",
    [
        ({"accessId": None}, "s3Config.accessId is not set"),
        ({"accessSecret": ""}, "s3Config.accessSecret is not set"),
        ({"endpointUrl": None}, "s3Config.endpointUrl is not set"),
        ({"accessId": 5}, "s3Config.accessId must be a string"),
        ({"endpointUrl": "s3://x"}, "s3Config.endpointUrl"),
        ({"bucketName": "a/b"}, "not a valid bucket name"),
        ({"objectPath": "../x"}, "may not have"),
    ],
    ids=repr,
)
def test_a_bad_s3config_takes_nothing_from_elsewhere(platform, paint, fake, change, words):  # noqa: F811
    """No secret of ours is used for somebody else's host."""
    paint(env={**ALLOWED, **fake.env()})
    details = failure(give(platform, {**OWN, "endpointUrl": fake.base, **change}))
    assert words in details["error_message"] and not fake.seen


def test_s3config_leads_to_public_addresses_only(platform, paint, fake):  # noqa: F811
    paint(env=OTHER)
    for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]"):
        endpoint = fake.base.replace("127.0.0.1", host)
        details = failure(give(platform, {**OWN, "endpointUrl": endpoint}))
        assert "is not a public address (RP_ALLOW_PRIVATE_DOWNLOADS=1 would allow it)" in details["error_message"]
    assert not fake.seen


def test_s3config_and_what_is_denied(platform, paint, fake):  # noqa: F811
    paint("--deny-downloads", "127.0.0.0/8", env={**ALLOWED, **OTHER})
    details = failure(give(platform, {**OWN, "endpointUrl": fake.base}))
    assert "is denied by RP_DENY_DOWNLOADS" in details["error_message"] and not fake.seen


@pytest.mark.parametrize("secret", ["a secret/with+things", "wörd\"\\"], ids=repr)
def test_its_secret_is_masked(platform, paint, secret):
    process = paint()
    written = json.dumps(secret, ensure_ascii=False)[1:-1]
    given = {"print": f"printed {secret} and {written}.", "say": [{"error": f"told {secret} and {written}."}]}
    config = {**OWN, "accessSecret": secret, "endpointUrl": "https://s3.example.org"}
    result = platform.result(platform.give({"id": "j", "input": given, "s3Config": config}))
    assert "told ***" in failure(result)["error_message"]
    process.wait_log("printed \\*\\*\\*")
    for text in (secret, written):
        assert text not in process.log and text not in json.dumps(result, ensure_ascii=False)


# ---- local tests ----


def test_a_local_test_keeps_files(local, tmp_path):
    given = {"files": {"a/x.txt": "hello"}, "say": [{"output": {"text": {"upload": "a/x.txt"}}}]}
    ended = local("--handler", PAINTER, "--test_input", json.dumps({"input": given}), handler="worker")
    assert ended.returncode == 0, ended.stdout
    assert 'Job result: {"output": {"text": "local_upload/local_test/a/x.txt"}}' in ended.stdout
    assert "No storage is set (BUCKET_ENDPOINT_URL)" in ended.stdout
    assert (tmp_path / "local_upload/local_test/a/x.txt").read_text() == "hello"


def test_a_local_test_with_a_storage_uses_it(local, fake):  # noqa: F811
    given = {"files": {"x.txt": "hello"}, "say": [{"output": {"upload": "x.txt"}}]}
    ended = local("--handler", PAINTER, "--test_input", json.dumps({"input": given}), handler="worker", env=fake.env())
    assert f'"output": "{fake.base}/{month()}/local_test/x.txt?' in ended.stdout
    ended = local(
        "--handler", PAINTER, "--test_input", json.dumps({"input": given}), handler="worker",
        env={**fake.env(), "BUCKET_ACCESS_KEY_ID": ""},
    )  # fmt: skip
    assert ended.returncode == 1 and "BUCKET_ACCESS_KEY_ID is not set" in ended.stdout


# ---- large outputs ----


def test_large_outputs_are_links(platform, worker, real):  # noqa: F811
    worker(platform, "--upload-above", "0.01", env=real.env)
    small, large = "x" * 9990, {"a": "x" * 10000, "refresh": False}
    assert platform.run(small) == {"output": small}
    output = platform.run(large)["output"]
    assert set(output) == {"url", "content_type", "bytes"} and output["content_type"] == "application/json"
    status, content, headers = get(output["url"])
    assert json.loads(content) == large and len(content) == output["bytes"]
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert "/output.json?" in output["url"]


def test_larger_than_the_platform_takes(platform, worker, fake):  # noqa: F811
    worker(platform, "--handler-once", sh("head -c 30000000 /dev/zero | tr '\\0' x"), "--upload-above", "1",
           handler="worker", env=fake.env())  # fmt: skip
    output = platform.run(1)["output"]
    assert output["bytes"] == 30000002
    (content,) = fake.objects.values()
    assert content == b'"' + b"x" * 30000000 + b'"'


def test_errors_and_refreshs_keep_their_meaning(platform, paint, fake):  # noqa: F811
    paint("--upload-above", "0.001", env=fake.env())
    assert platform.run({"say": [{"output": {"error": "x" * 2000}}]}) == {"error": "x" * 2000}
    assert not fake.seen
    result = platform.run({"say": [{"output": {"a": "x" * 2000, "refresh_worker": True}}]})
    assert result["stopPod"] is True and "url" in result["output"]


def test_what_cannot_be_uploaded_is_posted(platform, worker, fake):  # noqa: F811
    process = worker(platform, "--upload-above", "0.001", env=fake.env())
    fake.script = [fail(403, "AccessDenied")]
    assert platform.run("x" * 2000) == {"output": "x" * 2000}
    process.wait_log("WARN .*2002 bytes could not be uploaded .*AccessDenied.*It is posted as it is")
    assert len(fake.seen) == 1


def test_what_cannot_be_posted_either_fails(platform, worker):
    worker(platform, "--handler-once", sh("head -c 21000000 /dev/zero | tr '\\0' x"), "--upload-above", "1",
           handler="worker")  # fmt: skip
    details = failure(platform.run(1))
    assert details["error_type"] == "UploadError"
    assert "21000002 bytes could not be uploaded (--upload-above): BUCKET_ENDPOINT_URL" in details["error_message"]


def picture(talk):
    talk.reply(200, os.urandom(10) * 500, content_type="image/png")


def test_binary_answers_of_servers(platform, serve, server, fake):  # noqa: F811
    server.pages["/large"] = picture
    server.pages["/small"] = lambda talk: talk.reply(200, b"\0\xff", content_type="image/png")
    serve(platform, server, "--handler-binary", "--upload-above", "0.004", env=fake.env())
    output = platform.run({"route": "/large"})["output"]
    assert output["url"].partition("?")[0].endswith("/output.png")
    assert (output["content_type"], output["bytes"]) == ("image/png", 5000)
    assert [len(content) for content in fake.objects.values()] == [5000]
    assert platform.run({"route": "/small"}) == {"output": {"content_type": "image/png", "base64": "AP8="}}
    fake.script = [fail(403)]
    assert len(platform.run({"route": "/large"})["output"]["base64"]) == 6668


def test_large_answers_of_servers(platform, serve, server, fake):  # noqa: F811
    """Plain, and as the one part of a list."""
    answer = {"text": "x" * 5000}
    server.pages["/v1/x"] = lambda talk: talk.reply(200, answer)
    serve(platform, server, "--upload-above", "0.004", shape=None, env=fake.env())
    plain = platform.run({"route": "/v1/x"})["output"]
    assert json.loads(fake.objects[plain["url"].partition("?")[0].removeprefix(fake.base)]) == answer
    job = platform.give({"id": "list", "input": {"openai_route": "/v1/x", "openai_input": {"model": "m"}}})
    (part,) = platform.result(job)["output"]
    assert part["url"].startswith(f"{fake.base}/{month()}/list/output.json?") and parts(platform, job) == [part]
