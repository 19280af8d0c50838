#include <signal.h>
#include <stdio.h>

#include "base/limits.h"
#include "job/child_inside.h"
#include "job/child_message.h"

/* --- before a job ------------------------------------------------------------------------- */

/* A line outside of a job. */
static void hear_stray(struct child *child, slice line)
{
    struct message message;
    const struct log_tag tag = child_tag(child);
    if (message_read(line, &message, NULL) != MESSAGE_VALID) {
        child_log_line(child, line);
        return;
    }
    if (message_is_true(message.ready))
        child->ready = true;
    if (message.log.ptr != NULL)
        child_log_value(child, message.log, message.level);
    if (message.ready.ptr == NULL && message.log.ptr == NULL)
        log_write(LOG_WARN, &tag, "The handler's program spoke without being asked: %.*s",
                  SLICE_ARG(line));
}

static void hear_stray_lines(struct child *child)
{
    slice line;
    while (lines_next(&child->out, &line))
        hear_stray(child, line);
}

void child_hear_strays(struct child *child)
{
    struct err err;
    if (child->process.pid == 0)
        return;
    if (child_drain(child, &err) != 0) {
        log_write(LOG_WARN, NULL, "The handler's program spoke without being asked: %s", err.text);
        lines_clear(&child->out, LIMIT_KEEP_BYTES);
    }
    hear_stray_lines(child);
}

/* Ends a process that did not get as far as a job. ERR_RETRY. */
static int give_up(struct child *child, const char *what, struct err *err)
{
    char how[96] = "";
    child_end(child, false);
    if (what == NULL)
        process_describe(child->status, how, sizeof how);
    return err_set(err, ERR_RETRY, "The handler's program %s before it was ready",
                   what != NULL ? what : how);
}

static int wait_ready(struct child *child, const struct wake *wake, struct err *err)
{
    int64_t timeout_ms = child->setting->ready_timeout_ms;
    deadline_ms deadline = timeout_ms > 0 ? clock_deadline(timeout_ms) : DEADLINE_NEVER;
    while (!child->ready) {
        int events = child_step(child, wake, deadline, err);
        if (events < 0)
            return give_up(child, "wrote a line without end", err);
        hear_stray_lines(child);
        if (child->ready)
            break;
        if ((events & (CHILD_ENDED | CHILD_SILENT)) != 0) {
            /* Its pipes end a moment before it does. */
            bool ended = process_wait(&child->process, clock_deadline(LIMIT_CHILD_EXIT_MS));
            child_hear_strays(child);
            child_log_errors(child, ended);
            return give_up(child, ended ? NULL : "closed its standard output", err);
        }
        if ((events & CHILD_STOPPED) != 0)
            return err_set(err, ERR_CANCELLED, "the job was stopped");
        if ((events & CHILD_LATE) != 0)
            return give_up(child, "took too long", err);
    }
    return 0;
}

void child_bury(struct child *child)
{
    char how[96];
    child_hear_strays(child);
    child_log_errors(child, true);
    child_end(child, false);
    process_describe(child->status, how, sizeof how);
    log_write(LOG_WARN, NULL, "The handler's program %s while it had no job.", how);
}

int child_make_ready(struct child *child, struct err *err)
{
    const struct wake *wake = child->job != NULL ? &child->stop : NULL;
    if (child->process.pid != 0 && process_has_ended(&child->process))
        child_bury(child);
    if (child->process.pid == 0) {
        bool stopped = false;
        if (wake != NULL)
            stopped = wake_wait(wake, child->start_after);
        else
            clock_sleep(child->start_after);
        if (stopped)
            return err_set(err, ERR_CANCELLED, "the job was stopped");
        int rc = child_start(child, err);
        if (rc != 0 && rc != ERR_CANCELLED)
            child_count_death(child); /* a worker that only fails jobs is to be replaced, too */
        if (rc != 0)
            return rc;
    }
    return child->setting->ready ? wait_ready(child, wake, err) : 0;
}

/* --- a job -------------------------------------------------------------------------------- */

