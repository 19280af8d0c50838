/*
 * http/body.h - private to http/client: the body of a response, read piece by piece, however its
 * end is marked.
 */
#ifndef HTTP_BODY_H
#define HTTP_BODY_H

#include "base/clock.h"
#include "codec/http1.h"
#include "http/connection.h"

/* How far a body has been read. All zero is one that has ended. */
struct http_body {
    enum http1_body kind;
    uint64_t length; /* for HTTP1_BODY_LENGTH: bytes in all */
    uint64_t left;   /* and bytes still to come */
    struct http1_chunks chunks;
    bool closed;          /* the connection has ended; with it, an HTTP1_BODY_CLOSE */
    deadline_ms deadline; /* of the whole body */
    int64_t idle_ms;      /* the longest pause without a byte of the body itself */
};

/* Starts the body that follows a head just read. `head` is not kept. */
void http_body_begin(struct http_body *body, const struct http1_response *head,
                     deadline_ms deadline, int64_t idle_ms);

/*
 * Reads up to `size` bytes (at least 1) of the body. Returns how many, 0 at its end, or an error:
 * ERR_RETRY where it is cut off; ERR_TIMEOUT after idle_ms without a byte, past the deadline or
 * past `until`; ERR_PEER; ERR_CANCELLED. Blocks. After ERR_TIMEOUT it may be called again; after
 * any other error the connection can only be closed.
 */
ptrdiff_t http_body_read(struct http_body *body, struct http_connection *connection, void *bytes,
                         size_t size, deadline_ms until, struct err *err);

/* True where the whole body has been read, so that the connection is at the next response. */
bool http_body_has_ended(const struct http_body *body);

#endif
