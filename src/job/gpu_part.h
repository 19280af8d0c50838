/*
 * job/gpu_part.h - what the worker knows of the GPU: this table, which only handlers that use
 * rp_gpu.h name (rp_config.gpu = &rp_gpu_part). By pointer, so that every other handler is linked
 * without the loader and the driver's table of names, most of their size.
 */
#ifndef JOB_GPU_PART_H
#define JOB_GPU_PART_H

#include <stdbool.h>

#include "base/limits.h"
#include "job/config.h"
#include "worker.h"

/* What a check of the GPU came to. */
struct gpu_verdict {
    bool fit;
    bool hangs;       /* the driver did not come back: the process is to end by _exit */
    const char *name; /* of the check that failed */
    char reason[LIMIT_REASON_BYTES];
};

struct rp_gpu_part {
    /* Takes what it needs of the configuration, linked. Before there are other threads. */
    void (*begin)(const struct config *config);

    /* worker --gpu-info: prints to standard output, returns the exit status. Blocks. */
    int (*info)(const struct config *config);

    /*
     * Is the GPU fit for work? Where none is expected and `required` is false, it is. Blocks for at
     * most config.gpu.test_ms. Once in a process.
     */
    void (*check)(const struct config *config, bool required, struct gpu_verdict *verdict);

    /*
     * Ends what the job has on the GPU, on its thread, after its handler; also asked before it, for
     * a job that must not begin. True where the GPU has failed for good: the job has failed with
     * that then, and is the worker's last. Blocks for what the job has left unfinished.
     */
    bool (*settle)(rp_job *job);
};

#endif
