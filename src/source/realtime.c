#include "source/realtime.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/limits.h"
#include "codec/url.h"
#include "source/realtime_private.h"

static struct realtime *realtime_of(struct source *source)
{
    return (struct realtime *)(void *)source;
}

/* --- called by the taker and the slots ------------------------------------------------------- */

static void api_job_arrived(void *owner)
{
    wake_signal(&((struct realtime *)owner)->arrival);
}

/* Starts the server at the first take, when the worker is ready for jobs. */
static bool serve(struct realtime *realtime)
{
    struct err err = { 0 };
    if (realtime->serving || realtime->has_front)
        return true;
    if (realtime->api != NULL)
        realtime->beside->begin(realtime->api, api_job_arrived, realtime);
    if (server_start(realtime->server, &err) != 0) {
        log_write(LOG_ERROR, NULL, "RUNPOD_REALTIME_PORT: %s", err.text);
        realtime->source.exit_status = 1;
        return false;
    }
    log_write(LOG_INFO, NULL, "Serving POST %s on port %u%s.", realtime->path.ptr,
              (unsigned)realtime->setting.port,
              realtime->api != NULL ? "; also /run, /runsync, /status, /stream, /cancel, /health"
                                    : "");
    if (realtime->config->realtime_token.len == 0 && !server_is_local(realtime->server))
        log_text(LOG_WARN, NULL,
                 SLICE_LITERAL("Whoever reaches this port can run jobs: set --realtime-token-file, "
                               "or --realtime-host 127.0.0.1."));
    realtime->serving = true;
    return true;
}

static void wait_for_arrival(struct realtime *realtime)
{
    struct pollfd entries[] = {
        { .fd = realtime->arrival.fd, .events = POLLIN },
        { .fd = realtime->wake->fd, .events = POLLIN },
    };
    while (poll(entries, 2, realtime->asks ? LIMIT_ASK_MS : -1) < 0 && errno == EINTR)
        continue;
    wake_lower(&realtime->arrival);
}

/* The oldest request that waits; NULL where none does, or none is to be taken. Under the lock. */
static struct pending_request *oldest_waiting(const struct realtime *realtime)
{
    struct pending_request *oldest = realtime->closed ? NULL : realtime->pending_requests;
    while (oldest != NULL && oldest->taken)
        oldest = oldest->next;
    return oldest;
}

/* When the oldest request that waits came; DEADLINE_NEVER where none does. */
static int64_t oldest_arrival_ms(struct realtime *realtime)
{
    pthread_mutex_lock(&realtime->lock);
    const struct pending_request *oldest = oldest_waiting(realtime);
    int64_t arrived_ms = oldest != NULL ? oldest->arrived_ms : DEADLINE_NEVER;
    pthread_mutex_unlock(&realtime->lock);
    return arrived_ms;
}

/* The job of the oldest request that waits; NULL where none does. */
static struct job *pop_job(struct realtime *realtime)
{
    struct job *job = NULL;
    pthread_mutex_lock(&realtime->lock);
    struct pending_request *oldest = oldest_waiting(realtime);
    if (oldest != NULL) {
        oldest->taken = true;
        realtime->waiting--;
        realtime->running++;
        job = oldest->job;
        job->next = NULL;
    }
    pthread_mutex_unlock(&realtime->lock);
    return job;
}

/* Appends a list of jobs. Returns how many they are. */
static size_t append(struct job ***end, struct job *jobs)
{
    size_t count = 0;
    for (**end = jobs; **end != NULL; count++)
        *end = &(**end)->next;
    return count;
}

/* Up to `slots` jobs of both queues, in the order in which they have come. */
static struct job *take_in_order(struct realtime *realtime, size_t slots)
{
    struct job *jobs = NULL, **end = &jobs;
    bool more = false;
    size_t count = 1;
    while (slots > 0 && count > 0) {
        int64_t arrived_ms = oldest_arrival_ms(realtime);
        if (realtime->api != NULL)
            slots -= append(&end, realtime->beside->take(realtime->api, slots, arrived_ms, &more));
        count = slots > 0 ? append(&end, pop_job(realtime)) : 0;
        slots -= count;
    }
    if (more || oldest_arrival_ms(realtime) != DEADLINE_NEVER)
        wake_signal(&realtime->arrival); /* for the next take */
    return jobs;
}

