/* codec/byte_class: lists, words and numbers, cut out of a text that ends where it does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "codec/byte_class.h"
#include "guard.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void numbers_have_a_maximum(void **state)
{
    static const struct {
        const char *text;
        uint64_t max, value;
        bool good;
    } cases[] = {
        { "0", 0, 0, true },
        { "1", 0, 0, false },
        { "5", 4, 0, false },
        { "5", 5, 5, true },
        { "15", 14, 0, false },
        { "15", 15, 15, true },
        { "20", 19, 0, false },
        { "0000000000000000000000015", 15, 15, true },
        { "18446744073709551615", UINT64_MAX, UINT64_MAX, true },
        { "18446744073709551616", UINT64_MAX, 0, false },
        { "99999999999999999999", UINT64_MAX, 0, false },
        { "", 9, 0, false },
        { "-1", 9, 0, false },
        { "1 ", 9, 0, false },
        { "/", 99, 0, false },
        { ":", 99, 0, false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        slice text = guard_text(cases[i].text);
        uint64_t value = 0;
        assert_int_equal(byte_class_decimal(text, cases[i].max, &value), cases[i].good);
        assert_true(value == cases[i].value);
        guard_free(text);
    }
}

static void blanks_around_a_text_are_cut_off(void **state)
{
    static const char *const cases[][2] = {
        { "", "" },     { " ", "" },          { "\t \t", "" },
        { " a ", "a" }, { "\ta b\t", "a b" }, { "\na", "\na" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        slice text = guard_text(cases[i][0]);
        assert_true(slice_is(byte_class_trim(text), cases[i][1]));
        guard_free(text);
    }
}

/* All parts of a text in brackets. */
static void check_parts(const char *text, bool words, const char *expected)
{
    char all[128] = "";
    slice copy = guard_text(text), rest = copy, part;
    while (words ? byte_class_next_word(&rest, " ,", &part) : byte_class_next(&rest, ',', &part))
        snprintf(all + strlen(all), sizeof all - strlen(all), "[%.*s]", SLICE_ARG(part));
    assert_string_equal(all, expected);
    assert_int_equal(rest.len, 0);
    guard_free(copy);
}

static void lists_have_elements_and_texts_have_words(void **state)
{
    (void)state;
    check_parts("", false, "");
    check_parts("a", false, "[a]");
    check_parts("a, b\t,,c d ,", false, "[a][b][][c d]");
    check_parts(" ", false, "[]");
    check_parts("", true, "");
    check_parts(", ,", true, "");
    check_parts("a", true, "[a]");
    check_parts(", a,,b c\t ", true, "[a][b][c\t]");
}

/* A byte of each kind, and whether it is in the sets that are asked for. */
static void bytes_are_in_their_sets(void **state)
{
    static const struct {
        unsigned sets;
        const char *in, *out;
    } cases[] = {
        { BYTE_CLASS_TOKEN, "!#$%&'*+-.^_`|~09azAZ", " \t\"(),/:;<=>?@[\\]{}\x7f\x80\xff" },
        { BYTE_CLASS_VISIBLE, "!\"/09:@AZ[`az{~", " \t\n\x7f\x80\xff" },
        { BYTE_CLASS_FIELD, " \t!~\x80\xff", "\n\r\x1f\x7f\x01" },
        { BYTE_CLASS_UNRESERVED, "-._~09azAZ", "!#$%&'()*+,/:;=?@[]^`{|}\x80" },
        { BYTE_CLASS_HOST, "-._09azAZ", "~!/:@[`{\x80" },
        { BYTE_CLASS_HEX, "09afAF", "/:@Gg`" },
        { BYTE_CLASS_DIGIT, "09", "/:aA" },
        { BYTE_CLASS_ALPHA, "azfgAZFG", "@[`{09_" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        slice in = slice_from(cases[i].in), out = slice_from(cases[i].out);
        assert_int_equal(byte_class_span(in, cases[i].sets), in.len);
        for (size_t k = 0; k < out.len; k++)
            if (byte_class_in(out.ptr[k], cases[i].sets))
                fail_msg("case %zu: 0x%02x", i, (unsigned char)out.ptr[k]);
        assert_true(byte_class_all(in, cases[i].sets));
        assert_false(byte_class_in('\0', cases[i].sets));
    }
    assert_false(byte_class_all((slice){ NULL, 0 }, BYTE_CLASS_FIELD));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_have_a_maximum),
        cmocka_unit_test(blanks_around_a_text_are_cut_off),
        cmocka_unit_test(lists_have_elements_and_texts_have_words),
        cmocka_unit_test(bytes_are_in_their_sets),
    };
    return cmocka_run_group_tests_name("byte_class", tests, NULL, NULL);
}
