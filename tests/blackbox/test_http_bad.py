"""HTTP handlers in front of a server that misbehaves: a clear failure or the right output, in little memory."""

import itertools
import json
import threading

import pytest

from actions import answer, hold
from badserver import echo, events, plain, raw
from httphandler import error_of, parts, serve, server, whole  # noqa: F401 (fixtures)
from test_http_handler import CHAT, HELLO
from testplatform import FAST_PING
from workerproc import RUNNER

MIB_KIB = 1024
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def healthy_again(platform, server):
    """The next job works: the bad response cost only its own job."""
    server.pages[CHAT] = echo
    assert platform.run({"messages": HELLO})["output"]["target"] == CHAT


def fail(platform, server, serve, page, *flags):
    """The error of the job that gets this page."""
    server.pages[CHAT] = page
    process = serve(platform, server, *flags)
    details = error_of(platform.run({"messages": HELLO}))
    healthy_again(platform, server)
    assert process.process.poll() is None
    return details


# ---- broken responses ----

BROKEN = {
    "nothing, closed": raw(then="close"),
    "reset": raw(then="reset"),
    "half a status line": raw(b"HTTP/1.1 2", then="close"),
    "half a head": raw(b"HTTP/1.1 200 OK\r\nContent-Ty", then="close"),
    "truncated body": raw(HEAD + b"Content-Length: 100\r\n\r\n" + b'{"a": 1', then="close"),
    "truncated body that looks whole": raw(HEAD + b"Content-Length: 100\r\n\r\n" + b'{"a": 1}', then="close"),
    "truncated chunk": raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n20\r\n{", then="close"),
    "no last chunk": raw(HEAD + b'Transfer-Encoding: chunked\r\n\r\n8\r\n{"a": 1}\r\n', then="close"),
    "truncated, then reset": raw(HEAD + b"Content-Length: 100\r\n\r\n{", then="reset"),
    "bad chunk size": raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", then="close"),
    "two lengths": raw(HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", then="close"),
    "length and chunked": raw(HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", then="close"),
    "not HTTP": raw(b"SSH-2.0-OpenSSH_9.9\r\n", then="close"),
    "HTTP/2": raw(b"\0\0\x12\4\0\0\0\0\0" + bytes(18), then="close"),
    "compressed": raw(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\0", then="keep"),
    "field without a colon": raw(b"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n", then="close"),
    "status 99": raw(b"HTTP/1.1 99 No\r\nContent-Length: 0\r\n\r\n", then="close"),
    "interim answers for ever": lambda talk: interim(talk),
}


def interim(talk):
    for _ in range(100_000):
        talk.send(b"HTTP/1.1 102 Processing\r\n\r\n")
    talk.close()


@pytest.mark.parametrize("name", BROKEN)
def test_broken_answer(platform, server, serve, name):
    assert len(fail(platform, server, serve, BROKEN[name], "--served-model", "m")["message"]) > 10


def test_an_error_in_pieces_is_put_together(platform, server, serve):
    def page(talk):
        talk.start("text/plain", status=507)
        for piece in (b"no room ", b"for the ", b"weights"):
            talk.chunk(piece)
        talk.end()

    assert "no room for the weights" in fail(platform, server, serve, page, "--served-model", "m")["message"]


@pytest.mark.parametrize("size", [20_000, 1_000_000])
def test_huge_head(platform, server, serve, size):
    page = raw(b"HTTP/1.1 200 OK\r\nX-Large: " + b"x" * size + b"\r\nContent-Length: 2\r\n\r\n{}", then="close")
    fail(platform, server, serve, page, "--served-model", "m")


def test_head_without_an_end(platform, server, serve):
    def page(talk):
        talk.send(b"HTTP/1.1 200 OK\r\n")
        for number in itertools.count():
            talk.send(b"X-%d: %d\r\n" % (number, number))

    fail(platform, server, serve, page, "--served-model", "m")


def test_many_fields(platform, server, serve):
    fields = b"".join(b"X-%d: 1\r\n" % number for number in range(1000))
    fail(platform, server, serve, raw(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n", then="close"), "--served-model", "m")


@pytest.mark.parametrize("size", [100_000, 20_000_000], ids=["sent whole", "cut off"])
def test_refusal_before_the_body_was_read(platform, server, serve, size):
    """413 and close with the body unread, which resets the connection: the job gets the server's words, once."""

    def refuse(talk):
        talk.reply(413, {"error": {"message": "at most 1 kB", "type": "TooLarge"}}, [("Connection", "close")])
        talk.close()

    server.early["/upload"] = refuse
    process = serve(platform, server)
    details = error_of(platform.run({"route": "/upload", "body": {"data": "x" * size}}))
    assert details == {"message": "at most 1 kB", "type": "TooLarge", "code": 413}
    assert len(server.of("/upload")) == 1
    healthy_again(platform, server)
    assert not process.lines("unhealthy")


# ---- responses that are not what their type says ----


@pytest.mark.parametrize(
    "body", [b"", b" \n", b"{", b'{"a": 1} trailing', b"{'a': 1}", b'{"a": NaN}', b'{"a": "\xff\xfe\xfd\xfc"}', b"[" * 100_000], ids=lambda b: repr(b[:20])
)
def test_invalid_json_with_a_json_type(platform, server, serve, body):
    details = fail(platform, server, serve, plain(200, body, "application/json"))
    assert "JSON" in details["message"]


def test_json_without_a_type(platform, server, serve):
    """Without a Content-Type JSON is returned as JSON or as its text."""
    server.pages[CHAT] = raw(b'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{"a": 1}')
    serve(platform, server)
    assert platform.run({"messages": HELLO}) in ({"output": {"a": 1}}, {"output": '{"a": 1}'})


def test_json_with_a_text_type(platform, server, serve):
    server.pages[CHAT] = plain(200, b'{"a": 1}', "text/plain")
    serve(platform, server)
    assert platform.run({"messages": HELLO}) in ({"output": {"a": 1}}, {"output": '{"a": 1}'})


@pytest.mark.parametrize("body, kind, output", [
    (b"caf\xe9", "text/plain", "caf\ufffd"), (b'{"a": "caf\xe9"}', "application/json", {"a": "caf\ufffd"}),
])
def test_text_with_a_bad_byte_is_mended(body, kind, output, platform, server, serve):
    server.pages[CHAT] = plain(200, body, kind)
    process = serve(platform, server)
    assert platform.run({"messages": HELLO}) == {"output": output}
    process.wait_log("WARN .*is not valid UTF-8: the bad bytes became U.FFFD")


def test_binary_bytes_with_a_text_type(platform, server, serve):
    details = fail(platform, server, serve, plain(200, b"\xff\xfe\xfd\xfc", "text/plain"))
    assert "UTF-8" in details["message"] and "--handler-binary" in details["message"]


def test_json_where_a_stream_was_asked_for(platform, server, serve):
    """A server that does not stream: its response is the output."""
    server.pages[CHAT] = plain(200, b'{"a": 1}', "application/json")
    serve(platform, server)
    job = platform.give(input={"messages": HELLO, "stream": True})
    result = platform.result(job)
    assert result == {"output": {"a": 1}} or (
        result == {"output": []} and [json.loads(part) if isinstance(part, str) else part for part in parts(platform, job)] == [{"a": 1}]
    )


def test_stream_with_a_bad_byte(platform, server, serve):
    """The rest is not lost, and the log says it."""
    server.pages[CHAT] = events(b"data: 1\n\n", b"data: \xff!\n\n", b"data: [DONE]\n\n")
    process = serve(platform, server)
    job = platform.give(input={"messages": HELLO, "stream": True})
    assert platform.result(job) == {"output": []}
    assert "".join(parts(platform, job)) == "data: 1\n\ndata: \ufffd!\n\ndata: [DONE]\n\n"
    assert len(process.lines("WARN.*U\\+FFFD")) == 1


def test_stream_of_bytes(platform, server, serve):
    server.pages["/x"] = events(b"RIFF\xff\xfe\0\1", content_type="audio/wav")
    serve(platform, server)
    details = error_of(platform.run({"route": "/x", "body": {"stream": True}}))
    assert "--handler-binary" in details["message"] and "audio/wav" in details["message"]


# ---- redirects ----


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location",
    [
        "http://other.test/x",
        "https://127.0.0.1:{port}/x",
        "https://127.0.0.1/x",
        "http://127.0.0.2:{port}/x",
        "http://127.0.0.1:{other}/x",
        "http://127.0.0.1/x",
        "//other.test/x",
        "ftp://127.0.0.1:{port}/x",
    ],
)
def test_redirect_to_elsewhere_is_refused(platform, server, serve, platform_port, status, location):
    target = location.format(port=server.port, other=platform_port)
    details = fail(platform, server, serve, plain(status, b"over there", headers=[("Location", target)]))
    assert "redirect" in details["message"].lower()


def test_redirect_to_nowhere(platform, server, serve):
    details = fail(platform, server, serve, plain(307))
    assert "a redirect (status 307) without a Location" in details["message"]


@pytest.mark.parametrize("location", ["https://127.0.0.1/health", "http://127.0.0.1:{other}/health"])
def test_health_that_is_elsewhere_is_no_health(platform, server, serve, platform_port, location):
    platform.poll_s = 0
    server.pages["/health"] = plain(307, headers=[("Location", location.format(other=platform_port))])
    process = serve(platform, server, "--handler-ready-timeout", "3")
    assert process.wait() == 1
    assert "another origin" in process.log and "/health" in process.log


def test_redirects_at_the_same_origin(platform, server, serve):
    """Followed, with the body, for jobs and for the health route."""
    server.pages |= {
        "/health": plain(307, headers=[("Location", "/up?a=1")]),
        "/up": plain(200),
        CHAT: plain(308, b"see there", headers=[("Location", server.url + "/elsewhere")]),
        "/elsewhere": echo,
    }
    serve(platform, server)
    got = platform.run({"messages": HELLO})["output"]
    assert (got["target"], got["method"], got["body"]["messages"]) == ("/elsewhere", "POST", HELLO)


@pytest.fixture
def platform_port(platform):
    return platform.port


@pytest.mark.parametrize("status", [303, 307])
def test_a_redirect_whose_body_never_ends(platform, server, serve, status):
    """It is followed nevertheless: a server cannot hold a job that way."""

    def endless(talk):
        talk.start("text/plain", status, extra=["Location: /elsewhere"])
        talk.chunk(b"see there")
        talk.wait_gone()

    server.pages |= {"/x": endless, "/elsewhere": echo}
    serve(platform, server)
    got = platform.run({"route": "/x", "method": "GET"})["output"]
    assert got["target"] == "/elsewhere"


def test_redirects_in_a_circle(platform, server, serve):
    """On the same server: followed a few times, then a failure; no endless loop."""
    details = fail(platform, server, serve, plain(307, headers=[("Location", CHAT)]))
    assert "more than 3 redirects" in details["message"]
    assert len(server.of(CHAT)) == (1 + 3) + 1, "and the next job's"


# ---- too much data ----


def endless(talk, piece=b"x" * 65536):
    talk.start("application/json")
    talk.chunk(b'["')
    for _ in itertools.repeat(piece):
        talk.chunk(piece)


def gigabyte(talk):
    """A body of 1 GB with a Content-Length, sent as far as the worker reads it."""
    piece = b"x" * (1 << 20)
    talk.send(HEAD + b"Content-Length: %d\r\n\r\n" % (1 << 30))
    for _ in range(1 << 10):
        talk.send(piece)
        talk.sent += b"."


@pytest.mark.parametrize("page", [endless, gigabyte], ids=["endless", "1 GB"])
@pytest.mark.parametrize("flags", [[], ["--handler-binary"]], ids=["plain", "binary"])
def test_body_over_the_limit(platform, server, serve, page, flags):
    """The connection is closed at the limit, which the error names; memory follows the limit, not the body."""
    server.pages[CHAT] = page
    process = serve(platform, server, "--served-model", "m", *flags, env={"RP_MAX_RESULT_MB": "2"})
    details = error_of(platform.run({"messages": HELLO}))
    assert "limit" in details["message"] or "RP_MAX_RESULT_MB" in details["message"]
    server.wait_closed(server.of(CHAT)[0])
    assert RUNNER or process.peak_kib() < 12 * MIB_KIB
    healthy_again(platform, server)


def test_aggregate_over_the_limit(platform, server, serve):
    def page(talk):
        talk.start()
        while True:
            talk.chunk(b"data: " + b"x" * 10_000 + b"\n\n")

    server.pages[CHAT] = page
    process = serve(
        platform, server, "--aggregate-stream", "--served-model", "m", env={"RP_MAX_RESULT_MB": "2"}
    )
    assert "limit" in platform.run({"messages": HELLO, "stream": True})["error"]
    server.wait_closed(server.of(CHAT)[0])
    assert RUNNER or process.peak_kib() < 16 * MIB_KIB


def test_one_event_without_an_end(platform, server, serve):
    """An event of 16 MiB is cut or refused, not gathered without bound."""
    total = [0]

    def page(talk):
        talk.start()
        talk.chunk(b"data: ")
        while total[0] < 16 << 20:
            talk.chunk(b"x" * 65536)
            total[0] += 65536
        talk.end()

    server.pages[CHAT] = page
    process = serve(platform, server, "--served-model", "m", env={"RP_MAX_RESULT_MB": "2"})
    job = platform.give(input={"messages": HELLO, "stream": True})
    result = platform.result(job)
    if "error" not in result:
        assert len("".join(parts(platform, job))) == 6 + (16 << 20)
    assert RUNNER or process.peak_kib() < 6 * MIB_KIB


def test_slow_platform_holds_the_server_back(platform, server, serve):
    """An endless stream and a slow platform: the server is held back, and the worker's memory stays small."""
    sent = [0]
    piece = b"data: " + b"y" * 4090 + b"\n\n"

    def page(talk):
        talk.start()
        while True:
            talk.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            sent[0] += 1
            talk.server.witness.tell()

    server.pages[CHAT] = page
    held = hold()
    platform.script("stream", answer(200), held)
    process = serve(platform, server, "--served-model", "m", env=FAST_PING)
    job = platform.give(input={"messages": HELLO, "stream": True})
    platform.wait_for(held.reached.is_set, "the part that is held")
    before, most = -1, 12 << 20  # 1 MiB in the worker, the rest in the kernel's socket buffers
    while sent[0] != before and sent[0] * len(piece) < most:  # a server that is slow fills them for longer
        before = sent[0]
        platform.wait_more("ping", 2)
    assert sent[0] * len(piece) < most, "the server goes on sending although the platform accepts nothing"
    assert RUNNER or process.peak_kib() < 8 * MIB_KIB
    held.release(answer(200))
    platform.wait_for(lambda: len(parts(platform, job)) > 5, "parts again")
    platform.stop_jobs(job)
    server.wait_closed(server.of(CHAT)[0])
    assert set("".join(parts(platform, job)).encode().split(b"\n\n")) == {piece[:-2], b""}
    assert RUNNER or process.peak_kib() < 8 * MIB_KIB


# ---- streams of events, in all the shapes they may have ----

SHAPES = {
    "LF": b"data: one\n\ndata: two\n\n",
    "CRLF": b"data: one\r\n\r\ndata: two\r\n\r\n",
    "CR": b"data: one\r\rdata: two\r\r",
    "mixed": b"data: one\r\n\ndata: two\n\r\ndata: three\r\n\r\n",
    "comments": b": hello\n\n:\n: ping\n\ndata: one\n\n: bye\n\n",
    "multi-line data": b"event: x\ndata: line 1\ndata: line 2\ndata:\nid: 7\nretry: 10\n\ndata\n\n",
    "byte order mark": b"\xef\xbb\xbfdata: one\n\n",
    "only empty lines": b"\n\n\n\ndata: one\n\n\n\n",
    "no end of the last event": b"data: one\n\ndata: two",
    "no blank line behind the last": b"data: one\n\ndata: [DONE]\n",
    "nothing": b"",
    "UTF-8": "data: žluťoučký 🦊 水\n\ndata: \u2028 \U0001f468\u200d\U0001f469\n\n".encode(),
    "escapes": b'data: {"t": "\\"\\\\ \\u0000 \x7f \x01"}\n\n',
}


def cut(text, size):
    return [text[start : start + size] for start in range(0, len(text), size)]


@pytest.mark.parametrize("size", [1, 3, 10_000])
@pytest.mark.parametrize("name", SHAPES)
def test_events_come_out_as_they_came_in(platform, server, serve, name, size):
    """However the bytes are split on the way: within characters, within line ends."""
    text = SHAPES[name]
    server.pages[CHAT] = events(*cut(text, size))
    serve(platform, server, "--stream-interval", "1")
    job = platform.give(input={"messages": HELLO, "stream": True})
    assert platform.result(job) in ({"output": []}, {"output": ""} if not text else {"output": []})
    got = parts(platform, job)
    assert "".join(got).encode() == text
    for part in got[:-1]:
        borders = ("\n\n", "\r\r", "\n\r\n", "\r\n\n", "\r\n\r\n", "\n\r")
        assert part.endswith(borders) or not part.strip("\r\n"), f"not cut at a border: {got}"


@pytest.mark.parametrize("name", ["CRLF", "UTF-8", "no end of the last event"])
def test_aggregated(platform, server, serve, name):
    server.pages[CHAT] = events(*cut(SHAPES[name], 2))
    serve(platform, server, "--aggregate-stream")
    assert whole(platform.run({"messages": HELLO, "stream": True})["output"]).encode() == SHAPES[name]


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/jsonl", "text/plain", "application/json"])
def test_lines_of_json(platform, server, serve, kind):
    """NDJSON as a stream, cut after lines."""
    lines = [json.dumps({"n": n, "t": "žž"}, ensure_ascii=False).encode() + b"\n" for n in range(50)]
    server.pages["/api/generate"] = events(*cut(b"".join(lines), 7), content_type=kind)
    serve(platform, server, "--stream-interval", "1")
    job = platform.give(input={"route": "/api/generate", "body": {"stream": True}})
    assert platform.result(job) == {"output": []}
    got = parts(platform, job)
    assert "".join(got).encode() == b"".join(lines)
    if "json" in kind:
        assert all(part.endswith("\n") for part in got)


def test_plain_chunks(platform, server, serve):
    """Text without lines goes out as it arrives, never with half a character."""
    text = "žluť 🦊 " * 200
    server.pages["/say"] = events(*cut(text.encode(), 5), content_type="text/plain; charset=utf-8")
    serve(platform, server, "--stream-interval", "1")
    job = platform.give(input={"route": "/say", "body": {"stream": True}})
    assert platform.result(job) == {"output": []}
    assert "".join(parts(platform, job)) == text


def test_chunks_wait_for_no_more_than_the_interval(platform, server, serve):
    """Each piece is delivered before the next one exists, with or without borders."""
    seen = threading.Semaphore(0)

    def page(talk):
        talk.start("text/plain")
        for piece in (b"one ", b"two ", b"three"):
            talk.chunk(piece)
            assert seen.acquire(timeout=30)
        talk.end()

    server.pages["/say"] = page
    serve(platform, server)
    job = platform.give(input={"route": "/say", "body": {"stream": True}})
    for text in ("one ", "one two ", "one two three"):
        platform.wait_for(lambda text=text: "".join(parts(platform, job)) == text, f"{text!r} as parts")
        seen.release()
    assert platform.result(job) == {"output": []}


def test_stream_until_the_connection_closes(platform, server, serve):
    """As in HTTP/1.0: no chunks, no length."""

    def page(talk):
        talk.start(chunked=False)
        talk.send(b"data: 1\n\ndata: 2\n\n")
        talk.close()

    server.pages[CHAT] = page
    serve(platform, server)
    job = platform.give(input={"messages": HELLO, "stream": True})
    assert platform.result(job) == {"output": []}
    assert "".join(parts(platform, job)) == "data: 1\n\ndata: 2\n\n"


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("flags", [[], ["--aggregate-stream"]], ids=["plain", "aggregate"])
def test_stream_that_breaks_off(platform, server, serve, how, flags):
    """The parts so far are delivered; the job fails instead of ending short."""

    def page(talk):
        talk.start()
        talk.chunk(b"data: 1\n\n")
        talk.chunk(b"data: 2\n\nda")
        seen.wait(30)
        getattr(talk, how)()

    seen = threading.Event()
    server.pages[CHAT] = page
    serve(platform, server, *flags)
    job = platform.give(input={"messages": HELLO, "stream": True})
    if not flags:
        platform.wait_for(lambda: "".join(parts(platform, job)).startswith("data: 1\n\ndata: 2\n\n"), "two events")
    seen.set()
    error_of(platform.result(job))
    if not flags:
        assert platform.finals(job)[0].param("isStream") == "true"
    healthy_again(platform, server)


def test_event_with_a_bad_byte_is_mended(platform, server, serve):
    server.pages[CHAT] = events(b"data: good\n\n", b"data: caf\xe9\n\n", b"data: more\n\n")
    process = serve(platform, server, "--stream-interval", "1")
    job = platform.give(input={"messages": HELLO, "stream": True})
    platform.result(job)
    parts = "".join(post.json()["output"] for post in platform.requests("stream", job))
    assert parts == "data: good\n\ndata: caf\ufffd\n\ndata: more\n\n"
    process.wait_log("WARN .*is not valid UTF-8")


def test_event_that_is_binary(platform, server, serve):
    """It fails the job; the parts before it are delivered."""
    server.pages[CHAT] = events(b"data: good\n\n", b"data: \xff\xfe\0\xfd\n\n")
    serve(platform, server, "--stream-interval", "1")
    job = platform.give(input={"messages": HELLO, "stream": True})
    assert "UTF-8" in error_of(platform.result(job))["message"]
    healthy_again(platform, server)


def test_bytes_behind_the_answer(platform, server, serve):
    """Bytes beyond the announced length must not reach the next job."""
    server.pages[CHAT] = raw(HEAD + b'Content-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil')
    serve(platform, server, "--served-model", "m")
    first = platform.run({"messages": HELLO})
    assert first in ({}, {"output": {}})
    server.pages[CHAT] = echo
    assert platform.run({"messages": HELLO})["output"]["target"] == CHAT
