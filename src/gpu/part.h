/*
 * gpu/part.h - the worker's view of its GPU part: a table of functions that only programs which use
 * rp_gpu.h refer to (rp_config.gpu = &rp_gpu_part). All other programs are linked without the
 * loader and its table of libc names, most of the GPU part's size.
 */
#ifndef GPU_PART_H
#define GPU_PART_H

#include <stdbool.h>

#include "base/limits.h"
#include "config/config.h"
#include "worker.h"

/* The outcome of the GPU's fitness check. */
struct gpu_check_result {
    bool fit;
    bool hangs;       /* the driver has not returned from a call: end the process by _exit */
    const char *name; /* of the check that failed */
    char reason[LIMIT_REASON_BYTES];
};

struct rp_gpu_part {
    /* Keeps config, linked, for the calls that follow. Call it before there are other threads. */
    void (*begin)(const struct config *config);

    /*
     * For a process that will not use the GPU itself, because a program or server of its does: has
     * `check` done by a short-lived process, so that this one keeps neither driver nor memory for
     * it. Call it after begin, before there are other threads: it forks. Without memory for that,
     * check works in this process. The other process waits until check is called or this one ends.
     */
    void (*prepare_check)(void);

    /* worker --gpu-info: prints to standard output and returns the exit status. Blocks. */
    int (*info)(const struct config *config);

    /*
     * Checks whether the GPU is fit for work. If `required` is false and the machine is not set up
     * for a GPU, it is fit. Blocks for at most config.gpu.test_ms. Once per process.
     */
    void (*check)(const struct config *config, bool required, struct gpu_check_result *result);

    /*
     * Waits for what the job has left unfinished on the GPU and frees its device memory. Call it on
     * the job's thread after its handler; and before it, to learn whether the job may start at all.
     * True if the GPU is lost: the job has then been failed with that, and must be the worker's
     * last. Blocks.
     */
    bool (*end_job)(rp_job *job);

    /* The calling thread's rp_gpu_error(). */
    const char *(*error)(void);

    /* Whether this process has started the driver: its destructors must not run beside a kernel. */
    bool (*is_running)(void);

    /*
     * Call it on a slot's thread as the last thing it does, since the driver's destructors follow.
     * It does not return once `end` has been called.
     */
    void (*leave)(void);

    /*
     * Before the process returns from rp_start: waits for threads that leave, LIMIT_GPU_LEAVE_MS at
     * the most, and keeps others from it. Once.
     */
    void (*end)(void);
};

#endif
