/* The interpreter's memory: what addresses mean, loads, stores, atomics, copies. See ptx.h. */
#include <pthread.h>
#include <stdlib.h>

#include "ptx_private.h"

static const char *const space_names[] = { "generic", "global", "shared", "param" };

static unsigned char *within(unsigned char *memory, size_t size, uint64_t at, size_t bytes)
{
    return at <= size && bytes <= size - at ? memory + at : NULL;
}

static unsigned char *reach_global(struct run *run, uint64_t address, size_t bytes)
{
    for (unsigned i = 0; i < RANGES; i++) {
        const struct ptx_range *range = &run->ranges[i];
        if (address >= range->first && address < range->end) {
            run->recent = i;
            return within(range->host, range->end - range->first, address - range->first, bytes);
        }
    }
    run->recent = (run->recent + 1) % RANGES;
    struct ptx_range *range = &run->ranges[run->recent];
    if (run->find(address, range))
        return within(range->host, range->end - range->first, address - range->first, bytes);
    *range = (struct ptx_range){ 0 };
    return NULL;
}

unsigned char *ptx_reach(struct warp *warp, const struct instr *in, int lane, enum space space,
                         uint64_t address, size_t bytes)
{
    struct run *run = warp->run;
    const struct ptx_launch *launch = run->launch;
    unsigned char *found;
    if (space == GENERIC && address >= SHARED_WINDOW && address - SHARED_WINDOW <= UINT32_MAX) {
        space = SHARED;
        address -= SHARED_WINDOW;
    }
    if (space == SHARED)
        found = within(run->shared, run->shared_bytes, address - SHARED_FIRST, bytes);
    else if (space == PARAM)
        found = within((unsigned char *)(uintptr_t)launch->params, launch->kernel->param_bytes,
                       address, bytes);
    else
        found = reach_global(run, address, bytes);
    if (found == NULL)
        ptx_fault(warp, in, lane, PTX_ILLEGAL_ADDRESS,
                  "%zu bytes at %s address 0x%llx, which are not allocated", bytes,
                  space_names[space], (unsigned long long)address);
    else if ((address & (bytes - 1)) != 0) {
        ptx_fault(warp, in, lane, PTX_MISALIGNED_ADDRESS,
                  "%zu bytes at %s address 0x%llx, which is misaligned", bytes, space_names[space],
                  (unsigned long long)address);
        found = NULL;
    }
    return found;
}

static uint64_t address_of(const struct warp *warp, uint16_t base, bool is_wide, int64_t offset,
                           int lane)
{
    const union reg *reg = &warp->regs[base];
    return (is_wide ? reg->q[lane] : reg->u[lane]) + (uint64_t)offset;
}

/* The memory for one lane; the range in which the last one was is looked at first. */
static inline unsigned char *reach(struct warp *warp, const struct instr *in, int lane,
                                   size_t bytes)
{
    const struct run *run = warp->run;
    const struct ptx_range *range = in->space == SHARED ? &run->shared_range
                                                        : &run->ranges[run->recent];
    uint64_t address = address_of(warp, in->src[0], in->is_wide_address, in->offset, lane);
    uint64_t at = address - range->first;
    if (in->space != PARAM && address >= range->first && address < range->end &&
        bytes <= range->end - address && (address & (bytes - 1)) == 0)
        return range->host + at;
    return ptx_reach(warp, in, lane, in->space, address, bytes);
}

/* --- loads and stores ----------------------------------------------------------------------- */

static uint64_t get(const unsigned char *from, size_t bytes)
{
    uint32_t word;
    uint64_t value = 0;
    if (bytes == 4) {
        memcpy(&word, from, 4);
        return word;
    }
    memcpy(&value, from, bytes);
    return value;
}

/* The most frequent kind: one word a lane. */
static int load_words(struct warp *warp, const struct instr *in)
{
    uint32_t *to = warp->regs[in->dst[0]].u;
    for (int lane = 0; lane < LANES; lane++) {
        if (!(warp->active >> lane & 1))
            continue;
        const unsigned char *from = reach(warp, in, lane, sizeof *to);
        if (from == NULL || ptx_trace(warp, in, lane, from, sizeof *to, false) != 0)
            return warp->run->result;
        memcpy(&to[lane], from, sizeof *to);
    }
    return 0;
}

