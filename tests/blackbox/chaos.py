"""A platform on a bad day: a part of all requests fails, each in one of many ways, the same ones for the same seed.

What becomes of a request is decided by the seed, its route, its job and how often that job was posted (or the
how-many-th request of the route it is), not by the clock or the order of threads. Every job is accounted for:

  waiting     the platform's to hand out
  handed      its take's answer was sent completely, and there is no result yet
  done        a final result for it was accepted: the whole head of a 2xx went out

An answer that was cut on the platform's side hands nothing out. One that the worker's end of the connection
refused (a reset: it was never read) takes its jobs back as well, which a real platform does by a time-out.
"""

import asyncio
import collections
import hashlib

from testplatform import Connection, Platform, is_progress
from wire import encode

SLOW_S = 0.2  # how late a slow answer is


def _close(exchange):
    exchange.request.broken = True
    exchange.close()


def _reset(exchange):
    exchange.request.broken = True
    exchange.reset()


async def _cut_head(exchange, data):
    """The status line's start, then nothing more: nobody can know what it was to be."""
    exchange.send(data[:11])
    _close(exchange)


async def _cut_body(exchange, data):
    """All but the end. A 2xx to a result is accepted by that; a job that is cut is nobody's."""
    exchange.send(data[:-1])
    exchange.request.cut = True
    exchange.close()


async def _reset_in_the_middle(exchange, data):
    exchange.send(data[: len(data) // 3])
    await asyncio.sleep(0.005)
    _reset(exchange)


async def _slow(exchange, data):
    """Late, and then in two pieces."""
    await asyncio.sleep(SLOW_S)
    exchange.send(data[: len(data) // 2])
    await asyncio.sleep(SLOW_S / 4)
    exchange.send(data[len(data) // 2 :])


async def _status(exchange, status, headers=()):
    exchange.send(encode(status, b"{}", headers))


WAYS = {
    "reset": lambda exchange, data: _now(_reset, exchange),
    "closed": lambda exchange, data: _now(_close, exchange),
    "head truncated": _cut_head,
    "body truncated": _cut_body,
    "reset in the answer": _reset_in_the_middle,
    "429": lambda exchange, data: _status(exchange, 429, [("Retry-After", "1")]),
    "500": lambda exchange, data: _status(exchange, 500),
    "503": lambda exchange, data: _status(exchange, 503),
    "slow": _slow,
}


async def _now(function, exchange):
    function(exchange)


class ChaosConnection(Connection):
    def _gone(self, who):
        super()._gone(who)
        if who == "worker's reset":
            self.platform.worker_reset(self)


class ChaosPlatform(Platform):
    """Hands out the jobs it is given by load(), and fails `share` of all requests."""

    def __init__(self, witness=None, seed=1, share=0.1, **options):
        super().__init__(witness, **options)
        self.seed = seed
        self.share = share
        self.waiting = collections.deque()
        self.handed = {}  # id: job
        self.done = collections.defaultdict(list)  # id: accepted results, as JSON
        self.parts = collections.defaultdict(list)  # id: accepted parts of its stream
        self.redelivered = 0
        self.failures = collections.Counter()
        self._seen = collections.Counter()
        self._fresh = {}  # connection: jobs of its last answer, until it is known to have been read

    def _accept(self):
        return ChaosConnection(self)

    def load(self, jobs):
        def change():
            self.waiting.extend(jobs)
            self._wake("take")

        self._loop.call_soon_threadsafe(change)

    def _fate(self, request):
        """The way in which this request fails; None: it does not."""
        key = (request.route, request.job_id)
        self._seen[key] += 1
        digest = hashlib.sha256(f"{self.seed} {key} {self._seen[key]}".encode()).digest()
        if int.from_bytes(digest[:4], "big") >= self.share * 2**32:
            return None
        return list(WAYS)[int.from_bytes(digest[4:8], "big") % len(WAYS)]

    def next_early(self, route):
        return None

    async def next_action(self, exchange):
        request = exchange.request
        self._fresh.pop(exchange.connection, None)  # it asks again, so it has read the last answer
        if request.route == "take":
            await self._wait_for_jobs(exchange)
        elif request.route == "stop":
            await self._hold(exchange)
        fate = self._fate(request)

        async def act(exchange):
            await self._answer(exchange, fate)

        act.label = fate or "200"
        act.early = False
        return act

    async def _wait_for_jobs(self, exchange):
        while not self.waiting:
            waiter = self._loop.create_future()
            self._waiters["take"].append(waiter)
            await waiter
        if exchange.connection.closed_by is not None:
            raise asyncio.CancelledError

    async def _hold(self, exchange):
        """A stop channel with nothing to say says so now and then, to be hit by a failure."""
        await asyncio.sleep(0.5)
        if exchange.connection.closed_by is not None:
            raise asyncio.CancelledError

    async def _answer(self, exchange, fate):
        jobs = self._take_jobs(exchange.request) if exchange.request.route == "take" else []
        data = self._healthy_answer(exchange.request, jobs)
        try:
            if fate is None:
                exchange.send(data)
            else:
                self.failures[fate] += 1
                await WAYS[fate](exchange, data)
        except asyncio.CancelledError:
            exchange.request.cut = True  # the worker went away while it was half sent
            raise
        finally:
            self._account(exchange, jobs)

    def _take_jobs(self, request):
        count = int(request.param("batch_size") or 1)
        return [self.waiting.popleft() for _ in range(min(count, len(self.waiting)))]

    @staticmethod
    def _healthy_answer(request, jobs):
        if request.route == "stop" or (request.route == "take" and not jobs):
            return encode(204)
        if request.route == "take":
            return encode(200, jobs if "batch" in request.path else jobs[0])
        return encode(200, b"{}")

    def _account(self, exchange, jobs):
        request = exchange.request
        whole = request.settled and not request.dropped
        cut = getattr(request, "cut", False)
        if jobs and whole and not cut:
            request.jobs = jobs
            for job in jobs:
                self.handed[str(job["id"])] = job
            self._fresh[exchange.connection] = jobs
        elif jobs:
            self._take_back(jobs)
        if whole and request.route == "done" and not is_progress(request.body):
            self.handed.pop(request.job_id, None)
            self.done[request.job_id].append(request.json())
        if whole and request.route == "stream":
            self.parts[request.job_id].append(request.json()["output"])
        self.witness.tell()

    def _take_back(self, jobs):
        self.waiting.extendleft(reversed(jobs))
        self._wake("take")

    def worker_reset(self, connection):
        """The worker closed a connection without having read all that was sent on it."""
        jobs = self._fresh.pop(connection, None)
        if jobs and not any(str(job["id"]) in self.done for job in jobs):
            self.redelivered += len(jobs)
            for job in jobs:
                self.handed.pop(str(job["id"]), None)
            self._take_back(jobs)

    def counts(self):
        return {
            "jobs done": len(self.done),
            "waiting": len(self.waiting),
            "handed out": len(self.handed),
            "requests": len(self.record),
            "connections": len(self.connections),
            "failed": sum(self.failures.values()),
            "unread and handed out again": self.redelivered,
            **dict(sorted(self.failures.items())),
        }
