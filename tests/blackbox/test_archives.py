"""rp_download_list and rp_unzip: side by side, all or nothing, and no archive that does harm."""

import io
import os
import signal
import struct
import threading
import zipfile
import zlib

import pytest

from children import descriptors
from fileserver import body, hanging, server, status  # noqa: F401 (fixture)
from own_handlers import own
from witness import PATIENCE_S

ALLOW = {"RP_ALLOW_PRIVATE_DOWNLOADS": "1"}


@pytest.fixture
def ask(ask_handler):
    """ask(**input) -> the job's output, or its error's message."""
    return lambda env=None, **job: ask_handler("archives", job, env)


# ---- lists ----


def test_files_come_in_the_order_of_their_urls(server, ask):
    urls = [f"{server.base}/{i}/file.txt" for i in range(40)]
    for i in range(40):
        server.pages[f"/{i}/file.txt"] = body(f"content {i}".encode(), Content_Type="text/plain")
    got = ask(action="list", urls=urls)
    assert [text for _, _, _, text in got] == [f"content {i}" for i in range(40)]
    assert [size for _, _, size, _ in got] == [len(f"content {i}") for i in range(40)]
    assert {kind for _, kind, _, _ in got} == {"text/plain"}
    names = [name for name, _, _, _ in got]
    assert sorted(names) == sorted(["file.txt"] + [f"file-{i}.txt" for i in range(1, 40)])


def test_the_number_of_a_file_stands_before_its_ending(server, ask):
    urls = [f"{server.base}/{i}/{name}" for i, name in enumerate(["README", "README", "a.tar.gz", "a.tar.gz"])]
    for url in urls:
        server.pages[url.removeprefix(server.base)] = body(b"x")
    names = [name for name, _, _, _ in ask(action="list", urls=urls, at_once=1)]
    assert names == ["README", "README-1", "a.tar.gz", "a.tar-1.gz"]


def test_no_url_is_no_file(ask):
    assert ask(action="list", urls=[]) == []


@pytest.mark.parametrize("at_once, together", [(0, 8), (3, 3), (1, 1), (1000, 64)])
def test_so_many_are_asked_for_at_the_same_time(server, ask, at_once, together):
    """Each answer waits until `together` requests are open; one more than that never comes in the meantime."""
    barrier, lock, now, most = threading.Barrier(together), threading.Lock(), [0], [0]

    def page(request):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        barrier.wait(PATIENCE_S)
        with lock:
            now[0] -= 1
        body(b"x")(request)

    for i in range(3 * together):
        server.pages[f"/{i}"] = page
    urls = [f"{server.base}/{i}" for i in range(3 * together)]
    assert len(ask(action="list", urls=urls, at_once=at_once)) == 3 * together
    assert most[0] == together


def test_connections_are_kept(server, ask):
    ports = set()

    def page(request):
        ports.add(request.client_address)
        body(b"x")(request)

    for i in range(20):
        server.pages[f"/{i}"] = page
    ask(action="list", urls=[f"{server.base}/{i}" for i in range(20)], at_once=2)
    assert len(ports) <= 2


@pytest.mark.parametrize("soft", [False, True])
def test_the_first_failure_ends_the_others(server, ask, soft):
    started, goes_on = threading.Event(), threading.Event()
    server.pages["/never"] = hanging(started, goes_on)

    def missing(request):
        assert started.wait(PATIENCE_S)
        status(404)(request)

    server.pages["/missing"] = missing
    got = ask(action="list", urls=[f"{server.base}/never", f"{server.base}/missing?secret=1"], soft=soft)
    goes_on.set()
    text = got["reason"] if soft else got
    assert text == f"Download of {server.base}/missing: the server answered 404"


def test_private_addresses_are_refused_in_lists_too(server, ask):
    server.pages["/f"] = body(b"x")
    got = ask(action="list", urls=[f"{server.base}/f"], env={"RP_ALLOW_PRIVATE_DOWNLOADS": "0"})
    assert "is not a public address" in got and not server.requests


