/*
 * base/err.h - the one error convention.
 *
 * A function that can fail returns 0 (or a count) on success and a negative `enum err_code` on
 * failure, and fills the `struct err` that is its last parameter. The code says what the caller
 * does next; the text says what happened, where, and what a person can do about it. Callers add
 * context on the way up with err_wrap, so that a message reads from the outside in:
 * "post result of job abc: connect 10.0.0.1:443: timed out after 5000 ms".
 *
 * A `struct err` lives on the caller's stack, holds no pointer and needs no freeing. None of
 * these functions blocks or allocates; a `struct err` belongs to one thread at a time.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#define ERR_TEXT_BYTES 384 /* longer texts are cut at the end, always NUL-terminated */

/* What the caller does next. */
enum err_code {
    ERR_RETRY = -1,     /* passing trouble (connect, reset, cut off): again later, with backoff */
    ERR_STALE = -2,     /* a kept-alive connection had been closed: again at once, on a new one */
    ERR_PEER = -3,      /* the peer broke its protocol; the connection is of no further use */
    ERR_TRUST = -4,     /* the peer could not prove who it is: nothing was or may be sent to it */
    ERR_LIMIT = -5,     /* a named limit was exceeded: fail this job or this answer */
    ERR_INPUT = -6,     /* the bytes or the value given are not valid: fail this job */
    ERR_CANCELLED = -7, /* woken up by a shutdown or a stop: leave */
    ERR_CONFIG = -8,    /* a flag or variable cannot be used: exit */
    ERR_MEMORY = -9,    /* the system gave no memory: fail this job */
    ERR_TIMEOUT = -10,  /* the deadline passed; otherwise as ERR_RETRY */
};

struct err {
    int code; /* 0, or an enum err_code */
    char text[ERR_TEXT_BYTES];
};

/* Sets code and text; returns code, so that `return err_set(...)` reads well. err may be NULL. */
int err_set(struct err *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "<context>: " before the text; code stays. Returns err->code. err may not be NULL. */
int err_wrap(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Same as err_set, with ": " and the text of the system error `errnum` at the end. */
int err_system(struct err *err, int code, int errnum, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
