/* source/endpoint_store.h: the jobs of the job API, without threads and sockets. */
#include "source/endpoint_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/limits.h"

static struct store store;

static int begin(void **state)
{
    (void)state;
    store_init(&store);
    return 0;
}

/* What the worker never does: it ends with its store. */
static int end(void **state)
{
    (void)state;
    store_purge(&store);
    for (struct store_job *job = store.newest, *older; job != NULL; job = older) {
        older = job->older;
        if (job->state == STORE_IN_PROGRESS)
            job_release(job->job);
        store_job_free(job);
    }
    return 0;
}

static struct store_job *make(const char *id)
{
    struct err err = { 0 };
    struct store_job *job = calloc(1, sizeof *job);
    assert_non_null(job);
    snprintf(job->id, sizeof job->id, "%s", id);
    job->ttl_ms = LIMIT_ENDPOINT_TTL_MS;
    job->execution_ms = LIMIT_ENDPOINT_EXECUTION_MS;
    assert_int_equal(delivery_new(&job->delivery, SIZE_MAX, &err), 0);
    buf_add_text(&job->delivery->body, "{\"input\": 1, \"id\": \"", NULL);
    buf_add_text(&job->delivery->body, id, NULL);
    buf_add_text(&job->delivery->body, "\"}", NULL);
    assert_int_equal(delivery_read(job->delivery, NULL, &job->job, &err), 0);
    return job;
}

static int try_add(struct store_job *job, int *status)
{
    struct err err = { 0 };
    int rc = store_add(&store, job, status, &err);
    assert_true(rc == 0 || err.text[0] != '\0');
    return rc;
}

static struct store_job *add(const char *id)
{
    int status;
    struct store_job *job = make(id);
    assert_int_equal(try_add(job, &status), 0);
    return job;
}

/* What the slot does at a job's end: the result, then its reference. */
static void finish(struct store_job *job, const char *text, bool is_error)
{
    struct buf result;
    struct job *task = job->job;
    buf_init(&result, SIZE_MAX, "a result");
    buf_add_text(&result, text, NULL);
    store_set_result(&store, job, &result, is_error);
    job_release(task);
}

static struct store_job *run(const char *id, const char *text, bool is_error)
{
    struct store_job *job = add(id);
    assert_ptr_equal(store_begin_next(&store, DEADLINE_NEVER), job);
    finish(job, text, is_error);
    return job;
}

static struct store_job *find(const char *id)
{
    return store_find(&store, slice_from(id));
}

static void assert_slice(slice text, const char *expected)
{
    assert_non_null(text.ptr);
    assert_true(slice_is(text, expected));
}

/* --- the way of a job ------------------------------------------------------------------------- */

static void test_in_order(void **state)
{
    (void)state;
    struct store_job *first = add("a"), *second = add("b");
    assert_int_equal(store.queued, 2);
    assert_ptr_equal(find("a"), first);
    assert_null(find("c"));
    assert_ptr_equal(store_begin_next(&store, DEADLINE_NEVER), first);
    assert_ptr_equal(store_begin_next(&store, DEADLINE_NEVER), second);
    assert_null(store_begin_next(&store, DEADLINE_NEVER));
    assert_int_equal(first->state, STORE_IN_PROGRESS);
    assert_int_equal(store.queued, 0);
    assert_int_equal(store.running, 2);
    assert_int_equal(store.wait.count, 2);
    finish(first, "{\"output\": {\"n\": 1}}", false);
    assert_int_equal(first->state, STORE_COMPLETED);
    assert_slice(first->output, "{\"n\": 1}");
    assert_null(first->error.ptr);
    finish(second, "{\"error\": \"no\", \"output\": [1]}", true);
    assert_int_equal(second->state, STORE_FAILED);
    assert_slice(second->error, "\"no\"");
    assert_slice(second->output, "[1]");
    assert_int_equal(store.running, 0);
    assert_int_equal(store.ended_count, 2);
    assert_int_equal(store.finished[STORE_COMPLETED], 1);
    assert_int_equal(store.finished[STORE_FAILED], 1);
    assert_int_equal(store.execution.count, 2);
}

