/* codec/exposition.h: the text that Prometheus reads, byte by byte. */
#include "codec/exposition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_text(struct buf *out, const char *expected)
{
    assert_int_equal(buf_error(out, NULL), 0);
    assert_int_equal(out->len, strlen(expected));
    assert_memory_equal(out->ptr, expected, out->len);
    buf_free(out);
}

static void test_counters_and_gauges(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, SIZE_MAX, "text");
    exposition_put_gauge(&out, "slots", "How many.", 3);
    exposition_put_counter(&out, "deaths_total", "So far.", UINT64_MAX);
    assert_text(&out, "# HELP slots How many.\n# TYPE slots gauge\nslots 3\n"
                      "# HELP deaths_total So far.\n# TYPE deaths_total counter\n"
                      "deaths_total 18446744073709551615\n");
}

static void test_labels(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, SIZE_MAX, "text");
    exposition_put_head(&out, "jobs_total", "counter", "Jobs.");
    exposition_put_sample(&out, "jobs_total", "state", "FAILED", 1);
    assert_text(&out, "# HELP jobs_total Jobs.\n# TYPE jobs_total counter\n"
                      "jobs_total{state=\"FAILED\"} 1\n");
}

/* Buckets count what is at most as long as their bound, and all shorter ones with it. */
static void test_histogram(void **state)
{
    const int64_t durations_ms[] = { 0, 5, 6, 600000, 600001 };
    struct exposition_histogram histogram = { 0 };
    struct buf out;
    (void)state;
    for (size_t i = 0; i < sizeof durations_ms / sizeof *durations_ms; i++)
        exposition_observe(&histogram, durations_ms[i]);
    buf_init(&out, SIZE_MAX, "text");
    exposition_put_histogram(&out, "t", "Time.", &histogram);
    assert_text(&out, "# HELP t Time.\n# TYPE t histogram\n"
                      "t_bucket{le=\"0.005\"} 2\nt_bucket{le=\"0.01\"} 3\n"
                      "t_bucket{le=\"0.025\"} 3\nt_bucket{le=\"0.05\"} 3\n"
                      "t_bucket{le=\"0.1\"} 3\nt_bucket{le=\"0.25\"} 3\n"
                      "t_bucket{le=\"1\"} 3\nt_bucket{le=\"5\"} 3\n"
                      "t_bucket{le=\"15\"} 3\nt_bucket{le=\"60\"} 3\n"
                      "t_bucket{le=\"300\"} 3\nt_bucket{le=\"600\"} 4\n"
                      "t_bucket{le=\"+Inf\"} 5\nt_sum 1200.012\nt_count 5\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counters_and_gauges),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_histogram),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
