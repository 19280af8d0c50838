/* Probes of the server's health route: until it is ready, and now and then from there on. */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/random.h"
#include "base/thread.h"
#include "codec/backoff.h"
#include "codec/url.h"
#include "net/tcp.h"
#include "upstream/upstream_private.h"

/* --- over HTTP -------------------------------------------------------------------------------- */

/* What the thread needs; lives as long as the worker. */
struct http_probe {
    struct upstream_probe probe; /* first: the thread's probe is cast back to this */
    struct upstream *upstream;
    struct upstream_asker asker;
};

static bool ask_route(struct upstream_probe *self, deadline_ms deadline)
{
    struct http_probe *http = (struct http_probe *)self;
    const struct upstream_setting *setting = http->upstream->setting;
    struct http_response response = { 0 };
    int rc = upstream_ask(&http->asker, setting->ready.path, deadline, &response, &self->err);
    if (rc == 0)
        http_read_all(http->asker.client, &response, &http->asker.body, &self->err);
    self->answered = response.status != 0;
    if (self->answered && rc == 0)
        err_set(&self->err, ERR_RETRY, "status %d", response.status);
    return rc == 0 && upstream_ready_accepts(&setting->ready, response.status);
}

/* A connection is enough: to a server without a health route. */
static bool ask_tcp(struct upstream_probe *self, deadline_ms deadline)
{
    static const struct wake *const no_wake = NULL;
    const struct upstream_setting *setting = ((struct http_probe *)self)->upstream->setting;
    struct transport *connection;
    struct url url;
    int rc = url_parse(setting->origin, &url, &self->err);
    if (rc == 0 && setting->net.unix_path != NULL)
        rc = tcp_connect_unix(&connection, setting->net.unix_path, &no_wake, &self->err);
    else if (rc == 0)
        rc = tcp_connect(&connection, url.host, url.port, NULL, &no_wake,
                         clock_earlier(deadline, clock_deadline(LIMIT_READY_ASK_MS)), &self->err);
    if (rc == 0)
        connection->ops->close(connection);
    self->answered = rc == 0;
    return rc == 0;
}

/* --- waiting; under the lock ------------------------------------------------------------------ */

/* True while it is the same server in the same state as before the lock was given up. */
static bool is_still(const struct upstream *upstream, enum upstream_state state,
                     unsigned generation)
{
    return upstream->state == state && upstream->generation == generation;
}

static bool ask_unlocked(struct upstream *upstream, struct upstream_probe *probe,
                         deadline_ms deadline)
{
    pthread_mutex_unlock(&upstream->lock);
    bool healthy = probe->ask(probe, deadline);
    pthread_mutex_lock(&upstream->lock);
    return healthy;
}

/* False once the deadline has passed. */
static bool wait_until(struct upstream *upstream, deadline_ms deadline)
{
    return upstream->clock.wait_cond(upstream->clock.context, &upstream->changed, &upstream->lock,
                                     deadline);
}

/* Sleeps until the deadline, as long as nothing changes. */
static void wait_between(struct upstream *upstream, enum upstream_state state, unsigned generation,
                         deadline_ms deadline)
{
    while (is_still(upstream, state, generation) && wait_until(upstream, deadline))
        continue;
}

/* --- until it is ready, or healthy again ------------------------------------------------------ */

static void time_is_up(struct upstream *upstream, const struct err *err)
{
    struct err what = *err;
    err_wrap(&what, "%s", upstream->setting->ready.name);
    if (upstream->state == UPSTREAM_STARTING) {
        upstream_mark_lost(upstream, "The handler's server was not ready in time: ", what.text,
                           " (RUNPOD_INIT_TIMEOUT or --handler-ready-timeout)");
    } else if (!upstream_has_program(upstream)) {
        upstream_mark_lost(upstream,
                           "The handler's server stayed unhealthy for too long: ", what.text,
                           " (--handler-unhealthy-timeout)");
    } else {
        snprintf(upstream->end_reason, sizeof upstream->end_reason, "it stayed unhealthy (%s)",
                 what.text);
        wake_signal(&upstream->end_program);
        wait_between(upstream, UPSTREAM_UNHEALTHY, upstream->generation, DEADLINE_NEVER);
    }
}

/* Its program is about to be ended: what its health route says no longer counts. */
static bool is_ending(const struct upstream *upstream)
{
    return upstream->end_reason[0] != '\0';
}

/* Now and then, so that a long start can be told from one that hangs. */
static void log_waiting(const struct upstream *upstream, const struct err *err, int64_t *logged_ms)
{
    int64_t now_ms = upstream_now_ms(upstream);
    if (now_ms - *logged_ms < LIMIT_STILL_WAITING_MS)
        return;
    *logged_ms = now_ms;
    char left[40] = "no limit";
    if (upstream->deadline != DEADLINE_NEVER)
        snprintf(left, sizeof left, "%lld s left",
                 (long long)((upstream->deadline - now_ms) / 1000));
    log_write(LOG_INFO, NULL, "Waiting for the handler's server: %s: %s (%lld s so far, %s).",
              upstream->setting->ready.name, err->text,
              (long long)((now_ms - upstream->since_ms) / 1000), left);
}