static void test_low_priority_waits_for_all_others(void **state)
{
    int status;
    struct store_job *low = make("low");
    (void)state;
    low->is_low = true;
    assert_int_equal(try_add(low, &status), 0);
    struct store_job *later = add("later");
    assert_ptr_equal(store_begin_next(&store, DEADLINE_NEVER), later);
    assert_ptr_equal(store_begin_next(&store, DEADLINE_NEVER), low);
}

/* The realtime port's other requests come in between. */
static void test_jobs_that_came_by_a_time(void **state)
{
    (void)state;
    struct store_job *low = make("low"), *first = add("first"), *second = add("second");
    int status;
    low->is_low = true;
    assert_int_equal(try_add(low, &status), 0);
    second->arrived_ms = first->arrived_ms + 10;
    assert_null(store_begin_next(&store, first->arrived_ms - 1));
    assert_ptr_equal(store_begin_next(&store, first->arrived_ms), first);
    assert_null(store_begin_next(&store, first->arrived_ms + 9));
    assert_ptr_equal(store_begin_next(&store, first->arrived_ms + 11), second);
    assert_null(store_begin_next(&store, DEADLINE_NEVER - 1)); /* all others are not done yet */
    assert_ptr_equal(store_begin_next(&store, DEADLINE_NEVER), low);
}

static void test_jobs_that_wait_are_cancelled_anywhere_in_the_queue(void **state)
{
    struct store_job *jobs[4];
    const char *const ids[] = { "a", "b", "c", "d" };
    (void)state;
    for (size_t i = 0; i < 4; i++)
        jobs[i] = add(ids[i]);
    store_end(&store, jobs[3], STORE_CANCELLED);
    store_end(&store, jobs[1], STORE_CANCELLED);
    store_end(&store, jobs[1], STORE_FAILED); /* it has ended already */
    assert_int_equal(jobs[1]->state, STORE_CANCELLED);
    struct store_job *last = add("e");
    assert_ptr_equal(store_begin_next(&store, DEADLINE_NEVER), jobs[0]);
    assert_ptr_equal(store_begin_next(&store, DEADLINE_NEVER), jobs[2]);
    assert_ptr_equal(store_begin_next(&store, DEADLINE_NEVER), last);
    assert_int_equal(store.finished[STORE_CANCELLED], 2);
    assert_int_equal(store.execution.count, 0); /* they never ran */
}

/* Of both priorities, and those that came later still run. */
static void test_jobs_of_low_priority_are_cancelled_too(void **state)
{
    struct store_job *jobs[3];
    const char *const ids[] = { "a", "b", "c" };
    int status;
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        jobs[i] = make(ids[i]);
        jobs[i]->is_low = true;
        assert_int_equal(try_add(jobs[i], &status), 0);
    }
    store_end(&store, jobs[1], STORE_CANCELLED);
    assert_ptr_equal(store_begin_next(&store, DEADLINE_NEVER), jobs[0]);
    add("high");
    assert_int_equal(store_purge(&store), 2);
    assert_int_equal(jobs[2]->state, STORE_CANCELLED);
    assert_null(store_begin_next(&store, DEADLINE_NEVER));
}

static void test_a_job_that_runs_is_told_to_stop(void **state)
{
    (void)state;
    struct store_job *job = add("a");
    store_begin_next(&store, DEADLINE_NEVER);
    struct job *task = job->job;
    store_end(&store, job, STORE_CANCELLED);
    assert_true(job_is_stopped(task));
    assert_null(job->job);
    job_release(task); /* the slot's end of it */
}

static void test_purge(void **state)
{
    (void)state;
    struct store_job *running = add("a");
    add("b");
    store_begin_next(&store, DEADLINE_NEVER);
    add("c");
    assert_int_equal(store_purge(&store), 2);
    assert_int_equal(store_purge(&store), 0);
    assert_int_equal(find("c")->state, STORE_CANCELLED);
    assert_int_equal(running->state, STORE_IN_PROGRESS);
}

