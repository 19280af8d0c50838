/* json: numbers and equality. */
#include <float.h>
#include <math.h>
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

/* --- integers --------------------------------------------------------------------------- */

static const struct integer {
    const char *text;
    int64_t value;
} integers[] = {
    { "0", 0 },
    { "-0", 0 },
    { "0.0", 0 },
    { "-0.000e99", 0 },
    { "0e99999999999999999999", 0 },
    { "0e-99999999999999999999", 0 },
    { "1", 1 },
    { " -1\n", -1 },
    { "5.0", 5 },
    { "5.000000000000000000000000000000000000000000", 5 },
    { "1e3", 1000 },
    { "1E+3", 1000 },
    { "1000e-3", 1 },
    { "12300e-2", 123 },
    { "0.5e1", 5 },
    { "0.00000000000000000000000000000123e32", 123 },
    { "123000000000000000000000000000000000000000e-39", 123 },
    { "1.5e1", 15 },
    { "-1.25e2", -125 },
    { "1e18", 1000000000000000000 },
    { "9007199254740993", 9007199254740993 },
    { "9223372036854775807", INT64_MAX },
    { "-9223372036854775808", INT64_MIN },
    { "9223372036854775807.000", INT64_MAX },
    { "92233720368547758.07e2", INT64_MAX },
    { "-922337203685477580.80e1", INT64_MIN },
    { "9223372036854775807000e-3", INT64_MAX },
    { "0.00000000000000000009223372036854775807e38", INT64_MAX },
};

static const char *const not_integers[] = { "5.5",
                                            "0.1",
                                            "1e-1",
                                            "-0.5",
                                            "15e-1",
                                            "9223372036854775808",
                                            "-9223372036854775809",
                                            "9223372036854775807.5",
                                            "1e19",
                                            "-1e19",
                                            "18446744073709551616",
                                            "99999999999999999999",
                                            "9999999999999999999",
                                            "1e400",
                                            "1e99999999999999999999",
                                            "1e-99999999999999999999",
                                            "123456789012345678901234567890",
                                            "0.1e400",
                                            "\"1\"",
                                            "true",
                                            "null",
                                            "[1]",
                                            "",
                                            " ",
                                            "-",
                                            "1 2",
                                            "01",
                                            "1.",
                                            "1e",
                                            "0x1",
                                            "1a" };

static void test_int(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(integers); i++) {
        slice text = guard_text(integers[i].text);
        int64_t value = 42;
        if (json_int(text, &value, NULL) != 0 || value != integers[i].value)
            fail_msg("%s gives %lld", integers[i].text, (long long)value);
        guard_free(text);
    }
    for (size_t i = 0; i < COUNT(not_integers); i++) {
        slice text = guard_text(not_integers[i]);
        int64_t value = 42;
        struct err err = { 0 };
        if (json_int(text, &value, &err) != ERR_INPUT || value != 42)
            fail_msg("%s gives %lld", not_integers[i], (long long)value);
        assert_int_equal(err.code, ERR_INPUT);
        guard_free(text);
    }
}

/* --- doubles ---------------------------------------------------------------------------- */

static bool same_bits(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static void must_read(const char *text, double expected)
{
    slice guarded = guard_text(text);
    double value = 42;
    int rc = json_double(guarded, &value, NULL);
    guard_free(guarded);
    if (rc != 0 || !same_bits(value, expected))
        fail_msg("%.40s gives %d, %a instead of %a", text, rc, value, expected);
}

static const struct real {
    const char *text;
    double value;
} reals[] = {
    { "0", 0.0 },
    { "-0", -0.0 },
    { "-0.0e5", -0.0 },
    { "0e999999999999", 0.0 },
    { "1", 1.0 },
    { "-1.5", -1.5 },
    { " 0.1 ", 0.1 },
    { "1e2", 100.0 },
    { "1E-2", 0.01 },
    { "123456.789e3", 123456789.0 },
    { "3.141592653589793", 0x1.921fb54442d18p+1 },
    { "1.7976931348623157e308", DBL_MAX },
    { "179769313486231570000000000000000000000e270", DBL_MAX },
    { "0.00017976931348623157e312", DBL_MAX },
    { "2.2250738585072014e-308", DBL_MIN },
    { "2.2250738585072011e-308", 0x0.fffffffffffffp-1022 }, /* the largest subnormal */
    { "4.9e-324", 0x1p-1074 },
    { "2.4703282292062328e-324", 0x1p-1074 },
    { "2.4703282292062327e-324", 0.0 },
    { "-1e-324", -0.0 },
    { "1e-400", 0.0 },
    { "-1e-99999999999999999999", -0.0 },
    { "9007199254740992", 0x1p53 },
    { "9007199254740993", 0x1p53 }, /* half way: to the even one */
    { "9007199254740993.0000000001", 0x1.0000000000001p53 },
    { "9007199254740995", 0x1.0000000000002p53 },
    { "18446744073709551616", 0x1p64 },
    { "1e23", 0x1.52d02c7e14af6p+76 },
    { "8.5e-1", 0.85 },
};

static void test_double(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(reals); i++)
        must_read(reals[i].text, reals[i].value);
    static const char *const errors[] = { "1e309",
                                          "-1e309",
                                          "1.7976931348623159e308",
                                          "1e999999999999",
                                          "1e311",
                                          "\"1\"",
                                          "true",
                                          "[]",
                                          "",
                                          "1.",
                                          "NaN",
                                          "0x1p3",
                                          "Infinity" };
    for (size_t i = 0; i < COUNT(errors); i++) {
        slice text = guard_text(errors[i]);
        double value = 42;
        assert_int_equal(json_double(text, &value, NULL), ERR_INPUT);
        assert_true(same_bits(value, 42));
        guard_free(text);
    }
}

