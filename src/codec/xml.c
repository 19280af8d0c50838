#include "codec/xml.h"

#include <stdio.h>

#include "codec/chars.h"

static const struct {
    const char *text;
    const char *escape;
} escapes[] = {
    { "&", "&amp;" }, { "<", "&lt;" }, { ">", "&gt;" }, { "\"", "&quot;" }, { "'", "&apos;" },
};

enum { ESCAPES = sizeof escapes / sizeof escapes[0] };

static bool starts_with(slice text, const char *start)
{
    size_t len = strlen(start);
    return text.len >= len && memcmp(text.ptr, start, len) == 0;
}

static bool put_unescaped(struct buf *out, slice text)
{
    while (text.len > 0) {
        size_t used = 1;
        slice put = { text.ptr, 1 };
        for (size_t i = 0; i < ESCAPES; i++)
            if (starts_with(text, escapes[i].escape)) {
                used = strlen(escapes[i].escape);
                put.ptr = escapes[i].text;
            }
        if (buf_add_slice(out, put, NULL) != 0)
            return false;
        text = slice_skip(text, used);
    }
    return true;
}

bool xml_text(slice document, const char *name, struct buf *out)
{
    char open[64], close[64];
    size_t before = out->len;
    snprintf(open, sizeof open, "<%s>", name);
    snprintf(close, sizeof close, "</%s>", name);
    while (document.len > 0) {
        size_t skipped = chars_until(document, "<");
        slice element = slice_skip(document, skipped);
        document = slice_skip(element, element.len > 0);
        if (!starts_with(element, open))
            continue;
        slice rest = slice_skip(element, strlen(open));
        slice text = { rest.ptr, chars_until(rest, "<") };
        if (!starts_with(slice_skip(rest, text.len), close))
            continue;
        if (put_unescaped(out, text))
            return true;
        out->len = before;
        return false;
    }
    return false;
}

int xml_put_text(struct buf *out, slice text, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < text.len; i++) {
        slice put = { text.ptr + i, 1 };
        for (size_t k = 0; k < ESCAPES; k++)
            if (text.ptr[i] == escapes[k].text[0])
                put = slice_from(escapes[k].escape);
        rc = buf_add_slice(out, put, err);
    }
    return rc;
}
