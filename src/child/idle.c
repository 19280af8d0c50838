#include "child/idle.h"

#include <signal.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/log.h"
#include "child/edition.h"
#include "child/io.h"
#include "child/message.h"
#include "child/report.h"
#include "child/text.h"

static void handle_unsolicited_line(struct child *child, slice line)
{
    struct child_message message;
    const struct log_tag tag = child_tag(child);
    if (child_message_read(line, &message, NULL) != MESSAGE_VALID) {
        child_log_line(child, line);
        return;
    }
    child_log_line(child, message.before);
    if (child_message_is_true(message.ready) || child_report_unfit(&message))
        child->ready = true; /* one that is unfit waits for the verdict */
    if (message.log.ptr != NULL)
        child_log_value(child, message.log, message.level);
    if (message.concurrency.ptr != NULL)
        child_report_concurrency(message.concurrency);
    if (message.ready.ptr == NULL && message.log.ptr == NULL && message.concurrency.ptr == NULL &&
        message.unfit.ptr == NULL)
        log_write(LOG_WARN, &tag,
                  "Ignored a message from the handler's program outside a job: %.*s",
                  SLICE_ARG(line));
    if (message.rest.len > 0)
        child_log_line(child, message.rest);
}

void child_handle_unsolicited(struct child *child)
{
    slice line;
    while (lines_next(&child->out, &line))
        handle_unsolicited_line(child, line);
}

void child_read_unsolicited(struct child *child)
{
    struct err err;
    if (child->process.pid == 0)
        return;
    if (child_drain(child, &err) != 0) {
        log_write(LOG_WARN, NULL, "The handler's program wrote too much outside a job: %s",
                  err.text);
        lines_clear(&child->out, LIMIT_KEEP_BYTES);
    }
    child_handle_unsolicited(child);
}

/* Ends a process that is not ready: why, or NULL for what its status says. ERR_RETRY. */
static int fail_start(struct child *child, const char *what, struct err *err)
{
    char how[96] = "";
    child_end(child);
    if (process_all_are_ending())
        return err_set(err, ERR_CANCELLED, "the worker is shutting down");
    child_count_death(child);
    if (what == NULL)
        process_describe(child->status, how, sizeof how);
    return err_set(err, ERR_RETRY, "The handler's program %s before it was ready",
                   what != NULL ? what : how);
}

/* No try will be made after this. */
static int fail_slow_start(struct child *child, struct err *err)
{
    if (child->process.pid != 0)
        child_end(child);
    child_count_death(child);
    err_set(&child->lost, ERR_CONFIG,
            "The handler's program was not ready within %g s (RUNPOD_INIT_TIMEOUT or "
            "--handler-ready-timeout; all tries together)",
            (double)child->setting->ready_timeout_ms / 1000);
    *err = child->lost;
    return err->code;
}

/* Its last death allowed was one that nobody waited for: no try will be made after it, either. */
static int fail_dead(struct child *child, struct err *err)
{
    err_set(&child->lost, ERR_CONFIG,
            "The handler's program has died %u times in a row (--handler-deaths)", child->deaths);
    *err = child->lost;
    return err->code;
}

static deadline_ms ready_deadline(const struct child *child)
{
    return child->ready_by != 0 ? child->ready_by : DEADLINE_NEVER;
}

/* Says every LIMIT_STILL_WAITING_MS what is waited for. */
static void note_waiting(struct child *child)
{
    if (child->next_note == 0)
        child->next_note = clock_deadline(LIMIT_STILL_WAITING_MS);
    if (clock_left_ms(child->next_note) > 0)
        return;
    child->next_note = clock_deadline(LIMIT_STILL_WAITING_MS);
    log_write(LOG_INFO, NULL,
              "Waiting for the handler's program to print {\"ready\": true} (%d s so far).",
              ++child->notes * (LIMIT_STILL_WAITING_MS / 1000));
}

/* What ended a wait: its job's stop, the caller's time, or the time to get ready. */
static int end_wait(struct child *child, bool stopped, deadline_ms until, struct err *err)
{
    if (stopped)
        return err_set(err, ERR_CANCELLED, "the job was stopped");
    if (clock_left_ms(ready_deadline(child)) == 0)
        return fail_slow_start(child, err);
    return clock_left_ms(until) == 0
               ? err_set(err, ERR_TIMEOUT, "the handler's program is not ready yet")
               : 0;
}

