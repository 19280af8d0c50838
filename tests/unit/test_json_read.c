/* json: walking, strings, numbers, equality and tokens over checked text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "guard.h"
#include "json_same.h"
#include "json/json.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A guarded copy that json_check has passed; info may be NULL. */
static slice checked(const char *text, struct json_info *info)
{
    struct err err = { 0 };
    slice guarded = guard_text(text);
    if (json_check(guarded, info, &err) != 0)
        fail_msg("%s: %s", text, err.text);
    return guarded;
}

/* --- walking ---------------------------------------------------------------------------- */

/* The walk of a document, one line a child: "name=value" or "value". */
static const struct walk {
    const char *text;
    const char *children;
} walks[] = {
    { "{}", "" },
    { " { } ", "" },
    { "[]", "" },
    { "\n[\t]\r", "" },
    { "{\"a\":1}", "a=1|" },
    { "\t{ \"a\" : 1 , \"b\" : [ 2 , 3 ] , \"\" : { } } ", "a=1|b=[ 2 , 3 ]|={ }|" },
    { "{\"a\":\"x\",\"a\":\"y\"}", "a=\"x\"|a=\"y\"|" },
    { "{\"a\\\"b\\\\\":null,\"\\u0041\":true}", "a\\\"b\\\\=null|\\u0041=true|" },
    { "{\"}\":\"]\",\"]\":\"}\"}", "}=\"]\"|]=\"}\"|" },
    { "{\"a\":{\"b\":\"}{\\\"\"},\"c\":[[[\"]\"]]]}", "a={\"b\":\"}{\\\"\"}|c=[[[\"]\"]]]|" },
    { "[1,-2.5e3,true,false,null,\"\"]", "1|-2.5e3|true|false|null|\"\"|" },
    { " [ [ ] , [1,[2]] , {\"a\":[3]} , \"\\\\\" ] ", "[ ]|[1,[2]]|{\"a\":[3]}|\"\\\\\"|" },
    { "[0\n,\t1\r]", "0|1|" },
    { "[\"0123456789abcdef0123456789\\\"abcdef\"]", "\"0123456789abcdef0123456789\\\"abcdef\"|" },
    /* scalars have no children */
    { "1", "" },
    { "\"{\\\"a\\\":1}\"", "" },
    { "null", "" },
};

static void test_walk(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(walks); i++) {
        char seen[256] = "";
        size_t len = 0, pos = 0;
        slice text = checked(walks[i].text, NULL), name, value;
        bool object = json_type(text) == RP_OBJECT;
        while (object ? json_next_member(text, &pos, &name, &value)
                      : json_next_element(text, &pos, &value)) {
            if (object)
                len += (size_t)snprintf(seen + len, sizeof seen - len, "%.*s=", SLICE_ARG(name));
            len += (size_t)snprintf(seen + len, sizeof seen - len, "%.*s|", SLICE_ARG(value));
        }
        assert_string_equal(seen, walks[i].children);
        /* it stays at the end, and the other kind of walk sees nothing */
        assert_false(object ? json_next_member(text, &pos, &name, &value)
                            : json_next_element(text, &pos, &value));
        pos = 0;
        assert_false(object ? json_next_element(text, &pos, &value)
                            : json_next_member(text, &pos, &name, &value));
        guard_free(text);
    }
}

static void test_count_members(void **state)
{
    (void)state;
    assert_int_equal(json_count_members(slice_from("{}")), 0);
    assert_int_equal(json_count_members(slice_from("{\"a\": 1}")), 1);
    assert_int_equal(
        json_count_members(slice_from("{\"a\": {\"b\": [2]}, \"a\": [1, 2], \"c\": null}")), 3);
    assert_int_equal(json_count_members(slice_from("[1, 2]")), 0);
    assert_int_equal(json_count_members(slice_from("")), 0);
}

static void test_type_and_trim(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum rp_type type;
        const char *trimmed;
    } cases[] = {
        { "", RP_NONE, "" },
        { " \n", RP_NONE, "" },
        { "\t{ } ", RP_OBJECT, "{ }" },
        { "[]", RP_ARRAY, "[]" },
        { " \" \"", RP_STRING, "\" \"" },
        { "-1\r\n", RP_NUMBER, "-1" },
        { "0", RP_NUMBER, "0" },
        { "true", RP_BOOL, "true" },
        { "false", RP_BOOL, "false" },
        { "null", RP_NULL, "null" },
        { "x", RP_NONE, "x" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        slice text = guard_text(cases[i].text);
        assert_int_equal(json_type(text), cases[i].type);
        assert_true(slice_is(json_trim(text), cases[i].trimmed));
        guard_free(text);
    }
    assert_int_equal(json_type((slice){ NULL, 0 }), RP_NONE);
    assert_int_equal(json_trim((slice){ NULL, 0 }).len, 0);
}

