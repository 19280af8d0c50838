"""Certificates for the TLS tests, made when a test asks for them."""

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
CURVES = {"p256": ec.SECP256R1, "p384": ec.SECP384R1}


def new_key(kind):
    """kind: rsa, p256 or p384."""
    return rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(CURVES[kind]())


def _name(text):
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "slim-worker tests"),
            x509.NameAttribute(NameOID.COMMON_NAME, text),
        ]
    )


def _pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


class Authority:
    """A root, an intermediate under it, and leaves from the intermediate."""

    def __init__(self, folder, kind="p256", name="Test Root"):
        self.folder = folder
        self.kind = kind
        self.root_key = new_key(kind)
        self.root = self._sign(_name(name), self.root_key, _name(name), self.root_key, ca=True)
        self.middle_key = new_key(kind)
        self.middle = self._sign(
            _name(f"{name} Intermediate"), self.middle_key, self.root.subject, self.root_key, ca=True
        )
        self.root_file = folder / f"{name.replace(' ', '-')}.pem"
        self.root_file.write_bytes(_pem(self.root))

    def _sign(self, subject, key, issuer, issuer_key, ca, names=(), start=-30 * DAY, end=30 * DAY):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + start)
            .not_valid_after(now + end)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(_usage(ca), critical=True)
        )
        if not ca:
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_alt_name(name) for name in names]), critical=False
            )
        digest = hashes.SHA384() if self.kind == "p384" else hashes.SHA256()
        return builder.sign(issuer_key, digest)

    def leaf(self, *names, common_name=None, start=-30 * DAY, end=30 * DAY, kind=None, with_chain=True, tag="leaf"):
        """A server's certificate for these names (host names or addresses): (chain file, key file)."""
        key = new_key(kind or self.kind)
        certificate = self._sign(
            _name(common_name or (names[0] if names else "nobody")),
            key,
            self.middle.subject,
            self.middle_key,
            ca=False,
            names=names,
            start=start,
            end=end,
        )
        chain = [certificate, self.middle] if with_chain else [certificate]
        return self._write(tag, chain, key)

    def self_signed(self, *names, tag="self-signed"):
        key = new_key(self.kind)
        subject = _name(names[0])
        return self._write(tag, [self._sign(subject, key, subject, key, ca=False, names=names)], key)

    def _write(self, tag, chain, key):
        chain_file, key_file = self.folder / f"{tag}.crt", self.folder / f"{tag}.key"
        chain_file.write_bytes(b"".join(_pem(certificate) for certificate in chain))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        key_file.chmod(0o644)  # nginx and a container's unprivileged user read it; it guards nothing
        return chain_file, key_file


def _alt_name(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(ca):
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
