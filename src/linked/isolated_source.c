#include "linked/isolated_source.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/io.h"
#include "base/limits.h"
#include "codec/lines.h"
#include "json/json.h"

struct pipes {
    struct source source; /* first, so that a source pointer is a pipes pointer */
    int in_fd;
    int out_fd;
    struct lines lines;
    struct buf message; /* the one being written; large JSON goes out directly */
};

static struct pipes *pipes_of(struct source *source)
{
    return (struct pipes *)(void *)source;
}

/* --- taking ------------------------------------------------------------------------------- */

/* Blocks. False at the end of the pipe, and for a line over the limit. */
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
        rc = delivery_read(delivery, JOB_LOCAL_ID, job, err);
    }
    delivery_release(delivery);
    return rc;
}

static void pipes_take(struct source *source, size_t slots, bool busy, struct taken *taken)
{
    struct pipes *pipes = pipes_of(source);
    struct err err = { 0 };
    slice line;
    (void)slots;
    (void)busy;
    *taken = (struct taken){ .ended = !read_line(pipes, &line) };
    if (taken->ended || read_job(pipes, line, &taken->jobs, &err) == 0)
        return;
    log_write(LOG_ERROR, NULL, "The worker sent an unusable job: %s", err.text);
    source->exit_status = 1;
    taken->ended = true;
}

/* --- messages ------------------------------------------------------------------------------ */

/* Without the worker there is nobody to send a result to. */
static void write_or_exit(const struct pipes *pipes, slice bytes)
{
    if (io_write_all(pipes->out_fd, bytes) != 0)
        _exit(1);
}

/* JSON on one line: its line breaks become blanks. */
static void write_json(const struct pipes *pipes, slice json)
{
    while (json.len > 0) {
        const char *feed = memchr(json.ptr, '\n', json.len);
        size_t len = feed != NULL ? (size_t)(feed - json.ptr) : json.len;
        write_or_exit(pipes, (slice){ json.ptr, len });
        if (feed != NULL)
            write_or_exit(pipes, SLICE_LITERAL(" "));
        json = slice_skip(json, feed != NULL ? len + 1 : len);
    }
}

/* So that a small message takes one write. */
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
    write_or_exit(pipes, buf_slice(message));
    buf_clear(message);
    write_json(pipes, json);
}

static void add_text(struct pipes *pipes, const char *text)
{
    buf_add_text(&pipes->message, text, NULL);
}

static void send_message(struct pipes *pipes)
{
    add_text(pipes, "}\n");
    write_or_exit(pipes, buf_slice(&pipes->message));
    buf_reset(&pipes->message, LIMIT_KEEP_BYTES);
}

static int pipes_progress(struct reply_channel *reply_channel, const struct job *job, slice json,
                          struct err *err)
{
    struct pipes *pipes = pipes_of(reply_channel->source);
    (void)job;
    (void)err;
    add_text(pipes, "{\"progress\": ");
    add_json(pipes, json);
    send_message(pipes);
    return 0;
}

static int pipes_stream(struct reply_channel *reply_channel, struct job *job, slice json,
                        struct err *err)
{
    struct pipes *pipes = pipes_of(reply_channel->source);
    (void)job;
    (void)err;
    add_text(pipes, "{\"stream\": ");
    add_json(pipes, json);
    send_message(pipes);
    return 0;
}

void isolated_source_send_ready(struct reply_channel *reply_channel)
{
    struct pipes *pipes = pipes_of(reply_channel->source);
    add_text(pipes, "{\"ready\": true");
    send_message(pipes);
}

static void add_error(struct pipes *pipes, const char *type, slice message, slice traceback)
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

static void add_output(struct pipes *pipes, const rp_job *job)
{
    struct err err = { 0 };
    slice output = job->external_output.ptr != NULL ? job->external_output
                                                    : buf_slice(&job->output);
    size_t max = (size_t)job->config->result_max_bytes;
    if (!job->has_output && job->is_stream)
        output = SLICE_LITERAL("null"); /* its parts were all of it */
    else if (!job->has_output)
        err_set(&err, ERR_INPUT, "The handler ended without a result.");
    else if (output.len > max)
        err_set(&err, ERR_LIMIT,
                "The result has %zu bytes, over the limit of %zu (RP_MAX_RESULT_MB). Store it "
                "elsewhere, in a bucket for example, and return a link to it.",
                output.len, max);
    else if (!job->external_is_valid && json_check(output, NULL, &err) != 0)
        err_wrap(&err, "The handler's output is not valid JSON");
    if (err.code != 0) {
        add_error(pipes, "ResultError", slice_from(err.text), SLICE_LITERAL(""));
        return;
    }
    add_text(pipes, "{\"output\": ");
    add_json(pipes, output);
}

void isolated_source_send_result(struct reply_channel *reply_channel, rp_job *job,
                                 int handler_status)
{
    struct pipes *pipes = pipes_of(reply_channel->source);
    char text[64];
    snprintf(text, sizeof text, "The handler returned %d.", handler_status);
    if (job->has_failed)
        add_error(pipes, job->failure_type, buf_slice(&job->message), buf_slice(&job->traceback));
    else if (handler_status != RP_OK)
        add_error(pipes, "HandlerError", slice_from(text), SLICE_LITERAL(""));
    else
        add_output(pipes, job);
    if (job->refresh)
        add_text(pipes, ", \"refresh_worker\": true");
    send_message(pipes);
}

/* --- the rest of a source ----------------------------------------------------------------- */

static const struct source_ops pipes_ops = {
    .take = pipes_take,
    .stream = pipes_stream,
    .progress = pipes_progress,
};

int isolated_source_new(struct source **source, int in_fd, int out_fd, struct err *err)
{
    struct pipes *pipes = malloc(sizeof *pipes);
    if (pipes == NULL)
        return err_set(err, ERR_MEMORY, "no memory for an isolated handler");
    *pipes = (struct pipes){ .source.ops = &pipes_ops, .in_fd = in_fd, .out_fd = out_fd };
    lines_init(&pipes->lines, LIMIT_TAKE_BYTES, "job");
    buf_init(&pipes->message, LIMIT_MIB, "message");
    *source = &pipes->source;
    return 0;
}

void isolated_source_free(struct source *source)
{
    struct pipes *pipes = pipes_of(source);
    lines_free(&pipes->lines);
    buf_free(&pipes->message);
    free(pipes);
}
