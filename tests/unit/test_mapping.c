/* model/mapping: files in memory, their errors, and what is said when one is cut. */
#include <errno.h>
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

#include "base/remove_tree.h"
#include "descriptors.h"
#include "model/mapping.h"

#define FILE_BYTES 5000 /* more than a page */

static char place[200];

static int set_up(void **state)
{
    static char bytes[FILE_BYTES];
    (void)state;
    memset(bytes, 'b', sizeof bytes);
    snprintf(place, sizeof place, "/tmp/test-mapping-XXXXXX");
    if (mkdtemp(place) == NULL || chdir(place) != 0)
        return 1;
    int fd = open("file", O_CREAT | O_WRONLY, 0600),
        empty = open("empty", O_CREAT | O_WRONLY, 0600);
    return write(fd, bytes, sizeof bytes) != sizeof bytes || close(fd) != 0 || close(empty) != 0;
}

static int tear_down(void **state)
{
    struct err err;
    (void)state;
    return chdir("/tmp") != 0 || remove_tree(AT_FDCWD, place + strlen("/tmp/"), &err) != 0;
}

static void what_cannot_be_mapped_is_named(void **state)
{
    slice bytes = { "before", 6 };
    struct err err = { 0 };
    int before = open_descriptors();
    (void)state;
    assert_int_equal(mapping_open("none", &bytes, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, "none"));
    assert_non_null(strstr(err.text, strerror(ENOENT)));
    assert_int_equal(mapping_open(".", &bytes, &err), ERR_INPUT);
    assert_string_equal(err.text, ". is not a regular file");
    assert_int_equal(open_descriptors(), before);
    for (int i = 0; i < 2 * MAPPINGS_MAX; i++) { /* takes no place */
        assert_int_equal(mapping_open("empty", &bytes, &err), 0);
        assert_int_equal(bytes.len, 0);
    }
    assert_int_equal(open_descriptors(), before);
}

/* In a child, which ends so; what it prints is left in `said`. */
static int status_of(void (*access)(void), char *said, size_t size)
{
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        access();
        _exit(0);
    }
    close(ends[1]);
    ssize_t len = read(ends[0], said, size - 1);
    said[len > 0 ? len : 0] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void read_last(slice bytes)
{
    volatile char last = bytes.ptr[bytes.len - 1];
    (void)last;
}

static void make_cut_file(void)
{
    static const char zeros[FILE_BYTES];
    int fd = open("cut", O_CREAT | O_TRUNC | O_WRONLY, 0600);
    if (write(fd, zeros, sizeof zeros) != sizeof zeros || close(fd) != 0)
        _exit(3);
}

static void read_a_file_that_is_cut(void)
{
    slice bytes, other;
    struct err err;
    make_cut_file();
    if (mapping_open("file", &other, &err) != 0 || mapping_open("cut", &bytes, &err) != 0 ||
        truncate("cut", 0) != 0)
        _exit(3);
    read_last(other);
    read_last(bytes);
}

/* Not mapped by this module. */
static void read_another_mapping(void)
{
    slice bytes;
    struct err err;
    make_cut_file();
    int fd = open("cut", O_RDONLY);
    void *at = mmap(NULL, FILE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED || mapping_open("file", &bytes, &err) != 0 || truncate("cut", 0) != 0)
        _exit(3);
    read_last((slice){ at, FILE_BYTES });
}

static void a_file_that_is_cut_ends_the_process(void **state)
{
    char said[600];
    (void)state;
    int status = status_of(read_a_file_that_is_cut, said, sizeof said);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_string_equal(said, "worker: cut has become shorter, or cannot be read any more, while "
                              "it was in use\n");
    status = status_of(read_another_mapping, said, sizeof said);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGBUS);
    assert_string_equal(said, "");
}

static void as_many_are_mapped_as_there_may_be(void **state)
{
    slice bytes;
    struct err err = { 0 };
    int before = open_descriptors();
    (void)state;
    for (int i = 0; i < MAPPINGS_MAX; i++) {
        assert_int_equal(mapping_open("file", &bytes, &err), 0);
        assert_int_equal(bytes.len, FILE_BYTES);
        assert_true(bytes.ptr[0] == 'b' && bytes.ptr[FILE_BYTES - 1] == 'b');
    }
    assert_int_equal(mapping_open("file", &bytes, &err), ERR_LIMIT);
    assert_string_equal(err.text, "file: more than 8 files to map");
    assert_int_equal(open_descriptors(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_mapped_is_named),
        cmocka_unit_test(a_file_that_is_cut_ends_the_process),
        cmocka_unit_test(as_many_are_mapped_as_there_may_be), /* the last: they stay */
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
