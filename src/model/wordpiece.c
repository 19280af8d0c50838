#include "model/wordpiece.h"

#include <stdlib.h>

#include "base/utf8.h"
#include "model/unicode.h"

#define TOKENS_MAX (1u << 24)
#define WORD_MAX_POINTS 100
#define POINT_MAX_BYTES 4
#define FNV_START 14695981039346656037u
#define FNV_PRIME 1099511628211u

static const char *const special_names[SPECIAL_TOKENS] = {
    [TOKEN_PAD] = "[PAD]", [TOKEN_UNK] = "[UNK]",   [TOKEN_CLS] = "[CLS]",
    [TOKEN_SEP] = "[SEP]", [TOKEN_MASK] = "[MASK]",
};

/* --- the vocabulary --------------------------------------------------------------------------- */

static uint64_t hash_on(uint64_t hash, slice text)
{
    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ (unsigned char)text.ptr[i]) * FNV_PRIME;
    return hash;
}

static uint32_t place_of(const struct wordpiece *tokenizer, uint64_t hash)
{
    return (uint32_t)(hash ^ hash >> 32) & tokenizer->mask;
}

/* The token "begin" + "rest" has that hash. */
static bool find(const struct wordpiece *tokenizer, uint64_t hash, slice begin, slice rest,
                 uint32_t *id)
{
    for (uint32_t at = place_of(tokenizer, hash); tokenizer->ids[at] != 0;
         at = (at + 1) & tokenizer->mask) {
        slice token = tokenizer->tokens[tokenizer->ids[at] - 1];
        if (token.len == begin.len + rest.len && memcmp(token.ptr, begin.ptr, begin.len) == 0 &&
            memcmp(token.ptr + begin.len, rest.ptr, rest.len) == 0) {
            *id = tokenizer->ids[at] - 1;
            return true;
        }
    }
    return false;
}

/* The last of several lines with one token counts, as in the dictionary of Python. */
static void insert(struct wordpiece *tokenizer, uint32_t id)
{
    slice token = tokenizer->tokens[id];
    uint32_t at = place_of(tokenizer, hash_on(FNV_START, token));
    while (tokenizer->ids[at] != 0 &&
           !slice_equal(tokenizer->tokens[tokenizer->ids[at] - 1], token))
        at = (at + 1) & tokenizer->mask;
    tokenizer->ids[at] = id + 1;
    if (token.len > tokenizer->longest_bytes)
        tokenizer->longest_bytes = token.len;
}

static bool next_line(slice *rest, slice *line)
{
    if (rest->len == 0)
        return false;
    const char *end = memchr(rest->ptr, '\n', rest->len);
    *line = (slice){ rest->ptr, end == NULL ? rest->len : (size_t)(end - rest->ptr) };
    *rest = slice_skip(*rest, line->len + (end != NULL));
    *line = slice_trim_end(*line, '\r');
    return true;
}

static int find_special(struct wordpiece *tokenizer, struct err *err)
{
    for (unsigned i = 0; i < SPECIAL_TOKENS; i++) {
        slice name = slice_from(special_names[i]);
        if (!find(tokenizer, hash_on(FNV_START, name), name, (slice){ "", 0 },
                  &tokenizer->special[i]))
            return err_set(err, ERR_INPUT, "the token %s is missing", special_names[i]);
    }
    return 0;
}

static int make_tables(struct wordpiece *tokenizer, uint32_t lines, struct err *err)
{
    uint32_t size = 16;
    while (size < 2 * lines)
        size *= 2;
    tokenizer->mask = size - 1;
    tokenizer->tokens = calloc(lines + 1, sizeof *tokenizer->tokens);
    tokenizer->ids = calloc(size, sizeof *tokenizer->ids);
    if (tokenizer->tokens == NULL || tokenizer->ids == NULL)
        return err_set(err, ERR_MEMORY, "out of memory for %u tokens", lines);
    return 0;
}

int wordpiece_open(struct wordpiece *tokenizer, slice vocabulary, struct err *err)
{
    slice rest = vocabulary, line;
    uint32_t lines = 0;
    *tokenizer = (struct wordpiece){ .count = 0 };
    while (lines <= TOKENS_MAX && next_line(&rest, &line))
        lines++;
    if (lines > TOKENS_MAX)
        return err_set(err, ERR_INPUT, "it has more than %u lines", TOKENS_MAX);
    int rc = make_tables(tokenizer, lines, err);
    if (rc == 0) {
        for (rest = vocabulary; next_line(&rest, &tokenizer->tokens[tokenizer->count]);)
            insert(tokenizer, tokenizer->count++);
        rc = find_special(tokenizer, err);
    }
    if (rc != 0)
        wordpiece_close(tokenizer);
    return rc;
}

void wordpiece_close(struct wordpiece *tokenizer)
{
    free(tokenizer->tokens);
    free(tokenizer->ids);
    *tokenizer = (struct wordpiece){ .count = 0 };
}

/* --- text ------------------------------------------------------------------------------------- */

