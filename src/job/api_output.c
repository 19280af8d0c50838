/* The half of worker.h that ends a job, and what a handler says along the way. */
#include <stdarg.h>
#include <stdio.h>

#include "base/limits.h"
#include "job/rp_job.h"

/* A failure that the worker found, in the place of one that the handler would have told. */
static int fail_with(rp_job *job, const char *text)
{
    if (!job->has_failed) {
        job->has_failed = true;
        job->message.len = 0;
        buf_add(&job->message, text, strnlen(text, LIMIT_ERROR_BYTES), NULL);
    }
    return RP_FAILED;
}

static int append(rp_job *job, const char *format, va_list args)
{
    struct err err;
    job->linked = (slice){ 0 };
    job->has_output = true;
    return json_format(&job->output, format, args, &err) == 0 ? RP_OK : fail_with(job, err.text);
}

int rp_return(rp_job *job, const char *format, ...)
{
    va_list args;
    job->output.len = 0;
    va_start(args, format);
    int rc = append(job, format, args);
    va_end(args);
    return rc;
}

int rp_write(rp_job *job, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = append(job, format, args);
    va_end(args);
    return rc;
}

static int link_output(rp_job *job, slice json, bool checked)
{
    job->output.len = 0;
    job->linked = json;
    job->linked_checked = checked;
    job->has_output = true;
    return RP_OK;
}

int rp_return_value(rp_job *job, rp_value value)
{
    if (rp_type_of(value) == RP_NONE)
        return rp_return(job, "null");
    return link_output(job, rp_json(value), true);
}

int rp_return_json(rp_job *job, rp_str json)
{
    slice input = job->job->input;
    bool is_input = json.ptr == input.ptr && json.len == input.len;
    return json.ptr == NULL ? fail_with(job, "The handler returned no JSON text.")
                            : link_output(job, json, is_input);
}

int rp_fail_at(rp_job *job, const char *file, int line, const char *function, const char *format,
               ...)
{
    char text[LIMIT_ERROR_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!job->has_failed)
        snprintf(job->traceback, sizeof job->traceback, "%s:%d in %s", file, line, function);
    return fail_with(job, text);
}

void rp_refresh_worker(rp_job *job)
{
    job->refresh = true;
}

int rp_progress(rp_job *job, const char *format, ...)
{
    struct buf text;
    struct err err;
    const struct log_tag tag = job_tag(job->job);
    va_list args;
    buf_init(&text, LIMIT_PROGRESS_BYTES, "progress");
    va_start(args, format);
    int rc = json_format(&text, format, args, &err);
    va_end(args);
    if (rc == 0)
        rc = json_check(buf_slice(&text), NULL, &err);
    if (rc == 0 && !rp_job_stopped(job))
        rc = job->outlet->source->ops->progress(job->outlet, job->job, buf_slice(&text), &err);
    if (rc != 0)
        log_write(LOG_WARN, &tag, "Progress was not sent: %s", err.text);
    buf_free(&text);
    return rc == 0 ? RP_OK : RP_WRONG;
}

void rp_log(const rp_job *job, enum rp_level level, const char *format, ...)
{
    const struct log_tag tag = job_tag(job->job);
    va_list args;
    va_start(args, format);
    log_format((enum log_level)level, &tag, format, args);
    va_end(args);
}

/* --- for handlers that are no C functions ------------------------------------------------- */

int rp_yield_json(rp_job *job, slice json, struct err *err)
{
    const struct log_tag tag = job_tag(job->job);
    (void)err;
    log_write(LOG_INFO, &tag, "Stream: %.*s", SLICE_ARG(json)); /* stand-in */
    return 0;
}

int rp_progress_json(rp_job *job, slice json, struct err *err)
{
    return job->outlet->source->ops->progress(job->outlet, job->job, json, err);
}

int rp_return_lines(rp_job *job, struct lines *lines, slice json, struct err *err)
{
    int rc = lines_give(lines, &job->output, err);
    if (rc == 0)
        link_output(job, json, true);
    return rc;
}

void rp_fail_text(rp_job *job, const char *type, slice message, slice traceback)
{
    if (job->has_failed)
        return;
    job->has_failed = true;
    job->fail_type = type;
    job->message.len = 0;
    if (message.len > LIMIT_ERROR_BYTES)
        message.len = LIMIT_ERROR_BYTES;
    buf_add_slice(&job->message, message, NULL);
    snprintf(job->traceback, sizeof job->traceback, "%.*s", SLICE_ARG(traceback));
}

const char *rp_job_fail_type(const rp_job *job)
{
    return job->fail_type != NULL ? job->fail_type : "HandlerError";
}

struct wake *rp_job_stop_wake(rp_job *job)
{
    return &job->job->stop_wake;
}
