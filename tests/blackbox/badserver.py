"""A server behind the worker that sends exactly what a test's script says, however wrong, and records what it got.

    server = BadServer(witness)
    server.pages["/v1/chat/completions"] = lambda talk: talk.reply(200, {"ok": True})

A page is a function of one Talk: the request and the raw means to answer it. It runs in the connection's own thread,
may block, and the connection goes on with the next request when it returns (unless it closed it).
/health and /v1/models are answered as a healthy server does; other paths are 404. A page in server.early instead runs
as soon as the head is there, before the request's body is read.
"""

import json
import os
import socket
import struct
import threading

from ports import free_port
from wire import body_length, encode, split_head

MODEL = "model-of-the-server"


class Gone(Exception):
    """The worker closed the connection."""


class Talk:
    """One request on one connection, and what can be done with it."""

    def __init__(self, server, link, connection, head, body):
        self.server, self.link, self.connection, self.head, self.body = server, link, connection, head, body
        self.method, self.target, self.version, self.headers, complaints = split_head(head)
        server.complaints += [f"{self.target}: {complaint}" for complaint in complaints]
        self.gone = threading.Event()  # the worker closed while the request was being answered
        self.sent = b""  # what went out of the body, where a page keeps account of it
        self.done = False
        self.rest = b""  # for an early page: what has come behind the head; what it leaves is the next request's

    @property
    def path(self):
        return self.target.partition("?")[0]

    def header(self, name):
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) <= 1, f"header {name} came twice"
        return values[0] if values else None

    def json(self):
        return json.loads(self.body)

    # ---- answers ----

    def send(self, data):
        """These bytes, now; blocks while the worker reads slower."""
        try:
            self.link.sendall(data)
        except OSError:
            raise Gone from None

    def reply(self, status=200, body=b"", headers=(), **how):
        self.send(encode(status, body, headers, **how))

    def start(self, content_type="text/event-stream", status=200, chunked=True, extra=()):
        """The head of an answer that comes in pieces."""
        lines = [f"HTTP/1.1 {status} Whatever"]
        lines += [f"Content-Type: {content_type}"] if content_type else []
        lines += ["Transfer-Encoding: chunked"] if chunked else ["Connection: close"]
        self.send("\r\n".join([*lines, *extra, "", ""]).encode())

    def chunk(self, data):
        self.send(b"%x\r\n%s\r\n" % (len(data), data))
        self.sent += data

    def end(self):
        self.send(b"0\r\n\r\n")

    def stream(self, *pieces, content_type="text/event-stream"):
        """A whole chunked answer, each piece a chunk and a segment of its own."""
        self.start(content_type)
        for piece in pieces:
            self.chunk(piece)
        self.end()

    def close(self):
        self.link.close()

    def reset(self):
        self.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.link.close()

    def wait_gone(self):
        """Until the worker closes this connection. It sends nothing meanwhile, or that is a complaint."""
        try:
            extra = self.link.recv(4096)
        except OSError:
            extra = b""
        if extra:
            self.server.complaints.append(f"{self.target}: {extra[:60]!r} came before the answer was over")
        raise Gone


