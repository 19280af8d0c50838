/*
 * codec/http1.h - HTTP/1.1 messages, read and written: a client's side and a server's (RFC 9110,
 * RFC 9112).
 *
 * Parsers take bytes and return slices into them. They know nothing of sockets, allocate nothing
 * and never guess: what RFC 9112 does not allow a sender to send is an error (ERR_PEER), above all
 * what two parties could read differently. An error is reported as soon as it is certain, not only
 * when the message is complete. Nothing here blocks or keeps state of its own, so any thread may
 * use it.
 */
#ifndef CODEC_HTTP1_H
#define CODEC_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

#define HTTP1_HEAD_MAX_BYTES 16384 /* status line, fields, empty line; what common servers allow */
#define HTTP1_FIELDS_MAX 100       /* fields in one head */
#define HTTP1_CHUNK_LINE_MAX_BYTES 1024 /* a chunk's size with extensions and its line end */
#define HTTP1_TRAILER_MAX_BYTES 8192    /* all trailer fields and the empty line */

struct http1_field {
    slice name;
    slice value; /* without white space around it */
};

/* How the end of a body is known. */
enum http1_body {
    HTTP1_BODY_NONE,   /* the message has no body */
    HTTP1_BODY_LENGTH, /* content_length bytes */
    HTTP1_BODY_CHUNKED,
    HTTP1_BODY_CLOSE, /* everything until the connection ends */
};

struct http1_response {
    int status;        /* 100 to 599 */
    int minor_version; /* 0 or 1 */
    slice reason;      /* may be empty */
    struct http1_field fields[HTTP1_FIELDS_MAX];
    size_t field_count;
    enum http1_body body;
    uint64_t content_length; /* for HTTP1_BODY_LENGTH, at most INT64_MAX; else 0 */
    bool keep_alive;         /* the connection may be used again after the body */
};

/*
 * Parses one response head at the start of bytes[0..len). Returns its size in bytes (> 0), 0 where
 * more bytes must come, ERR_PEER, or ERR_LIMIT past HTTP1_HEAD_MAX_BYTES or HTTP1_FIELDS_MAX;
 * *response is valid only after a size. `to_head_request`: the request was HEAD, so there is no
 * body. Slices point into bytes. When more bytes have come, call again with all of them; a call
 * takes time linear in len. A 2xx response to CONNECT has no body, whatever `body` says.
 *
 * Refused: another protocol than HTTP/1.0 or 1.1, a status outside 100-599, bare CR, NUL and other
 * control characters except HTAB, a field without colon, white space before the colon, line
 * folding, Content-Length that is not a number (so a list "5, 5", too), is above INT64_MAX or
 * occurs twice with different digits, Content-Length along with Transfer-Encoding, a transfer
 * coding other than exactly one "chunked", Transfer-Encoding in HTTP/1.0.
 *
 * Accepted, though a sender should not do it: a line that ends with LF alone (RFC 9112, section
 * 2.2, allows it); a status line without the space after the status, which many servers leave out
 * along with the reason; Content-Length repeated with the same digits (RFC 9112, section 6.3);
 * Content-Length or Transfer-Encoding in a 1xx or 204 response, which never has a body. Where they
 * announce one, keep_alive is false: what the server sends next is unknown.
 *
 * keep_alive (RFC 9112, section 9.3): never for HTTP1_BODY_CLOSE or with the option "close" in
 * any Connection field; in HTTP/1.0 only with the option "keep-alive".
 */
ptrdiff_t http1_parse_response(const char *bytes, size_t len, bool to_head_request,
                               struct http1_response *response, struct err *err);

/* The value of the field `name` (ASCII case ignored); the first where there are several. */
bool http1_field(const struct http1_response *response, const char *name, slice *value);

/*
 * True where the same request may succeed later: timeout, too early, too many requests, a server
 * error. Not 501: what a server does not implement will not change.
 */
bool http1_is_transient(int status);

/*
 * True where the Content-Type value names the media type (parameters and case ignored):
 * http1_is_media_type("application/json; charset=utf-8", "application/json").
 */
bool http1_is_media_type(slice content_type, const char *media_type);

/*
 * Retry-After in ms from now: seconds, or an HTTP date (IMF-fixdate) relative to now_unix_s.
 * False where the value is neither; a date in the past gives 0; at most 24 hours. Whether the
 * weekday is that of the date is not checked.
 */
bool http1_retry_after(slice value, int64_t now_unix_s, uint32_t *pause_ms);

/* --- chunked bodies --------------------------------------------------------------------- */

/* Incremental decoder; all zero is the start of a body. All members but `done` are private. */
struct http1_chunks {
    int state;
    uint64_t left;     /* bytes of the current chunk still to come */
    size_t line_bytes; /* of the line or the trailer being read, for its limit */
    bool done;         /* the last chunk and its trailers have been read */
};

