/* child/watch and child/idle: children between jobs; child/relay and child/check beside them. */
#include <fcntl.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "child/check.h"
#include "child/handler.h"
#include "child_bench.h"

#define ANSWER_WITH_PID "while read -r job; do echo \"{\\\"output\\\": $$}\"; done"

static int pid_in(const char *body)
{
    int pid = 0;
    assert_int_equal(sscanf(body, "{\"output\": %d}", &pid), 1);
    return pid;
}

static void what_an_idle_child_says_is_in_the_log(void **state)
{
    struct child_bench *bench = *state;
    struct err err;
    static const char script[] =
        "echo loading >&2; echo '{\"log\": \"loaded\", \"level\": \"WARN\"}'; echo text; "
        "echo '{\"output\": 1}'; echo '{\"log\": \"one\"}{\"log\": \"two\"}'; " ANSWER_WITH_PID;
    assert_int_equal(bench_open(bench, script, &err), 0);
    bench_wait_log(bench, "INFO   | loading", 1);
    bench_wait_log(bench, "WARN   | loaded", 1);
    bench_wait_log(bench, "INFO   | text", 1);
    bench_wait_log(
        bench, "Ignored a message from the handler's program outside a job: {\"output\": 1}", 1);
    bench_wait_log(bench, "INFO   | one\n", 1);
    bench_wait_log(bench, "INFO   | {\"log\": \"two\"}\n", 1);
    pid_in(bench_run(bench, "1"));
}

static void an_idle_child_that_never_stops_talking_gets_its_jobs(void **state)
{
    struct child_bench *bench = *state;
    struct err err;
    log_init(LOG_ERROR, false);
    assert_int_equal(
        bench_open(bench,
                   "yes & yes >&2 & while read -r job; do echo; echo '{\"output\": 1}'; done",
                   &err),
        0);
    for (int i = 0; i < 5; i++)
        assert_string_equal(bench_run(bench, "1"), "{\"output\": 1}");
}

static void an_endless_line_between_jobs_is_cut(void **state)
{
    struct child_bench *bench = *state;
    struct err err;
    assert_int_equal(
        bench_open(bench,
                   "head -c 300000 /dev/zero | tr '\\0' x; echo; "
                   "head -c 300000 /dev/zero | tr '\\0' y >&2; echo >&2; " ANSWER_WITH_PID,
                   &err),
        0);
    bench_wait_log(bench, "wrote too much outside a job", 1);
    bench_wait_log(bench, "INFO   | yyyy", 2);
    pid_in(bench_run(bench, "1"));
}

static void an_idle_child_that_dies_is_replaced_once(void **state)
{
    struct child_bench *bench = *state;
    struct err err;
    assert_int_equal(bench_open(bench, "echo started; " ANSWER_WITH_PID, &err), 0);
    int first = pid_in(bench_run(bench, "1"));
    kill(first, SIGKILL);
    bench_wait_log(
        bench, "was killed by signal 9 (SIGKILL, possibly out of memory) while it had no job.", 1);
    bench_wait_log(bench, "started", 2); /* without a job */
    int second = pid_in(bench_run(bench, "1"));
    assert_int_not_equal(second, first);
    /* A second death in a row waits for its pause: the next job starts the child. */
    assert_int_equal(kill(first, 0), -1);
    kill(second, SIGTERM);
    bench_wait_log(bench, "was killed by signal 15 (SIGTERM) while it had no job.", 1);
    bench_wait_log(bench, "started", 3);
    int third = pid_in(bench_run(bench, "1"));
    assert_int_not_equal(third, second);
}

static void one_that_dies_twice_without_a_job_waits_for_the_next(void **state)
{
    struct child_bench *bench = *state;
    struct err err;
    char script[256], name[] = "/tmp/child_watch.XXXXXX";
    close(mkstemp(name));
    snprintf(script, sizeof script,
             "echo x >>%s; [ $(wc -l <%s) -gt 2 ] || exit 6; " ANSWER_WITH_PID, name, name);
    assert_int_equal(bench_open(bench, script, &err), 0);
    bench_wait_log(bench, "exited with status 6 while it had no job.", 2);
    pid_in(bench_run(bench, "1"));
    assert_int_equal(bench_count_log(bench, "exited with status 6"), 2);
    unlink(name);
}

/* Posted whenever a child's slot is told that it is no longer ready. */
static sem_t unready_calls;

