"""TLS: which certificates are good, which are not, and what a person reads about those that are not.

No case of a bad certificate may let a single byte of a request out: the key is in the first one.
"""

import datetime
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from actions import answer, cut_without_close_notify, hand_out, raw
from certs import DAY, Authority
from testplatform import server_context
from wire import encode
from workerproc import hosts_prefix

YEAR = 365 * DAY


@pytest.fixture(scope="session")
def stranger(tmp_path_factory):
    """An authority that the workers do not know."""
    return Authority(tmp_path_factory.mktemp("stranger"), name="Strange Root")


def refused(worker, make_platform, files, pattern, name="localhost", env=None, hosts=("127.0.0.1",), **context):
    """A worker against a server with this certificate: the log says what is wrong, the server saw no request."""
    platform = make_platform(tls=server_context(*files, **context), name=name, hosts=hosts)
    process = worker(platform, env=env)
    line = process.wait_log(pattern)
    host = name.strip("[]")
    assert host in line, f"the message does not name the host: {line}"
    process.terminate()
    assert process.wait() == 0
    assert not platform.record and not any(connection.buffer for connection in platform.connections)
    return line


# ---- good ones ----


@pytest.mark.parametrize("kind", ["rsa", "p256", "p384"])
def test_good_chain(make_platform, worker, tmp_path, kind):
    """Root, intermediate and leaf of one kind of key."""
    authority = Authority(tmp_path, kind)
    platform = make_platform(tls=server_context(*authority.leaf("localhost")), name="localhost")
    process = worker(platform, env={"SSL_CERT_FILE": str(authority.root_file)})
    assert platform.run({"over": "TLS"}) == {"output": {"over": "TLS"}}
    assert {connection.tls_version for connection in platform.connections} == {"TLSv1.2"}
    assert not process.lines("WARN|ERROR")


@pytest.mark.parametrize("root, leaf", [("rsa", "p256"), ("p256", "rsa"), ("rsa", "p384"), ("p384", "rsa")])
def test_mixed_chain(make_platform, worker, tmp_path, root, leaf):
    authority = Authority(tmp_path, root)
    platform = make_platform(tls=server_context(*authority.leaf("localhost", kind=leaf)), name="localhost")
    worker(platform, env={"SSL_CERT_FILE": str(authority.root_file)})
    assert platform.run(1) == {"output": 1}


@pytest.mark.parametrize(
    "cipher, kind",
    [
        ("ECDHE-ECDSA-AES128-GCM-SHA256", "p256"),
        ("ECDHE-ECDSA-AES256-GCM-SHA384", "p256"),
        ("ECDHE-ECDSA-CHACHA20-POLY1305", "p256"),
        ("ECDHE-RSA-AES128-GCM-SHA256", "rsa"),
        ("ECDHE-RSA-AES256-GCM-SHA384", "rsa"),
        ("ECDHE-RSA-CHACHA20-POLY1305", "rsa"),
    ],
)
def test_cipher_suites(make_platform, worker, tmp_path, cipher, kind):
    """Each suite that a modern server may insist on."""
    authority = Authority(tmp_path, kind)
    context = server_context(*authority.leaf("localhost"))
    context.set_ciphers(cipher)
    platform = make_platform(tls=context, name="localhost")
    worker(platform, env={"SSL_CERT_FILE": str(authority.root_file)})
    assert platform.run("x" * 100_000) == {"output": "x" * 100_000}
    assert {connection.tls_cipher for connection in platform.connections} == {cipher}


@pytest.mark.parametrize("curve", ["prime256v1", "secp384r1"])
def test_key_exchange_curves(make_platform, worker, localhost_certificate, curve):
    context = server_context(*localhost_certificate)
    context.set_ecdh_curve(curve)
    platform = make_platform(tls=context, name="localhost")
    worker(platform)
    assert platform.run(1) == {"output": 1}


