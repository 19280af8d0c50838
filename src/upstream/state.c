/* The server's state, and the slots that wait for it. */
#include <stdio.h>

#include "base/log.h"
#include "child/report.h"
#include "process/process.h"
#include "upstream/upstream_private.h"
#include "json/json.h"

/* --- time ------------------------------------------------------------------------------------- */

static int64_t system_now_ms(void *context)
{
    (void)context;
    return clock_now_ms();
}

static bool system_wait_cond(void *context, pthread_cond_t *cond, pthread_mutex_t *lock,
                             deadline_ms deadline)
{
    (void)context;
    return flag_cond_wait(cond, lock, deadline);
}

static bool system_wait_wake(void *context, const struct wake *wake, deadline_ms deadline)
{
    (void)context;
    return wake_wait(wake, deadline);
}

const struct upstream_clock upstream_system_clock = {
    .now_ms = system_now_ms,
    .wait_cond = system_wait_cond,
    .wait_wake = system_wait_wake,
};

int64_t upstream_now_ms(const struct upstream *upstream)
{
    return upstream->clock.now_ms(upstream->clock.context);
}

deadline_ms upstream_deadline(const struct upstream *upstream, int64_t timeout_ms)
{
    int64_t now_ms = upstream_now_ms(upstream);
    return timeout_ms < DEADLINE_NEVER - now_ms ? now_ms + timeout_ms : DEADLINE_NEVER;
}

/* --- its life --------------------------------------------------------------------------------- */

int upstream_init(struct upstream *upstream, const struct upstream_setting *setting,
                  const struct upstream_clock *clock, struct err *err)
{
    *upstream = (struct upstream){ .setting = setting, .clock = *clock };
    pthread_mutex_init(&upstream->lock, NULL);
    pthread_mutex_init(&upstream->model.lock, NULL);
    flag_cond_init(&upstream->changed);
    buf_init(&upstream->model.json, LIMIT_REPLY_BYTES, "model's name");
    child_init(&upstream->child, &setting->child, LIMIT_CHILD_TEXT_BYTES,
               "a line of the handler's server");
    buf_init(&upstream->model.served, LIMIT_REPLY_BYTES, "--served-model");
    upstream->state = upstream_has_program(upstream) ? UPSTREAM_DOWN : UPSTREAM_STARTING;
    int rc = 0;
    if (setting->config->handler.served_model != NULL)
        rc = json_put_lossy(&upstream->model.served,
                            slice_from(setting->config->handler.served_model), err);
    return rc == 0 ? wake_init(&upstream->end_program, err) : rc;
}

void upstream_free(struct upstream *upstream)
{
    wake_free(&upstream->end_program);
    child_free(&upstream->child);
    buf_free(&upstream->model.json);
    buf_free(&upstream->model.served);
    pthread_cond_destroy(&upstream->changed);
    pthread_mutex_destroy(&upstream->model.lock);
    pthread_mutex_destroy(&upstream->lock);
}

/* --- changes of state; under the lock --------------------------------------------------------- */

static bool is_up(enum upstream_state state)
{
    return state == UPSTREAM_STARTING || state == UPSTREAM_READY || state == UPSTREAM_UNHEALTHY;
}

static void set_state(struct upstream *upstream, enum upstream_state state)
{
    if (is_up(state) != is_up(upstream->state))
        upstream->generation++;
    upstream->state = state;
    pthread_cond_broadcast(&upstream->changed);
    for (struct upstream_waiter *waiter = upstream->waiters; waiter != NULL; waiter = waiter->next)
        wake_signal(&waiter->wake);
}

/* timeout_ms 0: no limit. */
static void start_timer(struct upstream *upstream, int64_t timeout_ms)
{
    upstream->since_ms = upstream_now_ms(upstream);
    upstream->deadline = timeout_ms > 0 ? upstream_deadline(upstream, timeout_ms) : DEADLINE_NEVER;
}

