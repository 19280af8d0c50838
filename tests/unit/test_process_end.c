/* process/process_end_all: programs are asked first, and may end by themselves. */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "process/process.h"

#define GRACE_MS (1000 * 1000) /* much longer than a test may take */

/* Says that it is ready; ends with that status once it is asked to. */
static void start(struct process *process, int status)
{
    char script[128], byte;
    char *argv[] = { "sh", "-c", script, NULL };
    const struct process_plan plan = { .path = "/bin/sh", .argv = argv };
    struct err err = { 0 };
    snprintf(script, sizeof script,
             "trap 'exit %d' TERM; sleep 1000 & echo; while :; do wait; done", status);
    assert_int_equal(process_start(process, &plan, &err), 0);
    struct pollfd output = { .fd = process->out, .events = POLLIN };
    assert_int_equal(poll(&output, 1, 30000), 1);
    assert_int_equal(read(process->out, &byte, 1), 1);
}

/* A worker that never started any has none to end, and starts none from then on. */
static void without_programs_there_is_nothing_to_end(void **state)
{
    int status;
    (void)state;
    pid_t worker = fork();
    assert_true(worker >= 0);
    if (worker == 0) {
        const struct process_plan plan = { .path = "/bin/sh",
                                           .argv = (char *const[]){ "sh", NULL } };
        struct process process;
        struct err err = { 0 };
        pid_t child = fork();
        if (child == 0)
            _exit(pause());
        process_end_all(0);
        bool cancelled = process_start(&process, &plan, &err) == ERR_CANCELLED;
        bool alive = waitpid(child, NULL, WNOHANG) == 0;
        kill(child, SIGKILL);
        _exit(cancelled && alive ? 0 : 1);
    }
    assert_int_equal(waitpid(worker, &status, 0), worker);
    assert_int_equal(status, 0);
}

/* Each of them is asked, and none is killed before its time; when all have ended, that is it. */
static void programs_end_as_they_like(void **state)
{
    struct process processes[3];
    (void)state;
    for (int i = 0; i < 3; i++)
        start(&processes[i], 20 + i);
    process_end_all(GRACE_MS);
    for (int i = 0; i < 3; i++) {
        int status = process_end(&processes[i]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 20 + i);
    }
    process_reap_all();
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_programs_there_is_nothing_to_end),
        cmocka_unit_test(programs_end_as_they_like), /* the last one: nothing starts after it */
    };
    return cmocka_run_group_tests_name("process_end", tests, NULL, NULL);
}
