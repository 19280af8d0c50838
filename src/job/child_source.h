/*
 * job/child_source.h - jobs from a pipe and results to one: the platform as an isolated handler
 * (job/child_side.h) sees it. One slot, one job at a time.
 */
#ifndef JOB_CHILD_SOURCE_H
#define JOB_CHILD_SOURCE_H

#include "job/rp_job.h"
#include "job/source.h"

/* in_fd: jobs, one a line; out_fd: messages, one a line. Both blocking, linked. ERR_MEMORY. */
int child_source_new(struct source **source, int in_fd, int out_fd, struct err *err);

/* {"ready": true} */
void child_source_ready(struct outlet *outlet);

/*
 * The end of a job as a message: its output or error as rp_job has it, not yet sealed; the worker
 * does that. Checks the output first, since one that is no JSON could not be told from noise.
 */
void child_source_answer(struct outlet *outlet, rp_job *job, int handler_status);

#endif
