/* job/sender: order, joining, limits and ends of what a handler sends beside its work. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/flag.h"
#include "base/limits.h"
#include "base/log.h"
#include "job/sender.h"

/* A source that records what it is given, and can be held up. */
static struct {
    struct source source;
    struct reply_channel reply_channel;
    struct sender sender;
    struct job job;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char sent[4096]; /* "s:1;p:2;": parts and updates, in order */
    size_t count;
    bool held;       /* deliveries wait for release() */
    size_t entered;  /* deliveries that have begun */
    int stream_code; /* the result of a delivery */
    int progress_code;
} bench;

static void record(char kind, slice json)
{
    pthread_mutex_lock(&bench.lock);
    bench.entered++;
    pthread_cond_broadcast(&bench.changed);
    while (bench.held)
        pthread_cond_wait(&bench.changed, &bench.lock);
    size_t len = strlen(bench.sent);
    snprintf(bench.sent + len, sizeof bench.sent - len, "%c:%.*s;", kind,
             json.len < 40 ? (int)json.len : 40, json.ptr);
    bench.count++;
    pthread_mutex_unlock(&bench.lock);
}

static int record_part(struct reply_channel *reply_channel, struct job *job, slice json,
                       struct err *err)
{
    assert_ptr_equal(reply_channel, &bench.reply_channel);
    assert_ptr_equal(job, &bench.job);
    record('s', json);
    return bench.stream_code == 0 ? 0 : err_set(err, bench.stream_code, "not delivered");
}

static int record_progress(struct reply_channel *reply_channel, const struct job *job, slice json,
                           struct err *err)
{
    (void)reply_channel;
    (void)job;
    record('p', json);
    return bench.progress_code == 0 ? 0 : err_set(err, bench.progress_code, "not delivered");
}

static const struct source_ops ops = { .stream = record_part, .progress = record_progress };

static void hold(void)
{
    pthread_mutex_lock(&bench.lock);
    bench.held = true;
    pthread_mutex_unlock(&bench.lock);
}

static void release(void)
{
    pthread_mutex_lock(&bench.lock);
    bench.held = false;
    pthread_cond_broadcast(&bench.changed);
    pthread_mutex_unlock(&bench.lock);
}

/* Until that many deliveries have begun. */
static void wait_entered(size_t count)
{
    pthread_mutex_lock(&bench.lock);
    while (bench.entered < count)
        pthread_cond_wait(&bench.changed, &bench.lock);
    pthread_mutex_unlock(&bench.lock);
}

static int set_up(void **state)
{
    (void)state;
    log_init(LOG_NOTSET, false);
    memset(&bench, 0, sizeof bench);
    bench.source.ops = &ops;
    bench.reply_channel.source = &bench.source;
    bench.job.id = SLICE_LITERAL("job-1");
    flag_init(&bench.job.stop);
    pthread_mutex_init(&bench.lock, NULL);
    pthread_cond_init(&bench.changed, NULL);
    sender_init(&bench.sender, &bench.reply_channel);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    release();
    sender_close(&bench.sender);
    return 0;
}

static int stream(const char *json, bool is_text)
{
    struct err err = { 0 };
    return sender_stream(&bench.sender, &bench.job, slice_from(json), is_text, &err);
}

static int progress(const char *json)
{
    struct err err = { 0 };
    return sender_progress(&bench.sender, &bench.job, slice_from(json), &err);
}

static size_t waiting_updates(void)
{
    pthread_mutex_lock(&bench.sender.lock);
    size_t count = bench.sender.waiting_updates;
    pthread_mutex_unlock(&bench.sender.lock);
    return count;
}

/* After that nothing is queued, and nothing counts as queued. */
static int finish(void)
{
    struct err err = { 0 };
    int rc = sender_finish(&bench.sender, &err);
    assert_true(sender_is_idle(&bench.sender));
    assert_int_equal(bench.sender.waiting_bytes, 0);
    assert_int_equal(bench.sender.waiting_updates, 0);
    return rc;
}

static void wait_idle(void)
{
    while (!sender_is_idle(&bench.sender))
        sched_yield();
}

static void parts_and_updates_keep_their_order(void **state)
{
    (void)state;
    assert_int_equal(stream("1", false), 0);
    assert_int_equal(progress("2"), 0);
    assert_int_equal(stream("\"3\"", false), 0);
    assert_int_equal(finish(), 0);
    assert_string_equal(bench.sent, "s:1;p:2;s:\"3\";");
    /* The next job, on the same thread. */
    assert_int_equal(stream("4", false), 0);
    assert_int_equal(finish(), 0);
    assert_string_equal(bench.sent, "s:1;p:2;s:\"3\";s:4;");
}

static void nothing_to_send_needs_no_thread(void **state)
{
    (void)state;
    assert_int_equal(finish(), 0);
    assert_false(bench.sender.started);
}

