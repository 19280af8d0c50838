/* json: writing into a capped buffer. */
#include <float.h>
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "guard.h"
#include "json/json.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define BAD "\xef\xbf\xbd"

typedef int put_text(struct buf *buf, slice text, struct err *err);

/* `text` put after a first byte gives `expected`, and needs not one byte more than that. */
static void must_put(put_text *put, slice text, const char *expected)
{
    struct buf buf;
    slice guarded = guard_copy(text.ptr, text.len);
    size_t len = 1 + strlen(expected);
    for (size_t max = 1; max <= len; max++) {
        buf_init(&buf, max, "test");
        assert_int_equal(buf_add(&buf, "<", 1, NULL), 0);
        int rc = put(&buf, guarded, NULL);
        if (max < len) {
            assert_int_equal(rc, ERR_LIMIT);
            assert_int_equal(buf.len, 1);
        } else {
            assert_int_equal(rc, 0);
            slice written = slice_skip(buf_slice(&buf), 1);
            if (!slice_is(written, expected))
                fail_msg("%.*s instead of %s", SLICE_ARG(written), expected);
            assert_int_equal(json_check(written, NULL, NULL), 0);
        }
        buf_free(&buf);
    }
    guard_free(guarded);
}

static void test_put_string(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
        const char *json;
    } cases[] = {
        { "", 0, "\"\"" },
        { "plain", 5, "\"plain\"" },
        { "\"\\/\b\f\n\r\t", 8, "\"\\\"\\\\/\\b\\f\\n\\r\\t\"" },
        { "\0\x01\x1f\x7f", 4, "\"\\u0000\\u0001\\u001f\x7f\"" },
        { "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"" },
        { "0123456789abcdef\n0123456789abcdef\"", 34,
          "\"0123456789abcdef\\n0123456789abcdef\\\"\"" },
        { "\n\n\n\n\n\n\n\n", 8, "\"\\n\\n\\n\\n\\n\\n\\n\\n\"" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        must_put(json_put_string, (slice){ cases[i].text, cases[i].len }, cases[i].json);
        must_put(json_put_lossy, (slice){ cases[i].text, cases[i].len }, cases[i].json);
    }
    must_put(json_put_string, (slice){ NULL, 0 }, "\"\"");
    must_put(json_put_lossy, (slice){ NULL, 0 }, "\"\"");
}

/* What is not UTF-8 is refused by the one and replaced by the other. */
static void test_not_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *json;
    } cases[] = {
        { "\xff", "\"" BAD "\"" },
        { "a\x80z", "\"a" BAD "z\"" },
        { "Gr\xfc\xdf"
          "e",
          "\"Gr" BAD BAD "e\"" },
        { "\xc3", "\"" BAD "\"" },
        { "\xe2\x82", "\"" BAD BAD "\"" },
        { "\xed\xa0\x80", "\"" BAD BAD BAD "\"" },
        { "\xc0\x80", "\"" BAD BAD "\"" },
        { "\n\xf4\x90\x80\x80\n", "\"\\n" BAD BAD BAD BAD "\\n\"" },
        { "0123456789abcdef\xff\xc3\xa4", "\"0123456789abcdef" BAD "\xc3\xa4\"" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        slice text = guard_text(cases[i].text);
        struct err err = { 0 };
        struct buf buf;
        buf_init(&buf, 1000, "the thing");
        assert_int_equal(json_put_string(&buf, text, &err), ERR_INPUT);
        assert_non_null(strstr(err.text, "the thing"));
        assert_int_equal(buf.len, 0);
        buf_free(&buf);
        must_put(json_put_lossy, text, cases[i].json);
        guard_free(text);
    }
}

static void test_format_precision(void **state)
{
    struct buf buf;
    (void)state;
    buf_init(&buf, 1000, "test");
    assert_int_equal(json_add(&buf, NULL, "%.9f %.19f %.0f", 0.5, 0.5, 2.0), 0);
    assert_true(slice_is(buf_slice(&buf), "0.500000000 0.5000000000000000000 2"));
    buf_free(&buf);
}

