/*
 * job/handler.h - what runs a job: a linked C function, or a program of the author's. Each slot
 * opens a handler of its own, so that a handler's state belongs to one thread.
 */
#ifndef JOB_HANDLER_H
#define JOB_HANDLER_H

#include "base/err.h"
#include "worker.h"

struct handler_ops {
    /*
     * Makes a slot ready, on the slot's own thread: may block for as long as it takes to load what
     * jobs need. *state is passed to the others. Returns 0, or an error that ends the worker.
     */
    int (*open)(const void *setting, void **state, struct err *err);

    /* Runs one job to its end through worker.h; returns as an rp_handler does. Blocks. */
    int (*run)(rp_job *job, void *state);

    /* Ends what open has made. Blocks until it is gone. */
    void (*close)(void *state);
};

/* A handler and what it was told; linked, must outlive the slots. */
struct handler {
    const struct handler_ops *ops;
    const void *setting;
};

#endif
