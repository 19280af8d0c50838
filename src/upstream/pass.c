/*
 * A load-balancing endpoint in front of the handler's server: requests go to it as they come, and
 * its responses back. Each is counted like a job, but there are no slots: a connection's own thread
 * passes its requests on, over one of as many connections to the server as requests are allowed at
 * a time. The one that was used last is used first, so that a server that serves one connection
 * after the other is not held up by idle ones.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "http/relay.h"
#include "source/front.h"
#include "upstream/handler.h"
#include "upstream/upstream_private.h"

/* What a request needs while it is passed on. */
struct way {
    struct server_pending pending; /* first, so that a pending pointer is a way's */
    struct pass_source *pass;
    struct way *next; /* in the list of those that are free */
    struct upstream_waiter waiter;
    struct relay *relay;

    /* The request at hand. */
    struct server_exchange *exchange;
    unsigned generation; /* of the server */
    struct relay_result result;
};

struct pass_source {
    struct source source; /* first, so that a source pointer is a pass's */
    struct front front;
    const struct config *config;
    const struct wake *wake;
    struct upstream *upstream;
    struct relay_setting relay;
    atomic_bool taking; /* the worker is ready */

    pthread_mutex_t lock; /* over all that follows */
    struct way *free_ways;
    size_t in_use; /* ways */
    struct log_repeat repeat;
};

/* --- ways to the server ----------------------------------------------------------------------- */

static struct way *new_way(struct pass_source *pass, struct err *err)
{
    struct way *way = calloc(1, sizeof *way);
    if (way == NULL || wake_init(&way->waiter.wake, err) != 0) {
        free(way);
        return NULL;
    }
    way->pass = pass;
    if (relay_new(&way->relay, &pass->relay, err) == 0)
        return way;
    wake_free(&way->waiter.wake);
    free(way);
    return NULL;
}

/* NULL where the worker is full, or out of memory. */
static struct way *take_way(struct pass_source *pass)
{
    struct err err = { 0 };
    size_t most = upstream_polled(pass->upstream, (size_t)pass->config->concurrency);
    pthread_mutex_lock(&pass->lock);
    bool has_room = pass->in_use < most;
    struct way *way = has_room ? pass->free_ways : NULL;
    if (way != NULL)
        pass->free_ways = way->next;
    pass->in_use += has_room ? 1 : 0;
    pthread_mutex_unlock(&pass->lock);
    if (!has_room || way != NULL || (way = new_way(pass, &err)) != NULL)
        return way;
    log_write(LOG_ERROR, NULL, "A request was refused: %s", err.text);
    pthread_mutex_lock(&pass->lock);
    pass->in_use--;
    pthread_mutex_unlock(&pass->lock);
    return NULL;
}

static void give_way_back(struct pass_source *pass, struct way *way)
{
    pthread_mutex_lock(&pass->lock);
    way->next = pass->free_ways;
    pass->free_ways = way;
    pass->in_use--;
    pthread_mutex_unlock(&pass->lock);
}

/* --- one request ------------------------------------------------------------------------------ */

static bool is_ready(struct pass_source *pass)
{
    return atomic_load(&pass->taking) && upstream_now(pass->upstream) == UPSTREAM_READY;
}

/* With --handler-routes, only those. The path is the server's to read in every other case. */
static bool may_pass(const struct pass_source *pass, const struct http1_request *request)
{
    const struct route_filter *filter = &pass->upstream->setting->routes;
    slice route = { request->path.ptr, request->path.len };
    return filter->count == 0 ||
           (route_check(route, NULL) == 0 && route_filter_allows(filter, request->method, route));
}

static void log_failure(struct pass_source *pass, const struct err *err)
{
    pthread_mutex_lock(&pass->lock);
    log_write_repeated(&pass->repeat, LOG_WARN, NULL, "A request has failed: %s", err->text);
    pthread_mutex_unlock(&pass->lock);
}

/* Says to the client what became of its request, where it has heard nothing yet. */
static void respond_failure(struct server_exchange *exchange, const struct relay_result *result,
                            const struct err *err)
{
    char text[ERR_TEXT_BYTES + 80];
    if (!result->connected && err->code != ERR_MEMORY) {
        front_refuse(exchange, "The server cannot be reached; it may be restarting.");
        return;
    }
    bool late = err->code == ERR_TIMEOUT;
    snprintf(text, sizeof text,
             late ? "The server took too long: %s" : "No complete response from the server: %s",
             err->text);
    server_respond_error(exchange, late ? 504 : 502, slice_from(text), NULL, 0, NULL);
}

static enum upstream_outcome outcome_of(int rc, const struct relay_result *result)
{
    if ((rc == 0 && result->status < 500) || result->status == 101)
        return UPSTREAM_ANSWERED;
    /* A 5xx is the program's own answer to a request that may have been anything. */
    bool silent = rc == ERR_RETRY || rc == ERR_TIMEOUT || rc == ERR_PEER;
    return silent && !result->client_left ? UPSTREAM_SUSPECT : UPSTREAM_NEUTRAL;
}

static void begin_way(struct way *way, struct server_exchange *exchange)
{
    way->exchange = exchange;
    way->generation = upstream_job_begin(way->pass->upstream, &way->waiter);
}

/* The request has come to its end. */
static void end_way(struct way *way, int rc, const struct err *err)
{
    struct pass_source *pass = way->pass;
    const struct relay_result *result = &way->result;
    bool refused = rc == ERR_RETRY && !result->connected;
    if (refused)
        upstream_refused(pass->upstream, way->generation);
    upstream_job_end(pass->upstream, &way->waiter, way->generation,
                     refused ? UPSTREAM_NEUTRAL : outcome_of(rc, result), err->text);
    bool failed = rc != 0 && !result->client_left && result->status != 101;
    if (failed)
        log_failure(pass, err);
    if (failed && result->status == 0)
        respond_failure(way->exchange, result, err);
    give_way_back(pass, way);
}

