/* From a response to the output of a job, or to its failure. */
#include "api/large.h"
#include "codec/base64.h"
#include "codec/http1.h"
#include "codec/mend.h"
#include "upstream/upstream_private.h"

enum content { CONTENT_JSON, CONTENT_TEXT, CONTENT_BYTES };

/* By the type; without one, by what the body is. */
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
    if (http1_is_media_type(type, "application/json") ||
        slice_ends_nocase(name, SLICE_LITERAL("+json")))
        return CONTENT_JSON;
    if (name.len > 5 && strncasecmp(name.ptr, "text/", 5) == 0)
        return CONTENT_TEXT;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (slice_is_nocase(name, texts[i]))
            return CONTENT_TEXT;
    return slice_ends_nocase(name, SLICE_LITERAL("+xml")) ? CONTENT_TEXT : CONTENT_BYTES;
}

/* --- outputs ---------------------------------------------------------------------------------- */

static int give_part(struct upstream_slot *slot, slice json)
{
    struct err err;
    if (rp_yield_json(slot->job, json, &err) != 0)
        return RP_FAILED;
    return rp_return(slot->job, "null"); /* all of it is in the part */
}

/* A part that is too large to be posted (--upload-above) is a link. */
static int give_large_part(struct upstream_slot *slot, slice json)
{
    struct buf link;
    buf_init(&link, LIMIT_MIB, "the link to an output");
    int rc = large_replace(slot->job, json, SLICE_LITERAL("application/json"), json.len, &link);
    if (rc >= 0)
        rc = give_part(slot, rc == 1 ? buf_slice(&link) : json);
    buf_free(&link);
    return rc;
}

/* JSON in the slot's buffer becomes the output, or the one part of it where parts are wanted. */
static int give(struct upstream_slot *slot, struct buf *owner, slice json)
{
    if (slot->job->is_stream)
        return large_is(slot->job, json.len) ? give_large_part(slot, json) : give_part(slot, json);
    rp_return_buf(slot->job, owner, json);
    return RP_OK;
}

static int give_null(struct upstream_slot *slot)
{
    struct err err;
    if (slot->job->is_stream && rp_yield_json(slot->job, SLICE_LITERAL("null"), &err) != 0)
        return RP_FAILED;
    return rp_return(slot->job, "null");
}

/* An object with an "error" of its own, which is no error where it is null or the like. */
static bool is_error(struct upstream_slot *slot, slice json)
{
    slice error;
    if (json_type(json) != RP_OBJECT)
        return false;
    if (result_has_error(json, &error))
        return true;
    slot->job->is_opaque = json_member(json, "error", &error) &&
                           !json_member(json, "refresh_worker", &error);
    return false;
}

/*
 * A body that is not UTF-8 becomes UTF-8, if it is text. True: there is something new to look at.
 */
static bool mend_body(struct upstream_slot *slot)
{
    const struct log_tag tag = job_tag(slot->job->task);
    struct buf *body = &slot->body, mended;
    if (mend_kind_of(buf_slice(body)) != MEND_TEXT)
        return false;
    buf_init(&mended, body->max, body->what);
    if (mend_put(&mended, buf_slice(body), NULL) != 0) {
        buf_free(&mended);
        return false;
    }
    buf_free(body);
    *body = mended;
    log_write(LOG_WARN, &tag, "The server's response " MEND_WARNING ".");
    return true;
}

static int return_json(struct upstream_slot *slot)
{
    struct err err;
    slice json = json_trim(buf_slice(&slot->body));
    bool valid = json_check(json, NULL, &err) == 0;
    if (!valid && mend_body(slot)) {
        json = json_trim(buf_slice(&slot->body));
        valid = json_check(json, NULL, &err) == 0;
    }
    if (!valid)
        return upstream_fail(
            slot, 502, "The server's response has a JSON content type, but is not valid JSON: %s",
            err.text);
    return is_error(slot, json) ? upstream_fail_status(slot) : give(slot, &slot->body, json);
}

static int put_base64(struct buf *text, slice body, slice type, struct err *err)
{
    buf_add_text(text, "{\"content_type\": ", NULL);
    json_put_lossy(text, type, NULL);
    buf_add_text(text, ", \"base64\": \"", NULL);
    base64_put(text, body, NULL);
    buf_add_text(text, "\"}", NULL);
    return buf_error(text, err);
}

