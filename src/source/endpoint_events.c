/*
 * Server-sent events for the console: /events tells of all jobs, /events/ID of one. A comment goes
 * out now and then, so that a client that has gone is noticed.
 */
#include "base/limits.h"
#include "codec/byte_class.h"
#include "source/endpoint_private.h"
#include "source/events.h"

/* --- one job ---------------------------------------------------------------------------------- */

/* What the client has been told. */
struct seen {
    size_t parts, log_bytes;
    int state;
    unsigned retries, updates;
};

static bool has_unseen(const struct store_job *job, void *owner)
{
    const struct seen *seen = owner;
    return (int)job->state != seen->state || job->retries != seen->retries ||
           job->part_count > seen->parts || job->log.len > seen->log_bytes ||
           job->updates != seen->updates;
}

static void put_log(struct buf *out, const struct store_job *job, struct seen *seen)
{
    slice log = slice_skip(buf_slice(&job->log), seen->log_bytes), line;
    seen->log_bytes = job->log.len;
    while (byte_class_next(&log, '\n', &line)) {
        if (line.len == 0)
            continue;
        size_t start = events_begin(out, "log");
        endpoint_put_error(out, line);
        events_end(out, start);
    }
}

static void put_unseen(const struct endpoint *endpoint, struct buf *out,
                       const struct store_job *job, struct seen *seen)
{
    if (job->retries != seen->retries)
        seen->parts = 0;
    put_log(out, job, seen);
    for (; seen->parts < job->part_count; seen->parts++)
        events_put(out, "part", store_part(job, seen->parts));
    if (job->progress.len > 0 && job->updates != seen->updates)
        events_put(out, "progress", buf_slice(&job->progress));
    seen->updates = job->updates;
    if ((int)job->state == seen->state && job->retries == seen->retries)
        return;
    seen->state = (int)job->state;
    seen->retries = job->retries;
    size_t start = events_begin(out, "status");
    endpoint_put_status(endpoint, out, job);
    events_end(out, start);
}

/* Sends what is new, or a comment. False where the stream is over. */
static bool send_unseen(struct endpoint_request *request, const struct store_job *job,
                        struct seen *seen, struct buf *out)
{
    buf_clear(out);
    store_lock(&request->endpoint->store);
    put_unseen(request->endpoint, out, job, seen);
    bool over = store_has_ended(job);
    store_unlock(&request->endpoint->store);
    if (out->len == 0)
        buf_add_text(out, EVENTS_ALIVE, NULL);
    return buf_error(out, NULL) == 0 &&
           server_stream_write(request->exchange, buf_slice(out), NULL) == 0 && !over &&
           !server_is_stopping(request->exchange);
}

static void tell_of_job(struct endpoint_request *request, struct store_job *job)
{
    struct buf out;
    struct seen seen = { .state = -1 };
    if (!endpoint_begin_events(request))
        return;
    buf_init(&out, SIZE_MAX, "events");
    while (send_unseen(request, job, &seen, &out) &&
           endpoint_wait(request, job, has_unseen, &seen, clock_deadline(LIMIT_ENDPOINT_ALIVE_MS)))
        continue;
    server_stream_end(request->exchange, NULL);
    buf_free(&out);
}

/* --- all jobs --------------------------------------------------------------------------------- */

static void put_jobs(const struct endpoint *endpoint, struct buf *out)
{
    buf_clear(out);
    size_t start = events_begin(out, "jobs");
    buf_add_text(out, "{\"health\": ", NULL);
    endpoint_put_health(endpoint, out);
    buf_add_text(out, ", \"requests\": ", NULL);
    endpoint_put_list(endpoint, out);
    buf_add_text(out, "}", NULL);
    events_end(out, start);
}

/* With the watcher linked: the list at every change, but not more often than is useful. */
static void tell_changes(struct endpoint_request *request, struct store_watcher *watcher,
                         struct buf *out)
{
    struct store *store = &request->endpoint->store;
    enum server_event event = SERVER_WOKEN;
    while (event != SERVER_GONE && !server_is_stopping(request->exchange)) {
        if (event == SERVER_WOKEN) {
            store_lock(store);
            put_jobs(request->endpoint, out);
            store_unlock(store);
        } else {
            buf_clear(out);
            buf_add_text(out, EVENTS_ALIVE, NULL);
        }
        if (buf_error(out, NULL) != 0 ||
            server_stream_write(request->exchange, buf_slice(out), NULL) != 0)
            return;
        clock_sleep(clock_deadline(LIMIT_ENDPOINT_EVENT_MS));
        event = server_wait(request->exchange, watcher->wake,
                            clock_deadline(LIMIT_ENDPOINT_ALIVE_MS));
        wake_lower(watcher->wake);
    }
}

static void tell_of_all(struct endpoint_request *request)
{
    struct store *store = &request->endpoint->store;
    struct store_watcher watcher = { .wake = server_own_wake(request->exchange, NULL) };
    struct buf out;
    if (watcher.wake == NULL) {
        endpoint_refuse(request, 503, "The worker has no file descriptor left.");
        return;
    }
    if (endpoint_begin_events(request)) {
        buf_init(&out, SIZE_MAX, "events");
        store_lock(store);
        store_watch(&store->watchers, &watcher);
        store_unlock(store);
        tell_changes(request, &watcher, &out);
        store_lock(store);
        store_unwatch(&store->watchers, &watcher);
        store_unlock(store);
        server_stream_end(request->exchange, NULL);
        buf_free(&out);
    }
}

void endpoint_events(struct endpoint_request *request)
{
    struct store *store = &request->endpoint->store;
    if (request->id.len == 0) {
        tell_of_all(request);
        return;
    }
    store_lock(store);
    struct store_job *job = store_find(store, request->id);
    if (job != NULL)
        store_hold(job);
    store_unlock(store);
    if (job == NULL) {
        endpoint_refuse(request, 404, "There is no job with this id.");
        return;
    }
    tell_of_job(request, job);
    endpoint_drop(request->endpoint, job);
}