/* --- again ------------------------------------------------------------------------------------ */

static void test_retry(void **state)
{
    struct err err = { 0 };
    (void)state;
    struct store_job *done = run("done", "{\"output\": 1}", false);
    assert_int_equal(store_retry(&store, done, &err), ERR_INPUT);
    struct store_job *job = run("a", "{\"error\": \"no\"}", true);
    assert_int_equal(store_retry(&store, job, &err), 0);
    assert_int_equal(job->state, STORE_IN_QUEUE);
    assert_int_equal(job->retries, 1);
    assert_int_equal(store.retried, 1);
    assert_null(job->error.ptr);
    assert_int_equal(store.ended_count, 1);
    assert_int_equal(store_retry(&store, job, &err), ERR_INPUT); /* it waits */
    assert_ptr_equal(store_begin_next(&store, DEADLINE_NEVER), job);
    assert_slice(job->job->input, "1");
    assert_slice(job->job->id, "a");
    finish(job, "{\"output\": 2}", false);
    assert_slice(job->output, "2");
    assert_int_equal(store.finished[STORE_COMPLETED], 2);
}

static void test_retry_forgets_the_parts(void **state)
{
    struct err err = { 0 };
    (void)state;
    struct store_job *job = add("a");
    store_begin_next(&store, DEADLINE_NEVER);
    assert_int_equal(store_add_part(&store, job, SLICE_LITERAL("1"), &err), 0);
    job->streamed = 1;
    finish(job, "{\"error\": 1}", true);
    assert_int_equal(store_retry(&store, job, &err), 0);
    assert_int_equal(job->part_count, 0);
    assert_int_equal(job->streamed, 0);
    store_begin_next(&store, DEADLINE_NEVER);
    assert_int_equal(store_add_part(&store, job, SLICE_LITERAL("{}"), &err), 0);
    assert_slice(store_part(job, 0), "{}");
}

/* It begins anew in every respect, and ends as any other. */
static void test_retry_leaves_nothing_of_the_first_time(void **state)
{
    struct err err = { 0 };
    (void)state;
    struct store_job *job = add("a");
    store_begin_next(&store, DEADLINE_NEVER);
    store_set_progress(&store, job, SLICE_LITERAL("50"));
    finish(job, "{\"error\": \"no\", \"output\": 1}", true);
    job->arrived_ms -= 1000;
    const int64_t first_ms = job->arrived_ms;
    assert_int_equal(store_retry(&store, job, &err), 0);
    assert_int_equal(job->begun_ms, 0);
    assert_int_equal(job->ended_ms, 0);
    assert_true(job->arrived_ms >= first_ms + 1000);
    assert_null(job->output.ptr);
    assert_int_equal(job->result.len, 0);
    assert_int_equal(job->progress.len, 0);
    assert_int_equal(job->request.len, 0);
    store_begin_next(&store, DEADLINE_NEVER);
    finish(job, "{\"output\": 2}", false);
    struct store_job *next = run("b", "{\"output\": 3}", false);
    job->ended_ms -= LIMIT_ENDPOINT_KEEP_RUN_MS;
    next->ended_ms -= LIMIT_ENDPOINT_KEEP_RUN_MS;
    store_look_at_time(&store);
    assert_null(find("a"));
    assert_null(find("b"));
    assert_int_equal(store.bytes, 0);
}

static void test_what_has_been_cancelled_or_timed_out_may_be_retried(void **state)
{
    struct err err = { 0 };
    (void)state;
    struct store_job *job = add("a");
    for (int i = 0; i < 2; i++) {
        store_end(&store, job, i == 0 ? STORE_CANCELLED : STORE_TIMED_OUT);
        assert_int_equal(store_retry(&store, job, &err), 0);
        assert_int_equal(store.queued, 1);
    }
    assert_ptr_equal(store_begin_next(&store, DEADLINE_NEVER), job);
    assert_int_equal(store_retry(&store, job, &err), ERR_INPUT); /* it runs */
    assert_non_null(strstr(err.text, "this one is IN_PROGRESS"));
    finish(job, "{}", false);
}