/* Wherever it is in a text, among bytes that are; the error says where. */
static void test_not_utf8_anywhere(void **state)
{
    char bytes[80], place[32];
    (void)state;
    for (size_t at = 0; at < 40; at++) {
        slice text = { bytes + 32, 41 };
        struct err err = { 0 };
        struct buf buf;
        memset(bytes, 'x', sizeof bytes);
        bytes[32 + at] = '\xfe';
        buf_init(&buf, 1000, "test");
        assert_int_equal(json_put_string(&buf, text, &err), ERR_INPUT);
        snprintf(place, sizeof place, "at byte %zu", at);
        assert_non_null(strstr(err.text, place));
        assert_int_equal(err.text[strlen(err.text) - 1], place[strlen(place) - 1]);
        assert_int_equal(json_put_lossy(&buf, text, &err), 0);
        assert_int_equal(buf.len, 41 + 2 + 2);
        assert_memory_equal(buf.ptr + 1 + at, BAD, 3);
        buf_free(&buf);
    }
}

/* Every character, escaped and read again. */
static void test_round_trip(void **state)
{
    (void)state;
    char text[256];
    size_t len = 0;
    for (int byte = 0; byte < 128; byte++)
        text[len++] = (char)byte;
    for (int byte = 0x80; byte < 0xc0; byte++) {
        text[len++] = (char)0xc3;
        text[len++] = (char)byte;
    }
    struct arena arena;
    struct buf buf;
    slice back;
    arena_init(&arena, 4096);
    buf_init(&buf, 4096, "test");
    assert_int_equal(json_put_string(&buf, (slice){ text, len }, NULL), 0);
    assert_int_equal(json_check(buf_slice(&buf), NULL, NULL), 0);
    assert_int_equal(json_string(buf_slice(&buf), &arena, &back, NULL), 0);
    assert_true(slice_equal(back, (slice){ text, len }));
    buf_free(&buf);
    arena_free(&arena);
}

static void must_be(struct buf *buf, int rc, const char *expected)
{
    assert_int_equal(rc, 0);
    if (!slice_is(buf_slice(buf), expected))
        fail_msg("%.*s instead of %s", SLICE_ARG(buf_slice(buf)), expected);
    buf_reset(buf, SIZE_MAX);
}

static void test_put_numbers(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 1000, "test");
    must_be(&buf, json_put_int(&buf, 0, NULL), "0");
    must_be(&buf, json_put_int(&buf, -7, NULL), "-7");
    must_be(&buf, json_put_int(&buf, INT64_MAX, NULL), "9223372036854775807");
    must_be(&buf, json_put_int(&buf, INT64_MIN, NULL), "-9223372036854775808");
    buf_free(&buf);
    buf_init(&buf, 2, "test");
    assert_int_equal(json_put_int(&buf, 100, NULL), ERR_LIMIT);
    assert_int_equal(buf.len, 0);
    buf_free(&buf);
}

/* --- formats ---------------------------------------------------------------------------- */

static int format(struct buf *buf, struct err *err, const char *text, ...)
{
    va_list args;
    va_start(args, text);
    int rc = json_format(buf, text, args, err);
    va_end(args);
    return rc;
}

