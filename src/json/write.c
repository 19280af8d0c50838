#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/escape.h"
#include "codec/json.h"
#include "codec/json_scan.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* How many bytes from the start of text are well-formed UTF-8. */
static size_t utf8_prefix(slice text)
{
    size_t i = 0;
    while (i < text.len) {
        while (text.len - i >= 8 && (json_load_word(text.ptr + i) & JSON_EACH_BYTE(0x80)) == 0)
            i += 8;
        size_t len = i == text.len ? 0 : utf8_sequence(text.ptr + i, text.len - i);
        if (len == 0)
            break;
        i += len;
    }
    return i;
}

/* Escapes straight into the buffer, which grows by what is really needed. */
static int add_escaped(struct buf *buf, slice text, struct err *err)
{
    int rc = buf_reserve(buf, text.len, err);
    while (rc == 0 && text.len > 0) {
        size_t taken, room = buf->cap - buf->len;
        buf->len += escape_json(buf->ptr + buf->len, room, text.ptr, text.len, &taken);
        text = slice_skip(text, taken);
        if (text.len == 0)
            break;
        char next[ESCAPE_MAX_BYTES];
        size_t len = escape_json(next, sizeof next, text.ptr, 1, &taken);
        rc = buf_add(buf, next, len, err);
        text = slice_skip(text, taken);
    }
    return rc;
}

int json_put_string(struct buf *buf, slice text, struct err *err)
{
    size_t before = buf->len, good = utf8_prefix(text);
    if (good < text.len)
        return err_set(err, ERR_INPUT, "the text for %s is not UTF-8 at byte %zu", buf->what, good);
    int rc = buf_add(buf, "\"", 1, err);
    if (rc == 0)
        rc = add_escaped(buf, text, err);
    if (rc == 0)
        rc = buf_add(buf, "\"", 1, err);
    if (rc != 0)
        buf->len = before;
    return rc;
}

int json_put_lossy(struct buf *buf, slice text, struct err *err)
{
    size_t before = buf->len;
    int rc = buf_add(buf, "\"", 1, err);
    while (rc == 0 && text.len > 0) {
        size_t good = utf8_prefix(text);
        rc = add_escaped(buf, (slice){ text.ptr, good }, err);
        text = slice_skip(text, good);
        if (rc == 0 && text.len > 0) {
            rc = buf_add(buf, REPLACEMENT, sizeof REPLACEMENT - 1, err);
            text = slice_skip(text, 1);
        }
    }
    if (rc == 0)
        rc = buf_add(buf, "\"", 1, err);
    if (rc != 0)
        buf->len = before;
    return rc;
}

int json_put_int(struct buf *buf, int64_t value, struct err *err)
{
    char text[sizeof "-9223372036854775808"];
    int len = snprintf(text, sizeof text, "%" PRId64, value);
    return buf_add(buf, text, (size_t)len, err);
}

int json_put_double(struct buf *buf, double value, struct err *err)
{
    char text[32]; /* sign, 17 digits, point, e-308 */
    int len = 0;
    if (!isfinite(value))
        return err_set(err, ERR_INPUT, "a number for %s is infinite or NaN", buf->what);
    /* 15 digits name every normal double that has so short a name; subnormals need fewer. */
    for (int digits = isnormal(value) ? 15 : 1; digits <= 17; digits++) {
        len = snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    return buf_add(buf, text, (size_t)len, err);
}