/* --- what is kept ----------------------------------------------------------------------------- */

/* Jobs that go leave the others in their order. */
static void test_jobs_are_linked_by_their_arrival(void **state)
{
    (void)state;
    struct store_job *first = add("a"), *middle = make("sync-b"), *last;
    int status;
    middle->is_sync = true;
    assert_int_equal(try_add(middle, &status), 0);
    last = add("c");
    assert_ptr_equal(store.newest, last);
    store_end(&store, middle, STORE_CANCELLED);
    middle->ended_ms -= LIMIT_ENDPOINT_KEEP_RUNSYNC_MS;
    store_look_at_time(&store);
    assert_ptr_equal(last->older, first);
    assert_ptr_equal(first->newer, last);
    assert_null(last->newer);
    assert_null(first->older);
    store_end(&store, last, STORE_CANCELLED);
    last->ended_ms -= LIMIT_ENDPOINT_KEEP_RUN_MS;
    store_look_at_time(&store);
    assert_ptr_equal(store.newest, first);
    assert_null(first->newer);
}

/* A line, with its line feed, is kept whole or not at all. */
static void test_a_log_may_be_full_to_the_last_byte(void **state)
{
    const size_t size = LIMIT_ENDPOINT_LOG_BYTES;
    char *text = malloc(size);
    (void)state;
    assert_non_null(text);
    memset(text, 'x', size);
    struct store_job *job = add("a");
    store_add_log(&store, job, (slice){ text, size });
    assert_int_equal(job->log.len, 0);
    store_add_log(&store, job, (slice){ text, size - 1 });
    assert_int_equal(job->log.len, size);
    assert_int_equal(job->log.ptr[size - 1], '\n');
    store_add_log(&store, job, SLICE_LITERAL(""));
    assert_int_equal(job->log.len, size);
    free(text);
}

static void test_parts_progress_and_log(void **state)
{
    struct err err = { 0 };
    char line[1000];
    (void)state;
    struct store_job *job = add("a");
    store_begin_next(&store, DEADLINE_NEVER);
    for (int i = 0; i < 100; i++) {
        int len = snprintf(line, sizeof line, "{\"n\": %d}", i);
        assert_int_equal(store_add_part(&store, job, (slice){ line, (size_t)len }, &err), 0);
    }
    assert_slice(store_part(job, 0), "{\"n\": 0}");
    assert_slice(store_part(job, 99), "{\"n\": 99}");
    store_set_progress(&store, job, SLICE_LITERAL("50"));
    store_set_progress(&store, job, SLICE_LITERAL("100"));
    assert_slice(buf_slice(&job->progress), "100");
    assert_int_equal(job->updates, 2);
    memset(line, 'x', sizeof line);
    for (int i = 0; i < 100; i++)
        store_add_log(&store, job, (slice){ line, sizeof line });
    assert_true(job->log.len <= LIMIT_ENDPOINT_LOG_BYTES);
    assert_true(job->log.len > LIMIT_ENDPOINT_LOG_BYTES - 1001);
}

static void test_parts_over_the_limit(void **state)
{
    struct err err = { 0 };
    const size_t size = LIMIT_ENDPOINT_PARTS_BYTES / 2 + 1;
    char *text = malloc(size);
    (void)state;
    assert_non_null(text);
    memset(text, '1', size);
    struct store_job *job = add("a");
    store_begin_next(&store, DEADLINE_NEVER);
    assert_int_equal(store_add_part(&store, job, (slice){ text, size }, &err), 0);
    assert_int_equal(store_add_part(&store, job, (slice){ text, size }, &err), ERR_LIMIT);
    assert_int_equal(job->part_count, 1);
    free(text);
}

