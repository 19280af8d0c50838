#include "child/exchange.h"

#include <string.h>

#include "base/log.h"
#include "child/idle.h"
#include "child/links.h"
#include "child/message.h"
#include "child/outcome.h"
#include "child/report.h"
#include "child/text.h"
#include "codec/mend.h"
#include "json/json.h"

void exchange_init(struct exchange *exchange, struct child *child, rp_job *job)
{
    *exchange = (struct exchange){
        .child = child,
        .job = job,
        .deadline = DEADLINE_NEVER,
        .exit_deadline = DEADLINE_NEVER,
        .hint_at = clock_deadline(LIMIT_CHILD_HINT_MS),
    };
    buf_init(&exchange->copy, 3 * child->out.buf.max, child->out.buf.what);
}

void exchange_free(struct exchange *exchange)
{
    buf_free(&exchange->copy);
}

void exchange_finish(struct exchange *exchange, int rc)
{
    exchange->finished = true;
    exchange->rc = rc;
}

/* A JSON string's text with a NUL, in the job's memory; `otherwise` for any other value. */
static const char *string_or(rp_job *job, slice value, const char *otherwise)
{
    slice text;
    if (value.ptr == NULL || json_type(value) != RP_STRING ||
        json_string(value, &job->arena, &text, NULL) != 0)
        return otherwise;
    char *copy = arena_alloc(&job->arena, text.len + 1);
    if (copy == NULL)
        return otherwise;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return copy;
}

/* An error that the program itself reports: the text of a string, or any other JSON as it is. */
static void fail_with_reported_error(struct exchange *exchange, const struct child_message *message)
{
    rp_job *job = exchange->job;
    slice text = message->error;
    if (json_type(text) == RP_STRING && json_string(message->error, &job->arena, &text, NULL) != 0)
        text = message->error;
    /* An explicit null: the client gets the text alone instead of an error object. */
    bool plain = message->error_type.ptr != NULL && json_type(message->error_type) == RP_NULL;
    rp_fail_text(job, plain ? NULL : string_or(job, message->error_type, "HandlerError"), text,
                 slice_from(string_or(job, message->traceback, "")));
    exchange_finish(exchange, RP_FAILED);
}

static bool is_set(slice value)
{
    return value.ptr != NULL && json_type(value) != RP_NULL;
}

static void links_init(const struct exchange *exchange, struct buf *links)
{
    buf_init(links, 2 * exchange->child->out.buf.max, "an output with links");
}

/* What was put by child/links.h is the output. */
static void return_links(struct exchange *exchange, struct buf *links, int rc)
{
    if (rc == 1)
        rp_return_buf(exchange->job, links, buf_slice(links));
    exchange_finish(exchange, rc == 1 ? RP_OK : rc);
}

static void return_file(struct exchange *exchange, slice path)
{
    struct buf links;
    links_init(exchange, &links);
    return_links(exchange, &links, links_put_one(exchange->child, path, &links));
    buf_free(&links);
}

static bool return_with_links(struct exchange *exchange, slice output)
{
    struct buf links;
    links_init(exchange, &links);
    int rc = links_put(exchange->child, output, &links);
    if (rc != 0)
        return_links(exchange, &links, rc);
    buf_free(&links);
    return rc != 0;
}

/* The output lies in the child's lines, or in the copy that was mended. */
static void return_output(struct exchange *exchange, slice output)
{
    if (return_with_links(exchange, output))
        return;
    struct buf *copy = &exchange->copy;
    bool is_copy = copy->len > 0 && output.ptr >= copy->ptr && output.ptr < copy->ptr + copy->len;
    if (is_copy)
        rp_return_buf(exchange->job, copy, output);
    exchange_finish(exchange,
                    is_copy ? RP_OK
                            : child_return_json(exchange->child, &exchange->child->out, output));
}

static void handle_final(struct exchange *exchange, const struct child_message *message)
{
    struct child *child = exchange->child;
    if (message->output.ptr == NULL && message->upload.ptr == NULL && !is_set(message->error))
        return;
    child->knows = true;
    child_reset_deaths(child);
    if (exchange->ending == TIMED_OUT) {
        child_fail_late(child);
        exchange_finish(exchange, RP_FAILED);
    } else if (is_set(message->error)) {
        fail_with_reported_error(exchange, message);
    } else if (message->output.ptr == NULL) {
        return_file(exchange, message->upload);
    } else {
        return_output(exchange, message->output);
    }
}

static void send_part(struct exchange *exchange, slice json)
{
    struct err err = { 0 };
    struct buf links;
    const struct log_tag tag = child_tag(exchange->child);
    if (exchange->job->has_failed && exchange->part_refused)
        return;
    links_init(exchange, &links);
    int rc = links_put(exchange->child, json, &links);
    if (rc == RP_FAILED)
        err_set(&err, ERR_INPUT, "a file that it names was not uploaded");
    else
        rc = rp_yield_json(exchange->job, rc == 1 ? buf_slice(&links) : json, &err);
    buf_free(&links);
    if (rc >= 0 || rp_job_stopped(exchange->job))
        return;
    if (!exchange->part_refused)
        log_write(LOG_WARN, &tag, "A stream part was not sent: %s", err.text);
    exchange->part_refused = true;
}

