"""A worker as a load-balancing endpoint (--serve), and what clients do with it."""

import base64
import contextlib
import hashlib
import http.client
import json
import re
import socket
import struct
import time

import pytest

from witness import PATIENCE_S

WS_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3


class Answer:
    def __init__(self, answer):
        self.status = answer.status
        self.reason = answer.reason
        self.headers = answer.headers
        self.body = answer.read()

    def json(self):
        return json.loads(self.body)


class Front:
    """A running worker and its ports."""

    def __init__(self, process):
        self.process = process
        line = process.wait_log(r"Serving requests on port")
        self.port, self.health_port = map(int, re.findall(r"port (\d+)", line))
        self.open = []

    def client(self, port=None):
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=PATIENCE_S)
        self.open.append(connection)
        return connection

    def ask(self, method, path, body=None, headers=None, port=None, **how):
        """One request on a connection of its own."""
        connection = self.client(port)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before all of it was sent
            connection.request(method, path, body, headers or {}, **how)
        answer = Answer(connection.getresponse())
        connection.close()
        return answer

    def get(self, path, **more):
        return self.ask("GET", path, **more)

    def post(self, path, body=b"", **more):
        return self.ask("POST", path, body if isinstance(body, bytes) else json.dumps(body).encode(), **more)

    def dial(self, data=b""):
        """A bare connection that has said this."""
        link = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
        self.open.append(link)
        link.sendall(data)
        return link

    def until(self, status, path, **more):
        """Ask until the answer has this status: nobody announces it."""
        deadline = time.monotonic() + PATIENCE_S
        while (found := self.get(path, **more).status) != status:
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{path}: {found}, not {status}")
            time.sleep(0.01)

    def ready(self):
        self.process.wait_log(r"Ready for requests\.")
        return self


@pytest.fixture
def front(worker):
    """front(*flags, handler=..., env={...}) -> Front, whose ports are free ones; ready unless told otherwise."""
    fronts = []

    def start(*flags, handler="worker", env=None, ready=True):
        variables = {"PORT": "0", "RP_SERVE_HOST": "127.0.0.1", **(env or {})}
        fronts.append(Front(worker(None, "--serve", *flags, handler=handler, env=variables)))
        return fronts[-1].ready() if ready else fronts[-1]

    yield start
    for one in fronts:
        for connection in one.open:
            connection.close()


# ---- bytes ----


class Reader:
    """What comes on a bare connection, as far as it is asked for."""

    def __init__(self, link, rest=b""):
        self.link, self.rest = link, rest

    def some(self):
        data = self.link.recv(1 << 16)
        self.rest += data
        return data

    def exactly(self, count):
        while len(self.rest) < count:
            assert self.some(), f"the stream ended within {self.rest!r}"
        data, self.rest = self.rest[:count], self.rest[count:]
        return data

    def until(self, end):
        while end not in self.rest:
            assert self.some(), f"the stream ended within {self.rest!r}"
        data, _, self.rest = self.rest.partition(end)
        return data + end

    def head(self):
        return self.until(b"\r\n\r\n").decode("latin-1")

    def all(self):
        """Until the other side closes; a reset counts as that."""
        with contextlib.suppress(ConnectionResetError):
            while self.some():
                pass
        return self.rest

    def chunk(self):
        """The next chunk; b"" is the last one."""
        size = int(self.until(b"\r\n"), 16)
        data = self.exactly(size)
        assert self.exactly(2) == b"\r\n"
        return data


class Events:
    """The answer to a POST that accepts server-sent events, event by event as they come."""

    def __init__(self, dial, path, given, accept="text/event-stream"):
        body = json.dumps(given).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\nContent-Length: {len(body)}\r\n\r\n"
        self.link = dial(head.encode() + body)
        self.reader = Reader(self.link)
        self.text = b""

    def head(self):
        return self.reader.head()

    def next(self):
        """Its type (None: without one) and its data; None at the end."""
        while b"\n\n" not in self.text:
            piece = self.reader.chunk()
            if not piece:
                assert not self.text, "the stream ended within an event"
                return None
            self.text += piece
        event, _, self.text = self.text.partition(b"\n\n")
        lines = dict(line.split(": ", 1) for line in event.decode().split("\n"))
        assert set(lines) <= {"event", "data"}
        return lines.get("event"), json.loads(lines["data"])

    def all(self):
        found = []
        while event := self.next():
            found.append(event)
        return found


# ---- WebSockets, by hand (RFC 6455) ----


def ws_accept(key):
    return base64.b64encode(hashlib.sha1(key.encode() + WS_GUID).digest()).decode()


def ws_frame(payload, opcode=2, mask=b""):
    head = bytes([0x80 | opcode])
    bit = 0x80 if mask else 0
    if len(payload) < 126:
        head += bytes([bit | len(payload)])
    elif len(payload) < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", len(payload))
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", len(payload))
    if mask:
        key = int.from_bytes(mask * (len(payload) // 4 + 1), "big") >> (8 * (4 - len(payload) % 4))
        payload = (int.from_bytes(payload, "big") ^ key).to_bytes(len(payload), "big")
    return head + mask + payload


def ws_read(reader):
    """Opcode and payload of the next frame."""
    opcode, size = reader.exactly(2)
    mask = b""
    length = size & 0x7F
    if length == 126:
        length = struct.unpack(">H", reader.exactly(2))[0]
    elif length == 127:
        length = struct.unpack(">Q", reader.exactly(8))[0]
    if size & 0x80:
        mask = reader.exactly(4)
    payload = reader.exactly(length)
    if mask:
        key = int.from_bytes(mask * (length // 4 + 1), "big") >> (8 * (4 - length % 4))
        payload = (int.from_bytes(payload, "big") ^ key).to_bytes(length, "big")
    return opcode & 0x0F, payload


def ws_echo(talk):
    """A page of BadServer: takes the upgrade and sends frames back until the client closes."""
    accept = ws_accept(talk.header("Sec-WebSocket-Key"))
    head = f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    talk.send(head.encode() + ws_frame(b"hello", 1))  # the first frame in the same segment as the head
    reader = Reader(talk.link)
    while True:
        opcode, payload = ws_read(reader)
        talk.send(ws_frame(payload, opcode))
        if opcode == 8:
            talk.close()
            return
