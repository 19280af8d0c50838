/*
 * child/text.h - what a child writes for people: to the log, and the tail of that for error texts.
 */
#ifndef CHILD_TEXT_H
#define CHILD_TEXT_H

#include <stdbool.h>

#include "base/log.h"
#include "base/slice.h"
#include "child/life.h"

/* The current job's tag for log lines; empty between jobs. */
struct log_tag child_tag(const struct child *child);

/* Logs a line that is not a message, as INFO. Empty lines are dropped. */
void child_log_line(struct child *child, slice line);

/* Logs the raw JSON values of {"log": value, "level": level}; no or an unknown level is INFO. */
void child_log_value(struct child *child, slice value, slice level);

/* Adds a line to the tail of its log, which keeps the newest whole lines that fit. */
void child_add_to_tail(struct child *child, slice line);

/*
 * The last lines of that, without the final line feed. Valid until a line is added or the child is
 * started again.
 */
slice child_log_tail(const struct child *child);

/*
 * Logs the complete lines of standard error that have been read, and adds them to the tail; with
 * `all` an unfinished last line, too.
 */
void child_log_errors(struct child *child, bool all);

#endif
