"""HTTP_PROXY, HTTPS_PROXY and NO_PROXY, through a real proxy (tinyproxy) and one of our own that records."""

import asyncio
import base64
import re
import socket
import threading

import pytest

from servers import tinyproxy
from test_fitness import REAL
from workerproc import hosts_prefix


@pytest.fixture
def proxy(witness, tmp_path):
    """proxy(*configuration) -> a running tinyproxy."""
    servers = []

    def start(*lines):
        servers.append(tinyproxy(witness, tmp_path, *lines))
        return servers[-1]

    yield start
    for server in servers:
        server.end()


def seen(proxy, pattern):
    return re.findall(pattern, proxy.output.decode(errors="replace"))


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy"])
def test_plain_http(platform, worker, proxy, name):
    server = proxy()
    worker(platform, env={name: f"http://127.0.0.1:{server.port}"})
    assert platform.run("through") == {"output": "through"}
    assert all(request.header("Via") for request in platform.record)
    assert {request.header("Host") for request in platform.record} == {f"127.0.0.1:{platform.port}"}


def test_the_network_check_goes_to_the_proxy(platform, worker, proxy):
    """Where there is one, it is what has to be reached: the platform's name need not resolve here."""
    server = proxy()
    env = {**REAL, "HTTP_PROXY": f"http://127.0.0.1:{server.port}", "RUNPOD_NETWORK_CHECK_TIMEOUT": "30"}
    process = worker(platform, env={**env, "RUNPOD_WEBHOOK_GET_JOB": "http://nowhere.invalid/v2/x/job-take/$ID?a=b"})
    process.wait_log("Fitness check passed: network_check")


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_https(tls_platform, worker, proxy, name):
    server = proxy()
    worker(tls_platform, env={name: f"http://127.0.0.1:{server.port}"})
    assert tls_platform.run("through") == {"output": "through"}
    tls_platform.wait_for(lambda: seen(server, rf"CONNECT localhost:{tls_platform.port}"), "the proxy's log")
    assert not any(request.header("Via") for request in tls_platform.record)


def test_each_scheme_has_its_own(platform, tls_platform, worker, proxy):
    """HTTPS_PROXY alone leaves plain requests alone, and the other way round."""
    server = proxy()
    worker(platform, env={"HTTPS_PROXY": f"http://127.0.0.1:{server.port}"})
    assert platform.run(1) == {"output": 1}
    worker(tls_platform, env={"HTTP_PROXY": f"http://127.0.0.1:{server.port}"})
    assert tls_platform.run(1) == {"output": 1}
    assert not seen(server, "CONNECT .*:[0-9]+ HTTP|GET|POST")


@pytest.mark.parametrize(
    "value, direct",
    [
        ("127.0.0.1", True),
        ("example.com,127.0.0.1", True),
        (" example.com , 127.0.0.1 ", True),
        ("*", True),
        ("10.0.0.0/8,127.0.0.0/8", True),
        ("127.0.0.1/32", True),
        ("127.0.1.0/24", False),
        ("127.0.0.1:PORT", True),
        ("127.0.0.1:1", False),
        ("localhost", False),
    ],
)
def test_no_proxy_by_address(platform, worker, proxy, value, direct):
    server = proxy()
    value = value.replace("PORT", str(platform.port))
    worker(platform, env={"HTTP_PROXY": f"http://127.0.0.1:{server.port}", "NO_PROXY": value})
    assert platform.run(1) == {"output": 1}
    assert any(request.header("Via") for request in platform.record) != direct


@pytest.mark.parametrize("value", ["10.0.0.0/33", "10.0.0", "10.*", "http://a.test", "a.test:http", "[::1"])
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_an_entry_that_is_not_understood_ends_the_worker(local, platform, name, value):
    done = local(env=platform.env(HTTP_PROXY="http://127.0.0.1:9", **{name: f"localhost,{value}"}))
    assert done.returncode == 2 and "NO_PROXY" in done.stdout and f'"{value}"' in done.stdout
    assert not platform.connections


