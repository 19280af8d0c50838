/* What the interpreter's instructions on floats and doubles do, and conversions. See ptx.h. */
#include <math.h>
#include <time.h>

#include "ptx_private.h"

/* A comparison's result is a choice: of a number where the other one is none, of -0 below 0. */
#define LESSER(a, b) \
    ((a) != (a) ? (b) : (b) != (b) ? (a) : (a) < (b) || ((a) == (b) && signbit(a)) ? (a) : (b))
#define GREATER(a, b) \
    ((a) != (a) ? (b) : (b) != (b) ? (a) : (a) > (b) || ((a) == (b) && !signbit(a)) ? (a) : (b))

/* As few digits as the instruction promises: its error is up to 2 to the -11th. */
static float cut_digits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits &= ~0xfffu;
    memcpy(&value, &bits, sizeof value);
    return value;
}

LANEWISE(add32, f, f, a + b)
LANEWISE(add64, d, d, a + b)
LANEWISE(sub32, f, f, a - b)
LANEWISE(sub64, d, d, a - b)
LANEWISE(mul32, f, f, a *b)
LANEWISE(mul64, d, d, a *b)
LANEWISE(div32, f, f, a / b)
LANEWISE(div64, d, d, a / b)
LANEWISE(min32, f, f, LESSER(a, b))
LANEWISE(min64, d, d, LESSER(a, b))
LANEWISE(max32, f, f, GREATER(a, b))
LANEWISE(max64, d, d, GREATER(a, b))
LANEWISE(neg32, f, f, -a)
LANEWISE(neg64, d, d, -a)
LANEWISE(abs32, f, f, fabsf(a))
LANEWISE(abs64, d, d, fabs(a))
LANEWISE(rcp32, f, f, 1 / a)
LANEWISE(rcp64, d, d, 1 / a)
LANEWISE(sqrt32, f, f, sqrtf(a))
LANEWISE(sqrt64, d, d, sqrt(a))
LANEWISE(rsqrt32, f, f, 1 / sqrt((double)a))
LANEWISE(ex2, f, f, exp2f(a))
LANEWISE(lg2, f, f, log2f(a))
LANEWISE(tanh_approx, f, f, cut_digits((float)tanh((double)a)))
LANEWISE(copysign32, f, f, copysignf(b, a))

/* --- fused multiplication and addition ------------------------------------------------------ */

/* Without the processor's instruction, fmaf is the C library's, and the double one not exact. */
#define FUSED(name, attribute, field, expression)                                     \
    attribute static void name(union reg *to, const union reg *a, const union reg *b, \
                               const union reg *c)                                    \
    {                                                                                 \
        EACH to->field[i] = expression;                                               \
    }

FUSED(fma32_plain, , f, fmaf(a->f[i], b->f[i], c->f[i]))
FUSED(fma64_plain, , d,
      (double)((long double)a->d[i] * (long double)b->d[i] + (long double)c->d[i]))

#ifdef __x86_64__
FUSED(fma32_newer, NEWER, f, __builtin_fmaf(a->f[i], b->f[i], c->f[i]))
FUSED(fma64_newer, NEWER, d, __builtin_fma(a->d[i], b->d[i], c->d[i]))
#endif

static int fma32(struct warp *warp, const struct instr *in)
{
    union reg value;
    CHOOSE(fma32_newer, fma32_plain)
    (&value, &warp->regs[in->src[0]], &warp->regs[in->src[1]], &warp->regs[in->src[2]]);
    keep32(warp, in->dst[0], value.u);
    return 0;
}

static int fma64(struct warp *warp, const struct instr *in)
{
    union reg value;
    CHOOSE(fma64_newer, fma64_plain)
    (&value, &warp->regs[in->src[0]], &warp->regs[in->src[1]], &warp->regs[in->src[2]]);
    keep64(warp, in->dst[0], value.q);
    return 0;
}

/* --- denormal numbers ----------------------------------------------------------------------- */

