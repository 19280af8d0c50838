#include <stdarg.h>
#include <stdio.h>

#include "base/limits.h"
#include "job/child_inside.h"

#define TAIL_LINES 10 /* of the last words, that an error shows */

struct log_tag child_tag(const struct child *child)
{
    return child->job != NULL ? job_tag(child->job->job) : (struct log_tag){ 0 };
}

void child_log_line(struct child *child, slice line)
{
    const struct log_tag tag = child_tag(child);
    if (line.len > 0)
        log_text(LOG_INFO, &tag, line);
}

/* A string's text, or a value as it is written. */
static slice text_of(slice value, struct arena *arena)
{
    slice text;
    if (json_type(value) == RP_STRING && json_string(value, arena, &text, NULL) == 0)
        return text;
    return value;
}

static enum log_level level_of(slice value, struct arena *arena)
{
    enum log_level level;
    slice text = value.ptr != NULL ? text_of(value, arena) : value;
    if (slice_is_nocase(text, "WARNING"))
        return LOG_WARN;
    if (!log_parse_level(text, &level) || level == LOG_NOTSET)
        return LOG_INFO;
    return level;
}

void child_log_value(struct child *child, slice value, slice level)
{
    const struct log_tag tag = child_tag(child);
    struct arena arena;
    arena_init(&arena, 2 * value.len + LIMIT_CHILD_TEXT_BYTES);
    enum log_level as = level_of(level, &arena);
    if (log_enabled(as))
        log_text(as, &tag, text_of(value, &arena));
    arena_free(&arena);
}

/* --- standard error ----------------------------------------------------------------------- */

/* The last bytes of a line, at most max of them, from the start of a character on. */
static slice end_of(slice line, size_t max)
{
    line = slice_skip(line, line.len - max);
    for (int i = 0; i < 3 && line.len > 0 && ((unsigned char)line.ptr[0] & 0xc0) == 0x80; i++)
        line = slice_skip(line, 1);
    return line;
}

void child_add_words(struct child *child, slice line)
{
    if (line.len >= sizeof child->tail)
        line = end_of(line, sizeof child->tail - 1);
    size_t over = child->tail_len + line.len + 1;
    if (over > sizeof child->tail) {
        size_t cut = over - sizeof child->tail;
        const char *feed = memchr(child->tail + cut - 1, '\n', child->tail_len - (cut - 1));
        cut = feed != NULL ? (size_t)(feed - child->tail) + 1 : child->tail_len;
        child->tail_len -= cut;
        memmove(child->tail, child->tail + cut, child->tail_len);
    }
    memcpy(child->tail + child->tail_len, line.ptr, line.len);
    child->tail_len += line.len;
    child->tail[child->tail_len++] = '\n';
}

/* An isolated handler's log is the worker's own, as JSON lines: {"requestId", "message", "level"}. */
static bool log_own_line(struct child *child, slice line)
{
    slice message, level;
    if (line.len < 2 || memcmp(line.ptr, "{\"", 2) != 0 || json_check(line, NULL, NULL) != 0 ||
        !json_member(line, "message", &message) || !json_member(line, "level", &level))
        return false;
    child_log_value(child, message, level);
    return true;
}

static void log_error_line(struct child *child, slice line)
{
    if (child->setting->isolated && log_own_line(child, line))
        return;
    child_log_line(child, line);
    if (line.len > 0)
        child_add_words(child, line);
}

void child_log_errors(struct child *child, bool all)
{
    slice line;
    while (lines_next(&child->err, &line))
        log_error_line(child, line);
    if (all && lines_rest(&child->err, &line))
        log_error_line(child, line);
}

slice child_last_words(const struct child *child)
{
    slice words = { child->tail, child->tail_len };
    size_t lines = 0;
    if (words.len == 0)
        return words;
    words.len--;
    for (size_t at = words.len; at > 0; at--)
        if (words.ptr[at - 1] == '\n' && ++lines == TAIL_LINES)
            return slice_skip(words, at);
    return words;
}

void child_fail(struct child *child, const char *type, const char *format, ...)
{
    char text[LIMIT_ERROR_BYTES];
    slice words = child_last_words(child);
    va_list args;
    if (child->job == NULL)
        return;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text / 2, format, args);
    va_end(args);
    size_t used = len < 0 ? 0 : strnlen(text, sizeof text / 2);
    if (words.len > 0)
        snprintf(text + used, sizeof text - used, "\nIts last words on standard error:\n%.*s",
                 SLICE_ARG(words));
    rp_fail_text(child->job, type, slice_from(text), SLICE_LITERAL(""));
}

void child_fail_late(struct child *child)
{
    child_fail(child, rp_timeout_error, RP_TIMEOUT_FORMAT,
               (double)child->job->config->execution_timeout_ms / 1000);
}
