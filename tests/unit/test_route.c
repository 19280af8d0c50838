/* codec/route.h: what a job may name as a path on the handler's server. */
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
        "/",           "/v1/models", "/a..b/c", "/a%20b",  "/..a",      "/...",
        "/?a=1&b=%20", "/a/",        "/~x;y=1", "/a?b=..", "/a:b@c/d!", "/%C5%BElu%C5%A5/"
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_int_equal(check(good[i]), 0);
}

static void test_what_leads_elsewhere(void **state)
{
    static const char *const bad[] = {
        "",          "a",     "http://h/x", "//h/x",        "/\\h",      "/..",
        "/a/../b",   "/a/..", "/.",         "/a/./b",       "/%2e%2e/a", "/a/%2E.",
        "/a%5cb",    "/a b",  "/a\nb",      "/a%0d%0aX: 1", "/a%00",     "/a\x7f",
        "/\xc5\xbe", "/a#b",  "/a%2",       "/a%zz",        "/%",        "?a=1",
        "*",         "@h/",   "/a?b#c",     "/a?\r\n",      "/..?a=1",   "/a%2e%2e/../b",
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
        cmocka_unit_test(test_methods),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
