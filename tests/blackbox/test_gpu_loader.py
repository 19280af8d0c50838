"""The loader with libraries made for glibc: what it promises, name by name, beside glibc itself; and damaged files."""

import re
import signal
import struct

import pytest

from gpulib import gpu_folder, probe
from workerproc import ROOT

CONTRACTS = re.findall(r"^CHECK\((\w+)\)", (ROOT / "tests/gpu/contracts.c").read_text(), re.M)
MODELS = ["dynamic", "descriptor", "initial"]  # of thread-local storage

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


@pytest.mark.parametrize("model", MODELS)
def test_thread_local_storage(model):
    passes(f"libthread-local-{model}.so", "each_thread_has_its_own")


@pytest.mark.parametrize("model", MODELS)
def test_thread_local_variable_of_another_library(model):
    passes(f"libthread-local-user-{model}.so", "uses_anothers")


@pytest.mark.parametrize("model", MODELS)
def test_thread_local_storage_of_a_thread_older_than_the_library(model):
    done = probe("early", gpu_folder() / f"libthread-local-{model}.so", "starts_afresh")
    assert (done.returncode, done.stdout) == (0, "starts_afresh: good\n"), done


def test_indirect_functions_and_tables_of_pointers():
    passes("libshapes.so", "pointers", "indirect", "indirect_by_symbol", "weak_ones")


def test_resolver_of_an_indirect_function_calls_what_is_bound_after_it():
    """glibc crashes on this one."""
    done = probe("check", gpu_folder() / "libresolver.so", "indirect_by_call")
    assert (done.returncode, done.stdout) == (0, "indirect_by_call: good\n"), done


def test_relative_relocations_as_bits():
    passes("librelr.so", "pointers", "weak_ones")


def test_a_thread_of_the_library_calls_back():
    assert probe("back", gpu_folder() / "libcontracts.so").stdout == "called back with 42\n"


def test_name_that_two_libraries_define_is_that_of_the_opened_one():
    passes("libscope.so", "one_definition")


def test_cxx_on_the_distributions_runtime():
    checks = ("exceptions_are_thrown_and_caught", "exceptions_of_the_runtime", "streams", "objects_of_threads")
    passes("libexceptions.so", *checks)


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


def variants(folder, changes, library="libplain.so"):
    """Files of a library, each with one change: (name, function from bytes to bytes)."""
    whole = (gpu_folder() / library).read_bytes()
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
        ("no-elf", poke(0, "<B", 0), "it is not an ELF file"),
        ("32-bit", poke(4, "<B", 1), "it is not 64-bit (ELF class 1)"),
        ("big-endian", poke(5, "<B", 2), "it is not little-endian (ELF data 2)"),
        ("machine", poke(18, "<H", 8), "it is for another processor (ELF machine 8, not "),
        ("program", poke(16, "<H", 2), "it is not a shared library (ELF type 2)"),
        ("version", poke(20, "<I", 2), "it is of an unknown ELF version"),
        ("empty", lambda data: b"", "it is empty"),
    ]
    paths = variants(public_path, [change[:2] for change in changes])
    for line, (name, _, text) in zip(judged(paths), changes):
        assert f"{public_path / name}: {text}" in line


def test_not_a_file(public_path):
    said = judged([public_path, public_path / "none"])
    assert "it is not a regular file" in said[0] or "cannot be opened" in said[0]
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


# ---- damaged tables ----

DT = {"hash": 4, "symbols": 6, "rela": 7, "relr": 36, "gnu_hash": 0x6FFFFEF5}
SIZES = {"rela": 8, "relr": 35}  # tags of the tables' sizes
KINDS = [8, 16, 17, 18, 36]  # relocations of x86-64: relative, and all of thread-local storage


def table_of(data, name):
    """File offset and size of a table, by the dynamic section; those without a size: up to the next one, at most 256."""
    parts, dynamic = headers(data)
    tags = dict(struct.unpack_from("<QQ", data, at) for at in dynamic)
    if DT[name] not in tags:
        pytest.skip(f"this machine's linker makes no table of {name}")
    address = tags[DT[name]]
    loads = [struct.unpack_from("<IIQQQQ", data, at) for at in parts]
    offset = next(address - load[3] + load[2] for load in loads if load[0] == 1 and 0 <= address - load[3] < load[5])
    if name in SIZES:
        return offset, tags[SIZES[name]]
    after = [tags[tag] for tag in (4, 5, 6, 7, 0x6FFFFEF5) if tag in tags and tags[tag] > address]
    return offset, min([256, *(other - address for other in after)])


@pytest.mark.parametrize("name", DT)
def test_hostile_number_in_any_table(public_path, name):
    """Each word of a table takes each value; nothing of the library runs, so whatever is loaded does no harm."""
    offset, size = table_of((gpu_folder() / "libhostile.so").read_bytes(), name)
    step = 4 if "hash" in name else 8
    assert size >= step

    def change(at, value):
        def both(data):
            if name == "hash":  # is only looked at where there is no other one
                (other,) = [entry for entry in headers(data)[1] if struct.unpack_from("<Q", data, entry)[0] == DT["gnu_hash"]]
                struct.pack_into("<Q", data, other, 0x70000001)
            return poke(at, "<I" if step == 4 else "<Q", value & (2 ** (8 * step) - 1))(data) if at else data

        return both

    changes = [
        (f"{name}-{at}-{value:x}", change(at, value))
        for at in range(offset, offset + size, step)
        for value in [*HOSTILE, *KINDS, *(1 << 32 | kind for kind in KINDS)]
    ]
    said = judged(variants(public_path, [("whole", change(0, 0)), *changes], "libhostile.so"))
    assert said[0].endswith(": loaded")


def test_hostile_number_in_the_thread_local_segment(public_path):
    parts, _ = headers((gpu_folder() / "libhostile.so").read_bytes())
    whole = (gpu_folder() / "libhostile.so").read_bytes()
    (segment,) = [at for at in parts if struct.unpack_from("<I", whole, at)[0] == 7]
    changes = [
        (f"field-{field}-{value:x}", poke(segment + field, "<Q", value)) for field in range(8, 56, 8) for value in HOSTILE
    ]
    said = judged(variants(public_path, changes, "libhostile.so"))
    assert sum("loaded" not in line for line in said) > len(said) / 4


# ---- graphs at their limits ----


def write_chain(folder, count):
    """Libraries of which each needs the next; returns the first."""
    whole = (gpu_folder() / "libchain.so").read_bytes()
    assert whole.count(b"libnext-000.so") == 1
    for number in range(count):
        link = b"libnext-%03d.so" % (number + 1)
        data = whole.replace(b"libnext-000.so", link) if number < count - 1 else (gpu_folder() / "libplain.so").read_bytes()
        (folder / f"libnext-{number:03d}.so").write_bytes(data)
    return folder / "libnext-000.so"


def test_graph_of_one_library_more_than_the_limit(public_path):
    """64 libraries load; of 65 the last one is named."""
    for count, words in ((64, "loaded"), (65, "libnext-064.so: more than 64 libraries are loaded")):
        folder = public_path / str(count)
        folder.mkdir()
        assert words in judged([write_chain(folder, count)])[0]
