/*
 * codec/lines.h - bytes in, lines out: an incremental reader that knows nothing of where bytes come
 * from. They are read straight into its buffer and lines are slices of it, so that a line of 10 MB
 * is never copied. Belongs to one thread at a time; nothing blocks.
 */
#ifndef CODEC_LINES_H
#define CODEC_LINES_H

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

struct lines {
    struct buf buf;
    size_t start;   /* of what is not yet given out */
    size_t scanned; /* from there on no line break has been looked for */
};

/* An empty reader of lines up to max_bytes. Allocates nothing; `what` as for buf_init. */
void lines_init(struct lines *lines, size_t max_bytes, const char *what);
void lines_free(struct lines *lines);

/*
 * Room for more bytes, at least 4096 short of the maximum: read to lines->buf.ptr + lines->buf.len,
 * at most `*room` bytes, and tell how many by lines_filled. Ends all lines given out. ERR_LIMIT
 * where an unfinished line has reached the maximum, ERR_MEMORY.
 */
int lines_room(struct lines *lines, size_t *room, struct err *err);
void lines_filled(struct lines *lines, size_t count);

/*
 * The next whole line, without its line feed and a carriage return before that. False where there
 * is none. Valid until the next lines_room, lines_clear or lines_give.
 */
bool lines_next(struct lines *lines, slice *line);

/* What has no line feed yet, as the last line of all. False where there is nothing. */
bool lines_rest(struct lines *lines, slice *line);

/* Bytes that are not given out. */
size_t lines_pending(const struct lines *lines);

/* Forgets everything, and gives memory beyond keep_bytes back. */
void lines_clear(struct lines *lines, size_t keep_bytes);

/*
 * Hands the memory, and so all slices into it, over to another buffer, whose own memory is taken in
 * exchange; what is not given out stays here. ERR_MEMORY, and nothing has changed.
 */
int lines_give(struct lines *lines, struct buf *to, struct err *err);

#endif
