/* base/io, base/own_call: whole reads and writes, whatever cuts them short; and folders. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/io.h"
#include "base/limits.h"
#include "base/own_call.h"
#include "base/remove_tree.h"
#include "descriptors.h"

#define FILE_BYTES 100000

static char place[200];
static char bytes[FILE_BYTES];

static int set_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7919 >> 8);
    snprintf(place, sizeof place, "/tmp/test-io-XXXXXX");
    return mkdtemp(place) == NULL || chdir(place) != 0;
}

static int tear_down(void **state)
{
    struct err err;
    (void)state;
    return chdir("/tmp") != 0 || remove_tree(AT_FDCWD, place + strlen("/tmp/"), &err) != 0;
}

/* The number that the next descriptor would have. */
static int next_descriptor(void)
{
    int fd = dup(STDERR_FILENO);
    close(fd);
    return fd;
}

static void make_file(const char *path, size_t size)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(io_write_all(fd, (slice){ bytes, size }), 0);
    close(fd);
}

/* --- files ------------------------------------------------------------------------------- */

static void reads(size_t size, size_t max_bytes, int expected)
{
    struct buf out;
    struct err err = { 0 };
    make_file("file", size);
    buf_init(&out, max_bytes, "file");
    int before = open_descriptors();
    assert_int_equal(io_read_file("file", 0, &out, &err), expected);
    assert_int_equal(open_descriptors(), before);
    if (expected == 0) {
        assert_int_equal(out.len, size);
        assert_memory_equal(out.ptr, bytes, size);
    }
    buf_free(&out);
}

static void files_are_read_whole_or_not_at_all(void **state)
{
    (void)state;
    reads(FILE_BYTES, LIMIT_MIB, 0);
    reads(FILE_BYTES, FILE_BYTES + 1, 0);
    reads(FILE_BYTES, FILE_BYTES - 1, ERR_LIMIT);
    reads(10, 1000, 0);
    reads(999, 1000, 0);
    reads(1001, 1000, ERR_LIMIT);
    reads(0, 1, 0);
}

static void files_are_added_to_what_is_there(void **state)
{
    struct buf out;
    (void)state;
    make_file("file", 10);
    buf_init(&out, 100, "file");
    buf_add_text(&out, "before", NULL);
    int fd = open("file", O_RDONLY);
    assert_int_equal(lseek(fd, 2, SEEK_SET), 2);
    assert_int_equal(io_read_fd(fd, "file", &out, NULL), 0);
    close(fd);
    assert_int_equal(out.len, 14);
    assert_memory_equal(out.ptr, "before", 6);
    assert_memory_equal(out.ptr + 6, bytes + 2, 8);
    buf_free(&out);
}

static void what_cannot_be_read_is_named(void **state)
{
    struct buf out;
    struct err err = { 0 };
    (void)state;
    buf_init(&out, 100, "file");
    assert_int_equal(io_read_file("none", 0, &out, &err), ERR_INPUT);
    assert_string_equal(err.text, "cannot open none: No such file or directory");
    assert_int_equal(io_read_file(place, 0, &out, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, "cannot read /tmp/test-io-"));
    assert_int_equal(symlink("file", "link"), 0);
    make_file("file", 1);
    assert_int_equal(io_read_file("link", O_NOFOLLOW, &out, &err), ERR_INPUT);
    assert_int_equal(io_read_file("link", 0, &out, &err), 0);
    assert_int_equal(io_write_all(-1, SLICE_LITERAL("x")), -1);
    buf_free(&out);
}

/* --- what is interrupted ----------------------------------------------------------------- */

static volatile sig_atomic_t alarms;

static void count_alarm(int number)
{
    (void)number;
    alarms++;
}

struct reading {
    int fd;
    struct buf out;
};

/* Reads nothing until the writer has been interrupted a few times. */
static void *read_late(void *argument)
{
    struct reading *reading = argument;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    while (alarms < 5)
        sched_yield();
    return io_read_fd(reading->fd, "pipe", &reading->out, NULL) == 0 ? argument : NULL;
}

static void interrupt_often(long every_us)
{
    const struct sigaction action = { .sa_handler = every_us > 0 ? count_alarm : SIG_IGN };
    const struct itimerval timer = { { 0, every_us }, { 0, every_us } };
    if (every_us > 0)
        sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
    if (every_us == 0)
        sigaction(SIGALRM, &action, NULL);
}

static void writes_go_on_after_a_signal(void **state)
{
    struct reading reading;
    pthread_t reader;
    void *result;
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_true(fcntl(ends[1], F_SETPIPE_SZ, 4096) < (int)sizeof bytes);
    reading.fd = ends[0];
    buf_init(&reading.out, LIMIT_MIB, "pipe");
    interrupt_often(1000);
    assert_int_equal(pthread_create(&reader, NULL, read_late, &reading), 0);
    assert_int_equal(io_write_all(ends[1], (slice){ bytes, sizeof bytes }), 0);
    interrupt_often(0);
    close(ends[1]);
    pthread_join(reader, &result);
    close(ends[0]);
    assert_non_null(result);
    assert_int_equal(reading.out.len, sizeof bytes);
    assert_memory_equal(reading.out.ptr, bytes, sizeof bytes);
    buf_free(&reading.out);
}

