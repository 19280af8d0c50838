#include "base/utf8_escape.h"

#include <string.h>

#define EACH_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

/*
 * True if any byte of the word is a control character, a quote or a backslash. The test for bytes
 * below n is only exact for bytes under 0x80, so others are masked out of it.
 */
static bool word_needs_escape(uint64_t word)
{
    uint64_t quote = word ^ EACH_BYTE('"');
    uint64_t backslash = word ^ EACH_BYTE('\\');
    uint64_t control = (word - EACH_BYTE(0x20)) & ~word;
    uint64_t zero_quote = (quote - EACH_BYTE(1)) & ~quote;
    uint64_t zero_backslash = (backslash - EACH_BYTE(1)) & ~backslash;
    return ((control | zero_quote | zero_backslash) & EACH_BYTE(0x80)) != 0;
}

static bool byte_needs_escape(unsigned char c)
{
    return c < 0x20 || c == '"' || c == '\\';
}

size_t utf8_escape_plain_prefix(const char *from, size_t len)
{
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        uint64_t word;
        memcpy(&word, from + i, 8);
        if (word_needs_escape(word))
            break;
    }
    while (i < len && !byte_needs_escape((unsigned char)from[i]))
        i++;
    return i;
}

static size_t escape_byte(char *to, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char named[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* pairs: byte, letter */
    for (size_t i = 0; i + 1 < sizeof named; i += 2) {
        if ((unsigned char)named[i] == c) {
            to[0] = '\\';
            to[1] = named[i + 1];
            return 2;
        }
    }
    memcpy(to, "\\u00", 4);
    to[4] = hex[c >> 4];
    to[5] = hex[c & 15];
    return 6;
}

size_t utf8_escape_json(char *to, size_t to_cap, const char *from, size_t from_len, size_t *taken)
{
    size_t in = 0, out = 0;
    while (in < from_len && out < to_cap) {
        size_t room = to_cap - out, left = from_len - in;
        size_t plain = utf8_escape_plain_prefix(from + in, left < room ? left : room);
        memcpy(to + out, from + in, plain);
        in += plain;
        out += plain;
        if (in == from_len || out == to_cap)
            break;
        char escape[ESCAPE_MAX_BYTES];
        size_t len = escape_byte(escape, (unsigned char)from[in]);
        if (len > to_cap - out)
            break;
        memcpy(to + out, escape, len);
        out += len;
        in++;
    }
    *taken = in;
    return out;
}

size_t utf8_sequence(const char *from, size_t len)
{
    const unsigned char *p = (const unsigned char *)from;
    if (p[0] < 0x80)
        return 1;
    size_t need = p[0] >= 0xc2 && p[0] <= 0xdf   ? 2
                  : p[0] >= 0xe0 && p[0] <= 0xef ? 3
                  : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4
                                                 : 0;
    if (need == 0 || need > len)
        return 0;
    for (size_t i = 1; i < need; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool out_of_range = (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf4 && p[1] > 0x8f);
    return overlong || out_of_range ? 0 : need;
}

/* Most text is mostly ASCII. */
size_t utf8_prefix(slice text)
{
    size_t i = 0, len = 1;
    while (i < text.len && len > 0) {
        uint64_t word = EACH_BYTE(0x80);
        if (text.len - i >= sizeof word)
            memcpy(&word, text.ptr + i, sizeof word);
        bool ascii = (word & EACH_BYTE(0x80)) == 0;
        len = ascii ? sizeof word : utf8_sequence(text.ptr + i, text.len - i);
        i += len;
    }
    return i;
}
