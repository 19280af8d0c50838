"""A peer that never stops: endless of everything that HTTP has, at full speed or a byte at a time.

    peer = FloodPeer(witness, "chunks")            # whoever connects gets endless chunks
    peer = FloodPeer(witness, "trailers", drip=True)
    peer.wait_gone()                               # until whoever connected has closed the connection

`wanted`: only requests whose head holds these bytes are flooded; others get an empty 200, and the connection goes on.
`early`: instead of a flood they get these bytes, and then the peer neither reads nor closes. flood(name) is the same as an action of the test platform, for its scripts.
"""

import asyncio
import itertools
import socket
import ssl
import threading
import time

DRIP_S = 0.01
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

# What is sent once, and what is sent again and again.
FLOODS = {
    "interim": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "interim with fields": (b"", b"HTTP/1.1 103 Early Hints\r\n" + b"Link: </x>; rel=preload\r\n" * 50 + b"\r\n"),
    "head lines": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "head line": (b"HTTP/1.1 200 OK\r\nX: ", b"y" * 1000),
    "reason": (b"HTTP/1.1 200 ", b"OK " * 300),
    "length": (OK + b"Content-Length: 9000000000000000000\r\n\r\n", b" " * 1000),
    "until close": (OK + b"Connection: close\r\n\r\n", b" " * 1000),
    "chunks": (CHUNKED, b"3e8\r\n" + b" " * 1000 + b"\r\n"),
    "tiny chunks": (CHUNKED, b"1\r\n \r\n"),
    "extensions": (CHUNKED, b"1;" + b"e" * 900 + b"\r\n \r\n"),
    "extension": (CHUNKED + b"1;", b"e" * 1000),
    "chunk size": (CHUNKED, b"0" * 1000),
    "trailers": (CHUNKED + b"0\r\n", b"X: y\r\n"),
    "trailer": (CHUNKED + b"0\r\nX: ", b"y" * 1000),
    "events": (EVENTS, b"b\r\ndata: {}\n\n\n\r\n"),
    "comments": (EVENTS, b"2\r\n:\n\r\n"),
    "one event": (EVENTS, b"3e8\r\n" + b"d" * 1000 + b"\r\n"),
}


def pieces(name, drip=False):
    """All the bytes of this flood, for ever."""
    prefix, piece = FLOODS[name]
    yield prefix
    if drip:
        for byte in itertools.cycle(piece):
            yield bytes([byte])
    yield from itertools.repeat(piece * max(1, 65536 // len(piece)))


def flood(name):
    """An action of the test platform: the answer to this request never ends."""

    async def act(exchange):
        transport = exchange.connection.transport
        for piece in pieces(name):
            while transport.get_write_buffer_size() > 1 << 20:
                await asyncio.sleep(DRIP_S)
            exchange.send(piece)
            await asyncio.sleep(0)

    act.label, act.early = f"flood of {name}", False
    return act


class FloodPeer:
    """`unread`: it does not read the body of a request before it answers, nor afterwards."""

    def __init__(self, witness, name=None, drip=False, wanted=b"", early=None, tls=None, unread=False):
        self.witness, self.name, self.drip, self.wanted, self.tls, self.unread = witness, name, drip, wanted, tls, unread
        self.early = early
        self.flooded = self.gone = 0  # connections that got the flood, and that were closed during it
        self.heads = []
        self.links = set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    def _accept(self):
        while True:
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            self.links.add(link)
            threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link):
        try:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                link = self.tls.wrap_socket(link, server_side=True)
                self.links.add(link)
            rest = b""
            while True:
                head, rest = self._read(link, rest)
                self.witness.tell(lambda head=head: self.heads.append(head))
                if self.wanted not in head:
                    link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                elif self.early:
                    link.sendall(self.early)
                    threading.Event().wait()
                else:
                    self._flood(link)
        except (OSError, ssl.SSLError):
            link.close()

    def _flood(self, link):
        def begun():
            self.flooded += 1

        def over():
            self.gone += 1

        self.witness.tell(begun)
        try:
            for piece in pieces(self.name, self.drip):
                link.sendall(piece)
                if self.drip:
                    time.sleep(DRIP_S)  # the pace of a peer, not a wait of the test
        except OSError:
            self.witness.tell(over)
            raise

    def _read(self, link, rest):
        while b"\r\n\r\n" not in rest:
            rest += self._some(link)
        head, _, rest = rest.partition(b"\r\n\r\n")
        length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
        while not self.unread and len(rest) < length:
            rest += self._some(link)
        return head, b"" if self.unread else rest[length:]

    @staticmethod
    def _some(link):
        data = link.recv(1 << 16)
        if not data:
            raise ConnectionError
        return data

    def wait_flooded(self, count=1):
        """Until so many connections have been flooded."""
        self.witness.wait_for(lambda: self.flooded >= count, f"{count} flooded connection(s)")

    def wait_gone(self, count=1, timeout_s=30.0):
        """Until so many flooded connections were closed by the other end."""
        self.witness.wait_for(lambda: self.gone >= count, f"{count} flooded connection(s) to be closed", timeout_s)

    def stop(self):
        for one in (self.listener, *self.links):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()
