#include "job/platform.h"

#include "base/limits.h"
#include "base/version.h"
#include "codec/url.h"

int platform_get(struct http_client *client, const struct config *config, slice url,
                 struct platform_patience patience, struct http_answer *answer, struct buf *body,
                 struct err *err)
{
    const struct http1_field fields[] = {
        { SLICE_LITERAL("Authorization"), config->api_key },
        { SLICE_LITERAL("User-Agent"), SLICE_LITERAL(WORKER_USER_AGENT) },
        { SLICE_LITERAL("Content-Type"), SLICE_LITERAL("application/json") },
        { SLICE_LITERAL("Accept-Encoding"), SLICE_LITERAL("identity") },
    };
    const struct http_request request = {
        .method = "GET",
        .url = url,
        .fields = fields,
        .field_count = sizeof fields / sizeof fields[0],
        .connect_ms = patience.connect_ms,
        .send_ms = LIMIT_REPLY_MS,
        .answer_ms = patience.answer_ms,
        .body_ms = LIMIT_BODY_MS,
        .wake = patience.wake,
        .answering = patience.answering,
        .parts_gently = patience.answering != NULL,
    };
    return http_exchange(client, &request, answer, body, err);
}

/* Copies text to out with its first `what` replaced. */
static int put_replaced(struct buf *out, slice text, const char *what, const char *instead,
                        bool *found, struct err *err)
{
    const char *at = memmem(text.ptr, text.len, what, strlen(what));
    *found = at != NULL;
    if (at == NULL)
        return buf_add_slice(out, text, err);
    size_t before = (size_t)(at - text.ptr);
    int rc = buf_add(out, text.ptr, before, err);
    if (rc == 0)
        rc = buf_add_text(out, instead, err);
    return rc == 0 ? buf_add_slice(out, slice_skip(text, before + strlen(what)), err) : rc;
}

bool platform_take_url(struct buf *out, const struct config *config, const char *instead,
                       struct err *err)
{
    const struct url_placeholder placeholders[] = {
        { "$ID", config->worker_id },
        { "$RUNPOD_POD_ID", config->worker_id },
    };
    struct buf filled;
    bool found = false;
    buf_init(&filled, URL_MAX_BYTES, "job-take URL");
    int rc = url_fill(&filled, config->take_url, placeholders, 2, err);
    if (rc == 0)
        rc = put_replaced(out, buf_slice(&filled), "/job-take/", instead, &found, err);
    buf_free(&filled);
    return rc == 0 && found;
}

uint32_t platform_too_many_ms(const struct http_answer *answer)
{
    if (!answer->has_retry_after)
        return LIMIT_TOO_MANY_MS;
    if (answer->retry_after_ms < LIMIT_RETRY_AFTER_MIN_MS)
        return LIMIT_RETRY_AFTER_MIN_MS;
    return answer->retry_after_ms < LIMIT_RETRY_AFTER_MS ? answer->retry_after_ms
                                                         : LIMIT_RETRY_AFTER_MS;
}
