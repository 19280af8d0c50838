#include "child/text.h"

#include <string.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/log_tail.h"
#include "base/utf8.h"
#include "job/rp_job.h"
#include "json/json.h"

#define TAIL_LINES 10 /* that an error shows at most */

struct log_tag child_tag(const struct child *child)
{
    return child->job != NULL ? job_tag(child->job->task) : (struct log_tag){ 0 };
}

/* What the program of --fitness says is not a handler's. */
static bool is_check(const struct child *child)
{
    return child->setting->one_output;
}

/* For errors (RUNPOD_LOG_CAPTURE), whatever the log's level. */
static void capture(const struct child *child, slice text)
{
    if (!is_check(child))
        log_tail_add(&log_tail_of_handlers, text);
    if (child->job != NULL)
        rp_job_capture(child->job, text);
}

void child_log_line(struct child *child, slice line)
{
    const struct log_tag tag = child_tag(child);
    capture(child, line);
    if (line.len > 0)
        log_text(LOG_INFO, &tag, line);
}

/* A string's text; any other value as it is written. */
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
    if (value.ptr == NULL)
        return LOG_INFO;
    slice text = text_of(value, arena);
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
    slice text = text_of(value, &arena);
    capture(child, text);
    log_text(as, &tag, text);
    arena_free(&arena);
}

/* --- standard error ----------------------------------------------------------------------- */

void child_add_to_tail(struct child *child, slice line)
{
    if (line.len >= sizeof child->log_tail)
        line = utf8_tail(line, sizeof child->log_tail - 1);
    size_t over = child->log_tail_len + line.len + 1;
    if (over > sizeof child->log_tail) {
        size_t cut = over - sizeof child->log_tail;
        const char *feed = memchr(child->log_tail + cut - 1, '\n', child->log_tail_len - (cut - 1));
        cut = feed != NULL ? (size_t)(feed - child->log_tail) + 1 : child->log_tail_len;
        child->log_tail_len -= cut;
        memmove(child->log_tail, child->log_tail + cut, child->log_tail_len);
    }
    memcpy(child->log_tail + child->log_tail_len, line.ptr, line.len);
    child->log_tail_len += line.len;
    child->log_tail[child->log_tail_len++] = '\n';
}

/* An isolated handler logs as the worker does, one JSON object a line: these are logged anew. */
static bool log_json_line(struct child *child, slice line)
{
    slice message, level;
    if (!slice_starts(line, SLICE_LITERAL("{\"")) || json_check(line, NULL, NULL) != 0 ||
        !json_member(line, "message", &message) || !json_member(line, "level", &level))
        return false;
    child_log_value(child, message, level);
    return true;
}

static void log_error_line(struct child *child, slice line)
{
    if (child->setting->isolated && log_json_line(child, line))
        return;
    child_log_line(child, line);
    if (line.len == 0)
        return;
    child_add_to_tail(child, line);
    if (!is_check(child))
        log_tail_add(&log_tail_of_errors, line);
}

void child_log_errors(struct child *child, bool all)
{
    slice line;
    while (lines_next(&child->err, &line))
        log_error_line(child, line);
    if (all && lines_rest(&child->err, &line))
        log_error_line(child, line);
}

slice child_log_tail(const struct child *child)
{
    slice tail = { child->log_tail, child->log_tail_len };
    size_t lines = 0;
    if (tail.len == 0)
        return tail;
    tail.len--;
    for (size_t at = tail.len; at > 0; at--)
        if (tail.ptr[at - 1] == '\n' && ++lines == TAIL_LINES)
            return slice_skip(tail, at);
    return tail;
}
