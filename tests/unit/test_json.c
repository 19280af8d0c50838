/* json: the validator. Reading is in test_json_read.c, writing in test_json_write.c. */
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

static int check(const char *bytes, size_t len, struct json_info *info, struct err *err)
{
    slice guarded = guard_copy(bytes, len);
    int rc = json_check(guarded, info, err);
    guard_free(guarded);
    return rc;
}

static void must_be(int expected, const char *bytes, size_t len)
{
    struct err err = { 0 };
    int rc = check(bytes, len, NULL, &err);
    if (rc != expected)
        fail_msg("%.*s: %d (%s) instead of %d", (int)len, bytes, rc, err.text, expected);
}

/* --- documents -------------------------------------------------------------------------- */

static const struct valid {
    const char *text;
    uint32_t values;
    enum rp_type type;
} valid[] = {
    /* scalars at top level */
    { "null", 1, RP_NULL },
    { "true", 1, RP_BOOL },
    { "false", 1, RP_BOOL },
    { "\"\"", 1, RP_STRING },
    { "\"a\"", 1, RP_STRING },
    { " \t\r\n 7 \t\r\n ", 1, RP_NUMBER },

    /* numbers */
    { "0", 1, RP_NUMBER },
    { "-0", 1, RP_NUMBER },
    { "-0.0", 1, RP_NUMBER },
    { "0e0", 1, RP_NUMBER },
    { "0E+1", 1, RP_NUMBER },
    { "10", 1, RP_NUMBER },
    { "-123", 1, RP_NUMBER },
    { "1.5", 1, RP_NUMBER },
    { "0.00", 1, RP_NUMBER },
    { "1e5", 1, RP_NUMBER },
    { "1E-5", 1, RP_NUMBER },
    { "1.25e+005", 1, RP_NUMBER },
    { "123456789012345678901234567890123456789012345678901234567890", 1, RP_NUMBER },
    { "1e99999999999999999999", 1, RP_NUMBER },
    { "[1,-2,3.5,4e4]", 5, RP_ARRAY },

    /* containers */
    { "[]", 1, RP_ARRAY },
    { "{}", 1, RP_OBJECT },
    { "[ ]", 1, RP_ARRAY },
    { "{ \n }", 1, RP_OBJECT },
    { "[[]]", 2, RP_ARRAY },
    { "[[],[],{}]", 4, RP_ARRAY },
    { "[[[1]],[[2],3],{}]", 9, RP_ARRAY },
    { "[null]", 2, RP_ARRAY },
    { "{\"a\":1}", 3, RP_OBJECT },
    { "{\"\":0}", 3, RP_OBJECT },
    { "{\"a\":1,\"a\":2}", 5, RP_OBJECT },
    { "{\"a\":{\"b\":{\"c\":[1,2]}},\"d\":null}", 11, RP_OBJECT },
    { "\t{ \"a\" : [ 1 , true ] ,\r\n\"b\" : { } }\n", 7, RP_OBJECT },
    { "[{\"a\":[]},{\"b\":[]}]", 7, RP_ARRAY },

    /* strings */
    { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", 1, RP_STRING },
    { "\"\\u0000\\u001f\\u00Ff\\uABCD\\uabcd\"", 1, RP_STRING },
    { "\"\\ud83d\\ude00\"", 1, RP_STRING },
    { "\"\\ud800\"", 1, RP_STRING }, /* lone surrogates are grammatical */
    { "\"\\udc00\\ud800\"", 1, RP_STRING },
    { "\"\\ud800\\u0041\"", 1, RP_STRING },
    { "\"\x7f\"", 1, RP_STRING },
    { "\"\xc2\x80 \xdf\xbf \xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf\"", 1, RP_STRING },
    { "\"\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf\"", 1, RP_STRING },
    { "\"\xef\xbb\xbf\"", 1, RP_STRING }, /* U+FEFF is a character within a string */
    { "{\"\xc3\xa4\\u00e4\":\"[{]}:,\"}", 3, RP_OBJECT },
    { "[\"0123456789abcdef0123456789abcdef\\\\\",\"\\\"]\"]", 3, RP_ARRAY },
};

static void test_valid(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(valid); i++) {
        struct err err = { 0 };
        struct json_info info = { 0 };
        if (check(valid[i].text, strlen(valid[i].text), &info, &err) != 0)
            fail_msg("%s: %s", valid[i].text, err.text);
        assert_int_equal(info.values, valid[i].values);
        assert_int_equal(info.type, valid[i].type);
    }
}

