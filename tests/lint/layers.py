"""The layers of src/, checked: who may include whom.

    python3 tests/lint/layers.py [FOLDER]      the src folder, or another one of its shape

Rules, each against the tables below:
  1. An include goes to the same row or a lower one, never up.
  2. Modules (a header, and what else starts with its name) include each other without a circle.
  3. A vendor's header is included by its one user.
  4. worker.h includes nothing of the project; a shipped handler nothing of it but worker.h and rp_gpu.h.
  5. Project includes are written relative to src/, in quotes, and exist; no file beside the one that
     includes has that name too, since the compiler would take it.
  6. Every module of src/net is in a table: is it lower or upper?
Exit status 0, or 1 with one line for each break.
"""

import re
import sys
from pathlib import Path

# Folder, or module where one folder holds two rows: row. The longest matching start counts.
ROWS = {
    "worker": 0,
    "rp_gpu": 0,
    "base/": 0,
    "codec/": 1,
    "net/transport": 2,
    "net/resolve": 2,
    "net/tcp": 2,
    "net/tls": 2,
    "net/digest": 2,
    "net/http": 3,
    "net/proxy": 3,
    "net/server": 3,
    "gpu/": 3,
    "job/": 4,
    "app/": 5,
    "main": 6,
    "handlers/": 7,
}

# Header of a vendor: the modules that may include it.
VENDOR_USERS = {
    "bearssl": ("net/tls", "net/digest"),
    "jsmn": ("codec/json",),
}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.M)


def without_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.S)


def row_of(name):
    """Row of a file, by its path without the ending; None: no table holds it."""
    starts = [start for start in ROWS if name == start or name.startswith(start) and (
        start.endswith("/") or "/" in start)]
    return ROWS[max(starts, key=len)] if starts else None


def module_of(path, headers):
    """The module a file belongs to: json_scan.h and its .c are parts of json, where there is a json.h.

    A .c file without a header of its own is a module by itself: nobody can include it.
    """
    name = path.removesuffix(".c").removesuffix(".h")
    owners = [header for header in headers if name == header or name.startswith(header + "_")]
    return min(owners, key=len) if name in headers else path


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
        yield f'{path}: "{target}" is no file of src/ (write it relative to src/)'
        return
    row, below = row_of(name), row_of(target.removesuffix(".h"))
    if name == "worker":
        yield f"{path}: worker.h includes nothing of the project, but has {target}"
    elif name.startswith("handlers/") and target not in ("worker.h", "rp_gpu.h"):
        yield f"{path}: a handler includes worker.h and rp_gpu.h alone, but has {target}"
    elif row is not None and below is not None and below > row:
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
