/* codec/filename: names out of Content-Disposition and URLs, made safe; on guard pages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "codec/filename.h"
#include "guard.h"

struct name_case {
    const char *input;
    const char *name; /* NULL: none */
};

typedef bool reader(slice text, char out[FILENAME_RAW_BYTES], size_t *len);

static void check(reader *read, const struct name_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char out[FILENAME_RAW_BYTES];
        size_t len = 0;
        slice text = guard_text(cases[i].input);
        bool found = read(text, out, &len);
        guard_free(text);
        if (found != (cases[i].name != NULL))
            fail_msg("%s: %s", cases[i].input, found ? "a name was found" : "no name was found");
        if (found && !slice_is((slice){ out, len }, cases[i].name))
            fail_msg("%s: gave %.*s", cases[i].input, (int)len, out);
    }
}

static void test_disposition(void **state)
{
    static const struct name_case cases[] = {
        { "attachment; filename=\"a.png\"", "a.png" },
        { "attachment; filename=a.png", "a.png" },
        { "attachment;filename=a.png", "a.png" },
        { "attachment ; FileName = a.png ", "a.png" },
        { "inline; filename=my file.png; size=3", "my file.png" },
        { "attachment; filename=\"a;b=c.png\"; x=y", "a;b=c.png" },
        { "attachment; x=\"filename=no\"; filename=yes", "yes" },
        { "attachment; filename=\"a\\\"b\\\\c\"", "a\"b\\c" },
        { "attachment; filename=\"\"", "" },
        { "attachment; filename=first; filename=second", "first" },
        { "attachment; filename=plain; filename*=UTF-8''%e2%82%ac.png", "\xe2\x82\xac.png" },
        { "attachment; filename*=utf-8'en'a%20b.png; filename=plain", "a b.png" },
        { "attachment; filename*=iso-8859-1''%e4.txt", "\xc3\xa4.txt" },
        { "attachment; filename*=\"UTF-8''quoted.png\"", "quoted.png" },
        { "attachment; filename*=iso-8859-1''%7f%80%bf%c0%ff",
          "\x7f\xc2\x80\xc2\xbf\xc3\x80\xc3\xbf" },
        { "attachment; filename*=UTF-8''%e4", "\xe4" },
        { "attachment; filename*=UTF-8''", "" },
        { "attachment; filename*=UTF-8''ab%zz; filename*=UTF-8''c", "c" },
        { "attachment; x=\"a; filename=no\"; filename=yes", "yes" },
        { "attachment; filename; x=filename; filename=yes", "yes" },
        { "attachment; xfilename*=UTF-8''no; filename=yes", "yes" },
        { "attachment; filename=\"a\\", NULL },
        { "attachment; filename*=UTF-8", NULL },
        { "attachment; filename*=", NULL },
        { "attachment; filename=", "" },
        /* What cannot be read is as good as not there. */
        { "attachment; filename*=koi8-r''x; filename=plain", "plain" },
        { "attachment; filename*=UTF-8''%zz; filename=plain", "plain" },
        { "attachment; filename*=UTF-8''a%2; filename=plain", "plain" },
        { "attachment; filename*=UTF-8'a.png; filename=plain", "plain" },
        { "attachment; filename*=a.png", NULL },
        { "attachment; filename=\"open", NULL },
        { "attachment; filename", NULL },
        { "attachment; filename;", NULL },
        { "attachment", NULL },
        { "filename=a.png", NULL },
        { "xfilename=a.png", NULL },
        { ";", NULL },
        { "", NULL },
    };
    (void)state;
    check(filename_in_disposition, cases, sizeof cases / sizeof cases[0]);
}

static void test_target(void **state)
{
    static const struct name_case cases[] = {
        { "/a/b.png", "b.png" }, { "/a/b.png?x=/y", "b.png" },
        { "/a%20b", "a b" },     { "/%2e%2e%2fetc", "../etc" },
        { "/", NULL },           { "", NULL },
        { "/a/", NULL },         { "?a/b", NULL },
        { "/a%2", NULL },        { "/a%", NULL },
        { "/a%g0", NULL },       { "/a%0g", NULL },
        { "/a%41", "aA" },       { "a", "a" },
        { "/a#b/c", "a" },
    };
    (void)state;
    check(filename_in_target, cases, sizeof cases / sizeof cases[0]);
}