/* One text on its way to ids. */
struct encoding {
    const struct wordpiece *tokenizer;
    uint32_t *ids;
    size_t count, max; /* max leaves room for [SEP] */
    char word[WORD_MAX_POINTS * POINT_MAX_BYTES];
    uint16_t ends[WORD_MAX_POINTS]; /* where each code point of the word ends, in bytes */
    size_t points;                  /* may exceed WORD_MAX_POINTS: only that is noted then */
};

static void put(struct encoding *encoding, uint32_t id)
{
    if (encoding->count < encoding->max)
        encoding->ids[encoding->count++] = id;
}

static void add_point(struct encoding *encoding, uint32_t point)
{
    size_t at = encoding->points++;
    if (at >= WORD_MAX_POINTS)
        return;
    size_t begin = at == 0 ? 0 : encoding->ends[at - 1];
    encoding->ends[at] = (uint16_t)(begin + utf8_put(point, encoding->word + begin));
}

/* The longest piece that starts at code point `first`; *after is set to the one behind it. */
static bool longest_piece(const struct encoding *encoding, size_t first, size_t *after,
                          uint32_t *id)
{
    uint64_t hashes[WORD_MAX_POINTS];
    slice mark = { "##", first == 0 ? 0 : 2 };
    size_t begin = first == 0 ? 0 : encoding->ends[first - 1], last = first, from = begin;
    uint64_t hash = hash_on(FNV_START, mark);
    for (; last < encoding->points &&
           encoding->ends[last] - begin + mark.len <= encoding->tokenizer->longest_bytes;
         last++) {
        hash = hash_on(hash, (slice){ encoding->word + from, encoding->ends[last] - from });
        hashes[last] = hash;
        from = encoding->ends[last];
    }
    for (; last > first; last--) {
        slice piece = { encoding->word + begin, encoding->ends[last - 1] - begin };
        if (find(encoding->tokenizer, hashes[last - 1], mark, piece, id)) {
            *after = last;
            return true;
        }
    }
    return false;
}

static void end_word(struct encoding *encoding)
{
    uint32_t pieces[WORD_MAX_POINTS];
    size_t count = 0, at = 0, points = encoding->points;
    encoding->points = 0;
    if (points == 0)
        return;
    if (points <= WORD_MAX_POINTS) {
        encoding->points = points;
        while (at < points && longest_piece(encoding, at, &at, &pieces[count]))
            count++;
        encoding->points = 0;
    }
    if (points > WORD_MAX_POINTS || at < points) {
        put(encoding, encoding->tokenizer->special[TOKEN_UNK]);
        return;
    }
    for (size_t i = 0; i < count; i++)
        put(encoding, pieces[i]);
}

static void add_mapped(struct encoding *encoding, uint32_t point)
{
    uint32_t mapped[UNICODE_MAX];
    size_t count;
    enum unicode_class class = unicode_map(point, mapped, &count);
    if (class == UNICODE_SPACE || class == UNICODE_ISOLATE)
        end_word(encoding);
    for (size_t i = 0; i < count; i++)
        add_point(encoding, mapped[i]);
    if (class == UNICODE_ISOLATE)
        end_word(encoding);
}

/* The code point at the start of the text, and its bytes; one byte and UINT32_MAX if invalid. */
static size_t read_point(slice text, uint32_t *point)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    unsigned char lead = (unsigned char)text.ptr[0];
    size_t count = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    *point = UINT32_MAX;
    if (count == 0 || lead > 0xf4 || count > text.len)
        return 1;
    uint32_t value = count == 1 ? lead : lead & (0x7fu >> count);
    for (size_t i = 1; i < count; i++) {
        if (((unsigned char)text.ptr[i] & 0xc0) != 0x80)
            return 1;
        value = value << 6 | ((unsigned char)text.ptr[i] & 0x3f);
    }
    if (value < least[count] || value > 0x10ffff || value - 0xd800 < 0x800)
        return 1;
    *point = value;
    return count;
}

/* The special token at the start of the text: its length, or 0. */
static size_t special_at(slice text, unsigned *which)
{
    if (text.ptr[0] != '[')
        return 0;
    for (unsigned i = 0; i < SPECIAL_TOKENS; i++) {
        slice name = slice_from(special_names[i]);
        if (slice_starts(text, name)) {
            *which = i;
            return name.len;
        }
    }
    return 0;
}

size_t wordpiece_encode(const struct wordpiece *tokenizer, slice text, uint32_t *ids,
                        size_t max_ids)
{
    struct encoding encoding = { .tokenizer = tokenizer, .ids = ids, .max = max_ids - 1 };
    put(&encoding, tokenizer->special[TOKEN_CLS]);
    while (text.len > 0 && encoding.count < encoding.max) {
        unsigned which;
        uint32_t point;
        size_t len = special_at(text, &which);
        if (len > 0) {
            end_word(&encoding);
            put(&encoding, tokenizer->special[which]);
        } else {
            len = read_point(text, &point);
            if (point != UINT32_MAX)
                add_mapped(&encoding, point);
        }
        text = slice_skip(text, len);
    }
    end_word(&encoding);
    ids[encoding.count++] = tokenizer->special[TOKEN_SEP];
    return encoding.count;
}
