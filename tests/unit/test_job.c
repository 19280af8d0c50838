/* job/job and app/job_table: deliveries read in place, and the table of jobs held. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "app/job_table.h"
#include "base/limits.h"
#include "job/job.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A delivery of these bytes with its jobs; returns what delivery_read returned. */
static int deliver(const char *body, const char *local_id, struct job **jobs, struct err *err)
{
    struct delivery *delivery;
    assert_int_equal(delivery_new(&delivery, LIMIT_TAKE_BYTES, err), 0);
    assert_int_equal(buf_add_text(&delivery->body, body, err), 0);
    int rc = delivery_read(delivery, local_id, jobs, err);
    delivery_release(delivery);
    return rc;
}

static void release_all(struct job *jobs)
{
    for (struct job *next; jobs != NULL; jobs = next) {
        next = jobs->next;
        job_release(jobs);
    }
}

static const struct reading {
    const char *body;
    const char *ids; /* of the jobs read, with spaces between; NULL: an error */
} readings[] = {
    { "{\"id\": \"a\", \"input\": 1}", "a" },
    { " [ ] ", "" },
    { "[{\"id\":\"a\",\"input\":{}},{\"id\":\"b\",\"input\":null}]", "a b" },
    { "[{\"id\":\"a\",\"input\":1}, 7, null, \"x\", [], {}, {\"input\":1}, "
      "{\"id\":\"b\",\"input\":2}]",
      "a b" },
    { "{\"id\": 12345678901234567890, \"input\": 1}", "12345678901234567890" },
    { "{\"id\": 1e3, \"input\": 1}", "1e3" },
    { "{\"id\": \"a\\u0062\\/c\", \"input\": 1}", "ab/c" },
    { "{\"input\": {\"id\": \"inner\"}, \"id\": \"outer\"}", "outer" },
    { "{\"id\": \"first\", \"input\": 1, \"id\": \"last\"}", "last" },
    { "{\"id\": \"\", \"input\": 1}", NULL },
    { "{\"id\": null, \"input\": 1}", NULL },
    { "{\"id\": [1], \"input\": 1}", NULL },
    { "{\"id\": true, \"input\": 1}", NULL },
    { "{\"input\": 1}", NULL },
    { "{}", NULL },
    { "7", NULL },
    { "\"text\"", NULL },
    { "null", NULL },
    { "", NULL },
    { "{\"id\": \"a\", \"input\": 1", NULL },
    { "{\"id\": \"a\", \"input\": NaN}", NULL },
};

static void deliveries_are_read_as_the_contract_says(void **state)
{
    (void)state;
    log_init(LOG_NOTSET, false);
    for (size_t i = 0; i < COUNT(readings); i++) {
        struct job *jobs;
        struct err err = { 0 };
        char ids[256] = "";
        int rc = deliver(readings[i].body, NULL, &jobs, &err);
        if ((rc == 0) != (readings[i].ids != NULL))
            fail_msg("%s: rc %d (%s)", readings[i].body, rc, err.text);
        if (rc != 0)
            continue;
        for (struct job *job = jobs; job != NULL; job = job->next) {
            strncat(ids, ids[0] != '\0' ? " " : "", 1);
            strncat(ids, job->id.ptr, job->id.len);
        }
        assert_string_equal(ids, readings[i].ids);
        release_all(jobs);
    }
}

static void missing_input_is_a_defect_not_a_loss(void **state)
{
    struct job *jobs;
    struct err err = { 0 };
    (void)state;
    assert_int_equal(deliver("{\"id\": \"a\"}", NULL, &jobs, &err), 0);
    assert_non_null(jobs->defect);
    release_all(jobs);
    assert_int_equal(deliver("{\"id\": \"a\", \"input\": null}", NULL, &jobs, &err), 0);
    assert_null(jobs->defect);
    assert_true(slice_is(jobs->input, "null"));
    release_all(jobs);
}

