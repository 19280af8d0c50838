"""A figure's row: the samples of both sides, their medians, the ratio, the verdict, the table."""

import statistics

DIGITS = {"s": 2, "ms": 2, "us": 2, "MiB": 2, "/s": 0, "KB": 1, "MB": 1, "%": 2, "requests": 0, "e-6": 2}
NOT_MEASURED = "not measured"


def number(value, unit):
    """A value as the table shows it: fewer decimals the larger it is."""
    digits = DIGITS[unit]
    if unit == "/s" and value < 10:
        digits = 2
    elif digits and abs(value) >= 100:
        digits = 1 if abs(value) < 1000 else 0
    text = f"{value:,.{digits}f}"
    return text + ("" if unit == "requests" else unit if unit in ("/s", "%", "e-6") else f" {unit}")


class Row:
    """One figure. `limit` and `min_ratio` are what must be reached; None: nothing is asked. `more_than_other` is a limit, too:
    by how much ours may exceed the other side. `against` names that side where it is not the SDK; it is "sdk" in the
    samples all the same."""

    def __init__(
        self, name, unit, limit=None, min_ratio=None, more_is_better=False, against=None, more_than_other=None
    ):
        self.name = f"{name}, against {against}" if against else name
        self.other = "other" if against else "SDK"
        self.unit = unit
        self.limit = limit
        self.min_ratio = min_ratio
        self.more_than_other = more_than_other
        self.more_is_better = more_is_better
        self.samples = {"ours": [], "sdk": []}
        self.errors = {}
        self.absent = ""  # what this machine lacks for the figure
        self.note = ""

    def add(self, side, value):
        self.samples[side].append(value)

    def fail_unmeasured(self, why):
        """What was to be measured and has no sample yet has failed."""
        is_beside = self.other == "other" or self.min_ratio is not None or self.more_than_other is not None
        for side in ("ours", "sdk") if is_beside else ("ours",):
            if not self.samples[side] and not self.absent:
                self.errors[side] = why

    def median(self, side):
        values = self.samples[side]
        return statistics.median(values) if values and side not in self.errors else None

    def ratio(self):
        """How many times better ours is; None where it cannot be told."""
        ours, sdk = self.median("ours"), self.median("sdk")
        if ours is None or sdk is None:
            return None
        top, bottom = (ours, sdk) if self.more_is_better else (sdk, ours)
        return top / bottom if bottom else None

    def _judgements(self):
        """Of each thing that is asked: whether it is met; None where that was not measured."""
        ours, sdk, ratio = self.median("ours"), self.median("sdk"), self.ratio()
        if self.limit is not None:
            yield None if ours is None else ours >= self.limit if self.more_is_better else ours <= self.limit
        if self.min_ratio is not None:
            yield None if ratio is None else ratio >= self.min_ratio
        if self.more_than_other is not None:
            yield None if None in (ours, sdk) else ours <= sdk + self.more_than_other

    def verdict(self):
        """ "pass" only where all that is asked was measured."""
        judgements = list(self._judgements())
        if not judgements:
            return ""
        if "ours" in self.errors or False in judgements:
            return "MISS"
        return NOT_MEASURED if None in judgements else "pass"

    def target(self):
        parts = []
        if self.limit is not None:
            sign = "≥" if self.more_is_better else "≤"
            parts.append(f"{sign} {number(self.limit, self.unit)}")
        if self.min_ratio is not None:
            parts.append(f"≥ {self.min_ratio:.4g}x")
        if self.more_than_other is not None:
            parts.append(f"≤ {self.other} + {number(self.more_than_other, self.unit)}")
        return ", ".join(parts)

    def cell(self, side):
        if side in self.errors:
            return "failed"
        if self.absent and side == "ours":
            return self.absent
        value = self.median(side)
        return "-" if value is None else number(value, self.unit)

    def ratio_cell(self):
        ratio = self.ratio()
        return "-" if ratio is None else f"{ratio:,.0f}x" if ratio >= 10 else f"{ratio:.2g}x"

    def as_json(self):
        sides = {}
        for side, values in self.samples.items():
            sides[side] = {"n": len(values), "median": self.median(side), "samples": values}
            if values:
                sides[side].update(min=min(values), max=max(values))
            if side in self.errors:
                sides[side]["error"] = self.errors[side]
        return {
            "figure": self.name,
            "unit": self.unit,
            "ratio": self.ratio(),
            "target": self.target(),
            "verdict": self.verdict(),
            "absent": self.absent,
            "note": self.note,
            **sides,
        }


def render(rows, bold=lambda text: text):
    """The table as text: ratio first. `bold` marks what was missed."""
    others = dict.fromkeys(row.other for row in rows)
    head = ["figure", "ratio", "ours", ", ".join(others), "target", ""]
    cells = [
        [r.name, r.ratio_cell(), r.cell("ours"), r.cell("sdk"), r.target(), r.verdict()]
        for r in rows
    ]
    widths = [max(len(line[i]) for line in [head, *cells]) for i in range(len(head))]

    def line(parts):
        text = [parts[0].ljust(widths[0])]
        text += [p.rjust(w) for p, w in zip(parts[1:4], widths[1:4])]
        text += [p.ljust(w) for p, w in zip(parts[4:], widths[4:])]
        return "  ".join(text).rstrip()

    out = [line(head), "-" * (sum(widths) + 2 * (len(widths) - 1))]
    for row, parts in zip(rows, cells):
        out.append(bold(line(parts)) if row.verdict() == "MISS" else line(parts))
    notes = [f"  {r.name}: {r.note}" for r in rows if r.note]
    errors = [
        f"  {r.name}, {side}: {text}" for r in rows for side, text in sorted(r.errors.items())
    ]
    if notes:
        out += ["", "Notes", *notes]
    if errors:
        out += ["", bold("Failed measurements"), *errors]
    return "\n".join(out)