/* So many more requests can run now. */
static void set_room(struct realtime *realtime, size_t slots)
{
    pthread_mutex_lock(&realtime->lock);
    realtime->requests_max = realtime->running + slots;
    pthread_mutex_unlock(&realtime->lock);
    if (realtime->has_front && !atomic_exchange(&realtime->ready, true))
        log_text(LOG_INFO, NULL, SLICE_LITERAL("Ready for requests."));
}

static void realtime_take(struct source *source, size_t slots, bool busy, struct taken *taken)
{
    struct realtime *realtime = realtime_of(source);
    (void)busy;
    *taken = (struct taken){ .ended = !serve(realtime) };
    if (taken->ended)
        return;
    set_room(realtime, slots);
    wait_for_arrival(realtime);
    taken->jobs = take_in_order(realtime, slots);
}

/* The request of a job, kept in the list until finish_answer; NULL if it was removed. */
static struct pending_request *hold_pending_request(struct realtime *realtime,
                                                    const struct job *job)
{
    pthread_mutex_lock(&realtime->lock);
    struct pending_request *pending_request = realtime_find(realtime, job);
    if (pending_request != NULL)
        pending_request->answering = true;
    pthread_mutex_unlock(&realtime->lock);
    return pending_request;
}

static void finish_answer(struct realtime *realtime, struct pending_request *pending_request)
{
    pthread_mutex_lock(&realtime->lock);
    pending_request->answering = false;
    if (!pending_request->answered)
        realtime->running--; /* before its slot is counted as free */
    pending_request->answered = true;
    wake_signal(&pending_request->done);
    pthread_cond_broadcast(&realtime->copied);
    pthread_mutex_unlock(&realtime->lock);
}

/* The connection gets a copy, so that a client that reads slowly does not block the slot. */
static int realtime_post(struct reply_channel *reply_channel, struct job *job,
                         const struct result *result, struct err *err)
{
    struct realtime *realtime = realtime_of(reply_channel->source);
    const struct log_tag tag = job_tag(job);
    struct pending_request *pending_request = hold_pending_request(realtime, job);
    if (pending_request == NULL && realtime->api != NULL)
        return realtime->beside->end_job(realtime->api, job, result, err);
    if (pending_request == NULL)
        return err_set(err, ERR_CANCELLED, "the client has disconnected");
    buf_reserve(&pending_request->body, result->bytes, NULL);
    int rc = buf_add_slices(&pending_request->body, result->pieces, result->count, err);
    pending_request->is_error = result->is_error;
    pending_request->is_stream = result->is_stream;
    finish_answer(realtime, pending_request);
    if (rc == 0)
        log_write(LOG_INFO, &tag, "Finished.");
    return rc;
}

/* True for a job of the job API: it has no request that waits. */
static bool is_api_job(struct realtime *realtime, const struct job *job)
{
    pthread_mutex_lock(&realtime->lock);
    bool waits = realtime_find(realtime, job) != NULL;
    pthread_mutex_unlock(&realtime->lock);
    return realtime->api != NULL && !waits;
}

/* Else the result has the parts: config.aggregate_stream is set in this mode. */
static int realtime_stream(struct reply_channel *reply_channel, struct job *job, slice json,
                           struct err *err)
{
    struct realtime *realtime = realtime_of(reply_channel->source);
    if (job->wants_no_list)
        return realtime_add_event(realtime, job, NULL, json, err);
    return is_api_job(realtime, job) ? realtime->beside->add_part(realtime->api, job, json, err)
                                     : 0;
}

static int realtime_progress(struct reply_channel *reply_channel, const struct job *job, slice json,
                             struct err *err)
{
    struct realtime *realtime = realtime_of(reply_channel->source);
    const struct log_tag tag = job_tag(job);
    if (job->wants_no_list)
        return realtime_add_event(realtime, job, "progress", json, err);
    if (is_api_job(realtime, job)) {
        realtime->beside->set_progress(realtime->api, job, json);
        return 0;
    }
    log_write(LOG_DEBUG, &tag, "Progress (not sent: the answer is not an event stream): %.*s",
              SLICE_ARG(json));
    return 0;
}

