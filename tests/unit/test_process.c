/* process/process: programs started, told apart from orphans, and ended with all they leave. */
#include <errno.h>
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
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "descriptors.h"
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

/* All that the script says, to its end. */
static const char *said(const struct process_plan *plan)
{
    static char text[256];
    struct process process;
    struct err err = { 0 };
    assert_int_equal(process_start(&process, plan, &err), 0);
    assert_true(process_wait(&process, clock_deadline(10000)));
    ssize_t len = read(process.out, text, sizeof text - 1);
    text[len > 0 ? len : 0] = '\0';
    process_end(&process);
    return text;
}

/* Variables by their whole names: added, left out, or added where there is none. */
static void variables_go_by_their_whole_names(void **state)
{
    static char *const argv[] = { "sh", "-c", "echo $A,$AB,$ABC,$DE,$ONE,$TWO", NULL };
    char *variables[] = { "A=a", "AB=ab", "ABC=abc", NULL }, *more[] = { "D=d", "DE=own", NULL };
    static const char *const without[] = { "X", "AB", NULL };
    struct process_plan plan = { .path = "/bin/sh",
                                 .argv = argv,
                                 .env_without = without,
                                 .env_extra = { "ONE=1", "TWO=2" },
                                 .env_default = "DE=default" };
    char **before = environ;
    (void)state;
    environ = variables;
    assert_string_equal(said(&plan), "a,,abc,default,1,2\n");
    environ = more;
    plan.env_extra[0] = NULL;
    assert_string_equal(said(&plan), ",,,own,,2\n");
    more[1] = "DEF=other";
    assert_string_equal(said(&plan), ",,,default,,2\n");
    plan.env_default = NULL;
    plan.env_without = NULL;
    assert_string_equal(said(&plan), ",,,,,2\n");
    environ = before;
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
    const int ignored[] = { SIGHUP, SIGPIPE, SIGRTMAX };
    for (int i = 0; i < 3; i++)
        signal(ignored[i], SIG_IGN);
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
    for (int i = 0; i < 3; i++) /* the worker's own are as they were */
        assert_true(signal(ignored[i], i == 1 ? SIG_IGN : SIG_DFL) == SIG_IGN);
    assert_non_null(strstr(text, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"));
    assert_non_null(strstr(text, "\n0\n1\n2\nown group"));
}

/* A start blocks all of them for a moment. */
static void a_start_leaves_the_callers_signals(void **state)
{
    struct process process;
    sigset_t one, now;
    (void)state;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    pthread_sigmask(SIG_SETMASK, &one, NULL);
    assert_int_equal(start_script(&process, "kill -USR1 $$; exit 1"), 0);
    sigemptyset(&one);
    pthread_sigmask(SIG_SETMASK, &one, &now);
    assert_true(process_wait(&process, clock_deadline(10000)));
    assert_int_equal(WTERMSIG(process_end(&process)), SIGUSR1); /* it had it unblocked */
    for (int number = 1; number < SIGRTMIN; number++)
        assert_int_equal(sigismember(&now, number), number == SIGUSR1);
}

static void our_ends_do_not_block_and_are_not_inherited(void **state)
{
    struct process process;
    char byte;
    (void)state;
    assert_int_equal(start_script(&process, "read -r line"), 0);
    const int ends[] = { process.in, process.out, process.err };
    for (int i = 0; i < 3; i++) {
        assert_true(fcntl(ends[i], F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(ends[i], F_GETFD) & FD_CLOEXEC);
        assert_int_equal(i > 0 ? read(ends[i], &byte, 1) : -1, -1);
    }
    assert_int_equal(errno, EAGAIN);
    process_end(&process);
    assert_true(process.in == -1 && process.out == -1 && process.err == -1);
    process_close(&process.in); /* none: of no effect */
    assert_int_equal(fcntl(ends[0], F_GETFD), -1);
}

static void *start_and_go(void *argument)
{
    return start_script(argument, "read -r line") == 0 ? NULL : "not started";
}

static void a_process_ends_with_the_thread_that_started_it(void **state)
{
    struct process process;
    pthread_t thread;
    void *trouble;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, start_and_go, &process), 0);
    pthread_join(thread, &trouble);
    assert_null(trouble);
    assert_true(process_wait(&process, clock_deadline(10000)));
    assert_int_equal(WTERMSIG(process_end(&process)), SIGKILL);
}

/* They may end in any order; each has its own status. */
static void a_process_may_end_between_others(void **state)
{
    struct process all[3];
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(start_script(&all[i], "read -r status; exit $status"), 0);
    for (int i = 0; i < 3; i++) {
        char status[] = { (char)('4' + i), '\n' };
        assert_int_equal(write(all[i].in, status, 2), 2);
        assert_true(process_wait(&all[i], clock_deadline(10000)));
    }
    assert_int_equal(WEXITSTATUS(process_end(&all[1])), 5);
    process_reap_orphans();
    assert_int_equal(WEXITSTATUS(process_end(&all[0])), 4);
    process_reap_orphans();
    assert_int_equal(WEXITSTATUS(process_end(&all[2])), 6);
}

/* The worker's limit becomes larger; a program's stays what it was. */
static void the_limit_of_descriptors_is_the_workers_own(void **state)
{
    static char *const argv[] = { "sh", "-c", "ulimit -Sn; ulimit -Hn", NULL };
    const struct process_plan plan = { .path = "/bin/sh", .argv = argv };
    struct rlimit limit, raised;
    char expected[64];
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 200;
    limit.rlim_max = limit.rlim_max > 1000 ? 1000 : limit.rlim_max;
    assert_true(limit.rlim_max > 200);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    process_raise_descriptor_limit();
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &raised), 0);
    assert_int_equal(raised.rlim_cur, limit.rlim_max);
    assert_int_equal(raised.rlim_max, limit.rlim_max);
    snprintf(expected, sizeof expected, "200\n%d\n", (int)limit.rlim_max);
    assert_string_equal(said(&plan), expected);
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

