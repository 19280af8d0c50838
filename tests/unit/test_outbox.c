/* app/outbox: results beside the next job, their order with a stream, the bounded store. */
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/outbox.h"
#include "base/limits.h"

#define LOG_BYTES 65536

/* A source that records what it is given, and holds posts until they are let go, one by one. */
static struct {
    struct source source;
    struct source_ops ops;
    struct config config;
    struct job_table table;
    struct outbox outbox;
    struct job_waiter waiter;
    struct log_repeat repeat;
    pthread_mutex_t lock;
    char sent[LOG_BYTES]; /* "part 1;{"output": 1};": what was delivered, in order */
    sem_t entered, let_go;
    int post_code, stream_code;
    int undelivered;
} bench;

static void record(slice text)
{
    pthread_mutex_lock(&bench.lock);
    size_t len = strlen(bench.sent);
    snprintf(bench.sent + len, sizeof bench.sent - len, "%.*s;", SLICE_ARG(text));
    pthread_mutex_unlock(&bench.lock);
}

static int open_channel(struct source *source, struct reply_channel *channel, struct err *err)
{
    (void)err;
    *channel = (struct reply_channel){ .source = source };
    return 0;
}

static int post(struct reply_channel *channel, struct job *job, const struct result *result,
                struct err *err)
{
    char text[1024] = "";
    (void)channel;
    (void)job;
    sem_post(&bench.entered);
    sem_wait(&bench.let_go);
    for (size_t i = 0; i < result->count && result->bytes < sizeof text; i++)
        strncat(text, result->pieces[i].ptr, result->pieces[i].len);
    record(slice_from(text));
    return bench.post_code == 0 ? 0 : err_set(err, bench.post_code, "not delivered");
}

static int stream(struct reply_channel *channel, struct job *job, slice json, struct err *err)
{
    (void)channel;
    (void)job;
    record(json);
    return bench.stream_code == 0 ? 0 : err_set(err, bench.stream_code, "not delivered");
}

static void count_undelivered(void *owner)
{
    (void)owner;
    bench.undelivered++;
}

static int set_up(void **state)
{
    struct err err = { 0 };
    (void)state;
    log_init(LOG_NOTSET, false);
    memset(&bench, 0, sizeof bench);
    bench.ops = (struct source_ops){ .open = open_channel, .post = post, .stream = stream };
    bench.source.ops = &bench.ops;
    bench.config.result_max_bytes = 2 * LIMIT_UNDELIVERED_BYTES;
    pthread_mutex_init(&bench.lock, NULL);
    sem_init(&bench.entered, 0, 0);
    sem_init(&bench.let_go, 0, 0);
    job_table_init(&bench.table);
    job_waiter_init(&bench.waiter);
    bench.outbox = (struct outbox){ .config = &bench.config,
                                    .source = &bench.source,
                                    .table = &bench.table,
                                    .undelivered = count_undelivered };
    outbox_init(&bench.outbox);
    return outbox_grow(&bench.outbox, &err);
}

static int tear_down(void **state)
{
    (void)state;
    job_table_end(&bench.table);
    assert_true(job_table_wait_empty(&bench.table, DEADLINE_NEVER));
    for (size_t i = 0; i < bench.outbox.parcels; i++) {
        struct parcel *parcel = outbox_take(&bench.outbox);
        rp_job_free(&parcel->job);
        result_free(&parcel->result);
        free(parcel);
    }
    return 0;
}

static struct job *next_job(const char *id)
{
    struct delivery *delivery;
    struct job *job;
    struct err err = { 0 };
    char text[64];
    snprintf(text, sizeof text, "{\"id\": \"%s\", \"input\": 1}", id);
    assert_int_equal(delivery_new(&delivery, LIMIT_MIB, &err), 0);
    buf_add_text(&delivery->body, text, NULL);
    assert_int_equal(delivery_read(delivery, NULL, &job, &err), 0);
    delivery_release(delivery);
    assert_int_equal(job_table_add(&bench.table, job, &bench.repeat).accepted, 1);
    return job_table_next(&bench.table, &bench.waiter);
}

static size_t room(size_t slots)
{
    size_t free_slots;
    job_table_wait_room(&bench.table, slots, 0, &free_slots);
    return free_slots;
}

static int return_input(rp_job *job, void *state)
{
    (void)state;
    return rp_return(job, "%.*Q", (int)job->task->id.len, job->task->id.ptr);
}

static int yield_two(rp_job *job, void *state)
{
    (void)state;
    rp_yield(job, "1");
    rp_yield(job, "2");
    return RP_OK;
}

static int return_half_a_store(rp_job *job, void *state)
{
    static char text[LIMIT_UNDELIVERED_BYTES / 2 + 2];
    (void)state;
    memset(text, 'x', sizeof text - 1);
    return rp_return(job, "%Q", text);
}

/* Runs a job and hands it over. */
static void run(const char *id, int (*body)(rp_job *job, void *state))
{
    const struct handler_ops ops = { .run = body };
    const struct handler handler = { .ops = &ops };
    struct parcel *parcel = outbox_take(&bench.outbox);
    struct job *job = next_job(id);
    rp_job_run(&parcel->job, job, &handler, NULL, &parcel->result);
    outbox_send(parcel, job);
}

static void let_go(size_t count)
{
    for (size_t i = 0; i < count; i++)
        sem_post(&bench.let_go);
}

