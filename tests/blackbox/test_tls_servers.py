"""TLS against servers that others wrote: openssl s_server and nginx."""

import json
import re

import pytest

from certs import DAY, Authority
from servers import nginx, openssl_server
from wire import encode

JOB = {"id": "from-openssl", "input": {"a": 1}}


@pytest.fixture
def ended():
    """Collects servers; ends them after the test."""
    servers = []
    yield servers
    for server in servers:
        server.end()


def take_url(port):
    """A template without /job-take/: no stop channel, so one connection. s_server serves one at a time."""
    return f"https://localhost:{port}/take/$ID?a=b"


# ---- openssl s_server ----


@pytest.mark.parametrize("kind", ["rsa", "p256", "p384"])
def test_openssl_good_chain(witness, ended, platform, worker, tmp_path, kind):
    authority = Authority(tmp_path, kind)
    server = openssl_server(witness, tmp_path, *authority.leaf("localhost"), "-tls1_2")
    ended.append(server)
    worker(platform, env={"RUNPOD_WEBHOOK_GET_JOB": take_url(server.port), "SSL_CERT_FILE": str(authority.root_file)})
    witness.wait_for(lambda: b"\r\n\r\n" in server.output, "the take at s_server")
    assert bytes(server.output).startswith(b"GET /take/pod-7x2?a=b&job_in_progress=0 HTTP/1.1\r\n")
    server.send(encode(200, JOB))
    assert platform.result("from-openssl") == {"output": {"a": 1}}
    witness.wait_for(lambda: server.output.count(b"\r\n\r\n") == 2, "the next take on the same connection")


@pytest.mark.parametrize("curve", ["X25519", "P-256", "P-384", "P-521"])
def test_openssl_key_exchange(witness, ended, platform, worker, tmp_path, curve):
    authority = Authority(tmp_path)
    server = openssl_server(witness, tmp_path, *authority.leaf("localhost"), "-tls1_2", "-curves", curve)
    ended.append(server)
    worker(platform, env={"RUNPOD_WEBHOOK_GET_JOB": take_url(server.port), "SSL_CERT_FILE": str(authority.root_file)})
    witness.wait_for(lambda: b"\r\n\r\n" in server.output, "the take at s_server")


BAD = {
    "expired": (
        lambda authority: authority.leaf("localhost", start=-90 * DAY, end=-2 * DAY, tag="expired"),
        (),
        "(?i)expired",
    ),
    "wrong host": (lambda authority: authority.leaf("other.test", tag="other"), (), "(?i)certificate"),
    "self-signed": (lambda authority: authority.self_signed("localhost"), (), "SSL_CERT_FILE"),
    "unknown issuer": (
        lambda authority: Authority(authority.folder, name="Stranger").leaf("localhost", tag="strange"),
        (),
        "SSL_CERT_FILE",
    ),
    "TLS 1.3 only": (lambda authority: authority.leaf("localhost", tag="new"), ("-tls1_3",), r"TLS 1\.[23]"),
}


@pytest.mark.parametrize("case", BAD)
def test_openssl_bad(witness, ended, platform, worker, tmp_path, case):
    """The log says what is wrong in words, with the host; nothing of the request got out."""
    make, options, pattern = BAD[case]
    authority = Authority(tmp_path)
    server = openssl_server(witness, tmp_path, *make(authority), *options)
    ended.append(server)
    process = worker(
        platform, env={"RUNPOD_WEBHOOK_GET_JOB": take_url(server.port), "SSL_CERT_FILE": str(authority.root_file)}
    )
    assert "localhost" in process.wait_log(pattern)
    process.terminate()
    assert process.wait() == 0
    assert b"GET" not in server.output and platform.key.encode() not in server.output


def test_openssl_without_a_common_cipher(witness, ended, platform, worker, tmp_path):
    authority = Authority(tmp_path, "rsa")
    server = openssl_server(
        witness, tmp_path, *authority.leaf("localhost"), "-tls1_2", "-cipher", "DHE-RSA-AES256-GCM-SHA384"
    )
    ended.append(server)
    process = worker(
        platform, env={"RUNPOD_WEBHOOK_GET_JOB": take_url(server.port), "SSL_CERT_FILE": str(authority.root_file)}
    )
    assert re.search("(?i)cipher|handshake|in common", process.wait_log("localhost.*(?i:tls|cipher|handshake)"))


# ---- nginx ----


def behind_nginx(platform, port):
    """The platform's variables, with the gateway's address in them."""
    return {
        name: value.replace(platform.base, f"https://localhost:{port}")
        for name, value in platform.env().items()
        if value.startswith(platform.base)
    }


@pytest.mark.parametrize("kind", ["rsa", "p256", "p384"])
def test_nginx_gateway(witness, ended, platform, worker, tmp_path, kind):
    """Jobs, results and pings through a real gateway; later connections resume their session."""
    authority = Authority(tmp_path, kind)
    server = nginx(witness, tmp_path, platform.base, *authority.leaf("localhost"), "ssl_protocols TLSv1.2;")
    ended.append(server)
    process = worker(
        platform,
        env={
            **behind_nginx(platform, server.port),
            "SSL_CERT_FILE": str(authority.root_file),
            "RUNPOD_PING_INTERVAL": "300",
        },
    )
    for value in ({"text": "žluť" * 1000}, "x" * 2_000_000, None):
        assert platform.run(value) == {"output": value}
    platform.wait_request("ping", 3)
    witness.wait_for(lambda: server.output.count(b"job-done") >= 3, "nginx's log")
    assert re.search(rb"LOG TLSv1\.2 ECDHE-", server.output)
    assert not process.lines("WARN|ERROR")


