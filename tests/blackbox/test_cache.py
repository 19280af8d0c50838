"""--cache: folders on a network volume, in the layout that runpod's own VolumeCache reads and writes."""

import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from children import sh
from test_fitness import REAL, UNFIT
from workerproc import ROOT

PYTHON = ROOT / "build/venv-clients/bin/python"
SMALL = 256 * 1024
OLD = 1_700_000_000


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


class Place:
    """A volume, and a folder that is cached on it."""

    def __init__(self, tmp_path):
        self.volume, self.folder = tmp_path / "volume", tmp_path / "container" / "cache"
        self.volume.mkdir()
        self.root = self.volume / ".cache" / "ns"
        self.flags = ["--cache", str(self.folder), "--cache-volume", str(self.volume), "--cache-name", "ns"]

    def write(self, name, content, mtime=OLD, mode=0o644):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
        os.utime(path, (mtime, mtime))
        return path

    def fill(self):
        """What there is then, as state() has it."""
        self.write("one", b"1")
        self.write("empty", b"")
        self.write("deep/er/two.json", b'{"a": 1}', mode=0o600)
        self.write("tool", b"#!/bin/sh\n", mode=0o755)
        self.write("a name with blanks, ünïcödé", b"x")
        self.write("n" * 200 + "/" + "m" * 150, b"a long path", mtime=OLD + 0.75)
        self.write("just under", b"u" * (SMALL - 1))
        self.write("just at", b"a" * SMALL)
        self.write("large/weights.bin", os.urandom(3_000_000), mtime=OLD + 7.25)
        return self.state()

    def state(self):
        return {
            str(path.relative_to(self.folder)): (path.read_bytes(), int(path.stat().st_mtime), stat.S_IMODE(path.stat().st_mode))
            for path in self.folder.rglob("*") if path.is_file()
        }

    def empty(self):
        shutil.rmtree(self.folder)

    def sdk(self, what, *folders):
        if not PYTHON.exists():
            pytest.skip("build/venv-clients is not there: THE SDK'S OWN CACHE WAS NOT TESTED")
        command = [PYTHON, Path(__file__).with_name("volumecache.py"), what, self.volume, "ns", *(folders or [self.folder])]
        env = {"PATH": os.environ["PATH"], "HOME": "/", "RUNPOD_LOG_LEVEL": "ERROR"}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def manifest(self):
        return json.loads((self.root / "manifest.json").read_text())

    def set_manifest(self, **changes):
        (self.root / "manifest.json").write_text(json.dumps({**self.manifest(), **changes}))


@pytest.fixture
def run(local, place):
    """run() -> the log of a local run, which restores before its handler starts and saves once that is ready."""

    def start(*flags, handler="echo", env=None):
        done = local(*place.flags, *flags, "--test_input", '{"input": 1}', handler=handler, env=env)
        assert done.returncode == 0, done.stdout
        return done.stdout

    return start


def counts(log, what):
    """The number of files in the line of the log."""
    (line,) = [line for line in log.splitlines() if f"Cache: {what} " in line]
    return int(line.partition(f"Cache: {what} ")[2].split()[0])


# ---- with the SDK, both ways ----


def test_the_sdk_restores_what_the_worker_saved(place, run):
    before = place.fill()
    assert counts(run(), "saved") == len(before)
    place.empty()
    assert place.sdk("hydrate") == len(before)
    after = place.state()
    assert {name: content for name, (content, _, _) in after.items()} == {name: one[0] for name, one in before.items()}
    assert all(abs(after[name][1] - before[name][1]) <= 2 for name in before)
    assert after["tool"][2] & 0o100


@pytest.mark.parametrize("how", ["sync", "sync-without-tar"], ids=["GNU tar", "Python's tarfile"])
def test_the_worker_restores_what_the_sdk_saved(place, run, how):
    before = place.fill()
    place.folder.joinpath("link").symlink_to("one")
    place.sdk(how)
    place.empty()
    assert counts(run(), "restored") == len(before)
    assert place.state() == before


