#include "source/endpoint.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/thread.h"
#include "base/utf8.h"
#include "source/endpoint_private.h"

static struct endpoint *endpoint_of(struct source *source)
{
    return (struct endpoint *)(void *)source;
}

/* --- called by the taker --------------------------------------------------------------------- */

static struct job *take_jobs(struct endpoint *endpoint, size_t slots, int64_t before_ms, bool *more)
{
    struct job *jobs = NULL, **end = &jobs;
    struct store_job *next;
    store_lock(&endpoint->store);
    while (slots-- > 0 && !endpoint->closed &&
           (next = store_begin_next(&endpoint->store, before_ms)) != NULL) {
        next->job->next = NULL;
        *end = next->job;
        end = &next->job->next;
    }
    *more = !endpoint->closed && endpoint->store.queued > 0;
    store_unlock(&endpoint->store);
    return jobs;
}

static struct job *endpoint_take_now(struct source *source, size_t slots)
{
    bool more;
    return take_jobs(endpoint_of(source), slots, DEADLINE_NEVER, &more);
}

static void begin(struct endpoint *endpoint, void (*arrived)(void *owner), void *owner)
{
    store_lock(&endpoint->store);
    endpoint->arrived = arrived;
    endpoint->arrived_owner = owner;
    store_unlock(&endpoint->store);
    atomic_store(&endpoint->ready, true);
}

static void endpoint_on_arrival(struct source *source, void (*arrived)(void *owner), void *owner)
{
    begin(endpoint_of(source), arrived, owner);
}

void endpoint_tell_arrival(struct endpoint *endpoint)
{
    store_lock(&endpoint->store);
    void (*arrived)(void *) = endpoint->arrived;
    void *owner = endpoint->arrived_owner;
    store_unlock(&endpoint->store);
    if (arrived != NULL)
        arrived(owner);
}

/* --- called by the slots --------------------------------------------------------------------- */

/* The record of a job that still runs for it; NULL where it was cancelled, or is run again. */
static struct store_job *find_running(struct endpoint *endpoint, const struct job *job)
{
    struct store_job *found = store_find(&endpoint->store, job->id);
    return found != NULL && found->job == job && found->state == STORE_IN_PROGRESS ? found : NULL;
}

static int cancelled(struct err *err)
{
    return err_set(err, ERR_CANCELLED, "the job is no longer wanted");
}

/* The line belongs to the job's log, which its end closes. */
static void log_finished(struct endpoint *endpoint, const struct job *job)
{
    const struct log_tag tag = job_tag(job);
    store_lock(&endpoint->store);
    bool wanted = find_running(endpoint, job) != NULL;
    store_unlock(&endpoint->store);
    if (wanted)
        log_text(LOG_INFO, &tag, SLICE_LITERAL("Finished."));
}

static int end_job(struct endpoint *endpoint, const struct job *job, const struct result *result,
                   struct err *err)
{
    struct buf body;
    buf_init(&body, SIZE_MAX, "the result"); /* a result is limited where it is sealed */
    buf_reserve(&body, result->bytes, NULL);
    int rc = buf_add_slices(&body, result->pieces, result->count, err);
    if (rc == 0)
        log_finished(endpoint, job);
    store_lock(&endpoint->store);
    struct store_job *record = find_running(endpoint, job);
    if (record == NULL)
        rc = cancelled(err);
    else if (rc == 0)
        store_set_result(&endpoint->store, record, &body, result->is_error);
    else
        store_end(&endpoint->store, record, STORE_FAILED);
    if (record != NULL)
        endpoint_call_webhook(endpoint, record);
    pthread_cond_broadcast(&endpoint->idle);
    store_unlock(&endpoint->store);
    buf_free(&body);
    return rc;
}

static int endpoint_post(struct reply_channel *reply_channel, struct job *job,
                         const struct result *result, struct err *err)
{
    return end_job(endpoint_of(reply_channel->source), job, result, err);
}

