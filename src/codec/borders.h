/*
 * codec/borders.h - where a stream of text may be cut: behind an event, a line, or a character.
 * Incremental and pure: it is told what has come and knows nothing of where from.
 */
#ifndef CODEC_BORDERS_H
#define CODEC_BORDERS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

enum border_kind {
    BORDER_EVENT,     /* text/event-stream: behind a blank line, whose ends may be LF, CRLF or CR */
    BORDER_LINE,      /* JSON lines: behind a line feed */
    BORDER_CHARACTER, /* other text: anywhere but within a UTF-8 character */
};

/* All zero but the kind is the start of a stream. */
struct borders {
    enum border_kind kind;
    bool in_line; /* the line at hand has a character */
    bool after_cr;
    bool blank; /* and that CR ended a blank line: a line feed may still belong to it */
};

/*
 * `text` is what has not been cut off yet, of which the first `seen` bytes were there at the last
 * call. Returns where the last border lies that has come since, 0 where none has. (HTML Living
 * Standard, 9.2.5, for events.) A CR at the very end is no border yet: a line feed may follow.
 */
size_t borders_find(struct borders *borders, slice text, size_t seen);

/* True where such a CR was the last: then a border lies at the end, unless a line feed follows. */
static inline bool borders_may_end(const struct borders *borders)
{
    return borders->after_cr && borders->blank;
}

/*
 * How many bytes of text there are up to the end of the last whole character; what is no UTF-8 may
 * be cut anywhere.
 */
size_t borders_whole_characters(slice text);

#endif