def test_neither_copies_again_what_the_other_has_saved(place, run):
    place.fill()
    assert place.sdk("sync") > 0
    log = run()
    assert counts(log, "restored") == counts(log, "saved") == 0
    assert place.sdk("sync") == 0 and place.sdk("hydrate") == 0
    place.write("large/weights.bin", b"other" * 100_000, mtime=OLD + 100)
    place.write("one", b"one", mtime=OLD + 100)
    log = run()
    assert counts(log, "restored") == 0
    assert counts(log, "saved") == 7 + 1  # the archive of the small ones is packed as a whole
    assert place.sdk("sync") == 0


def test_the_same_files_are_left_out(place, run):
    place.fill()
    for name in ("x.lock", "models/refs/main", "models/.no_exist/abc", "half.rpvc.tmp", "big.lock"):
        place.write(name, b"x" * (SMALL if name == "big.lock" else 1))
    (place.folder / "link").symlink_to("one")
    os.mkfifo(place.folder / "pipe")
    run()
    ours = place.manifest()
    (place.folder / "pipe").unlink()  # the SDK would read it for ever
    shutil.rmtree(place.root)
    place.sdk("sync")
    theirs = place.manifest()
    for key in ("small", "big"):
        assert sorted(file["path"] for file in ours[key]) == sorted(file["path"] for file in theirs[key])
        assert [file["size"] for file in sorted(ours[key], key=lambda file: file["path"])] == \
            [file["size"] for file in sorted(theirs[key], key=lambda file: file["path"])]
    assert (ours["version"], ours["threshold"]) == (theirs["version"], theirs["threshold"])
    with tarfile.open(place.root / "small.tar") as packed:
        assert len(packed.getnames()) == len(theirs["small"])


# ---- the worker alone ----


def test_a_cold_worker_becomes_a_warm_one(place, platform, worker):
    """Restored before the program starts, saved once it is ready; a cache that is not there yet is no trouble."""
    script = f'test -e {place.folder}/model || {{ mkdir -p {place.folder}; head -c 300000 /dev/zero > {place.folder}/model; ' \
             f'echo small > {place.folder}/config; echo COLD >&2; }}; echo \'{{"ready": true}}\'; cat >/dev/null'
    flags = [*place.flags, "--handler", sh(script), "--handler-ready", "line"]
    first = worker(platform, *flags, handler="worker")
    first.wait_log("COLD")
    first.wait_log("Cache: saved 2 files")
    first.terminate()
    assert first.wait() == 0
    place.empty()
    second = worker(platform, *flags, handler="worker")
    second.wait_log("Cache: saved 0 files")
    assert not second.lines("COLD") and second.lines("Cache: restored 2 files")
    assert (place.folder / "model").stat().st_size == 300_000
    second.terminate()
    assert second.wait() == 0


