"""The PTX interpreter of the fake driver (tests/gpu/ptx.h): each instruction against what its description says, and the
same texts through NVIDIA's own assembler."""

import math
import random
import re
import struct
from fractions import Fraction

import pytest

from ptxkit import HEAD, LANES, Device, Failed, entry, lanewise
from test_gpu_driver import compiled

WORD = 0xFFFFFFFF
LONG = 0xFFFFFFFFFFFFFFFF


@pytest.fixture
def device(tmp_path):
    return Device(tmp_path)


# ---- what numbers mean ----


def signed(value, bits=32):
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def f32(value):
    """The nearest 32-bit float."""
    try:
        return struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)


def as_f32(bits):
    return struct.unpack("<f", struct.pack("<I", bits & WORD))[0]


def as_f64(bits):
    return struct.unpack("<d", struct.pack("<Q", bits & LONG))[0]


def f32_bits(value):
    return struct.unpack("<I", struct.pack("<f", f32(value)))[0]


def f16_bits(value):
    try:
        return struct.unpack("<H", struct.pack("<e", value))[0]
    except OverflowError:
        return 0x7C00 if value > 0 else 0xFC00


def as_f16(bits):
    return struct.unpack("<e", struct.pack("<H", bits & 0xFFFF))[0]


def bf16_bits(value):
    bits = f32_bits(value)
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16


def half(a):
    return a & 0xFFFF


