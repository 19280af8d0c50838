/* The interpreter's launches: blocks, warps between barriers, and diverging lanes. See ptx.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ptx_private.h"

#define POISON 0xee

static unsigned thread_count(const unsigned *size)
{
    return size[0] * size[1] * size[2];
}

int ptx_fault(const struct warp *warp, const struct instr *in, int lane, int result,
              const char *format, ...)
{
    struct run *run = warp->run;
    const struct ptx_launch *launch = run->launch;
    unsigned thread = warp->index * LANES + (unsigned)lane;
    const unsigned *block = run->block, *size = launch->block;
    char what[192], line[128], text[640];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    ptx_statement(in->text, line, sizeof line);
    int len = snprintf(text, sizeof text,
                       "fake GPU: kernel %s, line %u (%s), block %u,%u,%u, thread %u,%u,%u: %s\n",
                       launch->kernel->name, in->line, line, block[0], block[1], block[2],
                       thread % size[0], thread / size[0] % size[1], thread / size[0] / size[1],
                       what);
    if (write(STDERR_FILENO, text, (size_t)len) != len)
        abort();
    run->result = result;
    return result;
}

/* --- one warp ------------------------------------------------------------------------------- */

/*
 * Each lane has a place of its own in the code. Those at the lowest one run, until they pass the
 * place where others wait: lanes that have parted meet again where their ways do.
 */
static void regroup(struct warp *warp)
{
    uint32_t lowest = NO_PC, group = 0, rejoin = NO_PC;
    EACH if (warp->group >> i & 1) warp->pcs[i] = warp->pc;
    EACH if ((warp->live >> i & 1) && warp->pcs[i] < lowest) lowest = warp->pcs[i];
    EACH
    {
        if ((warp->live >> i & 1) && warp->pcs[i] == lowest)
            group |= 1u << i;
        else if ((warp->live >> i & 1) && warp->pcs[i] < rejoin)
            rejoin = warp->pcs[i];
    }
    warp->group = group;
    warp->pc = lowest;
    warp->rejoin = rejoin;
}

static void branch(struct warp *warp, const struct instr *in)
{
    if (warp->active == warp->group) {
        warp->pc = in->target;
        return;
    }
    EACH if (warp->group >> i & 1) warp->pcs[i] = warp->active >> i & 1 ? in->target : warp->pc + 1;
    warp->group = 0;
    regroup(warp);
}

static void leave(struct warp *warp)
{
    warp->live &= ~warp->active;
    warp->group &= ~warp->active;
    warp->pc++;
    if (warp->group == 0)
        regroup(warp);
}

static int wait_at_barrier(struct warp *warp, const struct instr *in)
{
    int first = __builtin_ctz(warp->active);
    int result = ptx_need_lanes(warp, in, ALL_LANES);
    warp->is_waiting = true;
    warp->barrier = warp->regs[in->src[0]].u[first];
    warp->barrier_threads = in->count ? warp->regs[in->src[1]].u[first] : 0;
    warp->pc++;
    return result;
}

static uint32_t guarded(const struct warp *warp, const struct instr *in)
{
    if (in->guard < 0)
        return warp->group;
    return warp->group & (warp->preds[in->guard] ^ (in->guard_not ? ALL_LANES : 0));
}

/* To the next barrier or the end; a result of the API. */
static int run_warp(struct warp *warp)
{
    const struct instr *code = warp->run->launch->kernel->code;
    int result = 0;
    while (warp->live != 0 && !warp->is_waiting && result == 0) {
        if (warp->pc >= warp->rejoin)
            regroup(warp);
        const struct instr *in = &code[warp->pc];
        warp->active = guarded(warp, in);
        if (warp->active == 0)
            warp->pc++;
        else if (in->control == BRANCH)
            branch(warp, in);
        else if (in->control == RETURN)
            leave(warp);
        else if (in->control == BARRIER)
            result = wait_at_barrier(warp, in);
        else {
            result = in->run(warp, in);
            warp->pc++;
        }
    }
    return result;
}

/* --- a warp's registers --------------------------------------------------------------------- */

static uint64_t coordinate(unsigned thread, const unsigned *size, unsigned axis)
{
    return axis == 0   ? thread % size[0]
           : axis == 1 ? thread / size[0] % size[1]
                       : thread / size[0] / size[1];
}

static uint64_t special(const struct warp *warp, enum special which, unsigned lane)
{
    const struct ptx_launch *launch = warp->run->launch;
    if (which >= TID && which < NTID)
        return coordinate(warp->index * LANES + lane, launch->block, which - TID);
    if (which >= NTID && which < CTAID)
        return launch->block[which - NTID];
    if (which >= CTAID && which < NCTAID)
        return warp->run->block[which - CTAID];
    if (which >= NCTAID && which < LANEID)
        return launch->grid[which - NCTAID];
    switch (which) {
    case LANEID: return lane;
    case WARPID: return warp->index;
    case NWARPID: return (thread_count(launch->block) + LANES - 1) / LANES;
    case MASK_EQ: return 1u << lane;
    case MASK_LT: return (1u << lane) - 1;
    case MASK_LE: return (2u << lane) - 1;
    case MASK_GT: return ~((2u << lane) - 1);
    case MASK_GE: return ~((1u << lane) - 1);
    default: return launch->shared_bytes;
    }
}

static void preset(struct warp *warp, const struct preset *what)
{
    EACH
    {
        uint64_t value = what->special != CONSTANT
                             ? special(warp, what->special, (unsigned)i)
                             : what->value + (what->is_dynamic ? warp->run->dynamic_first : 0);
        if (what->is_wide)
            warp->regs[what->reg].q[i] = value;
        else
            warp->regs[what->reg].u[i] = (uint32_t)value;
    }
}

