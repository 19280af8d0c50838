/* What the interpreter's instructions that the lanes of a warp execute together do. See ptx.h. */
#include "ptx_private.h"

#define POISON 0xeeeeeeeeu

int ptx_need_lanes(const struct warp *warp, const struct instr *in, uint32_t mask)
{
    if ((mask & warp->live) == warp->active)
        return 0;
    return ptx_fault(warp, in, __builtin_ctz(warp->active | 1u << 31), PTX_LAUNCH_FAILED,
                     "it is for the lanes %08x, of which %08x still run, but is executed by %08x",
                     mask, warp->live & mask, warp->active);
}

/* The mask that an operand has, which all lanes must agree on. */
static int need_mask(const struct warp *warp, const struct instr *in, uint16_t index)
{
    int first = __builtin_ctz(warp->active);
    uint32_t mask = warp->regs[index].u[first];
    EACH if ((warp->active >> i & 1) && warp->regs[index].u[i] != mask) return ptx_fault(
        warp, in, i, PTX_LAUNCH_FAILED, "lanes have other masks");
    return ptx_need_lanes(warp, in, mask);
}

int ptx_nothing(struct warp *warp, const struct instr *in)
{
    (void)warp;
    (void)in;
    return 0;
}

int ptx_warp_barrier(struct warp *warp, const struct instr *in)
{
    return need_mask(warp, in, in->src[0]);
}

/* The lane that a lane's value comes from; itself, and false, where that is out of range. */
static bool shuffle_source(const struct instr *in, int lane, uint32_t b, uint32_t c, int *from)
{
    int segment = (int)(c >> 8 & 31), clamp = (int)(c & 31), by = (int)(b & 31);
    int last = (lane & segment) | (clamp & ~segment), first = lane & segment;
    bool is_in;
    switch (in->option) {
    case 0: is_in = (*from = lane - by) >= last; break;
    case 1: is_in = (*from = lane + by) <= last; break;
    case 2: is_in = (*from = lane ^ by) <= last; break;
    default: is_in = (*from = first | (by & ~segment)) <= last; break;
    }
    if (!is_in)
        *from = lane;
    return is_in;
}

int ptx_shuffle(struct warp *warp, const struct instr *in)
{
    const union reg *values = &warp->regs[in->src[0]];
    uint32_t moved[LANES], in_range = 0;
    int from, result = need_mask(warp, in, in->src[3]);
    if (result != 0)
        return result;
    EACH
    {
        if (shuffle_source(in, i, warp->regs[in->src[1]].u[i], warp->regs[in->src[2]].u[i], &from))
            in_range |= 1u << i;
        moved[i] = warp->active >> (from & 31) & 1 ? values->u[from & 31] : POISON;
    }
    keep32(warp, in->dst[0], moved);
    if (in->count)
        keep_pred(warp, in->dst[1], in_range);
    return 0;
}

int ptx_vote(struct warp *warp, const struct instr *in)
{
    uint32_t value[LANES], all = warp->active;
    uint32_t yes = (warp->preds[in->src[0]] ^ (in->src_not ? ALL_LANES : 0)) & all;
    int result = need_mask(warp, in, in->src[1]);
    if (result != 0)
        return result;
    EACH value[i] = yes;
    bool is_true = in->option == 0 ? yes == all : in->option == 1 ? yes != 0 : yes == all || !yes;
    if (in->option == 3)
        keep32(warp, in->dst[0], value);
    else
        keep_pred(warp, in->dst[0], is_true ? ALL_LANES : 0);
    return 0;
}

static int active_mask(struct warp *warp, const struct instr *in)
{
    uint32_t value[LANES];
    EACH value[i] = warp->active;
    keep32(warp, in->dst[0], value);
    return 0;
}

#define REDUCE(name, field, expression)                                  \
    static int name(struct warp *warp, const struct instr *in)           \
    {                                                                    \
        const union reg *x = &warp->regs[in->src[0]];                    \
        int first = __builtin_ctz(warp->active);                         \
        union reg value;                                                 \
        __typeof__(value.field[0]) a = x->field[first];                  \
        int result = need_mask(warp, in, in->src[1]);                    \
        for (int i = first + 1; i < LANES; i++) {                        \
            __typeof__(a) b = x->field[i];                               \
            a = warp->active >> i & 1 ? (__typeof__(a))(expression) : a; \
        }                                                                \
        EACH value.field[i] = a;                                         \
        keep32(warp, in->dst[0], value.u);                               \
        return result;                                                   \
    }
REDUCE(reduce_add, u, a + b)
REDUCE(reduce_and, u, a &b)
REDUCE(reduce_or, u, a | b)
REDUCE(reduce_xor, u, a ^ b)
REDUCE(reduce_min_u32, u, a < b ? a : b)
REDUCE(reduce_max_u32, u, a > b ? a : b)
REDUCE(reduce_min_s32, s, a < b ? a : b)
REDUCE(reduce_max_s32, s, a > b ? a : b)