/* The processor, too, can take denormal numbers for zeros, those that come and those that go. */
int ptx_flushing(struct warp *warp, const struct instr *in)
{
#ifdef __x86_64__
    unsigned normal = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(normal | 0x8040);
    int result = in->inner(warp, in);
    __builtin_ia32_ldmxcsr(normal);
    return result;
#else
    return in->inner(warp, in);
#endif
}

/* --- conversions ---------------------------------------------------------------------------- */

static double read_real(enum type type, const union reg *reg, int lane)
{
    switch (type) {
    case F16: return (double)ptx_from_f16((uint16_t)reg->u[lane]);
    case BF16: return (double)ptx_from_bf16((uint16_t)reg->u[lane]);
    case F32: return (double)reg->f[lane];
    default: return reg->d[lane];
    }
}

static void write_real(enum type type, union reg *reg, int lane, double value, enum rounding how)
{
    switch (type) {
    case F16: reg->u[lane] = ptx_to_f16((float)value, how); break;
    case BF16: reg->u[lane] = ptx_to_bf16((float)value, how); break;
    case F32: reg->f[lane] = (float)value; break;
    default: reg->d[lane] = value; break;
    }
}

static uint64_t read_integer(enum type type, const union reg *reg, int lane, bool is_wide)
{
    return ptx_extend(type, is_wide ? reg->q[lane] : reg->u[lane]);
}

static double to_whole(double value, enum rounding rounding)
{
    switch (rounding) {
    case RN: return rint(value);
    case RZ: return trunc(value);
    case RM: return floor(value);
    case RP: return ceil(value);
    default: return value;
    }
}

/* The nearest integer that the type has; 0 for what is no number. */
static uint64_t saturate(enum type type, double value)
{
    unsigned bits = 8 * ptx_types[type].bytes;
    bool is_signed = ptx_types[type].kind == SIGNED;
    uint64_t most = ~UINT64_C(0) >> (64 - bits + (is_signed ? 1 : 0));
    if (value != value)
        return 0;
    if (value >= (double)most) /* of 64 bits, this is rounded up to a power of two */
        return most;
    if (!is_signed)
        return value <= 0 ? 0 : (uint64_t)value;
    return value <= -(double)most - 1 ? ~most : (uint64_t)(int64_t)value;
}

static void convert_lane(const struct instr *in, const union reg *from, union reg *to, int lane)
{
    enum type source = in->type2, target = in->type;
    bool is_real = ptx_types[target].kind == FLOAT;
    if (ptx_types[source].kind == FLOAT) {
        double value = read_real(source, from, lane);
        bool is_same = source == target;
        if (is_real && !is_same)
            write_real(target, to, lane, value, in->option);
        else if (is_real)
            write_real(target, to, lane, to_whole(value, in->option), RN);
        else if (in->is_wide)
            to->q[lane] = saturate(target, to_whole(value, in->option));
        else
            to->u[lane] = (uint32_t)saturate(target, to_whole(value, in->option));
        return;
    }
    uint64_t value = read_integer(source, from, lane, in->is_wide_address);
    bool is_signed = ptx_types[source].kind == SIGNED;
    if (target == F32)
        to->f[lane] = is_signed ? (float)(int64_t)value : (float)value;
    else if (is_real)
        write_real(target, to, lane, is_signed ? (double)(int64_t)value : (double)value, RN);
    else if (in->is_wide)
        to->q[lane] = ptx_extend(target, value);
    else
        to->u[lane] = (uint32_t)ptx_extend(target, value);
}

int ptx_convert(struct warp *warp, const struct instr *in)
{
    union reg value;
    EACH convert_lane(in, &warp->regs[in->src[0]], &value, i);
    if (in->is_wide)
        keep64(warp, in->dst[0], value.q);
    else
        keep32(warp, in->dst[0], value.u);
    return 0;
}

/* --- parts of registers, clocks ------------------------------------------------------------- */