def lop3(a, b, c, table):
    rows = [(table >> (4 * x + 2 * y + z) & 1, x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    return sum(
        1 << bit
        for bit in range(32)
        if any(value and (a >> bit & 1, b >> bit & 1, c >> bit & 1) == (x, y, z) for value, x, y, z in rows)
    )


def prmt(a, b, selectors):
    source = (b << 32 | a).to_bytes(8, "little")
    chosen = [selectors >> (4 * i) & 15 for i in range(4)]
    return int.from_bytes([source[s & 7] if s < 8 else 255 * (source[s & 7] >> 7) for s in chosen], "little")


def fma(a, b, c):
    """Exact: the product and the sum are rounded once."""
    exact = Fraction(as_f32(a)) * Fraction(as_f32(b)) + Fraction(as_f32(c))
    near = f32_bits(float(exact))  # rounded twice; one of its neighbours is right
    return min(
        (near + step for step in (-1, 0, 1)),
        key=lambda bits: (abs(Fraction(as_f32(bits)) - exact), bits & 1),
    )


# ---- instructions that each lane executes for itself ----

INTEGERS = {  # with two 32-bit inputs or three; the result has 32 bits
    "add.u32 %d, %a, %b;": lambda a, b, c: a + b,
    "sub.s32 %d, %a, %b;": lambda a, b, c: a - b,
    "add.s32 %d, %a, -3;": lambda a, b, c: a - 3,
    "mul.lo.u32 %d, %a, %b;": lambda a, b, c: a * b,
    "mul.hi.u32 %d, %a, %b;": lambda a, b, c: a * b >> 32,
    "mul.hi.s32 %d, %a, %b;": lambda a, b, c: signed(a) * signed(b) >> 32,
    "mad.lo.s32 %d, %a, %b, %c;": lambda a, b, c: a * b + c,
    "mad.lo.u32 %d, %a, 12, 0x10;": lambda a, b, c: a * 12 + 16,
    "or.b32 %b, %b, 1; div.u32 %d, %a, %b;": lambda a, b, c: a // (b | 1),
    "or.b32 %b, %b, 1; div.s32 %d, %a, %b;": lambda a, b, c: int(abs(signed(a)) // abs(signed(b | 1)))
    * (1 if signed(a) * signed(b | 1) > 0 else -1),
    "or.b32 %b, %b, 1; rem.u32 %d, %a, %b;": lambda a, b, c: a % (b | 1),
    "or.b32 %b, %b, 1; rem.s32 %d, %a, %b;": lambda a, b, c: abs(signed(a)) % abs(signed(b | 1)) * (1 if signed(a) > 0 else -1),
    "min.u32 %d, %a, %b;": lambda a, b, c: min(a, b),
    "min.s32 %d, %a, %b;": lambda a, b, c: min(signed(a), signed(b)),
    "max.u32 %d, %a, %b;": lambda a, b, c: max(a, b),
    "max.s32 %d, %a, %b;": lambda a, b, c: max(signed(a), signed(b)),
    "neg.s32 %d, %a;": lambda a, b, c: -a,
    "abs.s32 %d, %a;": lambda a, b, c: abs(signed(a)),
    "and.b32 %d, %a, %b;": lambda a, b, c: a & b,
    "or.b32 %d, %a, %b;": lambda a, b, c: a | b,
    "xor.b32 %d, %a, %b;": lambda a, b, c: a ^ b,
    "not.b32 %d, %a;": lambda a, b, c: ~a,
    "and.b32 %b, %b, 63; shl.b32 %d, %a, %b;": lambda a, b, c: a << (b & 63),
    "and.b32 %b, %b, 63; shr.u32 %d, %a, %b;": lambda a, b, c: a >> (b & 63),
    "and.b32 %b, %b, 63; shr.s32 %d, %a, %b;": lambda a, b, c: signed(a) >> (b & 63),
    "shf.l.wrap.b32 %d, %a, %b, %c;": lambda a, b, c: (b << 32 | a) << (c & 31) >> 32,
    "shf.r.wrap.b32 %d, %a, %b, %c;": lambda a, b, c: (b << 32 | a) >> (c & 31),
    "shf.r.clamp.b32 %d, %a, %b, 32;": lambda a, b, c: b,
    "popc.b32 %d, %a;": lambda a, b, c: bin(a).count("1"),
    "clz.b32 %d, %a;": lambda a, b, c: 32 - a.bit_length(),
    "bfe.u32 %d, %a, 5, 9;": lambda a, b, c: a >> 5 & 511,
    "bfe.s32 %d, %a, 5, 9;": lambda a, b, c: signed(a >> 5 & 511, 9),
    "bfe.s32 %d, %a, 28, 9;": lambda a, b, c: signed(a) >> 28,
    "bfi.b32 %d, %a, %b, 7, 5;": lambda a, b, c: b & ~(31 << 7) | (a & 31) << 7,
    "prmt.b32 %d, %a, %b, 0x7351;": lambda a, b, c: prmt(a, b, 0x7351),
    "prmt.b32 %d, %a, %b, 0x8c24;": lambda a, b, c: prmt(a, b, 0x8C24),
    "lop3.b32 %d, %a, %b, %c, 0xe8;": lambda a, b, c: lop3(a, b, c, 0xE8),
    "lop3.b32 %d, %a, %b, %c, 0x96;": lambda a, b, c: a ^ b ^ c,
    "setp.lt.u32 %p, %a, %b; selp.b32 %d, %a, %c, %p;": lambda a, b, c: a if a < b else c,
    "setp.ge.s32 %p, %a, %b; selp.u32 %d, 1, 0, %p;": lambda a, b, c: signed(a) >= signed(b),
    "setp.eq.u32 %p, %a, %b; selp.u32 %d, 1, 0, %p;": lambda a, b, c: a == b,
    "setp.ne.s32 %p|%q, %a, %b; selp.u32 %d, 1, 0, %q;": lambda a, b, c: a == b,
    "setp.le.u32 %p, %a, %b; setp.gt.and.u32 %q, %b, %c, %p; selp.u32 %d, 1, 0, %q;": lambda a, b, c: a <= b > c,
    "setp.hi.u32 %p, %a, %b; setp.lt.or.u32 %q, %b, %c, !%p; selp.u32 %d, 1, 0, %q;": lambda a, b, c: b < c or a <= b,
    "setp.gt.u32 %p, %a, %b; mov.b32 %d, 5; @%p mov.b32 %d, 6; @!%p add.u32 %d, %d, 2;": lambda a, b, c: 6 if a > b else 7,
    "setp.gt.u32 %p, %a, %b; not.pred %q, %p; xor.pred %p, %p, %q; selp.u32 %d, 1, 0, %p;": lambda a, b, c: 1,
    "cvt.u32.u8 %d, %a;": lambda a, b, c: a & 255,
    "cvt.s32.s8 %d, %a;": lambda a, b, c: signed(a, 8),
    "cvt.s32.s16 %d, %a;": lambda a, b, c: signed(a, 16),
    "cvt.u32.u16 %d, %a;": lambda a, b, c: a & 0xFFFF,
    "mov.b32 {%h, %g}, %a; mov.b32 %d, {%g, %h};": lambda a, b, c: a >> 16 | a << 16,
    "mov.b32 {%h, %g}, %a; shl.b16 %h, %h, 3; not.b16 %g, %g; mov.b32 %d, {%h, %g};": lambda a, b, c: half(a << 3) | ~a & 0xFFFF0000,
    "mov.b64 %w, {%a, %b}; shr.u64 %w, %w, 9; mov.b64 {%d, %a}, %w;": lambda a, b, c: (b << 32 | a) >> 9,
    "mul.wide.u32 %w, %a, %b; mov.b64 {%a, %d}, %w;": lambda a, b, c: a * b >> 32,
    "mul.wide.s32 %w, %a, %b; cvt.u32.u64 %d, %w;": lambda a, b, c: a * b,
    "mov.b64 %w, {%b, %c}; mad.wide.s32 %w, %a, %b, %w; mov.b64 {%a, %d}, %w;": lambda a, b, c: signed(a) * signed(b)
    + (c << 32 | b) >> 32,
    "mad.wide.u32 %w, %a, 4, 7; mov.b64 {%a, %d}, %w;": lambda a, b, c: a * 4 + 7 >> 32,
}

LONGS = {  # with two 64-bit inputs
    "add.s64 %d, %a, %b;": lambda a, b: a + b,
    "sub.u64 %d, %a, %b;": lambda a, b: a - b,
    "mul.lo.s64 %d, %a, %b;": lambda a, b: a * b,
    "mul.hi.u64 %d, %a, %b;": lambda a, b: a * b >> 64,
    "mad.lo.u64 %d, %a, %b, 5;": lambda a, b: a * b + 5,
    "or.b64 %b, %b, 1; div.u64 %d, %a, %b;": lambda a, b: a // (b | 1),
    "or.b64 %b, %b, 1; rem.u64 %d, %a, %b;": lambda a, b: a % (b | 1),
    "min.s64 %d, %a, %b;": lambda a, b: min(signed(a, 64), signed(b, 64)),
    "max.u64 %d, %a, %b;": max,
    "and.b64 %d, %a, %b;": lambda a, b: a & b,
    "xor.b64 %d, %a, %b;": lambda a, b: a ^ b,
    "shl.b64 %d, %a, 40;": lambda a, b: a << 40,
    "shr.s64 %d, %a, 40;": lambda a, b: signed(a, 64) >> 40,
    "shr.u64 %d, %a, 40;": lambda a, b: a >> 40,
    "setp.lt.s64 %p, %a, %b; selp.b64 %d, %a, %b, %p;": lambda a, b: a if signed(a, 64) < signed(b, 64) else b,
    "cvt.u32.u64 %w, %a; cvt.s64.s32 %d, %w;": lambda a, b: signed(a),
    "cvt.u32.u64 %w, %a; cvt.u64.u32 %d, %w;": lambda a, b: a & WORD,
}

FLOATS = {  # with three floats; the result is one
    "add.f32 %d, %a, %b;": lambda a, b, c: a + b,
    "sub.rn.ftz.f32 %d, %a, %b;": lambda a, b, c: a - b,
    "mul.f32 %d, %a, 0f40490fdb;": lambda a, b, c: a * as_f32(0x40490FDB),
    "mul.rn.f32 %d, %a, 2.5;": lambda a, b, c: a * 2.5,
    "div.rn.f32 %d, %a, %b;": lambda a, b, c: a / b,
    "div.approx.f32 %d, %a, %b;": lambda a, b, c: a / b,
    "div.full.ftz.f32 %d, %a, %b;": lambda a, b, c: a / b,
    "rcp.rn.f32 %d, %a;": lambda a, b, c: 1 / a,
    "rcp.approx.ftz.f32 %d, %a;": lambda a, b, c: 1 / a,
    "abs.f32 %d, %a; sqrt.rn.f32 %d, %d;": lambda a, b, c: math.sqrt(abs(a)),
    "abs.f32 %d, %a; sqrt.approx.f32 %d, %d;": lambda a, b, c: math.sqrt(abs(a)),
    "abs.f32 %d, %a; rsqrt.approx.f32 %d, %d;": lambda a, b, c: 1 / math.sqrt(abs(a)),
    "ex2.approx.f32 %d, %a;": lambda a, b, c: 2**a,
    "ex2.approx.ftz.f32 %d, %a;": lambda a, b, c: 2**a,
    "abs.f32 %d, %a; lg2.approx.f32 %d, %d;": lambda a, b, c: math.log2(abs(a)),
    "neg.f32 %d, %a;": lambda a, b, c: -a,
    "min.f32 %d, %a, %b;": lambda a, b, c: min(a, b),
    "max.f32 %d, %a, %b;": lambda a, b, c: max(a, b),
    "setp.lt.f32 %p, %a, %b; selp.f32 %d, %a, %c, %p;": lambda a, b, c: a if a < b else c,
    "setp.geu.f32 %p, %a, %b; selp.f32 %d, %a, %c, %p;": lambda a, b, c: a if a >= b else c,
    "copysign.f32 %d, %a, %b;": lambda a, b, c: math.copysign(b, a),
    "cvt.rni.s32.f32 %d, %a; cvt.rn.f32.s32 %d, %d;": lambda a, b, c: round(a),
    "cvt.rzi.s32.f32 %d, %a; cvt.rn.f32.s32 %d, %d;": lambda a, b, c: math.trunc(a),
    "cvt.rmi.f32.f32 %d, %a;": lambda a, b, c: math.floor(a),
    "cvt.rpi.f32.f32 %d, %a;": lambda a, b, c: math.ceil(a),
    "cvt.rni.f32.f32 %d, %a;": lambda a, b, c: round(a),
    "cvt.f64.f32 %w, %a; fma.rn.f64 %w, %w, %w, %w; cvt.rn.f32.f64 %d, %w;": lambda a, b, c: a * a + a,
    "cvt.rn.f16.f32 %h, %a; cvt.f32.f16 %d, %h;": lambda a, b, c: as_f16(f16_bits(a)),
    "cvt.rn.bf16.f32 %h, %a; mov.b32 %d, {0, %h};": lambda a, b, c: as_f32(bf16_bits(a) << 16),
    "cvt.rzi.u32.f32 %d, %a; cvt.rn.f32.u32 %d, %d;": lambda a, b, c: max(0, math.trunc(a)),
}

PAIRS = {  # with three pairs of halves
    "add.f16x2 %d, %a, %b;": lambda a, b, c: a + b,
    "sub.rn.f16x2 %d, %a, %b;": lambda a, b, c: a - b,
    "mul.f16x2 %d, %a, %b;": lambda a, b, c: a * b,
    "fma.rn.f16x2 %d, %a, %b, %c;": lambda a, b, c: a * b + c,
    "max.f16x2 %d, %a, %b;": lambda a, b, c: max(a, b),
    "neg.f16x2 %d, %a;": lambda a, b, c: -a,
}

SEED = random.Random(7)
EDGES = [0, 1, 2, 31, 32, 33, 0x7FFFFFFF, 0x80000000, 0x80000001, WORD, WORD - 1, 0x10000]
NUMBERS = [[SEED.choice(EDGES) if SEED.random() < 0.5 else SEED.getrandbits(32) for _ in range(LANES)] for _ in range(3)]
LONG_NUMBERS = [[SEED.getrandbits(64) >> SEED.choice([0, 0, 33]) for _ in range(LANES)] for _ in range(2)]
REALS = [[f32(SEED.uniform(-20, 20)) for _ in range(LANES)] for _ in range(3)]
HALVES = [[[as_f16(f16_bits(SEED.uniform(-9, 9))) for _ in range(2)] for _ in range(LANES)] for _ in range(3)]

MORE = ".reg .b16 %h, %g; .reg .b64 %w;"
MORE_LONG = ".reg .b32 %w;"


def all_cases():
    """[(kernel's name, its text)] of the tables above."""
    made = []
    for table, size, more in ((INTEGERS, 4, MORE), (FLOATS, 4, MORE), (PAIRS, 4, MORE), (LONGS, 8, MORE_LONG)):
        for body in table:
            name = f"kernel_{len(made)}"
            inputs = 2 if size == 8 else 3
            made.append((body, name, lanewise(f"{body}\nst.global.b{8 * size} [%to], %d;", inputs, size, name, more)))
    return made


CASES = all_cases()
NAMES = {body: name for body, name, _ in CASES}
MODULE = HEAD + "\n".join(text for _, _, text in CASES)


def run_case(device, module, body, columns, code):
    """The results of a case, one a lane."""
    given = device.memory([value for column in columns for value in column], code)
    out = device.memory([0] * (LANES * 8), "B")
    device.launch(module, given, out, name=NAMES[body])
    raw = bytes(device.read(out, LANES * 8, "B"))
    return [struct.unpack_from(f"<{code}", raw, 8 * lane)[0] for lane in range(LANES)]


def test_integers(device):
    module = device.load(MODULE)
    for body, expected in INTEGERS.items():
        wanted = [int(expected(*(column[lane] for column in NUMBERS))) & WORD for lane in range(LANES)]
        assert run_case(device, module, body, NUMBERS, "I") == wanted, body


def test_long_integers(device):
    module = device.load(MODULE)
    for body, expected in LONGS.items():
        wanted = [int(expected(*(column[lane] for column in LONG_NUMBERS))) & LONG for lane in range(LANES)]
        assert run_case(device, module, body, LONG_NUMBERS, "Q") == wanted, body


def test_floats(device):
    module = device.load(MODULE)
    for body, expected in FLOATS.items():
        wanted = [f32(expected(*(column[lane] for column in REALS))) for lane in range(LANES)]
        got = run_case(device, module, body, REALS, "f")
        tolerance = 3e-7 if "approx" in body or "full" in body else 0
        assert got == pytest.approx(wanted, rel=tolerance, abs=0), body


def test_pairs_of_halves(device):
    module = device.load(MODULE)
    columns = [[f16_bits(low) | f16_bits(high) << 16 for low, high in column] for column in HALVES]
    for body, expected in PAIRS.items():
        wanted = []
        for lane in range(LANES):
            low, high = (f16_bits(expected(*(column[lane][i] for column in HALVES))) for i in (0, 1))
            wanted.append(low | high << 16)
        assert run_case(device, module, body, columns, "I") == wanted, body


# ---- conversions at their limits ----


@pytest.mark.parametrize(
    "convert, given, code, wanted",
    [
        ("cvt.rzi.s32.f32", [1e20, -1e20, math.nan, -0.9, 2147483520.0], "i", [2**31 - 1, -(2**31), 0, 0, 2147483520]),
        ("cvt.rni.u32.f32", [1e20, -1e20, math.nan, 0.5, 1.5, 2.5, 4294967040.0], "I", [WORD, 0, 0, 0, 2, 2, 4294967040]),
    ],
)
def test_conversion_saturates(device, convert, given, code, wanted):
    text = lanewise(f"{convert} %d, %a; st.global.b32 [%to], %d;")
    out = device.memory([0] * LANES, "q")
    device.launch(device.load(HEAD + text), device.memory(given + [0.0] * (LANES - len(given)), "f"), out)
    assert device.read(out, 2 * LANES, code)[: 2 * len(wanted) : 2] == wanted


def test_halves_round_to_even_and_keep_denormal_numbers(device):
    given = [65519.0, 65520.0, 2.0**-24, 2.0**-25, 3 * 2.0**-25, 2.0**-14, 1 + 2.0**-11, 1 + 3 * 2.0**-11, math.inf, -1e9]
    text = lanewise("cvt.rn.f16x2.f32 %d, %a, %b; st.global.b32 [%to], %d;", inputs=2)
    out = device.memory([0] * LANES, "q")
    lanes = given + [0.0] * (LANES - len(given))
    device.launch(device.load(HEAD + text), device.memory(lanes + [-x for x in lanes], "f"), out)
    wanted = [0x7BFF, 0x7C00, 1, 0, 2, 0x0400, 0x3C00, 0x3C02, 0x7C00, 0xFC00]
    got = device.read(out, LANES, "Q")
    assert got[: len(given)] == [high << 16 | high ^ 0x8000 for high in wanted]


def test_fused_multiplication_rounds_once(device):
    rows = [(0x3F800001, 0x3F800001, 0xBF800002), (0x3F800001, 0x33800000, 0x3F800000), (0x00800001, 0x3F000001, 0x80000001)]
    columns = [[row[i] for row in rows] + [0] * (LANES - len(rows)) for i in range(3)]
    text = lanewise("fma.rn.f32 %d, %a, %b, %c; st.global.b32 [%to], %d;", inputs=3)
    out = device.memory([0] * LANES, "q")
    device.launch(device.load(HEAD + text), device.memory(sum(columns, [])), out)
    assert device.read(out, LANES, "Q")[: len(rows)] == [fma(*row) for row in rows]


def test_comparisons_with_what_is_no_number(device):
    words = ("lt", "ge", "ne", "equ", "neu", "ltu", "num", "nan")
    body = "mov.b32 %d, 0;" + "".join(
        f"setp.{word}.f32 %p, %a, %b; selp.u32 %c, {1 << i}, 0, %p; or.b32 %d, %d, %c;" for i, word in enumerate(words)
    )
    text = lanewise(f"{body} st.global.b32 [%to], %d;", inputs=2)
    out = device.memory([0] * LANES, "q")
    device.launch(device.load(HEAD + text), device.memory([math.nan] * LANES + [1.0] * LANES, "f"), out)
    wanted = {"equ", "neu", "ltu", "nan"}
    assert device.read(out, 1, "Q") == [sum(1 << i for i, word in enumerate(words) if word in wanted)]


def test_denormal_numbers_are_zeros_where_the_instruction_says_so(device):
    body = """mul.f32 %b, %a, 0f3f000000; mul.ftz.f32 %c, %a, 0f3f000000; st.global.v2.b32 [%to], {%b, %c};"""
    out = device.memory([0] * LANES, "Q")
    device.launch(device.load(HEAD + lanewise(body)), device.memory([0x00800002] * LANES), out)
    assert device.read(out, 2) == [0x00400001, 0]


def test_tanh_is_as_coarse_as_a_devices(device):
    given = [SEED.uniform(-3, 3) for _ in range(LANES)]
    text = lanewise("tanh.approx.f32 %d, %a; st.global.b32 [%to], %d;")
    out = device.memory([0] * LANES, "q")
    device.launch(device.load(HEAD + text), device.memory(given, "f"), out)
    got = device.read(out, 2 * LANES, "f")[::2]
    errors = [abs(value / math.tanh(f32(x)) - 1) for value, x in zip(got, given)]
    assert 2**-14 < max(errors) <= 2**-11


# ---- control flow ----


def run_one(device, text, given, block=(LANES, 1, 1), grid=(1, 1, 1), shared=0, lanes=LANES):
    """The 32-bit results of a kernel over 32-bit words, one for each 8 bytes."""
    out = device.memory([0] * lanes, "Q")
    device.launch(device.load(HEAD + text), device.memory(given), out, block=block, grid=grid, shared=shared)
    return [value & WORD for value in device.read(out, lanes, "Q")]


COLLATZ = lanewise(
    """mov.b32 %d, 0;
LOOP:
    setp.le.u32 %p, %a, 1;
    @%p bra DONE;
    and.b32 %b, %a, 1;
    setp.eq.u32 %q, %b, 0;
    @%q bra EVEN;
    mad.lo.u32 %a, %a, 3, 1;
    bra.uni NEXT;
EVEN:
    shr.u32 %a, %a, 1;
NEXT:
    add.u32 %d, %d, 1;
    bra LOOP;
DONE:
    vote.sync.ballot.b32 %c, %p, 0xffffffff;
    st.global.v2.b32 [%to], {%d, %c};"""
)


def collatz(n):
    steps = 0
    while n > 1:
        n, steps = (n // 2 if n % 2 == 0 else 3 * n + 1), steps + 1
    return steps


def test_lanes_part_and_meet_again(device):
    """Each lane takes another number of turns; the vote at the end has all of them."""
    out = device.memory([0] * LANES, "Q")
    device.launch(device.load(HEAD + COLLATZ), device.memory(list(range(1, LANES + 1))), out)
    assert device.read(out, 2 * LANES) == [x for n in range(1, LANES + 1) for x in (collatz(n), WORD)]


RETURNING = lanewise(
    """setp.lt.u32 %p, %a, 5;
    @%p ret;
    activemask.b32 %d;
    { .reg .b32 %d; mov.b32 %d, 1; }
    st.global.b32 [%to], %d;"""
)


def test_lanes_that_have_returned_are_gone(device):
    left = sum(1 << lane for lane in range(5, LANES))
    assert run_one(device, RETURNING, list(range(LANES))) == [0] * 5 + [left] * (LANES - 5)


REVERSE = entry(
    """.reg .b32 %i, %n, %v, %at; .reg .b64 %in, %out, %x;
    .shared .align 16 .b8 first[64];""",
    """ld.param.u64 %in, [in]; ld.param.u64 %out, [out];
    mov.u32 %i, %tid.x; mov.u32 %n, %ntid.x;
    mul.wide.u32 %x, %i, 4; add.u64 %in, %in, %x; ld.global.nc.u32 %v, [%in];
    mov.u32 %at, words; mad.lo.u32 %at, %i, 4, %at; st.shared.u32 [%at], %v;
    bar.sync 0;
    mov.u32 %at, words; sub.u32 %v, %n, %i; mad.lo.u32 %at, %v, 4, %at; ld.shared.u32 %v, [%at+-4];
    mul.wide.u32 %x, %i, 8; add.u64 %out, %out, %x; st.global.u32 [%out], %v;
    ret;""",
)
REVERSE = ".extern .shared .align 16 .b8 words[];\n" + REVERSE


@pytest.mark.parametrize("threads", [32, 33, 256, 1000])
def test_barrier_and_dynamic_shared_memory(device, threads):
    given = [SEED.getrandbits(32) for _ in range(threads)]
    got = run_one(device, REVERSE, given, block=(threads, 1, 1), shared=4 * threads, lanes=threads)
    assert got == given[::-1]


GRID = entry(
    ".reg .b32 %r<16>; .reg .b64 %out, %at;",
    """ld.param.u64 %out, [out];
    mov.u32 %r0, %tid.x; mov.u32 %r1, %tid.y; mov.u32 %r2, %tid.z;
    mov.u32 %r3, %ntid.x; mov.u32 %r4, %ntid.y; mov.u32 %r5, %ntid.z;
    mov.u32 %r6, %ctaid.x; mov.u32 %r7, %ctaid.y; mov.u32 %r8, %ctaid.z;
    mov.u32 %r9, %nctaid.x; mov.u32 %r10, %nctaid.y;
    mad.lo.u32 %r11, %r8, %r10, %r7; mad.lo.u32 %r11, %r11, %r9, %r6;
    mad.lo.u32 %r12, %r2, %r4, %r1; mad.lo.u32 %r12, %r12, %r3, %r0;
    mul.lo.u32 %r13, %r3, %r4; mul.lo.u32 %r13, %r13, %r5;
    mad.lo.u32 %r11, %r11, %r13, %r12;
    mov.u32 %r14, %laneid; mov.u32 %r15, %warpid; mad.lo.u32 %r14, %r15, 32, %r14;
    mul.wide.u32 %at, %r11, 8; add.u64 %out, %out, %at;
    st.global.v2.u32 [%out], {%r11, %r14};
    ret;""",
)


def test_every_thread_of_a_grid(device):
    out = device.memory([0] * (24 * 60), "Q")
    device.launch(device.load(HEAD + GRID), out, out, grid=(2, 3, 4), block=(3, 4, 5))
    wanted = [x for i in range(24 * 60) for x in (i, i % 60)]
    assert device.read(out, 2 * 24 * 60) == wanted


COUNTING = entry(
    ".reg .b32 %i, %d; .reg .b64 %in, %out, %at; .reg .pred %p;",
    """ld.param.u64 %in, [in]; ld.param.u64 %out, [out];
    mov.u32 %i, %tid.x;
    atom.global.add.u32 %d, [%in], %i;
    red.global.add.f32 [%in+4], 0f3f000000;
    red.global.max.s32 [%in+8], %i;
    atom.global.cas.b32 %d, [%in+12], 7, %i;
    ret;""",
)


def test_atomics(device):
    memory = device.memory([0, 0, WORD, 7])
    device.launch(device.load(HEAD + COUNTING), memory, memory, block=(64, 1, 1), grid=(3, 1, 1))
    assert device.read(memory, 3) == [3 * 63 * 32, f32_bits(96.0), 63] and device.read(memory, 4)[3] < 64


# ---- lanes of a warp together ----

SHUFFLES = {  # the lane that each lane's value comes from; None: its own, and the predicate is false
    "shfl.sync.bfly.b32 %d|%p, %a, 5, 31, -1;": lambda i: i ^ 5,
    "shfl.sync.down.b32 %d|%p, %a, 3, 31, -1;": lambda i: i + 3 if i < 29 else None,
    "shfl.sync.up.b32 %d|%p, %a, 3, 0, -1;": lambda i: i - 3 if i > 2 else None,
    "shfl.sync.idx.b32 %d|%p, %a, 9, 31, -1;": lambda i: 9,
    "shfl.sync.down.b32 %d|%p, %a, 2, 0x181f, -1;": lambda i: i + 2 if i % 8 < 6 else None,
    "shfl.sync.idx.b32 %d|%p, %a, 1, 0x1c1f, -1;": lambda i: i // 4 * 4 + 1,
    "mov.b32 %b, %laneid; shr.u32 %b, %b, 1; shfl.sync.idx.b32 %d|%p, %a, %b, 31, -1;": lambda i: i // 2,
}


@pytest.mark.parametrize("body", SHUFFLES)
def test_shuffle(device, body):
    given = [SEED.getrandbits(31) for _ in range(LANES)]
    text = lanewise(f"{body} @!%p or.b32 %d, %d, 0x80000000; st.global.b32 [%to], %d;")
    sources = [SHUFFLES[body](i) for i in range(LANES)]
    assert run_one(device, text, given) == [given[i] | 1 << 31 if j is None else given[j] for i, j in enumerate(sources)]


def test_votes_and_reductions(device):
    body = """setp.gt.u32 %p, %a, 9;
    vote.sync.ballot.b32 %d, %p, -1; vote.sync.any.pred %q, %p, -1; selp.u32 %b, 1, 0, %q;
    vote.sync.all.pred %q, %p, -1; selp.u32 %c, 2, 0, %q; or.b32 %b, %b, %c;
    redux.sync.max.s32 %c, %a, -1; shl.b32 %c, %c, 8; or.b32 %b, %b, %c; bar.warp.sync -1;
    st.global.v2.b32 [%to], {%d, %b};"""
    out = device.memory([0] * LANES, "Q")
    device.launch(device.load(HEAD + lanewise(body)), device.memory(list(range(LANES))), out)
    assert device.read(out, 2) == [WORD & ~0x3FF, 1 | 31 << 8]


def fragment_rows(lane, register):
    """(row, column) of the two halves of a register of A, and of B: figures of the PTX ISA, "Matrix Fragments"."""
    group, place = lane // 4, lane % 4
    row, column = group + 8 * (register % 2), 2 * place + 8 * (register // 2)
    return [(row, column), (row, column + 1)]


def multiply(a, b, c):
    return [[c[i][j] + sum(a[i][k] * b[k][j] for k in range(len(b))) for j in range(8)] for i in range(16)]


MULTIPLY = """ld.param.u64 %in, [in]; ld.param.u64 %out, [out];
    mov.u32 %i, %tid.x; mad.wide.u32 %in, %i, 40, %in; mad.wide.u32 %out, %i, 16, %out;
    ld.global.v2.b32 {%a0, %a1}, [%in]; ld.global.v2.b32 {%a2, %a3}, [%in+8];
    ld.global.v2.b32 {%b0, %b1}, [%in+16];
    ld.global.v2.f32 {%c0, %c1}, [%in+24]; ld.global.v2.f32 {%c2, %c3}, [%in+32];
    mma.sync.aligned.m16n8k16.row.col.f32.TYPE.TYPE.f32 {%d0, %d1, %d2, %d3}, {%a0, %a1, %a2, %a3}, {%b0, %b1},
        {%c0, %c1, %c2, %c3};
    st.global.v4.f32 [%out], {%d0, %d1, %d2, %d3};
    ret;"""
MULTIPLIERS = {
    kind: entry(".reg .b32 %i, %a<4>, %b<2>; .reg .f32 %c<4>, %d<4>; .reg .b64 %in, %out;", MULTIPLY.replace("TYPE", kind))
    for kind in ("f16", "bf16")
}


@pytest.mark.parametrize("kind", ["f16", "bf16"])
def test_product_of_matrices(device, kind):
    """Small whole numbers, so that sums are exact whatever their order; no two rows or columns are alike."""
    bits = f16_bits if kind == "f16" else bf16_bits
    a, b, c = ([[SEED.randint(-9, 9) for _ in range(n)] for _ in range(m)] for m, n in ((16, 16), (16, 8), (16, 8)))
    words = []
    for lane in range(LANES):
        group, place = lane // 4, lane % 4
        for register in range(4):
            low, high = (bits(a[i][k]) for i, k in fragment_rows(lane, register))
            words.append(low | high << 16)
        for register in range(2):
            first = 2 * place + 8 * register
            words.append(bits(b[first][group]) | bits(b[first + 1][group]) << 16)
        words += [f32_bits(c[group + 8 * (i // 2)][2 * place + i % 2]) for i in range(4)]
    out = device.memory([0.0] * 128, "f")
    device.launch(device.load(HEAD + MULTIPLIERS[kind]), device.memory(words), out)
    got, wanted = device.read(out, 128, "f"), multiply(a, b, c)
    for lane in range(LANES):
        group, place = lane // 4, lane % 4
        for i in range(4):
            assert got[4 * lane + i] == wanted[group + 8 * (i // 2)][2 * place + i % 2], (lane, i)


def load_matrix(count, trans):
    registers = ", ".join(f"%m{i}" for i in range(count))
    return entry(
        ".reg .b32 %i, %at, %m<4>; .reg .b64 %in, %out; .shared .align 16 .b8 tile[512];",
        f"""ld.param.u64 %in, [in]; ld.param.u64 %out, [out];
    mov.u32 %i, %tid.x; mad.wide.u32 %in, %i, 16, %in; mad.wide.u32 %out, %i, 16, %out;
    mov.u32 %at, tile; mad.lo.u32 %at, %i, 16, %at;
    cp.async.cg.shared.global [%at], [%in], 16;
    cp.async.commit_group;
    cp.async.wait_group 0;
    bar.sync 0;
    mov.b32 %m0, 0; mov.b32 %m1, 0; mov.b32 %m2, 0; mov.b32 %m3, 0;
    ldmatrix.sync.aligned.m8n8.x{count}{trans}.shared.b16 {{{registers}}}, [%at];
    st.global.v4.b32 [%out], {{%m0, %m1, %m2, %m3}};
    ret;""",
    )


@pytest.mark.parametrize("trans", ["", ".trans"])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_matrices_from_shared_memory(device, count, trans):
    """Each lane has two neighbours of a row, or of a column; what lies in the matrices is their places' number."""
    halves = list(range(256))
    words = [halves[i] | halves[i + 1] << 16 for i in range(0, 256, 2)]
    out = device.memory([0] * 128)
    device.launch(device.load(HEAD + load_matrix(count, trans)), device.memory(words), out)
    got = device.read(out, 128)
    for lane in range(LANES):
        row, column = lane // 4, 2 * (lane % 4)
        for matrix in range(4):
            first, second = (8 * row + column, 8 * row + column + 1) if not trans else (8 * column + row, 8 * column + 8 + row)
            wanted = (64 * matrix + first) | (64 * matrix + second) << 16 if matrix < count else 0
            assert got[4 * lane + matrix] == wanted, (lane, matrix)


COPYING = entry(
    ".reg .b32 %i, %at, %v, %w; .reg .b64 %in, %out; .shared .align 16 .b8 tile[512];",
    """ld.param.u64 %in, [in]; ld.param.u64 %out, [out];
    mov.u32 %i, %tid.x; mad.wide.u32 %in, %i, 4, %in; mad.wide.u32 %out, %i, 8, %out;
    mov.u32 %at, tile; mad.lo.u32 %at, %i, 4, %at;
    st.shared.u32 [%at], 1; st.shared.u32 [%at+128], 2;
    cp.async.ca.shared.global [%at], [%in], 4;
    cp.async.commit_group;
    cp.async.ca.shared.global [%at+128], [%in], 4, 2;
    cp.async.commit_group;
    cp.async.wait_group 1;
    ld.shared.u32 %v, [%at]; ld.shared.u32 %w, [%at+128];
    add.u32 %v, %v, %w;
    cp.async.wait_all;
    ld.shared.u32 %w, [%at+128];
    st.global.v2.u32 [%out], {%v, %w};
    ret;""",
)


def test_copy_is_there_after_the_wait_for_its_group(device):
    """And not before; what is beyond the bytes that are used is zero."""
    given = [SEED.getrandbits(30) for _ in range(LANES)]
    out = device.memory([0] * LANES, "Q")
    device.launch(device.load(HEAD + COPYING), device.memory(given), out)
    assert device.read(out, 2 * LANES) == [x for value in given for x in (value + 2, value & 0xFFFF)]


# ---- what goes wrong ----


def fails(device, capfd, body, result, words):
    """The launch itself succeeds, the next call tells; standard error says where it was."""
    text = HEAD + lanewise(body)
    module, given, out = device.load(text), device.memory([0] * LANES), device.memory([0] * LANES, "Q")
    with pytest.raises(Failed) as failed:
        device.launch(module, given, out)
    assert failed.value.args == ("cuCtxSynchronize", result)
    said = capfd.readouterr().err
    statement = re.search(r"line (\d+) \((.*)\), block", said)
    assert statement and statement[2] + ";" in text.splitlines()[int(statement[1]) - 1]
    assert re.search(words, said), said


BEYOND = "mov.b32 %b, %laneid; setp.eq.u32 %p, %b, 7;"
FAULTS = {
    "behind the end": ("add.u64 %to, %to, 8;\nst.global.b64 [%to], %to;", 700, "thread 31,0,0: 8 bytes at global address 0x[0-9a-f]+, which are not"),
    "before the start": (f"{BEYOND}\n@%p ld.global.u32 %a, [%to+-80];", 700, "line 17.*thread 7,0,0: 4 bytes at global"),
    "misaligned": ("st.global.b32 [%to+2], %a;", 716, "thread 0,0,0: 4 bytes at global.*misaligned"),
    "misaligned vector": (f"{BEYOND}\nst.global.v4.b32 [%to], {{%a, %a, %a, %a}};", 716, "thread 1,0,0: 16 bytes"),
    "no address": ("mov.b64 %to, 16; red.global.add.u32 [%to], 1;", 700, "global address 0x10,"),
    "shared": ("ld.shared.u32 %a, [%lane];", 700, "thread 0,0,0: 4 bytes at shared address 0x0, "),
    "parameter": ("ld.param.u64 %to, [out+8];", 700, "8 bytes at param address 0x10,"),
    "shuffle": (f"{BEYOND}\n@%p shfl.sync.idx.b32 %d, %a, 0, 31, -1;", 719, "for the lanes ffffffff.*by 00000080"),
    "barrier": (f"{BEYOND}\n@%p bar.sync 0;", 719, "by 00000080"),
}


DEADLOCK = entry(
    ".reg .b32 %i; .reg .pred %p;",
    """mov.u32 %i, %tid.x; setp.gt.u32 %p, %i, 31; @%p bra OTHER;
    bar.sync 1;
    ret;
OTHER:
    bar.sync 2;
    ret;""",
)


def test_warps_that_wait_at_other_barriers(device, capfd):
    memory = device.memory([0])
    with pytest.raises(Failed) as failed:
        device.launch(device.load(HEAD + DEADLOCK), memory, memory, block=(64, 1, 1))
    assert failed.value.args == ("cuCtxSynchronize", 719) and "(bar.sync 1), block" in capfd.readouterr().err


@pytest.mark.parametrize("case", FAULTS)
def test_fault(device, capfd, case):
    body, result, words = FAULTS[case]
    fails(device, capfd, body, result, words)


RACES = {
    "read and written": (REVERSE.replace("bar.sync 0;", ""), r"warp \d writes shared address 0x[0-9a-f]+, which another warp has read"),
    "written and read": (
        REVERSE.replace("    mul.wide.u32 %x, %i, 8;", "    st.shared.u32 [%at], %v; mul.wide.u32 %x, %i, 8;", 1).replace(
            "[%at+-4];", "[%at+-4]; mov.u32 %at, words; mad.lo.u32 %at, %i, 4, %at;"
        ),
        r"warp \d reads shared address 0x[0-9a-f]+, which another warp has written",
    ),
}


@pytest.mark.parametrize("case", RACES)
def test_race_in_shared_memory(device, capfd, case):
    text, words = RACES[case]
    with pytest.raises(Failed) as failed:
        run_one(device, text, [0] * 64, block=(64, 1, 1), shared=256, lanes=64)
    assert failed.value.args == ("cuCtxSynchronize", 719)
    assert re.search(words, capfd.readouterr().err)


REFUSED = {
    "unknown instruction": ("frobnicate.u32 %a, %b;", "line 16; error   : unknown instruction 'frobnicate.u32'"),
    "unknown variant": ("add.sat.s32 %a, %a, %b;", "unknown instruction 'add.sat.s32'"),
    "unknown register": ("add.u32 %a, %x, 1;", "Unknown symbol '%x'"),
    "unknown label": ("bra NOWHERE;", "Unknown symbol 'NOWHERE'"),
    "another size": ("add.u64 %to, %to, %a;", "the size of an operand"),
    "an integer for a float": ("add.f32 %a, %a, 1;", "an integer for a float"),
    "operands": ("add.u32 %a, %b;", "the number of operands"),
    "no rounding": ("cvt.f32.s32 %a, %a;", "Rounding modifier required"),
    "vector": ("ld.global.v2.u32 %a, [%to];", "the number of elements"),
    "syntax": ("add.u32 %a, , %b;", "Parsing error near ','"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_text_that_cannot_be_used(device, capfd, case):
    body, words = REFUSED[case]
    with pytest.raises(Failed) as failed:
        device.load(HEAD + lanewise(body))
    assert failed.value.args == ("cuModuleLoadData", 218)
    assert words in capfd.readouterr().err


def test_later_architecture_is_refused(device, capfd, monkeypatch):
    text = HEAD + lanewise("add.u32 %a, %a, 1;")
    monkeypatch.setenv("FAKE_CUDA_CAPABILITY", "75")
    with pytest.raises(Failed):
        device.load(text)
    monkeypatch.setenv("FAKE_CUDA_CAPABILITY", "80")
    device.load(text)


@pytest.mark.parametrize("shared, most", [(48 << 10, 90), (99 << 10, 86), (163 << 10, 80), (227 << 10, 90)])
def test_shared_memory_is_as_much_as_the_device_has(device, monkeypatch, shared, most):
    monkeypatch.setenv("FAKE_CUDA_CAPABILITY", str(most))
    module = device.load(HEAD + ".extern .shared .align 16 .b8 words[];\n" + lanewise("add.u32 %a, %a, 1;"))
    given, out = device.memory([0] * LANES), device.memory([0] * LANES, "Q")
    device.launch(module, given, out, shared=shared)
    if shared > 48 << 10:
        with pytest.raises(Failed):
            device.launch(module, given, out, shared=shared + 1024)


# ---- the same texts by NVIDIA's own assembler ----


def test_the_texts_are_ptx(public_path):
    """What the interpreter takes here, the driver's compiler takes too."""
    texts = [MODULE, HEAD + COLLATZ, HEAD + RETURNING, HEAD + REVERSE, HEAD + GRID, HEAD + COUNTING, HEAD + COPYING]
    texts += [HEAD + text for text in MULTIPLIERS.values()]
    texts += [HEAD + load_matrix(count, trans) for count in (1, 4) for trans in ("", ".trans")]
    texts += [HEAD + lanewise(f"{body} @!%p or.b32 %d, %d, 1; st.global.b32 [%to], %d;") for body in SHUFFLES]
    texts += [HEAD + lanewise(FAULTS[case][0]) for case in FAULTS]
    for text in texts:
        done, _ = compiled(text, "sm_90", public_path)
        assert done.returncode == 0, (text, done)
