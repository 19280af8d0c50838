#include "base/text.h"

#include <stdio.h>

struct text text_over(char *at, size_t size)
{
    at[0] = '\0';
    return (struct text){ .at = at, .size = size };
}

bool text_add_args(struct text *text, const char *format, va_list args)
{
    size_t room = text->len < text->size ? text->size - text->len : 0;
    int len = room > 0 ? vsnprintf(text->at + text->len, room, format, args) : -1;
    if (len >= 0 && (size_t)len < room) {
        text->len += (size_t)len;
        return true;
    }
    text->is_cut = true;
    if (len >= 0)
        text->len = text->size - 1;
    else
        text_truncate(text, text->len);
    return false;
}

bool text_add(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    bool whole = text_add_args(text, format, args);
    va_end(args);
    return whole;
}

void text_truncate(struct text *text, size_t len)
{
    if (len < text->len)
        text->len = len;
    text->at[text->len] = '\0';
}
