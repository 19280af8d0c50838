"""A DNS server that answers as a test wants it to, over UDP and TCP.

answer(query) gives what is sent: bytes, any iterable of bytes (one datagram each), or None for silence. A query knows its
name, type, transport ("udp", "tcp"), how often the same question came before (again) and how to be answered.
CLOSE ends the connection that a query came over, without an answer.
"""

import socket
import struct
import threading

CLOSE = object()
A, CNAME, AAAA = 1, 5, 28
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)


def _labels(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


class Query:
    def __init__(self, raw, transport):
        self.raw, self.transport = raw, transport
        labels, at = [], 12
        while raw[at]:
            labels.append(raw[at + 1 : at + 1 + raw[at]].decode())
            at += 1 + raw[at]
        self.name = ".".join(labels)
        self.type = struct.unpack(">H", raw[at + 1 : at + 3])[0]
        self.question = raw[12 : at + 5]
        self.again = 0

    def reply(self, *addresses, rcode=NOERROR, flags=0x8180, chain=(), question=None, number=None):
        """Addresses of the other family are left out. chain: names that lead from the one asked for to the last."""
        records, owner = [], b"\xc0\x0c"
        for name in chain:
            records.append(owner + self._fixed(CNAME, _labels(name)))
            owner = _labels(name)
        for address in addresses:
            kind = AAAA if ":" in address else A
            if kind == self.type:
                data = socket.inet_pton(socket.AF_INET6 if kind == AAAA else socket.AF_INET, address)
                records.append(owner + self._fixed(kind, data))
        question = self.question if question is None else question
        number = self.raw[:2] if number is None else number
        head = number + struct.pack(">HHHHH", flags | rcode, 1 if question else 0, len(records), 0, 0)
        return head + question + b"".join(records)

    @staticmethod
    def _fixed(kind, data):
        return struct.pack(">HHIH", kind, 1, 60, len(data)) + data

    def refuse(self, rcode):
        return self.reply(rcode=rcode)


class DnsServer:
    def __init__(self, answer, host="127.0.0.1", tcp=True):
        self.answer, self.host = answer, host
        self.queries = []
        self.changed = threading.Condition()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.udp = socket.socket(family, socket.SOCK_DGRAM)
        self.udp.bind((host, 53))
        threading.Thread(target=self._serve_udp, daemon=True).start()
        if tcp:
            self.tcp = socket.create_server((host, 53), family=family)
            threading.Thread(target=self._serve_tcp, daemon=True).start()

    def wait_queries(self, count, timeout_s=20):
        with self.changed:
            return self.changed.wait_for(lambda: len(self.queries) >= count, timeout_s)

    def _answers(self, raw, transport):
        query = Query(raw, transport)
        with self.changed:
            query.again = sum((query.name, query.type) == (old.name, old.type) for old in self.queries)
            self.queries.append(query)
            self.changed.notify_all()
        answers = self.answer(query)
        if answers is None:
            return []
        return [answers] if isinstance(answers, bytes) else answers

    def _serve_udp(self):
        while True:
            raw, peer = self.udp.recvfrom(4096)
            threading.Thread(target=self._serve_datagram, args=(raw, peer), daemon=True).start()

    def _serve_datagram(self, raw, peer):
        for message in self._answers(raw, "udp"):
            self.udp.sendto(message, peer)

    def _serve_tcp(self):
        while True:
            connection, _ = self.tcp.accept()
            threading.Thread(target=self._serve_connection, args=(connection,), daemon=True).start()

    def _serve_connection(self, connection):
        with connection, connection.makefile("rb") as stream:
            while len(head := stream.read(2)) == 2:
                answers = self._answers(stream.read(struct.unpack(">H", head)[0]), "tcp")
                if answers is CLOSE:
                    return
                for message in answers:
                    connection.sendall(struct.pack(">H", len(message)) + message)
