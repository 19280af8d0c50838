/*
 * base/utf8.h - cutting text between characters (RFC 3629). Pure. Bytes that are not UTF-8 are
 * cut anywhere.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdint.h>

#include "base/slice.h"

/* True if c is not a continuation byte: it starts a character. */
static inline bool utf8_starts(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

/*
 * The length of the control character that the text begins with: C0, DEL, C1 (U+0080 to U+009F), or
 * the separators U+2028 and U+2029, which some readers take for a line's end. 0 for any other.
 */
size_t utf8_control(slice text);

/* Writes a code point, at most U+10FFFF. How many bytes it took: 1 to 4. */
size_t utf8_put(uint32_t point, char to[4]);

/* The text without an incomplete character at its end. */
slice utf8_whole(slice text);

/* The longest start of the text of at most max_bytes that does not split a character. */
slice utf8_head(slice text, size_t max_bytes);

/* The longest end of the text of at most max_bytes that does not split a character. */
slice utf8_tail(slice text, size_t max_bytes);

#endif
