/*
 * base/log_tail.h - the last of what a handler has printed: for errors and reports that say why it
 * could not be started, or why a job has failed (RUNPOD_LOG_CAPTURE). Any function may be called by
 * any thread; none blocks for longer than a copy takes. No call fails: without memory lines are
 * left out.
 */
#ifndef BASE_LOG_TAIL_H
#define BASE_LOG_TAIL_H

#include <pthread.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/slice.h"

struct log_tail {
    pthread_mutex_t lock;
    char *bytes; /* owned; NULL until the first line comes */
    size_t len;
};

/*
 * What all handlers of this process have printed, whatever the log's level; and of that, what came
 * on standard error, where programs say why they end.
 */
extern struct log_tail log_tail_of_handlers;
extern struct log_tail log_tail_of_errors;

/* An empty tail. Allocates nothing. log_tail_free frees it; it is empty then. */
void log_tail_init(struct log_tail *tail);
void log_tail_free(struct log_tail *tail);

/* Forgets all lines; the memory stays. */
void log_tail_clear(struct log_tail *tail);

/* Adds a line, without its line feed. An empty one adds nothing. */
void log_tail_add(struct log_tail *tail, slice line);

/*
 * Appends the newest lines to `out`, as many as fit into max_bytes (at most LIMIT_CAPTURE_BYTES),
 * without the last line feed and with secrets replaced (base/log.h). One line that is longer is
 * cut at its start. The buffer's error sticks.
 */
void log_tail_put(struct log_tail *tail, size_t max_bytes, struct buf *out);

#endif
