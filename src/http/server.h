/*
 * http/server.h - a small HTTP/1.1 server for a limited number of connections. Each has a thread of
 * its own, on which the handlers of its requests run; but see begin_relay.
 *
 * What a peer can cost is bounded: the number of connections, the size of heads and bodies and of
 * all of them together, the time for each part of a request and for reading its response
 * (base/limits.h). Where all connections are in use, the one that has been idle the longest gives
 * way. A request that no handler can take is answered here with {"error": "..."}: 400 for malformed
 * HTTP, 401, 404, 405 with Allow, 408, 413, 415 for a compressed body, 417, 431, and 503 for a
 * connection over the maximum or a body over the memory for all of them.
 * "Expect: 100-continue" is answered before the body is read. A body has a length or is chunked.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

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

/* One request and its response. Belongs to the connection's thread. */
struct server_exchange {
    const struct http1_request *request;
    slice args[SERVER_ARGS_MAX]; /* the path's segments at the route's "*"s, still encoded */

    /* The whole body. A handler may take it over with buf_move. */
    struct buf body;
};

/* True where the request may be served: its Authorization is right. Called after its head. */
typedef bool server_admit(const struct http1_request *request, void *owner);

/* Responds to one request by calling server_respond, once. May block. */
typedef void server_handler(struct server_exchange *exchange, void *owner);

/* A request whose handler waits for a descriptor, and holds no thread meanwhile. */
struct server_pending {
    int fd;                                      /* -1: finish is to be called at once */
    bool (*step)(struct server_pending *self);   /* fd can be read. True: done. Never blocks */
    void (*finish)(struct server_pending *self); /* blocks until done */
};

struct server_route {
    const char *methods; /* as in Allow: "POST", or "GET, POST"; GET allows HEAD, too; "*": any */
    const char *path;    /* a segment "*" matches any that is not empty, "**" the rest */
    server_handler *handle;
};

/* All of it is linked and must outlive the server. */
struct server_setting {
    slice host;    /* the address or name to listen on; empty: every address, IPv6 and IPv4 */
    uint16_t port; /* 0: a free one that the system chooses */
    const struct server_route *routes;
    size_t route_count;
    void *owner; /* passed to the handlers */

    /*
     * NULL, or the handler of every request that no route takes, whatever its method. It is called
     * when the head has come: the body, of any size and encoding, has not been read, and
     * relay_pass (http/relay.h) passes it on. Without that it responds like any handler.
     */
    server_handler *relay;

    /*
     * NULL, or a way to handle such requests without a thread for each: connections then share a
     * few threads. Called first; what it returns is linked until done. NULL where the request needs
     * a thread, which then calls `relay` and has the connection from then on. Never blocks for more
     * than a moment.
     */
    struct server_pending *(*begin_relay)(struct server_exchange *exchange, void *owner);
    server_admit *admit; /* others are refused with 401; NULL: every request is admitted */

    /*
     * NULL, or asked of a request with a route before its body is read: true where it has refused
     * the request, by responding as a handler does. Nobody else can make the worker hold a body.
     */
    bool (*refuses)(struct server_exchange *exchange, void *owner);
    size_t connections_max;
    size_t body_max_bytes;
    size_t memory_max_bytes; /* of all bodies together; 0: no limit */

    /*
     * After server_stop: how long an open connection may take to send one more request, which is
     * served: a client that reads "Connection: close" loses none. 0: such connections are closed.
     */
    int64_t drain_ms;
};

/*
 * Binds the port, but listens only from server_start on. Blocks while a host name is looked up.
 * ERR_CONFIG naming the address that cannot be bound; ERR_MEMORY.
 */
int server_new(struct server **server, const struct server_setting *setting, struct err *err);

/* The port it is bound to: setting->port, or what the system chose for 0. */
uint16_t server_port(const struct server *server);

/* True where it is bound to loopback addresses alone. */
bool server_is_local(const struct server *server);

/* True where the client runs on this machine (or its address is not known). */
bool server_client_is_here(const struct server_exchange *exchange);

/* Listens and starts the thread that accepts connections. ERR_CONFIG, ERR_MEMORY. */
int server_start(struct server *server, struct err *err);

/*
 * Stops accepting connections and requests: idle connections are closed at once, others after the
 * response they are about to get; a request that has not fully arrived is refused with 503. With
 * drain_ms, connections that the system has accepted and requests that come in time are served.
 * Returns at once. Any thread may call it, any number of times.
 */
void server_stop(struct server *server);

/* After server_stop: waits until all connections have ended. False once the deadline has passed. */
bool server_wait_ended(struct server *server, deadline_ms deadline);

/* Frees a server that was never started, or has ended. */
void server_free(struct server *server);

/* --- for handlers ------------------------------------------------------------------------- */

enum server_event {
    SERVER_WOKEN,   /* the wake-up was signalled */
    SERVER_GONE,    /* the client has closed its connection, or its sending half */
    SERVER_TIMEOUT, /* neither, until the deadline */
};

/* Waits for one of these. A wake-up that has been signalled wins over the others. */
enum server_event server_wait(struct server_exchange *exchange, const struct wake *wake,
                              deadline_ms deadline);

/*
 * A wake of this connection's own, for server_wait; NULL and ERR_MEMORY where the system has no
 * descriptor left. It may be signalled still from the request before.
 */
const struct wake *server_own_wake(struct server_exchange *exchange, struct err *err);

/*
 * Counts `bytes` of a response that waits for its reader as the server's memory for bodies, until
 * the handler returns: while they fill it, requests with bodies are refused. Any thread, before
 * that; does not block.
 */
void server_hold(struct server_exchange *exchange, size_t bytes);

struct server_response {
    int status;
    const char *content_type;         /* NULL where there is no body */
    const struct http1_field *fields; /* besides Content-Type, Content-Length, Connection, Date */
    size_t field_count;
    const slice *body; /* parts, sent one after the other */
    size_t body_count; /* at most SERVER_BODY_PARTS_MAX */
};

/*
 * Sends the response, and blocks until the system has taken all of it: LIMIT_BODY_MS at most, and
 * LIMIT_BODY_IDLE_MS where the client reads nothing. ERR_RETRY or ERR_TIMEOUT where it has gone or
 * does not read; ERR_INPUT where the request already has a response,
 * or this one cannot be sent. After a handler that did not respond, the client gets 500.
 */
int server_respond(struct server_exchange *exchange, const struct server_response *response,
                   struct err *err);

/*
 * A response in pieces, as they come to be: begin with the head (no body), write any number of
 * pieces, end. In HTTP/1.1 each piece is a chunk; to HTTP/1.0 the connection's end is the body's.
 * Where a handler returns without server_stream_end, the connection is closed in the middle, so
 * that the client does not take the body for whole. The pieces of a response to HEAD go nowhere.
 *
 * Each call blocks until the system has taken all of it. Errors as server_respond; ERR_INPUT also
 * out of order. After any error nothing more can be sent.
 */
int server_stream_begin(struct server_exchange *exchange, const struct server_response *response,
                        struct err *err);
int server_stream_write(struct server_exchange *exchange, slice piece, struct err *err);
int server_stream_end(struct server_exchange *exchange, struct err *err);

/* True once server_stop has been called: a handler that streams comes to an end. */
bool server_is_stopping(const struct server_exchange *exchange);

/* Ends the connection without a response: the client has gone. */
void server_hang_up(struct server_exchange *exchange);

/* As server_respond, with the body {"error": "message"}. The message may hold any bytes. */
int server_respond_error(struct server_exchange *exchange, int status, slice message,
                         const struct http1_field *fields, size_t field_count, struct err *err);

#endif
