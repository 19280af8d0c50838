/* base/tree and job/scratch: folders that go away, whatever is in them, and nothing else. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
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

#include "api/scratch.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/remove_tree.h"
#include "descriptors.h"
#include "in_child.h"

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
    return chdir("/tmp") != 0 || remove_tree(AT_FDCWD, place + strlen("/tmp/"), &err) != 0;
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
    assert_int_equal(remove_tree(AT_FDCWD, "gone", &err), 0);
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
    assert_int_equal(remove_tree(AT_FDCWD, "link", &err), ERR_INPUT);
    assert_true(exists("target/file") && exists("link"));
    assert_int_equal(remove_tree(AT_FDCWD, "nothing", &err), 0);
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
    assert_int_equal(remove_tree(AT_FDCWD, "deep", &err), 0);
    assert_false(exists("deep"));
}

/* As root no folder is closed. Whatever is done by this user's id is its own to remove. */
#define NOBODY 65534

static void leave_root(void)
{
    if (geteuid() == 0 && (setgroups(0, NULL) != 0 || setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
        _exit(100);
}

static int remove_shut_folders(void)
{
    struct err err;
    leave_root();
    mkdir("top", 0700);
    mkdir("top/in", 0700);
    mkdir("top/in/deep", 0700);
    touch("top/in/deep/file");
    chmod("top/in/deep", 0);
    chmod("top/in", 0500); /* can be read, but nothing in it be removed */
    chmod("top", 0);
    return remove_tree(AT_FDCWD, "top", &err) == 0 && !exists("top") ? 0 : 1;
}

static void test_shut_folders(void **state)
{
    (void)state;
    assert_int_equal(chown(place, geteuid() == 0 ? NOBODY : (uid_t)-1, (gid_t)-1), 0);
    assert_int_equal(status_of(remove_shut_folders), 0);
}

static int remove_what_is_not_ours(void)
{
    struct err err = { 0 };
    leave_root();
    if (remove_tree(AT_FDCWD, "mixed", &err) != ERR_INPUT)
        return 1;
    return strcmp(err.text, "cannot remove mixed: Permission denied") == 0 ? 0 : 2;
}

/* All that can be removed is. */
static void test_somebody_elses(void **state)
{
    char path[64];
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(mkdir("mixed", 0700) | mkdir("mixed/theirs", 0755), 0);
    touch("mixed/theirs/file");
    for (int i = 0; i < 20; i++) {
        snprintf(path, sizeof path, "mixed/%d", i);
        touch(path);
    }
    assert_int_equal(chown(place, NOBODY, NOBODY) | chown("mixed", NOBODY, NOBODY), 0);
    assert_int_equal(status_of(remove_what_is_not_ours), 0);
    assert_true(exists("mixed/theirs/file"));
    for (int i = 0; i < 20; i++) {
        snprintf(path, sizeof path, "mixed/%d", i);
        assert_false(exists(path));
    }
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

/* Begins a job and ends it: `path` is its folder, which was empty. */
static void use_inner(struct scratch *outer, bool writes, char path[4200])
{
    struct scratch *inner;
    struct err err;
    char file[4300];
    assert_int_equal(scratch_new_in(outer, &inner, &err), 0);
    snprintf(path, 4200, "%s", scratch_path(inner));
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    scratch_remove(inner); /* it is another folder now: not kept */
    assert_int_equal(scratch_new_in(outer, &inner, &err), 0);
    snprintf(path, 4200, "%s", scratch_path(inner));
    snprintf(file, sizeof file, "%s/file", path);
    if (writes)
        touch(file);
    scratch_remove(inner);
    assert_false(exists(file));
}

/* The same without a look of its own, which would change the folder. */
static void hold_inner(struct scratch *outer, char path[4200])
{
    struct scratch *inner;
    struct err err;
    assert_int_equal(scratch_new_in(outer, &inner, &err), 0);
    snprintf(path, 4200, "%s", scratch_path(inner));
    scratch_remove(inner);
}

/* A folder serves job after job; its path changes once a job has used it. */
static void test_inner_folders(void **state)
{
    struct scratch *outer;
    struct err err;
    char first[4200], next[4200], file[4300];
    (void)state;
    assert_int_equal(scratch_new(&outer, &err), 0);
    use_inner(outer, true, first);
    hold_inner(outer, next);
    assert_string_not_equal(next, first);
    assert_false(exists(first));
    /* Until long after its status is trusted, and a job more. */
    deadline_ms deadline = clock_deadline(5 * LIMIT_SCRATCH_SETTLE_MS);
    while (clock_left_ms(deadline) > 0)
        hold_inner(outer, first);
    assert_string_equal(first, next);
    snprintf(file, sizeof file, "%s/late", first);
    touch(file); /* by somebody who outlived that job */
    use_inner(outer, false, next);
    assert_false(exists(file));
    hold_inner(outer, first);
    assert_string_equal(first, next);
    scratch_remove(outer);
    assert_false(exists(first));
}

/* The number of the job in its folder's name. */
static unsigned job_of(const struct scratch *scratch)
{
    unsigned number = 0;
    assert_int_equal(sscanf(strrchr(scratch_path(scratch), '/'), "/job-%u", &number), 1);
    return number;
}

/* Somebody has made what the next names would be: they are passed over, and stay as they are. */
static void test_inner_names_that_are_taken(void **state)
{
    struct scratch *outer, *first, *second;
    struct err err;
    char path[4300], taken[4400];
    const int before = open_descriptors();
    (void)state;
    assert_int_equal(scratch_new(&outer, &err), 0);
    assert_int_equal(scratch_new_in(outer, &first, &err), 0);
    unsigned number = job_of(first);
    snprintf(taken, sizeof taken, "%s/job-%u", scratch_path(outer), number + 1);
    assert_int_equal(mkdir(taken, 0700), 0);
    assert_int_equal(scratch_new_in(outer, &second, &err), 0);
    assert_int_equal(job_of(second), number + 2);
    /* The folder of a job that has used it is to be named anew: it goes where that cannot be. */
    snprintf(path, sizeof path, "%s/file", scratch_path(first));
    touch(path);
    scratch_remove(first);
    snprintf(path, sizeof path, "%s/job-%u", scratch_path(outer), number + 3);
    snprintf(taken, sizeof taken, "%s/file", path);
    assert_int_equal(mkdir(path, 0700), 0);
    touch(taken);
    assert_int_equal(scratch_new_in(outer, &first, &err), 0);
    assert_int_equal(job_of(first), number + 4);
    assert_true(exists(scratch_path(first)) && exists(taken));
    snprintf(path, sizeof path, "%s/job-%u", scratch_path(outer), number);
    assert_false(exists(path));
    scratch_remove(first);
    scratch_remove(second);
    scratch_remove(outer);
    assert_false(exists(taken));
    assert_int_equal(open_descriptors(), before);
}

/* A folder that waits for its next job, and that somebody removes meanwhile. */
static void test_inner_folder_that_is_gone(void **state)
{
    struct scratch *outer, *inner;
    struct err err;
    char path[4200];
    const int before = open_descriptors();
    (void)state;
    assert_int_equal(scratch_new(&outer, &err), 0);
    hold_inner(outer, path);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(scratch_new_in(outer, &inner, &err), 0);
    assert_true(exists(scratch_path(inner)));
    assert_string_not_equal(scratch_path(inner), path);
    snprintf(path, sizeof path, "%s", scratch_path(inner));
    assert_int_equal(rmdir(path) | symlink("/tmp", path), 0); /* a link in its place */
    scratch_remove(inner);
    assert_false(exists(path));
    scratch_remove(outer);
    assert_int_equal(open_descriptors(), before);
}

/* Between two programs: what one has left goes, the folders of jobs stay. */
static void test_clean(void **state)
{
    struct scratch *outer, *job;
    struct err err;
    char left[4300], similar[4300];
    (void)state;
    assert_int_equal(scratch_new(&outer, &err), 0);
    assert_int_equal(scratch_new_in(outer, &job, &err), 0);
    snprintf(left, sizeof left, "%s/left", scratch_path(outer));
    snprintf(similar, sizeof similar, "%s/jobs", scratch_path(outer));
    assert_int_equal(mkdir(left, 0700), 0);
    touch(similar);
    scratch_clean(outer);
    assert_false(exists(left));
    assert_false(exists(similar));
    assert_true(exists(scratch_path(job)));
    scratch_remove(job);
    scratch_remove(outer);
}

static void opens(const struct scratch *scratch, const char *path, const char *name, uint64_t bytes)
{
    char found[SCRATCH_NAME_BYTES];
    uint64_t size = 0;
    struct err err = { 0 };
    int fd = scratch_open_file(scratch, slice_from(path), found, &size, &err);
    if (fd < 0)
        fail_msg("%s: %s", path, err.text);
    close(fd);
    assert_string_equal(found, name);
    assert_int_equal(size, bytes);
}

static void refuses(const struct scratch *scratch, const char *path, const char *why)
{
    char found[SCRATCH_NAME_BYTES];
    uint64_t size;
    struct err err = { 0 };
    assert_int_equal(scratch_open_file(scratch, slice_from(path), found, &size, &err), ERR_INPUT);
    size_t shown = strlen(path) < 100 ? strlen(path) : 100;
    if (strstr(err.text, why) == NULL || strncmp(err.text, path, shown) != 0)
        fail_msg("%s: %s", path, err.text);
}

static void has_nul(const struct scratch *scratch)
{
    char found[SCRATCH_NAME_BYTES];
    uint64_t size;
    struct err err = { 0 };
    assert_int_equal(scratch_open_file(scratch, SLICE_LITERAL("sub/file\0"), found, &size, &err),
                     ERR_INPUT);
    assert_string_equal(err.text, "sub/file: there is a NUL byte in it");
}

/* A program names files of its job: those in the folder, and none that a link leads to. */
static void test_open_file(void **state)
{
    struct scratch *scratch;
    struct err err;
    char path[4300], file[4400], long_name[SCRATCH_NAME_BYTES + 8];
    (void)state;
    assert_int_equal(scratch_new(&scratch, &err), 0);
    assert_int_equal(fchdir(scratch_fd(scratch)), 0);
    assert_int_equal(mkdir("sub", 0700), 0);
    int fd = open("sub/file", O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, "12345", 5), 5);
    close(fd);
    assert_int_equal(symlink("sub", "link") | symlink("file", "sub/other"), 0);
    snprintf(path, sizeof path, "%s", scratch_path(scratch));
    snprintf(file, sizeof file, "%s/sub/file", path);
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    opens(scratch, "sub/file", "sub/file", 5);
    opens(scratch, ".//sub/./file", "sub/file", 5);
    opens(scratch, file, "sub/file", 5);
    refuses(scratch, "link/file", "link, which is not followed");
    refuses(scratch, "sub/other", "link, which is not followed");
    refuses(scratch, "sub/file/x", "link, which is not followed, or a file");
    refuses(scratch, "sub/../sub/file", "\"..\" is not allowed");
    refuses(scratch, "sub", "not a regular file");
    refuses(scratch, "none", "No such file");
    refuses(scratch, path, "not in the job's folder");
    refuses(scratch, "/etc/passwd", "not in the job's folder");
    path[strlen(path) - 1]++;
    strcat(path, "/sub/file");
    refuses(scratch, path, "not in the job's folder");
    refuses(scratch, "./", "names no file");
    refuses(scratch, long_name, "longer than 1023 bytes");
    for (size_t i = 100; i < SCRATCH_NAME_BYTES; i += 100)
        long_name[i] = '/';
    long_name[SCRATCH_NAME_BYTES] = '\0';
    refuses(scratch, long_name, "longer than 1023 bytes");
    long_name[SCRATCH_NAME_BYTES - 1] = '\0';
    refuses(scratch, long_name, "x: No such file"); /* of which the first 200 bytes are shown */
    memset(long_name, 'x', 256);
    long_name[256] = '\0';
    refuses(scratch, long_name, "name too long");
    long_name[255] = '\0';
    refuses(scratch, long_name, "No such file");
    has_nul(scratch);
    assert_int_equal(chdir(place), 0);
    scratch_remove(scratch);
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

static int exit_only(void *unused)
{
    (void)unused;
    exit(0);
}

/* The end of a fork is not that of the process that has made the folder. */
static void test_fork(void **state)
{
    struct scratch *scratch;
    struct err err;
    (void)state;
    assert_int_equal(scratch_new(&scratch, &err), 0);
    run_child(exit_only);
    assert_true(exists(scratch_path(scratch)));
    scratch_remove(scratch);
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

/* The host's number in names of folders, from one that is left by a process that has ended. */
static unsigned host_in_names(void)
{
    unsigned host = 0;
    run_child(leave_folder);
    FILE *list = popen("ls -d rp-scratch-*", "r");
    assert_non_null(list);
    assert_int_equal(fscanf(list, "rp-scratch-%8x-", &host), 1);
    pclose(list);
    return host;
}

/* The time at which this process began (proc(5), stat, field 22). */
static unsigned long long start_of_this(void)
{
    unsigned long long start = 0;
    FILE *stat = fopen("/proc/self/stat", "r");
    assert_non_null(stat);
    assert_int_equal(fscanf(stat, "%*s %*s"), 0);
    for (int field = 3; field < 22; field++)
        assert_int_equal(fscanf(stat, "%*s"), 0);
    assert_int_equal(fscanf(stat, "%llu", &start), 1);
    fclose(stat);
    return start;
}

/* A process that has the number of a dead one is told from it by its start. */
static void test_numbers_in_names(void **state)
{
    static const struct {
        const char *head, *before_pid, *behind_pid; /* between the host, the process, its start */
        unsigned more;                              /* added to the start */
        const char *end;
        bool stays;
    } cases[] = {
        { "rp-scratch-", "-", "-", 0, "-0", true },
        { "rp-scratch-", "-", "-", 1, "-0", false },
        { "rp-scratch-", "-", "-", 1, "", true },
        { "rp-scratch-", "-", "_", 1, "-0", true },
        { "rp-scratch-", "_", "-", 1, "-0", true },
        { "rp-scratch-", "-0-", "-", 1, "-0", true },       /* no process has that number, */
        { "rp-scratch-", "-", "00000000-", 1, "-0", true }, /* or that */
        { "rp-scratch-1", "-", "-", 1, "-0", true },        /* another host */
        { "my-rp-scratch-", "-", "-", 1, "-0", true },
    };
    const unsigned host = host_in_names();
    const unsigned long long start = start_of_this();
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[100];
        snprintf(name, sizeof name, "%s%08x%s%d%s%llu%s", cases[i].head, host, cases[i].before_pid,
                 (int)getpid(), cases[i].behind_pid, start + cases[i].more, cases[i].end);
        assert_int_equal(mkdir(name, 0700), 0);
        run_child(use_folder);
        if (exists(name) != cases[i].stays)
            fail_msg("%s", name);
        if (cases[i].stays)
            assert_int_equal(rmdir(name), 0);
    }
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

/* There is room for the place, and none for a folder in it. */
static void test_no_room_for_a_path(void **state)
{
    static char path[4096];
    struct scratch *scratch;
    struct err err = { 0 };
    (void)state;
    strcpy(path, place);
    for (size_t len = strlen(path); len < 4080; len = strlen(path)) {
        size_t more = 4080 - len > 200 ? 100 : 4080 - len;
        memset(path + len, 'd', more);
        path[len] = '/';
        assert_int_equal(mkdir(path, 0700), 0);
    }
    assert_int_equal(setenv("RP_SCRATCH_DIR", path, 1), 0);
    const int before = open_descriptors();
    assert_int_equal(scratch_new(&scratch, &err), ERR_CONFIG);
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(rmdir(path), 0); /* nothing is left in it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_kinds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_link_in_its_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_deep_and_wide, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_shut_folders, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_somebody_elses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_leftovers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_numbers_in_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_locked_leftover, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_scratch, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_inner_folders, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_inner_names_that_are_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_inner_folder_that_is_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fork, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_room_for_a_path, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_clean, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_open_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_place, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
