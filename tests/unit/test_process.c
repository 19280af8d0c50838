/* process/process: programs started, told apart from orphans, and ended with all they leave. */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
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

#include "process/process.h"

static char *const say[] = { "sh", "-c", "read x; echo \"$x $EXTRA$HIDDEN\"; echo e >&2; exit 5",
                             NULL };

static int start(struct process *process, char *const *argv)
{
    static const char *const without[] = { "HIDDEN", NULL };
    const struct process_plan plan = {
        .path = "/bin/sh", .argv = argv, .env_without = without, .env_extra = { "EXTRA=more" }
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

static void a_program_gets_the_workers_variables(void **state)
{
    static char *const argv[] = { "sh", "-c", "echo $FIRST $HIDDEN $LAST $EXTRA", NULL };
    char *variables[] = { "FIRST=1", "HIDDEN=secret", "LAST=2", NULL }, **before = environ;
    struct process process;
    char text[64] = "";
    (void)state;
    environ = variables;
    int rc = start(&process, argv);
    environ = before;
    assert_int_equal(rc, 0);
    assert_true(process_wait(&process, clock_deadline(10000)));
    assert_int_equal(read(process.out, text, sizeof text - 1), 9);
    assert_string_equal(text, "1 2 more\n");
    process_end(&process);
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

static int start_script(struct process *process, const char *script)
{
    char *argv[] = { "sh", "-c", (char *)(uintptr_t)script, NULL };
    return start(process, argv);
}

static void ends_are_told_in_words(void **state)
{
    static const struct {
        int status;
        const char *text;
    } ends[] = {
        { -1, "could not be killed" },
        { 0, "exited with status 0" },
        { 255 << 8, "exited with status 255" },
        { SIGSEGV, "was killed by signal 11 (SIGSEGV)" },
        { SIGABRT | 0x80, "was killed by signal 6 (SIGABRT)" }, /* with a core */
        { SIGKILL, "was killed by signal 9 (SIGKILL, possibly out of memory)" },
        { SIGUSR2, "was killed by signal 12 (SIGUSR2)" },
        { 34, "was killed by signal 34" },
    };
    char text[64];
    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        process_describe(ends[i].status, text, sizeof text);
        assert_string_equal(text, ends[i].text);
    }
}

/* Nothing of the worker's own but its environment: signals, descriptors, its group. */
static void a_process_starts_clean(void **state)
{
    struct process process;
    char text[256] = "";
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    int inherited = open("/dev/null", O_RDONLY);
    assert_int_equal(start_script(&process,
                                  "grep -E 'Sig(Blk|Ign)' /proc/self/status; "
                                  "ls /proc/$$/fd; read -r a b c d group e </proc/$$/stat; "
                                  "[ $group -eq $$ ] && echo own group"),
                     0);
    assert_true(process_wait(&process, clock_deadline(10000)));
    assert_true(read(process.out, text, sizeof text - 1) > 0);
    assert_int_equal(process_end(&process), 0);
    close(inherited);
    assert_non_null(strstr(text, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"));
    assert_non_null(strstr(text, "\n0\n1\n2\nown group"));
}

/* The pipes then get their numbers, which the child's own streams replace. */
static void closed_standard_streams_do_no_harm(void **state)
{
    struct process process;
    char text[64] = "";
    int saved[3];
    (void)state;
    fflush(NULL);
    for (int i = 0; i < 3; i++) {
        saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
        close(i);
    }
    int rc = start(&process, say);
    for (int i = 0; i < 3; i++) {
        if (saved[i] >= 0)
            dup2(saved[i], i);
        close(saved[i]);
    }
    assert_int_equal(rc, 0);
    assert_true(process.in > 2 && process.out > 2 && process.err > 2);
    assert_int_equal(write(process.in, "word\n", 5), 5);
    assert_true(process_wait(&process, clock_deadline(10000)));
    assert_int_equal(read(process.out, text, sizeof text - 1), 10);
    assert_string_equal(text, "word more\n");
    process_end(&process);
}

static void waiting_has_a_deadline_and_needs_no_pidfd(void **state)
{
    struct process process;
    (void)state;
    assert_int_equal(start_script(&process, "read -r line; exit 3"), 0);
    assert_false(process_wait(&process, clock_deadline(0)));
    assert_false(process_has_ended(&process));
    process_close(&process.pidfd); /* as before Linux 5.3 */
    assert_false(process_wait(&process, clock_deadline(1)));
    process_close(&process.in);
    assert_true(process_wait(&process, clock_deadline(10000)));
    assert_true(process_has_ended(&process));
    assert_int_equal(WEXITSTATUS(process_end(&process)), 3);
    process_signal(&process, SIGKILL); /* none: of no effect */
}

static void an_end_shows_before_the_pipes_close(void **state)
{
    struct process process;
    (void)state;
    for (int i = 0; i < 50; i++) {
        assert_int_equal(start_script(&process, "read -r line"), 0);
        assert_false(process_is_ending(process.pid));
        process_signal(&process, SIGKILL);
        struct pollfd output = { .fd = process.out, .events = POLLIN };
        assert_int_equal(poll(&output, 1, 10000), 1);
        assert_true(process_is_ending(process.pid));
        process_end(&process);
    }
    assert_false(process_is_ending(getpid()));
    assert_false(process_is_ending(-1));
}

static int count_descriptors(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

static void no_descriptor_is_lost(void **state)
{
    const struct process_plan nowhere = { .path = "/nowhere", .argv = say };
    struct process process;
    struct err err;
    (void)state;
    int before = count_descriptors();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(start_script(&process, "exit 0"), 0);
        process_end(&process);
        process_start(&process, &nowhere, &err);
    }
    assert_int_equal(count_descriptors(), before);
}

/* Two levels down, in a session of its own, its parents gone: the mark finds it. */
static void a_daemon_is_found_by_its_mark(void **state)
{
    struct process process, other;
    char text[64] = "";
    int daemon = 0;
    (void)state;
    assert_int_equal(start_script(&other, "read -r line; exit 4"), 0);
    assert_int_equal(
        start_script(&process, "setsid sh -c 'setsid sleep 100 >/dev/null 2>&1 & echo $!'; exit 0"),
        0);
    assert_true(process_wait(&process, clock_deadline(10000)));
    assert_true(read(process.out, text, sizeof text - 1) > 0);
    assert_int_equal(sscanf(text, "%d", &daemon), 1);
    assert_int_equal(kill(daemon, 0), 0);
    assert_int_equal(process_end(&process), 0);
    for (int i = 0; i < 2000 && kill(daemon, 0) == 0; i++) {
        process_reap_orphans();
        clock_sleep(clock_deadline(5));
    }
    assert_int_equal(kill(daemon, 0), -1);
    /* Another process's mark is another one, and its end is not an orphan's. */
    assert_false(process_has_ended(&other));
    process_close(&other.in);
    assert_true(process_wait(&other, clock_deadline(10000)));
    process_reap_orphans();
    assert_int_equal(WEXITSTATUS(process_end(&other)), 4);
}

static void wait_killed(int pid)
{
    for (int i = 0; i < 2000 && kill(pid, 0) == 0; i++) {
        process_reap_orphans();
        clock_sleep(clock_deadline(5));
    }
    assert_int_equal(kill(pid, 0), -1);
}

/* Nothing but its descent tells that it was ours; another program's daemons stay. */
static void a_daemon_without_a_mark_is_found_by_its_descent(void **state)
{
    struct process process, other;
    char text[64] = "";
    int clean = 0, mark = 0;
    (void)state;
    assert_int_equal(start_script(&other, "setsid sh -c 'sleep 100 >/dev/null 2>&1 & echo $!'; "
                                          "read -r line"),
                     0);
    assert_int_equal(
        start_script(&process, "env -i setsid sh -c 'sleep 100 >/dev/null 2>&1 & echo $!'; exit 0"),
        0);
    assert_true(process_wait(&process, clock_deadline(10000)));
    assert_true(read(process.out, text, sizeof text - 1) > 0);
    assert_int_equal(sscanf(text, "%d", &clean), 1);
    while (read(other.out, text, sizeof text - 1) <= 0)
        clock_sleep(clock_deadline(1));
    assert_int_equal(sscanf(text, "%d", &mark), 1);
    assert_int_equal(kill(clean, 0), 0);
    assert_int_equal(process_end(&process), 0);
    wait_killed(clean);
    assert_int_equal(kill(mark, 0), 0);
    process_end(&other);
    wait_killed(mark);
}

static void *start_and_end_many(void *argument)
{
    (void)argument;
    for (int i = 0; i < 25; i++) {
        char script[32];
        struct process process;
        snprintf(script, sizeof script, "exit %d", i);
        if (start_script(&process, script) != 0)
            return "not started";
        if (!process_wait(&process, clock_deadline(20000)))
            return "no end";
        process_reap_orphans();
        if (WEXITSTATUS(process_end(&process)) != i)
            return "another status";
    }
    return NULL;
}

static void many_threads_start_and_end_at_once(void **state)
{
    pthread_t threads[6];
    (void)state;
    for (int i = 0; i < 6; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, start_and_end_many, NULL), 0);
    for (int i = 0; i < 6; i++) {
        void *trouble;
        pthread_join(threads[i], &trouble);
        if (trouble != NULL)
            fail_msg("%s", (char *)trouble);
    }
}

static void the_end_of_all(void **state)
{
    static char *const deaf[] = { "sh", "-c",
                                  "trap '' TERM; env -i setsid sleep 100 & echo; "
                                  "while :; do sleep 100; done",
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
    process_reap_all();
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_has_three_pipes_and_a_status),
        cmocka_unit_test(a_program_gets_the_workers_variables),
        cmocka_unit_test(both_outputs_in_one_keep_their_order),
        cmocka_unit_test(what_cannot_be_run_says_so),
        cmocka_unit_test(ending_kills_the_group_and_what_left_it),
        cmocka_unit_test(ends_are_told_in_words),
        cmocka_unit_test(a_process_starts_clean),
        cmocka_unit_test(closed_standard_streams_do_no_harm),
        cmocka_unit_test(waiting_has_a_deadline_and_needs_no_pidfd),
        cmocka_unit_test(an_end_shows_before_the_pipes_close),
        cmocka_unit_test(no_descriptor_is_lost),
        cmocka_unit_test(a_daemon_is_found_by_its_mark),
        cmocka_unit_test(a_daemon_without_a_mark_is_found_by_its_descent),
        cmocka_unit_test(many_threads_start_and_end_at_once),
        cmocka_unit_test(the_end_of_all), /* the last one: nothing starts after it */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
