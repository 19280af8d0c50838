#include "job/rp_job.h"

#include <stdint.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/utf8.h"

const char rp_timeout_error[] = "TimeoutError";

void rp_job_init(struct rp_job *self, const struct config *config,
                 struct reply_channel *reply_channel)
{
    size_t max_bytes = (size_t)config->result_max_bytes;
    *self = (struct rp_job){ .config = config };
    sender_init(&self->sender, reply_channel);
    arena_init(&self->arena, LIMIT_ARENA_BYTES);
    buf_init(&self->output, max_bytes, "result");
    buf_init(&self->message, LIMIT_ERROR_BYTES + LIMIT_SECRET_BYTES, "error");
    buf_init(&self->traceback, LIMIT_ERROR_BYTES + LIMIT_SECRET_BYTES, "traceback");
    buf_init(&self->parts, max_bytes, "aggregated stream");
    log_tail_init(&self->log_tail);
}

static void end_scratch(struct rp_job *self)
{
    if (self->scratch != NULL)
        self->end_scratch(self->scratch);
    self->scratch = NULL;
}

void rp_job_free(struct rp_job *self)
{
    sender_close(&self->sender);
    end_scratch(self);
    arena_free(&self->arena);
    buf_free(&self->output);
    buf_free(&self->message);
    buf_free(&self->traceback);
    buf_free(&self->parts);
    log_tail_free(&self->log_tail);
}

void rp_job_capture(struct rp_job *self, slice line)
{
    if (self->config->log_capture == LOG_CAPTURE_ALL)
        log_tail_add(&self->log_tail, line);
}

void rp_job_begin(struct rp_job *self, struct job *job)
{
    self->task = job;
    self->external_output = (slice){ 0 };
    buf_clear(&self->traceback);
    self->doc_made = self->has_output = self->external_is_valid = self->has_failed = false;
    self->refresh = self->config->refresh_worker;
    self->is_stream = self->config->stream;
    self->keeps_parts = self->config->aggregate_stream && !job->wants_no_list;
    self->is_opaque = self->upload_failed = false;
    log_tail_clear(&self->log_tail);
    self->debugger = (struct debugger){ 0 };
    if (self->config->debugger)
        self->debugger.checkpoints = arena_alloc(&self->arena,
                                                 CHECKPOINTS_MAX * sizeof(struct checkpoint));
}

static bool lies_in(slice part, slice whole)
{
    return (uintptr_t)part.ptr - (uintptr_t)whole.ptr < whole.len;
}

/* True unless the output is known to lie elsewhere. */
static bool arena_has_output(const struct rp_job *self)
{
    slice output = self->external_output;
    return self->config->debugger ||
           (output.ptr != NULL && !lies_in(output, (slice){ self->output.ptr, self->output.cap }) &&
            !lies_in(output, buf_slice(&self->parts)) && !lies_in(output, self->task->text));
}

void rp_job_trim(struct rp_job *self)
{
    end_scratch(self);
    if (!arena_has_output(self))
        arena_reset(&self->arena);
}

void rp_job_end(struct rp_job *self)
{
    end_scratch(self);
    arena_reset(&self->arena);
    buf_reset(&self->output, LIMIT_KEEP_BYTES);
    buf_reset(&self->message, LIMIT_KEEP_BYTES);
    buf_reset(&self->traceback, LIMIT_KEEP_BYTES);
    buf_reset(&self->parts, LIMIT_KEEP_BYTES);
    self->task = NULL;
}

void rp_fail_text(struct rp_job *self, const char *type, slice message, slice traceback)
{
    if (self->has_failed)
        return;
    self->has_failed = true;
    self->failure_type = type;
    buf_clear(&self->message);
    /* Masked before it is cut: no part of a secret may stay at its end. */
    buf_add_slice(&self->message, utf8_head(message, LIMIT_ERROR_BYTES + LIMIT_SECRET_BYTES), NULL);
    log_mask(self->message.ptr, self->message.len);
    buf_truncate(&self->message, utf8_head(buf_slice(&self->message), LIMIT_ERROR_BYTES).len);
    buf_clear(&self->traceback); /* what raised the error stands at its end */
    buf_add_slice(&self->traceback, utf8_tail(traceback, LIMIT_ERROR_BYTES + LIMIT_SECRET_BYTES),
                  NULL);
    log_mask(self->traceback.ptr, self->traceback.len);
}

int rp_job_fail(struct rp_job *self, const char *text)
{
    rp_fail_text(self, "HandlerError", slice_from(text), (slice){ 0 });
    return RP_FAILED;
}