def test_several_folders_and_the_endpoints_name(place, run, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").write_text("of the other")
    before = place.fill()
    env = {"RP_CACHE": f"{place.folder}:{other}", "RP_CACHE_VOLUME": str(place.volume), "RUNPOD_ENDPOINT_ID": "ep-1"}
    place.flags = []
    run(env=env)
    assert (place.volume / ".cache/ep-1/manifest.json").exists()
    place.empty()
    shutil.rmtree(other)
    run(env=env)
    assert place.state() == before and (other / "file").read_text() == "of the other"


def test_files_that_are_gone_do_not_come_back(place, run):
    place.fill()
    run()
    (place.folder / "one").unlink()
    (place.folder / "large/weights.bin").unlink()
    shutil.rmtree(place.volume / ".cache/ns/big")  # not even what the manifest still names can be a harm
    log = run()
    assert "one" in place.state()  # restored, since it is missing here
    assert "1 files could not be copied" not in log or "weights" in log
    (place.folder / "one").unlink()
    place.sdk("sync")
    place.empty()
    run()
    assert "one" not in place.state() and "deep/er/two.json" in place.state()


def test_what_cannot_be_written_is_not_in_the_manifest(place, run):
    place.fill()
    (place.root / "small.tar" / "in its place").mkdir(parents=True)
    log = run()
    assert "Cache: not saved: " in log and "Cache: saved" not in log
    assert not (place.root / "manifest.json").exists()


def test_newer_files_are_not_overwritten(place, run):
    place.fill()
    assert "(3.5 MB) to the volume" in run()
    place.write("one", b"N", mtime=OLD + 100)
    place.write("just at", b"N" * SMALL, mtime=OLD + 100)
    assert counts(run(), "restored") == 0
    assert place.state()["one"][0] == b"N" and place.state()["just at"][0] == b"N" * SMALL


def test_without_a_volume_or_a_name_the_worker_starts_cold(place, run, local):
    shutil.rmtree(place.volume)
    log = run()
    assert "no volume is mounted at" in log and "the worker starts cold" in log
    done = local("--cache", str(place.folder), "--test_input", '{"input": 1}')
    assert done.returncode == 0 and "RUNPOD_ENDPOINT_ID and --cache-name are not set" in done.stdout


@pytest.mark.parametrize("flags, reason", [
    (["--cache", "relative"], '"relative" is not an absolute path'),
    (["--cache", "/a:/b:rel"], '"rel" is not an absolute path'),
    (["--cache", ":".join(f"/tmp/{n}" for n in range(33))], "more than 32 folders"),
    (["--cache", "/tmp/x", "--cache-name", "a/b"], 'single path component, not "a/b"'),
    (["--cache", "/tmp/x", "--cache-name", ".."], 'single path component, not ".."'),
])
def test_flags_that_cannot_be_used(local, flags, reason):
    done = local(*flags, "--test_input", '{"input": 1}')
    assert done.returncode == 2 and reason in done.stdout and "cache" in done.stdout


# ---- what a volume may hold ----


@pytest.mark.parametrize("text", [
    "", "{", "[]", "null", '{"version": 2, "small": [], "big": []}', '{"version": 1, "small": 3}', '{"version": "1"}',
    '{"version": 1, "small": [3]}', '{"version": 1, "big": [{"path": 1, "size": 1, "mtime": 1}]}',
    '{"version": 1, "big": [{"path": "/x", "size": -1, "mtime": 1}]}', '{"version": 1, "small": [{"path": "/x"}]}', "\0",
])
def test_a_manifest_of_another_kind_is_none(place, run, text):
    before = place.fill()
    run()
    (place.root / "manifest.json").write_text(text)
    place.empty()
    log = run()
    assert "starts cold" in log and place.state() == {}
    place.fill()
    run()  # and is written anew
    assert len(place.manifest()["small"]) + len(place.manifest()["big"]) == len(before)


def archive(place, *members):
    """small.tar of (name, content), or of a kind of entry in the content's place."""
    with tarfile.open(place.root / "small.tar", "w") as packed:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.mtime = OLD
            if content in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE):
                info.type, info.linkname, content = content, "/etc/passwd", b""
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))


def test_nothing_leaves_the_folders(place, run, tmp_path):
    """Paths with "..", other folders, links on the way: none of them is written, and the rest is."""
    place.fill()
    run()
    outside = tmp_path / "outside"
    outside.mkdir()
    inside = str(place.folder)[1:]
    archive(place, (f"{inside}/good", b"good"), (f"{inside}/../../outside/a", b"x"), (f"{str(outside)[1:]}/b", b"x"),
            (f"{inside}/../container/c", b"x"), (f"{inside}/way/d", b"x"), (f"{inside}//e", b"x"), (f"{inside}", b"x"),
            (f"{inside}-more/f", b"x"), (f"{inside}/link", tarfile.SYMTYPE), (f"{inside}/hard", tarfile.LNKTYPE),
            (f"{inside}/device", tarfile.CHRTYPE), ("g" * 90, b"x"), (f"{inside}/last", b"last"))
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * SMALL)
    (place.root / "big/stolen").symlink_to(secret)
    (place.root / "big" / inside / "stolen").symlink_to(secret)
    files = [f"{place.folder}/../../outside/h", f"{outside}/i", f"/{inside}/stolen", "/stolen", f"{place.folder}/../stolen",
             f"{place.folder}/way/j", "relative", "/", f"/{inside}/gone"]
    place.set_manifest(big=[{"path": path, "size": SMALL, "mtime": OLD + 5} for path in files])
    place.empty()
    place.folder.mkdir()
    (place.folder / "way").symlink_to(outside)
    log = run()
    assert set(place.state()) == {"good", "last"}, log
    assert list(outside.iterdir()) == [] and not (tmp_path / "container/c").exists()
    assert sorted(path.name for path in place.folder.iterdir()) == ["good", "last", "way"]
    assert "files could not be copied; the first:" in log


