"""What the test platform can do with a request: the good answers and every misbehaviour.

An action is an async function that gets an Exchange (see testplatform.py). The functions below make actions;
their names are what a test's script reads like: platform.script("done", answer(503), reset(), answer(200)).
"""

import asyncio
import json
import threading

from wire import encode, encode_chunks

DRIP_PAUSE_S = 0.002


def _action(label, function, early=False):
    function.label = label
    function.early = early
    return function


def answer(status=200, body=b"", headers=(), close=False, early=False, jobs=(), **how):
    """A well-formed answer; `early`: sent before the request's body was read; `close`: and then closed.

    `jobs`: the jobs in a body that was put together by hand, for the record.
    """
    headers = list(headers) + ([("Connection", "close")] if close else [])

    async def act(exchange):
        exchange.request.jobs = list(jobs)
        exchange.send(encode(status, body, headers, **how))
        if close:
            exchange.close()

    return _action(str(status), act, early)


def hand_out(*jobs, as_array=None, **how):
    """An answer to a take with these jobs: one object for one job, else an array, as the platform does."""
    array = len(jobs) != 1 if as_array is None else as_array

    async def act(exchange):
        exchange.request.jobs = list(jobs)
        exchange.send(encode(200, list(jobs) if array else jobs[0], **how))

    return _action(f"200 with {len(jobs)} job(s)", act)


def raw(*pieces, then="keep", label=None):
    """These bytes exactly, each piece in a segment of its own; then "keep", "close" or "reset"."""

    async def act(exchange):
        exchange.request.broken = then != "keep"
        for index, piece in enumerate(pieces):
            if index:
                await asyncio.sleep(DRIP_PAUSE_S)
            exchange.send(piece)
        _end(exchange, then)

    return _action(label or f"raw {b''.join(pieces)[:60]!r} then {then}", act)


def _end(exchange, then):
    if then == "close":
        exchange.close()
    elif then == "reset":
        exchange.reset()


def drip(data, size=1, then="keep"):
    """The bytes in segments of `size`, one after the other."""
    return raw(*[data[start : start + size] for start in range(0, len(data), size)], then=then, label="dripped")


def close(early=False):
    """No answer at all: the connection is closed in good order."""

    async def act(exchange):
        exchange.close()

    return _action("closed", act, early)


def reset(early=False):
    """No answer at all: the connection is reset."""

    async def act(exchange):
        exchange.reset()

    return _action("reset", act, early)


def close_while_idle(action):
    """Answer as the action does, then close the kept-alive connection without having announced it."""

    async def act(exchange):
        await action(exchange)
        exchange.close()

    return _action(f"{action.label}, then closed", act)


def cut_without_close_notify(*pieces):
    """Send the bytes, then end the TCP connection under TLS without TLS's own good-bye."""

    async def act(exchange):
        for piece in pieces:
            exchange.send(piece)
        exchange.cut()

    return _action("cut", act)


def chunked(body, size=7, extension="", trailers=(), content_type="application/json", pieces=0):
    """A chunked answer; `pieces` > 0: sent in segments of that size."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    head = encode(200, b"", [("Content-Type", content_type), ("Transfer-Encoding", "chunked")], length=False)
    data = head + encode_chunks(body, size, extension, trailers)
    return drip(data, pieces) if pieces else raw(data, label="200 chunked")


def redirect(location, status=307):
    return answer(status, headers=[("Location", location)])


def no_content():
    return answer(204)


class Hold:
    """An action that keeps the request waiting until the test lets it go with release(action)."""

    early = False
    label = "held"

    def __init__(self):
        self.reached = threading.Event()
        self._next = None
        self._loop = None
        self._go = None

    async def __call__(self, exchange):
        self._loop = asyncio.get_running_loop()
        self._go = self._loop.create_future()
        self.exchange = exchange
        self.reached.set()
        exchange.tell()
        action = await self._go
        await action(exchange)

    def release(self, action):
        assert self.reached.is_set(), "the held request has not come yet"
        self._loop.call_soon_threadsafe(lambda: self._go.done() or self._go.set_result(action))


def hold():
    return Hold()


class Stall(Hold):
    """Stops reading in the middle of the request and never answers: the peer's send buffer fills up."""

    early = True
    label = "stalled"

    async def __call__(self, exchange):
        exchange.connection.transport.pause_reading()
        await super().__call__(exchange)


def stall():
    return Stall()
