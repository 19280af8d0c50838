"""The loader with libraries made for glibc: what it promises, name by name, beside glibc itself; and damaged files."""

import re
import signal
import struct

import pytest

from gpulib import gpu_folder, probe
from workerproc import ROOT

CONTRACTS = re.findall(r"^CHECK\((\w+)\)", (ROOT / "tests/gpu/contracts.c").read_text(), re.M)
TLS = ["dynamic", "descriptor", "initial"]

pytestmark = pytest.mark.xdist_group("build")


def passes(library, *names):
    """The checks of a library hold with the loader, and on glibc, which shows that they are right."""
    for glibc in (True, False):
        done = probe("check", gpu_folder() / library, *names, glibc=glibc)
        assert (done.returncode, done.stdout, done.stderr) == (0, "".join(f"{name}: good\n" for name in names), ""), (
            f"glibc {glibc}: {done}"
        )


@pytest.mark.parametrize("name", CONTRACTS)
def test_contract(name):
    passes("libcontracts.so", name)


@pytest.mark.parametrize("model", TLS)
def test_tls(model):
    passes(f"libtls-{model}.so", "each_thread_has_its_own")


@pytest.mark.parametrize("model", TLS)
def test_tls_of_a_thread_older_than_the_library(model):
    done = probe("early", gpu_folder() / f"libtls-{model}.so", "starts_afresh")
    assert (done.returncode, done.stdout) == (0, "starts_afresh: good\n"), done


def test_indirect_functions_and_tables_of_pointers():
    passes("libshapes.so", "pointers", "indirect", "weak_ones")


def test_relative_relocations_as_bits():
    passes("librelr.so", "pointers", "weak_ones")


def test_a_thread_of_the_library_calls_back():
    assert probe("back", gpu_folder() / "libcontracts.so").stdout == "called back with 42\n"


def test_constructors_destructors_and_handlers_run_in_glibcs_order():
    said = [probe("check", gpu_folder() / "libfirst.so", "use", glibc=glibc) for glibc in (True, False)]
    assert said[0].returncode == said[1].returncode == 0
    assert said[1].stdout == said[0].stdout
    assert len(said[1].stdout.splitlines()) == 14, said[1].stdout


def test_missing_function_names_itself_when_it_is_called():
    passes("librelr.so", "weak_ones")
    done = probe("check", gpu_folder() / "libmissing-function.so", "weak_ones", "call_missing")
    assert done.returncode == -signal.SIGABRT
    assert "libmissing-function.so called no_such_function_of_glibc, a function of glibc that" in done.stderr


def test_missing_variable_fails_the_load():
    done = probe("check", gpu_folder() / "libmissing-variable.so", "weak_ones")
    assert done.returncode == 1
    assert "libmissing-variable.so: it uses the variable no_such_variable_of_glibc, which" in done.stdout


def test_libraries_that_need_each_other():
    done = probe("each", gpu_folder() / "libcycle.so", gpu_folder() / "libcycle-back.so")
    assert [line.split(": ")[1] for line in done.stdout.splitlines()] == ["loaded", "loaded"]


def test_library_whose_need_is_missing(public_path):
    alone = public_path / "libfirst.so"
    alone.write_bytes((gpu_folder() / "libfirst.so").read_bytes())
    said = judged([alone])[0]
    assert "libfirst.so needs libsecond.so: no libsecond.so in /usr/lib64, " in said


# --- damaged files ------------------------------------------------------------------------------


def judged(paths):
    """What the loader says of each file; nothing may crash."""
    said = probe("each", *paths).stdout.splitlines()
    assert len(said) == len(paths)
    assert not [line for line in said if "CRASHED" in line], [line for line in said if "CRASHED" in line]
    return said


def variants(folder, changes):
    """Files of the plain library, each with one change: (name, function from bytes to bytes)."""
    whole = (gpu_folder() / "libplain.so").read_bytes()
    paths = []
    for name, change in changes:
        path = folder / name
        path.write_bytes(change(bytearray(whole)))
        paths.append(path)
    return paths


def poke(offset, kind, value):
    def change(data):
        struct.pack_into(kind, data, offset, value)
        return data

    return change