static void test_member(void **state)
{
    (void)state;
    slice value,
        text = checked("{\"id\":1,\"i\":2,\"\\u0069d\":3,\"idx\":4,\"\":5,\"\\ud83d\\ude00\":6,"
                       "\"\\/\\n\":7,\"x\":{\"deep\":8}}",
                       NULL);
    static const struct {
        const char *name;
        const char *value;
    } cases[] = { { "id", "3" },
                  { "i", "2" },
                  { "idx", "4" },
                  { "", "5" },
                  { "\xf0\x9f\x98\x80", "6" },
                  { "/\n", "7" },
                  { "x", "{\"deep\":8}" } };
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_true(json_member(text, cases[i].name, &value));
        assert_true(slice_is(value, cases[i].value));
    }
    static const char *const missing[] = { "ID", "deep",  "idxx",    "\xf0\x9f\x98",
                                           "/",  "/\n\n", "\\u0069d" };
    for (size_t i = 0; i < COUNT(missing); i++)
        assert_false(json_member(text, missing[i], &value));
    assert_false(json_member(SLICE_LITERAL("[\"id\",1]"), "id", &value));
    assert_false(json_member((slice){ NULL, 0 }, "id", &value));
    assert_false(json_next_element((slice){ NULL, 0 }, &(size_t){ 0 }, &value));
    assert_true(json_name_is((slice){ NULL, 0 }, (slice){ NULL, 0 }));
    guard_free(text);
}

/* Text that json_check refuses may mean anything, but no walk leaves it or goes on for ever. */
static void test_walks_end_on_any_bytes(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{",        "{\"",   "{\"a",  "{\"a\"", "{\"a\":",
        "{\"a\":}", "{1:2}", "{:::",  "[",      "[,",
        "[1,,",     "[\"\\", "{\"\\", "[\"\\u", "{,,,",
        "[[[[",     "{]",    "[}",    "[1 2 3", "{\"a\" \"b\" \"c\"",
        "[:",       "{{{",
    };
    char decoded[64];
    struct arena arena;
    arena_init(&arena, sizeof decoded);
    for (size_t i = 0; i < COUNT(texts); i++) {
        slice text = guard_text(texts[i]), name, value, string;
        size_t steps = 0;
        for (size_t pos = 0; json_next_member(text, &pos, &name, &value);)
            assert_true(++steps <= text.len);
        for (size_t pos = 0; json_next_element(text, &pos, &value);)
            assert_true(++steps <= 2 * text.len);
        (void)json_member(text, "a", &value);
        (void)json_string(text, &arena, &string, NULL);
        (void)json_same(text, SLICE_LITERAL("{\"a\":[1]}"));
        guard_free(text);
    }
    arena_free(&arena);
}

/* --- strings ---------------------------------------------------------------------------- */

#define BAD "\xef\xbf\xbd"

static const struct text {
    const char *json;
    const char *text;
    size_t len;
} texts[] = {
    { "\"\"", "", 0 },
    { " \"plain\" ", "plain", 5 },
    { "\"\xc3\xa4\xf0\x9f\x98\x80\"", "\xc3\xa4\xf0\x9f\x98\x80", 6 },
    { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8 },
    { "\"a\\nb\"", "a\nb", 3 },
    { "\"\\u0041\\u00e4\\u20AC\\uffff\"", "A\xc3\xa4\xe2\x82\xac\xef\xbf\xbf", 9 },
    { "\"\\u007f\\u0080\\u07ff\\u0800\"", "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80", 8 },
    { "\"a\\u0000b\"", "a\0b", 3 },
    { "\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80", 4 },
    { "\"\\uD800\\uDC00\\uDBFF\\uDFFF\"", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 8 },
    { "\"\\ud800\"", BAD, 3 },
    { "\"\\udfff\"", BAD, 3 },
    { "\"\\ud800x\"", BAD "x", 4 },
    { "\"\\ud800\\n\"", BAD "\n", 4 },
    { "\"\\ud800\\u0041\"", BAD "A", 4 },
    { "\"\\ud800\\ud800\\udc00\"", BAD "\xf0\x90\x80\x80", 7 },
    { "\"\\udc00\\ud800\"", BAD BAD, 6 },
    { "\"\\\\u0041\"", "\\u0041", 6 },
    { "\"0123456789abcdef\\\\\"", "0123456789abcdef\\", 17 },
};

static void test_string(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 4096);
    for (size_t i = 0; i < COUNT(texts); i++) {
        slice json = checked(texts[i].json, NULL), text;
        size_t used = arena.used_bytes;
        assert_int_equal(json_string(json, &arena, &text, NULL), 0);
        if (!slice_equal(text, (slice){ texts[i].text, texts[i].len }))
            fail_msg("%s gives %.*s", texts[i].json, SLICE_ARG(text));
        /* without escapes nothing is copied */
        if (strchr(texts[i].json, '\\') == NULL)
            assert_true(arena.used_bytes == used && text.ptr > json.ptr);
        guard_free(json);
    }
    arena_free(&arena);
}

