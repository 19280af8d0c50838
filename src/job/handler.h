/*
 * job/handler.h - what runs a job: a linked C function, or a program of the author's. Each slot
 * opens a handler of its own, so that a handler's state belongs to one thread.
 */
#ifndef JOB_HANDLER_H
#define JOB_HANDLER_H

#include <stdbool.h>

#include "base/err.h"
#include "worker.h"

struct handler_ops {
    /*
     * Makes a slot ready, on the slot's own thread: may block for as long as it takes to load what
     * jobs need. *state is passed to the others. Returns 0, or an error that ends the worker.
     */
    int (*open)(const void *setting, void **state, struct err *err);

    /*
     * Runs one job to its end through worker.h; returns as an rp_handler does, or HANDLER_LOST.
     * Blocks.
     */
    int (*run)(rp_job *job, void *state);

    /* Ends what open has made. Blocks until it is gone. */
    void (*close)(void *state);
};

/*
 * From run: the job has failed, and so would every other one. The worker takes no more, delivers
 * what it has, and ends with a status that is not 0, so that the platform replaces it.
 */
enum { HANDLER_LOST = -100 };

/* A handler and what it was told; linked, must outlive the slots. */
struct handler {
    const struct handler_ops *ops;
    const void *setting;
    bool opens_all; /* every slot is opened before the first job is taken */
};

#endif
