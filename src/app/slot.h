/*
 * app/slot.h - a slot: a thread that runs one job after the other and hands each result over to the
 * outbox.
 */
#ifndef APP_SLOT_H
#define APP_SLOT_H

#include <stddef.h>

#include "app/failed_start.h"
#include "app/job_table.h"
#include "app/outbox.h"
#include "base/err.h"
#include "config/config.h"
#include "job/handler.h"

/* Shared by all slots. Not copied; must live until the process exits. */
struct slot_context {
    const struct config *config;
    struct job_table *table;
    struct outbox *outbox;
    const struct handler *handler;
    size_t stack_bytes;

    /* Passed to the functions below, which are called on the slot's thread and do not block. */
    void *owner;
    void (*opened)(void *owner);         /* the slot's handler is ready for jobs */
    void (*freed)(void *owner);          /* a job has left the table; may be NULL */
    void (*stop_taking)(void *owner);    /* a result has stopPod: take no more jobs; may be NULL */
    void (*end_after_jobs)(void *owner); /* --refresh-worker: end once the jobs held have ended */
    void (*finish)(void *owner, int exit_status); /* the slot has no memory: end now */
    handler_lost *lost; /* it could not be opened, or HANDLER_LOST: end once the jobs held have */

    const struct failed_start *failed; /* set by `lost`, where jobs are to be told */
};

/* Starts a slot, whose thread ends once the table has ended and is empty. ERR_MEMORY. */
int slot_start(const struct slot_context *context, struct err *err);

/*
 * For a start that has failed: fails every job that comes, as a slot would run it, on the calling
 * thread. Blocks until the table has ended and is empty.
 */
void slot_fail_jobs(const struct slot_context *context);

#endif