def headers(data):
    """Offsets of the program headers, by type, and of the dynamic section's entries, by tag."""
    table, count = struct.unpack_from("<Q", data, 32)[0], struct.unpack_from("<H", data, 56)[0]
    parts = [table + 56 * i for i in range(count)]
    dynamic = next(at for at in parts if struct.unpack_from("<I", data, at)[0] == 2)
    start, size = struct.unpack_from("<Q", data, dynamic + 8)[0], struct.unpack_from("<Q", data, dynamic + 32)[0]
    return parts, [at for at in range(start, start + size, 16)]


def test_what_it_is_not(public_path):
    changes = [
        ("no-elf", poke(0, "<B", 0), "it is no ELF file"),
        ("32-bit", poke(4, "<B", 1), "it is not 64-bit (ELF class 1)"),
        ("big-endian", poke(5, "<B", 2), "it is not little-endian (ELF data 2)"),
        ("machine", poke(18, "<H", 8), "it is for another processor (ELF machine 8, not "),
        ("program", poke(16, "<H", 2), "it is no shared library (ELF type 2)"),
        ("version", poke(20, "<I", 2), "it is of an unknown ELF version"),
        ("empty", lambda data: b"", "it is empty"),
    ]
    paths = variants(public_path, [change[:2] for change in changes])
    for line, (name, _, text) in zip(judged(paths), changes):
        assert f"{public_path / name}: {text}" in line


def test_not_a_file(public_path):
    said = judged([public_path, public_path / "none"])
    assert "it is no file" in said[0] or "cannot be opened" in said[0]
    assert "it cannot be opened: No such file or directory" in said[1]


def test_truncated_anywhere(public_path):
    whole = (gpu_folder() / "libplain.so").read_bytes()
    parts, dynamic = headers(whole)
    lengths = {1, 15, 16, 63, 64, *range(0, 64, 4), *parts, *(at + 55 for at in parts), *dynamic, len(whole) // 2}
    last = max(
        sum(struct.unpack_from("<QQ", whole, at + offset)[0] for offset in (8, 32))
        for at in parts
        if struct.unpack_from("<I", whole, at)[0] == 1
    )
    lengths = sorted(length for length in {*lengths, last - 1} if length < last)
    paths = variants(public_path, [(f"cut-{length}", lambda data, length=length: data[:length]) for length in lengths])
    assert not [line for line in judged(paths) if "loaded" in line]


HOSTILE = [0, 1, 7, 0xFFF, 0x1001, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**63, 2**64 - 8, 2**64 - 1]


def test_hostile_number_in_any_header_field(public_path):
    parts, _ = headers((gpu_folder() / "libplain.so").read_bytes())
    changes = [
        (f"head-{offset}-{value:x}", poke(offset, "<H" if offset > 40 else "<Q", value & 0xFFFF if offset > 40 else value))
        for offset in (24, 32, 40, 52, 54, 56, 58, 60, 62)
        for value in HOSTILE
    ]
    changes += [(f"kind-{at}-{value:x}", poke(at, "<I", value & 0xFFFFFFFF)) for at in parts for value in [2, 7, *HOSTILE]]
    changes += [
        (f"part-{at}-{field}-{value:x}", poke(at + field, "<Q", value))
        for at in parts
        for field in range(8, 56, 8)
        for value in HOSTILE
    ]
    paths = variants(public_path, changes)
    said = judged(paths)
    assert sum("loaded" not in line for line in said) > len(said) / 3


def test_hostile_number_in_any_dynamic_entry(public_path):
    _, dynamic = headers((gpu_folder() / "libplain.so").read_bytes())
    changes = [
        (f"value-{at}-{value:x}", poke(at + 8, "<Q", value)) for at in dynamic for value in [0x10, 0x1000, 0x3FF8, *HOSTILE]
    ]
    changes += [(f"tag-{at}-{tag:x}", poke(at, "<Q", tag)) for at in dynamic for tag in [*range(0, 38), 0x6FFFFEF5]]
    said = judged(variants(public_path, changes))
    assert sum("loaded" not in line for line in said) > len(said) / 5
