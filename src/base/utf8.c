#include "base/utf8.h"

#define CONTINUATION_BYTES_MAX 3 /* after the first byte of a character */

/* The number of continuation bytes of a character that starts with this byte. */
static size_t continuation_bytes(char c)
{
    unsigned char first = (unsigned char)c;
    return first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : first >= 0xc0 ? 1 : 0;
}

slice utf8_whole(slice text)
{
    size_t tail = 0;
    while (tail < CONTINUATION_BYTES_MAX && tail < text.len &&
           !utf8_starts(text.ptr[text.len - 1 - tail]))
        tail++;
    if (tail < text.len && tail < continuation_bytes(text.ptr[text.len - 1 - tail]))
        text.len -= tail + 1;
    return text;
}

slice utf8_head(slice text, size_t max_bytes)
{
    return text.len <= max_bytes ? text : utf8_whole((slice){ text.ptr, max_bytes });
}

slice utf8_tail(slice text, size_t max_bytes)
{
    if (text.len <= max_bytes)
        return text;
    text = slice_skip(text, text.len - max_bytes);
    for (size_t i = 0; i < CONTINUATION_BYTES_MAX && text.len > 0 && !utf8_starts(*text.ptr); i++)
        text = slice_skip(text, 1);
    return text;
}

size_t utf8_put(uint32_t point, char to[4])
{
    static const unsigned char lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
    if (point < 0x80) {
        to[0] = (char)point;
        return 1;
    }
    size_t len = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = len; i-- > 1; point >>= 6)
        to[i] = (char)(0x80 | (point & 0x3f));
    to[0] = (char)(lead[len] | point);
    return len;
}

size_t utf8_control(slice text)
{
    const unsigned char *at = (const unsigned char *)text.ptr;
    if (text.len == 0)
        return 0;
    if (at[0] < 0x20 || at[0] == 0x7f)
        return 1;
    if (text.len >= 2 && at[0] == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f)
        return 2;
    bool separator = text.len >= 3 && at[0] == 0xe2 && at[1] == 0x80 && (at[2] & 0xfe) == 0xa8;
    return separator ? 3 : 0;
}
