/* child/report, child/text and child/edition: what programs bring about in the worker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/log_tail.h"
#include "child/edition.h"
#include "child/report.h"
#include "child/text.h"

static struct child_setting setting;
static struct child child;
static struct err err;

static unsigned lost;
static char why[ERR_TEXT_BYTES];

static void note_lost(void *owner, const char *text)
{
    assert_ptr_equal(owner, &lost);
    lost++;
    snprintf(why, sizeof why, "%s", text);
}

static int set_up(void **state)
{
    (void)state;
    log_init(LOG_NOTSET, false);
    log_tail_clear(&log_tail_of_handlers);
    log_tail_clear(&log_tail_of_errors);
    setting = (struct child_setting){ .max_deaths = 3 };
    child_init(&child, &setting, 1000, "a line");
    child_on_loss(&setting, note_lost, &lost);
    err = (struct err){ 0 };
    lost = 0;
    why[0] = '\0';
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    child_free(&child);
    return 0;
}

/* --- a handler that is lost ------------------------------------------------------------------- */

static void report_failure(int code, const char *text)
{
    err_set(&err, code, "%s", text);
    child_report_failure(&child, code, &err);
}

static void as_many_failures_as_are_allowed_lose_it(void **state)
{
    (void)state;
    child_report_failure(&child, 0, &err);
    child.deaths = 2;
    report_failure(ERR_RETRY, "it died");
    assert_int_equal(lost, 0);
    assert_int_equal(child.lost.code, 0);
    child.deaths = 3;
    report_failure(ERR_TIMEOUT, "late"); /* no verdict */
    report_failure(ERR_CANCELLED, "stopped");
    assert_int_equal(lost, 0);
    report_failure(ERR_RETRY, "it died");
    assert_int_equal(lost, 1);
    assert_string_equal(why, "3 starts in a row have failed (--handler-deaths): it died");
    assert_int_equal(child.lost.code, ERR_CONFIG);
    assert_string_equal(child.lost.text, why);
}

/* It was not ready in time: child_make_ready has said so in child->lost. */
static void one_that_is_too_slow_is_lost_at_once(void **state)
{
    (void)state;
    child.lost.code = ERR_RETRY;
    report_failure(ERR_RETRY, "not ready in time");
    assert_int_equal(lost, 1);
    assert_string_equal(why, "not ready in time");
    assert_int_equal(child.lost.code, ERR_CONFIG);
}

static void one_that_dies_in_jobs_is_lost(void **state)
{
    (void)state;
    child.deaths = 7;
    child_report_deaths(&child);
    assert_int_equal(lost, 1);
    assert_string_equal(why, "The handler's program has died 7 times in a row (--handler-deaths)");
    assert_int_equal(child.lost.code, ERR_CONFIG);
}

/* With --watch it waits for another program. */
static void one_that_is_watched_is_halted(void **state)
{
    (void)state;
    assert_false(child_halt(&child, "it died"));
    assert_false(child.halted);
    setting.watches = true;
    child.lost.code = ERR_RETRY;
    report_failure(ERR_RETRY, "not ready in time");
    assert_true(child.halted);
    assert_int_equal(child.lost.code, 0);
    child.halted = false;
    child_report_deaths(&child);
    assert_true(child.halted);
    assert_int_equal(lost, 0);
}

/* --- what it asks for ------------------------------------------------------------------------- */

static void concurrency_is_a_number_in_range(void **state)
{
    char most[16], more[16];
    (void)state;
    snprintf(most, sizeof most, "%d", LIMIT_CONCURRENCY);
    snprintf(more, sizeof more, "%d", LIMIT_CONCURRENCY + 1);
    assert_int_equal(child_concurrency(5), 5);
    child_report_concurrency(SLICE_LITERAL("0"));
    child_report_concurrency(SLICE_LITERAL("-1"));
    child_report_concurrency(SLICE_LITERAL("1.5"));
    child_report_concurrency(SLICE_LITERAL("\"2\""));
    child_report_concurrency(slice_from(more));
    assert_int_equal(child_concurrency(5), 5);
    child_report_concurrency(slice_from(most));
    assert_int_equal(child_concurrency(5), LIMIT_CONCURRENCY);
    child_report_concurrency(SLICE_LITERAL("1"));
    child_report_concurrency(SLICE_LITERAL("null"));
    assert_int_equal(child_concurrency(5), 1);
}

