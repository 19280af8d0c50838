"""What goes with a kit across an air gap: its sources, its provenance, signatures, and how two kits are compared."""

import contextlib
import hashlib
import json
import os
import pty
import re
import shutil
import subprocess
import tarfile

import pytest

from shell import VERSION, sh
from workerproc import BUILD, ROOT

# In one process with the others that build in the same folder.
pytestmark = pytest.mark.xdist_group("build")
KIT = ROOT / "build/kit"
MACHINE = os.uname().machine
OTHER = "aarch64" if MACHINE == "x86_64" else "x86_64"


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def only(ending):
    """Of this version; others may lie beside it."""
    return KIT / f"slim-worker-{VERSION}{ending}"


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    if not shutil.which("ssh-keygen"):
        pytest.skip("no ssh-keygen here: signatures were NOT tested")
    file = tmp_path_factory.mktemp("key") / "release"
    sh(f"ssh-keygen -q -t ed25519 -N '' -C release@example.org -f {file}", "/")
    return file


@pytest.fixture(scope="module")
def release(key):
    """The kit, its sources and its provenance, signed; what was said."""
    return sh(f"./build.sh --offline kit --sign {key}", ROOT)


@pytest.fixture(scope="module")
def unpacked(release, tmp_path_factory):
    folder = tmp_path_factory.mktemp("the sources")
    with tarfile.open(only("-sources.tar")) as packed:
        for member in packed:
            assert (member.mtime, member.uid, member.gid, member.uname) == (0, 0, 0, ""), member.name
        packed.extractall(folder)
    (tree,) = folder.iterdir()
    return tree


def test_sources_are_whole_and_the_same_each_time(unpacked):
    """With digests of all; packed again from what was unpacked, they are the same bytes."""
    sh("sha256sum --quiet -c SHA256SUMS", unpacked)
    summed = {line.split("  ", 1)[1] for line in (unpacked / "SHA256SUMS").read_text("utf-8").splitlines()}
    there = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    assert summed == there - {"SHA256SUMS"}
    assert {"build.sh", "vendor/lock", "src/main.c", "tests/run.sh", "LICENSE"} <= there
    sh("mkdir -p build/kit && touch build/left-over && vendor/kit/sources.sh", unpacked)
    (again,) = (unpacked / "build/kit").glob("*.tar")
    assert sha256(again) == sha256(only("-sources.tar"))


def test_sources_are_what_git_tracks(unpacked, tmp_path):
    """By whatever path the folder is reached; where git does not work, nothing is guessed."""
    tree = tmp_path / "tree"
    shutil.copytree(unpacked, tree, ignore=shutil.ignore_patterns("build"))
    sh("git init -q && git add --all && echo secret >key && echo secret >.env", tree)
    (tmp_path / "link").symlink_to(tree)
    said = sh(f"{tmp_path}/link/vendor/kit/sources.sh {tmp_path}/out", "/")
    assert "git does not track it: key\n" in said and "git does not track it: .env\n" in said
    (packed,) = (tmp_path / "out").iterdir()
    assert sha256(packed) == sha256(only("-sources.tar"))
    (tree / ".git/HEAD").unlink()
    assert "git is missing or refuses this folder" in sh(f"vendor/kit/sources.sh {tmp_path}/no", tree, check=False)
    assert not list((tmp_path / "no").glob("*.tar"))


def test_vendored_sources_are_in_it(unpacked):
    """Those that a build without a network asks for."""
    lock = [line.split() for line in (ROOT / "vendor/lock").read_text("utf-8").splitlines() if line and line[0] != "#"]
    digests = {row[2]: row[3] for row in lock if len(row) == 5}
    found = {path.name: sha256(path) for path in (unpacked / "vendor/.cache").iterdir()}
    assert found == {name: digests[name] for name in found}
    assert {name.split("_")[0] for name in found} == {row[0] for row in lock if len(row) == 5}
    sh("./build.sh --offline vendor", unpacked)