/* All that is accounted for goes with the jobs. */
static void test_bytes_are_accounted_for(void **state)
{
    struct err err = { 0 };
    (void)state;
    char text[5000];
    int status;
    memset(text, '1', sizeof text);
    assert_int_equal(store.bytes, 0);
    struct store_job *job = make("a");
    buf_init(&job->request, SIZE_MAX, "a request");
    buf_add(&job->request, text, sizeof text, NULL);
    assert_int_equal(try_add(job, &status), 0);
    size_t waiting = store.bytes;
    assert_true(waiting > sizeof *job + sizeof text);
    store_begin_next(&store, DEADLINE_NEVER);
    store_add_part(&store, job, (slice){ text, sizeof text }, &err);
    assert_true(store.bytes >= waiting + sizeof text);
    finish(job, "{\"output\": 1}", false);
    job->ended_ms -= LIMIT_ENDPOINT_KEEP_RUN_MS;
    store_look_at_time(&store);
    assert_null(find("a"));
    assert_int_equal(store.bytes, 0);
    assert_int_equal(store.ended_count, 0);
}

/* The store has this job alone, which has ended. */
static void assert_all_accounted_for(const struct store_job *job)
{
    assert_int_equal(store.bytes, sizeof *job + job->request.cap + job->result.cap +
                                      job->progress.cap + job->parts.cap + job->log.cap +
                                      job->part_room * sizeof *job->part_ends);
}

/* Each kind of them, as it comes. */
static void test_everything_of_a_job_is_accounted_for(void **state)
{
    struct err err = { 0 };
    size_t before, part;
    (void)state;
    struct store_job *job = add("a");
    assert_true(store.bytes >= sizeof *job + 8192 + job->delivery->body.cap);
    before = store.bytes;
    store_begin_next(&store, DEADLINE_NEVER);
    assert_int_equal(store.bytes, before);
    store_set_progress(&store, job, SLICE_LITERAL("50"));
    assert_int_equal(store.bytes, before += job->progress.cap);
    store_add_log(&store, job, SLICE_LITERAL("a line"));
    assert_int_equal(store.bytes, before += job->log.cap);
    assert_int_equal(store_add_part(&store, job, SLICE_LITERAL("1"), &err), 0);
    part = job->parts.cap + job->part_room * sizeof *job->part_ends;
    assert_int_equal(store.bytes, before + part);
    finish(job, "{\"error\": \"no\"}", true);
    assert_all_accounted_for(job);
    assert_true(job->request.cap > 0 && job->result.cap > 0);
}

static void test_a_job_in_use_outlives_the_store_s_reference(void **state)
{
    (void)state;
    struct store_job *job = store_hold(run("a", "{\"output\": \"kept\"}", false));
    job->ended_ms -= LIMIT_ENDPOINT_KEEP_RUN_MS;
    store_look_at_time(&store);
    assert_null(find("a"));
    assert_slice(job->output, "\"kept\"");
    store_drop(&store, job);
    assert_int_equal(store.bytes, 0);
}

/* --- time ------------------------------------------------------------------------------------- */

static void test_how_long_jobs_are_kept(void **state)
{
    (void)state;
    struct store_job *long_kept = run("a", "{}", false);
    int status;
    struct store_job *sync = make("sync-b");
    sync->is_sync = true;
    assert_int_equal(try_add(sync, &status), 0);
    store_begin_next(&store, DEADLINE_NEVER);
    finish(sync, "{}", false);
    sync->ended_ms -= LIMIT_ENDPOINT_KEEP_RUNSYNC_MS;
    long_kept->ended_ms -= LIMIT_ENDPOINT_KEEP_RUNSYNC_MS;
    store_look_at_time(&store);
    assert_null(find("sync-b"));
    assert_ptr_equal(find("a"), long_kept);
    assert_int_equal(store.next_ms, long_kept->ended_ms + LIMIT_ENDPOINT_KEEP_RUN_MS);
}

