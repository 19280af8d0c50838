/* files/below: paths from outside, which lead to nothing outside of their folder. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/remove_tree.h"
#include "descriptors.h"
#include "files/below.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static char place[200];
static int root;

static int set_up(void **state)
{
    (void)state;
    snprintf(place, sizeof place, "/tmp/test-below-XXXXXX");
    if (mkdtemp(place) == NULL || chdir(place) != 0)
        return 1;
    if (mkdir("root", 0700) != 0 || mkdir("root/in", 0700) != 0 || mkdir("out", 0700) != 0 ||
        mkfifo("root/pipe", 0600) != 0)
        return 1;
    static const char *const files[] = { "root/file", "root/in/file", "out/file" };
    for (size_t i = 0; i < COUNT(files); i++)
        close(open(files[i], O_CREAT | O_WRONLY, 0600));
    root = open("root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return root < 0 || symlink("../out", "root/out") != 0 || symlink("file", "root/link") != 0 ||
           symlink("in", "root/alias") != 0;
}

static int tear_down(void **state)
{
    struct err err;
    (void)state;
    close(root);
    return chdir("/tmp") != 0 || remove_tree(AT_FDCWD, place + strlen("/tmp/"), &err) != 0;
}

static void files_are_opened_below_the_folder_alone(void **state)
{
    static const struct {
        const char *path;
        bool opens;
    } cases[] = {
        { "file", true },        { "in/file", true },    { "", false },
        { ".", false },          { "..", false },        { "../out/file", false },
        { "in/../file", false }, { "in/./file", false }, { "in//file", false },
        { "/file", false },      { "in/", false },       { "in", false },
        { "out/file", false },   { "link", false },      { "alias/file", false },
        { "pipe", false },       { "file/file", false }, { "none", false },
        { "none/file", false },  { "...", false },       { "in/..", false },
    };
    int before = open_descriptors();
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct err err = { 0 };
        int fd = below_open_file(root, cases[i].path, &err);
        if (cases[i].opens != (fd >= 0) || (fd < 0 && fd != ERR_INPUT))
            fail_msg("\"%s\": %d %s", cases[i].path, fd, err.text);
        if (fd >= 0) {
            assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
            close(fd);
        }
        assert_int_equal(open_descriptors(), before);
    }
}

static void parts_have_a_longest(void **state)
{
    char path[300];
    const char *name;
    struct err err;
    (void)state;
    memset(path, 'p', sizeof path);
    path[256] = '\0';
    assert_int_equal(below_open_folder(root, path, 0, NULL, &name, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, "is not a path below a folder"));
    path[255] = '\0';
    int fd = below_open_folder(root, path, 0, NULL, &name, &err);
    assert_true(fd >= 0);
    close(fd);
    assert_string_equal(name, path);
}

static void missing_folders_are_made_and_counted(void **state)
{
    const int before = open_descriptors();
    const mode_t mask = umask(022);
    uint64_t made = 5;
    const char *name;
    struct stat info, other;
    struct err err;
    (void)state;
    assert_int_equal(below_open_folder(root, "in/new/deep/file", 0, &made, &name, &err), ERR_INPUT);
    assert_int_equal(made, 5);
    assert_int_equal(access("root/in/new", F_OK), -1);
    int fd = below_open_folder(root, "in/new/deep/file", 0750, &made, &name, &err);
    assert_true(fd >= 0);
    assert_string_equal(name, "file");
    assert_int_equal(made, 7); /* "in" was there */
    assert_int_equal(fstat(fd, &info), 0);
    assert_int_equal(stat("root/in/new/deep", &other), 0);
    assert_true(info.st_ino == other.st_ino);
    assert_int_equal(info.st_mode & 0777, 0750);
    close(fd);
    assert_int_equal(access("root/in/new/deep/file", F_OK), -1);
    fd = below_open_folder(root, "in/another/file", 0700, NULL, &name, &err);
    assert_true(fd >= 0);
    close(fd);
    /* A link is not followed to make anything. */
    assert_int_equal(below_open_folder(root, "out/new/file", 0700, &made, &name, &err), ERR_INPUT);
    assert_int_equal(made, 7);
    assert_int_equal(access("out/new", F_OK), -1);
    assert_int_equal(below_open_folder(-1, "file", 0, NULL, &name, &err), ERR_INPUT);
    assert_int_equal(open_descriptors(), before);
    umask(mask);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_opened_below_the_folder_alone),
        cmocka_unit_test(parts_have_a_longest),
        cmocka_unit_test(missing_folders_are_made_and_counted),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