static const char *const invalid[] = {
    /* nothing */
    "", " ", "\n\t\r ",

    /* more than one, or something around it */
    "[1]x", "1 2", "null null", "{}{}", "[][]", "[]]", "{}}", "\"a\"b", "\"a\"\"b\"", "[1],", ",",
    ",[1]", ":", "1,", "//x\n1", "/**/1", "1#", "\xef\xbb\xbf{}", "\xef\xbb\xbf", "{}\xef\xbb\xbf",
    "\f1", "\v1", "1\f", "\xc2\xa0[]", "1\xe2\x80\xa8", "[\b]",

    /* literals */
    "n", "nul", "nulll", "nULL", "NULL", "Null", "True", "TRUE", "tru", "truee", "t", "f", "fals",
    "falsey", "undefined", "nan", "NaN", "-NaN", "inf", "Infinity", "-Infinity", "a", "'a'", "`a`",
    "[nul]", "[truefalse]", "[true false]", "[nu\nll]", "{true}", "tr\"ue\"",

    /* numbers */
    "-", "+", "+1", "--1", "-+1", "01", "-01", "00", "-00", "007", "1.", "-1.", ".5", "-.5", "1.e1",
    "1..2", "1.2.3", "1e", "1E", "1e+", "1e-", "1e+-1", "1ee1", "1e1.5", "1e1e1", "0x10", "0b1",
    "1_000", "1,000", "1 000", "1f", "1L", "- 1", "-a", "0.", "0.e", "0e", "\xef\xbc\x91",
    "1\xc2\xa0", "[01]", "[1.]", "[-]", "[+1]", "[.5]", "[1e]", "[0x1]", "[1a]", "[-1-1]", "[1 1]",
    "{\"a\":01}",

    /* arrays */
    "[", "[[", "[1", "[1,", "[,", "[,]", "[1,]", "[1,,3]", "[,1]", "[1 2]", "[1:2]", "[1;2]", "[1}",
    "[}", "[\"a\"", "[\"a", "[[1]", "[[]", "[{]", "[{}", "[1,]", "[[],]", "[\"a\":1]", "[\"a\",",
    "[1,\n", "[ , ]", "]", "[]]",

    /* objects */
    "{", "{\"", "{\"a", "{\"a\"", "{\"a\"}", "{\"a\":", "{\"a\":}", "{\"a\":1", "{\"a\":1,",
    "{\"a\":1,}", "{,}", "{,\"a\":1}", "{\"a\":1,,\"b\":2}", "{\"a\" 1}", "{\"a\"::1}",
    "{\"a\":1:2}", "{\"a\":1 \"b\":2}", "{\"a\":1;\"b\":2}", "{a:1}", "{'a':1}", "{1:1}",
    "{null:1}", "{[]:1}", "{{}:1}", "{\"a\",\"b\"}", "{\"a\":1,\"b\"}", "{\"a\":1,2}", "{\"a\"=1}",
    "{:1}", "{\"a\":1]", "{]", "{\"a\":\"b}", "{\"a\":[1}", "{\"a\":[1,{\"b\":2}", "{\"a\" \"b\"}",
    "}", "{\"a\":1}}", "{1}", "{}1", "{\"a\":1,\"a\":}", "{\"x\":true,}",
    /* a name that ends in a mistake, which is then read as what may follow a member */
    "{\"\\}", "{\"\\u}", "{\"\\u12,\"a\":1}", "{\"a\":1,\"\\,\"b\":2}", "{\"a\":1,\"\\}",

    /* strings */
    "\"", "\"a", "\"\\\"", "\"\\", "\"a\\\"", "\"\\\\\\\"", "\"\\a\"", "\"\\x41\"", "\"\\0\"",
    "\"\\'\"", "\"\\U0041\"", "\"\\N\"", "\"\\ \"", "\"\\\n\"", "\"\\u\"", "\"\\u0\"", "\"\\u00\"",
    "\"\\u004\"", "\"\\u004g\"", "\"\\u 041\"", "\"\\u+041\"", "\"\\u-041\"", "\"\\u0x41\"",
    "\"\\u", "\"\\u0", "\"\\u004", "\"\\u0041", "\"\\ud83d\\u\"", "\"\\ud83d\\\"", "\"\\\xc3\xa4\"",
    "\"a\nb\"", "\"a\tb\"", "[\"\\\"]", "\"0123456789abcdef\\q\"", "\"0123456789abcdef\x01\"",
    "\"abc\"\\n",

    /* UTF-8 */
    "\"\x80\"", "\"\xbf\"", "\"\xc0\x80\"", "\"\xc1\xbf\"", "\"\xc2\"", "\"\xc3", "\"\xc3(\"",
    "\"\xe0\x80\x80\"", "\"\xe0\x9f\xbf\"", "\"\xe2\x82\"", "\"\xe2\x82", "\"\xe2(\xa1\"",
    "\"\xed\xa0\x80\"", "\"\xed\xaf\xbf\"", "\"\xed\xbf\xbf\"", "\"\xed\xa0\xbd\xed\xb8\x80\"",
    "\"\xf0\x80\x80\x80\"", "\"\xf0\x8f\xbf\xbf\"", "\"\xf0\x90\x80\"", "\"\xf4\x90\x80\x80\"",
    "\"\xf5\x80\x80\x80\"", "\"\xf8\x88\x80\x80\x80\"", "\"\xfc\x84\x80\x80\x80\x80\"", "\"\xfe\"",
    "\"\xff\"", "\"0123456789abcdef\xff\"", "\"0123456789abcdef0\xc3\"", "{\"\xff\":1}", "\xc3\xa4",
    "[\xc3\xa4]", "\"a\xc3\xa4\xa4\""
};

