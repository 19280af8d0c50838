/*
 * job/child_side.h - the other end of --isolate: this binary, started by itself as a child that
 * runs the linked handler. It speaks the protocol of src/handlers/README.md on the standard streams
 * it was given; the handler's own standard output goes to standard error, where the log goes too,
 * as JSON lines that the worker knows (job/child_text.c).
 */
#ifndef JOB_CHILD_SIDE_H
#define JOB_CHILD_SIDE_H

#include <stdbool.h>

#include "job/config.h"
#include "worker.h"

/* Set in the environment of such a child and of no other process. */
#define CHILD_SIDE_VARIABLE "RP_CHILD_SIDE"

/* True where this process is such a child. Forgets it: programs that it starts are none. */
bool child_side_wanted(void);

/*
 * Runs setup, says that it is ready, then runs a job for every line until there are no more.
 * SIGTERM stops the job at hand, as rp_job_stopped tells, and without a job ends the process. Call
 * it before there are threads; in the place of everything else that rp_start does after the
 * configuration is read. Returns the process's exit status.
 */
int child_side_run(const struct config *config, const rp_config *handlers);

#endif
