"""A platform of our own for tests: hands out jobs, takes results, records all of it and misbehaves by script.

Runs an asyncio loop in a thread of the pytest process; every public method of Platform may be called from the
test's thread and returns at once, except the wait_... ones and result(), which wait for an event.
Only the standard library is used, so that the same file also runs inside a container (container_platform.py).
"""

import asyncio
import collections
import concurrent.futures
import itertools
import json
import socket
import ssl
import struct
import threading
import time

import actions
from ports import free_port
from wire import (
    MAX_HEAD_BYTES,
    ORIGIN_TARGET,
    Request,
    body_length,
    classify,
    final_status,
    split_head,
)
from witness import PATIENCE_S, Witness

API_KEY = "rpa_TESTKEY0123456789SECRET"
FAST_PING = {"RUNPOD_PING_INTERVAL": "1000"}  # pings that count the seconds for a test
POLL_S = 25.0  # how long an empty long poll is held before its 204


class Connection(asyncio.Protocol):
    """The server's end of one connection: collects bytes, serves one request after the other."""

    def __init__(self, platform):
        self.platform = platform
        self.buffer = bytearray()
        self.number = 0
        self.requests = []
        self.closed_by = None  # None while open, else "worker", "worker's reset" or "platform"
        self.task = None
        self.more = asyncio.Event()

    def connection_made(self, transport):
        self.transport = transport
        self.socket = transport.get_extra_info("socket")
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tls = transport.get_extra_info("ssl_object")
        self.tls_version = tls.version() if tls else None
        self.tls_reused = tls.session_reused if tls else None
        self.tls_cipher = tls.cipher()[0] if tls else None
        self.peer = transport.get_extra_info("peername")
        self.platform.add_connection(self)
        self.task = asyncio.get_running_loop().create_task(self._serve())

    def data_received(self, data):
        self.buffer += data
        self.more.set()

    def eof_received(self):
        # A reset that came right behind the worker's FIN shows up here: it never read what we sent last.
        bounced = self.socket.fileno() >= 0 and self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._gone("worker's reset" if bounced else "worker")
        return False

    def connection_lost(self, exc):
        self._gone("worker's reset" if isinstance(exc, ConnectionError) else "worker")

    def _gone(self, who):
        if self.task:
            self.task.cancel()

        def note():
            if self.closed_by is None:
                self.closed_by = who
            for request in self.requests:
                request.dropped = request.dropped or (request.answered is None)

        self.platform.witness.tell(note)

    async def _serve(self):
        try:
            while self.closed_by is None:
                await self._serve_one()
        except asyncio.CancelledError:
            pass
        except Exception as error:  # a bug of the platform must fail the test, not vanish in a task
            self.platform.complain(f"the platform itself failed: {type(error).__name__}: {error}")
            raise

    async def _serve_one(self):
        while b"\r\n\r\n" not in self.buffer:
            if len(self.buffer) > MAX_HEAD_BYTES:
                self.platform.complain("a request head without an end")
                return self.close()
            await self._fill()
        size = self.buffer.index(b"\r\n\r\n") + 4
        head = bytes(self.buffer[:size])
        del self.buffer[:size]
        request = self.platform.add_request(self, head)
        exchange = Exchange(self, request)
        action = self.platform.next_early(request.route)
        if action is None:
            await self._read_body(request)
            action = await self.platform.next_action(exchange)
        exchange.action = action
        await action(exchange)
        if action.early:
            await self._read_body(request)
        exchange.finish()

    async def _read_body(self, request):
        length = body_length(request.headers)
        while len(self.buffer) < length:
            await self._fill()
        body = bytes(self.buffer[:length])
        del self.buffer[:length]

        def note():
            request.body = body
            request.raw += body

        self.platform.witness.tell(note)

    async def _fill(self):
        self.more.clear()
        await self.more.wait()

    def close(self):
        self.closed_by = self.closed_by or "platform"
        self.transport.close()

    def reset(self):
        self.closed_by = self.closed_by or "platform"
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


class Exchange:
    """What an action sees: one request and the means to answer it."""

    def __init__(self, connection, request):
        self.connection = connection
        self.request = request
        self.platform = connection.platform
        self.action = None
        self.sent = b""  # the start of the answer, as far as its status may stand in it

    def tell(self):
        self.platform.witness.tell()

    def send(self, data):
        self.connection.transport.write(data)
        if not self.request.status:
            self.sent += data[:4096]
            self.request.status = final_status(self.sent)
        self.finish()

    def finish(self):
        def note():
            if self.request.answered is None and not self.request.dropped:
                self.request.answered = self.action.label if self.action else "?"

        self.platform.witness.tell(note)

    def close(self):
        self.finish()
        self.connection.close()

    def reset(self):
        self.finish()
        self.connection.reset()

    def cut(self):
        """End the connection below TLS; there must be nothing unread, or the kernel makes a reset of it."""
        self.finish()
        self.connection.closed_by = self.connection.closed_by or "platform"
        self.connection.transport.abort()


