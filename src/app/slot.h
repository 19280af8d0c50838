/*
 * app/slot.h - a slot: a thread that runs one job after the other and posts each result on its own
 * kept-alive connection.
 */
#ifndef APP_SLOT_H
#define APP_SLOT_H

#include <stddef.h>

#include "app/job_table.h"
#include "base/err.h"
#include "job/config.h"
#include "job/handler.h"
#include "job/source.h"

/* What all slots share. Linked; must outlive them, which is until the process ends. */
struct slot_context {
    const struct config *config;
    struct source *source;
    struct job_table *table;
    const struct handler *handler;
    size_t stack_bytes;

    void *owner; /* passed to the functions below, which are called on the slot's thread */
    void (*opened)(void *owner);         /* the handler is ready for jobs */
    void (*stop_taking)(void *owner);    /* a result says: no more; NULL: no matter */
    void (*undelivered)(void *owner);    /* a result could not be delivered */
    void (*end_after_jobs)(void *owner); /* the same, and the worker is to end with its jobs */
    void (*finish)(void *owner, int exit_status); /* the worker is to end */
    void (*lost)(void *owner); /* the handler is (HANDLER_LOST): end with status 1 after the jobs */
};

/* Starts a slot. It ends when the table is closed and empty. ERR_MEMORY. */
int slot_start(const struct slot_context *context, struct err *err);

#endif
