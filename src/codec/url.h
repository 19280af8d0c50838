/*
 * codec/url.h - the part of RFC 3986 a client of http and https needs.
 *
 * Pure; slices point into the text that was parsed. A function that appends leaves the buffer's
 * content unchanged when it fails; besides the errors it names it may return those of buf_add,
 * which stick to the buffer. What is appended may not lie in that buffer.
 */
#ifndef CODEC_URL_H
#define CODEC_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

#define URL_MAX_BYTES 8192           /* longer ones are refused; servers refuse them too */
#define URL_HOST_MAX_BYTES 255       /* RFC 1035, section 2.3.4 */
#define URL_UNIX_SCHEME "http+unix:" /* of --handler-http; the path of a socket follows */

struct url {
    bool tls;   /* https */
    slice user; /* "user:password" as written, or empty; only a proxy's URL has one */
    slice host; /* without the brackets of an IPv6 address; never empty */
    bool host_is_ipv6;
    uint16_t port; /* as given, or 80 or 443 */
    slice target;  /* path and query, no fragment; empty where the URL ends with the host, and
                      "?query" where it has no path: the sender puts the slash before it */
};

/*
 * Parses an absolute http or https URL. ERR_INPUT for another scheme, no host, a bad port, white
 * space, control characters, backslashes or bytes above 0x7f, or more than URL_MAX_BYTES.
 *
 * A host is letters, digits, "-", "." and "_" (Docker names have underscores), or what may be an
 * IPv6 address in brackets; no percent-encoding, no zone id. A port is 1 to 65535; "host:" means
 * the default one. A second "@" is refused: parsers disagree about the host then.
 */
int url_parse(slice text, struct url *url, struct err *err);

/*
 * True where both have the same scheme, host (ASCII case ignored) and port: the same origin.
 * Different spellings of one IPv6 address count as different hosts.
 */
bool url_same_origin(const struct url *a, const struct url *b);

/*
 * Resolves a redirect's Location against the URL it came from (RFC 3986, section 5: absolute,
 * "//host/path", "/path", "?query", relative path with dot segments) and appends the absolute
 * URL to out, without a fragment. The base's user is left out. ERR_INPUT where the result is
 * not an http or https URL, ERR_LIMIT where it or location is longer than URL_MAX_BYTES.
 */
int url_resolve(const struct url *base, slice location, struct buf *out, struct err *err);

/* Appends text with everything but RFC 3986's unreserved characters percent-encoded. */
int url_encode(struct buf *out, slice text, struct err *err);

/* How many bytes url_encode appends for the text. */
size_t url_encoded_bytes(slice text);

/*
 * Appends text with %XX decoded (a proxy's user and password); "+" stays. The result may hold any
 * byte, NUL too. ERR_INPUT on a broken escape.
 */
int url_decode(struct buf *out, slice text, struct err *err);

/* A name in a URL template and its value, which is percent-encoded when filled in. */
struct url_placeholder {
    const char *name; /* with the dollar sign: "$RUNPOD_POD_ID" */
    slice value;
};

/*
 * Appends the template with every placeholder replaced. Of several names that match at one place
 * the longest wins; values are not searched. Names are plain text, not words: the "$ID" of "$IDX"
 * is replaced, too, as the SDK does.
 */
int url_fill(struct buf *out, slice template, const struct url_placeholder *placeholders,
             size_t count, struct err *err);

/*
 * Appends "name=value" to the URL in out, after '?' where it has no query yet, else after '&'.
 * The name is written unchanged, the value percent-encoded. ("url?" and "url?a=b&" need no
 * separator.) out holds only the URL. A fragment is cut off first: it would swallow the query.
 */
int url_add_query(struct buf *out, const char *name, slice value, struct err *err);

#endif
