#include "codec/borders.h"

#include <string.h>

size_t borders_whole_characters(slice text)
{
    size_t tail = 0;
    while (tail < 3 && tail < text.len &&
           ((unsigned char)text.ptr[text.len - 1 - tail] & 0xc0) == 0x80)
        tail++;
    if (tail == text.len)
        return text.len;
    unsigned char first = (unsigned char)text.ptr[text.len - 1 - tail];
    size_t wanted = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : first >= 0xc0 ? 1 : 0;
    return tail < wanted ? text.len - 1 - tail : text.len;
}

/* One byte of an event stream. True where a border lies before it; *behind: where one lies behind. */
static bool step(struct borders *borders, char c, bool *behind)
{
    bool before = false;
    bool pairs = borders->after_cr && c == '\n';
    *behind = false;
    if (borders->after_cr && borders->blank) {
        before = !pairs;
        *behind = pairs;
    }
    borders->after_cr = borders->blank = false;
    if (pairs)
        return before; /* the CR has ended the line already */
    if (c == '\n') {
        *behind = !borders->in_line;
        borders->in_line = false;
    } else if (c == '\r') {
        borders->after_cr = true;
        borders->blank = !borders->in_line;
        borders->in_line = false;
    } else {
        borders->in_line = true;
    }
    return before;
}

static size_t find_event(struct borders *borders, slice text, size_t seen)
{
    size_t border = 0;
    for (size_t i = seen; i < text.len; i++) {
        bool behind;
        if (step(borders, text.ptr[i], &behind))
            border = i;
        if (behind)
            border = i + 1;
    }
    return border;
}

size_t borders_find(struct borders *borders, slice text, size_t seen)
{
    const char *feed;
    switch (borders->kind) {
    case BORDER_EVENT: return find_event(borders, text, seen);
    case BORDER_LINE:
        feed = memrchr(text.ptr + seen, '\n', text.len - seen);
        return feed != NULL ? (size_t)(feed - text.ptr) + 1 : 0;
    case BORDER_CHARACTER: break;
    }
    return borders_whole_characters(text);
}