class Platform:
    """The platform's side of the contract. `tls`: an ssl.SSLContext; `hosts`: the addresses to listen on."""

    def __init__(self, witness=None, tls=None, hosts=("127.0.0.1",), name=None, endpoint="ep0test", port=0):
        self.witness = witness or Witness()
        self.witness.platforms.append(self)
        self.tls = tls
        self.hosts = hosts
        self.name = name or (f"[{hosts[0]}]" if ":" in hosts[0] else hosts[0])
        self.endpoint = endpoint
        self.key = API_KEY
        self.worker_id = "pod-7x2"
        self.port = port
        self.poll_s = POLL_S
        self.record = []
        self.connections = []
        self.complaints = []
        self._stopped = set()
        self.accept_only = None  # reset: every new connection is reset before a byte is read
        self._numbers = itertools.count(1)
        self._job_numbers = itertools.count(1)
        self._queues = collections.defaultdict(collections.deque)
        self._always = {}
        self._waiters = collections.defaultdict(list)
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda loop, context: None)  # failed handshakes are the worker's tests
        self._servers = []
        self._thread = threading.Thread(target=self._loop.run_forever, name="platform", daemon=True)
        self._thread.start()
        self.listen()

    # ---- life ----

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE_S)

    def listen(self):
        """Accept connections (again), on the same port as before."""
        self._call(self._listen())

    async def _listen(self):
        for host in self.hosts:
            self.port = self.port or free_port(host)
            server = await self._loop.create_server(
                self._accept, host, self.port, ssl=self.tls, backlog=128, ssl_handshake_timeout=20 if self.tls else None
            )
            self._servers.append(server)

    def _accept(self):
        return Connection(self)

    def refuse(self, drop=True):
        """Refuse new connections; `drop` also closes those that are open."""

        async def stop():
            for server in self._servers:
                server.close()
            self._servers.clear()
            if drop:
                self._drop(False)

        self._call(stop())

    def drop_connections(self, reset=False, route=None):
        """Close (or reset) every open connection, or only those whose last request was for `route`."""

        async def drop():
            self._drop(reset, route)

        self._call(drop())

    def _drop(self, reset, route=None):
        for connection in self.connections:
            last = connection.requests[-1].route if connection.requests else None
            if connection.closed_by is None and route in (None, last):
                connection.reset() if reset else connection.close()

    def stop(self):
        if self._loop.is_closed():
            return
        self.refuse()

        async def cancel():
            for task in asyncio.all_tasks():
                if task is not asyncio.current_task():
                    task.cancel()

        self._call(cancel())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    # ---- what the worker is told ----

    @property
    def base(self):
        return f"http{'s' if self.tls else ''}://{self.name}:{self.port}"

    def env(self, **changes):
        """The worker's variables; a change to None leaves that variable out."""
        gpu = "gpu=NVIDIA+L4"
        root = f"{self.base}/v2/{self.endpoint}"
        variables = {
            "RUNPOD_WEBHOOK_GET_JOB": f"{root}/job-take/$ID?{gpu}",
            "RUNPOD_WEBHOOK_POST_OUTPUT": f"{root}/job-done/$RUNPOD_POD_ID/$ID?{gpu}",
            "RUNPOD_WEBHOOK_POST_STREAM": f"{root}/job-stream/$RUNPOD_POD_ID/$ID?{gpu}",
            "RUNPOD_WEBHOOK_PING": f"{root}/ping/$RUNPOD_POD_ID",
            "RUNPOD_PING_INTERVAL": "10000",
            "RUNPOD_AI_API_KEY": self.key,
            "RUNPOD_POD_ID": self.worker_id,
            "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
            "RUNPOD_SKIP_GPU_CHECK": "true",
        }
        variables.update(changes)
        return {name: value for name, value in variables.items() if value is not None}

    # ---- script ----

    def give(self, job=None, **parts):
        """Hand this job out to the next take. Without a job: one of `parts`, with an id of its own."""
        if job is None:
            job = {"id": f"job-{next(self._job_numbers)}", "input": {}, **parts}
        self._push("take", job)
        return job.get("id")

    def script(self, route, *todo):
        """The next requests for the route (the one that is held now included) are answered with these actions."""
        for action in todo:
            self._push(route, action)

    def always(self, route, action):
        """From now on every request for the route that has no script gets this; None: as usual again."""

        def change():
            self._always[route] = action
            self._wake(route)

        self._loop.call_soon_threadsafe(change)

    def stop_jobs(self, *ids):
        self._stopped.update(ids)
        self.script("stop", actions.answer(200, {"jobsToStop": list(ids)}))

    def pending(self, route="take"):
        """What was scripted for the route and not used up; jobs the worker has not taken, for example.

        Asked of the platform's thread, which has done by then all that was given before; so there is nothing to wait
        for, and wait_for, which holds a lock of that thread, must not call this.
        """
        seen = concurrent.futures.Future()
        self._loop.call_soon_threadsafe(lambda: seen.set_result(list(self._queues[route])))
        return seen.result(PATIENCE_S)

    def _push(self, route, item):
        def change():
            self._queues[route].append(item)
            self._wake(route)

        self._loop.call_soon_threadsafe(change)

    def _wake(self, route):
        for waiter in self._waiters.pop(route, ()):
            _settle(waiter)

    def next_early(self, route):
        queue = self._queues[route]
        if queue and getattr(queue[0], "early", False):
            return queue.popleft()
        return None

    async def next_action(self, exchange):
        """The action for this request: scripted, or what a platform in good health does."""
        route = exchange.request.route
        deadline = self._loop.time() + self.poll_s
        while True:
            if self._queues[route]:
                return self._pop(route, exchange.request)
            if self._always.get(route):
                return self._always[route]
            if route not in ("take", "stop"):
                return actions.answer(200 if route != "other" else 404)
            if self._loop.time() >= deadline:
                return actions.no_content()
            waiter = self._loop.create_future()
            self._waiters[route].append(waiter)
            alarm = self._loop.call_at(deadline, _settle, waiter)
            await waiter
            alarm.cancel()
            if exchange.connection.closed_by is not None:  # it went just now: what came up is for somebody else
                raise asyncio.CancelledError

    def _pop(self, route, request):
        queue = self._queues[route]
        first = queue.popleft()
        if callable(first):
            return first
        if "job-take-batch" not in request.path:
            return actions.hand_out(first)
        jobs = [first]
        while len(jobs) < int(request.param("batch_size") or 1) and queue and not callable(queue[0]):
            jobs.append(queue.popleft())
        return actions.hand_out(*jobs, as_array=True)

    # ---- record ----

    def complain(self, text):
        self.witness.tell(lambda: self.complaints.append(text))

    def add_connection(self, connection):
        def note():
            self.connections.append(connection)
            connection.number = len(self.connections)

        self.witness.tell(note)
        if self.accept_only == "reset":
            connection.reset()

    def add_request(self, connection, head):
        method, target, version, headers, complaints = split_head(head)
        request = Request(
            next(self._numbers), connection.number, time.monotonic(), method, target, version, headers, head
        )
        request.route, request.job_id = classify(request.path)
        for complaint in complaints + self._check_headers(request):
            self.complain(f"request {request.number}: {complaint}")

        def note():
            connection.requests.append(request)
            self.record.append(request)

        self.witness.tell(note)
        return request

    def _check_headers(self, request):
        """What every request carries by the contract."""
        complaints = []
        values = {name.lower(): value for name, value in request.headers}
        if values.get("authorization", "") != (self.key or ""):
            complaints.append(f"Authorization {values.get('authorization')!r}, not the key")
        if not values.get("user-agent"):
            complaints.append("no User-Agent")
        expected = "application/x-www-form-urlencoded" if request.method == "POST" else "application/json"
        if not values.get("content-type", "").startswith(expected):
            complaints.append(f"Content-Type {values.get('content-type')!r} on a {request.method}")
        if values.get("accept-encoding") != "identity":
            complaints.append(f"Accept-Encoding {values.get('accept-encoding')!r}")
        if "proxy-authorization" in values:
            complaints.append("Proxy-Authorization reached the origin")
        if not ORIGIN_TARGET.fullmatch(request.target.encode("latin-1")):
            complaints.append(f"target {request.target!r}")
        return complaints

    def requests(self, route=None, job_id=None):
        return [
            request
            for request in list(self.record)
            if route in (None, request.route) and (job_id is None or request.job_id == job_id)
        ]

    def wait_for(self, predicate, what="", timeout_s=PATIENCE_S):
        return self.witness.wait_for(predicate, what or "a condition", timeout_s)

    def wait_request(self, route, count=1, timeout_s=PATIENCE_S):
        """The count-th request for this route."""

        def found():
            seen = self.requests(route)
            return seen[count - 1] if len(seen) >= count else None

        return self.wait_for(found, f"request {count} for {route} on {self.base}", timeout_s)

    def wait_more(self, route, count=1, timeout_s=PATIENCE_S):
        """The count-th request for this route from now on."""
        return self.wait_request(route, len(self.requests(route)) + count, timeout_s)

    def wait_ping(self, *job_ids, timeout_s=PATIENCE_S):
        """Until a ping, from now on, names exactly these jobs. The first to come may be older than what was just done."""
        seen = len(self.requests("ping"))

        def named(ping):
            return sorted(filter(None, (ping.param("job_id") or "").split(",")))

        return self.wait_for(
            lambda: any(named(ping) == sorted(job_ids) for ping in self.requests("ping")[seen:]),
            f"a ping with the job ids {job_ids}",
            timeout_s,
        )

    def wait_idle(self, timeout_s=PATIENCE_S):
        """Until a job-take is held and each job that was handed out was answered with a result, or was stopped."""

        def idle():
            takes = self.requests("take")
            held = takes and not takes[-1].dropped and takes[-1].answered is None
            return takes[-1] if held and not self._open_jobs() else None

        return self.wait_for(idle, "a job-take held open, and all results", timeout_s)

    def _open_jobs(self):
        """The jobs handed out whose last result post, if any came, was not answered yet. Those stopped are not waited for."""
        handed = [job["id"] for take in self.requests("take") for job in take.jobs if _has_id(job)]
        return [str(job) for job in handed if str(job) not in self._stopped and not self._is_answered(str(job))]

    def _is_answered(self, job_id):
        posts = self.finals(job_id)
        return bool(posts) and (posts[-1].answered is not None or posts[-1].dropped)

    def finals(self, job_id):
        """Every post of a final result for the job, delivered or not."""
        return [post for post in self.requests("done", job_id) if post.body and not is_progress(post.body)]

    def wait_final(self, job_id, count=1, timeout_s=PATIENCE_S):
        """The count-th final post for the job, whatever it was answered with, once it was answered."""

        def found():
            posts = [post for post in self.finals(job_id) if post.answered or post.dropped]
            return posts[count - 1] if len(posts) >= count else None

        return self.wait_for(found, f"result post {count} of job {job_id!r}", timeout_s)

    def result(self, job_id, timeout_s=PATIENCE_S):
        """The JSON of the job's final result, once it was delivered (answered with a whole 2xx)."""

        def found():
            posts = [post for post in self.finals(job_id) if post.settled]
            return posts[0] if posts else None

        return self.wait_for(found, f"the delivered result of job {job_id!r}", timeout_s).json()

    def run(self, input, timeout_s=PATIENCE_S, **members):
        """Hand out a job with this input and return its result."""
        return self.result(self.give(input=input, **members), timeout_s)

    def received(self):
        """Every byte of every request, for searches."""
        return b"".join(request.raw for request in list(self.record))

    def story(self):
        lines = [f"=== platform {self.base}: {len(self.connections)} connections, {len(self.record)} requests"]
        shown = self.record if len(self.record) <= 60 else self.record[:30] + self.record[-30:]
        lines += [f"  {request}" for request in shown]
        for route, queue in self._queues.items():
            if queue:
                lines.append(f"  not used: {route}: {[getattr(item, 'label', item) for item in queue]!s:.300}")
        lines += [f"  COMPLAINT {complaint}" for complaint in self.complaints]
        return "\n".join(lines)


def _settle(waiter):
    if not waiter.done():
        waiter.set_result(None)


def _has_id(job):
    """Whether a worker can answer it."""
    job_id = job.get("id") if isinstance(job, dict) else None
    return isinstance(job_id, (str, int)) and not isinstance(job_id, bool) and 0 < len(str(job_id).encode()) <= 512


def is_progress(body):
    try:
        value = json.loads(body)
    except ValueError:
        return False
    return isinstance(value, dict) and value.get("status") == "IN_PROGRESS"


def server_context(certificate, key, minimum=None, maximum=ssl.TLSVersion.TLSv1_2):
    """A server's TLS settings; `certificate` is a file with the chain, leaf first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if minimum:
        context.minimum_version = minimum
    if maximum:
        context.maximum_version = maximum
    return context
