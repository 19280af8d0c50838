/* The interpreter's numbers of 16 bits: f16, bf16, and pairs of them. See ptx.h. */
#include <math.h>

#include "ptx_private.h"

static uint32_t to_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

uint16_t ptx_to_f16(float value, enum rounding rounding)
{
    uint32_t bits = to_bits(value), sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
    if (size > 0x7f800000)
        return 0x7fff;
    if (size >= 0x47800000) /* 2 to the 16th */
        return (uint16_t)(sign | (rounding == RZ && size != 0x7f800000 ? 0x7bff : 0x7c00));
    if (size < 0x38800000) { /* below the least normal one: whole units of the least one */
        float units = ptx_float_of(size) * 0x1p24f;
        return (uint16_t)(sign | (uint32_t)(rounding == RZ ? truncf(units) : rintf(units)));
    }
    size -= 112u << 23;
    size += rounding == RZ ? 0 : 0xfff + (size >> 13 & 1);
    return (uint16_t)(sign | size >> 13);
}

uint16_t ptx_to_bf16(float value, enum rounding rounding)
{
    uint32_t bits = to_bits(value);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return 0x7fff;
    return (uint16_t)((bits + (rounding == RZ ? 0 : 0x7fff + (bits >> 16 & 1))) >> 16);
}

/* --- arithmetic ----------------------------------------------------------------------------- */

static float lesser(float a, float b)
{
    return a != a ? b : b != b ? a : a < b || (a == b && signbit(a)) ? a : b;
}

static float greater(float a, float b)
{
    return a != a ? b : b != b ? a : a > b || (a == b && !signbit(a)) ? a : b;
}

/*
 * One half, or both of a pair: a float has more than twice the digits of a half, so that rounding
 * its result again rounds right; only a product that is added to needs a double.
 */
#define HALVES(name, format, halves, expression)                                        \
    static int name(struct warp *warp, const struct instr *in)                          \
    {                                                                                   \
        const union reg *x = &warp->regs[in->src[0]], *y = &warp->regs[in->src[1]],     \
                        *z = &warp->regs[in->src[2]];                                   \
        uint32_t value[LANES] = { 0 };                                                  \
        for (unsigned i = 0; i < LANES * (halves); i++) {                               \
            unsigned lane = i % LANES, shift = i / LANES * 16;                          \
            float a = ptx_from_##format((uint16_t)(x->u[lane] >> shift));               \
            float b = ptx_from_##format((uint16_t)(y->u[lane] >> shift));               \
            float c = ptx_from_##format((uint16_t)(z->u[lane] >> shift));               \
            (void)b;                                                                    \
            (void)c;                                                                    \
            value[lane] |= (uint32_t)ptx_to_##format((float)(expression), RN) << shift; \
        }                                                                               \
        keep32(warp, in->dst[0], value);                                                \
        return 0;                                                                       \
    }

#define ALL_HALVES(name, expression)         \
    HALVES(name##_f16, f16, 1, expression)   \
    HALVES(name##_f16x2, f16, 2, expression) \
    HALVES(name##_bf16, bf16, 1, expression) \
    HALVES(name##_bf16x2, bf16, 2, expression)

ALL_HALVES(add, a + b)
ALL_HALVES(sub, a - b)
ALL_HALVES(mul, a *b)
ALL_HALVES(fma, (double)a *(double)b + (double)c)
ALL_HALVES(min, lesser(a, b))
ALL_HALVES(max, greater(a, b))
ALL_HALVES(neg, -a)
ALL_HALVES(abs, fabsf(a))

int ptx_convert_pair(struct warp *warp, const struct instr *in)
{
    const union reg *high = &warp->regs[in->src[0]], *low = &warp->regs[in->src[1]];
    uint16_t (*to)(float, enum rounding) = in->type == F16X2 ? ptx_to_f16 : ptx_to_bf16;
    enum rounding rounding = in->option;
    uint32_t value[LANES];
    EACH value[i] = (uint32_t)to(high->f[i], rounding) << 16 | to(low->f[i], rounding);
    keep32(warp, in->dst[0], value);
    return 0;
}

#define FORMS(key, operands, name)                             \
    { key, "rn ftz", SET(F16), operands, name##_f16 },         \
        { key, "rn ftz", SET(F16X2), operands, name##_f16x2 }, \
        { key, "rn", SET(BF16), operands, name##_bf16 },       \
    {                                                          \
        key, "rn", SET(BF16X2), operands, name##_bf16x2        \
    }

const struct form ptx_half_forms[] = {
    FORMS("add", "ttt", add),  FORMS("sub", "ttt", sub), FORMS("mul", "ttt", mul),
    FORMS("fma", "tttt", fma), FORMS("min", "ttt", min), FORMS("max", "ttt", max),
    FORMS("neg", "tt", neg),   FORMS("abs", "tt", abs),  { 0 },
};
