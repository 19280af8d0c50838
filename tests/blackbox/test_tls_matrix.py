"""Verdicts on chains beside those of `openssl verify`: the same, or different for a reason."""

import datetime
import ipaddress
import re
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization

import chains
from chains import CLIENT, cases, constraints, der, key, leaf, middle, pem, purposes, root, usage
from own_handlers import own
from testplatform import server_context

AT = int(chains.NOW.timestamp())


def openssl_accepts(folder, chain, roots, host):
    """As a TLS client would be asked: the purpose is a server's, roots need not be self-signed."""
    (folder / "leaf.pem").write_bytes(pem(chain[:1]))
    (folder / "others.pem").write_bytes(pem(chain[1:]))
    (folder / "roots.pem").write_bytes(pem(roots))
    try:
        ipaddress.ip_address(host)
        peer = "-verify_ip"
    except ValueError:
        peer = "-verify_hostname"
    command = "openssl verify -partial_chain -purpose sslserver -no-CApath".split()
    command += ["-attime", str(AT), peer, host]
    if len(chain) > 1:
        command += ["-untrusted", folder / "others.pem"]
    command += ["-CAfile", folder / "roots.pem", folder / "leaf.pem"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 2), done.stderr
    return done.returncode == 0


def ask(folder, questions):
    """The worker's verdicts, in order: "good", or the error's text; for (chain, roots, host)."""
    lines = []
    for number, (chain, roots, host) in enumerate(questions):
        (folder / f"{number}.der").write_bytes(der(chain))
        (folder / f"{number}.pem").write_bytes(pem(roots))
        lines.append(f"{host} {AT} {folder}/{number}.pem {folder}/{number}.der\n")
    done = subprocess.run(
        [own("verdict")], input="".join(lines), capture_output=True, text=True, check=True
    )
    verdicts = done.stdout.splitlines()
    assert len(verdicts) == len(questions)
    return verdicts


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    table = cases()
    folder = tmp_path_factory.mktemp("verdicts")
    return dict(zip(table, ask(folder, [case[:3] for case in table.values()])))


@pytest.mark.parametrize("label", list(cases()))
def test_same_verdict_as_openssl(verdicts, tmp_path, label):
    chain, roots, host, differs = cases()[label]
    accepted = verdicts[label] == "good"
    agrees = accepted == openssl_accepts(tmp_path, chain, roots, host)
    assert agrees == (differs is None), verdicts[label]
    if not accepted:
        assert host in verdicts[label]


@pytest.mark.parametrize(
    "label, text",
    [
        (
            "purpose client of the intermediate",
            r"that of its authority \(Middle\) is not for servers",
        ),
        ("names: not permitted", r"authority \(Middle\) may not issue certificates for this name"),
        (
            "names: not permitted, in the root",
            r"authority \(Root\) may not issue certificates for this name",
        ),
        ("late root", r"that of its authority \(Root\) expired on 2025-12-31"),
        ("intermediate may not sign", r"\(Middle\) may not sign certificates \(keyCertSign"),
        ("usage: encryption", "key that may not sign: its key usage has keyEncipherment"),
        ("usage: certificates", "key that may not sign: its key usage has no digitalSignature"),
        ("unknown critical extension", "critical extension"),
        ("algorithm: Ed25519", "uses Ed25519, which this worker does not accept"),
        ("path of 0 is too short", "CA with too long a chain"),
    ],
)
def test_the_reason_is_in_the_text(verdicts, label, text):
    assert re.search(text, verdicts[label]), verdicts[label]


def test_two_hundred_certificates_that_issue_one_another(tmp_path):
    """A server cannot make the worker search for ever: the check ends, and refuses."""
    labels = [f"loop {number}" for number in range(14)]
    tangle = [middle(a, b, a, b) for a in labels for b in labels if a != b]
    verdict = ask(
        tmp_path,
        [([leaf("www.a.test", issuer=labels[0], by=labels[0]), *tangle], [root()], "www.a.test")],
    )
    assert "www.a.test" in verdict[0] and verdict[0] != "good"


RSA_KEY = key("rsa", "rsa2048")
OVER_THE_WIRE = {
    "plain": (lambda: [leaf("localhost"), middle()], root, True),
    "expired version first": (
        lambda: [leaf("localhost"), middle(end=-chains.DAY), middle()],
        root,
        True,
    ),
    "permitted": (
        lambda: [leaf("localhost"), middle(critical=[constraints(["localhost"])])],
        root,
        True,
    ),
    "not permitted": (
        lambda: [leaf("localhost"), middle(extensions=[constraints(["a.test"])])],
        root,
        False,
    ),
    "not permitted by the root": (
        lambda: [leaf("localhost"), middle()],
        lambda: root(critical=[constraints(["a.test"])]),
        False,
    ),
    "intermediate for clients": (
        lambda: [leaf("localhost"), middle(extensions=[purposes(CLIENT)])],
        root,
        False,
    ),
    "expired root": (
        lambda: [leaf("localhost"), middle()],
        lambda: root(end=-chains.DAY),
        False,
    ),
    "RSA for encryption only": (
        lambda: [
            leaf("localhost", own=RSA_KEY, critical=[usage("key_encipherment")]),
            middle(),
        ],
        root,
        False,
    ),
}


@pytest.mark.parametrize("label", list(OVER_THE_WIRE))
def test_the_worker_itself(make_platform, worker, tmp_path, monkeypatch, label):
    """A handful again, in a real handshake, with dates around today."""
    monkeypatch.setattr(chains, "NOW", datetime.datetime.now(datetime.timezone.utc))
    make_chain, make_root, accepted = OVER_THE_WIRE[label]
    certificate, secret, roots = (tmp_path / name for name in ("chain.pem", "key.pem", "roots.pem"))
    certificate.write_bytes(pem(make_chain()))
    form = (
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    own_key = RSA_KEY if label.startswith("RSA") else key("leaf")
    secret.write_bytes(own_key.private_bytes(*form))
    roots.write_bytes(pem([make_root()]))
    platform = make_platform(tls=server_context(certificate, secret), name="localhost")
    process = worker(platform, env={"SSL_CERT_FILE": str(roots)})
    if accepted:
        assert platform.run(1) == {"output": 1}
        assert not process.lines("WARN|ERROR")
    else:
        process.wait_log("certificate of localhost")
        process.terminate()
        assert process.wait() == 0 and not platform.record
