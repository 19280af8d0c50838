/*
 * codec/mend.h - what becomes of output that is not UTF-8, whoever made it: a program, a line of
 * one, or a server. Text, such as a model's with a character cut in two, is mended: each byte that
 * is not UTF-8 becomes U+FFFD, and the caller logs a warning. Binary output is refused. Pure.
 */
#ifndef CODEC_MEND_H
#define CODEC_MEND_H

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

enum mend_kind {
    MEND_NONE,   /* it is UTF-8 */
    MEND_TEXT,   /* text with a few bytes that are not */
    MEND_BINARY, /* has a NUL byte, or too many bytes that text does not have */
};

/* What the bytes are. Linear time. */
enum mend_kind mend_kind_of(slice bytes);

/* Appends the bytes as UTF-8. ERR_LIMIT, ERR_MEMORY as buf_add; then nothing is appended. */
int mend_put(struct buf *buf, slice bytes, struct err *err);

/* For the caller's warning and error; both follow a subject such as "The handler's output". */
#define MEND_WARNING "is not valid UTF-8: the bad bytes became U+FFFD"
#define MEND_REFUSAL                                                                              \
    "is binary, but a job's output is JSON or UTF-8 text: encode it as base64, or upload it and " \
    "return a link"

#endif