static void count_unready(void *owner)
{
    (void)owner;
    sem_post(&unready_calls);
}

static void watch_unready(struct child_bench *bench)
{
    sem_init(&unready_calls, 0, 0);
    child_ops.on_unready(bench->child, count_unready, NULL);
}

static void wait_unready(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_MS / 1000;
    if (sem_timedwait(&unready_calls, &until) != 0)
        fail_msg("the slot was not told that its child is no longer ready");
}

/* A program that does `what` once its first job is settled and not before: it waits for a FIFO. */
static void check_replaced(struct child_bench *bench, const char *what, const char *log)
{
    struct err err;
    char script[256], folder[] = "/tmp/child_watch.XXXXXX", fifo[64];
    assert_non_null(mkdtemp(folder));
    snprintf(fifo, sizeof fifo, "%s/go", folder);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    snprintf(script, sizeof script,
             "read -r job; echo \"{\\\"output\\\": $$}\"; read -r go <%s; exec %s; exec sleep 100",
             fifo, what);
    assert_int_equal(bench_open(bench, script, &err), 0);
    watch_unready(bench);
    int first = pid_in(bench_run(bench, "1"));
    close(open(fifo, O_WRONLY));
    wait_unready();
    /* It costs no job: the next one would have waited for it in vain. */
    assert_int_not_equal(pid_in(bench_run(bench, "1")), first);
    bench_wait_log(bench, log, 1);
    unlink(fifo);
    rmdir(folder);
}

static void deaths_that_nobody_waits_for_lose_the_handler_too(void **state)
{
    struct child_bench *bench = *state;
    struct err err;
    assert_int_equal(bench_open(bench, "exit 5", &err), 0);
    bench_wait_log(bench, "exited with status 5 while it had no job.", 2);
    assert_true(child_ops.prepare(bench->child, clock_deadline(PATIENCE_MS)));
    bench_wait_log(bench, "exited with status 5 while it had no job.", 3);
    assert_true(child_ops.prepare(bench->child, clock_deadline(PATIENCE_MS)));
    bench_wait_log(bench, "has died 3 times in a row (--handler-deaths): the worker exits.", 1);
    assert_holds(bench_run(bench, "1"), "has died 3 times in a row");
    assert_true(bench->job.handler_lost);
    assert_int_equal(bench_count_log(bench, "while it had no job."), 3);
}

static void one_that_dies_before_it_is_ready_has_not_been_without_a_job(void **state)
{
    struct child_bench *bench = *state;
    struct err err;
    char script[256], folder[] = "/tmp/child_watch.XXXXXX", fifo[64];
    assert_non_null(mkdtemp(folder));
    snprintf(fifo, sizeof fifo, "%s/go", folder);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    snprintf(
        script, sizeof script,
        "[ -e %s/again ] || { touch %s/again; echo '{\"ready\": true}'; read -r job; exit 6; }; "
        "echo waits; read -r go <%s; exit 7",
        folder, folder, fifo);
    bench->setting.ready = true;
    assert_int_equal(bench_open(bench, script, &err), 0);
    assert_holds(bench_run(bench, "1"), "exited with status 6");
    bench_wait_log(bench, "INFO   | waits", 1);
    assert_int_equal(close(open(fifo, O_WRONLY)), 0);
    bench_wait_log(bench,
                   "WARN   | The handler's program exited with status 7 before it was ready.", 1);
    bench_close(bench);
    unlink(fifo);
    snprintf(fifo, sizeof fifo, "%s/again", folder);
    unlink(fifo);
    assert_int_equal(rmdir(folder), 0);
}

static void one_that_closes_its_output_between_jobs_is_replaced(void **state)
{
    check_replaced(*state, ">&-", "closed its standard output while it had no job");
}

static void one_that_closes_its_input_between_jobs_is_replaced(void **state)
{
    check_replaced(*state, "<&-", "closed its standard input while it had no job");
}

/* Its slot is told, and gets it ready again without a job. */
static void a_slot_waits_until_its_child_is_ready(void **state)
{
    struct child_bench *bench = *state;
    struct err err;
    bench->setting.ready = true;
    assert_int_equal(bench_open(bench, "echo '{\"ready\": true}'; " ANSWER_WITH_PID, &err), 0);
    watch_unready(bench);
    assert_true(child_ops.prepare(bench->child, clock_deadline(0)));
    int first = pid_in(bench_run(bench, "1"));
    kill(first, SIGKILL);
    bench_wait_log(bench, "while it had no job", 1);
    while (!child_ops.prepare(bench->child, clock_deadline(20)))
        continue;
    wait_unready();
    assert_int_not_equal(pid_in(bench_run(bench, "1")), first);
}

