/*
 * http/client.h - one HTTP/1.1 exchange: a request and its response.
 *
 * A client keeps one connection to one origin (or proxy) alive between exchanges and opens it when
 * needed. A client belongs to one thread at a time; the http_net is shared by all of them.
 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/flag.h"
#include "base/slice.h"
#include "codec/http1.h"
#include "http/net.h"
#include "net/resolve.h"

struct http_client;

/* Opens no connection yet. net is linked and must outlive the client. ERR_MEMORY. */
int http_client_new(struct http_client **client, const struct http_net *net, struct err *err);
void http_client_free(struct http_client *client);

/* A body that need not be in memory. Any part of it may be read, and more than once. */
struct http_body_source {
    uint64_t bytes; /* of the whole body */

    /* Copies exactly `size` bytes from `offset` on. 0, or an error that ends the exchange. */
    int (*read_at)(const struct http_body_source *self, uint64_t offset, void *bytes, size_t size,
                   struct err *err);
};

/* A field of the response to be copied out: NUL-terminated, "" where it is missing or too long. */
struct http_capture {
    const char *name;
    char *text;
    size_t size; /* of text, at least 1 */
};

#define HTTP_BODY_PARTS_MAX 7

struct http_request {
    const char *method;
    slice url;                        /* absolute; http or https */
    const struct http1_field *fields; /* besides Host and Content-Length */
    size_t field_count;
    const slice *body; /* parts, sent one after the other; NULL for a request without a body */
    size_t body_count; /* at most HTTP_BODY_PARTS_MAX */
    const struct http_body_source *source; /* instead of body; NULL for none */
    struct http_capture *captures;
    size_t capture_count;

    /* Limits, all in ms. */
    int64_t connect_ms;    /* all addresses and the TLS handshake; 0: LIMIT_CONNECT_MS */
    int64_t send_ms;       /* the whole request */
    int64_t first_byte_ms; /* from the end of the request to the response's first byte */
    int64_t body_ms;       /* the rest of the response */
    int64_t idle_ms;       /* the longest pause in that; 0: LIMIT_BODY_IDLE_MS */
    deadline_ms until;     /* bounds all of the above; 0 for no bound */

    bool keep_origin; /* a redirect to another origin, even to https, is an error */

    /*
     * NULL, or a wake-up that cancels the request while it connects, sends, and waits for the
     * response's first byte, but not after that: a response that has begun may carry a job.
     */
    const struct wake *wake;
    bool wake_in_body;           /* cancel it after the first byte, too, in head and body */
    struct flag *sent;           /* raised once the request was sent; NULL for none */
    atomic_bool *response_begun; /* raised by the response's first byte; NULL for none */

    /*
     * Where the wake-up comes while waiting for the response: close our half of the connection, so
     * that the peer knows, and take what it has already sent. A response on its way is not lost.
     * ERR_CANCELLED once the peer closes too, or after LIMIT_HALF_CLOSE_MS.
     */
    bool half_close_on_wake;

    /*
     * For URLs that come from strangers. With follow_any_host redirects may lead to other hosts,
     * but not from https to http, at most LIMIT_ANY_REDIRECTS of them. origin_fields are sent to
     * the URL's own origin only, wherever redirects lead. filter judges every address before it is
     * connected to, on every hop (net/tcp.h); NULL allows all. ERR_INPUT for a request with a
     * filter behind a proxy, which would resolve the name a second time.
     */
    bool follow_any_host;
    bool keep_redirects; /* none is followed: the caller gets it as the response */
    const struct http1_field *origin_fields;
    size_t origin_field_count;
    const struct address_filter *filter;
};

#define HTTP_CONTENT_TYPE_BYTES 96

struct http_response {
    bool connected; /* the connection was open when an error occurred */
    int status;
    char content_type[HTTP_CONTENT_TYPE_BYTES]; /* "" where it is missing; cut where longer */
    bool encoded; /* Content-Encoding is present, and not "identity" */
    bool has_length;
    bool until_close; /* only the connection's end marks the body's: one cut off looks whole */
    uint64_t length;  /* of the body, where has_length, else 0 */
    bool has_retry_after;
    uint32_t retry_after_ms;
};

/*
 * Does the whole exchange and blocks until it is over. The response's body replaces the content of
 * `body`, whose maximum bounds it. Where a kept-alive connection turns out to be closed, a new one
 * is opened and the request sent once more; that is not an error. A response that comes before the
 * whole request was sent is taken once the server has taken no more for LIMIT_EARLY_MS. Redirects
 * (301, 302, 307, 308; 303 for GET) are followed on the same host, at most LIMIT_REDIRECTS times,
 * with method and body kept. One to another host is an error, so that no field of the request goes
 * there (but see follow_any_host).
 *
 * Returns 0 with *response filled in, whatever its status; or ERR_RETRY (connect, reset, cut off),
 * ERR_TIMEOUT, ERR_PEER (a malformed response, a redirect not followed), ERR_TRUST, ERR_LIMIT (the
 * response is too large), ERR_CANCELLED (the wake-up), ERR_INPUT (the URL or a field cannot be
 * sent), ERR_MEMORY, or an error of the filter or the source. The connection is closed after an
 * error. Where it occurred after the response's head (a body cut off or too large, a redirect not
 * followed), response->status is that head's; else it is 0. Error texts never hold a URL's query or
 * a field's value.
 */
int http_exchange(struct http_client *client, const struct http_request *request,
                  struct http_response *response, struct buf *body, struct err *err);

/*
 * The same in steps, for bodies that are not to be held in memory. http_open sends the request and
 * reads the response's head; after it returned 0, http_end must follow before the client's next
 * exchange. http_read reads up to `size` bytes (at least 1) of the body and returns how many, 0 at
 * the end, or an error. http_end ends the exchange at any point: a connection whose body was read
 * to the end is kept, else it is closed; after it, or after http_open failed, http_read returns 0.
 * The request's `wake` must live until http_end, the rest of
 * the request only through http_open. http_open and http_read block. Errors as http_exchange.
 */
int http_open(struct http_client *client, const struct http_request *request,
              struct http_response *response, struct err *err);
ptrdiff_t http_read(struct http_client *client, void *bytes, size_t size, struct err *err);

/* As http_read, but ERR_TIMEOUT once `until` has passed, after which it may be called again. */
ptrdiff_t http_read_until(struct http_client *client, void *bytes, size_t size, deadline_ms until,
                          struct err *err);

/* True for a status with which http_exchange follows a redirect of a request with this method. */
bool http_is_redirect(const char *method, int status);

/*
 * Ends an exchange whose body nobody needs, a redirect's: a short one is read, so that the
 * connection can be kept, for at most LIMIT_SKIP_MS. Blocks for that long.
 */
void http_skip(struct http_client *client);

/* The rest of an http_exchange after an http_open: reads the whole body and ends. */
int http_read_all(struct http_client *client, const struct http_response *response,
                  struct buf *body, struct err *err);
void http_end(struct http_client *client);

#endif
