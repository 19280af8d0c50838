/*
 * codec/lines.h - bytes in, lines out: an incremental reader that does no I/O. Bytes are read
 * straight into its buffer and lines are slices of it, so that a line of 10 MB is never copied.
 * Belongs to one thread at a time; nothing blocks.
 */
#ifndef CODEC_LINES_H
#define CODEC_LINES_H

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

struct lines {
    struct buf buf;
    size_t start;   /* of what has not been returned as a line yet */
    size_t scanned; /* bytes before this hold no unreturned line break */
};

/* An empty reader of lines up to max_bytes. Allocates nothing; `what` as for buf_init. */
void lines_init(struct lines *lines, size_t max_bytes, const char *what);
void lines_free(struct lines *lines);

/*
 * Makes room for more bytes, at least 4096 unless the maximum is near: read at most `*room` bytes
 * to lines->buf.ptr + lines->buf.len, then call lines_filled. Invalidates the lines returned
 * before. ERR_LIMIT where an unfinished line has reached the maximum, ERR_MEMORY.
 */
int lines_room(struct lines *lines, size_t *room, struct err *err);
void lines_filled(struct lines *lines, size_t count);

/*
 * The next whole line, without its line feed and a carriage return before that. False where none is
 * complete. Valid until the next lines_room, lines_clear or lines_give.
 */
bool lines_next(struct lines *lines, slice *line);

/* At the end of the input: what has no line feed, as the last line. False where nothing is left. */
bool lines_rest(struct lines *lines, slice *line);

/* Bytes not returned as a line yet. */
size_t lines_pending(const struct lines *lines);

/* Forgets everything, and gives memory beyond keep_bytes back. */
void lines_clear(struct lines *lines, size_t keep_bytes);

/*
 * Swaps the memory, and so all slices into it, with another buffer's; what has not been returned as
 * a line stays here. ERR_MEMORY, with nothing changed.
 */
int lines_give(struct lines *lines, struct buf *to, struct err *err);

#endif
