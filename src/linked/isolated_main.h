/*
 * linked/isolated_main.h - the child's end of --isolate: this very binary, which the worker starts
 * as a child to run the linked handler. It speaks the protocol of src/handlers/README.md on its
 * standard streams; what the handler itself prints goes to standard error, and so does the log, as
 * JSON lines that the worker recognizes (child/text.h).
 */
#ifndef LINKED_ISOLATED_MAIN_H
#define LINKED_ISOLATED_MAIN_H

#include <stdbool.h>

#include "config/config.h"
#include "worker.h"

/* Set in the environment of such a child, and of no other process. */
#define ISOLATED_VARIABLE "RP_ISOLATED"

/* True if this process is such a child. Unsets the variable: programs that it starts are not. */
bool isolated_main_wanted(void);

/*
 * Runs the handler's setup, reports that it is ready, then runs one job for every line of standard
 * input until its end. SIGTERM stops the current job, which rp_job_stopped reports; without a
 * job it ends the process.
 *
 * To be called before there are threads, instead of all that rp_start does after the configuration
 * is read. Blocks and ends the process itself; returns an exit status only if it cannot start.
 * Neither argument is copied.
 */
int isolated_main_run(const struct config *config, const rp_config *handlers);

#endif
