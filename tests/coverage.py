"""What of src/ the tests run:  python3 tests/coverage.py FOLDER

Reads FOLDER/raw/*.profraw (tests/coverage.mk), prints a table with a line a room, and writes into FOLDER
  coverage.txt           the same table, and one of the files
  uncovered/PATH.txt     for each source what was not run: lines, and branches that went one way only
"""

import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path


class Counts:
    """Lines and branches of a file or a room."""

    def __init__(self):
        self.lines = self.lines_run = self.branches = self.branches_run = 0

    def add(self, other):
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def row(self, name):
        def share(part, whole):
            return f"{100 * part / whole:5.1f} %" if whole else "    - "

        return (f"{name:<32} {self.lines:>6} {share(self.lines_run, self.lines)} {self.branches:>8} "
                f"{share(self.branches_run, self.branches)}")


HEADING = f"{'':<32} {'lines':>6} {'run':>7} {'branches':>8} {'run':>7}"


def export(folder):
    """The counters of all programs together, in lcov's format."""
    raw = sorted(map(str, (folder / "raw").glob("*.profraw")))
    if not raw:
        sys.exit(f"coverage: no counters in {folder}/raw")
    listed = folder / "raw.txt"
    listed.write_text("\n".join(raw) + "\n")
    merged = folder / "merged.profdata"
    subprocess.run(["llvm-profdata", "merge", "-sparse", f"-input-files={listed}", "-o", merged], check=True)
    programs = [folder / "worker", folder / "worker-gpu", *sorted((folder / "handlers").iterdir())]
    objects = [word for program in programs[1:] for word in ("-object", program)]
    command = ["llvm-cov", "export", "-format=lcov", f"-instr-profile={merged}", programs[0], *objects]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def files(lcov):
    """(path below src/, {line: count}, {(line, block, branch): taken}) of each file."""
    for record in lcov.split("end_of_record"):
        path = re.search(rf"^SF:(?:{re.escape(os.getcwd())}/)?(src/.*\.[ch])$", record, re.M)
        if not path:
            continue  # a header of somebody else's, or a table
        lines = {int(line): int(count) for line, count in re.findall(r"^DA:(\d+),(\d+)", record, re.M)}
        branches = defaultdict(int)
        for line, block, branch, taken in re.findall(r"^BRDA:(\d+),(\d+),(\d+),(\d+|-)", record, re.M):
            branches[int(line), int(block), int(branch)] += int(taken.replace("-", "0"))
        yield path[1].removeprefix("src/"), lines, branches


def write_uncovered(folder, name, lines, branches):
    text = Path("src", name).read_text("utf-8").splitlines()
    missed = {line: "never run" for line, count in lines.items() if count == 0}
    for (line, _, branch), taken in branches.items():
        if taken == 0 and line not in missed:
            missed[line] = "never true" if branch % 2 == 0 else "never false"
    if missed:
        out = folder / "uncovered" / f"{name}.txt"
        out.parent.mkdir(parents=True, exist_ok=True)
        rows = (f"{line:>5}  {why:<12} {text[line - 1]}" for line, why in sorted(missed.items()))
        out.write_text("\n".join(rows) + "\n", "utf-8")


def main():
    folder = Path(sys.argv[1])
    rooms, each, total = defaultdict(Counts), {}, Counts()
    for name, lines, branches in files(export(folder)):
        counts = Counts()
        counts.lines, counts.lines_run = len(lines), sum(map(bool, lines.values()))
        counts.branches, counts.branches_run = len(branches), sum(map(bool, branches.values()))
        each[name] = counts
        rooms[name.split("/")[0] if "/" in name else "."].add(counts)
        total.add(counts)
        write_uncovered(folder, name, lines, branches)
    table = [HEADING, *(rooms[name].row(name) for name in sorted(rooms)), total.row("src")]
    print("\n".join(table))
    detail = [HEADING, *(each[name].row(name) for name in sorted(each))]
    (folder / "coverage.txt").write_text("\n".join([*table, "", *detail]) + "\n", "utf-8")


if __name__ == "__main__":
    main()
