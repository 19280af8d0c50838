/* codec/flush_timer.h: which pieces go out when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "codec/flush_timer.h"

/*
 * Pieces arrive at these times, in ms; -1 ends the list; each message takes way_ms. Writes
 * "time:pieces " for each message that goes out.
 */
static void run(int64_t interval_ms, int64_t way_ms, const int64_t *comes, char *went)
{
    struct flush_timer timer = { .interval_ms = interval_ms };
    int waiting = 0;
    went[0] = '\0';
    for (int64_t now_ms = 1000; now_ms < 3000; now_ms++) {
        for (; *comes >= 0 && *comes + 1000 == now_ms; comes++, waiting++)
            flush_timer_arrived(&timer, now_ms, way_ms);
        if (!flush_timer_is_due(&timer, now_ms))
            continue;
        sprintf(went + strlen(went), "%d:%d ", (int)(now_ms - 1000), waiting);
        waiting = 0;
        flush_timer_flushed(&timer, now_ms);
        assert_false(flush_timer_is_due(&timer, now_ms));
    }
    assert_int_equal(waiting, 0);
}

static void check(int64_t interval_ms, int64_t way_ms, const int64_t *comes, const char *expected)
{
    char went[1024];
    run(interval_ms, way_ms, comes, went);
    assert_string_equal(went, expected);
}

#define COMES(...) ((const int64_t[]){ __VA_ARGS__, -1 })

static void the_first_goes_at_once(void **state)
{
    (void)state;
    check(100, 0, COMES(0), "0:1 ");
    check(100, 1000, COMES(7, 7, 7), "7:3 ");
}

/* The lead is 20 of the 100 ms, so that each is delivered within 100 ms of its arrival. */
static void others_wait_from_their_own_coming(void **state)
{
    (void)state;
    check(100, 0, COMES(0, 1), "0:1 81:1 ");
    check(100, 0, COMES(0, 60), "0:1 140:1 ");
    check(100, 0, COMES(0, 60, 61, 139, 140, 141), "0:1 140:4 221:1 ");
}

static void after_a_quiet_interval_one_goes_at_once(void **state)
{
    (void)state;
    check(100, 0, COMES(0, 99), "0:1 179:1 ");
    check(100, 0, COMES(0, 100), "0:1 100:1 ");
    check(100, 0, COMES(0, 500, 501), "0:1 500:1 581:1 ");
}

static void a_slow_way_is_allowed_for(void **state)
{
    (void)state;
    check(100, 20, COMES(0, 10), "0:1 90:1 ");
    check(100, 35, COMES(0, 10), "0:1 75:1 ");
    check(100, 50, COMES(0, 10), "0:1 60:1 ");
    check(100, 5000, COMES(0, 10), "0:1 60:1 "); /* the lead is at most half of the interval */
}

static void without_an_interval_nothing_waits(void **state)
{
    (void)state;
    check(0, 30, COMES(0, 0, 1, 2, 500), "0:2 1:1 2:1 500:1 ");
    check(1, 0, COMES(0, 1, 2), "0:1 1:1 2:1 ");
}

/* A thousand pieces, one a millisecond: none is late, and messages are few. */
static void none_is_late(void **state)
{
    (void)state;
    int64_t comes[1001];
    char went[4096];
    for (int i = 0; i < 1000; i++)
        comes[i] = i;
    comes[1000] = -1;
    for (int64_t way_ms = 0; way_ms <= 25; way_ms++) {
        int before = 0, at, count, messages = 0;
        run(50, way_ms, comes, went);
        for (const char *rest = went; sscanf(rest, "%d:%d", &at, &count) == 2;
             rest = strchr(rest, ' ') + 1) {
            assert_true(at + way_ms - before <=
                        50); /* the oldest piece is number `before`, which arrived at that ms */
            before += count;
            messages++;
        }
        assert_int_equal(before, 1000);
        assert_true(messages <= 41);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_goes_at_once),
        cmocka_unit_test(others_wait_from_their_own_coming),
        cmocka_unit_test(after_a_quiet_interval_one_goes_at_once),
        cmocka_unit_test(a_slow_way_is_allowed_for),
        cmocka_unit_test(without_an_interval_nothing_waits),
        cmocka_unit_test(none_is_late),
    };
    return cmocka_run_group_tests_name("flush_timer", tests, NULL, NULL);
}
