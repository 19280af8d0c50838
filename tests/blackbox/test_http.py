"""The HTTP/1.1 client: connections, redirects, forms of answers that are unusual and right, addresses."""

import json
import os

import pytest

from actions import (
    answer,
    chunked,
    close,
    close_while_idle,
    drip,
    hand_out,
    hold,
    no_content,
    raw,
    redirect,
    reset,
)
from wire import encode
from workerproc import hosts_prefix

JOB = {"id": "j", "input": {"a": [1, 2, 3], "text": "ž"}}
EXPECTED = {"output": JOB["input"]}
TYPE = [("Content-Type", "application/json")]


def body(value=None):
    return json.dumps(JOB if value is None else value).encode()


RIGHT = {
    "plain": answer(200, JOB),
    "dripped": drip(encode(200, JOB)),
    "chunks": chunked(JOB),
    "one-byte chunks": chunked(JOB, size=1),
    "chunks, dripped": chunked(JOB, size=5, extension=' ; name="va\\"lue"', trailers=[("X-A", "b")], pieces=1),
    "chunk sizes with zeros and capitals": raw(
        encode(200, headers=[*TYPE, ("Transfer-Encoding", "Chunked")], length=False)
        + b"%04X\r\n" % len(body())
        + body()
        + b"\r\n000\r\n\r\n"
    ),
    "until close": raw(encode(200, headers=TYPE, length=False) + body(), then="close"),
    "no reason": raw(
        b"HTTP/1.1 200 \r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body()) + body()
    ),
    "reason of many words": answer(200, JOB, reason="all is well: \xe9\xff, or \t so"),
    "names in capitals": raw(
        b"HTTP/1.1 200 OK\r\nCONTENT-TYPE: application/json\r\nCONTENT-LENGTH: %d\r\n\r\n" % len(body()) + body()
    ),
    "space around values": raw(
        b"HTTP/1.1 200 OK\r\ncontent-type: \t application/json \t\r\ncontent-length:%d  \r\n\r\n" % len(body()) + body()
    ),
    "empty and strange headers": answer(
        200,
        JOB,
        headers=[
            ("X-Empty", ""),
            ("X-Obs", "\xe9\xff"),
            ("!#$%&'*+-.^_`|~", "x"),
            ("Set-Cookie", "a=b"),
            ("Set-Cookie", "c=d"),
        ],
    ),
    "many headers": answer(200, JOB, headers=[(f"X-{n}", "v" * 40) for n in range(60)]),
    "interim answers": raw(
        encode(100, content_type=None)
        + encode(102)
        + encode(103, headers=[("Link", "<a>; rel=preload")])
        + encode(200, JOB)
    ),
    "interim answers, dripped": drip(encode(100) + encode(103, headers=[("Link", "<a>")]) + encode(200, JOB)),
    "two equal lengths in one": answer(200, JOB, headers=[("X-Content-Length", "5")]),
    "announced close": answer(200, JOB, close=True),
    "closed behind it": close_while_idle(answer(200, JOB)),
    "leading zero length": raw(
        encode(200, headers=[*TYPE, ("Content-Length", f"0{len(body())}")], length=False) + body()
    ),
}


@pytest.mark.parametrize("case", RIGHT)
def test_right_answers(platform, worker, case):
    process = worker(platform)
    platform.script("take", RIGHT[case])
    assert platform.result("j") == EXPECTED
    assert platform.run("next") == {"output": "next"}
    assert not process.lines("WARN|ERROR")


@pytest.mark.parametrize(
    "first",
    [
        no_content(),
        answer(204, headers=[("Content-Length", "0")]),
        answer(204, headers=TYPE),
        answer(304),
        answer(400, b"none"),
        raw(encode(304, headers=[("Content-Length", "500")])),
    ],
    ids=["204", "204 length 0", "204 typed", "304", "400", "304 length 500"],
)
def test_answers_without_a_body_leave_the_connection_usable(platform, worker, first):
    worker(platform)
    platform.script("take", first)
    assert platform.run("next") == {"output": "next"}
    assert platform.requests("take")[0].connection == platform.requests("take")[1].connection


@pytest.mark.parametrize(
    "closing", [close_while_idle(no_content()), answer(204, close=True)], ids=["quietly", "announced"]
)
def test_idle_close_is_noticed(platform, worker, closing):
    process = worker(platform)
    platform.script("take", closing, closing)
    assert platform.run("next") == {"output": "next"}
    assert not process.lines("WARN|ERROR")
    assert len({take.connection for take in platform.requests("take")}) >= 3


def test_platform_restart_between_two_jobs(platform, worker):
    """Every idle connection is closed at once, as when a gateway is replaced; no request is lost."""
    worker(platform)
    assert platform.run(1) == {"output": 1}
    platform.drop_connections(route="done")
    assert platform.run(2) == {"output": 2}
    platform.drop_connections()
    assert platform.run(3) == {"output": 3}
    assert [post.job_id for post in platform.requests("done")] == ["job-1", "job-2", "job-3"]


def test_reset_of_an_idle_connection(platform, worker):
    worker(platform)
    assert platform.run(1) == {"output": 1}
    platform.drop_connections(reset=True)
    assert platform.run(2) == {"output": 2}


def test_close_before_any_answer(platform, worker):
    worker(platform)
    platform.script("take", close(), reset(), close(early=True))
    assert platform.run("next") == {"output": "next"}


