/*
 * base/slice.h - a piece of somebody else's bytes.
 *
 * A slice is a pointer and a length; it owns nothing, need not end in NUL, and is valid for as
 * long as whatever it points into. It is the same type as the `rp_str` that handlers see, under
 * the name the inside of the worker uses. All functions here are pure.
 */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "worker.h"

typedef rp_str slice;

/* For printf: printf("%.*s", SLICE_ARG(s)). Longer than INT_MAX is cut. */
#define SLICE_ARG(s) slice_print_len(s), (s).ptr

/* A slice over a string literal, length known at compile time. */
#define SLICE_LITERAL(text) ((slice){ "" text, sizeof(text) - 1 })

static inline int slice_print_len(slice s)
{
    return s.len < INT_MAX ? (int)s.len : INT_MAX;
}

static inline slice slice_from(const char *text)
{
    return (slice){ text, text == NULL ? 0 : strlen(text) };
}

static inline bool slice_equal(slice a, slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* True where s is exactly the NUL-terminated text. */
static inline bool slice_is(slice s, const char *text)
{
    return slice_equal(s, slice_from(text));
}

/* True where s is the text, ASCII letters compared without case (RFC 9110 field names). */
static inline bool slice_is_nocase(slice s, const char *text)
{
    return s.len == strlen(text) && (s.len == 0 || strncasecmp(s.ptr, text, s.len) == 0);
}

/* The rest of s after its first `count` bytes; count may not exceed s.len. */
static inline slice slice_skip(slice s, size_t count)
{
    return count == 0 ? s : (slice){ s.ptr + count, s.len - count };
}

#endif
