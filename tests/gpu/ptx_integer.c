/* What the interpreter's instructions on integers, bits and predicates do. See ptx.h. */
#include "ptx_private.h"

/* The second source has 32 bits, whatever the first has. */
#define SHIFT(name, field, expression)                                              \
    static int name(struct warp *warp, const struct instr *in)                      \
    {                                                                               \
        const union reg *x = &warp->regs[in->src[0]], *y = &warp->regs[in->src[1]]; \
        union reg value;                                                            \
        EACH                                                                        \
        {                                                                           \
            __typeof__(x->field[0]) a = x->field[i];                                \
            uint32_t b = y->u[i];                                                   \
            value.field[i] = (__typeof__(a))(expression);                           \
        }                                                                           \
        KEEP(warp, in->dst[0], value, field);                                       \
        return 0;                                                                   \
    }

LANEWISE(add32, u, u, a + b)
LANEWISE(add64, q, q, a + b)
LANEWISE(sub32, u, u, a - b)
LANEWISE(sub64, q, q, a - b)
LANEWISE(mul_lo32, u, u, a *b)
LANEWISE(mul_lo64, q, q, a *b)
LANEWISE(mul_wide_u32, u, q, (uint64_t)a *b)
LANEWISE(mul_wide_s32, s, l, (int64_t)a *b)
LANEWISE(mul_hi_u32, u, u, (uint64_t)a *b >> 32)
LANEWISE(mul_hi_s32, s, s, (int64_t)a *b >> 32)
LANEWISE(mul_hi_u64, q, q, (unsigned __int128)a *b >> 64)
LANEWISE(mad_lo32, u, u, a *b + c)
LANEWISE(mad_lo64, q, q, a *b + c)
LANEWISE(mad_hi_u32, u, u, ((uint64_t)a * b >> 32) + c)
LANEWISE(mad_wide_u32, u, q, (uint64_t)a *b + z->q[i])
LANEWISE(mad_wide_s32, s, l, (uint64_t)((int64_t)a *b) + z->q[i])
LANEWISE(div_u32, u, u, b == 0 ? ~0u : a / b)
LANEWISE(div_s32, s, s, b == 0 ? -1 : b == -1 ? (int32_t)(0u - (uint32_t)a) : a / b)
LANEWISE(div_u64, q, q, b == 0 ? ~UINT64_C(0) : a / b)
LANEWISE(div_s64, l, l, b == 0 ? -1 : b == -1 ? (int64_t)(0u - (uint64_t)a) : a / b)
LANEWISE(rem_u32, u, u, b == 0 ? a : a % b)
LANEWISE(rem_s32, s, s, b == 0 ? a : b == -1 ? 0 : a % b)
LANEWISE(rem_u64, q, q, b == 0 ? a : a % b)
LANEWISE(rem_s64, l, l, b == 0 ? a : b == -1 ? 0 : a % b)
LANEWISE(min_u32, u, u, a < b ? a : b)
LANEWISE(min_s32, s, s, a < b ? a : b)
LANEWISE(min_u64, q, q, a < b ? a : b)
LANEWISE(min_s64, l, l, a < b ? a : b)
LANEWISE(max_u32, u, u, a > b ? a : b)
LANEWISE(max_s32, s, s, a > b ? a : b)
LANEWISE(max_u64, q, q, a > b ? a : b)
LANEWISE(max_s64, l, l, a > b ? a : b)
LANEWISE(neg32, u, u, 0 - a)
LANEWISE(neg64, q, q, 0 - a)
LANEWISE(abs32, s, u, a < 0 ? 0 - (uint32_t)a : (uint32_t)a)
LANEWISE(abs64, l, q, a < 0 ? 0 - (uint64_t)a : (uint64_t)a)
LANEWISE(and32, u, u, a &b)
LANEWISE(and64, q, q, a &b)
LANEWISE(or32, u, u, a | b)
LANEWISE(or64, q, q, a | b)
LANEWISE(xor32, u, u, a ^ b)
LANEWISE(xor64, q, q, a ^ b)
LANEWISE(not16, u, u, ~a & 0xffff)
LANEWISE(not32, u, u, ~a)
LANEWISE(not64, q, q, ~a)
LANEWISE(popc32, u, u, __builtin_popcount(a))
LANEWISE(popc64, q, u, __builtin_popcountll(a))
LANEWISE(clz32, u, u, a == 0 ? 32 : __builtin_clz(a))
LANEWISE(clz64, q, u, a == 0 ? 64 : __builtin_clzll(a))

