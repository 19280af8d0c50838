/* app/job_table: the index of ids, duplicates, sealed jobs, room and stops. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "app/job_table.h"
#include "base/hash.h"
#include "base/limits.h"

static struct job_table table;
static struct job_waiter waiter;
static struct log_repeat repeat;

static int set_up(void **state)
{
    (void)state;
    log_init(LOG_NOTSET, false);
    job_table_init(&table);
    job_waiter_init(&waiter);
    return 0;
}

/* Jobs with the ids "0" to "count - 1", as one answer. */
static struct job *take(size_t count)
{
    struct delivery *delivery;
    struct job *jobs;
    struct err err = { 0 };
    char text[64];
    assert_int_equal(delivery_new(&delivery, LIMIT_TAKE_BYTES, &err), 0);
    for (size_t i = 0; i < count; i++) {
        snprintf(text, sizeof text, "%c{\"id\": \"%zu\", \"input\": 1}", i == 0 ? '[' : ',', i);
        buf_add_text(&delivery->body, text, NULL);
    }
    buf_add_text(&delivery->body, "]", NULL);
    assert_int_equal(buf_error(&delivery->body, &err), 0);
    assert_int_equal(delivery_read(delivery, NULL, &jobs, &err), 0);
    delivery_release(delivery);
    return jobs;
}

static void remove_all(void)
{
    job_table_end(&table);
    for (struct job *job; (job = job_table_next(&table, &waiter)) != NULL;)
        job_table_remove(&table, job);
    assert_false(job_table_is_busy(&table));
    for (size_t i = 0; i < JOB_TABLE_BUCKETS; i++)
        assert_null(table.by_id[i]);
}

static void ids_are_found_and_duplicates_released(void **state)
{
    enum { JOBS = LIMIT_JOBS_AN_ANSWER };
    char id[16];
    (void)state;
    struct job_added added = job_table_add(&table, take(JOBS), &repeat);
    assert_int_equal(added.accepted, JOBS);
    assert_int_equal(added.duplicates, 0);
    assert_int_equal(added.unserved, JOBS);
    added = job_table_add(&table, take(10), &repeat);
    assert_int_equal(added.accepted, 0);
    assert_int_equal(added.duplicates, 10);
    for (int i = 0; i < JOBS; i++) {
        snprintf(id, sizeof id, "%d", i);
        assert_int_equal(job_table_stop(&table, slice_from(id)), JOB_STOPPED_NOW);
        assert_int_equal(job_table_stop(&table, slice_from(id)), JOB_STOPPED_BEFORE);
    }
    assert_int_equal(job_table_stop(&table, SLICE_LITERAL("1000")), JOB_NOT_HELD);
    remove_all();
    assert_int_equal(job_table_stop(&table, SLICE_LITERAL("0")), JOB_NOT_HELD);
}

/* One answer may hold more than was asked for, up to a limit; the rest is not taken. */
static void an_answer_is_cut_at_the_limit(void **state)
{
    (void)state;
    struct job_added added = job_table_add(&table, take(3 * LIMIT_JOBS_AN_ANSWER), &repeat);
    assert_int_equal(added.accepted, LIMIT_JOBS_AN_ANSWER);
    assert_int_equal(job_table_stop(&table, SLICE_LITERAL("1000")), JOB_NOT_HELD);
    remove_all();
}

/* Two clients may choose one id: both are held, and a stop is for both. */
static void chosen_ids_may_be_the_same(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct job *job = take(1);
        job->client_chose_id = true;
        assert_int_equal(job_table_add(&table, job, &repeat).accepted, 1);
    }
    struct job *first = job_table_next(&table, &waiter);
    assert_int_equal(job_table_stop(&table, SLICE_LITERAL("0")), JOB_STOPPED_NOW);
    assert_int_equal(job_table_stop(&table, SLICE_LITERAL("0")), JOB_STOPPED_BEFORE);
    job_table_remove(&table, first);
    assert_int_equal(job_table_stop(&table, SLICE_LITERAL("0")), JOB_STOPPED_BEFORE);
    remove_all();
}

