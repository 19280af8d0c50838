/* Stepping over JSON text. */
#include "json/scan.h"

#include "base/utf8.h"
#include "json/json.h"

static bool skip_digits(const char **at, const char *end)
{
    const char *first = *at;
    while (*at < end && json_is_digit(**at))
        ++*at;
    return *at > first;
}

bool json_skip_number(const char **at, const char *end)
{
    if (*at < end && **at == '-')
        ++*at;
    if (*at < end && **at == '0')
        ++*at; /* a leading zero stands alone: the next digit, if any, is a mistake after it */
    else if (!skip_digits(at, end))
        return false;
    if (*at < end && **at == '.') {
        ++*at;
        if (!skip_digits(at, end))
            return false;
    }
    if (*at < end && (**at == 'e' || **at == 'E')) {
        ++*at;
        if (*at < end && (**at == '+' || **at == '-'))
            ++*at;
        return skip_digits(at, end);
    }
    return true;
}

const char *json_find_quote(const char *at, const char *end)
{
    for (; end - at >= 8; at += 8) {
        uint64_t word = json_load_word(at);
        uint64_t mark = json_mark_equal(word, '"') | json_mark_equal(word, '\\');
        if (mark != 0)
            return at + json_lowest_mark(mark);
    }
    while (at < end && *at != '"' && *at != '\\')
        at++;
    return at;
}

const char *json_skip_string(const char *at, const char *end)
{
    for (;;) {
        at = json_find_quote(at, end);
        if (at == end)
            return end;
        if (*at == '"')
            return at + 1;
        at += end - at >= 2 ? 2 : 1; /* a backslash and what it escapes */
    }
}

/* A number, true, false or null; at least one byte, so that a caller's loop always ends. */
static const char *skip_scalar(const char *at, const char *end)
{
    do
        at++;
    while (at<end && * at> ' ' && *at != ',' && *at != ']' && *at != '}');
    return at;
}

const char *json_skip_value(const char *at, const char *end)
{
    if (at == end)
        return end;
    if (*at == '"')
        return json_skip_string(at + 1, end);
    if (*at != '{' && *at != '[')
        return skip_scalar(at, end);
    size_t depth = 0;
    while (at < end) {
        char c = *at++;
        if (c == '"')
            at = json_skip_string(at, end);
        else if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && --depth == 0)
            return at;
    }
    return end;
}

static uint32_t hex4(const char *at)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)at[i];
        value = value << 4 | (json_is_digit(at[i]) ? c - (uint32_t)'0' : (c | 32u) - 'a' + 10u);
    }
    return value;
}

/* \uXXXX or a pair of them; *at is at the first of at least four digits. */
static uint32_t decode_unicode(const char **at, const char *end)
{
    uint32_t code = hex4(*at);
    *at += 4;
    if (code >= 0xd800 && code <= 0xdbff && end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u') {
        uint32_t low = hex4(*at + 2);
        if (low >= 0xdc00 && low <= 0xdfff) {
            *at += 6;
            return 0x10000 + ((code - 0xd800) << 10 | (low - 0xdc00));
        }
    }
    return code > 0xffff || (code >= 0xd800 && code <= 0xdfff) ? 0xfffd : code;
}

size_t json_decode_step(const char **at, const char *end, char to[4])
{
    static const char letters[] = "bfnrt", meant[] = "\b\f\n\r\t";
    char c = *(*at)++;
    if (c != '\\' || *at == end || (**at == 'u' && end - *at < 5)) {
        to[0] = c; /* plain, or cut off */
        return 1;
    }
    c = *(*at)++;
    if (c == 'u')
        return utf8_put(decode_unicode(at, end), to);
    const char *letter = memchr(letters, c, sizeof letters - 1);
    to[0] = letter != NULL ? meant[letter - letters] : c; /* quote, slashes mean themselves */
    return 1;
}

slice json_trim(slice text)
{
    if (text.len == 0)
        return text;
    const char *end = text.ptr + text.len, *at = json_skip_space(text.ptr, end);
    while (end > at && json_skip_space(end - 1, end) == end)
        end--;
    return (slice){ at, (size_t)(end - at) };
}