def test_nginx_with_tls_1_2_and_1_3(witness, ended, platform, worker, tmp_path):
    """A server that prefers 1.3 and still knows 1.2."""
    authority = Authority(tmp_path)
    server = nginx(witness, tmp_path, platform.base, *authority.leaf("localhost"), "ssl_protocols TLSv1.2 TLSv1.3;")
    ended.append(server)
    worker(platform, env={**behind_nginx(platform, server.port), "SSL_CERT_FILE": str(authority.root_file)})
    assert platform.run(1) == {"output": 1}


def test_nginx_with_tls_1_3_only(witness, ended, platform, worker, tmp_path):
    """The log says what is missing: this worker speaks 1.2."""
    authority = Authority(tmp_path)
    server = nginx(witness, tmp_path, platform.base, *authority.leaf("localhost"), "ssl_protocols TLSv1.3;")
    ended.append(server)
    process = worker(platform, env={**behind_nginx(platform, server.port), "SSL_CERT_FILE": str(authority.root_file)})
    assert "localhost" in process.wait_log(r"TLS 1\.[23]")
    assert not platform.requests("take")


@pytest.mark.parametrize("tickets", ["on", "off"])
def test_nginx_sessions_are_resumed(witness, ended, platform, worker, tmp_path, tickets):
    """Two requests a connection, then nginx closes it: every connection but the first ones resumes."""
    authority = Authority(tmp_path)
    options = f"ssl_protocols TLSv1.2; ssl_session_tickets {tickets}; keepalive_requests 2;"
    server = nginx(witness, tmp_path, platform.base, *authority.leaf("localhost"), options)
    ended.append(server)
    worker(platform, env={**behind_nginx(platform, server.port), "SSL_CERT_FILE": str(authority.root_file)})
    for number in range(8):
        assert platform.run(number) == {"output": number}
    witness.wait_for(lambda: server.output.count(b"job-done") >= 8, "nginx's log")
    reused = re.findall(rb"LOG TLSv1\.2 \S+ (\S+) 1 ", server.output)
    assert reused.count(b"r") >= len(reused) - 3 and b"r" in reused


def test_nginx_closes_idle_connections(witness, ended, platform, worker, tmp_path):
    """A gateway's keep-alive time-out of one second: nothing is lost, nothing is logged."""
    authority = Authority(tmp_path)
    server = nginx(
        witness, tmp_path, platform.base, *authority.leaf("localhost"), "ssl_protocols TLSv1.2;", keepalive="1s"
    )
    ended.append(server)
    process = worker(
        platform,
        handler="mock",
        env={
            **behind_nginx(platform, server.port),
            "SSL_CERT_FILE": str(authority.root_file),
            "RUNPOD_PING_INTERVAL": "2500",
        },
    )
    assert platform.run({"mock_return": 1}) == {"output": 1}
    platform.wait_more("ping", 2)
    assert platform.run({"mock_return": 2}) == {"output": 2}
    assert not process.lines("WARN|ERROR")


def test_nginx_refuses_a_large_result(witness, ended, platform, worker, tmp_path):
    """client_max_body_size: nginx answers 413 before it has read the body. The job is visibly FAILED."""
    authority = Authority(tmp_path)
    server = nginx(
        witness, tmp_path, platform.base, *authority.leaf("localhost"), "ssl_protocols TLSv1.2;", max_body="1m"
    )
    ended.append(server)
    worker(platform, env={**behind_nginx(platform, server.port), "SSL_CERT_FILE": str(authority.root_file)})
    result = platform.run("x" * 5_000_000)
    assert set(result) == {"error"} and "413" in json.dumps(result)


def test_nginx_restart(witness, ended, platform, worker, tmp_path):
    """The gateway goes away and comes back on the same port."""
    authority = Authority(tmp_path)
    files = authority.leaf("localhost")
    server = nginx(witness, tmp_path, platform.base, *files, "ssl_protocols TLSv1.2;")
    ended.append(server)
    process = worker(platform, env={**behind_nginx(platform, server.port), "SSL_CERT_FILE": str(authority.root_file)})
    assert platform.run(1) == {"output": 1}
    server.end()
    process.wait_log("WARN|ERROR|refused|closed")
    server.process = type(server)(witness, server.process.args, server.port, tmp_path).wait_listening().process
    assert platform.run(2) == {"output": 2}


def test_nginx_upstream_is_gone(witness, ended, make_platform, platform, worker, tmp_path):
    """502 from a gateway: an error like any other."""
    authority = Authority(tmp_path)
    server = nginx(witness, tmp_path, platform.base, *authority.leaf("localhost"), "ssl_protocols TLSv1.2;")
    ended.append(server)
    process = worker(platform, env={**behind_nginx(platform, server.port), "SSL_CERT_FILE": str(authority.root_file)})
    assert platform.run(1) == {"output": 1}
    platform.refuse()
    process.wait_log("502")
    platform.listen()
    assert platform.run(2) == {"output": 2}
