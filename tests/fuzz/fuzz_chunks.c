/*
 * Chunked bodies: however the bytes are cut into pieces, the same comes out, and a body counts as
 * whole exactly where a second, simple decoder says so. The first byte chooses the pieces; the
 * body follows. Its bytes are taken as a plain body too, which is chunked and decoded again.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/byte_class.h"
#include "codec/http1.h"
#include "must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    int error;
    bool done;
    size_t used; /* of no meaning after an error */
    struct buf body;
};

/* Feeds one piece. */
static void feed(struct http1_chunks *chunks, slice rest, struct outcome *outcome)
{
    while (rest.len > 0 && !chunks->done && outcome->error == 0) {
        slice piece;
        struct err err = { 0 };
        ptrdiff_t used = http1_chunks_feed(chunks, rest.ptr, rest.len, &piece, &err);
        if (used < 0) {
            must(err.code == used && err.text[0] != '\0');
            outcome->error = (int)used;
            break;
        }
        must(used > 0 && (size_t)used <= rest.len);
        must(piece.len == 0 || piece.ptr + piece.len == rest.ptr + used);
        must(buf_add_slice(&outcome->body, piece, NULL) == 0);
        outcome->used += (size_t)used;
        rest = slice_skip(rest, (size_t)used);
    }
    outcome->done = chunks->done;
}

/*
 * Decodes in pieces of 1 to `longest` bytes, each at the end of a block AddressSanitizer watches.
 */
static struct outcome decode(slice bytes, size_t longest)
{
    struct outcome outcome = { 0 };
    struct http1_chunks chunks = { 0 };
    char *block = malloc(longest);
    must(block != NULL);
    buf_init(&outcome.body, 1 << 22, "body");
    for (size_t turn = 0; bytes.len > 0 && outcome.error == 0 && !outcome.done; turn++) {
        size_t len = longest - turn * 7 % longest;
        if (len > bytes.len)
            len = bytes.len;
        memcpy(block + longest - len, bytes.ptr, len);
        feed(&chunks, (slice){ block + longest - len, len }, &outcome);
        bytes = slice_skip(bytes, len);
    }
    free(block);
    return outcome;
}

static void check_same(struct outcome *a, struct outcome *b)
{
    must(a->error == b->error && a->done == b->done);
    must(a->error != 0 || a->used == b->used);
    must(slice_equal(buf_slice(&a->body), buf_slice(&b->body)));
}

/* --- the second decoder ------------------------------------------------------------------- */

/* Cuts a line with its CR LF off; false where there is none, or bytes in it that may not be. */
static bool cut_line(slice *rest, size_t limit, slice *line)
{
    const char *end = rest->len > 0 ? memmem(rest->ptr, rest->len, "\r\n", 2) : NULL;
    if (end == NULL)
        return false;
    *line = (slice){ rest->ptr, (size_t)(end - rest->ptr) };
    *rest = slice_skip(*rest, line->len + 2);
    return line->len + 2 <= limit && byte_class_span(*line, BYTE_CLASS_FIELD) == line->len;
}

static bool read_size(slice line, uint64_t *size)
{
    char digits[17] = { 0 };
    size_t count = byte_class_span(line, BYTE_CLASS_HEX);
    slice extension = byte_class_trim(slice_skip(line, count));
    if (count == 0 || count > 16 ||
        (count < line.len && (extension.len == 0 || extension.ptr[0] != ';')))
        return false;
    memcpy(digits, line.ptr, count);
    *size = strtoull(digits, NULL, 16);
    return *size <= INT64_MAX;
}

static bool skip_trailers(slice *rest)
{
    slice start = *rest, line;
    while (cut_line(rest, HTTP1_TRAILER_MAX_BYTES, &line)) {
        if (line.len == 0)
            return start.len - rest->len <= HTTP1_TRAILER_MAX_BYTES;
        size_t name = byte_class_span(line, BYTE_CLASS_TOKEN);
        if (name == 0 || name == line.len || line.ptr[name] != ':')
            return false;
    }
    return false;
}

/* True where rest starts with a whole body; then *rest is what lies behind. */
static bool reference(slice *rest, struct buf *body)
{
    slice line;
    uint64_t size;
    while (cut_line(rest, HTTP1_CHUNK_LINE_MAX_BYTES, &line) && read_size(line, &size)) {
        if (size == 0)
            return skip_trailers(rest);
        if (rest->len < 2 || size > rest->len - 2 || memcmp(rest->ptr + size, "\r\n", 2) != 0)
            return false;
        must(buf_add(body, rest->ptr, (size_t)size, NULL) == 0);
        *rest = slice_skip(*rest, (size_t)size + 2);
    }
    return false;
}

static void check_against_reference(slice bytes, struct outcome *outcome)
{
    struct buf body;
    slice rest = bytes;
    buf_init(&body, 1 << 22, "body");
    bool whole = reference(&rest, &body);
    must(whole == outcome->done && (!whole || outcome->error == 0));
    if (whole)
        must(outcome->used == bytes.len - rest.len &&
             slice_equal(buf_slice(&body), buf_slice(&outcome->body)));
    buf_free(&body);
}

/* --- there and back ----------------------------------------------------------------------- */

static void check_there_and_back(slice plain, size_t longest)
{
    struct buf encoded;
    char line[64];
    buf_init(&encoded, 1 << 24, "encoded body");
    for (size_t i = 0, len = 0, turn = 0; i < plain.len; i += len, turn++) {
        len = turn * 5 % (longest + 1) + 1;
        if (len > plain.len - i)
            len = plain.len - i;
        int count = snprintf(line, sizeof line, turn % 2 == 0 ? "%zx\r\n" : "%016zX ;a=b\r\n", len);
        must(buf_add(&encoded, line, (size_t)count, NULL) == 0);
        must(buf_add(&encoded, plain.ptr + i, len, NULL) == 0);
        must(buf_add(&encoded, "\r\n", 2, NULL) == 0);
    }
    must(buf_add_text(&encoded, "0\r\nA: b\r\n\r\n", NULL) == 0);
    struct outcome outcome = decode(buf_slice(&encoded), longest);
    must(outcome.done && outcome.error == 0 && outcome.used == encoded.len);
    must(slice_equal(buf_slice(&outcome.body), plain));
    buf_free(&outcome.body);
    buf_free(&encoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    slice bytes = { (const char *)data + 1, size - 1 };
    size_t longest = (size_t)data[0] % 64 + 2;
    struct outcome whole = decode(bytes, bytes.len + 1), single = decode(bytes, 1),
                   some = decode(bytes, longest);
    check_same(&whole, &single);
    check_same(&whole, &some);
    check_against_reference(bytes, &whole);
    check_there_and_back(bytes, longest);
    buf_free(&whole.body);
    buf_free(&single.body);
    buf_free(&some.body);
    return 0;
}
