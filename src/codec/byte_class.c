#include "codec/byte_class.h"

#define NAME_CHAR                                                                       \
    (BYTE_CLASS_TOKEN | BYTE_CLASS_VISIBLE | BYTE_CLASS_FIELD | BYTE_CLASS_UNRESERVED | \
     BYTE_CLASS_HOST)
#define MARK (BYTE_CLASS_VISIBLE | BYTE_CLASS_FIELD) /* visible, but no part of a token */
#define TOKEN_MARK (BYTE_CLASS_TOKEN | BYTE_CLASS_VISIBLE | BYTE_CLASS_FIELD)

const uint8_t byte_class_table[256] = {
    ['\t'] = BYTE_CLASS_FIELD,
    [' '] = BYTE_CLASS_FIELD,
    ['!'] = TOKEN_MARK,
    ['"'] = MARK,
    ['#' ... '\''] = TOKEN_MARK,
    ['(' ... ')'] = MARK,
    ['*' ... '+'] = TOKEN_MARK,
    [','] = MARK,
    ['-' ... '.'] = NAME_CHAR,
    ['/'] = MARK,
    ['0' ... '9'] = NAME_CHAR | BYTE_CLASS_HEX | BYTE_CLASS_DIGIT,
    [':' ... '@'] = MARK,
    ['A' ... 'F'] = NAME_CHAR | BYTE_CLASS_HEX | BYTE_CLASS_ALPHA,
    ['G' ... 'Z'] = NAME_CHAR | BYTE_CLASS_ALPHA,
    ['[' ... ']'] = MARK,
    ['^'] = TOKEN_MARK,
    ['_'] = NAME_CHAR,
    ['`'] = TOKEN_MARK,
    ['a' ... 'f'] = NAME_CHAR | BYTE_CLASS_HEX | BYTE_CLASS_ALPHA,
    ['g' ... 'z'] = NAME_CHAR | BYTE_CLASS_ALPHA,
    ['{'] = MARK,
    ['|'] = TOKEN_MARK,
    ['}'] = MARK,
    ['~'] = TOKEN_MARK | BYTE_CLASS_UNRESERVED,
    [0x80 ... 0xff] = BYTE_CLASS_FIELD,
};

size_t byte_class_span(slice text, unsigned sets)
{
    size_t i = 0;
    while (i < text.len && byte_class_in(text.ptr[i], sets))
        i++;
    return i;
}

size_t byte_class_until(slice text, const char *ends)
{
    size_t i = 0, count = strlen(ends);
    while (i < text.len && memchr(ends, text.ptr[i], count) == NULL)
        i++;
    return i;
}

bool byte_class_all(slice text, unsigned sets)
{
    return text.len > 0 && byte_class_span(text, sets) == text.len;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

slice byte_class_trim(slice text)
{
    while (text.len > 0 && is_blank(text.ptr[text.len - 1]))
        text.len--;
    while (text.len > 0 && is_blank(text.ptr[0]))
        text = slice_skip(text, 1);
    return text;
}

bool byte_class_next(slice *list, char separator, slice *element)
{
    if (list->len == 0)
        return false;
    const char *end = memchr(list->ptr, separator, list->len);
    size_t len = end == NULL ? list->len : (size_t)(end - list->ptr);
    *element = byte_class_trim((slice){ list->ptr, len });
    *list = slice_skip(*list, end == NULL ? len : len + 1);
    return true;
}

bool byte_class_next_word(slice *text, const char *separators, slice *word)
{
    size_t count = strlen(separators);
    while (text->len > 0 && memchr(separators, *text->ptr, count) != NULL)
        *text = slice_skip(*text, 1);
    *word = (slice){ text->ptr, byte_class_until(*text, separators) };
    *text = slice_skip(*text, word->len);
    return word->len > 0;
}

bool byte_class_decimal(slice text, uint64_t max, uint64_t *value)
{
    if (!byte_class_all(text, BYTE_CLASS_DIGIT))
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