static void test_invalid(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(invalid); i++)
        must_be(ERR_INPUT, invalid[i], strlen(invalid[i]));
    /* NUL bytes, which a C string cannot hold */
    must_be(ERR_INPUT, "\0", 1);
    must_be(ERR_INPUT, "1\0", 2);
    must_be(ERR_INPUT, "[1]\0", 4);
    must_be(ERR_INPUT, "[\0]", 3);
    must_be(ERR_INPUT, "\"a\0b\"", 5);
    must_be(ERR_INPUT, "{\"a\":1\0}", 8);
    must_be(ERR_INPUT, "[\0001]", 4);
    assert_int_equal(json_check((slice){ NULL, 0 }, NULL, NULL), ERR_INPUT);
}

/* --- systematic ------------------------------------------------------------------------- */

static const char sample[] =
    "{\"id\": \"a-1\", \"input\": {\"n\": [1, -2.5e+10, true, false, null, [], {}],"
    "\"t\\u00e9xt\\n\": \"\\ud83d\\ude00 \xf0\x9f\x98\x80 \xe4\xb8\xad 0123456789abcdef\"}}";

static void test_every_truncation_fails(void **state)
{
    (void)state;
    size_t len = sizeof sample - 1;
    must_be(0, sample, len);
    for (size_t cut = 0; cut < len; cut++)
        must_be(ERR_INPUT, sample, cut);
    for (size_t cut = 1; cut < len; cut++) { /* from the front some remain valid; none may fault */
        slice guarded = guard_copy(sample + cut, len - cut);
        (void)json_check(guarded, NULL, NULL);
        guard_free(guarded);
    }
}

/* Any one byte of the sample changed to any other: valid or not, but without a fault. */
static void test_every_byte_changed(void **state)
{
    (void)state;
    size_t len = sizeof sample - 1, accepted = 0;
    slice guarded = guard_copy(sample, len);
    char *bytes = (char *)(uintptr_t)guarded.ptr;
    for (size_t i = 0; i < len; i++) {
        for (int byte = 0; byte < 256; byte++) {
            bytes[i] = (char)byte;
            accepted += json_check(guarded, NULL, NULL) == 0;
        }
        bytes[i] = sample[i];
    }
    guard_free(guarded);
    assert_in_range(accepted, len, len * 256);
}

static void test_single_bytes(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++)
        must_be(byte >= '0' && byte <= '9' ? 0 : ERR_INPUT, (char[]){ (char)byte }, 1);
}

