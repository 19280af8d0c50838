"""Chains of certificates for the comparison with OpenSSL: chain, roots, host."""

import datetime
import functools
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID as Purpose
from cryptography.x509.oid import NameOID, ObjectIdentifier

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
DAY = datetime.timedelta(days=1)
UTF8, PRINTABLE = _ASN1Type.UTF8String, _ASN1Type.PrintableString
UNKNOWN = x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")


@functools.lru_cache(maxsize=None)
def key(label, kind="p256"):
    """One key a label and kind, made when first asked for."""
    if kind.startswith("rsa"):
        return rsa.generate_private_key(65537, int(kind[3:]))
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(
        {"p256": ec.SECP256R1, "p384": ec.SECP384R1, "p521": ec.SECP521R1}[kind]()
    )


def name(text, kind=UTF8, organization=None):
    parts = (
        []
        if organization is None
        else [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization, kind)]
    )
    return x509.Name(parts + [x509.NameAttribute(NameOID.COMMON_NAME, text, kind)])


def sans(*names):
    def one(text):
        if "://" in text:
            return x509.UniformResourceIdentifier(text)
        if "@" in text:
            return x509.RFC822Name(text)
        try:
            return x509.IPAddress(ipaddress.ip_address(text))
        except ValueError:
            return x509.DNSName(text)

    return x509.SubjectAlternativeName([one(text) for text in names])


def usage(*wanted):
    fields = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement "
        "key_cert_sign crl_sign encipher_only decipher_only"
    )
    return x509.KeyUsage(**{field: field in wanted for field in fields.split()})


def constraints(permitted=(), excluded=()):
    def subtree(text):
        if isinstance(text, x509.Name):
            return x509.DirectoryName(text)
        if text.startswith("uri:"):
            return x509.UniformResourceIdentifier(text[4:])
        if text.startswith("mail:"):
            return x509.RFC822Name(text[5:])
        try:
            return x509.IPAddress(ipaddress.ip_network(text))
        except ValueError:
            return x509.DNSName(text)

    return x509.NameConstraints(
        [subtree(t) for t in permitted] or None, [subtree(t) for t in excluded] or None
    )


def certificate(
    subject,
    issuer,
    own="leaf",
    by="middle",
    ca=False,
    path_length=None,
    start=-30 * DAY,
    end=30 * DAY,
    extensions=(),
    critical=(),
    digest=hashes.SHA256(),
    pss=False,
    basic=True,
):
    """own and by are keys or their labels; extensions in `critical` are marked so."""
    own = key(own) if isinstance(own, str) else own
    by = key(by) if isinstance(by, str) else by
    subject = name(subject) if isinstance(subject, str) else subject
    issuer = name(issuer) if isinstance(issuer, str) else issuer
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(own.public_key())
    )
    builder = (
        builder.serial_number(x509.random_serial_number())
        .not_valid_before(NOW + start)
        .not_valid_after(NOW + end)
    )
    if basic:
        builder = builder.add_extension(
            x509.BasicConstraints(ca=ca, path_length=path_length), critical=True
        )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    for extension in critical:
        builder = builder.add_extension(extension, critical=True)
    if isinstance(by, ed25519.Ed25519PrivateKey):
        digest = None
    scheme = padding.PSS(padding.MGF1(hashes.SHA256()), 32) if pss else None
    return builder.sign(by, digest, rsa_padding=scheme) if pss else builder.sign(by, digest)


def root(subject="Root", **options):
    return certificate(subject, options.pop("issuer", subject), "root", "root", ca=True, **options)


def middle(subject="Middle", issuer="Root", own="middle", by="root", **options):
    return certificate(subject, issuer, own, by, ca=options.pop("ca", True), **options)


def leaf(*names, issuer="Middle", by="middle", **options):
    extensions = list(options.pop("extensions", ())) + ([sans(*names)] if names else [])
    return certificate(
        options.pop("subject", "server"), issuer, by=by, extensions=extensions, **options
    )


def purposes(*oids):
    return x509.ExtendedKeyUsage(list(oids))


SERVER, CLIENT, ANY = Purpose.SERVER_AUTH, Purpose.CLIENT_AUTH, Purpose.ANY_EXTENDED_KEY_USAGE
CASES = {}


def case(label, chain, roots=None, host="www.a.test", differs=None):
    """differs: why the worker's verdict is not OpenSSL's, on purpose."""
    assert label not in CASES
    CASES[label] = (chain, [root()] if roots is None else roots, host, differs)