static int return_bytes(struct upstream_slot *slot, slice type)
{
    struct buf *text = &slot->text;
    struct err err;
    if (!slot->setting->config->handler.binary)
        return upstream_fail(slot, 502,
                             "The server's response is not UTF-8 text (content type %.*s); "
                             "--handler-binary returns such responses as base64, and with "
                             "--upload-above as links.",
                             SLICE_ARG(type));
    buf_clear(text);
    if (large_is(slot->job, slot->body.len)) {
        size_t post_bytes = slot->body.len / 3 * 4;
        int rc = large_replace(slot->job, buf_slice(&slot->body), type, post_bytes, text);
        if (rc != 0)
            return rc == 1 ? give(slot, text, buf_slice(text)) : rc;
    }
    if (put_base64(text, buf_slice(&slot->body), type, &err) != 0)
        return upstream_fail(slot, 502, "The server's response cannot be returned: %s", err.text);
    return give(slot, text, buf_slice(text));
}

static int return_text(struct upstream_slot *slot, slice type)
{
    struct err err;
    buf_clear(&slot->text);
    int rc = json_put_string(&slot->text, buf_slice(&slot->body), &err);
    if (rc == ERR_INPUT && mend_body(slot))
        rc = json_put_string(&slot->text, buf_slice(&slot->body), &err);
    if (rc == ERR_INPUT)
        return return_bytes(slot, type);
    if (rc != 0)
        return upstream_fail(slot, 502, "The server's response cannot be returned: %s", err.text);
    return give(slot, &slot->text, buf_slice(&slot->text));
}

/* True where an empty body is what was to be expected, whatever the type. */
static bool is_without_body(const struct upstream_slot *slot, slice type)
{
    int status = slot->response.status;
    return type.len == 0 || status == 204 || status == 205 ||
           strcmp(slot->request.method, "HEAD") == 0;
}

int upstream_response_return(struct upstream_slot *slot)
{
    slice type = slice_from(slot->response.content_type);
    if (slot->body.len == 0 && is_without_body(slot, type))
        return give_null(slot);
    switch (content_of(type, buf_slice(&slot->body))) {
    case CONTENT_JSON: return return_json(slot);
    case CONTENT_TEXT: return return_text(slot, type);
    case CONTENT_BYTES: break;
    }
    return slot->body.len == 0 && !slot->setting->config->handler.binary ? give_null(slot)
                                                                         : return_bytes(slot, type);
}

bool upstream_is_stream(const struct http_response *response,
                        const struct upstream_request *request)
{
    slice type = slice_from(response->content_type);
    if (response->status == 204)
        return false;
    if (http1_is_media_type(type, "text/event-stream"))
        return true;
    return !response->has_length &&
           (request->wants_stream || http1_is_media_type(type, "application/x-ndjson") ||
            http1_is_media_type(type, "application/jsonl"));
}

/* The start of an error's body is enough. */
static int read_error(struct upstream_slot *slot)
{
    struct err err;
    struct buf *body = &slot->body;
    buf_clear(body);
    while (body->len < LIMIT_SERVER_ERROR_BYTES &&
           buf_reserve(body, LIMIT_SERVER_ERROR_BYTES - body->len, &err) == 0) {
        ptrdiff_t count = http_read(slot->client, body->ptr + body->len,
                                    LIMIT_SERVER_ERROR_BYTES - body->len, &err);
        if (count <= 0)
            break;
        body->len += (size_t)count;
    }
    http_end(slot->client);
    return upstream_fail_status(slot);
}

int upstream_response_take(struct upstream_slot *slot)
{
    struct err err = { 0 };
    const struct http_response *response = &slot->response;
    slice type = slice_from(response->content_type);
    if (response->status >= 400)
        return read_error(slot);
    if (response->status >= 300) {
        http_end(slot->client);
        return upstream_fail(
            slot, 502, "The server responded with status %d, a redirect that is not followed.",
            response->status);
    }
    if (response->encoded) {
        http_end(slot->client);
        return upstream_fail(
            slot, 502,
            "The server's response is compressed, although the request asked for identity "
            "encoding.");
    }
    if (upstream_is_stream(response, &slot->request))
        return upstream_stream_take(slot, type);
    if (http_read_all(slot->client, response, &slot->body, &err) != 0)
        return upstream_fail_exchange(slot, &err);
    return upstream_response_return(slot);
}
