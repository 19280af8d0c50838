/* files/volume_copy: a file's bytes, its mode and time, and a signal in the middle of it. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "files/volume_cache_private.h"

static char folder[] = "/tmp/volume-copy-XXXXXX";
static bool ends;

static bool is_ending(void)
{
    return ends;
}

static const struct volume_cache_setting setting = { .is_ending = is_ending };
static const struct volume_cache cache = { .setting = &setting };

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

/* Copies into a file of that name in the folder; the descriptor `from` is closed. */
static int copy(int from, const char *name, uint64_t *bytes, struct err *err)
{
    struct volume_output output;
    int rc = volume_output_open(&output, open(folder, O_RDONLY | O_CLOEXEC), name, err);
    assert_int_equal(rc, 0);
    rc = volume_output_close(&output, volume_copy_bytes(&cache, from, &output, bytes, err), err);
    close(from);
    return rc;
}

/* What is in that file, which is removed; the number of bytes, -1 where there is none. */
static ssize_t take(const char *name, char *content, size_t size)
{
    int at = open(folder, O_RDONLY | O_CLOEXEC);
    int fd = openat(at, name, O_RDONLY | O_CLOEXEC);
    ssize_t count = fd >= 0 ? read(fd, content, size) : -1;
    unlinkat(at, name, 0);
    close(fd);
    close(at);
    return count;
}

/* --- a signal --------------------------------------------------------------------------------- */

enum { TICK_US = 1000, TICKS = 20 };

static int writing_end;

/* At the last tick there are bytes, and then no more. */
static void tick(int number)
{
    static int ticks;
    (void)number;
    if (++ticks != TICKS)
        return;
    ssize_t written = write(writing_end, "late", 4);
    (void)written;
    close(writing_end);
}

/* Reading waits, and is interrupted again and again, before there is anything to read. */
static void a_signal_costs_no_bytes(void **state)
{
    const struct sigaction action = { .sa_handler = tick };
    const struct itimerval every = { { 0, TICK_US }, { 0, TICK_US } }, never = { 0 };
    struct err err = { 0 };
    uint64_t bytes = 0;
    char content[8];
    int ends_of_pipe[2];
    (void)state;
    assert_int_equal(pipe(ends_of_pipe), 0);
    writing_end = ends_of_pipe[1];
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &every, NULL), 0);
    int rc = copy(ends_of_pipe[0], "one", &bytes, &err);
    setitimer(ITIMER_REAL, &never, NULL);
    if (rc != 0)
        fail_msg("%s", err.text);
    assert_int_equal(bytes, 4);
    assert_int_equal(take("one", content, sizeof content), 4);
    assert_memory_equal(content, "late", 4);
}

/* --- the rest --------------------------------------------------------------------------------- */

static void what_is_cut_short_is_not_there(void **state)
{
    struct err err = { 0 };
    uint64_t bytes = 0;
    int ends_of_pipe[2];
    (void)state;
    assert_int_equal(pipe(ends_of_pipe), 0);
    assert_int_equal(write(ends_of_pipe[1], "late", 4), 4);
    close(ends_of_pipe[1]);
    ends = true;
    assert_int_equal(copy(ends_of_pipe[0], "one", &bytes, &err), ERR_CANCELLED);
    ends = false;
    assert_int_equal(copy(open(folder, O_RDONLY | O_CLOEXEC), "one", &bytes, &err), ERR_RETRY);
    assert_non_null(strstr(err.text, "reading a file: Is a directory"));
    assert_int_equal(rmdir(folder), 0); /* neither a file of that name nor one of another */
    assert_int_equal(mkdir(folder, 0700), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signal_costs_no_bytes),
        cmocka_unit_test(what_is_cut_short_is_not_there),
    };
    return cmocka_run_group_tests_name("volume_copy", tests, make_folder, remove_folder);
}
