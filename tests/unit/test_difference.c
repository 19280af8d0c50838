/* json/difference: the path to the first place where two texts differ, and both sides of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "json/difference.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct pair {
    const char *expected, *actual, *path, *left, *right;
} pairs[] = {
    { "1", "2", "", "1", "2" },
    { "[]", "{}", "", "[]", "{}" },
    { "{\"a\": 1}", "{\"a\": 2}", "a", "1", "2" },
    { "{\"a\": {\"b\": {\"c\": 1}}}", "{\"a\": {\"b\": {\"c\": 2}}}", "a.b.c", "1", "2" },
    { "[[1], [2, [3, 4]]]", "[[1], [2, [3, 5]]]", "[1][1][1]", "4", "5" },
    { "{\"a\": [{\"b\": [1]}]}", "{\"a\": [{\"b\": [1, 2]}]}", "a[0].b[1]", "nothing", "2" },
    { "{\"a\": {\"b\": 1, \"c\": 2}}", "{\"a\": {\"c\": 2}}", "a.b", "1", "nothing" },
    { "{\"a\": {\"c\": 2}}", "{\"a\": {\"b\": 1, \"c\": 2}}", "a.b", "nothing", "1" },
    { "{\"a\": 1, \"b\": 2}", "{\"b\": 3, \"a\": 4}", "a", "1", "4" },
    { "{\"\\u0061\": {\"b\": 1}}", "{\"a\": {\"b\": 2}}", "\\u0061.b", "1", "2" },
    { "[1, 2]", "[1]", "[1]", "2", "nothing" },
    { "[]", "[null]", "[0]", "nothing", "null" },
    { "[\"nothing\"]", "[]", "[0]", "\"nothing\"", "nothing" },
    { "{\"a\": 1, \"a\": 2}", "{\"a\": 1}", "a", "2", "1" }, /* the last one counts */
    { "{\"a\": [1]}", "{\"\\u0061\": [1, 2]}", "a[1]", "nothing", "2" },
    { "{\"\": 1}", "{\"\": 2}", "", "1", "2" },
    { "{\"a\": {\"\": 1}}", "{\"a\": {}}", "a.", "1", "nothing" },
    { " { \"a\" : [ 1 , { } ] } ", "\n{\"a\":[1.0,{\"b\":\t2 }]}", "a[1].b", "nothing", "2" },
    { "{\"a\": {\"b\": [1]}}", "{\"a\": {\"b\": {}}}", "a.b", "[1]", "{}" },
};

static void assert_slice(slice found, const char *wanted)
{
    if (!slice_is(found, wanted))
        fail_msg("%.*s, not %s", SLICE_ARG(found), wanted);
}

static void the_whole_path_is_named(void **state)
{
    struct json_difference found;
    (void)state;
    for (size_t i = 0; i < COUNT(pairs); i++) {
        assert_true(json_find_difference(slice_from(pairs[i].expected), slice_from(pairs[i].actual),
                                         &found));
        assert_string_equal(found.path, pairs[i].path);
        assert_slice(found.expected, pairs[i].left);
        assert_slice(found.actual, pairs[i].right);
    }
}

static void what_means_the_same_does_not_differ(void **state)
{
    struct json_difference found;
    (void)state;
    assert_false(json_find_difference(SLICE_LITERAL(" {\"a\": [1.0], \"b\": \"\\u017e\"}"),
                                      SLICE_LITERAL("{\"b\": \"\xc5\xbe\", \"a\": [1]}\n"),
                                      &found));
    assert_string_equal(found.path, "");
    assert_false(json_find_difference(SLICE_LITERAL("{\"a\": 1, \"a\": 2}"),
                                      SLICE_LITERAL("{\"a\": 2}"), &found));
}

/* As deep as arrays may be, with a path of more bytes than there is room for. */
static void a_long_path_is_cut(void **state)
{
    enum { DEPTH = 100 };
    struct json_difference found;
    char sides[2][2 * DEPTH + 2] = { 0 }, path[3 * DEPTH + 1];
    (void)state;
    for (int side = 0; side < 2; side++) {
        memset(sides[side], '[', DEPTH);
        sides[side][DEPTH] = (char)('0' + side);
        memset(sides[side] + DEPTH + 1, ']', DEPTH);
    }
    for (size_t i = 0; i < DEPTH; i++)
        memcpy(path + 3 * i, "[0]", 4);
    assert_true(json_find_difference(slice_from(sides[0]), slice_from(sides[1]), &found));
    assert_int_equal(strlen(found.path), JSON_PATH_BYTES - 1);
    assert_memory_equal(found.path, path, JSON_PATH_BYTES - 1);
    assert_slice(found.expected, "0");
    assert_slice(found.actual, "1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_path_is_named),
        cmocka_unit_test(what_means_the_same_does_not_differ),
        cmocka_unit_test(a_long_path_is_cut),
    };
    return cmocka_run_group_tests_name("difference", tests, NULL, NULL);
}
