/* One request to the server, of a job or of the worker itself, and the response's head. */
#include "base/version.h"
#include "upstream/upstream_private.h"

/* POST, PUT and PATCH without a body say that it is empty (RFC 9110, 8.6). */
static bool has_body_by_nature(const char *method)
{
    return method[0] == 'P';
}

static int64_t limit_or_none(int64_t limit_ms)
{
    return limit_ms > 0 ? limit_ms : INT64_MAX;
}

int upstream_send(struct upstream_slot *slot, const struct upstream_message *message,
                  struct err *err)
{
    const struct config *config = slot->setting->config;
    const struct http1_field fields[] = {
        { SLICE_LITERAL("User-Agent"), SLICE_LITERAL(WORKER_USER_AGENT) },
        { SLICE_LITERAL("Accept-Encoding"), SLICE_LITERAL("identity") },
        { SLICE_LITERAL("X-Request-ID"), buf_slice(&slot->request_id) },
        { SLICE_LITERAL("Content-Type"), SLICE_LITERAL("application/json") },
    };
    buf_clear(&slot->url);
    buf_add_slice(&slot->url, slot->setting->origin, NULL);
    buf_add_slice(&slot->url, message->route, NULL);
    int rc = buf_error(&slot->url, err);
    if (rc != 0)
        return rc;
    bool has_body = message->body_count > 0;
    const struct http_request request = {
        .method = message->method,
        .fields = fields,
        .field_count = has_body                   ? 4
                       : slot->request_id.len > 0 ? 3
                                                  : 2,
        .body = has_body || has_body_by_nature(message->method) ? message->body : NULL,
        .body_count = message->body_count,
        .connect_ms = config->handler.connect_ms,
        .send_ms = LIMIT_BODY_MS,
        .first_byte_ms = limit_or_none(config->handler.first_byte_ms),
        .body_ms = LIMIT_TRANSFER_MS,
        .idle_ms = limit_or_none(config->handler.idle_ms),
        .until = message->until,
        .wake = &slot->waiter.wake,
        .wake_in_body = true,
        .keep_origin = true,
    };
    return upstream_open_at_origin(slot->client, &request, message->filter, &slot->url,
                                   &slot->response, err);
}
