/* json/scan: stepping over JSON text, on guard pages: how far each step goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "guard.h"
#include "json/json.h"
#include "json/scan.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* --- numbers ---------------------------------------------------------------------------- */

static const struct number {
    const char *text;
    bool good;
    size_t len; /* as far as it goes; else where a digit is missing */
} numbers[] = {
    { "", false, 0 },       { "x", false, 0 },         { "-", false, 1 },
    { "-x", false, 1 },     { "+1", false, 0 },        { ".5", false, 0 },
    { "0", true, 1 },       { "-0", true, 2 },         { "00", true, 1 },
    { "01.5", true, 1 },    { "10", true, 2 },         { "1234567890,", true, 10 },
    { "9]", true, 1 },      { "1:", true, 1 },         { "1/", true, 1 },
    { "1.", false, 2 },     { "1.x", false, 2 },       { "1.e5", false, 2 },
    { "1.05}", true, 4 },   { "0.5", true, 3 },        { "1e", false, 2 },
    { "1E", false, 2 },     { "1e+", false, 3 },       { "1E-", false, 3 },
    { "1e+-1", false, 3 },  { "1e5", true, 3 },        { "1E+05 ", true, 5 },
    { "1.5e-7e", true, 6 }, { "-12.25E10.", true, 9 },
};

static void numbers_end_where_the_grammar_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(numbers); i++) {
        slice text = guard_text(numbers[i].text);
        const char *at = text.ptr;
        bool good = json_skip_number(&at, text.ptr + text.len);
        if (good != numbers[i].good || (size_t)(at - text.ptr) != numbers[i].len)
            fail_msg("%s: %d, %zu", numbers[i].text, good, (size_t)(at - text.ptr));
        guard_free(text);
    }
}

/* --- strings ---------------------------------------------------------------------------- */

/* Bytes that differ from a quote or a backslash in one bit, or by one. */
static const char near[] = "!#[]\xa2\xdc\x02\x1c\x5d\x20\x7f\x80\xff\x01";

static void the_first_quote_or_backslash_is_found(void **state)
{
    (void)state;
    for (size_t len = 0; len <= 27; len++) {
        for (size_t place = 0; place <= len; place++) {
            char bytes[27];
            for (size_t i = 0; i < len; i++)
                bytes[i] = i < place   ? near[(i + place) % (sizeof near - 1)]
                           : i % 3 > 0 ? '"'
                                       : '\\';
            slice text = guard_copy(bytes, len);
            assert_ptr_equal(json_find_quote(text.ptr, text.ptr + len), text.ptr + place);
            guard_free(text);
        }
    }
}

/* From behind the opening quote, and how much of it belongs to the string. */
static const struct part {
    const char *text;
    size_t len;
} strings[] = {
    { "", 0 },
    { "\"", 1 },
    { "a", 1 },
    { "a\" \"", 2 },
    { "\\\"", 2 },
    { "\\\"\"x", 3 },
    { "\\\\\"\"", 3 },
    { "\\", 1 },
    { "12345678\\", 9 },
    { "1234567\\\"89\\\\\",", 14 },
    { "1234567890123456\"1", 17 },
}, values[] = {
    { "", 0 },
    { "1,", 1 },
    { "-1.5e3]", 6 },
    { "true}", 4 },
    { "null \n", 4 },
    { "false\t", 5 },
    { "1\x1f", 1 },
    { "1!", 2 }, /* as far as a scalar might go: checked text has no such */
    { ",", 1 },
    { "]]", 1 },
    { "\"a]\",", 4 },
    { "\"a\\\"\" ", 5 },
    { "[]]", 2 },
    { "{}}", 2 },
    { "[[1],{\"a\":[2]}],3", 15 },
    { "{\"a\":{}},", 8 },
    { "[\"]\",\"\\\"]\"]]", 11 },
    { "{\"}\":1}}", 7 },
    { "[1,[2]", 6 }, /* cut off */
    { "[\"]", 3 },
};

static void a_string_ends_behind_its_quote(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(strings); i++) {
        slice text = guard_text(strings[i].text);
        const char *end = json_skip_string(text.ptr, text.ptr + text.len);
        if ((size_t)(end - text.ptr) != strings[i].len)
            fail_msg("%s: %zu", strings[i].text, (size_t)(end - text.ptr));
        guard_free(text);
    }
}