static void a_sealed_job_makes_room_and_is_held(void **state)
{
    size_t room, first = 0;
    struct buf ids;
    (void)state;
    buf_init(&ids, 100, "ids");
    job_table_add(&table, take(2), &repeat);
    struct job *job = job_table_next(&table, &waiter);
    assert_true(job_table_wait_room(&table, 2, 0, &room));
    assert_int_equal(room, 0);
    job_table_seal(&table, job);
    assert_true(job_table_wait_room(&table, 2, 0, &room));
    assert_int_equal(room, 1);
    assert_true(job_table_is_busy(&table));
    /* Its time is over, so it cannot run out; the other one has not begun. */
    assert_int_equal(job_table_stop_begun_before(&table, INT64_MAX), 0);
    assert_int_equal(job_table_ids(&table, 100, &first, &ids), 0);
    assert_true(slice_is(buf_slice(&ids), "1,0"));
    job_table_remove(&table, job);
    assert_true(job_table_wait_room(&table, 2, 0, &room));
    assert_int_equal(room, 1);
    buf_free(&ids);
    remove_all();
}

static void room_is_told_without_waiting(void **state)
{
    (void)state;
    assert_int_equal(job_table_room(&table, 3), 3);
    job_table_add(&table, take(2), &repeat);
    assert_int_equal(job_table_room(&table, 3), 1);
    assert_int_equal(job_table_room(&table, 2), 0);
    assert_int_equal(job_table_room(&table, 1), 0);
    assert_int_equal(job_table_queued(&table), 2);
    assert_int_equal(job_table_count(&table), 2);
    struct job *job = job_table_next(&table, &waiter);
    assert_int_equal(job_table_queued(&table), 1);
    assert_int_equal(job_table_count(&table), 2);
    job_table_seal(&table, job);
    assert_int_equal(job_table_room(&table, 2), 1);
    job_table_close(&table);
    assert_int_equal(job_table_room(&table, 3), 0);
    job_table_remove(&table, job);
    remove_all();
}

/* What is to end needs no slot that is ready; the others keep their order. */
static void a_queued_job_that_is_stopped_comes_first(void **state)
{
    static const char *const others[] = { "0", "3" };
    (void)state;
    job_table_add(&table, take(3), &repeat);
    assert_null(job_table_next_stopped(&table));
    for (const char *id = "21"; *id != '\0'; id++) { /* the last, and one in the middle */
        assert_int_equal(job_table_stop(&table, (slice){ id, 1 }), JOB_STOPPED_NOW);
        struct job *job = job_table_next_stopped(&table);
        assert_true(job != NULL && job->id.ptr[0] == *id);
        assert_null(job->next);
        assert_true(job->begun_ms > 0);
        assert_null(job_table_next_stopped(&table));
        if (*id == '2') /* which is a new last one's place */
            assert_int_equal(job_table_add(&table, take(4), &repeat).accepted, 1);
        job_table_remove(&table, job);
    }
    assert_int_equal(job_table_queued(&table), 2);
    for (int i = 0; i < 2; i++) {
        struct job *job = job_table_next(&table, &waiter);
        assert_true(slice_is(job->id, others[i]));
        job_table_remove(&table, job);
    }
    remove_all();
}

static void a_recalled_slot_gets_no_job(void **state)
{
    (void)state;
    job_table_add(&table, take(1), &repeat);
    job_table_recall(&table, &waiter);
    assert_null(job_table_next(&table, &waiter));
    assert_true(atomic_load(&waiter.recalled));
    assert_int_equal(job_table_queued(&table), 1);
    atomic_store(&waiter.recalled, false);
    struct job *job = job_table_next(&table, &waiter);
    assert_non_null(job);
    job_table_remove(&table, job);
    remove_all();
}

