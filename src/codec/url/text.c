#include <string.h>

#include "codec/chars.h"
#include "codec/url.h"

int url_encode(struct buf *out, slice text, struct err *err)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t size = text.len;
    for (size_t i = 0; i < text.len; i++)
        size += chars_in(text.ptr[i], CHARS_UNRESERVED) ? 0 : 2;
    int rc = buf_reserve(out, size, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (chars_in(text.ptr[i], CHARS_UNRESERVED)) {
            out->ptr[out->len++] = text.ptr[i];
            continue;
        }
        out->ptr[out->len++] = '%';
        out->ptr[out->len++] = hex[c >> 4];
        out->ptr[out->len++] = hex[c & 15];
    }
    return 0;
}

static bool is_escape(slice text)
{
    return text.len >= 3 && text.ptr[0] == '%' && chars_in(text.ptr[1], CHARS_HEX) &&
           chars_in(text.ptr[2], CHARS_HEX);
}

int url_decode(struct buf *out, slice text, struct err *err)
{
    size_t before = out->len;
    int rc = buf_reserve(out, text.len, err); /* decoding never makes it longer */
    if (rc != 0)
        return rc;
    while (text.len > 0) {
        char c = text.ptr[0];
        if (c == '%' && !is_escape(text)) {
            out->len = before;
            return err_set(err, ERR_INPUT, "a percent sign without two hexadecimal digits");
        }
        if (c == '%')
            c = (char)(chars_hex_value(text.ptr[1]) << 4 | chars_hex_value(text.ptr[2]));
        text = slice_skip(text, text.ptr[0] == '%' ? 3 : 1);
        out->ptr[out->len++] = c;
    }
    return 0;
}

/* The placeholder that text starts with, the longest where there are several, or NULL. */
static const struct url_placeholder *match(slice text, const struct url_placeholder *placeholders,
                                           size_t count)
{
    const struct url_placeholder *best = NULL;
    size_t best_len = 0;
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(placeholders[i].name);
        if (len > best_len && len <= text.len && memcmp(text.ptr, placeholders[i].name, len) == 0) {
            best = &placeholders[i];
            best_len = len;
        }
    }
    return best;
}

int url_fill(struct buf *out, slice template, const struct url_placeholder *placeholders,
             size_t count, struct err *err)
{
    size_t before = out->len;
    int rc = 0;
    while (rc == 0 && template.len > 0) {
        const struct url_placeholder *found = match(template, placeholders, count);
        if (found != NULL) {
            rc = url_encode(out, found->value, err);
            template = slice_skip(template, strlen(found->name));
        } else {
            rc = buf_add(out, template.ptr, 1, err);
            template = slice_skip(template, 1);
        }
    }
    if (rc != 0)
        out->len = before;
    return rc;
}

int url_add_query(struct buf *out, const char *name, slice value, struct err *err)
{
    slice url = buf_slice(out);
    out->len = url.len = chars_until(url, "#");
    char last = url.len > 0 ? url.ptr[url.len - 1] : '\0';
    bool has_query = chars_until(url, "?") < url.len;
    size_t before = out->len;
    int rc = 0;
    if (!has_query)
        rc = buf_add_text(out, "?", err);
    else if (last != '?' && last != '&')
        rc = buf_add_text(out, "&", err);
    if (rc == 0)
        rc = buf_add_text(out, name, err);
    if (rc == 0)
        rc = buf_add_text(out, "=", err);
    if (rc == 0)
        rc = url_encode(out, value, err);
    if (rc != 0)
        out->len = before;
    return rc;
}
