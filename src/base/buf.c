#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

#define BUF_FIRST_BYTES 512 /* the first allocation; small, since most buffers stay small */

void buf_init(struct buf *buf, size_t max_bytes, const char *what)
{
    *buf = (struct buf){ .max = max_bytes, .what = what };
}

int buf_reserve(struct buf *buf, size_t extra, struct err *err)
{
    if (extra <= buf->cap - buf->len)
        return 0;
    if (extra > buf->max - buf->len)
        return err_set(err, ERR_LIMIT, "%s is larger than the limit of %zu bytes", buf->what,
                       buf->max);
    size_t need = buf->len + extra;
    size_t cap = buf->cap < BUF_FIRST_BYTES ? BUF_FIRST_BYTES : buf->cap + buf->cap / 2;
    if (cap < need)
        cap = need;
    if (cap > buf->max)
        cap = buf->max;
    char *ptr = realloc(buf->ptr, cap);
    if (ptr == NULL)
        return err_set(err, ERR_MEMORY, "no memory for %zu bytes of %s", cap, buf->what);
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

slice buf_slice(const struct buf *buf)
{
    return (slice){ buf->ptr, buf->len };
}

void buf_reset(struct buf *buf, size_t keep_bytes)
{
    if (buf->cap > keep_bytes)
        buf_free(buf);
    buf->len = 0;
}

void buf_free(struct buf *buf)
{
    free(buf->ptr);
    buf->ptr = NULL;
    buf->len = buf->cap = 0;
}
