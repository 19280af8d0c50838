/* Bodies on their way: unpacked, packed, and sent in pieces. */
#include <stdio.h>

#include "http/relay_pipe.h"
#include "net/tcp.h"

void relay_pipe_begin(struct relay_pipe *pipe, struct transport *to, enum http1_body body,
                      uint64_t length)
{
    pipe->to = to;
    pipe->body = body;
    pipe->left = length;
    pipe->chunks = (struct http1_chunks){ 0 };
    pipe->packs = body == HTTP1_BODY_CHUNKED;
    pipe->ended = body == HTTP1_BODY_NONE || (body == HTTP1_BODY_LENGTH && length == 0);
    pipe->head = (slice){ 0 };
    pipe->start = pipe->end = 0;
}

char *relay_pipe_room(struct relay_pipe *pipe, size_t *size)
{
    *size = RELAY_PIECE_BYTES;
    if (pipe->body == HTTP1_BODY_LENGTH && pipe->left < RELAY_PIECE_BYTES)
        *size = (size_t)pipe->left;
    return pipe->bytes + RELAY_FRONT_BYTES;
}

/* Decodes the raw bytes in their place, where they become `*len`. */
static int unpack(struct relay_pipe *pipe, size_t count, size_t *used, size_t *len, struct err *err)
{
    char *raw = pipe->bytes + RELAY_FRONT_BYTES;
    *len = 0;
    for (*used = 0; *used < count && !pipe->chunks.done;) {
        slice data;
        ptrdiff_t taken = http1_chunks_feed(&pipe->chunks, raw + *used, count - *used, &data, err);
        if (taken < 0)
            return err->code = ERR_PEER;
        memmove(raw + *len, data.ptr, data.len);
        *len += data.len;
        *used += (size_t)taken;
    }
    pipe->ended = pipe->chunks.done;
    return 0;
}

/* Makes the `len` bytes what is to be sent: as they are, or as a chunk, and the end of a body. */
static void pack(struct relay_pipe *pipe, size_t len)
{
    pipe->start = RELAY_FRONT_BYTES;
    pipe->end = pipe->start + len;
    if (!pipe->packs)
        return;
    if (len > 0) {
        char line[RELAY_FRONT_BYTES];
        size_t size = (size_t)snprintf(line, sizeof line, "%zx\r\n", len);
        pipe->start -= size;
        memcpy(pipe->bytes + pipe->start, line, size);
        memcpy(pipe->bytes + pipe->end, "\r\n", 2);
        pipe->end += 2;
    }
    if (pipe->ended && len == 0) /* what lies behind the end may be the next request */
        pipe->start = pipe->end = RELAY_FRONT_BYTES - 5;
    if (pipe->ended) {
        memcpy(pipe->bytes + pipe->end, "0\r\n\r\n", 5);
        pipe->end += 5;
    }
}

int relay_pipe_take(struct relay_pipe *pipe, size_t count, size_t *used, struct err *err)
{
    size_t len = count;
    int rc = 0;
    *used = count;
    if (pipe->body == HTTP1_BODY_CHUNKED) {
        rc = unpack(pipe, count, used, &len, err);
    } else if (pipe->body != HTTP1_BODY_CLOSE) {
        if (len > pipe->left)
            len = (size_t)pipe->left;
        *used = len;
        pipe->left -= len;
        pipe->ended = pipe->left == 0;
    }
    if (rc == 0)
        pack(pipe, len);
    return rc;
}

void relay_pipe_close(struct relay_pipe *pipe)
{
    pipe->ended = true;
    pack(pipe, 0);
}

int relay_pipe_send(struct relay_pipe *pipe, bool *sent, struct err *err)
{
    *sent = false;
    while (relay_pipe_waits(pipe)) {
        slice parts[2] = { pipe->head, { pipe->bytes + pipe->start, pipe->end - pipe->start } };
        size_t first = parts[0].len > 0 ? 0 : 1, last = parts[1].len > 0 ? 2 : 1;
        ptrdiff_t count = tcp_send_now(pipe->to, parts + first, last - first, err);
        if (count <= 0)
            return (int)count;
        slice_parts_skip(parts, 2, (size_t)count);
        pipe->head = parts[0];
        pipe->start = pipe->end - parts[1].len;
        *sent = true;
    }
    return 0;
}