/* --- streams ------------------------------------------------------------------------------- */

static int keep_part(struct rp_job *self, slice json, struct err *err)
{
    buf_add_text(&self->parts, self->parts.len == 0 ? "[" : ", ", NULL);
    return buf_add_slice(&self->parts, json, err);
}

/* A part with an error ends the stream and fails the job; it is not sent as a part. */
static int end_by_part(struct rp_job *self, slice error, struct err *err)
{
    slice text = error;
    json_string(error, &self->arena, &text, NULL); /* anything but a string is kept as JSON text */
    rp_fail_text(self, NULL, text, (slice){ 0 });
    return err_set(err, ERR_INPUT, "a part of the stream was an error");
}

static int yield(struct rp_job *self, slice json, bool is_text, struct err *err)
{
    slice error;
    self->is_stream = true;
    if (self->has_failed)
        return err_set(err, ERR_INPUT, "the job has failed already");
    if (result_has_error(json, &error))
        return end_by_part(self, error, err);
    int rc = self->keeps_parts ? keep_part(self, json, err) : 0;
    if (rc == 0)
        rc = sender_stream(&self->sender, self->task, json, is_text, err);
    if (rc != 0)
        rp_fail_text(self, "StreamError", slice_from(err->text), (slice){ 0 });
    return rc;
}

void rp_job_stream(struct rp_job *self, bool keeps_parts)
{
    self->is_stream = true;
    self->keeps_parts |= keeps_parts && !self->task->wants_no_list;
}

int rp_yield_json(struct rp_job *self, slice json, struct err *err)
{
    return yield(self, json, false, err);
}

int rp_yield_text(struct rp_job *self, slice json, struct err *err)
{
    return yield(self, json, true, err);
}

int rp_progress_json(struct rp_job *self, slice json, struct err *err)
{
    return sender_progress(&self->sender, self->task, json, err);
}

/* --- sealing ------------------------------------------------------------------------------- */

/* The output if it can be sent, else an error that says why not. */
static int check_output(struct rp_job *self, slice *output, struct err *err)
{
    *output = self->external_output.ptr != NULL ? self->external_output : buf_slice(&self->output);
    if (!self->has_output)
        return err_set(err, ERR_INPUT, "The handler ended without a result.");
    if (self->external_is_valid)
        return 0;
    int rc = json_check(*output, NULL, err);
    return rc == 0 ? 0 : err_wrap(err, "The handler's output is not valid JSON");
}

static void seal_failure(struct rp_job *self, struct result *result)
{
    const struct log_tag tag = job_tag(self->task);
    slice message = buf_slice(&self->message);
    slice traceback = utf8_tail(buf_slice(&self->traceback), LIMIT_ERROR_BYTES);
    struct buf logs;
    buf_init(&logs, LIMIT_CAPTURE_BYTES, "the handler's output");
    log_tail_put(&self->log_tail, LIMIT_CAPTURE_BYTES, &logs);
    const struct failure failure = { .type = self->failure_type,
                                     .message = message,
                                     .traceback = traceback,
                                     .logs = buf_slice(&logs) };
    log_write(LOG_ERROR, &tag, "%s: %.*s", failure.type != NULL ? failure.type : "Error",
              SLICE_ARG(message));
    if (failure.type != NULL)
        result_seal_failure(result, &failure, self->config, self->refresh);
    else
        result_seal_error_text(result, message, self->refresh);
    buf_free(&logs);
}

/* Adds "rp_debugger" to an output that is an object; others have no place for it. */
static int add_debugger_output(struct rp_job *self, slice *output, struct err *err)
{
    struct buf text;
    slice object = json_trim(*output), name, value;
    size_t pos = 0;
    if (json_type(object) != RP_OBJECT)
        return 0;
    bool empty = !json_next_member(object, &pos, &name, &value);
    buf_init(&text, object.len + LIMIT_PROGRESS_BYTES, "debugger output");
    buf_add_text(&text, "{\"rp_debugger\": ", NULL);
    int rc = debugger_put(&self->debugger, self->ready_delay_ms, &text, err);
    buf_add_text(&text, empty ? "" : ", ", NULL);
    buf_add_slice(&text, slice_skip(object, 1), NULL);
    if (rc == 0)
        rc = buf_error(&text, err);
    char *copy = rc == 0 ? arena_alloc(&self->arena, text.len) : NULL;
    if (copy != NULL)
        *output = (slice){ memcpy(copy, text.ptr, text.len), text.len };
    else if (rc == 0)
        rc = err_set(err, ERR_MEMORY, "out of memory for the debugger's output");
    buf_free(&text);
    return rc;
}