static void a_slot_is_free_while_its_result_is_posted(void **state)
{
    (void)state;
    run("a", return_input);
    sem_wait(&bench.entered);
    assert_int_equal(room(1), 1);
    assert_true(job_table_is_busy(&bench.table));
    run("b", return_input); /* while the first is still held */
    sem_wait(&bench.entered);
    let_go(2);
    job_table_end(&bench.table);
    assert_true(job_table_wait_empty(&bench.table, DEADLINE_NEVER));
    assert_non_null(strstr(bench.sent, "{\"output\": \"a\"};"));
    assert_non_null(strstr(bench.sent, "{\"output\": \"b\"};"));
}

static void parts_come_before_the_result(void **state)
{
    (void)state;
    run("a", yield_two);
    let_go(1);
    job_table_end(&bench.table);
    assert_true(job_table_wait_empty(&bench.table, DEADLINE_NEVER));
    assert_string_equal(bench.sent, "1;2;{\"output\": []};");
}

static void a_part_that_is_not_delivered_fails_the_job(void **state)
{
    (void)state;
    bench.stream_code = ERR_TIMEOUT;
    run("a", yield_two);
    let_go(1);
    job_table_end(&bench.table);
    assert_true(job_table_wait_empty(&bench.table, DEADLINE_NEVER));
    assert_non_null(strstr(bench.sent, "StreamError"));
    assert_null(strstr(bench.sent, "\"output\""));
}

static int yield_one_and_fail(rp_job *job, void *state)
{
    (void)state;
    rp_yield(job, "1");
    return rp_job_fail(job, "a reason of its own");
}

/* One that has failed anyway keeps its own reason. */
static void a_failed_job_keeps_its_reason(void **state)
{
    (void)state;
    bench.stream_code = ERR_TIMEOUT;
    run("a", yield_one_and_fail);
    let_go(1);
    job_table_end(&bench.table);
    assert_true(job_table_wait_empty(&bench.table, DEADLINE_NEVER));
    assert_non_null(strstr(bench.sent, "a reason of its own"));
    assert_null(strstr(bench.sent, "StreamError"));
}

static void a_result_that_cannot_be_delivered_is_counted(void **state)
{
    (void)state;
    bench.post_code = ERR_TIMEOUT;
    run("a", return_input);
    let_go(1);
    job_table_end(&bench.table);
    assert_true(job_table_wait_empty(&bench.table, DEADLINE_NEVER));
    assert_int_equal(bench.undelivered, 1);
}

static void nothing_is_posted_for_a_stopped_job(void **state)
{
    struct job *job = next_job("a");
    struct parcel *parcel = outbox_take(&bench.outbox);
    (void)state;
    rp_job_begin(&parcel->job, job);
    job_stop(job, JOB_STOPPED);
    outbox_send(parcel, job);
    job_table_end(&bench.table);
    assert_true(job_table_wait_empty(&bench.table, DEADLINE_NEVER));
    assert_string_equal(bench.sent, "");
    assert_int_equal(bench.undelivered, 0);
}

static void *run_big(void *argument)
{
    run(argument, return_half_a_store);
    return argument;
}

/* The second one is posted too, but its slot is not free before there is room. */
static void a_slot_waits_while_the_store_is_full(void **state)
{
    pthread_t thread;
    char second[] = "second";
    (void)state;
    run("first", return_half_a_store);
    sem_wait(&bench.entered);
    assert_int_equal(room(2), 2);
    assert_int_equal(pthread_create(&thread, NULL, run_big, second), 0);
    sem_wait(&bench.entered);
    assert_int_equal(room(2), 1);
    let_go(2);
    pthread_join(thread, NULL);
    job_table_end(&bench.table);
    assert_true(job_table_wait_empty(&bench.table, DEADLINE_NEVER));
    assert_int_equal(bench.outbox.stored, 0);
    assert_int_equal(bench.outbox.stored_bytes, 0);
}

static void sources_that_deliver_at_once_do_it_here(void **state)
{
    (void)state;
    bench.ops.delivers_at_once = true;
    let_go(2);
    struct parcel *parcel = outbox_take(&bench.outbox);
    parcel->job.sends_beside = false;
    outbox_give_back(parcel);
    run("a", return_input);
    assert_string_equal(bench.sent, "{\"output\": \"a\"};");
    run("b", yield_two);
    assert_string_equal(bench.sent, "{\"output\": \"a\"};1;2;{\"output\": []};");
    assert_int_equal(bench.outbox.parcels, 1);
}

static void the_store_is_bounded(void **state)
{
    const size_t max = LIMIT_UNDELIVERED_BYTES;
    (void)state;
    assert_true(outbox_has_room(0, 0, SIZE_MAX));
    assert_true(outbox_has_room(1, 1, max - 1));
    assert_false(outbox_has_room(1, 1, max));
    assert_false(outbox_has_room(1, max, 1));
    assert_false(outbox_has_room(1, 2 * max, 1)); /* one alone may be larger */
    assert_true(outbox_has_room(LIMIT_UNDELIVERED - 1, 1, 1));
    assert_false(outbox_has_room(LIMIT_UNDELIVERED, 1, 1));
}

#define BENCH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH(a_slot_is_free_while_its_result_is_posted),
        BENCH(parts_come_before_the_result),
        BENCH(a_part_that_is_not_delivered_fails_the_job),
        BENCH(a_failed_job_keeps_its_reason),
        BENCH(a_result_that_cannot_be_delivered_is_counted),
        BENCH(nothing_is_posted_for_a_stopped_job),
        BENCH(a_slot_waits_while_the_store_is_full),
        BENCH(sources_that_deliver_at_once_do_it_here),
        cmocka_unit_test(the_store_is_bounded),
    };
    return cmocka_run_group_tests_name("outbox", tests, NULL, NULL);
}