static void no_descriptor_is_lost(void **state)
{
    const struct process_plan nowhere = { .path = "/nowhere", .argv = say };
    struct process process;
    struct err err;
    (void)state;
    int before = open_descriptors();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(start_script(&process, "exit 0"), 0);
        process_end(&process);
        process_start(&process, &nowhere, &err);
    }
    assert_int_equal(open_descriptors(), before);
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
        cmocka_unit_test(variables_go_by_their_whole_names),
        cmocka_unit_test(both_outputs_in_one_keep_their_order),
        cmocka_unit_test(what_cannot_be_run_says_so),
        cmocka_unit_test(ending_kills_the_group_and_what_left_it),
        cmocka_unit_test(ends_are_told_in_words),
        cmocka_unit_test(a_process_starts_clean),
        cmocka_unit_test(a_start_leaves_the_callers_signals),
        cmocka_unit_test(our_ends_do_not_block_and_are_not_inherited),
        cmocka_unit_test(a_process_ends_with_the_thread_that_started_it),
        cmocka_unit_test(a_process_may_end_between_others),
        cmocka_unit_test(closed_standard_streams_do_no_harm),
        cmocka_unit_test(waiting_has_a_deadline_and_needs_no_pidfd),
        cmocka_unit_test(an_end_shows_before_the_pipes_close),
        cmocka_unit_test(no_descriptor_is_lost),
        cmocka_unit_test(a_daemon_is_found_by_its_mark),
        cmocka_unit_test(a_daemon_without_a_mark_is_found_by_its_descent),
        cmocka_unit_test(many_threads_start_and_end_at_once),
        cmocka_unit_test(the_limit_of_descriptors_is_the_workers_own),
        cmocka_unit_test(the_end_of_all), /* the last one: nothing starts after it */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
