/*
 * child/once.h - one job for a child of its own: the job on standard input, the output on standard
 * output, success or failure in the exit status.
 */
#ifndef CHILD_ONCE_H
#define CHILD_ONCE_H

#include "child/life.h"
#include "worker.h"

/*
 * Starts the child, runs child->job and ends the child; blocks. Returns as handler_ops.run: RP_OK,
 * or RP_FAILED with the job failed.
 */
int child_run_once(struct child *child, rp_job *job);

#endif
