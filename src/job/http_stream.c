#include "base/limits.h"
#include "codec/borders.h"
#include "codec/http1.h"
#include "codec/pace.h"
#include "job/http_slot.h"

struct gathering {
    struct http_slot *slot;
    struct borders borders;
    size_t seen;         /* of slot->body that has been looked through */
    size_t border;       /* up to where it may be sent on; 0 where nowhere */
    struct pace pace;    /* when it is */
    deadline_ms silence; /* the server may be silent up to then */
};

static enum border_kind kind_of(slice content_type)
{
    if (http1_is_media_type(content_type, "text/event-stream"))
        return BORDER_EVENT;
    return memmem(content_type.ptr, content_type.len, "json", 4) != NULL ? BORDER_LINE
                                                                         : BORDER_CHARACTER;
}

/* Sends on the first bytes of what is there, as a string. 0, or the job has failed. */
static int send_on(struct gathering *gathering, size_t count)
{
    struct http_slot *slot = gathering->slot;
    struct buf *body = &slot->body, *text = &slot->text;
    struct err err;
    text->len = 0;
    if (json_put_string(text, (slice){ body->ptr, count }, &err) != 0)
        return http_fail(slot, 502, "The server's stream cannot be passed on: %s", err.text);
    if (rp_yield_text(slot->job, buf_slice(text), &err) != 0)
        return RP_FAILED;
    body->len -= count;
    memmove(body->ptr, body->ptr + count, body->len);
    gathering->seen = body->len;
    gathering->border = 0;
    pace_went(&gathering->pace, clock_now_ms());
    return 0;
}

/* All that may be sent on once waiting for more is over: a CR at the end has no line feed then. */
static size_t ready(const struct gathering *gathering)
{
    return borders_may_end(&gathering->borders) ? gathering->seen : gathering->border;
}

/* More has come. An event that is larger than a part may be is cut. */
static int hear(struct gathering *gathering)
{
    struct rp_job *job = gathering->slot->job;
    slice text = buf_slice(&gathering->slot->body);
    size_t border = borders_find(&gathering->borders, text, gathering->seen);
    gathering->seen = text.len;
    if (border > 0)
        gathering->border = border;
    if (gathering->border == 0 && text.len >= LIMIT_GATHER_BYTES)
        gathering->border = borders_whole_characters(text);
    int64_t now_ms = clock_now_ms();
    if (ready(gathering) > 0)
        pace_came(&gathering->pace, now_ms, atomic_load(&job->sender.way_ms));
    bool due = text.len >= LIMIT_GATHER_BYTES || pace_is_due(&gathering->pace, now_ms);
    return gathering->border > 0 && due ? send_on(gathering, gathering->border) : 0;
}

/* Reads a piece. More than 0: goes on; 0: the end; else the job has failed. */
static int read_piece(struct gathering *gathering)
{
    struct http_slot *slot = gathering->slot;
    struct buf *body = &slot->body;
    struct err err = { 0 };
    size_t waits = ready(gathering);
    deadline_ms until = waits > 0 ? gathering->pace.due_ms : gathering->silence;
    if (buf_reserve(body, body->len < 1024 ? 2048 : body->len, &err) != 0)
        return http_fail(slot, 502, "%s", err.text);
    ptrdiff_t count = http_read_until(slot->client, body->ptr + body->len, body->cap - body->len,
                                      until, &err);
    if (count == ERR_TIMEOUT && waits > 0)
        return send_on(gathering, waits) == 0 ? 1 : RP_FAILED;
    if (count < 0) {
        /* What is whole goes out before the failure does. */
        if (waits == 0 || send_on(gathering, waits) == 0)
            http_fail_exchange(slot, &err);
        return RP_FAILED;
    }
    if (count == 0)
        return 0;
    body->len += (size_t)count;
    gathering->silence = clock_deadline(slot->setting->config->handler.idle_ms);
    return hear(gathering) == 0 ? 1 : RP_FAILED;
}

int http_stream_take(struct http_slot *slot, slice content_type)
{
    struct gathering gathering = {
        .slot = slot,
        .borders = { .kind = kind_of(content_type) },
        .silence = clock_deadline(slot->setting->config->handler.idle_ms),
        .pace = { .interval_ms = slot->setting->config->handler.stream_interval_ms },
    };
    int rc;
    slot->job->is_stream = true;
    slot->body.len = 0;
    while ((rc = read_piece(&gathering)) > 0)
        continue;
    if (rc == 0 && slot->body.len > 0)
        rc = send_on(&gathering, slot->body.len);
    http_end(slot->client);
    return rc == 0 ? RP_OK : RP_FAILED;
}