/*
 * Decodes from in[0..in_len): sets *data to the next piece of the body inside `in`, which may be
 * empty, and returns how many bytes of `in` it used, *data included: at least one, unless in_len is
 * 0 or the body is done. Call it until `in` is used up or chunks->done is set; what follows is the
 * next message. The caller notices a body that ends before that.
 *
 * ERR_PEER for a size that is not a hexadecimal number, has more than 16 digits or is above
 * INT64_MAX, for a line that does not end with exactly CR LF, a control character in an extension
 * or a trailer, a malformed trailer field. ERR_LIMIT for lines and trailers over their limits.
 * Every call after an error fails, too. Extensions and trailers are checked and dropped.
 */
ptrdiff_t http1_chunks_feed(struct http1_chunks *chunks, const char *in, size_t in_len, slice *data,
                            struct err *err);

/* --- requests, as a server reads them --------------------------------------------------- */

struct http1_request {
    slice method;
    slice target;      /* as sent */
    slice path;        /* of the target, still percent-encoded; "*" for OPTIONS of a server */
    slice query;       /* after the "?"; may be empty */
    slice host;        /* the target's, of a whole URL, else that of Host; ptr NULL: neither */
    int minor_version; /* 0 or 1 */
    struct http1_field fields[HTTP1_FIELDS_MAX];
    size_t field_count;
    enum http1_body body;    /* never HTTP1_BODY_CLOSE */
    uint64_t content_length; /* for HTTP1_BODY_LENGTH, at most INT64_MAX; else 0 */
    bool keep_alive;         /* the client may use the connection again after the response */
    bool expects_continue;   /* "Expect: 100-continue": it may wait for a 100 before the body */
};

/*
 * Parses one request head; otherwise as http1_parse_response. One empty line before the request is
 * skipped and counted in the size (RFC 9112, section 2.2).
 *
 * Stricter than for responses: a line ends with exactly CR LF, the request line has exactly one
 * space between its parts, an HTTP/1.1 request has exactly one Host. The target is a path, an
 * http or https URL, whose host then counts instead of Host's (section 3.2.2), or "*" for OPTIONS,
 * of visible ASCII without "#"; CONNECT is refused.
 */
ptrdiff_t http1_parse_request(const char *bytes, size_t len, struct http1_request *request,
                              struct err *err);

/* As http1_field. */
bool http1_request_field(const struct http1_request *request, const char *name, slice *value);

/* The token of "Authorization: Bearer TOKEN" (RFC 6750, section 2.1); false where there is none. */
bool http1_request_bearer(const struct http1_request *request, slice *token);

/*
 * False where a browser says that a page of another origin made it send this request: by an Origin
 * other than the host or, without one, by Sec-Fetch-Site (sources: RFC 6454, the W3C's "Fetch
 * Metadata Request Headers"). Other clients send neither.
 */
bool http1_request_is_same_origin(const struct http1_request *request);

/*
 * True where the host is an address, a name without a dot, *.localhost or `own`, or HTTP/1.0 has
 * none: not a stranger's name that points here (DNS rebinding).
 */
bool http1_request_has_own_name(const struct http1_request *request, slice own);

/*
 * True where this machine serves the page: Origin is localhost, *.localhost or a loopback one. Or
 * without an Origin, as for an image, Sec-Fetch-Site says that the page has the host's site, and
 * that is an address, a name without a dot or *.localhost: no other machine is of that site.
 */
bool http1_request_is_local_origin(const struct http1_request *request);

/* True where a browser says that its user goes to this page, by a link of another origin, say. */
bool http1_request_is_navigation(const struct http1_request *request);

/* --- writing ---------------------------------------------------------------------------- */

/* The reason phrase of a status, "Not Found" for 404; "" where it is unknown. */
const char *http1_reason(int status);

/*
 * A head on its way into `out`: { .out = &buf } starts one. The first error sticks: later calls do
 * nothing, and http1_put_end returns it. The buffer's content must not be sent then. Besides
 * ERR_INPUT, errors are those of buf_add.
 */
struct http1_writer {
    struct buf *out; /* linked */
    struct err err;  /* code 0 while all is well */
};

/* Appends "HTTP/1.1 status reason". ERR_INPUT unless status is 100 to 599. */
void http1_put_status(struct http1_writer *head, int status);

/* The same with another's reason phrase, which may be empty. ERR_INPUT as for a field's value. */
void http1_put_status_reason(struct http1_writer *head, int status, slice reason);

/*
 * Appends "METHOD target HTTP/1.1" and Host with host_port. ERR_INPUT where method
 * is not a token, or target or host_port is empty or holds anything but visible ASCII.
 */
void http1_put_request(struct http1_writer *head, const char *method, slice target,
                       slice host_port);
void http1_put_request_slice(struct http1_writer *head, slice method, slice target,
                             slice host_port);

/*
 * Appends one field. ERR_INPUT where name is not a token, or value holds a control character
 * except HTAB, so that nothing can break out of its line.
 */
void http1_put_field(struct http1_writer *head, slice name, slice value);

/* Appends Content-Length. */
void http1_put_length(struct http1_writer *head, uint64_t bytes);

/* Appends the empty line. 0, or the first error of this head; err may be NULL. */
int http1_put_end(struct http1_writer *head, struct err *err);

#endif
