#include "codec/sigv4.h"

#include <stdio.h>

#include "base/date.h"
#include "codec/byte_class.h"
#include "codec/url.h"

#define ALGORITHM "AWS4-HMAC-SHA256"

#define PUT(out, ...)                                     \
    buf_add_slices((out), (const slice[]){ __VA_ARGS__ }, \
                   sizeof((const slice[]){ __VA_ARGS__ }) / sizeof(slice), NULL)

void sigv4_time(int64_t unix_s, char text[SIGV4_TIME_BYTES])
{
    const struct date utc = date_of(unix_s);
    snprintf(text, SIGV4_TIME_BYTES, "%04d%02u%02uT%02u%02u%02uZ", utc.year, utc.month, utc.day,
             utc.hour, utc.minute, utc.second);
}

int sigv4_put_path(struct buf *out, slice key, struct err *err)
{
    for (;;) {
        slice segment = { key.ptr, byte_class_until(key, "/") };
        url_encode(out, segment, NULL);
        if (segment.len == key.len)
            return buf_error(out, err);
        buf_add_text(out, "/", NULL);
        key = slice_skip(key, segment.len + 1);
    }
}

static int compare(slice a, slice b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.ptr, b.ptr, len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* Sorting before encoding is right because the names of our queries are plain ASCII. */
int sigv4_put_query(struct buf *out, const struct sigv4_pair *pairs, size_t count, struct err *err)
{
    const struct sigv4_pair *sorted[SIGV4_PAIRS_MAX] = { NULL };
    if (count > SIGV4_PAIRS_MAX)
        return err_set(err, ERR_INPUT, "a query of %zu parameters, over the limit of %d", count,
                       SIGV4_PAIRS_MAX);
    for (size_t i = 0; i < count; i++) {
        size_t at = i;
        for (; at > 0 && compare(pairs[i].name, sorted[at - 1]->name) < 0; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = &pairs[i];
    }
    for (size_t i = 0; i < count; i++) {
        buf_add_text(out, i > 0 ? "&" : "", NULL);
        url_encode(out, sorted[i]->name, NULL);
        buf_add_text(out, "=", NULL);
        url_encode(out, sorted[i]->value, NULL);
    }
    return buf_error(out, err);
}

int sigv4_put_names(struct buf *out, const struct sigv4_request *request, struct err *err)
{
    for (size_t i = 0; i < request->field_count; i++) {
        buf_add_text(out, i > 0 ? ";" : "", NULL);
        buf_add_slice(out, request->fields[i].name, NULL);
    }
    return buf_error(out, err);
}

/* Without blanks at its ends, and each run of blanks inside it made one. */
static void put_value(struct buf *out, slice value)
{
    value = byte_class_trim(value);
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] != ' ' || value.ptr[i - 1] != ' ')
            buf_add(out, value.ptr + i, 1, NULL);
}

int sigv4_put_canonical(struct buf *out, const struct sigv4_request *request, struct err *err)
{
    const slice line = SLICE_LITERAL("\n");
    PUT(out, slice_from(request->method), line, request->path, line, request->query, line);
    for (size_t i = 0; i < request->field_count; i++) {
        PUT(out, request->fields[i].name, SLICE_LITERAL(":"));
        put_value(out, request->fields[i].value);
        buf_add_slice(out, line, NULL);
    }
    buf_add_slice(out, line, NULL);
    sigv4_put_names(out, request, NULL);
    PUT(out, line, slice_from(request->payload));
    return buf_error(out, err);
}

int sigv4_put_scope(struct buf *out, const char *time, slice region, struct err *err)
{
    PUT(out, ((slice){ time, SIGV4_DATE_LEN }), SLICE_LITERAL("/"), region,
        SLICE_LITERAL("/s3/aws4_request"));
    return buf_error(out, err);
}

int sigv4_put_string_to_sign(struct buf *out, const char *time, slice region,
                             const char *canonical_hash, struct err *err)
{
    PUT(out, SLICE_LITERAL(ALGORITHM "\n"), slice_from(time), SLICE_LITERAL("\n"));
    sigv4_put_scope(out, time, region, NULL);
    PUT(out, SLICE_LITERAL("\n"), slice_from(canonical_hash));
    return buf_error(out, err);
}

int sigv4_put_authorization(struct buf *out, const struct sigv4_request *request, const char *time,
                            slice region, slice access_key, const char *signature, struct err *err)
{
    PUT(out, SLICE_LITERAL(ALGORITHM " Credential="), access_key, SLICE_LITERAL("/"));
    sigv4_put_scope(out, time, region, NULL);
    buf_add_text(out, ",SignedHeaders=", NULL);
    sigv4_put_names(out, request, NULL);
    PUT(out, SLICE_LITERAL(",Signature="), slice_from(signature));
    return buf_error(out, err);
}
