/*
 * source/endpoint_put.c, endpoint_info.c and endpoint_answer.c: what the job API says of jobs and
 * of itself, and what it reads of a query. Without threads and sockets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "source/endpoint_private.h"
#include "json/json.h"

static struct endpoint endpoint;
static struct config config;
static struct store_job job;
static struct buf out;

static int begin(void **state)
{
    (void)state;
    config = (struct config){ .worker_id = SLICE_LITERAL("w\"1") };
    endpoint = (struct endpoint){ .config = &config };
    job = (struct store_job){ .id = "a", .arrived_ms = 1000 };
    buf_init(&out, LIMIT_MIB, "test");
    return 0;
}

static int end(void **state)
{
    (void)state;
    buf_free(&out);
    buf_free(&job.progress);
    return 0;
}

static void assert_out(const char *expected)
{
    if (!slice_is(buf_slice(&out), expected))
        fail_msg("%.*s, not %s", SLICE_ARG(buf_slice(&out)), expected);
    assert_int_equal(json_check(buf_slice(&out), NULL, NULL), 0);
    buf_clear(&out);
}

static void assert_status(const char *expected)
{
    endpoint_put_status(&endpoint, &out, &job);
    assert_out(expected);
}

/* A number of the status as it is now; -1: it has none of that name. */
static int64_t status_number(const char *name)
{
    slice value;
    int64_t number = -1;
    endpoint_put_status(&endpoint, &out, &job);
    if (json_member(buf_slice(&out), name, &value))
        assert_int_equal(json_int(value, &number, NULL), 0);
    buf_clear(&out);
    return number;
}

/* It is the time that has gone by since then. */
static void assert_counts_from(const char *name, int64_t since_ms)
{
    int64_t before_ms = clock_now_ms();
    int64_t number = status_number(name);
    assert_in_range(number, before_ms - since_ms, clock_now_ms() - since_ms);
}

static void set_progress(const char *json)
{
    buf_init(&job.progress, LIMIT_PROGRESS_BYTES, "progress");
    buf_add_text(&job.progress, json, NULL);
}

/* --- one job ---------------------------------------------------------------------------------- */

static void a_job_that_waits_has_no_times_yet(void **state)
{
    (void)state;
    assert_status("{\"id\": \"a\", \"status\": \"IN_QUEUE\"}");
    job.retries = 2;
    assert_counts_from("delayTime", 1000);
    assert_int_equal(status_number("retries"), 2);
    assert_int_equal(status_number("executionTime"), -1);
}

static void a_job_that_runs_shows_its_progress(void **state)
{
    (void)state;
    job.state = STORE_IN_PROGRESS;
    job.begun_ms = 1007;
    assert_int_equal(status_number("delayTime"), 7);
    assert_counts_from("executionTime", 1007);
    assert_int_equal(status_number("output"), -1);
    set_progress("50");
    assert_int_equal(status_number("output"), 50);
}

static void a_job_that_has_ended_shows_its_output(void **state)
{
    (void)state;
    job.state = STORE_COMPLETED;
    job.begun_ms = 1500;
    job.ended_ms = 4000;
    job.output = SLICE_LITERAL("[1]");
    set_progress("50");
    assert_status("{\"id\": \"a\", \"status\": \"COMPLETED\", \"delayTime\": 500, "
                  "\"executionTime\": 2500, \"retries\": 0, \"output\": [1], "
                  "\"workerId\": \"w\\\"1\"}");
    job.output = (slice){ 0 };
    assert_status("{\"id\": \"a\", \"status\": \"COMPLETED\", \"delayTime\": 500, "
                  "\"executionTime\": 2500, \"retries\": 0, \"workerId\": \"w\\\"1\"}");
}

/* A job that has never run has waited until its end, and no worker has had it. */
static void a_job_that_never_ran_only_waited(void **state)
{
    (void)state;
    job.state = STORE_CANCELLED;
    job.ended_ms = 4000;
    assert_status("{\"id\": \"a\", \"status\": \"CANCELLED\", \"delayTime\": 3000, "
                  "\"retries\": 0}");
}

