/*
 * child/renew.h - --watch: processes whose program has changed give way to new ones, between jobs.
 */
#ifndef CHILD_RENEW_H
#define CHILD_RENEW_H

#include "base/err.h"
#include "child/life.h"

/*
 * Watches the files of the setting's command: the program, and those of its arguments that name
 * regular files. Every change counts as an edition (child/edition.h) and is logged. Does nothing
 * without --watch, with a process for each job, and after the first call. Errors as
 * file_watch_start.
 */
int child_renew_start(const struct child_setting *setting, struct err *err);

/*
 * Between jobs, called by the child's owner: ends an outdated process in good order, which may
 * block for the setting's grace period, and forgets deaths and failed starts, as they were another
 * program's. The caller starts the next one.
 */
void child_renew(struct child *child);

#endif
