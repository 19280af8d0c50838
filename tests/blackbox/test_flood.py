"""Peers that never stop sending, or never stop taking their time: every limit is a point in time, looked at on the way.

What is asserted is that the exchange ends, with the right outcome; floodpeer.py is as fast as this machine allows.
"""

import json
import socket

import pytest

from badserver import BadServer, Gate
from floodpeer import FLOODS, FloodPeer, flood
from httphandler import error_of, parts, serve, server  # noqa: F401 (fixtures)
from outcome import outcome
from own_handlers import own
from test_http_handler import CHAT, HELLO
from test_realtime import HEAD, hear_head, realtime  # noqa: F401 (a fixture)
from testplatform import FAST_PING, server_context

HEADS = ("interim", "interim with fields", "head lines", "head line", "reason")
BODIES = tuple(name for name in FLOODS if name not in HEADS)
ENDED_BY_SIZE = ("extension", "chunk size", "trailers", "trailer")  # whatever the limits of the body


@pytest.fixture
def peer(witness):
    """peer(name, ...) -> FloodPeer, stopped at the end."""
    peers = []

    def start(*args, **how):
        peers.append(FloodPeer(witness, *args, **how))
        return peers[-1]

    yield start
    for one in peers:
        one.stop()


# ---- the platform ----


@pytest.mark.parametrize("name", ["interim", "head lines", "extension", "trailers"])
def test_job_take(platform, worker, name):
    platform.script("take", flood(name))
    process = worker(platform)
    process.wait_log("WARN|ERROR")
    assert platform.run(1) == {"output": 1}


@pytest.mark.parametrize("name", ["interim", "tiny chunks", "length"])
def test_job_take_at_a_shutdown(worker, platform, peer, name):
    """SIGTERM ends a worker whose job-take and stop channel are flooded."""
    one = peer(name, wanted=b"/job-")
    take = f"{one.url}/v2/ep0test/job-take/$ID"
    process = worker(platform, env={"RUNPOD_WEBHOOK_GET_JOB": take, "RP_SHUTDOWN_GRACE_S": "1"})
    one.wait_flooded()
    process.terminate()
    assert process.wait() == 0


@pytest.mark.parametrize("name", ["interim", "interim with fields", "extension"])
def test_result(platform, worker, name):
    """A post without a final status is tried again; one with a 2xx counts, whatever its body does."""
    platform.script("done", flood(name))
    worker(platform)
    platform.give({"id": "flooded", "input": 1})
    posts = 1 if name == "extension" else 2
    assert platform.wait_final("flooded", posts).json() == {"output": 1}
    assert platform.run(2) == {"output": 2}
    assert len(platform.finals("flooded")) == posts


@pytest.mark.parametrize("name", ["interim", "chunks", "trailer"])
def test_stop_channel(platform, worker, name):
    """The channel is asked again, and jobs are stopped as before."""
    platform.script("stop", flood(name))
    process = worker(platform, handler=own("steps"))
    process.wait_log("stop channel failed")
    platform.give({"id": "long", "input": {"steps": [{"await_stop": 100000}]}})
    process.wait_log("at step 0|at step 1")
    platform.stop_jobs("long")
    process.wait_log("long.*stopped")
    assert platform.run({"steps": [{"return": 2}]}) == {"output": 2}


@pytest.mark.parametrize("name", ["interim", "head lines", "length"])
def test_heartbeat(platform, worker, name):
    platform.script("ping", flood(name))
    worker(platform, env=FAST_PING)
    platform.wait_more("ping", 3)
    assert platform.run(1) == {"output": 1}


def test_heartbeat_that_drips(platform, worker, peer):
    """A response that takes for ever is given up, and the next ping goes out."""
    one = peer("length", drip=True)
    worker(platform, env={**FAST_PING, "RUNPOD_WEBHOOK_PING": f"{one.url}/ping/$RUNPOD_POD_ID"})
    one.wait_gone()
    one.wait_flooded(2)
    assert platform.run(1) == {"output": 1}


