/*
 * job/handler.h - the interface of what runs a job: a linked C function, a program or an HTTP
 * server. Each slot opens its own handler, so a handler's state belongs to one thread.
 */
#ifndef JOB_HANDLER_H
#define JOB_HANDLER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/err.h"
#include "worker.h"

/* The handler is lost for good: why, as a sentence for people. Does not block; any thread. */
typedef void handler_lost(void *owner, const char *why);

struct handler_ops {
    /*
     * Makes a slot ready for jobs, on the slot's thread. May block for as long as loading takes.
     * *state is passed to run and close. Returns 0, or an error that ends the worker.
     */
    int (*open)(const void *setting, void **state, struct err *err);

    /*
     * Runs one job to its end through worker.h. Blocks. Returns as an rp_handler does, or
     * HANDLER_LOST, HANDLER_LOST_BEFORE.
     */
    int (*run)(rp_job *job, void *state);

    /* Frees the state and ends the process behind it, if any. Blocks until it has ended. */
    void (*close)(void *state);

    /*
     * NULL for a handler that is always ready, or: makes this slot's handler ready for its next
     * job, on the slot's thread; blocks until it is, or until the deadline. False: not yet, call
     * again. A slot takes no job before, so that jobs go to slots that are ready.
     */
    bool (*prepare)(void *state, deadline_ms until);

    /*
     * NULL, or how many jobs are to run at the same time from now on, 1 to LIMIT_CONCURRENCY;
     * `otherwise` if the handler does not care. Does not block. Asked before each job-take and,
     * while all slots are busy, every LIMIT_ASK_MS.
     */
    size_t (*concurrency)(const void *setting, size_t otherwise);

    /*
     * NULL, or sets a function that is called, from any thread, when a handler that was prepared
     * is no longer ready. Called once, on the slot's thread, before its first job.
     */
    void (*on_unready)(void *state, void (*unready)(void *owner), void *owner);

    /*
     * NULL, or sets a function that is called, from any thread, if the handler is lost between
     * jobs, when run cannot return HANDLER_LOST. Called once, before any slot is opened.
     */
    void (*on_loss)(const void *setting, handler_lost *lost, void *owner);
};

/*
 * Returned by run: the job has failed, and so would every later one. The worker takes no more jobs,
 * delivers the results it has, and exits with status 1, so that the platform replaces it.
 */
enum { HANDLER_LOST = -100 };

/* The same, and the handler has not seen anything of this job: it was lost before. */
enum { HANDLER_LOST_BEFORE = -101 };

/* A handler and its setting. Not copied: both must outlive the slots. */
struct handler {
    const struct handler_ops *ops;
    const void *setting;

    /*
     * NULL, or called after run has returned RP_OK, on the slot's thread, before the result is
     * sealed: it may replace the output, or fail the job. May block.
     */
    void (*finish)(rp_job *job);

    bool opens_all; /* all slots are opened before the first job is taken */
};

#endif