static void test_format_text(void **state)
{
    (void)state;
    struct buf buf;
    rp_str text = { "a\"b", 3 }, json = { "{\"x\": [1]}", 10 }, empty = { NULL, 0 };
    buf_init(&buf, 1000, "test");
    must_be(&buf, format(&buf, NULL, ""), "");
    must_be(&buf, format(&buf, NULL, "{\"a\": [1, 2]}"), "{\"a\": [1, 2]}");
    must_be(&buf, format(&buf, NULL, "%%"), "%");
    must_be(&buf, format(&buf, NULL, "\"100 %%\""), "\"100 %\"");
    must_be(&buf, format(&buf, NULL, "{%Q: %Q}", "k\n", "v\x01"), "{\"k\\n\": \"v\\u0001\"}");
    must_be(&buf, format(&buf, NULL, "%Q", (const char *)NULL), "null");
    must_be(&buf, format(&buf, NULL, "%Q", ""), "\"\"");
    must_be(&buf, format(&buf, NULL, "%.*Q", 3, "abcdef"), "\"abc\"");
    must_be(&buf, format(&buf, NULL, "%.*Q", 3, "a\0b"), "\"a\\u0000b\"");
    must_be(&buf, format(&buf, NULL, "%.*Q", 0, ""), "\"\"");
    must_be(&buf, format(&buf, NULL, "%.*Q", 0, (const char *)NULL), "null");
    must_be(&buf, format(&buf, NULL, "%S %S", &text, &empty), "\"a\\\"b\" \"\"");
    must_be(&buf, format(&buf, NULL, "%S", (rp_str *)NULL), "null");
    must_be(&buf, format(&buf, NULL, "[%J,%J]", &json, (rp_str *)NULL), "[{\"x\": [1]},null]");
    must_be(&buf, format(&buf, NULL, "%s%.*s", "[1", 1, "]]]"), "[1]");
    must_be(&buf, format(&buf, NULL, "%B,%B,%B", 1, 0, -5), "true,false,true");
    slice guarded = guard_text("right at the edge");
    must_be(&buf, format(&buf, NULL, "%.*Q", SLICE_ARG(guarded)), "\"right at the edge\"");
    must_be(&buf, format(&buf, NULL, "%.*s", SLICE_ARG(guarded)), "right at the edge");
    guard_free(guarded);
    buf_free(&buf);
}

static void test_format_numbers(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 1000, "test");
    must_be(&buf, format(&buf, NULL, "%d %i %u %x", -1, INT_MIN, UINT_MAX, 0xbeefu),
            "-1 -2147483648 4294967295 beef");
    must_be(&buf, format(&buf, NULL, "%ld %li %lu %lx", LONG_MIN, -1L, ULONG_MAX, ULONG_MAX),
            "-9223372036854775808 -1 18446744073709551615 ffffffffffffffff");
    must_be(&buf, format(&buf, NULL, "%lld %lli %llu %llx", LLONG_MIN, 1LL, ULLONG_MAX, 255ULL),
            "-9223372036854775808 1 18446744073709551615 ff");
    must_be(&buf,
            format(&buf, NULL, "%zd %zi %zu %zx", (ssize_t)-1, (ssize_t)2, SIZE_MAX, (size_t)16),
            "-1 2 18446744073709551615 10");
    must_be(
        &buf,
        format(&buf, NULL, "%jd %ji %ju %jx", INTMAX_MIN, INTMAX_MAX, UINTMAX_MAX, (uintmax_t)1),
        "-9223372036854775808 9223372036854775807 18446744073709551615 1");
    must_be(&buf, format(&buf, NULL, "%g %f %e", 0.5, 0.5, 0.5), "0.5 0.500000 5.000000e-01");
    must_be(&buf, format(&buf, NULL, "%.3g %.0f %.2e %.f", 1234.5, 2.0, 1.0, 3.0),
            "1.23e+03 2 1.00e+00 3");
    must_be(&buf, format(&buf, NULL, "%.*g %.*f", 2, 0.125, -1, 1.0), "0.12 1.000000");
    /* all kinds of arguments after each other: each takes exactly its own */
    must_be(&buf,
            format(&buf, NULL, "%d%Q%g%lld%.*s%B%zu%.*f", 1, "a", 2.5, 3LL, 1, "xy", 1, (size_t)4,
                   1, 0.5),
            "1\"a\"2.53xtrue40.5");
    buf_free(&buf);
}

/* No length is cut by a buffer of fixed size on the way. */
static void test_format_long(void **state)
{
    (void)state;
    struct buf buf;
    static char text[100001], expected[200100];
    memset(text, '"', sizeof text - 1);
    buf_init(&buf, 300000, "test");
    assert_int_equal(format(&buf, NULL, "[%Q,%.*Q]", text, 3, text), 0);
    assert_int_equal(buf.len, 1 + 200002 + 1 + 8 + 1);
    assert_int_equal(json_check(buf_slice(&buf), NULL, NULL), 0);
    buf_reset(&buf, 0);
    assert_int_equal(format(&buf, NULL, "%f|%.5000f", DBL_MAX, 1.0), 0);
    snprintf(expected, sizeof expected, "%f|%.5000f", DBL_MAX, 1.0);
    must_be(&buf, 0, expected);
    assert_int_equal(format(&buf, NULL, "%.*f", 20000, 0.5), 0);
    assert_int_equal(buf.len, 20002);
    buf_free(&buf);
}