static void a_value_ends_before_what_follows_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(values); i++) {
        slice text = guard_text(values[i].text);
        const char *end = json_skip_value(text.ptr, text.ptr + text.len);
        if ((size_t)(end - text.ptr) != values[i].len)
            fail_msg("%s: %zu", values[i].text, (size_t)(end - text.ptr));
        guard_free(text);
    }
}

/* --- escapes ---------------------------------------------------------------------------- */

static const struct step {
    const char *text;
    size_t taken;
    const char *bytes;
} steps[] = {
    { "ab", 1, "a" },
    { "\xc3\xa9", 1, "\xc3" }, /* bytes of characters are plain */
    { "\\", 1, "\\" },         /* cut off */
    { "\\\"x", 2, "\"" },
    { "\\\\", 2, "\\" },
    { "\\/", 2, "/" },
    { "\\b", 2, "\b" },
    { "\\f", 2, "\f" },
    { "\\n", 2, "\n" },
    { "\\r", 2, "\r" },
    { "\\t\\t", 2, "\t" },
    { "\\u", 1, "\\" },
    { "\\u004", 1, "\\" },
    { "\\u00411", 6, "A" },
    { "\\u007f", 6, "\x7f" },
    { "\\u0080", 6, "\xc2\x80" },
    { "\\u07FF", 6, "\xdf\xbf" },
    { "\\u0800", 6, "\xe0\xa0\x80" },
    { "\\u19af", 6, "\xe1\xa6\xaf" },
    { "\\uD7ff", 6, "\xed\x9f\xbf" },
    { "\\ue000", 6, "\xee\x80\x80" },
    { "\\uFFFF", 6, "\xef\xbf\xbf" },
    { "\\ud800\\udc00", 12, "\xf0\x90\x80\x80" },
    { "\\uD83D\\uDE00x", 12, "\xf0\x9f\x98\x80" },
    { "\\udbff\\udfff", 12, "\xf4\x8f\xbf\xbf" },
    /* lone ones */
    { "\\ud800", 6, "\xef\xbf\xbd" },
    { "\\udfff\\udc00", 6, "\xef\xbf\xbd" },
    { "\\udc00\\ud800", 6, "\xef\xbf\xbd" },
    { "\\ud800\\udc0", 6, "\xef\xbf\xbd" },
    { "\\ud800\\udbff", 6, "\xef\xbf\xbd" },
    { "\\ud800\\ue000", 6, "\xef\xbf\xbd" },
    { "\\ud800xxdc00", 6, "\xef\xbf\xbd" },
    { "\\ud800\\xdc00", 6, "\xef\xbf\xbd" },
    { "\\ud800xudc00", 6, "\xef\xbf\xbd" },
};

static void an_escape_is_one_step(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(steps); i++) {
        slice text = guard_text(steps[i].text);
        const char *at = text.ptr;
        char to[4];
        size_t len = json_decode_step(&at, text.ptr + text.len, to);
        if ((size_t)(at - text.ptr) != steps[i].taken || len != strlen(steps[i].bytes) ||
            memcmp(to, steps[i].bytes, len) != 0)
            fail_msg("%s: %zu bytes become %zu", steps[i].text, (size_t)(at - text.ptr), len);
        guard_free(text);
    }
}

static void a_zero_is_a_byte(void **state)
{
    const char text[] = "\\u0000", *at = text;
    char to[4] = "xxx";
    (void)state;
    assert_int_equal(json_decode_step(&at, text + 6, to), 1);
    assert_int_equal(to[0], '\0');
    assert_ptr_equal(at, text + 6);
}

static void white_space_is_trimmed(void **state)
{
    static const char *const texts[][2] = {
        { "", "" }, { " \n\r\t", "" }, { "1", "1" }, { "\t[ ]\r\n", "[ ]" }, { "\v1 \f", "\v1 \f" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        slice text = guard_text(texts[i][0]);
        assert_true(slice_is(json_trim(text), texts[i][1]));
        guard_free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_end_where_the_grammar_says),
        cmocka_unit_test(the_first_quote_or_backslash_is_found),
        cmocka_unit_test(a_string_ends_behind_its_quote),
        cmocka_unit_test(a_value_ends_before_what_follows_it),
        cmocka_unit_test(an_escape_is_one_step),
        cmocka_unit_test(a_zero_is_a_byte),
        cmocka_unit_test(white_space_is_trimmed),
    };
    return cmocka_run_group_tests_name("json_scan", tests, NULL, NULL);
}