@pytest.mark.parametrize(
    "value, direct",
    [
        ("api.some.test", True),
        ("some.test", True),
        (".some.test", True),
        ("API.SOME.TEST", True),
        ("ome.test", False),
        (".api.some.test", None),
        ("some.test.org", False),
        ("", False),
        (",", False),
        ("other.test", False),
    ],
)
def test_no_proxy_by_name(make_platform, worker, proxy, tmp_path, value, direct):
    """A domain stands for itself and what is under it, never for a part of a name."""

    server = proxy()
    platform = make_platform(name="api.some.test")
    process = worker(
        platform,
        env={"HTTP_PROXY": f"http://127.0.0.1:{server.port}", "no_proxy": value},
        prefix=hosts_prefix(tmp_path, "127.0.0.1 api.some.test\n"),
    )
    if direct:
        assert platform.run(1) == {"output": 1}
        assert not any(request.header("Via") for request in platform.record)
    elif direct is False:  # the proxy does not know the name: its refusal is the proof that it was asked
        process.wait_log("(?i)proxy|50[0-9]|40[0-9]")
        assert not platform.record


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_password(platform, tls_platform, worker, proxy, secure):
    """Given to the proxy, and (the platform looks at every request) to nobody else; not in the log either."""
    server = proxy("BasicAuth worker s3cret")
    target = tls_platform if secure else platform
    process = worker(
        target,
        env={
            "HTTPS_PROXY" if secure else "HTTP_PROXY": f"http://worker:s3cret@127.0.0.1:{server.port}",
            "RUNPOD_LOG_LEVEL": "TRACE",
        },
    )
    assert target.run(1) == {"output": 1}
    assert b"s3cret" not in process.output and base64.b64encode(b"worker:s3cret") not in process.output
    assert b"s3cret" not in process.command_line()


def test_password_with_escapes(platform, worker, raw_proxy):
    """Percent-encoding in the variable; the header carries what was meant."""
    server = raw_proxy(b"HTTP/1.1 204 No Content\r\n\r\n")
    worker(platform, env={"HTTP_PROXY": f"http://wor%3Aker:p%40ss%2Fw%25rd@127.0.0.1:{server.port}"})
    platform.wait_for(lambda: b"\r\n\r\n" in server.received, "a request at the proxy")
    assert base64.b64encode(b"wor:ker:p@ss/w%rd") in server.received


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_wrong_password_is_told(platform, tls_platform, worker, proxy, secure):
    """The proxy's refusal is named as the proxy's, so that nobody looks for it at the platform."""
    server = proxy("BasicAuth worker s3cret")
    target = tls_platform if secure else platform
    process = worker(
        target, env={"HTTPS_PROXY" if secure else "HTTP_PROXY": f"http://worker:wrong@127.0.0.1:{server.port}"}
    )
    line = process.wait_log("40[17]")
    assert not secure or "proxy" in line.lower()
    assert not target.record and "wrong" not in process.log


def test_proxy_that_refuses_the_port(tls_platform, worker, proxy):
    server = proxy("ConnectPort 443")
    process = worker(tls_platform, env={"HTTPS_PROXY": f"http://127.0.0.1:{server.port}"})
    assert "403" in process.wait_log("(?i)proxy")
    assert not tls_platform.record


def test_proxy_that_is_not_there(tls_platform, worker):
    with socket.socket() as taken:  # bound, so that it is nobody else's, and not listening
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        process = worker(tls_platform, env={"HTTPS_PROXY": f"http://127.0.0.1:{port}"})
        line = process.wait_log("(?i)refused")
    assert "proxy" in line.lower() or str(port) in line
    assert not tls_platform.record


