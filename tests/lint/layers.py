"""The layers of src/, checked: who may include whom.

    python3 tests/lint/layers.py [FOLDER]      the src folder, or another one of its shape

Rules, each against the tables below:
  1. An include goes to a lower row or stays in its room; row 0 is one room.
  2. Modules (a header, and what else starts with its name) include each other without a circle.
  3. A vendor's header is included by its one user.
  4. worker.h includes nothing of the project; a shipped handler nothing of it but worker.h and rp_gpu.h,
     if it is a folder also its own headers and those of FOR_HANDLERS.
  5. Project includes are written relative to src/, in quotes, and exist; no file beside the one that
     includes has that name too, since the compiler would take it.
  6. Every folder of src/ is in the table.
Exit status 0, or 1 with one line for each break.
"""

import re
import sys
from pathlib import Path

# Room (a folder of src/, or a file beside them): row. A room may include those of lower rows.
ROWS = {
    "worker": 0,
    "rp_gpu": 0,
    "base/": 0,
    "codec/": 1,
    "json/": 1,
    "net/": 2,
    "files/": 2,
    "loader/": 2,
    "model/": 2,
    "process/": 3,
    "http/": 3,
    "config/": 4,
    "audit/": 5,
    "job/": 5,
    "api/": 6,
    "source/": 6,
    "gpu/": 6,
    "linked/": 7,
    "child/": 8,
    "upstream/": 9,
    "app/": 10,
    "main": 11,
    "handlers/": 12,
}

# Rooms that a handler in a folder of its own may include.
FOR_HANDLERS = ("base/", "codec/", "json/", "model/")

# Header of a vendor: the modules that may include it.
VENDOR_USERS = {
    "bearssl": ("net/tls", "net/digest"),
    "jsmn": ("json/",),
}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.M)


def without_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.S)


def row_of(name):
    """Row of a file, by its path without the ending; None: the table does not hold it."""
    return ROWS.get(room_of(name))


def room_of(name):
    """The table's key for a file: its top folder, or its own name where it lies in none."""
    return name.split("/")[0] + "/" if "/" in name else name


def module_of(path, headers):
    """The module a file belongs to: json/scan.h and server_body.c are parts of json and server.

    A .c file without a header of its own is a module by itself: nobody can include it.
    """
    name = path.removesuffix(".c").removesuffix(".h")
    owners = [header for header in headers if name == header or name.startswith((header + "_", header + "/"))]
    return min(owners, key=len) if name in headers else path


def handler_may(name, target):
    """Whether a file of handlers/ may include that header."""
    if target in ("worker.h", "rp_gpu.h"):
        return True
    own = name.rsplit("/", 1)[0] + "/"
    return own != "handlers/" and (target.startswith(own) or room_of(target) in FOR_HANDLERS)


def check_include(path, kind, target, root):
    """One include of the file `path`; the lines about what is wrong with it."""
    name = path.rsplit(".", 1)[0]
    stem = Path(target).stem
    vendor = next((users for header, users in VENDOR_USERS.items() if stem.startswith(header)), None)
    if vendor is not None:
        if not name.startswith(vendor):
            yield f"{path}: includes {target}, which only {', '.join(vendor)} may"
        return
    if kind == "<>":
        if (root / target).exists():
            yield f"{path}: <{target}> is of this project: use quotes"
        return
    beside = (root / path).parent / target
    if beside != root / target and beside.is_file():
        yield f'{path}: "{target}" is {beside.relative_to(root)} to the compiler: rename one of the two'
        return
    if not (root / target).is_file():
        yield f'{path}: "{target}" is not a file of src/ (write it relative to src/)'
        return
    row, below = row_of(name), row_of(target.removesuffix(".h"))
    if name == "worker":
        yield f"{path}: worker.h includes nothing of the project, but has {target}"
    elif name.startswith("handlers/") and not handler_may(name, target):
        yield f"{path}: a handler may not include {target}"
    elif row is not None and below is not None and (
            below > row or below == row > 0 and room_of(name) != room_of(target)):
        yield f"{path} (row {row}): includes {target} of row {below}"


def circles(edges):
    """Circles among modules, each once, as a list of names that ends where it starts."""
    state, found = {}, []

    def visit(module, trail):
        state[module] = "open"
        for other in sorted(edges.get(module, ())):
            if state.get(other) == "open":
                found.append(trail[trail.index(other):] + [other])
            elif other not in state:
                visit(other, trail + [other])
        state[module] = "done"

    for module in sorted(edges):
        if module not in state:
            visit(module, [module])
    return found


def check(root):
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.[ch]"))
    headers = {path.removesuffix(".h") for path in files if path.endswith(".h")}
    edges = {}
    for path in files:
        if row_of(path.rsplit(".", 1)[0]) is None:
            yield f"{path}: in no row of the table in tests/lint/layers.py"
        for quoted, angled in INCLUDE.findall(without_comments((root / path).read_text())):
            yield from check_include(path, '""' if quoted else "<>", quoted or angled, root)
            if quoted and (root / quoted).is_file():
                here, there = module_of(path, headers), module_of(quoted, headers)
                if here != there:
                    edges.setdefault(here, set()).add(there)
    for circle in circles(edges):
        yield "modules include each other in a circle: " + " -> ".join(circle)


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else "src")
    broken = list(check(root))
    print("\n".join(broken) if broken else "the layers hold")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
