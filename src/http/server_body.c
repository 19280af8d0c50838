/* Request bodies, of known length or chunked, read whole into one capped buffer. */
#include "base/limits.h"
#include "http/server_private.h"

/* A body's buffer grows with what has arrived, not with what Content-Length promises. */
#define STEP_BYTES (256u * 1024u)

/* Makes room, and counts the body as it then is. */
static int grow(struct server_connection *c, size_t bytes, struct err *err)
{
    struct buf *body = &c->exchange.body;
    size_t needed = body->len + bytes;
    int rc = needed > c->held_bytes ? server_claim(c, needed - c->held_bytes, err) : 0;
    return rc == 0 ? buf_reserve(body, bytes, err) : rc;
}

deadline_ms server_body_deadline(deadline_ms begun, size_t received, deadline_ms now)
{
    int64_t earned_ms = LIMIT_SERVER_SLOW_MS + (int64_t)(received * 1000 / LIMIT_SERVER_BYTES_S);
    int64_t most_ms = earned_ms < LIMIT_BODY_MS ? earned_ms : LIMIT_BODY_MS;
    return clock_earlier(begun + most_ms, now + LIMIT_BODY_IDLE_MS);
}

/* A body of known length; some of it may have come with the head. */
static int read_plain(struct server_connection *c, size_t *used, deadline_ms begun, struct err *err)
{
    struct buf *body = &c->exchange.body;
    size_t size = (size_t)c->request.content_length;
    size_t here = c->in.len - *used < size ? c->in.len - *used : size;
    int rc = grow(c, here, err);
    if (rc == 0)
        rc = buf_add(body, c->in.ptr + *used, here, err);
    *used += here;
    while (rc == 0 && body->len < size) {
        size_t left = size - body->len;
        rc = grow(c, left < STEP_BYTES ? left : STEP_BYTES, err);
        if (rc != 0)
            break;
        size_t room = body->cap - body->len;
        ptrdiff_t count = server_read(c, body->ptr + body->len, room < left ? room : left,
                                      server_body_deadline(begun, body->len, clock_now_ms()), err);
        if (count < 0)
            return (int)count;
        body->len += (size_t)count;
    }
    return rc;
}

/*
 * Decodes the `fresh` raw bytes that lie behind the body's end, in place. *taken: how many of them
 * belonged to the body.
 */
static int decode(struct http1_chunks *chunks, struct buf *body, size_t fresh, size_t *taken,
                  struct err *err)
{
    const char *raw = body->ptr + body->len;
    for (*taken = 0; *taken < fresh && !chunks->done;) {
        slice data;
        ptrdiff_t count = http1_chunks_feed(chunks, raw + *taken, fresh - *taken, &data, err);
        if (count < 0)
            return err->code = ERR_PEER;
        memmove(body->ptr + body->len, data.ptr, data.len);
        body->len += data.len;
        *taken += (size_t)count;
    }
    return 0;
}

/*
 * Raw bytes go to the end of the body's buffer and are decoded there. What lies behind the body is
 * the next request's, and moves to the connection's own buffer.
 */
static int read_chunked(struct server_connection *c, size_t *used, deadline_ms begun,
                        struct err *err)
{
    struct buf *body = &c->exchange.body;
    struct http1_chunks chunks = { 0 };
    size_t fresh = c->in.len - *used, taken;
    int rc = grow(c, SERVER_RAW_BYTES, err);
    if (rc == 0)
        memcpy(body->ptr, c->in.ptr + *used, fresh);
    *used = c->in.len;
    while (rc == 0) {
        const char *raw = body->ptr + body->len;
        rc = decode(&chunks, body, fresh, &taken, err);
        if (rc == 0 && body->len > c->setting->body_max_bytes)
            rc = err_set(err, ERR_LIMIT, "the chunked body is too large");
        if (rc == 0 && chunks.done)
            return buf_add(&c->in, raw + taken, fresh - taken, err);
        if (rc == 0)
            rc = grow(c, SERVER_RAW_BYTES, err);
        if (rc != 0)
            break;
        ptrdiff_t count = server_read(c, body->ptr + body->len, SERVER_RAW_BYTES,
                                      server_body_deadline(begun, body->len, clock_now_ms()), err);
        if (count < 0)
            return (int)count;
        fresh = (size_t)count;
    }
    return rc;
}

int server_send_continue(struct server_connection *c, struct err *err)
{
    const slice line = SLICE_LITERAL("HTTP/1.1 100 Continue\r\n\r\n");
    return c->stream->ops->write(c->stream, &line, 1, clock_deadline(LIMIT_SERVER_HEAD_MS), err);
}

int server_read_body(struct server_connection *c, size_t *used, struct err *err)
{
    const deadline_ms begun = clock_now_ms();
    if (!server_has_body(&c->request))
        return 0;
    /* The decoder's raw bytes are in the buffer, too. */
    buf_init(&c->exchange.body, c->setting->body_max_bytes + SERVER_RAW_BYTES, "request");
    if (c->request.expects_continue && c->in.len == *used) {
        int rc = server_send_continue(c, err);
        if (rc != 0)
            return rc;
    }
    return c->request.body == HTTP1_BODY_CHUNKED ? read_chunked(c, used, begun, err)
                                                 : read_plain(c, used, begun, err);
}
