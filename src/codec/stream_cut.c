#include "codec/stream_cut.h"

#include <string.h>

#include "base/utf8.h"

/* One byte of an event stream. True where a border lies before it; *behind: one lies after it. */
static bool step(struct stream_cut *cut, char c, bool *behind)
{
    bool before = false;
    bool pairs = cut->after_cr && c == '\n';
    *behind = false;
    if (cut->after_cr && cut->blank) {
        before = !pairs;
        *behind = pairs;
    }
    cut->after_cr = cut->blank = false;
    if (pairs)
        return before; /* its CR has ended the line already */
    if (c == '\n') {
        *behind = !cut->in_line;
        cut->in_line = false;
    } else if (c == '\r') {
        cut->after_cr = true;
        cut->blank = !cut->in_line;
        cut->in_line = false;
    } else {
        cut->in_line = true;
    }
    return before;
}

static size_t find_event(struct stream_cut *cut, slice text, size_t seen)
{
    size_t border = 0;
    for (size_t i = seen; i < text.len; i++) {
        bool behind;
        if (step(cut, text.ptr[i], &behind))
            border = i;
        if (behind)
            border = i + 1;
    }
    return border;
}

size_t stream_cut_find(struct stream_cut *cut, slice text, size_t seen)
{
    const char *feed;
    switch (cut->kind) {
    case STREAM_CUT_EVENT: return find_event(cut, text, seen);
    case STREAM_CUT_LINE:
        feed = memrchr(text.ptr + seen, '\n', text.len - seen);
        return feed != NULL ? (size_t)(feed - text.ptr) + 1 : 0;
    case STREAM_CUT_CHARACTER: break;
    }
    return utf8_whole(text).len;
}
