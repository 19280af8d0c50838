"""Container images with nothing but a Python or a compiler in them, copied from this machine: no image has to be pulled for a test."""

import io
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

LEFT_OUT = {
    "__pycache__",
    "site-packages",
    "dist-packages",
    "test",
    "idlelib",
    "tkinter",
    "turtledemo",
    "ensurepip",
    "lib2to3",
    "pydoc_data",
}
PYTHON = "/python/bin/python3"
COMPILER_FILES = ("include", "crtbeginS.o", "crtendS.o", "libgcc.a", "libgcc_eh.a", "liblto_plugin.so")


def shared_libraries(files):
    """What the dynamic loader wants for these files: paths as the loader knows them."""
    found = set()
    for file in files:
        listing = subprocess.run(["ldd", str(file)], capture_output=True, text=True, check=False).stdout
        found |= set(re.findall(r"(?:=> )?(/\S+) \(0x", listing))
    return found


def wanted_modules(folder):
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and not LEFT_OUT & set(relative.parts) and not relative.parts[0].startswith("config-"):
            yield relative, path


def add_libraries(archive, files):
    for path in sorted(shared_libraries(files)):
        archive.add(Path(path).resolve(), path.lstrip("/"))


def add_extra(archive, extra):
    """{path in the image: bytes, or what a link points to}"""
    for path, content in extra.items():
        entry = tarfile.TarInfo(path.lstrip("/"))
        if isinstance(content, str):
            entry.type, entry.linkname = tarfile.SYMTYPE, content
            archive.addfile(entry)
        else:
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))


def import_image(tag, packed, *changes):
    subprocess.run(["docker", "import", *changes, "-", tag], input=packed.getvalue(), check=True, capture_output=True)


def make_image(tag, extra, modules=()):
    """docker import of this Python, its libraries and `extra` ({path in the image: bytes}), all of which may be run.

    `modules`: folders of Python packages besides the standard ones.
    """
    executable = Path(sys.executable).resolve()
    library = Path(sysconfig.get_path("stdlib"))
    dynamic = list((library / "lib-dynload").glob("*.so"))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(executable, PYTHON.lstrip("/"))
        for relative, path in wanted_modules(library):
            archive.add(path, f"python/lib/{library.name}/{relative}", recursive=False)
        for folder in modules:
            archive.add(folder, f"python/lib/{library.name}/{folder.name}")
            dynamic += folder.rglob("*.so*")
        add_libraries(archive, [executable, *dynamic])
        add_extra(archive, extra)
    import_image(tag, packed, "--change", "ENV PYTHONHOME=/python PYTHONDONTWRITEBYTECODE=1")


def of_gcc(kind, name):
    """Where gcc finds a program or file of its own: releases differ in the folders."""
    done = subprocess.run(["gcc", f"-print-{kind}-name={name}"], text=True, capture_output=True, check=True)
    path = Path(done.stdout.strip())
    assert path.is_absolute(), f"gcc does not find {name}"
    return path


def make_compiler_image(tag, extra):
    """docker import of this machine's gcc, binutils and musl where they lie here, their libraries and `extra`."""
    programs = [Path("/usr/bin") / name for name in ("gcc", "as", "ld", "readelf")] + [of_gcc("prog", name) for name in ("cc1", "collect2")]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path in [*programs, of_gcc("prog", "lto-wrapper"), *(of_gcc("file", name) for name in COMPILER_FILES)]:
            archive.add(path.resolve(), str(path).lstrip("/"))
        for kind in ("include", "lib"):
            musl = f"usr/{kind}/{os.uname().machine}-linux-musl"
            archive.add(f"/{musl}", musl)
        add_libraries(archive, programs)
        add_extra(archive, extra)
    import_image(tag, packed)