/* One byte of every kind at every place of a string that spans several words. */
static void test_bytes_in_strings(void **state)
{
    (void)state;
    enum { LEN = 42 };
    char text[LEN + 1] = "\"0123456789abcdef0123456789abcdef01234567\"";
    slice guarded = guard_copy(text, LEN);
    char *bytes = (char *)(uintptr_t)guarded.ptr;
    for (size_t at = 1; at < LEN - 1; at++) {
        for (int byte = 0; byte < 256; byte++) {
            bytes[at] = (char)byte;
            bool good = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
            bool ends = byte == '\\' && at + 1 < LEN - 1 && strchr("bf", bytes[at + 1]) != NULL;
            assert_int_equal(json_check(guarded, NULL, NULL), good || ends ? 0 : ERR_INPUT);
        }
        bytes[at] = text[at];
    }
    guard_free(guarded);
}

static void test_space(void **state)
{
    (void)state;
    static const char *const parts[] = { "{",    "\"a\"", ":",     "[", "1",    ",",
                                         "true", ",",     "\"b\"", ",", "{",    "}",
                                         "]",    ",",     "\"\"",  ":", "null", "}" };
    for (int byte = 0; byte < 128; byte++) {
        if (strchr("{}[]:,\"0123456789.+-eE", byte) != NULL && byte != 0)
            continue;
        char text[128];
        size_t len = 0;
        for (size_t i = 0; i < COUNT(parts); i++) {
            memcpy(text + len, parts[i], strlen(parts[i]));
            len += strlen(parts[i]);
            text[len++] = (char)byte;
        }
        bool space = byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
        must_be(space ? 0 : ERR_INPUT, text, len);
    }
}

static void test_escapes(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        bool named = byte != 0 && strchr("\"\\/bfnrt", byte) != NULL;
        must_be(named ? 0 : ERR_INPUT, (char[]){ '"', '\\', (char)byte, '"' }, 4);
        bool hex = byte != 0 && strchr("0123456789abcdefABCDEF", byte) != NULL;
        for (int place = 3; place < 7; place++) {
            char text[9] = "\"\\u0000\"";
            text[place] = (char)byte;
            must_be(hex ? 0 : ERR_INPUT, text, 8);
        }
    }
}

/* How many bytes a UTF-8 sequence with this value takes; 0 for values that have none. */
static size_t encode(uint32_t code, char *to)
{
    if (code >= 0xd800 && code <= 0xdfff)
        return 0;
    size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint32_t lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
    to[0] = (char)(lead[len] | code >> (6 * (len - 1)));
    for (size_t i = 1; i < len; i++)
        to[i] = (char)(0x80 | (code >> (6 * (len - 1 - i)) & 0x3f));
    return len;
}

static void test_all_characters(void **state)
{
    (void)state;
    size_t len = 0;
    char *text = malloc(5 << 20);
    assert_non_null(text);
    text[len++] = '"';
    for (uint32_t code = 0x80; code <= 0x10ffff; code++)
        len += encode(code, text + len);
    text[len++] = '"';
    must_be(0, text, len);
    free(text);
}

/* All pairs of bytes within a string, compared with all that is valid. */
static void test_all_byte_pairs(void **state)
{
    (void)state;
    slice guarded = guard_text("\"__\"");
    char *bytes = (char *)(uintptr_t)guarded.ptr, sequence[4];
    static bool two[65536];
    for (uint32_t code = 0x80; code < 0x800; code++) {
        encode(code, sequence);
        two[(unsigned char)sequence[0] << 8 | (unsigned char)sequence[1]] = true;
    }
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            bytes[1] = (char)a;
            bytes[2] = (char)b;
            bool plain = a >= 0x20 && a < 0x80 && a != '"' && a != '\\' && b >= 0x20 && b < 0x80 &&
                         b != '"' && b != '\\';
            bool escape = a == '\\' && b != 0 && strchr("\"\\/bfnrt", (int)b) != NULL;
            assert_int_equal(json_check(guarded, NULL, NULL),
                             plain || escape || two[a << 8 | b] ? 0 : ERR_INPUT);
        }
    }
    guard_free(guarded);
}

/* --- limits and errors ------------------------------------------------------------------ */

