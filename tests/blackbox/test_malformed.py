"""Answers that break HTTP/1.1 are errors and never a job, however well the job in them reads."""

import json

import pytest

from actions import raw

JOB = json.dumps({"id": "evil", "input": 1}).encode()
LENGTH = b"Content-Length: %d\r\n" % len(JOB)
TYPE = b"Content-Type: application/json\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + TYPE + b"Transfer-Encoding: chunked\r\n\r\n"
SIZE = b"%x" % len(JOB)

MALFORMED = {
    # status line
    "version 2": b"HTTP/2.0 200 OK\r\n" + TYPE + LENGTH + b"\r\n" + JOB,
    "version 1.2x": b"HTTP/1.x 200 OK\r\n" + TYPE + LENGTH + b"\r\n" + JOB,
    "no version": b"200 OK\r\n" + TYPE + LENGTH + b"\r\n" + JOB,
    "lower-case protocol": b"http/1.1 200 OK\r\n" + TYPE + LENGTH + b"\r\n" + JOB,
    "ICY": b"ICY 200 OK\r\n" + TYPE + LENGTH + b"\r\n" + JOB,
    "two-digit status": b"HTTP/1.1 20 OK\r\n" + TYPE + LENGTH + b"\r\n" + JOB,
    "four-digit status": b"HTTP/1.1 2000 OK\r\n" + TYPE + LENGTH + b"\r\n" + JOB,
    "status with sign": b"HTTP/1.1 +20 OK\r\n" + TYPE + LENGTH + b"\r\n" + JOB,
    "status with letters": b"HTTP/1.1 2O0 OK\r\n" + TYPE + LENGTH + b"\r\n" + JOB,
    "two spaces before the status": b"HTTP/1.1  200 OK\r\n" + TYPE + LENGTH + b"\r\n" + JOB,
    "space before the line": b" HTTP/1.1 200 OK\r\n" + TYPE + LENGTH + b"\r\n" + JOB,
    "NUL in the reason": b"HTTP/1.1 200 O\0K\r\n" + TYPE + LENGTH + b"\r\n" + JOB,
    "HTTP/0.9": JOB,
    # header lines
    "bare CR in a value": OK + TYPE + b"X: a\rb\r\n" + LENGTH + b"\r\n" + JOB,
    "bare CR as line end": OK + TYPE + b"X: a\r" + LENGTH + b"\r\n" + JOB,
    "NUL in a value": OK + TYPE + b"X: a\0b\r\n" + LENGTH + b"\r\n" + JOB,
    "NUL in a name": OK + TYPE + b"X\0: a\r\n" + LENGTH + b"\r\n" + JOB,
    "space before the colon": OK + TYPE + b"Content-Length : %d\r\n\r\n" % len(JOB) + JOB,
    "no colon": OK + TYPE + b"nonsense\r\n" + LENGTH + b"\r\n" + JOB,
    "empty name": OK + TYPE + b": value\r\n" + LENGTH + b"\r\n" + JOB,
    "folded line": OK + TYPE + b"X: a\r\n b\r\n" + LENGTH + b"\r\n" + JOB,
    "space before the first header": OK + b" " + TYPE + LENGTH + b"\r\n" + JOB,
    "high byte in a name": OK + b"X\xe9: a\r\n" + TYPE + LENGTH + b"\r\n" + JOB,
    # lengths
    "two lengths": OK + TYPE + LENGTH + b"Content-Length: 5\r\n\r\n" + JOB,
    "two lengths in one": OK + TYPE + b"Content-Length: %d, 5\r\n\r\n" % len(JOB) + JOB,
    "negative length": OK + TYPE + b"Content-Length: -%d\r\n\r\n" % len(JOB) + JOB,
    "length with plus": OK + TYPE + b"Content-Length: +%d\r\n\r\n" % len(JOB) + JOB,
    "hexadecimal length": OK + TYPE + b"Content-Length: 0x%x\r\n\r\n" % len(JOB) + JOB,
    "length with a unit": OK + TYPE + b"Content-Length: %d bytes\r\n\r\n" % len(JOB) + JOB,
    "empty length": OK + TYPE + b"Content-Length: \r\n\r\n" + JOB,
    "length over 64 bits": OK + TYPE + b"Content-Length: 18446744073709551654\r\n\r\n" + JOB,
    "huge length": OK + TYPE + b"Content-Length: 9999999999999\r\n\r\n" + JOB,
    "length and chunked": OK
    + TYPE
    + LENGTH
    + b"Transfer-Encoding: chunked\r\n\r\n"
    + SIZE
    + b"\r\n"
    + JOB
    + b"\r\n0\r\n\r\n",
    "chunked and length": OK
    + TYPE
    + b"Transfer-Encoding: chunked\r\n"
    + LENGTH
    + b"\r\n"
    + SIZE
    + b"\r\n"
    + JOB
    + b"\r\n0\r\n\r\n",
    # transfer codings
    "gzip, chunked": OK + TYPE + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + SIZE + b"\r\n" + JOB + b"\r\n0\r\n\r\n",
    "chunked, chunked": OK
    + TYPE
    + b"Transfer-Encoding: chunked, chunked\r\n\r\n"
    + SIZE
    + b"\r\n"
    + JOB
    + b"\r\n0\r\n\r\n",
    "two codings": OK
    + TYPE
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"
    + SIZE
    + b"\r\n"
    + JOB
    + b"\r\n0\r\n\r\n",
    "unknown coding": OK + TYPE + b"Transfer-Encoding: xchunked\r\n\r\n" + JOB,
    "chunked by tab": OK + TYPE + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + SIZE + b"\r\n" + JOB + b"\r\n0\r\n\r\n",
    "chunk size empty": CHUNKED + b"\r\n" + JOB + b"\r\n0\r\n\r\n",
    "chunk size 0x": CHUNKED + b"0x" + SIZE + b"\r\n" + JOB + b"\r\n0\r\n\r\n",
    "chunk size negative": CHUNKED + b"-" + SIZE + b"\r\n" + JOB + b"\r\n0\r\n\r\n",
    "chunk size with plus": CHUNKED + b"+" + SIZE + b"\r\n" + JOB + b"\r\n0\r\n\r\n",
    "chunk size with a space before": CHUNKED + b" " + SIZE + b"\r\n" + JOB + b"\r\n0\r\n\r\n",
    "chunk size over 64 bits": CHUNKED + b"1" + b"0" * 16 + SIZE + b"\r\n" + JOB + b"\r\n0\r\n\r\n",
    "chunk size is no number": CHUNKED + b"zz\r\n" + JOB + b"\r\n0\r\n\r\n",
    "chunk longer than it says": CHUNKED + SIZE + b"\r\n" + JOB + b"X\r\n0\r\n\r\n",
    "chunk ends with LF": CHUNKED + SIZE + b"\r\n" + JOB + b"\n0\r\n\r\n",
    "chunk size ends with LF": CHUNKED + SIZE + b"\n" + JOB + b"\r\n0\r\n\r\n",
    "endless extension": CHUNKED + SIZE + b";" + b"x" * 200_000 + b"\r\n" + JOB + b"\r\n0\r\n\r\n",
    "NUL in the extension": CHUNKED + SIZE + b";a\0b\r\n" + JOB + b"\r\n0\r\n\r\n",
    "bad trailer": CHUNKED + SIZE + b"\r\n" + JOB + b"\r\n0\r\nno trailer\r\n\r\n",
    "endless trailers": CHUNKED + SIZE + b"\r\n" + JOB + b"\r\n0\r\n" + b"X: y\r\n" * 50_000 + b"\r\n",
    # truncation
    "head cut": OK + TYPE + LENGTH,
    "body cut": OK + TYPE + LENGTH + b"\r\n" + JOB[:-1],
    "body short by whitespace": OK + TYPE + b"Content-Length: %d\r\n\r\n" % (len(JOB) + 1) + JOB,
    "chunks cut": CHUNKED + SIZE + b"\r\n" + JOB[:-3],
    "last chunk cut": CHUNKED + SIZE + b"\r\n" + JOB + b"\r\n",
    "last line cut": CHUNKED + SIZE + b"\r\n" + JOB + b"\r\n0\r\n",
    # size
    "head too large": OK + TYPE + b"X: " + b"y" * 300_000 + b"\r\n" + LENGTH + b"\r\n" + JOB,
    "too many headers": OK + TYPE + b"X: y\r\n" * 100_000 + LENGTH + b"\r\n" + JOB,
    "endless status line": b"HTTP/1.1 200 " + b"O" * 300_000 + b"\r\n" + TYPE + LENGTH + b"\r\n" + JOB,
    # other
    "switching protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" + JOB,
    "nothing but line ends": b"\r\n" * 100,
    "TLS on a plain port": b"\x15\x03\x03\x00\x02\x02\x46",
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_answer_to_a_take(platform, worker, case):
    process = worker(platform)
    platform.script("take", raw(MALFORMED[case], then="close", label=case))
    assert platform.run("good") == {"output": "good"}
    assert not platform.requests("done", "evil")
    process.wait_log("WARN|ERROR")


POISONED = {
    case: MALFORMED[case]
    for case in (
        "two lengths",
        "length and chunked",
        "NUL in a value",
        "bare CR in a value",
        "folded line",
        "huge length",
    )
}


@pytest.mark.parametrize("case", POISONED)
def test_connection_is_not_used_again(platform, worker, case):
    """The platform leaves it open: what else comes on it can no longer be told apart."""
    worker(platform)
    platform.script("take", raw(POISONED[case], label=case))
    assert platform.run("good") == {"output": "good"}
    first, second = platform.requests("take")[:2]
    assert first.connection != second.connection
    assert not platform.requests("done", "evil")


def test_bytes_behind_an_answer_are_not_the_next_answer(platform, worker):
    """A second answer that nobody asked for would be taken for the answer to the next request."""
    worker(platform)
    stray = OK + TYPE + LENGTH + b"\r\n" + JOB
    platform.script("take", raw(b"HTTP/1.1 204 No Content\r\n\r\n" + stray))
    assert platform.run("good") == {"output": "good"}
    assert not platform.requests("done", "evil")


def test_malformed_answers_to_a_result_are_retried(platform, worker):
    worker(platform)
    platform.script(
        "done",
        *[raw(MALFORMED[case], then="close", label=case) for case in ("two lengths", "no version", "NUL in a value")],
    )
    assert platform.run("kept") == {"output": "kept"}
    assert len(platform.requests("done")) == 4
