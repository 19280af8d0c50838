/*
 * base/text.h - a text that is put together piece by piece in an array of fixed size.
 *
 * The one place in src/ where the room that is left is computed by a subtraction: it cannot wrap,
 * whatever was added before. tests/lint/sources.py (bounded) keeps other callers of snprintf from
 * computing a size of their own. The text is NUL-terminated after every call. Nothing here blocks
 * or allocates; a text belongs to one thread at a time.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

struct text {
    char *at;    /* the caller's array, which must outlive the text */
    size_t size; /* of the array, in bytes, NUL included; at least 1 */
    size_t len;  /* bytes in use, without the NUL; under size */
    bool is_cut; /* something did not fit */
};

/* An empty text over an array of `size` bytes, at least 1. */
struct text text_over(char *at, size_t size);

/* An empty text over a whole array, whose size the compiler knows. */
#define TEXT_OVER(array) text_over((array), sizeof(array))

/* Appends as much as fits. False, and is_cut, where that was not all. */
bool text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool text_add_args(struct text *text, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* Drops everything after the first `len` bytes; a larger len drops nothing. */
void text_truncate(struct text *text, size_t len);

/* The content, valid until the next call that changes the text. */
static inline slice text_slice(const struct text *text)
{
    return (slice){ text->at, text->len };
}

#endif