/* Between a register and a vector of smaller ones, the lowest first. */
int ptx_pack_move(struct warp *warp, const struct instr *in)
{
    unsigned bits = 8 * ptx_types[in->type].bytes;
    union reg value;
    if (in->option) {
        const union reg from = warp->regs[in->src[0]]; /* may be one of the destinations */
        for (unsigned k = 0; k < in->count; k++) {
            EACH value.u[i] = (uint32_t)ptx_extend(
                in->type, (in->is_wide ? from.q[i] : from.u[i]) >> (k * bits));
            keep32(warp, in->dst[k], value.u);
        }
        return 0;
    }
    EACH
    {
        uint64_t whole = 0;
        for (unsigned k = 0; k < in->count; k++)
            whole |= ptx_extend(in->type, warp->regs[in->src[k]].u[i]) << (k * bits);
        if (in->is_wide)
            value.q[i] = whole;
        else
            value.u[i] = (uint32_t)whole;
    }
    if (in->is_wide)
        keep64(warp, in->dst[0], value.q);
    else
        keep32(warp, in->dst[0], value.u);
    return 0;
}

/* Nanoseconds; a kernel that waits for a time gives the processor away meanwhile. */
int ptx_clock(struct warp *warp, const struct instr *in)
{
    struct timespec now;
    union reg value;
    nanosleep(&(struct timespec){ 0, 20000 }, NULL);
    clock_gettime(in->option == GLOBALTIMER ? CLOCK_REALTIME : CLOCK_MONOTONIC, &now);
    uint64_t ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    if (in->is_wide) {
        EACH value.q[i] = ns;
        keep64(warp, in->dst[0], value.q);
    } else {
        EACH value.u[i] = (uint32_t)ns;
        keep32(warp, in->dst[0], value.u);
    }
    return 0;
}

/* --- forms ---------------------------------------------------------------------------------- */

const struct form ptx_float_forms[] = {
    { "add", "rn ftz", SET(F32), "ttt", add32 },
    { "add", "rn", SET(F64), "ttt", add64 },
    { "sub", "rn ftz", SET(F32), "ttt", sub32 },
    { "sub", "rn", SET(F64), "ttt", sub64 },
    { "mul", "rn ftz", SET(F32), "ttt", mul32 },
    { "mul", "rn", SET(F64), "ttt", mul64 },
    { "fma.rn", "ftz", SET(F32), "tttt", fma32 },
    { "fma.rn", "", SET(F64), "tttt", fma64 },
    { "mad.rn", "ftz", SET(F32), "tttt", fma32 },
    { "mad.rn", "", SET(F64), "tttt", fma64 },
    { "div.rn", "ftz", SET(F32), "ttt", div32 },
    { "div.approx", "ftz", SET(F32), "ttt", div32 },
    { "div.full", "ftz", SET(F32), "ttt", div32 },
    { "div.rn", "", SET(F64), "ttt", div64 },
    { "min", "ftz", SET(F32), "ttt", min32 },
    { "min", "", SET(F64), "ttt", min64 },
    { "max", "ftz", SET(F32), "ttt", max32 },
    { "max", "", SET(F64), "ttt", max64 },
    { "neg", "ftz", SET(F32), "tt", neg32 },
    { "neg", "", SET(F64), "tt", neg64 },
    { "abs", "ftz", SET(F32), "tt", abs32 },
    { "abs", "", SET(F64), "tt", abs64 },
    { "rcp.rn", "ftz", SET(F32), "tt", rcp32 },
    { "rcp.approx", "ftz", SET(F32), "tt", rcp32 },
    { "rcp.rn", "", SET(F64), "tt", rcp64 },
    { "sqrt.rn", "ftz", SET(F32), "tt", sqrt32 },
    { "sqrt.approx", "ftz", SET(F32), "tt", sqrt32 },
    { "sqrt.rn", "", SET(F64), "tt", sqrt64 },
    { "rsqrt.approx", "ftz", SET(F32), "tt", rsqrt32 },
    { "ex2.approx", "ftz", SET(F32), "tt", ex2 },
    { "lg2.approx", "ftz", SET(F32), "tt", lg2 },
    { "tanh.approx", "", SET(F32), "tt", tanh_approx },
    { "copysign", "", SET(F32), "ttt", copysign32 },
    { 0 },
};