@pytest.mark.parametrize("damage", [
    lambda data: data[:700], lambda data: data[:512], lambda data: data[:100], lambda data: b"", lambda data: b"x" * 2000,
    lambda data: data[:148] + b"9999999 " + data[156:], lambda data: data[:124] + b"zzzzzzzzzzz\0" + data[136:],
], ids=["in data", "behind a head", "in a head", "empty", "no tar", "checksum", "size"])
def test_a_damaged_archive_is_a_cold_worker(place, run, damage):
    place.write("small", b"s" * 1000)
    place.write("big", b"b" * SMALL)
    run()
    path = place.root / "small.tar"
    path.write_bytes(damage(path.read_bytes()))
    place.empty()
    log = run()
    assert "the worker starts cold" in log
    assert not [name for name in os.listdir(place.folder) if "rpvc" in name]


def test_files_that_cannot_be_written_are_counted(place, run):
    before = place.fill()
    run()
    place.empty()
    (place.folder / "one").mkdir(parents=True)
    (place.folder / "just at").mkdir()
    (place.folder / "deep").write_text("no folder")
    log = run()
    assert "Cache: 3 files could not be copied" in log
    assert set(place.state()) == set(before) - {"one", "just at", "deep/er/two.json"} | {"deep"}


# Files of more than 1 MB cannot be written: the disk is full.
LIMITED = "import os, resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); " \
          "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)); os.execv(sys.argv[1], sys.argv[1:])"


def test_what_is_restored_in_part_does_not_shrink_the_cache(place, platform, worker, run):
    before = place.fill()
    run()
    manifest = place.manifest()
    place.empty()
    process = worker(platform, *place.flags, prefix=(sys.executable, "-c", LIMITED))
    process.wait_log("Cache: not saved, since it was not restored completely")
    process.terminate()
    assert process.wait() == 0 and process.lines("Cache: 1 files could not be copied")
    assert place.manifest() == manifest and set(place.state()) == set(before) - {"large/weights.bin"}
    run()
    assert place.state() == before


# The signal is there before the worker starts: pending ones survive an exec.
PENDING = "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}); " \
          "os.kill(os.getpid(), signal.SIGTERM); os.execv(sys.argv[1], sys.argv[1:])"


def test_a_signal_ends_a_restore(place, platform, worker, run, tmp_path):
    """The file that takes long is not there, nor half of it, and nothing is started any more."""
    before = place.fill()
    run()
    place.empty()
    path = place.folder / "endless"
    copy = place.root / "big" / str(path)[1:]
    copy.touch()
    os.truncate(copy, 1 << 30)
    place.set_manifest(big=[{"path": str(path), "size": 1 << 30, "mtime": copy.stat().st_mtime}, *place.manifest()["big"]])
    started = tmp_path / "started"
    flags = [*place.flags, "--handler", sh(f"echo >{started}; exec cat")]
    process = worker(platform, *flags, handler="worker", prefix=(sys.executable, "-c", PENDING))
    assert process.wait() == 0
    assert process.lines("Cache: the restore was cut short")
    assert not set(place.state()) - set(before)
    assert not started.exists() and not platform.record


@pytest.mark.unconfined  # --confine makes the folder that is to be missing
def test_a_machine_that_is_not_fit_restores_nothing(place, platform, worker, run):
    """It is checked first: minutes of copying are not spent on it."""
    before = place.fill()
    run()
    place.empty()
    process = worker(platform, *place.flags, env={**REAL, **UNFIT["memory_check"][0]})
    assert process.wait() == 1
    assert [request.param("check") for request in platform.record] == ["memory_check"]
    assert not process.lines("Cache:") and not place.folder.exists()
    fit = worker(platform, *place.flags, env=REAL)
    waited = json.loads(fit.wait_log('{"event": "ready"').partition("| ")[2])["waited_for"]
    assert [one["what"] for one in waited] == ["checks of the machine", "restore of the cache", "start of the handler"]
    assert place.state() == before
