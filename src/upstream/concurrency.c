/*
 * How many jobs suit the server, asked while it runs: --handler-concurrency-path is polled for a
 * number, on a thread. A poll that fails changes nothing.
 */
#include <stdio.h>

#include "base/log.h"
#include "base/thread.h"
#include "upstream/upstream_private.h"
#include "json/json.h"

struct poll {
    struct upstream *upstream;
    struct upstream_asker asker;
    int status;                      /* of the response that came last; 0: none */
    bool failing;                    /* the last poll failed, */
    int failed_error, failed_status; /* and the last failure's kind; its text may quote a body */
    struct log_repeat repeat;        /* of failures of that kind */
};

/* N, or {"concurrency": N}. */
static int read_number(slice body, size_t *number, struct err *err)
{
    slice value = json_trim(body), member;
    int64_t found = 0;
    int rc = json_check(body, NULL, err);
    if (rc == 0 && json_type(value) == RP_OBJECT && json_member(value, "concurrency", &member))
        value = member;
    if (rc == 0 && json_int(value, &found, NULL) == 0 && found >= 1 && found <= LIMIT_CONCURRENCY) {
        *number = (size_t)found;
        return 0;
    }
    return err_set(err, ERR_PEER,
                   "\"%.*s\" is not a whole number from 1 to %d or {\"concurrency\": number}",
                   value.len < 80 ? (int)value.len : 80, value.ptr, LIMIT_CONCURRENCY);
}

static int ask(struct poll *poll, size_t *number, struct err *err)
{
    const struct config *config = poll->upstream->setting->config;
    struct http_response response = { 0 };
    int rc = upstream_ask(&poll->asker, slice_from(config->handler.concurrency_path),
                          clock_deadline(LIMIT_READY_ASK_MS), &response, err);
    poll->status = rc == 0 ? response.status : 0;
    if (rc == 0)
        rc = http_read_all(poll->asker.client, &response, &poll->asker.body, err);
    if (rc != 0)
        return rc;
    if (response.status != 200)
        return err_set(err, ERR_PEER, "status %d", response.status);
    return read_number(buf_slice(&poll->asker.body), number, err);
}

/* Each kind in a row once. A server that works on one request at a time is silent now and then. */
static void log_failure(struct poll *poll, const struct err *err)
{
    const struct config *config = poll->upstream->setting->config;
    bool same = poll->failed_error == err->code && poll->failed_status == poll->status;
    if (same && poll->failing)
        return;
    if (!same)
        log_repeat_reset(&poll->repeat);
    poll->failing = true;
    poll->failed_error = err->code;
    poll->failed_status = poll->status;
    log_write_repeated(&poll->repeat, LOG_WARN, NULL,
                       "The server's concurrency stays %s: %s: %s (--handler-concurrency-path).",
                       atomic_load(&poll->upstream->polled) > 0 ? "as it was"
                                                                : "at its initial value",
                       config->handler.concurrency_path, err->text);
}

static void poll_once(struct poll *poll)
{
    struct err err = { 0 };
    size_t number = 0;
    if (ask(poll, &number, &err) != 0) {
        log_failure(poll, &err);
        return;
    }
    poll->failing = false;
    if (atomic_exchange(&poll->upstream->polled, number) != number)
        log_write(LOG_INFO, NULL, "Concurrency: %zu (the server's %s).", number,
                  poll->upstream->setting->config->handler.concurrency_path);
}

/* Under the lock. */
static void wait_ready(struct upstream *upstream)
{
    while (upstream->state != UPSTREAM_READY)
        upstream->clock.wait_cond(upstream->clock.context, &upstream->changed, &upstream->lock,
                                  DEADLINE_NEVER);
}

static void *poll_main(void *argument)
{
    struct poll *poll = argument;
    struct upstream *upstream = poll->upstream;
    for (;;) {
        pthread_mutex_lock(&upstream->lock);
        wait_ready(upstream);
        pthread_mutex_unlock(&upstream->lock);
        poll_once(poll);
        clock_sleep(clock_deadline(upstream->setting->config->handler.concurrency_interval_ms));
    }
    return NULL;
}

int upstream_poll_start(struct upstream *upstream, struct err *err)
{
    static struct poll poll; /* of the one server that a worker has */
    if (upstream->setting->config->handler.concurrency_path == NULL ||
        config_is_local(upstream->setting->config))
        return 0;
    poll.upstream = upstream;
    int rc = upstream_asker_init(&poll.asker, upstream->setting, LIMIT_CONCURRENCY_BYTES,
                                 "the server's concurrency", err);
    if (rc == 0)
        rc = thread_start(poll_main, &poll, LIMIT_STACK_SERVICE_BYTES, err);
    if (rc != 0)
        upstream_asker_free(&poll.asker);
    return rc;
}

size_t upstream_polled(struct upstream *upstream, size_t otherwise)
{
    size_t number = atomic_load(&upstream->polled);
    return number > 0 ? number : otherwise;
}
