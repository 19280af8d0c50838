/*
 * base/log.h - the worker's log: one line a message on standard output.
 *
 * Locally "LEVEL  | job id | message"; as JSON lines {"requestId", "message", "level"} where the
 * platform collects them (source: the Python SDK's logger). A message of more than
 * LOG_MESSAGE_MAX_CHARS characters loses its middle, with a note of how much. Control characters
 * are escaped or replaced, so that nobody's bytes can forge a line.
 *
 * log_init is called once, before there are threads; everything else from any thread. A call
 * blocks as long as standard output does and never fails.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define LOG_MESSAGE_MAX_CHARS 4096 /* the SDK's limit; counted in characters, not bytes */

enum log_level {
    LOG_NOTSET, /* as a threshold: nothing is logged at all */
    LOG_TRACE,
    LOG_DEBUG,
    LOG_INFO,
    LOG_WARN,
    LOG_ERROR,
};

/* The job a message is about; linked for the duration of one call. Both may be empty. */
struct log_tag {
    slice job_id;
    slice batch_id; /* prefixes the message as "[batchId=...] " */
};

/* Sets the threshold and the form of lines. Before the first call: DEBUG, plain. */
void log_init(enum log_level threshold, bool json_lines);

/*
 * Sets what must not be in any line: messages have it replaced, whoever they quote. Linked. Too
 * short a secret (under 8 bytes) is not looked for: it would be found everywhere. Called once,
 * before there are threads.
 */
void log_hide(slice secret);

/* Replaces the secret in a text by as many asterisks; for texts that go elsewhere than the log. */
void log_mask(char *text, size_t len);

/* True where a message of that level would be written. */
bool log_enabled(enum log_level level);

/* A level from its name (any case) or number 0 to 5. False where it is neither. */
bool log_parse_level(slice text, enum log_level *level);

/* Writes a message. tag may be NULL. */
void log_write(enum log_level level, const struct log_tag *tag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void log_format(enum log_level level, const struct log_tag *tag, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

/* Writes a message of any length without formatting it first. */
void log_text(enum log_level level, const struct log_tag *tag, slice message);

/*
 * Keeps a message that repeats from filling the log: the first is written, then the same one at
 * most once in LOG_REPEAT_MS, with how often it came. All zero is the start. One thread each.
 */
#define LOG_REPEAT_MS 60000
struct log_repeat {
    uint64_t digest; /* of the last message's text, without its digits */
    int64_t written_ms;
    uint32_t suppressed;
};
void log_write_repeated(struct log_repeat *repeat, enum log_level level, const struct log_tag *tag,
                        const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Forgets the last message, after a success; the next failure is written again. */
void log_repeat_reset(struct log_repeat *repeat);

#endif
