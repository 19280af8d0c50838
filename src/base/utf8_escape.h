/*
 * base/utf8_escape.h - escaping JSON strings (RFC 8259, section 7), for the JSON writer and the
 * log. Escapes the quote, the backslash and control characters; everything else, UTF-8 included,
 * is copied as it is. Pure.
 */
#ifndef BASE_UTF8_ESCAPE_H
#define BASE_UTF8_ESCAPE_H

#include "base/slice.h"

#define ESCAPE_MAX_BYTES 6 /* the longest escape of one byte: \u001f */

/*
 * Escapes as much of from[0..from_len) as fits into to[0..to_cap), without the quotes around it and
 * without splitting an escape. Returns the bytes written and sets *taken to the bytes consumed,
 * at least one if to_cap is at least ESCAPE_MAX_BYTES.
 */
size_t utf8_escape_json(char *to, size_t to_cap, const char *from, size_t from_len, size_t *taken);

/* The number of bytes at the start of from[0..len) that need no escape. */
size_t utf8_escape_plain_prefix(const char *from, size_t len);

/*
 * The length of the UTF-8 sequence at the start of from[0..len), 1 to 4, or 0 if it is not valid
 * (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF). len is at least 1.
 */
size_t utf8_sequence(const char *from, size_t len);

/* How many bytes from the start of the text are valid UTF-8, as that has it. */
size_t utf8_prefix(slice text);

#endif