@pytest.mark.parametrize("host, listen", [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")])
def test_certificate_for_an_address(make_platform, worker, authority, host, listen):
    files = authority.leaf("127.0.0.1", "::1", "other.test", common_name="nobody", tag=f"ip-{listen.replace(':', '_')}")
    platform = make_platform(tls=server_context(*files), name=host, hosts=(listen,))
    worker(platform)
    assert platform.run(1) == {"output": 1}


def test_one_of_many_names(make_platform, worker, authority):
    names = [f"host-{number}.test" for number in range(50)] + ["LocalHost"]
    platform = make_platform(tls=server_context(*authority.leaf(*names, tag="many")), name="localhost")
    worker(platform)
    assert platform.run(1) == {"output": 1}


def test_server_name_is_sent(make_platform, worker, localhost_certificate):
    """SNI: without it many servers show the wrong certificate. An address is not sent."""
    names = []
    context = server_context(*localhost_certificate)
    context.sni_callback = lambda tls, name, ctx: names.append(name)
    platform = make_platform(tls=context, name="localhost")
    worker(platform)
    platform.run(1)
    assert set(names) == {"localhost"}


def test_large_payload_over_tls(tls_platform, worker):
    worker(tls_platform)
    large = {"blob": "ž" * 3_000_000}
    assert tls_platform.run(large) == {"output": large}


def test_sessions_are_resumed(tls_platform, worker):
    """Only the first handshakes are full ones: a connection made later resumes, and resumes over again."""
    worker(tls_platform)
    tls_platform.run(1)
    for number in range(3):
        tls_platform.drop_connections()
        seen = len(tls_platform.connections)
        tls_platform.run(number)
        later = tls_platform.connections[seen:]
        assert later and all(connection.tls_reused for connection in later)


def test_the_job_take_makes_the_full_handshake(tls_platform, worker):
    """Each start: it waits for no other connection; the others resume its session."""
    for _ in range(5):
        seen = len(tls_platform.record)
        before = {route: len(tls_platform.requests(route)) for route in ("take", "ping", "stop")}
        process = worker(tls_platform)
        for route, count in before.items():
            tls_platform.wait_request(route, count + 1)
        first = {}
        for request in tls_platform.record[seen:]:
            first.setdefault(request.route, tls_platform.connections[request.connection - 1])
        assert not first.pop("take").tls_reused
        assert all(connection.tls_reused for connection in first.values())
        process.terminate()
        assert process.wait() == 0


def test_idle_close_over_tls(tls_platform, worker):
    process = worker(tls_platform)
    tls_platform.script("done", answer(200, close=True))
    assert tls_platform.run(1) == {"output": 1}
    assert tls_platform.run(2) == {"output": 2}
    assert not process.lines("WARN|ERROR")


def test_close_delimited_body_needs_the_good_bye(tls_platform, worker):
    """Without close_notify anybody on the way may have cut it: an error, however complete it looks."""
    process = worker(tls_platform)
    head = encode(200, headers=[("Content-Type", "application/json"), ("Connection", "close")], length=False)
    tls_platform.script("take", cut_without_close_notify(head + b'{"id": "cut", "input": 1}'))
    assert tls_platform.run("next") == {"output": "next"}
    assert not tls_platform.requests("done", "cut") and process.lines("WARN|ERROR")


def test_close_delimited_body_with_the_good_bye(tls_platform, worker):

    worker(tls_platform)
    head = encode(200, headers=[("Content-Type", "application/json"), ("Connection", "close")], length=False)
    tls_platform.script("take", raw(head + b'{"id": "whole", "input": 1}', then="close"))
    assert tls_platform.result("whole") == {"output": 1}


def test_cut_in_the_middle_of_a_body(tls_platform, worker):
    worker(tls_platform)
    tls_platform.script("take", cut_without_close_notify(encode(200, {"id": "cut", "input": 1})[:-1]))
    assert tls_platform.run("next") == {"output": "next"}
    assert not tls_platform.requests("done", "cut")


def test_complete_answer_needs_no_good_bye(tls_platform, worker):
    worker(tls_platform)
    tls_platform.script("take", cut_without_close_notify(encode(200, {"id": "complete", "input": 1})))
    assert tls_platform.result("complete") == {"output": 1}


# ---- bad ones ----


def date(text):
    return text.strftime("%Y-%m-%d")


def test_expired(make_platform, worker, authority):
    end = datetime.datetime.now(datetime.timezone.utc) - 3 * DAY
    line = refused(
        worker, make_platform, authority.leaf("localhost", start=-YEAR, end=-3 * DAY, tag="expired"), "(?i)expired"
    )
    assert date(end) in line


def test_not_yet_valid(make_platform, worker, authority):
    start = datetime.datetime.now(datetime.timezone.utc) + 3 * DAY
    line = refused(
        worker,
        make_platform,
        authority.leaf("localhost", start=3 * DAY, end=YEAR, tag="early"),
        "(?i)not (yet )?valid|valid (from|only|after)",
    )
    assert date(start) in line


def test_wrong_host(make_platform, worker, authority):
    refused(
        worker, make_platform, authority.leaf("other.test", tag="wrong"), "(?i)certificate.*(name|host|other|match|for)"
    )


@pytest.mark.parametrize(
    "names",
    [["*"], ["local*"], ["*.localhost"], ["localhost.evil.test"], ["xlocalhost"], ["localhost\0.evil.test"], []],
    ids=repr,
)
def test_names_that_do_not_match(make_platform, worker, authority, names):
    refused(
        worker,
        make_platform,
        authority.leaf(*names, common_name="somebody else", tag="mismatch"),
        "(?i)certificate.*(name|host|match|for)",
    )


def test_wildcard(make_platform, worker, authority, tmp_path):

    files = authority.leaf("*.wild.test", tag="wild")
    platform = make_platform(tls=server_context(*files), name="api.wild.test")
    worker(platform, prefix=hosts_prefix(tmp_path, "127.0.0.1 api.wild.test\n"))
    assert platform.run(1) == {"output": 1}


def test_wildcard_stands_for_one_label(make_platform, worker, authority, tmp_path):

    platform = make_platform(tls=server_context(*authority.leaf("*.wild.test", tag="wild2")), name="a.b.wild.test")
    process = worker(platform, prefix=hosts_prefix(tmp_path, "127.0.0.1 a.b.wild.test\n"))
    process.wait_log(r"a\.b\.wild\.test.*(?i:certificate)|(?i:certificate).*a\.b\.wild\.test")
    assert not platform.record


def test_address_that_is_not_in_the_certificate(make_platform, worker, authority):
    refused(
        worker,
        make_platform,
        authority.leaf("localhost", "127.0.0.2", tag="ip-other"),
        "(?i)certificate",
        name="127.0.0.1",
    )


def test_address_as_a_dns_name_does_not_count(make_platform, worker, authority):
    """A certificate whose only sign of the address is its common name."""
    refused(
        worker,
        make_platform,
        authority.leaf("other.test", common_name="127.0.0.1", tag="ip-cn"),
        "(?i)certificate",
        name="127.0.0.1",
    )


def test_self_signed(make_platform, worker, authority):
    line = refused(worker, make_platform, authority.self_signed("localhost"), "(?i)self-signed|unknown|authority")
    assert "SSL_CERT_FILE" in line


def test_unknown_issuer(make_platform, worker, stranger):
    line = refused(worker, make_platform, stranger.leaf("localhost"), "(?i)unknown|authority")
    assert "SSL_CERT_FILE" in line


def test_builtin_roots_do_not_know_the_tests(make_platform, worker, localhost_certificate):
    line = refused(worker, make_platform, localhost_certificate, "(?i)unknown|authority", env={"SSL_CERT_FILE": None})
    assert "SSL_CERT_FILE" in line


def test_missing_intermediate(make_platform, worker, authority):
    refused(
        worker,
        make_platform,
        authority.leaf("localhost", with_chain=False, tag="no-chain"),
        "(?i)unknown|authority|chain",
    )


def test_leaf_that_plays_authority(make_platform, worker, authority, tmp_path):
    """A leaf signs another one: basic constraints forbid it."""
    leaf_files = authority.leaf("innocent.test", tag="innocent")
    forged = Authority(tmp_path)

    chain = x509.load_pem_x509_certificates(leaf_files[0].read_bytes())
    forged.middle, forged.middle_key = chain[0], serialization.load_pem_private_key(leaf_files[1].read_bytes(), None)
    files = forged.leaf("localhost", tag="forged")
    files[0].write_bytes(
        files[0].read_bytes()
        + b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain[1:])
    )
    refused(worker, make_platform, files, "(?i)certificate")


def test_tls_1_3_only_without_an_alert(make_platform, worker, localhost_certificate):
    """A server that only hangs up (as asyncio does). What one says that sends its alert: test_tls_servers.py."""
    refused(worker, make_platform, localhost_certificate, "(?i)TLS", minimum=ssl.TLSVersion.TLSv1_3, maximum=None)


def test_server_that_answers_the_hello_in_plain_text(platform, worker):
    """What it answered is ignored."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)

        def serve():
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                client.recv(4096)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                client.close()

        threading.Thread(target=serve, daemon=True).start()
        process = worker(
            platform,
            env={"RUNPOD_WEBHOOK_GET_JOB": f"https://localhost:{listener.getsockname()[1]}/v2/x/job-take/$ID?a=b"},
        )
        process.wait_log("localhost.*TLS|TLS.*localhost")
        listener.shutdown(socket.SHUT_RDWR)


def test_plain_http_to_a_tls_server(tls_platform, worker, platform):
    """The other way round: an error, not a crash."""
    take = tls_platform.env()["RUNPOD_WEBHOOK_GET_JOB"].replace("https:", "http:")
    process = worker(platform, env={"RUNPOD_WEBHOOK_GET_JOB": take})
    process.wait_log("WARN|ERROR")


# ---- SSL_CERT_FILE ----


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"no certificate here\n",
        b"\x00\xff" * 500,
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nMIIB",
    ],
    ids=repr,
)
def test_unusable_bundle_is_named(local, tls_platform, tmp_path, content):
    """A worker that quietly fell back to other roots, or to none, would be a trap."""
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_bytes(content)
    done = local(env=tls_platform.env(SSL_CERT_FILE=str(bundle)))
    assert done.returncode == 2 and "SSL_CERT_FILE" in done.stdout and str(bundle) in done.stdout
    assert not tls_platform.record


def test_bundle_with_text_and_many_certificates(tls_platform, worker, authority, stranger, tmp_path):
    """As the system's own bundles look: comments between the certificates, CRLF here and there."""
    bundle = tmp_path / "bundle.pem"
    first = stranger.root_file.read_bytes().replace(b"\n", b"\r\n")
    bundle.write_bytes(
        b"# Strange\n" + first + b"\nsome text\n" + b"# Ours\n" + authority.root_file.read_bytes() + b"end\n"
    )
    worker(tls_platform, env={"SSL_CERT_FILE": str(bundle)})
    assert tls_platform.run(1) == {"output": 1}


def _as_an_editor_leaves_it(text, _):
    return b"\xef\xbb\xbf" + b"".join(line + b" \t\r\n" for line in text.splitlines())


def _with_trust(text, option):
    done = subprocess.run(["openssl", "x509", "-trustout", *option.split()], input=text, capture_output=True, check=True)
    assert b"TRUSTED CERTIFICATE" in done.stdout
    return done.stdout


@pytest.mark.parametrize(
    "change, option",
    [
        (_as_an_editor_leaves_it, ""),
        (_with_trust, "-setalias ours"),
        (_with_trust, "-addtrust serverAuth"),
        (_with_trust, "-addreject emailProtection"),
    ],
)
def test_forms_of_a_bundle(tls_platform, worker, authority, tmp_path, change, option):
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(change(authority.root_file.read_bytes(), option))
    worker(tls_platform, env={"SSL_CERT_FILE": str(bundle)})
    assert tls_platform.run(1) == {"output": 1}


@pytest.mark.parametrize("option", ["-addtrust emailProtection", "-addreject serverAuth"])
def test_trust_that_excludes_servers(local, tls_platform, authority, tmp_path, option):
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(_with_trust(authority.root_file.read_bytes(), option))
    done = local(env=tls_platform.env(SSL_CERT_FILE=str(bundle)))
    assert done.returncode == 2 and "SSL_CERT_FILE" in done.stdout and "servers" in done.stdout
    assert not tls_platform.record


def test_bundle_of_the_whole_system(tls_platform, worker, authority, tmp_path):

    system = Path("/etc/ssl/certs/ca-certificates.crt")
    if not system.exists():
        pytest.skip("this system has no certificate bundle")
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(system.read_bytes() + authority.root_file.read_bytes())
    worker(tls_platform, env={"SSL_CERT_FILE": str(bundle)})
    assert tls_platform.run(1) == {"output": 1}


def test_job_without_tls_needs_no_bundle(platform, worker):
    """A bundle that nobody uses does not keep a worker of a plain platform from its jobs... if it is readable."""
    worker(platform, env={"SSL_CERT_FILE": None})
    platform.script("take", hand_out({"id": "p", "input": 1}))
    assert platform.result("p") == {"output": 1}
