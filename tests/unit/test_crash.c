/* base/crash: the last line of a process that dies of a signal, which it still does. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/crash.h"
#include "in_child.h"

static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
#define SIGNALS (sizeof signals / sizeof signals[0])

static int output = -1; /* of the child */
static char *shut_page;

static int set_up(void **state)
{
    (void)state;
    output = memfd_create("output", MFD_CLOEXEC);
    shut_page = mmap(NULL, 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return output < 0 || shut_page == MAP_FAILED;
}

static void assert_output(const char *expected)
{
    char text[500];
    ssize_t len = pread(output, text, sizeof text - 1, 0);
    assert_true(len >= 0);
    text[len] = '\0';
    assert_string_equal(text, expected);
    assert_int_equal(ftruncate(output, 0), 0);
    lseek(output, 0, SEEK_SET);
}

/* In the child: as a process that has just been started, without a sanitizer's actions. */
static void begin(bool json_lines)
{
    dup2(output, STDOUT_FILENO);
    for (size_t i = 0; i < SIGNALS; i++)
        signal(signals[i], SIG_DFL);
    crash_install(json_lines);
    crash_set_job(SLICE_LITERAL("job-1"));
}

static void assert_died_of(int number, int (*run)(void), const char *expected)
{
    int status = status_of(run);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), number);
    assert_output(expected);
}

/* --- what has happened ------------------------------------------------------------------- */

static int touch_a_shut_page(void)
{
    begin(false);
    *(volatile char *)shut_page = 1;
    return 1;
}

static int touch_behind_a_files_end(void)
{
    begin(true);
    int file = memfd_create("empty", MFD_CLOEXEC);
    char *page = mmap(shut_page, 1, PROT_READ, MAP_SHARED | MAP_FIXED, file, 0);
    return *(volatile char *)page;
}

static int without_a_job(void)
{
    begin(false);
    crash_set_job((slice){ 0 });
    *(volatile char *)shut_page = 1;
    return 1;
}

static void a_fault_has_its_address(void **state)
{
    char expected[300];
    (void)state;
    snprintf(expected, sizeof expected,
             "ERROR  | job-1 | The worker's process crashed: SIGSEGV at address %p, while it ran "
             "this job.\n",
             (void *)shut_page);
    assert_died_of(SIGSEGV, touch_a_shut_page, expected);
    snprintf(expected, sizeof expected,
             "{\"requestId\": \"job-1\", \"message\": \"The worker's process crashed: SIGBUS at "
             "address %p, while it ran this job.\", \"level\": \"ERROR\"}\n",
             (void *)shut_page);
    assert_died_of(SIGBUS, touch_behind_a_files_end, expected);
    snprintf(expected, sizeof expected,
             "ERROR  | The worker's process crashed: SIGSEGV at address %p, outside a job.\n",
             (void *)shut_page);
    assert_died_of(SIGSEGV, without_a_job, expected);
}

static int sent;

static int send_from_outside(void)
{
    begin(false);
    kill(getpid(), sent);
    return 1;
}

static int send_to_thread(void)
{
    begin(false);
    raise(sent);
    return 1;
}

/* Whoever sends it: there is no address that would say something. */
static void what_is_sent_has_none(void **state)
{
    static const char *const names[] = { "SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT" };
    char expected[200];
    (void)state;
    for (size_t i = 0; i < SIGNALS; i++) {
        sent = signals[i];
        snprintf(expected, sizeof expected,
                 "ERROR  | job-1 | The worker's process crashed: %s, while it ran this job.\n",
                 names[i]);
        assert_died_of(sent, send_from_outside, expected);
        assert_died_of(sent, send_to_thread, expected);
    }
}

/* --- what is there already --------------------------------------------------------------- */

static void exit_7(int number)
{
    (void)number;
    _exit(7);
}

static int with_an_action(void)
{
    begin(false);
    signal(SIGFPE, exit_7);
    crash_install(false);
    raise(SIGFPE);
    return 1;
}

static void an_action_of_somebody_elses_stays(void **state)
{
    (void)state;
    int status = status_of(with_an_action);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
    assert_output("");
}

static stack_t own_stack(void)
{
    stack_t now;
    return sigaltstack(NULL, &now) == 0 ? now : (stack_t){ 0 };
}

/* 0, or the number of what is wrong. */
static int look_at_stacks(void)
{
    const stack_t none = { .ss_flags = SS_DISABLE };
    sigaltstack(&none, NULL);
    crash_prepare_thread();
    if (own_stack().ss_flags != SS_DISABLE)
        return 1; /* before crash_install */
    begin(false);
    crash_prepare_thread();
    stack_t given = own_stack();
    if (given.ss_flags != 0 || given.ss_sp == NULL || given.ss_size < (size_t)MINSIGSTKSZ)
        return 2;
    memset(given.ss_sp, 1, given.ss_size);
    crash_prepare_thread();
    if (own_stack().ss_sp != given.ss_sp)
        return 3; /* once is enough */
    return 0;
}

static int keep_its_stack(void)
{
    static char memory[64 * 1024];
    const stack_t its = { .ss_sp = memory, .ss_size = sizeof memory };
    begin(false);
    sigaltstack(&its, NULL);
    crash_prepare_thread();
    return own_stack().ss_sp == memory ? 0 : 1;
}

static void a_thread_gets_a_stack_if_it_has_none(void **state)
{
    (void)state;
    assert_int_equal(status_of(look_at_stacks), 0);
    assert_int_equal(status_of(keep_its_stack), 0);
}

static void the_job_is_the_threads(void **state)
{
    (void)state;
    assert_int_equal(crash_job().len, 0);
    crash_set_job(SLICE_LITERAL("job-2"));
    assert_true(slice_is(crash_job(), "job-2"));
    crash_set_job((slice){ 0 });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fault_has_its_address),
        cmocka_unit_test(what_is_sent_has_none),
        cmocka_unit_test(an_action_of_somebody_elses_stays),
        cmocka_unit_test(a_thread_gets_a_stack_if_it_has_none),
        cmocka_unit_test(the_job_is_the_threads),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
