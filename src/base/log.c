#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/escape.h"

static const char level_names[][7] = { "NOTSET", "TRACE", "DEBUG", "INFO", "WARN", "ERROR" };
#define LEVEL_COUNT (sizeof level_names / sizeof level_names[0])

static enum log_level log_threshold = LOG_DEBUG;
static bool log_json;
static slice log_secret;

/*
 * A line is put together on its thread's stack and leaves in one write, which a pipe takes as a
 * whole up to PIPE_BUF bytes: nobody waits for anybody. A longer one leaves in pieces, with the lock
 * for itself; the others share it.
 */
struct line {
    size_t len;
    bool in_pieces;
    bool is_cut; /* it did not fit, and may not leave in pieces */
    char bytes[PIPE_BUF];
};

static pthread_rwlock_t lines_lock = PTHREAD_RWLOCK_INITIALIZER;

void log_init(enum log_level threshold, bool json_lines)
{
    log_threshold = threshold;
    log_json = json_lines;
}

void log_hide(slice secret)
{
    if (secret.len >= 8)
        log_secret = secret;
}

static bool holds_secret(slice text)
{
    return log_secret.len > 0 && memmem(text.ptr, text.len, log_secret.ptr, log_secret.len) != NULL;
}

void log_mask(char *text, size_t len)
{
    while (holds_secret((slice){ text, len })) {
        char *at = memmem(text, len, log_secret.ptr, log_secret.len);
        memset(at, '*', log_secret.len);
    }
}

bool log_enabled(enum log_level level)
{
    return log_threshold != LOG_NOTSET && level >= log_threshold;
}

bool log_parse_level(slice text, enum log_level *level)
{
    for (size_t i = 0; i < LEVEL_COUNT; i++) {
        if (slice_is_nocase(text, level_names[i]) ||
            (text.len == 1 && text.ptr[0] == (char)('0' + i))) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

/* --- putting a line together --- */

static void line_flush(struct line *line)
{
    for (size_t done = 0; done < line->len;) {
        ssize_t count = write(STDOUT_FILENO, line->bytes + done, line->len - done);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            break; /* nobody reads the log any more: not a reason to stop working */
        done += (size_t)count;
    }
    line->len = 0;
}

static void line_add(struct line *line, const char *bytes, size_t count)
{
    while (count > 0) {
        size_t room = sizeof line->bytes - line->len;
        size_t part = count < room ? count : room;
        memcpy(line->bytes + line->len, bytes, part);
        line->len += part;
        bytes += part;
        count -= part;
        if (count == 0)
            return;
        if (!line->in_pieces) {
            line->is_cut = true;
            return;
        }
        line_flush(line);
    }
}

static void line_add_text(struct line *line, const char *text)
{
    line_add(line, text, strlen(text));
}

/* Plain lines: a job id may hold no line break at all, a message may (tracebacks do). */
static void line_add_printable(struct line *line, slice text, bool keep_newlines)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool plain = (c >= 0x20 && c != 0x7f) || c == '\t' || (keep_newlines && c == '\n');
        line_add(line, plain ? text.ptr + i : "?", 1);
    }
}

/* How many bytes there are before the first that is no plain ASCII: in most lines, all of them. */
static size_t plain_prefix(slice text)
{
    size_t i = escape_plain_prefix(text.ptr, text.len);
    for (size_t at = 0; at < i; at++)
        if ((unsigned char)text.ptr[at] >= 0x80)
            return at;
    return i;
}

/* What is not UTF-8 would make the whole line unreadable to whoever parses it. */
static void line_add_escaped(struct line *line, slice text)
{
    for (size_t i = 0; i < text.len;) {
        size_t plain = plain_prefix(slice_skip(text, i));
        line_add(line, text.ptr + i, plain);
        i += plain;
        if (i == text.len)
            break;
        size_t count = utf8_sequence(text.ptr + i, text.len - i);
        if (count == 0) {
            line_add_text(line, "\\ufffd");
            i++;
            continue;
        }
        char escaped[ESCAPE_MAX_BYTES];
        size_t taken;
        size_t len = escape_json(escaped, sizeof escaped, text.ptr + i, count, &taken);
        line_add(line, escaped, len);
        i += count;
    }
}

static void line_add_message(struct line *line, slice text)
{
    if (log_json)
        line_add_escaped(line, text);
    else
        line_add_printable(line, text, true);
}

/* --- cutting the middle out of long messages, counted in characters --- */