static void test_time_to_live_and_execution_timeout(void **state)
{
    (void)state;
    struct store_job *running = add("a"), *waiting = add("b"), *other = add("c");
    store_begin_next(&store, DEADLINE_NEVER);
    struct job *task = running->job;
    running->begun_ms -= running->execution_ms;
    waiting->arrived_ms -= waiting->ttl_ms;
    store_look_at_time(&store);
    assert_int_equal(running->state, STORE_TIMED_OUT);
    assert_int_equal(waiting->state, STORE_TIMED_OUT);
    assert_int_equal(other->state, STORE_IN_QUEUE);
    assert_true(job_is_stopped(task));
    job_release(task);
    assert_int_equal(store.finished[STORE_TIMED_OUT], 2);
    assert_int_equal(store.queued, 1);
    struct err err = { 0 };
    assert_int_equal(store_retry(&store, waiting, &err), 0);
}

/* The time to live goes on while it runs. */
static void test_a_job_that_runs_has_no_more_time_to_live(void **state)
{
    (void)state;
    struct store_job *job = add("a"), *other = add("b");
    store_begin_next(&store, DEADLINE_NEVER);
    store_begin_next(&store, DEADLINE_NEVER);
    struct job *task = job->job, *other_task = other->job;
    job->arrived_ms -= job->ttl_ms;
    store_look_at_time(&store);
    assert_int_equal(job->state, STORE_TIMED_OUT);
    assert_int_equal(other->state, STORE_IN_PROGRESS);
    assert_int_equal(store.next_ms, other->begun_ms + other->execution_ms);
    job_release(task);
    store_end(&store, other, STORE_CANCELLED);
    job_release(other_task);
}

/* A deadline that has come nearer is seen by the timer. */
static void test_next_deadline(void **state)
{
    int status;
    (void)state;
    assert_int_equal(store.next_ms, DEADLINE_NEVER);
    struct store_job *job = make("a");
    job->ttl_ms = 5000;
    assert_int_equal(try_add(job, &status), 0);
    assert_int_equal(store.next_ms, job->arrived_ms + 5000);
    job->execution_ms = 1000;
    store_begin_next(&store, DEADLINE_NEVER);
    assert_int_equal(store.next_ms, job->begun_ms + 1000);
}

/* What the metrics and the console's list say of it. */
static void test_times_are_noted(void **state)
{
    (void)state;
    const int64_t before_s = time(NULL);
    struct store_job *job = add("a");
    assert_in_range(job->arrived_unix_ms, before_s * 1000, (time(NULL) + 1) * 1000);
    job->arrived_ms -= 5000;
    store_begin_next(&store, DEADLINE_NEVER);
    assert_true(job->begun_ms - job->arrived_ms >= 5000);
    assert_int_equal(store.wait.sum_ms, job->begun_ms - job->arrived_ms);
    job->begun_ms -= 7000;
    finish(job, "{}", false);
    assert_true(job->ended_ms - job->begun_ms >= 7000);
    assert_int_equal(store.execution.sum_ms, job->ended_ms - job->begun_ms);
}

/* --- limits ----------------------------------------------------------------------------------- */

static void name(char *id, size_t size, const char *prefix, int number)
{
    snprintf(id, size, "%s%d", prefix, number);
}

static void test_full_queue(void **state)
{
    char id[32];
    int status = 0;
    struct err err = { 0 };
    (void)state;
    struct store_job *failed = run("failed", "{\"error\": 1}", true);
    for (int i = 0; i < LIMIT_ENDPOINT_QUEUED; i++) {
        name(id, sizeof id, "job-", i);
        add(id);
    }
    struct store_job *job = make("one-more");
    assert_int_equal(try_add(job, &status), ERR_LIMIT);
    assert_int_equal(status, 429);
    assert_null(find("one-more"));
    assert_int_equal(store_retry(&store, failed, &err), ERR_LIMIT);
    assert_int_equal(failed->state, STORE_FAILED);
    store_end(&store, find("job-0"), STORE_CANCELLED);
    assert_int_equal(try_add(job, &status), 0);
}

