/*
 * child/idle.h - a child outside of a job: getting it ready, what it writes unasked, its death.
 * Called by the child's owner: its slot, or the watching thread.
 */
#ifndef CHILD_IDLE_H
#define CHILD_IDLE_H

#include "base/err.h"
#include "child/life.h"

/*
 * Starts the child if it is not running, after the pause that its deaths cost, and blocks until it
 * is ready, if the setting asks for {"ready": true}, or `until` has passed. One that has closed its
 * standard input or output is ended first.
 *
 * ERR_TIMEOUT: it is not ready yet; the caller goes on later. ERR_RETRY if it died or wrote an
 * endless line: it is ended and its death counted, and the caller may try again. ERR_CANCELLED if
 * the current job was stopped meanwhile or the worker is shutting down. ERR_CONFIG once its time to
 * get ready is over, or it has died as often as is allowed (child->lost is set); ERR_CONFIG,
 * ERR_MEMORY as process_start.
 */
int child_make_ready(struct child *child, deadline_ms until, struct err *err);

/* Reads what the child has written outside of a job, without blocking, and handles it. */
void child_read_unsolicited(struct child *child);

/* Handles the complete lines that have been read already: to the log, or a "ready" noted. */
void child_handle_unsolicited(struct child *child);

/* Ends a running one in good order: its input is closed and it gets SIGTERM before it is killed. */
void child_end_gently(struct child *child);

/* Reaps a child that has ended without a job: logs what it wrote and how it ended, counts it. */
void child_reap_idle(struct child *child);

/*
 * Ends and reaps a running child that has ended, or that no job could be given to any more, as it
 * has closed its standard input or output; logs and counts that. True if it was one of these. May
 * block for LIMIT_CHILD_EXIT_MS.
 */
bool child_reap_unusable(struct child *child);

#endif
