/* job/stats: the numbers that Prometheus reads, as jobs begin and end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "job/stats.h"

static void assert_line(struct buf *out, const char *line)
{
    char text[200];
    int len = snprintf(text, sizeof text, "\n%s\n", line);
    if (memmem(out->ptr, out->len, text, (size_t)len) == NULL)
        fail_msg("no line %s in %.*s", line, SLICE_ARG(buf_slice(out)));
}

static void jobs_are_counted_as_they_begin_and_end(void **state)
{
    struct stats_jobs jobs;
    struct buf out;
    (void)state;
    for (int i = 0; i < 11; i++)
        stats_job_began(1000);
    for (int i = 0; i < 10; i++) /* 1 completed, 2 failed, 3 cancelled, 4 timed out */
        stats_job_ended(i < 1   ? STATS_COMPLETED
                        : i < 3 ? STATS_FAILED
                        : i < 6 ? STATS_CANCELLED
                                : STATS_TIMED_OUT,
                        2000);
    stats_read_jobs(&jobs);
    assert_int_equal(jobs.queued, 0);
    jobs.queued = 5;
    buf_init(&out, SIZE_MAX, "text");
    stats_put_jobs(&out, &jobs);
    assert_int_equal(buf_error(&out, NULL), 0);
    assert_line(&out, "# TYPE worker_jobs_finished_total counter");
    assert_line(&out, "worker_jobs_finished_total{state=\"COMPLETED\"} 1");
    assert_line(&out, "worker_jobs_finished_total{state=\"FAILED\"} 2");
    assert_line(&out, "worker_jobs_finished_total{state=\"CANCELLED\"} 3");
    assert_line(&out, "worker_jobs_finished_total{state=\"TIMED_OUT\"} 4");
    assert_line(&out, "worker_jobs_queued 5");
    assert_line(&out, "worker_jobs_running 1");
    assert_line(&out, "worker_job_queue_seconds_count 11");
    assert_line(&out, "worker_job_queue_seconds_sum 11.000");
    assert_line(&out, "worker_job_execution_seconds_count 10");
    assert_line(&out, "worker_job_execution_seconds_sum 20.000");
    buf_free(&out);
}

static void the_process_tells_its_state(void **state)
{
    struct buf out;
    unsigned long long bytes = 0;
    (void)state;
    buf_init(&out, SIZE_MAX, "text");
    stats_put_process(&out);
    assert_line(&out, "worker_handler_deaths_total 0");
    assert_line(&out, "worker_slots 0");
    assert_line(&out, "worker_ready 0");
    buf_clear(&out);
    stats_handler_died();
    stats_handler_died();
    stats_set_slots(7);
    stats_set_ready(true);
    stats_put_process(&out);
    assert_line(&out, "worker_handler_deaths_total 2");
    assert_line(&out, "worker_slots 7");
    assert_line(&out, "worker_ready 1");
    buf_add(&out, "", 1, NULL);
    const char *resident = strstr(out.ptr, "\nprocess_resident_memory_bytes ");
    assert_non_null(resident);
    assert_int_equal(sscanf(resident, " process_resident_memory_bytes %llu", &bytes), 1);
    assert_in_range(bytes, 1 << 16, 1ULL << 36); /* not the size of the address space */
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_are_counted_as_they_begin_and_end),
        cmocka_unit_test(the_process_tells_its_state),
    };
    return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