static void queued_pieces_of_a_text_are_joined(void **state)
{
    (void)state;
    hold();
    assert_int_equal(stream("\"a\"", true), 0);
    wait_entered(1);
    assert_int_equal(stream("\"b\"", true), 0);
    assert_int_equal(stream("\"\"", true), 0);
    assert_int_equal(stream("\"c\\n\"", true), 0);
    assert_int_equal(stream("{}", false), 0); /* not a text: nothing is joined over it */
    assert_int_equal(stream("\"d\"", true), 0);
    assert_int_equal(stream("\"e\"", false), 0); /* a string, but a part by itself */
    release();
    assert_int_equal(finish(), 0);
    assert_string_equal(bench.sent, "s:\"a\";s:\"bc\\n\";s:{};s:\"d\";s:\"e\";");
}

static void joined_pieces_have_a_limit(void **state)
{
    static char piece[LIMIT_GATHER_BYTES / 2 + 100];
    (void)state;
    memset(piece, 'x', sizeof piece - 1);
    piece[0] = piece[sizeof piece - 2] = '"';
    hold();
    assert_int_equal(stream("\"first\"", true), 0);
    wait_entered(1);
    assert_int_equal(stream(piece, true), 0);
    assert_int_equal(stream(piece, true), 0);
    release();
    assert_int_equal(finish(), 0);
    assert_int_equal(bench.count, 3);
}

static void of_many_updates_the_newest_is_kept(void **state)
{
    char expected[1000] = "p:0;", number[16];
    (void)state;
    hold();
    assert_int_equal(progress("0"), 0);
    wait_entered(1);
    for (int i = 1; i <= 100; i++) {
        snprintf(number, sizeof number, "%d", i);
        assert_int_equal(progress(number), 0);
    }
    release();
    assert_int_equal(finish(), 0);
    for (int i = 1; i < LIMIT_PROGRESS_WAITING; i++) {
        size_t len = strlen(expected);
        snprintf(expected + len, sizeof expected - len, "p:%d;", i);
    }
    strcat(expected, "p:100;");
    assert_string_equal(bench.sent, expected);
}

static void an_update_that_fails_is_not_an_error(void **state)
{
    (void)state;
    bench.progress_code = ERR_PEER;
    assert_int_equal(progress("1"), 0);
    assert_int_equal(stream("2", false), 0);
    assert_int_equal(finish(), 0);
    assert_string_equal(bench.sent, "p:1;s:2;");
}

static void a_part_that_fails_ends_the_stream(void **state)
{
    (void)state;
    bench.stream_code = ERR_TIMEOUT;
    hold();
    assert_int_equal(stream("1", false), 0);
    wait_entered(1);
    assert_int_equal(stream("2", false), 0);
    assert_int_equal(progress("3"), 0);
    release();
    /* The queue is dropped with the failure, which finish reports, once. */
    assert_int_equal(finish(), ERR_TIMEOUT);
    assert_string_equal(bench.sent, "s:1;");
    bench.stream_code = 0;
    assert_int_equal(stream("4", false), 0);
    assert_int_equal(finish(), 0);
    assert_string_equal(bench.sent, "s:1;s:4;");
}

/* Before its end, the handler learns of it by the next part. */
static void a_part_that_failed_is_told_to_the_handler(void **state)
{
    (void)state;
    bench.stream_code = ERR_TIMEOUT;
    assert_int_equal(stream("1", false), 0);
    wait_idle();
    assert_int_equal(stream("2", false), ERR_TIMEOUT);
    assert_int_equal(finish(), ERR_TIMEOUT);
    assert_string_equal(bench.sent, "s:1;");
}

static void nothing_of_a_stopped_job_is_sent(void **state)
{
    (void)state;
    hold();
    assert_int_equal(stream("1", false), 0);
    wait_entered(1);
    assert_int_equal(stream("2", false), 0);
    assert_int_equal(progress("3"), 0);
    job_stop(&bench.job, JOB_STOPPED);
    assert_int_equal(stream("4", false), ERR_CANCELLED);
    release();
    assert_int_equal(finish(), 0);
    assert_string_equal(bench.sent, "s:1;");
}

static void *stream_too_much(void *argument)
{
    static char big[LIMIT_STREAM_BYTES / 2 + 3];
    memset(big, '1', sizeof big - 1);
    (void)argument;
    for (int i = 0; i < 6; i++)
        if (stream(big, false) != 0)
            return "failed";
    return NULL;
}

/* More than the limit is not queued: the handler's thread waits, and nothing is lost. */
static void the_handler_waits_for_a_slow_platform(void **state)
{
    pthread_t thread;
    void *failed;
    (void)state;
    hold();
    assert_int_equal(pthread_create(&thread, NULL, stream_too_much, NULL), 0);
    wait_entered(1);
    for (int i = 0; i < 1000; i++) {
        pthread_mutex_lock(&bench.sender.lock);
        size_t waiting = bench.sender.waiting_bytes;
        pthread_mutex_unlock(&bench.sender.lock);
        assert_true(waiting <= LIMIT_STREAM_BYTES);
    }
    release();
    pthread_join(thread, &failed);
    assert_null(failed);
    assert_int_equal(finish(), 0);
    assert_int_equal(bench.count, 6);
}

