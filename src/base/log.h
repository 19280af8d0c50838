/*
 * base/log.h - the worker's log: one line per message on standard output.
 *
 * Plain lines are "LEVEL  | job id | message"; JSON lines, for the platform, are
 * {"requestId", "message", "level"} (source: the Python SDK's logger). A message of more than
 * LOG_MESSAGE_MAX_CHARS characters loses its middle, with a note of how much. No quoted bytes can
 * forge a line: control characters (C0, DEL, C1 from U+0080 to U+009F), U+2028 and U+2029 are
 * escaped in JSON lines and question marks in plain ones, where a line break within a message is
 * followed by "       | ", as which no line begins.
 *
 * log_init, log_add_secret, log_set_listener and log_start_writer are called before there are other
 * threads that log; everything else may be called from any thread. No call fails. A call blocks
 * while standard output does until log_start_writer has been called; after that only where the
 * system has no thread left for the lines that wait, or standard output is a file
 * (base/log_output.h).
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define LOG_MESSAGE_MAX_CHARS 4096 /* the SDK's limit; counted in characters, not bytes */

enum log_level {
    LOG_NOTSET, /* as a threshold: nothing is logged */
    LOG_TRACE,
    LOG_DEBUG,
    LOG_INFO,
    LOG_WARN,
    LOG_ERROR,
};

/* The job a message is about; used only during the call. Both may be empty. */
struct log_tag {
    slice job_id;
    slice batch_id; /* prefixes the message as "[batchId=...] " */
};

/* Sets the threshold and the form of lines; until then they are DEBUG and plain. */
void log_init(enum log_level threshold, bool json_lines);

/*
 * From here on a reader that stands still holds up nobody: lines that would have to wait are
 * written by a thread of the log's own. Up to LIMIT_LOG_QUEUE_BYTES wait, lines beyond that are
 * dropped and counted, and the log says how many.
 */
void log_start_writer(void);

/* Waits until all lines have been written; false where that takes longer. Async-signal-safe. */
bool log_flush(int64_t timeout_ms);

/* Writes bytes that are not a message: the line with which the worker greets. */
void log_banner(slice line);

#define LOG_SECRETS_MAX 16
#define LOG_SECRET_MIN_BYTES 6 /* a shorter one would match everywhere, and is ignored */

/*
 * Adds a secret (a key, a password) that is replaced by asterisks in every message. Not copied: it
 * must outlive the process's last message. False where it is ignored: it is too short, or there are
 * LOG_SECRETS_MAX already.
 */
bool log_add_secret(slice secret);

#define LOG_JOB_SECRETS_MAX 256

/*
 * The same for a secret that a job brings along; any thread, at any time. Copied. It is masked
 * until LOG_JOB_SECRETS_MAX others have been added: programs may print it after their job.
 */
void log_add_job_secret(slice secret);

/* Replaces the secrets in a text by asterisks, in place: for errors that a client will read. */
void log_mask(char *text, size_t len);

/*
 * Sets a function that also gets every message with a job's id, secrets already masked, on the
 * thread that logs it. It may not log. The slices are valid during the call.
 */
typedef void log_listener(enum log_level level, slice job_id, slice message);
void log_set_listener(log_listener *listener);

/* The name of a level, as it stands in log lines. */
const char *log_level_name(enum log_level level);

/* True if a message of that level would be written. */
bool log_enabled(enum log_level level);

/* Reads a level from its name (in any case) or number, 0 to 5. False for anything else. */
bool log_parse_level(slice text, enum log_level *level);

/* Writes a formatted message. tag may be NULL. */
void log_write(enum log_level level, const struct log_tag *tag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void log_format(enum log_level level, const struct log_tag *tag, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

/* Writes a message as it is, of any length. tag may be NULL. */
void log_text(enum log_level level, const struct log_tag *tag, slice message);

/*
 * Keeps a repeating message from filling the log: the first is written, then the same text (digits
 * aside) at most once in LOG_REPEAT_MS, with a count. Starts as all zero. Belongs to one thread.
 */
#define LOG_REPEAT_MS 60000
struct log_repeat {
    uint64_t digest; /* of the last message's text, without its digits */
    int64_t written_ms;
    uint32_t suppressed;
};
void log_write_repeated(struct log_repeat *repeat, enum log_level level, const struct log_tag *tag,
                        const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Forgets the last message, after a success: the next failure is written at once. */
void log_repeat_reset(struct log_repeat *repeat);

#endif