static void test_full_memory(void **state)
{
    int status = 0;
    struct err err = { 0 };
    (void)state;
    run("old", "{\"output\": 1}", false);
    struct store_job *job = add("a");
    store_begin_next(&store, DEADLINE_NEVER);
    job->delivery->body.cap += LIMIT_ENDPOINT_BYTES; /* as if it were that large */
    store_set_progress(&store, job, SLICE_LITERAL("1"));
    struct store_job *other = make("b");
    assert_int_equal(store_add(&store, other, &status, &err), ERR_LIMIT);
    assert_int_equal(status, 503);
    assert_null(find("old")); /* those that have ended give way first */
    job->delivery->body.cap -= LIMIT_ENDPOINT_BYTES;
    store_set_progress(&store, job, SLICE_LITERAL("2"));
    assert_int_equal(store_add(&store, other, &status, &err), 0);
}

static void test_only_so_many_are_kept(void **state)
{
    char id[32];
    (void)state;
    for (int i = 0; i < LIMIT_ENDPOINT_ENDED + 2; i++) {
        name(id, sizeof id, "job-", i);
        run(id, "{}", false);
    }
    assert_non_null(find("job-1"));
    add("one-more");
    assert_null(find("job-0"));
    assert_null(find("job-1"));
    assert_non_null(find("job-2"));
    assert_int_equal(store.ended_count, LIMIT_ENDPOINT_ENDED);
}

/* Of /run and of /runsync alike: the one that ended first goes first. */
static void test_the_oldest_of_both_kinds_gives_way(void **state)
{
    char id[32];
    int status;
    (void)state;
    struct store_job *sync = NULL;
    for (int i = 0; i < LIMIT_ENDPOINT_ENDED + 1; i++) {
        name(id, sizeof id, "job-", i);
        struct store_job *job = make(id);
        job->is_sync = i == 0 || i == LIMIT_ENDPOINT_ENDED;
        sync = job->is_sync ? job : sync;
        assert_int_equal(try_add(job, &status), 0);
        store_begin_next(&store, DEADLINE_NEVER);
        finish(job, "{}", false);
        job->ended_ms += i == 0 ? -1000 : i == LIMIT_ENDPOINT_ENDED ? 1000 : 0;
    }
    add("more");
    assert_null(find("job-0"));
    assert_non_null(find("job-1"));
    finish(store_begin_next(&store, DEADLINE_NEVER), "{}", false);
    add("even-more");
    assert_null(find("job-1"));
    assert_ptr_equal(find(id), sync);
}

/* --- watchers --------------------------------------------------------------------------------- */

static bool is_signalled(const struct wake *wake)
{
    bool signalled = wake_wait(wake, 0);
    wake_lower(wake);
    return signalled;
}

static void test_watchers(void **state)
{
    struct wake for_job, for_all;
    struct err err = { 0 };
    (void)state;
    assert_int_equal(wake_init(&for_job, &err), 0);
    assert_int_equal(wake_init(&for_all, &err), 0);
    struct store_watcher of_job = { .wake = &for_job }, of_all = { .wake = &for_all };
    store_watch(&store.watchers, &of_all);
    struct store_job *job = add("a");
    assert_true(is_signalled(&for_all));
    store_watch(&job->watchers, &of_job);
    assert_false(is_signalled(&for_job));
    add("b");
    assert_false(is_signalled(&for_job));
    assert_true(is_signalled(&for_all));
    store_begin_next(&store, DEADLINE_NEVER);
    assert_true(is_signalled(&for_job));
    store_add_log(&store, job, SLICE_LITERAL("a line"));
    assert_true(is_signalled(&for_job));
    store_wake_all(&store);
    assert_true(is_signalled(&for_job));
    assert_true(is_signalled(&for_all));
    store_unwatch(&job->watchers, &of_job);
    store_unwatch(&store.watchers, &of_all);
    store_set_progress(&store, job, SLICE_LITERAL("1"));
    assert_false(is_signalled(&for_job));
    wake_free(&for_job);
    wake_free(&for_all);
}

