"""A container image with nothing but a Python in it, copied from this machine: no image has to be pulled for a test."""

import io
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


def make_image(tag, extra):
    """docker import of this Python, its libraries and `extra` ({path in the image: bytes})."""
    executable = Path(sys.executable).resolve()
    library = Path(sysconfig.get_path("stdlib"))
    dynamic = list((library / "lib-dynload").glob("*.so"))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(executable, PYTHON.lstrip("/"))
        for relative, path in wanted_modules(library):
            archive.add(path, f"python/lib/{library.name}/{relative}", recursive=False)
        for path in sorted(shared_libraries([executable, *dynamic])):
            archive.add(Path(path).resolve(), path.lstrip("/"))
        for path, content in extra.items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    subprocess.run(
        ["docker", "import", "--change", "ENV PYTHONHOME=/python PYTHONDONTWRITEBYTECODE=1", "-", tag],
        input=packed.getvalue(),
        check=True,
        capture_output=True,
    )
