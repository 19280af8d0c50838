/* codec/backoff */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/backoff.h"

static void pauses_double_up_to_the_longest(void **state)
{
    (void)state;
    static const uint32_t whole[] = { 100, 200, 400, 800, 1000, 1000, 1000 };
    struct backoff least = { .first_ms = 100, .longest_ms = 1000 };
    struct backoff middle = least, most = least;
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        assert_int_equal(backoff_next_ms(&least, 0), whole[i] / 2);
        assert_int_equal(backoff_next_ms(&middle, UINT32_MAX / 2 + 1), whole[i] * 3 / 4);
        assert_int_equal(backoff_next_ms(&most, UINT32_MAX), whole[i]);
        assert_int_equal(most.failures, i + 1);
    }
    backoff_reset(&most);
    assert_int_equal(most.failures, 0);
    assert_int_equal(backoff_next_ms(&most, UINT32_MAX), 100);
}

static void no_number_of_failures_overflows(void **state)
{
    (void)state;
    static const struct backoff sizes[] = {
        { 1, UINT32_MAX, 0 },     { UINT32_MAX, UINT32_MAX, 0 }, { 3, 7, 0 },
        { 1000, 60000, 0 },       { UINT32_MAX, 1, 0 },          { 1, 1, 0 },
        { 0x80000000, 90000, 0 },
    };
    static const uint32_t randoms[] = { 0, 1, 12345, 0x7fffffff, 0x80000000, UINT32_MAX };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t k = 0; k < sizeof randoms / sizeof *randoms; k++) {
            struct backoff backoff = sizes[i];
            uint64_t whole = backoff.first_ms;
            for (uint32_t failures = 0; failures < 100; failures++) {
                if (whole > backoff.longest_ms)
                    whole = backoff.longest_ms;
                uint32_t pause = backoff_next_ms(&backoff, randoms[k]);
                assert_true(pause <= whole && pause >= (whole + 1) / 2);
                assert_int_equal(backoff.failures, failures + 1);
                whole *= 2;
            }
        }
    }
}

static void the_count_of_failures_stays_at_its_end(void **state)
{
    (void)state;
    struct backoff backoff = { 10, 500, UINT32_MAX };
    assert_int_equal(backoff_next_ms(&backoff, UINT32_MAX), 500);
    assert_int_equal(backoff.failures, UINT32_MAX);
}

static void no_pause_stays_none(void **state)
{
    (void)state;
    struct backoff backoff = { .first_ms = 0, .longest_ms = 1000 };
    for (int i = 0; i < 100; i++)
        assert_int_equal(backoff_next_ms(&backoff, UINT32_MAX), 0);
    backoff = (struct backoff){ .first_ms = 100, .longest_ms = 0 };
    for (int i = 0; i < 100; i++)
        assert_int_equal(backoff_next_ms(&backoff, UINT32_MAX), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pauses_double_up_to_the_longest),
        cmocka_unit_test(no_number_of_failures_overflows),
        cmocka_unit_test(the_count_of_failures_stays_at_its_end),
        cmocka_unit_test(no_pause_stays_none),
    };
    return cmocka_run_group_tests_name("backoff", tests, NULL, NULL);
}