static void handle_message(struct exchange *exchange, const struct child_message *message,
                           slice line)
{
    struct err err;
    rp_job *job = exchange->job;
    const struct log_tag tag = child_tag(exchange->child);
    bool is_list = slice_is(message->streaming, "\"list\"");
    if (!child_message_matches_job(message, rp_job_id(job))) {
        log_write(LOG_WARN, &tag,
                  "Ignored a message from the handler's program for another job: %.*s",
                  SLICE_ARG(line));
        return;
    }
    if (message->log.ptr != NULL)
        child_log_value(exchange->child, message->log, message->level);
    if (is_list || slice_is(message->streaming, "\"parts\""))
        rp_job_stream(job, is_list);
    if (message->stream.ptr != NULL)
        send_part(exchange, message->stream);
    if (message->progress.ptr != NULL && rp_progress_json(job, message->progress, &err) < 0 &&
        !rp_job_stopped(job))
        log_write(LOG_WARN, &tag, "A progress update was not sent: %s", err.text);
    if (message->concurrency.ptr != NULL)
        child_report_concurrency(message->concurrency);
    if (child_message_is_true(message->refresh))
        rp_refresh_worker(job);
    handle_final(exchange, message);
}

/* A line with a message that is not UTF-8: mended if it is text. False: it stays as it is. */
static bool mend_line(struct exchange *exchange, slice *line)
{
    struct err err;
    const struct log_tag tag = child_tag(exchange->child);
    if (mend_kind_of(*line) != MEND_TEXT)
        return false;
    buf_clear(&exchange->copy);
    if (mend_put(&exchange->copy, *line, &err) != 0)
        return false;
    *line = buf_slice(&exchange->copy);
    if (!exchange->mended)
        log_write(LOG_WARN, &tag, "A line of the handler's program " MEND_WARNING ".");
    return exchange->mended = true;
}

static void fail_invalid(struct exchange *exchange, slice line, const struct err *err)
{
    child_log_line(exchange->child, line);
    if (mend_kind_of(line) == MEND_BINARY)
        child_fail(exchange->child, "ResultError", "The handler's output " MEND_REFUSAL ".");
    else
        child_fail(exchange->child, "ResultError", "The handler's output is not valid JSON: %s",
                   err->text);
    exchange_finish(exchange, RP_FAILED);
}

/* The line as far as what is left of it; blanks at a line's end belong to its last object. */
static slice up_to(slice line, slice rest)
{
    return (slice){ line.ptr, rest.len > 0 ? (size_t)(rest.ptr - line.ptr) : line.len };
}

/* Returns what of the line is to be read next: empty at its end. */
static slice handle_object(struct exchange *exchange, slice line)
{
    struct child_message message;
    struct err err;
    enum child_message_kind kind = child_message_read(line, &message, &err);
    if (kind == MESSAGE_INVALID && mend_line(exchange, &line))
        kind = child_message_read(line, &message, &err);
    if (kind != MESSAGE_VALID) {
        exchange->has_text |= line.len > 0;
        if (kind == MESSAGE_INVALID)
            fail_invalid(exchange, line, &err);
        else
            child_log_line(exchange->child, line);
        return (slice){ 0 };
    }
    child_log_line(exchange->child, message.before);
    handle_message(exchange, &message, up_to(line, message.rest));
    return message.rest;
}

static void handle_line(struct exchange *exchange, slice line)
{
    while (line.len > 0 && !exchange->finished)
        line = handle_object(exchange, line);
    if (line.len > 0)
        child_log_line(exchange->child, line);
}

void exchange_handle_lines(struct exchange *exchange, bool all)
{
    slice line;
    while (!exchange->finished && lines_next(&exchange->child->out, &line))
        handle_line(exchange, line);
    if (all && !exchange->finished && lines_rest(&exchange->child->out, &line))
        handle_line(exchange, line);
}

/*
 * A program that waits for ever, for the worker to take what it has printed as the answer, is the
 * commonest mistake. One that has ended jobs and prints nothing else is only slow.
 */
void exchange_hint(struct exchange *exchange)
{
    struct child *child = exchange->child;
    const struct log_tag tag = child_tag(child);
    bool unfinished = lines_pending(&child->out) > 0;
    exchange->hint_at = DEADLINE_NEVER;
    if (child->hinted || (child->knows && !exchange->has_text && !unfinished))
        return;
    child->hinted = true;
    log_write(LOG_WARN, &tag,
              "No answer for %d s. A job ends with one line on the program's standard output, "
              "{\"output\": ...} or {\"error\": \"...\"}, with a line feed, and flushed.%s",
              LIMIT_CHILD_HINT_MS / 1000,
              unfinished ? " So far its last line has no line feed." : "");
}

slice exchange_join_lines(slice text)
{
    static const char breaks[] = { '\n', '\r' };
    for (size_t i = 0; i < sizeof breaks; i++) {
        char *at = (char *)(uintptr_t)text.ptr, *end = at + text.len;
        while ((at = memchr(at, breaks[i], (size_t)(end - at))) != NULL)
            *at = ' ';
    }
    return text;
}