static bool starts_character(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

static size_t count_characters(slice text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += starts_character(text.ptr[i]);
    return count;
}

/* The bytes of text before its character number `count`. */
static size_t offset_of_character(slice text, size_t count)
{
    size_t i = 0;
    for (size_t seen = 0; i < text.len; i++)
        if (starts_character(text.ptr[i]) && seen++ == count)
            break;
    return i;
}

static void line_add_cut_message(struct line *line, slice prefix, slice message)
{
    const size_t half = LOG_MESSAGE_MAX_CHARS / 2;
    size_t chars = message.len + prefix.len > LOG_MESSAGE_MAX_CHARS
                       ? count_characters(message) + count_characters(prefix)
                       : 0;
    line_add_message(line, prefix);
    if (chars <= LOG_MESSAGE_MAX_CHARS) {
        line_add_message(line, message);
        return;
    }
    size_t cut = chars - LOG_MESSAGE_MAX_CHARS;
    size_t prefix_chars = count_characters(prefix);
    size_t head_chars = prefix_chars < half ? half - prefix_chars : 0;
    size_t head = offset_of_character(message, head_chars);
    size_t tail = offset_of_character(message, head_chars + cut);
    char note[64];
    snprintf(note, sizeof note, "\n...TRUNCATED %zu CHARACTERS...\n", cut);
    line_add_message(line, (slice){ message.ptr, head });
    line_add_message(line, slice_from(note));
    line_add_message(line, slice_skip(message, tail));
}

static void line_add_plain(struct line *line, enum log_level level, slice job_id, slice prefix,
                           slice message)
{
    char head[16];
    snprintf(head, sizeof head, "%-7s| ", level_names[level]);
    line_add_text(line, head);
    if (job_id.len > 0) {
        line_add_printable(line, job_id, false);
        line_add_text(line, " | ");
    }
    line_add_cut_message(line, prefix, message);
}

static void line_add_json(struct line *line, enum log_level level, slice job_id, slice prefix,
                          slice message)
{
    line_add_text(line, "{\"requestId\": ");
    if (job_id.len > 0) {
        line_add_text(line, "\"");
        line_add_escaped(line, job_id);
        line_add_text(line, "\"");
    } else {
        line_add_text(line, "null");
    }
    line_add_text(line, ", \"message\": \"");
    line_add_cut_message(line, prefix, message);
    line_add_text(line, "\", \"level\": \"");
    line_add_text(line, level_names[level]);
    line_add_text(line, "\"}");
}

#define BATCH_PREFIX_BYTES 160 /* a longer batch id is cut: it is a label, not data */

static slice batch_prefix(const struct log_tag *tag, char buffer[BATCH_PREFIX_BYTES])
{
    if (tag == NULL || tag->batch_id.len == 0)
        return (slice){ 0 };
    int len = tag->batch_id.len < 128 ? (int)tag->batch_id.len : 128;
    snprintf(buffer, BATCH_PREFIX_BYTES, "[batchId=%.*s] ", len, tag->batch_id.ptr);
    return slice_from(buffer);
}

struct message {
    enum log_level level;
    slice job_id;
    slice prefix;
    slice text;
};

static void put_line(struct line *line, const struct message *message)
{
    if (log_json)
        line_add_json(line, message->level, message->job_id, message->prefix, message->text);
    else
        line_add_plain(line, message->level, message->job_id, message->prefix, message->text);
    line_add(line, "\n", 1);
}

static void write_line(enum log_level level, const struct log_tag *tag, slice text)
{
    char batch[BATCH_PREFIX_BYTES];
    const struct message message = { level, tag != NULL ? tag->job_id : (slice){ 0 },
                                     batch_prefix(tag, batch), text };
    struct line line;
    line.len = 0;
    line.in_pieces = line.is_cut = false;
    put_line(&line, &message);
    if (!line.is_cut) {
        pthread_rwlock_rdlock(&lines_lock);
        line_flush(&line);
    } else {
        pthread_rwlock_wrlock(&lines_lock);
        line.len = 0;
        line.in_pieces = true;
        put_line(&line, &message);
        line_flush(&line);
    }
    pthread_rwlock_unlock(&lines_lock);
}

void log_text(enum log_level level, const struct log_tag *tag, slice message)
{
    if (!log_enabled(level))
        return;
    char *masked = holds_secret(message) ? malloc(message.len) : NULL;
    if (masked != NULL) {
        memcpy(masked, message.ptr, message.len);
        log_mask(masked, message.len);
        message.ptr = masked;
    } else if (holds_secret(message)) {
        message = SLICE_LITERAL("(a message that held the API key, and there was no memory)");
    }
    write_line(level, tag, message);
    free(masked);
}

void log_format(enum log_level level, const struct log_tag *tag, const char *format, va_list args)
{
    char small[1024];
    if (!log_enabled(level))
        return;
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(small, sizeof small, format, args);
    if (len >= 0 && (size_t)len < sizeof small) {
        log_text(level, tag, (slice){ small, (size_t)len });
    } else if (len >= 0) {
        char *large = malloc((size_t)len + 1);
        if (large != NULL)
            vsnprintf(large, (size_t)len + 1, format, again);
        log_text(level, tag, large != NULL ? (slice){ large, (size_t)len } : slice_from(small));
        free(large);
    }
    va_end(again);
}

void log_write(enum log_level level, const struct log_tag *tag, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_format(level, tag, format, args);
    va_end(args);
}

/* FNV-1a without digits: ports, counters and times must not make every message look new. */
static uint64_t digest_of(const char *text)
{
    uint64_t digest = UINT64_C(0xcbf29ce484222325);
    for (; *text != '\0'; text++)
        if (*text < '0' || *text > '9')
            digest = (digest ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return digest;
}

void log_write_repeated(struct log_repeat *repeat, enum log_level level, const struct log_tag *tag,
                        const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    uint64_t digest = digest_of(text);
    int64_t now_ms = clock_now_ms();
    if (digest == repeat->digest && now_ms - repeat->written_ms < LOG_REPEAT_MS) {
        repeat->suppressed++;
        return;
    }
    if (digest == repeat->digest && repeat->suppressed > 0)
        log_write(level, tag, "%s (and %u times more since the last such line)", text,
                  repeat->suppressed);
    else
        log_write(level, tag, "%s", text);
    *repeat = (struct log_repeat){ .digest = digest, .written_ms = now_ms };
}

void log_repeat_reset(struct log_repeat *repeat)
{
    *repeat = (struct log_repeat){ 0 };
}