static void *wait_for_job(void *argument)
{
    return job_table_next(&table, argument);
}

static void await_waiting(size_t count)
{
    for (size_t waiting = SIZE_MAX; waiting != count; sched_yield()) {
        pthread_mutex_lock(&table.lock);
        waiting = table.waiting;
        pthread_mutex_unlock(&table.lock);
    }
}

/* The one that has waited longest is the last of the list. */
static void a_slot_is_recalled_while_it_waits(void **state)
{
    struct job_waiter waiters[3];
    pthread_t threads[3];
    void *got;
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        job_waiter_init(&waiters[i]);
        assert_int_equal(pthread_create(&threads[i], NULL, wait_for_job, &waiters[i]), 0);
        await_waiting(i + 1);
    }
    job_table_recall(&table, &waiters[0]);
    pthread_join(threads[0], &got);
    assert_null(got);
    assert_int_equal(table.waiting, 2);
    assert_int_equal(job_table_add(&table, take(3), &repeat).unserved, 1);
    for (size_t i = 1; i < 3; i++) {
        pthread_join(threads[i], &got);
        assert_non_null(got);
        job_table_remove(&table, got);
    }
    assert_int_equal(job_table_queued(&table), 1);
    assert_int_equal(table.waiting, 0);
    remove_all();
}

/* As many as fit, and from there on the next time. */
static void ids_are_named_in_turn(void **state)
{
    static const struct {
        size_t max_bytes, left_out, first;
        const char *ids;
    } turns[] = {
        { 9, 0, 0, "2,1,0" }, { 8, 1, 2, "2,1" }, { 8, 1, 1, "0,2" }, { 5, 1, 0, "1,0" },
        { 4, 2, 1, "2" },     { 0, 3, 1, "" },    { 1, 2, 2, "1" },   { 9, 0, 0, "0,2,1" },
    };
    size_t first = 0;
    (void)state;
    job_table_add(&table, take(3), &repeat);
    for (size_t i = 0; i < sizeof turns / sizeof *turns; i++) {
        struct buf ids;
        buf_init(&ids, 100, "ids");
        assert_int_equal(job_table_ids(&table, turns[i].max_bytes, &first, &ids),
                         turns[i].left_out);
        if (!slice_is(buf_slice(&ids), turns[i].ids))
            fail_msg("%zu: %.*s", i, SLICE_ARG(buf_slice(&ids)));
        assert_int_equal(first, turns[i].first);
        buf_free(&ids);
    }
    remove_all();
}

static void ids_are_spread_and_the_seed_matters(void **state)
{
    static unsigned counts[JOB_TABLE_BUCKETS];
    size_t moved = 0, most = 0;
    char id[32];
    (void)state;
    for (int i = 0; i < JOB_TABLE_BUCKETS; i++) {
        snprintf(id, sizeof id, "job-%d-u1", i);
        uint32_t hash = hash_bytes(slice_from(id), 1) % JOB_TABLE_BUCKETS;
        moved += hash != hash_bytes(slice_from(id), 2) % JOB_TABLE_BUCKETS;
        if (++counts[hash] > most)
            most = counts[hash];
    }
    assert_true(most <= 10);
    assert_true(moved > JOB_TABLE_BUCKETS / 2);
}

#define BENCH(test) cmocka_unit_test_setup(test, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH(ids_are_found_and_duplicates_released),
        BENCH(an_answer_is_cut_at_the_limit),
        BENCH(chosen_ids_may_be_the_same),
        BENCH(a_sealed_job_makes_room_and_is_held),
        BENCH(room_is_told_without_waiting),
        BENCH(a_queued_job_that_is_stopped_comes_first),
        BENCH(a_recalled_slot_gets_no_job),
        BENCH(a_slot_is_recalled_while_it_waits),
        BENCH(ids_are_named_in_turn),
        BENCH(ids_are_spread_and_the_seed_matters),
    };
    return cmocka_run_group_tests_name("job_table", tests, NULL, NULL);
}
