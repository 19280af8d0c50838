#include "base/limits.h"
#include "codec/base64.h"
#include "codec/http1.h"
#include "job/http_slot.h"

enum content { CONTENT_JSON, CONTENT_TEXT, CONTENT_BYTES };

static bool ends_with(slice text, const char *end)
{
    size_t len = strlen(end);
    return text.len >= len && strncasecmp(text.ptr + text.len - len, end, len) == 0;
}

/* What the type says; without one, what the body is. */
static enum content content_of(slice type, slice body)
{
    static const char *const texts[] = { "application/xml",        "application/javascript",
                                         "application/x-ndjson",   "application/jsonl",
                                         "application/json-lines", "image/svg+xml" };
    slice name = { type.ptr, 0 };
    while (name.len < type.len && type.ptr[name.len] != ';' && type.ptr[name.len] != ' ')
        name.len++;
    if (name.len == 0)
        return json_check(body, NULL, NULL) == 0 ? CONTENT_JSON : CONTENT_TEXT;
    if (http1_is_media_type(type, "application/json") || ends_with(name, "+json"))
        return CONTENT_JSON;
    if (name.len > 5 && strncasecmp(name.ptr, "text/", 5) == 0)
        return CONTENT_TEXT;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (slice_is_nocase(name, texts[i]))
            return CONTENT_TEXT;
    return ends_with(name, "+xml") ? CONTENT_TEXT : CONTENT_BYTES;
}

static int return_json(struct http_slot *slot)
{
    struct err err;
    slice json = json_trim(buf_slice(&slot->body));
    if (json_check(json, NULL, &err) != 0)
        return http_fail(slot, 502, "The server's answer is not the JSON it says it is: %s",
                         err.text);
    rp_return_buf(slot->job, &slot->body, json);
    return RP_OK;
}

static int return_bytes(struct http_slot *slot, slice type)
{
    struct buf *text = &slot->text;
    struct err err;
    if (!slot->setting->config->handler.binary)
        return http_fail(slot, 502,
                         "The server answered bytes that are no UTF-8 text (%.*s); with "
                         "--handler-binary they are passed on as base64.",
                         SLICE_ARG(type));
    text->len = 0;
    int rc = buf_add_text(text, "{\"content_type\": ", &err);
    if (rc == 0)
        rc = json_put_lossy(text, type, &err);
    if (rc == 0)
        rc = buf_add_text(text, ", \"base64\": \"", &err);
    if (rc == 0)
        rc = base64_put(text, buf_slice(&slot->body), &err);
    if (rc == 0)
        rc = buf_add_text(text, "\"}", &err);
    if (rc != 0)
        return http_fail(slot, 502, "The server's answer cannot be passed on: %s", err.text);
    rp_return_buf(slot->job, text, buf_slice(text));
    return RP_OK;
}

static int return_text(struct http_slot *slot, slice type)
{
    struct err err;
    slot->text.len = 0;
    int rc = json_put_string(&slot->text, buf_slice(&slot->body), &err);
    if (rc == ERR_INPUT)
        return return_bytes(slot, type);
    if (rc != 0)
        return http_fail(slot, 502, "The server's answer cannot be passed on: %s", err.text);
    rp_return_buf(slot->job, &slot->text, buf_slice(&slot->text));
    return RP_OK;
}

/* True where no body could be expected, whatever the type says. */
static bool is_without_body(const struct http_slot *slot, const struct http_call *call, slice type)
{
    int status = slot->answer.status;
    return type.len == 0 || status == 204 || status == 205 || strcmp(call->method, "HEAD") == 0;
}

static int return_body(struct http_slot *slot, const struct http_call *call, slice type)
{
    if (slot->body.len == 0 && is_without_body(slot, call, type))
        return rp_return(slot->job, "null");
    switch (content_of(type, buf_slice(&slot->body))) {
    case CONTENT_JSON: return return_json(slot);
    case CONTENT_TEXT: return return_text(slot, type);
    case CONTENT_BYTES: break;
    }
    return slot->body.len == 0 && !slot->setting->config->handler.binary
               ? rp_return(slot->job, "null")
               : return_bytes(slot, type);
}

bool http_is_stream(const struct http_answer *answer, const struct http_call *call)
{
    slice type = slice_from(answer->content_type);
    if (answer->status == 204)
        return false;
    if (http1_is_media_type(type, "text/event-stream"))
        return true;
    return !answer->has_length &&
           (call->wants_stream || http1_is_media_type(type, "application/x-ndjson") ||
            http1_is_media_type(type, "application/jsonl"));
}

/* The start of an error's body is enough. */
static int take_error(struct http_slot *slot)
{
    struct err err;
    struct buf *body = &slot->body;
    body->len = 0;
    while (body->len < LIMIT_SERVER_ERROR_BYTES &&
           buf_reserve(body, LIMIT_SERVER_ERROR_BYTES - body->len, &err) == 0) {
        ptrdiff_t count = http_read(slot->client, body->ptr + body->len,
                                    LIMIT_SERVER_ERROR_BYTES - body->len, &err);
        if (count <= 0)
            break;
        body->len += (size_t)count;
    }
    http_end(slot->client);
    return http_fail_status(slot);
}

int http_answer_take(struct http_slot *slot, const struct http_call *call)
{
    struct err err = { 0 };
    const struct http_answer *answer = &slot->answer;
    slice type = slice_from(answer->content_type);
    if (answer->status >= 400)
        return take_error(slot);
    if (answer->status >= 300) {
        http_end(slot->client);
        return http_fail(slot, 502, "The server answered %d, a redirect that is not followed.",
                         answer->status);
    }
    if (answer->encoded) {
        http_end(slot->client);
        return http_fail(slot, 502, "The server's answer is compressed, which nobody asked for.");
    }
    if (http_is_stream(answer, call))
        return http_stream_take(slot, type);
    if (http_read_all(slot->client, answer, &slot->body, &err) != 0)
        return http_fail_exchange(slot, &err);
    return return_body(slot, call, type);
}
