/*
 * codec/http1/head.h - what the heads of requests and responses have in common. Private to
 * codec/http1/.
 */
#ifndef CODEC_HTTP1_HEAD_H
#define CODEC_HTTP1_HEAD_H

#include "codec/http1.h"

/* Whose head it is. */
struct http1_kind {
    const char *name;   /* "response" or "request", for errors */
    bool lf_ends_lines; /* a line may end with LF alone */
};

/* What the fields say about the body and the connection. */
struct http1_framing {
    bool has_length;
    slice length_digits;
    uint64_t length;
    bool chunked;
    bool close;
    bool keep_alive;
};

/* The start of text that an error may show. */
slice http1_excerpt(slice text);

/* Size of the head with its empty line, 0 where that has not come yet, or an error. */
ptrdiff_t http1_head_end(const struct http1_kind *kind, slice head, struct err *err);

/* Cuts the next line off a complete head; the line comes without its end. */
slice http1_next_line(slice *head);

/* Reads all fields of a complete head without its first line. */
int http1_read_fields(const struct http1_kind *kind, slice head, struct http1_field *fields,
                      size_t *count, struct http1_framing *framing, struct err *err);

/* Refuses contradictions about the body that are errors in every message. */
int http1_check_framing(const struct http1_kind *kind, const struct http1_framing *framing,
                        int minor_version, struct err *err);

/* True where the connection may live on, as far as the fields say (RFC 9112, section 9.3). */
static inline bool http1_persists(const struct http1_framing *framing, int minor_version)
{
    return !framing->close && (minor_version == 1 || framing->keep_alive);
}

#endif
