/*
 * http/relay_pipe.h - one direction of a relay: bodies unpacked and packed on their way. Part of
 * the relay (relay.h); one thread at a time.
 */
#ifndef HTTP_RELAY_PIPE_H
#define HTTP_RELAY_PIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"
#include "codec/http1.h"
#include "net/transport.h"

#define RELAY_PIECE_BYTES (32u * 1024u) /* at least a head; read at a time */
#define RELAY_FRONT_BYTES 20u           /* before them: a chunk's size line */
#define RELAY_BACK_BYTES 8u             /* behind them: the end of a chunk and of the body */

/*
 * One direction. A piece is read to `bytes` + RELAY_FRONT_BYTES, unpacked and packed in its place,
 * and sent before the next one is read: a side that takes nothing holds the other one up.
 */
struct relay_pipe {
    struct transport *to;
    enum http1_body body;       /* how the end of what comes is known; CLOSE: at the stream's end */
    uint64_t left;              /* of HTTP1_BODY_LENGTH */
    struct http1_chunks chunks; /* of HTTP1_BODY_CHUNKED */
    bool packs;                 /* what goes out is chunked */
    bool ended;                 /* all of it has been read */
    slice head;                 /* goes out first; linked */
    size_t start, end;          /* of `bytes`, then */
    char bytes[RELAY_FRONT_BYTES + RELAY_PIECE_BYTES + RELAY_BACK_BYTES];
};

/* A direction whose body ends as `body` says; nothing waits to be sent. */
void relay_pipe_begin(struct relay_pipe *pipe, struct transport *to, enum http1_body body,
                      uint64_t length);

/* Where to read to, and how much at most: more would be the next message's, as far as is known. */
char *relay_pipe_room(struct relay_pipe *pipe, size_t *size);

/*
 * Takes `count` bytes at relay_pipe_room's place. *used: how many of them belonged to the body; the
 * rest lies behind them until the next call. ERR_PEER, ERR_LIMIT for malformed chunks.
 */
int relay_pipe_take(struct relay_pipe *pipe, size_t count, size_t *used, struct err *err);

/* The stream has ended: so has a body that was to last that long. */
void relay_pipe_close(struct relay_pipe *pipe);

static inline bool relay_pipe_waits(const struct relay_pipe *pipe)
{
    return pipe->head.len > 0 || pipe->start < pipe->end;
}

/* Sends what waits, as far as the system takes it. ERR_RETRY. *sent: something was. */
int relay_pipe_send(struct relay_pipe *pipe, bool *sent, struct err *err);

#endif
