#include "job/rp_job.h"

#include <stdio.h>

#include "base/limits.h"

const char rp_timeout_error[] = "TimeoutError";

void rp_job_init(struct rp_job *self, const struct config *config, struct outlet *outlet)
{
    size_t max_bytes = (size_t)config->result_max_bytes;
    *self = (struct rp_job){ .config = config };
    sender_init(&self->sender, outlet);
    arena_init(&self->arena, LIMIT_ARENA_BYTES);
    buf_init(&self->output, max_bytes, "result");
    buf_init(&self->message, LIMIT_ERROR_BYTES, "error");
    buf_init(&self->parts, max_bytes, "aggregated stream");
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
    buf_free(&self->parts);
}

void rp_job_begin(struct rp_job *self, struct job *job)
{
    self->job = job;
    self->linked = (slice){ 0 };
    self->traceback[0] = '\0';
    self->doc_made = self->has_output = self->linked_checked = self->has_failed = false;
    self->refresh = self->config->refresh_worker;
    self->is_stream = self->config->stream;
    self->debugger = (struct debugger){ 0 };
    if (self->config->debugger)
        self->debugger.checkpoints = arena_alloc(&self->arena,
                                                 CHECKPOINTS_MAX * sizeof(struct checkpoint));
}

void rp_job_end(struct rp_job *self)
{
    end_scratch(self);
    arena_reset(&self->arena);
    buf_reset(&self->output, LIMIT_KEEP_BYTES);
    buf_reset(&self->message, LIMIT_KEEP_BYTES);
    buf_reset(&self->parts, LIMIT_KEEP_BYTES);
    self->job = NULL;
}

void rp_fail_text(struct rp_job *self, const char *type, slice message, slice traceback)
{
    if (self->has_failed)
        return;
    if (message.len > LIMIT_ERROR_BYTES)
        message.len = LIMIT_ERROR_BYTES;
    self->has_failed = true;
    self->failure_type = type;
    self->message.len = 0;
    buf_add_slice(&self->message, message, NULL);
    snprintf(self->traceback, sizeof self->traceback, "%.*s", SLICE_ARG(traceback));
}

int rp_job_fail(struct rp_job *self, const char *text)
{
    rp_fail_text(self, "HandlerError", slice_from(text), (slice){ 0 });
    return RP_FAILED;
}

/* --- streams ------------------------------------------------------------------------------- */

static int keep_part(struct rp_job *self, slice json, struct err *err)
{
    int rc = buf_add_text(&self->parts, self->parts.len == 0 ? "[" : ", ", err);
    return rc == 0 ? buf_add_slice(&self->parts, json, err) : rc;
}

/* A part with an error is the end of the stream, and the job's error; it is no part itself. */
static int end_by_part(struct rp_job *self, slice error, struct err *err)
{
    slice text = error;
    json_string(error, &self->arena, &text, NULL); /* anything but a string stays JSON text */
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
    int rc = self->config->aggregate_stream ? keep_part(self, json, err) : 0;
    if (rc == 0)
        rc = sender_stream(&self->sender, self->job, json, is_text, err);
    if (rc != 0)
        rp_fail_text(self, "StreamError", slice_from(err->text), (slice){ 0 });
    return rc;
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
    return sender_progress(&self->sender, self->job, json, err);
}

/* --- sealing ------------------------------------------------------------------------------- */

/* The output if it is one that can be sent, else an error that says what is wrong with it. */
static int check_output(struct rp_job *self, slice *output, struct err *err)
{
    *output = self->linked.ptr != NULL ? self->linked : buf_slice(&self->output);
    if (!self->has_output)
        return err_set(err, ERR_INPUT, "The handler ended without a result.");
    if (self->linked_checked)
        return 0;
    int rc = json_check(*output, NULL, err);
    return rc == 0 ? 0 : err_wrap(err, "The handler's output is not valid JSON");
}

static void seal_failure(struct rp_job *self, struct result *result)
{
    const struct log_tag tag = job_tag(self->job);
    slice message = buf_slice(&self->message);
    const struct failure failure = { self->failure_type, message, slice_from(self->traceback) };
    log_write(LOG_ERROR, &tag, "%s: %.*s", failure.type != NULL ? failure.type : "Error",
              SLICE_ARG(message));
    if (failure.type != NULL)
        result_seal_failure(result, &failure, self->config, self->refresh);
    else
        result_seal_error_text(result, message, self->refresh);
}