@pytest.mark.parametrize("name", HEADS)
def test_proxy(tls_platform, worker, peer, name):
    """The answer to CONNECT."""
    one = peer(name)
    process = worker(tls_platform, env={"HTTPS_PROXY": one.url, "RP_SHUTDOWN_GRACE_S": "1"})
    one.wait_gone()
    process.wait_log("proxy 127.0.0.1")
    process.terminate()
    assert process.wait() == 0


# ---- downloads and uploads ----


def run_files(local, tmp_path, env=None, **input):
    """The output of the files handler, or its error's message."""
    done = local(
        "--test_input",
        json.dumps({"input": input}),
        handler=own("files"),
        env={"RP_ALLOW_PRIVATE_DOWNLOADS": "1", "RP_SCRATCH_DIR": str(tmp_path / "s"), **(env or {})},
    )
    return outcome(done.stdout)


@pytest.mark.unlisted  # a line of the trace for each call of a flood
@pytest.mark.parametrize("drip", [False, True], ids=["flood", "drip"])
@pytest.mark.parametrize("name", ["interim", "head lines", "until close", "tiny chunks", "extensions", "extension", "trailers"])
def test_download(local, tmp_path, peer, name, drip):
    """The download's own limit holds for every part of a response."""
    one = peer(name, drip=drip)
    message = run_files(local, tmp_path, action="download", url=f"{one.url}/f", timeout_s=1)
    by_size = name in HEADS or name in ENDED_BY_SIZE
    assert "timed out" in message or (by_size and not drip)
    one.wait_gone()


def test_download_over_tls(local, tmp_path, peer, authority, localhost_certificate):
    one = peer("until close", tls=server_context(*localhost_certificate))
    env = {"SSL_CERT_FILE": str(authority.root_file)}
    message = run_files(local, tmp_path, env, action="download", url=f"{one.url}/f", timeout_s=1)
    assert "timed out" in message


@pytest.mark.parametrize("name", ["interim", "head lines", "chunks", "extension"])
def test_upload(local, tmp_path, peer, name):
    one = peer(name)
    env = {"BUCKET_ENDPOINT_URL": one.url, "BUCKET_ACCESS_KEY_ID": "k", "BUCKET_SECRET_ACCESS_KEY": "secret-of-it"}
    assert "Upload: " in run_files(local, tmp_path, env, action="upload", text="hello", name="x", bucket="b")
    one.wait_gone()


REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.unlisted
def test_upload_that_is_refused_early(local, tmp_path, peer):
    """The storage refuses with the body unread, and leaves the connection open."""
    one = peer(unread=True, early=REFUSED)
    big = tmp_path / "big.bin"
    big.write_bytes(bytes(8 << 20))
    env = {"BUCKET_ENDPOINT_URL": one.url, "BUCKET_ACCESS_KEY_ID": "k", "BUCKET_SECRET_ACCESS_KEY": "secret-of-it"}
    assert "403" in run_files(local, tmp_path, env, action="upload", path=str(big), bucket="b")
    assert len(one.heads) == 1


# ---- HTTP handlers ----


@pytest.mark.parametrize("name", HEADS + ENDED_BY_SIZE)
def test_http_handler(platform, serve, peer, name):
    one = peer(name, wanted=b"POST")
    serve(platform, one, "--served-model", "m")
    assert len(error_of(platform.run({"messages": HELLO}))["message"]) > 10
    one.wait_gone()


@pytest.mark.parametrize("name", ["tiny chunks", "extensions", "events", "comments", "one event", "until close"])
def test_execution_timeout(platform, serve, peer, name):
    """Whatever comes, and however much of it."""
    one = peer(name, wanted=b"POST")
    serve(platform, one, "--served-model", "m", "--execution-timeout", "1", env={"RP_MAX_RESULT_MB": "1000"})
    result = platform.run({"messages": HELLO, "stream": True})
    assert "timed out" in result["error"] or "timeout" in result["error"].lower()
    one.wait_gone()


