#include "job/child_source.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"
#include "codec/json.h"
#include "codec/lines.h"

#define LOCAL_JOB_ID "local_test" /* as source_local.c has it: a job whose text has no id */

struct pipes {
    struct source source; /* first, so that a source pointer is a pipes pointer */
    int in_fd;
    int out_fd;
    struct lines lines;
    struct buf message; /* put together here, up to a size */
};

static struct pipes *pipes_of(struct source *source)
{
    return (struct pipes *)(void *)source;
}

/* --- taking ------------------------------------------------------------------------------- */

/* The next line; false at the end, and for one that is too long. */
static bool read_line(struct pipes *pipes, slice *line)
{
    struct lines *lines = &pipes->lines;
    struct err err;
    size_t room;
    while (!lines_next(lines, line)) {
        if (lines_room(lines, &room, &err) != 0) {
            log_write(LOG_ERROR, NULL, "%s", err.text);
            return false;
        }
        ssize_t count = read(pipes->in_fd, lines->buf.ptr + lines->buf.len, room);
        if (count > 0)
            lines_filled(lines, (size_t)count);
        else if (count == 0 || errno != EINTR)
            return false;
    }
    return true;
}

/* The line becomes the delivery's body, without a copy. */
static int read_job(struct pipes *pipes, slice line, struct job **job, struct err *err)
{
    struct delivery *delivery;
    int rc = delivery_new(&delivery, LIMIT_TAKE_BYTES, err);
    if (rc != 0)
        return rc;
    size_t skipped = (size_t)(line.ptr - pipes->lines.buf.ptr);
    rc = lines_give(&pipes->lines, &delivery->body, err);
    if (rc == 0) {
        memset(delivery->body.ptr, ' ', skipped);
        delivery->body.len = skipped + line.len;
        rc = delivery_read(delivery, LOCAL_JOB_ID, job, err);
    }
    delivery_release(delivery);
    return rc;
}

static void child_take(struct source *source, size_t slots, bool busy, struct taken *taken)
{
    struct pipes *pipes = pipes_of(source);
    struct err err = { 0 };
    slice line;
    (void)slots;
    (void)busy;
    *taken = (struct taken){ .ended = !read_line(pipes, &line) };
    if (taken->ended || read_job(pipes, line, &taken->jobs, &err) == 0)
        return;
    log_write(LOG_ERROR, NULL, "The worker sent no job: %s", err.text);
    source->exit_status = 1;
    taken->ended = true;
}

/* --- telling ------------------------------------------------------------------------------ */

/* Without the worker there is nobody to answer to. */
static void write_all(const struct pipes *pipes, slice bytes)
{
    while (bytes.len > 0) {
        ssize_t count = write(pipes->out_fd, bytes.ptr, bytes.len);
        if (count > 0)
            bytes = slice_skip(bytes, (size_t)count);
        else if (errno != EINTR)
            _exit(1);
    }
}

/* JSON on one line: its line breaks become blanks. */
static void write_json(const struct pipes *pipes, slice json)
{
    while (json.len > 0) {
        const char *feed = memchr(json.ptr, '\n', json.len);
        size_t len = feed != NULL ? (size_t)(feed - json.ptr) : json.len;
        write_all(pipes, (slice){ json.ptr, len });
        if (feed != NULL)
            write_all(pipes, SLICE_LITERAL(" "));
        json = slice_skip(json, feed != NULL ? len + 1 : len);
    }
}

/* Small messages leave in one write. */
static void add_json(struct pipes *pipes, slice json)
{
    struct buf *message = &pipes->message;
    size_t at = message->len;
    if (json.len < LIMIT_KEEP_BYTES && buf_add_slice(message, json, NULL) == 0) {
        for (char *feed = message->ptr + at;
             (feed = memchr(feed, '\n', message->len - (size_t)(feed - message->ptr))) != NULL;)
            *feed = ' ';
        return;
    }
    write_all(pipes, buf_slice(message));
    message->len = 0;
    write_json(pipes, json);
}

static void add_text(struct pipes *pipes, const char *text)
{
    buf_add_text(&pipes->message, text, NULL);
}

static void send_message(struct pipes *pipes)
{
    add_text(pipes, "}\n");
    write_all(pipes, buf_slice(&pipes->message));
    buf_reset(&pipes->message, LIMIT_KEEP_BYTES);
}