static void an_error_is_always_a_string(void **state)
{
    static const struct {
        enum store_state state;
        const char *error, *shown;
    } errors[] = {
        { STORE_FAILED, "\"no\"", "\"no\"" },
        { STORE_FAILED, "{\"a\": 1}", "\"{\\\"a\\\": 1}\"" },
        { STORE_FAILED, NULL, "\"Out of memory for the result.\"" },
        { STORE_TIMED_OUT, NULL, "\"The job exceeded its ttl or executionTimeout.\"" },
    };
    char expected[200];
    (void)state;
    job.ended_ms = 4000;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        job.state = errors[i].state;
        job.error = errors[i].error != NULL ? slice_from(errors[i].error) : (slice){ 0 };
        snprintf(expected, sizeof expected,
                 "{\"id\": \"a\", \"status\": \"%s\", \"delayTime\": 3000, \"retries\": 0, "
                 "\"error\": %s}",
                 store_state_name(job.state), errors[i].shown);
        assert_status(expected);
    }
}

/* --- the list --------------------------------------------------------------------------------- */

static void the_list_has_the_newest_first(void **state)
{
    struct store_job older = { .id = "b", .state = STORE_COMPLETED, .arrived_unix_ms = 5 };
    (void)state;
    older.arrived_ms = 1;
    older.begun_ms = 3;
    older.ended_ms = 7;
    older.output = SLICE_LITERAL("\"not in the list\"");
    endpoint_put_list(&endpoint, &out);
    assert_out("[]");
    job.state = STORE_CANCELLED;
    job.ended_ms = 1009;
    job.is_sync = true;
    job.arrived_unix_ms = 1764000000000;
    job.older = &older;
    endpoint.store.newest = &job;
    endpoint_put_list(&endpoint, &out);
    assert_out("[{\"id\": \"a\", \"status\": \"CANCELLED\", \"delayTime\": 9, \"retries\": 0, "
               "\"createdAt\": 1764000000000, \"sync\": true}, "
               "{\"id\": \"b\", \"status\": \"COMPLETED\", \"delayTime\": 2, "
               "\"executionTime\": 4, \"retries\": 0, \"createdAt\": 5, \"sync\": false}]");
}

static void the_list_has_an_end(void **state)
{
    static struct store_job jobs[LIMIT_ENDPOINT_LIST + 1];
    (void)state;
    for (size_t i = 0; i < LIMIT_ENDPOINT_LIST; i++)
        jobs[i].older = &jobs[i + 1];
    endpoint.store.newest = jobs;
    endpoint_put_list(&endpoint, &out);
    slice element;
    size_t pos = 0, count = 0;
    while (json_next_element(buf_slice(&out), &pos, &element))
        count++;
    assert_int_equal(count, LIMIT_ENDPOINT_LIST);
}

/* --- the worker ------------------------------------------------------------------------------- */

static void check_workers(bool ready, size_t running, const char *idle_to_running)
{
    slice workers;
    char expected[200];
    atomic_store(&endpoint.ready, ready);
    endpoint.store.running = running;
    endpoint_put_health(&endpoint, &out);
    assert_true(json_member(buf_slice(&out), "workers", &workers));
    snprintf(expected, sizeof expected, "{%s, \"throttled\": 0, \"unhealthy\": 0}",
             idle_to_running);
    if (!slice_is(workers, expected))
        fail_msg("%.*s, not %s", SLICE_ARG(workers), expected);
    buf_clear(&out);
}

static void a_worker_is_in_one_state_at_a_time(void **state)
{
    (void)state;
    check_workers(false, 0, "\"idle\": 0, \"initializing\": 1, \"ready\": 0, \"running\": 0");
    check_workers(true, 0, "\"idle\": 1, \"initializing\": 0, \"ready\": 1, \"running\": 0");
    check_workers(true, 2, "\"idle\": 0, \"initializing\": 0, \"ready\": 1, \"running\": 1");
}

