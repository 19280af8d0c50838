/*
 * http/connection.h - private to http/client: a connection on which requests can be sent, opened
 * directly or through a proxy, with the bytes received and not yet used.
 */
#ifndef HTTP_CONNECTION_H
#define HTTP_CONNECTION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/flag.h"
#include "codec/http1.h"
#include "codec/url.h"
#include "http/net.h"
#include "net/resolve.h"
#include "net/transport.h"

struct http_connection {
    const struct http_net *net;
    struct transport *stream;    /* NULL while closed */
    const struct wake *wake;     /* interrupts whatever the stream waits for; NULL for none */
    bool half_close_on_wake;     /* see struct http_request */
    bool wake_in_head;           /* the wake-up counts after a response's first byte, too */
    unsigned interim_count;      /* interim responses to the request at hand */
    atomic_bool *response_begun; /* raised by a response's first byte; NULL for none */
    const struct address_filter *filter; /* for the next stream to be opened; NULL allows all */
    const struct address_filter *stream_filter; /* what the open stream's address has passed */
    bool through_proxy;                         /* requests go in absolute form */

    /* The origin that the stream leads to. */
    struct buf host;
    uint16_t port;
    bool tls;

    /* Bytes received and not yet used: rx[rx_start..rx_end). */
    size_t rx_start, rx_end;
    char rx[HTTP1_HEAD_MAX_BYTES];
};

void http_connection_init(struct http_connection *connection, const struct http_net *net);

/* Closes the stream, if one is open, and forgets what was received. */
void http_connection_close(struct http_connection *connection);

/*
 * Makes sure that a stream to the URL's origin is open. *reused: it already was. Blocks until the
 * deadline at most. Errors as http_exchange.
 */
int http_connection_open(struct http_connection *connection, const struct url *url,
                         deadline_ms deadline, bool *reused, struct err *err);

/* Points in time for the head of a response. */
struct http_head_deadlines {
    deadline_ms first; /* for its first byte, however many interim responses come before it */
    deadline_ms whole; /* for all of it; also at most LIMIT_BODY_IDLE_MS after its first byte */
};

/*
 * 0 for the head of a final response, 1 for an interim one (1xx), which another must follow and
 * which is counted. ERR_PEER past LIMIT_INTERIM_RESPONSES, and for 101, which nobody has asked for.
 */
int http_connection_judge_head(struct http_connection *connection,
                               const struct http1_response *head, struct err *err);

/*
 * Reads a response head into rx and parses it; *head points into rx, which stays unchanged until
 * the next read. Interim (1xx) responses are skipped, LIMIT_INTERIM_RESPONSES of them at most.
 * ERR_STALE where the stream ended before the first byte; else errors as http_exchange.
 */
int http_connection_read_head(struct http_connection *connection, bool to_head_request,
                              struct http_head_deadlines deadlines, struct http1_response *head,
                              struct err *err);

/*
 * While a request is being sent: reads what has come, and skips interim responses. 1 where the head
 * of a final response is there whole, for http_connection_read_head; 0 where not; or an error as
 * there. Waits for a moment where less has come than can be read (TLS).
 */
int http_connection_look_for_head(struct http_connection *connection, deadline_ms deadline,
                                  struct err *err);

/* Reads more bytes behind rx_end. Returns how many, 0 at the end of the stream, or an error. */
ptrdiff_t http_connection_fill(struct http_connection *connection, deadline_ms deadline,
                               struct err *err);

/* Appends Proxy-Authorization where the proxy's URL has a user. */
void http_put_proxy_credentials(struct http1_writer *head, const struct url *proxy);

#endif