/* Puts "rp_debugger" into an output object; other outputs have no place for it. */
static int add_debugger_output(struct rp_job *self, slice *output, struct err *err)
{
    struct buf text;
    slice object = json_trim(*output), name, value;
    size_t pos = 0;
    if (json_type(object) != RP_OBJECT)
        return 0;
    bool empty = !json_next_member(object, &pos, &name, &value);
    buf_init(&text, object.len + LIMIT_PROGRESS_BYTES, "debugger output");
    int rc = buf_add_text(&text, "{\"rp_debugger\": ", err);
    if (rc == 0)
        rc = debugger_put(&self->debugger, self->ready_delay_ms, &text, err);
    if (rc == 0 && !empty)
        rc = buf_add_text(&text, ", ", err);
    if (rc == 0)
        rc = buf_add_slice(&text, slice_skip(object, 1), err);
    char *copy = rc == 0 ? arena_alloc(&self->arena, text.len) : NULL;
    if (copy != NULL)
        *output = (slice){ memcpy(copy, text.ptr, text.len), text.len };
    else if (rc == 0)
        rc = err_set(err, ERR_MEMORY, "no memory for the debugger's output");
    buf_free(&text);
    return rc;
}

static void seal_output(struct rp_job *self, struct result *result)
{
    slice output;
    struct err err = { 0 };
    const struct log_tag tag = job_tag(self->job);
    int rc = check_output(self, &output, &err);
    if (rc == 0 && self->config->debugger)
        rc = add_debugger_output(self, &output, &err);
    if (rc == 0)
        rc = result_seal_output(result, output, self->refresh, &err);
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
    const struct log_tag tag = job_tag(self->job);
    log_write(LOG_ERROR, &tag, "%s", self->job->defect);
    result_seal_error_text(result, slice_from(self->job->defect), false);
}

/*
 * What a streaming handler returned is its last part, unless it is null: then all of it was in the
 * parts. Its output is the list of them.
 */
static void close_stream(struct rp_job *self)
{
    struct err err;
    slice last = self->linked.ptr != NULL ? self->linked : buf_slice(&self->output);
    if (self->has_output && !self->has_failed) {
        int rc = self->linked_checked ? 0 : json_check(last, NULL, &err);
        if (rc != 0)
            rp_fail_text(self, "ResultError", slice_from(err.text), (slice){ 0 });
        else if (json_type(json_trim(last)) != RP_NULL)
            rp_yield_json(self, last, &err);
    }
    if (buf_add_text(&self->parts, self->parts.len == 0 ? "[]" : "]", &err) != 0)
        rp_fail_text(self, "ResultError", slice_from(err.text), (slice){ 0 });
    self->linked = buf_slice(&self->parts);
    self->linked_checked = self->has_output = true;
}

/* Nothing of the job may be under way when its result is posted. */
void rp_job_finish_sending(struct rp_job *self)
{
    struct err err = { 0 };
    if (sender_finish(&self->sender, &err) != 0)
        rp_fail_text(self, "StreamError", slice_from(err.text), (slice){ 0 });
}

/* A handler told to end early may return anything: it is not the result that was asked for. */
static void fail_if_cut_short(struct rp_job *self)
{
    char text[128];
    int why = atomic_load(&self->job->why);
    if (why != JOB_TIMED_OUT && why != JOB_ABANDONED)
        return;
    if (self->has_failed && self->failure_type == rp_timeout_error)
        return; /* a program's, with its last words */
    if (why == JOB_TIMED_OUT)
        snprintf(text, sizeof text, RP_TIMEOUT_FORMAT,
                 (double)self->config->execution_timeout_ms / 1000);
    else
        snprintf(text, sizeof text, "The worker was ended while the job ran.");
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
    self->handler_lost = status == HANDLER_LOST;
    if (status != RP_OK) {
        char text[64];
        snprintf(text, sizeof text, "The handler returned %d.", status);
        rp_fail_text(self, "HandlerError", slice_from(text), (slice){ 0 });
    }
    if (self->is_stream)
        close_stream(self);
    rp_job_finish_sending(self);
    if (job_is_stopped(job))
        return; /* nobody waits for a result, nor for the log of one */
    if (self->has_failed)
        seal_failure(self, result);
    else
        seal_output(self, result);
    result->is_stream = self->is_stream;
}