static void begin_warp(struct warp *warp, const struct ptx_kernel *kernel)
{
    unsigned threads = thread_count(warp->run->launch->block) - warp->index * LANES;
    memset(warp->regs, POISON, kernel->reg_count * sizeof *warp->regs);
    memset(warp->preds, POISON, kernel->pred_count * sizeof *warp->preds);
    for (size_t i = 0; i < kernel->preset_count; i++)
        preset(warp, &kernel->presets[i]);
    warp->live = warp->group = threads >= LANES ? ALL_LANES : (1u << threads) - 1;
    warp->pc = 0;
    warp->rejoin = NO_PC;
    warp->is_waiting = false;
    warp->copy_count = 0;
    memset(warp->groups, 0, sizeof warp->groups);
}

/* --- blocks --------------------------------------------------------------------------------- */

/* Lets those go on that wait at a barrier which all have reached; false if none can. */
static bool open_barriers(struct warp *warps, unsigned count)
{
    bool opened = false;
    for (unsigned i = 0; i < count; i++) {
        unsigned arrived = 0, living = 0, wanted = warps[i].barrier_threads;
        for (unsigned other = 0; other < count; other++) {
            living += warps[other].live != 0;
            arrived += warps[other].is_waiting && warps[other].live != 0 &&
                       warps[other].barrier == warps[i].barrier;
        }
        if (!warps[i].is_waiting || (wanted == 0 ? arrived < living : arrived * LANES < wanted))
            continue;
        unsigned barrier = warps[i].barrier;
        for (unsigned other = 0; other < count; other++)
            if (warps[other].barrier == barrier)
                warps[other].is_waiting = false;
        opened = true;
    }
    if (count > 0 && warps[0].run->traces != NULL)
        ptx_traces_next(warps[0].run->traces);
    return opened;
}

static int run_block(struct run *run, struct warp *warps, unsigned count, bool backwards)
{
    uint32_t running = 1;
    memset(run->shared, POISON, run->shared_bytes);
    if (run->traces != NULL)
        ptx_traces_next(run->traces);
    for (unsigned i = 0; i < count; i++)
        begin_warp(&warps[i], run->launch->kernel);
    while (running != 0) {
        running = 0;
        for (unsigned i = 0; i < count; i++) {
            struct warp *warp = &warps[backwards ? count - 1 - i : i];
            int result = run_warp(warp);
            if (result != 0)
                return result;
            running |= warp->live;
        }
        if (running != 0 && !open_barriers(warps, count)) {
            unsigned stuck = 0;
            while (warps[stuck].live == 0)
                stuck++;
            return ptx_fault(&warps[stuck], &run->launch->kernel->code[warps[stuck].pc - 1],
                             __builtin_ctz(warps[stuck].live), PTX_LAUNCH_FAILED,
                             "it waits for threads that are at another barrier");
        }
    }
    return 0;
}

static int run_grid(struct run *run, struct warp *warps, unsigned count)
{
    const unsigned *grid = run->launch->grid;
    int result = 0;
    for (unsigned z = 0; z < grid[2]; z++)
        for (unsigned y = 0; y < grid[1]; y++)
            for (unsigned x = 0; x < grid[0] && result == 0; x++) {
                run->block[0] = x;
                run->block[1] = y;
                run->block[2] = z;
                result = run_block(run, warps, count, (x + y + z) % 2 == 1);
            }
    return result;
}

static bool has_partial_barrier(const struct ptx_kernel *kernel)
{
    for (size_t i = 0; i < kernel->length; i++)
        if (kernel->code[i].control == BARRIER && kernel->code[i].count)
            return true;
    return false;
}

static void *zeros(size_t count, size_t bytes)
{
    void *memory = calloc(count + 1, bytes);
    if (memory == NULL)
        abort();
    return memory;
}

int ptx_run(const struct ptx_launch *launch,
            bool (*find)(uint64_t address, struct ptx_range *range))
{
    const struct ptx_kernel *kernel = launch->kernel;
    unsigned count = (thread_count(launch->block) + LANES - 1) / LANES;
    size_t dynamic = (kernel->shared_bytes + 127) / 128 * 128;
    struct run run = { .launch = launch, .find = find, .is_wrong = launch->is_wrong };
    run.dynamic_first = SHARED_FIRST + dynamic;
    run.shared_bytes = launch->shared_bytes > 0 ? dynamic + launch->shared_bytes
                                                : kernel->shared_bytes;
    run.shared = zeros(run.shared_bytes, 1);
    run.shared_range = (struct ptx_range){ SHARED_FIRST, SHARED_FIRST + run.shared_bytes,
                                           run.shared };
    struct warp *warps = zeros(count, sizeof *warps);
    union reg *regs = zeros(count * kernel->reg_count, sizeof *regs);
    uint32_t *preds = zeros(count * (kernel->pred_count + 1), sizeof *preds);
    for (unsigned i = 0; i < count; i++) {
        warps[i].run = &run;
        warps[i].index = i;
        warps[i].regs = regs + i * kernel->reg_count;
        warps[i].preds = preds + i * (kernel->pred_count + 1);
    }
    if (count > 1 && run.shared_bytes > 0 && !has_partial_barrier(kernel))
        run.traces = ptx_traces_new(run.shared_bytes);
    int result = run_grid(&run, warps, count);
    free(run.traces);
    for (unsigned i = 0; i < count; i++)
        free(warps[i].copies);
    free(preds);
    free(regs);
    free(warps);
    free(run.shared);
    return result;
}