@pytest.mark.parametrize(
    "value",
    [
        "nonsense://x",
        "ftp://127.0.0.1:1",
        "http://",
        "http://127.0.0.1:99999",
        "http://a b:1",
        "https://127.0.0.1:8443",
        "socks5://127.0.0.1:1080",
    ],
)
def test_unusable_proxy_is_named(local, tls_platform, value):
    done = local(env=tls_platform.env(HTTPS_PROXY=value))
    assert done.returncode == 2 and "HTTPS_PROXY" in done.stdout
    assert not tls_platform.connections


def test_proxy_without_scheme(local, platform):
    """host:port could mean either; the message tells how to write it."""
    done = local(env=platform.env(HTTP_PROXY="127.0.0.1:8888"))
    assert done.returncode == 2 and "HTTP_PROXY" in done.stdout and "http://" in done.stdout


class RawProxy:
    """A proxy that answers every request with the same bytes and records what it got."""

    def __init__(self, witness, answer):
        self.witness = witness
        self.received = b""
        self.answer = answer
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.server = self._call(asyncio.start_server(self.serve, "127.0.0.1", 0))
        self.port = self.server.sockets[0].getsockname()[1]

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    async def serve(self, reader, writer):
        try:
            self._note(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self.answer)
            while data := await reader.read(4096):
                self._note(data)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        writer.close()

    def _note(self, data):
        def note():
            self.received += data

        self.witness.tell(note)

    def stop(self):
        async def end():
            self.server.close()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

        self._call(end())
        self.loop.call_soon_threadsafe(self.loop.stop)


@pytest.fixture
def raw_proxy(witness):
    proxies = []

    def start(answer):
        proxies.append(RawProxy(witness, answer))
        return proxies[-1]

    yield start
    for proxy in proxies:
        proxy.stop()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n",
        b"garbage\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000 + b"\r\n\r\n",
    ],
    ids=lambda value: repr(value[:30]),
)
def test_connect_that_fails(tls_platform, worker, raw_proxy, answer):
    """Whatever the proxy says instead of 2xx: an error that names the proxy, and the key has stayed here."""
    server = raw_proxy(answer)
    process = worker(tls_platform, env={"HTTPS_PROXY": f"http://127.0.0.1:{server.port}"})
    process.wait_log("(?i)proxy")
    assert server.received.startswith(f"CONNECT localhost:{tls_platform.port} HTTP/1.1\r\n".encode())
    assert tls_platform.key.encode() not in server.received
    assert b"Authorization" not in server.received
    process.terminate()
    assert process.wait() == 0


def test_bytes_behind_the_connect_answer_are_no_job(tls_platform, worker, raw_proxy):
    """A proxy that answers the request it should only pass on: not one byte of it counts."""
    job = b'{"id": "evil", "input": 1}'
    server = raw_proxy(
        b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        % len(job)
        + job
    )
    process = worker(tls_platform, env={"HTTPS_PROXY": f"http://127.0.0.1:{server.port}"})
    process.wait_log("WARN|ERROR")
    assert "evil" not in process.log and tls_platform.key.encode() not in server.received


def test_absolute_form_and_key(platform, worker, raw_proxy):
    """A plain request through a proxy shows it the key: that is how plain HTTP is; the form is the absolute one."""
    server = raw_proxy(b"HTTP/1.1 204 No Content\r\n\r\n")
    worker(platform, env={"HTTP_PROXY": f"http://u:p@127.0.0.1:{server.port}"})
    platform.wait_for(lambda: b"\r\n\r\n" in server.received, "a request at the proxy")
    head = server.received.split(b"\r\n\r\n")[0].decode()
    assert re.match(rf"GET http://127\.0\.0\.1:{platform.port}/v2/ep0test/(job-take|job-stop|ping)/pod-7x2", head)
    assert f"Host: 127.0.0.1:{platform.port}".lower() in head.lower()
    assert f"Proxy-Authorization: Basic {base64.b64encode(b'u:p').decode()}".lower() in head.lower()
    assert not platform.record