void upstream_mark_starting(struct upstream *upstream)
{
    upstream->suspect_jobs = upstream->failures = 0;
    upstream->probe_due = upstream->answers_busy = false;
    upstream->end_reason[0] = '\0';
    upstream->renewing = false;
    if (!upstream->getting_ready)
        start_timer(upstream, upstream->setting->config->handler.ready_timeout_ms);
    upstream->getting_ready = true;
    set_state(upstream, UPSTREAM_STARTING);
}

void upstream_mark_ready(struct upstream *upstream)
{
    log_write(LOG_INFO, NULL, "The handler's server is %s after %lld ms.",
              upstream->state == UPSTREAM_STARTING ? "ready" : "healthy again",
              (long long)(upstream_now_ms(upstream) - upstream->since_ms));
    upstream->getting_ready = false;
    set_state(upstream, UPSTREAM_READY);
}

void upstream_mark_unhealthy(struct upstream *upstream, const char *what)
{
    log_write(LOG_WARN, NULL, "The handler's server is unhealthy: %s: %s",
              upstream->setting->ready.name, what);
    start_timer(upstream, upstream->setting->config->handler.unhealthy_ms);
    set_state(upstream, UPSTREAM_UNHEALTHY);
}

void upstream_mark_down(struct upstream *upstream, const char *how, slice last_words)
{
    size_t len = last_words.len < sizeof upstream->last_words ? last_words.len
                                                              : sizeof upstream->last_words;
    snprintf(upstream->exit_text, sizeof upstream->exit_text, "%s", how);
    upstream->exit_generation = upstream->generation;
    if (len > 0)
        memcpy(upstream->last_words, last_words.ptr, len);
    upstream->last_words_len = len;
    log_write(LOG_WARN, NULL, "The handler's server %s.", upstream->exit_text);
    if (upstream->state != UPSTREAM_LOST)
        set_state(upstream, UPSTREAM_DOWN);
}

void upstream_mark_lost(struct upstream *upstream, const char *what, const char *detail,
                        const char *flag)
{
    if (upstream->state == UPSTREAM_LOST)
        return;
    err_set(&upstream->lost, ERR_CONFIG, "%s%s%s", what, detail, flag);
    set_state(upstream, UPSTREAM_LOST);
    for (struct upstream_waiter *slot = upstream->active; slot != NULL; slot = slot->next_active)
        wake_signal(&slot->wake);
    log_write(LOG_ERROR, NULL, "%s", upstream->lost.text);
    upstream->lost.is_logged = true;
    if (upstream->on_lost != NULL)
        upstream->on_lost(upstream->on_lost_owner, upstream->lost.text);
}

/* A program that ends again and again may never live to be probed. */
static bool is_out_of_time(const struct upstream *upstream)
{
    return upstream->getting_ready && upstream_now_ms(upstream) >= upstream->deadline;
}

bool upstream_may_restart(struct upstream *upstream)
{
    if (is_out_of_time(upstream))
        upstream_mark_lost(upstream, "The handler's server was not ready in time; the last one ",
                           upstream->exit_text,
                           " (RUNPOD_INIT_TIMEOUT or --handler-ready-timeout)");
    if (child_keeps_dying(&upstream->child) && !child_halt(&upstream->child, upstream->exit_text))
        upstream_mark_lost(upstream,
                           "The handler's server has ended too many times in a row; the last one ",
                           upstream->exit_text, " (--handler-deaths)");
    return upstream->state != UPSTREAM_LOST;
}

/* --- slots that wait -------------------------------------------------------------------------- */

static void add_waiter(struct upstream *upstream, struct upstream_waiter *waiter)
{
    waiter->next = upstream->waiters;
    upstream->waiters = waiter;
}

/* Leaves the wake lowered, except after a stop: the request that comes next has to see that. */
static void remove_waiter(struct upstream *upstream, struct upstream_waiter *waiter,
                          const struct flag *stop)
{
    struct upstream_waiter **link = &upstream->waiters;
    while (*link != waiter)
        link = &(*link)->next;
    *link = waiter->next;
    wake_lower(&waiter->wake);
    if (stop != NULL && flag_is_raised(stop))
        wake_signal(&waiter->wake);
}

