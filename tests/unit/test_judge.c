/* api/judge: which addresses a job's downloads and its own storage may have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/judge.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *const variables[] = { "RP_ALLOW_PRIVATE_DOWNLOADS",
                                         "RUNPOD_ALLOW_PRIVATE_DOWNLOAD_URLS" };

static int set_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(variables); i++)
        unsetenv(variables[i]);
    return 0;
}

static int verdict(const struct judge *judge, const char *host, struct err *err)
{
    struct ip ip;
    assert_true(ip_parse(slice_from(host), &ip));
    const struct address address = address_make(&ip, 80);
    const struct address_filter *filter = judge_filter(judge);
    *err = (struct err){ 0 };
    return filter == NULL ? 0 : filter->judge(filter, &address, err);
}

static void only_public_addresses_are_allowed(void **state)
{
    const struct config config = { 0 };
    struct judge judge;
    struct err err;
    (void)state;
    judge_init(&judge, &config, false);
    assert_int_equal(verdict(&judge, "8.8.8.8", &err), 0);
    assert_int_equal(verdict(&judge, "169.254.169.254", &err), ERR_INPUT);
    assert_string_equal(err.text, "169.254.169.254:80 is not a public address "
                                  "(RP_ALLOW_PRIVATE_DOWNLOADS=1 would allow it)");
    assert_int_equal(verdict(&judge, "::1", &err), ERR_INPUT);
}

/* A request that nobody judges may go through a proxy. */
static void what_the_handler_allows_is_not_judged(void **state)
{
    const struct config config = { 0 }, empty = { .denied_downloads = "" };
    struct judge judge;
    (void)state;
    judge_init(&judge, &config, true);
    assert_null(judge_filter(&judge));
    judge_init(&judge, &empty, true);
    assert_null(judge_filter(&judge));
}

static void each_variable_allows_private_addresses(void **state)
{
    static const struct {
        const char *value;
        bool is_on;
    } cases[] = {
        { "1", true },  { "true", true }, { "TRUE", true }, { "Yes", true },
        { "0", false }, { "no", false },  { "", false },    { "11", false },
    };
    const struct config config = { 0 };
    struct judge judge;
    for (size_t v = 0; v < COUNT(variables); v++)
        for (size_t i = 0; i < COUNT(cases); i++) {
            set_up(state);
            setenv(variables[v], cases[i].value, 1);
            judge_init(&judge, &config, false);
            if ((judge_filter(&judge) == NULL) != cases[i].is_on)
                fail_msg("%s=%s", variables[v], cases[i].value);
        }
    set_up(state);
}

/* The operator's word counts, whatever else is allowed. */
static void denied_ranges_stay_denied(void **state)
{
    const struct config config = { .denied_downloads = "10.0.0.0/8, 8.8.8.8" };
    struct judge judge;
    struct err err;
    (void)state;
    for (int allow = 0; allow < 2; allow++) {
        judge_init(&judge, &config, allow != 0);
        assert_non_null(judge_filter(&judge));
        assert_int_equal(verdict(&judge, "8.8.8.8", &err), ERR_INPUT);
        assert_string_equal(err.text, "8.8.8.8:80 is denied by RP_DENY_DOWNLOADS");
        assert_int_equal(verdict(&judge, "10.1.2.3", &err), ERR_INPUT);
        assert_non_null(strstr(err.text, "RP_DENY_DOWNLOADS"));
        assert_int_equal(verdict(&judge, "8.8.4.4", &err), 0);
        assert_int_equal(verdict(&judge, "192.168.0.1", &err), allow != 0 ? 0 : ERR_INPUT);
    }
}

#define TEST(function) cmocka_unit_test_setup(function, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_public_addresses_are_allowed),
        TEST(what_the_handler_allows_is_not_judged),
        TEST(each_variable_allows_private_addresses),
        TEST(denied_ranges_stay_denied),
    };
    return cmocka_run_group_tests_name("judge", tests, NULL, NULL);
}
