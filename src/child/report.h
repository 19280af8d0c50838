/*
 * child/report.h - what programs bring about in the worker: its end, and its concurrency.
 */
#ifndef CHILD_REPORT_H
#define CHILD_REPORT_H

#include <stddef.h>

#include "base/err.h"
#include "base/slice.h"
#include "child/life.h"
#include "child/message.h"
#include "job/handler.h"

/* As handler_ops.on_loss: for all slots. */
void child_on_loss(const void *setting, handler_lost *lost, void *owner);

/*
 * The program has died too often, or is not getting ready: with --watch it is not started again
 * until it has changed (child->halted), and the log says so. False without --watch.
 */
bool child_halt(struct child *child, const char *why);

/* Puts before the error that as many starts as are allowed have failed. */
void child_name_deaths(const struct child *child, struct err *err);

/*
 * Logs what child_make_ready returned between jobs. The last failure that is allowed loses the
 * handler: child->lost is set, and the worker told.
 */
void child_report_failure(struct child *child, int rc, struct err *err);

/* As many deaths in a row as are allowed, the last one not before it was ready: loses it, too. */
void child_report_deaths(struct child *child);

/* {"concurrency": N} of a program; warns of anything but a number from 1 to LIMIT_CONCURRENCY. */
void child_report_concurrency(slice value);

/* The number of the last of these, or `otherwise` before the first. Any thread. */
size_t child_concurrency(size_t otherwise);

/*
 * {"unfit": "REASON", "check": "NAME"} of a program that is not ready yet. True if it is one for
 * child_unfit_reason to tell: the program is as good as ready. Once that was asked it is logged.
 */
bool child_report_unfit(const struct child_message *message);

/*
 * The verdict before the first job: the first of these, or false where no program has said so.
 * *name and reason (size bytes, NUL included) are filled in; *name stays valid. Any thread.
 */
bool child_unfit_reason(const char **name, char *reason, size_t size);

#endif