def test_held_poll_that_is_cut(platform, worker):
    held = hold()
    platform.script("take", held)
    worker(platform)
    platform.wait_for(held.reached.is_set, "the take")
    platform.drop_connections(reset=True)
    assert platform.run("next") == {"output": "next"}


# ---- redirects ----


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("form", ["absolute", "path", "relative", "query"])
def test_redirect_on_the_same_host(platform, worker, status, form):
    targets = {
        "absolute": f"{platform.base}/moved/here?x=1",
        "path": "/moved/here?x=1",
        "relative": "here?x=1",
        "query": "?x=1",
    }
    paths = {
        "absolute": "/moved/here",
        "path": "/moved/here",
        "relative": "/v2/ep0test/job-take/here",
        "query": "/v2/ep0test/job-take/pod-7x2",
    }
    platform.script("take", redirect(targets[form], status))
    if form in ("absolute", "path"):
        platform.script("other", hand_out(JOB))
    else:
        platform.script("take", hand_out(JOB))
    worker(platform)
    assert platform.result("j") == EXPECTED
    followed = next(request for request in platform.record if request.param("x") == "1")
    assert followed.path == paths[form] and followed.method == "GET"
    assert followed.header("Authorization") == platform.key


def test_redirect_keeps_the_connection(platform, worker):
    platform.script("take", redirect("/a"))
    platform.script("other", redirect("/b"), hand_out(JOB))
    worker(platform)
    assert platform.result("j") == EXPECTED
    assert len({request.connection for request in platform.record if request.route in ("take", "other")}) == 1


def test_redirect_loop_ends(platform, worker):
    process = worker(platform)
    for _ in range(10):
        platform.script("take", redirect("/v2/ep0test/job-take/pod-7x2?round=1"))
    process.wait_log("(?i)redirect")
    assert platform.run("next") == {"output": "next"}


@pytest.mark.parametrize(
    "location", [None, "", "ftp://127.0.0.1/x", "javascript:alert(1)", "http://", "/a b", "/a\x01", "/\xe9"], ids=repr
)
def test_redirect_to_nowhere(platform, worker, location):
    worker(platform)
    headers = [] if location is None else [("Location", location)]
    platform.script("take", answer(302, headers=headers))
    assert platform.run("next") == {"output": "next"}


# ---- addresses ----


def test_ipv6(make_platform, worker):
    platform = make_platform(hosts=("::1",))
    worker(platform)
    assert platform.run("six") == {"output": "six"}
    assert {request.header("Host") for request in platform.record} == {f"[::1]:{platform.port}"}


def test_name_of_a_host(make_platform, worker):
    platform = make_platform(name="localhost")
    worker(platform)
    assert platform.run("name") == {"output": "name"}
    assert {request.header("Host") for request in platform.record} == {f"localhost:{platform.port}"}


@pytest.mark.parametrize(
    "addresses",
    [("127.0.0.9", "127.0.0.1"), ("127.0.0.9", "127.0.0.8", "127.0.0.1"), ("::1", "127.0.0.1"), ("127.0.0.1", "::1")],
)
def test_name_with_several_addresses(make_platform, worker, tmp_path, addresses):
    """Only 127.0.0.1 listens; the others refuse."""
    platform = make_platform(name="several.test")
    hosts = "".join(f"{address} several.test\n" for address in addresses)
    worker(platform, prefix=hosts_prefix(tmp_path, hosts))
    assert platform.run("found") == {"output": "found"}


def test_all_addresses_refuse(make_platform, worker, tmp_path, platform):
    """The message names the host, and the worker goes on trying."""
    absent = make_platform(name="several.test")
    absent.refuse()
    process = worker(
        platform,
        env={"RUNPOD_WEBHOOK_GET_JOB": absent.env()["RUNPOD_WEBHOOK_GET_JOB"]},
        prefix=hosts_prefix(tmp_path, "127.0.0.9 several.test\n::1 several.test\n127.0.0.1 several.test\n"),
    )
    process.wait_log("several\\.test.*(?i:refused)")
    absent.listen()
    assert absent.wait_request("take")


def test_first_address_that_answers_nothing(make_platform, worker, tmp_path):
    """An address whose packets vanish must not cost the whole connect time: the next one is tried beside it."""
    platform = make_platform(name="several.test")
    worker(platform, prefix=hosts_prefix(tmp_path, "240.0.0.1 several.test\n127.0.0.1 several.test\n"))
    assert platform.run("found") == {"output": "found"}


def test_default_port_is_left_out_of_host(make_platform, worker):
    if os.geteuid() != 0:
        pytest.skip("port 80 needs root")
    try:
        platform = make_platform(hosts=("127.0.0.80",), port=80)
    except OSError as error:
        pytest.skip(f"port 80 is taken: {error}")
    root = "http://127.0.0.80/v2/e"
    worker(
        platform,
        env={
            "RUNPOD_WEBHOOK_GET_JOB": f"{root}/job-take/$ID?a=b",
            "RUNPOD_WEBHOOK_POST_OUTPUT": f"{root}/job-done/$RUNPOD_POD_ID/$ID?a=b",
            "RUNPOD_WEBHOOK_PING": f"{root}/ping/$RUNPOD_POD_ID",
        },
    )
    assert platform.run(1) == {"output": 1}
    assert {request.header("Host") for request in platform.record} == {"127.0.0.80"}