def constrained(label, *names, host=None, root_too=True, **subtrees):
    """The constraints in an intermediate, critical and not, and in the root."""
    limits, host = constraints(**subtrees), host or names[0]
    case(f"names: {label}", [leaf(*names), middle(critical=[limits])], host=host)
    case(f"names: {label}, not critical", [leaf(*names), middle(extensions=[limits])], host=host)
    if root_too:
        case(
            f"names: {label}, in the root",
            [leaf(*names), middle()],
            [root(critical=[limits])],
            host=host,
        )


def _orders():
    good = leaf("www.a.test")
    case("plain", [good, middle()])
    case("root in the file's place of the issuer", [leaf("www.a.test", issuer="Root", by="root")])
    case("the root is sent too", [good, middle(), root()])
    case("in disorder", [good, root(), middle()])
    case("intermediate missing", [good])
    case("wrong root", [good, middle()], [root("Other")])
    case("root of another key", [good, middle(by="other")])
    case("strangers", [good, middle("X", "Y", "x", "y"), middle(), leaf("b.test")])
    case("expired version first", [good, middle(end=-DAY), middle()])
    why = "OpenSSL takes the first issuer that fits by name and date; here the next one is tried"
    case("wrong key first", [good, middle(own="other"), middle()], differs=why)
    case("not a CA first", [good, middle(ca=False), middle()], differs=why)
    case(
        "constrained version first",
        [good, middle(critical=[constraints(["b.test"])]), middle()],
        differs=why,
    )
    loop = [middle("A", "B", "a", "b"), middle("B", "A", "b", "a")]
    under_loop = leaf("www.a.test", issuer="A", by="a")
    case("a loop and no way out", [under_loop, *loop])
    case("a loop and a way out", [under_loop, *loop, middle("B", "Root", "b", "root")], differs=why)
    case("an intermediate is trusted", [good], [middle()])
    case("an expired intermediate is trusted", [good], [middle(end=-DAY)])
    own = certificate("www.a.test", "www.a.test", "leaf", "leaf", extensions=[sans("www.a.test")])
    case("self-signed and trusted", [own], [own])
    case("self-signed", [own])
    own_ca = certificate(
        "www.a.test", "www.a.test", "leaf", "leaf", ca=True, extensions=[sans("www.a.test")]
    )
    case("self-signed CA and trusted", [own_ca], [own_ca])
    case("the server's own, trusted", [good], [good])
    case(
        "a leaf plays authority",
        [leaf("www.a.test", issuer="server", by="leaf", own="x"), good, middle()],
    )


def _dates():
    early, late = {"start": DAY}, {"end": -DAY}
    for when, dates in (("early", early), ("late", late)):
        case(f"{when} leaf", [leaf("www.a.test", **dates), middle()])
        case(f"{when} intermediate", [leaf("www.a.test"), middle(**dates)])
        case(f"{when} root", [leaf("www.a.test"), middle()], [root(**dates)])
    case("expired root beside a good one", [leaf("www.a.test"), middle()], [root(end=-DAY), root()])


def _purposes():
    for label, oids in {"server": [SERVER], "client": [CLIENT], "both": [CLIENT, SERVER]}.items():
        case(f"purpose {label}", [leaf("www.a.test", extensions=[purposes(*oids)]), middle()])
        case(
            f"critical purpose {label}", [leaf("www.a.test", critical=[purposes(*oids)]), middle()]
        )
        case(
            f"purpose {label} of the intermediate",
            [leaf("www.a.test"), middle(extensions=[purposes(*oids)])],
        )
        case(
            f"purpose {label} of the root",
            [leaf("www.a.test"), middle()],
            [root(extensions=[purposes(*oids)])],
        )
    why = "any purpose includes servers (RFC 5280, 4.2.1.12)"
    case("any purpose", [leaf("www.a.test", extensions=[purposes(ANY)]), middle()], differs=why)
    case(
        "any purpose of the intermediate",
        [leaf("www.a.test"), middle(extensions=[purposes(ANY)])],
        differs=why,
    )


