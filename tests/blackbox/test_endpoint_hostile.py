"""Hostile clients of the job API, and what is left in the worker after many of them.

test_nothing_is_left_after_many_requests asks 20,000 times and drops 1,000 connections, with CI set 200,000 times and
10,000, which takes a minute of processor time. By hand:

    LEAK_SCALE=10 ./build.sh test blackbox test_endpoint_hostile.py -k nothing_is_left
"""

import os
import socket
import time

import pytest

from children import descriptors
from endpoint import Endpoint
from test_realtime import hear
from witness import PATIENCE_S
from workerproc import BUILD, ROOT

IN_FULL = os.environ.get("CI") and BUILD == (ROOT / "build").resolve()  # once, not for each build of the workers
SCALE = int(os.environ.get("LEAK_SCALE") or (10 if IN_FULL else 1))
REQUESTS, CONNECTIONS, BATCH = 20_000 * SCALE, 1_000 * SCALE, 100
KEPT_MAX = 10_000  # jobs that the worker keeps after their end
GROWTH_KIB = 768  # what an allocator's luck may cost; 40 bytes a request would be more
JOB = b'{"input": 1}'
HEAD = "POST /runsync HTTP/1.1\r\nHost: localhost\r\n"
LENGTH = f"Content-Length: {len(JOB)}\r\n"
WHOLE = f"{HEAD}{LENGTH}\r\n{JOB.decode()}"
RESET = b"\1\0\0\0\0\0\0\0"  # SO_LINGER: close with a reset


@pytest.fixture
def api(worker):
    return Endpoint(worker(None, "--rp_serve_api", "--rp_api_port=0", "--rp_log_level=INFO", handler="echo"))


def dial(api, data=b""):
    connection = socket.create_connection(("127.0.0.1", api.port), timeout=PATIENCE_S)
    connection.sendall(data.encode() if isinstance(data, str) else data)
    return connection


def still_works(api):
    answer = api.post("/runsync", {"input": 7})
    assert answer.status == 200 and answer.json()["output"] == 7


def jobs(api):
    return len(api.get("/requests").json()["requests"])


# ---- heads and bodies ----