static void count_lost(void *owner, const char *why)
{
    assert_true(strstr(why, "not ready within") != NULL);
    ++*(int *)owner;
}

/* The worker is told, and the slot takes jobs to fail them. */
static void a_slot_whose_child_does_not_get_ready_again(void **state)
{
    struct child_bench *bench = *state;
    struct err err;
    int lost = 0;
    char script[256], name[] = "/tmp/child_watch.XXXXXX";
    close(mkstemp(name));
    bench->setting.ready = true;
    bench->setting.ready_timeout_ms = 300;
    child_ops.on_loss(&bench->setting, count_lost, &lost);
    snprintf(script, sizeof script,
             "[ -e %s ] || exec sleep 100; rm %s; echo '{\"ready\": true}'; read -r job; exit 3",
             name, name);
    assert_int_equal(bench_open(bench, script, &err), 0);
    assert_holds(bench_run(bench, "1"), "exited with status 3");
    while (!child_ops.prepare(bench->child, clock_deadline(20)))
        continue;
    assert_int_equal(lost, 1);
    assert_holds(bench_run(bench, "1"), "was not ready within 0.3 s (RUNPOD_INIT_TIMEOUT");
    assert_true(child_ops.prepare(bench->child, clock_deadline(20)));
    assert_int_equal(lost, 1);
    child_ops.on_loss(&bench->setting, NULL, NULL);
}

static void orphans_are_reaped(void **state)
{
    struct child_bench *bench = *state;
    struct err err;
    int orphan = 0;
    /* The shell between goes at once: what it started is this process's child then. */
    assert_int_equal(
        bench_open(bench, "sh -c 'sleep 0.05 & echo orphan $! >&2'; " ANSWER_WITH_PID, &err), 0);
    bench_wait_log(bench, "orphan ", 1);
    assert_int_equal(sscanf(strstr(bench->log, "orphan "), "orphan %d", &orphan), 1);
    for (int i = 0; i < 4000 && kill(orphan, 0) == 0; i++)
        clock_sleep(clock_deadline(5));
    assert_int_equal(kill(orphan, 0), -1);
    pid_in(bench_run(bench, "1"));
}

static void an_isolated_child_logs_as_the_worker(void **state)
{
    struct child_bench *bench = *state;
    struct err err;
    bench->setting.isolated = true;
    assert_int_equal(bench_open(bench,
                                "echo '{\"requestId\": null, \"message\": \"m\\u0041\", \"level\": "
                                "\"ERROR\"}' >&2; echo '{\"no\": 1}' >&2; " ANSWER_WITH_PID,
                                &err),
                     0);
    bench_wait_log(bench, "ERROR  | mA", 1);
    bench_wait_log(bench, "INFO   | {\"no\": 1}", 1);
}

static void many_slots_at_once(void **state)
{
    struct child_bench *bench = *state;
    struct err err;
    void *children[8];
    for (int i = 0; i < 8; i++) {
        assert_int_equal(bench_open(bench, "echo here >&2; " ANSWER_WITH_PID, &err), 0);
        children[i] = bench->child;
    }
    bench_wait_log(bench, "INFO   | here", 8);
    for (int i = 0; i < 8; i++) {
        bench->child = children[i];
        pid_in(bench_run(bench, "1"));
        bench_close(bench);
    }
}

/* --- the setting -------------------------------------------------------------------------- */

