"""tests/CONTRACT.md, "Load-balancing endpoints": requests straight to the worker, in front of a server or a handler."""

import contextlib
import http.client
import json
import re
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from badserver import BadServer, Gate, Gone, plain, raw
from front import Events, Front, Reader, front, ws_accept, ws_echo, ws_frame, ws_read  # noqa: F401 (fixtures)
from httphandler import own_server
from own_handlers import Gate as Pipe, own as own_handler, steps
from later import Later
from servers import free_port
from witness import PATIENCE_S

BIG = 30_000_000  # the platform's limit for a body
PATTERN = bytes(range(256)) * 1024
DRAIN_S = 1  # after SIGTERM, an open connection is closed where no request has come for so long
MODEST_KIB = 8192  # what a worker may take at most while such a body goes through


@pytest.fixture
def server(witness):
    """A scripted server, already up; what it got must be in order. Unlike for jobs, chunks and upgrades are."""
    one = BadServer(witness)
    yield one
    one.stop()
    allowed = re.compile(r"header (transfer-encoding|upgrade|connection) was sent|POST without Content-Length|method")
    complaints = [each for each in one.complaints if not allowed.search(each)]
    assert not complaints, complaints


@pytest.fixture
def relay(front, server):  # noqa: F811
    """relay(*flags) -> a worker in front of the scripted server."""

    def start(*flags, **how):
        return front("--handler-http", server.url, *flags, **how)

    return start


def tell(talk):
    """A page that says what came, in full."""
    talk.reply(200, {"method": talk.method, "target": talk.target, "headers": talk.headers, "body": talk.body.decode()})


def fields(told):
    """The fields of a request by their lower-case names, each a list."""
    found = {}
    for name, value in told["headers"]:
        found.setdefault(name.lower(), []).append(value)
    return found


# ---- what goes through ----


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"])
def test_request_and_response_pass_through(relay, server, method):  # noqa: F811
    def page(talk):
        talk.reply(418, {"target": talk.target, "method": talk.method, "body": talk.body.decode()}, [("X-A", "1"), ("X-A", "2")])

    server.pages["/a%20b/c"] = page
    body = "žluť" if method in ("POST", "PUT", "PATCH") else ""
    answer = relay().ask(method, "/a%20b/c?d=%2Fe&f", body.encode() or None)
    assert answer.status == 418 and answer.headers.get_all("X-A") == ["1", "2"]
    assert answer.json() == {"target": "/a%20b/c?d=%2Fe&f", "method": method, "body": body}


def test_fields_as_a_proxy_passes_them(relay, server):  # noqa: F811
    server.pages["/tell"] = tell
    front = relay(env={"RUNPOD_POD_ID": "pod"})  # elsewhere a browser here could have a stranger's name for us
    told = front.get(
        "/tell",
        headers={
            "Host": "api.example.org:8443",
            "X-Forwarded-For": "203.0.113.7",
            "Connection": "keep-alive, X-Mine",
            "Keep-Alive": "timeout=5",
            "X-Mine": "between you and me",
            "TE": "trailers",
            "Upgrade": "h2c",
            "HTTP2-Settings": "AAMAAABkAAQAAP__",
            "Accept-Encoding": "gzip",
            "Authorization": "Bearer abc",
            "Cookie": "a=b",
        },
    ).json()
    assert fields(told) == {
        "host": ["api.example.org:8443"],
        "x-forwarded-for": ["203.0.113.7, 127.0.0.1"],
        "accept-encoding": ["gzip"],
        "authorization": ["Bearer abc"],
        "cookie": ["a=b"],
    }