static void test_string_errors(void **state)
{
    (void)state;
    static const char *const others[] = {
        "1", "null", "[\"a\"]", "{\"a\":\"b\"}", "", "\"", "x\""
    };
    struct arena arena;
    struct err err;
    slice text;
    arena_init(&arena, 8);
    for (size_t i = 0; i < COUNT(others); i++)
        assert_int_equal(json_string(slice_from(others[i]), &arena, &text, &err), ERR_INPUT);
    assert_int_equal(json_string((slice){ NULL, 0 }, &arena, &text, &err), ERR_INPUT);
    assert_int_equal(json_string(SLICE_LITERAL("\"0123456789\\n\""), &arena, &text, &err),
                     ERR_MEMORY);
    assert_int_equal(json_string(SLICE_LITERAL("\"0123456789\""), &arena, &text, &err), 0);
    arena_free(&arena);
}

/* --- tokens ----------------------------------------------------------------------------- */

/* Token `index` and everything in it must be what the walkers see in `value`. */
static void compare(const struct json_doc *doc, uint32_t index, slice value)
{
    slice raw = json_doc_raw(doc, index), name, child;
    assert_ptr_equal(raw.ptr, value.ptr);
    assert_int_equal(raw.len, value.len);
    enum rp_type type = json_type(value);
    assert_int_equal(json_doc_type(doc, index), type);
    uint32_t next = json_doc_first(doc, index), count = 0;
    for (size_t pos = 0; type == RP_OBJECT ? json_next_member(value, &pos, &name, &child)
                                           : json_next_element(value, &pos, &child);
         count++) {
        slice quoted = json_doc_name(doc, next);
        if (type == RP_OBJECT)
            assert_true(quoted.ptr == name.ptr - 1 && quoted.len == name.len + 2);
        else
            assert_int_equal(quoted.len, 0);
        assert_int_equal(json_doc_element(doc, index, count), type == RP_ARRAY ? next : JSON_NONE);
        compare(doc, next, child);
        next = json_doc_next(doc, next);
    }
    assert_int_equal(next, JSON_NONE);
    assert_int_equal(json_doc_count(doc, index), count);
    assert_int_equal(json_doc_element(doc, index, count), JSON_NONE);
}

static void test_doc(void **state)
{
    (void)state;
    static const char *const documents[] = {
        "null",
        " true ",
        "-1.5e3",
        "\"\"",
        " \"a\\\"b\" ",
        "[]",
        "{}",
        "[[]]",
        "[{}]",
        "{\"a\":{}}",
        "[1,[2,[3,[4]],5],[],[[6],7]]",
        "\t[ \"a\" , \"b\" , [ \"c\" ] , \"d\" ]\n",
        "{\"a\":\"b\",\"c\":[\"d\",\"e\"],\"f\":{\"g\":\"h\",\"i\":{\"j\":[{}]}},\"k\":1}",
        "[{\"a\":1},{\"a\":2,\"b\":[{\"c\":\"\"},3]},[],4]",
        "{\"a\":1,\"a\":2}",
        "[[[[[[[[1]]]],2]]],3,{\"x\":[[]],\"y\":[[0]]}]",
    };
    struct arena arena;
    arena_init(&arena, 1 << 16);
    for (size_t i = 0; i < COUNT(documents); i++) {
        struct json_info info;
        struct json_doc doc;
        slice text = checked(documents[i], &info);
        arena_reset(&arena);
        assert_int_equal(json_doc_init(&doc, text, &info, &arena, NULL), 0);
        assert_int_equal(doc.count, info.values);
        assert_int_equal(arena.used_bytes / 20, info.values);
        compare(&doc, 0, json_trim(text));
        guard_free(text);
    }
    arena_free(&arena);
}