const struct form ptx_warp_forms[] = {
    { "activemask", "", SET(B32), "t", active_mask },
    { "redux.sync.add", "", SET(U32) | SET(S32), "tti", reduce_add },
    { "redux.sync.and", "", SET(B32), "tti", reduce_and },
    { "redux.sync.or", "", SET(B32), "tti", reduce_or },
    { "redux.sync.xor", "", SET(B32), "tti", reduce_xor },
    { "redux.sync.min", "", SET(U32), "tti", reduce_min_u32 },
    { "redux.sync.max", "", SET(U32), "tti", reduce_max_u32 },
    { "redux.sync.min", "", SET(S32), "tti", reduce_min_s32 },
    { "redux.sync.max", "", SET(S32), "tti", reduce_max_s32 },
    { 0 },
};

/* --- matrices ------------------------------------------------------------------------------- */

/*
 * Where a lane's registers lie in the matrices of mma.m16n8k16 (and k8, which lacks the second half
 * of k). The group is lane / 4, the place in it lane % 4. A (16 x k): register r has row group +
 * 8 * (r % 2), columns 2 * place + 8 * (r / 2) and the next. B (k x 8): rows 2 * place + 8 * r and
 * the next, column group. C and D (16 x 8): register r has row group + 8 * (r / 2), column
 * 2 * place + r % 2.
 */
struct matrices {
    float a[16][16], b[16][8], c[16][8];
};

static float half(const struct instr *in, uint32_t pair, unsigned index)
{
    uint16_t bits = (uint16_t)(pair >> (16 * index));
    return in->type == F16 ? ptx_from_f16(bits) : ptx_from_bf16(bits);
}

static void gather(const struct warp *warp, const struct instr *in, struct matrices *m)
{
    for (unsigned lane = 0; lane < LANES; lane++) {
        unsigned group = lane / 4, place = lane % 4;
        for (unsigned i = 0; i < in->count / 2; i++)
            m->a[group + 8 * (i / 2 % 2)][2 * place + 8 * (i / 4) + i % 2] = half(
                in, warp->regs[in->src[i / 2]].u[lane], i % 2);
        for (unsigned i = 0; i < in->count / 4; i++)
            m->b[2 * place + 8 * (i / 2) + i % 2][group] = half(
                in, warp->regs[in->src[4 + i / 2]].u[lane], i % 2);
        for (unsigned i = 0; i < 4; i++)
            m->c[group + 8 * (i / 2)][2 * place + i % 2] = warp->regs[in->src[6 + i]].f[lane];
    }
}

/* A product of two halves is exact in a float, so that fusing it with the sum changes nothing. */
#define MULTIPLY(name, attribute)                                 \
    attribute static void name(struct matrices *m, unsigned size) \
    {                                                             \
        for (unsigned row = 0; row < 16; row++) {                 \
            float sums[8];                                        \
            memcpy(sums, m->c[row], sizeof sums);                 \
            for (unsigned k = 0; k < size; k++)                   \
                for (unsigned col = 0; col < 8; col++)            \
                    sums[col] += m->a[row][k] * m->b[k][col];     \
            memcpy(m->c[row], sums, sizeof sums);                 \
        }                                                         \
    }
MULTIPLY(multiply_plain, )
#ifdef __x86_64__
MULTIPLY(multiply_newer, NEWER)
#endif

int ptx_multiply_matrix(struct warp *warp, const struct instr *in)
{
    struct matrices m;
    int result = ptx_need_lanes(warp, in, ALL_LANES);
    if (result == 0 && warp->active != ALL_LANES)
        result = ptx_fault(warp, in, 0, PTX_LAUNCH_FAILED, "it needs all 32 lanes");
    if (result != 0)
        return result;
    gather(warp, in, &m);
    CHOOSE(multiply_newer, multiply_plain)(&m, in->count);
    for (unsigned lane = 0; lane < LANES; lane++)
        for (unsigned i = 0; i < 4; i++)
            warp->regs[in->dst[i]].f[lane] = m.c[lane / 4 + 8 * (i / 2)][2 * (lane % 4) + i % 2];
    return 0;
}

/* Each lane gives the address of a row of 8 halves, the lanes 8k to 8k + 7 those of matrix k. */
int ptx_load_matrix(struct warp *warp, const struct instr *in)
{
    const union reg addresses = warp->regs[in->src[0]];
    int result = ptx_need_lanes(warp, in, ALL_LANES);
    if (result == 0 && warp->active != ALL_LANES)
        result = ptx_fault(warp, in, 0, PTX_LAUNCH_FAILED, "it needs all 32 lanes");
    for (unsigned matrix = 0; matrix < in->count && result == 0; matrix++) {
        uint16_t halves[8][8];
        for (int row = 0; row < 8; row++) {
            int lane = (int)matrix * 8 + row;
            uint64_t at = in->is_wide_address ? addresses.q[lane] : addresses.u[lane];
            const unsigned char *from = ptx_reach(warp, in, lane, SHARED, at + (uint64_t)in->offset,
                                                  16);
            if (from == NULL || ptx_trace(warp, in, lane, from, 16, false) != 0)
                return warp->run->result;
            memcpy(halves[row], from, 16);
        }
        for (unsigned lane = 0; lane < LANES; lane++) {
            unsigned group = lane / 4, pair = lane % 4 * 2;
            uint32_t low = in->option ? halves[pair][group] : halves[group][pair];
            uint32_t high = in->option ? halves[pair + 1][group] : halves[group][pair + 1];
            warp->regs[in->dst[matrix]].u[lane] = high << 16 | low;
        }
    }
    return result;
}
