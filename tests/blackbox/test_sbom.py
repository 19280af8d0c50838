"""worker --sbom: valid by the public schema, and what it says is what is there."""

import gzip
import hashlib
import json
import os
import re
import ssl
import subprocess
from pathlib import Path

import pytest

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from workerproc import BUILD, ROOT

ROOTS = Path("/usr/share/ca-certificates/mozilla")
COMPILED = {".c", ".h", ".def", ".inc", ".html", ".json", ".mk"}


@pytest.fixture(scope="module")
def printed():
    done = subprocess.run([str(BUILD / "worker"), "--sbom"], env={}, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


@pytest.fixture(scope="module")
def document(printed):
    return json.loads(printed)


@pytest.fixture(scope="module")
def components(document):
    return {component["name"]: component for component in document["components"]}


def own_property(document, name):
    (found,) = [one["value"] for one in document["metadata"]["component"]["properties"] if one["name"] == f"slim-worker:{name}"]
    return found


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_schema(printed, document):
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(printed) is None
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")


def test_same_document_wherever_it_is_looked_for(printed, local, tmp_path):
    """Printed by both stock binaries, beside the build, and taken out of a binary that is not run."""
    assert local("--sbom", handler="worker-gpu").stdout == printed
    subprocess.run(["objcopy", "-O", "binary", "--only-section=.sbom", BUILD / "worker", tmp_path / "sbom.gz"], check=True)
    assert gzip.decompress((tmp_path / "sbom.gz").read_bytes()).decode() == printed


def test_vendored_sources_are_those_of_the_lock(components):
    lock = [line.split() for line in (ROOT / "vendor/lock").read_text("utf-8").splitlines() if line and line[0] != "#"]
    for name in ("bearssl", "jsmn", "rust-ring"):
        (version, digest, licence) = next((row[1], row[3], row[4]) for row in lock if row[0] == name)
        component = components[name]
        (source,) = [one for one in component["externalReferences"] if one["type"] == "source-distribution"]
        assert component["version"] == version and component["licenses"] == [{"expression": licence}]
        assert source["hashes"] == [{"alg": "SHA-256", "content": digest}]


def test_libraries_of_the_distribution(components):
    libgcc = subprocess.run(["gcc", "-print-libgcc-file-name"], capture_output=True, text=True, check=True).stdout.strip()
    libc = f"/usr/lib/{os.uname().machine}-linux-musl/libc.a"
    for name, path in (("musl", libc), ("libgcc", libgcc)):
        assert components[name]["hashes"] == [{"alg": "SHA-256", "content": sha256(path)}]
        assert re.fullmatch(r"\d+\.\d+\.\d+", components[name]["version"])


def test_every_root_certificate_by_its_fingerprint(components):
    """As Mozilla publishes them: the SHA-256 of the certificate."""
    listed = [(one["name"], one["hashes"][0]["content"]) for one in components["ca-certificates"]["components"]]
    there = [
        (path.stem, hashlib.sha256(ssl.PEM_cert_to_DER_cert(path.read_text("ascii").strip())).hexdigest())
        for path in ROOTS.glob("*.crt")
    ]
    assert sorted(listed) == sorted(there) and len(listed) > 100


def test_digest_of_the_sources(document):
    """Computed here as vendor/sbom.sh says it is."""
    kept_out = ("src/handlers/", "vendor/kit/")
    paths = [path.relative_to(ROOT) for folder in ("src", "vendor") for path in (ROOT / folder).rglob("*") if path.is_file()]
    names = [
        str(path)
        for path in paths
        if not str(path).startswith(kept_out)
        and not any(part.startswith(".") for part in path.parts)
        and (path.suffix in COMPILED or path.name == "lock")
    ]
    lines = "".join(f"{sha256(ROOT / name)}  {name}\n" for name in sorted(names))
    assert own_property(document, "source:sha256") == hashlib.sha256(lines.encode()).hexdigest()


def test_flags_are_those_of_the_build(document):
    flags = own_property(document, "flags:core").split()
    for flag in ("-fstack-protector-strong", "-fPIE", "-flto=auto"):
        assert flag in flags
    assert own_property(document, "flags:core:O2-instead").split()[0] == "src/json/doc.c"
    assert "-Wl,-z,relro,-z,now" in own_property(document, "flags:link").split()
    assert not [word for word in own_property(document, "flags:link").split() if "/" in word or word == "-g"]


def test_output_that_takes_nothing_is_an_error():
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [str(BUILD / "worker"), "--sbom"], env={}, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1 and "--sbom: standard output: No space left on device" in done.stderr


def test_handler_without_it_says_so(local):
    done = local("--sbom", handler="echo")
    assert done.returncode == 2 and done.stdout.startswith("worker: --sbom:") and "sbom.cdx.json" in done.stdout


@pytest.mark.parametrize("missing", [None, "LIBGCC", "MUSL_LIB", "ROOTS_DIR", "CC", "OPTIONS_LINK"])
def test_document_without_a_part_is_not_written(tmp_path, missing):
    """A file that cannot be read ends the build, rather than leave its digest empty."""
    libgcc = subprocess.run(["gcc", "-print-libgcc-file-name"], capture_output=True, text=True, check=True).stdout.strip()
    machine = os.uname().machine
    env = {"TARGET": machine, "CC": "gcc", "MUSL_LIB": f"/usr/lib/{machine}-linux-musl", "LIBGCC": libgcc, "ROOTS_DIR": str(ROOTS)}
    env |= {"OPTIONS_CORE": "-O2", "OPTIONS_TLS": "-O2", "OPTIONS_LINK": "-static", "PATH": os.environ["PATH"]}
    if missing and missing.startswith("OPTIONS"):
        del env[missing]
    elif missing:
        env[missing] = "/nonexistent"
    out = tmp_path / "sbom.json"
    done = subprocess.run([ROOT / "vendor/sbom.sh", out], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (missing is None), done.stderr
    assert out.exists() == (missing is None)
