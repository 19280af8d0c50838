"""rp_upload: against a real S3 server (s3s-fs), and against one that fails by script."""

import hashlib
import json
import os
import re
import subprocess
import time
import urllib.parse
import urllib.request

import pytest

from fakes3 import SECRET, answer, drop, drop_early, error, fail, go_on, signature
from outcome import outcome
from own_handlers import own
from s3kit import REAL_SECRET, fake, get, real  # noqa: F401 (fixtures)
from workerproc import hosts_prefix

MIB = 1 << 20


@pytest.fixture
def upload(local, tmp_path):
    """upload(env, **input) -> output or error message; no secret is in the log."""

    def run(env, **options):
        done = local(
            "--test_input",
            json.dumps({"id": "job-7", "input": {"action": "upload", **options}}),
            handler=own("files"),
            env={"RP_SCRATCH_DIR": str(tmp_path), **env},
        )
        assert SECRET not in done.stdout and REAL_SECRET not in done.stdout
        return outcome(done.stdout)

    return run


@pytest.fixture
def big(tmp_path):
    """A file of 40 MiB and a bit: three parts."""
    file = tmp_path / "big.bin"
    file.write_bytes(os.urandom(MIB) * 40 + b"the end")
    return file


# ---- a real server ----


def test_real_small_file(real, upload, tmp_path):
    file = tmp_path / "a picture+ä.png"
    file.write_bytes(b"png")
    url = upload(real.env, path=str(file))["url"]
    month = time.strftime("%m-%y", time.gmtime())
    assert f"/{month}/job-7/a%20picture%2B%C3%A4.png?" in url and "X-Amz-Expires=604800" in url
    status, content, headers = get(url)
    assert (status, content, headers["Content-Type"]) == (200, b"png", "image/png")
    assert (real.root / month / "job-7" / file.name).read_bytes() == b"png"


def test_real_bytes_and_names(real, upload):
    url = upload(real.env, text="hello", name="x/y z.txt", prefix="out", bucket="mybucket", expires_s=60)["url"]
    assert "/mybucket/out/x/y%20z.txt?" in url and "X-Amz-Expires=60&" in url
    assert get(url)[1] == b"hello"


def test_real_link_cannot_be_changed(real, upload):
    url = upload(real.env, text="hello", name="x.txt", bucket="mybucket")["url"]
    assert get(url)[0] == 200
    assert get(url.replace("Expires=604800", "Expires=604799"))[0] == 403
    assert get(url.partition("?")[0])[0] in (401, 403)


def test_real_parts(real, upload, big):
    url = upload(real.env, path=str(big), bucket="mybucket")["url"]
    assert hashlib.sha256(get(url)[1]).digest() == hashlib.sha256(big.read_bytes()).digest()


@pytest.mark.parametrize("size", [0, 1, 16 * MIB, 16 * MIB + 1, 32 * MIB])
def test_real_sizes(real, upload, tmp_path, size):
    """At the edges: empty, in one piece, just not, and parts without a rest."""
    file = tmp_path / "f"
    file.write_bytes(b"x" * size)
    url = upload(real.env, path=str(file), bucket="mybucket")["url"]
    assert len(get(url)[1]) == size


