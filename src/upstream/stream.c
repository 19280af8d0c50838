/* From a streamed response to parts: cut at events, lines or characters, and gathered a while. */
#include <strings.h>

#include "base/log.h"
#include "base/utf8.h"
#include "codec/http1.h"
#include "codec/mend.h"
#include "upstream/upstream_private.h"

static enum stream_cut_kind kind_of(slice content_type)
{
    if (http1_is_media_type(content_type, "text/event-stream"))
        return STREAM_CUT_EVENT;
    return memmem(content_type.ptr, content_type.len, "json", 4) != NULL ? STREAM_CUT_LINE
                                                                         : STREAM_CUT_CHARACTER;
}

void upstream_stream_begin(struct upstream_stream *stream, struct upstream_slot *slot,
                           slice content_type)
{
    *stream = (struct upstream_stream){
        .slot = slot,
        .cut = { .kind = kind_of(content_type) },
        .flush = { .interval_ms = slot->setting->config->handler.stream_interval_ms },
    };
    slot->job->is_stream = true;
    buf_clear(&slot->body);
}

/* Text, whatever is wrong with single bytes of it. */
static bool is_text(const struct upstream_stream *stream)
{
    slice type = slice_from(stream->slot->response.content_type);
    return stream->cut.kind != STREAM_CUT_CHARACTER || type.len == 0 ||
           (type.len > 5 && strncasecmp(type.ptr, "text/", 5) == 0);
}

/* The bytes as a JSON string in slot->text; codec/mend.h tells what becomes of bad UTF-8. */
static int put_part(struct upstream_stream *stream, slice bytes)
{
    struct upstream_slot *slot = stream->slot;
    const struct log_tag tag = job_tag(slot->job->task);
    enum mend_kind kind = mend_kind_of(bytes);
    struct err err;
    buf_clear(&slot->text);
    if (kind != MEND_NONE && !is_text(stream))
        return upstream_fail(slot, 502,
                             "The server's stream is not UTF-8 text (content type %s); without "
                             "\"stream\": true, --handler-binary returns such responses as base64.",
                             slot->response.content_type);
    if (kind == MEND_BINARY)
        return upstream_fail(slot, 502, "The server's stream " MEND_REFUSAL ".");
    if (kind == MEND_TEXT && !stream->mended)
        log_write(LOG_WARN, &tag, "The server's stream " MEND_WARNING ".");
    stream->mended |= kind == MEND_TEXT;
    if (json_put_lossy(&slot->text, bytes, &err) != 0)
        return upstream_fail(slot, 502, "The server's stream cannot be passed on: %s", err.text);
    return 0;
}

int upstream_stream_send(struct upstream_stream *stream, size_t count, int64_t now_ms)
{
    struct upstream_slot *slot = stream->slot;
    struct buf *body = &slot->body, *text = &slot->text;
    struct err err;
    if (put_part(stream, (slice){ body->ptr, count }) != 0)
        return RP_FAILED;
    if (rp_yield_text(slot->job, buf_slice(text), &err) != 0)
        return RP_FAILED;
    body->len -= count;
    memmove(body->ptr, body->ptr + count, body->len);
    stream->seen = body->len;
    stream->cut_at = 0;
    flush_timer_flushed(&stream->flush, now_ms);
    return 0;
}

/* A CR at the end has no line feed behind it then. */
size_t upstream_stream_ready(const struct upstream_stream *stream)
{
    return stream_cut_may_end(&stream->cut) ? stream->seen : stream->cut_at;
}

int upstream_stream_add(struct upstream_stream *stream, int64_t now_ms)
{
    struct rp_job *job = stream->slot->job;
    slice text = buf_slice(&stream->slot->body);
    size_t cut_at = stream_cut_find(&stream->cut, text, stream->seen);
    stream->seen = text.len;
    if (cut_at > 0)
        stream->cut_at = cut_at;
    if (stream->cut_at == 0 && text.len >= LIMIT_GATHER_BYTES)
        stream->cut_at = utf8_whole(text).len;
    if (upstream_stream_ready(stream) > 0)
        flush_timer_arrived(&stream->flush, now_ms, atomic_load(&job->sender.way_ms));
    bool due = text.len >= LIMIT_GATHER_BYTES || flush_timer_is_due(&stream->flush, now_ms);
    return stream->cut_at > 0 && due ? upstream_stream_send(stream, stream->cut_at, now_ms) : 0;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Reads up to `until`. The bytes read, 0 at the end, or an error. */
static ptrdiff_t read_some(struct upstream_slot *slot, deadline_ms until, struct err *err)
{
    struct buf *body = &slot->body;
    int rc = buf_reserve(body, body->len < 1024 ? 2048 : body->len, err);
    if (rc != 0)
        return rc;
    ptrdiff_t count = http_read_until(slot->client, body->ptr + body->len, body->cap - body->len,
                                      until, err);
    if (count > 0)
        body->len += (size_t)count;
    return count;
}

static deadline_ms silence_deadline(const struct upstream_slot *slot)
{
    int64_t idle_ms = slot->setting->config->handler.idle_ms;
    return idle_ms > 0 ? clock_deadline(idle_ms) : DEADLINE_NEVER;
}

/*
 * Reads once, at most until what waits is due or the server has been silent for too long. More than
 * 0: goes on; 0: the end; less: the job has failed.
 */
static int step(struct upstream_stream *stream, deadline_ms *silence)
{
    struct upstream_slot *slot = stream->slot;
    struct err err = { 0 };
    size_t ready = upstream_stream_ready(stream);
    if (flag_is_raised(&slot->job->task->stop))
        return upstream_fail_exchange(slot, &err);
    ptrdiff_t count = read_some(slot, ready > 0 ? stream->flush.due_ms : *silence, &err);
    int64_t now_ms = clock_now_ms();
    if (count > 0) {
        *silence = silence_deadline(slot);
        return upstream_stream_add(stream, now_ms) == 0 ? 1 : RP_FAILED;
    }
    if (count == 0)
        return 0;
    /* What is complete goes out, because it is due or before the failure does. */
    if (ready > 0 && upstream_stream_send(stream, ready, now_ms) != 0)
        return RP_FAILED;
    if (count == ERR_TIMEOUT && ready > 0)
        return 1;
    return upstream_fail_exchange(slot, &err);
}

int upstream_stream_take(struct upstream_slot *slot, slice content_type)
{
    struct upstream_stream stream;
    deadline_ms silence = silence_deadline(slot);
    int rc;
    upstream_stream_begin(&stream, slot, content_type);
    while ((rc = step(&stream, &silence)) > 0)
        continue;
    if (rc == 0 && slot->body.len > 0)
        rc = upstream_stream_send(&stream, slot->body.len, clock_now_ms());
    http_end(slot->client);
    return rc == 0 ? RP_OK : RP_FAILED;
}
