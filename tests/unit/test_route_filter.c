/* upstream/route_filter.h: the routes of the handler's server that jobs may call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "upstream/route_filter.h"

static const struct {
    const char *list;
    const char *method;
    const char *route;
    bool allowed;
} cases[] = {
    { NULL, "DELETE", "/admin", true },
    { "/v1/models", "GET", "/v1/models", true },
    { "/v1/models", "DELETE", "/v1/models?a=/x", true },
    { "/v1/models", "GET", "/v1/models/", false },
    { "/v1/models", "GET", "/v1/model", false },
    { "/v1/models", "GET", "/v1/modelsx", false },
    { "/v1/models", "GET", "/V1/models", false },
    { "/v1/models", "GET", "/v1/%6dodels", true },
    { "GET /v1/models", "POST", "/v1/models", false },
    { "GET /v1/models", "HEAD", "/v1/models", false },
    { "GET|HEAD /v1/models", "HEAD", "/v1/models", true },
    { " POST  /a , GET /b,", "GET", "/b", true },
    { " POST  /a , GET /b,", "GET", "/a", false },
    { "/v1/*", "GET", "/v1/a/b", true },
    { "/v1/*", "GET", "/v1/", true },
    { "/v1/*", "GET", "/v1", false },
    { "/v1/*", "GET", "/v2/a", false },
    { "/v1/*", "GET", "/metrics", false },
    { "/*", "GET", "/", true },
    { "/a/*/c", "GET", "/a/b/c", true },
    { "/a/*/c", "GET", "/a//c", true },
    { "/a/*/c", "GET", "/a/b/b/c", false },
    { "/a/*/c", "GET", "/a/b%2Fb/c", false },
    { "/a/*/c", "GET", "/a/b/c/d", false },
    { "/a*b*c/d", "GET", "/axbybc/d", true },
    { "/a*b*c/d", "GET", "/axbyb/d", false },
    { "/files/*.txt", "GET", "/files/a.b.txt", true },
    { "/files/*.txt", "GET", "/files/a.png", false },
};

static void test_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct route_filter filter;
        struct err err;
        assert_int_equal(route_filter_read(&filter, cases[i].list, &err), 0);
        if (route_filter_allows(&filter, slice_from(cases[i].method), slice_from(cases[i].route)) !=
            cases[i].allowed)
            fail_msg("%s: %s %s", cases[i].list, cases[i].method, cases[i].route);
    }
}

static void test_lists_that_cannot_be_used(void **state)
{
    static const char *const lists[] = { "",       " , ",    "v1",   "GET",       "FETCH /a",
                                         "/a?b=1", "get /a", "/a b", "GET /a /b", "http://h/a" };
    (void)state;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        struct route_filter filter;
        struct err err = { 0 };
        if (route_filter_read(&filter, lists[i], &err) != ERR_CONFIG)
            fail_msg("\"%s\"", lists[i]);
    }
}

static void test_too_many_rules(void **state)
{
    char list[4 * (ROUTE_RULES_MAX + 1) + 1] = "";
    struct route_filter filter;
    struct err err = { 0 };
    (void)state;
    for (size_t i = 0; i < ROUTE_RULES_MAX; i++)
        memcpy(list + 4 * i, "/ab,", 5);
    assert_int_equal(route_filter_read(&filter, list, &err), 0);
    memcpy(list + 4 * ROUTE_RULES_MAX, "/ab,", 5);
    assert_int_equal(route_filter_read(&filter, list, &err), ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_lists_that_cannot_be_used),
        cmocka_unit_test(test_too_many_rules),
    };
    return cmocka_run_group_tests_name("route filter", tests, NULL, NULL);
}
