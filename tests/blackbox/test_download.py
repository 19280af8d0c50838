"""rp_download: what is fetched, under which name, and what is not."""

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fileserver import FileServer, body, chunked, cut_off, hanging, in_turn, redirect, server, status, until_close  # noqa: F401 (fixture)
from own_handlers import own
from testplatform import API_KEY, server_context

ALLOW = {"RP_ALLOW_PRIVATE_DOWNLOADS": "1"}


@pytest.fixture
def fetch(ask_handler):
    """fetch(url, **input) -> the job's output, or its error's message."""
    return lambda url, env=None, **options: ask_handler("files", {"action": "download", "url": url, **options}, env)


# ---- content ----


def test_file(server, fetch):
    server.pages["/a/picture.png"] = body(b"x" * 99999 + b"end", Content_Type="image/png")
    got = fetch(f"{server.base}/a/picture.png?token=secret")
    assert got["name"] == "picture.png" and Path(got["path"]).name == "picture.png"
    assert got["type"] == "image/png" and got["bytes"] == got["size"] == 100002 and got["end"].endswith("xend")
    assert got["mode"] == 0o600
    (_, headers) = server.requests[0]
    assert headers["Accept-Encoding"] == "identity" and "Authorization" not in headers


@pytest.mark.parametrize(
    "page",
    [chunked([b"a" * 70000, b"b", b"end"]), until_close(b"x" * 70001 + b"end"), body(b"x" * 70001 + b"end")],
    ids=["chunked", "until-close", "length"],
)
def test_framing(server, fetch, page):
    server.pages["/f"] = page
    got = fetch(f"{server.base}/f")
    assert got["size"] == 70004 and got["end"].endswith("end")


def test_empty_file(server, fetch):
    server.pages["/f"] = body(b"")
    assert fetch(f"{server.base}/f")["size"] == 0


def test_tls(fetch, authority, localhost_certificate):
    server = FileServer(tls=server_context(*localhost_certificate))
    server.pages["/f"] = body(b"over TLS")
    assert fetch(f"{server.base}/f", env={"SSL_CERT_FILE": str(authority.root_file)})["end"] == "over TLS"
    assert "SSL_CERT_FILE" in fetch(f"{server.base}/f", env={"SSL_CERT_FILE": "/nowhere"})
    assert "certificate" in fetch(f"{server.base}/f")
    server.stop()


def test_blanks_and_umlauts_in_the_url(server, fetch):
    server.pages["/a%20b/%C3%A4.txt"] = body(b"yes")
    got = fetch(f" {server.base}/a b/ä.txt\n")
    assert got["end"] == "yes" and got["name"] == "ä.txt"


def test_memory_stays_flat(server, platform, worker, tmp_path):
    """200 MB through a worker whose memory grows by next to nothing."""
    piece = b"x" * (1 << 20)
    server.pages["/big"] = chunked([piece] * 200)
    server.pages["/small"] = body(b"x")
    process = worker(platform, handler=own("files"), env={**ALLOW, "RP_SCRATCH_DIR": str(tmp_path / "s")})
    ask = {"action": "download", "url": f"{server.base}/small"}
    assert platform.run(ask)["output"]["size"] == 1
    before = process.peak_kib()
    assert platform.run({**ask, "url": f"{server.base}/big"})["output"]["size"] == 200 << 20
    print(f"peak before {before} KiB, after {process.peak_kib()} KiB")
    assert process.peak_kib() - before < 1024


# ---- names ----


