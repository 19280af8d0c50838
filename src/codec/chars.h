/*
 * codec/chars.h - which byte may stand where in HTTP and URLs, in one table, and the small
 * readers built on it. Pure; bytes are never looked at through a locale.
 */
#ifndef CODEC_CHARS_H
#define CODEC_CHARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* Sets of bytes; a byte is in any number of them. */
enum chars_set {
    CHARS_TOKEN = 1,      /* tchar (RFC 9110, section 5.6.2): methods and field names */
    CHARS_VISIBLE = 2,    /* VCHAR: 0x21 to 0x7e */
    CHARS_FIELD = 4,      /* in a field value: VCHAR, SP, HTAB, obs-text (0x80 and above) */
    CHARS_UNRESERVED = 8, /* unreserved (RFC 3986, section 2.3) */
    CHARS_HOST = 16,      /* in a host name: letters, digits, "-", ".", "_" */
    CHARS_HEX = 32,
    CHARS_DIGIT = 64,
    CHARS_ALPHA = 128,
};

extern const uint8_t chars_table[256]; /* the sets of each byte */

/* True where c is in at least one of the sets. */
static inline bool chars_in(char c, unsigned sets)
{
    return (chars_table[(unsigned char)c] & sets) != 0;
}

/* How many bytes from the start of text are in one of the sets. */
size_t chars_span(slice text, unsigned sets);

/* How many bytes from the start of text are none of those in `ends`. */
size_t chars_until(slice text, const char *ends);

/* True where text is not empty and all of it is in one of the sets. */
bool chars_all(slice text, unsigned sets);

/* text without the spaces and tabs (RFC 9110's OWS) around it. */
slice chars_trim(slice text);

/* Cuts the next element off a list at the first `separator`, trimmed. False at the end. */
bool chars_next(slice *list, char separator, slice *element);

/* text as a decimal number. False where it is empty, holds anything but digits or exceeds max. */
bool chars_decimal(slice text, uint64_t max, uint64_t *value);

/* The value of a hexadecimal digit; c is in CHARS_HEX. */
static inline unsigned chars_hex_value(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a') + 10;
}

#endif