/* A digit thousands of places behind decides which double is nearest. */
static void test_long_doubles(void **state)
{
    (void)state;
    enum { ZEROS = 5000 };
    static char zeros[ZEROS + 1], text[ZEROS + 1200];
    memset(zeros, '0', ZEROS);
    snprintf(text, sizeof text, "9007199254740993.%s", zeros);
    must_read(text, 0x1p53);
    snprintf(text, sizeof text, "9007199254740993.%s1", zeros);
    must_read(text, 0x1.0000000000001p53);
    snprintf(text, sizeof text, "-9007199254740993.%s1e-0", zeros);
    must_read(text, -0x1.0000000000001p53);
    snprintf(text, sizeof text, "0.%s9007199254740993e5016", zeros);
    must_read(text, 0x1p53);
    snprintf(text, sizeof text, "1%se-5000", zeros);
    must_read(text, 1.0);
    snprintf(text, sizeof text, "1%s", zeros);
    assert_int_equal(json_double(slice_from(text), &(double){ 0 }, NULL), ERR_INPUT);
    snprintf(text, sizeof text, "0.%s1", zeros);
    must_read(text, 0.0);

    /* 5^1075, so that with e-1075 it is half the smallest double, exactly: 752 digits */
    char digits[800] = "1";
    size_t len = 1;
    for (int power = 0; power < 1075; power++) { /* lowest digit first */
        int carry = 0;
        for (size_t i = 0; i < len; i++) {
            carry += 5 * (digits[i] - '0');
            digits[i] = (char)('0' + carry % 10);
            carry /= 10;
        }
        if (carry > 0)
            digits[len++] = (char)('0' + carry);
    }
    assert_int_equal(len, 752);
    for (size_t i = 0; i < len / 2; i++) {
        char low = digits[i];
        digits[i] = digits[len - 1 - i];
        digits[len - 1 - i] = low;
    }
    snprintf(text, sizeof text, "%.*se-1075", (int)len, digits);
    must_read(text, 0.0);
    snprintf(text, sizeof text, "%.*s.%s1e-1075", (int)len, digits, zeros);
    must_read(text, 0x1p-1074);
    digits[len - 1]--;
    snprintf(text, sizeof text, "%.*s.%s1e-1075", (int)len, digits, zeros);
    must_read(text, 0.0);
}

/* Doubles all over the range survive being written with 17 digits, in several layouts. */
static void test_doubles_survive(void **state)
{
    (void)state;
    uint64_t bits = 1;
    for (int i = 0; i < 2000; i++) {
        double value;
        char text[64];
        bits = bits * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        snprintf(text, sizeof text, "%.17g", value);
        must_read(text, value);
        snprintf(text, sizeof text, "%.25e", value);
        must_read(text, value);
    }
}

/* --- equality --------------------------------------------------------------------------- */

static const struct pair {
    const char *a;
    const char *b;
} equal[] = {
    { "1", " 1 " },
    { "1", "1.0" },
    { "1", "1e0" },
    { "100", "1E2" },
    { "0", "-0.0" },
    { "0.1", "1e-1" },
    { "0.1", "0.1000000000000000055511151231257827" },
    { "1e300", "10e299" },
    { "1e999", "1e999" },
    { "null", "null " },
    { "true", "\ttrue" },
    { "\"a\"", "\"\\u0061\"" },
    { "\"\\/\\n\"", "\"/\\u000a\"" },
    { "\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\"" },
    { "[]", "[ ]" },
    { "{}", "{\n}" },
    { "[1,[2,{\"a\":3}]]", "[1.0, [2e0, {\"\\u0061\": 3}]]" },
    { "{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}" },
    { "{\"a\":{\"x\":1,\"y\":[]},\"b\":2}", "{\"b\":2,\"a\":{\"y\":[],\"x\":1}}" },
    /* of several members with one name the last counts */
    { "{\"a\":1,\"a\":2}", "{\"a\":2}" },
    { "{\"a\":1,\"a\":2}", "{\"a\":3,\"a\":2}" },
    { "{\"a\":1,\"b\":0,\"a\":2}", "{\"a\":2,\"b\":0}" },
    { "{\"a\":1,\"b\":0,\"a\":2}", "{\"b\":0,\"b\":0,\"\\u0061\":2}" },
    { "{\"a\":1,\"\\u0061\":2,\"b\":3}", "{\"b\":3,\"a\":2}" },
};

