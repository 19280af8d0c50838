/* process/process_sweep: what is ended of a program that has ended, and what is left alone. */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "process/process.h"

/* --- processes that are not the worker's programs ------------------------------------------- */

/* Answers each byte by the same one, until the test has ended; an 'f' by a child of its own. */
struct echo {
    pid_t pid;
    int fd;
};

static struct echo stranger; /* no descendant of this process */
static struct echo earlier;  /* a child from before it was the reaper of orphans */

static void echo_main(int fd)
{
    char byte;
    prctl(PR_SET_NAME, ") Z 1 1 1 ("); /* may not be taken for what follows it in /proc/PID/stat */
    while (read(fd, &byte, 1) == 1) {
        pid_t child = byte == 'f' ? fork() : 0;
        if (child > 0) {
            waitpid(child, NULL, 0);
            break;
        }
        if (write(fd, &byte, 1) != 1)
            break;
    }
    _exit(0);
}

static struct echo start_echo(bool orphan)
{
    int ends[2], status;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        if (orphan && fork() != 0)
            _exit(0);
        echo_main(ends[1]);
    }
    close(ends[1]);
    if (orphan)
        assert_int_equal(waitpid(pid, &status, 0), pid);
    return (struct echo){ pid, ends[0] };
}

static void assert_answers(const struct echo *echo, char byte)
{
    char answer = '\0';
    assert_int_equal(send(echo->fd, &byte, 1, MSG_NOSIGNAL), 1);
    assert_int_equal(read(echo->fd, &answer, 1), 1);
    assert_int_equal(answer, byte);
}

/* When a process was started, in the unit of boot_ticks. */
static unsigned long long start_of(pid_t pid)
{
    char path[64], text[1024] = "";
    unsigned long long started = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof text - 1, file) > 0);
    fclose(file);
    assert_int_equal(sscanf(strrchr(text, ')'),
                            ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
                            "%*d %*d %*d %llu",
                            &started),
                     1);
    return started;
}

static unsigned long long boot_ticks(void)
{
    struct timespec now;
    const unsigned long long ticks = (unsigned long long)sysconf(_SC_CLK_TCK);
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (unsigned long long)now.tv_sec * ticks +
           (unsigned long long)now.tv_nsec * ticks / 1000000000u;
}

/* Before the first program is started. */
static int start_echoes(void **state)
{
    (void)state;
    stranger = start_echo(true);
    earlier = start_echo(false);
    assert_answers(&earlier, '1');
    while (boot_ticks() <= start_of(earlier.pid))
        clock_sleep(clock_deadline(1));
    return 0;
}

/* --- the worker's programs ------------------------------------------------------------------- */

static void start(struct process *process, const char *script)
{
    char *argv[] = { "sh", "-c", (char *)(uintptr_t)script, NULL };
    const struct process_plan plan = { .path = "/bin/sh", .argv = argv };
    struct err err = { 0 };
    assert_int_equal(process_start(process, &plan, &err), 0);
}

/* The next line of its output; empty at its end. */
static const char *read_line(const struct process *process)
{
    static char line[256];
    struct pollfd output = { .fd = process->out, .events = POLLIN };
    size_t len = 0;
    while (len + 1 < sizeof line) {
        assert_int_equal(poll(&output, 1, 30000), 1);
        if (read(process->out, &line[len], 1) != 1 || line[len] == '\n')
            break;
        len++;
    }
    line[len] = '\0';
    return line;
}

static void assert_says(const struct process *process, const char *word)
{
    size_t len = strlen(word);
    assert_int_equal(write(process->in, word, len), len);
    assert_int_equal(write(process->in, "\n", 1), 1);
    assert_string_equal(read_line(process), word);
}

/* Waits until the process is that program. */
static void wait_program(pid_t pid, const char *name)
{
    char path[64], text[64] = "";
    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    for (int i = 0; i < 6000 && strcmp(text, name) != 0; i++) {
        FILE *file = fopen(path, "r");
        assert_non_null(file);
        if (fgets(text, sizeof text, file) != NULL)
            text[strcspn(text, "\n")] = '\0';
        fclose(file);
        if (strcmp(text, name) != 0)
            clock_sleep(clock_deadline(5));
    }
    assert_string_equal(text, name);
}

