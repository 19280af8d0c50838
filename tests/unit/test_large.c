/* api/large: which outputs are uploaded instead of posted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/large.h"

static void only_above_the_limit_and_where_there_is_one(void **state)
{
    struct config config = { .upload_above_kb = 2 };
    struct rp_job job = { .config = &config };
    (void)state;
    assert_false(large_is(&job, 0));
    assert_false(large_is(&job, 2000)); /* kB, as the SDK counts */
    assert_true(large_is(&job, 2001));
    job.upload_failed = true;
    assert_false(large_is(&job, 2001));
    job.upload_failed = false;
    config.upload_above_kb = 0;
    assert_false(large_is(&job, SIZE_MAX));
    config.upload_above_kb = 1;
    assert_true(large_is(&job, 1001));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(
        only_above_the_limit_and_where_there_is_one) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