SHIFT(shl16, u, b > 15 ? 0 : a << b & 0xffff)
SHIFT(shl32, u, b > 31 ? 0 : a << b)
SHIFT(shl64, q, b > 63 ? 0 : a << b)
SHIFT(shr_u32, u, b > 31 ? 0 : a >> b)
SHIFT(shr_s32, s, a >> (b > 31 ? 31 : b))
SHIFT(shr_u64, q, b > 63 ? 0 : a >> b)
SHIFT(shr_s64, l, a >> (b > 63 ? 63 : b))

static uint64_t funnel(uint32_t low, uint32_t high)
{
    return (uint64_t)high << 32 | low;
}

LANEWISE(shf_l_wrap, u, u, funnel(a, b) << (c & 31) >> 32)
LANEWISE(shf_r_wrap, u, u, funnel(a, b) >> (c & 31))
LANEWISE(shf_l_clamp, u, u, c > 31 ? a : funnel(a, b) << c >> 32)
LANEWISE(shf_r_clamp, u, u, c > 31 ? b : funnel(a, b) >> c)

/* --- fields of bits ------------------------------------------------------------------------- */

static uint32_t low_bits(uint32_t count)
{
    return count > 31 ? ~0u : (1u << count) - 1;
}

static uint32_t extract(uint32_t from, uint32_t at, uint32_t count)
{
    return at > 31 ? 0 : from >> at & low_bits(count);
}

/* The sign is the field's last bit, or the last of all if the field reaches beyond. */
static uint32_t extract_signed(uint32_t from, uint32_t at, uint32_t count)
{
    uint32_t last = at + count > 32 ? 31 : at + count - 1;
    if (count == 0)
        return 0;
    uint32_t sign = from >> last & 1 ? ~0u : 0, kept = last < at ? 0 : last - at + 1;
    return extract(from, at, kept) | (sign & ~low_bits(kept));
}

LANEWISE(bfe_u32, u, u, extract(a, b & 255, c & 255))
LANEWISE(bfe_s32, u, u, extract_signed(a, b & 255, c & 255))

static uint32_t insert(uint32_t what, uint32_t into, uint32_t at, uint32_t count)
{
    return at > 31 ? into : (into & ~(low_bits(count) << at)) | ((what & low_bits(count)) << at);
}

LANEWISE(bfi32, u, u, insert(a, b, c & 255, warp->regs[in->src[3]].u[i] & 255))

/* Four bytes out of the eight of two registers; the fourth bit of a selector copies the sign. */
static uint32_t permute(uint32_t a, uint32_t b, uint32_t selectors)
{
    uint64_t bytes = (uint64_t)b << 32 | a;
    uint32_t value = 0;
    for (unsigned i = 0; i < 4; i++) {
        uint32_t selector = selectors >> (4 * i) & 15;
        uint32_t byte = (uint32_t)(bytes >> (8 * (selector & 7))) & 255;
        if (selector & 8)
            byte = byte & 128 ? 255 : 0;
        value |= byte << (8 * i);
    }
    return value;
}

LANEWISE(prmt, u, u, permute(a, b, c))

/* Any function of three bits: bit 4a + 2b + c of the table. */
static uint32_t look_up(uint32_t a, uint32_t b, uint32_t c, uint32_t table)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < 8; i++)
        if (table >> i & 1)
            value |= (i & 4 ? a : ~a) & (i & 2 ? b : ~b) & (i & 1 ? c : ~c);
    return value;
}

LANEWISE(lop3, u, u, look_up(a, b, c, warp->regs[in->src[3]].u[i]))

/* --- choices and predicates ----------------------------------------------------------------- */

#define SELECT(name, field)                                                         \
    static int name(struct warp *warp, const struct instr *in)                      \
    {                                                                               \
        const union reg *x = &warp->regs[in->src[0]], *y = &warp->regs[in->src[1]]; \
        uint32_t chosen = warp->preds[in->src[2]];                                  \
        union reg value;                                                            \
        EACH value.field[i] = chosen >> i & 1 ? x->field[i] : y->field[i];          \
        KEEP(warp, in->dst[0], value, field);                                       \
        return 0;                                                                   \
    }
SELECT(select32, u)
SELECT(select64, q)

#define PREDICATES(name, expression)                                       \
    static int name(struct warp *warp, const struct instr *in)             \
    {                                                                      \
        uint32_t a = warp->preds[in->src[0]], b = warp->preds[in->src[1]]; \
        (void)b;                                                           \
        keep_pred(warp, in->dst[0], expression);                           \
        return 0;                                                          \
    }
PREDICATES(and_pred, a &b)
PREDICATES(or_pred, a | b)
PREDICATES(xor_pred, a ^ b)
PREDICATES(not_pred, ~a)

int ptx_move_pred(struct warp *warp, const struct instr *in)
{
    keep_pred(warp, in->dst[0], warp->preds[in->src[0]]);
    return 0;
}

