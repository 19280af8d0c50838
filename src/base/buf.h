/*
 * base/buf.h - the one place where memory grows: a byte buffer with a hard maximum.
 *
 * Growth is geometric and goes through realloc, which for large blocks moves pages instead of
 * bytes (mremap), so a payload costs about its own size once. Contents are not NUL-terminated.
 * A buffer belongs to one thread at a time. Nothing here blocks.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>

#include "base/err.h"
#include "base/slice.h"

struct buf {
    char *ptr;        /* owned; NULL while empty */
    size_t len;       /* bytes in use */
    size_t cap;       /* bytes allocated */
    size_t max;       /* hard maximum of len, in bytes */
    const char *what; /* names the content in errors ("job", "result"); linked, not copied */
};

/* An empty buffer. Allocates nothing. `what` must outlive the buffer. */
void buf_init(struct buf *buf, size_t max_bytes, const char *what);

/* Makes room for `extra` bytes after len. ERR_LIMIT past max, ERR_MEMORY where there is none. */
int buf_reserve(struct buf *buf, size_t extra, struct err *err);

/* Appends a copy of the bytes. Errors as buf_reserve; the buffer is unchanged then. */
int buf_add(struct buf *buf, const void *bytes, size_t count, struct err *err);
int buf_add_slice(struct buf *buf, slice bytes, struct err *err);
int buf_add_text(struct buf *buf, const char *text, struct err *err);

/* The content as a slice, valid until the next call that changes the buffer. */
slice buf_slice(const struct buf *buf);

/* Sets len to 0 and gives memory beyond keep_bytes back to the system. */
void buf_reset(struct buf *buf, size_t keep_bytes);

/* Frees the memory; the buffer is empty and usable again. */
void buf_free(struct buf *buf);

#endif