@pytest.mark.parametrize(
    "field, name",
    [
        ('attachment; filename="report.pdf"', "report.pdf"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ('attachment; filename="..\\\\..\\\\boot.ini"', "boot.ini"),
        ("attachment; filename=.bashrc", "bashrc"),
        ("attachment; filename=x; filename*=UTF-8''%e2%82%ac%20rates.txt", "€ rates.txt"),
        ('attachment; filename="..."', "url-name"),
        ("attachment; filename=" + "n" * 400 + ".tar", "n" * 124 + ".tar"),
        ("attachment; filename=" + "n" * 5000, "url-name"),
        ("inline", "url-name"),
    ],
)
def test_content_disposition(server, fetch, field, name):
    server.pages["/x/url-name"] = body(b"1", Content_Disposition=field)
    got = fetch(f"{server.base}/x/url-name")
    assert got["name"] == name and Path(got["path"]).name == name


def test_name_given_and_no_name(server, fetch):
    server.pages["/"] = body(b"1", Content_Disposition="attachment; filename=theirs")
    assert fetch(f"{server.base}/", name="../mine.txt")["name"] == "mine.txt"
    server.pages["/"] = body(b"1")
    assert fetch(f"{server.base}/")["name"] == "download"
    server.pages["/%2e%2e%2f%2e%2e%2fetc%2fshadow"] = body(b"1")
    assert fetch(f"{server.base}/%2e%2e%2f%2e%2e%2fetc%2fshadow")["name"] == "shadow"


# ---- limits ----


@pytest.mark.parametrize("page", [body(b"x" * 1001), chunked([b"x" * 1000, b"x"]), until_close(b"x" * 1001)])
def test_size_cap(server, fetch, page):
    server.pages["/f"] = page
    assert "larger than the limit of 1000 bytes" in fetch(f"{server.base}/f", max_bytes=1000)
    assert "larger than the limit of 1 bytes" in fetch(f"{server.base}/f", max_bytes=1)
    assert fetch(f"{server.base}/f", max_bytes=1001)["size"] == 1001
    assert "limit of 7 bytes" in fetch(f"{server.base}/f", env={"RUNPOD_MAX_DOWNLOAD_BYTES": "7"})
    assert "RUNPOD_MAX_DOWNLOAD_BYTES" in fetch(f"{server.base}/f", env={"RUNPOD_MAX_DOWNLOAD_BYTES": "7x"})
    assert fetch(f"{server.base}/f", env={"RUNPOD_MAX_DOWNLOAD_BYTES": ""})["size"] == 1001


def test_deadline(server, fetch):
    started, goes_on = threading.Event(), threading.Event()
    server.pages["/f"] = hanging(started, goes_on)
    assert "timed out" in fetch(f"{server.base}/f", timeout_s=1)
    goes_on.set()


def test_stopped_job_gives_up_at_once(server, platform, worker, tmp_path):
    """In the middle of a body that never comes."""
    started, goes_on = threading.Event(), threading.Event()
    server.pages["/f"] = hanging(started, goes_on)
    scratch = tmp_path / "s"
    process = worker(platform, handler=own("files"), env={**ALLOW, "RP_SCRATCH_DIR": str(scratch)})
    platform.give({"id": "stopped", "input": {"action": "download", "url": f"{server.base}/f"}})
    assert started.wait(30)
    platform.stop_jobs("stopped")
    process.wait_log("stopped.*Job stopped")
    server.pages["/g"] = body(b"next")
    assert platform.run({"action": "download", "url": f"{server.base}/g"})["output"]["end"] == "next"
    goes_on.set()
    process.terminate()
    assert process.wait() == 0 and not list(scratch.iterdir())


# ---- trouble ----


@pytest.mark.parametrize(
    "bad",
    [status(503), status(500), status(429, Retry_After="0"), status(408), cut_off(b"x" * 500, 1000)],
    ids=["503", "500", "429", "408", "cut-off"],
)
def test_passing_trouble_is_tried_again(server, fetch, bad):
    server.pages["/f"] = in_turn(bad, body(b"the whole"))
    got = fetch(f"{server.base}/f")
    assert (got["end"], got["bytes"], got["size"]) == ("the whole", 9, 9)
    assert len(server.requests) == 2


def test_three_tries_and_no_more(server, fetch):
    server.pages["/f"] = status(502)
    assert "the server answered 502" in fetch(f"{server.base}/f")
    assert len(server.requests) == 3


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 501])
def test_definite_refusals_are_not_tried_again(server, fetch, code):
    server.pages["/f"] = status(code)
    assert f"the server answered {code}" in fetch(f"{server.base}/f?secret")
    assert len(server.requests) == 1


@pytest.mark.parametrize("code", [204, 206])
def test_parts_and_nothings_are_no_files(server, fetch, code):
    server.pages["/f"] = status(code)
    assert f"the server answered {code}" in fetch(f"{server.base}/f")


def test_what_a_proxy_has_changed_is_a_file(server, fetch):
    server.pages["/f"] = status(203)
    assert fetch(f"{server.base}/f")["size"] == 0


def test_compressed_all_the_same(server, fetch):
    server.pages["/f"] = body(b"\x1f\x8b", Content_Encoding="gzip")
    assert "compressed" in fetch(f"{server.base}/f")


def test_no_file_is_left_of_a_failure(server, fetch):
    """Neither in the job's folder, where the handler bears it, nor of that folder: fetch itself looks for it."""
    server.pages["/f"] = cut_off(b"x" * 500, 1000)
    got = fetch(f"{server.base}/f", soft=True)
    assert "closed after 500 of 1000 bytes" in got["reason"] and "Download of http://" in got["reason"]
    assert got["left"] == 0


