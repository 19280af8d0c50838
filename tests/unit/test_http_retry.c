/* http/retry: how long a failure keeps the worker from the next try. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/retry.h"

static void what_the_server_asks_for_is_done_within_limits(void **state)
{
    static const struct {
        struct http_response response;
        uint32_t backoff_ms, after_429_ms, after_others_ms;
    } rows[] = {
        { { .has_retry_after = false, .retry_after_ms = 7000 }, 300, 5000, 300 },
        { { .has_retry_after = true, .retry_after_ms = 0 }, 300, 1000, 1000 },
        { { .has_retry_after = true, .retry_after_ms = 999 }, 300, 1000, 1000 },
        { { .has_retry_after = true, .retry_after_ms = 1001 }, 300, 1001, 1001 },
        { { .has_retry_after = true, .retry_after_ms = 7000 }, 6999, 7000, 7000 },
        { { .has_retry_after = true, .retry_after_ms = 7000 }, 7001, 7000, 7001 },
        { { .has_retry_after = true, .retry_after_ms = 119999 }, 300, 119999, 119999 },
        { { .has_retry_after = true, .retry_after_ms = 120001 }, 300, 120000, 120000 },
        { { .has_retry_after = true, .retry_after_ms = UINT32_MAX }, 130000, 120000, 130000 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(http_retry_after_ms(&rows[i].response), rows[i].after_429_ms);
        assert_int_equal(http_retry_pause_ms(&rows[i].response, rows[i].backoff_ms),
                         rows[i].after_others_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_server_asks_for_is_done_within_limits),
    };
    return cmocka_run_group_tests_name("http_retry", tests, NULL, NULL);
}
