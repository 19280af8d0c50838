/*
 * child/lines.h - one job for a child that gets a job a line (src/handlers/README.md).
 */
#ifndef CHILD_LINES_H
#define CHILD_LINES_H

#include "child/life.h"
#include "worker.h"

/*
 * Runs child->job, from the child's start, if that is due, to its final message; blocks. Returns as
 * handler_ops.run: RP_OK, or RP_FAILED with the job failed. The child may be dead afterwards.
 */
int child_run_line(struct child *child, rp_job *job);

#endif
