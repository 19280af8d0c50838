/*
 * codec/byte_class.h - which byte may stand where in HTTP and URLs, in one table, and small readers
 * built on it. Pure; independent of the locale.
 */
#ifndef CODEC_BYTE_CLASS_H
#define CODEC_BYTE_CLASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* Sets of bytes; a byte may be in several. */
enum byte_class {
    BYTE_CLASS_TOKEN = 1,      /* tchar (RFC 9110, section 5.6.2): methods and field names */
    BYTE_CLASS_VISIBLE = 2,    /* VCHAR: 0x21 to 0x7e */
    BYTE_CLASS_FIELD = 4,      /* in a field value: VCHAR, SP, HTAB, obs-text (0x80 and above) */
    BYTE_CLASS_UNRESERVED = 8, /* unreserved (RFC 3986, section 2.3) */
    BYTE_CLASS_HOST = 16,      /* in a host name: letters, digits, "-", ".", "_" */
    BYTE_CLASS_HEX = 32,
    BYTE_CLASS_DIGIT = 64,
    BYTE_CLASS_ALPHA = 128,
};

extern const uint8_t byte_class_table[256]; /* the sets of each byte */

/* True where c is in at least one of the sets. */
static inline bool byte_class_in(char c, unsigned sets)
{
    return (byte_class_table[(unsigned char)c] & sets) != 0;
}

/* How many bytes from the start of text are in one of the sets. */
size_t byte_class_span(slice text, unsigned sets);

/* How many bytes from the start of text come before the first of those in `ends`. */
size_t byte_class_until(slice text, const char *ends);

/* True where text is not empty and all of it is in one of the sets. */
bool byte_class_all(slice text, unsigned sets);

/* text without the spaces and tabs (RFC 9110's OWS) around it. */
slice byte_class_trim(slice text);

/* Cuts the next element off a list at the first `separator`, trimmed. False at the end. */
bool byte_class_next(slice *list, char separator, slice *element);

/* Cuts the next word, between any of the separators, off the text. False at the end. */
bool byte_class_next_word(slice *text, const char *separators, slice *word);

/* text as a decimal number. False where it is empty, holds anything but digits or exceeds max. */
bool byte_class_decimal(slice text, uint64_t max, uint64_t *value);

/* The value of a hexadecimal digit; c is in BYTE_CLASS_HEX. */
static inline unsigned byte_class_hex_value(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a') + 10;
}

#endif
