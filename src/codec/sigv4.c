#include "codec/sigv4.h"

#include <time.h>

#include "codec/chars.h"
#include "codec/url.h"

#define ALGORITHM "AWS4-HMAC-SHA256"

/* Appends all of the parts. */
static int put_all(struct buf *out, const slice *parts, size_t count, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = buf_add_slice(out, parts[i], err);
    return rc;
}

#define PUT(out, err, ...)                         \
    put_all((out), (const slice[]){ __VA_ARGS__ }, \
            sizeof((const slice[]){ __VA_ARGS__ }) / sizeof(slice), (err))

void sigv4_time(int64_t unix_s, char text[SIGV4_TIME_BYTES])
{
    struct tm utc;
    time_t seconds = (time_t)unix_s;
    gmtime_r(&seconds, &utc);
    strftime(text, SIGV4_TIME_BYTES, "%Y%m%dT%H%M%SZ", &utc);
}

int sigv4_put_path(struct buf *out, slice key, struct err *err)
{
    for (;;) {
        slice segment = { key.ptr, chars_until(key, "/") };
        int rc = url_encode(out, segment, err);
        if (rc != 0 || segment.len == key.len)
            return rc;
        rc = buf_add(out, "/", 1, err);
        if (rc != 0)
            return rc;
        key = slice_skip(key, segment.len + 1);
    }
}

static int compare(slice a, slice b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.ptr, b.ptr, len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* The names of our queries are plain ASCII, so their order is that of their encoded forms. */
int sigv4_put_query(struct buf *out, const struct sigv4_pair *pairs, size_t count, struct err *err)
{
    const struct sigv4_pair *sorted[SIGV4_PAIRS_MAX] = { NULL };
    if (count > SIGV4_PAIRS_MAX)
        return err_set(err, ERR_INPUT, "a query of %zu parameters", count);
    for (size_t i = 0; i < count; i++) {
        size_t at = i;
        for (; at > 0 && compare(pairs[i].name, sorted[at - 1]->name) < 0; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = &pairs[i];
    }
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (i > 0)
            rc = buf_add(out, "&", 1, err);
        if (rc == 0)
            rc = url_encode(out, sorted[i]->name, err);
        if (rc == 0)
            rc = buf_add(out, "=", 1, err);
        if (rc == 0)
            rc = url_encode(out, sorted[i]->value, err);
    }
    return rc;
}

int sigv4_put_names(struct buf *out, const struct sigv4_request *request, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < request->field_count; i++) {
        slice between = i == 0 ? SLICE_LITERAL("") : SLICE_LITERAL(";");
        rc = PUT(out, err, between, request->fields[i].name);
    }
    return rc;
}

/* A value with blanks at its ends cut and those in it made one. */
static int put_value(struct buf *out, slice value, struct err *err)
{
    int rc = 0;
    value = chars_trim(value);
    for (size_t i = 0; rc == 0 && i < value.len; i++)
        if (value.ptr[i] != ' ' || value.ptr[i - 1] != ' ')
            rc = buf_add(out, value.ptr + i, 1, err);
    return rc;
}

int sigv4_put_canonical(struct buf *out, const struct sigv4_request *request, struct err *err)
{
    const slice line = SLICE_LITERAL("\n");
    int rc = PUT(out, err, slice_from(request->method), line, request->path, line, request->query,
                 line);
    for (size_t i = 0; rc == 0 && i < request->field_count; i++) {
        rc = PUT(out, err, request->fields[i].name, SLICE_LITERAL(":"));
        if (rc == 0)
            rc = put_value(out, request->fields[i].value, err);
        if (rc == 0)
            rc = buf_add_slice(out, line, err);
    }
    if (rc == 0)
        rc = buf_add_slice(out, line, err);
    if (rc == 0)
        rc = sigv4_put_names(out, request, err);
    return rc != 0 ? rc : PUT(out, err, line, slice_from(request->payload));
}

int sigv4_put_scope(struct buf *out, const char *time, slice region, struct err *err)
{
    return PUT(out, err, ((slice){ time, SIGV4_DATE_LEN }), SLICE_LITERAL("/"), region,
               SLICE_LITERAL("/s3/aws4_request"));
}

int sigv4_put_string_to_sign(struct buf *out, const char *time, slice region,
                             const char *canonical_hash, struct err *err)
{
    int rc = PUT(out, err, SLICE_LITERAL(ALGORITHM "\n"), slice_from(time), SLICE_LITERAL("\n"));
    if (rc == 0)
        rc = sigv4_put_scope(out, time, region, err);
    return rc != 0 ? rc : PUT(out, err, SLICE_LITERAL("\n"), slice_from(canonical_hash));
}

int sigv4_put_authorization(struct buf *out, const struct sigv4_request *request, const char *time,
                            slice region, slice access_key, const char *signature, struct err *err)
{
    int rc = PUT(out, err, SLICE_LITERAL(ALGORITHM " Credential="), access_key, SLICE_LITERAL("/"));
    if (rc == 0)
        rc = sigv4_put_scope(out, time, region, err);
    if (rc == 0)
        rc = buf_add_text(out, ",SignedHeaders=", err);
    if (rc == 0)
        rc = sigv4_put_names(out, request, err);
    return rc != 0 ? rc : PUT(out, err, SLICE_LITERAL(",Signature="), slice_from(signature));
}