/* A server_setting's `relay`. */
static void handle(struct server_exchange *exchange, void *owner)
{
    struct pass_source *pass = ((struct front *)owner)->owner;
    struct err err = { 0 };
    struct way *way;
    if (front_refuses_page(&pass->front, exchange))
        return;
    if (!may_pass(pass, exchange->request)) {
        server_respond_error(
            exchange, 403, SLICE_LITERAL("This route is not open to requests (--handler-routes)."),
            NULL, 0, NULL);
    } else if (!is_ready(pass)) {
        front_refuse(exchange, "The server is not ready.");
    } else if ((way = take_way(pass)) == NULL) {
        front_refuse(exchange, "This worker has as many requests as it can take (--concurrency).");
    } else {
        begin_way(way, exchange);
        int rc = relay_pass(way->relay, exchange, &way->result, &err);
        end_way(way, rc, &err);
    }
}

/* --- the same without waiting ----------------------------------------------------------------- */

static bool step(struct server_pending *pending)
{
    const struct err none = { 0 };
    struct way *way = (struct way *)(void *)pending;
    if (!relay_step(way->relay))
        return false;
    end_way(way, 0, &none);
    return true;
}

static void finish(struct server_pending *pending)
{
    struct err err = { 0 };
    struct way *way = (struct way *)(void *)pending;
    int rc = relay_finish(way->relay, &err);
    end_way(way, rc, &err);
}

/* A server_setting's begin_relay. What it leaves, handle does. */
static struct server_pending *begin(struct server_exchange *exchange, void *owner)
{
    struct pass_source *pass = ((struct front *)owner)->owner;
    if (front_guards(&pass->front, exchange) || !may_pass(pass, exchange->request) ||
        !is_ready(pass))
        return NULL;
    struct way *way = take_way(pass);
    if (way == NULL)
        return NULL;
    begin_way(way, exchange);
    way->pending = (struct server_pending){ .step = step, .finish = finish };
    if (relay_begin(way->relay, exchange, &way->result, &way->pending.fd))
        return &way->pending;
    upstream_job_end(pass->upstream, &way->waiter, way->generation, UPSTREAM_NEUTRAL, "");
    give_way_back(pass, way);
    return NULL;
}

static enum front_health ask_health(void *owner)
{
    struct pass_source *pass = owner;
    enum upstream_state state = upstream_now(pass->upstream);
    if (state == UPSTREAM_UNHEALTHY || state == UPSTREAM_LOST)
        return FRONT_UNHEALTHY;
    return state == UPSTREAM_READY && atomic_load(&pass->taking) ? FRONT_READY : FRONT_STARTING;
}

/* --- the source ------------------------------------------------------------------------------- */

static struct pass_source *pass_of(struct source *source)
{
    return (struct pass_source *)(void *)source;
}

static void pass_take(struct source *source, size_t slots, bool busy, struct taken *taken)
{
    struct pass_source *pass = pass_of(source);
    bool asks = pass->config->handler.concurrency_path != NULL; /* for the metrics */
    (void)slots;
    (void)busy;
    *taken = (struct taken){ 0 };
    if (!atomic_exchange(&pass->taking, true))
        log_text(LOG_INFO, NULL, SLICE_LITERAL("Ready for requests."));
    wake_wait(pass->wake, asks ? clock_deadline(LIMIT_ASK_MS) : DEADLINE_NEVER);
}

static void pass_drain(struct source *source)
{
    front_drain(&pass_of(source)->front);
}

/* There are no jobs, so nothing is delivered. */
static const struct source_ops pass_ops = {
    .delivers_at_once = true,
    .take = pass_take,
    .drain = pass_drain,
};

static void fill_in(struct pass_source *pass, const struct config *config, const struct wake *wake)
{
    const struct upstream_setting *setting = pass->upstream->setting;
    pass->source.ops = &pass_ops;
    pass->config = config;
    pass->wake = wake;
    pthread_mutex_init(&pass->lock, NULL);
    atomic_init(&pass->taking, false);
    pass->relay = (struct relay_setting){ .net = setting->net,
                                          .connect_ms = config->handler.connect_ms,
                                          .first_byte_ms = config->handler.first_byte_ms,
                                          .idle_ms = config->handler.idle_ms,
                                          .whole_ms = config->execution_timeout_ms };
    pass->front = (struct front){ .config = config,
                                  .owner = pass,
                                  .health = ask_health,
                                  .relay = handle,
                                  .begin_relay = begin,
                                  .requests_max = config->handler.concurrency_path != NULL
                                                      ? LIMIT_CONCURRENCY
                                                      : (size_t)config->concurrency };
}

int upstream_pass_new(struct source **source, const struct config *config,
                      const struct handler *handler, const struct wake *wake, struct err *err)
{
    struct pass_source *pass = calloc(1, sizeof *pass);
    if (pass == NULL)
        return err_set(err, ERR_MEMORY, "out of memory for --serve");
    pass->upstream = upstream_of(handler);
    fill_in(pass, config, wake);
    int rc = url_parse(pass->upstream->setting->origin, &pass->relay.url, err);
    if (rc == 0)
        rc = front_open(&pass->front, err);
    if (rc != 0)
        return rc; /* the process ends now: a port's threads may run already */
    *source = &pass->source;
    return 0;
}
