/* Percent-encoding, and URLs put together. */
#include <string.h>

#include "codec/byte_class.h"
#include "codec/url.h"

/* 0, or the error that stuck while text was appended, which is taken back. */
static int finish(struct buf *out, size_t before, struct err *err)
{
    int rc = buf_error(out, err);
    if (rc != 0)
        buf_truncate(out, before);
    return rc;
}

size_t url_encoded_bytes(slice text)
{
    size_t size = text.len;
    for (size_t i = 0; i < text.len; i++)
        size += byte_class_in(text.ptr[i], BYTE_CLASS_UNRESERVED) ? 0 : 2;
    return size;
}

int url_encode(struct buf *out, slice text, struct err *err)
{
    static const char hex[] = "0123456789ABCDEF";
    int rc = buf_reserve(out, url_encoded_bytes(text), err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (byte_class_in(text.ptr[i], BYTE_CLASS_UNRESERVED)) {
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
    return text.len >= 3 && text.ptr[0] == '%' && byte_class_in(text.ptr[1], BYTE_CLASS_HEX) &&
           byte_class_in(text.ptr[2], BYTE_CLASS_HEX);
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
            buf_truncate(out, before);
            return err_set(err, ERR_INPUT,
                           "a percent sign without two hexadecimal digits after it");
        }
        if (c == '%')
            c = (char)(byte_class_hex_value(text.ptr[1]) << 4 | byte_class_hex_value(text.ptr[2]));
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
        slice name = slice_from(placeholders[i].name);
        if (name.len > best_len && slice_starts(text, name)) {
            best = &placeholders[i];
            best_len = name.len;
        }
    }
    return best;
}

int url_fill(struct buf *out, slice template, const struct url_placeholder *placeholders,
             size_t count, struct err *err)
{
    size_t before = out->len;
    while (template.len > 0) {
        const struct url_placeholder *found = match(template, placeholders, count);
        if (found != NULL)
            url_encode(out, found->value, NULL);
        else
            buf_add(out, template.ptr, 1, NULL);
        template = slice_skip(template, found != NULL ? strlen(found->name) : 1);
    }
    return finish(out, before, err);
}

int url_add_query(struct buf *out, const char *name, slice value, struct err *err)
{
    slice url = buf_slice(out);
    url.len = byte_class_until(url, "#");
    char last = url.len > 0 ? url.ptr[url.len - 1] : '\0';
    bool has_query = byte_class_until(url, "?") < url.len;
    buf_truncate(out, url.len);
    if (!has_query)
        buf_add_text(out, "?", NULL);
    else if (last != '?' && last != '&')
        buf_add_text(out, "&", NULL);
    buf_add_text(out, name, NULL);
    buf_add_text(out, "=", NULL);
    url_encode(out, value, NULL);
    return finish(out, url.len, err);
}
