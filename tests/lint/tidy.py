"""clang-tidy over src/, as many files at a time as there are cores, none twice.

    python3 tests/lint/tidy.py       files that a change concerns (tests/lint/changed.py); all of them with CI set

A file that was clean is remembered by a digest of its text, of all that it includes, of the settings and
of the tool's release, as an empty file in build/lint/tidy: it is looked at again when one of them changes.
"""

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import changed

CONFIG = Path("tests/lint/clang-tidy.yml")
CACHE = Path("build/lint/tidy")
ARGUMENTS = "-std=gnu11 -D_GNU_SOURCE -Isrc -isystem vendor/.src/bearssl/inc -isystem vendor/.src/jsmn".split()
NOISE = (" warnings generated.", " warning generated.", "Suppressed ", "Use -header-filter")


def surroundings():
    """What the verdict on any file depends on."""
    tool = subprocess.run(["clang-tidy", "--version"], capture_output=True, check=True).stdout
    packages = subprocess.run(
        ["dpkg-query", "-W", "libc6-dev", "linux-libc-dev"], capture_output=True, check=False
    ).stdout
    vendored = b"".join(path.read_bytes() for path in sorted(Path("vendor/.src").glob("*/.sha256")))
    return b"\0".join((tool, packages, vendored, CONFIG.read_bytes(), " ".join(ARGUMENTS).encode()))


def key(path, around):
    digest = hashlib.sha256(around)
    for name in sorted(changed.closure(path)):
        data = Path(name).read_bytes()
        digest.update(f"{name} {len(data)}\0".encode() + data)
    return digest.hexdigest()


def check(path):
    """What clang-tidy says of a file, and whether it is content."""
    command = ["clang-tidy", "--quiet", f"--config-file={CONFIG}", path, "--", *ARGUMENTS]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    told = [line for line in done.stdout.splitlines() if line and not any(noise in line for noise in NOISE)]
    return told, done.returncode == 0


def main():
    CACHE.mkdir(parents=True, exist_ok=True)
    around = surroundings()
    concerned = changed.concerned_sources(changed.changed_files())
    keys = {path: CACHE / key(path, around) for path in concerned}
    todo = [path for path in concerned if not keys[path].exists()]
    failed = 0
    with ThreadPoolExecutor(int(os.environ.get("JOBS") or os.cpu_count())) as pool:
        for path, (told, good) in zip(todo, pool.map(check, todo)):
            print("\n".join(told), end="\n" if told else "")
            failed += not good
            if good and not told:
                keys[path].touch()
    print(f"{len(todo)} files checked, {len(concerned) - len(todo)} known to be clean, "
          f"{len(changed.all_sources()) - len(concerned)} not concerned; {failed} not clean")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
