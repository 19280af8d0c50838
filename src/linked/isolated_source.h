/*
 * linked/isolated_source.h - jobs from one pipe and results to another: the platform as an isolated
 * handler (linked/isolated_main.h) sees it. One slot, one job at a time.
 */
#ifndef LINKED_ISOLATED_SOURCE_H
#define LINKED_ISOLATED_SOURCE_H

#include "job/rp_job.h"
#include "job/source.h"

/*
 * A source that reads jobs from in_fd and writes messages to out_fd, one a line each. Both are
 * blocking, and neither is closed. Ends the process if out_fd cannot be written. ERR_MEMORY.
 */
int isolated_source_new(struct source **source, int in_fd, int out_fd, struct err *err);

/* For tests: in a worker it lives as long as the process. */
void isolated_source_free(struct source *source);

/* Sends {"ready": true}. Blocks. */
void isolated_source_send_ready(struct reply_channel *reply_channel);

/*
 * Sends a job's output or error, as the handler left it, as the job's final message; the worker
 * makes the result of it. Output that is not valid JSON becomes an error, since the worker would
 * take the line for text. Blocks.
 */
void isolated_source_send_result(struct reply_channel *reply_channel, rp_job *job,
                                 int handler_status);

#endif
