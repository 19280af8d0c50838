/* audit/listed.h: it says what the kernel's own list, audit/landlock.h, says. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "audit/landlock.h"
#include "audit/listed.h"
#include "base/remove_tree.h"

#define READS LANDLOCK_READS
#define WRITES LANDLOCK_WRITES
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const struct rule {
    const char *path;
    unsigned access;
} rules[] = {
    { "read", READS },  { "read/write", WRITES }, { "write", WRITES },
    { "alone", READS }, { "link-to-out", READS },
};

static const char *const folders[] = { "read", "read/write", "write", "out", "out/deep" };
static const char *const files[] = {
    "read/file", "read/write/file", "write/file", "out/file", "out/deep/file", "alone", "beside",
};

/* Those, and what leads to them in other ways. */
static const char *const paths[] = {
    "read/file",   "read/write/file", "write/file",       "out/file",     "out/deep/file",
    "alone",       "beside",          "read/../out/file", "write/link",   "out/link",
    "./read/file", "read/../beside",  "link-to-out/file", "out/../alone",
};

static char place[200];

static int set_up(void **state)
{
    (void)state;
    snprintf(place, sizeof place, "/tmp/test-listed-XXXXXX");
    if (mkdtemp(place) == NULL || chdir(place) != 0)
        return 1;
    for (size_t i = 0; i < COUNT(folders); i++)
        mkdir(folders[i], 0700);
    for (size_t i = 0; i < COUNT(files); i++)
        close(open(files[i], O_CREAT | O_WRONLY, 0600));
    return symlink("../out/file", "write/link") != 0 || symlink("../read/file", "out/link") != 0 ||
           symlink("out/deep", "link-to-out") != 0;
}

static int tear_down(void **state)
{
    struct err err;
    (void)state;
    return chdir("/tmp") != 0 || remove_tree(AT_FDCWD, place + strlen("/tmp/"), &err) != 0;
}

/* In a child, as it is for good. Exit status 0: it may be opened so. */
static void open_held(const char *path, int flags)
{
    int version = landlock_version(), list = landlock_new(version, false);
    for (size_t i = 0; i < COUNT(rules); i++)
        landlock_allow_path(list, version, rules[i].path, rules[i].access);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || landlock_install(list) != 0)
        _exit(2);
    _exit(open(path, flags) >= 0 ? 0 : errno == EACCES ? 1 : 3);
}

static bool kernel_allows(const char *path, int flags)
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        open_held(path, flags);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
    return WEXITSTATUS(status) == 0;
}

static void as_the_kernel(void **state)
{
    size_t allowed = 0;
    (void)state;
    if (landlock_version() == 0)
        skip();
    for (size_t i = 0; i < COUNT(rules); i++)
        assert_int_equal(listed_add_path(rules[i].path, rules[i].access), 0);
    for (size_t i = 0; i < COUNT(paths); i++) {
        unsigned access;
        assert_int_equal(listed_access(paths[i], &access), 0);
        assert_int_equal((access & READS) != 0, kernel_allows(paths[i], O_RDONLY));
        assert_int_equal((access & WRITES) != 0, kernel_allows(paths[i], O_WRONLY));
        allowed += access != 0;
    }
    assert_in_range(allowed, 1, COUNT(paths) - 1);
}

static void folders_of_what_is_not_there(void **state)
{
    unsigned access;
    (void)state;
    assert_int_equal(listed_access("write/none", &access), -1);
    for (const char *const *path = (const char *const[]){ "write/none", "write/none//", NULL };
         *path != NULL; path++) {
        assert_int_equal(listed_folder_access(*path, &access), 0);
        assert_int_equal(access, WRITES);
    }
    assert_int_equal(listed_folder_access("none", &access), 0);
    assert_int_equal(access, 0);
    assert_int_equal(listed_folder_access("none/none", &access), -1);
    assert_int_equal(listed_add_path("none", READS), ENOENT);
}

static void ports(void **state)
{
    (void)state;
    assert_false(listed_port(0));
    listed_add_port(53);
    listed_add_port(8443);
    assert_true(listed_port(53) && listed_port(8443));
    assert_false(listed_port(54));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_kernel),
        cmocka_unit_test(folders_of_what_is_not_there),
        cmocka_unit_test(ports),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
