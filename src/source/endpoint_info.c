/* What the worker says of itself: ping, health, metrics. */
#include "base/limits.h"
#include "job/stats.h"
#include "source/endpoint_private.h"
#include "json/json.h"

void endpoint_ping(struct endpoint_request *request)
{
    if (atomic_load(&request->endpoint->ready))
        endpoint_respond_with(request, 200, "application/json", SLICE_LITERAL("{}"), NULL, 0);
    else
        endpoint_respond_with(request, 204, NULL, (slice){ 0 }, NULL, 0);
}

void endpoint_put_health(const struct endpoint *endpoint, struct buf *out)
{
    const struct store *store = &endpoint->store;
    int ready = atomic_load(&endpoint->ready);
    int running = ready && store->running > 0;
    json_add(out, NULL,
             "{\"jobs\": {\"completed\": %lu, \"failed\": %lu, \"inProgress\": %zu, "
             "\"inQueue\": %zu, \"retried\": %lu}, ",
             (unsigned long)store->finished[STORE_COMPLETED],
             (unsigned long)(store->finished[STORE_FAILED] + store->finished[STORE_TIMED_OUT]),
             store->running, store->queued, (unsigned long)store->retried);
    json_add(out, NULL,
             "\"workers\": {\"idle\": %d, \"initializing\": %d, \"ready\": %d, \"running\": %d, "
             "\"throttled\": 0, \"unhealthy\": 0}}",
             ready && !running, !ready, ready, running);
}

void endpoint_health(struct endpoint_request *request)
{
    struct buf out;
    buf_init(&out, LIMIT_REPLY_BYTES, "a response");
    store_lock(&request->endpoint->store);
    endpoint_put_health(request->endpoint, &out);
    store_unlock(&request->endpoint->store);
    endpoint_respond(request, 200, &out);
    buf_free(&out);
}

/* /v2/ID/metrics, as the platform answers it. */
void endpoint_ready(struct endpoint_request *request)
{
    struct buf out;
    buf_init(&out, LIMIT_REPLY_BYTES, "a response");
    json_add(&out, NULL, "{\"readyWorkers\": %d}", (int)atomic_load(&request->endpoint->ready));
    endpoint_respond(request, 200, &out);
    buf_free(&out);
}

/* --- Prometheus ------------------------------------------------------------------------------ */

/* The same names as on the platform; here the queue knows better than the slots. */
void endpoint_put_metrics(struct endpoint *endpoint, struct buf *out)
{
    struct store *store = &endpoint->store;
    store_lock(store);
    const struct stats_jobs jobs = {
        .finished = { store->finished[STORE_COMPLETED], store->finished[STORE_FAILED],
                      store->finished[STORE_CANCELLED], store->finished[STORE_TIMED_OUT] },
        .queued = store->queued,
        .running = store->running,
        .wait = store->wait,
        .execution = store->execution,
    };
    uint64_t retried = store->retried, kept = store->ended_count, bytes = store->bytes;
    store_unlock(store);
    stats_put_jobs(out, &jobs);
    exposition_put_counter(out, "worker_jobs_retried_total", "Jobs put back into the queue.",
                           retried);
    exposition_put_gauge(out, "worker_jobs_kept", "Jobs that have ended and are kept.", kept);
    exposition_put_gauge(out, "worker_jobs_kept_bytes", "Memory of all jobs.", bytes);
}

void endpoint_metrics(struct endpoint_request *request)
{
    struct buf out;
    buf_init(&out, LIMIT_MIB, "the metrics");
    endpoint_put_metrics(request->endpoint, &out);
    stats_put_process(&out);
    endpoint_respond_with(request, 200, EXPOSITION_TYPE, buf_slice(&out), NULL, 0);
    buf_free(&out);
}