def test_provenance(release):
    statement = json.loads(only(f"-{MACHINE}.provenance.json").read_text("utf-8"))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    made = {one["name"]: one["digest"]["sha256"] for one in statement["subject"]}
    kit = only(f"-{MACHINE}.tar.gz")
    assert made == {kit.name: sha256(kit), **{f"bin/{name}": sha256(BUILD / name) for name in ("worker", "worker-gpu")}}
    definition, run = statement["predicate"]["buildDefinition"], statement["predicate"]["runDetails"]
    assert {"buildType", "externalParameters", "resolvedDependencies"} <= set(definition) and run["builder"]["id"]
    used = {one["name"]: one["digest"] for one in definition["resolvedDependencies"] if "digest" in one}
    sources = only("-sources.tar")
    assert used[sources.name] == {"sha256": sha256(sources)}
    for path in (ROOT / "vendor/.cache").glob("bearssl_*.tar.*"):
        assert used[path.name] == {"sha256": sha256(path)}
    packages = [one["uri"] for one in definition["resolvedDependencies"] if "uri" in one]
    for name in ("gcc-\\d+", "binutils", "musl-dev", "ca-certificates"):
        assert any(re.match(f"pkg:deb/\\w+/{name}@.+\\?arch=", uri) for uri in packages), name


def test_bill_of_materials_is_in_the_kit(release):
    printed = subprocess.run([str(BUILD / "worker"), "--sbom"], env={}, capture_output=True, check=True).stdout
    with tarfile.open(only(f"-{MACHINE}.tar.gz")) as packed:
        (member,) = [one for one in packed if one.name.endswith("/sbom.cdx.json")]
        assert packed.extractfile(member).read() == printed


def test_handler_of_the_kit_can_have_it(release, tmp_path):
    core, example = f"{ROOT}/build/core", f"{ROOT}/vendor/kit/examples/c/greet.c"
    sh(f"{core}/bin/worker-cc -O2 -s -o plain {example}", tmp_path)
    sh(f"{core}/bin/worker-cc -O2 -s -Wl,-u,rp__sbom_print -o told {example}", tmp_path)
    assert json.loads(sh("./told --sbom", tmp_path))["specVersion"] == "1.6"
    assert "linked without" in sh("./plain --sbom", tmp_path, check=False)
    assert (tmp_path / "plain").stat().st_size < (tmp_path / "told").stat().st_size


def test_signatures(release, key, tmp_path):
    """As src/AUDIT.md checks them; a file with another byte has none."""
    signers = f"release@example.org namespaces=\"file\" {key.with_suffix('.pub').read_text('ascii')}"
    (tmp_path / "signers").write_text(signers, "ascii")
    check = "ssh-keygen -Y verify -f signers -I release@example.org -n file -s FILE.sig <FILE"
    for file in (only(f"-{MACHINE}.tar.gz"), only("-sources.tar"), only(f"-{MACHINE}.provenance.json")):
        shutil.copy(file, tmp_path)
        shutil.copy(f"{file}.sig", tmp_path)
        assert "Good" in sh(check.replace("FILE", file.name), tmp_path)
        with open(tmp_path / file.name, "ab") as changed:
            changed.write(b"\n")
        sh(check.replace("FILE", file.name), tmp_path, check=False)


def test_kit_without_a_key_leaves_no_old_signature(release):
    sh("./build.sh --offline kit", ROOT)
    assert only(f"-{MACHINE}.tar.gz").exists() and not list(KIT.glob(f"slim-worker-{VERSION}-*.sig"))


def test_keys_that_are_refused():
    assert "--sign wants a key" in sh("./build.sh --offline kit --sign /nowhere", ROOT, check=False)
    assert "the key lies in this folder" in sh("./build.sh --offline kit --sign src/README.md", ROOT, check=False)