/* Gives up the lock until the state changes, the deadline has passed, or the job is to end. */
static void wait_for_change(struct upstream *upstream, struct upstream_waiter *waiter,
                            deadline_ms deadline)
{
    pthread_mutex_unlock(&upstream->lock);
    upstream->clock.wait_wake(upstream->clock.context, &waiter->wake, deadline);
    wake_lower(&waiter->wake);
    pthread_mutex_lock(&upstream->lock);
}

static void put_last_words(const struct upstream *upstream, struct buf *exit_report)
{
    buf_add_text(exit_report, upstream->last_words_len > 0 ? ". Its last lines:\n" : ".", NULL);
    buf_add(exit_report, upstream->last_words, upstream->last_words_len, NULL);
}

static bool takes_jobs(const struct upstream *upstream)
{
    return upstream->state == UPSTREAM_READY && !upstream->renewing;
}

/* Under the lock; the state is one that ends the waiting, or the job is to end. */
static int end_of_wait(const struct upstream *upstream, struct buf *exit_report, struct err *err)
{
    if (takes_jobs(upstream))
        return 0;
    if (upstream->state != UPSTREAM_LOST)
        return err_set(err, ERR_CANCELLED, "the job was stopped");
    if (exit_report != NULL)
        put_last_words(upstream, exit_report);
    *err = upstream->lost;
    return err->code;
}

int upstream_wait_ready(struct upstream *upstream, struct upstream_waiter *waiter,
                        const struct flag *stop, struct buf *exit_report, struct err *err)
{
    pthread_mutex_lock(&upstream->lock);
    if (!takes_jobs(upstream)) {
        add_waiter(upstream, waiter);
        while (!takes_jobs(upstream) && upstream->state != UPSTREAM_LOST &&
               (stop == NULL || !flag_is_raised(stop)))
            wait_for_change(upstream, waiter, DEADLINE_NEVER);
        remove_waiter(upstream, waiter, stop);
    }
    int rc = end_of_wait(upstream, exit_report, err);
    pthread_mutex_unlock(&upstream->lock);
    return rc;
}

enum upstream_state upstream_now(struct upstream *upstream)
{
    pthread_mutex_lock(&upstream->lock);
    enum upstream_state state = upstream->state;
    pthread_mutex_unlock(&upstream->lock);
    return state;
}

bool upstream_is_lost(struct upstream *upstream)
{
    return upstream_now(upstream) == UPSTREAM_LOST;
}

/* --- jobs ------------------------------------------------------------------------------------- */

unsigned upstream_job_begin(struct upstream *upstream, struct upstream_waiter *waiter)
{
    pthread_mutex_lock(&upstream->lock);
    upstream->active_jobs++;
    upstream->job_changes++;
    waiter->next_active = upstream->active;
    upstream->active = waiter;
    unsigned generation = upstream->generation;
    pthread_mutex_unlock(&upstream->lock);
    return generation;
}

static void note_answered(struct upstream *upstream)
{
    upstream->suspect_jobs = upstream->failures = 0;
    if (upstream->child.deaths > 0)
        child_reset_deaths(&upstream->child);
    if (upstream->state == UPSTREAM_UNHEALTHY) /* it works, whatever its health route says */
        upstream->deadline = upstream_deadline(upstream,
                                               upstream->setting->config->handler.unhealthy_ms);
}

/*
 * The server fails every job, whatever its health route says. One that somebody else runs cannot be
 * replaced: it only counts as dead.
 */