static void test_format_errors(void **state)
{
    (void)state;
    static const char *const unknown[] = { "%",
                                           "a%",
                                           "%n",
                                           "%hhn",
                                           "%p",
                                           "%c",
                                           "%a",
                                           "%G",
                                           "%X",
                                           "%o",
                                           "%5d",
                                           "%-d",
                                           "%+d",
                                           "%05d",
                                           "% d",
                                           "%#x",
                                           "%.3d",
                                           "%.*d",
                                           "%hd",
                                           "%hhd",
                                           "%td",
                                           "%Lf",
                                           "%lf",
                                           "%ls",
                                           "%.3s",
                                           "%.3Q",
                                           "%.*S",
                                           "%.*J",
                                           "%.*B",
                                           "%lQ",
                                           "%l",
                                           "%lll",
                                           "%.",
                                           "%.*",
                                           "%llld",
                                           "%1$d",
                                           "%zzd",
                                           "%k",
                                           "%jlx",
                                           "%.%",
                                           "%l%",
                                           "%.99999f",
                                           "%.2147483648f",
                                           "%\xff" };
    for (size_t i = 0; i < COUNT(unknown); i++) {
        struct buf buf;
        struct err err = { 0 };
        buf_init(&buf, 1000, "test");
        assert_int_equal(buf_add_text(&buf, "kept", NULL), 0);
        if (format(&buf, &err, unknown[i], 1, 1, 1, 1) != ERR_INPUT)
            fail_msg("%s gives %.*s", unknown[i], SLICE_ARG(buf_slice(&buf)));
        assert_non_null(strstr(err.text, "unknown directive %"));
        must_be(&buf, 0, "kept");
        buf_free(&buf);
    }
}

static void test_format_bad_values(void **state)
{
    (void)state;
    struct buf buf;
    struct err err;
    rp_str bad = { "\xff", 1 }, empty = { "", 0 };
    buf_init(&buf, 10, "test");
    assert_int_equal(format(&buf, &err, "[%Q", "\xff"), ERR_INPUT);
    assert_int_equal(format(&buf, &err, "[%S", &bad), ERR_INPUT);
    assert_int_equal(format(&buf, &err, "[%J", &empty), ERR_INPUT);
    assert_int_equal(format(&buf, &err, "[%s", (const char *)NULL), ERR_INPUT);
    assert_int_equal(format(&buf, &err, "[%.*Q", -1, "a"), ERR_INPUT);
    assert_int_equal(format(&buf, &err, "[%.*s", INT_MIN, "a"), ERR_INPUT);
    assert_int_equal(format(&buf, &err, "[%g", (double)NAN), ERR_INPUT);
    assert_int_equal(format(&buf, &err, "[%f", (double)INFINITY), ERR_INPUT);
    assert_int_equal(format(&buf, &err, "[%.3e", -(double)INFINITY), ERR_INPUT);
    assert_int_equal(format(&buf, &err, "[%Q%d", "123456", 1), 0);
    assert_int_equal(buf.len, 10);
    buf_reset(&buf, SIZE_MAX);
    assert_int_equal(format(&buf, &err, "[%Q%d", "123456", 10), ERR_LIMIT);
    assert_int_equal(format(&buf, &err, "%f", 1e9), ERR_LIMIT);
    assert_int_equal(format(&buf, &err, "%.100f", 1.0), ERR_LIMIT);
    assert_int_equal(format(&buf, NULL, "12345678901"), ERR_LIMIT);
    assert_int_equal(buf.len, 0);
    buf_free(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_string),        cmocka_unit_test(test_not_utf8),
        cmocka_unit_test(test_round_trip),        cmocka_unit_test(test_put_numbers),
        cmocka_unit_test(test_format_text),       cmocka_unit_test(test_format_numbers),
        cmocka_unit_test(test_format_long),       cmocka_unit_test(test_format_errors),
        cmocka_unit_test(test_format_bad_values), cmocka_unit_test(test_not_utf8_anywhere),
        cmocka_unit_test(test_format_precision),
    };
    return cmocka_run_group_tests_name("json_write", tests, NULL, NULL);
}
