/*
 * base/slice.h - a view of bytes that something else owns.
 *
 * A slice is a pointer and a length; it owns nothing, need not end in NUL, and is valid for as
 * long as whatever it points into. It is the public type `rp_str` of worker.h under the name that
 * the worker itself uses. All functions here are pure.
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

/* For printf: printf("%.*s", SLICE_ARG(s)). Cut at INT_MAX bytes. */
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

/* True if s equals the NUL-terminated text. */
static inline bool slice_is(slice s, const char *text)
{
    return slice_equal(s, slice_from(text));
}

/* True if s equals the text, ignoring the case of ASCII letters (RFC 9110 field names). */
static inline bool slice_is_nocase(slice s, const char *text)
{
    return s.len == strlen(text) && (s.len == 0 || strncasecmp(s.ptr, text, s.len) == 0);
}

/*
 * True if the given text is the secret, which is not empty. Takes as long for any two texts of
 * these lengths: how long must not tell how much is right.
 */
static inline bool slice_equal_secret(slice given, slice secret)
{
    unsigned difference = given.len != secret.len;
    for (size_t i = 0; i < given.len; i++)
        difference |= (unsigned)(given.ptr[i] ^ secret.ptr[i % secret.len]);
    return difference == 0;
}

/* True if s starts with the text; "nocase" ignores the case of ASCII letters. */
static inline bool slice_starts(slice s, slice start)
{
    return s.len >= start.len && (start.len == 0 || memcmp(s.ptr, start.ptr, start.len) == 0);
}

static inline bool slice_starts_nocase(slice s, slice start)
{
    return s.len >= start.len && (start.len == 0 || strncasecmp(s.ptr, start.ptr, start.len) == 0);
}

/* True if s ends with the text, ignoring the case of ASCII letters. */
static inline bool slice_ends_nocase(slice s, slice end)
{
    return s.len >= end.len && strncasecmp(s.ptr + (s.len - end.len), end.ptr, end.len) == 0;
}

/* s without one `end` at its end, where it has one. */
static inline slice slice_trim_end(slice s, char end)
{
    return s.len > 0 && s.ptr[s.len - 1] == end ? (slice){ s.ptr, s.len - 1 } : s;
}

/* The rest of s after its first `count` bytes; count may not exceed s.len. */
static inline slice slice_skip(slice s, size_t count)
{
    return count == 0 ? s : (slice){ s.ptr + count, s.len - count };
}

/* Empties the first `bytes` bytes of the parts, one after the other. True where nothing is left. */
static inline bool slice_parts_skip(slice *parts, size_t count, size_t bytes)
{
    for (size_t i = 0; i < count; i++) {
        size_t taken = bytes < parts[i].len ? bytes : parts[i].len;
        parts[i] = slice_skip(parts[i], taken);
        bytes -= taken;
        if (parts[i].len > 0)
            return false;
    }
    return true;
}

#endif
