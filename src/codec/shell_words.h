/*
 * codec/shell_words.h - cuts a command line into words as a POSIX shell does (Shell Command
 * Language, 2.2 Quoting), without any expansion: an empty image has no shell. Blanks separate;
 * 'single quotes' keep everything; "double quotes" keep everything but a backslash before " \ $ `
 * and a line break; a backslash elsewhere keeps the next character. $, *, ~, ;, | and the like mean
 * nothing. Pure, allocates nothing.
 */
#ifndef CODEC_SHELL_WORDS_H
#define CODEC_SHELL_WORDS_H

#include "base/err.h"
#include "base/slice.h"

/*
 * Cuts the next word off *rest and writes it unquoted, with a NUL that is not counted, to `to`,
 * which has room for rest->len + 1 bytes and does not overlap rest. Returns 1 with *word set, 0 at
 * the end, ERR_INPUT for a quote that is not closed, a backslash at the end, or a NUL byte.
 */
int shell_words_next(slice *rest, char *to, slice *word, struct err *err);

#endif
