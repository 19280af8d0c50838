/* The server's program, where the worker runs it: started, listened to, ended, started again. */
#include <signal.h>
#include <stdio.h>

#include "base/thread.h"
#include "child/relay.h"
#include "child/renew.h"
#include "child/report.h"
#include "child/text.h"
#include "child/watch.h"
#include "upstream/upstream_private.h"

/*
 * The server has been unhealthy for too long, or fails every job, or its program has changed and no
 * job is under way: sends SIGTERM. From now on it counts as down, whatever it still writes. False
 * where that is outdated: it is healthy again, or a new one.
 */
static bool end_if_due(struct upstream *upstream)
{
    wake_lower(&upstream->end_program);
    pthread_mutex_lock(&upstream->lock);
    upstream->renewing |= child_is_outdated(&upstream->child);
    bool renew = upstream->renewing && upstream->active_jobs == 0;
    bool unhealthy = upstream->state == UPSTREAM_UNHEALTHY && upstream->end_reason[0] != '\0';
    bool due = unhealthy || renew;
    if (due) {
        char how[sizeof upstream->exit_text];
        snprintf(how, sizeof how, "was stopped because %s",
                 unhealthy ? upstream->end_reason : "its program has changed");
        upstream_mark_down(upstream, how, child_log_tail(&upstream->child));
    }
    pthread_mutex_unlock(&upstream->lock);
    if (due)
        process_signal(&upstream->child.process, SIGTERM);
    return due;
}

/* Passes the program's output on until it has ended. True where that was our wish. */
static bool relay_output(struct upstream *upstream)
{
    struct child *child = &upstream->child;
    while (child_relay(child, &upstream->end_program, DEADLINE_NEVER) == CHILD_WOKEN) {
        if (!end_if_due(upstream))
            continue;
        child_relay(child, NULL, clock_deadline(child->setting->kill_grace_ms));
        return true;
    }
    return false;
}

/* Reaps the process. Under the lock. False where it is not to be started again. */
static bool reap(struct upstream *upstream, bool ended_by_us)
{
    struct child *child = &upstream->child;
    upstream->pid = 0;
    child_end(child); /* leaves the tail of its log where it is */
    if (child_is_outdated(child))
        child_renew(child);
    else
        child_count_death(child);
    if (!ended_by_us) {
        char how[96];
        process_describe(child->status, how, sizeof how);
        upstream_mark_down(upstream, how, child_log_tail(child));
    }
    return upstream_may_restart(upstream);
}

/* From start to end. False where it is not to be started again. */
static bool run_once(struct upstream *upstream)
{
    struct err err = { 0 };
    int rc = child_start(&upstream->child, &err);
    pthread_mutex_lock(&upstream->lock);
    upstream->pid = rc == 0 ? upstream->child.process.pid : 0;
    if (rc == 0)
        upstream_mark_starting(upstream);
    else if (rc != ERR_CANCELLED && !child_halt(&upstream->child, err.text))
        upstream_mark_lost(upstream, "", err.text, "");
    pthread_mutex_unlock(&upstream->lock);
    if (rc != 0)
        return upstream->child.halted;
    bool ended_by_us = relay_output(upstream);
    if (process_all_are_ending())
        return false;
    pthread_mutex_lock(&upstream->lock);
    bool goes_on = reap(upstream, ended_by_us);
    pthread_mutex_unlock(&upstream->lock);
    return goes_on;
}

static void *program_main(void *argument)
{
    struct upstream *upstream = argument;
    while (run_once(upstream)) {
        bool halted = upstream->child.halted;
        child_edition_wait(upstream->child.edition,
                           halted ? DEADLINE_NEVER : upstream->child.start_after);
        child_renew(&upstream->child);
    }
    return NULL;
}

static void wake_program(void *owner)
{
    struct upstream *upstream = owner;
    wake_signal(&upstream->end_program);
}

int upstream_program_start(struct upstream *upstream, struct err *err)
{
    int rc = child_watch_init(err);
    upstream->listener = (struct child_edition_listener){ .changed = wake_program,
                                                          .owner = upstream };
    child_edition_listen(&upstream->listener);
    if (rc == 0)
        rc = child_renew_start(&upstream->setting->child, err);
    return rc == 0 ? thread_start(program_main, upstream, LIMIT_STACK_SERVICE_BYTES, err) : rc;
}