def test_error_names_the_url_without_its_query(server, fetch):
    message = fetch(f"{server.base}/f?X-Amz-Signature=verysecret")
    assert f"Download of {server.base}/f: " in message and "verysecret" not in message
    assert "verysecret" not in fetch(f"{server.base}/f#verysecret")


def test_error_names_a_long_url_in_part(server, fetch):
    url = f"{server.base}/{'x' * 600}"
    assert fetch(url) == f"Download of {url[:500]}: the server answered 404"


@pytest.mark.parametrize("url", ["ftp://x/y", "file:///etc/passwd", "", "http://", "nonsense", "http://a b/", "//x/y"])
def test_no_url(fetch, url):
    assert "Download of" in fetch(url)


def test_user_in_the_url(fetch):
    message = fetch("http://me:hunter2@127.0.0.1/f")
    assert "user or password" in message and "hunter2" not in message
    assert "user or password" in fetch("http://m@127.0.0.1/f")


def test_scratch_folder_that_cannot_be(server, local):
    server.pages["/f"] = body(b"x")
    done = local(
        "--test_input",
        json.dumps({"input": {"action": "download", "url": f"{server.base}/f"}}),
        handler=own("files"),
        env={**ALLOW, "RP_SCRATCH_DIR": "/proc/nowhere"},
    )
    assert done.returncode == 1 and "RP_SCRATCH_DIR" in done.stdout and "/proc/nowhere" in done.stdout


# ---- redirects ----


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects(server, fetch, code):
    server.pages["/a"] = redirect("/b/c?x=1", code)
    server.pages["/b/c"] = redirect("d", code)
    server.pages["/b/d"] = body(b"there")
    got = fetch(f"{server.base}/a")
    assert got["end"] == "there" and got["name"] == "a"


def test_redirect_to_another_host_without_authorization(server, fetch):
    other = FileServer("127.0.0.2")
    server.pages["/a"] = redirect("/b")
    server.pages["/b"] = redirect(f"{other.base}/c")
    other.pages["/c"] = body(b"there")
    assert fetch(f"{server.base}/a", authorization="Bearer mine")["end"] == "there"
    assert [headers.get("Authorization") for _, headers in server.requests] == ["Bearer mine"] * 2
    assert "Authorization" not in other.requests[0][1]
    other.stop()


def test_redirects_have_an_end(server, fetch):
    server.pages["/a"] = redirect("/a")
    assert "more than 5 redirects" in fetch(f"{server.base}/a")
    assert len(server.requests) == 6


def test_no_redirect_from_https_to_http(server, fetch, authority, localhost_certificate):
    secure = FileServer(tls=server_context(*localhost_certificate))
    secure.pages["/a"] = redirect(f"{server.base}/b")
    message = fetch(f"{secure.base}/a", env={"SSL_CERT_FILE": str(authority.root_file)})
    assert "or to http (http://127.0.0.1" in message and not server.requests
    secure.stop()


def test_the_platforms_key_goes_nowhere(server, platform, worker, tmp_path):
    server.pages["/a"] = redirect("/b")
    server.pages["/b"] = body(b"x")
    worker(platform, handler=own("files"), env={**ALLOW, "RP_SCRATCH_DIR": str(tmp_path / "s")})
    assert platform.run({"action": "download", "url": f"{server.base}/a"})["output"]["size"] == 1
    assert len(server.requests) == 2 and API_KEY not in str(server.requests)


# ---- addresses ----


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]", "0.0.0.0", "[::]", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254",
        "[fd00:ec2::254]", "[fe80::1]", "224.0.0.1", "[ff02::1]", "255.255.255.255", "[64:ff9b::7f00:1]",
    ],
)  # fmt: skip
def test_inner_addresses_are_refused(server, fetch, host):
    server.pages["/f"] = body(b"x")
    message = fetch(f"http://{host}:{server.port}/f", env={"RP_ALLOW_PRIVATE_DOWNLOADS": "0"})
    assert "is not a public address" in message and not server.requests


@pytest.mark.parametrize(
    "env, options",
    [
        ({"RP_ALLOW_PRIVATE_DOWNLOADS": "1"}, {}),
        ({"RP_ALLOW_PRIVATE_DOWNLOADS": "", "RUNPOD_ALLOW_PRIVATE_DOWNLOAD_URLS": "True"}, {}),
        ({"RP_ALLOW_PRIVATE_DOWNLOADS": ""}, {"allow_private": True}),
    ],
)
def test_inner_addresses_can_be_allowed(server, fetch, env, options):
    server.pages["/f"] = body(b"x")
    assert fetch(f"{server.base}/f", env=env, **options)["size"] == 1


