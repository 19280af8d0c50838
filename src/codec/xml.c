#include "codec/xml.h"

#include <stdio.h>

#include "codec/byte_class.h"

static const struct {
    const char *text;
    const char *escape;
} escapes[] = {
    { "&", "&amp;" }, { "<", "&lt;" }, { ">", "&gt;" }, { "\"", "&quot;" }, { "'", "&apos;" },
};

enum { ESCAPES = sizeof escapes / sizeof escapes[0] };

static void put_unescaped(struct buf *out, slice text)
{
    while (text.len > 0) {
        size_t used = 1;
        slice put = { text.ptr, 1 };
        for (size_t i = 0; i < ESCAPES; i++)
            if (slice_starts(text, slice_from(escapes[i].escape))) {
                used = strlen(escapes[i].escape);
                put.ptr = escapes[i].text;
            }
        buf_add_slice(out, put, NULL);
        text = slice_skip(text, used);
    }
}

bool xml_text(slice document, const char *name, struct buf *out)
{
    char open[64], close[64];
    size_t before = out->len;
    snprintf(open, sizeof open, "<%s>", name);
    snprintf(close, sizeof close, "</%s>", name);
    while (document.len > 0) {
        size_t skipped = byte_class_until(document, "<");
        slice element = slice_skip(document, skipped);
        document = slice_skip(element, element.len > 0);
        if (!slice_starts(element, slice_from(open)))
            continue;
        slice rest = slice_skip(element, strlen(open));
        slice text = { rest.ptr, byte_class_until(rest, "<") };
        if (!slice_starts(slice_skip(rest, text.len), slice_from(close)))
            continue;
        put_unescaped(out, text);
        if (buf_error(out, NULL) == 0)
            return true;
        buf_truncate(out, before);
        return false;
    }
    return false;
}

int xml_put_text(struct buf *out, slice text, struct err *err)
{
    for (size_t i = 0; i < text.len; i++) {
        slice put = { text.ptr + i, 1 };
        for (size_t k = 0; k < ESCAPES; k++)
            if (text.ptr[i] == escapes[k].text[0])
                put = slice_from(escapes[k].escape);
        buf_add_slice(out, put, NULL);
    }
    return buf_error(out, err);
}
