/*
 * source/local.h - a local test as the source of jobs: one job, given on the command line.
 */
#ifndef SOURCE_LOCAL_H
#define SOURCE_LOCAL_H

#include "base/err.h"
#include "config/config.h"
#include "job/source.h"

/*
 * One job from --test_input or ./test_input.json. Its result goes to the log and is compared with
 * --test_output where that is set; source->exit_status is 1 after a job that failed or a result
 * that differs. config is not copied. ERR_MEMORY.
 */
int source_local_new(struct source **source, const struct config *config, struct err *err);

#endif