def test_no_way_around_through_a_proxy(server, fetch):
    message = fetch("http://1.2.3.4/f", env={"RP_ALLOW_PRIVATE_DOWNLOADS": "", "http_proxy": server.base})
    assert "proxy" in message and not server.requests
    denied = {"RP_DENY_DOWNLOADS": "5.6.7.8", "http_proxy": server.base}
    assert "proxy" in fetch("http://1.2.3.4/f", env=denied) and not server.requests
    server.pages["http://1.2.3.4/f"] = body(b"by proxy")
    assert fetch("http://1.2.3.4/f", env={"http_proxy": server.base})["end"] == "by proxy"


def run_inside(cases):
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"):
        pytest.skip("needs root, unshare(1) and ip(8) for a network of its own: public addresses were NOT tested")
    script = Path(__file__).with_name("inner_network.py")
    for case in cases:
        case["input"] = {"action": "download", **case["input"]}
    done = subprocess.run(
        ["unshare", "-n", "-m", sys.executable, script, own("files")],
        input=json.dumps(cases),
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
        check=True,
    )
    return json.loads(done.stdout)


def test_public_addresses_and_what_they_lead_to():
    """Every hop is judged, with names too, and a name is looked up once: what was judged is connected to."""
    wanted = [
        ("http://1.2.3.4/file", [], "from 1.2.3.4"),
        ("http://1.2.3.4/to/5.6.7.8", [], "from 5.6.7.8"),
        ("http://1.2.3.4/to/far", [], "from 1.2.3.4"),
        ("http://1.2.3.4/to/127.0.0.1", [], "127.0.0.1:80 is not a public address"),
        ("http://1.2.3.4/to/10.0.0.1", [], "10.0.0.1:80 is not a public address"),
        ("http://1.2.3.4/to/mapped", [], "is not a public address"),
        ("http://name.test/file", [["1.2.3.4"]], "from 1.2.3.4"),
        ("http://name.test/file", [["127.0.0.1"]], "127.0.0.1:80 is not a public address"),
        ("http://1.2.3.4/to/name", [["10.0.0.1"]], "10.0.0.1:80 is not a public address"),
        ("http://name.test/file", [["1.2.3.4", "10.0.0.1"]], "10.0.0.1:80 is not a public address"),
        # Rebinding: public when it is judged, private when it is asked for again.
        ("http://name.test/file", [["1.2.3.4"], ["127.0.0.1"]], "from 1.2.3.4"),
    ]
    results = run_inside([{"input": {"url": url}, "dns": dns} for url, dns, _ in wanted])
    for (url, dns, text), result in zip(wanted, results):
        assert text in result["log"], (url, dns, result)
        assert not {"127.0.0.1", "10.0.0.1"} & set(result["seen"]), (url, dns, result)
        assert result["look_ups"] == len(dns[:1])


@pytest.mark.parametrize(
    "denied, url, dns, refused",
    [
        ("5.6.7.0/24", "http://1.2.3.4/file", [], None),
        ("5.6.7.0/24", "http://5.6.7.8/file", [], "5.6.7.8:80"),
        ("5.6.7.0/24", "http://1.2.3.4/to/5.6.7.8", [], "5.6.7.8:80"),
        ("9.9.9.9, 1.2.3.4", "http://name.test/file", [["1.2.3.4"]], "1.2.3.4:80"),
        ("127.0.0.0/8", "http://127.0.0.1/file", [], "127.0.0.1:80"),
        ("127.0.0.0/8", "http://1.2.3.4/to/mapped", [], "[::ffff:127.0.0.1]:80"),
        ("10.0.0.0/8", "http://127.0.0.1/file", [], None),
    ],
)
def test_denied_addresses_are_refused_whatever_is_allowed(denied, url, dns, refused):
    allowed = {"RP_DENY_DOWNLOADS": denied, "RP_ALLOW_PRIVATE_DOWNLOADS": "1"}
    (result,) = run_inside([{"input": {"url": url}, "dns": dns, "env": allowed}])
    if refused:
        assert f"{refused} is denied by RP_DENY_DOWNLOADS" in result["log"]
        assert refused.removesuffix(":80") not in result["seen"]
    else:
        assert '"end": "from ' in result["log"]


def test_authorization_comes_back_home_only():
    (result,) = run_inside([{"input": {"url": "http://1.2.3.4/to/far", "authorization": "mine"}}])
    sent = {address: [headers.get("Authorization") for _, headers in seen] for address, seen in result["seen"].items()}
    assert sent == {"1.2.3.4": ["mine", "mine"], "5.6.7.8": [None]}
