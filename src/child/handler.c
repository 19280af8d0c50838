#include "child/handler.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/flag.h"
#include "base/limits.h"
#include "base/log.h"
#include "child/edition.h"
#include "child/folder.h"
#include "child/idle.h"
#include "child/io.h"
#include "child/life.h"
#include "child/lines.h"
#include "child/once.h"
#include "child/renew.h"
#include "child/report.h"
#include "child/watch.h"
#include "job/rp_job.h"

/* Deaths before the first job are logged; the last one allowed ends the worker. */
static int start_first(struct child *child, struct err *err)
{
    int rc;
    while ((rc = child_make_ready(child, DEADLINE_NEVER, err)) == ERR_RETRY &&
           !child_keeps_dying(child))
        log_write(LOG_WARN, NULL, "%s", err->text);
    if (rc != ERR_RETRY)
        return rc;
    child_name_deaths(child, err);
    return err->code = ERR_CONFIG;
}

static void free_slot(struct child *child)
{
    folder_remove(child);
    child_free(child);
    wake_free(&child->stop);
    free(child);
}

/*
 * A lost one takes jobs, too, since nobody else may be there to fail them. A file that changes
 * meanwhile is noticed at the end; from then on the slot is recalled.
 */
static bool prepare_child(void *state, deadline_ms until)
{
    struct child *child = state;
    struct err err = { 0 };
    if (child->setting->mode == CHILD_ONCE || child->lost.code != 0)
        return true;
    child_watch_take(child);
    child_read_unsolicited(child);
    child_renew(child);
    int rc = child->halted ? ERR_CONFIG : child_make_ready(child, until, &err);
    if (!child->halted)
        child_report_failure(child, rc, &err);
    const unsigned edition = child->edition;
    const bool halted = child->halted;
    child_watch_give(child);
    if (halted)
        child_edition_wait(edition, until);
    else if (rc == ERR_CANCELLED)
        clock_sleep(until);
    return child->lost.code != 0 || (rc == 0 && edition == child_edition());
}

static int open_child(const void *setting, void **state, struct err *err)
{
    const struct child_setting *how = setting;
    int rc = child_watch_init(err);
    if (rc == 0)
        rc = child_renew_start(how, err);
    struct child *child = rc == 0 ? malloc(sizeof *child) : NULL;
    if (child == NULL)
        return rc != 0 ? rc : err_set(err, ERR_MEMORY, "no memory for a child process");
    child_init(child, how, how->output_max_bytes + LIMIT_CHILD_ENVELOPE_BYTES,
               "a line of the handler's program");
    rc = wake_init(&child->stop, err);
    if (rc != 0) {
        free(child);
        return rc;
    }
    folder_make(child);
    if (how->mode == CHILD_LINES && !how->watches)
        rc = start_first(child, err);
    if (rc != 0) {
        free_slot(child);
        return rc;
    }
    child_watch_give(child);
    while (how->watches && !prepare_child(child, clock_deadline(LIMIT_WATCH_MS)))
        continue; /* one that does not start is given the time until it is mended */
    *state = child;
    return 0;
}

/* So that the next process loads while no job waits; after a second death the pause comes first. */
static void start_next(struct child *child)
{
    struct err err = { 0 };
    if (child->setting->mode == CHILD_ONCE || child->lost.code != 0 || child->halted)
        return;
    if (child_is_unusable(child))
        child_end(child);
    if (child->process.pid == 0 && child->deaths <= 1 && child_start(child, &err) != 0)
        log_write(LOG_ERROR, NULL, "%s", err.text);
}

/* --- between jobs ------------------------------------------------------------------------- */

static void set_on_unready(void *state, void (*unready)(void *owner), void *owner)
{
    struct child *child = state;
    child_watch_take(child);
    child->unready = unready;
    child->unready_owner = owner;
    child_watch_give(child);
}

/* --- a job -------------------------------------------------------------------------------- */

/* What run returns after the last death that is allowed; rc is what it would have returned. */
static int note_deaths(struct child *child, int rc)
{
    char text[96];
    snprintf(text, sizeof text,
             "The handler's program has died %u times in a row (--handler-deaths)", child->deaths);
    if (child_halt(child, text))
        return rc;
    log_write(LOG_ERROR, NULL, "%s: the worker exits.", text);
    return rc == HANDLER_LOST_BEFORE ? rc : HANDLER_LOST;
}

static int run_child(rp_job *job, void *state)
{
    struct child *child = state;
    const struct child_setting *setting = child->setting;
    child_watch_take(child);
    unsigned before = child->deaths;
    child_read_unsolicited(child);
    child->job = job;
    flag_link(&job->task->stop, &child->stop);
    int rc = setting->mode == CHILD_ONCE ? child_run_once(child, job) : child_run_line(child, job);
    flag_link(&job->task->stop, NULL);
    if (flag_is_raised(&job->task->stop))
        wake_lower(&child->stop);
    child->job = NULL;
    if (child->lost.code != 0)
        child_halt(child, child->lost.text);
    if (child->deaths > before && child_keeps_dying(child) && !child->halted)
        rc = note_deaths(child, rc);
    if (child->halted && rc == HANDLER_LOST_BEFORE)
        rc = RP_FAILED; /* --watch: the worker goes on */
    start_next(child);
    child_watch_give(child);
    return rc;
}

/* Asks for its end by closing its input and by SIGTERM, before it is killed. */
static void close_child(void *state)
{
    struct child *child = state;
    child_watch_take(child);
    if (child->process.pid != 0)
        child_end_gently(child);
    free_slot(child);
}

static size_t concurrency(const void *setting, size_t otherwise)
{
    (void)setting;
    return child_concurrency(otherwise);
}

const struct handler_ops child_ops = {
    .open = open_child,
    .run = run_child,
    .close = close_child,
    .on_loss = child_on_loss,
    .concurrency = concurrency,
    .prepare = prepare_child,
    .on_unready = set_on_unready,
};