static int wait_ready(struct child *child, const struct wake *wake, deadline_ms until,
                      struct err *err)
{
    while (!child->ready) {
        note_waiting(child);
        deadline_ms next = clock_earlier(child->next_note, ready_deadline(child));
        int events = child_step(child, wake, clock_earlier(until, next), err);
        if (events < 0)
            return fail_start(child, "wrote a line over the limit", err);
        child_handle_unsolicited(child);
        if (child->ready)
            break;
        if ((events & (CHILD_ENDED | CHILD_OUTPUT_CLOSED)) != 0) {
            /* A process that ends closes its pipes a moment before. */
            bool ended = process_wait(&child->process, clock_deadline(LIMIT_CHILD_EXIT_MS));
            child_read_unsolicited(child);
            child_log_errors(child, ended);
            return fail_start(child, ended ? NULL : "closed its standard output", err);
        }
        int rc = end_wait(child, (events & CHILD_WOKEN) != 0, until, err);
        if (rc != 0)
            return rc;
    }
    child->ready_by = child->next_note = 0;
    child->notes = 0;
    return 0;
}

void child_end_gently(struct child *child)
{
    process_close(&child->process.in);
    process_signal(&child->process, SIGTERM);
    process_wait(&child->process, clock_deadline(child->setting->kill_grace_ms));
    child_read_unsolicited(child);
    child_end(child);
}

/* When it died or closed a stream; while it was starting nobody may have been waiting for it. */
static const char *idle_time(const struct child *child)
{
    return child->setting->ready && !child->ready ? "before it was ready" : "while it had no job";
}

void child_reap_idle(struct child *child)
{
    char how[96];
    child_read_unsolicited(child);
    child_log_errors(child, true);
    const char *when = idle_time(child);
    child_end(child);
    child_count_death(child);
    process_describe(child->status, how, sizeof how);
    log_write(LOG_WARN, NULL, "The handler's program %s %s.", how, when);
}

bool child_reap_unusable(struct child *child)
{
    bool unusable = child_is_unusable(child);
    /* A process that ends closes its pipes a moment before. */
    bool ended = unusable ? process_wait(&child->process, clock_deadline(LIMIT_CHILD_EXIT_MS))
                          : process_has_ended(&child->process);
    if (ended) {
        child_reap_idle(child);
    } else if (unusable) {
        const char *stream = child->process.out < 0 ? "output" : "input";
        const char *when = idle_time(child);
        child_end(child);
        child_count_death(child);
        log_write(LOG_WARN, NULL, "The handler's program closed its standard %s %s.", stream, when);
    }
    return ended || unusable;
}

/* Starts it, after the pause that its deaths cost. */
static int start(struct child *child, const struct wake *wake, deadline_ms until, struct err *err)
{
    deadline_ms end = clock_earlier(until, ready_deadline(child));
    deadline_ms wait_until = clock_earlier(child->start_after, end);
    bool stopped = false;
    if (wake != NULL)
        stopped = wake_wait(wake, wait_until);
    else if (child->setting->watches)
        child_edition_wait(child->edition, wait_until);
    else
        clock_sleep(wait_until);
    int rc = 0;
    if (stopped || clock_left_ms(child->start_after) > 0)
        rc = end_wait(child, stopped, until, err);
    if (rc != 0)
        return rc;
    rc = child_start(child, err);
    if (rc != 0 && rc != ERR_CANCELLED)
        child_count_death(child); /* or the worker would fail jobs forever */
    return rc;
}

int child_make_ready(struct child *child, deadline_ms until, struct err *err)
{
    const struct wake *wake = child->job != NULL ? &child->stop : NULL;
    int rc = 0;
    if (child->lost.code != 0) {
        *err = child->lost;
        return err->code;
    }
    if (child->process.pid != 0)
        child_reap_unusable(child);
    if (child->process.pid == 0 && child_keeps_dying(child))
        return fail_dead(child, err);
    if (child->process.pid == 0)
        rc = start(child, wake, until, err);
    if (rc != 0)
        return rc;
    if (child->setting->ready)
        return wait_ready(child, wake, until, err);
    child->ready_by = child->next_note = 0;
    child->notes = 0;
    return 0;
}