static const struct pair unequal[] = {
    { "1", "2" },
    { "1", "1.5" },
    { "1", "\"1\"" },
    { "1", "true" },
    { "0", "null" },
    { "true", "false" },
    { "null", "false" },
    { "[]", "{}" },
    { "\"a\"", "\"b\"" },
    { "\"a\"", "\"A\"" },
    { "\"a\"", "\"aa\"" },
    { "\"aa\"", "\"\\u0061\"" },
    { "\"\"", "\"\\u0000\"" },
    { "9007199254740992", "9007199254740993" },
    { "9223372036854775807", "9223372036854775806" },
    { "1e999", "1e998" },
    { "[1,2]", "[2,1]" },
    { "[1]", "[1,1]" },
    { "[1,1]", "[1]" },
    { "[]", "[[]]" },
    { "{\"a\":1}", "{\"a\":2}" },
    { "{\"a\":1}", "{\"b\":1}" },
    { "{\"a\":1}", "{}" },
    { "{}", "{\"a\":1}" },
    { "{\"a\":1}", "{\"a\":1,\"b\":2}" },
    { "{\"a\":1,\"b\":2}", "{\"a\":1}" },
    { "{\"a\":1,\"b\":2}", "{\"b\":1,\"a\":2}" },
    { "{\"a\":1,\"a\":2}", "{\"a\":2,\"a\":1}" },
    { "{\"a\":1,\"a\":2}", "{\"a\":2,\"b\":2}" },
    { "{\"a\":1,\"a\":1}", "{\"b\":1,\"a\":1}" },
    { "{\"b\":1,\"a\":1}", "{\"a\":1,\"a\":1}" },
    { "{\"a\":{\"b\":[1]}}", "{\"a\":{\"b\":[2]}}" },
};

static void test_equal(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(equal); i++) {
        slice a = guard_text(equal[i].a), b = guard_text(equal[i].b);
        if (!json_same(a, b) || !json_same(b, a) || !json_same(a, a))
            fail_msg("%s and %s are equal", equal[i].a, equal[i].b);
        guard_free(a);
        guard_free(b);
    }
    for (size_t i = 0; i < COUNT(unequal); i++) {
        slice a = guard_text(unequal[i].a), b = guard_text(unequal[i].b);
        if (json_same(a, b) || json_same(b, a))
            fail_msg("%s and %s are not equal", unequal[i].a, unequal[i].b);
        guard_free(a);
        guard_free(b);
    }
}

/* {"k0":[0],"k7":[7],...}: members in steps through all residues; the one at `odd` is different. */
static size_t make_object(char *text, unsigned members, unsigned step, unsigned odd)
{
    size_t len = 0;
    text[len++] = '{';
    for (unsigned i = 0; i < members; i++) {
        unsigned key = i * step % members;
        len += (size_t)sprintf(text + len, "%s\"k%u\":[%u%s]", i == 0 ? "" : ",", key, key,
                               key == odd ? "1" : "");
    }
    text[len++] = '}';
    return len;
}

/* That they are not equal is no error. */
static void test_equal_words(void **state)
{
    struct arena arena;
    struct err err;
    bool same = true;
    (void)state;
    arena_init(&arena, 1 << 20);
    assert_int_equal(json_equal(SLICE_LITERAL("true"), SLICE_LITERAL("false"), &arena, &same, &err),
                     0);
    assert_false(same);
    arena_free(&arena);
}

static void test_equal_large(void **state)
{
    (void)state;
    enum { MEMBERS = 3001 }; /* a prime, so that every step visits all of them */
    static char a[MEMBERS * 20], b[MEMBERS * 20];
    slice left = { a, make_object(a, MEMBERS, 1, MEMBERS) };
    slice right = { b, make_object(b, MEMBERS, 1234, MEMBERS) };
    assert_true(json_same(left, right));
    right.len = make_object(b, MEMBERS, 1234, 1500);
    assert_false(json_same(left, right));
    right.len = make_object(b, MEMBERS, 1, 3000);
    assert_false(json_same(left, right));
    right.len = make_object(b, MEMBERS, 1, MEMBERS);
    assert_true(json_same(left, right));
}

