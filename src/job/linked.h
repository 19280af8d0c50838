/*
 * job/linked.h - the handler that is linked into the program: a C function.
 */
#ifndef JOB_LINKED_H
#define JOB_LINKED_H

#include <pthread.h>
#include <stdbool.h>

#include "job/handler.h"

/* What the program's rp_config says about it. Shared by all slots. */
struct linked_setting {
    const rp_config *config;
    pthread_mutex_t *lock; /* the setup runs once, before the first job of any slot */
    bool *is_set_up;
};

/*
 * Runs the linked handler on the job, and ends what it has on the GPU. Returns what the handler
 * returns; HANDLER_LOST where the GPU has failed for good: the job has failed with that.
 */
int linked_call(const rp_config *config, rp_job *job);

/* Its setting is a struct linked_setting. */
extern const struct handler_ops linked_ops;

#endif
