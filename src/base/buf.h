/*
 * base/buf.h - the one place where memory grows: a byte buffer with a hard maximum.
 *
 * Growth is geometric and goes through realloc, which for large blocks moves pages instead of
 * bytes (mremap), so a payload costs about its own size once. Contents are not NUL-terminated.
 * A buffer belongs to one thread at a time. Nothing here blocks.
 *
 * An error sticks: once an append has failed, all later ones fail with the same error and change
 * nothing. A writer of a long text appends with a NULL err and calls buf_error once at the end.
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
    const char *what; /* names the content in errors ("job", "result"); not copied */
    int failed;       /* the error that sticks; 0 for none */
};

/* An empty buffer. Allocates nothing. `what` must outlive the buffer. */
void buf_init(struct buf *buf, size_t max_bytes, const char *what);

/* Makes room for `extra` bytes after len. ERR_LIMIT past max, ERR_MEMORY; both stick. */
int buf_reserve(struct buf *buf, size_t extra, struct err *err);

/* Append a copy of the bytes. Errors as buf_reserve; the content is unchanged then. */
int buf_add(struct buf *buf, const void *bytes, size_t count, struct err *err);
int buf_add_slice(struct buf *buf, slice bytes, struct err *err);
int buf_add_text(struct buf *buf, const char *text, struct err *err);

/* Appends the parts, one after the other; those before one that does not fit stay. */
int buf_add_slices(struct buf *buf, const slice *parts, size_t count, struct err *err);

/* Appends as printf writes, however long that is; buf_error tells whether it fitted. */
void buf_add_format(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* 0, or the error that sticks, with its text in err (which may be NULL). */
int buf_error(const struct buf *buf, struct err *err);

/* Drops the content and the error, keeps the memory. */
void buf_clear(struct buf *buf);

/* Drops everything after the first `len` bytes. The error stays. */
void buf_truncate(struct buf *buf, size_t len);

/* The content as a slice, valid until the next call that changes the buffer. */
slice buf_slice(const struct buf *buf);

/* As buf_clear, and frees the memory where it is more than keep_bytes. */
void buf_reset(struct buf *buf, size_t keep_bytes);

/*
 * Moves content, memory and limit of `from` into `to`, whose own memory is freed; `from`
 * is empty then. The way to hand a buffer on: assigning the struct would leak what `to` owns.
 */
void buf_move(struct buf *to, struct buf *from);

/* Frees the memory; the buffer is empty and usable again. */
void buf_free(struct buf *buf);

#endif