/* Whoever waits for the end alone is not woken along the way. */
static void test_watcher_for_the_end(void **state)
{
    struct wake wake;
    struct err err = { 0 };
    (void)state;
    assert_int_equal(wake_init(&wake, &err), 0);
    struct store_watcher watcher = { .wake = &wake, .for_end = true };
    struct store_job *job = add("a");
    store_watch(&job->watchers, &watcher);
    store_begin_next(&store, DEADLINE_NEVER);
    store_add_log(&store, job, SLICE_LITERAL("a line"));
    store_add_part(&store, job, SLICE_LITERAL("1"), &err);
    assert_false(is_signalled(&wake));
    finish(job, "{}", false);
    assert_true(is_signalled(&wake));
    store_unwatch(&job->watchers, &watcher);
    wake_free(&wake);
}

/* Those that are left hear of what comes, whichever of them has gone. */
static void test_several_watchers_of_one_job(void **state)
{
    struct wake wakes[3];
    struct store_watcher watchers[3];
    struct err err = { 0 };
    (void)state;
    struct store_job *job = add("a");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(wake_init(&wakes[i], &err), 0);
        watchers[i] = (struct store_watcher){ .wake = &wakes[i] };
        store_watch(&job->watchers, &watchers[i]);
    }
    static const int order[] = { 1, 2, 0 };
    for (int gone = 0; gone < 3; gone++) {
        store_add_log(&store, job, SLICE_LITERAL("a line"));
        for (int i = 0; i < 3; i++)
            assert_int_equal(is_signalled(&wakes[order[i]]), i >= gone);
        store_unwatch(&job->watchers, &watchers[order[gone]]);
    }
    assert_null(job->watchers);
    for (int i = 0; i < 3; i++)
        wake_free(&wakes[i]);
}

static void test_names_of_states(void **state)
{
    (void)state;
    assert_string_equal(store_state_name(STORE_IN_QUEUE), "IN_QUEUE");
    assert_string_equal(store_state_name(STORE_IN_PROGRESS), "IN_PROGRESS");
    assert_string_equal(store_state_name(STORE_COMPLETED), "COMPLETED");
    assert_string_equal(store_state_name(STORE_FAILED), "FAILED");
    assert_string_equal(store_state_name(STORE_CANCELLED), "CANCELLED");
    assert_string_equal(store_state_name(STORE_TIMED_OUT), "TIMED_OUT");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_in_order),
        TEST(test_low_priority_waits_for_all_others),
        TEST(test_jobs_that_came_by_a_time),
        TEST(test_jobs_that_wait_are_cancelled_anywhere_in_the_queue),
        TEST(test_jobs_of_low_priority_are_cancelled_too),
        TEST(test_a_job_that_runs_is_told_to_stop),
        TEST(test_purge),
        TEST(test_retry),
        TEST(test_retry_forgets_the_parts),
        TEST(test_retry_leaves_nothing_of_the_first_time),
        TEST(test_what_has_been_cancelled_or_timed_out_may_be_retried),
        TEST(test_jobs_are_linked_by_their_arrival),
        TEST(test_a_log_may_be_full_to_the_last_byte),
        TEST(test_parts_progress_and_log),
        TEST(test_parts_over_the_limit),
        TEST(test_bytes_are_accounted_for),
        TEST(test_everything_of_a_job_is_accounted_for),
        TEST(test_a_job_in_use_outlives_the_store_s_reference),
        TEST(test_how_long_jobs_are_kept),
        TEST(test_time_to_live_and_execution_timeout),
        TEST(test_a_job_that_runs_has_no_more_time_to_live),
        TEST(test_next_deadline),
        TEST(test_times_are_noted),
        TEST(test_full_queue),
        TEST(test_full_memory),
        TEST(test_only_so_many_are_kept),
        TEST(test_the_oldest_of_both_kinds_gives_way),
        TEST(test_watchers),
        TEST(test_watcher_for_the_end),
        TEST(test_several_watchers_of_one_job),
        TEST(test_names_of_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
