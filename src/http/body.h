/*
 * net/http_body.h - inside of net/http: the body of an answer, read piece by piece, however its
 * end is known.
 */
#ifndef NET_HTTP_BODY_H
#define NET_HTTP_BODY_H

#include "base/clock.h"
#include "codec/http1.h"
#include "net/http_connection.h"

/* Where in the body one is. All zero is a body that has ended. */
struct http_body {
    enum http1_body kind;
    uint64_t length; /* for HTTP1_BODY_LENGTH: of the whole */
    uint64_t left;   /* and what is still to come */
    struct http1_chunks chunks;
    bool closed;          /* the connection has ended, and with it an HTTP1_BODY_CLOSE */
    deadline_ms deadline; /* of the whole body */
    int64_t idle_ms;      /* without a byte */
};

/* The body behind the head just read. `response` is not kept. */
void http_body_begin(struct http_body *body, const struct http1_response *response,
                     deadline_ms deadline, int64_t idle_ms);

/*
 * Reads up to `size` bytes (at least 1) of the body. Returns how many, 0 at its end, or an error:
 * ERR_RETRY where it is cut off, ERR_TIMEOUT after idle_ms without a byte, past the deadline or
 * past `until`, ERR_PEER, ERR_CANCELLED. Blocks. Of no use after an error but ERR_TIMEOUT.
 */
ptrdiff_t http_body_read(struct http_body *body, struct http_connection *connection, void *bytes,
                         size_t size, deadline_ms until, struct err *err);

/* True where all of the body has been read, so that what follows is the next answer. */
bool http_body_has_ended(const struct http_body *body);

#endif
