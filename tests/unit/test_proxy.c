/* codec/proxy: which requests go through which proxy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "codec/proxy.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct exemption {
    const char *no_proxy;
    const char *url;
    bool through_proxy;
} exemptions[] = {
    { NULL, "http://a.example/", true },
    { "", "http://a.example/", true },
    { "*", "http://a.example/", false },
    { "a.example", "http://a.example/", false },
    { "A.Example", "http://a.EXAMPLE/", false },
    { "example", "http://a.example/", false },
    { ".example", "http://a.example/", false },
    { ".example", "http://example/", false },
    { "ample", "http://a.example/", true },
    { "a.example.org", "http://a.example/", true },
    { "b.example, a.example", "http://a.example/", false },
    { "b.example,,  ,", "http://a.example/", true },
    { "10.0.0.1", "http://10.0.0.1:8080/", false },
    { "[::1]", "http://[::1]/", false },
    { "::1", "http://[::1]/", false },
    { "10.0.0.0/8", "http://10.1.2.3/", false },
    { "10.0.0.0/8", "http://11.1.2.3/", true },
    { "10.0.0.0/8", "http://10.example/", true },
    { "10.9.9.9/8", "http://10.1.2.3/", false },
    { "10.0.0.0/9", "http://10.128.0.0/", true },
    { "0.0.0.0/0", "http://10.128.0.0/", false },
    { "0.0.0.0/0", "http://[::1]/", true },
    { "10.0.0.0/8", "http://[::ffff:10.0.0.1]/", false },
    { "127.0.0.0/8", "http://127.1/", false },
    { "127.0.0.0/8", "http://2130706433/", false },
    { "fd00::/8", "http://[fdab::1]/", false },
    { "fd00::/8", "http://[fe80::1]/", true },
    { "0:0::1", "http://[::1]/", false },
    { "[0:0::1]", "http://[::1]/", false },
    { "a.example:80", "http://a.example/", false },
    { "a.example:80", "http://b.a.example:80/", false },
    { "a.example:81", "http://a.example/", true },
    { ".example:81", "http://a.example:81/", false },
    { "10.0.0.1:81", "http://10.0.0.1:81/", false },
    { "10.0.0.1:81", "http://10.0.0.1/", true },
    { "[::1]:81", "http://[::1]:81/", false },
    { "[::1]:81", "http://[::1]/", true },
    { "*.example", "http://a.example/", false },
    { "*.example", "http://b.a.EXAMPLE/", false },
    { "*.example", "http://example/", true },
    { "*.example:8080", "http://a.example:8080/", false },
    { "*.ample", "http://a.example/", true },
    { "*.x", "http://b.x/", false },
    { ".x", "http://b.x/", false },
    { "a.example:65535", "http://a.example:65535/", false },
    { "a.example.", "http://a.example/", false },
    { "a.example", "http://a.example./", false },
    { "my_host", "http://my_host/", false },
    { "localhost,10.0.0.0/8\t,[fd00::1]:1", "http://10.1.1.1/", false },
    /* What proxy_check refuses exempts nothing. */
    { "10.0.0.0/33", "http://10.0.0.0/", true },
    { "0.0.1", "http://10.0.0.1/", true },
};
#define REFUSED 2 /* at the end of the table */

static const char *const mistakes[] = {
    "10.0.0.0/33",
    "10.0.0.0/",
    "10.0.0.0/-1",
    "10.0.0.0/8:80",
    "10.0.0/8",
    "10.0.0",
    "10.",
    "10.*",
    "256.0.0.1",
    "::1/129",
    "[::1",
    "[]",
    "[10.0.0.1]",
    "[::1]80",
    "[::1]:",
    "[::1]/128x",
    "a:0",
    "a:65536",
    "a:",
    "a:b",
    ":80",
    ".",
    "*.",
    "**",
    "ex*mple",
    "a..",
    "..a",
    "http://a",
    "a/8",
    "<local>",
    "fe80::1%lo",
    "\xc3\xbc.de",
    "a;b",
    "a:80:90",
    "example.org/24",
};

static void entries_that_are_not_understood_are_refused_by_name(void **state)
{
    char list[64];
    (void)state;
    for (size_t i = 0; i < COUNT(mistakes); i++) {
        struct err err = { 0 };
        snprintf(list, sizeof list, "localhost, %s ,b.example", mistakes[i]);
        const struct proxy_config config = { .no_proxy = list };
        if (proxy_check(&config, &err) != ERR_CONFIG)
            fail_msg("NO_PROXY %s is not refused", mistakes[i]);
        assert_non_null(strstr(err.text, "NO_PROXY"));
        assert_non_null(strstr(err.text, mistakes[i]));
    }
}