def test_fields_of_the_response_that_end_here(relay, server):  # noqa: F811
    head = b"HTTP/1.1 203 Second Hand\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=1\r\nSet-Cookie: a=1\r\n"
    server.pages["/x"] = raw(head + b"Set-Cookie: b=2\r\nServer: x\r\nContent-Length: 2\r\n\r\nok", then="close")
    answer = relay().get("/x")
    assert (answer.status, answer.reason, answer.body) == (203, "Second Hand", b"ok")
    assert sorted(answer.headers.items()) == [("Content-Length", "2"), ("Server", "x"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]


def test_whole_urls_and_old_clients(relay, server):  # noqa: F811
    """A whole URL names the host, whatever Host says; HTTP/1.0 is answered until the connection's end."""
    server.pages["/tell"] = tell
    server.pages["/parts"] = lambda talk: talk.stream(b"one ", b"two", content_type="text/plain")
    front = relay()
    reader = Reader(front.dial(b"GET http://there:81/tell?x HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n"))
    told = json.loads(reader.all().partition(b"\r\n\r\n")[2])
    assert fields(told)["host"] == ["there:81"] and told["target"] == "/tell?x"
    reader = Reader(front.dial(b"GET /parts HTTP/1.0\r\n\r\n"))
    head = reader.head()
    assert "chunked" not in head and "Connection: close" in head and reader.all() == b"one two"


def test_head_and_not_modified_have_no_body(relay, server):  # noqa: F811
    server.pages["/file"] = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nETag: e\r\n\r\n")
    server.pages["/same"] = raw(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n")
    client = relay().client()
    for path, status, length in (("/file", 200, "12345"), ("/same", 304, "77"), ("/file", 200, "12345")):
        client.request("HEAD" if path == "/file" else "GET", path)
        answer = client.getresponse()
        assert (answer.status, answer.headers["Content-Length"], answer.read()) == (status, length, b"")


def test_interim_responses_end_here(relay, server):  # noqa: F811
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    server.pages["/x"] = raw(early + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    reader = Reader(relay().dial(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
    assert reader.all().startswith(b"HTTP/1.1 200 OK\r\n")


def test_interim_responses_are_limited_for_one_request(relay, server):  # noqa: F811
    """A hundred; those of earlier requests on the connection do not count."""
    early = b"HTTP/1.1 102 Processing\r\n\r\n"
    server.pages["/x"] = raw(60 * early + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    server.pages["/flood"] = raw(101 * early + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    client = relay().client()
    for path, status in (("/x", 200), ("/x", 200), ("/flood", 502)):
        client.request("GET", path)
        answer = client.getresponse()
        assert (answer.status, answer.read() == b"ok") == (status, status == 200)


def test_expect_is_answered_here(relay, server):  # noqa: F811
    server.pages["/tell"] = tell
    link = relay().dial(b"POST /tell HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
    reader = Reader(link)
    assert reader.head().startswith("HTTP/1.1 100 ")
    link.sendall(b"hello")
    told = json.loads(reader.all().partition(b"\r\n\r\n")[2])
    assert told["body"] == "hello" and "expect" not in fields(told)


def test_kept_alive_and_pipelined(relay, server):  # noqa: F811
    """Requests on one connection are answered in their order."""
    server.pages["/tell"] = tell
    front = relay()
    server.early["/chunks"] = chunks_back
    two = b"POST /chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n"
    two += b"GET /tell?2 HTTP/1.1\r\nHost: a\r\n\r\n"
    reader = Reader(front.dial(two + b"GET /tell?3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
    head = reader.head()
    assert "Content-Length: 3" in head and reader.exactly(3) == b"one"
    for number in (2, 3):
        size = int(reader.head().partition("Content-Length: ")[2].partition("\r\n")[0])
        assert json.loads(reader.exactly(size))["target"] == f"/tell?{number}"
    assert reader.all() == b""


def read_chunks(talk):
    """The body of a chunked request, piece by piece."""
    reader = Reader(talk.link, talk.rest)
    while chunk := reader.chunk():
        yield chunk
    talk.rest = reader.rest


def chunks_back(talk):
    talk.reply(200, b"".join(read_chunks(talk)), content_type=None)


def test_chunks_are_written_anew(relay, server):  # noqa: F811
    """Extensions and trailers end here; pieces arrive as they come."""
    seen = []

    def page(talk):
        assert talk.header("Transfer-Encoding") == "chunked" and talk.header("Content-Length") is None
        for chunk in read_chunks(talk):
            server.witness.tell(lambda chunk=chunk: seen.append(chunk))
        talk.reply(200, b"".join(seen), content_type=None)

    server.early["/up"] = page
    link = relay().dial(b"POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
    for piece in (b"5;ext=1\r\nfirst\r\n", b"6\r\nsec", b"ond\r\n"):
        link.sendall(piece)
        if piece.endswith(b"\r\n"):
            wanted = b"first" if piece.startswith(b"5") else b"firstsecond"
            server.witness.wait_for(lambda wanted=wanted: b"".join(seen) == wanted, f"{wanted} at the server")
    link.sendall(b"0\r\nX-Trailer: 1\r\n\r\n")
    assert Reader(link).all().endswith(b"\r\n\r\nfirstsecond")


@pytest.mark.parametrize("split", [1, 2, 4, 5])
def test_request_behind_the_end_of_a_chunked_one(relay, server, split):  # noqa: F811
    """The last bytes of a body come with the next request: it stays as it is."""
    seen = []

    def page(talk):
        for chunk in read_chunks(talk):
            server.witness.tell(lambda chunk=chunk: seen.append(chunk))
        talk.reply(200, b"".join(seen), content_type=None)

    server.early["/up"] = page
    server.pages["/tell"] = tell
    body = b"5\r\nfirst\r\n0\r\n\r\n"
    link = relay().dial(b"POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body[:-split])
    server.witness.wait_for(lambda: seen == [b"first"], "the chunk at the server")
    link.sendall(body[-split:] + b"GET /tell?x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    answers = Reader(link).all()
    assert answers.count(b"HTTP/1.1 200 ") == 2 and b"/tell?x" in answers


def test_events_arrive_part_by_part(relay, server):  # noqa: F811
    gate = Gate(b"data: 1\n\n", b"data: 2\n\n", b"data: [DONE]\n\n")
    server.pages["/events"] = gate
    client = relay().client()
    client.request("GET", "/events")
    gate.next()
    answer = client.getresponse()
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.read1() == b"data: 1\n\n"
    for piece in (b"data: 2\n\n", b"data: [DONE]\n\n"):
        gate.next()
        assert answer.read1() == piece
    gate.end()
    assert answer.read() == b""
    client.request("GET", "/health")  # the connection goes on
    assert client.getresponse().status == 200


def patterned(count):
    return (PATTERN * (count // len(PATTERN) + 1))[:count]


@pytest.mark.parametrize("size, chunked", [(BIG, False), (BIG // 3, True)], ids=["length", "chunked"])
def test_large_bodies_stream_both_ways(relay, server, size, chunked):  # noqa: F811
    """The server sends back what comes while it comes: neither body is ever whole in the worker."""

    def page(talk):
        pieces = read_chunks(talk) if talk.header("Transfer-Encoding") else read_length(talk)
        talk.start("application/octet-stream")
        for piece in pieces:
            talk.chunk(piece)
        talk.end()

    def read_length(talk):
        left = int(talk.header("Content-Length"))
        while left > 0:
            piece = talk.rest or talk.link.recv(1 << 16)
            assert piece
            talk.rest = b""
            left -= len(piece)
            yield piece

    server.early["/big"] = page
    front = relay()
    data = patterned(size)
    link = front.dial()
    field = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
    head = b"POST /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s\r\n\r\n" % field
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (size, data) if chunked else data
    sending = Later(link.sendall, head + body)
    reader = Reader(link)
    assert "200" in reader.head()
    got = whole_body(reader)
    sending.wait()
    assert got == data
    assert front.process.peak_kib() < MODEST_KIB


def whole_body(reader):
    """The chunks of all that comes until the end. Copied once: Reader copies too much for 30 MB."""
    data = b"".join([reader.rest, *iter(lambda: reader.link.recv(1 << 20), b"")])
    parts, at, size = [], 0, None
    while size != 0:
        line = data.index(b"\r\n", at)
        size = int(data[at:line], 16)
        parts.append(data[line + 2 : line + 2 + size])
        at = line + 2 + size + 2
    assert at == len(data) and data.endswith(b"\r\n")
    return b"".join(parts)


def test_large_answers_with_a_length(relay, server):  # noqa: F811
    data = patterned(BIG)
    server.pages["/big"] = lambda talk: talk.reply(200, data, content_type=None)
    front = relay()
    assert front.get("/big").body == data
    assert front.process.peak_kib() < MODEST_KIB


def test_slow_reader_holds_the_server_up(relay, server):  # noqa: F811
    """What a client does not read is not piled up in the worker."""
    sent = []

    def page(talk):
        talk.start("application/octet-stream")
        for _ in range(64):
            talk.chunk(PATTERN * 4)
            sent.append(1)
        talk.end()

    server.pages["/much"] = page
    front = relay()
    link = socket.socket()
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    link.connect(("127.0.0.1", front.port))
    link.settimeout(PATIENCE_S)
    front.open.append(link)
    link.sendall(b"GET /much HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    reader = Reader(link)
    assert "200" in reader.head()
    assert len(sent) < 64
    assert whole_body(reader) == PATTERN * 256
    assert front.process.peak_kib() < MODEST_KIB


def test_early_answer_ends_a_large_request(relay, server):  # noqa: F811
    server.early["/no"] = raw(b"HTTP/1.1 413 Too Big\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!", then="close")
    front = relay()
    for _ in range(3):
        answer = front.post("/no", b"x" * 3_000_000)
        assert (answer.status, answer.body) == (413, b"no!")
    assert front.get("/health").status == 200


# ---- WebSockets ----


def ws_open(front, path="/ws", more=b""):
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    head = f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: {key}\r\n"
    link = front.dial(head.encode() + b"Sec-WebSocket-Version: 13\r\n\r\n" + more)
    reader = Reader(link)
    return link, reader, reader.head(), key


def test_websocket(relay, server):  # noqa: F811
    server.pages["/ws"] = ws_echo
    front = relay("--concurrency", "1")
    mask = b"\x01\x02\x03\x04"
    link, reader, head, key = ws_open(front, more=ws_frame(b"early", 1, mask))
    assert head.startswith("HTTP/1.1 101 ") and f"Sec-WebSocket-Accept: {ws_accept(key)}" in head
    assert "Connection: Upgrade" in head and "Upgrade: websocket" in head
    assert ws_read(reader) == (1, b"hello")
    assert ws_read(reader) == (1, b"early"), "sent before the server had agreed"
    for size in (0, 1, 125, 126, 70000, 2_000_000):
        payload = patterned(size)
        sending = Later(link.sendall, ws_frame(payload, 2, mask))
        assert ws_read(reader) == (2, payload)
        sending.wait()
    assert front.get("/other").status == 503, "an open WebSocket counts against the concurrency"
    link.sendall(ws_frame(b"\x03\xe8", 8, mask))
    assert ws_read(reader) == (8, b"\x03\xe8")
    assert reader.all() == b""
    front.until(200, "/health")


def test_websocket_that_is_refused_is_an_answer(relay, server):  # noqa: F811
    server.pages["/ws"] = plain(403, b"no")
    front = relay()
    link, reader, head, _ = ws_open(front)
    assert head.startswith("HTTP/1.1 403 ") and reader.exactly(2) == b"no"
    link.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
    assert "200" in reader.head()


def test_client_that_drops_its_websocket(relay, server):  # noqa: F811
    """The server sees the end."""
    server.pages["/ws"] = ws_echo
    link, reader, _, _ = ws_open(relay())
    assert ws_read(reader) == (1, b"hello")
    link.close()
    talk = server.wait("/ws")
    server.witness.wait_for(lambda: talk.done, "the end of the WebSocket at the server")
    server.complaints.clear()  # the page was cut off, as it should be


def test_switch_that_nobody_asked_for(relay, server):  # noqa: F811
    server.pages["/ws"] = raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nGARBAGE")
    assert relay().get("/ws").status == 502


# ---- what cannot be smuggled ----

SMUGGLED = b"GET /secret HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 6\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 6",
        b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding:\x0bchunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: +5",
        b"Content-Length: 5, 5",
        b"Content-Length: 0x5",
        b"Content-Length: 5\r\n Transfer-Encoding: chunked",
        b"X: a\nTransfer-Encoding: chunked",
        b"Host: b",
    ],
    ids=repr,
)
def test_doubtful_requests_are_refused(relay, server, head):  # noqa: F811
    front = relay()
    link = front.dial(b"POST /x HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n\r\n0\r\n\r\n" + SMUGGLED)
    answer = Reader(link).all()
    assert answer.startswith(b"HTTP/1.1 400 ") and answer.count(b"HTTP/1.1 ") == 1
    assert not server.of("/x") and not server.of("/secret")


@pytest.mark.parametrize("body", [b"5\nhello\r\n0\r\n\r\n", b"ffffffffffffffffff\r\n", b"5\r\nhelloXX0\r\n\r\n", b"-1\r\n", b"\r\n"], ids=repr)
def test_malformed_chunks_are_refused(relay, server, body):  # noqa: F811
    """They have come with the head: the server hears nothing, and nothing of what follows is taken for a request."""
    server.early["/x"] = swallow
    server.pages["/tell"] = tell
    front = relay()
    link = front.dial(b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body + SMUGGLED)
    answer = Reader(link).all()
    assert answer.startswith(b"HTTP/1.1 400 ") and answer.count(b"HTTP/1.1 ") == 1
    assert front.get("/tell").status == 200
    assert not server.of("/x") and not server.of("/secret")


def swallow(talk):
    """Whatever comes until the worker leaves."""
    while talk.link.recv(65536):
        pass
    raise Gone


def test_malformed_chunk_behind_good_ones(relay, server):  # noqa: F811
    """The client hears of it, and the server sees the end of what it has begun to read."""
    server.early["/x"] = swallow
    link = relay().dial(b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    talk = server.wait("/x")
    link.sendall(b"XYZ\r\n" + SMUGGLED)
    answer = Reader(link).all()
    assert answer.startswith(b"HTTP/1.1 400 ") and answer.count(b"HTTP/1.1 ") == 1
    server.wait_closed(talk)
    assert not server.of("/secret")


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX" + b"y" * 20000 + b": 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nXYZ\r\n",
    ],
    ids=lambda value: repr(value[:60]),
)
def test_doubtful_responses_are_a_bad_gateway(relay, server, response):  # noqa: F811
    server.pages["/x"] = raw(response, then="close")
    answer = relay().get("/x")
    assert answer.status == 502 and "No complete response" in answer.json()["error"]


def test_bytes_behind_a_response_are_nobodys(relay, server):  # noqa: F811
    """They are not taken for the answer to the next request."""
    extra = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    server.pages["/x"] = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + extra)
    server.pages["/tell"] = tell
    client = relay("--concurrency", "1").client()
    for path, wanted in (("/x", b"ok"), ("/tell", b"/tell"), ("/x", b"ok")):
        client.request("GET", path)
        answer = client.getresponse()
        assert answer.status == 200 and wanted in answer.read()


def test_client_that_sends_no_more_is_let_go(relay, server):  # noqa: F811
    """Its end comes in the same segment as its request."""
    server.pages["/tell"] = tell
    link = relay().dial()
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    link.sendall(b"GET /tell HTTP/1.1\r\nHost: a\r\n\r\n")
    link.shutdown(socket.SHUT_WR)
    answer = Reader(link).all()
    assert answer == b"" or answer.startswith(b"HTTP/1.1 200 "), "an answer that is slow comes to a client that has left"


@pytest.mark.parametrize("field, body", [("Content-Length: 10", "hello"), ("Transfer-Encoding: chunked", "5\r\nhello\r\n")])
def test_client_that_ends_within_its_body(relay, server, field, body):  # noqa: F811
    """The server sees an end, too, and the place is free again."""
    server.early["/up"] = swallow
    server.pages["/tell"] = tell
    front = relay("--concurrency", "1")
    link = front.dial(f"POST /up HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n{body}".encode())
    talk = server.wait("/up")
    link.shutdown(socket.SHUT_WR)
    server.wait_closed(talk)
    assert Reader(link).all() == b""
    front.until(200, "/tell")


# ---- concurrency ----


def test_full_worker_says_so(relay, server):  # noqa: F811
    gate = Gate(b"x")
    server.pages["/hold"] = gate
    front = relay("--concurrency", "2")
    held = [Later(front.get, "/hold") for _ in range(2)]
    server.wait("/hold", 2)
    client = front.client()
    for method, body in (("GET", None), ("POST", "some text")):
        client.request(method, "/tell", body)
        answer = client.getresponse()
        assert answer.status == 503 and answer.headers["Retry-After"] == "1" and b"--concurrency" in answer.read()
    client.request("GET", "/ping")
    assert client.getresponse().read() == b'{"status": "ready"}', "health checks do not count, and connections are kept"
    gate.next(4)
    assert [one.wait().body for one in held] == [b"x", b"x"]
    front.until(200, "/health")  # their places are free in a moment
    assert not server.of("/tell")


def test_server_sets_how_many_may_be_passed_on(relay, server):  # noqa: F811
    """More than --concurrency, and fewer; the question itself takes no place, and the metrics have the number."""
    gate = Gate(b"x")
    poll = ["--handler-concurrency-path", "/wanted", "--handler-concurrency-interval", "100"]
    server.pages["/hold"], server.pages["/wanted"] = gate, plain(200, b"2")
    front = relay("--concurrency", "1", "--metrics-port", "0", *poll)
    front.process.wait_log("Concurrency: 2 .*/wanted")
    held = [Later(front.get, "/hold") for _ in range(2)]
    server.wait("/hold", 2)
    assert front.get("/health").status == 503
    server.pages["/wanted"] = plain(200, b'{"concurrency": 3}')
    front.process.wait_log("Concurrency: 3 .*/wanted")
    assert front.get("/health").status == 200
    front.process.wait_log(r"The concurrency is now 3\.")
    metrics = int(re.search(r"Serving metrics on http://localhost:(\d+)/", front.process.log)[1])
    assert b"\nworker_slots 3\n" in front.get("/metrics", port=metrics).body
    server.pages["/wanted"] = plain(200, b"1")
    front.process.wait_log("Concurrency: 1 .*/wanted")
    assert front.get("/health").status == 503
    gate.next(4)
    assert [one.wait().body for one in held] == [b"x", b"x"]
    front.until(200, "/health")


def test_default_concurrency_is_said(relay):
    assert relay().process.wait_log(r"Concurrency: 128 \(the default with --serve\)")


def test_client_that_leaves_frees_its_place(relay, server):  # noqa: F811
    """The server sees the end of the connection, which inference servers take as abort."""
    server.pages["/hold"] = lambda talk: talk.wait_gone()
    server.pages["/tell"] = tell
    front = relay("--concurrency", "1")
    link = front.dial(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
    talk = server.wait("/hold")
    link.close()
    server.wait_closed(talk)
    front.until(200, "/tell")


def test_only_named_routes(relay, server):  # noqa: F811
    server.pages["/v1/models"] = tell
    front = relay("--handler-routes", "GET /v1/*")
    assert front.get("/v1/models").status == 200
    for method, path in (("POST", "/v1/models"), ("GET", "/health"), ("GET", "/v1/..%2fhealth"), ("GET", "/v1/../health")):
        assert front.ask(method, path).status == 403
    assert front.get("/ping").status == 200


# ---- threads ----


def test_many_clients_at_once(relay, server):  # noqa: F811
    """Small requests share threads: each client gets its own answers, in their order."""
    server.pages["/tell"] = tell
    front = relay()

    def client(number):
        bodies = [f"{number}-{n}".encode() for n in range(5)]
        head = "POST /tell HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
        reader = Reader(front.dial(b"".join((head % len(body)).encode() + body for body in bodies)))
        for body in bodies:
            size = int(reader.head().partition("Content-Length: ")[2].partition("\r\n")[0])
            assert json.loads(reader.exactly(size))["body"] == body.decode()

    for one in [Later(client, number) for number in range(60)]:
        one.wait()


def threads(process):
    return int(re.search(r"Threads:\s*(\d+)", Path(f"/proc/{process.pid}/status").read_text())[1])


def test_slow_answer_gets_a_thread(relay, server):  # noqa: F811
    """It comes through, whatever waits for it, and the connection goes on."""
    gate = Gate(b"at last")
    server.pages["/hold"] = gate
    front = relay()
    client = front.client()
    client.connect()
    before = threads(front.process)
    client.request("GET", "/hold")
    deadline = time.monotonic() + PATIENCE_S
    while threads(front.process) <= before:  # nobody announces it
        if time.monotonic() >= deadline:
            raise TimeoutError("the answer got no thread")
        time.sleep(0.02)
    gate.next(2)
    assert client.getresponse().read() == b"at last"
    client.request("GET", "/health")
    assert client.getresponse().status == 200


# ---- health ----


def test_health_before_and_after_ready(front, tmp_path):  # noqa: F811
    ready = tmp_path / "ready"
    port = free_port()
    command = ["--handler", own_server(port, f"ready={ready}"), "--handler-http", f"http://127.0.0.1:{port}"]
    one = front(*command, env={"PORT_HEALTH": "0", "HEALTH_CHECK_PATH": "/healthz"}, ready=False)
    one.process.wait_log("own server: starting")
    assert one.health_port != one.port
    for where in (one.port, one.health_port):
        answer = one.get("/healthz", port=where)
        assert (answer.status, answer.body) == (204, b"")
    assert one.ask("HEAD", "/healthz").status == 204
    refused = one.post("/echo", b"1")
    assert refused.status == 503 and refused.headers["Retry-After"] == "1"
    ready.touch()
    one.ready()
    for where in (one.port, one.health_port):
        assert one.get("/healthz", port=where).status == 200
    assert one.post("/echo", b"[1]").json()["body"] == [1]
    assert one.get("/ping").status == 404, "the server's, which has none"
    assert one.get("/echo", port=one.health_port).status == 404


def test_program_gets_the_port_it_is_expected_on(front):  # noqa: F811
    """Images for load-balancing endpoints listen on $PORT, which is the worker's now."""
    port = free_port()
    one = front("--handler", own_server(port), "--handler-http", f"http://127.0.0.1:{port}")
    assert one.get("/environment").json()["PORT"] == str(port)


def test_server_that_dies(front, tmp_path):  # noqa: F811
    """The request fails, others are told to come again, and a new server takes over."""
    ready, starts = tmp_path / "ready", tmp_path / "starts"
    ready.touch()
    port = free_port()
    command = ["--handler", own_server(port, f"ready={ready}", f"starts={starts}"), "--handler-http", f"http://127.0.0.1:{port}"]
    one = front(*command)
    ready.unlink()
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        one.post("/exit", {"status": 3})
    one.process.wait_log("own server: starting", 2)
    assert one.get("/ping").status == 204
    assert one.post("/echo", b"1").status == 503
    ready.touch()
    one.until(200, "/ping")
    assert one.post("/echo", b"1").json()["body"] == 1
    assert len(starts.read_text().split()) == 2


def test_server_that_keeps_dying_ends_the_worker(front):  # noqa: F811
    port = free_port()
    command = ["--handler", own_server(port, "dies=1"), "--handler-http", f"http://127.0.0.1:{port}", "--handler-deaths", "2"]
    one = front(*command, ready=False)
    assert one.process.wait() == 1


def test_breaking_server(relay, server):  # noqa: F811
    """Before the head an error says what happened; after it the answer is not taken for whole."""
    server.pages["/close"] = raw(then="close")
    server.pages["/half"] = raw(b"HTTP/1.1 20", then="close")
    server.pages["/reset"] = raw(b"HTTP/1.1 20", then="reset")
    server.pages["/short"] = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", then="close")
    server.pages["/chunk"] = raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", then="close")
    front = relay("--handler-failures", "0")
    for path, why in (("/close", "before any response"), ("/half", "within the response head"), ("/reset", "")):
        answer = front.post(path, b"x")
        assert answer.status == 502 and re.search(f"No complete response.*{why}", answer.json()["error"])
    for path in ("/short", "/chunk"):
        with pytest.raises(http.client.IncompleteRead):
            front.get(path)


FAULTS = {  # a page that is no answer, and what the log says of it
    "closes": (raw(then="close"), "No complete response"),
    "talks nonsense": (raw(b"nonsense\r\n\r\n", then="close"), "No complete response"),
    "is silent": (lambda talk: talk.wait_gone(), "too long"),
}


@pytest.mark.parametrize("how", FAULTS)
def test_server_that_breaks_every_request_is_given_up(relay, server, how):  # noqa: F811
    """An answer ends the row; a status of 500 is an answer to that request, and says nothing of the server."""
    server.pages["/bad"], says = FAULTS[how]
    server.pages["/no"], server.pages["/tell"] = plain(500, b"no"), tell
    limits = ["--handler-failures", "2", "--handler-deaths", "1", "--handler-first-byte-timeout", "0.2"]
    front = relay(*limits)
    for _ in range(3):
        assert front.get("/no").status == 500
    for path, status in (("/bad", None), ("/tell", 200), ("/bad", None), ("/no", 500), ("/ping", 200)):
        answer = front.post(path) if path == "/bad" else front.get(path)
        assert answer.status in ([status] if status else [502, 504])
        assert status or says in answer.json()["error"]
    front.post("/bad")
    assert front.process.wait() == 1
    assert front.process.lines("2 jobs in a row failed, the last one with .*--handler-failures")
    assert front.process.lines("WARN.*A request has failed: ")


def test_server_that_is_not_there_any_more(relay, server):  # noqa: F811
    """Nothing has been sent: the client may come again, and no failure of the server's is counted."""
    front = relay("--handler-unhealthy-timeout", "60", "--handler-failures", "1", "--handler-deaths", "1")
    server.stop()
    answer = front.get("/x")
    assert answer.status == 503 and answer.headers["Retry-After"] == "1"
    assert answer.json()["error"] == "The server cannot be reached; it may be restarting."
    front.process.wait_log("WARN.*server is unhealthy: /health: a job could not connect")
    assert front.get("/x").json()["error"] == "The server is not ready."


def test_unhealthy_server(relay, server):  # noqa: F811
    """A request that broke makes a look due: its health route says no, and then yes again."""
    server.pages["/close"] = raw(then="close")
    front = relay("--handler-unhealthy-timeout", "60")
    health, server.pages["/health"] = server.pages["/health"], plain(503)
    assert front.post("/close").status == 502
    front.process.wait_log("WARN.*server is unhealthy: /health: status 503")
    for path, says in (("/ping", "The handler is not healthy."), ("/tell", "The server is not ready.")):
        answer = front.get(path)
        assert (answer.status, answer.headers["Retry-After"], answer.json()["error"]) == (503, "1", says)
    server.pages["/health"] = health
    front.process.wait_log("server is healthy again")
    assert front.get("/ping").status == 200


def test_repeatable_request_is_repeated_once(relay, server):  # noqa: F811
    """The server closes the kept-alive connection when the request is on its way: only then, not a POST, and not
    where the response has begun."""
    kept, begun = [], []

    def page(talk):
        if talk.connection in kept:
            talk.send(b"".join(begun))
            talk.close()
        else:
            tell(talk)

    def first(talk):
        kept[:] = [talk.connection]
        tell(talk)

    server.pages["/tell"] = first
    server.pages["/stale"] = page
    client = relay("--concurrency", "1").client()

    def ask_twice(method, body=None):
        """Until the second request has met the first one's connection: the worker keeps one for a short while alone."""
        for _ in range(100):
            before = len(server.of("/stale"))
            for path in ("/tell", "/stale"):
                client.request("GET" if path == "/tell" else method, path, body if path == "/stale" else None)
                answer = client.getresponse()
                answer.read()
            asked = server.of("/stale")[before:]
            if asked[0].connection in kept:
                return answer.status, len(asked)
        return "no connection was used again"

    assert ask_twice("GET") == (200, 2)
    assert ask_twice("POST", "x") == (502, 1)
    assert ask_twice("DELETE") == (200, 2)
    begun.append(b"HTTP/1.1 20")
    assert ask_twice("GET") == (502, 1)


@pytest.mark.parametrize(
    "flag, page",
    [
        ("--handler-first-byte-timeout", lambda talk: talk.wait_gone()),
        ("--execution-timeout", lambda talk: talk.wait_gone()),
    ],
)
def test_time_limits(relay, server, flag, page):  # noqa: F811
    server.pages["/slow"] = page
    answer = relay(flag, "0.2").get("/slow")
    assert answer.status == 504 and flag in answer.json()["error"]
    assert len(server.of("/slow")) == 1, "it was passed on once"


def test_time_limit_within_a_response(relay, server):  # noqa: F811
    server.pages["/slow"] = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", then="hang")
    with pytest.raises(http.client.IncompleteRead):
        relay("--handler-idle-timeout", "0.2").get("/slow")


def test_time_limit_while_the_client_is_waited_for(relay):
    """It is not the server's fault: that is not replaced."""
    front = relay("--execution-timeout", "0.2", "--handler-failures", "1")
    for _ in range(2):
        link = front.dial(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
        assert Reader(link).head().startswith("HTTP/1.1 408 ")
    assert front.get("/ping").status == 200
    assert not front.process.lines("A request has failed")


def test_time_limit_while_the_client_does_not_read(relay, server):  # noqa: F811
    """Nor is that the server's fault."""

    def page(talk):
        talk.start()
        while True:
            talk.chunk(PATTERN)

    server.pages["/much"] = page
    front = relay("--execution-timeout", "0.2", "--handler-failures", "1")
    for count in (1, 2):
        with front.dial(b"GET /much HTTP/1.1\r\nHost: a\r\n\r\n"):
            server.wait_closed(server.wait("/much", count))
    assert front.get("/ping").status == 200
    assert not front.process.lines("A request has failed")


def test_time_limit_of_a_response_that_never_ends(relay, server):  # noqa: F811
    """There is always more to read, and the client reads it."""
    cut = []

    def page(talk):
        deadline = time.monotonic() + PATIENCE_S
        piece = b"100000\r\n%s\r\n" % bytes(0x100000)
        try:
            talk.start()
            while time.monotonic() < deadline:
                talk.send(piece)
        except Gone:
            cut.append(True)
            raise
        talk.end()

    server.pages["/endless"] = page
    link = relay("--execution-timeout", "0.2").dial(b"GET /endless HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    room = bytearray(1 << 20)
    with contextlib.suppress(ConnectionResetError):
        while link.recv_into(room):
            pass
    server.witness.wait_for(lambda: cut, "the end of the server's connection")


def test_unix_socket(front, witness, tmp_path):  # noqa: F811
    server = BadServer(witness, path=tmp_path / "s")  # noqa: F811
    server.pages["/tell"] = tell
    try:
        told = front("--handler-http", server.url).post("/tell", b"x", headers={"Host": "h"}).json()
        assert told["body"] == "x" and fields(told)["host"] == ["h"]
    finally:
        server.stop()


# ---- the end ----


class Load:
    """Clients that ask again and again on kept-alive connections until they are told to go; nothing may be lost."""

    def __init__(self, front, clients):
        self.front, self.done, self.lost, self.unheard = front, 0, [], set()
        self.ending = threading.Event()
        self.ended_at = None
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(clients)]
        for thread in self.threads:
            thread.start()

    def end(self):
        """Just before the worker is told to end."""
        self.ended_at = time.monotonic()
        self.ending.set()

    def _run(self, number):
        for count in range(1_000_000):
            client = self.front.client()
            try:
                client.connect()
            except (ConnectionRefusedError, ConnectionResetError) as error:
                if not self.ending.is_set():
                    self.lost.append(f"{number}-{count}: {error!r}")
                return  # said before anything was sent: not lost
            if self._use(client, number, count, self.ending.is_set()):
                return

    def _use(self, client, number, count, late):
        for again in range(50):
            body = f"{number}-{count}-{again}"
            try:
                client.request("POST", "/tell", body)
                answer = client.getresponse()
                told = json.loads(answer.read())
            except ConnectionError as error:
                # Between the worker's last accept() and its close() the system took the connection: dial anew.
                untaken = late and again == 0 and type(error) is ConnectionResetError
                # Or this client, which may get no processor, asked when the worker waited for it no more.
                too_late = self.ending.is_set() and time.monotonic() - self.ended_at > DRAIN_S
                with self.lock:
                    if unheard := untaken or too_late:
                        self.unheard.add(body)
                    else:
                        self.lost.append(f"{body}: {error!r}")
                return not unheard
            except (OSError, http.client.HTTPException, ValueError) as error:
                with self.lock:
                    self.lost.append(f"{body}: {error!r}")
                return True
            with self.lock:
                self.done += 1
                if answer.status != 200 or told["body"] != body:
                    self.lost.append(f"{body}: {answer.status} {told}")
            if answer.headers.get("Connection") == "close":
                break
        client.close()
        return False

    def join(self):
        for thread in self.threads:
            thread.join(2 * PATIENCE_S)
            if thread.is_alive():
                raise TimeoutError("a client has not ended")


def test_drain_under_load_loses_nothing(relay, server):  # noqa: F811
    server.pages["/tell"] = tell
    gate = Gate(b"x")
    server.pages["/hold"] = gate
    front = relay()
    held = Later(front.get, "/hold")
    server.wait("/hold")
    load = Load(front, 8)
    server.witness.wait_for(lambda: load.done > 200, "some load")
    load.end()
    front.process.signal(signal.SIGTERM)
    load.join()
    assert not load.lost and load.done > 200
    assert not load.unheard & {talk.body.decode() for talk in server.of("/tell")}
    gate.next(2)
    assert held.wait().body == b"x", "what had begun comes to its end"
    assert front.process.wait() == 0


def test_idle_worker_ends_at_once(relay):
    front = relay()
    front.process.signal(signal.SIGTERM)
    assert front.process.wait() == 0


def test_health_says_that_it_ends(relay, server):  # noqa: F811
    gate = Gate(b"x")
    server.pages["/hold"] = gate
    front = relay(env={"PORT_HEALTH": "0"})
    held = Later(front.get, "/hold")
    server.wait("/hold")
    front.process.signal(signal.SIGTERM)
    front.until(503, "/ping", port=front.health_port)
    gate.next(2)
    assert held.wait().status == 200 and front.process.wait() == 0


def test_grace_ends(relay, server):  # noqa: F811
    server.pages["/hold"] = lambda talk: talk.wait_gone()
    front = relay(env={"RP_SHUTDOWN_GRACE_S": "1"})
    front.dial(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
    server.wait("/hold")
    front.process.signal(signal.SIGTERM)
    assert front.process.wait() == 1


# ---- handlers without HTTP ----


@pytest.mark.parametrize("value", [{"a": [1, None]}, [], "žluť", 0, True, {}], ids=json.dumps)
def test_input_in_output_out(front, value):  # noqa: F811
    one = front(handler="echo")
    answer = one.post("/", value)
    assert answer.status == 200 and answer.json() == value and answer.headers["Content-Type"] == "application/json"
    status = one.post("/runsync", {"id": "mine", "input": value}).json()
    wanted = {} if value == {} else {"output": value}
    assert status == {"id": "mine", "status": "COMPLETED", **wanted}


def test_failures_and_what_is_no_input(front):  # noqa: F811
    one = front(handler="mock")
    answer = one.post("/", {"mock_error": True})
    assert answer.status == 500 and json.loads(answer.json()["error"])["error_message"] == "Mock error"
    answer = one.post("/run", {"input": {"mock_error": True}})
    assert answer.status == 200 and answer.json()["status"] == "FAILED" and len(answer.json()["id"]) == 36
    for body in (b"", b"{", b"null", b'1, "id": "x"', b'1}, {"input": 2'):
        assert one.post("/", body).status == 400
    assert one.post("/run", b'"text"').status == 400
    assert one.get("/").status == 405 and one.get("/other").status == 404
    assert one.get("/ping").status == 200


def test_handler_that_is_not_ready(front, tmp_path):  # noqa: F811
    pipe = Pipe(tmp_path / "pipe")
    program = f"sh -c 'read x < {pipe.path}; echo {{\\\"ready\\\": true}}; while read job; do echo {{\\\"output\\\": 1}}; done'"
    one = front("--handler", program, "--handler-ready", "line", env={"PATH": "/usr/bin:/bin"}, ready=False)
    answer = one.post("/", 1)
    assert answer.status == 503 and answer.headers["Retry-After"] == "1"
    assert answer.json()["error"] == "The handler is not ready."
    assert one.get("/ping").status == 204
    pipe.open()
    one.ready()
    assert one.post("/", 1).json() == 1


def test_program_as_a_handler(front):  # noqa: F811
    one = front("--handler-once", "cat", env={"PATH": "/usr/bin:/bin"})
    assert one.post("/", [1]).json()["input"] == [1]


# ---- events ----


def shell(pipe):
    """A program that streams, and waits at the pipe between two parts."""
    return "sh -c '" + "; ".join(
        [
            "while read job",
            'do echo "{\\"stream\\": {\\"n\\": 1}}"',
            f"cat {pipe} >/dev/null",
            'echo "{\\"progress\\": 50}"',
            'echo "{\\"stream\\": {\\"n\\": 2}}"',
            'echo "{\\"output\\": null}"',
            "done",
        ]
    ).replace("do; ", "do ") + "'"


def test_parts_come_as_events(front, tmp_path):  # noqa: F811
    """Each as soon as the handler has it: the job waits at a gate behind the first."""
    pipe = Pipe(tmp_path / "pipe")
    todo = [{"yield": {"n": 1}}, pipe.step, {"progress": 50}, {"yield": {"n": 2}}]
    one = front("--stream", handler=own_handler("steps"))
    told = Events(one.dial, "/", steps(*todo), accept="application/json;q=0.5, Text/Event-Stream; q=1")
    head = told.head()
    assert head.startswith("HTTP/1.1 200 ") and "\r\nContent-Type: text/event-stream\r\n" in head
    assert "\r\nCache-Control: no-store\r\n" in head and "\r\nX-Accel-Buffering: no\r\n" in head
    assert told.next() == (None, {"n": 1})
    pipe.open()
    events = told.all()
    assert events[:2] == [("progress", 50), (None, {"n": 2})]
    name, end = events[2]
    assert name == "end" and end["status"] == "COMPLETED" and len(end["id"]) == 36 and len(events) == 3
    for headers in ({}, {"Accept": "application/json, */*"}, {"Accept": "text/event-streams, text/event"}):
        assert one.post("/", steps({"yield": 1}, {"yield": 2}), headers=headers).json() == [1, 2], "the list of them"


def test_parts_of_a_program_come_as_events(front, tmp_path):  # noqa: F811
    pipe = Pipe(tmp_path / "pipe")
    one = front("--handler", shell(pipe.path), env={"PATH": "/usr/bin:/bin"})
    told = Events(one.dial, "/run", {"id": "mine", "input": 1})
    told.head()
    assert told.next() == (None, {"n": 1})
    pipe.open()
    assert told.all() == [("progress", 50), (None, {"n": 2}), ("end", {"id": "mine", "status": "COMPLETED"})]


def test_events_of_a_handler_that_does_not_stream(front):  # noqa: F811
    """Its output is the one part; an event is one line, whatever the JSON looks like."""
    one = front(handler="echo")
    told = Events(one.dial, "/run", {"id": "a", "input": 0})
    told.head()
    assert told.all() == [(None, 0), ("end", {"id": "a", "status": "COMPLETED"})]
    told = Events(one.dial, "/run", {"id": "e", "input": {}})
    told.head()
    assert told.all() == [(None, {}), ("end", {"id": "e", "status": "COMPLETED"})], "an empty result is an output, too"
    body = b'{"id": "b", "input": {"text":\r\n "x\\ny"}}'
    link = one.dial(b"POST /run HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    reader = Reader(link)
    reader.head()
    assert reader.chunk().startswith(b'data: {"text":   "x\\ny"}\n\nevent: end\n')


def test_output_follows_the_updates_of_a_handler_that_does_not_stream(front):  # noqa: F811
    one = front(handler=own_handler("steps"))
    told = Events(one.dial, "/run", {"id": "a", "input": steps({"progress": 50}, {"return": 1})})
    told.head()
    assert told.all() == [("progress", 50), (None, 1), ("end", {"id": "a", "status": "COMPLETED"})]


def test_failures_before_and_within_events(front):  # noqa: F811
    """Before the first event a failure has a status of its own; after it, it is an event."""
    one = front("--stream", handler=own_handler("steps"))
    told = Events(one.dial, "/", steps({"fail": "too early"}))
    assert told.head().startswith("HTTP/1.1 500 ")
    assert one.post("/", b"{", headers={"Accept": "text/event-stream"}).status == 400
    told = Events(one.dial, "/run", {"id": "a", "input": steps({"yield": 1}, {"fail": "too late"})})
    assert told.head().startswith("HTTP/1.1 200 ")
    (name, part), (kind, error), end = told.all()
    assert (name, part) == (None, 1) and kind == "error" and "too late" in error["error"]
    assert end == ("end", {"id": "a", "status": "FAILED"})


def test_client_that_leaves_its_events_stops_the_job(front):  # noqa: F811
    one = front("--stream", "--concurrency", "1", handler=own_handler("steps"))
    told = Events(one.dial, "/", steps({"yield": 1}, {"await_stop": 120_000}))
    told.head()
    told.next()
    told.link.close()
    one.process.wait_log("The client has disconnected: stopping its job")
    told = Events(one.dial, "/", steps({"yield": 2}))
    deadline = time.monotonic() + PATIENCE_S
    while not told.head().startswith("HTTP/1.1 200 "):  # its slot is free in a moment
        if time.monotonic() >= deadline:
            raise TimeoutError("the slot did not become free")
        told = Events(one.dial, "/", steps({"yield": 2}))
    assert told.next() == (None, 2)


def test_stream_of_any_length_in_little_memory(front):  # noqa: F811
    """Longer than any result may be; a client that does not read holds the handler up."""
    one = front("--stream", handler=own_handler("steps"), env={"RP_MAX_RESULT_MB": "1"})
    told = Events(one.dial, "/", steps({"yields": {"parts": 400, "bytes": 100_000}}))
    one.process.wait_log("yielded 10$")
    told.head()
    events = told.all()
    assert [data["n"] for name, data in events[:-1]] == list(range(1, 401)) and events[-1][1]["status"] == "COMPLETED"
    assert one.process.peak_kib() < 16_384


def test_events_come_to_their_end_first(front, tmp_path):  # noqa: F811
    one = front("--stream", handler=own_handler("steps"))
    pipe = Pipe(tmp_path / "pipe")
    told = Events(one.dial, "/", steps({"yield": 1}, pipe.step, {"yield": 2}))
    told.head()
    told.next()
    one.process.signal(signal.SIGTERM)
    one.process.wait_log("SIGTERM received")
    pipe.open()
    assert [event[0] for event in told.all()] == [None, "end"]
    assert one.process.wait() == 0


# ---- full, and too late ----


def test_full_slots_say_so(front, tmp_path):  # noqa: F811
    one = front("--concurrency", "2", handler=own_handler("steps"))
    pipes = [Pipe(tmp_path / f"pipe{n}") for n in range(2)]
    held = [Later(one.post, "/", steps(pipe.step, {"return": n})) for n, pipe in enumerate(pipes)]
    one.process.wait_log("at step 1", 2)
    answer = one.post("/", steps())
    assert answer.status == 503 and answer.headers["Retry-After"] == "1"
    assert one.get("/ping").status == 200
    one.process.signal(signal.SIGTERM)
    one.process.wait_log("SIGTERM received")
    for pipe in pipes:
        pipe.open()
    assert sorted(answer.wait().json() for answer in held) == [0, 1]
    assert one.process.wait() == 0


def test_request_that_comes_too_late_is_refused(front, tmp_path):  # noqa: F811
    """Nobody takes it any more: it is told so, and does not keep the worker from its end."""
    one = front("--concurrency", "2", handler=own_handler("steps"), env={"PORT_HEALTH": "0"})
    pipe = Pipe(tmp_path / "pipe")
    held = Later(one.post, "/", steps(pipe.step, {"return": "done"}))
    one.process.wait_log("at step 1")
    link = one.dial()
    one.process.signal(signal.SIGTERM)
    one.until(503, "/ping", port=one.health_port)
    with contextlib.suppress(OSError):
        link.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n" + b'{"steps":[]}')
    answer = Reader(link).all()
    assert answer == b"" or answer.startswith(b"HTTP/1.1 503 "), "or the connection had been closed by then"
    pipe.open()
    assert held.wait().json() == "done"
    assert one.process.wait() == 0


# ---- web pages elsewhere ----

FOREIGN = {
    "origin": ({"Origin": "http://evil.example"}, 403),
    "no origin of its own": ({"Origin": "null"}, 403),
    "without an origin": ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
    "rebinding": ({"Host": "evil.example", "Origin": "http://evil.example"}, 421),
    "rebinding, a get": ({"Host": "evil.example:8080"}, 421),
}


@pytest.mark.parametrize("headers, status", FOREIGN.values(), ids=FOREIGN)
def test_pages_elsewhere_drive_nothing_on_this_machine(front, server, headers, status):  # noqa: F811
    """A browser sends such requests without asking anybody; on the platform they come through its proxy."""
    simple = {"Content-Type": "text/plain", **headers}
    server.pages["/run"] = tell
    for one in (front(handler="echo"), front("--handler-http", server.url)):
        answer = one.post("/run", b'{"input": 1}', headers=simple)
        assert answer.status == status and "--serve-open" in answer.json()["error"]
        assert one.get("/ping", headers=headers).status == 200
    assert not [talk for talk in server.requests if talk.target == "/run"]
    opened = (
        front("--serve-open", handler="echo"),
        front(handler="echo", env={"RUNPOD_POD_ID": "pod"}),
        front(handler="echo", env={"RUNPOD_ENDPOINT_ID": "ep"}),
        front("--handler-http", server.url, env={"RUNPOD_POD_ID": "pod"}),
    )
    for one in opened:
        assert one.post("/run", b'{"input": 1}', headers=simple).status == 200


def test_pages_elsewhere_are_refused_before_their_body(front):  # noqa: F811
    """And a health check at a path that requests have, too, is none of theirs."""
    one = front(handler="echo", env={"HEALTH_CHECK_PATH": "/"})
    head = "POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 10000000\r\n"
    for field, status in (("Origin: http://evil.example\r\n", 403), ("", 100)):
        with socket.create_connection(("127.0.0.1", one.port), timeout=PATIENCE_S) as peer:
            peer.sendall(f"{head}{field}\r\n".encode())
            assert peer.recv(65536).startswith(b"HTTP/1.1 %d " % status), field
    assert one.get("/", headers={"Origin": "http://evil.example"}).status == 200


def test_pages_of_this_machine_and_links_may(front, server):  # noqa: F811
    server.pages["/run"] = server.pages["/"] = tell
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    one = front("--handler-http", server.url, "--serve-host", "localhost")
    assert one.get("/", headers=link).status == 200
    assert one.get("/", headers={**link, "Sec-Fetch-Dest": "iframe"}).status == 403
    for headers in (
        {},
        {"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"},
        {"Origin": f"http://127.0.0.1:{one.port}"},
        {"Host": "LOCALHOST.:1", "Origin": "http://[::1]:5"},
        {"Host": "[::1]:8080"},
        {"Host": "box.localhost"},
    ):
        assert one.post("/run", b"{}", headers=headers).status == 200
    image = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    assert one.get("/", headers={**image, "Host": f"localhost:{one.port}"}).status == 200


# ---- settings ----


@pytest.mark.parametrize(
    "flags, env, says",
    [
        (["--handler-http", "https://127.0.0.1"], {}, "--handler-http"),
        (["--handler-http", "http://127.0.0.1:1/path"], {}, "without a path"),
        (["--handler-once", "cat"], {"PORT": "http"}, 'PORT is "http"'),
        (["--handler-once", "cat"], {"PORT_HEALTH": "65536"}, "PORT_HEALTH"),
        (["--handler-once", "cat"], {"HEALTH_CHECK_PATH": "ping"}, "HEALTH_CHECK_PATH"),
        (["--handler-once", "cat", "--rp_serve_api"], {}, "exclude each other"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_set(local, flags, env, says):
    done = local("--serve", *flags, handler="worker", env={"PATH": "/usr/bin:/bin", **env})
    assert done.returncode == 2 and says in done.stdout


def test_port_means_nothing_without_the_flag(local):
    """Other programs have that variable, too."""
    done = local("--test_input", '{"input": 1}', env={"PORT": "tcp://x"})
    assert done.returncode == 0


def test_port_in_use(local):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = local("--serve", "--serve-host", "127.0.0.1", env={"PORT": str(taken.getsockname()[1])})
    assert done.returncode == 1 and "PORT" in done.stdout


def test_port_of_health_checks_in_use(local):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        env = {"PORT": "0", "PORT_HEALTH": str(taken.getsockname()[1])}
        done = local("--serve", "--serve-host", "127.0.0.1", env=env)
    assert done.returncode == 1 and re.search("PORT_HEALTH.*in use", done.stdout), done.stdout


def test_one_port_for_both(front):  # noqa: F811
    """PORT_HEALTH may name PORT."""
    port = str(free_port())
    one = front(handler="echo", env={"PORT": port, "PORT_HEALTH": port})
    assert one.port == one.health_port == int(port)
    assert one.get("/ping").status == 200 and one.post("/", 1).json() == 1


def test_no_job_is_taken_from_the_queue(platform, worker):
    one = Front(worker(platform, "--serve", env={"PORT": "0", "RP_SERVE_HOST": "127.0.0.1"})).ready()
    assert one.post("/", 1).json() == 1
    assert not platform.requests()