static void wait_killed(pid_t pid)
{
    for (int i = 0; i < 2000 && kill(pid, 0) == 0; i++) {
        process_reap_orphans();
        clock_sleep(clock_deadline(5));
    }
    assert_int_equal(kill(pid, 0), -1);
}

/* A program that leaves a process whose environment and session tell nothing; its number. */
static pid_t leave_one(struct process *process)
{
    int left = 0;
    start(process, "env -i setsid sleep 100 >/dev/null 2>&1 & echo $!; exit 6");
    assert_int_equal(sscanf(read_line(process), "%d", &left), 1);
    assert_true(process_wait(process, clock_deadline(30000)));
    wait_program(left, "sleep");
    return left;
}

/* What was a child before, and all that it starts, is not a program's; nor are strangers. */
static void other_processes_are_left_alone(void **state)
{
    struct process process;
    (void)state;
    for (int i = 0; i < 2; i++) {
        pid_t left = leave_one(&process);
        assert_int_equal(WEXITSTATUS(process_end(&process)), 6);
        wait_killed(left);
        assert_answers(&stranger, 'a');
        assert_answers(&earlier, i == 0 ? 'f' : 'a'); /* from then on it is a child that answers */
    }
    assert_false(process_is_ending(earlier.pid));
}

/* Neither its environment nor its group nor its session tell; that its parent is a program does. */
static void a_child_of_a_running_program_is_left_alone(void **state)
{
    struct process process, running;
    (void)state;
    start(&running, "env -i setsid sh -c 'while read -r word; do echo \"$word\"; done'; exit 3");
    assert_says(&running, "before");
    pid_t left = leave_one(&process);
    process_end(&process);
    wait_killed(left);
    assert_says(&running, "after");
    process_close(&running.in);
    assert_true(process_wait(&running, clock_deadline(30000)));
    assert_int_equal(WEXITSTATUS(process_end(&running)), 3);
}

/* By its mark, wherever it is in the environment: that is read in pieces of 4096 bytes. */
static void a_mark_is_found_behind_much_else(void **state)
{
    enum { COUNT = 7 };
    struct process process, running;
    int daemons[COUNT];
    (void)state;
    start(&running, "for size in 10 4070 4085 4092 4093 8130 12000; do "
                    "sh -c 'setsid env -i \"A=$(printf %0'$size'd 0)\" \"RP_PROCESS=$RP_PROCESS\" "
                    "B=1 sleep 100 >/dev/null 2>&1 & echo $!'; done; read -r line");
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(sscanf(read_line(&running), "%d", &daemons[i]), 1);
        wait_program(daemons[i], "sleep");
    }
    pid_t left = leave_one(&process);
    process_end(&process);
    wait_killed(left);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(kill(daemons[i], 0), 0);
    process_end(&running);
    for (int i = 0; i < COUNT; i++)
        wait_killed(daemons[i]);
}

/* All of its own, a child from before too; a stranger is none. */
static void the_end_of_all_is_that_of_all_descendants(void **state)
{
    struct process process;
    char byte;
    (void)state;
    start(&process, "read -r line");
    assert_answers(&earlier, 'a');
    process_end_all(0);
    assert_true(process_wait(&process, clock_deadline(30000)));
    assert_int_equal(read(earlier.fd, &byte, 1), 0);
    process_reap_all();
    assert_answers(&stranger, 'a');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_processes_are_left_alone),
        cmocka_unit_test(a_child_of_a_running_program_is_left_alone),
        cmocka_unit_test(a_mark_is_found_behind_much_else),
        cmocka_unit_test(the_end_of_all_is_that_of_all_descendants), /* nothing starts after it */
    };
    return cmocka_run_group_tests_name("process_sweep", tests, start_echoes, NULL);
}
