/*
 * codec/stream_cut.h and codec/route.h: a text cut at places found in any pieces is still that
 * text.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "codec/route.h"
#include "codec/stream_cut.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

/*
 * In pieces of `size` bytes; a border may be cut at, at any time, and none is past what has come.
 */
static void cut(enum stream_cut_kind kind, const char *text, size_t len, size_t size)
{
    struct stream_cut cut = { .kind = kind };
    size_t start = 0, seen = 0;
    for (size_t end = 0; end < len;) {
        end = end + size < len ? end + size : len;
        slice rest = { text + start, end - start };
        size_t border = stream_cut_find(&cut, rest, seen);
        require(border <= rest.len);
        start += border;
        seen = rest.len - border;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size > 0 ? size : 1);
    struct err err;
    const char *method;
    require(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    slice all = { text, size };
    for (int kind = STREAM_CUT_EVENT; kind <= STREAM_CUT_CHARACTER; kind++)
        for (size_t piece = 1; piece <= 3; piece++)
            cut((enum stream_cut_kind)kind, text, size, piece);
    require(utf8_whole(all).len <= size);
    if (route_check(all, &err) == 0) {
        const char *query = memchr(text, '?', size);
        size_t path = query != NULL ? (size_t)(query - text) : size;
        require(text[0] == '/' && memchr(text, '\n', size) == NULL &&
                memchr(text, ' ', size) == NULL && memmem(text, path, "/../", 4) == NULL);
    }
    route_method(all, &method);
    free(text);
    return 0;
}