static void seal_output(struct rp_job *self, struct result *result)
{
    slice output;
    struct err err = { 0 };
    const struct log_tag tag = job_tag(self->task);
    int rc = check_output(self, &output, &err);
    if (rc == 0 && self->config->debugger)
        rc = add_debugger_output(self, &output, &err);
    if (rc == 0)
        rc = self->is_opaque ? result_seal_opaque(result, output, self->refresh, &err)
                             : result_seal_output(result, output, self->refresh, &err);
    if (rc != 0) {
        rp_fail_text(self, "ResultError", slice_from(err.text), (slice){ 0 });
        seal_failure(self, result);
    } else if (result->bytes > LIMIT_RESULT_WARN_MB * 1000000u) {
        log_write(LOG_WARN, &tag,
                  "The result has %zu bytes; the platform's limit is %d MB for /run and %d MB for "
                  "/runsync. Return a link to large results instead.",
                  result->bytes, LIMIT_RESULT_WARN_MB, LIMIT_RESULT_MB);
    }
}

static void reject_defect(struct rp_job *self, struct result *result)
{
    const struct log_tag tag = job_tag(self->task);
    log_write(LOG_ERROR, &tag, "%s", self->task->defect);
    result_seal_error_text(result, slice_from(self->task->defect), false);
}

/*
 * What a streaming handler has returned is its last part, unless it is null. Its output is the list
 * of the parts.
 */
static void close_stream(struct rp_job *self)
{
    struct err err;
    slice last = self->external_output.ptr != NULL ? self->external_output
                                                   : buf_slice(&self->output);
    if (self->has_output && !self->has_failed) {
        int rc = self->external_is_valid ? 0 : json_check(last, NULL, &err);
        if (rc != 0)
            rp_fail_text(self, "ResultError", slice_from(err.text), (slice){ 0 });
        else if (json_type(json_trim(last)) != RP_NULL)
            rp_yield_json(self, last, &err);
    }
    if (buf_add_text(&self->parts, self->parts.len == 0 ? "[]" : "]", &err) != 0)
        rp_fail_text(self, "ResultError", slice_from(err.text), (slice){ 0 });
    self->external_output = buf_slice(&self->parts);
    self->external_is_valid = self->has_output = true;
}

void rp_job_finish_sending(struct rp_job *self)
{
    struct err err = { 0 };
    if (sender_finish(&self->sender, &err) != 0)
        rp_fail_text(self, "StreamError", slice_from(err.text), (slice){ 0 });
}

/* A handler that was told to end early may return anything: that is not a result. */
static void fail_if_cut_short(struct rp_job *self)
{
    char text[128];
    int why = atomic_load(&self->task->why);
    if (why != JOB_TIMED_OUT && why != JOB_ABANDONED)
        return;
    if (self->has_failed && self->failure_type == rp_timeout_error)
        return; /* of a program: with the end of its standard error */
    if (why == JOB_TIMED_OUT)
        snprintf(text, sizeof text, RP_TIMEOUT_FORMAT,
                 (double)self->config->execution_timeout_ms / 1000);
    else
        snprintf(text, sizeof text, "The worker was stopped while the job was running.");
    self->has_failed = false;
    rp_fail_text(self, why == JOB_TIMED_OUT ? rp_timeout_error : "ShutdownError", slice_from(text),
                 (slice){ 0 });
}

void rp_job_run(struct rp_job *self, struct job *job, const struct handler *handler, void *state,
                struct result *result)
{
    rp_job_begin(self, job);
    if (job->defect != NULL) {
        reject_defect(self, result);
        return;
    }
    debugger_start(&self->debugger, "handler");
    int status = handler->ops->run(self, state);
    debugger_stop(&self->debugger, "handler");
    fail_if_cut_short(self);
    self->not_begun = status == HANDLER_LOST_BEFORE;
    self->handler_lost = status == HANDLER_LOST || self->not_begun;
    if (status != RP_OK) {
        char text[64];
        snprintf(text, sizeof text, "The handler returned %d.", status);
        rp_fail_text(self, "HandlerError", slice_from(text), (slice){ 0 });
    }
    if (self->is_stream)
        close_stream(self);
    if (handler->finish != NULL && status == RP_OK && !self->has_failed)
        handler->finish(self);
    if (!self->sends_beside)
        rp_job_finish_sending(self);
    if (job_is_stopped(job))
        return; /* a result is not wanted */
    if (self->has_failed)
        seal_failure(self, result);
    else
        seal_output(self, result);
    result->is_stream = self->is_stream;
}
