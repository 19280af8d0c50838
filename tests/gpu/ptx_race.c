/*
 * What the interpreter knows of who used shared memory since the last barrier. Two warps that use
 * the same place without a barrier between them, one of them to write, would have one result here
 * and any on a device; so that is a fault. Not looked at: single bytes, atomics, volatile accesses,
 * and kernels in which a barrier is for some of the threads only. See ptx.h.
 */
#include <stdlib.h>

#include "ptx_private.h"

#define SEVERAL 0xffu
#define GRANULE 2 /* bytes */

/* Of each granule: the interval between barriers, times 256, and the warp (from 1; SEVERAL). */
struct traces {
    uint32_t interval;
    struct {
        uint32_t written, read;
    } at[];
};

struct traces *ptx_traces_new(size_t shared_bytes)
{
    struct traces *traces = calloc(1, sizeof *traces +
                                          (shared_bytes / GRANULE + 1) * sizeof traces->at[0]);
    if (traces == NULL)
        abort();
    traces->interval = 1;
    return traces;
}

void ptx_traces_next(struct traces *traces)
{
    traces->interval = (traces->interval + 1) & 0xffffff;
}

static bool is_others(uint32_t trace, uint32_t own)
{
    return trace >> 8 == own >> 8 && trace != own;
}

int ptx_trace(struct warp *warp, const struct instr *in, int lane, const unsigned char *at,
              size_t bytes, bool is_write)
{
    struct run *run = warp->run;
    struct traces *traces = run->traces;
    size_t first = (size_t)(at - run->shared) / GRANULE, end = first + bytes / GRANULE;
    if (traces == NULL || in->is_volatile || at < run->shared ||
        at >= run->shared + run->shared_bytes)
        return 0;
    uint32_t own = traces->interval << 8 | (warp->index + 1);
    for (size_t i = first; i < end; i++) {
        uint32_t written = traces->at[i].written, read = traces->at[i].read;
        if (is_others(written, own) || (is_write && is_others(read, own)))
            return ptx_fault(warp, in, lane, PTX_LAUNCH_FAILED,
                             "warp %u %s shared address 0x%zx, which another warp has %s since the "
                             "last barrier",
                             warp->index, is_write ? "writes" : "reads", i * GRANULE + SHARED_FIRST,
                             is_others(written, own) ? "written" : "read");
        if (is_write)
            traces->at[i].written = own;
        else
            traces->at[i].read = read >> 8 == own >> 8 && read != own ? own | SEVERAL : own;
    }
    return 0;
}
