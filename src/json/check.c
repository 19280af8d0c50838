/* Validation: one pass, without recursion. */
#include "base/utf8_escape.h"
#include "json/json.h"
#include "json/scan.h"

struct check {
    const char *start, *at, *end;
    uint64_t objects[JSON_DEPTH_MAX / 64]; /* one bit an open container: set for an object */
    unsigned depth, deepest;               /* open containers: now, and at most so far */
    bool opened;                           /* the innermost one has no child yet */
    uint32_t values;
    struct err *err;
};

/* Sets the error: `expected` was expected at c->at. */
static int fail(const struct check *c, const char *expected)
{
    size_t offset = (size_t)(c->at - c->start);
    if (c->at == c->end)
        return err_set(c->err, ERR_INPUT, "JSON ends at byte %zu where %s was expected", offset,
                       expected);
    unsigned char found = (unsigned char)*c->at;
    if (found > ' ' && found < 0x7f)
        return err_set(c->err, ERR_INPUT, "JSON has '%c' at byte %zu where %s was expected", found,
                       offset, expected);
    return err_set(c->err, ERR_INPUT, "JSON has 0x%02x at byte %zu where %s was expected", found,
                   offset, expected);
}

static bool take(struct check *c, char byte)
{
    if (c->at == c->end || *c->at != byte)
        return false;
    c->at++;
    return true;
}

/* Marks the bytes that need a closer look: control, quote, backslash, not ASCII. */
static inline uint64_t mark_special(uint64_t word)
{
    uint64_t control = word - JSON_EACH_BYTE(0x20); /* exact for bytes below 0x80, as are others */
    return (control | word | json_mark_equal(word, '"') | json_mark_equal(word, '\\')) &
           JSON_EACH_BYTE(0x80);
}

static const char *skip_plain_ascii(const char *at, const char *end)
{
    for (; end - at >= 16; at += 16)
        if ((mark_special(json_load_word(at)) | mark_special(json_load_word(at + 8))) != 0)
            break;
    for (; end - at >= 8; at += 8) {
        uint64_t mark = mark_special(json_load_word(at));
        if (mark != 0)
            return at + json_lowest_mark(mark);
    }
    while (at < end && (unsigned char)*at >= 0x20 && (unsigned char)*at < 0x80 && *at != '"' &&
           *at != '\\')
        at++;
    return at;
}

static bool is_hex(char c)
{
    return json_is_digit(c) || ((c | 32) >= 'a' && (c | 32) <= 'f');
}

/* What follows a backslash. */
static int check_escape(struct check *c)
{
    if (c->at == c->end || memchr("\"\\/bfnrtu", *c->at, 9) == NULL)
        return fail(c, "one of \" \\ / b f n r t u");
    if (*c->at++ != 'u')
        return 0;
    for (int i = 0; i < 4; i++, c->at++)
        if (c->at == c->end || !is_hex(*c->at))
            return fail(c, "a hexadecimal digit");
    return 0;
}

/* A string from its opening quote on. Lone surrogate escapes are valid by the grammar. */
static int check_string(struct check *c)
{
    c->at++;
    for (;;) {
        c->at = skip_plain_ascii(c->at, c->end);
        if (take(c, '"'))
            return 0;
        if (take(c, '\\')) {
            int rc = check_escape(c);
            if (rc != 0)
                return rc;
            continue;
        }
        if (c->at == c->end)
            return fail(c, "a closing quote");
        if ((unsigned char)*c->at < 0x20)
            return fail(c, "an escape instead of a control character");
        while (c->at < c->end && (unsigned char)*c->at >= 0x80) {
            size_t len = utf8_sequence(c->at, (size_t)(c->end - c->at));
            if (len == 0)
                return fail(c, "well-formed UTF-8");
            c->at += len;
        }
    }
}

static int check_literal(struct check *c, const char *literal)
{
    for (; *literal != '\0'; literal++)
        if (!take(c, *literal))
            return fail(c, "the rest of true, false or null");
    return 0;
}

static int check_number(struct check *c)
{
    const char *first = c->at;
    if (json_skip_number(&c->at, c->end))
        return 0;
    return fail(c, c->at == first ? "a value" : "a digit");
}

static int check_open(struct check *c, bool object)
{
    if (c->depth == JSON_DEPTH_MAX)
        return err_set(c->err, ERR_LIMIT, "JSON is nested deeper than the limit of %d at byte %zu",
                       JSON_DEPTH_MAX, (size_t)(c->at - c->start));
    uint64_t bit = UINT64_C(1) << c->depth % 64, *word = &c->objects[c->depth / 64];
    *word = object ? *word | bit : *word & ~bit;
    if (++c->depth > c->deepest)
        c->deepest = c->depth;
    c->opened = true;
    c->at++;
    return 0;
}

/* A whole scalar, or the opening bracket of a container. */
static int check_value(struct check *c)
{
    c->values++;
    c->at = json_skip_space(c->at, c->end);
    switch (c->at < c->end ? *c->at : '\0') {
    case '{': return check_open(c, true);
    case '[': return check_open(c, false);
    case '"': return check_string(c);
    case 't': return check_literal(c, "true");
    case 'f': return check_literal(c, "false");
    case 'n': return check_literal(c, "null");
    default: return check_number(c);
    }
}

static int check_member(struct check *c)
{
    c->values++;
    c->at = json_skip_space(c->at, c->end);
    if (c->at == c->end || *c->at != '"')
        return fail(c, "a member name in quotes");
    int rc = check_string(c);
    if (rc != 0)
        return rc;
    c->at = json_skip_space(c->at, c->end);
    if (!take(c, ':'))
        return fail(c, "':'");
    return check_value(c);
}

/* Inside the innermost open container: its closing bracket, or a comma and its next child. */
static int check_next(struct check *c)
{
    unsigned level = c->depth - 1;
    bool object = (c->objects[level / 64] >> level % 64 & 1) != 0, first = c->opened;
    c->opened = false;
    c->at = json_skip_space(c->at, c->end);
    if (take(c, object ? '}' : ']')) {
        c->depth--;
        return 0;
    }
    if (!first && !take(c, ','))
        return fail(c, object ? "',' or '}'" : "',' or ']'");
    return object ? check_member(c) : check_value(c);
}

int json_check(slice text, struct json_info *info, struct err *err)
{
    if (text.len > JSON_TEXT_MAX_BYTES)
        return err_set(err, ERR_LIMIT, "JSON of %zu bytes is larger than the limit of %u bytes",
                       text.len, JSON_TEXT_MAX_BYTES);
    if (text.ptr == NULL)
        text = SLICE_LITERAL("");
    struct check c = { .start = text.ptr, .at = text.ptr, .end = text.ptr + text.len, .err = err };
    int rc = check_value(&c);
    while (rc == 0 && c.depth > 0)
        rc = check_next(&c);
    if (rc != 0)
        return rc;
    c.at = json_skip_space(c.at, c.end);
    if (c.at != c.end)
        return fail(&c, "the end of the text");
    if (info != NULL)
        *info = (struct json_info){ c.values, c.deepest, json_type(text) };
    return 0;
}
