/*
 * net/http_connection.h - inside of net/http: a connection on which requests can be sent, with
 * the bytes received and not yet used. Opened directly or through a proxy.
 */
#ifndef NET_HTTP_CONNECTION_H
#define NET_HTTP_CONNECTION_H

#include "codec/url.h"
#include "net/http.h"
#include "net/transport.h"

struct http_connection {
    const struct http_net *net;
    struct transport *stream; /* NULL while closed */
    const struct wake *wake;  /* looked at by the stream before every wait; NULL for none */
    bool parts_gently;        /* see struct http_request */
    atomic_bool *answering;   /* raised when an answer begins; NULL for none */
    const struct address_filter *filter; /* for the stream to be opened; NULL allows all */
    const struct address_filter *judged; /* the filter that the open stream has passed */
    bool through_proxy;                  /* requests go in absolute form */
    struct buf host;                     /* these three: the origin that the stream leads to */
    uint16_t port;
    bool tls;

    /* Bytes received and not yet used: rx[rx_start..rx_end). */
    size_t rx_start, rx_end;
    char rx[HTTP1_HEAD_MAX_BYTES];
};

void http_connection_init(struct http_connection *connection, const struct http_net *net);

/* Closes the stream, where one is open, and forgets what was received. */
void http_connection_close(struct http_connection *connection);

/*
 * Makes sure that a stream to the URL's origin is open. *reused tells whether it was before.
 * Blocks until the deadline at most. Errors as http_exchange.
 */
int http_connection_open(struct http_connection *connection, const struct url *url,
                         deadline_ms deadline, bool *reused, struct err *err);

/*
 * Reads a head into rx and parses it; *response points into rx, which stays as it is until the
 * next read. 1xx answers are passed over. The first byte must come before `first`, the whole
 * head LIMIT_BODY_IDLE_MS later. ERR_STALE where the stream ended before the first byte.
 */
int http_connection_read_head(struct http_connection *connection, bool to_head_request,
                              deadline_ms first, struct http1_response *response, struct err *err);

/* Reads more bytes behind rx_end. Returns how many, 0 at the end of the stream, or an error. */
ptrdiff_t http_connection_fill(struct http_connection *connection, deadline_ms deadline,
                               struct err *err);

#endif