/* The first that is said before anybody asks counts; that is so once in a process. */
static void the_first_reason_to_be_unfit_counts(void **state)
{
    static char text[3 * LIMIT_REASON_BYTES], check[100] = "\"";
    struct child_message message = { 0 };
    const char *name;
    char reason[LIMIT_REASON_BYTES], cut[6];
    (void)state;
    assert_false(child_report_unfit(&message));
    memset(text, 'x', sizeof text);
    text[0] = text[sizeof text - 1] = '"';
    memcpy(text + 1, "\\u0041", 6);
    memset(check + 1, 'n', 62);
    memcpy(check + 63, "\xc3\xa9\"", 3); /* a character across the limit */
    message.unfit = (slice){ text, sizeof text };
    message.check = slice_from(check);
    assert_true(child_report_unfit(&message));
    message.unfit = SLICE_LITERAL("{\"n\": 1}");
    message.check = SLICE_LITERAL("\"second\"");
    assert_true(child_report_unfit(&message));
    assert_true(child_unfit_reason(&name, reason, sizeof reason));
    assert_int_equal(strlen(name), 62);
    assert_int_equal(strlen(reason), LIMIT_REASON_BYTES - 1);
    assert_memory_equal(reason, "Ax", 2);
    assert_true(child_unfit_reason(&name, cut, sizeof cut));
    assert_string_equal(cut, "Axxxx");
    assert_false(child_report_unfit(&message)); /* too late */
}