static int child_progress(struct outlet *outlet, const struct job *job, slice json, struct err *err)
{
    struct pipes *pipes = pipes_of(outlet->source);
    (void)job;
    (void)err;
    add_text(pipes, "{\"progress\": ");
    add_json(pipes, json);
    send_message(pipes);
    return 0;
}

static int child_stream(struct outlet *outlet, struct job *job, slice json, struct err *err)
{
    struct pipes *pipes = pipes_of(outlet->source);
    (void)job;
    (void)err;
    add_text(pipes, "{\"stream\": ");
    add_json(pipes, json);
    send_message(pipes);
    return 0;
}

void child_source_ready(struct outlet *outlet)
{
    struct pipes *pipes = pipes_of(outlet->source);
    add_text(pipes, "{\"ready\": true");
    send_message(pipes);
}

static void answer_error(struct pipes *pipes, const char *type, slice message, slice traceback)
{
    add_text(pipes, "{\"error\": ");
    json_put_lossy(&pipes->message, message, NULL);
    add_text(pipes, ", \"error_type\": ");
    if (type != NULL)
        json_put_lossy(&pipes->message, slice_from(type), NULL);
    else
        add_text(pipes, "null");
    add_text(pipes, ", \"traceback\": ");
    json_put_lossy(&pipes->message, traceback, NULL);
}

static void answer_output(struct pipes *pipes, const rp_job *job)
{
    struct err err = { 0 };
    slice output = job->linked.ptr != NULL ? job->linked : buf_slice(&job->output);
    size_t max = (size_t)job->config->result_max_bytes;
    if (!job->has_output && job->is_stream)
        output = SLICE_LITERAL("null"); /* all of it was in its parts */
    else if (!job->has_output)
        err_set(&err, ERR_INPUT, "The handler ended without a result.");
    else if (output.len > max)
        err_set(&err, ERR_LIMIT,
                "The result has %zu bytes, over the limit of %zu (RP_MAX_RESULT_MB). Store it "
                "elsewhere, in a bucket for example, and return a link to it.",
                output.len, max);
    else if (!job->linked_checked && json_check(output, NULL, &err) != 0)
        err_wrap(&err, "The handler's output is not valid JSON");
    if (err.code != 0) {
        answer_error(pipes, "ResultError", slice_from(err.text), SLICE_LITERAL(""));
        return;
    }
    add_text(pipes, "{\"output\": ");
    add_json(pipes, output);
}

void child_source_answer(struct outlet *outlet, rp_job *job, int handler_status)
{
    struct pipes *pipes = pipes_of(outlet->source);
    char text[64];
    snprintf(text, sizeof text, "The handler returned %d.", handler_status);
    if (job->has_failed)
        answer_error(pipes, job->failure_type, buf_slice(&job->message),
                     slice_from(job->traceback));
    else if (handler_status != RP_OK)
        answer_error(pipes, "HandlerError", slice_from(text), SLICE_LITERAL(""));
    else
        answer_output(pipes, job);
    if (job->refresh)
        add_text(pipes, ", \"refresh_worker\": true");
    send_message(pipes);
}

/* --- the rest of a source ----------------------------------------------------------------- */

static int child_open(struct source *source, struct outlet *outlet, struct err *err)
{
    (void)err;
    *outlet = (struct outlet){ .source = source };
    return 0;
}

static void child_close(struct outlet *outlet)
{
    (void)outlet;
}

/* Results leave by child_source_answer, before they are sealed. */
static int child_post(struct outlet *outlet, struct job *job, const struct result *result,
                      struct err *err)
{
    (void)outlet;
    (void)job;
    (void)result;
    (void)err;
    return 0;
}

static void child_free(struct source *source)
{
    struct pipes *pipes = pipes_of(source);
    lines_free(&pipes->lines);
    buf_free(&pipes->message);
    free(pipes);
}

static const struct source_ops child_source_ops = {
    .take = child_take,
    .open = child_open,
    .close = child_close,
    .post = child_post,
    .stream = child_stream,
    .progress = child_progress,
    .free = child_free,
};

int child_source_new(struct source **source, int in_fd, int out_fd, struct err *err)
{
    struct pipes *pipes = malloc(sizeof *pipes);
    if (pipes == NULL)
        return err_set(err, ERR_MEMORY, "no memory for an isolated handler");
    *pipes = (struct pipes){ .source.ops = &child_source_ops, .in_fd = in_fd, .out_fd = out_fd };
    lines_init(&pipes->lines, LIMIT_TAKE_BYTES, "job");
    buf_init(&pipes->message, LIMIT_MIB, "message");
    *source = &pipes->source;
    return 0;
}