def _authorities():
    good = leaf("www.a.test")
    case("intermediate is not a CA", [good, middle(ca=False)])
    case("intermediate without basic constraints", [good, middle(basic=False)])
    case("intermediate may sign", [good, middle(critical=[usage("key_cert_sign")])])
    case("intermediate may not sign", [good, middle(critical=[usage("digital_signature")])])
    case("root may not sign", [good, middle()], [root(critical=[usage("crl_sign")])])
    case("path of 0 is enough", [good, middle(path_length=0)])
    two = [good, middle(issuer="Upper", by="upper"), middle("Upper", own="upper", path_length=0)]
    case("path of 0 is too short", two)
    case("path of 1 is enough", [*two[:2], middle("Upper", own="upper", path_length=1)])
    case("root's path of 0 is too short", [good, middle()], [root(path_length=0)])
    case("root's path of 1 is enough", [good, middle()], [root(path_length=1)])
    ids = {
        label: x509.SubjectKeyIdentifier.from_public_key(key(label).public_key())
        for label in ("middle", "upper")
    }
    by_id = {
        label: x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ids[label])
        for label in ids
    }
    self_issued = [
        leaf("www.a.test", extensions=[by_id["middle"]]),
        middle(issuer="Middle", by="upper", extensions=[by_id["upper"], ids["middle"]]),
        middle(own="upper", path_length=0, extensions=[ids["upper"]]),
    ]
    case("self-issued ones do not count", self_issued)
    case("unknown critical extension", [leaf("www.a.test", critical=[UNKNOWN]), middle()])
    case("unknown extension", [leaf("www.a.test", extensions=[UNKNOWN]), middle()])
    case("unknown critical extension of the intermediate", [good, middle(critical=[UNKNOWN])])
    case("unknown critical extension of the root", [good, middle()], [root(critical=[UNKNOWN])])


def _hosts():
    def one(label, names, host, differs=None):
        case(f"host: {label}", [leaf(*names), middle()], host=host, differs=differs)

    one("exact", ["www.a.test"], "www.a.test")
    one("another case", ["WWW.a.Test"], "www.A.test")
    one("one of many", ["x.test", "y.test", "www.a.test"], "www.a.test")
    one("another", ["a.test"], "www.a.test")
    one("wildcard", ["*.a.test"], "www.a.test")
    one("wildcard and its domain", ["*.a.test"], "a.test")
    one("wildcard and two labels", ["*.a.test"], "x.www.a.test")
    one("wildcard within", ["www.*.test"], "www.a.test")
    one(
        "part of a label",
        ["w*.a.test"],
        "www.a.test",
        "a wildcard is a whole label (RFC 9525, 6.3)",
    )
    one(
        "wildcard of a top level",
        ["*.test"],
        "a.test",
        "which top levels are public is not known here",
    )
    one("bare wildcard", ["*"], "localhost")
    one("address", ["10.1.2.3"], "10.1.2.3")
    one("another address", ["10.1.2.4", "a.test"], "10.1.2.3")
    one("IPv6 address", ["2001:db8::1"], "2001:db8:0::1")
    one("no names", [], "server", "a common name does not count (RFC 9525, 2)")
    one("common name beside others", ["x.test"], "server")
    one("mail and URI only", ["me@a.test", "https://www.a.test"], "www.a.test")


def _constraints():
    constrained("permitted", "www.a.test", permitted=["a.test"])
    constrained("permitted itself", "a.test", permitted=["a.test"])
    constrained("permitted in another case", "www.A.test", permitted=["a.TEST"])
    constrained("not permitted", "www.a.test", permitted=["b.test"])
    constrained("permitted by suffix only", "xa.test", permitted=["a.test"])
    constrained("one of two not permitted", "www.a.test", "b.test", permitted=["a.test"])
    constrained("two permitted", "www.a.test", permitted=["b.test", "a.test"])
    constrained("excluded", "www.a.test", excluded=["a.test"])
    constrained("another excluded", "www.a.test", excluded=["b.test"])
    constrained("permitted and excluded", "www.a.test", permitted=["test"], excluded=["a.test"])
    constrained("leading dot permitted", "www.a.test", permitted=[".a.test"])
    constrained("leading dot, the domain itself", "a.test", permitted=[".a.test"])
    constrained("leading dot excluded", "www.a.test", excluded=[".a.test"])
    constrained("wildcard permitted", "*.a.test", host="www.a.test", permitted=["a.test"])
    constrained("wildcard excluded", "*.a.test", host="www.a.test", excluded=["a.test"])
    constrained("address permitted", "10.1.2.3", permitted=["10.0.0.0/8"])
    constrained("address not permitted", "10.1.2.3", permitted=["192.168.0.0/16"])
    constrained("address excluded", "10.1.2.3", excluded=["10.1.0.0/16"])
    constrained("IPv6 address permitted", "2001:db8::1", permitted=["2001:db8::/32"])
    constrained("only addresses permitted, host is a name", "www.a.test", permitted=["10.0.0.0/8"])
    constrained("only names permitted, host is an address", "10.1.2.3", permitted=["a.test"])
    constrained("mail not permitted", "www.a.test", "me@b.test", permitted=["mail:a.test"])
    constrained("mail permitted", "www.a.test", "me@a.test", permitted=["mail:a.test"])
    constrained("URI permitted", "www.a.test", "https://a.test/x", permitted=["uri:a.test"])
    constrained("URI not permitted", "www.a.test", "https://b.test/x", permitted=["uri:a.test"])
    acme = [name("server", organization="Acme")]
    for label, limit, good in (
        ("permitted", acme[0], True),
        ("not permitted", name("x", organization="B"), False),
    ):
        only = x509.Name(list(limit)[:1])
        case(
            f"directory {label}",
            [leaf("www.a.test", subject=acme[0]), middle(critical=[constraints([only])])],
        )
        case(
            f"directory {'excluded' if good else 'not excluded'}",
            [leaf("www.a.test", subject=acme[0]), middle(critical=[constraints(excluded=[only])])],
        )
    upper = middle("Upper", own="upper", critical=[constraints(["a.test"])])
    narrower = middle(issuer="Upper", by="upper", critical=[constraints(["www.a.test"])])
    case("names: both of two", [leaf("www.a.test"), narrower, upper])
    case("names: one of two", [leaf("b.a.test"), narrower, upper], host="b.a.test")
    case(
        "names: a single excluded one below a wildcard",
        [leaf("*.a.test"), middle(critical=[constraints(excluded=["www.a.test"])])],
        host="b.a.test",
        differs="a wildcard that covers an excluded name is excluded",
    )


