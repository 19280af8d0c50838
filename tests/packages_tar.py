"""A tar of a Debian that has only some packages, as `docker import` takes it:

    python3 tests/packages_tar.py PACKAGE... >root.tar

Those packages, all that they depend on and the essential ones, with the files of this machine and what dpkg knows of them: nothing is
fetched. What a package's scripts would have made is left out, but for the alternatives that commands such as awk are.
"""

import io
import re
import subprocess
import sys
import tarfile
from pathlib import Path

ALTERNATIVES = Path("/var/lib/dpkg/alternatives")
STATUS = Path("/var/lib/dpkg/status")
USERS = {"etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "etc/group": "root:x:0:\n"}
ALL_FIELDS = "${Package}\t${Essential}\t${Priority}\t${Provides}\t${Pre-Depends}, ${Depends}\n"


def bare_name(text):
    """ "libc6:amd64 (>= 2.34)" is libc6."""
    return re.split(r"[\s:(]", text.strip())[0]


class Installed:
    """What dpkg knows: each package's dependencies, and who provides a name."""

    def __init__(self):
        listing = subprocess.run(["dpkg-query", "-W", "-f", ALL_FIELDS], capture_output=True, text=True, check=True).stdout
        self.depends, self.providers, self.always = {}, {}, []
        for line in listing.splitlines():
            name, essential, priority, provides, depends = line.split("\t")
            self.depends[name] = [clause.split("|") for clause in depends.split(",") if clause.strip()]
            for provided in filter(None, map(bare_name, [name, *provides.split(",")])):
                self.providers.setdefault(provided, []).append((priority != "required", provided != name, name))
            if essential == "yes" or priority == "required":
                self.always.append(name)

    def choose(self, alternatives):
        """The package that fulfils a clause here; of several, one that a minimal system has."""
        for wanted in map(bare_name, alternatives):
            if wanted in self.providers:
                return min(self.providers[wanted])[2]
        sys.exit(f"not installed: {' | '.join(alternatives).strip()}")

    def closure(self, names):
        found, queue = set(), [[name] for name in [*names, *self.always]]
        while queue:
            name = self.choose(queue.pop())
            if name not in found:
                found.add(name)
                queue += self.depends[name]
        return sorted(found)


def real_place(path):
    """A path without links in its folders: dpkg lists /bin/sh where /bin is a link to usr/bin."""
    return path.parent.resolve() / path.name


def files_of(packages):
    listing = subprocess.run(["dpkg-query", "-L", *packages], capture_output=True, text=True, check=True).stdout
    paths = {Path(line) for line in listing.splitlines() if line.startswith("/") and line != "/."}
    return {real_place(path) for path in paths if path.exists() or path.is_symlink()}


def alternatives(files):
    """(link, what it points to) of each alternative that is among the files; the others of its group, manuals, are left out."""
    for record in sorted(ALTERNATIVES.iterdir()):
        lines = record.read_text().splitlines()
        link = real_place(Path(lines[1]))
        targets = [Path(line) for line in lines[2:] if line.startswith("/") and real_place(Path(line)) in files]
        if targets and link not in files:
            yield link, targets[0]


def add_link(archive, path, target):
    entry = tarfile.TarInfo(str(path).lstrip("/"))
    entry.type, entry.linkname = tarfile.SYMTYPE, str(target)
    archive.addfile(entry)


def add_text(archive, name, text):
    content = text.encode()
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def known_of(packages):
    """dpkg's own record of these packages."""
    paragraphs = STATUS.read_text(encoding="utf-8").split("\n\n")
    return "\n\n".join(text for text in paragraphs if text.split("\n")[0].removeprefix("Package: ") in packages) + "\n"


def add_all(archive, packages):
    files = files_of(packages)
    for path in sorted(files):
        archive.add(path, str(path).lstrip("/"), recursive=False)
    for path in sorted(Path("/").iterdir()):
        if path.is_symlink() and path not in files:
            add_link(archive, path, path.readlink())
    for link, target in alternatives(files):
        add_link(archive, link, target)
    for name, text in {**USERS, str(STATUS).lstrip("/"): known_of(packages)}.items():
        add_text(archive, name, text)


def main(names):
    packages = Installed().closure(names)
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
        add_all(archive, packages)
    print(f"{len(packages)} packages: {' '.join(packages)}", file=sys.stderr)


main(sys.argv[1:])
