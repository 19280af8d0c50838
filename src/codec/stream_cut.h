/*
 * codec/stream_cut.h - where a stream of text may be cut: after an event, a line, or a character.
 * Incremental and pure.
 */
#ifndef CODEC_STREAM_CUT_H
#define CODEC_STREAM_CUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

enum stream_cut_kind {
    STREAM_CUT_EVENT,     /* text/event-stream: after a blank line; lines end with LF, CRLF or CR */
    STREAM_CUT_LINE,      /* JSON lines: after a line feed */
    STREAM_CUT_CHARACTER, /* other text: anywhere but inside a UTF-8 character */
};

/* Starts with all but the kind zero. */
struct stream_cut {
    enum stream_cut_kind kind;
    bool in_line; /* the current line is not empty */
    bool after_cr;
    bool blank; /* after_cr, and that CR ended a blank line */
};

/*
 * `text` is what has not been cut off yet; its first `seen` bytes were there at the last call.
 * Returns the offset of the last border among the new bytes, 0 if there is none (events: HTML
 * Living Standard, 9.2.5). A CR at the very end is not a border yet: a line feed may follow.
 */
size_t stream_cut_find(struct stream_cut *cut, slice text, size_t seen);

/* True where such a CR came last: the end is a border unless a line feed follows. */
static inline bool stream_cut_may_end(const struct stream_cut *cut)
{
    return cut->after_cr && cut->blank;
}

#endif
