"""Server certificates for the platform, as the public web has them: root, intermediate, leaf."""

import datetime
import ipaddress
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

KINDS = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RSA-2048": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
}


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(authority, ecdsa):
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        key_encipherment=not authority and not ecdsa,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _issue(subject, key, issuer, issuer_key, depth):
    """One certificate. `depth`: how many authorities may follow; None makes a server's."""
    now = datetime.datetime.now(datetime.timezone.utc)
    authority = depth is not None
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=depth), critical=True)
        .add_extension(
            _usage(authority, isinstance(key, ec.EllipticCurvePrivateKey)), critical=True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )
    if not authority:
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        server = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH])
        builder = builder.add_extension(server, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _pem(*certificates):
    return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)


def make(kind, folder):
    """Makes a chain with keys of `kind`. Returns the files of: roots, server's chain and key."""
    root_key, middle_key, key = (KINDS[kind]() for _ in range(3))
    root = _issue("bench root", root_key, "bench root", root_key, 1)
    middle = _issue("bench intermediate", middle_key, "bench root", root_key, 0)
    leaf = _issue("localhost", key, "bench intermediate", middle_key, None)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    paths = []
    for part, content in (("roots", _pem(root)), ("chain", _pem(leaf, middle)), ("key", private)):
        path = os.path.join(folder, f"{kind}-{part}.pem")
        with open(path, "wb") as f:
            f.write(content)
        paths.append(path)
    return tuple(paths)


def many_roots(root, count, path):
    """Writes a file of `count` roots, that of the file `root` the last. Their keys are two, which costs nobody anything."""
    keys = [rsa.generate_private_key(public_exponent=65537, key_size=4096), ec.generate_private_key(ec.SECP384R1())]
    names = [f"bench root {number}" for number in range(1, count)]
    others = [_issue(name, keys[n % 2], name, keys[n % 2], 1) for n, name in enumerate(names)]
    with open(root, "rb") as last, open(path, "wb") as f:
        f.write(_pem(*others) + last.read())
    return path