/* `levels` containers around a 0, every `period`-th an object and the others arrays. */
static size_t nest(char *text, unsigned levels, unsigned period)
{
    size_t len = 0;
    for (unsigned i = 0; i < levels; i++)
        len += (size_t)sprintf(text + len, period != 0 && i % period == 0 ? "{\"\":" : "[");
    text[len++] = '0';
    for (unsigned i = levels; i-- > 0;)
        text[len++] = period != 0 && i % period == 0 ? '}' : ']';
    return len;
}

static void test_depth(void **state)
{
    (void)state;
    char text[8 * JSON_DEPTH_MAX];
    for (unsigned period = 0; period < 4; period++) {
        must_be(0, text, nest(text, JSON_DEPTH_MAX, period));
        must_be(ERR_LIMIT, text, nest(text, JSON_DEPTH_MAX + 1, period));
        size_t len = nest(text, JSON_DEPTH_MAX, period);
        for (size_t i = len - JSON_DEPTH_MAX; i < len; i++) { /* a wrong bracket at every level */
            text[i] = text[i] == ']' ? '}' : ']';
            must_be(ERR_INPUT, text, len);
            text[i] = text[i] == ']' ? '}' : ']';
        }
    }
    memset(text, '[', sizeof text);
    must_be(ERR_LIMIT, text, sizeof text);
    memset(text, '[', JSON_DEPTH_MAX);
    must_be(ERR_INPUT, text, JSON_DEPTH_MAX);
}

/* Depth counts what is open, not what was. */
static void test_many_containers(void **state)
{
    (void)state;
    char text[4096] = "[";
    size_t len = 1;
    while (len < sizeof text - 8)
        len += (size_t)sprintf(text + len, "[[{}]],");
    text[len - 1] = ']';
    must_be(0, text, len);
}

static void test_size(void **state)
{
    (void)state;
    struct err err = { 0 };
    assert_int_equal(json_check((slice){ "1", (size_t)JSON_TEXT_MAX_BYTES + 1 }, NULL, &err),
                     ERR_LIMIT);
    assert_non_null(strstr(err.text, "1073741824"));
}

static const struct complaint {
    const char *text;
    const char *error;
} complaints[] = {
    { "", "JSON ends at byte 0 where a value was expected" },
    { "{\"a\"}", "JSON has '}' at byte 4 where ':' was expected" },
    { "{\"a\":1 2", "JSON has '2' at byte 7 where ',' or '}' was expected" },
    { "[1,,3]", "JSON has ',' at byte 3 where a value was expected" },
    { "[01]", "JSON has '1' at byte 2 where ',' or ']' was expected" },
    { "[1]x", "JSON has 'x' at byte 3 where the end of the text was expected" },
    { "{1", "JSON has '1' at byte 1 where a member name in quotes was expected" },
    { "-", "JSON ends at byte 1 where a digit was expected" },
    { "1.x", "JSON has 'x' at byte 2 where a digit was expected" },
    { "nul ", "JSON has 0x20 at byte 3 where the rest of true, false or null was expected" },
    { "\"\\u00g0\"", "JSON has 'g' at byte 5 where a hexadecimal digit was expected" },
    { "\"\\q\"", "JSON has 'q' at byte 2 where one of \" \\ / b f n r t u was expected" },
    { "\"\n\"", "JSON has 0x0a at byte 1 where an escape instead of a control character was" },
    { "\"\xff\"", "JSON has 0xff at byte 1 where well-formed UTF-8 was expected" },
    { "{\"\\q\":1}", "JSON has 'q' at byte 3 where one of \" \\ / b f n r t u was expected" },
    { "{\"a", "JSON ends at byte 3 where a closing quote was expected" },
    { "\"abc", "JSON ends at byte 4 where a closing quote was expected" },
};

static void test_errors(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(complaints); i++) {
        struct err err = { 0 };
        struct json_info info = { .values = 77 };
        assert_int_equal(check(complaints[i].text, strlen(complaints[i].text), &info, &err),
                         ERR_INPUT);
        assert_int_equal(info.values, 77);
        if (strncmp(err.text, complaints[i].error, strlen(complaints[i].error)) != 0)
            fail_msg("%s: %s", complaints[i].text, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_every_truncation_fails),
        cmocka_unit_test(test_every_byte_changed),
        cmocka_unit_test(test_single_bytes),
        cmocka_unit_test(test_bytes_in_strings),
        cmocka_unit_test(test_space),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_all_characters),
        cmocka_unit_test(test_all_byte_pairs),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_many_containers),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
