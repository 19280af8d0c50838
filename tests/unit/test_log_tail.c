/* base/log_tail: the newest lines of a handler's output. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/log_tail.h"

static struct log_tail tail;
static struct buf text;

static int set_up(void **state)
{
    (void)state;
    log_tail_init(&tail);
    buf_init(&text, LIMIT_MIB, "text");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    log_tail_free(&tail);
    buf_free(&text);
    return 0;
}

static slice put(size_t max_bytes)
{
    buf_clear(&text);
    log_tail_put(&tail, max_bytes, &text);
    assert_int_equal(buf_error(&text, NULL), 0);
    return buf_slice(&text);
}

static void lines_come_back_without_the_last_feed(void **state)
{
    (void)state;
    assert_int_equal(put(100).len, 0);
    log_tail_add(&tail, SLICE_LITERAL("one"));
    log_tail_add(&tail, SLICE_LITERAL(""));
    log_tail_add(&tail, SLICE_LITERAL("two"));
    assert_true(slice_is(put(100), "one\ntwo"));
    log_tail_clear(&tail);
    assert_int_equal(put(100).len, 0);
}

static void only_whole_lines_unless_one_is_too_long(void **state)
{
    (void)state;
    log_tail_add(&tail, SLICE_LITERAL("first"));
    log_tail_add(&tail, SLICE_LITERAL("second"));
    log_tail_add(&tail, SLICE_LITERAL("third"));
    assert_true(slice_is(put(12), "second\nthird"));
    assert_true(slice_is(put(11), "third"));
    assert_true(slice_is(put(5), "third"));
    assert_true(slice_is(put(3), "ird"));
    log_tail_add(&tail, SLICE_LITERAL("\xc3\xa9\xc3\xa9"));
    assert_true(slice_is(put(3), "\xc3\xa9"));
}

static void the_newest_stay_however_many_come(void **state)
{
    char line[64];
    (void)state;
    for (int i = 0; i < 20000; i++) {
        int len = snprintf(line, sizeof line, "line %d", i);
        log_tail_add(&tail, (slice){ line, (size_t)len });
    }
    slice got = put(LIMIT_CAPTURE_BYTES);
    assert_in_range(got.len, LIMIT_CAPTURE_BYTES - sizeof line, LIMIT_CAPTURE_BYTES);
    assert_memory_equal(got.ptr, "line ", 5);
    assert_memory_equal(got.ptr + got.len - 10, "line 19999", 10);
}

/* However the kept bytes are moved, lines stay whole and in order. */
static void lines_stay_in_order(void **state)
{
    char line[64];
    (void)state;
    for (unsigned number = 0; number < 9000; number++) {
        unsigned first, last = 0, count = 0;
        int used;
        int len = snprintf(line, sizeof line, "%u %0*u", number, (int)(number % 40) + 1, 0u);
        log_tail_add(&tail, (slice){ line, (size_t)len });
        if (number % 50 != 0)
            continue;
        buf_clear(&text);
        log_tail_put(&tail, LIMIT_CAPTURE_BYTES, &text);
        assert_int_equal(buf_add(&text, "\n", 2, NULL), 0); /* and a NUL */
        const char *at = text.ptr;
        for (; sscanf(at, "%u %*[0]%n", &first, &used) == 1; at += used + 1) {
            assert_true(count++ == 0 || first == last + 1);
            assert_int_equal(at[used], '\n');
            last = first;
        }
        assert_int_equal(at - text.ptr, text.len - 1);
        assert_int_equal(last, number);
    }
}

static void a_tail_that_was_freed_is_empty(void **state)
{
    (void)state;
    log_tail_add(&tail, SLICE_LITERAL("one"));
    log_tail_free(&tail);
    assert_int_equal(put(100).len, 0);
    log_tail_add(&tail, SLICE_LITERAL("two"));
    assert_true(slice_is(put(100), "two"));
}

static void a_line_of_any_length_is_cut_at_its_start(void **state)
{
    static char line[5 * LIMIT_CAPTURE_BYTES];
    (void)state;
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = 'y';
    for (int i = 0; i < 5; i++)
        log_tail_add(&tail, (slice){ line, sizeof line });
    slice got = put(LIMIT_CAPTURE_BYTES);
    assert_in_range(got.len, LIMIT_CAPTURE_BYTES - 4, LIMIT_CAPTURE_BYTES);
    assert_int_equal(got.ptr[got.len - 1], 'y');
}

static void secrets_are_replaced_before_anything_is_cut(void **state)
{
    (void)state;
    log_add_secret(SLICE_LITERAL("TOPSECRET"));
    log_tail_add(&tail, SLICE_LITERAL("key TOPSECRET."));
    assert_true(slice_is(put(5), "****."));
}

/* The secret lies across the place where the newest LIMIT_CAPTURE_BYTES begin. */
static void no_part_of_a_secret_stays_where_the_limit_cuts_it(void **state)
{
    static char line[3 * LIMIT_CAPTURE_BYTES];
    (void)state;
    memset(line, 'x', sizeof line);
    memcpy(line + 2 * LIMIT_CAPTURE_BYTES - 4, "TOPSECRET", 9);
    log_add_secret(SLICE_LITERAL("TOPSECRET"));
    log_tail_add(&tail, (slice){ line, sizeof line });
    slice got = put(LIMIT_CAPTURE_BYTES);
    assert_int_equal(got.len, LIMIT_CAPTURE_BYTES);
    assert_memory_equal(got.ptr, "*****x", 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_come_back_without_the_last_feed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_whole_lines_unless_one_is_too_long, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_newest_stay_however_many_come, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lines_stay_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_tail_that_was_freed_is_empty, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_line_of_any_length_is_cut_at_its_start, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(secrets_are_replaced_before_anything_is_cut, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(no_part_of_a_secret_stays_where_the_limit_cuts_it, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
