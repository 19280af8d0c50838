"""Makes src/model/unicode_table.inc from what the package `tokenizers` does with each code point.

    python3 tests/unicode_table.py [FILE]      writes FILE, or src/model/unicode_table.inc

The package's categories are those of no single release of Unicode (several crates, each of its own age),
so the table is taken from its behaviour: BertNormalizer (cleaned text, CJK apart, no accents, lower case)
and BertPreTokenizer on each of the 1,112,064 scalar values, between two letters. Run it again when
tests/model-requirements.txt pins another release; tests/model/test_tokenizer.py fails until then.
"""

import sys
from pathlib import Path

CLASSES = ("word", "drop", "space", "isolate")
HANGUL = range(0xAC00, 0xD7A4)  # decomposed by rule: Unicode 3.12
RUN_MIN = 3  # a run costs as much as three pairs


def scalars():
    for point in range(0x110000):
        if not 0xD800 <= point < 0xE000:
            yield point


def behaviour():
    """What becomes of each scalar: {point: (class, text)}."""
    from tokenizers import normalizers, pre_tokenizers

    normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True)
    splitter = pre_tokenizers.BertPreTokenizer()
    found = {}
    for point in scalars():
        words = [word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(f"a{chr(point)}b"))]
        if words == ["ab"]:
            found[point] = ("drop", "")
        elif words == ["a", "b"]:
            found[point] = ("space", "")
        elif len(words) == 1 and words[0][0] == "a" and words[0][-1] == "b":
            found[point] = ("word", words[0][1:-1])
        elif len(words) == 3 and words[0] == "a" and words[2] == "b":
            found[point] = ("isolate", words[1])
        else:
            raise SystemExit(f"U+{point:04X} becomes {words}: the rule of src/model/unicode.h does not cover this")
    return found


def class_starts(found):
    """The first point of each run of one class. Surrogates, which no UTF-8 text has, join the run before."""
    starts, last = [], None
    for point in scalars():
        if found[point][0] != last:
            last = found[point][0]
            starts.append(point << 2 | CLASSES.index(last))
    return starts


def runs_of(single):
    """Splits {point: other} into runs (first, last, step, distance) and the rest."""
    runs, rest = [], dict(single)
    for first in sorted(single):
        for step in (1, 2):
            if first not in rest:
                break
            distance, last = rest[first] - first, first
            while rest.get(last + step) == last + step + distance:
                last += step
            if (last - first) // step + 1 > RUN_MIN:
                runs.append((first, last, step, distance))
                for point in range(first, last + 1, step):
                    del rest[point]
    return runs, rest


def make():
    found = behaviour()
    maps = {point: text for point, (_, text) in found.items()
            if text and text != chr(point) and point not in HANGUL}
    single = {point: ord(text) for point, text in maps.items() if len(text) == 1}
    several = {point: text for point, text in maps.items() if len(text) > 1}
    runs, rest = runs_of(single)
    pairs = {point: other for point, other in rest.items() if max(point, other) < 0x10000}
    wide = {point: other for point, other in rest.items() if point not in pairs}
    numbers = {
        "class_starts": ("uint32_t", class_starts(found)),
        "run_firsts": ("uint32_t", [first | (step - 1) << 31 for first, _, step, _ in runs]),
        "run_lengths": ("uint16_t", [last - first for first, last, _, _ in runs]),
        "run_distances": ("int32_t", [distance for *_, distance in runs]),
        "pair_points": ("uint16_t", sorted(pairs)),
        "pair_targets": ("uint16_t", [pairs[point] for point in sorted(pairs)]),
        "wide_points": ("uint32_t", sorted(wide)),
        "wide_targets": ("uint32_t", [wide[point] for point in sorted(wide)]),
        "several_points": ("uint32_t", sorted(several)),
        "several_targets": ("uint32_t", [ord(c) for point in sorted(several)
                                         for c in several[point].ljust(3, "\0")]),
    }
    return numbers


def text_of(numbers, release):
    size = {"uint16_t": 2, "uint32_t": 4, "int32_t": 4}
    total = sum(size[kind] * len(values) for kind, values in numbers.values())
    lines = [f"/* Made by tests/unicode_table.py from the behaviour of tokenizers {release}; {total:,} bytes. */"]
    for name, (kind, values) in numbers.items():
        lines.append(f"static const {kind} {name}[{len(values)}] = {{")
        line = "   "
        for value in values:
            word = f" {value},"
            if len(line) + len(word) > 100:
                lines.append(line)
                line = "   "
            line += word
        lines += [line, "};"]
    return "\n".join(lines) + "\n"


def main():
    import tokenizers

    out = Path(sys.argv[1] if len(sys.argv) > 1 else "src/model/unicode_table.inc")
    out.write_text(text_of(make(), tokenizers.__version__))


if __name__ == "__main__":
    main()
