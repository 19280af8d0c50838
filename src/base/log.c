#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log_output.h"
#include "base/utf8.h"
#include "base/utf8_escape.h"

static const char level_names[][7] = { "NOTSET", "TRACE", "DEBUG", "INFO", "WARN", "ERROR" };
#define LEVEL_COUNT (sizeof level_names / sizeof level_names[0])

static enum log_level log_threshold = LOG_DEBUG;
static bool log_json;
static slice log_secrets[LOG_SECRETS_MAX];
static size_t log_secret_count;
static log_listener *log_to;

/* Secrets that jobs bring along, the latest first; each slice's bytes are its own, and stay. */
static pthread_rwlock_t log_job_lock = PTHREAD_RWLOCK_INITIALIZER;
static slice log_job_secrets[LOG_JOB_SECRETS_MAX];
static atomic_size_t log_job_secret_count; /* grows only; read without the lock */

/* A line in the making: built on the thread's stack, and again in memory if that is too small. */
struct line {
    char *bytes;
    size_t size; /* of bytes; what does not fit is only counted */
    size_t len;
};

#define LINE_BYTES 2048 /* on the stack */

void log_init(enum log_level threshold, bool json_lines)
{
    log_threshold = threshold;
    log_json = json_lines;
}

bool log_add_secret(slice secret)
{
    if (secret.len < LOG_SECRET_MIN_BYTES || log_secret_count == LOG_SECRETS_MAX)
        return false;
    size_t at = log_secret_count++; /* the longest first: one may be the start of another */
    for (; at > 0 && log_secrets[at - 1].len < secret.len; at--)
        log_secrets[at] = log_secrets[at - 1];
    log_secrets[at] = secret;
    return true;
}

/* Where it is in the list; the end of the list if it is not. Under the lock. */
static size_t find_job_secret(slice secret)
{
    size_t count = atomic_load(&log_job_secret_count), at = 0;
    while (at < count && !slice_equal(log_job_secrets[at], secret))
        at++;
    return at;
}

/* Makes it the first one; a full list loses its last. Under the lock, for writing. */
static void put_job_secret_first(slice secret)
{
    size_t count = atomic_load(&log_job_secret_count), at = find_job_secret(secret);
    slice kept = at < count ? log_job_secrets[at] : (slice){ 0 };
    if (at == count) {
        char *copy = malloc(secret.len);
        if (copy == NULL)
            return;
        kept = (slice){ memcpy(copy, secret.ptr, secret.len), secret.len };
        if (count == LOG_JOB_SECRETS_MAX)
            free((void *)(uintptr_t)log_job_secrets[at = count - 1].ptr);
        else
            atomic_store(&log_job_secret_count, count + 1);
    }
    memmove(log_job_secrets + 1, log_job_secrets, at * sizeof *log_job_secrets);
    log_job_secrets[0] = kept;
}

void log_add_job_secret(slice secret)
{
    if (secret.len < LOG_SECRET_MIN_BYTES)
        return;
    pthread_rwlock_wrlock(&log_job_lock);
    put_job_secret_first(secret);
    pthread_rwlock_unlock(&log_job_lock);
}

