/* child/shared: slots that share one program, by real processes of /bin/sh. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/limits.h"
#include "child/shared.h"
#include "child/shared_private.h"
#include "child_bench.h"

#define SLOTS 3
#define LARGE_BYTES 200000 /* of a job that a pipe does not hold */

/* A slot of the program, and the job that it runs on a thread of its own. */
static struct slot {
    struct reply_channel reply_channel;
    struct rp_job job;
    struct result result;
    struct job *task; /* NULL: none */
    void *seat;
    pthread_t thread;
    char body[2048];
} slots[SLOTS];

static struct child_bench *bench;
static char folder[32], fifo[64]; /* what a script waits for: see let_go */
static int lost;

static void count_lost(void *owner, const char *why)
{
    (void)owner;
    (void)why;
    lost++;
}

static int set_up(void **state)
{
    child_bench_set_up(state);
    bench = *state;
    bench->setting.jobs = SLOTS;
    bench->setting.kill_grace_ms = 50;
    snprintf(folder, sizeof folder, "/tmp/child_shared.XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(fifo, sizeof fifo, "%s/go", folder);
    lost = 0;
    child_shared_ops.on_loss(&bench->setting, count_lost, NULL);
    return mkfifo(fifo, 0600);
}

static int tear_down(void **state)
{
    for (int i = 0; i < SLOTS; i++) {
        if (slots[i].seat == NULL)
            continue;
        child_shared_ops.close(slots[i].seat);
        rp_job_free(&slots[i].job);
        result_free(&slots[i].result);
        slots[i] = (struct slot){ 0 };
    }
    child_shared_ops.on_loss(&bench->setting, NULL, NULL);
    unlink(fifo);
    rmdir(folder);
    return child_bench_tear_down(state);
}

/* All slots, with this script as their program; "FIFO" in it is the name of the FIFO. */
static void open_slots(const char *script)
{
    static char text[2048];
    const char *at = strstr(script, "FIFO");
    struct err err = { 0 };
    snprintf(text, sizeof text, "%.*s%s%s", at != NULL ? (int)(at - script) : (int)sizeof text - 1,
             script, at != NULL ? fifo : "", at != NULL ? at + strlen("FIFO") : "");
    bench_command(bench, text);
    for (int i = 0; i < SLOTS; i++) {
        slots[i].reply_channel.source = &bench->source;
        rp_job_init(&slots[i].job, &bench->config, &slots[i].reply_channel);
        result_init(&slots[i].result, 100000);
        assert_int_equal(child_shared_ops.open(&bench->setting, &slots[i].seat, &err), 0);
    }
}

/* Whatever the script reads from the FIFO, it goes on. */
static void let_go(void)
{
    assert_int_equal(close(open(fifo, O_WRONLY)), 0);
}

static void *slot_main(void *argument)
{
    static const struct handler handler = { .ops = &child_shared_ops };
    struct slot *slot = argument;
    rp_job_run(&slot->job, slot->task, &handler, slot->seat, &slot->result);
    return NULL;
}

/* Gives a slot a job with that id, and an input of so many bytes. */
static void start_large(int at, const char *id, size_t bytes)
{
    struct slot *slot = &slots[at];
    struct delivery *delivery;
    struct err err = { 0 };
    char *input = malloc(bytes + 1);
    assert_non_null(input);
    memset(input, '1', bytes);
    input[bytes] = '\0';
    assert_int_equal(delivery_new(&delivery, LIMIT_TAKE_BYTES, &err), 0);
    buf_add_format(&delivery->body, "{\"id\": \"%s\", \"input\": %s}", id, input);
    assert_int_equal(delivery_read(delivery, NULL, &slot->task, &err), 0);
    delivery_release(delivery);
    free(input);
    slot->result.count = 0;
    assert_int_equal(pthread_create(&slot->thread, NULL, slot_main, slot), 0);
}

static void start(int at, const char *id)
{
    start_large(at, id, 1);
}

/* The body that would be posted; "" for a job that was stopped. */
static const char *end_of(int at)
{
    struct slot *slot = &slots[at];
    size_t len = 0;
    pthread_join(slot->thread, NULL);
    for (size_t i = 0; i < slot->result.count; i++) {
        slice part = slot->result.pieces[i];
        assert_true(len + part.len < sizeof slot->body);
        memcpy(slot->body + len, part.ptr, part.len);
        len += part.len;
    }
    slot->body[len] = '\0';
    rp_job_end(&slot->job);
    job_release(slot->task);
    slot->task = NULL;
    return slot->body;
}

static void wait_phase(int at, enum seat_phase phase)
{
    struct seat *seat = slots[at].seat;
    for (bool reached = false; !reached; clock_sleep(clock_deadline(1))) {
        pthread_mutex_lock(&seat->shared->lock);
        reached = seat->phase == phase;
        pthread_mutex_unlock(&seat->shared->lock);
    }
}

/* Whether the slot may have a job now. */
static bool is_ready(int at)
{
    return child_shared_ops.prepare(slots[at].seat, clock_now_ms() - 1);
}

/* --- messages and jobs ------------------------------------------------------------------------ */

/* One that names no job is for the only one; with several nobody knows whose it is. */
static void a_message_without_a_name(void **state)
{
    (void)state;
    open_slots("read -r a; echo '{\"id\": null, \"output\": 1}'; read -r b; read -r c; "
               "echo '{\"output\": 2}'; echo '{\"id\": \"z\", \"output\": 3}'; "
               "echo '{\"id\": \"c\", \"output\": 4}{\"id\": \"b\", \"output\": 5}'; "
               "exec sleep 100");
    start(0, "a");
    assert_string_equal(end_of(0), "{\"output\": 1}");
    start(1, "b");
    start(0, "c");
    assert_string_equal(end_of(1), "{\"output\": 5}");
    assert_string_equal(end_of(0), "{\"output\": 4}");
    bench_wait_log(bench, "names none of its jobs: {\"output\": 2}\n", 1);
    bench_wait_log(bench, "names none of its jobs: {\"id\": \"z\", \"output\": 3}\n", 1);
    assert_int_equal(bench_count_log(bench, "names none of its jobs"), 2);
}

/* What is said outside of jobs is logged, counts, or is ignored with a warning. */
static void what_is_said_outside_of_jobs(void **state)
{
    (void)state;
    bench->setting.ready = true;
    open_slots("echo '{\"ready\": true}'; read -r go <FIFO; echo text; echo '{\"log\": \"said\", "
               "\"level\": \"WARN\"}{\"concurrency\": 2}'; echo '{\"ready\": true}'; "
               "echo '{\"output\": 1}'; echo '{broken'; read -r a; echo '{\"output\": 2}'; "
               "exec sleep 100");
    let_go();
    bench_wait_log(bench, "INFO   | text\n", 1);
    bench_wait_log(bench, "WARN   | said\n", 1);
    bench_wait_log(bench, "names none of its jobs: {\"output\": 1}\n", 1);
    bench_wait_log(bench, "INFO   | {broken\n", 1);
    assert_int_equal(bench_count_log(bench, "names none of its jobs"), 1);
    assert_int_equal(child_shared_ops.concurrency(&bench->setting, 1), 2);
    start(0, "a");
    assert_string_equal(end_of(0), "{\"output\": 2}");
}

/*
 * One after the other goes into the pipe, in the order of their arrival, not of the slots. None
 * waits for an answer to the one before.
 */
static void jobs_that_wait_are_sent_in_their_order(void **state)
{
    static const int order[] = { 1, 2, 0 };
    (void)state;
    bench->setting.kill_grace_ms = 20000;
    open_slots(
        "read -r go <FIFO; read -r x; read -r y; read -r z; n=0; "
        "for job in \"$x\" \"$y\" \"$z\"; do n=$((n+1)); id=${job#*: \\\"}; "
        "echo \"{\\\"id\\\": \\\"${id%%\\\"*}\\\", \\\"output\\\": $n}\"; done; exec sleep 100");
    for (int i = 0; i < SLOTS; i++) {
        char id[] = { (char)('a' + i), '\0' };
        start_large(order[i], id, i == 0 ? LARGE_BYTES : 1);
        wait_phase(order[i], i == 0 ? SEAT_SENDING : SEAT_QUEUED);
    }
    let_go();
    assert_string_equal(end_of(1), "{\"output\": 1}");
    assert_string_equal(end_of(2), "{\"output\": 2}");
    assert_string_equal(end_of(0), "{\"output\": 3}");
}

/* --- jobs that are to end --------------------------------------------------------------------- */

/* The program has it still: its slot gets no other job until it has let go of it. */
static void the_place_of_a_job_that_was_given_up(void **state)
{
    (void)state;
    open_slots(
        "go() { read -r x <FIFO; }; read -r a; echo has a; read -r b; echo has b; "
        "read -r stop; echo \"$stop\"; read -r c; echo '{\"id\": \"a\", \"progress\": 1}'; go; "
        "echo '{\"id\": \"a\", \"output\": 1}'; go; echo '{\"id\": \"c\", \"output\": 3}'; "
        "echo '{\"id\": \"b\", \"output\": 2}'; exec sleep 100");
    start(0, "a");
    bench_wait_log(bench, "has a\n", 1);
    start(1, "b");
    bench_wait_log(bench, "has b\n", 1);
    assert_true(is_ready(0));
    job_stop(slots[0].task, JOB_TIMED_OUT);
    bench_wait_log(bench, "{\"id\": \"a\", \"stop\": true}\n", 1);
    assert_holds(end_of(0), "TimeoutError");
    assert_false(is_ready(0));
    start(2, "c");
    bench_wait_log(bench, "names none of its jobs: {\"id\": \"a\", \"progress\": 1}\n", 1);
    assert_false(is_ready(0));
    let_go();
    assert_true(child_shared_ops.prepare(slots[0].seat, clock_deadline(PATIENCE_MS)));
    let_go();
    assert_string_equal(end_of(2), "{\"output\": 3}");
    assert_string_equal(end_of(1), "{\"output\": 2}");
    assert_int_equal(bench_count_log(bench, "names none of its jobs"), 1);
    assert_int_equal(bench_count_log(bench, "died"), 0);
}

static void a_program_that_dies_of_a_stop(void **state)
{
    (void)state;
    bench->setting.kill_grace_ms = 20000;
    open_slots("read -r a; echo has a; read -r stop; exit 3");
    start(0, "a");
    bench_wait_log(bench, "has a\n", 1);
    job_stop(slots[0].task, JOB_TIMED_OUT);
    assert_holds(end_of(0), "TimeoutError");
    assert_int_equal(lost, 0);
}

/* It reads nothing: one job is half sent, the other waits behind it. Both end in time. */
static void jobs_that_were_not_handed_over_end_in_time(void **state)
{
    (void)state;
    open_slots("echo started; exec sleep 100");
    start_large(0, "a", LARGE_BYTES);
    wait_phase(0, SEAT_SENDING);
    start_large(1, "b", LARGE_BYTES);
    wait_phase(1, SEAT_QUEUED);
    job_stop(slots[1].task, JOB_TIMED_OUT);
    assert_holds(end_of(1), "TimeoutError");
    assert_true(is_ready(1)); /* the program never had it */
    job_stop(slots[0].task, JOB_STOPPED);
    assert_string_equal(end_of(0), "");
    bench_wait_log(bench, "INFO   | started\n", 2); /* another one, which is no death of it */
    assert_true(child_shared_ops.prepare(slots[0].seat, clock_deadline(PATIENCE_MS)));
    assert_int_equal(lost, 0);
}

/* --- its end ---------------------------------------------------------------------------------- */

static void a_line_over_the_limit_ends_it(void **state)
{
    (void)state;
    open_slots("read -r a; head -c 300000 /dev/zero | tr '\\0' x; exec sleep 100");
    start(0, "a");
    assert_holds(end_of(0), "The handler's program wrote a line over the limit before it returned "
                            "a result.");
}

/* The jobs that it had fail with it; what comes later fails because it is lost. */
static void after_as_many_deaths_as_are_allowed_it_is_lost(void **state)
{
    (void)state;
    bench->setting.max_deaths = 2;
    open_slots("read -r a; echo the reason >&2; exit 7");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(lost, 0);
        start(0, "a");
        const char *body = end_of(0);
        assert_holds(body, "exited with status 7 before it returned a result.");
        assert_holds(body, "the reason");
        assert_false(slots[0].job.not_begun);
        assert_true(child_shared_ops.prepare(slots[0].seat, clock_deadline(PATIENCE_MS)));
    }
    assert_int_equal(lost, 1);
    assert_true(is_ready(1));
    start(1, "b");
    assert_holds(end_of(1), "has died 2 times in a row (--handler-deaths)");
    assert_true(slots[1].job.handler_lost && slots[1].job.not_begun);
}

/* An answer in between shows that it is not broken. */
static void an_answer_ends_a_row_of_deaths(void **state)
{
    (void)state;
    bench->setting.max_deaths = 2;
    open_slots(
        "read -r a; case $a in *'\"good\"'*) echo '{\"output\": 1}'; read -r b;; esac; exit 7");
    for (int i = 0; i < 3; i++) {
        start(0, "good");
        assert_string_equal(end_of(0), "{\"output\": 1}");
        start(0, "bad");
        assert_holds(end_of(0), "exited with status 7");
        assert_int_equal(lost, 0);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_message_without_a_name),
        TEST(jobs_that_wait_are_sent_in_their_order),
        TEST(the_place_of_a_job_that_was_given_up),
        TEST(a_program_that_dies_of_a_stop),
        TEST(jobs_that_were_not_handed_over_end_in_time),
        TEST(a_line_over_the_limit_ends_it),
        TEST(after_as_many_deaths_as_are_allowed_it_is_lost),
        TEST(an_answer_ends_a_row_of_deaths),
        TEST(what_is_said_outside_of_jobs), /* the last one: its concurrency stays */
    };
    return cmocka_run_group_tests_name("child_shared", tests, NULL, NULL);
}
