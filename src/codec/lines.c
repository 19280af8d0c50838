#include "codec/lines.h"

#include <string.h>

#define ROOM_BYTES 4096 /* the smallest read worth a system call */

void lines_init(struct lines *lines, size_t max_bytes, const char *what)
{
    *lines = (struct lines){ 0 };
    buf_init(&lines->buf, max_bytes, what);
}

void lines_free(struct lines *lines)
{
    buf_free(&lines->buf);
    lines->start = lines->scanned = 0;
}

size_t lines_pending(const struct lines *lines)
{
    return lines->buf.len - lines->start;
}

/* Moves an unfinished line to the front. Happens at most once to each: it starts there then. */
static void compact(struct lines *lines)
{
    size_t pending = lines_pending(lines);
    if (lines->start == 0)
        return;
    if (pending > 0)
        memmove(lines->buf.ptr, lines->buf.ptr + lines->start, pending);
    lines->buf.len = pending;
    lines->scanned -= lines->start;
    lines->start = 0;
}

int lines_room(struct lines *lines, size_t *room, struct err *err)
{
    compact(lines);
    struct buf *buf = &lines->buf;
    size_t left = buf->max - buf->len, wanted = left < ROOM_BYTES ? left : ROOM_BYTES;
    int rc = buf_reserve(buf, wanted > 0 ? wanted : 1, err);
    if (rc == 0)
        *room = buf->cap - buf->len;
    else
        buf->failed = 0; /* once what is here has been given out, there is room again */
    return rc;
}

void lines_filled(struct lines *lines, size_t count)
{
    lines->buf.len += count;
}

bool lines_next(struct lines *lines, slice *line)
{
    const char *base = lines->buf.ptr;
    size_t fresh = lines->buf.len - lines->scanned;
    const char *feed = fresh > 0 ? memchr(base + lines->scanned, '\n', fresh) : NULL;
    if (feed == NULL) {
        lines->scanned = lines->buf.len;
        return false;
    }
    *line = (slice){ base + lines->start, (size_t)(feed - base) - lines->start };
    if (line->len > 0 && feed[-1] == '\r')
        line->len--;
    lines->start = lines->scanned = (size_t)(feed - base) + 1;
    return true;
}

bool lines_rest(struct lines *lines, slice *line)
{
    size_t pending = lines_pending(lines);
    if (pending == 0)
        return false;
    *line = (slice){ lines->buf.ptr + lines->start, pending };
    lines->start = lines->scanned = lines->buf.len;
    return true;
}

void lines_clear(struct lines *lines, size_t keep_bytes)
{
    lines->start = lines->scanned = 0;
    buf_reset(&lines->buf, keep_bytes);
}

int lines_give(struct lines *lines, struct buf *to, struct err *err)
{
    size_t pending = lines_pending(lines);
    slice rest = slice_skip(buf_slice(&lines->buf), lines->start);
    buf_clear(to);
    int rc = buf_add_slice(to, rest, err);
    if (rc != 0)
        return rc;
    char *ptr = lines->buf.ptr;
    size_t len = lines->buf.len, cap = lines->buf.cap;
    lines->buf.ptr = to->ptr;
    lines->buf.len = pending;
    lines->buf.cap = to->cap;
    lines->start = lines->scanned = 0;
    to->ptr = ptr;
    to->len = len;
    to->cap = cap;
    return 0;
}
