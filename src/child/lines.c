#include "child/lines.h"

#include <signal.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/log.h"
#include "child/exchange.h"
#include "child/folder.h"
#include "child/idle.h"
#include "child/io.h"
#include "child/outcome.h"
#include "child/text.h"
#include "job/rp_job.h"

/* The process has ended without a final message, or is to: so does the job. */
static void fail_and_end_child(struct exchange *exchange, const char *type, const char *what)
{
    struct child *child = exchange->child;
    char how[96];
    child_log_errors(child, true);
    child_end(child);
    if (exchange->ending != STOPPED)
        child_count_death(child);
    process_describe(child->status, how, sizeof how);
    if (exchange->ending == TIMED_OUT)
        child_fail_late(child);
    else
        child_fail(child, type, "The handler's program %s before it returned a result.",
                   what != NULL ? what : how);
    exchange_finish(exchange, RP_FAILED);
}

static void ask_to_end(struct exchange *exchange, enum ending ending)
{
    exchange->ending = ending;
    exchange->deadline = clock_deadline(exchange->child->setting->kill_grace_ms);
    process_signal(&exchange->child->process, SIGTERM);
}

/* What a child that goes on has no time for any more. */
static void look_at_time(struct exchange *exchange, int events)
{
    const int closed = CHILD_OUTPUT_CLOSED | CHILD_INPUT_REFUSED;
    if (exchange->ending != NOT_ASKED && clock_left_ms(exchange->deadline) == 0)
        fail_and_end_child(exchange, "HandlerCrashed", "did not exit after SIGTERM");
    else if (clock_left_ms(exchange->exit_deadline) == 0)
        fail_and_end_child(exchange, "HandlerCrashed",
                           exchange->child->process.out < 0
                               ? "closed its standard output"
                               : "closed its standard input without reading the job");
    else if ((events & closed) != 0 && exchange->exit_deadline == DEADLINE_NEVER)
        exchange->exit_deadline = clock_deadline(LIMIT_CHILD_EXIT_MS);
}

static void step(struct exchange *exchange)
{
    struct err err;
    struct child *child = exchange->child;
    const struct wake *wake = exchange->ending == NOT_ASKED ? &child->stop : NULL;
    deadline_ms end = clock_earlier(exchange->deadline, exchange->exit_deadline);
    int events = child_step(child, wake, clock_earlier(end, exchange->hint_at), &err);
    if (events < 0) {
        char what[ERR_TEXT_BYTES + 32];
        snprintf(what, sizeof what, "wrote too much (%s)", err.text);
        fail_and_end_child(exchange, "ResultError", what);
        return;
    }
    child_release_sent(child);
    exchange_handle_lines(exchange, (events & CHILD_ENDED) != 0);
    if (exchange->finished)
        return;
    if (clock_left_ms(exchange->hint_at) == 0)
        exchange_hint(exchange);
    if ((events & CHILD_ENDED) != 0)
        fail_and_end_child(exchange, "HandlerCrashed", NULL);
    else if ((events & CHILD_WOKEN) != 0)
        ask_to_end(exchange,
                   atomic_load(&exchange->job->task->why) == JOB_TIMED_OUT ? TIMED_OUT : STOPPED);
    else
        look_at_time(exchange, events);
}

/* After a result that came before all of the job was read: the next job needs an empty pipe. */
static void finish_sending(struct child *child)
{
    struct err err;
    deadline_ms deadline = clock_deadline(child->setting->kill_grace_ms);
    while (child->process.pid != 0 && child_has_unsent(child)) {
        int events = child_step(child, NULL, deadline, &err);
        child_handle_unsolicited(child);
        if (events < 0 || (events & (CHILD_DEADLINE | CHILD_ENDED)) != 0)
            child_end(child);
    }
}

int child_run_line(struct child *child, rp_job *job)
{
    struct err err = { 0 };
    int rc;
    do {
        rc = child_make_ready(child, DEADLINE_NEVER, &err);
        if (rc == ERR_RETRY)
            log_write(LOG_WARN, NULL, "%s", err.text);
    } while (rc == ERR_RETRY && !child_keeps_dying(child));
    if (rc != 0) {
        child_fail(child, "HandlerCrashed", "%s.", err.text);
        bool is_lost = child->lost.code != 0 || child_keeps_dying(child);
        return is_lost ? HANDLER_LOST_BEFORE : RP_FAILED;
    }
    struct exchange exchange;
    exchange_init(&exchange, child, job);
    const char *folder = folder_add(child->folder, job);
    if (child_send_job(child, job->task, folder, exchange_join_lines(rp_job_json(job)), false,
                       &err) != 0) {
        child_fail(child, "HandlerError", "%s", err.text);
        exchange_finish(&exchange, RP_FAILED);
    }
    while (!exchange.finished)
        step(&exchange);
    finish_sending(child);
    /* Lines that came in one read with the result: no event would wake anybody to handle them. */
    child_handle_unsolicited(child);
    child->log_tail_len = 0;
    exchange_free(&exchange);
    return exchange.rc;
}