@pytest.mark.parametrize(
    "data, status",
    [
        (f"{HEAD}{LENGTH}Transfer-Encoding: chunked\r\n\r\n{JOB.decode()}", 400),
        (f"{HEAD}{LENGTH}Content-Length: 3\r\n\r\n{JOB.decode()}", 400),
        (f"{HEAD}Content-Length: {len(JOB)}, {len(JOB)}\r\n\r\n{JOB.decode()}", 400),
        (f"{HEAD}Content-Length: +{len(JOB)}\r\n\r\n{JOB.decode()}", 400),
        (f"{HEAD}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
        (f"{HEAD}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (f"{HEAD}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
        (f"{HEAD}Transfer-Encoding: chunked\r\n\r\n0x5\r\n", 400),
        (f"{HEAD}{LENGTH}Host: elsewhere\r\n\r\n{JOB.decode()}", 400),
        (f"POST /runsync HTTP/1.1\r\n{LENGTH}\r\n{JOB.decode()}", 400),
        (f"{HEAD}X: a\r\n folded: b\r\n{LENGTH}\r\n{JOB.decode()}", 400),
        (f"{HEAD}X: {'x' * 20000}\r\n\r\n", 431),
        (HEAD + "X: y\r\n" * 100 + "\r\n", 431),
        (f"GET /status/{'x' * 20000} HTTP/1.1\r\nHost: localhost\r\n\r\n", 431),
        (f"{HEAD}Content-Length: 99999999999\r\n\r\n", 413),
    ],
    ids=lambda value: repr(value[23:60]) if isinstance(value, str) else None,
)
def test_refused(api, data, status):
    """Once, and what follows on the connection is no request of anybody's."""
    answer = hear(dial(api, data + WHOLE))
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    assert answer.count(b"HTTP/1.1 ") == 1 and b"\r\nConnection: close\r\n" in answer
    assert jobs(api) == 0
    still_works(api)


@pytest.mark.parametrize("path, status", [("/nowhere", 404), ("/health/x", 404), ("/status/no-such-job", 404)])
def test_body_of_a_refused_request_is_no_request(api, path, status):
    """What a body holds stays a body, whatever becomes of the request before it."""
    peer = dial(api, f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(WHOLE)}\r\n\r\n{WHOLE}")
    peer.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    answer = hear(peer)
    assert answer.startswith(b"HTTP/1.1 %d " % status) and answer.count(b"HTTP/1.1 ") <= 2
    assert jobs(api) == 0


def test_body_after_a_wrong_key_is_no_request(worker):
    api = Endpoint(
        worker(None, "--rp_serve_api", "--rp_api_port=0", handler="echo", env={"RUNPOD_API_KEY": "right"})
    )
    inner = WHOLE.replace("Host: localhost\r\n", "Host: localhost\r\nAuthorization: right\r\n", 1)
    peer = dial(
        api,
        "POST /run HTTP/1.1\r\nHost: localhost\r\nAuthorization: wrong\r\nConnection: close\r\n"
        f"Content-Length: {len(inner)}\r\n\r\n{inner}",
    )
    answer = hear(peer)
    assert answer.startswith(b"HTTP/1.1 401 ") and answer.count(b"HTTP/1.1 ") == 1
    assert not api.process.lines("Started")


def test_who_may_not_ask_is_told_before_the_body(worker, api):
    """Nobody without the key can make the worker hold 20 MiB for each connection."""
    locked = Endpoint(worker(None, "--rp_serve_api", "--rp_api_port=0", handler="echo", env={"RUNPOD_API_KEY": "right"}))
    head = "POST {}/run HTTP/1.1\r\nHost: {}\r\nExpect: 100-continue\r\nContent-Length: 10000000\r\n{}\r\n"
    for one, url, host, field, status in (
        (locked, "", "localhost", "", 401),
        (locked, "", "localhost", "Authorization: wrong\r\n", 401),
        (locked, "", "localhost", "Authorization: right\r\n", 100),
        (api, "", "evil.example", "", 421),
        (api, "", "[::1].evil.example", "", 421),
        (api, "", "localhost:1@evil.example", "", 400),
        (api, "http://evil.example", "localhost", "", 421),
        (api, "http://localhost", "evil.example", "", 100),
        (api, "", "localhost", "Origin: http://evil.example\r\n", 403),
    ):
        peer = dial(one, head.format(url, host, field))
        assert peer.recv(65536).startswith(b"HTTP/1.1 %d " % status), (url, host, field)
        peer.close()


# ---- connections ----


@pytest.mark.parametrize("data", [b"", b"P", HEAD.encode(), f"{HEAD}{LENGTH}\r\n".encode() + JOB[:-1]])
@pytest.mark.parametrize("how", ["half", "reset"])
def test_clients_that_stop_midway(api, data, how):
    resting = descriptors(api.process.pid)
    for _ in range(10):
        peer = dial(api, data)
        if how == "half":
            peer.shutdown(socket.SHUT_WR)
            hear(peer)
        else:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        peer.close()
    assert jobs(api) == 0
    api.process.witness.wait_for(lambda: descriptors(api.process.pid) <= resting + 5 or None, "the connections' end")
    still_works(api)


def test_half_closed_client_gets_what_is_there(api):
    """A client that has said all it will say is answered, as far as that takes no waiting."""
    peer = dial(api, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    peer.shutdown(socket.SHUT_WR)
    assert hear(peer).startswith(b"HTTP/1.1 200 ")


def test_slow_heads_are_given_up_and_hold_up_nobody(api):
    """Ten seconds in all, however steadily the bytes come."""
    slow = [dial(api, HEAD) for _ in range(50)]
    answered = set()
    deadline = time.monotonic() + 2 * PATIENCE_S
    while len(answered) < len(slow):
        if time.monotonic() >= deadline:
            raise TimeoutError(f"only {len(answered)} of {len(slow)} were given up")
        still_works(api)
        for number, peer in enumerate(slow):
            if number in answered:
                continue
            peer.settimeout(0.01)
            try:
                peer.sendall(b"a")
                answer = peer.recv(65536)
                assert answer.startswith(b"HTTP/1.1 408 "), answer
                answered.add(number)
            except TimeoutError:
                continue
            except OSError:  # its answer went by with the reset
                answered.add(number)
    assert jobs(api) > 0


def test_client_that_reads_nothing_holds_up_nobody(api):
    peer = dial(api)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.setblocking(False)
    ask = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100
    sent = 1
    while sent:
        try:
            sent = peer.send(ask)
        except BlockingIOError:
            sent = 0
    for _ in range(5):
        still_works(api)
    peer.close()


# ---- what is left ----


def ask(api, count):
    """So many requests, in batches: mostly jobs, and one of everything else that costs memory."""
    others = b"".join(
        f"{line} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n".encode()
        for line, more in (
            ("GET /health", ""),
            ("GET /status/no-such-job", ""),
            ("GET /metrics", ""),
            ("POST /cancel/no-such-job", ""),
            ("POST /run", "Content-Length: 0\r\n"),
            ("GET /nowhere", ""),
        )
    )
    batch = WHOLE.encode() * (BATCH - 6) + others
    connection = dial(api)
    answers = connection.makefile("rb")
    for _ in range(count // BATCH):
        connection.sendall(batch)
        for _ in range(BATCH):
            read_answer(answers)
    answers.close()
    connection.close()


def fill(api):
    """As many jobs as are kept, each for half an hour (a job of /runsync goes after a minute, which may pass meanwhile).

    The last of a batch waits for the others, so that none is refused for a full queue.
    """
    batch = WHOLE.replace("/runsync", "/run", 1).encode() * (BATCH - 1) + WHOLE.encode()
    connection = dial(api)
    answers = connection.makefile("rb")
    for _ in range(KEPT_MAX // (BATCH - 1) + 1):
        connection.sendall(batch)
        for _ in range(BATCH):
            read_answer(answers)
    answers.close()
    connection.close()


def read_answer(answers):
    length = 0
    assert answers.readline().startswith(b"HTTP/1.1 ")
    while (line := answers.readline()) != b"\r\n":
        if line.startswith(b"Content-Length: "):
            length = int(line[16:])
    assert len(answers.read(length)) == length


def drop(api, count):
    """Connections that say nothing, half a request or a whole one, and go."""
    for number in range(count):
        peer = dial(api, (b"", HEAD.encode(), b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")[number % 3])
        if number % 2:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        peer.close()


def threads(api):
    return len(os.listdir(f"/proc/{api.process.pid}/task"))


@pytest.mark.timeout(min(180 * max(1, SCALE), 1000))
def test_nothing_is_left_after_many_requests(worker):
    api = Endpoint(worker(None, "--rp_serve_api", "--rp_api_port=0", "--rp_log_level=INFO", handler="echo"))
    before = count_all(api)
    resident = resident_after(api, BATCH, before)
    assert resident_after(api, REQUESTS, before) <= resident + GROWTH_KIB
    still_works(api)


def resident_after(api, requests, before):
    """After so many, with as many jobs kept as may be: each further one drives an older one out."""
    ask(api, requests)
    drop(api, CONNECTIONS)  # as many threads at a time as there will be
    fill(api)
    wait_quiet(api, before)
    return api.process.resident_kib()


def count_all(api):
    return threads(api), descriptors(api.process.pid)


def wait_quiet(api, before):
    """Threads and descriptors as at first, but for a few of what may not have been started then."""

    def is_quiet():
        return all(now <= then + 5 for now, then in zip(count_all(api), before)) or None

    api.process.witness.wait_for(is_quiet, f"{before} threads and descriptors again", 2 * PATIENCE_S)