def _names():
    def one(label, subject, issuer):
        case(f"spelling: {label}", [leaf("www.a.test", issuer=issuer), middle(subject)])

    one("string type", name("The Middle", PRINTABLE), name("The Middle"))
    one("case", name("The Middle"), name("the MIDDLE"))
    one("blanks", name("The Middle"), name(" The   Middle "))
    one("all", name("The Middle", PRINTABLE), name("the  middle"))
    one("other", name("The Middle"), name("TheMiddle"))
    case("spelling: the root's", [leaf("www.a.test"), middle(issuer=name("ROOT", PRINTABLE))])


def _algorithms():
    def kind(label, own, differs=None, **options):
        under = leaf("www.a.test", by=own)
        case(f"algorithm: {label}", [under, middle(own=own, **options)], differs=differs)

    kind("RSA 2048", key("rsa", "rsa2048"))
    kind("RSA 4096", key("rsa", "rsa4096"))
    kind("P-384", key("p384", "p384"))
    kind("P-521", key("p521", "p521"))
    kind("RSA 1024", key("rsa", "rsa1024"), "RSA keys have 2048 bits at least")
    kind("Ed25519", key("ed", "ed25519"), "BearSSL has no Ed25519")
    under_rsa = middle(own=key("rsa", "rsa2048"))
    pss = leaf("www.a.test", by=key("rsa", "rsa2048"), pss=True)
    case("algorithm: RSA-PSS", [pss, under_rsa], differs="BearSSL has no RSA-PSS")
    for digest in (hashes.SHA384(), hashes.SHA512()):
        case(
            f"algorithm: {digest.name}", [leaf("www.a.test", digest=digest), middle(digest=digest)]
        )


def _usages():
    def one(label, *bits, differs=None):
        case(
            f"usage: {label}",
            [leaf("www.a.test", critical=[usage(*bits)]), middle()],
            differs=differs,
        )

    one("signing", "digital_signature")
    one("both", "digital_signature", "key_encipherment")
    one(
        "encryption",
        "key_encipherment",
        differs="this worker's key exchange is ECDHE, which needs a signature",
    )
    one(
        "key agreement",
        "key_agreement",
        differs="this worker's key exchange is ECDHE, which needs a signature",
    )
    one("certificates", "key_cert_sign")
    one("commitments", "content_commitment")
    one("commitments and signing", "content_commitment", "digital_signature")


@functools.lru_cache(maxsize=None)
def cases():
    """{label: (the server's chain, roots, host, why the worker differs from OpenSSL or None)}"""
    for group in (
        _orders,
        _dates,
        _purposes,
        _authorities,
        _hosts,
        _constraints,
        _names,
        _algorithms,
        _usages,
    ):
        group()
    return CASES


def pem(certificates):
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)


def der(certificates):
    return b"".join(each.public_bytes(serialization.Encoding.DER) for each in certificates)