static size_t realtime_count_queued(struct source *source)
{
    struct realtime *realtime = realtime_of(source);
    pthread_mutex_lock(&realtime->lock);
    size_t count = realtime->waiting;
    pthread_mutex_unlock(&realtime->lock);
    if (realtime->beside != NULL)
        count += realtime->beside->count_queued(realtime->api);
    return count;
}

/* Refuses the requests that no slot has taken, and those to come: nobody takes them any more. */
static void close_queue(struct realtime *realtime)
{
    pthread_mutex_lock(&realtime->lock);
    realtime->closed = true;
    for (struct pending_request *pending_request = realtime->pending_requests;
         pending_request != NULL; pending_request = pending_request->next) {
        if (pending_request->taken)
            continue;
        pending_request->rejected = true;
        wake_signal(&pending_request->done);
    }
    pthread_mutex_unlock(&realtime->lock);
}

static void realtime_drain(struct source *source)
{
    struct realtime *realtime = realtime_of(source);
    if (realtime->has_front) {
        close_queue(realtime);
        front_drain(&realtime->front);
        return;
    }
    const struct endpoint_beside *beside = realtime->beside;
    if (beside != NULL && beside->close_queue(realtime->api)) {
        close_queue(realtime);
        beside->wait_idle(realtime->api); /* clients may still ask for the jobs that run */
    }
    server_stop(realtime->server);
    close_queue(realtime);
    if (beside != NULL)
        beside->wake_clients(realtime->api);
    server_wait_ended(realtime->server, DEADLINE_NEVER);
}

/* Frees one without a server: a worker ends with those that it has opened. */
static void realtime_free(struct realtime *realtime)
{
    if (realtime->arrival.fd >= 0)
        wake_free(&realtime->arrival);
    buf_free(&realtime->path);
    free(realtime);
}

static const struct source_ops realtime_ops = {
    .delivers_at_once = true,
    .take = realtime_take,
    .post = realtime_post,
    .stream = realtime_stream,
    .progress = realtime_progress,
    .drain = realtime_drain,
    .count_queued = realtime_count_queued,
};

/* --- realtime mode ---------------------------------------------------------------------------- */

/* A server_handler, on the connection's thread. */
static void handle(struct server_exchange *exchange, void *owner)
{
    realtime_serve(owner, exchange, REALTIME_FORM_RESULT);
}

static void handle_api(struct server_exchange *exchange, void *owner)
{
    const struct realtime *realtime = owner;
    realtime->beside->dispatch(exchange, realtime->api);
}

/* As the job API has them: alone, behind the endpoint's id, and as on the platform. */
#define API_ROUTES(methods, path)                                      \
    { methods, path, handle_api }, { methods, "/*" path, handle_api }, \
    {                                                                  \
        methods, "/v2/*" path, handle_api                              \
    }

/* clang-format off */
static const struct server_route api_routes[] = {
    API_ROUTES("POST", "/run"),
    API_ROUTES("POST", "/runsync"),
    API_ROUTES("GET, POST", "/status/*"),
    API_ROUTES("GET, POST", "/status-sync/*"),
    API_ROUTES("GET, POST", "/stream/*"),
    API_ROUTES("GET, POST", "/cancel/*"),
    API_ROUTES("GET, POST", "/health"),
    API_ROUTES("GET", "/ping"),
};
/* clang-format on */
#define API_ROUTE_COUNT (sizeof api_routes / sizeof api_routes[0])
_Static_assert(1 + API_ROUTE_COUNT <= REALTIME_ROUTES_MAX, "as many as there is room for");

/* "/<endpoint id>/realtime", NUL-terminated. */
static int put_path(struct realtime *realtime, struct err *err)
{
    struct buf *path = &realtime->path;
    buf_init(path, URL_MAX_BYTES, "RUNPOD_ENDPOINT_ID");
    buf_add_text(path, "/", NULL);
    url_encode(path, realtime->config->endpoint_id, NULL);
    return buf_add(path, "/realtime", sizeof "/realtime", err);
}