static void test_long_names(void **state)
{
    char text[2 * FILENAME_RAW_BYTES], out[FILENAME_RAW_BYTES];
    size_t len;
    (void)state;
    memset(text, 'x', sizeof text);
    memcpy(text, "a; filename=", 12);
    assert_false(filename_in_disposition((slice){ text, sizeof text }, out, &len));
    assert_true(filename_in_disposition((slice){ text, 12 + FILENAME_RAW_BYTES }, out, &len));
    assert_int_equal(len, FILENAME_RAW_BYTES);
    text[12] = '"';
    text[13 + FILENAME_RAW_BYTES] = '"';
    assert_true(filename_in_disposition((slice){ text, 14 + FILENAME_RAW_BYTES }, out, &len));
    assert_int_equal(len, FILENAME_RAW_BYTES);
    text[13 + FILENAME_RAW_BYTES] = 'x';
    text[14 + FILENAME_RAW_BYTES] = '"';
    assert_false(filename_in_disposition((slice){ text, 15 + FILENAME_RAW_BYTES }, out, &len));
    text[0] = '/';
    assert_false(filename_in_target((slice){ text, sizeof text }, out, &len));
}

static void test_safe(void **state)
{
    static const struct name_case cases[] = {
        { "a.png", "a.png" },
        { "../../etc/passwd", "passwd" },
        { "..\\..\\boot.ini", "boot.ini" },
        { "C:\\a.png", "a.png" },
        { "/etc/", NULL },
        { "..", NULL },
        { ". . .", NULL },
        { ".bashrc", "bashrc" },
        { "  a.png. ", "a.png" },
        { "-rf", "_rf" },
        { "a\nb\x7f.png", "ab.png" },
        { "a<b>c:d\"e|f?g*h", "a_b_c_d_e_f_g_h" },
        { "gr\xc3\xbc\xc3\x9f.png", "gr\xc3\xbc\xc3\x9f.png" },
        { "latin\xfc.png", "latin_.png" },
        { "\x01.\x02", NULL },
        { "\x01.a", "a" },
        { "?.png", "_.png" },
        { "a\x1f\x20z", "a z" },
        { " \x7f.a\x1f.\x7f ", "a" },
        { "a-b", "a-b" },
        { "a/b\\c", "c" },
        { "a\\b/c", "c" },
        { ".?", "_" },
        { "\xff", "_" },
        { "", NULL },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[FILENAME_BYTES];
        slice text = guard_text(cases[i].input);
        assert_int_equal(filename_make_safe(text, out), cases[i].name != NULL);
        guard_free(text);
        assert_string_equal(out, cases[i].name != NULL ? cases[i].name : "");
    }
}

static void test_safe_cut(void **state)
{
    char text[1000], out[FILENAME_BYTES];
    (void)state;
    memset(text, 'x', sizeof text);
    memcpy(text + 990, ".safetensor", 10);
    assert_true(filename_make_safe((slice){ text, sizeof text }, out));
    assert_int_equal(strlen(out), FILENAME_BYTES - 1);
    assert_string_equal(out + FILENAME_BYTES - 1 - 10, ".safetenso");
    /* What is longer is no extension; a shorter one is kept, and counts for the longest name. */
    memcpy(text + 983, ".1234567890123456", 17);
    assert_true(filename_make_safe((slice){ text, sizeof text }, out));
    assert_int_equal(strlen(out), FILENAME_BYTES - 1);
    assert_int_equal(out[FILENAME_BYTES - 2], 'x');
    assert_true(filename_make_safe((slice){ text, 999 }, out));
    assert_string_equal(out + FILENAME_BYTES - 1 - 16, ".123456789012345");
    memset(text, 'x', sizeof text);
    assert_true(filename_make_safe((slice){ text, FILENAME_BYTES - 1 }, out));
    assert_int_equal(strlen(out), FILENAME_BYTES - 1);
    /* Nor with a blank or a dot at its end. */
    memset(text, 'x', sizeof text);
    memcpy(text + FILENAME_BYTES - 4, " . ", 3);
    assert_true(filename_make_safe((slice){ text, 500 }, out));
    assert_int_equal(strlen(out), FILENAME_BYTES - 4);
    /* Not in the middle of a character. */
    for (size_t i = 0; i + 1 < sizeof text; i += 2)
        memcpy(text + i, "\xc3\xbc", 2);
    text[0] = 'a';
    text[1] = 'b';
    text[998] = 'c'; /* so that an odd number of bytes is to be kept */
    assert_true(filename_make_safe((slice){ text + 1, 998 }, out));
    assert_int_equal(strlen(out), FILENAME_BYTES - 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_disposition), cmocka_unit_test(test_target),
        cmocka_unit_test(test_long_names),  cmocka_unit_test(test_safe),
        cmocka_unit_test(test_safe_cut),
    };
    return cmocka_run_group_tests_name("filename", tests, NULL, NULL);
}