@pytest.mark.parametrize("name", ["events", "interim", "head lines"])
def test_execution_timeout_of_a_dripping_server(platform, serve, peer, name):
    one = peer(name, wanted=b"POST", drip=True)
    serve(platform, one, "--served-model", "m", "--execution-timeout", "1")
    result = platform.run({"messages": HELLO, "stream": True})
    assert "timeout" in result["error"].lower() or "timed out" in result["error"]
    one.wait_gone()


@pytest.mark.parametrize("name", ["events", "one event", "comments"])
def test_stopped_stream(platform, serve, peer, name):
    one = peer(name, wanted=b"POST")
    serve(platform, one, "--served-model", "m")
    job = platform.give(input={"messages": HELLO, "stream": True})
    platform.wait_for(lambda: parts(platform, job), "a part")
    platform.stop_jobs(job)
    one.wait_gone()


def test_stream_at_a_shutdown(platform, serve, peer):
    """The grace is not stretched by a server that goes on."""
    one = peer("events", wanted=b"POST")
    process = serve(platform, one, "--served-model", "m", env={"RP_SHUTDOWN_GRACE_S": "1"})
    job = platform.give(input={"messages": HELLO, "stream": True})
    platform.wait_for(lambda: parts(platform, job), "a part")
    process.terminate()
    process.wait()


@pytest.mark.parametrize("name", ["interim", "head lines"])
def test_first_byte_limit(platform, serve, peer, name):
    """Interim responses do not put it off."""
    one = peer(name, wanted=b"POST", drip=name == "interim")
    serve(platform, one, "--served-model", "m", "--handler-first-byte-timeout", "1")
    error_of(platform.run({"messages": HELLO}))
    one.wait_gone()


@pytest.mark.parametrize("name", ["extension", "trailers"])
def test_idle_limit(platform, serve, peer, name):
    """What is not part of the body is no sign of life."""
    one = peer(name, wanted=b"POST", drip=True)
    serve(platform, one, "--served-model", "m", "--handler-idle-timeout", "1")
    assert "--handler-idle-timeout" in error_of(platform.run({"messages": HELLO}))["message"]
    one.wait_gone()


@pytest.mark.parametrize("drip", [False, True], ids=["flood", "drip"])
@pytest.mark.parametrize("name", HEADS)
def test_health(platform, serve, peer, name, drip):
    """The ready limit holds, whatever the health route says for ever."""
    one = peer(name, wanted=b"/health ", drip=drip)
    process = serve(platform, one, "--handler-ready-timeout", "1")
    assert process.wait() == 1
    assert process.lines("--handler-ready-timeout")


@pytest.mark.parametrize("over", ["http", "https"])
@pytest.mark.parametrize("status", [200, 413])
def test_early_answer_of_a_server_that_stays_open(platform, serve, peer, authority, localhost_certificate, status, over):
    """It answers without reading the body, and neither reads on nor closes: its answer is taken."""
    body = b'{"early": true}' if status == 200 else b'{"error": {"message": "too much", "type": "TooLarge"}}'
    head = b"HTTP/1.1 %d Early\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    tls = server_context(*localhost_certificate) if over == "https" else None
    one = peer(unread=True, wanted=b"/upload", early=head + body, tls=tls)
    serve(platform, one, env={"SSL_CERT_FILE": str(authority.root_file)})
    result = platform.run({"route": "/upload", "body": {"data": "x" * 10_000_000}})
    if status == 200:
        assert result == {"output": {"early": True}}
    else:
        assert error_of(result) == {"message": "too much", "type": "TooLarge", "code": 413}


