#include "codec/chars.h"

#define NAME_CHAR (CHARS_TOKEN | CHARS_VISIBLE | CHARS_FIELD | CHARS_UNRESERVED | CHARS_HOST)
#define MARK (CHARS_VISIBLE | CHARS_FIELD) /* visible, but no part of a token */
#define TOKEN_MARK (CHARS_TOKEN | CHARS_VISIBLE | CHARS_FIELD)

const uint8_t chars_table[256] = {
    ['\t'] = CHARS_FIELD,
    [' '] = CHARS_FIELD,
    ['!'] = TOKEN_MARK,
    ['"'] = MARK,
    ['#' ... '\''] = TOKEN_MARK,
    ['(' ... ')'] = MARK,
    ['*' ... '+'] = TOKEN_MARK,
    [','] = MARK,
    ['-' ... '.'] = NAME_CHAR,
    ['/'] = MARK,
    ['0' ... '9'] = NAME_CHAR | CHARS_HEX | CHARS_DIGIT,
    [':' ... '@'] = MARK,
    ['A' ... 'F'] = NAME_CHAR | CHARS_HEX | CHARS_ALPHA,
    ['G' ... 'Z'] = NAME_CHAR | CHARS_ALPHA,
    ['[' ... ']'] = MARK,
    ['^'] = TOKEN_MARK,
    ['_'] = NAME_CHAR,
    ['`'] = TOKEN_MARK,
    ['a' ... 'f'] = NAME_CHAR | CHARS_HEX | CHARS_ALPHA,
    ['g' ... 'z'] = NAME_CHAR | CHARS_ALPHA,
    ['{'] = MARK,
    ['|'] = TOKEN_MARK,
    ['}'] = MARK,
    ['~'] = TOKEN_MARK | CHARS_UNRESERVED,
    [0x80 ... 0xff] = CHARS_FIELD,
};

size_t chars_span(slice text, unsigned sets)
{
    size_t i = 0;
    while (i < text.len && chars_in(text.ptr[i], sets))
        i++;
    return i;
}

size_t chars_until(slice text, const char *ends)
{
    size_t i = 0, count = strlen(ends);
    while (i < text.len && memchr(ends, text.ptr[i], count) == NULL)
        i++;
    return i;
}

bool chars_all(slice text, unsigned sets)
{
    return text.len > 0 && chars_span(text, sets) == text.len;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

slice chars_trim(slice text)
{
    while (text.len > 0 && is_blank(text.ptr[text.len - 1]))
        text.len--;
    while (text.len > 0 && is_blank(text.ptr[0]))
        text = slice_skip(text, 1);
    return text;
}

bool chars_next(slice *list, char separator, slice *element)
{
    if (list->len == 0)
        return false;
    const char *end = memchr(list->ptr, separator, list->len);
    size_t len = end == NULL ? list->len : (size_t)(end - list->ptr);
    *element = chars_trim((slice){ list->ptr, len });
    *list = slice_skip(*list, end == NULL ? len : len + 1);
    return true;
}

bool chars_decimal(slice text, uint64_t max, uint64_t *value)
{
    if (!chars_all(text, CHARS_DIGIT))
        return false;
    uint64_t sum = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)(text.ptr[i] - '0');
        if (digit > max || sum > (max - digit) / 10)
            return false;
        sum = sum * 10 + digit;
    }
    *value = sum;
    return true;
}