enum why { GOING_ON, STOPPED, TIMED_OUT };

struct talk {
    struct child *child;
    rp_job *job;
    enum why why;         /* it has been asked to end */
    deadline_ms deadline; /* to the end of the grace */
    deadline_ms silence;  /* for the process to end, after its standard output has */
    bool over;
    int rc;
};

static void end_talk(struct talk *talk, int rc)
{
    talk->over = true;
    talk->rc = rc;
}

/* The process is to go, or gone; the job with it. */
static void break_off(struct talk *talk, const char *type, const char *what)
{
    struct child *child = talk->child;
    char how[96];
    child_log_errors(child, true);
    child_end(child, talk->why == STOPPED);
    process_describe(child->status, how, sizeof how);
    if (talk->why == TIMED_OUT)
        child_fail_late(child);
    else
        child_fail(child, type, "The handler's program %s before it had answered.",
                   what != NULL ? what : how);
    end_talk(talk, RP_FAILED);
}

int child_answer(struct child *child, struct lines *lines, slice json)
{
    struct err err;
    if (rp_return_lines(child->job, lines, json, &err) == 0)
        return RP_OK;
    child_fail(child, "ResultError", "%s", err.text);
    return RP_FAILED;
}

/* A JSON string as text that ends with a NUL, in the job's memory; or `otherwise`. */
static const char *text_or(rp_job *job, slice value, const char *otherwise)
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

/* What the program itself calls an error: its text, or any JSON as it is. */
static void fail_as_told(struct talk *talk, const struct message *message)
{
    rp_job *job = talk->job;
    slice text = message->error;
    if (json_type(text) == RP_STRING && json_string(message->error, &job->arena, &text, NULL) != 0)
        text = message->error;
    /* An explicit null asks for the text alone instead of an error object. */
    bool plain = message->error_type.ptr != NULL && json_type(message->error_type) == RP_NULL;
    rp_fail_text(job, plain ? NULL : text_or(job, message->error_type, "HandlerError"), text,
                 slice_from(text_or(job, message->traceback, "")));
    end_talk(talk, RP_FAILED);
}

static bool is_given(slice value)
{
    return value.ptr != NULL && json_type(value) != RP_NULL;
}

static void hear_final(struct talk *talk, const struct message *message)
{
    struct child *child = talk->child;
    if (message->output.ptr == NULL && !is_given(message->error))
        return;
    child_succeeded(child);
    if (talk->why == TIMED_OUT) {
        child_fail_late(child);
        end_talk(talk, RP_FAILED);
    } else if (is_given(message->error)) {
        fail_as_told(talk, message);
    } else {
        end_talk(talk, child_answer(child, &child->out, message->output));
    }
}

static void hear_message(struct talk *talk, const struct message *message, slice line)
{
    struct err err;
    rp_job *job = talk->job;
    const struct log_tag tag = child_tag(talk->child);
    if (!message_is_for(message, rp_job_id(job))) {
        log_write(LOG_WARN, &tag, "The handler's program spoke of another job: %.*s",
                  SLICE_ARG(line));
        return;
    }
    if (message->log.ptr != NULL)
        child_log_value(talk->child, message->log, message->level);
    if (message->stream.ptr != NULL && rp_yield_json(job, message->stream, &err) < 0 &&
        !rp_job_stopped(job))
        log_write(LOG_WARN, &tag, "A stream part was not sent: %s", err.text);
    if (message->progress.ptr != NULL && rp_progress_json(job, message->progress, &err) < 0 &&
        !rp_job_stopped(job))
        log_write(LOG_WARN, &tag, "Progress was not sent: %s", err.text);
    if (message_is_true(message->refresh))
        rp_refresh_worker(job);
    hear_final(talk, message);
}

static void hear(struct talk *talk, slice line)
{
    struct message message;
    struct err err;
    switch (message_read(line, &message, &err)) {
    case MESSAGE_TEXT: child_log_line(talk->child, line); break;
    case MESSAGE_VALID: hear_message(talk, &message, line); break;
    case MESSAGE_BROKEN:
        child_log_line(talk->child, line);
        child_fail(talk->child, "ResultError", "The handler's output is not valid JSON: %s",
                   err.text);
        end_talk(talk, RP_FAILED);
        break;
    }
}

