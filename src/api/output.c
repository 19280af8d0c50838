/* worker.h: ending a job, stream parts, progress, checkpoints and log lines. */
#include <stdarg.h>
#include <stdio.h>

#include "base/limits.h"
#include "job/rp_job.h"

static int append(rp_job *job, const char *format, va_list args)
{
    struct err err;
    job->external_output = (slice){ 0 };
    job->has_output = true;
    return json_format(&job->output, format, args, &err) == 0 ? RP_OK : rp_job_fail(job, err.text);
}

int rp_return(rp_job *job, const char *format, ...)
{
    va_list args;
    buf_clear(&job->output);
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

static int set_external_output(rp_job *job, slice json, bool checked)
{
    buf_clear(&job->output);
    job->external_output = json;
    job->external_is_valid = checked;
    job->has_output = true;
    return RP_OK;
}

int rp_return_value(rp_job *job, rp_value value)
{
    if (rp_type_of(value) == RP_NONE)
        return rp_return(job, "null");
    return set_external_output(job, rp_json(value), true);
}

int rp_return_json(rp_job *job, rp_str json)
{
    slice input = job->task->input;
    bool is_input = json.ptr == input.ptr && json.len == input.len;
    return json.ptr == NULL ? rp_job_fail(job, "The handler returned a NULL JSON text.")
                            : set_external_output(job, json, is_input);
}

int rp_fail_at(rp_job *job, const char *file, int line, const char *function, const char *format,
               ...)
{
    char text[LIMIT_ERROR_BYTES], place[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    snprintf(place, sizeof place, "%s:%d in %s", file, line, function);
    rp_fail_text(job, "HandlerError", slice_from(text), slice_from(place));
    return RP_FAILED;
}

void rp_refresh_worker(rp_job *job)
{
    job->refresh = true;
}

/* Formats JSON text and checks it. */
static int make_json(struct buf *out, const char *format, va_list args, struct err *err)
{
    int rc = json_format(out, format, args, err);
    return rc == 0 ? json_check(buf_slice(out), NULL, err) : rc;
}

int rp_yield(rp_job *job, const char *format, ...)
{
    struct buf text;
    struct err err;
    va_list args;
    buf_init(&text, (size_t)job->config->result_max_bytes, "part of a stream");
    va_start(args, format);
    int rc = make_json(&text, format, args, &err);
    va_end(args);
    if (rc != 0)
        rp_job_fail(job, err.text);
    else
        rc = rp_yield_json(job, buf_slice(&text), &err);
    buf_free(&text);
    return rc == 0 ? RP_OK : RP_FAILED;
}

int rp_progress(rp_job *job, const char *format, ...)
{
    struct buf text;
    struct err err;
    const struct log_tag tag = job_tag(job->task);
    va_list args;
    buf_init(&text, LIMIT_PROGRESS_BYTES, "progress");
    va_start(args, format);
    int rc = make_json(&text, format, args, &err);
    va_end(args);
    if (rc == 0 && !rp_job_stopped(job))
        rc = rp_progress_json(job, buf_slice(&text), &err);
    if (rc != 0)
        log_write(LOG_WARN, &tag, "Progress was not sent: %s", err.text);
    buf_free(&text);
    return rc == 0 ? RP_OK : RP_WRONG;
}

void rp_checkpoint_start(rp_job *job, const char *name)
{
    debugger_start(&job->debugger, name);
}

void rp_checkpoint_stop(rp_job *job, const char *name)
{
    debugger_stop(&job->debugger, name);
}

/* For errors (RUNPOD_LOG_CAPTURE): its setup's messages, and with "all" each job's. */
static void capture(const rp_job *job, const char *format, va_list args)
{
    char text[1024];
    va_list again;
    if (job != NULL && job->config->log_capture != LOG_CAPTURE_ALL)
        return;
    va_copy(again, args);
    vsnprintf(text, sizeof text, format, again);
    va_end(again);
    log_tail_add(&log_tail_of_handlers, slice_from(text));
    if (job != NULL)
        rp_job_capture((rp_job *)(uintptr_t)job, slice_from(text));
}

void rp_log(const rp_job *job, enum rp_level level, const char *format, ...)
{
    const struct log_tag tag = job != NULL ? job_tag(job->task) : (struct log_tag){ 0 };
    va_list args;
    va_start(args, format);
    if (log_enabled((enum log_level)level))
        capture(job, format, args);
    log_format((enum log_level)level, &tag, format, args);
    va_end(args);
}

void rp_return_buf(rp_job *job, struct buf *buf, slice json)
{
    struct buf own = job->output;
    job->output.ptr = buf->ptr;
    job->output.cap = buf->cap;
    buf->ptr = own.ptr;
    buf->cap = own.cap;
    buf_clear(buf);
    set_external_output(job, json, true);
}

int rp_return_lines(rp_job *job, struct lines *lines, slice json, struct err *err)
{
    int rc = lines_give(lines, &job->output, err);
    if (rc == 0)
        set_external_output(job, json, true);
    return rc;
}
