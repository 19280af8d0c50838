/*
 * source/front.h - the ports of a load-balancing endpoint (--serve): PORT for requests, and where
 * PORT_HEALTH is another one, a port that answers health checks alone (source: the platform's
 * documentation of load-balancing endpoints). The manual is source/SERVE.md.
 */
#ifndef SOURCE_FRONT_H
#define SOURCE_FRONT_H

#include <stdatomic.h>

#include "config/config.h"
#include "http/server.h"

enum front_health {
    FRONT_STARTING,  /* 204 */
    FRONT_READY,     /* 200 */
    FRONT_UNHEALTHY, /* 503 */
};

#define FRONT_ROUTES_MAX 4

/* Filled in by its owner; handlers get the front as their owner. All of it is linked. */
struct front {
    const struct config *config;
    void *owner;
    enum front_health (*health)(void *owner); /* asked by any thread */
    const struct server_route *routes;        /* besides the health route */
    size_t route_count;
    server_handler *relay; /* as a server_setting's, and so is the next one */
    struct server_pending *(*begin_relay)(struct server_exchange *exchange, void *owner);
    size_t requests_max; /* at a time */
    size_t body_max_bytes;

    /* The rest is the front's own. */
    struct server *server, *health_server;
    struct server_setting setting, health_setting;
    struct server_route all_routes[FRONT_ROUTES_MAX + 1];
    atomic_bool draining;
};

/* Binds the ports and serves at once. ERR_CONFIG names the variable; ERR_MEMORY. */
int front_open(struct front *front, struct err *err);

/*
 * Health checks say 503 from now on. Blocks until every request, those included that open
 * connections send within LIMIT_SERVE_DRAIN_MS, has been answered.
 */
void front_drain(struct front *front);

/*
 * Refuses what a web page elsewhere makes a browser on this machine send, where this is not the
 * platform and --serve-open is not set: 403, or 421 for a foreign Host. True where it has.
 * front_guards alone: whether it would. Requests with a route have been asked; a `relay` asks.
 */
bool front_guards(const struct front *front, const struct server_exchange *exchange);
bool front_refuses_page(const struct front *front, struct server_exchange *exchange);

/* 503 {"error": why} with Retry-After. */
void front_refuse(struct server_exchange *exchange, const char *why);

#endif
