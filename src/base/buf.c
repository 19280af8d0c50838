#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_FIRST_BYTES 512 /* the first allocation; small, since most buffers stay small */

void buf_init(struct buf *buf, size_t max_bytes, const char *what)
{
    *buf = (struct buf){ .max = max_bytes, .what = what };
}

int buf_error(const struct buf *buf, struct err *err)
{
    if (buf->failed == ERR_LIMIT)
        return err_set(err, ERR_LIMIT, "%s is larger than the limit of %zu bytes", buf->what,
                       buf->max);
    return buf->failed == 0 ? 0 : err_set(err, buf->failed, "out of memory for %s", buf->what);
}

static int fail(struct buf *buf, int code, struct err *err)
{
    buf->failed = code;
    return buf_error(buf, err);
}

int buf_reserve(struct buf *buf, size_t extra, struct err *err)
{
    if (buf->failed != 0)
        return buf_error(buf, err);
    if (extra <= buf->cap - buf->len)
        return 0;
    if (extra > buf->max - buf->len)
        return fail(buf, ERR_LIMIT, err);
    size_t need = buf->len + extra;
    size_t cap = buf->cap < BUF_FIRST_BYTES ? BUF_FIRST_BYTES : buf->cap + buf->cap / 2;
    if (cap < need)
        cap = need;
    if (cap > buf->max)
        cap = buf->max;
    char *ptr = realloc(buf->ptr, cap);
    if (ptr == NULL)
        return fail(buf, ERR_MEMORY, err);
    buf->ptr = ptr;
    buf->cap = cap;
    return 0;
}

int buf_add(struct buf *buf, const void *bytes, size_t count, struct err *err)
{
    int rc = buf_reserve(buf, count, err);
    if (rc != 0 || count == 0)
        return rc;
    memcpy(buf->ptr + buf->len, bytes, count);
    buf->len += count;
    return 0;
}

int buf_add_slice(struct buf *buf, slice bytes, struct err *err)
{
    return buf_add(buf, bytes.ptr, bytes.len, err);
}

int buf_add_text(struct buf *buf, const char *text, struct err *err)
{
    return buf_add(buf, text, strlen(text), err);
}

int buf_add_slices(struct buf *buf, const slice *parts, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++)
        buf_add_slice(buf, parts[i], NULL);
    return buf_error(buf, err);
}

void buf_add_format(struct buf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int count = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (buf_reserve(buf, (size_t)count + 1, NULL) == 0) { /* vsnprintf ends with a NUL */
        vsnprintf(buf->ptr + buf->len, (size_t)count + 1, format, again);
        buf->len += (size_t)count;
    }
    va_end(again);
}

void buf_clear(struct buf *buf)
{
    buf->len = 0;
    buf->failed = 0;
}

void buf_truncate(struct buf *buf, size_t len)
{
    buf->len = len;
}

slice buf_slice(const struct buf *buf)
{
    return (slice){ buf->ptr, buf->len };
}

void buf_reset(struct buf *buf, size_t keep_bytes)
{
    if (buf->cap > keep_bytes)
        buf_free(buf);
    buf_clear(buf);
}

void buf_move(struct buf *to, struct buf *from)
{
    free(to->ptr);
    *to = *from;
    from->ptr = NULL;
    from->cap = 0;
    buf_clear(from);
}

void buf_free(struct buf *buf)
{
    free(buf->ptr);
    buf->ptr = NULL;
    buf->cap = 0;
    buf_clear(buf);
}
