/* The chunked coding as a state machine, a table of which byte may follow where. */
#include "codec/byte_class.h"
#include "codec/http1.h"

#define SIZE_DIGITS_MAX 16 /* of a 64-bit number, leading zeros included */

/* Where in the body the next byte stands (RFC 9112, section 7.1). */
enum place {
    SIZE_FIRST, /* 0: a zeroed decoder starts here */
    SIZE,
    SIZE_BLANK, /* white space behind a size, which only an extension may follow */
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_FIRST, /* start of a field, or of the empty line that ends the body */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF,
    OVER,   /* the body has ended */
    BROKEN, /* an error was found */
};

/* Which byte, or which set of bytes, may stand at a place, and which place follows. */
struct rule {
    char byte;
    uint8_t sets;
    uint8_t next;
};

#define RULES_MAX 5 /* of one place; a zeroed rule ends a shorter list */

static const struct rule rules[][RULES_MAX] = {
    [SIZE_FIRST] = { { .sets = BYTE_CLASS_HEX, .next = SIZE } },
    [SIZE] = { { .sets = BYTE_CLASS_HEX, .next = SIZE },
               { '\r', .next = SIZE_LF },
               { ';', .next = EXTENSION },
               { ' ', .next = SIZE_BLANK },
               { '\t', .next = SIZE_BLANK } },
    [SIZE_BLANK] = { { ' ', .next = SIZE_BLANK },
                     { '\t', .next = SIZE_BLANK },
                     { ';', .next = EXTENSION } },
    [EXTENSION] = { { .sets = BYTE_CLASS_FIELD, .next = EXTENSION }, { '\r', .next = SIZE_LF } },
    [SIZE_LF] = { { '\n', .next = DATA } },
    [DATA] = { { 0 } },
    [DATA_CR] = { { '\r', .next = DATA_LF } },
    [DATA_LF] = { { '\n', .next = SIZE_FIRST } },
    [TRAILER_FIRST] = { { .sets = BYTE_CLASS_TOKEN, .next = TRAILER_NAME },
                        { '\r', .next = LAST_LF } },
    [TRAILER_NAME] = { { .sets = BYTE_CLASS_TOKEN, .next = TRAILER_NAME },
                       { ':', .next = TRAILER_VALUE } },
    [TRAILER_VALUE] = { { .sets = BYTE_CLASS_FIELD, .next = TRAILER_VALUE },
                        { '\r', .next = TRAILER_LF } },
    [TRAILER_LF] = { { '\n', .next = TRAILER_FIRST } },
    [LAST_LF] = { { '\n', .next = OVER } },
    [OVER] = { { 0 } },
    [BROKEN] = { { 0 } },
};

static const char *const place_names[] = {
    [SIZE_FIRST] = "where a chunk's size should start",
    [SIZE] = "in a chunk's size",
    [SIZE_BLANK] = "after a chunk's size",
    [EXTENSION] = "in a chunk's extension",
    [SIZE_LF] = "after a chunk size's carriage return",
    [DATA] = "in a chunk",
    [DATA_CR] = "where a chunk should end",
    [DATA_LF] = "after a chunk's carriage return",
    [TRAILER_FIRST] = "where a trailer field should start",
    [TRAILER_NAME] = "in a trailer field's name",
    [TRAILER_VALUE] = "in a trailer field's value",
    [TRAILER_LF] = "after a trailer field's carriage return",
    [LAST_LF] = "after the body's last carriage return",
    [OVER] = "after the body",
    [BROKEN] = "after an earlier error",
};

static int refuse(struct http1_chunks *chunks, char c, struct err *err)
{
    const char *place = place_names[chunks->state];
    chunks->state = BROKEN;
    return err_set(err, ERR_PEER, "malformed chunked body: byte 0x%02x %s", (unsigned char)c,
                   place);
}

static enum place place_after(int place, char c)
{
    for (const struct rule *rule = rules[place]; rule < rules[place] + RULES_MAX; rule++)
        if (rule->byte != '\0' ? c == rule->byte : byte_class_in(c, rule->sets))
            return rule->next;
    return BROKEN;
}

/* Each size line has a limit of its own; all trailers share one. */
static int check_limit(struct http1_chunks *chunks, struct err *err)
{
    bool trailer = chunks->state >= TRAILER_FIRST;
    size_t limit = trailer ? HTTP1_TRAILER_MAX_BYTES : HTTP1_CHUNK_LINE_MAX_BYTES;
    if (++chunks->line_bytes <= limit)
        return 0;
    chunks->state = BROKEN;
    return err_set(err, ERR_LIMIT, "the %s of a chunked body is longer than %zu bytes",
                   trailer ? "trailer" : "line of a chunk's size", limit);
}

/* One byte that is not data. */
static int take(struct http1_chunks *chunks, char c, struct err *err)
{
    enum place next = place_after(chunks->state, c);
    if (next == BROKEN)
        return refuse(chunks, c, err);
    int rc = check_limit(chunks, err);
    if (rc != 0)
        return rc;
    if (next == SIZE) {
        if (chunks->line_bytes > SIZE_DIGITS_MAX || chunks->left > INT64_MAX >> 4)
            return refuse(chunks, c, err);
        chunks->left = chunks->left << 4 | byte_class_hex_value(c);
    }
    if (next == DATA && chunks->left == 0)
        next = TRAILER_FIRST;
    if (chunks->state == SIZE_LF || next == SIZE_FIRST)
        chunks->line_bytes = 0;
    chunks->done = next == OVER;
    chunks->state = (int)next;
    return 0;
}

ptrdiff_t http1_chunks_feed(struct http1_chunks *chunks, const char *in, size_t in_len, slice *data,
                            struct err *err)
{
    size_t used = 0;
    *data = (slice){ in, 0 };
    while (used < in_len && !chunks->done && chunks->state != DATA) {
        int rc = take(chunks, in[used++], err);
        if (rc != 0)
            return rc;
    }
    if (used == in_len || chunks->done)
        return (ptrdiff_t)used;
    size_t there = in_len - used;
    *data = (slice){ in + used, chunks->left < there ? (size_t)chunks->left : there };
    chunks->left -= data->len;
    if (chunks->left == 0)
        chunks->state = DATA_CR;
    return (ptrdiff_t)(used + data->len);
}