static void ids_have_a_limit(void **state)
{
    char body[2 * LIMIT_JOB_ID_BYTES];
    struct job *jobs;
    struct err err = { 0 };
    char id[LIMIT_JOB_ID_BYTES + 2];
    (void)state;
    memset(id, 'x', sizeof id);
    id[LIMIT_JOB_ID_BYTES] = '\0';
    snprintf(body, sizeof body, "{\"id\": \"%s\", \"input\": 1}", id);
    assert_int_equal(deliver(body, NULL, &jobs, &err), 0);
    release_all(jobs);
    id[LIMIT_JOB_ID_BYTES] = 'x';
    id[LIMIT_JOB_ID_BYTES + 1] = '\0';
    snprintf(body, sizeof body, "{\"id\": \"%s\", \"input\": 1}", id);
    assert_int_equal(deliver(body, NULL, &jobs, &err), ERR_INPUT);
}

static void batch_id_and_local_id(void **state)
{
    struct job *jobs;
    struct err err = { 0 };
    (void)state;
    assert_int_equal(deliver("{\"input\": 1, \"batchId\": \"b\\t1\"}", "local_test", &jobs, &err),
                     0);
    assert_true(slice_is(jobs->id, "local_test"));
    assert_true(slice_is(jobs->batch_id, "b\t1"));
    release_all(jobs);
    assert_int_equal(
        deliver("{\"id\": \"x\", \"input\": 1, \"batchId\": 7}", "local_test", &jobs, &err), 0);
    assert_true(slice_is(jobs->id, "x"));
    assert_int_equal(jobs->batch_id.len, 0);
    release_all(jobs);
}