int ptx_load(struct warp *warp, const struct instr *in)
{
    if (in->count == 1 && ptx_types[in->type].bytes == 4 && !in->is_wide)
        return load_words(warp, in);
    size_t bytes = ptx_types[in->type].bytes;
    bool is_signed = ptx_types[in->type].kind == SIGNED;
    for (int lane = 0; lane < LANES; lane++) {
        if (!(warp->active >> lane & 1))
            continue;
        const unsigned char *from = reach(warp, in, lane, bytes * in->count);
        if (from == NULL || ptx_trace(warp, in, lane, from, bytes * in->count, false) != 0)
            return warp->run->result;
        for (unsigned k = 0; k < in->count; k++) {
            uint64_t value = get(from + k * bytes, bytes);
            if (is_signed)
                value = ptx_extend(in->type, value);
            if (in->is_wide)
                warp->regs[in->dst[k]].q[lane] = value;
            else
                warp->regs[in->dst[k]].u[lane] = (uint32_t)value;
        }
    }
    return 0;
}

/* What FAKE_CUDA_WRONG asks for: the highest bit of the first value's size, its sign apart. */
static void spoil(struct run *run, const struct instr *in, unsigned char *at)
{
    if (run->is_wrong && in->space != SHARED)
        at[ptx_types[in->type].bytes - 1] ^= 0x40;
    run->is_wrong = run->is_wrong && in->space == SHARED;
}

int ptx_store(struct warp *warp, const struct instr *in)
{
    size_t bytes = ptx_types[in->type].bytes;
    for (int lane = 0; lane < LANES; lane++) {
        if (!(warp->active >> lane & 1))
            continue;
        unsigned char *to = reach(warp, in, lane, bytes * in->count);
        if (to == NULL || ptx_trace(warp, in, lane, to, bytes * in->count, true) != 0)
            return warp->run->result;
        for (unsigned k = 0; k < in->count; k++)
            memcpy(to + k * bytes, &warp->regs[in->src[k + 1]].u[in->is_wide ? 2 * lane : lane],
                   bytes);
        spoil(warp->run, in, to);
    }
    return 0;
}

/* --- atomics -------------------------------------------------------------------------------- */

static float as_float(uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    float value;
    memcpy(&value, &low, sizeof value);
    return value;
}

static uint64_t sum(enum type type, uint64_t a, uint64_t b)
{
    uint32_t bits;
    double x, y;
    if (type == F32) {
        float value = as_float(a) + as_float(b);
        memcpy(&bits, &value, sizeof bits);
        return bits;
    }
    if (type != F64)
        return a + b;
    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    x += y;
    memcpy(&a, &x, sizeof a);
    return a;
}

static bool is_less(enum type type, uint64_t a, uint64_t b)
{
    return ptx_types[type].kind == SIGNED ? (int64_t)a < (int64_t)b : a < b;
}

static uint64_t combined(const struct instr *in, uint64_t old, uint64_t a, uint64_t b)
{
    switch (in->option) {
    case 0: return sum(in->type, old, a);
    case 1: return is_less(in->type, a, old) ? a : old;
    case 2: return is_less(in->type, a, old) ? old : a;
    case 3: return old & a;
    case 4: return old | a;
    case 5: return old ^ a;
    case 6: return a;
    default: return old == a ? b : old;
    }
}

static uint64_t value_of(const struct warp *warp, const struct instr *in, uint16_t index, int lane)
{
    const union reg *reg = &warp->regs[index];
    return ptx_extend(in->type, in->is_wide ? reg->q[lane] : reg->u[lane]);
}

