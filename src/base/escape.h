/*
 * base/escape.h - the escaping of a JSON string (RFC 8259, section 7), used by the JSON writer
 * and by the log. Escapes the quote, the backslash and control characters; everything else,
 * UTF-8 included, passes as it is. Pure.
 */
#ifndef BASE_ESCAPE_H
#define BASE_ESCAPE_H

#include <stddef.h>

#define ESCAPE_MAX_BYTES 6 /* the longest escape of one byte: \u001f */

/*
 * Escapes as much of from[0..from_len) as fits whole into to[0..to_cap), without quotes around.
 * Returns the bytes written and sets *taken to the input bytes consumed. With to_cap of at least
 * ESCAPE_MAX_BYTES there is always progress.
 */
size_t escape_json(char *to, size_t to_cap, const char *from, size_t from_len, size_t *taken);

/* How many bytes from the start of from[0..len) need no escaping. */
size_t escape_plain_prefix(const char *from, size_t len);

/*
 * Length of the well-formed UTF-8 sequence at from[0..len), 1 to 4, or 0 where there is none
 * (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF). len is at least 1.
 */
size_t utf8_sequence(const char *from, size_t len);

#endif