def test_real_virtual_host(real, witness, tmp_path):
    env = {**real.env, "BUCKET_ENDPOINT_URL": f"http://s3.test:{real.port}", "RP_SCRATCH_DIR": str(tmp_path)}
    given = {"action": "upload", "text": "hello", "name": "v.txt", "bucket": "mybucket", "virtual_host": True}
    prefix = hosts_prefix(tmp_path, "127.0.0.1 s3.test mybucket.s3.test\n")
    done = subprocess.run(
        [*prefix, own("files"), "--test_input", json.dumps({"input": given})],
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    url = outcome(done.stdout)["url"]
    assert url.startswith(f"http://mybucket.s3.test:{real.port}/local_test/v.txt?")
    assert get(url, real.port)[1] == b"hello"


def test_real_refusal(real, upload):
    wrong = {**real.env, "BUCKET_SECRET_ACCESS_KEY": "not the secret"}
    assert "the storage answered 403 SignatureDoesNotMatch" in upload(wrong, text="x", name="x", bucket="mybucket")


def test_real_memory_stays_flat(real, platform, worker, tmp_path):
    file = tmp_path / "f"
    with open(file, "wb") as out:
        out.truncate(48 * MIB)
    process = worker(platform, handler=own("files"), env={**real.env, "RP_SCRATCH_DIR": str(tmp_path)})
    assert "url" in platform.run({"action": "upload", "text": "x", "name": "x", "bucket": "mybucket"})["output"]
    before = process.peak_kib()
    reply = platform.run({"action": "upload", "path": str(file), "bucket": "mybucket"})
    assert "url" in reply["output"], reply
    print(f"peak before {before} KiB, after {process.peak_kib()} KiB")
    assert process.peak_kib() - before < 1024


# ---- trouble ----


def test_signature_of_the_link(fake, upload):
    url = upload(fake.env(), text="hello", name="a b.txt", region="eu-x-1")["url"]
    parts = urllib.parse.urlsplit(url)
    query = dict(urllib.parse.parse_qsl(parts.query))
    access, _, scope = query["X-Amz-Credential"].partition("/")
    assert access == "AKIDFAKE" and scope.endswith("/eu-x-1/s3/aws4_request")
    assert query["X-Amz-Signature"] == signature(
        "GET", url.removeprefix(fake.base), {"host": parts.netloc}, ["host"], "UNSIGNED-PAYLOAD", query["X-Amz-Date"],
        scope,
    )  # fmt: skip


@pytest.mark.parametrize("asked, given", [(1, 1), (604800, 604800), (604801, 604800)])
def test_links_are_good_for_a_week_at_the_most(fake, upload, asked, given):
    assert f"X-Amz-Expires={given}&" in upload(fake.env(), text="hello", name="x", expires_s=asked)["url"]


@pytest.mark.parametrize(
    "bad",
    [fail(503, "SlowDown"), fail(500), fail(429), fail(400, "RequestTimeout"), drop, drop_early],
    ids=["503", "500", "429", "RequestTimeout", "drop", "drop-early"],
)
def test_passing_trouble_is_tried_again(fake, upload, tmp_path, bad):
    file = tmp_path / "f.bin"
    file.write_bytes(b"x" * 3 * MIB)
    fake.script = [bad, bad]
    upload(fake.env(), path=str(file), bucket="b")
    assert len(fake.seen) == 3 and fake.objects["/b/job-7/f.bin"] == file.read_bytes()


def test_definite_refusal(fake, upload):
    fake.script = [fail(403, "AccessDenied", "Not for &lt;you&gt;")]
    message = upload(fake.env(), text="x", name="x")
    assert "the storage answered 403 AccessDenied: Not for <you>" in message and len(fake.seen) == 1
    fake.script = [lambda request: answer(request, 404, b"no XML at all")]
    assert "the server answered 404" in upload(fake.env(), text="x", name="x")


def test_an_upload_has_a_deadline(fake, upload):
    fake.script = [lambda request: fake.go_on.wait(60)]
    assert "timed out" in upload(fake.env(), text="x", name="x", timeout_s=1)


def test_parts_are_taken_back_after_the_deadline(fake, upload, big):
    def hold(request):
        if request.command == "PUT":
            fake.go_on.wait(60)
        else:
            fake.do(request)

    hold.early = True  # the body does not come whole
    fake.script = [go_on, hold]
    assert "part 1: " in upload(fake.env(), path=str(big), bucket="b", timeout_s=2)
    assert fake.seen[-1].startswith("DELETE ")


def test_a_storage_that_leads_elsewhere(fake, upload):
    fake.script = [lambda request: answer(request, 300, error("PermanentRedirect", "There."))]
    assert "the storage answered 300 PermanentRedirect: There." in upload(fake.env(), text="x", name="x")
    assert len(fake.seen) == 1


def test_a_fault_costs_one_part(fake, upload, big):
    fake.script = [go_on, go_on, fail(500), drop_early, go_on]
    upload(fake.env(), path=str(big), bucket="b")
    assert fake.objects["/b/job-7/big.bin"] == big.read_bytes()
    numbers = re.findall(r"partNumber=(\d)", " ".join(fake.seen))
    assert numbers == ["1", "2", "2", "2", "3"]


@pytest.mark.parametrize("more, methods", [(0, ["PUT"]), (1, ["POST", "PUT", "PUT", "POST"])])
def test_parts_only_of_what_is_larger_than_one(fake, upload, tmp_path, more, methods):
    file = tmp_path / "f.bin"
    file.write_bytes(b"x" * (16 * MIB + more))
    upload(fake.env(), path=str(file), bucket="b")
    assert [request.split()[0] for request in fake.seen] == methods
    assert fake.objects["/b/job-7/f.bin"] == file.read_bytes()


def test_a_storage_that_gives_no_id(fake, upload, big):
    fake.script = [lambda request: answer(request, 200, b"<R></R>")]
    assert "started a multipart upload without an UploadId" in upload(fake.env(), path=str(big), bucket="b")
    assert len(fake.seen) == 1


def test_a_storage_that_gives_no_etag(fake, upload, big):
    fake.script = [go_on, lambda request: answer(request, 200)]
    assert "part 1: the storage accepted a part without an ETag" in upload(fake.env(), path=str(big), bucket="b")
    assert len(fake.seen) == 3 and fake.seen[-1].startswith("DELETE ")


def test_parts_that_cannot_be_taken_back(fake, local, tmp_path, big):
    fake.script = [go_on, fail(403, "AccessDenied"), fail(403, "NoDelete")]
    job = {"input": {"action": "upload", "path": str(big), "bucket": "b"}}
    done = local("--test_input", json.dumps(job), handler=own("files"), env={"RP_SCRATCH_DIR": str(tmp_path), **fake.env()})
    assert re.search(r"WARN .*Parts of a failed upload could not be removed from the storage: .*NoDelete", done.stdout)
    assert "part 1: the storage answered 403 AccessDenied" in outcome(done.stdout)


def test_failed_parts_are_taken_back(fake, upload, big):
    fake.script = [go_on, go_on, fail(403, "AccessDenied")]
    assert "part 2: the storage answered 403 AccessDenied" in upload(fake.env(), path=str(big), bucket="b")
    assert fake.seen[-1] == "DELETE /b/job-7/big.bin?uploadId=up%2Fload%2B1%262" and not fake.parts


@pytest.mark.parametrize("code", ["InternalError", "Whatever"])
def test_completion_that_fails_in_a_200(fake, upload, big, code):
    fake.script = [go_on] * 4 + [lambda request: answer(request, 200, error(code, "Try again"))]
    upload(fake.env(), path=str(big), bucket="b")
    assert fake.objects["/b/job-7/big.bin"] == big.read_bytes()


def test_completion_whose_answer_is_lost(fake, upload, big):
    def complete_and_drop(request):
        fake.complete(request.path.partition("?")[0], request.content.decode())
        return drop(request)

    fake.script = [go_on] * 4 + [complete_and_drop, fail(404, "NoSuchUpload")]
    assert "url" in upload(fake.env(), path=str(big), bucket="b")
    assert fake.seen[-1].startswith("HEAD ")


def test_completion_of_what_was_never_stored(fake, upload, big):
    fake.script = [go_on] * 4 + [fail(404, "NoSuchUpload")]
    assert "NoSuchUpload" in upload(fake.env(), path=str(big), bucket="b")


def test_completion_of_what_is_there_from_before(fake, upload, big):
    """The same name, and another length: it was not this upload that has completed."""
    fake.objects["/b/job-7/big.bin"] = b"from before"
    fake.script = [go_on] * 4 + [fail(404, "NoSuchUpload")]
    assert "NoSuchUpload" in upload(fake.env(), path=str(big), bucket="b")
    assert [request.split()[0] for request in fake.seen[-2:]] == ["HEAD", "DELETE"]


def test_completion_that_is_refused(fake, upload, big):
    """Whatever is there: only what is not found may have been completed."""
    fake.objects["/b/job-7/big.bin"] = big.read_bytes()
    fake.script = [go_on] * 4 + [fail(403, "AccessDenied")]
    assert "AccessDenied" in upload(fake.env(), path=str(big), bucket="b")
    assert [request.split()[0] for request in fake.seen[-2:]] == ["POST", "DELETE"]


def test_stop_takes_the_parts_back(fake, platform, worker, tmp_path, big):
    def hold(request):
        fake.waiting.set()
        fake.go_on.wait(60)
        return drop(request)

    fake.script = [go_on, go_on, hold]
    env = {**fake.env(), "RP_SCRATCH_DIR": str(tmp_path)}
    process = worker(platform, handler=own("files"), env=env)
    platform.give({"id": "stopped", "input": {"action": "upload", "path": str(big), "bucket": "b"}})
    assert fake.waiting.wait(30)
    platform.stop_jobs("stopped")
    process.wait_log("stopped.*Job stopped")
    fake.go_on.set()
    assert fake.seen[-1].startswith("DELETE ") and not platform.requests("done")


# ---- what is asked for ----


@pytest.mark.parametrize("name", ["BUCKET_ENDPOINT_URL", "BUCKET_ACCESS_KEY_ID", "BUCKET_SECRET_ACCESS_KEY"])
def test_missing_variable(fake, upload, name):
    env = fake.env()
    del env[name]
    assert f"{name} is not set" in upload(env, text="x", name="x")
    assert not fake.seen


@pytest.mark.unlisted
@pytest.mark.parametrize(
    "options, words",
    [
        ({"path": "/nowhere/f"}, "/nowhere/f: No such file"),
        ({"path": "."}, "is not a regular file"),
        ({"text": "x"}, "the object has no name"),
        ({"text": "x", "name": "../x"}, "may not have"),
        ({"text": "x", "name": "x" * 1100}, "longer than 1024 bytes"),
        ({"text": "x", "name": "x", "bucket": "a/b"}, "not a valid bucket name"),
    ],
)
def test_unusable(fake, upload, options, words):
    assert words in upload(fake.env(), **options)
    assert not fake.seen


def test_unusable_endpoint(fake, upload):
    assert "BUCKET_ENDPOINT_URL" in upload(fake.env(BUCKET_ENDPOINT_URL="s3://x"), text="x", name="x")
    message = upload(fake.env(BUCKET_ENDPOINT_URL="http://u:hunter2@127.0.0.1"), text="x", name="x")
    assert "BUCKET_ENDPOINT_URL" in message and "hunter2" not in message
