#include "source/platform_request.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/random.h"
#include "base/version.h"
#include "codec/url.h"

int platform_get(struct http_client *client, const struct config *config, slice url,
                 struct platform_patience patience, struct http_response *answer, struct buf *body,
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
        .first_byte_ms = patience.answer_ms,
        .body_ms = LIMIT_BODY_MS,
        .until = patience.until,
        .wake = patience.wake,
        .sent = patience.sent,
        .response_begun = patience.answering,
        .half_close_on_wake = patience.answering != NULL,
    };
    return http_exchange(client, &request, answer, body, err);
}

bool platform_poll_was_cut(int rc, const struct http_response *answer, int64_t asked_ms)
{
    if (clock_now_ms() - asked_ms < LIMIT_HELD_MS)
        return false;
    if (rc == 0)
        return answer->status == 408 || answer->status >= 500;
    return answer->connected && (rc == ERR_RETRY || rc == ERR_TIMEOUT || rc == ERR_PEER);
}

uint32_t platform_cut_pause_ms(void)
{
    return random_u32() % LIMIT_CUT_PAUSE_MS;
}

/* Appends text with the first `what` in it replaced. */
static int put_replaced(struct buf *out, slice text, const char *what, const char *instead,
                        bool *found, struct err *err)
{
    const char *at = memmem(text.ptr, text.len, what, strlen(what));
    *found = at != NULL;
    if (at == NULL)
        return buf_add_slice(out, text, err);
    size_t before = (size_t)(at - text.ptr);
    buf_add(out, text.ptr, before, NULL);
    buf_add_text(out, instead, NULL);
    return buf_add_slice(out, slice_skip(text, before + strlen(what)), err);
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
