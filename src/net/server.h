/*
 * net/server.h - a small HTTP/1.1 server for few connections: each has a thread of its own, on
 * which the handlers of its requests run.
 *
 * What a peer can do is bounded: the number of connections, the size of heads and bodies, the time
 * for each part of a request and for reading its answer (base/limits.h). A request that is not
 * meant for a handler is answered here, as {"error": "..."}: 400 for what is no HTTP, 404, 405 with
 * Allow, 408, 413, 415 for a compressed body, 417, 431, and 503 for a connection too many. "Expect:
 * 100-continue" is answered before the body is read; a body comes with a length or chunked.
 */
#ifndef NET_SERVER_H
#define NET_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/flag.h"
#include "base/slice.h"
#include "codec/http1.h"

struct server;

#define SERVER_ARGS_MAX 2
#define SERVER_BODY_PARTS_MAX 8

/* One request on its way to its answer. Belongs to its connection's thread. */
struct server_exchange {
    const struct http1_request *request;
    slice args[SERVER_ARGS_MAX]; /* what stood in the place of the route's "*"s, encoded as it is */

    /* The whole body. A handler may take it over by copying the struct and clearing this one. */
    struct buf body;
};

/* Answers one request by calling server_answer, once. May block. */
typedef void server_handler(struct server_exchange *exchange, void *owner);

struct server_route {
    const char *methods; /* as in Allow: "POST", or "GET, POST" */
    const char *path;    /* "/status/" and so on; a segment "*" stands for any that is not empty */
    server_handler *handle;
};

/* All of it is linked and must outlive the server. */
struct server_setting {
    slice host;    /* the address or name to listen on; empty: every address, IPv6 and IPv4 */
    uint16_t port; /* 0: any that is free */
    const struct server_route *routes;
    size_t route_count;
    void *owner; /* passed to the handlers */
    size_t connections_max;
    size_t body_max_bytes;
};

/*
 * Takes the port, but listens only from server_start on. Blocks for the look-up of a name.
 * ERR_CONFIG naming the address where it cannot be had; ERR_MEMORY.
 */
int server_new(struct server **server, const struct server_setting *setting, struct err *err);

/* The port it has: setting->port, or the free one that the system chose for 0. */
uint16_t server_port(const struct server *server);

/* Listens and starts the thread that accepts connections. ERR_CONFIG, ERR_MEMORY. */
int server_start(struct server *server, struct err *err);

/*
 * Accepts no more connections and no more requests: idle connections are closed, others after the
 * answer they are about to get; a request that has not been read whole is refused with 503.
 * Returns at once. For any thread, any number of times.
 */
void server_stop(struct server *server);

/* Waits until no connection is left, after server_stop. False where the deadline has passed. */
bool server_wait_ended(struct server *server, deadline_ms deadline);

/* Frees a server that was never started, or has ended. */
void server_free(struct server *server);

/* --- for handlers ------------------------------------------------------------------------- */

enum server_event {
    SERVER_WOKEN,   /* the wake-up was signalled */
    SERVER_GONE,    /* the client has closed its connection, or its sending half */
    SERVER_TIMEOUT, /* neither, until the deadline */
};

/* Sleeps until one of these. A wake-up that is signalled already wins over the others. */
enum server_event server_wait(struct server_exchange *exchange, const struct wake *wake,
                              deadline_ms deadline);

struct server_answer {
    int status;
    const char *content_type;         /* NULL where there is no body */
    const struct http1_field *fields; /* besides Content-Type, Content-Length, Connection, Date */
    size_t field_count;
    const slice *body; /* parts, sent one after the other */
    size_t body_count; /* at most SERVER_BODY_PARTS_MAX */
};

/*
 * Sends the answer, and blocks until the system has taken all of it. Returns 0, or the trouble it
 * met: ERR_RETRY, ERR_TIMEOUT where the client is gone or does not read; ERR_INPUT where it cannot
 * be sent. A handler that returns without having answered has the client told 500.
 */
int server_answer(struct server_exchange *exchange, const struct server_answer *answer,
                  struct err *err);

/* Ends the connection without an answer: the client has gone. */
void server_hang_up(struct server_exchange *exchange);

/* The same as server_answer for {"error": "message"}. The message may hold any bytes. */
int server_answer_error(struct server_exchange *exchange, int status, slice message,
                        const struct http1_field *fields, size_t field_count, struct err *err);

#endif
