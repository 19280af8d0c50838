#include "job/rp_job.h"

#include <stdio.h>

#include "base/limits.h"

void rp_job_init(struct rp_job *self, const struct config *config, struct outlet *outlet)
{
    *self = (struct rp_job){ .config = config, .outlet = outlet };
    arena_init(&self->arena, LIMIT_ARENA_BYTES);
    buf_init(&self->output, config->result_max_bytes, "result");
    buf_init(&self->message, LIMIT_ERROR_BYTES, "error");
}

void rp_job_free(struct rp_job *self)
{
    arena_free(&self->arena);
    buf_free(&self->output);
    buf_free(&self->message);
}

void rp_job_end(struct rp_job *self)
{
    arena_reset(&self->arena);
    buf_reset(&self->output, LIMIT_KEEP_BYTES);
    buf_reset(&self->message, LIMIT_KEEP_BYTES);
    self->job = NULL;
    self->linked = (slice){ 0 };
    self->fail_type = NULL;
    self->traceback[0] = '\0';
    self->doc_made = self->has_output = self->linked_checked = self->has_failed = self->refresh =
        false;
}

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

static void seal_failure(struct rp_job *self, struct result *result, const char *type,
                         slice message)
{
    const struct failure failure = { type, message, slice_from(self->traceback) };
    const struct log_tag tag = job_tag(self->job);
    log_write(LOG_ERROR, &tag, "%s: %.*s", type, SLICE_ARG(message));
    result_seal_failure(result, &failure, self->config, self->refresh);
}

static void seal_output(struct rp_job *self, struct result *result)
{
    slice output;
    struct err err = { 0 };
    const struct log_tag tag = job_tag(self->job);
    int rc = check_output(self, &output, &err);
    if (rc == 0)
        rc = result_seal_output(result, output, self->refresh, &err);
    if (rc != 0)
        seal_failure(self, result, "ResultError", slice_from(err.text));
    else if (result->bytes > LIMIT_RESULT_WARN_MB * 1000000u)
        log_write(LOG_WARN, &tag,
                  "The result has %zu bytes; the platform's limit is %d MB for /run and %d MB for "
                  "/runsync. Return a link to large results instead.",
                  result->bytes, LIMIT_RESULT_WARN_MB, LIMIT_RESULT_MB);
}

void rp_job_run(struct rp_job *self, struct job *job, rp_handler *handler, void *user,
                struct result *result)
{
    self->job = job;
    if (job->defect != NULL) {
        const struct log_tag tag = job_tag(job);
        log_write(LOG_ERROR, &tag, "%s", job->defect);
        result_seal_error_text(result, slice_from(job->defect), false);
        return;
    }
    int status = handler(self, user);
    if (self->has_failed) {
        seal_failure(self, result, rp_job_fail_type(self), buf_slice(&self->message));
    } else if (status != RP_OK) {
        char text[64];
        snprintf(text, sizeof text, "The handler returned %d.", status);
        seal_failure(self, result, "HandlerError", slice_from(text));
    } else {
        seal_output(self, result);
    }
}
