/* app/job_table: the index of ids, duplicates, sealed jobs, room and stops. */
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
        BENCH(ids_are_spread_and_the_seed_matters),
    };
    return cmocka_run_group_tests_name("job_table", tests, NULL, NULL);
}