static int update(struct warp *warp, const struct instr *in, int lane)
{
    size_t bytes = ptx_types[in->type].bytes;
    unsigned char *at = reach(warp, in, lane, bytes);
    if (at == NULL)
        return warp->run->result;
    uint64_t old = ptx_extend(in->type, get(at, bytes));
    uint64_t value = combined(in, old, value_of(warp, in, in->src[1], lane),
                              value_of(warp, in, in->src[2], lane));
    memcpy(at, &value, bytes);
    if (in->option2 && in->is_wide)
        warp->regs[in->dst[0]].q[lane] = old;
    else if (in->option2)
        warp->regs[in->dst[0]].u[lane] = (uint32_t)old;
    return 0;
}

/* Other streams run kernels at the same time. */
int ptx_atomic(struct warp *warp, const struct instr *in)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    int result = 0;
    pthread_mutex_lock(&lock);
    for (int lane = 0; lane < LANES && result == 0; lane++)
        if (warp->active >> lane & 1)
            result = update(warp, in, lane);
    pthread_mutex_unlock(&lock);
    return result;
}

/* --- asynchronous copies -------------------------------------------------------------------- */

static struct copy *new_copy(struct warp *warp)
{
    if (warp->copy_count == warp->copy_room) {
        warp->copy_room = warp->copy_room == 0 ? 256 : 2 * warp->copy_room;
        warp->copies = realloc(warp->copies, warp->copy_room * sizeof *warp->copies);
        if (warp->copies == NULL)
            abort();
    }
    struct copy *copy = &warp->copies[warp->copy_count++];
    *copy = (struct copy){ 0 };
    return copy;
}

static int begin_copy(struct warp *warp, const struct instr *in, int lane)
{
    unsigned used = in->option ? warp->regs[in->src[2]].u[lane] : in->count;
    uint64_t to = address_of(warp, in->src[1], in->option2, (int32_t)in->target, lane);
    uint64_t from = address_of(warp, in->src[0], in->is_wide_address, in->offset, lane);
    unsigned char *target = ptx_reach(warp, in, lane, SHARED, to, in->count);
    if (target == NULL || ptx_trace(warp, in, lane, target, in->count, true) != 0)
        return warp->run->result;
    if (used > in->count || from % in->count != 0)
        return ptx_fault(warp, in, lane, PTX_MISALIGNED_ADDRESS,
                         "%u of %u bytes at global address 0x%llx, which is misaligned", used,
                         in->count, (unsigned long long)from);
    const unsigned char *source = NULL;
    for (unsigned i = used; i-- > 0;) /* the first one last */
        if ((source = ptx_reach(warp, in, lane, GLOBAL, from + i, 1)) == NULL)
            return warp->run->result;
    struct copy *copy = new_copy(warp);
    copy->to = target;
    copy->count = in->count;
    copy->lane = lane;
    copy->group = warp->groups[lane];
    if (used > 0)
        memcpy(copy->bytes, source, used);
    return 0;
}

int ptx_copy_async(struct warp *warp, const struct instr *in)
{
    int result = 0;
    for (int lane = 0; lane < LANES && result == 0; lane++)
        if (warp->active >> lane & 1)
            result = begin_copy(warp, in, lane);
    return result;
}

int ptx_copy_commit(struct warp *warp, const struct instr *in)
{
    (void)in;
    EACH warp->groups[i] += warp->active >> i & 1;
    return 0;
}

/* All but the latest groups, as many as the offset says; below 0: what is not in one too. */
int ptx_copy_wait(struct warp *warp, const struct instr *in)
{
    size_t kept = 0;
    for (size_t i = 0; i < warp->copy_count; i++) {
        const struct copy *copy = &warp->copies[i];
        bool is_due = in->offset < 0 ||
                      copy->group + (uint64_t)in->offset < warp->groups[copy->lane];
        if (!is_due || !(warp->active >> copy->lane & 1)) {
            warp->copies[kept++] = *copy;
            continue;
        }
        if (ptx_trace(warp, in, copy->lane, copy->to, copy->count, true) != 0)
            return warp->run->result;
        memcpy(copy->to, copy->bytes, copy->count);
    }
    warp->copy_count = kept;
    return 0;
}
