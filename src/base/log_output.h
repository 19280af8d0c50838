/*
 * base/log_output.h - where the log's lines go: to standard output, at first on the thread that
 * writes them. Once log_output_start has been called, a line is written at once where that does not
 * block (pwritev2 with RWF_NOWAIT: pipes since Linux 6.4), else by a thread of the log, by way
 * of a bounded queue: a reader of the log that stands still blocks that thread alone. The first
 * line that has to wait starts it.
 *
 * A line that finds no room in the queue is dropped and counted. When half of the queue is free
 * again, a line that tells how many were dropped takes their place, and the log goes on. The
 * descriptor's flags are not touched: other processes share it. For base/log.c alone.
 */
#ifndef BASE_LOG_OUTPUT_H
#define BASE_LOG_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/slice.h"

/* Writes the line that says that `lines` lines were dropped to to[0..size). Returns its length. */
typedef size_t log_output_note(char *to, size_t size, size_t lines);

/* From here on lines are queued where writing one would block; `note` is kept. */
void log_output_start(log_output_note *note);

/*
 * Writes one line with its line feed. Blocks only before log_output_start, where standard output is
 * a file, and where it would need a thread that the system cannot start. Any thread may call it.
 */
void log_output_put(slice line);

/*
 * Waits until everything has been written. False once the deadline has passed. Async-signal-safe,
 * so that a crash can wait for the lines before it.
 */
bool log_output_flush(deadline_ms deadline);

#endif
