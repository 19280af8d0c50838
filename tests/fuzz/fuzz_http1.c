/*
 * Response heads: whatever the bytes are, what the parser says holds for the head, for every part
 * of it, and for the same head written out again. The first byte's lowest bit tells whether the
 * request was HEAD; the head follows.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/byte_class.h"
#include "codec/http1.h"
#include "must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(slice part, slice head)
{
    must(part.ptr >= head.ptr && part.len <= head.len &&
         (size_t)(part.ptr - head.ptr) <= head.len - part.len);
}

static void check_response(const struct http1_response *response, slice head)
{
    must(head.len <= HTTP1_HEAD_MAX_BYTES && response->field_count <= HTTP1_FIELDS_MAX);
    must(response->status >= 100 && response->status <= 599);
    must(response->minor_version == 0 || response->minor_version == 1);
    must(response->body != HTTP1_BODY_CLOSE || !response->keep_alive);
    must(response->content_length <= INT64_MAX);
    must(response->body == HTTP1_BODY_LENGTH || response->content_length == 0);
    check_inside(response->reason, head);
    must(byte_class_span(response->reason, BYTE_CLASS_FIELD) == response->reason.len);
    for (size_t i = 0; i < response->field_count; i++) {
        slice name = response->fields[i].name, value = response->fields[i].value;
        check_inside(name, head);
        check_inside(value, head);
        must(byte_class_all(name, BYTE_CLASS_TOKEN));
        must(byte_class_span(value, BYTE_CLASS_FIELD) == value.len &&
             byte_class_trim(value).len == value.len);
    }
}

/* A part of the bytes is incomplete until the head is whole, and never better than the whole. */
static void check_part(const char *bytes, size_t part, ptrdiff_t whole, bool to_head)
{
    char *copy = malloc(part + 1); /* one byte in front, so that none is behind */
    must(copy != NULL);
    memcpy(copy + 1, bytes, part);
    struct http1_response response;
    ptrdiff_t size = http1_parse_response(copy + 1, part, to_head, &response, NULL);
    if (whole > 0)
        must(size == (part >= (size_t)whole ? whole : 0));
    else
        must(size == 0 || (size < 0 && size == whole));
    free(copy);
}

static bool same(slice a, slice b)
{
    return slice_equal(a, b);
}

static void check_rewritten(const struct http1_response *response, bool to_head)
{
    char line[32];
    struct buf out;
    struct http1_response again;
    buf_init(&out, 1 << 20, "head");
    struct http1_writer head = { .out = &out };
    int len = snprintf(line, sizeof line, "HTTP/1.%d %d ", response->minor_version,
                       response->status);
    must(buf_add(&out, line, (size_t)len, NULL) == 0);
    must(buf_add_slice(&out, response->reason, NULL) == 0 && buf_add(&out, "\r\n", 2, NULL) == 0);
    for (size_t i = 0; i < response->field_count; i++) {
        slice name = response->fields[i].name;
        http1_put_field(&head, name, response->fields[i].value);
    }
    must(http1_put_end(&head, NULL) == 0);
    ptrdiff_t size = http1_parse_response(out.ptr, out.len, to_head, &again, NULL);
    if (out.len <= HTTP1_HEAD_MAX_BYTES) { /* the space behind each colon may be new */
        must(size == (ptrdiff_t)out.len && again.field_count == response->field_count);
        must(again.body == response->body && again.keep_alive == response->keep_alive);
        must(again.content_length == response->content_length);
        must(same(again.reason, response->reason));
        for (size_t i = 0; i < again.field_count; i++)
            must(same(again.fields[i].name, response->fields[i].name) &&
                 same(again.fields[i].value, response->fields[i].value));
    }
    buf_free(&out);
}

static void check_values(const struct http1_response *response)
{
    slice value;
    for (size_t i = 0; i < response->field_count; i++) {
        uint32_t pause_ms = 0;
        http1_is_media_type(response->fields[i].value, "application/json");
        if (http1_retry_after(response->fields[i].value, 784111777, &pause_ms))
            must(pause_ms <= 24 * 3600 * 1000 && pause_ms % 1000 == 0);
    }
    if (http1_field(response, "retry-after", &value))
        must(response->field_count > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    bool to_head = data[0] & 1;
    slice bytes = { (const char *)data + 1, size - 1 };
    struct http1_response response;
    struct err err = { 0 };
    ptrdiff_t whole = http1_parse_response(bytes.ptr, bytes.len, to_head, &response, &err);
    must(whole <= (ptrdiff_t)bytes.len);
    must(whole >= 0 ? err.code == 0 : err.code == whole && err.text[0] != '\0');
    if (whole > 0) {
        check_response(&response, (slice){ bytes.ptr, (size_t)whole });
        check_values(&response);
        check_rewritten(&response, to_head);
    }
    size_t step = bytes.len / 40 + 1; /* all parts of a short head, some of a long one */
    for (size_t part = 0; part <= bytes.len; part += step)
        check_part(bytes.ptr, part, whole, to_head);
    if (whole > 0) {
        check_part(bytes.ptr, (size_t)whole - 1, whole, to_head);
        check_part(bytes.ptr, (size_t)whole, whole, to_head);
    }
    return 0;
}
