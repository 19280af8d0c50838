/*
 * URLs: the input is a base URL, then after the first line feed a Location. What is parsed can be
 * put together again, what is resolved is a clean URL, what is encoded can be decoded.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/byte_class.h"
#include "codec/url.h"
#include "must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROOM (1 << 22)

static bool same(const struct url *a, const struct url *b)
{
    return url_same_origin(a, b) && slice_equal(a->host, b->host) &&
           slice_equal(a->user, b->user) && slice_equal(a->target, b->target);
}

static void check_parsed(const struct url *url)
{
    char origin[2 * URL_MAX_BYTES];
    struct buf out;
    struct url again;
    must(url->host.len > 0 && url->host.len <= URL_HOST_MAX_BYTES && url->port > 0);
    must(url->target.len == 0 || url->target.ptr[0] == '/' || url->target.ptr[0] == '?');
    must(byte_class_until(url->target, "#") == url->target.len);
    if (!url->host_is_ipv6)
        must(byte_class_all(url->host, BYTE_CLASS_HOST));
    int len = snprintf(origin, sizeof origin, "%s://%.*s@%s%.*s%s:%u", url->tls ? "hTTps" : "http",
                       SLICE_ARG(url->user), url->host_is_ipv6 ? "[" : "", SLICE_ARG(url->host),
                       url->host_is_ipv6 ? "]" : "", (unsigned)url->port);
    buf_init(&out, ROOM, "URL");
    must(buf_add(&out, origin, (size_t)len, NULL) == 0 &&
         buf_add_slice(&out, url->target, NULL) == 0);
    if (out.len <= URL_MAX_BYTES)
        must(url_parse(buf_slice(&out), &again, NULL) == 0 && same(url, &again));
    buf_free(&out);
}

static bool has_dot_segment(slice path)
{
    while (path.len > 0) {
        path = slice_skip(path, 1); /* the slash */
        slice segment = { path.ptr, byte_class_until(path, "/") };
        if (slice_is(segment, ".") || slice_is(segment, ".."))
            return true;
        path = slice_skip(path, segment.len);
    }
    return false;
}

static void check_resolved(const struct url *base, slice location)
{
    struct buf out, twice;
    struct err err = { 0 };
    struct url url;
    buf_init(&out, ROOM, "URL");
    buf_init(&twice, ROOM, "URL");
    int rc = url_resolve(base, location, &out, &err);
    must(rc == err.code);
    if (rc != 0) {
        must((rc == ERR_INPUT || rc == ERR_LIMIT) && out.len == 0);
    } else {
        must(out.len <= URL_MAX_BYTES && url_parse(buf_slice(&out), &url, NULL) == 0);
        must(byte_class_until(buf_slice(&out), "#") == out.len);
        must(!has_dot_segment((slice){ url.target.ptr, byte_class_until(url.target, "?") }));
        must(url_resolve(base, buf_slice(&out), &twice, NULL) == 0);
        must(slice_equal(buf_slice(&out), buf_slice(&twice)));
    }
    buf_free(&out);
    buf_free(&twice);
}

static void check_encoded(slice text)
{
    struct buf encoded, decoded;
    buf_init(&encoded, ROOM, "encoded text");
    buf_init(&decoded, ROOM, "text");
    must(url_encode(&encoded, text, NULL) == 0);
    for (size_t i = 0; i < encoded.len; i++)
        must(byte_class_in(encoded.ptr[i], BYTE_CLASS_UNRESERVED) || encoded.ptr[i] == '%');
    must(url_decode(&decoded, buf_slice(&encoded), NULL) == 0);
    must(slice_equal(buf_slice(&decoded), text));
    buf_reset(&decoded, ROOM);
    int rc = url_decode(&decoded, text, NULL);
    must(rc == 0 ? decoded.len <= text.len : rc == ERR_INPUT && decoded.len == 0);
    buf_free(&encoded);
    buf_free(&decoded);
}

static void check_filled(slice template)
{
    static const struct url_placeholder removed = { "$ID", { "", 0 } };
    size_t left = template.len;
    for (slice rest = template; rest.len >= 3;) {
        const char *found = memmem(rest.ptr, rest.len, "$ID", 3);
        if (found == NULL)
            break;
        left -= 3;
        rest = slice_skip(rest, (size_t)(found - rest.ptr) + 3);
    }
    struct buf out;
    buf_init(&out, ROOM, "URL");
    must(url_fill(&out, template, &removed, 1, NULL) == 0 && out.len == left);
    buf_reset(&out, ROOM);
    must(url_fill(&out, template, NULL, 0, NULL) == 0 && slice_equal(buf_slice(&out), template));
    buf_free(&out);
}

static void check_query(const struct url *url, slice text, slice value)
{
    struct buf out;
    struct url more;
    buf_init(&out, ROOM, "URL");
    must(buf_add_slice(&out, text, NULL) == 0 && url_add_query(&out, "n", value, NULL) == 0);
    if (out.len <= URL_MAX_BYTES) {
        must(url_parse(buf_slice(&out), &more, NULL) == 0 && url_same_origin(url, &more));
        must(more.target.len >= url->target.len + 2);
        must(memcmp(more.target.ptr, url->target.ptr, url->target.len) == 0);
    }
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    slice text = { (const char *)data, size };
    slice base = { text.ptr, byte_class_until(text, "\n") };
    slice location = { text.ptr + base.len, 0 };
    if (base.len < text.len)
        location = slice_skip(text, base.len + 1);
    struct url url;
    struct err err = { 0 };
    int rc = url_parse(base, &url, &err);
    must(rc == err.code && (rc == 0 || rc == ERR_INPUT));
    check_encoded(text);
    check_filled(text);
    if (rc == 0) {
        check_parsed(&url);
        check_resolved(&url, location);
        check_query(&url, base, location);
    }
    return 0;
}
