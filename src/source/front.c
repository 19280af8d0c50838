#include "source/front.h"

#include "base/limits.h"

void front_refuse(struct server_exchange *exchange, const char *why)
{
    const struct http1_field retry = { SLICE_LITERAL("Retry-After"), SLICE_LITERAL("1") };
    server_respond_error(exchange, 503, slice_from(why), &retry, 1, NULL);
}

/* --- web pages elsewhere ---------------------------------------------------------------------- */

/*
 * On the platform, and where others reach the port, pages are clients as any: their requests come
 * through a proxy. On a developer's machine they come from a browser that asks nobody.
 */
static bool is_own_name(const struct front *front, const struct http1_request *request)
{
    return http1_request_has_own_name(request, front->config->serve.host);
}

bool front_guards(const struct front *front, const struct server_exchange *exchange)
{
    const struct config *config = front->config;
    const struct http1_request *request = exchange->request;
    if (config->serve.open || config->has_pod_id || config->endpoint_id.len > 0)
        return false;
    if (is_own_name(front, request) &&
        (http1_request_is_same_origin(request) || http1_request_is_local_origin(request) ||
         http1_request_is_navigation(request)))
        return false;
    return server_client_is_here(exchange);
}

bool front_refuses_page(const struct front *front, struct server_exchange *exchange)
{
    if (!front_guards(front, exchange))
        return false;
    if (is_own_name(front, exchange->request))
        server_respond_error(exchange, 403,
                             SLICE_LITERAL("Web pages of another origin may not use a worker on "
                                           "this machine; --serve-open lets them."),
                             NULL, 0, NULL);
    else
        server_respond_error(exchange, 421,
                             SLICE_LITERAL("Requests from this machine must name the worker by its "
                                           "address, localhost or --serve-host (a protection "
                                           "against DNS rebinding); --serve-open lifts that."),
                             NULL, 0, NULL);
    return true;
}

/* --- health ----------------------------------------------------------------------------------- */

/* A server_handler. */
static void answer_health_check(struct server_exchange *exchange, void *owner)
{
    struct front *front = owner;
    const slice ready = SLICE_LITERAL("{\"status\": \"ready\"}");
    struct server_response response = { .status = 204 };
    enum front_health health = front->health(front->owner);
    if (atomic_load(&front->draining)) {
        front_refuse(exchange, "The worker is shutting down.");
    } else if (health == FRONT_UNHEALTHY) {
        front_refuse(exchange, "The handler is not healthy.");
    } else {
        if (health == FRONT_READY)
            response = (struct server_response){
                .status = 200, .content_type = "application/json", .body = &ready, .body_count = 1
            };
        server_respond(exchange, &response, NULL);
    }
}

/* A server_setting's `refuses`. Health checks say nothing that a page could use. */
static bool refuses(struct server_exchange *exchange, void *owner)
{
    const struct front *front = owner;
    const struct http1_request *request = exchange->request;
    bool reads = slice_is(request->method, "GET") || slice_is(request->method, "HEAD");
    bool is_health_check = reads && slice_is(request->path, front->config->serve.health_path);
    return !is_health_check && front_refuses_page(front, exchange);
}

static void fill_in(struct front *front)
{
    const struct config *config = front->config;
    front->all_routes[0] = (struct server_route){ "GET", config->serve.health_path,
                                                  answer_health_check };
    for (size_t i = 0; i < front->route_count; i++)
        front->all_routes[i + 1] = front->routes[i];
    front->setting = (struct server_setting){
        .host = config->serve.host,
        .port = config->serve.port,
        .routes = front->all_routes,
        .route_count = front->route_count + 1,
        .owner = front,
        .relay = front->relay,
        .begin_relay = front->begin_relay,
        .refuses = refuses,
        .connections_max = front->requests_max + LIMIT_SERVE_CONNECTIONS,
        .body_max_bytes = front->body_max_bytes,
        .memory_max_bytes = (size_t)config->realtime_memory_bytes,
        .drain_ms = LIMIT_SERVE_DRAIN_MS,
    };
    front->health_setting = (struct server_setting){
        .host = config->serve.host,
        .port = config->serve.health_port,
        .routes = front->all_routes,
        .route_count = 1,
        .owner = front,
        .connections_max = LIMIT_SERVER_SPARE,
    };
}

static int open_port(struct server **server, const struct server_setting *setting, const char *name,
                     struct err *err)
{
    int rc = server_new(server, setting, err);
    if (rc == 0)
        rc = server_start(*server, err);
    if (rc != 0)
        err_wrap(err, "%s", name);
    return rc;
}

int front_open(struct front *front, struct err *err)
{
    const struct config *config = front->config;
    bool one_port = config->serve.health_port == config->serve.port && config->serve.port != 0;
    one_port |= config->serve.health_text == NULL;
    front->server = front->health_server = NULL;
    atomic_init(&front->draining, false);
    fill_in(front);
    int rc = open_port(&front->server, &front->setting, "PORT, --serve-host", err);
    if (rc == 0 && !one_port)
        rc = open_port(&front->health_server, &front->health_setting, "PORT_HEALTH", err);
    if (rc != 0)
        return rc;
    const struct server *health = one_port ? front->server : front->health_server;
    log_write(LOG_INFO, NULL, "Serving requests on port %u; health checks: GET %s on port %u.",
              (unsigned)server_port(front->server), config->serve.health_path,
              (unsigned)server_port(health));
    return 0;
}

void front_drain(struct front *front)
{
    atomic_store(&front->draining, true);
    server_stop(front->server);
    server_wait_ended(front->server, DEADLINE_NEVER);
    if (front->health_server == NULL)
        return;
    server_stop(front->health_server);
    server_wait_ended(front->health_server, DEADLINE_NEVER);
}
