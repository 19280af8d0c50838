"""The job API that the worker serves (--rp_serve_api), beside the SDK's own development server: /runsync with a
handler that costs nothing, asked by wrk; the start; the memory; what it adds to the binary.

Both with one slot, on a connection that is kept, and with the log at its default level, into a file.
"""

import itertools
import json
import os
import shutil
import socket
import subprocess
import threading
import time

import parts
from jobs import PATIENCE_S
from procs import BenchError, Worker
from table import Row

CONNECTIONS = (1, 16, 64)
WRK_S = 3  # at each number of connections, in one round
WARM_S = 1
STARTS = {"ours": 10, "sdk": 1}  # in one round
REQUEST = (
    b"POST /runsync HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b'Content-Length: 19\r\nConnection: close\r\n\r\n{"input": {"n": 1}}'
)
HERE = os.path.dirname(os.path.abspath(__file__))


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class FirstAnswer:
    """Knocks at the port from before the process is made, until it has answered a job."""

    def __init__(self, port):
        self.port = port
        self.ns = None
        self.answer = b""
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._knock, daemon=True)
        self.thread.start()

    def _ask(self):
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE_S) as connection:
            connection.sendall(REQUEST)
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        self.ns, self.answer = time.monotonic_ns(), answer

    def _knock(self):
        while self.ns is None and not self.ended.is_set():
            try:
                self._ask()
            except OSError:
                time.sleep(0.0001)

    def wait(self):
        self.thread.join(PATIENCE_S)
        self.ended.set()
        if self.ns is None or not self.answer.startswith(b"HTTP/1.1 200"):
            raise BenchError(f"no answer from the API: {self.answer[:200]!r}")
        return self.ns


def _serve(bench, side, port):
    command = bench.command(side, "echo", 1) + ["--rp_serve_api", f"--rp_api_port={port}", "--rp_api_host=127.0.0.1"]
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": bench.home, "LANG": "C.UTF-8"}
    return Worker(bench.launcher, command, env, bench.file(f"{side}-api.log"))


def _start_round(bench, side, start, idle):
    for n in range(STARTS[side]):
        port = _free_port()
        first = FirstAnswer(port)
        try:
            with _serve(bench, side, port) as worker:
                start.add(side, (first.wait() - worker.start_ns) / 1e6)
                if n == STARTS[side] - 1:
                    time.sleep(0.5)
                    idle.add(side, worker.memory()["rss"] / 1024)
        finally:
            first.ended.set()


def _wrk(port, connections, seconds):
    command = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--timeout", "30s", "--latency"]
    command += ["-s", os.path.join(HERE, "api.lua"), f"http://127.0.0.1:{port}/runsync"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise BenchError(f"wrk says nothing: {done.stdout[-200:]}{done.stderr[-200:]}")
    found = json.loads(lines[-1])
    if found["failed"] or not found["requests"]:
        raise BenchError(f"{found['failed']} of {found['requests']} requests failed")
    return found


def _rate_round(bench, side, rates, tails):
    port = _free_port()
    first = FirstAnswer(port)
    with _serve(bench, side, port) as worker:
        first.wait()
        _wrk(port, 1, WARM_S)
        for connections in CONNECTIONS:
            found = _wrk(port, connections, WRK_S)
            worker.check()
            rates[connections].add(side, found["requests"] * 1e6 / found["us"])
            tails[connections].add(side, found["p99_us"] / 1e3)


def _sizes(bench):
    """What it adds to a C handler that has nothing else, and to one that has the realtime port, whose server it shares."""
    rows = []
    for beside, name in (("none", "the job API's part of a C handler"), ("realtime", "the same beside .realtime")):
        row = Row(name, "KB", 80)
        try:
            if "ours" in bench.sides:
                row.add("ours", parts.added_bytes("job_api", beside) / 1000)
        except BenchError as e:
            row.errors["ours"] = str(e)
        row.note = "linked with and without it; page and openapi.json included"
        rows.append(row)
    return rows


def all_figures(bench):
    start = Row("job API: start to first answer", "ms", min_ratio=300)
    idle = Row("job API: idle memory", "MiB", 2)
    names = {n: f"job API: /runsync, {n} connection{'s' * (n > 1)}" for n in CONNECTIONS}
    rates = {n: Row(names[n], "/s", min_ratio=20, more_is_better=True) for n in CONNECTIONS}
    tails = {n: Row(f"{names[n]}, p99", "ms", min_ratio=1) for n in CONNECTIONS}
    if shutil.which("wrk") is None:
        raise BenchError("wrk is not installed (Debian's package wrk)")
    for n, side in itertools.product(range(bench.rounds), bench.sides):
        if side in start.errors:
            continue
        bench.progress(f"the job API: round {n + 1} of {bench.rounds}")
        try:
            _start_round(bench, side, start, idle)
            _rate_round(bench, side, rates, tails)
        except BenchError as e:
            for row in (start, idle, *rates.values(), *tails.values()):
                row.errors[side] = str(e)
    pairs = [row for n in CONNECTIONS for row in (rates[n], tails[n])]
    return [start, idle, *pairs, *_sizes(bench)]