class BadServer:
    """`path`: a Unix socket instead of a port of 127.0.0.1; `tls`: an ssl.SSLContext."""

    def __init__(self, witness, path=None, backlog=128, tls=None, port=0):
        self.witness = witness
        self.path = path
        self.tls = tls
        self.deaf = False
        self.requests = []  # every Talk, in order of arrival
        self.connections = 0
        self.complaints = []  # requests against RFC 9112, pages that failed
        self.pages = {"/health": health, "/v1/models": models}
        self.early = {}  # pages that answer without reading the body, and close the connection, or read it themselves
        self.stopped = False
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(path))
            self.listener.listen(backlog)
        else:
            self.listener = socket.create_server(("127.0.0.1", port or free_port()), backlog=backlog)
            self.port = self.listener.getsockname()[1]
        self.links = set()
        self.accepting = threading.Thread(target=self._accept, daemon=True)
        self.accepting.start()

    @property
    def url(self):
        return f"http+unix:{self.path}" if self.path else f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    def _accept(self):
        while not self.stopped and not self.deaf:
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            if link.family != socket.AF_UNIX:
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self.links.add(link)
            threading.Thread(target=self._serve, args=(link, self.connections), daemon=True).start()

    def deafen(self):
        """Accept nothing any more, and have the kernel's queue full: it leaves further ones without an answer.

        Returns the sockets that fill it; it is full as long as they are open.
        """
        self.deaf = True
        fillers = [socket.create_connection(("127.0.0.1", self.port))]  # wakes accept() a last time
        self.accepting.join(30)
        if self.accepting.is_alive():
            raise TimeoutError("the last connection was not accepted")
        while True:
            one = socket.socket()
            one.settimeout(0.3)
            fillers.append(one)
            try:
                one.connect(("127.0.0.1", self.port))
            except TimeoutError:
                return fillers

    def _serve(self, link, number):
        rest = b""
        if self.tls:
            try:
                link = self.tls.wrap_socket(link, server_side=True)
            except OSError:
                return  # a worker that does not trust this server
            self.links.add(link)
        while link.fileno() >= 0:
            try:
                head, body, rest = self._read(link, rest)
            except (OSError, Gone):
                break
            talk = Talk(self, link, number, head, body)
            talk.rest = rest
            self.witness.tell(lambda talk=talk: self.requests.append(talk))
            try:
                self.early.get(talk.path, self.pages.get(talk.path, missing))(talk)
            except Gone:
                link.close()
                self.witness.tell(talk.gone.set)
            except OSError:
                pass
            except Exception as error:  # a page's fault fails the test, it does not vanish in a thread
                self.complaints.append(f"the page of {talk.path} failed: {type(error).__name__}: {error}")
                link.close()
            self.witness.tell(lambda talk=talk: setattr(talk, "done", True))
            rest = talk.rest
        link.close()

    def _read(self, link, rest):
        while b"\r\n\r\n" not in rest:
            rest += self._some(link)
        head, _, rest = rest.partition(b"\r\n\r\n")
        head += b"\r\n\r\n"
        _, target, _, fields, _ = split_head(head)
        if target.partition("?")[0] in self.early:
            return head, b"", rest
        length = body_length(fields)
        while len(rest) < length:
            rest += self._some(link)
        return head, rest[:length], rest[length:]

    def _some(self, link):
        data = link.recv(1 << 16)
        if not data:
            raise Gone
        return data

    # ---- what came ----

    def of(self, path):
        return [talk for talk in self.requests if talk.path == path]

    def wait(self, path, count=1):
        """The count-th request for the path."""
        return self.witness.wait_for(
            lambda: self.of(path)[count - 1] if len(self.of(path)) >= count else None,
            f"request {count} for {path} at the handler's server",
        )

    def wait_closed(self, talk):
        """Until the worker closed the connection of this request in the middle of its answer."""
        self.witness.wait_for(talk.gone.is_set, f"the worker to close the connection of {talk.target}")

    def stop(self):
        self.stopped = True
        for one in (self.listener, *self.links):
            try:
                one.shutdown(socket.SHUT_RDWR)  # close() alone would leave an accept() that waits
            except OSError:
                pass
            one.close()
        if self.path and os.path.exists(self.path):
            os.unlink(self.path)


# ---- pages ----


def health(talk):
    talk.reply(200, {"status": "ok"})


def models(talk):
    talk.reply(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})


def missing(talk):
    talk.reply(404, {"detail": "Not Found"})


def echo(talk):
    """What came, as JSON."""
    talk.reply(
        200,
        {
            "method": talk.method,
            "target": talk.target,
            "headers": {name.lower(): value for name, value in talk.headers},
            "body": json.loads(talk.body) if talk.body else None,
        },
    )


def plain(status=200, body=b"", content_type="text/plain", headers=()):
    kind = [("Content-Type", content_type)] if content_type else []  # an empty body has one, too
    return lambda talk: talk.reply(status, body, [*kind, *headers], content_type=None)


def raw(*pieces, then="keep"):
    """These bytes, then "keep", "close", "reset" or "hang" (until the worker leaves)."""

    def page(talk):
        for piece in pieces:
            talk.send(piece)
        if then == "hang":
            talk.wait_gone()
        if then != "keep":
            getattr(talk, then)()

    return page


def events(*pieces, **how):
    return lambda talk: talk.stream(*pieces, **how)


class Gate:
    """A page that sends its pieces one by one, each when the test says so: gate.next(); gate.end()."""

    def __init__(self, *pieces, content_type="text/event-stream"):
        self.pieces, self.content_type = pieces, content_type
        self.steps = threading.Semaphore(0)

    def __call__(self, talk):
        talk.start(self.content_type)
        for piece in self.pieces:
            assert self.steps.acquire(timeout=60)
            talk.chunk(piece)
        assert self.steps.acquire(timeout=60)
        talk.end()

    def next(self, count=1):
        self.steps.release(count)

    end = next
