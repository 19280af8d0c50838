"""A network of its own with public addresses in it, for what a worker may and may not connect to.

    unshare -n -m python inner_network.py BINARY

Runs the handler on a list of cases, each {"input", "dns"}, read as JSON from standard input, and prints a list
of {"output", "log", "seen"}: what came of it, and what each server was asked. Servers: 1.2.3.4:80 and 5.6.7.8:80
(public by their numbers), 127.0.0.1:80 and 10.0.0.1:80 (private). "dns" gives the answers to each look-up of
name.test in turn: [["1.2.3.4"], ["127.0.0.1"]].
"""

import json
import socket
import struct
import subprocess
import sys
import tempfile
import threading

from fileserver import FileServer, body, redirect

ADDRESSES = ("1.2.3.4", "5.6.7.8", "10.0.0.1", "127.0.0.1")


class Dns:
    """Answers A queries for any name from a script; there are no AAAA records. A query that comes once more, since its
    answer took too long, gets the same answer and is not counted."""

    def __init__(self):
        self.script = []
        self.asked = 0
        self.answered = {}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            query, peer = self.socket.recvfrom(512)
            question_end = query.index(b"\0", 12) + 5
            kind = struct.unpack("!H", query[question_end - 4 : question_end - 2])[0]
            records = []
            if (query, peer) in self.answered:
                records = self.answered[query, peer]
            elif kind == 1:
                records = self.script[min(self.asked, len(self.script) - 1)] if self.script else []
                self.asked += 1
            self.answered[query, peer] = records
            head = query[:2] + struct.pack("!HHHHH", 0x8180, 1, len(records), 0, 0)
            answers = b"".join(
                b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 0, 4) + socket.inet_aton(record) for record in records
            )
            self.socket.sendto(head + query[12:question_end] + answers, peer)


def main():
    subprocess.run("ip link set lo up", shell=True, check=True)
    for address in ADDRESSES[:-1]:
        subprocess.run(f"ip addr add {address}/32 dev lo", shell=True, check=True)
    resolv = tempfile.NamedTemporaryFile("w", suffix=".conf")
    resolv.write("nameserver 127.0.0.1\noptions timeout:1\n")
    resolv.flush()
    subprocess.run(["mount", "--bind", resolv.name, "/etc/resolv.conf"], check=True)
    dns = Dns()
    servers = {address: FileServer(address, 80) for address in ADDRESSES}
    for address, server in servers.items():
        server.pages["/file"] = body(f"from {address}".encode())
        for to in ADDRESSES:
            server.pages[f"/to/{to}"] = redirect(f"http://{to}/file")
        server.pages["/to/name"] = redirect("http://name.test/file")
        server.pages["/to/mapped"] = redirect("http://[::ffff:127.0.0.1]/file")
        server.pages["/to/far"] = redirect("http://5.6.7.8/to/1.2.3.4")
    results = []
    for case in json.load(sys.stdin):
        dns.script, dns.asked = case.get("dns", []), 0
        for server in servers.values():
            server.requests.clear()
        done = subprocess.run(
            [sys.argv[1], "--test_input", json.dumps({"input": case["input"]})],
            env=case.get("env", {}),
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        seen = {address: server.requests for address, server in servers.items() if server.requests}
        results.append({"log": done.stdout, "status": done.returncode, "seen": seen, "look_ups": dns.asked})
    print(json.dumps(results))


if __name__ == "__main__":
    main()