@pytest.mark.parametrize("name", ["interim", "head lines"])
def test_flood_while_the_body_is_sent(platform, serve, peer, name):
    """It sends for ever without reading the request."""
    one = peer(name, unread=True, wanted=b"/upload")
    serve(platform, one)
    error_of(platform.run({"route": "/upload", "body": {"data": "x" * 10_000_000}}))
    one.wait_gone()


def test_stream_over_tls_that_pauses(platform, serve, witness, authority, localhost_certificate):
    """What has come is sent on during a pause, and the stream goes on after it."""
    server = BadServer(witness, tls=server_context(*localhost_certificate))
    gate = server.pages[CHAT] = Gate(b"data: 1\n\n", b"data: 2\n\n")
    serve(platform, server, "--served-model", "m", env={"SSL_CERT_FILE": str(authority.root_file)})
    job = platform.give(input={"messages": HELLO, "stream": True})
    for text in ("data: 1\n\n", "data: 1\n\ndata: 2\n\n"):
        gate.next()
        platform.wait_for(lambda text=text: "".join(parts(platform, job)) == text, f"{text!r} as parts")
    gate.end()
    assert platform.result(job) == {"output": []}
    server.stop()
    assert not server.complaints, server.complaints


def test_health_that_redirects_to_https(platform, serve, server):
    """Not followed, and no crash: there are no TLS settings for a plain URL."""
    server.pages["/health"] = lambda talk: talk.reply(301, b"", [("Location", "https://127.0.0.1/health")])
    process = serve(platform, server, "--handler-ready-timeout", "1")
    assert process.wait() == 1
    assert process.lines("--handler-ready-timeout")


@pytest.mark.parametrize("location", ["https://127.0.0.1/x", "https://127.0.0.1:443/x", "//127.0.0.1:80/x"])
def test_route_that_redirects_to_https(platform, serve, server, location):
    server.pages[CHAT] = lambda talk: talk.reply(301, b"", [("Location", location)])
    serve(platform, server, "--served-model", "m")
    assert "redirect" in error_of(platform.run({"messages": HELLO}))["message"]
    server.pages[CHAT] = lambda talk: talk.reply(200, {"a": 1})
    assert platform.run({"messages": HELLO}) == {"output": {"a": 1}}


# ---- clients of a server of ours ----


def feed(connection, prefix, piece):
    """Sends for ever, without listening; returns once the other end has closed."""
    try:
        connection.sendall(prefix)
        while True:
            connection.sendall(piece * 1000)
    except OSError:
        pass


@pytest.mark.parametrize(
    "prefix, piece",
    [
        (HEAD, "X: y\r\n"),
        (HEAD + "X: ", "y"),
        ("POST /", "a"),
        (HEAD + "Transfer-Encoding: chunked\r\n\r\n1;", "e"),
        (HEAD + "Transfer-Encoding: chunked\r\n\r\n", "0"),
        (HEAD + "Transfer-Encoding: chunked\r\n\r\n0\r\n", "X: y\r\n"),
        (HEAD + "Content-Length: 99999999999\r\n\r\n", "x"),
        ("", "\r\n"),
    ],
    ids=["head lines", "head line", "target", "extension", "chunk size", "trailers", "body", "empty lines"],
)
def test_client_that_floods(realtime, prefix, piece):
    service = realtime(handler="echo")
    feed(service.dial(), prefix.encode(), piece.encode())
    assert service.post({"input": 1}) == (200, {"output": 1})


def test_client_that_floods_with_requests(realtime):
    """Answers that nobody reads hold up their own connection alone."""
    service = realtime(handler="echo")
    connection = service.dial()
    connection.settimeout(1)
    request = (HEAD + "Content-Length: 12\r\n\r\n" + '{"input": 1}').encode()
    with pytest.raises(socket.timeout):
        while True:
            connection.sendall(request * 1000)
    assert service.post({"input": 1}) == (200, {"output": 1})
    assert hear_head(connection).startswith("HTTP/1.1 200 ")
    connection.close()
    service.process.terminate()
    assert service.process.wait() == 0
