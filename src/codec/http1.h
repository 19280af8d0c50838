/*
 * codec/http1.h - HTTP/1.1 messages, read and written: a client's side and a server's (RFC 9110,
 * RFC 9112).
 *
 * Parsers take bytes and give slices into them; they know nothing of sockets, allocate nothing
 * and never guess: what RFC 9112 does not allow a sender to send is an error (ERR_PEER), above
 * all everything that two parties could read differently. An error is reported as soon as it is
 * certain, not only when the message is whole. Nothing here blocks or keeps state of its own, so
 * any thread may use it; what a call is given belongs to that call.
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
    HTTP1_BODY_NONE,   /* there is none */
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
 * Parses one response head at the start of bytes[0..len). Returns its size in bytes (> 0), or 0
 * where it is not all there yet, or ERR_PEER, or ERR_LIMIT past HTTP1_HEAD_MAX_BYTES or
 * HTTP1_FIELDS_MAX; *response is of use only after a size. `to_head_request`: the request was
 * HEAD, so there is no body. Slices point into bytes. Call again with all bytes so far when more
 * have come; a call costs time linear in len. CONNECT's 2xx answers: use body NONE regardless
 * (the caller knows).
 *
 * Refused: another protocol than HTTP/1.0 or 1.1, a status outside 100-599, bare CR, NUL and
 * other control characters except HTAB, a field without colon, white space before the colon, line
 * folding, Content-Length that is no number (a list "5, 5" neither), is above INT64_MAX or comes
 * twice in different digits, Content-Length along with Transfer-Encoding, a transfer coding other
 * than exactly one "chunked", Transfer-Encoding in HTTP/1.0.
 *
 * Accepted, though a sender should not do it: a line that ends with LF alone (RFC 9112, section
 * 2.2, allows a recipient that); a status line without the space behind the status, which many
 * servers leave out along with the reason; Content-Length repeated in the same digits (RFC 9112,
 * section 6.3); Content-Length or Transfer-Encoding in a 1xx or 204 answer, which has no body
 * whatever they say. Where those announce one all the same, keep_alive is false, for nobody knows
 * what the server will send next.
 *
 * keep_alive (RFC 9112, section 9.3): never for HTTP1_BODY_CLOSE or with the option "close" in
 * any Connection field; in HTTP/1.0 only with the option "keep-alive".
 */
ptrdiff_t http1_parse_response(const char *bytes, size_t len, bool to_head_request,
                               struct http1_response *response, struct err *err);

/* The value of the field `name` (ASCII case ignored); the first where there are several. */
bool http1_field(const struct http1_response *response, const char *name, slice *value);

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

/* Incremental decoder; all zero is the start of a body. The members are its own, but for done. */
struct http1_chunks {
    int state;
    uint64_t left;     /* bytes of the current chunk still to come */
    size_t line_bytes; /* of the line or the trailer being read, for its limit */
    bool done;         /* the last chunk and its trailers have been read */
};

/*
 * Decodes from in[0..in_len): sets *data to the next piece of body inside `in` (maybe empty) and
 * returns how many bytes of `in` were used up, *data included: at least one, unless in_len is 0 or
 * the body is done. Call until in is used up or chunks->done; what lies behind is the next
 * message. A body that ends before `done` is truncated; the caller sees that.
 *
 * ERR_PEER for a size that is no hexadecimal number, has more than 16 digits or is above
 * INT64_MAX, for a line that does not end with exactly CR LF, a control character in an extension
 * or a trailer, a malformed trailer field. ERR_LIMIT for lines and trailers over their limits.
 * Every call after an error is one too. Extensions and trailers are checked and dropped.
 */
ptrdiff_t http1_chunks_feed(struct http1_chunks *chunks, const char *in, size_t in_len, slice *data,
                            struct err *err);

/* --- requests, as a server reads them --------------------------------------------------- */

struct http1_request {
    slice method;
    slice target;      /* as it was sent */
    slice path;        /* of the target, percent-encoded as it is; "*" for OPTIONS of a server */
    slice query;       /* behind its "?"; empty where there is none */
    int minor_version; /* 0 or 1 */
    struct http1_field fields[HTTP1_FIELDS_MAX];
    size_t field_count;
    enum http1_body body;    /* never HTTP1_BODY_CLOSE */
    uint64_t content_length; /* for HTTP1_BODY_LENGTH, at most INT64_MAX; else 0 */
    bool keep_alive;         /* the client may use the connection again after the answer */
    bool expects_continue;   /* "Expect: 100-continue": it may wait for a 100 before the body */
};

/*
 * Parses one request head; for all else as http1_parse_response. One empty line before the request
 * is skipped and counted (RFC 9112, section 2.2).
 *
 * Stricter than answers are: a line ends with exactly CR LF, the request line has exactly one
 * space between its parts, an HTTP/1.1 request has exactly one Host. The target is a path, an
 * http or https URL, or "*" for OPTIONS, of visible ASCII without "#"; CONNECT is refused.
 */
ptrdiff_t http1_parse_request(const char *bytes, size_t len, struct http1_request *request,
                              struct err *err);

/* As http1_field. */
bool http1_request_field(const struct http1_request *request, const char *name, slice *value);

/* --- writing ---------------------------------------------------------------------------- */

/* What a status is called, "Not Found" for 404; "" for one that is not known here. */
const char *http1_reason(int status);

/*
 * Appends "HTTP/1.1 status reason", or "METHOD target HTTP/1.1" and "Host"; then one field; then
 * the head's end. Where one of them fails it has appended nothing; besides ERR_INPUT that is an
 * error of buf_add.
 *
 * http1_put_status: status is 100 to 599.
 *
 * http1_put_request: host_port is written as it is. ERR_INPUT where method is no token, or target
 * or host_port is empty or holds anything but visible ASCII.
 * http1_put_field: ERR_INPUT where name is no token, or value holds a control character except
 * HTAB (so nothing can break out of its line).
 */
int http1_put_status(struct buf *out, int status, struct err *err);
int http1_put_request(struct buf *out, const char *method, slice target, slice host_port,
                      struct err *err);
int http1_put_field(struct buf *out, slice name, slice value, struct err *err);
int http1_put_end(struct buf *out, struct err *err);

#endif
