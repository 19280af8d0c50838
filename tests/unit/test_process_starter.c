/* process/process_starter: programs are started and ended with the rights of its threads. */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "process/process.h"

static struct process process; /* what a thread has started */

/* Runs it on a thread of its own, which then has ended. Nothing of cmocka's in it. */
static void on_a_thread(void *(*run)(void *))
{
    pthread_t thread;
    void *trouble;
    assert_int_equal(pthread_create(&thread, NULL, run, NULL), 0);
    pthread_join(thread, &trouble);
    if (trouble != NULL)
        fail_msg("%s", (const char *)trouble);
}

static int start_script(const char *script)
{
    char *argv[] = { "sh", "-c", (char *)(uintptr_t)script, NULL };
    const struct process_plan plan = { .path = "/bin/sh", .argv = argv };
    struct err err = { 0 };
    return process_start(&process, &plan, &err);
}

/* The next line of its output; empty at its end. */
static const char *read_line(void)
{
    static char line[256];
    struct pollfd output = { .fd = process.out, .events = POLLIN };
    size_t len = 0;
    while (len + 1 < sizeof line && poll(&output, 1, 30000) == 1 &&
           read(process.out, &line[len], 1) == 1 && line[len] != '\n')
        len++;
    line[len] = '\0';
    return line;
}

static int count_threads(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/task");
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

static void wait_threads(int count)
{
    for (int i = 0; i < 2000 && count_threads() != count; i++)
        clock_sleep(clock_deadline(5));
    assert_int_equal(count_threads(), count);
}

/* --- starts ---------------------------------------------------------------------------------- */

static void *start_without_rights(void *argument)
{
    (void)argument;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return "prctl";
    return start_script("grep NoNewPrivs /proc/self/status; read -r word; echo $word; exit 3") == 0
               ? NULL
               : "no start";
}

/* Its rights are the starter's, and so is its life: the thread that asked for it has ended. */
static void a_program_is_the_starters(void **state)
{
    (void)state;
    on_a_thread(start_without_rights);
    assert_string_equal(read_line(), "NoNewPrivs:\t0");
    assert_int_equal(write(process.in, "word\n", 5), 5);
    assert_string_equal(read_line(), "word");
    assert_true(process_wait(&process, clock_deadline(30000)));
    assert_int_equal(WEXITSTATUS(process_end(&process)), 3);
}

static void what_cannot_be_run_says_so(void **state)
{
    const struct process_plan plan = { .path = "/nowhere", .argv = (char *const[]){ "x", NULL } };
    struct err err = { 0 };
    (void)state;
    assert_int_equal(process_start(&process, &plan, &err), ERR_CONFIG);
    assert_string_equal(err.text, "cannot run /nowhere: No such file or directory");
}

static void *start_and_end_many(void *argument)
{
    static _Thread_local struct process own;
    (void)argument;
    for (int i = 0; i < 10; i++) {
        char script[32];
        char *argv[] = { "sh", "-c", script, NULL };
        const struct process_plan plan = { .path = "/bin/sh", .argv = argv };
        struct err err = { 0 };
        snprintf(script, sizeof script, "exit %d", i);
        if (process_start(&own, &plan, &err) != 0)
            return "not started";
        if (!process_wait(&own, clock_deadline(30000)) || WEXITSTATUS(process_end(&own)) != i)
            return "another status";
    }
    return NULL;
}

static void many_threads_share_it(void **state)
{
    pthread_t threads[4];
    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, start_and_end_many, NULL), 0);
    for (int i = 0; i < 4; i++) {
        void *trouble;
        pthread_join(threads[i], &trouble);
        if (trouble != NULL)
            fail_msg("%s", (char *)trouble);
    }
}

/* --- sweeps ---------------------------------------------------------------------------------- */

/* From here on this thread may send no signals: linux/filter.h and linux/seccomp.h, by hand. */
static bool forbid_signals(void)
{
    struct step {
        uint16_t code;
        uint8_t if_true, if_false;
        uint32_t operand;
    } steps[] = {
        { 0x20, 0, 0, 0 },                     /* the number of the system call */
        { 0x15, 2, 0, SYS_kill },              /* on equality two steps more, */
        { 0x15, 1, 0, SYS_pidfd_send_signal }, /* or one */
        { 0x06, 0, 0, 0x7fff0000 },            /* it is allowed */
        { 0x06, 0, 0, 0x00050000 | EPERM },    /* it fails */
    };
    const struct {
        unsigned short count;
        const struct step *steps;
    } program = { sizeof steps / sizeof *steps, steps };
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, 2 /* SECCOMP_MODE_FILTER */, &program) == 0;
}

static void *end_without_signals(void *argument)
{
    (void)argument;
    if (!forbid_signals())
        return "filter";
    return WEXITSTATUS(process_end(&process)) == 6 ? NULL : "another status";
}

static void *end_it(void *argument)
{
    (void)argument;
    return WEXITSTATUS(process_end(&process)) == 6 ? NULL : "another status";
}

/* Starts a program that leaves a process; ends the program so; the process has to be gone. */
static void assert_ends_what_is_left(void *(*end)(void *))
{
    int left = 0;
    assert_int_equal(start_script("setsid sleep 100 >/dev/null 2>&1 & echo $!; exit 6"), 0);
    assert_int_equal(sscanf(read_line(), "%d", &left), 1);
    assert_true(process_wait(&process, clock_deadline(30000)));
    assert_int_equal(kill(left, 0), 0);
    on_a_thread(end);
    for (int i = 0; i < 2000 && kill(left, 0) == 0; i++) {
        process_reap_orphans();
        clock_sleep(clock_deadline(5));
    }
    assert_int_equal(kill(left, 0), -1);
}

static void what_is_left_is_ended_with_its_rights(void **state)
{
    (void)state;
    if (prctl(PR_GET_SECCOMP) < 0)
        skip();
    for (int i = 0; i < 2; i++) /* the first one begins the second thread */
        assert_ends_what_is_left(end_without_signals);
}

/* --- the end --------------------------------------------------------------------------------- */

/* Then all is the caller's: the program's rights, its life, and the search for what it leaves. */
static void after_its_end_the_caller_does_it(void **state)
{
    (void)state;
    process_end_starter();
    process_end_starter(); /* none is left: of no effect */
    on_a_thread(start_without_rights);
    assert_true(process_wait(&process, clock_deadline(30000)));
    int status = process_end(&process);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    assert_int_equal(start_script("grep NoNewPrivs /proc/self/status"), 0);
    assert_string_equal(read_line(), "NoNewPrivs:\t0");
    process_end(&process);
    assert_ends_what_is_left(end_it);
}

static int threads_before;

static void it_has_two_threads(void **state)
{
    (void)state;
    wait_threads(threads_before + 2);
}

static void it_leaves_no_thread(void **state)
{
    (void)state;
    wait_threads(threads_before);
}

static int begin(void **state)
{
    struct err err = { 0 };
    (void)state;
    process_end_starter(); /* none is there yet: of no effect */
    threads_before = count_threads();
    return process_begin_starter(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_is_the_starters),
        cmocka_unit_test(what_cannot_be_run_says_so),
        cmocka_unit_test(many_threads_share_it),
        cmocka_unit_test(what_is_left_is_ended_with_its_rights),
        cmocka_unit_test(it_has_two_threads),
        cmocka_unit_test(after_its_end_the_caller_does_it),
        cmocka_unit_test(it_leaves_no_thread),
    };
    return cmocka_run_group_tests_name("process_starter", tests, begin, NULL);
}