static void test_doc_lookup(void **state)
{
    (void)state;
    struct arena arena;
    struct json_info info;
    struct json_doc doc;
    slice text = checked("{\"a\":[10,11,12],\"b\":1,\"\\u0062\":\"two\",\"\":null}", &info);
    arena_init(&arena, 4096);
    assert_int_equal(json_doc_init(&doc, text, &info, &arena, NULL), 0);
    uint32_t array = json_doc_member(&doc, 0, SLICE_LITERAL("a"));
    assert_true(slice_is(json_doc_raw(&doc, array), "[10,11,12]"));
    assert_true(slice_is(json_doc_raw(&doc, json_doc_element(&doc, array, 2)), "12"));
    assert_true(
        slice_is(json_doc_raw(&doc, json_doc_member(&doc, 0, SLICE_LITERAL("b"))), "\"two\""));
    assert_int_equal(json_doc_type(&doc, json_doc_member(&doc, 0, SLICE_LITERAL(""))), RP_NULL);
    assert_int_equal(json_doc_member(&doc, 0, SLICE_LITERAL("c")), JSON_NONE);
    assert_int_equal(json_doc_member(&doc, array, SLICE_LITERAL("a")), JSON_NONE);
    assert_int_equal(json_doc_element(&doc, 0, 0), JSON_NONE);
    assert_int_equal(json_doc_element(&doc, array, UINT32_MAX), JSON_NONE);

    /* no value is a value like any other: empty */
    uint32_t none[] = { JSON_NONE, info.values, info.values + 1 };
    for (size_t i = 0; i < COUNT(none); i++) {
        assert_int_equal(json_doc_type(&doc, none[i]), RP_NONE);
        assert_int_equal(json_doc_raw(&doc, none[i]).len, 0);
        assert_int_equal(json_doc_count(&doc, none[i]), 0);
        assert_int_equal(json_doc_first(&doc, none[i]), JSON_NONE);
        assert_int_equal(json_doc_next(&doc, none[i]), JSON_NONE);
        assert_int_equal(json_doc_name(&doc, none[i]).len, 0);
        assert_int_equal(json_doc_member(&doc, none[i], SLICE_LITERAL("a")), JSON_NONE);
        assert_int_equal(json_doc_element(&doc, none[i], 0), JSON_NONE);
    }
    assert_int_equal(json_doc_name(&doc, 0).len, 0);
    assert_int_equal(json_doc_next(&doc, 0), JSON_NONE);
    guard_free(text);
    arena_free(&arena);
}

/* A document that is one value: nothing follows it, whatever its kind. */
static void test_doc_alone(void **state)
{
    (void)state;
    static const char *const documents[] = { "null", "true", "-1.5e3", "\"a\"", "[]", "{}", "[1]" };
    struct arena arena;
    arena_init(&arena, 1 << 12);
    for (size_t i = 0; i < COUNT(documents); i++) {
        struct json_info info;
        struct json_doc doc;
        slice text = checked(documents[i], &info);
        assert_int_equal(json_doc_init(&doc, text, &info, &arena, NULL), 0);
        assert_int_equal(json_doc_next(&doc, 0), JSON_NONE);
        assert_int_equal(json_doc_name(&doc, 0).len, 0);
        guard_free(text);
    }
    arena_free(&arena);
}

