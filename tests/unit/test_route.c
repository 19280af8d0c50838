/* codec/route.h: the paths on the handler's server that a job may name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/route.h"
#include "guard.h"

static int check(const char *text)
{
    struct err err = { 0 };
    slice guarded = guard_text(text);
    int rc = route_check(guarded, &err);
    assert_int_equal(rc, err.code);
    guard_free(guarded);
    return rc;
}

static void test_paths(void **state)
{
    static const char *const good[] = {
        "/",           "/v1/models", "/a..b/c",   "/a%20b",   "/..a",       "/...",
        "/?a=1&b=%20", "/a/",        "/~x;y=1",   "/a?b=..",  "/a:b@c/d!",  "/a;..b/c",
        "/...;/a",     "/a;b=../c;", "/100%25/a", "/%252525", "/a?b=/../c", "/%C5%BElu%C5%A5/"
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_int_equal(check(good[i]), 0);
}

static void test_what_leads_elsewhere(void **state)
{
    static const char *const bad[] = {
        "",
        "a",
        "http://h/x",
        "//h/x",
        "/\\h",
        "/..",
        "/a/../b",
        "/a/..",
        "/.",
        "/a/./b",
        "/%2e%2e/a",
        "/a/%2E.",
        "/a%5cb",
        "/a b",
        "/a\nb",
        "/a%0d%0aX: 1",
        "/a%00",
        "/a\x7f",
        "/\xc5\xbe",
        "/a#b",
        "/a%2",
        "/a%zz",
        "/a%2g",
        "/a%g2",
        "/%",
        "?a=1",
        "*",
        "@h/",
        "/a?b#c",
        "/a?\r\n",
        "/..?a=1",
        "/a%2e%2e/../b",
        "/a/..;/b",
        "/a/..;x=1/b",
        "/.;/a",
        "/a/..%3b/b",
        "/a/%2e%2e%3Bx/b",
        "/..;",
        "/a/%252e%252e/b",
        "/a/%25252e./b",
        "/a/..%255c/b",
        "/a%2f..%2fb",
        "/a%252f..%252fb",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(check(bad[i]), ERR_INPUT);
}

static void test_length(void **state)
{
    char path[ROUTE_MAX_BYTES + 2];
    (void)state;
    memset(path, 'a', sizeof path);
    path[0] = '/';
    path[ROUTE_MAX_BYTES] = '\0';
    assert_int_equal(check(path), 0);
    path[ROUTE_MAX_BYTES] = 'a';
    path[ROUTE_MAX_BYTES + 1] = '\0';
    assert_int_equal(check(path), ERR_INPUT);
}

static void test_decoded_paths(void **state)
{
    static const char *const pairs[][2] = { { "/a/b?c=%20", "/a/b" }, { "/%61%2Fb", "/a/b" },
                                            { "/%2561", "/%61" },     { "/", "/" },
                                            { "/a%zz%4", "/a%zz%4" }, { "/%", "/%" } };
    char path[ROUTE_MAX_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        size_t len = route_decode_path(slice_from(pairs[i][0]), path);
        assert_true(slice_is((slice){ path, len }, pairs[i][1]));
    }
}

/* Servers write their own targets: what is too long is cut, and nothing behind the path written. */
static void test_decoded_path_is_cut(void **state)
{
    char target[ROUTE_MAX_BYTES + 100];
    struct {
        char path[ROUTE_MAX_BYTES], behind[100];
    } out = { .behind = "untouched" };
    (void)state;
    memset(target, 'a', sizeof target);
    assert_int_equal(route_decode_path((slice){ target, sizeof target }, out.path),
                     ROUTE_MAX_BYTES);
    assert_string_equal(out.behind, "untouched");
}

static void test_methods(void **state)
{
    const char *name = NULL;
    (void)state;
    assert_true(route_method(SLICE_LITERAL("PATCH"), &name));
    assert_string_equal(name, "PATCH");
    assert_false(route_method(SLICE_LITERAL("get"), &name));
    assert_false(route_method(SLICE_LITERAL("CONNECT"), &name));
    assert_false(route_method(SLICE_LITERAL("GET\r\nX: y"), &name));
    assert_false(route_method(SLICE_LITERAL(""), &name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_what_leads_elsewhere),
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_decoded_paths),
        cmocka_unit_test(test_decoded_path_is_cut),
        cmocka_unit_test(test_methods),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