static void entries_that_are_understood_are_not_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(exemptions) - REFUSED; i++) {
        struct err err = { 0 };
        const struct proxy_config config = { .no_proxy = exemptions[i].no_proxy };
        if (proxy_check(&config, &err) != 0)
            fail_msg("%s: %s", exemptions[i].no_proxy, err.text);
    }
}

static void no_proxy_exempts_what_it_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(exemptions); i++) {
        struct proxy_config config = { .http_proxy = "http://proxy.example:3128",
                                       .no_proxy = exemptions[i].no_proxy };
        struct url origin, proxy;
        assert_int_equal(url_parse(slice_from(exemptions[i].url), &origin, NULL), 0);
        if (proxy_for(&config, &origin, &proxy) != exemptions[i].through_proxy)
            fail_msg("NO_PROXY %s, %s", exemptions[i].no_proxy, exemptions[i].url);
    }
}

static void each_scheme_has_its_own_proxy(void **state)
{
    const struct proxy_config config = { .https_proxy = "http://secure.example:1",
                                         .http_proxy = "http://plain.example" };
    const struct proxy_config none = { .https_proxy = "" };
    struct url https, http, proxy;
    (void)state;
    assert_int_equal(url_parse(slice_from("https://h/"), &https, NULL), 0);
    assert_int_equal(url_parse(slice_from("http://h/"), &http, NULL), 0);
    assert_true(proxy_for(&config, &https, &proxy));
    assert_true(slice_is(proxy.host, "secure.example"));
    assert_int_equal(proxy.port, 1);
    assert_true(proxy_for(&config, &http, &proxy));
    assert_true(slice_is(proxy.host, "plain.example"));
    assert_int_equal(proxy.port, 80);
    assert_false(proxy_for(&none, &https, &proxy));
    assert_false(proxy_for(&none, &http, &proxy));
}

static void unusable_proxies_are_told_by_variable(void **state)
{
    struct err err = { 0 };
    (void)state;
    assert_int_equal(proxy_check(&(struct proxy_config){ .http_proxy = "http://u:p@h:1" }, &err),
                     0);
    assert_int_equal(proxy_check(&(struct proxy_config){ .https_proxy = "https://h" }, &err),
                     ERR_CONFIG);
    assert_non_null(strstr(err.text, "HTTPS_PROXY"));
    assert_int_equal(proxy_check(&(struct proxy_config){ .http_proxy = "socks5://h" }, &err),
                     ERR_CONFIG);
    assert_non_null(strstr(err.text, "HTTP_PROXY"));
}

static const struct credential {
    const char *url;
    const char *expected; /* RFC 7617, and RFC 4648's padding of each length */
} credentials[] = {
    { "http://Aladdin:open%20sesame@h", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==" },
    { "http://a:b@h", "Basic YTpi" },
    { "http://a:bc@h", "Basic YTpiYw==" },
    { "http://a:bcd@h", "Basic YTpiY2Q=" },
    { "http://%c3%bc:%2f@h", "Basic w7w6Lw==" },
};

static void credentials_are_decoded_and_encoded(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(credentials); i++) {
        struct url proxy;
        struct buf out;
        struct err err;
        buf_init(&out, 1000, "credentials");
        assert_int_equal(url_parse(slice_from(credentials[i].url), &proxy, NULL), 0);
        assert_int_equal(proxy_put_credentials(&out, &proxy, &err), 0);
        if (!slice_is(buf_slice(&out), credentials[i].expected))
            fail_msg("%s: %.*s", credentials[i].url, SLICE_ARG(buf_slice(&out)));
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_proxy_exempts_what_it_names),
        cmocka_unit_test(entries_that_are_not_understood_are_refused_by_name),
        cmocka_unit_test(entries_that_are_understood_are_not_refused),
        cmocka_unit_test(each_scheme_has_its_own_proxy),
        cmocka_unit_test(unusable_proxies_are_told_by_variable),
        cmocka_unit_test(credentials_are_decoded_and_encoded),
    };
    return cmocka_run_group_tests_name("proxy", tests, NULL, NULL);
}
