/* job/process: programs started, told apart from orphans, and ended with all they leave. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "job/process.h"

static char *const say[] = { "sh", "-c", "read x; echo \"$x $EXTRA$HIDDEN\"; echo e >&2; exit 5",
                             NULL };

static int start(struct process *process, char *const *argv)
{
    static const char *const without[] = { "HIDDEN", NULL };
    const struct process_plan plan = {
        .path = "/bin/sh", .argv = argv, .without = without, .extra = "EXTRA=more"
    };
    struct err err = { 0 };
    return process_start(process, &plan, &err);
}

static void a_process_has_three_pipes_and_a_status(void **state)
{
    struct process process;
    char text[64] = "", how[96];
    (void)state;
    setenv("HIDDEN", "secret", 1);
    assert_int_equal(start(&process, say), 0);
    assert_int_equal(write(process.in, "word\n", 5), 5);
    assert_true(process_wait(&process, clock_deadline(10000)));
    assert_int_equal(read(process.out, text, sizeof text - 1), 10);
    assert_string_equal(text, "word more\n");
    assert_int_equal(read(process.err, text, sizeof text), 2);
    int status = process_end(&process);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 5);
    process_describe(status, how, sizeof how);
    assert_string_equal(how, "exited with status 5");
    assert_int_equal(process.pid, 0);
    assert_int_equal(process_end(&process), -1);
}

static void both_outputs_in_one_keep_their_order(void **state)
{
    static char *const argv[] = { "sh", "-c", "echo 1; echo 2 >&2; echo 3", NULL };
    const struct process_plan plan = { .path = "/bin/sh", .argv = argv, .one_output = true };
    struct process process;
    struct err err = { 0 };
    char text[64] = "";
    (void)state;
    assert_int_equal(process_start(&process, &plan, &err), 0);
    assert_true(process_wait(&process, clock_deadline(10000)));
    assert_int_equal(read(process.out, text, sizeof text - 1), 6);
    assert_string_equal(text, "1\n2\n3\n");
    assert_int_equal(read(process.err, text, sizeof text), 0);
    assert_int_equal(process_end(&process), 0);
}

static void what_cannot_be_run_says_so(void **state)
{
    const struct process_plan plan = { .path = "/nowhere", .argv = say };
    struct process process;
    struct err err = { 0 };
    (void)state;
    assert_int_equal(process_start(&process, &plan, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "cannot run /nowhere: No such file"));
    assert_int_equal(process.pid, 0);
    assert_int_equal(process.out, -1);
}

static void ending_kills_the_group_and_what_left_it(void **state)
{
    static char *const argv[] = { "sh", "-c",
                                  "sleep 100 & echo $!; setsid sleep 100 & echo $!; kill -9 $$",
                                  NULL };
    struct process process;
    char text[64] = "", how[96];
    int in_group = 0, outside = 0;
    (void)state;
    assert_int_equal(start(&process, argv), 0);
    assert_true(process_wait(&process, clock_deadline(10000)));
    assert_true(read(process.out, text, sizeof text - 1) > 0);
    assert_int_equal(sscanf(text, "%d %d", &in_group, &outside), 2);
    int status = process_end(&process);
    process_describe(status, how, sizeof how);
    assert_non_null(strstr(how, "was killed by signal 9 (SIGKILL"));
    for (int i = 0; i < 1000 && (kill(in_group, 0) == 0 || kill(outside, 0) == 0); i++) {
        process_reap_orphans();
        clock_sleep(clock_deadline(5));
    }
    assert_int_equal(kill(in_group, 0), -1);
    assert_int_equal(kill(outside, 0), -1);
}

static void the_end_of_all(void **state)
{
    static char *const deaf[] = { "sh", "-c", "trap '' TERM; echo; while :; do sleep 100; done",
                                  NULL };
    struct process process, another;
    char byte;
    (void)state;
    assert_int_equal(start(&process, deaf), 0);
    while (read(process.out, &byte, 1) != 1)
        clock_sleep(clock_deadline(1));
    assert_false(process_all_are_ending());
    process_end_all(50);
    assert_true(process_all_are_ending());
    assert_true(process_wait(&process, clock_deadline(10000)));
    assert_int_equal(start(&another, say), ERR_CANCELLED);
    assert_true(WIFSIGNALED(process_end(&process)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_has_three_pipes_and_a_status),
        cmocka_unit_test(both_outputs_in_one_keep_their_order),
        cmocka_unit_test(what_cannot_be_run_says_so),
        cmocka_unit_test(ending_kills_the_group_and_what_left_it),
        cmocka_unit_test(the_end_of_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