int ptx_move32(struct warp *warp, const struct instr *in)
{
    keep32(warp, in->dst[0], warp->regs[in->src[0]].u);
    return 0;
}

int ptx_move64(struct warp *warp, const struct instr *in)
{
    keep64(warp, in->dst[0], warp->regs[in->src[0]].q);
    return 0;
}

LANEWISE(add_window, q, q, a + SHARED_WINDOW)
LANEWISE(cut_window, q, q, a - SHARED_WINDOW)

int ptx_add_window(struct warp *warp, const struct instr *in)
{
    return add_window(warp, in);
}

int ptx_cut_window(struct warp *warp, const struct instr *in)
{
    return cut_window(warp, in);
}

/* --- comparisons ---------------------------------------------------------------------------- */

/* A predicate: the comparison, combined with another predicate; and perhaps one of its contrary. */
static int keep_comparison(struct warp *warp, const struct instr *in, uint32_t holds)
{
    uint32_t other = warp->preds[in->src[2]] ^ (in->src_not ? ALL_LANES : 0);
    uint32_t both[2] = { holds, ~holds };
    for (int i = 0; i < 2; i++)
        both[i] = in->option2 == AND   ? both[i] & other
                  : in->option2 == OR  ? both[i] | other
                  : in->option2 == XOR ? both[i] ^ other
                                       : both[i];
    keep_pred(warp, in->dst[0], both[0]);
    if (in->count)
        keep_pred(warp, in->dst[1], both[1]);
    return 0;
}

#define MASK(expression) EACH holds |= (uint32_t)(expression) << i

/* The six that have U as their last letter are true where a number is not one. */
#define COMPARE(name, type, read)                                                   \
    int name(struct warp *warp, const struct instr *in)                             \
    {                                                                               \
        const union reg *x = &warp->regs[in->src[0]], *y = &warp->regs[in->src[1]]; \
        type a[LANES], b[LANES];                                                    \
        uint32_t holds = 0;                                                         \
        EACH                                                                        \
        {                                                                           \
            a[i] = read(x, i);                                                      \
            b[i] = read(y, i);                                                      \
        }                                                                           \
        switch (in->option) {                                                       \
        case EQ: MASK(a[i] == b[i]); break;                                         \
        case NE: MASK(a[i]<b[i] || a[i]> b[i]); break;                              \
        case LT: MASK(a[i] < b[i]); break;                                          \
        case LE: MASK(a[i] <= b[i]); break;                                         \
        case GT: MASK(a[i] > b[i]); break;                                          \
        case GE: MASK(a[i] >= b[i]); break;                                         \
        case EQU: MASK(!(a[i] < b[i] || a[i] > b[i])); break;                       \
        case NEU: MASK(!(a[i] == b[i])); break;                                     \
        case LTU: MASK(!(a[i] >= b[i])); break;                                     \
        case LEU: MASK(!(a[i] > b[i])); break;                                      \
        case GTU: MASK(!(a[i] <= b[i])); break;                                     \
        case GEU: MASK(!(a[i] < b[i])); break;                                      \
        case NUM: MASK(a[i] <= b[i] || a[i] > b[i]); break;                         \
        default: MASK(!(a[i] <= b[i] || a[i] > b[i])); break;                       \
        }                                                                           \
        return keep_comparison(warp, in, holds);                                    \
    }
#define READ_U(reg, i) reg->u[i]
#define READ_S(reg, i) reg->s[i]
#define READ_F(reg, i) reg->f[i]
#define READ_Q(reg, i) reg->q[i]
#define READ_L(reg, i) reg->l[i]
#define READ_D(reg, i) reg->d[i]
#define READ_H(reg, i) ptx_from_f16((uint16_t)reg->u[i])

COMPARE(ptx_compare_u32, uint32_t, READ_U)
COMPARE(ptx_compare_s32, int32_t, READ_S)
COMPARE(ptx_compare_f32, float, READ_F)
COMPARE(ptx_compare_u64, uint64_t, READ_Q)
COMPARE(ptx_compare_s64, int64_t, READ_L)
COMPARE(ptx_compare_f64, double, READ_D)
COMPARE(ptx_compare_f16, float, READ_H)

/* --- forms ---------------------------------------------------------------------------------- */

#define WORDS (SET(U32) | SET(S32))
#define LONGS (SET(U64) | SET(S64))

