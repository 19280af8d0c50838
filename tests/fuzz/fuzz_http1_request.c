/*
 * Request heads: whatever the bytes are, what the parser says holds for the head, for every part of
 * it, and for the same head written out again.
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

static void check_request(const struct http1_request *request, slice head)
{
    size_t hosts = 0;
    must(head.len <= HTTP1_HEAD_MAX_BYTES + 2 && request->field_count <= HTTP1_FIELDS_MAX);
    must(request->minor_version == 0 || request->minor_version == 1);
    must(request->body != HTTP1_BODY_CLOSE && request->content_length <= INT64_MAX);
    must(request->body == HTTP1_BODY_LENGTH || request->content_length == 0);
    must(request->minor_version == 1 || request->body != HTTP1_BODY_CHUNKED);
    must(byte_class_all(request->method, BYTE_CLASS_TOKEN) &&
         byte_class_all(request->target, BYTE_CLASS_VISIBLE));
    check_inside(request->method, head);
    check_inside(request->target, head);
    check_inside(request->path, request->target);
    if (request->query.len > 0)
        check_inside(request->query, request->target);
    must(request->path.ptr[0] == '/' || slice_is(request->path, "*"));
    must(memchr(request->path.ptr, '?', request->path.len) == NULL);
    for (size_t i = 0; i < request->field_count; i++) {
        slice name = request->fields[i].name, value = request->fields[i].value;
        check_inside(name, head);
        check_inside(value, head);
        must(byte_class_all(name, BYTE_CLASS_TOKEN));
        must(byte_class_span(value, BYTE_CLASS_FIELD) == value.len &&
             byte_class_trim(value).len == value.len);
        hosts += slice_is_nocase(name, "Host") ? 1 : 0;
    }
    must(hosts <= 1 && (hosts == 1 || request->minor_version == 0));
}

/* A part of the bytes is incomplete until the head is whole, and never better than the whole. */
static void check_part(slice bytes, size_t part, ptrdiff_t whole)
{
    char *copy = malloc(part + 1); /* one byte in front, so that none is behind */
    must(copy != NULL);
    memcpy(copy + 1, bytes.ptr, part);
    struct http1_request request;
    ptrdiff_t size = http1_parse_request(copy + 1, part, &request, NULL);
    if (whole > 0)
        must(size == (part >= (size_t)whole ? whole : 0));
    else
        must(size == 0 || (size < 0 && size == whole));
    free(copy);
}

static void check_rewritten(const struct http1_request *request)
{
    struct buf out;
    struct http1_request again;
    buf_init(&out, 1 << 20, "head");
    struct http1_writer head = { .out = &out };
    must(buf_add_slice(&out, request->method, NULL) == 0 && buf_add(&out, " ", 1, NULL) == 0);
    must(buf_add_slice(&out, request->target, NULL) == 0);
    must(buf_add_text(&out, request->minor_version == 1 ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n",
                      NULL) == 0);
    for (size_t i = 0; i < request->field_count; i++) {
        slice name = request->fields[i].name;
        http1_put_field(&head, name, request->fields[i].value);
    }
    must(http1_put_end(&head, NULL) == 0);
    ptrdiff_t size = http1_parse_request(out.ptr, out.len, &again, NULL);
    if (out.len <= HTTP1_HEAD_MAX_BYTES) { /* the space behind each colon may be new */
        must(size == (ptrdiff_t)out.len && again.field_count == request->field_count);
        must(again.body == request->body && again.keep_alive == request->keep_alive);
        must(again.content_length == request->content_length);
        must(again.expects_continue == request->expects_continue);
        must(slice_equal(again.path, request->path) && slice_equal(again.query, request->query));
    }
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    slice bytes = { (const char *)data, size };
    struct http1_request request;
    struct err err = { 0 };
    ptrdiff_t whole = http1_parse_request(bytes.ptr, bytes.len, &request, &err);
    must(whole <= (ptrdiff_t)bytes.len);
    must(whole >= 0 ? err.code == 0 : err.code == whole && err.text[0] != '\0');
    if (whole > 0) {
        check_request(&request, (slice){ bytes.ptr, (size_t)whole });
        check_rewritten(&request);
        check_part(bytes, (size_t)whole - 1, whole);
        check_part(bytes, (size_t)whole, whole);
    }
    size_t step = bytes.len / 40 + 1; /* all parts of a short head, some of a long one */
    for (size_t part = 0; part <= bytes.len; part += step)
        check_part(bytes, part, whole);
    return 0;
}
