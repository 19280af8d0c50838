/* source/platform_request: which polls a gateway has cut, and the URLs of the platform. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/limits.h"
#include "source/platform_request.h"

static const struct {
    int rc;
    int status;
    bool connected;
    bool cut;
} polls[] = {
    { 0, 408, true, true },           { 0, 500, true, true },
    { 0, 504, true, true },           { 0, 499, true, false },
    { 0, 407, true, false },          { 0, 409, true, false },
    { 0, 401, true, false },          { 0, 204, true, false },
    { ERR_RETRY, 0, true, true },     { ERR_TIMEOUT, 0, true, true },
    { ERR_PEER, 0, true, true },      { ERR_RETRY, 0, false, false },
    { ERR_TIMEOUT, 0, false, false }, { ERR_CANCELLED, 0, true, false },
    { ERR_MEMORY, 0, true, false },
};

/* Only one that was held for long, and that the platform has not answered. */
static void a_poll_that_was_held_may_have_been_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof polls / sizeof *polls; i++) {
        const struct http_response answer = { .status = polls[i].status,
                                              .connected = polls[i].connected };
        int64_t now_ms = clock_now_ms();
        if (platform_poll_was_cut(polls[i].rc, &answer, now_ms - LIMIT_HELD_MS) != polls[i].cut)
            fail_msg("number %zu", i);
        int64_t soon_ms = now_ms + 60 * LIMIT_HELD_MS; /* not yet, however slow this machine is */
        assert_false(platform_poll_was_cut(polls[i].rc, &answer, soon_ms - LIMIT_HELD_MS));
    }
}

static void many_workers_do_not_ask_in_step(void **state)
{
    uint32_t first_ms = platform_cut_pause_ms(), different = 0;
    (void)state;
    for (int i = 0; i < 100; i++) {
        uint32_t pause_ms = platform_cut_pause_ms();
        assert_true(pause_ms < LIMIT_CUT_PAUSE_MS);
        different += pause_ms != first_ms;
    }
    assert_true(different > 0);
}

static const struct {
    const char *template, *instead;
    const char *url; /* NULL: it has no place for it */
} urls[] = {
    { "http://h/v2/ep/job-take/$ID?gpu=A", "/job-take/", "http://h/v2/ep/job-take/w-1?gpu=A" },
    { "http://h/v2/ep/job-take/$ID?gpu=A", "/job-take-batch/",
      "http://h/v2/ep/job-take-batch/w-1?gpu=A" },
    { "http://h/job-take/$RUNPOD_POD_ID/x", "/job-stop/", "http://h/job-stop/w-1/x" },
    { "http://h/job-take/job-take/$ID", "/job-stop/", "http://h/job-stop/job-take/w-1" },
    { "http://h/take/$ID", "/job-take-batch/", NULL },
    { "http://h/job-take", "/job-take-batch/", NULL },
};

static void the_way_of_taking_stands_in_the_path(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        const struct config config = { .take_url = slice_from(urls[i].template),
                                       .worker_id = SLICE_LITERAL("w-1") };
        struct err err = { 0 };
        struct buf out;
        buf_init(&out, 1000, "test");
        assert_int_equal(platform_take_url(&out, &config, urls[i].instead, &err),
                         urls[i].url != NULL);
        assert_int_equal(err.code, 0);
        if (urls[i].url != NULL && !slice_is(buf_slice(&out), urls[i].url))
            fail_msg("%.*s, not %s", SLICE_ARG(buf_slice(&out)), urls[i].url);
        buf_free(&out);
    }
}

static void a_url_that_is_too_long_is_an_error(void **state)
{
    const struct config config = { .take_url = SLICE_LITERAL("http://h/job-take/$ID"),
                                   .worker_id = SLICE_LITERAL("w-1") };
    struct err err = { 0 };
    struct buf out;
    (void)state;
    buf_init(&out, strlen("http://h/job-take/w-"), "test");
    assert_false(platform_take_url(&out, &config, "/job-take/", &err));
    assert_int_equal(err.code, ERR_LIMIT);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_poll_that_was_held_may_have_been_cut),
        cmocka_unit_test(many_workers_do_not_ask_in_step),
        cmocka_unit_test(the_way_of_taking_stands_in_the_path),
        cmocka_unit_test(a_url_that_is_too_long_is_an_error),
    };
    return cmocka_run_group_tests_name("platform request", tests, NULL, NULL);
}