static void settings_are_prepared_from_a_command_line(void **state)
{
    struct child_setting setting = { .program = "sh -c 'echo \"a b\"'", .mode = CHILD_LINES };
    struct err err;
    (void)state;
    assert_int_equal(child_prepare(&setting, &err), 0);
    assert_non_null(strstr(setting.command.path, "/sh"));
    assert_string_equal(setting.command.argv[2], "echo \"a b\"");
    assert_null(setting.command.argv[3]);
    free(setting.command.path);
    free(setting.command.argv);
    free(setting.command.storage);
    setting = (struct child_setting){ .program = "/nowhere/to/be", .mode = CHILD_ONCE };
    assert_int_equal(child_prepare(&setting, &err), ERR_CONFIG);
    assert_holds(err.text, "--handler-once: the program /nowhere/to/be is not an executable file");
    free(setting.command.argv);
    free(setting.command.storage);
    char *argv[] = { "worker", NULL };
    setting = (struct child_setting){ .mode = CHILD_LINES };
    assert_int_equal(child_prepare_isolated(&setting, argv, "A=1", &err), 0);
    assert_int_equal(access(setting.command.path, X_OK), 0);
    assert_true(setting.isolated && setting.ready);
    assert_string_equal(setting.env_extra, "A=1");
    free(setting.command.path);
}

/* --- a check ------------------------------------------------------------------------------ */

static int check(struct child_bench *bench, const char *script, int64_t timeout_ms, char *reason,
                 size_t size)
{
    struct err err = { 0 };
    bench->argv[0] = "sh";
    bench->argv[1] = "-c";
    bench->argv[2] = (char *)(uintptr_t)script;
    bench->setting.command.argv = bench->argv;
    bench->setting.command.path = "/bin/sh";
    bench->setting.one_output = true;
    int rc = child_check(&bench->setting, timeout_ms, reason, size, &err);
    assert_int_equal(err.code, 0);
    return rc;
}

static void a_check_passes_or_says_why_not(void **state)
{
    struct child_bench *bench = *state;
    char reason[256] = "";
    assert_int_equal(check(bench, "echo one; printf two >&2", 0, reason, sizeof reason), 0);
    bench_wait_log(bench, "INFO   | one", 1);
    bench_wait_log(bench, "INFO   | two", 1);
    assert_string_equal(reason, "");
    assert_int_equal(
        check(bench, "read -r line && exit 0; echo no input; exit 3", 0, reason, sizeof reason), 1);
    assert_string_equal(reason, "The program exited with status 3: no input");
    assert_int_equal(check(bench, "kill -9 $$", 5000, reason, sizeof reason), 1);
    assert_string_equal(reason,
                        "The program was killed by signal 9 (SIGKILL, possibly out of memory)");
    assert_int_equal(check(bench, "echo waiting; exec sleep 100", 300, reason, sizeof reason), 1);
    assert_holds(reason, "The program took longer than 0.3 s");
    assert_int_equal(check(bench, "head -c 300000 /dev/zero | tr '\\0' x; echo; echo end; exit 1",
                           0, reason, sizeof reason),
                     1);
    assert_string_equal(reason, "The program exited with status 1: end");
}

static void a_check_that_cannot_be_started(void **state)
{
    struct child_bench *bench = *state;
    struct err err = { 0 };
    char reason[64] = "", *argv[] = { "x", NULL };
    bench->setting.command.path = "/nowhere/to/be";
    bench->setting.command.argv = argv;
    assert_int_equal(child_check(&bench->setting, 0, reason, sizeof reason, &err), ERR_CONFIG);
    assert_holds(err.text, "cannot run /nowhere/to/be");
    assert_string_equal(reason, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHILD_TEST(what_an_idle_child_says_is_in_the_log),
        CHILD_TEST(an_idle_child_that_never_stops_talking_gets_its_jobs),
        CHILD_TEST(an_endless_line_between_jobs_is_cut),
        CHILD_TEST(an_idle_child_that_dies_is_replaced_once),
        CHILD_TEST(one_that_dies_twice_without_a_job_waits_for_the_next),
        CHILD_TEST(deaths_that_nobody_waits_for_lose_the_handler_too),
        CHILD_TEST(one_that_dies_before_it_is_ready_has_not_been_without_a_job),
        CHILD_TEST(one_that_closes_its_output_between_jobs_is_replaced),
        CHILD_TEST(one_that_closes_its_input_between_jobs_is_replaced),
        CHILD_TEST(a_slot_waits_until_its_child_is_ready),
        CHILD_TEST(a_slot_whose_child_does_not_get_ready_again),
        CHILD_TEST(orphans_are_reaped),
        CHILD_TEST(an_isolated_child_logs_as_the_worker),
        CHILD_TEST(many_slots_at_once),
        cmocka_unit_test(settings_are_prepared_from_a_command_line),
        CHILD_TEST(a_check_passes_or_says_why_not),
        CHILD_TEST(a_check_that_cannot_be_started),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
