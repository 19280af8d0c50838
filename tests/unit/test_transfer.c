/* api/transfer and http/retry: which failures are retried, how often, and how they are reported. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/transfer.h"
#include "base/limits.h"
#include "http/retry.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct bench {
    struct config config;
    struct reply_channel reply_channel;
    struct rp_job job;
    struct job task;
    struct transfer transfer;
} bench;

/* A transfer of a job, whose pauses are a millisecond. */
static int set_up(void **state)
{
    struct err err = { 0 };
    log_init(LOG_NOTSET, false);
    memset(&bench, 0, sizeof bench);
    bench.config.result_max_bytes = 1000;
    rp_job_init(&bench.job, &bench.config, &bench.reply_channel);
    bench.task.id = SLICE_LITERAL("job-1");
    flag_init(&bench.task.stop);
    rp_job_begin(&bench.job, &bench.task);
    assert_int_equal(transfer_begin(&bench.transfer, &bench.job, 60, &err), 0);
    bench.transfer.backoff.first_ms = bench.transfer.backoff.longest_ms = 1;
    *state = &bench.transfer;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    transfer_end(&bench.transfer);
    rp_job_end(&bench.job);
    rp_job_free(&bench.job);
    return 0;
}

/* No descriptor is left to wake it with. */
static void a_transfer_that_cannot_be_stopped_does_not_begin(void **state)
{
    struct rlimit usual, none;
    struct transfer transfer;
    struct err err = { 0 };
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
    none = (struct rlimit){ .rlim_cur = STDERR_FILENO + 1, .rlim_max = usual.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int rc = transfer_begin(&transfer, &bench.job, 60, &err);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
    assert_int_equal(rc, ERR_MEMORY);
    assert_non_null(strstr(err.text, "cannot make an eventfd"));
}

static const struct http_response no_response;

static bool retry(int code, unsigned tries, struct err *err)
{
    err_set(err, code, "it failed");
    return transfer_retry(&bench.transfer, &no_response, tries, err);
}

static void transient_failures_are_retried(void **state)
{
    static const int codes[] = { ERR_PEER,  ERR_TRUST,  ERR_LIMIT,  ERR_INPUT,
                                 ERR_STALE, ERR_CONFIG, ERR_MEMORY, ERR_CANCELLED };
    struct err err;
    (void)state;
    assert_true(retry(ERR_RETRY, 10, &err));
    assert_true(retry(ERR_TIMEOUT, 10, &err));
    for (size_t i = 0; i < COUNT(codes); i++) {
        assert_false(retry(codes[i], 10, &err));
        assert_int_equal(err.code, codes[i]);
    }
}

static void there_are_so_many_tries(void **state)
{
    struct err err;
    (void)state;
    assert_true(retry(ERR_RETRY, 3, &err)); /* the first try has failed, the second follows */
    assert_true(retry(ERR_RETRY, 3, &err));
    assert_false(retry(ERR_RETRY, 3, &err));
    assert_int_equal(err.code, ERR_RETRY);
    backoff_reset(&bench.transfer.backoff);
    assert_false(retry(ERR_RETRY, 1, &err));
}

static void no_try_begins_past_the_deadline(void **state)
{
    const struct http_response asks_for_a_minute = { .has_retry_after = true,
                                                     .retry_after_ms = 60000 };
    struct err err = { 0 };
    (void)state;
    bench.transfer.until = clock_deadline(30000);
    err_set(&err, ERR_RETRY, "503");
    assert_false(transfer_retry(&bench.transfer, &asks_for_a_minute, 10, &err));
    assert_int_equal(err.code, ERR_RETRY);
    bench.transfer.until = clock_now_ms();
    assert_false(retry(ERR_RETRY, 10, &err));
}

static void a_stopped_job_ends_the_pause(void **state)
{
    struct err err;
    (void)state;
    bench.transfer.backoff.first_ms = bench.transfer.backoff.longest_ms = 50000;
    job_stop(&bench.task, JOB_STOPPED);
    assert_false(retry(ERR_RETRY, 10, &err));
    assert_int_equal(err.code, ERR_CANCELLED);
    /* What cleans up goes on. */
    bench.transfer.backoff.first_ms = bench.transfer.backoff.longest_ms = 1;
    bench.transfer.ignore_stop = true;
    assert_true(retry(ERR_RETRY, 10, &err));
}

static void statuses_are_transient_or_not(void **state)
{
    static const struct {
        int status, code;
    } statuses[] = {
        { 408, ERR_RETRY }, { 425, ERR_RETRY }, { 429, ERR_RETRY }, { 500, ERR_RETRY },
        { 502, ERR_RETRY }, { 503, ERR_RETRY }, { 504, ERR_RETRY }, { 400, ERR_PEER },
        { 403, ERR_PEER },  { 404, ERR_PEER },  { 416, ERR_PEER },  { 304, ERR_PEER },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(statuses); i++) {
        struct err err = { 0 };
        char text[16];
        snprintf(text, sizeof text, "%d", statuses[i].status);
        if (transfer_status_error(statuses[i].status, &err) != statuses[i].code)
            fail_msg("%d: %d", statuses[i].status, err.code);
        assert_int_equal(err.code, statuses[i].code);
        assert_non_null(strstr(err.text, text));
    }
}

static void retry_after_is_obeyed_within_reason(void **state)
{
    static const struct {
        bool given;
        uint32_t asked_ms, after_429_ms, after_others_ms;
    } cases[] = {
        { false, 0, LIMIT_TOO_MANY_MS, 700 },
        { true, 0, LIMIT_RETRY_AFTER_MIN_MS, LIMIT_RETRY_AFTER_MIN_MS },
        { true, 7000, 7000, 7000 },
        { true, LIMIT_RETRY_AFTER_MS, LIMIT_RETRY_AFTER_MS, LIMIT_RETRY_AFTER_MS },
        { true, UINT32_MAX, LIMIT_RETRY_AFTER_MS, LIMIT_RETRY_AFTER_MS },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct http_response response = { .has_retry_after = cases[i].given,
                                                .retry_after_ms = cases[i].asked_ms };
        assert_int_equal(http_retry_after_ms(&response), cases[i].after_429_ms);
        assert_int_equal(http_retry_pause_ms(&response, 700), cases[i].after_others_ms);
    }
    const struct http_response short_pause = { .has_retry_after = true, .retry_after_ms = 2000 };
    assert_int_equal(http_retry_pause_ms(&short_pause, 30000), 30000);
}

static void requests_get_the_limits_of_the_transfer(void **state)
{
    struct http_request request = { 0 };
    (void)state;
    transfer_request(&bench.transfer, &request);
    assert_true(request.until == bench.transfer.until);
    assert_ptr_equal(request.wake, &bench.transfer.wake);
    assert_true(request.wake_in_body);
    bench.transfer.ignore_stop = true;
    transfer_request(&bench.transfer, &request);
    assert_null(request.wake);
}

static void failures_fail_the_job_or_give_a_reason(void **state)
{
    rp_str reason = { 0 };
    struct err err = { 0 };
    (void)state;
    err_set(&err, ERR_PEER, "the server answered 404");
    assert_int_equal(transfer_fail(&bench.job, &reason, "Download of x", &err), RP_WRONG);
    assert_true(slice_is(reason, "Download of x: the server answered 404"));
    assert_false(bench.job.has_failed);
    bench.job.arena.max_bytes = bench.job.arena.used_bytes;
    assert_int_equal(transfer_fail(&bench.job, &reason, "Download of x", &err), RP_WRONG);
    assert_true(slice_is(reason, "out of memory"));
    err.code = ERR_CANCELLED;
    assert_int_equal(transfer_fail(&bench.job, NULL, "Upload", &err), RP_FAILED);
    assert_true(bench.job.has_failed);
    assert_true(slice_is(buf_slice(&bench.job.message), "Upload: the job was stopped"));
}

static void copies_end_with_nul(void **state)
{
    struct err err = { 0 };
    (void)state;
    assert_string_equal(transfer_copy(&bench.job, SLICE_LITERAL("text"), &err), "text");
    assert_string_equal(transfer_copy(&bench.job, (slice){ 0 }, &err), "");
    rp_job_end(&bench.job); /* in memory that another job has used */
    rp_job_begin(&bench.job, &bench.task);
    assert_string_equal(transfer_copy(&bench.job, SLICE_LITERAL("te"), &err), "te");
    bench.job.arena.max_bytes = bench.job.arena.used_bytes;
    assert_null(transfer_copy(&bench.job, SLICE_LITERAL("text"), &err));
    assert_int_equal(err.code, ERR_MEMORY);
}

#define BENCH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH(a_transfer_that_cannot_be_stopped_does_not_begin),
        BENCH(transient_failures_are_retried),
        BENCH(there_are_so_many_tries),
        BENCH(no_try_begins_past_the_deadline),
        BENCH(a_stopped_job_ends_the_pause),
        cmocka_unit_test(statuses_are_transient_or_not),
        cmocka_unit_test(retry_after_is_obeyed_within_reason),
        BENCH(requests_get_the_limits_of_the_transfer),
        BENCH(failures_fail_the_job_or_give_a_reason),
        BENCH(copies_end_with_nul),
    };
    return cmocka_run_group_tests_name("transfer", tests, NULL, NULL);
}
