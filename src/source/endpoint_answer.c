/* What requests to the job API are answered with, and what their query asks for. */
#include "base/limits.h"
#include "codec/byte_class.h"
#include "source/endpoint_private.h"

#define EXTRA_FIELDS 4

static size_t add_common_fields(const struct endpoint_request *request, struct http1_field *fields)
{
    size_t count = 0;
    slice cors = request->endpoint->config->api.cors;
    fields[count++] = (struct http1_field){ SLICE_LITERAL("X-Content-Type-Options"),
                                            SLICE_LITERAL("nosniff") };
    fields[count++] = (struct http1_field){ SLICE_LITERAL("Cache-Control"),
                                            SLICE_LITERAL("no-store") };
    if (cors.len == 0)
        return count;
    fields[count++] = (struct http1_field){ SLICE_LITERAL("Access-Control-Allow-Origin"), cors };
    fields[count++] = (struct http1_field){ SLICE_LITERAL("Vary"), SLICE_LITERAL("Origin") };
    return count;
}

void endpoint_respond_with(struct endpoint_request *request, int status, const char *type,
                           slice body, const struct http1_field *fields, size_t count)
{
    struct http1_field all[EXTRA_FIELDS + 4];
    struct err err = { 0 };
    size_t total = add_common_fields(request, all);
    for (size_t i = 0; i < count && i < 4; i++)
        all[total++] = fields[i];
    const struct server_response response = { .status = status,
                                              .content_type = type,
                                              .fields = all,
                                              .field_count = total,
                                              .body = &body,
                                              .body_count = status == 204 ? 0 : 1 };
    if (server_respond(request->exchange, &response, &err) != 0)
        log_write(LOG_DEBUG, NULL, "A client did not read its response: %s", err.text);
}

void endpoint_respond(struct endpoint_request *request, int status, struct buf *out)
{
    if (buf_error(out, NULL) != 0) {
        endpoint_refuse(request, 503, "The worker is out of memory for this response.");
        return;
    }
    server_hold(request->exchange, out->len); /* for the realtime port's clients that read slowly */
    endpoint_respond_with(request, status, "application/json", buf_slice(out), NULL, 0);
}

void endpoint_refuse_with(struct endpoint_request *request, int status, const char *message,
                          const struct http1_field *field)
{
    struct buf out;
    buf_init(&out, LIMIT_REPLY_BYTES, "an error");
    buf_add_text(&out, "{\"error\": ", NULL);
    endpoint_put_error(&out, slice_from(message));
    buf_add_text(&out, "}", NULL);
    endpoint_respond_with(request, status, "application/json", buf_slice(&out), field,
                          field != NULL ? 1 : 0);
    buf_free(&out);
}

void endpoint_refuse(struct endpoint_request *request, int status, const char *message)
{
    const struct http1_field retry = { SLICE_LITERAL("Retry-After"), SLICE_LITERAL("1") };
    endpoint_refuse_with(request, status, message, status == 429 || status == 503 ? &retry : NULL);
}

bool endpoint_begin_events(struct endpoint_request *request)
{
    struct http1_field fields[EXTRA_FIELDS];
    const struct server_response response = { .status = 200,
                                              .content_type = "text/event-stream",
                                              .fields = fields,
                                              .field_count = add_common_fields(request, fields) };
    return server_stream_begin(request->exchange, &response, NULL) == 0;
}

int64_t endpoint_query_number(const struct endpoint_request *request, const char *name,
                              int64_t fallback, int64_t least, int64_t most)
{
    slice query = request->exchange->request->query, pair;
    uint64_t value;
    while (byte_class_next(&query, '&', &pair)) {
        size_t len = byte_class_until(pair, "=");
        if (len == pair.len || !slice_is((slice){ pair.ptr, len }, name) ||
            !byte_class_decimal(slice_skip(pair, len + 1), INT64_MAX, &value))
            continue;
        return (int64_t)value < least ? least : (int64_t)value > most ? most : (int64_t)value;
    }
    return fallback;
}
