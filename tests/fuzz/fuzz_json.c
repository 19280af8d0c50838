/*
 * Any bytes: nothing faults and everything ends. Bytes that json_check accepts: tokens and walkers
 * see the same values, and a copy that is decoded and written anew is equal to them.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "json_same.h"
#include "json/json.h"

#define MEMORY_BYTES (64u << 20)

static struct arena arena;

static void must(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}

/* Answers for text that was not checked mean nothing; they only have to come. */
static void use_unchecked(slice text)
{
    slice name, value, string;
    size_t steps = 0;
    int64_t integer;
    double number;
    struct json_doc doc;
    for (size_t pos = 0; json_next_member(text, &pos, &name, &value); steps++)
        must(pos <= text.len, "a member is inside the text");
    for (size_t pos = 0; json_next_element(text, &pos, &value); steps++)
        must(pos <= text.len, "an element is inside the text");
    must(steps <= text.len, "a walk takes at least a byte a step");
    (void)json_string(text, &arena, &string, NULL);
    (void)json_int(text, &integer, NULL);
    (void)json_double(text, &number, NULL);
    (void)json_same(text, SLICE_LITERAL("{\"a\":[1,{}],\"b\":\"c\"}"));
    const struct json_info info = { .values = (uint32_t)(text.len / 2 + 1), .depth = 1 };
    (void)json_doc_init(&doc, text, &info, &arena, NULL);
}

/* Token `index` must be what the walkers see in `value`. Returns the tokens counted. */
static uint32_t compare(const struct json_doc *doc, uint32_t index, slice value)
{
    slice raw = json_doc_raw(doc, index), name, child;
    must(raw.ptr == value.ptr && raw.len == value.len, "token and walker see the same text");
    enum rp_type type = json_type(value);
    must(json_doc_type(doc, index) == type, "token and walker see the same type");
    uint32_t tokens = 1, count = 0, next = json_doc_first(doc, index);
    for (size_t pos = 0; type == RP_OBJECT ? json_next_member(value, &pos, &name, &child)
                                           : json_next_element(value, &pos, &child);
         next = json_doc_next(doc, next), count++) {
        tokens += compare(doc, next, child);
        if (type == RP_OBJECT) {
            must(json_doc_name(doc, next).ptr == name.ptr - 1,
                 "token and walker see the same name");
            tokens++;
        }
    }
    must(next == JSON_NONE, "there are no more tokens than children");
    must(json_doc_count(doc, index) == count, "the token knows the number of children");
    return tokens;
}

static void write_value(struct buf *buf, const struct json_doc *doc, uint32_t index);

static void write_string(struct buf *buf, slice raw)
{
    slice text, again;
    must(json_string(raw, &arena, &text, NULL) == 0, "a string is a string");
    size_t start = buf->len;
    must(json_put_string(buf, text, NULL) == 0, "a decoded string is UTF-8");
    must(json_string(slice_skip(buf_slice(buf), start), &arena, &again, NULL) == 0 &&
             slice_equal(text, again),
         "a string survives writing and reading");
}

static void write_number(struct buf *buf, slice raw)
{
    int64_t integer, integer_again;
    size_t start = buf->len;
    if (json_int(raw, &integer, NULL) == 0) {
        must(json_put_int(buf, integer, NULL) == 0, "an integer can be written");
        must(json_int(slice_skip(buf_slice(buf), start), &integer_again, NULL) == 0 &&
                 integer == integer_again,
             "an integer survives writing and reading");
    } else {
        json_double(raw, &(double){ 0 }, NULL); /* for the sanitizers */
        must(buf_add_slice(buf, raw, NULL) == 0, "memory");
    }
}

/* Members backwards, without those that a later one overrides. */
static void write_members(struct buf *buf, const struct json_doc *doc, uint32_t object)
{
    uint32_t count = json_doc_count(doc, object), written = 0, i = 0;
    uint32_t *children = arena_alloc(&arena, count * sizeof *children);
    must(children != NULL, "memory");
    for (uint32_t child = json_doc_first(doc, object); child != JSON_NONE;
         child = json_doc_next(doc, child))
        children[i++] = child;
    while (i-- > 0) {
        slice name;
        must(json_string(json_doc_name(doc, children[i]), &arena, &name, NULL) == 0, "a name");
        uint32_t last = json_doc_member(doc, object, name);
        must(last != JSON_NONE && last >= children[i], "a member is found by its name");
        if (last != children[i])
            continue;
        must(buf_add_text(buf, written++ == 0 ? "" : ",", NULL) == 0, "memory");
        write_string(buf, json_doc_name(doc, children[i]));
        must(buf_add_text(buf, ":", NULL) == 0, "memory");
        write_value(buf, doc, children[i]);
    }
}

static void write_elements(struct buf *buf, const struct json_doc *doc, uint32_t array)
{
    for (uint32_t first = json_doc_first(doc, array), child = first; child != JSON_NONE;
         child = json_doc_next(doc, child)) {
        must(buf_add_text(buf, child == first ? "" : ",", NULL) == 0, "memory");
        write_value(buf, doc, child);
    }
}

static void write_value(struct buf *buf, const struct json_doc *doc, uint32_t index)
{
    slice raw = json_doc_raw(doc, index);
    switch (json_doc_type(doc, index)) {
    case RP_STRING: write_string(buf, raw); break;
    case RP_NUMBER: write_number(buf, raw); break;
    case RP_ARRAY:
        must(buf_add_text(buf, "[", NULL) == 0, "memory");
        write_elements(buf, doc, index);
        must(buf_add_text(buf, "]", NULL) == 0, "memory");
        break;
    case RP_OBJECT:
        must(buf_add_text(buf, "{", NULL) == 0, "memory");
        write_members(buf, doc, index);
        must(buf_add_text(buf, "}", NULL) == 0, "memory");
        break;
    default: must(buf_add_slice(buf, raw, NULL) == 0, "memory");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    slice text = { (const char *)data, size };
    struct json_info info;
    struct json_doc doc;
    struct err err = { 0 };
    struct buf copy;

    arena_init(&arena, MEMORY_BYTES);
    buf_init(&copy, MEMORY_BYTES, "copy");
    use_unchecked(text);
    int rc = json_put_lossy(&copy, text, NULL);
    must(rc == 0 && json_check(buf_slice(&copy), NULL, NULL) == 0, "any bytes make a string");
    buf_reset(&copy, SIZE_MAX);

    rc = json_check(text, &info, &err);
    if (rc != 0) {
        must((rc == ERR_INPUT || rc == ERR_LIMIT) && err.code == rc, "a refusal is an error");
    } else if (info.depth > JSON_DOC_DEPTH_MAX) {
        must(json_doc_init(&doc, text, &info, &arena, &err) == ERR_LIMIT, "too deep for tokens");
    } else {
        must(json_doc_init(&doc, text, &info, &arena, &err) == 0, "tokens can be made");
        must(json_doc_type(&doc, 0) == info.type, "the document has its type");
        must(compare(&doc, 0, json_trim(text)) == info.values, "every token is reached");
        write_value(&copy, &doc, 0);
        must(json_check(buf_slice(&copy), NULL, NULL) == 0, "what is written is JSON");
        must(json_same(text, buf_slice(&copy)), "what is written is equal");
        must(json_same(buf_slice(&copy), text), "equality goes both ways");
    }
    buf_free(&copy);
    arena_free(&arena);
    return 0;
}
