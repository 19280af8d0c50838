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

#include <stdbool.h>

#define ERR_TEXT_BYTES 384 /* longer texts are cut at the end; always NUL-terminated */

/* What the caller does next. */
enum err_code {
    ERR_RETRY = -1,     /* transient (connect, reset, cut off): retry later, with backoff */
    ERR_STALE = -2,     /* a kept-alive connection had been closed: retry at once on a new one */
    ERR_PEER = -3,      /* the peer violated its protocol, or refused: do not retry */
    ERR_TRUST = -4,     /* the peer could not prove its identity: send nothing to it */
    ERR_LIMIT = -5,     /* a named limit was exceeded: fail this job or this response */
    ERR_INPUT = -6,     /* the bytes or the value given are invalid: fail this job */
    ERR_CANCELLED = -7, /* a shutdown or a stop: return */
    ERR_CONFIG = -8,    /* a flag or variable cannot be used: exit */
    ERR_MEMORY = -9,    /* out of memory: fail this job */
    ERR_TIMEOUT = -10,  /* the deadline has passed; otherwise as ERR_RETRY */
};

struct err {
    int code;       /* 0, or an enum err_code */
    bool is_logged; /* whoever found it has written it to the log: once is enough */
    char text[ERR_TEXT_BYTES];
};

/* Sets code and text; returns code, so that `return err_set(...)` reads well. err may be NULL. */
int err_set(struct err *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "<context>: " before the text; code stays. Returns err->code. err may not be NULL. */
int err_wrap(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* As err_set, with ": " and the text of the system error `errnum` at the end. */
int err_system(struct err *err, int code, int errnum, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