def test_comparison_says_where(release, tmp_path):
    kit = only(f"-{MACHINE}.tar.gz")
    compare = f"{ROOT}/vendor/kit/compare.sh {kit.name}"
    shutil.copy(kit, tmp_path)
    assert sh(f"{compare} {kit}", tmp_path).startswith(f"match: {kit.stat().st_size} bytes, SHA-256 {sha256(kit)}")
    with tarfile.open(kit) as packed:
        packed.extractall(tmp_path)
    (tree,) = [path for path in tmp_path.iterdir() if path.is_dir()]
    program = bytearray((tree / "bin/worker").read_bytes())
    at = program.index(b"RUNPOD_WEBHOOK_GET_JOB")
    program[at : at + 1] = b"r"
    (tree / "bin/worker").write_bytes(program)
    (tree / "lib/libworker.a").write_bytes((tree / "lib/libworker.a").read_bytes().replace(b"RUNPOD_WEBHOOK_PING", b"RUNPOD_WEBHOOK_PONG"))
    (tree / "licences/musl").unlink()
    (tree / "licences/more").write_text("a\n", "ascii")
    bill = tree / "sbom.cdx.json"
    bill.write_text(bill.read_text("utf-8").replace('"name":"gcc","version":"', '"name":"gcc","version":"9'), "utf-8")
    sh(f"tar -czf {kit.name} {tree.name}", tmp_path)
    said = sh(f"{compare} {kit}", tmp_path, check=False)
    assert said.startswith("NO MATCH") and "\n  differs: bin/worker (in .rodata)\n" in said
    assert re.search(r"\n  differs: lib/libworker\.a \(in .*options\.o\)\n", said), said
    assert "\n  not built here: licences/more\n" in said and "\n  only built here: licences/musl\n" in said
    assert re.search(r'^  < .*"name":"gcc","version":"9', said, re.M), said
    assert said.count("differs:") == 3


@pytest.mark.parametrize(
    "arguments, why",
    [
        ("", "verify wants one kit"),
        ("nothing.tar.gz", "there is no file"),
        (f"slim-worker-0.0.9-{MACHINE}.tar.gz", "is not what these sources make"),
        (f"--target {OTHER} slim-worker-0.0.9-{MACHINE}.tar.gz", f"is not what these sources make for {OTHER}"),
    ],
)
def test_verify_refuses(arguments, why, tmp_path):
    (tmp_path / f"slim-worker-0.0.9-{MACHINE}.tar.gz").touch()
    assert why in sh(f"{ROOT}/build.sh --offline verify {arguments}", tmp_path, check=False)


def test_verify_names_the_package_that_a_kit_for_another_processor_is_of(tmp_path):
    """In a folder that has never fetched it."""
    kit = tmp_path / f"slim-worker-{VERSION}-{OTHER}.tar.gz"
    kit.touch()
    for name in ("vendor", "src/base"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns(".src", ".cache"))
    said = sh(f"TARGET={OTHER} JOBS=1 OFFLINE=1 vendor/kit/verify.sh {kit.name}", tmp_path, check=False)
    assert "vendor/.cache holds no musl-dev_" in said and "which its provenance names: it belongs in vendor/.cache" in said


# --- what a build says -----------------------------------------------------------------------------

PROGRESS = """. vendor/toolchain.sh
{ printf 'CC  a.c\\nLD  start.o\\na warning\\n'; read -r _; printf 'LD  worker\\nLD  echo\\n'; } | progress 4 2"""


def progress(out):
    """Of a build that goes on once its input has a line."""
    return subprocess.Popen(["bash", "-ec", PROGRESS], cwd=ROOT, stdin=subprocess.PIPE, stdout=out)


def test_build_says_its_stages():
    """Each at once."""
    with progress(subprocess.PIPE) as process:
        assert [process.stdout.readline() for _ in range(2)] == [b"building 4 files\n", b"a warning\n"]
        process.stdin.write(b"\n")
        process.stdin.close()
        assert process.stdout.read() == b"linking 2 programs\n"


def test_build_counts_on_a_terminal():
    here, there = pty.openpty()
    with progress(there) as process, open(here, "rb", buffering=0) as terminal:
        os.close(there)
        said = b""
        with contextlib.suppress(OSError):  # the other end is closed
            while more := terminal.read(4096):
                said += more
                if b"a warning" in said and not process.stdin.closed:
                    process.stdin.write(b"\n")
                    process.stdin.close()
    assert process.returncode == 0
    shown = re.sub(r"\x1b\[K", "", said.decode()).replace("\r\n", "\n").split("\r")
    assert [line for line in shown if line] == ["[1/4] CC  a.c", "[2/4] LD  start.o", "a warning\n", "[3/4] LD  worker", "[4/4] LD  echo"]