static void fill_in(struct realtime *realtime, const struct config *config, size_t slots)
{
    realtime->routes[0] = (struct server_route){ "POST", realtime->path.ptr, handle };
    for (size_t i = 0; i < API_ROUTE_COUNT; i++)
        realtime->routes[1 + i] = api_routes[i];
    realtime->setting = (struct server_setting){
        .host = config->realtime_host,
        .port = (uint16_t)config->realtime_port,
        .routes = realtime->routes,
        .route_count = realtime->beside != NULL ? 1 + API_ROUTE_COUNT : 1,
        .owner = realtime,
        .admit = realtime_admit,
        .refuses = realtime_refuses,
        .memory_max_bytes = (size_t)config->realtime_memory_bytes,
        .connections_max = slots + LIMIT_REALTIME_WAITING + LIMIT_SERVER_SPARE,
        .body_max_bytes = LIMIT_REQUEST_BYTES,
    };
}

/* Without its port. NULL where there is no memory. */
static struct realtime *make(const struct config *config, size_t slots, const struct wake *wake,
                             struct err *err)
{
    struct realtime *realtime = calloc(1, sizeof *realtime);
    if (realtime == NULL) {
        err_set(err, ERR_MEMORY, "out of memory for requests");
        return NULL;
    }
    realtime->source.ops = &realtime_ops;
    realtime->config = config;
    realtime->wake = wake;
    realtime->asks = slots == LIMIT_CONCURRENCY; /* as it is where it may change */
    realtime->pending_end = &realtime->pending_requests;
    realtime->arrival.fd = -1;
    atomic_init(&realtime->ready, false);
    pthread_mutex_init(&realtime->lock, NULL);
    flag_cond_init(&realtime->copied);
    if (wake_init(&realtime->arrival, err) == 0)
        return realtime;
    realtime_free(realtime);
    return NULL;
}

int source_realtime_new(struct source **source, const struct config *config, size_t slots,
                        const struct wake *wake, const struct endpoint_beside *api, struct err *err)
{
    struct realtime *realtime = make(config, slots, wake, err);
    if (realtime == NULL)
        return err->code;
    realtime->beside = api;
    int rc = put_path(realtime, err);
    fill_in(realtime, config, slots);
    if (rc == 0 && (rc = server_new(&realtime->server, &realtime->setting, err)) != 0)
        err_wrap(err, config->realtime_host.len > 0
                          ? "--realtime-host, RP_REALTIME_HOST, RUNPOD_REALTIME_PORT"
                          : "RUNPOD_REALTIME_PORT");
    if (rc != 0) {
        realtime_free(realtime);
        return rc;
    }
    *source = &realtime->source;
    return api != NULL ? api->make(&realtime->api, config, err) : 0; /* an error ends the process */
}

/* --- a load-balancing endpoint ---------------------------------------------------------------- */

static void serve_request(struct server_exchange *exchange, void *owner, enum realtime_form form)
{
    struct realtime *realtime = ((struct front *)owner)->owner;
    if (atomic_load(&realtime->ready))
        realtime_serve(realtime, exchange, form);
    else
        front_refuse(exchange, "The handler is not ready.");
}

static void serve_plain(struct server_exchange *exchange, void *owner)
{
    serve_request(exchange, owner, REALTIME_FORM_PLAIN);
}

static void serve_job(struct server_exchange *exchange, void *owner)
{
    serve_request(exchange, owner, REALTIME_FORM_STATUS);
}

static enum front_health ask_health(void *owner)
{
    const struct realtime *realtime = owner;
    return atomic_load(&realtime->ready) ? FRONT_READY : FRONT_STARTING;
}

int source_serve_new(struct source **source, const struct config *config, size_t slots,
                     const struct wake *wake, struct err *err)
{
    static const struct server_route routes[] = { { "POST", "/", serve_plain },
                                                  { "POST", "/run", serve_job },
                                                  { "POST", "/runsync", serve_job } };
    struct realtime *realtime = make(config, slots, wake, err);
    if (realtime == NULL)
        return err->code;
    realtime->has_front = true;
    realtime->front = (struct front){ .config = config,
                                      .owner = realtime,
                                      .health = ask_health,
                                      .routes = routes,
                                      .route_count = sizeof routes / sizeof *routes,
                                      .requests_max = slots,
                                      .body_max_bytes = LIMIT_REQUEST_BYTES };
    int rc = front_open(&realtime->front, err);
    if (rc == 0)
        *source = &realtime->source;
    return rc; /* the process ends now: a port's threads may run already */
}
