/* Strings and numbers, written. */
#include <inttypes.h>
#include <stdio.h>

#include "base/utf8_escape.h"
#include "json/json.h"
#include "json/scan.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* Escapes directly into the buffer, which grows only by what is needed. */
static void add_escaped(struct buf *buf, slice text)
{
    buf_reserve(buf, text.len, NULL);
    while (buf_error(buf, NULL) == 0 && text.len > 0) {
        size_t taken, room = buf->cap - buf->len;
        buf->len += utf8_escape_json(buf->ptr + buf->len, room, text.ptr, text.len, &taken);
        text = slice_skip(text, taken);
        if (text.len == 0)
            break;
        char next[ESCAPE_MAX_BYTES];
        size_t len = utf8_escape_json(next, sizeof next, text.ptr, 1, &taken);
        buf_add(buf, next, len, NULL);
        text = slice_skip(text, taken);
    }
}

/* 0, or the error that stuck while text was appended, which is taken back. */
static int finish(struct buf *buf, size_t before, struct err *err)
{
    int rc = buf_error(buf, err);
    if (rc != 0)
        buf_truncate(buf, before);
    return rc;
}

int json_put_string(struct buf *buf, slice text, struct err *err)
{
    size_t before = buf->len, good = utf8_prefix(text);
    if (good < text.len)
        return err_set(err, ERR_INPUT, "the text for %s is not UTF-8 at byte %zu", buf->what, good);
    buf_add_text(buf, "\"", NULL);
    add_escaped(buf, text);
    buf_add_text(buf, "\"", NULL);
    return finish(buf, before, err);
}

int json_put_lossy(struct buf *buf, slice text, struct err *err)
{
    size_t before = buf->len;
    buf_add_text(buf, "\"", NULL);
    while (text.len > 0) {
        size_t good = utf8_prefix(text);
        add_escaped(buf, (slice){ text.ptr, good });
        buf_add_text(buf, good < text.len ? REPLACEMENT : "", NULL);
        text = slice_skip(text, good < text.len ? good + 1 : good);
    }
    buf_add_text(buf, "\"", NULL);
    return finish(buf, before, err);
}

int json_put_int(struct buf *buf, int64_t value, struct err *err)
{
    char text[sizeof "-9223372036854775808"];
    int len = snprintf(text, sizeof text, "%" PRId64, value);
    return buf_add(buf, text, (size_t)len, err);
}
