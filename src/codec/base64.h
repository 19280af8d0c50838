/*
 * codec/base64.h - writes base64 (RFC 4648, section 4).
 */
#ifndef CODEC_BASE64_H
#define CODEC_BASE64_H

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

/* Appends bytes as base64, padded, on one line. Errors as buf_add. */
int base64_put(struct buf *out, slice bytes, struct err *err);

#endif
