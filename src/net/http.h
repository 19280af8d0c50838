/*
 * net/http.h - one HTTP/1.1 exchange: a request out, its answer in.
 *
 * A client keeps one connection to one origin (or proxy) alive between exchanges and opens it
 * when needed. A client belongs to one thread at a time; the shared http_net may be used by all.
 */
#ifndef NET_HTTP_H
#define NET_HTTP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/flag.h"
#include "base/slice.h"
#include "codec/http1.h"
#include "net/proxy.h"
#include "net/resolve.h"
#include "net/tls.h"

/* What all clients of the process share; linked, must outlive them. */
struct http_net {
    struct tls_context *tls; /* NULL where no URL is https */
    struct proxy_config proxy;
    const char *unix_path; /* every connection leads to this socket, whatever the host; or NULL */
};

struct http_client;

/* ERR_MEMORY. Opens nothing yet. */
int http_client_new(struct http_client **client, const struct http_net *net, struct err *err);
void http_client_free(struct http_client *client);

/* A body that is too large for memory. Any part of it may be asked for, and more than once. */
struct http_body_source {
    uint64_t bytes; /* of the whole body */

    /* Copies exactly `size` bytes from `offset` on. 0, or an error that ends the exchange. */
    int (*read_at)(const struct http_body_source *self, uint64_t offset, void *bytes, size_t size,
                   struct err *err);
};

/* A field of the answer that is asked for, and where to: NUL-terminated, "" where it is not there
 * or does not fit. */
struct http_wanted {
    const char *name;
    char *text;
    size_t size; /* of text, at least 1 */
};

struct http_request {
    const char *method;
    slice url;                        /* absolute; http or https */
    const struct http1_field *fields; /* besides Host and Content-Length */
    size_t field_count;
    const slice *body; /* parts, sent one after the other; NULL for a request without a body */
    size_t body_count;
    const struct http_body_source *source; /* instead of body; NULL for none */
    struct http_wanted *wanted;
    size_t wanted_count;

    /* Limits, all in ms. */
    int64_t connect_ms; /* all addresses and the TLS handshake; 0: LIMIT_CONNECT_MS */
    int64_t send_ms;    /* the whole request */
    int64_t answer_ms;  /* from the end of the request to the first byte of the answer */
    int64_t body_ms;    /* the rest of the answer */
    int64_t idle_ms;    /* no pause in that may be longer; 0: LIMIT_BODY_IDLE_MS */

    /*
     * NULL, or a wake-up that gives the request up: while connecting, sending, and waiting for
     * the answer's first byte, but not after that, since an answer begun may carry a job.
     */
    const struct wake *wake;

    atomic_bool *answering; /* NULL, or what is raised with the answer's first byte */
    bool wake_always;       /* ... but give it up after that too */

    /*
     * Where the wake-up comes while waiting for the answer: tell the peer so by closing our half of
     * the connection, and take what it has sent by then. An answer that was on its way is not lost;
     * ERR_CANCELLED once the peer closes too, or after LIMIT_PARTING_MS.
     */
    bool parts_gently;
    deadline_ms until; /* over all of the limits; 0 for none */

    /*
     * For addresses that come from strangers. With any_host redirects may lead to other hosts
     * (never from https to http), at most LIMIT_ANY_REDIRECTS of them. home_fields are fields
     * that only the URL's own origin gets, however many redirects there are. filter judges every
     * address that is connected to, for every hop (net/tcp.h); NULL allows all. A request with a
     * filter does not go through a proxy, which would resolve the name once more: ERR_INPUT.
     */
    bool any_host;
    const struct http1_field *home_fields;
    size_t home_field_count;
    const struct address_filter *filter;
};

#define HTTP_CONTENT_TYPE_BYTES 96

struct http_answer {
    bool connected; /* the request was sent, or begun: what went wrong did so after connecting */
    int status;
    char content_type[HTTP_CONTENT_TYPE_BYTES]; /* "" where there was none; cut where longer */
    bool encoded; /* there was a Content-Encoding other than identity */
    bool has_length;
    bool until_close; /* the body's only end is the connection's: one cut off looks whole */
    uint64_t length;  /* of the body, where it was told beforehand (has_length), else 0 */
    bool has_retry_after;
    uint32_t retry_after_ms;
};

/*
 * Does the exchange and blocks for all of it. The answer's body replaces the content of `body`,
 * whose maximum bounds it. A kept-alive connection found closed is opened again and the request
 * sent once more, without that counting as a failure. Redirects (301, 302, 307, 308; 303 for GET)
 * are followed within the same host, at most LIMIT_REDIRECTS times, with method and body kept;
 * to any other host they are refused, so that no field of the request goes there (but see
 * any_host).
 *
 * Returns 0 with `answer` filled in, whatever its status; or ERR_RETRY (connect, reset, cut off),
 * ERR_TIMEOUT, ERR_PEER (not HTTP as it should be), ERR_TRUST, ERR_LIMIT (the answer is too
 * large), ERR_CANCELLED (the wake-up), ERR_INPUT (the URL or a field cannot be sent), ERR_MEMORY,
 * or what filter or source said. The connection is closed after an error. Where the trouble came
 * after the answer's head (a body cut off or too large, a redirect refused), answer->status tells
 * its status; else it is 0. Error texts never hold a URL's query or a field.
 */
int http_exchange(struct http_client *client, const struct http_request *request,
                  struct http_answer *answer, struct buf *body, struct err *err);

/*
 * The same in steps, for bodies that are not to be held in memory: http_open sends the request and
 * reads the answer's head, as above; http_read reads up to `size` bytes (at least 1) of its body
 * and returns how many, 0 at the end, or an error; http_end ends the exchange wherever it is. What
 * follows an http_open that has returned 0 is http_end, before the client's next exchange. `wake`
 * of the request must live until then; the rest of the request only through http_open. A
 * connection whose body was read to the end is kept; else http_end closes it. http_open and
 * http_read block.
 */
int http_open(struct http_client *client, const struct http_request *request,
              struct http_answer *answer, struct err *err);
ptrdiff_t http_read(struct http_client *client, void *bytes, size_t size, struct err *err);

/* As http_read, but ERR_TIMEOUT once `until` has passed, after which it may be called again. */
ptrdiff_t http_read_until(struct http_client *client, void *bytes, size_t size, deadline_ms until,
                          struct err *err);

/* The rest of http_exchange after an http_open: the whole body, and the end. */
int http_read_all(struct http_client *client, const struct http_answer *answer, struct buf *body,
                  struct err *err);
void http_end(struct http_client *client);

#endif