/* Asks until the server is healthy, has ended, or was given enough time. */
static void ask_until_healthy(struct upstream *upstream, struct upstream_probe *probe)
{
    struct backoff backoff = { .first_ms = LIMIT_READY_FIRST_MS,
                               .longest_ms = LIMIT_READY_LONGEST_MS };
    const enum upstream_state state = upstream->state;
    const unsigned generation = upstream->generation;
    struct err err = { 0 };
    int64_t logged_ms = upstream_now_ms(upstream);
    while (is_still(upstream, state, generation)) {
        bool healthy = ask_unlocked(upstream, probe, upstream->deadline);
        /* The last probe may be cut short by the deadline: an earlier error says more. */
        if (probe->err.code != ERR_TIMEOUT || err.code == 0)
            err = probe->err;
        if (!is_still(upstream, state, generation) || is_ending(upstream))
            return;
        if (healthy) {
            upstream_mark_ready(upstream);
            return;
        }
        deadline_ms next = upstream_deadline(upstream, backoff_next_ms(&backoff, random_u32()));
        if (next > upstream->deadline) {
            time_is_up(upstream, &err);
            return;
        }
        log_waiting(upstream, &err, &logged_ms);
        wait_between(upstream, state, generation, next);
    }
}

/* --- while it is ready ------------------------------------------------------------------------ */

/* Sleeps until the next probe is due: every so often, and soon where a job gives reason to. */
static void wait_for_probe(struct upstream *upstream, unsigned generation, int64_t last_ms)
{
    int64_t interval_ms = upstream->setting->config->handler.unhealthy_ms / 3;
    if (interval_ms > LIMIT_HEALTH_MS)
        interval_ms = LIMIT_HEALTH_MS;
    while (
        is_still(upstream, UPSTREAM_READY, generation) &&
        wait_until(upstream, last_ms + (upstream->probe_due ? LIMIT_HEALTH_SOON_MS : interval_ms)))
        continue;
}

/*
 * A server that handles one request at a time does not answer a probe while it works: silence
 * counts only where no job was under way meanwhile, or jobs have gone wrong since one was last
 * answered, or it has answered probes while it worked.
 */
static bool probe_counts(const struct upstream *upstream, const struct upstream_probe *probe,
                         unsigned changes)
{
    bool had_jobs = upstream->active_jobs > 0 || upstream->job_changes != changes;
    return probe->answered || !had_jobs || upstream->suspect_jobs > 0 || upstream->answers_busy;
}

static void watch(struct upstream *upstream, struct upstream_probe *probe)
{
    const unsigned generation = upstream->generation;
    int64_t last_ms = upstream_now_ms(upstream);
    while (is_still(upstream, UPSTREAM_READY, generation)) {
        wait_for_probe(upstream, generation, last_ms);
        if (!is_still(upstream, UPSTREAM_READY, generation))
            return;
        upstream->probe_due = false;
        int64_t limit_ms = upstream->setting->config->handler.unhealthy_ms;
        unsigned changes = upstream->job_changes;
        bool healthy = ask_unlocked(upstream, probe, upstream_deadline(upstream, limit_ms));
        upstream->answers_busy |= probe->answered && upstream->active_jobs > 0 &&
                                  upstream->job_changes == changes &&
                                  is_still(upstream, UPSTREAM_READY, generation);
        if (is_still(upstream, UPSTREAM_READY, generation) && !healthy &&
            probe_counts(upstream, probe, changes)) {
            upstream_mark_unhealthy(upstream, probe->err.text);
            return;
        }
        last_ms = upstream_now_ms(upstream);
    }
}

/* --- the thread ------------------------------------------------------------------------------- */

void upstream_health_step(struct upstream *upstream, struct upstream_probe *probe)
{
    const enum upstream_state state = upstream->state;
    if (is_ending(upstream) || state == UPSTREAM_DOWN || state == UPSTREAM_LOST)
        wait_until(upstream, DEADLINE_NEVER);
    else if (state == UPSTREAM_READY)
        watch(upstream, probe);
    else
        ask_until_healthy(upstream, probe);
}

static void *health_main(void *argument)
{
    struct http_probe *http = argument;
    pthread_mutex_lock(&http->upstream->lock);
    for (;;)
        upstream_health_step(http->upstream, &http->probe);
    return NULL;
}

int upstream_health_start(struct upstream *upstream, struct err *err)
{
    struct http_probe *http = calloc(1, sizeof *http);
    if (http == NULL)
        return err_set(err, ERR_MEMORY, "no memory for the health probe");
    http->probe.ask = upstream->setting->ready.path.len > 0 ? ask_route : ask_tcp;
    http->upstream = upstream;
    int rc = upstream_asker_init(&http->asker, upstream->setting, LIMIT_REPLY_BYTES,
                                 "response of the health route", err);
    if (rc == 0)
        rc = thread_start(health_main, http, LIMIT_STACK_SERVICE_BYTES, err);
    if (rc != 0) {
        upstream_asker_free(&http->asker);
        free(http);
    }
    return rc;
}