/* It would never fit: it goes when nothing else waits. */
static void a_part_over_the_limit_waits_for_an_empty_queue(void **state)
{
    static char big[LIMIT_STREAM_BYTES + 2];
    (void)state;
    memset(big, '1', sizeof big - 1);
    assert_int_equal(stream(big, false), 0);
    assert_int_equal(stream(big, false), 0);
    assert_int_equal(finish(), 0);
    assert_int_equal(bench.count, 2);
}

/* --- what follows the last part ------------------------------------------------------------- */

static void note_next(void *owner, const struct err *failure)
{
    assert_ptr_equal(owner, &bench);
    record('n', slice_from(failure->code == 0 ? "good" : failure->text));
}

static void then(void)
{
    struct err err = { 0 };
    assert_int_equal(sender_then(&bench.sender, note_next, &bench, &err), 0);
}

static void what_follows_comes_last_and_once(void **state)
{
    (void)state;
    hold();
    assert_int_equal(stream("1", false), 0);
    wait_entered(1);
    assert_false(sender_is_idle(&bench.sender));
    assert_int_equal(progress("2"), 0);
    assert_int_equal(stream("3", false), 0);
    then();
    release();
    wait_entered(4);
    wait_idle();
    assert_int_equal(stream("4", false), 0); /* of the next job */
    assert_int_equal(finish(), 0);
    assert_string_equal(bench.sent, "s:1;p:2;s:3;n:good;s:4;");
}

static void what_follows_learns_of_a_failure(void **state)
{
    (void)state;
    bench.stream_code = ERR_PEER;
    assert_int_equal(stream("1", false), 0);
    then();
    wait_entered(2);
    assert_int_equal(finish(), 0); /* it has been told */
    bench.stream_code = 0;
    then();
    wait_entered(3);
    assert_int_equal(finish(), 0);
    assert_string_equal(bench.sent, "s:1;n:not delivered;n:good;");
}

/* Updates that still wait when the patience is over are dropped; parts are not. */
static void what_follows_does_not_wait_long_for_updates(void **state)
{
    (void)state;
    hold();
    assert_int_equal(progress("1"), 0);
    wait_entered(1);
    assert_int_equal(progress("2"), 0);
    assert_int_equal(stream("3", false), 0);
    assert_int_equal(progress("4"), 0);
    then();
    pthread_mutex_lock(&bench.sender.lock);
    assert_true(clock_left_ms(bench.sender.patience) <= LIMIT_PROGRESS_LAST_MS);
    bench.sender.patience = clock_now_ms(); /* it is over */
    pthread_mutex_unlock(&bench.sender.lock);
    release();
    wait_entered(3);
    assert_int_equal(finish(), 0);
    assert_string_equal(bench.sent, "p:1;s:3;n:good;");
}

static void *release_when_updates_are_dropped(void *argument)
{
    while (waiting_updates() > 0)
        clock_sleep(clock_deadline(5));
    release();
    return argument;
}

/* The one under way is waited for; those behind it for LIMIT_PROGRESS_LAST_MS. */
static void the_end_does_not_wait_long_for_updates(void **state)
{
    pthread_t thread;
    (void)state;
    hold();
    assert_int_equal(progress("1"), 0);
    wait_entered(1);
    assert_int_equal(stream("2", false), 0);
    assert_int_equal(progress("3"), 0);
    assert_int_equal(pthread_create(&thread, NULL, release_when_updates_are_dropped, NULL), 0);
    assert_int_equal(finish(), 0);
    pthread_join(thread, NULL);
    assert_string_equal(bench.sent, "p:1;s:2;");
}

#define BENCH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH(parts_and_updates_keep_their_order),
        BENCH(nothing_to_send_needs_no_thread),
        BENCH(queued_pieces_of_a_text_are_joined),
        BENCH(joined_pieces_have_a_limit),
        BENCH(of_many_updates_the_newest_is_kept),
        BENCH(an_update_that_fails_is_not_an_error),
        BENCH(a_part_that_fails_ends_the_stream),
        BENCH(a_part_that_failed_is_told_to_the_handler),
        BENCH(nothing_of_a_stopped_job_is_sent),
        BENCH(the_handler_waits_for_a_slow_platform),
        BENCH(a_part_over_the_limit_waits_for_an_empty_queue),
        BENCH(what_follows_comes_last_and_once),
        BENCH(what_follows_learns_of_a_failure),
        BENCH(what_follows_does_not_wait_long_for_updates),
        BENCH(the_end_does_not_wait_long_for_updates),
    };
    return cmocka_run_group_tests_name("sender", tests, NULL, NULL);
}