void log_set_listener(log_listener *listener)
{
    log_to = listener;
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

static bool holds_any(slice text, const slice *secrets, size_t count)
{
    for (size_t i = 0; text.len > 0 && i < count; i++)
        if (memmem(text.ptr, text.len, secrets[i].ptr, secrets[i].len) != NULL)
            return true;
    return false;
}

static bool holds_secret(slice text)
{
    if (holds_any(text, log_secrets, log_secret_count))
        return true;
    if (atomic_load(&log_job_secret_count) == 0)
        return false;
    pthread_rwlock_rdlock(&log_job_lock);
    bool holds = holds_any(text, log_job_secrets, atomic_load(&log_job_secret_count));
    pthread_rwlock_unlock(&log_job_lock);
    return holds;
}

static void mask_all(char *text, size_t len, const slice *secrets, size_t count)
{
    for (size_t i = 0; len > 0 && i < count; i++) {
        char *at = text, *end = text + len;
        while ((at = memmem(at, (size_t)(end - at), secrets[i].ptr, secrets[i].len)) != NULL)
            memset(at, '*', secrets[i].len);
    }
}

void log_mask(char *text, size_t len)
{
    mask_all(text, len, log_secrets, log_secret_count);
    if (atomic_load(&log_job_secret_count) == 0)
        return;
    pthread_rwlock_rdlock(&log_job_lock);
    mask_all(text, len, log_job_secrets, atomic_load(&log_job_secret_count));
    pthread_rwlock_unlock(&log_job_lock);
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

/* --- building a line ------------------------------------------------------------------------ */

static void line_add(struct line *line, const char *bytes, size_t count)
{
    size_t room = line->len < line->size ? line->size - line->len : 0;
    if (count > 0 && room > 0)
        memcpy(line->bytes + line->len, bytes, count < room ? count : room);
    line->len += count;
}

static void line_add_text(struct line *line, const char *text)
{
    line_add(line, text, strlen(text));
}

/*
 * For plain lines. Control characters, U+2028, U+2029 and what is not UTF-8 become question marks.
 * A message may hold line breaks (tracebacks do), a job id may not; what follows one begins as no
 * line of the log does.
 */
static void line_add_printable(struct line *line, slice text, bool keep_newlines)
{
    for (size_t i = 0; i < text.len;) {
        slice rest = slice_skip(text, i);
        size_t count = utf8_sequence(rest.ptr, rest.len), odd = utf8_control(rest);
        if (keep_newlines && rest.ptr[0] == '\n')
            line_add_text(line, "\n       | ");
        else if (count == 0 || (odd > 0 && rest.ptr[0] != '\t'))
            line_add_text(line, "?");
        else
            line_add(line, rest.ptr, count);
        i += odd > 0 ? odd : count > 0 ? count : 1;
    }
}

/* The bytes before the first that needs an escape or is not ASCII: in most lines, all of them. */
static size_t plain_prefix(slice text)
{
    size_t i = utf8_escape_plain_prefix(text.ptr, text.len);
    for (size_t at = 0; at < i; at++)
        if ((unsigned char)text.ptr[at] >= 0x80)
            return at;
    return i;
}

/* A character of two or three bytes that some readers of logs take for a line's end. */
static void line_add_code_point(struct line *line, const char *bytes, size_t count)
{
    char escaped[ESCAPE_MAX_BYTES + 1];
    unsigned code = count == 2 ? bytes[0] & 0x1f : bytes[0] & 0x0f;
    for (size_t i = 1; i < count; i++)
        code = code << 6 | (bytes[i] & 0x3f);
    snprintf(escaped, sizeof escaped, "\\u%04x", code);
    line_add_text(line, escaped);
}

/* Invalid UTF-8 is replaced: it would make the whole line unreadable to a JSON parser. */
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
        if (count > 1 && utf8_control((slice){ text.ptr + i, count }) > 0) {
            line_add_code_point(line, text.ptr + i, count);
            i += count;
            continue;
        }
        char escaped[ESCAPE_MAX_BYTES];
        size_t taken;
        size_t len = utf8_escape_json(escaped, sizeof escaped, text.ptr + i, count, &taken);
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

/* --- cutting the middle out of long messages, counted in characters --------------------------- */

static size_t count_characters(slice text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += utf8_starts(text.ptr[i]);
    return count;
}

/* The bytes of text before its character number `count`. */
static size_t offset_of_character(slice text, size_t count)
{
    size_t i = 0;
    for (size_t seen = 0; i < text.len; i++)
        if (utf8_starts(text.ptr[i]) && seen++ == count)
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
    line_add_cut_message(line, prefix, slice_trim_end(message, '\n'));
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
    slice id = utf8_head(tag->batch_id, 128);
    snprintf(buffer, BATCH_PREFIX_BYTES, "[batchId=%.*s] ", (int)id.len, id.ptr);
    for (char *at = buffer; !log_json && *at != '\0'; at++)
        if (*at == '\n') /* a message may hold one, but this is the platform's text */
            *at = '?';
    return slice_from(buffer);
}

struct log_message {
    enum log_level level;
    slice job_id;
    slice prefix;
    slice text;
};

static void put_line(struct line *line, const struct log_message *message)
{
    if (log_json)
        line_add_json(line, message->level, message->job_id, message->prefix, message->text);
    else
        line_add_plain(line, message->level, message->job_id, message->prefix, message->text);
    line_add(line, "\n", 1);
}

static void write_line(enum log_level level, const struct log_tag *tag, slice text)
{
    char batch[BATCH_PREFIX_BYTES], small[LINE_BYTES];
    const struct log_message message = { level, tag != NULL ? tag->job_id : (slice){ 0 },
                                         batch_prefix(tag, batch), text };
    struct line line = { .bytes = small, .size = sizeof small };
    put_line(&line, &message);
    char *large = line.len > sizeof small ? malloc(line.len) : NULL;
    if (large != NULL) {
        line = (struct line){ .bytes = large, .size = line.len };
        put_line(&line, &message);
    } else if (line.len > sizeof small) {
        line.len = sizeof small;        /* no memory: cut */
        small[sizeof small - 1] = '\n'; // cppcheck-suppress unreadVariable; line.bytes
    }
    log_output_put((slice){ line.bytes, line.len });
    free(large);
}

/* A log_output_note. */
// NOLINTNEXTLINE(readability-non-const-parameter): the line is written through it
static size_t put_dropped(char *to, size_t size, size_t lines)
{
    char text[96];
    snprintf(text, sizeof text, "%zu lines dropped: the reader of the log did not keep up.", lines);
    const struct log_message message = { .level = LOG_WARN, .text = slice_from(text) };
    struct line line = { .bytes = to, .size = size };
    put_line(&line, &message);
    return line.len < size ? line.len : size;
}

void log_start_writer(void)
{
    log_output_start(put_dropped);
}

bool log_flush(int64_t timeout_ms)
{
    return log_output_flush(clock_deadline(timeout_ms));
}

void log_banner(slice line)
{
    log_output_put(line);
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
        message = SLICE_LITERAL("(a message with a secret in it: not enough memory to mask it)");
    }
    write_line(level, tag, message);
    if (log_to != NULL && tag != NULL && tag->job_id.len > 0)
        log_to(level, tag->job_id, message);
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

/* FNV-1a over all but digits: ports, counters and times must not make every message new. */
static uint64_t hash_text(const char *text)
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
    uint64_t digest = hash_text(text);
    int64_t now_ms = clock_now_ms();
    if (digest == repeat->digest && now_ms - repeat->written_ms < LOG_REPEAT_MS) {
        repeat->suppressed++;
        return;
    }
    if (digest == repeat->digest && repeat->suppressed > 0)
        log_write(level, tag, "%s (repeated %u more times since this was last logged)", text,
                  repeat->suppressed);
    else
        log_write(level, tag, "%s", text);
    *repeat = (struct log_repeat){ .digest = digest, .written_ms = now_ms };
}

void log_repeat_reset(struct log_repeat *repeat)
{
    *repeat = (struct log_repeat){ 0 };
}
