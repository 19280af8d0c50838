/*
 * child/check.h - a fitness check that is a program (--fitness): run once, before the first job.
 */
#ifndef CHILD_CHECK_H
#define CHILD_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "child/setting.h"

/*
 * Runs a program whose setting->command is prepared (command_prepare) and blocks until it has ended
 * or timeout_ms have passed; 0 means no timeout. Its standard input is closed, its output goes to
 * the log, and all of its processes are killed before this returns.
 *
 * Returns 0 if it exited with status 0; 1 if it did not, or not in time: then `reason` (of `size`
 * bytes) says how it ended and quotes its last line. ERR_CONFIG or ERR_MEMORY if it cannot be
 * started, ERR_CANCELLED if the worker is shutting down.
 */
int child_check(const struct child_setting *setting, int64_t timeout_ms, char *reason, size_t size,
                struct err *err);

#endif