/* Writes once the reader has been interrupted a few times. */
static void *write_late(void *end)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    while (alarms < 5)
        sched_yield();
    ssize_t count = write(*(const int *)end, "late", 4);
    close(*(const int *)end);
    return count == 4 ? end : NULL;
}

static void reads_go_on_after_a_signal(void **state)
{
    struct buf out;
    pthread_t writer;
    void *result;
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    buf_init(&out, 100, "pipe");
    alarms = 0;
    interrupt_often(1000);
    assert_int_equal(pthread_create(&writer, NULL, write_late, &ends[1]), 0);
    assert_int_equal(io_read_fd(ends[0], "pipe", &out, NULL), 0);
    interrupt_often(0);
    pthread_join(writer, &result);
    close(ends[0]);
    assert_non_null(result);
    assert_true(slice_is(buf_slice(&out), "late"));
    buf_free(&out);
}

/* --- folders ----------------------------------------------------------------------------- */

static void assert_folder(const char *path, mode_t mode)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode, S_IFDIR | mode);
}

static void folders_are_made_with_those_above(void **state)
{
    char relative[] = "a/b//c", absolute[300], none[] = "";
    (void)state;
    io_make_folders(relative, 0750);
    assert_string_equal(relative, "a/b//c");
    assert_folder("a", 0750);
    assert_folder("a/b", 0750);
    assert_folder("a/b/c", 0750);
    snprintf(absolute, sizeof absolute, "%s/a/b/c/d/e/", place);
    io_make_folders(absolute, 0700);
    assert_folder("a/b/c/d", 0700);
    assert_folder("a/b/c/d/e", 0700);
    assert_folder("a", 0750); /* as it was */
    io_make_folders(none, 0700);
}

static void a_part_of_a_file_is_read(void **state)
{
    (void)state;
    char read[8] = "", path[] = "part.XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    assert_int_equal(io_write_all(fd, SLICE_LITERAL("0123456789")), 0);
    assert_int_equal(io_read_at(fd, 2, read, 3), 3);
    assert_string_equal(read, "234");
    assert_int_equal(io_read_at(fd, 6, read, 8), 4);
    assert_string_equal(read, "6789");
    assert_int_equal(io_read_at(fd, 10, read, 8), 0);
    assert_int_equal(io_read_at(fd, 0, read, 0), 0);
    close(fd);
    assert_int_equal(io_read_at(-1, 0, read, 8), -1);
    assert_int_equal(errno, EBADF);
}

/* --- own calls --------------------------------------------------------------------------- */

static void own_calls_do_what_those_of_libc_do(void **state)
{
    const long none[6] = { -1 };
    (void)state;
    errno = 0;
    assert_int_equal(own_call(SYS_close, none), -EBADF);
    assert_int_equal(errno, 0);
    assert_int_equal(own_call(SYS_getpid, none), getpid());
    assert_int_equal(own_open("none", O_RDONLY), -1);
    assert_int_equal(errno, ENOENT);
    make_file("file", 1);
    int next = next_descriptor(), fd = own_open("file", O_RDONLY | O_CLOEXEC);
    assert_int_equal(fd, next);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    close(fd);
    fd = own_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(fd, next);
    close(fd);
    assert_int_equal(own_socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), -1);
    assert_int_equal(errno, EPROTONOSUPPORT);
    assert_true(own_call_address() == own_call_address());
    int kept = dup(STDIN_FILENO);
    close(STDIN_FILENO);
    fd = own_open("file", O_RDONLY);
    dup2(kept, STDIN_FILENO);
    close(kept);
    assert_int_equal(fd, STDIN_FILENO); /* a descriptor as any other */
}

/* All six of them: two pages of a file, from its second on. */
static void own_calls_have_all_arguments(void **state)
{
    const long page = sysconf(_SC_PAGESIZE);
    (void)state;
    make_file("file", (size_t)(3 * page));
    int fd = own_open("file", O_RDONLY);
    const long arguments[6] = { 0, 2 * page, PROT_READ, MAP_PRIVATE, fd, page };
    long mapped = own_call(SYS_mmap, arguments);
    close(fd);
    assert_true(mapped > 0 || mapped < -page);
    assert_memory_equal((const void *)mapped, bytes + page, (size_t)(2 * page));
    munmap((void *)mapped, (size_t)(2 * page));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_read_whole_or_not_at_all),
        cmocka_unit_test(files_are_added_to_what_is_there),
        cmocka_unit_test(what_cannot_be_read_is_named),
        cmocka_unit_test(writes_go_on_after_a_signal),
        cmocka_unit_test(reads_go_on_after_a_signal),
        cmocka_unit_test(folders_are_made_with_those_above),
        cmocka_unit_test(a_part_of_a_file_is_read),
        cmocka_unit_test(own_calls_do_what_those_of_libc_do),
        cmocka_unit_test(own_calls_have_all_arguments),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