/* Names that come again far behind: only their last values count, whichever side has them twice. */
static void test_equal_duplicates(void **state)
{
    (void)state;
    enum { NAMES = 97 };
    char twice[NAMES * 24], once[NAMES * 12], other[sizeof twice];
    size_t len = 0, once_len;
    for (int i = 0; i < 2 * NAMES; i++)
        len += (size_t)sprintf(twice + len, "%c\"k%d\":%d", i == 0 ? '{' : ',', i * 5 % NAMES,
                               i < NAMES ? -1 : i * 5 % NAMES);
    twice[len++] = '}';
    slice a = { twice, len }, b = { once, 0 };
    for (int odd = 0; odd <= NAMES + 1;
         odd += NAMES / 2 + 1) { /* differing here, there, not at all */
        once_len = 0;
        for (int i = 0; i < NAMES; i++)
            once_len += (size_t)sprintf(once + once_len, "%c\"k%d\":%d", i == 0 ? '{' : ',', i,
                                        i == odd ? -1 : i);
        once[once_len++] = '}';
        b.len = once_len;
        assert_int_equal(json_same(a, b), odd >= NAMES);
        assert_int_equal(json_same(b, a), odd >= NAMES);
    }
    /* the same names in the same order, the overridden values different */
    memcpy(other, twice, len);
    *(strstr(other, "-1") + 1) = '7';
    assert_true(json_same(a, (slice){ other, len }));
    other[len - 2]++;
    assert_false(json_same(a, (slice){ other, len }));
}

/* Members in another order at every level: comparing a level twice would take for ever. */
static void test_equal_deep(void **state)
{
    (void)state;
    char a[64 * JSON_DOC_DEPTH_MAX] = "1", b[64 * JSON_DOC_DEPTH_MAX] = "1.0", wrapped[sizeof a];
    for (int depth = 0; depth < JSON_DOC_DEPTH_MAX - 1; depth++) {
        snprintf(wrapped, sizeof wrapped, "{\"x\":%s,\"y\":0}", a);
        memcpy(a, wrapped, strlen(wrapped) + 1);
        snprintf(wrapped, sizeof wrapped, "{\"y\":0e0,\"y\":0,\"x\":%s}", b);
        memcpy(b, wrapped, strlen(wrapped) + 1);
    }
    assert_int_equal(json_check(slice_from(b), NULL, NULL), 0);
    assert_true(json_same(slice_from(a), slice_from(b)));
    char *innermost = strstr(a, ":1,");
    assert_non_null(innermost);
    innermost[1] = '2';
    assert_false(json_same(slice_from(a), slice_from(b)));
}

/* What cannot be compared is an error, never "not equal". */
static void test_equal_errors(void **state)
{
    (void)state;
    struct arena arena;
    struct err err = { 0 };
    char deep[2 * (JSON_DOC_DEPTH_MAX + 1) + 1] = { 0 };
    const slice object = SLICE_LITERAL("{\"a\":1}"), other = SLICE_LITERAL("{\"\\u0061\":1}");
    bool same = true;
    arena_init(&arena, 1 << 20);
    memset(deep, '[', JSON_DOC_DEPTH_MAX + 1);
    memset(deep + JSON_DOC_DEPTH_MAX + 1, ']', JSON_DOC_DEPTH_MAX + 1);
    assert_int_equal(json_equal(slice_from(deep), object, &arena, &same, &err), ERR_LIMIT);
    assert_non_null(strstr(err.text, "129 deep"));
    assert_false(same);
    assert_int_equal(json_equal(object, slice_from(deep), &arena, &same, &err), ERR_LIMIT);
    assert_int_equal(json_equal(SLICE_LITERAL("{oops"), object, &arena, &same, &err), ERR_INPUT);
    assert_int_equal(json_equal(object, SLICE_LITERAL(""), &arena, &same, &err), ERR_INPUT);
    arena_free(&arena);
    /* Two documents of 3 tokens, two lists of one member, and a name that is decoded. */
    for (size_t room = 0; room <= 400; room++) {
        arena_init(&arena, room);
        int rc = json_equal(object, other, &arena, &same, &err);
        assert_int_equal(rc, same ? 0 : ERR_MEMORY);
        assert_true(same || room < 400);
        arena_free(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_int),          cmocka_unit_test(test_double),
        cmocka_unit_test(test_long_doubles), cmocka_unit_test(test_doubles_survive),
        cmocka_unit_test(test_equal),        cmocka_unit_test(test_equal_words),
        cmocka_unit_test(test_equal_large),  cmocka_unit_test(test_equal_duplicates),
        cmocka_unit_test(test_equal_deep),   cmocka_unit_test(test_equal_errors),
    };
    return cmocka_run_group_tests_name("json_value", tests, NULL, NULL);
}
