/* base/tree and job/scratch: folders that go away, whatever is in them, and nothing else. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/tree.h"
#include "job/scratch.h"

static char place[200];

static int set_up(void **state)
{
    (void)state;
    log_init(LOG_NOTSET, false);
    snprintf(place, sizeof place, "/tmp/test-tree-XXXXXX");
    return mkdtemp(place) == NULL || chdir(place) != 0 || setenv("RP_SCRATCH_DIR", place, 1) != 0;
}

static int tear_down(void **state)
{
    struct err err;
    (void)state;
    return chdir("/tmp") != 0 || tree_remove(AT_FDCWD, place + strlen("/tmp/"), &err) != 0;
}

static bool exists(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0;
}

static void touch(const char *path)
{
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static void test_all_kinds(void **state)
{
    struct err err;
    (void)state;
    assert_int_equal(mkdir("kept", 0700), 0);
    touch("kept/file");
    assert_int_equal(mkdir("gone", 0700), 0);
    assert_int_equal(mkdir("gone/shut", 0700), 0);
    touch("gone/shut/file");
    assert_int_equal(chmod("gone/shut", 0), 0);
    assert_int_equal(symlink("../kept", "gone/link"), 0);
    assert_int_equal(symlink("nowhere", "gone/dangling"), 0);
    assert_int_equal(mkfifo("gone/pipe", 0600), 0);
    assert_int_equal(tree_remove(AT_FDCWD, "gone", &err), 0);
    assert_false(exists("gone"));
    assert_true(exists("kept/file"));
}

static void test_link_in_its_place(void **state)
{
    struct err err;
    (void)state;
    assert_int_equal(mkdir("target", 0700), 0);
    touch("target/file");
    assert_int_equal(symlink("target", "link"), 0);
    assert_int_equal(tree_remove(AT_FDCWD, "link", &err), ERR_INPUT);
    assert_true(exists("target/file") && exists("link"));
    assert_int_equal(tree_remove(AT_FDCWD, "nothing", &err), 0);
}

static void test_deep_and_wide(void **state)
{
    struct err err;
    char name[32];
    (void)state;
    assert_int_equal(mkdir("deep", 0700), 0);
    assert_int_equal(chdir("deep"), 0);
    for (int depth = 0; depth < 5000; depth++) {
        assert_int_equal(mkdir("d", 0700), 0);
        assert_int_equal(chdir("d"), 0);
    }
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "%d", i);
        touch(name);
    }
    assert_int_equal(chdir(place), 0);
    assert_int_equal(tree_remove(AT_FDCWD, "deep", &err), 0);
    assert_false(exists("deep"));
}

static void test_scratch(void **state)
{
    struct scratch *scratch;
    struct stat info;
    struct err err;
    char path[4200];
    (void)state;
    assert_int_equal(scratch_new(&scratch, &err), 0);
    snprintf(path, sizeof path, "%s/file", scratch_path(scratch));
    assert_int_equal(strncmp(path, place, strlen(place)), 0);
    assert_int_equal(stat(scratch_path(scratch), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    touch(path);
    scratch_remove(scratch);
    assert_false(exists(path));
}

/* A worker that was killed leaves its folder; the next one removes that, and nothing else. */
static int leave_folder(void *unused)
{
    struct scratch *scratch;
    struct err err;
    (void)unused;
    _exit(scratch_new(&scratch, &err) == 0 ? 0 : 1);
}

static int use_folder(void *held)
{
    struct scratch *scratch;
    struct err err;
    (void)held;
    if (scratch_new(&scratch, &err) == 0)
        exit(0); /* without removing it: the exit does */
    _exit(1);
}

static int count_folders(void)
{
    int count;
    FILE *list = popen("ls -d rp-scratch-* 2>/dev/null | wc -l", "r");
    if (list == NULL || fscanf(list, "%d", &count) != 1)
        count = -1;
    if (list != NULL)
        pclose(list);
    return count;
}

static void run_child(int (*body)(void *))
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(body(NULL));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_leftovers(void **state)
{
    (void)state;
    int before = count_folders();
    run_child(leave_folder);
    run_child(leave_folder); /* removes the first's, leaves one of its own */
    assert_int_equal(count_folders(), before + 1);
    mkdir("rp-scratch-00000000-1-1-00000000", 0700); /* of another host */
    mkdir("rp-scratch-x", 0700);
    run_child(use_folder);
    assert_int_equal(count_folders(), before + 2);
    assert_true(exists("rp-scratch-x"));
}

/* Somebody whose process we cannot see holds its lock. */
static void test_locked_leftover(void **state)
{
    char name[200];
    (void)state;
    run_child(leave_folder);
    FILE *list = popen("ls -d rp-scratch-[1-9a-f]*-*-*", "r");
    assert_non_null(list);
    assert_int_equal(fscanf(list, "%199s", name), 1);
    pclose(list);
    int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    run_child(use_folder);
    assert_true(exists(name));
    close(fd);
    run_child(use_folder);
    assert_false(exists(name));
}

static void test_no_place(void **state)
{
    struct scratch *scratch;
    struct err err;
    (void)state;
    touch("no-folder");
    assert_int_equal(setenv("RP_SCRATCH_DIR", "no-folder", 1), 0);
    assert_int_equal(scratch_new(&scratch, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "RP_SCRATCH_DIR"));
    assert_non_null(strstr(err.text, "no-folder"));
    /* One that is named is made. */
    assert_int_equal(setenv("RP_SCRATCH_DIR", "new", 1), 0);
    assert_int_equal(scratch_new(&scratch, &err), 0);
    assert_int_equal(scratch_path(scratch)[0], '/');
    scratch_remove(scratch);
    assert_true(exists("new"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_kinds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_link_in_its_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_deep_and_wide, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_leftovers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_locked_leftover, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_scratch, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_place, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