static int add_part(struct endpoint *endpoint, const struct job *job, slice json, struct err *err)
{
    store_lock(&endpoint->store);
    struct store_job *record = find_running(endpoint, job);
    int rc = record == NULL ? cancelled(err) : store_add_part(&endpoint->store, record, json, err);
    store_unlock(&endpoint->store);
    return rc;
}

static int endpoint_post_part(struct reply_channel *reply_channel, struct job *job, slice json,
                              struct err *err)
{
    return add_part(endpoint_of(reply_channel->source), job, json, err);
}

static void set_progress(struct endpoint *endpoint, const struct job *job, slice json)
{
    store_lock(&endpoint->store);
    struct store_job *record = find_running(endpoint, job);
    if (record != NULL)
        store_set_progress(&endpoint->store, record, json);
    store_unlock(&endpoint->store);
}

static int endpoint_progress(struct reply_channel *reply_channel, const struct job *job, slice json,
                             struct err *err)
{
    (void)err;
    set_progress(endpoint_of(reply_channel->source), job, json);
    return 0;
}

static void endpoint_put_jobs(struct source *source, struct buf *out)
{
    endpoint_put_metrics(endpoint_of(source), out);
}

/* --- the log of a job ------------------------------------------------------------------------ */

static struct endpoint *listening;

static void hear_log(enum log_level level, slice job_id, slice message)
{
    char line[LOG_MESSAGE_MAX_CHARS];
    int len = snprintf(line, sizeof line, "%-7s| %.*s", log_level_name(level), SLICE_ARG(message));
    size_t size = len < (int)sizeof line ? (size_t)len : sizeof line - 1;
    store_lock(&listening->store);
    struct store_job *record = store_find(&listening->store, job_id);
    if (record != NULL)
        store_add_log(&listening->store, record, utf8_whole((slice){ line, size }));
    store_unlock(&listening->store);
}

/* --- time ------------------------------------------------------------------------------------ */

/* Webhooks of jobs whose time was over are called here: nobody else notices. */
static void call_timed_out(struct endpoint *endpoint, int64_t since_ms)
{
    for (struct store_job *job = endpoint->store.newest; job != NULL; job = job->older)
        if (job->state == STORE_TIMED_OUT && job->ended_ms >= since_ms)
            endpoint_call_webhook(endpoint, job);
}

static void *timer_main(void *argument)
{
    struct endpoint *endpoint = argument;
    struct store *store = &endpoint->store;
    store_lock(store);
    for (;;) {
        int64_t now_ms = clock_now_ms();
        uint64_t timed_out = store->finished[STORE_TIMED_OUT];
        if (store->next_ms <= now_ms)
            store_look_at_time(store);
        if (store->finished[STORE_TIMED_OUT] != timed_out) {
            call_timed_out(endpoint, now_ms);
            pthread_cond_broadcast(&endpoint->idle);
        }
        flag_cond_wait(&store->timer, &store->lock, store->next_ms);
    }
    return NULL;
}

static size_t count_queued(struct endpoint *endpoint)
{
    store_lock(&endpoint->store);
    size_t count = endpoint->store.queued;
    store_unlock(&endpoint->store);
    return count;
}

/* --- the end --------------------------------------------------------------------------------- */

static bool close_queue(struct endpoint *endpoint)
{
    store_lock(&endpoint->store);
    endpoint->closed = true;
    store_purge(&endpoint->store);
    pthread_cond_broadcast(&endpoint->called);
    bool busy = endpoint->store.running > 0 || endpoint->call_count > 0;
    store_unlock(&endpoint->store);
    return busy;
}

static void wait_idle(struct endpoint *endpoint)
{
    store_lock(&endpoint->store);
    while (endpoint->store.running > 0 || endpoint->call_count > 0)
        pthread_cond_wait(&endpoint->idle, &endpoint->store.lock);
    store_unlock(&endpoint->store);
}

static void wake_clients(struct endpoint *endpoint)
{
    store_lock(&endpoint->store);
    store_wake_all(&endpoint->store);
    store_unlock(&endpoint->store);
}

