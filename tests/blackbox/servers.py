"""Real servers for the tests: openssl s_server, nginx, tinyproxy. Each dies with its test."""

import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time

import pytest

from ports import free_port
from witness import PATIENCE_S


def tool(name, package):
    """The path of a program; where it is missing the test is skipped, loudly."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed (package {package}): this real server was NOT tested against")
    return path


class Server:
    """A server process with its output, and the certainty that it listens."""

    def __init__(self, witness, command, port, cwd, stdin=subprocess.DEVNULL):
        self.witness = witness
        self.port = port
        self.output = bytearray()
        self.process = subprocess.Popen(command, cwd=cwd, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while chunk := os.read(self.process.stdout.fileno(), 1 << 16):
            self.witness.tell(lambda: self.output.extend(chunk))

    def wait_listening(self):
        """Real servers announce this to nobody: knock until somebody opens."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return self
            time.sleep(0.01)
        assert self.process.poll() is None, f"the server has ended: {self.output.decode(errors='replace')}"
        raise TimeoutError(f"the server does not listen: {self.output.decode(errors='replace')}")

    def send(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def openssl_server(witness, folder, chain, key, *options):
    """openssl s_server, which prints what it gets and sends what it is given."""
    port = free_port()
    command = [
        tool("openssl", "openssl"),
        "s_server",
        "-quiet",
        "-accept",
        f"127.0.0.1:{port}",
        "-cert",
        str(chain),
        "-cert_chain",
        str(chain),
        "-key",
        str(key),
        *options,
    ]
    server = Server(witness, command, port, folder, stdin=subprocess.PIPE)
    deadline = time.monotonic() + PATIENCE_S
    # A knock would count as its first connection: look at the kernel's table of listeners instead.
    while f":{port:04X} 00000000:0000 0A" not in open("/proc/net/tcp").read():
        assert server.process.poll() is None, server.output
        if time.monotonic() >= deadline:
            raise TimeoutError(f"openssl does not listen: {server.output}")
        time.sleep(0.01)
    return server


NGINX = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
{user}
events {{ worker_connections 64; }}
http {{
    log_format tls 'LOG $ssl_protocol $ssl_cipher $ssl_session_reused $connection_requests $uri $status';
    access_log /dev/stdout tls;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size {max_body};
    keepalive_timeout {keepalive};
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {chain};
        ssl_certificate_key {key};
        ssl_session_cache shared:test:1m;
        {options}
        location / {{
            proxy_pass {upstream};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Connection "";
            proxy_read_timeout 120s;
            proxy_buffering on;
        }}
    }}
}}
"""


def nginx(witness, folder, upstream, chain, key, options="", keepalive="60s", max_body="30m"):
    """nginx in front of a platform, as the real one is behind a gateway."""
    path = tool("nginx", "nginx-light")
    port = free_port()
    config = folder / "nginx.conf"
    folder.chmod(0o755)
    config.write_text(
        NGINX.format(
            folder=folder,
            upstream=upstream,
            chain=chain,
            key=key,
            options=options,
            port=port,
            keepalive=keepalive,
            max_body=max_body,
            user="user root;" if os.geteuid() == 0 else "",
        )
    )
    command = [path, "-p", str(folder), "-c", str(config), "-e", "stderr"]
    return Server(witness, command, port, folder).wait_listening()


def tinyproxy(witness, folder, *lines):
    """tinyproxy with these extra lines of configuration; its log is its output."""
    path = tool("tinyproxy", "tinyproxy-bin")
    port = free_port()
    config = folder / "tinyproxy.conf"
    config.write_text(
        "\n".join(
            [
                f"Port {port}",
                "Listen 127.0.0.1",
                "Timeout 120",
                "LogLevel Connect",
                "MaxClients 50",
                f'PidFile "{folder}/tinyproxy.pid"',
                *lines,
            ]
        )
        + "\n"
    )
    return Server(witness, [path, "-d", "-c", str(config)], port, folder).wait_listening()