static void jobs_that_timed_out_have_failed(void **state)
{
    slice jobs;
    (void)state;
    endpoint.store.finished[STORE_COMPLETED] = 1;
    endpoint.store.finished[STORE_FAILED] = 2;
    endpoint.store.finished[STORE_CANCELLED] = 4;
    endpoint.store.finished[STORE_TIMED_OUT] = 8;
    endpoint.store.queued = 16;
    endpoint.store.running = 32;
    endpoint.store.retried = 64;
    endpoint_put_health(&endpoint, &out);
    assert_true(json_member(buf_slice(&out), "jobs", &jobs));
    assert_true(slice_is(jobs, "{\"completed\": 1, \"failed\": 10, \"inProgress\": 32, "
                               "\"inQueue\": 16, \"retried\": 64}"));
}

static void assert_line(const char *line)
{
    if (memmem(out.ptr, out.len, line, strlen(line)) == NULL)
        fail_msg("%.*s\nis without %s", SLICE_ARG(buf_slice(&out)), line);
}

static void metrics_count_every_job(void **state)
{
    (void)state;
    store_init(&endpoint.store);
    endpoint.store.finished[STORE_COMPLETED] = 1;
    endpoint.store.finished[STORE_FAILED] = 2;
    endpoint.store.finished[STORE_CANCELLED] = 4;
    endpoint.store.finished[STORE_TIMED_OUT] = 8;
    endpoint.store.queued = 16;
    endpoint.store.running = 32;
    endpoint.store.retried = 64;
    endpoint.store.ended_count = 128;
    endpoint.store.bytes = 256;
    exposition_observe(&endpoint.store.wait, 2000);
    exposition_observe(&endpoint.store.execution, 3000);
    exposition_observe(&endpoint.store.execution, 4000);
    endpoint_put_metrics(&endpoint, &out);
    assert_line("\nworker_jobs_finished_total{state=\"COMPLETED\"} 1\n");
    assert_line("\nworker_jobs_finished_total{state=\"FAILED\"} 2\n");
    assert_line("\nworker_jobs_finished_total{state=\"CANCELLED\"} 4\n");
    assert_line("\nworker_jobs_finished_total{state=\"TIMED_OUT\"} 8\n");
    assert_line("\nworker_jobs_queued 16\n");
    assert_line("\nworker_jobs_running 32\n");
    assert_line("\nworker_jobs_retried_total 64\n");
    assert_line("\nworker_jobs_kept 128\n");
    assert_line("\nworker_jobs_kept_bytes 256\n");
    assert_line("\nworker_job_queue_seconds_count 1\n");
    assert_line("\nworker_job_execution_seconds_count 2\n");
}

/* --- a number in the query -------------------------------------------------------------------- */

static void a_number_of_the_query_is_kept_within_its_range(void **state)
{
    static const struct {
        const char *query;
        int64_t number; /* from 10 to 20; 15 where there is none */
    } queries[] = {
        { "", 15 },
        { "wait=12", 12 },
        { "wait=9", 10 },
        { "wait=10", 10 },
        { "wait=20", 20 },
        { "wait=21", 20 },
        { "wait=99999999999999999999", 15 },
        { "a=b&wait=11&c", 11 },
        { "wait=x&wait=13", 13 },
        { "wait=14&wait=13", 14 },
        { "wait", 15 },
        { "wait=", 15 },
        { "wait=-12", 15 },
        { "await=12", 15 },
        { "waits=12", 15 },
        { "WAIT=12", 15 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        const struct http1_request head = { .query = slice_from(queries[i].query) };
        struct server_exchange exchange = { .request = &head };
        const struct endpoint_request request = { .endpoint = &endpoint, .exchange = &exchange };
        if (endpoint_query_number(&request, "wait", 15, 10, 20) != queries[i].number)
            fail_msg("%s", queries[i].query);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_job_that_waits_has_no_times_yet),
        TEST(a_job_that_runs_shows_its_progress),
        TEST(a_job_that_has_ended_shows_its_output),
        TEST(a_job_that_never_ran_only_waited),
        TEST(an_error_is_always_a_string),
        TEST(the_list_has_the_newest_first),
        TEST(the_list_has_an_end),
        TEST(a_worker_is_in_one_state_at_a_time),
        TEST(jobs_that_timed_out_have_failed),
        TEST(metrics_count_every_job),
        TEST(a_number_of_the_query_is_kept_within_its_range),
    };
    return cmocka_run_group_tests_name("endpoint put", tests, NULL, NULL);
}