static void hear_lines(struct talk *talk, bool all)
{
    slice line;
    while (!talk->over && lines_next(&talk->child->out, &line))
        hear(talk, line);
    if (all && !talk->over && lines_rest(&talk->child->out, &line))
        hear(talk, line);
}

static void ask_to_end(struct talk *talk, enum why why)
{
    talk->why = why;
    talk->deadline = clock_deadline(talk->child->setting->kill_grace_ms);
    process_signal(&talk->child->process, SIGTERM);
}

static void step(struct talk *talk)
{
    struct err err;
    struct child *child = talk->child;
    const struct wake *wake = talk->why == GOING_ON ? &child->stop : NULL;
    int events = child_step(child, wake, clock_earlier(talk->deadline, talk->silence), &err);
    if (events < 0) {
        char what[ERR_TEXT_BYTES + 32];
        snprintf(what, sizeof what, "wrote too much (%s)", err.text);
        break_off(talk, "ResultError", what);
        return;
    }
    child_drop_sent(child);
    hear_lines(talk, (events & CHILD_ENDED) != 0);
    if (talk->over)
        return;
    if ((events & CHILD_ENDED) != 0)
        break_off(talk, "HandlerCrashed", NULL);
    else if ((events & CHILD_STOPPED) != 0)
        ask_to_end(talk, atomic_load(&talk->job->job->why) == JOB_TIMED_OUT ? TIMED_OUT : STOPPED);
    else if ((events & CHILD_LATE) != 0 && talk->why != GOING_ON)
        break_off(talk, "HandlerCrashed", "did not end");
    else if ((events & CHILD_LATE) != 0)
        break_off(talk, "HandlerCrashed", "closed its standard output");
    else if ((events & CHILD_SILENT) != 0 && talk->silence == DEADLINE_NEVER)
        talk->silence = clock_deadline(LIMIT_CHILD_EXIT_MS);
}

/* It has answered before it had read the job: the rest of that stands before the next one. */
static void finish_sending(struct child *child)
{
    struct err err;
    deadline_ms deadline = clock_deadline(child->setting->kill_grace_ms);
    while (child->process.pid != 0 && child_has_unsent(child)) {
        int events = child_step(child, NULL, deadline, &err);
        hear_stray_lines(child);
        if (events < 0 || (events & (CHILD_LATE | CHILD_ENDED)) != 0)
            child_end(child, true);
    }
}

/*
 * The job on one line, as it was received: line breaks in JSON outside of strings are white space,
 * inside there are none. In place: the bytes are the job's own.
 */
static slice one_line(slice text)
{
    static const char breaks[] = { '\n', '\r' };
    for (size_t i = 0; i < sizeof breaks; i++) {
        char *at = (char *)(uintptr_t)text.ptr, *end = at + text.len;
        while ((at = memchr(at, breaks[i], (size_t)(end - at))) != NULL)
            *at = ' ';
    }
    return text;
}

int child_run_line(struct child *child, rp_job *job)
{
    struct err err = { 0 };
    int rc;
    do {
        rc = child_make_ready(child, &err);
        if (rc == ERR_RETRY)
            log_write(LOG_WARN, NULL, "%s", err.text);
    } while (rc == ERR_RETRY && !child_keeps_dying(child));
    if (rc != 0) {
        child_fail(child, "HandlerCrashed", "%s.", err.text);
        return RP_FAILED;
    }
    struct talk talk = {
        .child = child,
        .job = job,
        .deadline = DEADLINE_NEVER,
        .silence = DEADLINE_NEVER,
    };
    child_send(child, one_line(rp_job_json(job)), false);
    while (!talk.over)
        step(&talk);
    finish_sending(child);
    /* What came in one piece with the answer: nothing else would wake anybody to read it. */
    hear_stray_lines(child);
    child->tail_len = 0;
    return talk.rc;
}