const struct form ptx_integer_forms[] = {
    { "add", "", WORDS, "ttt", add32 },
    { "add", "", LONGS, "ttt", add64 },
    { "sub", "", WORDS, "ttt", sub32 },
    { "sub", "", LONGS, "ttt", sub64 },
    { "mul.lo", "", WORDS, "ttt", mul_lo32 },
    { "mul.lo", "", LONGS, "ttt", mul_lo64 },
    { "mul.wide", "", SET(U32), "wtt", mul_wide_u32 },
    { "mul.wide", "", SET(S32), "wtt", mul_wide_s32 },
    { "mul.hi", "", SET(U32), "ttt", mul_hi_u32 },
    { "mul.hi", "", SET(S32), "ttt", mul_hi_s32 },
    { "mul.hi", "", SET(U64), "ttt", mul_hi_u64 },
    { "mad.lo", "", WORDS, "tttt", mad_lo32 },
    { "mad.lo", "", LONGS, "tttt", mad_lo64 },
    { "mad.hi", "", SET(U32), "tttt", mad_hi_u32 },
    { "mad.wide", "", SET(U32), "wttw", mad_wide_u32 },
    { "mad.wide", "", SET(S32), "wttw", mad_wide_s32 },
    { "div", "", SET(U32), "ttt", div_u32 },
    { "div", "", SET(S32), "ttt", div_s32 },
    { "div", "", SET(U64), "ttt", div_u64 },
    { "div", "", SET(S64), "ttt", div_s64 },
    { "rem", "", SET(U32), "ttt", rem_u32 },
    { "rem", "", SET(S32), "ttt", rem_s32 },
    { "rem", "", SET(U64), "ttt", rem_u64 },
    { "rem", "", SET(S64), "ttt", rem_s64 },
    { "min", "", SET(U32), "ttt", min_u32 },
    { "min", "", SET(S32), "ttt", min_s32 },
    { "min", "", SET(U64), "ttt", min_u64 },
    { "min", "", SET(S64), "ttt", min_s64 },
    { "max", "", SET(U32), "ttt", max_u32 },
    { "max", "", SET(S32), "ttt", max_s32 },
    { "max", "", SET(U64), "ttt", max_u64 },
    { "max", "", SET(S64), "ttt", max_s64 },
    { "neg", "", SET(S32), "tt", neg32 },
    { "neg", "", SET(S64), "tt", neg64 },
    { "abs", "", SET(S32), "tt", abs32 },
    { "abs", "", SET(S64), "tt", abs64 },
    { "and", "", SET(B32) | SET(B16), "ttt", and32 },
    { "and", "", SET(B64), "ttt", and64 },
    { "and", "", SET(PRED), "ppp", and_pred },
    { "or", "", SET(B32) | SET(B16), "ttt", or32 },
    { "or", "", SET(B64), "ttt", or64 },
    { "or", "", SET(PRED), "ppp", or_pred },
    { "xor", "", SET(B32) | SET(B16), "ttt", xor32 },
    { "xor", "", SET(B64), "ttt", xor64 },
    { "xor", "", SET(PRED), "ppp", xor_pred },
    { "not", "", SET(B16), "tt", not16 },
    { "not", "", SET(B32), "tt", not32 },
    { "not", "", SET(B64), "tt", not64 },
    { "not", "", SET(PRED), "pp", not_pred },
    { "shl", "", SET(B16), "tti", shl16 },
    { "shl", "", SET(B32), "tti", shl32 },
    { "shl", "", SET(B64), "tti", shl64 },
    { "shr", "", SET(U32) | SET(B32) | SET(U16) | SET(B16), "tti", shr_u32 },
    { "shr", "", SET(S32), "tti", shr_s32 },
    { "shr", "", SET(U64) | SET(B64), "tti", shr_u64 },
    { "shr", "", SET(S64), "tti", shr_s64 },
    { "shf.l.wrap", "", SET(B32), "tttt", shf_l_wrap },
    { "shf.r.wrap", "", SET(B32), "tttt", shf_r_wrap },
    { "shf.l.clamp", "", SET(B32), "tttt", shf_l_clamp },
    { "shf.r.clamp", "", SET(B32), "tttt", shf_r_clamp },
    { "popc", "", SET(B32), "ti", popc32 },
    { "popc", "", SET(B64), "it", popc64 },
    { "clz", "", SET(B32), "ti", clz32 },
    { "clz", "", SET(B64), "it", clz64 },
    { "bfe", "", SET(U32), "ttii", bfe_u32 },
    { "bfe", "", SET(S32), "ttii", bfe_s32 },
    { "bfi", "", SET(B32), "tttii", bfi32 },
    { "prmt", "", SET(B32), "tttt", prmt },
    { "lop3", "", SET(B32), "tttti", lop3 },
    { "selp", "", WORDS | SET(B32) | SET(F32) | SET(B16) | SET(U16) | SET(S16), "tttp", select32 },
    { "selp", "", LONGS | SET(B64) | SET(F64), "tttp", select64 },
    { 0 },
};
