/*
 * json/scan.h - stepping over JSON text; private to json/.
 *
 * All functions take the next byte and the end of the text, never read at or past the end, and
 * return how far they got. Long runs are scanned eight bytes at a time.
 */
#ifndef JSON_SCAN_H
#define JSON_SCAN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/slice.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the lowest byte of a word comes first");

#define JSON_EACH_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

/*
 * Marks bytes of a word with their top bit: those that equal `byte`. The lowest mark is always
 * right; above it a borrow may have set wrong ones.
 */
static inline uint64_t json_mark_equal(uint64_t word, unsigned char byte)
{
    uint64_t zero = word ^ JSON_EACH_BYTE(byte);
    return (zero - JSON_EACH_BYTE(1)) & ~zero & JSON_EACH_BYTE(0x80);
}

static inline uint64_t json_load_word(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* The offset, 0 to 7, of the lowest marked byte. mark is not 0. */
static inline unsigned json_lowest_mark(uint64_t mark)
{
    return (unsigned)__builtin_ctzll(mark) / 8;
}

static inline const char *json_skip_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    return at;
}

static inline bool json_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/*
 * Moves *at over one number (RFC 8259, section 6). False where there is no number; *at is then the
 * byte where a digit was expected.
 */
bool json_skip_number(const char **at, const char *end);

/* The first quote or backslash, or the end. */
const char *json_find_quote(const char *at, const char *end);

/* From the byte after a checked string's opening quote to the byte after its closing one. */
const char *json_skip_string(const char *at, const char *end);

/* From the first byte of a checked value to the byte after it. Advances unless at the end. */
const char *json_skip_value(const char *at, const char *end);

/*
 * Decodes what a checked string holds at *at, one escape or one plain byte, into 1 to 4 bytes of
 * UTF-8, and moves *at. A surrogate pair is one escape, a lone surrogate is U+FFFD. Returns the
 * bytes written.
 */
size_t json_decode_step(const char **at, const char *end, char to[4]);

#endif
