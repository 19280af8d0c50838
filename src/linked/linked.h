/*
 * linked/linked.h - the handler that is linked into the program: a C function (worker.h).
 */
#ifndef LINKED_LINKED_H
#define LINKED_LINKED_H

#include <pthread.h>
#include <stdbool.h>

#include "job/handler.h"

/* The program's rp_config and its setup's state, shared by all slots. Not copied. */
struct linked_setting {
    const rp_config *config;
    pthread_mutex_t *lock; /* held while the setup runs: once, before the first job of any slot */
    bool *is_set_up;
};

/*
 * Runs the program's setup, if it has one. ERR_CONFIG with what it returned, and with the GPU's
 * last error in a program that has the GPU part.
 */
int linked_setup(const rp_config *config, struct err *err);

/* True while a slot runs the setup. Any thread. */
bool linked_is_setting_up(void);

/*
 * Runs the linked handler on the job, on the calling thread, then frees what the job holds on the
 * GPU. Blocks. Returns what the handler returns; HANDLER_LOST if the GPU has failed for good, and
 * the job with it; HANDLER_LOST_BEFORE where it had failed before the handler was called.
 */
int linked_call(const rp_config *config, rp_job *job);

/* The setting is a struct linked_setting. open: ERR_CONFIG if the setup fails. */
extern const struct handler_ops linked_ops;

#endif