/* As the value of an HTTP field: only what may stand in one is left as it is. */
static void ids_are_written_for_a_field(void **state)
{
    static const char *const cases[][2] = {
        { "a/b?c#d", "a/b?c#d" }, { "!~", "!~" },         { "a b", "a%20b" },
        { "a\x7f", "a%7F" },      { "a\\n/", "a%0A%2F" }, { "\xc3\xa4", "%C3%A4" },
        { "\\u0001", "%01" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct job *jobs;
        struct err err = { 0 };
        struct buf out;
        char body[64];
        buf_init(&out, 100, "field");
        snprintf(body, sizeof body, "{\"id\": \"%s\", \"input\": 1}", cases[i][0]);
        assert_int_equal(deliver(body, NULL, &jobs, &err), 0);
        assert_int_equal(job_put_field_id(jobs, &out, &err), 0);
        if (!slice_is(buf_slice(&out), cases[i][1]))
            fail_msg("%s: %.*s", cases[i][0], SLICE_ARG(buf_slice(&out)));
        buf_free(&out);
        release_all(jobs);
    }
}

/* What is in the envelope beside the input. */
static void other_members_are_noted(void **state)
{
    static const struct {
        const char *body;
        bool lacks_id, names_scratch, has_s3;
    } cases[] = {
        { "{\"id\": \"a\", \"input\": {\"scratch\": 1}}", false, false, false },
        { "{\"input\": 1, \"scratch\": null}", true, true, false },
        { "{\"id\": \"a\", \"input\": 1, \"s3Config\": {\"a\": 1}}", false, false, true },
        { "{\"id\": \"a\", \"input\": 1, \"s3Config\": {}}", false, false, false },
        { "{\"id\": \"a\", \"input\": 1, \"s3Config\": null}", false, false, false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct job *jobs;
        struct err err = { 0 };
        assert_int_equal(deliver(cases[i].body, "local", &jobs, &err), 0);
        assert_int_equal(jobs->lacks_id, cases[i].lacks_id);
        assert_int_equal(jobs->names_scratch, cases[i].names_scratch);
        assert_int_equal(jobs->s3_config.ptr != NULL, cases[i].has_s3);
        release_all(jobs);
    }
}

/* As the job writes it, with escapes, and as it is meant. */
static void the_secret_of_a_job_is_masked(void **state)
{
    static char texts[][16] = { "top\\\"secret", "top\"secret", "one\"\"secret" };
    struct job *jobs;
    struct err err = { 0 };
    (void)state;
    assert_int_equal(deliver("{\"id\": \"a\", \"input\": 1, "
                             "\"s3Config\": {\"accessSecret\": \"top\\\"secret\"}}",
                             NULL, &jobs, &err),
                     0);
    for (size_t i = 0; i < COUNT(texts); i++)
        log_mask(texts[i], strlen(texts[i]));
    assert_null(strstr(texts[0], "secret"));
    assert_null(strstr(texts[1], "secret"));
    assert_string_equal(texts[2], "one\"\"secret");
    release_all(jobs);
}

/* Its memory may be that of an earlier one, its limit is not. */
/* A job of at least that size. */
static void add_job(struct buf *body, const char *id, size_t size)
{
    struct err err;
    json_add(body, &err, "{\"id\": \"%s\", \"batchId\": \"of %s\", \"input\": \"", id, id);
    for (size_t i = 0; i < size; i++)
        buf_add_text(body, "x", NULL);
    assert_int_equal(buf_add_text(body, "\"}", &err), 0);
}

static void assert_dropped(const struct job *job, const char *id, const char *batch_id)
{
    assert_int_equal(job->text.len, 0);
    assert_int_equal(job->input.len, 0);
    assert_true(slice_is(job->id, id));
    assert_true(slice_is(job->batch_id, batch_id));
}

static void a_large_text_is_given_back_before_the_job_is(void **state)
{
    struct delivery *delivery;
    struct job *job;
    struct err err = { 0 };
    (void)state;
    assert_int_equal(delivery_new(&delivery, LIMIT_TAKE_BYTES, &err), 0);
    add_job(&delivery->body, "a", LIMIT_KEEP_BYTES);
    assert_int_equal(delivery_read(delivery, NULL, &job, &err), 0);
    delivery_release(delivery);
    assert_true(delivery->body.cap > LIMIT_KEEP_BYTES);
    job_drop_text(job);
    assert_true(delivery->body.cap <= LIMIT_KEEP_BYTES);
    assert_dropped(job, "a", "of a");
    job_release(job);
}

static void a_text_stays_while_somebody_needs_it(void **state)
{
    struct delivery *delivery;
    struct job *jobs;
    struct err err = { 0 };
    (void)state;
    assert_int_equal(delivery_new(&delivery, LIMIT_TAKE_BYTES, &err), 0);
    buf_add_text(&delivery->body, "[", NULL);
    add_job(&delivery->body, "a", LIMIT_KEEP_BYTES);
    buf_add_text(&delivery->body, ",", NULL);
    add_job(&delivery->body, "b", LIMIT_KEEP_BYTES);
    buf_add_text(&delivery->body, "]", NULL);
    assert_int_equal(delivery_read(delivery, NULL, &jobs, &err), 0);
    struct job *other = jobs->next;
    job_drop_text(jobs);
    job_drop_text(other);
    assert_true(delivery->body.cap > 2 * LIMIT_KEEP_BYTES); /* whoever took it has it still */
    delivery_release(delivery);
    assert_true(delivery->body.cap <= LIMIT_KEEP_BYTES);
    assert_dropped(jobs, "a", "of a");
    job_release(jobs);
    assert_dropped(other, "b", "of b");
    job_release(other);
}

static void a_small_text_is_kept(void **state)
{
    struct job *job;
    struct err err = { 0 };
    (void)state;
    assert_int_equal(deliver("{\"id\": \"a\", \"input\": 1}", NULL, &job, &err), 0);
    job_drop_text(job);
    assert_true(slice_is(job->input, "1"));
    job_release(job);
}

static void each_delivery_has_its_own_limit(void **state)
{
    static const size_t limits[] = { 3 * LIMIT_KEEP_BYTES, 2 * LIMIT_KEEP_BYTES,
                                     3 * LIMIT_KEEP_BYTES };
    static char body[2 * LIMIT_KEEP_BYTES + 1];
    struct delivery *delivery;
    struct err err = { 0 };
    (void)state;
    for (size_t i = 0; i < COUNT(limits); i++) {
        assert_int_equal(delivery_new(&delivery, limits[i], &err), 0);
        assert_int_equal(delivery->body.len, 0);
        int rc = buf_add(&delivery->body, body, sizeof body, &err);
        assert_int_equal(rc, limits[i] < sizeof body ? ERR_LIMIT : 0);
        delivery_release(delivery);
    }
}

/* --- the table --------------------------------------------------------------------------- */

static struct job *read_all(const char *body)
{
    struct job *jobs;
    struct err err = { 0 };
    assert_int_equal(deliver(body, NULL, &jobs, &err), 0);
    return jobs;
}

/* How many more jobs may be taken now. */
static size_t room_of(struct job_table *table, size_t slots)
{
    size_t room;
    assert_true(job_table_wait_room(table, slots, clock_now_ms() - 1, &room));
    return room;
}

/* For a call that will not wait. */
static struct job_waiter *waiter(void)
{
    static struct job_waiter unused;
    job_waiter_init(&unused);
    return &unused;
}

/* Returns the number of queued jobs for which no slot waits. */
static size_t add(struct job_table *table, struct job *jobs)
{
    static struct log_repeat repeat;
    return job_table_add(table, jobs, &repeat).unserved;
}

static void assert_ids(struct job_table *table, const char *expected)
{
    struct buf ids;
    size_t first = 0;
    buf_init(&ids, 1000, "ids");
    assert_int_equal(job_table_ids(table, 8192, &first, &ids), 0);
    assert_true(slice_is(buf_slice(&ids), expected));
    buf_free(&ids);
}

struct waiting_slot {
    struct job_table *table;
    struct job_waiter waiter;
    int done; /* jobs it got before the last word */
};

static void *slot_that_waits(void *argument)
{
    struct waiting_slot *slot = argument;
    struct job *job;
    while ((job = job_table_next(slot->table, &slot->waiter)) != NULL) {
        slot->done++;
        job_table_remove(slot->table, job);
    }
    return NULL;
}

static void waiting_slots_get_each_job_once(void **state)
{
    enum { SLOTS = 8, ROUNDS = 500 };
    struct job_table table;
    struct waiting_slot slots[SLOTS] = { 0 };
    pthread_t threads[SLOTS];
    int done = 0;
    size_t room = 0;
    (void)state;
    job_table_init(&table);
    for (int i = 0; i < SLOTS; i++) {
        slots[i].table = &table;
        job_waiter_init(&slots[i].waiter);
        assert_int_equal(pthread_create(&threads[i], NULL, slot_that_waits, &slots[i]), 0);
    }
    for (int i = 0; i < ROUNDS; i++) {
        assert_true(job_table_wait_room(&table, SLOTS - 1, DEADLINE_NEVER, &room));
        add(&table, read_all("[{\"id\":\"a\",\"input\":1},{\"id\":\"b\",\"input\":2}]"));
        assert_true(job_table_wait_room(&table, 1, DEADLINE_NEVER, &room)); /* both are done */
    }
    job_table_end(&table);
    for (int i = 0; i < SLOTS; i++) {
        pthread_join(threads[i], NULL);
        done += slots[i].done;
    }
    assert_int_equal(done, 2 * ROUNDS);
    assert_true(job_table_wait_empty(&table, DEADLINE_NEVER));
}

static void jobs_are_held_until_settled(void **state)
{
    struct job_table table;
    (void)state;
    job_table_init(&table);
    assert_false(job_table_is_busy(&table));
    assert_int_equal(room_of(&table, 3), 3);
    add(&table, read_all("[{\"id\":\"a\",\"input\":1},{\"id\":\"b\",\"input\":2}]"));
    assert_true(job_table_is_busy(&table));
    assert_int_equal(room_of(&table, 3), 1);
    assert_int_equal(room_of(&table, 2), 0);
    assert_int_equal(room_of(&table, 1), 0);
    int64_t before_ms = clock_now_ms();
    struct job *a = job_table_next(&table, waiter()), *b = job_table_next(&table, waiter());
    assert_true(a->taken_ms > 0 && a->taken_ms <= before_ms);
    assert_in_range(a->begun_ms, before_ms, clock_now_ms());
    assert_true(slice_is(a->id, "a"));
    assert_true(slice_is(b->id, "b"));
    assert_ids(&table, "b,a");
    job_table_remove(&table, a);
    assert_ids(&table, "b");
    assert_false(job_table_wait_empty(&table, clock_now_ms() - 1));
    job_table_remove(&table, b);
    assert_false(job_table_wait_empty(&table, clock_now_ms() - 1)); /* more may come */
    job_table_end(&table);
    assert_true(job_table_wait_empty(&table, DEADLINE_NEVER));
    assert_ids(&table, "");
}

static void an_id_runs_once_at_a_time(void **state)
{
    struct job_table table;
    (void)state;
    log_init(LOG_NOTSET, false);
    job_table_init(&table);
    add(&table, read_all("[{\"id\":\"a\",\"input\":1},{\"id\":\"a\",\"input\":2}]"));
    add(&table, read_all("{\"id\":\"a\",\"input\":3}"));
    assert_ids(&table, "a");
    struct job *first = job_table_next(&table, waiter());
    assert_true(slice_is(first->input, "1"));
    job_table_remove(&table, first);
    add(&table, read_all("{\"id\":\"a\",\"input\":4}"));
    struct job *again = job_table_next(&table, waiter());
    assert_true(slice_is(again->input, "4"));
    job_table_remove(&table, again);
}

static void only_the_named_job_is_stopped(void **state)
{
    struct job_table table;
    (void)state;
    job_table_init(&table);
    add(&table, read_all("[{\"id\":\"a\",\"input\":1},{\"id\":\"b\",\"input\":2}]"));
    assert_int_equal(job_table_stop(&table, slice_from("c")), JOB_NOT_HELD);
    assert_int_equal(job_table_stop(&table, slice_from("b")), JOB_STOPPED_NOW);
    struct job *a = job_table_next(&table, waiter()), *b = job_table_next(&table, waiter());
    assert_false(flag_is_raised(&a->stop));
    assert_true(flag_is_raised(&b->stop));
    job_table_remove(&table, a);
    job_table_remove(&table, b);
}

static void a_client_may_choose_an_id_twice(void **state)
{
    struct job_table table;
    struct job *first = read_all("{\"id\":\"a\",\"input\":1}");
    struct job *second = read_all("{\"id\":\"a\",\"input\":2}");
    (void)state;
    job_table_init(&table);
    first->client_chose_id = second->client_chose_id = true;
    assert_int_equal(add(&table, first), 1); /* no slot waits */
    assert_int_equal(add(&table, second), 2);
    assert_ids(&table, "a,a");
    assert_ptr_equal(job_table_next(&table, waiter()), first);
    assert_ptr_equal(job_table_next(&table, waiter()), second);
    job_table_remove(&table, first);
    job_table_remove(&table, second);
    assert_false(job_table_is_busy(&table));
}

static void only_jobs_that_ran_too_long_time_out(void **state)
{
    struct job_table table;
    (void)state;
    job_table_init(&table);
    add(&table, read_all("[{\"id\":\"a\",\"input\":1},{\"id\":\"b\",\"input\":1},"
                         "{\"id\":\"queued\",\"input\":1}]"));
    struct job *a = job_table_next(&table, waiter()), *b = job_table_next(&table, waiter());
    a->begun_ms = 1000;
    b->begun_ms = 2000;
    assert_int_equal(job_table_stop_begun_before(&table, 999), 0);
    assert_int_equal(job_table_stop_begun_before(&table, 1000), 1);
    assert_int_equal(job_table_stop_begun_before(&table, 1999), 0); /* not again */
    assert_int_equal(atomic_load(&a->why), JOB_TIMED_OUT);
    assert_false(job_is_stopped(a)); /* its client gets an error */
    assert_false(flag_is_raised(&b->stop));
    assert_int_equal(job_table_stop_begun_before(&table, INT64_MAX), 1);
    struct job *queued = job_table_next(&table, waiter());
    assert_false(flag_is_raised(&queued->stop));
    job_table_remove(&table, a);
    job_table_remove(&table, b);
    job_table_remove(&table, queued);
}

/* The first reason counts, but a timeout gives way to one that makes a result pointless. */
static void abandoned_jobs_keep_an_earlier_reason(void **state)
{
    struct job_table table;
    (void)state;
    job_table_init(&table);
    add(&table, read_all("[{\"id\":\"a\",\"input\":1},{\"id\":\"b\",\"input\":1},"
                         "{\"id\":\"c\",\"input\":1}]"));
    struct job *a = job_table_next(&table, waiter()), *b = job_table_next(&table, waiter()),
               *c = job_table_next(&table, waiter());
    assert_int_equal(job_table_stop(&table, a->id), JOB_STOPPED_NOW);
    assert_false(job_wait_stopped(b, clock_now_ms() - 1));
    job_stop(b, JOB_TIMED_OUT);
    assert_false(job_wait_stopped(b, clock_now_ms() - 1)); /* its result is still wanted */
    assert_true(job_wait_stopped(a, DEADLINE_NEVER));
    job_table_abandon(&table);
    assert_int_equal(atomic_load(&a->why), JOB_STOPPED);
    assert_int_equal(atomic_load(&b->why), JOB_ABANDONED);
    assert_int_equal(atomic_load(&c->why), JOB_ABANDONED);
    assert_true(flag_is_raised(&c->stop));
    assert_true(job_wait_stopped(c, DEADLINE_NEVER));
    assert_true(job_is_stopped(a) && !job_is_stopped(c));
    job_table_remove(&table, a);
    job_table_remove(&table, b);
    job_table_remove(&table, c);
}

static void a_closed_table_runs_what_it_holds(void **state)
{
    struct job_table table;
    (void)state;
    job_table_init(&table);
    add(&table, read_all("{\"id\":\"a\",\"input\":1}"));
    job_table_close(&table);
    size_t room;
    assert_false(job_table_wait_room(&table, 5, DEADLINE_NEVER, &room));
    /* What was read just before the end is run too. */
    add(&table, read_all("{\"id\":\"late\",\"input\":1}"));
    job_table_end(&table);
    struct job *a = job_table_next(&table, waiter()), *late = job_table_next(&table, waiter());
    assert_true(slice_is(late->id, "late"));
    job_table_remove(&table, a);
    job_table_remove(&table, late);
    assert_null(job_table_next(&table, waiter()));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deliveries_are_read_as_the_contract_says),
        cmocka_unit_test(missing_input_is_a_defect_not_a_loss),
        cmocka_unit_test(ids_have_a_limit),
        cmocka_unit_test(batch_id_and_local_id),
        cmocka_unit_test(ids_are_written_for_a_field),
        cmocka_unit_test(other_members_are_noted),
        cmocka_unit_test(the_secret_of_a_job_is_masked),
        cmocka_unit_test(a_large_text_is_given_back_before_the_job_is),
        cmocka_unit_test(a_text_stays_while_somebody_needs_it),
        cmocka_unit_test(a_small_text_is_kept),
        cmocka_unit_test(each_delivery_has_its_own_limit),
        cmocka_unit_test(jobs_are_held_until_settled),
        cmocka_unit_test(waiting_slots_get_each_job_once),
        cmocka_unit_test(an_id_runs_once_at_a_time),
        cmocka_unit_test(only_the_named_job_is_stopped),
        cmocka_unit_test(a_client_may_choose_an_id_twice),
        cmocka_unit_test(only_jobs_that_ran_too_long_time_out),
        cmocka_unit_test(abandoned_jobs_keep_an_earlier_reason),
        cmocka_unit_test(a_closed_table_runs_what_it_holds),
    };
    return cmocka_run_group_tests_name("job", tests, NULL, NULL);
}