static void replace(struct upstream *upstream, const char *what)
{
    snprintf(upstream->end_reason, sizeof upstream->end_reason,
             "%u jobs in a row failed, the last one with %s", upstream->failures, what);
    upstream->failures = 0;
    if (upstream_has_program(upstream)) {
        set_state(upstream, UPSTREAM_UNHEALTHY);
        wake_signal(&upstream->end_program);
        return;
    }
    child_count_death(&upstream->child);
    log_write(LOG_WARN, NULL, "The handler's server counts as dead: %s (--handler-failures).",
              upstream->end_reason);
    if (child_keeps_dying(&upstream->child))
        upstream_mark_lost(upstream, "The handler's server was counted as dead too many times: ",
                           upstream->end_reason, " (--handler-failures, --handler-deaths)");
    upstream->end_reason[0] = '\0';
}

static void note_suspect(struct upstream *upstream, unsigned generation, const char *what)
{
    const unsigned limit = (unsigned)upstream->setting->config->handler.failures;
    upstream->suspect_jobs++;
    upstream->probe_due = true;
    pthread_cond_broadcast(&upstream->changed);
    bool is_running = upstream->state == UPSTREAM_READY || upstream->state == UPSTREAM_UNHEALTHY;
    if (generation != upstream->generation || !is_running || upstream->end_reason[0] != '\0')
        return; /* of one that is gone or going */
    upstream->failures++;
    if (limit > 0 && upstream->failures >= limit)
        replace(upstream, what);
}

void upstream_job_end(struct upstream *upstream, struct upstream_waiter *waiter,
                      unsigned generation, enum upstream_outcome outcome, const char *what)
{
    pthread_mutex_lock(&upstream->lock);
    struct upstream_waiter **link = &upstream->active;
    while (*link != waiter)
        link = &(*link)->next_active;
    *link = waiter->next_active;
    upstream->active_jobs--;
    upstream->job_changes++;
    if (outcome == UPSTREAM_ANSWERED)
        note_answered(upstream);
    if (outcome == UPSTREAM_SUSPECT)
        note_suspect(upstream, generation, what);
    if (upstream->renewing && upstream->active_jobs == 0)
        wake_signal(&upstream->end_program);
    pthread_mutex_unlock(&upstream->lock);
}

void upstream_refused(struct upstream *upstream, unsigned generation)
{
    pthread_mutex_lock(&upstream->lock);
    if (upstream->generation == generation && upstream->state == UPSTREAM_READY)
        upstream_mark_unhealthy(upstream, "a job could not connect");
    pthread_mutex_unlock(&upstream->lock);
}

/* The exit, where there was one in that generation or later. */
static void put_exit(const struct upstream *upstream, unsigned generation, struct buf *exit_report)
{
    if (upstream->exit_text[0] == '\0' || upstream->exit_generation < generation)
        return;
    buf_add_text(exit_report, "The server ", NULL);
    buf_add_text(exit_report, upstream->exit_text, NULL);
    put_last_words(upstream, exit_report);
}

/* How long to wait for the exit. A busy machine may be slow to carry out one that has begun. */
static int64_t patience_for_exit(const struct upstream *upstream, unsigned generation,
                                 int64_t patience_ms)
{
    bool has_begun = upstream->generation == generation && upstream->pid != 0 &&
                     process_is_ending(upstream->pid);
    if (!upstream_has_program(upstream))
        return 0;
    return has_begun && patience_ms < LIMIT_SERVER_END_MS ? LIMIT_SERVER_END_MS : patience_ms;
}

void upstream_report_exit(struct upstream *upstream, struct upstream_waiter *waiter,
                          const struct flag *stop, unsigned generation, int64_t patience_ms,
                          struct buf *exit_report)
{
    pthread_mutex_lock(&upstream->lock);
    deadline_ms deadline = upstream_deadline(upstream,
                                             patience_for_exit(upstream, generation, patience_ms));
    add_waiter(upstream, waiter);
    while (upstream->generation == generation && upstream_now_ms(upstream) < deadline &&
           !flag_is_raised(stop))
        wait_for_change(upstream, waiter, deadline);
    remove_waiter(upstream, waiter, stop);
    put_exit(upstream, generation, exit_report);
    pthread_mutex_unlock(&upstream->lock);
}