/* Jobs that run come to their end, and their clients and webhooks hear of it. */
static void endpoint_drain(struct source *source)
{
    struct endpoint *endpoint = endpoint_of(source);
    close_queue(endpoint);
    wait_idle(endpoint);
    server_stop(endpoint->server);
    wake_clients(endpoint);
    server_wait_ended(endpoint->server, DEADLINE_NEVER);
}

static const struct source_ops endpoint_ops = {
    .delivers_at_once = true,
    .take_now = endpoint_take_now,
    .on_arrival = endpoint_on_arrival,
    .post = endpoint_post,
    .stream = endpoint_post_part,
    .progress = endpoint_progress,
    .drain = endpoint_drain,
    .put_metrics = endpoint_put_jobs,
};

static int start_timer(struct endpoint *endpoint, struct err *err)
{
    return thread_start(timer_main, endpoint, LIMIT_STACK_SERVICE_BYTES, err);
}

/* Without a server, and without its timer. NULL and ERR_MEMORY. */
static struct endpoint *make(const struct config *config, struct err *err)
{
    struct endpoint *endpoint = calloc(1, sizeof *endpoint);
    if (endpoint == NULL) {
        err_set(err, ERR_MEMORY, "out of memory for the job API");
        return NULL;
    }
    endpoint->source.ops = &endpoint_ops;
    endpoint->config = config;
    atomic_init(&endpoint->ready, false);
    store_init(&endpoint->store);
    pthread_cond_init(&endpoint->idle, NULL);
    flag_cond_init(&endpoint->called);
    return endpoint;
}

static int make_beside(struct endpoint **endpoint, const struct config *config, struct err *err)
{
    *endpoint = make(config, err);
    return *endpoint != NULL ? start_timer(*endpoint, err) : err->code;
}

const struct endpoint_beside source_endpoint_beside = {
    .make = make_beside,
    .begin = begin,
    .take = take_jobs,
    .end_job = end_job,
    .add_part = add_part,
    .set_progress = set_progress,
    .count_queued = count_queued,
    .dispatch = endpoint_dispatch,
    .close_queue = close_queue,
    .wait_idle = wait_idle,
    .wake_clients = wake_clients,
};

static void fill_in(struct endpoint *endpoint, const struct config *config, size_t slots)
{
    slice host = config->api.host;
    endpoint->route = (struct server_route){ "*", "/**", endpoint_handle };
    endpoint->setting = (struct server_setting){
        .host = host.len > 0 ? host : SLICE_LITERAL("localhost"),
        .port = (uint16_t)config->api.port,
        .routes = &endpoint->route,
        .route_count = 1,
        .owner = endpoint,
        .connections_max = slots + LIMIT_ENDPOINT_CONNECTIONS,
        .refuses = endpoint_refuses,
        .body_max_bytes = LIMIT_ENDPOINT_RUNSYNC_BYTES,
        .memory_max_bytes = LIMIT_ENDPOINT_BYTES,
    };
}

static int start(struct endpoint *endpoint, struct err *err)
{
    int rc = server_new(&endpoint->server, &endpoint->setting, err);
    if (rc != 0)
        err_wrap(err, "--rp_api_port, --rp_api_host");
    if (rc == 0)
        rc = start_timer(endpoint, err);
    if (rc == 0)
        rc = server_start(endpoint->server, err);
    return rc;
}

int source_endpoint_new(struct source **source, const struct config *config,
                        const struct http_net *net, size_t slots, struct err *err)
{
    struct endpoint *endpoint = make(config, err);
    if (endpoint == NULL)
        return err->code;
    fill_in(endpoint, config, slots);
    endpoint->net = net;
    listening = endpoint;
    log_set_listener(hear_log);
    int rc = start(endpoint, err);
    if (rc != 0)
        return rc; /* the process ends now: its timer may run already */
    log_write(LOG_INFO, NULL, "Serving the job API and the console on http://%.*s:%u/",
              SLICE_ARG(endpoint->setting.host), (unsigned)server_port(endpoint->server));
    *source = &endpoint->source;
    return 0;
}
