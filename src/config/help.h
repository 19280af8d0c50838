/*
 * config/help.h - the text of --help, made from the table of options.
 */
#ifndef CONFIG_HELP_H
#define CONFIG_HELP_H

#include "base/buf.h"
#include "base/err.h"
#include "config/config.h"

#define HELP_LINE_CHARS 100 /* no line is longer */

/*
 * Appends the text for a topic ("handlers", "gpu", ...): every flag and variable of it with range
 * and default; "all" for all topics; NULL for the overview, which lists the common options and the
 * topics on less than 50 lines. Options of config->absent_parts are left out. Pure. ERR_CONFIG
 * naming the topics where there is no such topic, or the part where it is one of an absent part;
 * ERR_MEMORY.
 */
int help_put(struct buf *out, const struct config *config, const char *topic, struct err *err);

#endif
