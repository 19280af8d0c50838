"""A load-balancing endpoint beside nginx: what passing a request on costs, with wrk in front and nginx behind both.

The same server and the same clients for both sides, in turns, all on this machine; the other side is nginx with kept-alive connections
to the server and the fields that a proxy usually sets.
"""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time

from procs import BenchError
from table import Row

SECONDS = 4  # of each run of wrk
CONNECTIONS = (1, 64)
BODY = "x" * 200
UNITS = {"us": 0.001, "ms": 1, "s": 1000}

COMMON = """
worker_processes auto;
daemon off;
pid {folder}/{name}.pid;
error_log stderr warn;
{user}
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 100000000;
    {http}
}}
"""
SERVER = """
    server {{
        listen 127.0.0.1:{port};
        default_type text/plain;
        location / {{ return 200 "{body}"; }}
    }}
"""
PROXY = """
    upstream behind {{
        server 127.0.0.1:{upstream};
        keepalive 128;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://behind;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }}
    }}
"""


def _tool(name):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise BenchError(f"{name} is not installed")
    return path


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def _wait_listening(process, port):
    deadline = time.monotonic() + 20
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if time.monotonic() > deadline or process.poll() is not None:
            raise BenchError(f"nothing listens on port {port}")
        time.sleep(0.02)


@contextlib.contextmanager
def _running(command, port, **how):
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **how)
    try:
        _wait_listening(process, port)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _nginx(folder, name, port, http):
    user = "user root;" if os.geteuid() == 0 else ""
    path = os.path.join(folder, f"{name}.conf")
    with open(path, "w", encoding="ascii") as f:
        f.write(COMMON.format(folder=folder, name=name, user=user, http=http))
    return _running([_tool("nginx"), "-p", folder, "-c", path, "-e", "stderr"], port)


def _worker(bench, port, upstream):
    url = f"http://127.0.0.1:{upstream}"
    command = [bench.build("worker"), "--serve", "--handler-http", url, "--handler-ready", "tcp"]
    return _running(command, port, env={"PORT": str(port), "RP_SERVE_HOST": "127.0.0.1"})


def _wait_ready(port):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as link:
            link.sendall(b"GET /ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            if link.recv(100).startswith(b"HTTP/1.1 200"):
                return
        time.sleep(0.02)
    raise BenchError("the worker does not get ready")


def _wrk(port, connections):
    """Requests a second, p50 and p99 in ms."""
    threads = min(2, connections, os.cpu_count() or 1)
    command = [_tool("wrk"), f"-t{threads}", f"-c{connections}", f"-d{SECONDS}s", "--latency", f"http://127.0.0.1:{port}/"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS + 30, check=False)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    spread = dict(re.findall(r"^\s+(50|99)%\s+(\S+)", done.stdout, re.M))
    if rate is None or len(spread) != 2 or "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise BenchError(f"wrk says: {done.stdout} {done.stderr}")
    times = [float(re.match(r"[\d.]+", text)[0]) * UNITS[re.sub(r"[\d.]", "", text)] for text in (spread["50"], spread["99"])]
    return float(rate[1]), *times


def _rows():
    rows = {}
    for connections in CONNECTIONS:
        what = "1 connection" if connections == 1 else f"{connections} connections"
        rows[connections] = [
            Row(f"pass-through, {what}, requests", "/s", min_ratio=0.8, more_is_better=True, against="nginx"),
            Row(f"pass-through, {what}, median", "ms", min_ratio=1 / 1.2, against="nginx"),
            Row(f"pass-through, {what}, p99", "ms", against="nginx"),
        ]
    return rows


def _measure(bench, folder, rows):
    behind, other, ours = _free_port(), _free_port(), _free_port()
    with contextlib.ExitStack() as stack:
        stack.enter_context(_nginx(folder, "server", behind, SERVER.format(port=behind, body=BODY)))
        stack.enter_context(_nginx(folder, "other", other, PROXY.format(port=other, upstream=behind)))
        stack.enter_context(_worker(bench, ours, behind))
        _wait_ready(ours)
        for number in range(bench.rounds + 1):
            for connections in CONNECTIONS:
                bench.progress(f"pass-through: round {number} of {bench.rounds}, {connections} connections")
                for side, port in (("ours", ours), ("sdk", other)):
                    found = _wrk(port, connections)
                    for row, value in zip(rows[connections], found) if number > 0 else ():
                        row.add(side, value)
        direct = {connections: _wrk(behind, connections) for connections in CONNECTIONS}
    for connections, (rate, p50, _) in direct.items():
        rows[connections][0].note = f"without anything in between {rate:,.0f}/s, median {p50:.3f} ms"


def all_figures(bench):
    rows = _rows()
    every = [row for group in rows.values() for row in group]
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        try:
            _measure(bench, folder, rows)
        except (BenchError, OSError, subprocess.SubprocessError) as e:
            for row in every:
                row.errors["ours"] = str(e)
    return every