static void test_doc_errors(void **state)
{
    (void)state;
    struct arena arena;
    struct json_doc doc;
    struct err err;
    const struct json_info five = { .values = 5, .depth = 1, .type = RP_ARRAY };
    arena_init(&arena, 100); /* five tokens */
    assert_int_equal(json_doc_init(&doc, SLICE_LITERAL("[1,2,3,4]"), &five, &arena, &err), 0);
    assert_int_equal(json_doc_init(&doc, SLICE_LITERAL("[1,2,3,4]"), &five, &arena, &err),
                     ERR_MEMORY);
    assert_int_equal(json_doc_type(&doc, 0), RP_NONE);
    arena_free(&arena);

    /* not the text or not the count that json_check gave */
    static const struct {
        const char *text;
        uint32_t values;
    } wrong[] = { { "[1,2]", 2 }, { "[1,2]", 4 }, { "", 1 },    { " ", 1 },     { "[1", 2 },
                  { "[1]", 0 },   { "[x]", 2 },   { "[\"", 2 }, { "{1:2}", 3 }, { "[1}", 2 } };
    arena_init(&arena, 1 << 16);
    for (size_t i = 0; i < COUNT(wrong); i++) {
        const struct json_info info = { .values = wrong[i].values, .depth = 1 };
        assert_int_equal(json_doc_init(&doc, slice_from(wrong[i].text), &info, &arena, &err),
                         ERR_INPUT);
    }
    char deep[2 * JSON_DOC_DEPTH_MAX + 2];
    memset(deep, '[', JSON_DOC_DEPTH_MAX + 1);
    memset(deep + JSON_DOC_DEPTH_MAX + 1, ']', JSON_DOC_DEPTH_MAX + 1);
    slice text = { deep, sizeof deep };
    struct json_info info;
    assert_int_equal(json_check(text, &info, &err), 0);
    assert_int_equal(json_doc_init(&doc, text, &info, &arena, &err), ERR_LIMIT);
    info.depth = 1;
    assert_int_equal(json_doc_init(&doc, text, &info, &arena, &err), ERR_INPUT);
    arena_free(&arena);
}

static void test_doc_deepest(void **state)
{
    (void)state;
    char text[8 * JSON_DOC_DEPTH_MAX] = "";
    size_t len = 0;
    for (int i = 0; i < JSON_DOC_DEPTH_MAX / 2; i++)
        len += (size_t)sprintf(text + len, "[{\"\":");
    len += (size_t)sprintf(text + len, "0");
    for (int i = 0; i < JSON_DOC_DEPTH_MAX / 2; i++)
        len += (size_t)sprintf(text + len, "}]");
    struct arena arena;
    struct json_info info;
    struct json_doc doc;
    arena_init(&arena, 1 << 16);
    slice guarded = checked(text, &info);
    assert_int_equal(json_doc_init(&doc, guarded, &info, &arena, NULL), 0);
    compare(&doc, 0, guarded);
    assert_true(json_same(guarded, (slice){ text, len }));
    guard_free(guarded);
    arena_free(&arena);
}

/* --- what counts as false --------------------------------------------------------------- */

static const struct truth {
    const char *text;
    bool falsy;
} truths[] = {
    { "null", true },    { " null ", true },  { "false", true },  { "\tfalse\n", true },
    { "0", true },       { "-0", true },      { "0.00", true },   { "0e5", true },
    { "-0.0E-9", true }, { "1e-400", true }, /* zero as a double, in Python too */
    { "\"\"", true },    { " \"\" ", true },  { "[]", true },     { "[ \n]", true },
    { "{}", true },      { " { } ", true },   { "true", false },  { "1", false },
    { "-1", false },     { "0.1", false },    { "-1e-9", false }, { "1e999", false },
    { "-1e999", false }, { "\" \"", false },  { "\"0\"", false }, { "\"\\u0000\"", false },
    { "[0]", false },    { "[null]", false }, { "[[]]", false },  { "{\"\":null}", false },
};

static void test_falsy(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(truths); i++) {
        slice text = checked(truths[i].text, NULL);
        if (json_is_falsy(text) != truths[i].falsy)
            fail_msg("%s", truths[i].text);
        guard_free(text);
    }
    assert_true(json_is_falsy((slice){ NULL, 0 }));
    assert_true(json_is_falsy(SLICE_LITERAL("  ")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walk),        cmocka_unit_test(test_type_and_trim),
        cmocka_unit_test(test_member),      cmocka_unit_test(test_walks_end_on_any_bytes),
        cmocka_unit_test(test_string),      cmocka_unit_test(test_string_errors),
        cmocka_unit_test(test_doc),         cmocka_unit_test(test_doc_lookup),
        cmocka_unit_test(test_doc_alone),   cmocka_unit_test(test_doc_errors),
        cmocka_unit_test(test_doc_deepest), cmocka_unit_test(test_count_members),
        cmocka_unit_test(test_falsy),
    };
    return cmocka_run_group_tests_name("json_read", tests, NULL, NULL);
}
