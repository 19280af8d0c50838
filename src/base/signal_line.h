/*
 * base/signal_line.h - a line of the log that is written inside a signal handler: in the form that
 * the log has, with async-signal-safe calls only.
 */
#ifndef BASE_SIGNAL_LINE_H
#define BASE_SIGNAL_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define SIGNAL_LINE_BYTES 1024

/* All zero: empty. What does not fit is left out. */
struct signal_line {
    size_t len;
    char bytes[SIGNAL_LINE_BYTES];
};

/* The form of all lines, as for log_init. Call once, at the start. */
void signal_line_set_form(bool json_lines);

/* "ERROR  | job | ", or the same in JSON. `level` is padded to 6; a job without an id: none. */
void signal_line_begin(struct signal_line *line, const char *level, slice job_id);

/* Adds a text of the program's own. */
void signal_line_add(struct signal_line *line, const char *text);

/* Adds anybody's bytes: what would need an escape in either form becomes a question mark. */
void signal_line_add_plain(struct signal_line *line, slice bytes);

/* Adds a number; base: 10 or 16. */
void signal_line_add_number(struct signal_line *line, uintmax_t number, unsigned base);

/*
 * Ends the line and writes it to standard output. Waits for the lines that were logged before, and
 * for the reader, for LIMIT_LOG_FLUSH_MS each at most; then the line is lost.
 */
void signal_line_write(struct signal_line *line, const char *level);

#endif