def test_a_stop_ends_all_of_them(server, platform, worker, tmp_path):
    events = [threading.Event() for _ in range(3)]
    goes_on = threading.Event()
    for i, started in enumerate(events):
        server.pages[f"/{i}"] = hanging(started, goes_on)
    scratch = tmp_path / "s"
    process = worker(platform, handler=own("archives"), env={**ALLOW, "RP_SCRATCH_DIR": str(scratch)})
    platform.give({"id": "stopped", "input": {"action": "list", "urls": [f"{server.base}/{i}" for i in range(3)]}})
    assert all(started.wait(PATIENCE_S) for started in events)
    platform.stop_jobs("stopped")
    process.wait_log("stopped.*Job stopped")
    assert platform.run({"action": "list", "urls": []})["output"] == []
    goes_on.set()
    process.terminate()
    assert process.wait() == 0 and not list(scratch.iterdir())


# ---- archives ----


def make(*entries, **how):
    """An archive: entries are (name or ZipInfo, content)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", **{"compression": zipfile.ZIP_DEFLATED, **how}) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return out.getvalue()


@pytest.fixture
def unpack(ask, tmp_path):
    """unpack(bytes) -> what is in the folder, or the error; refused with `soft`, nothing is left."""

    def run(archive, name="a.zip", **limits):
        path = tmp_path / name
        path.write_bytes(archive)
        got = ask(action="unzip", path=str(path), soft=True, **limits)
        return got["reason"].partition(f"{name}: ")[2] if "reason" in got else got

    return run


def expected(entries):
    return {f"/{name}": [len(content), zlib.crc32(content), 0o600] for name, content in entries.items()}


def files(got):
    return {name: value for name, value in got.items() if isinstance(value, list)}


CONTENTS = {
    "plain.txt": b"hello",
    "empty": b"",
    "deep/er/est/file.bin": bytes(range(256)) * 1000,
    "random": os.urandom(300_000),
    "zeros": bytes(1_000_000),
    "text": b"".join(b"line %d of many\n" % (i * i) for i in range(60_000)),
    "ünïcode/名前.txt": b"x",
}


@pytest.mark.parametrize("level", [None, 1, 6, 9], ids=["stored", "fast", "default", "best"])
def test_what_python_packs(unpack, level):
    how = {"compression": zipfile.ZIP_STORED} if level is None else {"compresslevel": level}
    got = unpack(make(*CONTENTS.items(), **how), "my files.ZIP")
    assert got["folder"].endswith("/my files")
    assert files(got) == expected(CONTENTS)
    assert got["/deep/er"] == "folder"


def deflated(content, strategy, level=9):
    packer = zlib.compressobj(level, zlib.DEFLATED, -15, 9, strategy)
    return packer.compress(content) + packer.flush()


@pytest.mark.parametrize("strategy", [zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_DEFAULT_STRATEGY])
def test_all_kinds_of_blocks(unpack, strategy):
    contents = {**CONTENTS, "a": b"a" * 70_000, "pairs": os.urandom(40_000) * 2}
    entries = [entry(name, deflated(content, strategy), content) for name, content in contents.items()]
    assert files(unpack(archive(entries))) == expected(contents)


class Pipe(io.RawIOBase):
    """What cannot seek: zipfile writes sizes behind the data then."""

    def __init__(self):
        super().__init__()
        self.got = bytearray()

    def writable(self):
        return True

    def write(self, data):
        self.got += data
        return len(data)


def test_streamed_and_large_forms(unpack, tmp_path):
    """Sizes behind the data, ZIP64 fields without need, folders of their own, a comment, and what zipfile appends."""
    path = tmp_path / "made.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        with made.open("sixty-four", "w", force_zip64=True) as stream:
            stream.write(b"large or not\n" * 5000)
        made.writestr("folder/", b"")
    with zipfile.ZipFile(path, "a") as made:
        made.writestr("more", b"later")
        made.comment = b"PK\x05\x06 is no end" * 100
    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("streamed", b"streamed " * 999)
    assert files(unpack(path.read_bytes())) == expected({"sixty-four": b"large or not\n" * 5000, "more": b"later"})
    assert files(unpack(bytes(pipe.got))) == expected({"streamed": b"streamed " * 999})


def test_many_entries(unpack):
    contents = {f"{i % 100}/{i}": b"%d" % i for i in range(9000)}
    assert files(unpack(make(*contents.items()))) == expected(contents)


def test_downloaded_and_unpacked(server, ask):
    server.pages["/data.zip"] = make(("in", b"side"))
    got = ask(action="unzip", url=f"{server.base}/data.zip")
    assert got["folder"].endswith("/data") and files(got) == expected({"in": b"side"})


@pytest.mark.parametrize("times, folder", [(1, "data"), (2, "data-1"), (3, "data-2")])
def test_each_time_it_is_another_folder(ask, tmp_path, times, folder):
    (tmp_path / "data.zip").write_bytes(make(("in", b"side")))
    got = ask(action="unzip", path=str(tmp_path / "data.zip"), times=times)
    assert got["folder"].endswith(f"/{folder}") and files(got) == expected({"in": b"side"})


@pytest.mark.parametrize("name, folder", [("data", "data"), ("a.zip.Zip", "a.zip"), (".zip", "archive"), ("..zip", "archive")])
def test_the_folder_is_named_like_the_archive(unpack, name, folder):
    assert unpack(make(("in", b"side")), name)["folder"].endswith(f"/{folder}")


def test_no_archive(ask, tmp_path):
    missing = f"{tmp_path}/{'x' * 200}/{'y' * 250}"
    assert ask(action="unzip", path=missing) == f"Unpacking of {missing[:400]}: opening it: No such file or directory"
    assert ask(action="unzip", path=str(tmp_path)) == f"Unpacking of {tmp_path}: the archive is not a regular file"


def test_no_descriptor_is_left(server, platform, worker, tmp_path):
    """Neither of files that come, nor of those that do not, nor of archives: each job is done eight times."""
    (tmp_path / "a.zip").write_bytes(make(("in/side", b"x")))
    (tmp_path / "bad.zip").write_bytes(make(("in/side", b"x"))[:-1])
    server.pages["/f"] = body(b"x")
    process = worker(platform, handler=own("archives"), env={**ALLOW, "RP_SCRATCH_DIR": str(tmp_path / "s")})
    before = None
    jobs = [
        {"action": "list", "urls": [f"{server.base}/f"] * 10}, {"action": "unzip", "path": f"{tmp_path}/a.zip"},
        {"action": "list", "urls": [f"{server.base}/f", f"{server.base}/no"] * 5, "soft": True},
        {"action": "unzip", "path": f"{tmp_path}/bad.zip", "soft": True}, {"action": "unzip", "url": f"{server.base}/f"},
    ]  # fmt: skip
    for _ in range(8):
        for job in jobs:
            platform.run(job)
        before = before or descriptors(process.pid)
    platform.wait_for(lambda: descriptors(process.pid) <= before + 2 or None, "descriptors closed, but for two of results")


# ---- archives that are refused ----


def entry(name, packed, content=None, method=8, flags=0, size=None, crc=None, mode=0, head_name=None):
    """One entry by hand: (its bytes, what the directory says of it)."""
    content = packed if content is None else content
    raw = name if isinstance(name, bytes) else name.encode()
    flags |= 0 if raw.isascii() or isinstance(name, bytes) else 0x800
    size, crc = len(content) if size is None else size, zlib.crc32(content) if crc is None else crc
    common = struct.pack("<HHHHHIII", 20, flags, method, 0, 0x21, crc, len(packed), size)
    at_head = raw if head_name is None else head_name
    head = b"PK\3\4" + common + struct.pack("<HH", len(at_head), 0) + at_head + packed
    record = [b"PK\1\2" + struct.pack("<H", 0x031E) + common + struct.pack("<HHHHHI", len(raw), 0, 0, 0, 0, mode << 16), raw]
    return head, record


def archive(entries, offsets=None, count=None, body=None):
    """Entries put together; `offsets` and `body` instead of those that fit."""
    at, places = 0, []
    for head, _ in entries:
        places.append(at)
        at += len(head)
    data = b"".join(head for head, _ in entries) if body is None else body
    records = b"".join(
        fixed + struct.pack("<I", place) + raw for (_, (fixed, raw)), place in zip(entries, offsets or places, strict=True)
    )
    count = len(entries) if count is None else count
    return data + records + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, count, count, len(records), len(data), 0)


def stored(name, content=b"x", **how):
    return entry(name, content, method=0, **how)


@pytest.mark.parametrize("name", [
    "../up", "a/../../up", "/absolute", "//x", "a/./b", "a//b", ".", "..", "a/..", "", "/", "\\up", "..\\up", "a\\b",
    "C:up", "c:/up", "a\0b", "a\nb", "x" * 256, "a/" * 600 + "b", "/".join(["y" * 200] * 6),
])
def test_names_that_leave_the_folder(unpack, name):
    assert "the name of an entry leads out of the folder" in unpack(archive([stored("good"), stored(name)]))


def test_names_in_old_encodings_are_mended(unpack):
    assert files(unpack(archive([stored(b"gr\x81n.txt")]))) == expected({"gr_n.txt": b"x"})


@pytest.mark.parametrize("made, reason", [
    (lambda: archive([stored("a"), stored("a")]), "a: two entries have this name"),
    (lambda: archive([stored("a"), stored("a/b")]), "a/b: the folder a: "),
    (lambda: archive([stored("a/b"), stored("a")]), "a: two entries have this name"),
    (lambda: archive([stored("link", b"/etc/passwd", mode=0o120777)]), "link: it is a link or a device"),
    (lambda: archive([stored("pipe", b"", mode=0o010644)]), "pipe: it is a link or a device"),
    (lambda: archive([stored("a", flags=1)]), "an encrypted archive cannot be unpacked"),
    (lambda: archive([entry("a", b"x", method=12)]), "a: compression method 12 is not supported"),
    (lambda: archive([stored("a", crc=1)]), "a: its size or checksum differs from the directory's"),
    (lambda: archive([stored("a", b"xyz", size=2)]), "a: a file is larger than the directory says"),
    (lambda: archive([stored("a", b"xyz", size=4)]), "a: its size or checksum differs from the directory's"),
    (lambda: archive([entry("a", deflated(b"x" * 99, 0), b"x" * 99, size=98)]), "a: a file is larger than"),
    (lambda: archive([entry("a", deflated(b"x" * 99, 0)[:-2], b"x" * 99)]), "a: the compressed data is"),
    (lambda: archive([entry("a", b"\x07")]), "a: the compressed data is damaged: a block of unknown kind"),
    (lambda: archive([entry("a", b"\x01\x05\x00\x00\x00hello")]), "a: the compressed data is damaged: a stored block"),
    (lambda: archive([entry("a", b"\x4b\x04\x02\x00\xff")]), "a: "),
    (lambda: archive([stored("a", head_name=b"b")]), "a: its header has another name"),
    (lambda: archive([stored("a", head_name=b"bb")]), "a: the archive is damaged: an entry's head"),
    (lambda: archive([stored("a"), stored("b")], offsets=[0, 0]), "entries of the archive overlap"),
    (lambda: archive([stored("a")], offsets=[4000]), "a: "),
    (lambda: archive([stored("a")], count=2), "the archive is damaged: "),
    (lambda: archive([stored("a"), stored("b")], count=1), "the archive is damaged: its number of entries"),
    (lambda: make(("a", b"x"))[:-1], "it is not a ZIP archive, or its end is missing"),
    (lambda: make(("a", b"x"))[10:], ""),
    (lambda: b"", "it is not a ZIP archive"),
    (lambda: b"PK\5\6", "it is not a ZIP archive"),
    (lambda: b"<html>not found</html>" * 9000, "it is not a ZIP archive"),
])
def test_hostile_archives(unpack, made, reason):
    got = unpack(made())
    assert isinstance(got, str) and got.startswith(reason), got


def test_every_truncation_is_noticed(unpack):
    whole = make(("a.txt", b"hello " * 50), ("b/c.txt", os.urandom(100)))
    for cut in range(0, len(whole), 17):
        assert isinstance(unpack(whole[:cut]), str), cut


def test_no_flipped_bit_does_harm(unpack):
    """Each archive unpacks to what its checksums say, or not at all."""
    whole = bytearray(make(("a.txt", b"hello " * 50), ("b/c.txt", b"other " * 60)))
    for at in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[at] ^= 1 << at % 8
        got = unpack(bytes(changed))
        assert isinstance(got, str) or len(files(got)) == 2, at


# ---- bombs ----


def test_the_ratio_of_a_bomb_is_a_limit(unpack):
    bomb = make(("zeros", bytes(64 << 20)), compresslevel=9)
    assert len(bomb) < 100_000
    assert "more than 200 times as large as the archive" in unpack(bomb)
    assert files(unpack(bomb, max_ratio=2000))["/zeros"][0] == 64 << 20


def test_a_bomb_that_lies_about_its_size(unpack):
    packed = deflated(bytes(64 << 20), 0)
    assert unpack(archive([entry("a", packed, b"", size=1000, crc=0)])) == "a: a file is larger than the directory says"


def test_entries_that_share_their_data(unpack):
    """The bomb whose files all lie on one another: many heads before one stream, each within the one before."""
    packed = deflated(bytes(1 << 20), 0)
    heads, records = [], []
    for i in range(5):
        head, record = entry(f"f{i}", packed, bytes(1 << 20))
        heads.append(head[:-len(packed)])
        records.append((head, record))
    data = b"".join(heads) + packed
    offsets = [sum(map(len, heads[:i])) for i in range(5)]
    assert unpack(archive(records, offsets=offsets, body=data)) == "entries of the archive overlap"


def test_limits(unpack):
    some = make(*((f"f{i}", b"12345") for i in range(20)))
    assert unpack(some, max_files=19) == "the archive has 20 entries, more than the limit of 19"
    assert unpack(some, max_bytes=99) == "it would take more than the limit of 99 bytes, unpacked"
    assert len(files(unpack(some, max_files=20, max_bytes=100))) == 20
    assert "10001 entries, more than the limit of 10000" in unpack(make(*((str(i), b"") for i in range(10_001))))
    deep = make(*((f"{i}/" + "a/b/f", b"") for i in range(20)))
    assert unpack(deep, max_files=59) == "its names need more folders than the limit of 59"
    assert len(files(unpack(deep, max_files=60))) == 20
    huge = stored("huge", b"x", size=0xFFFFFFF0)
    assert "more than the limit of 1000 bytes" in unpack(archive([huge]), max_bytes=1000)


def test_limits_of_one(unpack):
    assert unpack(make(("a", b""), ("b", b"")), max_files=1) == "the archive has 2 entries, more than the limit of 1"
    assert unpack(make(("a", b"xy")), max_bytes=1) == "it would take more than the limit of 1 bytes, unpacked"
    assert "more than 1 times as large as the archive" in unpack(make(("zeros", bytes(17 << 20))), max_ratio=1)


def test_a_stop_ends_the_unpacking(platform, worker, tmp_path):
    """The archive is close to 1 GB of zeros: the worker stands still from its first file until the stop is on its way."""
    path, scratch = tmp_path / "long.zip", tmp_path / "s"
    zeros = bytes(16 << 20)
    packed, crc = deflated(zeros, 0), zlib.crc32(zeros)
    path.write_bytes(archive([entry(f"f{i}", packed, crc=crc, size=len(zeros)) for i in range(60)]))
    process = worker(platform, handler=own("archives"), env={"RP_SCRATCH_DIR": str(scratch)})
    platform.give({"id": "long", "input": {"action": "unzip", "path": str(path), "max_ratio": 2000}})
    platform.wait_for(lambda: list(scratch.glob("*/long/f0")), "the first file")
    os.kill(process.pid, signal.SIGSTOP)
    platform.stop_jobs("long")
    os.kill(process.pid, signal.SIGCONT)
    process.wait_log("long.*Job stopped")
    platform.wait_idle()
    process.terminate()
    assert process.wait() == 0 and not list(scratch.iterdir())