/* In a process of its own. */
static void a_reason_without_a_name_is_the_handlers(void **state)
{
    int status;
    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const struct child_message message = { .unfit = SLICE_LITERAL("{\"n\": 1}") };
        const char *name;
        char reason[LIMIT_REASON_BYTES];
        bool good = child_report_unfit(&message) &&
                    child_unfit_reason(&name, reason, sizeof reason) &&
                    strcmp(name, "handler") == 0 && strcmp(reason, "{\"n\": 1}") == 0;
        _exit(good ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* --- its log ---------------------------------------------------------------------------------- */

static void add_lines(int from, int to)
{
    char line[32];
    for (int i = from; i < to; i++) {
        int len = snprintf(line, sizeof line, "no%d", i);
        child_add_to_tail(&child, (slice){ line, (size_t)len });
    }
}

static void an_error_shows_ten_lines(void **state)
{
    (void)state;
    assert_int_equal(child_log_tail(&child).len, 0);
    add_lines(0, 10);
    assert_true(
        slice_is(child_log_tail(&child), "no0\nno1\nno2\nno3\nno4\nno5\nno6\nno7\nno8\nno9"));
    add_lines(10, 11);
    assert_true(
        slice_is(child_log_tail(&child), "no1\nno2\nno3\nno4\nno5\nno6\nno7\nno8\nno9\nno10"));
}

/* Whole lines go from the front, as many as make room and no more. */
static void the_tail_of_its_log_is_filled_to_the_last_byte(void **state)
{
    static char line[2 * sizeof child.log_tail];
    const size_t room = sizeof child.log_tail;
    (void)state;
    memset(line, 'x', sizeof line);
    child_add_to_tail(&child, SLICE_LITERAL("first"));
    child_add_to_tail(&child, SLICE_LITERAL("second"));
    child_add_to_tail(&child, (slice){ line, room - 6 - 7 - 1 });
    assert_int_equal(child.log_tail_len, room);
    assert_memory_equal(child.log_tail, "first\nsecond\nx", 14);
    child_add_to_tail(&child, SLICE_LITERAL("third")); /* as long as the first */
    assert_int_equal(child.log_tail_len, room);
    assert_memory_equal(child.log_tail, "second\nx", 8);
    child_add_to_tail(&child, SLICE_LITERAL("sixsix_")); /* a byte longer than the second */
    assert_memory_equal(child.log_tail, "third\nsixsix_\n", 14);
    assert_int_equal(child.log_tail_len, 14);
}

static void a_line_that_is_too_long_loses_its_start(void **state)
{
    static char line[2 * sizeof child.log_tail];
    const size_t room = sizeof child.log_tail;
    (void)state;
    memset(line, 'x', sizeof line);
    child_add_to_tail(&child, (slice){ line, room - 1 });
    assert_int_equal(child.log_tail_len, room);
    child_add_to_tail(&child, (slice){ line, room }); /* without room for its line feed */
    assert_int_equal(child.log_tail_len, room);
    assert_int_equal(child.log_tail[room - 1], '\n');
    line[sizeof line - room] = 'a';
    line[sizeof line - room + 1] = 'b';
    child_add_to_tail(&child, (slice){ line, sizeof line });
    assert_int_equal(child.log_tail_len, room);
    assert_memory_equal(child.log_tail, "bx", 2);
    assert_int_equal(child.log_tail[room - 1], '\n');
}

static slice kept(struct log_tail *tail)
{
    static char text[256];
    struct buf out;
    buf_init(&out, LIMIT_CAPTURE_BYTES, "text");
    log_tail_put(tail, LIMIT_CAPTURE_BYTES, &out);
    snprintf(text, sizeof text, "%.*s", SLICE_ARG(buf_slice(&out)));
    buf_free(&out);
    return slice_from(text);
}

static void print(const char *text)
{
    size_t room;
    assert_int_equal(lines_room(&child.err, &room, &err), 0);
    assert_true(room >= strlen(text));
    memcpy(child.err.buf.ptr + child.err.buf.len, text, strlen(text));
    lines_filled(&child.err, strlen(text));
}

static void standard_error_is_kept_for_errors(void **state)
{
    (void)state;
    print("one\n\ntwo");
    child_log_errors(&child, false);
    assert_true(slice_is(child_log_tail(&child), "one"));
    child_log_line(&child, SLICE_LITERAL("printed"));
    child_log_errors(&child, true);
    assert_true(slice_is(child_log_tail(&child), "one\ntwo"));
    assert_true(slice_is(kept(&log_tail_of_errors), "one\ntwo"));
    assert_true(slice_is(kept(&log_tail_of_handlers), "one\nprinted\ntwo"));
}

/* The program of --fitness is no handler. */
static void a_check_says_nothing_about_the_handler(void **state)
{
    (void)state;
    setting.one_output = true;
    print("one\n");
    child_log_errors(&child, false);
    assert_true(slice_is(child_log_tail(&child), "one"));
    assert_int_equal(kept(&log_tail_of_errors).len, 0);
    assert_int_equal(kept(&log_tail_of_handlers).len, 0);
}

/* An isolated handler's own log is logged anew, and what else it prints is text. */
static void the_log_of_an_isolated_handler_is_read(void **state)
{
    (void)state;
    print("{\"message\": \"a\\nb\", \"level\": \"INFO\"}\n");
    child_log_errors(&child, false);
    assert_non_null(strstr(kept(&log_tail_of_errors).ptr, "\"message\""));
    log_tail_clear(&log_tail_of_errors);
    log_tail_clear(&log_tail_of_handlers);
    child.log_tail_len = 0;
    setting.isolated = true;
    print("{\"message\": \"ab\", \"level\": \"INFO\"}\n");
    child_log_errors(&child, false);
    assert_true(slice_is(kept(&log_tail_of_handlers), "ab"));
    assert_int_equal(kept(&log_tail_of_errors).len, 0);
    assert_int_equal(child_log_tail(&child).len, 0);
    print("{\"message\": \"c\"}\n{\"level\": 1}\n{\"message\": \"d\", \"level\": 1\nplain\n");
    child_log_errors(&child, false);
    assert_true(slice_is(kept(&log_tail_of_errors), "{\"message\": \"c\"}\n{\"level\": 1}\n"
                                                    "{\"message\": \"d\", \"level\": 1\nplain"));
}

/* --- editions --------------------------------------------------------------------------------- */

static void count_change(void *owner)
{
    ++*(int *)owner;
}

static void a_change_is_told_to_all_that_listen(void **state)
{
    int counts[3] = { 0 };
    struct child_edition_listener listeners[3];
    unsigned known = child_edition();
    (void)state;
    for (int i = 0; i < 3; i++) {
        listeners[i] = (struct child_edition_listener){ .changed = count_change,
                                                        .owner = &counts[i] };
        child_edition_listen(&listeners[i]);
    }
    assert_false(child_edition_wait(known, clock_now_ms() - 1));
    child_edition_change();
    assert_int_equal(child_edition(), known + 1);
    assert_true(child_edition_wait(known, DEADLINE_NEVER));
    child_edition_unlisten(&listeners[1]);
    child_edition_unlisten(&listeners[1]); /* not there any more */
    child_edition_change();
    child_edition_unlisten(&listeners[2]);
    child_edition_unlisten(&listeners[0]);
    child_edition_change();
    assert_int_equal(counts[0], 2);
    assert_int_equal(counts[1], 1);
    assert_int_equal(counts[2], 2);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(as_many_failures_as_are_allowed_lose_it),
        TEST(one_that_is_too_slow_is_lost_at_once),
        TEST(one_that_dies_in_jobs_is_lost),
        TEST(one_that_is_watched_is_halted),
        TEST(concurrency_is_a_number_in_range),
        TEST(a_reason_without_a_name_is_the_handlers), /* before the next */
        TEST(the_first_reason_to_be_unfit_counts),
        TEST(an_error_shows_ten_lines),
        TEST(the_tail_of_its_log_is_filled_to_the_last_byte),
        TEST(a_line_that_is_too_long_loses_its_start),
        TEST(standard_error_is_kept_for_errors),
        TEST(a_check_says_nothing_about_the_handler),
        TEST(the_log_of_an_isolated_handler_is_read),
        TEST(a_change_is_told_to_all_that_listen),
    };
    return cmocka_run_group_tests_name("child_report", tests, NULL, NULL);
}
