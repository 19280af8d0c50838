/*
 * child/outcome.h - how a child's job ends: with an output or an error.
 */
#ifndef CHILD_OUTCOME_H
#define CHILD_OUTCOME_H

#include "base/slice.h"
#include "child/life.h"
#include "codec/lines.h"

/*
 * Makes checked JSON, which lies inside `lines`, the job's output: the job takes over the memory of
 * `lines`. Returns RP_OK, or RP_FAILED with the job failed for want of memory.
 */
int child_return_json(struct child *child, struct lines *lines, slice json);

/*
 * Fails the current job, if there is one, with what happened and the tail of the child's log.
 * `type` is a constant.
 */
void child_fail(struct child *child, const char *type, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Fails the current job for exceeding its execution timeout. */
void child_fail_late(struct child *child);

#endif
