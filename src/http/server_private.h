/*
 * http/server_private.h - one connection of the server, shared by the files that serve it:
 * server_connection.c runs it, server_request.c reads heads and finds routes, server_body.c reads
 * bodies, server_response.c answers. All of it runs on the connection's own thread and may block,
 * but for server_loop.c, where connections share one.
 */
#ifndef HTTP_SERVER_PRIVATE_H
#define HTTP_SERVER_PRIVATE_H

#include <stdatomic.h>

#include "http/server.h"
#include "net/transport.h"

/* A head, and room for the bytes that show that it is too long. */
#define SERVER_HEAD_ROOM_BYTES (HTTP1_HEAD_MAX_BYTES + 64)

/* Read at a time of a chunked body; what lies behind the body then moves to the head's buffer. */
#define SERVER_RAW_BYTES SERVER_HEAD_ROOM_BYTES

/* What bodies may take together, and do. */
struct server_memory {
    size_t max_bytes; /* 0: no limit */
    atomic_size_t used_bytes;
};

struct server_connection {
    struct server_exchange exchange; /* first, so that an exchange pointer is a connection's */
    const struct server_setting *setting;
    const struct wake *stopping;  /* the server's */
    const atomic_bool *stopped;   /* the same, to be asked without a system call; may be NULL */
    int fd;                       /* the transport's; only for poll and shutdown */
    bool refused;                 /* the server has its maximum of connections: answer 503, close */
    struct server_memory *memory; /* the server's */
    atomic_size_t held_bytes;     /* of it, by this connection's request and response */
    atomic_llong idle_since_ms;   /* waits for a request's first byte since then; 0: it does not */

    /* Called once, before fd is closed: from then on nobody else may use it. */
    void (*leave)(struct server_connection *connection);

    struct transport *stream;
    struct wake own;         /* server_own_wake; fd -1: not made yet */
    const struct wake *wake; /* interrupts the stream: `stopping`, or NULL while it may not */
    struct http1_request request;
    struct buf in;  /* bytes received: a request's head, and what came behind it */
    struct buf out; /* a response's head */
    size_t used;    /* bytes of `in` that belong to the request: its head, and what is read of it */
    bool is_used;   /* it has had a request */
    bool responded; /* the request has had its response, or its response has begun */
    bool streaming; /* its response has begun and comes in pieces */
    bool chunked;   /* they are chunks; else the connection's end is the body's */
    bool closing;   /* the connection ends after the response */
    bool unread;    /* the client may still be sending what nobody will read */
    char peer[46];  /* the client's address as text; "" until it is asked for */
    bool is_open;   /* server_connection_open has been called */

    /* In a loop (server_loop.c). */
    struct server_connection *loop_next, **loop_link;
    struct server_pending *pending; /* the request at hand, if it has begun there */
    int64_t pending_ms;             /* since then */
    bool readable;                  /* the client has sent something since it was last read */
    bool half_closed;               /* it sends no more: nothing will say so again */

    bool draining; /* the server stops, and this connection has its last chance (drain_ms) */
};

/* True once server_stop has been called. */
bool server_has_stopped(const struct server_connection *connection);

/*
 * Serves the connection until it ends; blocks all that time. Takes over fd. Ends early once
 * *stopping is signalled, as server_stop describes.
 */
void server_connection_run(struct server_connection *connection);

/*
 * The steps of that, for server_loop.c. open: false where there is no memory. begin: a head of
 * `size` bytes has been parsed; end: its response has been sent, and the connection goes on unless
 * it is closing. close: at the connection's end.
 */
bool server_connection_open(struct server_connection *connection);
void server_connection_begin(struct server_connection *connection, size_t size);
void server_connection_end(struct server_connection *connection);
void server_connection_close(struct server_connection *connection);

/* --- server_loop.c: connections that share a thread while their requests need none --- */

struct server_loop;

struct server_loop_setting {
    const struct wake *stopping;
    void *owner; /* passed to these, which any loop may call */
    void (*hand_over)(struct server_connection *connection, void *owner); /* it needs a thread */
    void (*closed)(struct server_connection *connection, void *owner);    /* it has been closed */
    void (*ended)(void *owner); /* the loop has, after `stopping` */
};

/* Starts a loop's thread. ERR_MEMORY. free: once `ended` has been called. */
int server_loop_new(struct server_loop **loop, const struct server_loop_setting *setting,
                    struct err *err);
void server_loop_free(struct server_loop *loop);

/* Takes an open connection. False where the loop has ended, or the system has no room. */
bool server_loop_add(struct server_loop *loop, struct server_connection *connection);

/* --- server_input.c --- */

/* Reads up to `size` bytes. Returns how many (at least 1), or an error; the stream's end is one. */
ptrdiff_t server_read(struct server_connection *connection, char *bytes, size_t size,
                      deadline_ms deadline, struct err *err);

bool server_has_body(const struct http1_request *request);

/* --- server_request.c --- */

/*
 * Reads one head to its end and parses it into connection->request. Returns its size in bytes, 0
 * where the connection ended between two requests, or an error.
 */
ptrdiff_t server_read_head(struct server_connection *connection, struct err *err);

/*
 * The request's route, with the exchange's args set. NULL where there is none: then the request has
 * been refused, unless the setting has a `relay`.
 */
const struct server_route *server_find_route(struct server_connection *connection);

/* Refuses a request whose head asks for what this server cannot do. True where it did. */
bool server_refuse_head(struct server_connection *connection);

/* --- server_body.c --- */

/*
 * Reads the request's body, if it has one, into the exchange. *used: how many bytes of
 * connection->in belong to the request, so far its head. ERR_LIMIT past body_max_bytes; ERR_PEER
 * where it is malformed; ERR_RETRY, ERR_TIMEOUT, ERR_CANCELLED, ERR_MEMORY.
 */
int server_read_body(struct server_connection *connection, size_t *used, struct err *err);

/*
 * When the next byte of a body must have come: the later the more has come already, so that a
 * client that sends a byte now and then is given up soon, and one on a slow network is not.
 */
deadline_ms server_body_deadline(deadline_ms begun, size_t received, deadline_ms now);

/* Has a client that waits for it send its body ("Expect: 100-continue"). Errors as read. */
int server_send_continue(struct server_connection *connection, struct err *err);

/* --- server_response.c --- */

/* Appends Connection, where it has to be said. */
void server_put_connection(const struct server_connection *connection, struct http1_writer *head);

/*
 * Responds with an error. `whole`: the request has been read to its end, so another may follow on
 * this connection; else it ends.
 */
void server_refuse(struct server_connection *connection, int status, const char *message,
                   bool whole);
void server_refuse_large(struct server_connection *connection);        /* 413 */
void server_refuse_unauthorized(struct server_connection *connection); /* 401 */

/*
 * Counts `bytes` more as the connection's, which server_release gives back. ERR_MEMORY where that
 * would be more than the server's maximum.
 */
int server_claim(struct server_connection *connection, size_t bytes, struct err *err);
void server_release(struct server_connection *connection);

/* Responds to a request that could not be read because of `code`, where the client may hear it. */
void server_refuse_for(struct server_connection *connection, int code, const char *text);

#endif
