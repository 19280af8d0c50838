/*
 * http/relay.h - passes a request that the server has got on to another HTTP/1.1 server, and its
 * response back, while both are still coming: bodies of any size, server-sent events, WebSockets.
 *
 * One parser decides where a message ends, the one of codec/http1.h, and it refuses what two could
 * read differently. What goes out is written anew: lengths and chunks are the relay's own, trailers
 * are left out, bytes behind a response end its connection. So nobody can smuggle a request or a
 * response inside another.
 *
 * Fields that concern one connection are left out both ways (RFC 9110, section 7.6.1). Host stays
 * as the client sent it, the client's address is added to X-Forwarded-For. Interim responses are
 * not passed on; "Expect: 100-continue" is answered here. "Upgrade: websocket" is passed on, and
 * where the server agrees, all bytes after that go both ways; other upgrades are not offered to it.
 */
#ifndef HTTP_RELAY_H
#define HTTP_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "codec/url.h"
#include "http/net.h"
#include "http/server.h"

/* All of it is linked and must outlive the relays. */
struct relay_setting {
    struct http_net net; /* plain HTTP, no proxy */
    struct url url;      /* the server's; its path does not matter */

    /* In ms; 0: no limit. */
    int64_t connect_ms;
    int64_t first_byte_ms; /* from the end of the request to the response's first byte */
    int64_t idle_ms;       /* without a byte within the response */
    int64_t whole_ms;      /* from the request's head to the end of the response */
};

struct relay;

/* What has become of a request. */
struct relay_result {
    bool connected;   /* the server was reached */
    int status;       /* of its response; 0: none came that can be passed on */
    bool client_left; /* the client closed its connection, or broke the rules: it has its answer */
};

/* A kept-alive connection to the server, not open yet. One thread at a time. ERR_MEMORY. */
int relay_new(struct relay **relay, const struct relay_setting *setting, struct err *err);

/* For tests: a worker keeps its connections, for the next request, as long as it lives. */
void relay_free(struct relay *relay);

/*
 * Passes the exchange's request on, and the response back; called by a server_setting's `relay`.
 * Blocks until all of the response has been handed to the system, a WebSocket has ended, the client
 * has left, or a limit has passed. 0 where all of it went well.
 *
 * ERR_CANCELLED with result->client_left: nothing more is to be done. Other errors concern the
 * server: ERR_RETRY (not reached, broken off), ERR_TIMEOUT (the text names the limit), ERR_PEER,
 * ERR_LIMIT, ERR_MEMORY. With result->status 0 the client has had no response and the handler sends
 * one; else its response breaks off, so that it does not take it for whole.
 *
 * A request is sent a second time, on a new connection, only where the server closed the kept-alive
 * one before it responded, nothing of a body was sent, and the method may be repeated (RFC 9110,
 * section 9.2.2).
 */
int relay_pass(struct relay *relay, struct server_exchange *exchange, struct relay_result *result,
               struct err *err);

/*
 * The same without waiting, for a server_setting's begin_relay. relay_begin sends a request that is
 * all here; false where it is not, or the server cannot be reached at once: then nothing has been
 * done. relay_step is called when *fd can be read, and true once the response has been handed on.
 * Where it is false, or *fd is -1, relay_finish does the rest: it blocks and returns as relay_pass.
 */
bool relay_begin(struct relay *relay, struct server_exchange *exchange, struct relay_result *result,
                 int *fd);
bool relay_step(struct relay *relay);
int relay_finish(struct relay *relay, struct err *err);

#endif
