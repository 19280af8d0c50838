/*
 * audit/confine, audit/refusal, audit/trial: what the kernel refuses, what a line says of it, and
 * that --confine=log says it of the same calls. Each try is a child's, which is confined for good.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "audit/confine.h"
#include "audit/landlock.h"
#include "audit/refusal.h"
#include "audit/refused_call.h"
#include "audit/rules.h"
#include "audit/trial.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/own_call.h"
#include "base/remove_tree.h"
#include "in_child.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define FILE_HINT REFUSED_CALL_HINT_FILE
#define CHANGE_HINT REFUSED_CALL_HINT_CHANGE
#define CALL_HINT REFUSED_CALL_HINT

static struct config config;
static rp_config program;
static char place[200];
static int output = -1; /* of the children */

#define PAGE_BYTES 4096
static char *pages; /* three, of which the last cannot be read */

static int handle(rp_job *job, void *user)
{
    (void)job;
    (void)user;
    return 0;
}

/* A local test of a linked handler, which may read one folder and write another. */
static int begin(void **state)
{
    (void)state;
    config = (struct config){ .metrics.port = -1, .fitness.skip = true };
    config.test_input = SLICE_LITERAL("{}");
    config.confine.mode = "on";
    config.confine.read = (struct config_list){ .texts = { "read" }, .count = 1 };
    config.confine.write = (struct config_list){ .texts = { "write" }, .count = 1 };
    program = (rp_config){ .handler = handle };
    setenv("RP_SCRATCH_DIR", "scratch", 1);
    return 0;
}

static void touch(const char *path)
{
    close(open(path, O_CREAT | O_WRONLY, 0600));
}

static void arrange(void)
{
    static const char *const folders[] = { "read", "write", "out", "out/folder", "local_upload" };
    for (size_t i = 0; i < COUNT(folders); i++)
        mkdir(folders[i], 0700);
    touch("read/file");
    touch("write/file");
    touch("out/file");
    symlink("nothing", "out/dangling");
    unlink("write/new");
}

static int set_up(void **state)
{
    (void)state;
    output = memfd_create("output", MFD_CLOEXEC);
    snprintf(place, sizeof place, "/tmp/test-confine-XXXXXX");
    if (output < 0 || mkdtemp(place) == NULL || chdir(place) != 0)
        return 1;
    unsetenv("HF_HOME");
    unsetenv("HF_HUB_CACHE");
    pages = mmap(NULL, 3 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return pages == MAP_FAILED || mprotect(pages + 2 * PAGE_BYTES, PAGE_BYTES, PROT_NONE) != 0;
}

static int tear_down(void **state)
{
    struct err err;
    (void)state;
    return chdir("/tmp") != 0 || remove_tree(AT_FDCWD, place + strlen("/tmp/"), &err) != 0;
}

static void assert_output(const char *expected)
{
    static char text[32 * 1024];
    ssize_t len = pread(output, text, sizeof text - 1, 0);
    assert_true(len >= 0);
    text[len] = '\0';
    assert_int_equal(ftruncate(output, 0), 0);
    lseek(output, 0, SEEK_SET);
    if (expected != NULL)
        assert_string_equal(text, expected);
}

/* In the child. */
static void confine_child(void)
{
    struct err err = { 0 };
    dup2(output, STDOUT_FILENO);
    if (confine_check(&config, &program, &err) != 1 || confine(&config, &program, &err) != 0)
        _exit(255);
}

/* --- files ----------------------------------------------------------------------------------- */

static int to_write, to_out; /* folders that are open */

static int status_of_call(long result)
{
    return result < 0 ? errno : 0;
}

static int open_at(int folder, const char *path, int flags)
{
    return status_of_call(syscall(SYS_openat, folder, path, flags, 0600));
}

#define OPEN(name, path, flags)                  \
    static int name(void)                        \
    {                                            \
        confine_child();                         \
        return open_at(AT_FDCWD, path, (flags)); \
    }
#define CALL(name, ...)                              \
    static int name(void)                            \
    {                                                \
        confine_child();                             \
        return status_of_call(syscall(__VA_ARGS__)); \
    }

OPEN(read_listed, "read/file", O_RDONLY)
OPEN(read_writable, "write/file", O_RDWR)
OPEN(read_other, "out/file", O_RDONLY)
OPEN(read_absent, "out/none", O_RDONLY)
OPEN(list_listed, "read", O_RDONLY | O_DIRECTORY)
OPEN(list_writable, "write", O_RDONLY)
OPEN(list_other, "out", O_RDONLY | O_DIRECTORY)
OPEN(point_to_other, "out", O_PATH)
OPEN(point_to_file, "out/file", O_PATH)
OPEN(only_control, "out/file", 3) /* neither to be read nor written: for ioctl */
OPEN(write_read_only, "read/file", O_WRONLY)
OPEN(write_too, "read/file", O_RDWR)
OPEN(empty_read_only, "read/file", O_RDONLY | O_TRUNC)
OPEN(empty_writable, "write/file", O_RDONLY | O_TRUNC)
OPEN(make_writable, "write/new", O_WRONLY | O_CREAT)
OPEN(make_in_read_only, "read/new", O_WRONLY | O_CREAT)
OPEN(make_in_other, "out/new", O_RDONLY | O_CREAT | O_EXCL)
OPEN(make_what_is_there, "out/file", O_WRONLY | O_CREAT | O_EXCL)
OPEN(make_in_absent, "out/none/new", O_WRONLY | O_CREAT)
OPEN(make_by_link, "out/dangling", O_WRONLY | O_CREAT)
OPEN(make_a_link, "out/dangling", O_WRONLY | O_CREAT | O_EXCL)
OPEN(follow_no_link, "out/dangling", O_WRONLY | O_CREAT | O_NOFOLLOW)
OPEN(write_a_folder, "out", O_WRONLY)
OPEN(make_a_folder, "out", O_RDONLY | O_CREAT)
OPEN(hide_in_writable, "write", O_WRONLY | O_TMPFILE)
OPEN(hide_in_read_only, "read", O_WRONLY | O_TMPFILE)
OPEN(write_modes, "/proc/self/comm", O_WRONLY)
OPEN(read_process, "/proc/self/comm", O_RDONLY)
OPEN(write_result, "result.json", O_WRONLY)

CALL(open_at_other, SYS_openat, to_write, "../out/file", O_RDONLY)
CALL(open_at_folder, SYS_openat, to_write, "file", O_RDONLY)
CALL(open_nowhere, SYS_openat, AT_FDCWD, NULL, O_RDONLY)
CALL(make_folder, SYS_mkdirat, AT_FDCWD, "out/new", 0700)
CALL(make_folder_that_is, SYS_mkdirat, AT_FDCWD, "out/folder", 0700)
CALL(make_writable_folder, SYS_mkdirat, AT_FDCWD, "write/new", 0700)
CALL(make_folder_below, SYS_mkdirat, to_out, "new", 0700)
CALL(remove_file, SYS_unlinkat, AT_FDCWD, "out/file", 0)
CALL(remove_absent, SYS_unlinkat, AT_FDCWD, "out/none", 0)
CALL(remove_folder, SYS_unlinkat, AT_FDCWD, "out/folder", AT_REMOVEDIR)
CALL(remove_writable, SYS_unlinkat, AT_FDCWD, "write/file", 0)
CALL(move_within, SYS_renameat, AT_FDCWD, "write/file", AT_FDCWD, "write/new")
CALL(move_out, SYS_renameat, AT_FDCWD, "write/file", AT_FDCWD, "out/moved")
CALL(move_in, SYS_renameat, AT_FDCWD, "out/file", AT_FDCWD, "write/new")
CALL(move_absent, SYS_renameat, AT_FDCWD, "out/none", AT_FDCWD, "write/new")
CALL(move_by_folders, SYS_renameat, to_write, "file", to_out, "moved")
CALL(move_by_folder, SYS_renameat, to_out, "../write/file", to_write, "new")
#ifdef SYS_open
CALL(old_open, SYS_open, "out/file", O_RDONLY)
CALL(old_open_of_read_only, SYS_open, "read/file", O_RDWR)
CALL(old_make, SYS_mkdir, "out/new", 0700)
CALL(old_make_that_is, SYS_mkdir, "out/folder", 0700)
CALL(old_remove, SYS_unlink, "out/file")
CALL(old_remove_folder, SYS_rmdir, "out/folder")
CALL(old_move_out, SYS_rename, "write/file", "out/moved")
CALL(old_move_within, SYS_rename, "write/file", "write/new")
#endif

/* Where a path lies in memory: over the end of a page, or before one that is not there. */
static int open_across_pages(void)
{
    confine_child();
    return open_at(AT_FDCWD, strcpy(pages + PAGE_BYTES - 5, "out/file"), O_RDONLY);
}

static int open_at_the_end(void)
{
    confine_child();
    return open_at(AT_FDCWD, strcpy(pages + 2 * PAGE_BYTES - 9, "out/file"), O_RDONLY);
}

static int open_over_the_end(void)
{
    confine_child();
    return open_at(AT_FDCWD, memcpy(pages + 2 * PAGE_BYTES - 8, "out/file", 8), O_RDONLY);
}

static int open_too_long(void)
{
    confine_child();
    memset(pages + 10, '/', PAGE_BYTES + 1);
    return open_at(AT_FDCWD, pages + 10, O_RDONLY);
}

static const struct try_of_file {
    int (*run)(void);
    int errnum;       /* of --confine=on */
    const char *line; /* NULL: none */
    const char *hint;
} files[] = {
    { read_listed, 0, NULL, NULL },
    { read_writable, 0, NULL, NULL },
    { read_other, EACCES, "openat of 'out/file'", FILE_HINT },
    { read_absent, ENOENT, NULL, NULL },
    { list_listed, 0, NULL, NULL },
    { list_writable, 0, NULL, NULL },
    { list_other, EACCES, "openat of 'out'", FILE_HINT },
    { point_to_other, 0, NULL, NULL },
    { point_to_file, 0, NULL, NULL },
    { only_control, 0, NULL, NULL },
    { write_read_only, EACCES, "openat of 'read/file'", FILE_HINT },
    { write_too, EACCES, "openat of 'read/file'", FILE_HINT },
    { empty_read_only, EACCES, "openat of 'read/file'", FILE_HINT },
    { empty_writable, 0, NULL, NULL },
    { make_writable, 0, NULL, NULL },
    { make_in_read_only, EACCES, "openat of 'read/new'", CHANGE_HINT },
    { make_in_other, EACCES, "openat of 'out/new'", CHANGE_HINT },
    { make_what_is_there, EEXIST, NULL, NULL },
    { make_in_absent, ENOENT, NULL, NULL },
    { make_by_link, EACCES, "openat of 'out/dangling'", CHANGE_HINT },
    { make_a_link, EEXIST, NULL, NULL },
    { follow_no_link, ELOOP, NULL, NULL },
    { write_a_folder, EISDIR, NULL, NULL },
    { make_a_folder, EISDIR, NULL, NULL },
    { hide_in_writable, 0, NULL, NULL },
    { hide_in_read_only, EACCES, "openat of 'read'", FILE_HINT },
    { write_modes, EACCES, "openat of '/proc/self/comm'", FILE_HINT },
    { read_process, 0, NULL, NULL },
    { write_result, 0, NULL, NULL },
    { open_at_other, EACCES, "openat of '../out/file'", FILE_HINT },
    { open_at_folder, 0, NULL, NULL },
    { open_nowhere, EFAULT, NULL, NULL },
    { open_across_pages, EACCES, "openat of 'out/file'", FILE_HINT },
    { open_at_the_end, EACCES, "openat of 'out/file'", FILE_HINT },
    { open_over_the_end, EFAULT, NULL, NULL },
    { open_too_long, ENAMETOOLONG, NULL, NULL },
    { make_folder, EACCES, "mkdirat of 'out/new'", CHANGE_HINT },
    { make_folder_that_is, EEXIST, NULL, NULL },
    { make_writable_folder, 0, NULL, NULL },
    { make_folder_below, EACCES, "mkdirat of 'new'", CHANGE_HINT },
    { remove_file, EACCES, "unlinkat of 'out/file'", CHANGE_HINT },
    { remove_absent, ENOENT, NULL, NULL },
    { remove_folder, EACCES, "unlinkat of 'out/folder'", CHANGE_HINT },
    { remove_writable, 0, NULL, NULL },
    { move_within, 0, NULL, NULL },
    { move_out, EACCES, "renameat of 'write/file'", CHANGE_HINT },
    { move_in, EACCES, "renameat of 'out/file'", CHANGE_HINT },
    { move_absent, ENOENT, NULL, NULL },
    { move_by_folders, EACCES, "renameat of 'file'", CHANGE_HINT },
    { move_by_folder, 0, NULL, NULL },
#ifdef SYS_open
    { old_open, EACCES, "open of 'out/file'", FILE_HINT },
    { old_open_of_read_only, EACCES, "open of 'read/file'", FILE_HINT },
    { old_make, EACCES, "mkdir of 'out/new'", CHANGE_HINT },
    { old_make_that_is, EEXIST, NULL, NULL },
    { old_remove, EACCES, "unlink of 'out/file'", CHANGE_HINT },
    { old_remove_folder, EACCES, "rmdir of 'out/folder'", CHANGE_HINT },
    { old_move_out, EACCES, "rename of 'write/file'", CHANGE_HINT },
    { old_move_within, 0, NULL, NULL },
#endif
};

/* Not every file system has files without a name. */
static bool can_be_tried(const struct try_of_file *try)
{
    if (try->run != hide_in_writable && try->run != hide_in_read_only)
        return true;
    int fd = open(".", O_WRONLY | O_TMPFILE, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void try_file(const struct try_of_file *try, const char *beginning, int errnum)
{
    char expected[300] = "";
    struct err err;
    if (!can_be_tried(try))
        return;
    remove_tree(AT_FDCWD, "out", &err);
    remove_tree(AT_FDCWD, "write", &err);
    arrange();
    if (try->line != NULL)
        snprintf(expected, sizeof expected, "%s%s%s\n", beginning, try->line, try->hint);
    to_write = open("write", O_PATH | O_CLOEXEC);
    to_out = open("out", O_PATH | O_CLOEXEC);
    int status = status_of(try->run);
    close(to_write);
    close(to_out);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != errnum)
        fail_msg("try %zu, %s: status %x instead of %d", (size_t)(try - files), config.confine.mode,
                 (unsigned)status, errnum);
    assert_output(expected);
}

#define LANDLOCK_VERSION_EMPTIES 3 /* from that version on: files are emptied (O_TRUNC) */

static void the_kernel_refuses_what_is_not_listed(void **state)
{
    (void)state;
    if (landlock_version() < LANDLOCK_VERSION_EMPTIES)
        skip();
    config.test_result = "result.json";
    for (size_t i = 0; i < COUNT(files); i++)
        try_file(&files[i], "ERROR  | --confine: refused ", files[i].errnum);
}

/* What would be refused is done. */
static void a_trial_says_the_same(void **state)
{
    (void)state;
    if (landlock_version() == 0)
        skip();
    config.confine.mode = "log";
    config.test_result = "result.json";
    for (size_t i = 0; i < COUNT(files); i++)
        try_file(&files[i], "WARN   | --confine: would refuse ",
                 files[i].errnum == EACCES ? 0 : files[i].errnum);
}

#define NOBODY 65534

static const char *mode_path;
static int mode_flags;

static int open_as_nobody(void)
{
    if (setgroups(0, NULL) != 0 || setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
        return 254;
    confine_child();
    return open_at(AT_FDCWD, mode_path, mode_flags);
}

/* What its own mode does not let us do is no matter of the list. */
static void modes_of_files_are_told_from_the_list(void **state)
{
    static const struct {
        const char *path;
        int flags;
        bool is_refused; /* by the list */
    } cases[] = {
        { "out/none-for-you", O_RDONLY, false }, { "out/for-all", O_RDONLY, true },
        { "out/for-all", O_WRONLY, false },      { "out/for-all", O_RDWR, false },
        { "out/only-write", O_WRONLY, true },    { "out/only-write", O_RDONLY, false },
        { "out/only-write", O_RDWR, false },     { "out/for-all", O_RDONLY | O_TRUNC, false },
    };
    char expected[300];
    (void)state;
    if (geteuid() != 0 || landlock_version() < LANDLOCK_VERSION_EMPTIES)
        skip();
    arrange();
    touch("out/none-for-you");
    touch("out/for-all");
    touch("out/only-write");
    assert_int_equal(chmod("out/for-all", 0644) | chmod("out/only-write", 0622), 0);
    assert_int_equal(chmod("out", 0755) | chmod(place, 0755), 0);
    for (size_t i = 0; i < 2 * COUNT(cases); i++) {
        bool tries = i >= COUNT(cases), is_refused = cases[i % COUNT(cases)].is_refused;
        mode_path = cases[i % COUNT(cases)].path;
        mode_flags = cases[i % COUNT(cases)].flags;
        config.confine.mode = tries ? "log" : "on";
        snprintf(expected, sizeof expected, "%s openat of '%s'%s\n",
                 tries ? "WARN   | --confine: would refuse" : "ERROR  | --confine: refused",
                 mode_path, FILE_HINT);
        assert_int_equal(status_of(open_as_nobody), tries && is_refused ? 0 : EACCES << 8);
        assert_output(is_refused ? expected : "");
    }
}

/* --- other calls ----------------------------------------------------------------------------- */

static int bind_nothing(void)
{
    confine_child();
    return status_of_call(syscall(SYS_bind, -1, NULL, 0));
}

static int make_socket(void)
{
    confine_child();
    return status_of_call(syscall(SYS_socket, AF_INET, SOCK_STREAM, 0));
}

static int make_process(void)
{
    confine_child();
    long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        _exit(0);
    return status_of_call(pid);
}

static int run_program(void)
{
    confine_child();
    syscall(SYS_execve, "/no/program", NULL, NULL);
    return errno;
}

static int no_such_call(void)
{
    confine_child();
    return status_of_call(syscall(9999));
}

static int twice_the_same(void)
{
    confine_child();
    syscall(9999);
    return status_of_call(syscall(9999));
}

static void calls_beyond_the_list_are_refused(void **state)
{
    static const struct {
        int (*run)(void);
        int errnum; /* of --confine=log */
        const char *line;
    } calls[] = {
        { bind_nothing, EBADF, "bind" },
        { make_socket, 0, "socket" },
        { make_process, 0, "clone" },
        { run_program, ENOENT, "execve of '/no/program'" },
        { no_such_call, ENOSYS, "system call 9999" },
    };
    char expected[200];
    (void)state;
    arrange();
    for (size_t i = 0; i < COUNT(calls); i++) {
        config.confine.mode = "on";
        assert_int_equal(status_of(calls[i].run), EPERM << 8);
        snprintf(expected, sizeof expected, "ERROR  | --confine: refused %s%s\n", calls[i].line,
                 CALL_HINT);
        assert_output(expected);
        config.confine.mode = "log";
        assert_int_equal(status_of(calls[i].run), calls[i].errnum << 8);
        snprintf(expected, sizeof expected, "WARN   | --confine: would refuse %s%s\n",
                 calls[i].line, CALL_HINT);
        assert_output(expected);
    }
    assert_int_equal(status_of(twice_the_same), ENOSYS << 8);
    assert_output("WARN   | --confine: would refuse system call 9999" CALL_HINT "\n"); /* once */
    config.confine.mode = "on";
    assert_int_equal(status_of(twice_the_same), EPERM << 8);
    assert_output("ERROR  | --confine: refused system call 9999" CALL_HINT "\n"
                  "ERROR  | --confine: refused system call 9999" CALL_HINT "\n");
}

#ifdef SYS_fork
#define OTHER_START SYS_fork
#define OTHER_START_LINE "WARN   | --confine: would refuse fork" CALL_HINT "\n"
#else
#define OTHER_START SYS_clone
#define OTHER_START_LINE /* it has been told */
#endif

static int run_programs(void)
{
    const long starts[] = { SYS_clone, OTHER_START };
    const char *const paths[] = { "/bin/sh", "/bin/../bin/sh" };
    char *const words[] = { "sh", "-c", "/bin/true; /bin/true; exit 3", NULL };
    confine_child();
    for (size_t i = 0; i < COUNT(paths); i++) {
        int status;
        long pid = syscall(starts[i], SIGCHLD, 0, 0, 0, 0);
        if (pid == 0) {
            syscall(SYS_execve, paths[i], words, NULL);
            _exit(1);
        }
        if (waitpid((pid_t)pid, &status, 0) != pid || status != 3 << 8)
            return 1;
    }
    return 0;
}

/* Those that it starts itself are its own matter. */
static void a_trial_tells_of_the_first_program_of_a_process(void **state)
{
    (void)state;
    arrange();
    config.confine.mode = "log";
    assert_int_equal(status_of(run_programs), 0);
    assert_output("WARN   | --confine: would refuse clone" CALL_HINT "\n"
                  "WARN   | --confine: would refuse execve of '/bin/sh'" CALL_HINT
                  "\n" OTHER_START_LINE
                  "WARN   | --confine: would refuse execve of '/bin/../bin/sh'" CALL_HINT "\n");
}

static int own_sockets(void)
{
    confine_child();
    if (own_socket(AF_INET, SOCK_STREAM, 0) < 0 || own_socket(AF_INET6, SOCK_DGRAM, 0) < 0)
        return 1;
    return own_socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? errno : 2;
}

static void the_workers_own_sockets_are_let_through(void **state)
{
    (void)state;
    arrange();
    assert_int_equal(status_of(own_sockets), EPERM << 8);
    assert_output("ERROR  | --confine: refused socket" CALL_HINT "\n");
}

static int many_calls(void)
{
    confine_child();
    for (int i = 0; i < LIMIT_REFUSAL_LINES + 20; i++)
        syscall(1000 + i);
    return 0;
}

static void the_last_line_says_so(void **state)
{
    static char expected[LIMIT_REFUSAL_LINES * 120];
    (void)state;
    arrange();
    for (int tries = 0; tries < 2; tries++) {
        config.confine.mode = tries ? "log" : "on";
        expected[0] = '\0';
        for (int i = 0; i < LIMIT_REFUSAL_LINES; i++)
            snprintf(expected + strlen(expected), 120, "%s system call %d%s%s\n",
                     tries ? "WARN   | --confine: would refuse" : "ERROR  | --confine: refused",
                     1000 + i, CALL_HINT,
                     i == LIMIT_REFUSAL_LINES - 1 ? ". This is the last such line" : "");
        assert_int_equal(status_of(many_calls), 0);
        assert_output(expected);
    }
}

static int read_many(void)
{
    char path[32];
    confine_child();
    for (int i = 0; i < 7; i++) {
        snprintf(path, sizeof path, "out/%d", i);
        if (open_at(AT_FDCWD, path, O_RDONLY) != 0)
            return 1;
    }
    return open_at(AT_FDCWD, "out/folder/0", O_RDONLY);
}

/* The others are like them. */
static void a_trial_tells_of_some_files_of_a_folder(void **state)
{
    char path[32], expected[1000] = "";
    (void)state;
    if (landlock_version() == 0)
        skip();
    arrange();
    for (int i = 0; i < 7; i++) {
        snprintf(path, sizeof path, "out/%d", i);
        touch(path);
        if (i < 5)
            snprintf(expected + strlen(expected), 150,
                     "WARN   | --confine: would refuse openat of '%s'%s\n", path, FILE_HINT);
    }
    touch("out/folder/0");
    strcat(expected, "WARN   | --confine: would refuse openat of 'out/folder/0'" FILE_HINT "\n");
    config.confine.mode = "log";
    assert_int_equal(status_of(read_many), 0);
    assert_output(expected);
}

/* --- signals --------------------------------------------------------------------------------- */

/* 0, or the number of what is wrong. */
static int change_signals(void)
{
    sigset_t all, one, now;
    confine_child();
    sigfillset(&all);
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    if (sigprocmask(SIG_SETMASK, &one, NULL) != 0 || sigprocmask(SIG_BLOCK, NULL, &now) != 0)
        return 1;
    for (int number = 1; number < 32; number++)
        if (sigismember(&now, number) != (number == SIGUSR1))
            return 2;
    if (sigprocmask(SIG_BLOCK, &all, &now) != 0 || sigismember(&now, SIGUSR2) != 0)
        return 3;
    sigprocmask(SIG_UNBLOCK, &one, &now);
    for (int number = 1; number < 32; number++)
        if (sigismember(&now, number) !=
            (number != SIGSYS && number != SIGKILL && number != SIGSTOP))
            return 4; /* SIGSYS is what the filter raises */
    sigprocmask(SIG_SETMASK, NULL, &now);
    if (sigismember(&now, SIGUSR1) != 0 || sigismember(&now, SIGUSR2) != 1)
        return 5;
    syscall(SYS_tgkill, getpid(), (int)syscall(SYS_gettid), SIGSYS); /* by somebody: no call */
    errno = 77;
    return syscall(9999) == -1 && errno == EPERM ? 0 : 6;
}

static void signals_can_be_blocked_but_for_one(void **state)
{
    sigset_t all, before;
    (void)state;
    arrange();
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before); /* the worker was started so */
    int status = status_of(change_signals);
    sigprocmask(SIG_SETMASK, &before, NULL);
    assert_int_equal(status, 0);
    assert_output("ERROR  | --confine: refused system call 9999" CALL_HINT "\n");
}

/* --- ports ----------------------------------------------------------------------------------- */

#define LISTED 1 /* nobody listens there */
#define NOT_LISTED 2

static int unix_socket = -1;

static int connect_to(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = own_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return status_of_call(syscall(SYS_connect, fd, &address, sizeof address));
}

static int connect_to_v6(int port)
{
    struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
    address.sin6_addr = in6addr_loopback;
    int fd = own_socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? EACCES : status_of_call(syscall(SYS_connect, fd, &address, sizeof address));
}

/* The number of what is wrong; of both, that of --confine=on has 0. */
static int connect_around(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "no-socket" };
    confine_child();
    int other = config_only_tries(&config) ? ECONNREFUSED : EACCES;
    if (connect_to(LISTED) != ECONNREFUSED)
        return 1;
    if (connect_to(NOT_LISTED) != other)
        return 2;
    if (status_of_call(syscall(SYS_connect, unix_socket, &address, sizeof address)) != ENOENT)
        return 3;
    if (status_of_call(syscall(SYS_connect, unix_socket, NULL, sizeof address)) != EFAULT)
        return 4;
    int v6 = connect_to_v6(NOT_LISTED + 1);
    return v6 == other || (v6 == EADDRNOTAVAIL && other != EACCES) ? 0 : 5;
}

static void connections_are_held_to_ports(void **state)
{
    (void)state;
    if (landlock_version() < LANDLOCK_VERSION_PORTS)
        skip();
    arrange();
    config.handler.http = "http://127.0.0.1:1";
    unix_socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(status_of(connect_around), 0);
    assert_output("ERROR  | --confine: refused connect to port 2" CALL_HINT "\n"
                  "ERROR  | --confine: refused connect to port 3" CALL_HINT "\n");
    config.confine.mode = "log";
    assert_int_equal(status_of(connect_around), 0);
    assert_output("WARN   | --confine: would refuse connect to port 2" CALL_HINT "\n"
                  "WARN   | --confine: would refuse connect to port 3" CALL_HINT "\n");
    config.handler.http = NULL; /* a linked handler may download from anywhere */
    config.confine.mode = "on";
    assert_int_equal(status_of(connect_around), 2 << 8);
    assert_output("");
    close(unix_socket);
}

static int connect_to_the_last_port(void)
{
    confine_child();
    return connect_to(65535);
}

/* It has none: no number stands for that. */
static void a_server_at_a_path_allows_no_port(void **state)
{
    (void)state;
    if (landlock_version() < LANDLOCK_VERSION_PORTS)
        skip();
    arrange();
    config.handler.http = "http+unix:no-socket";
    assert_int_equal(status_of(connect_to_the_last_port), EACCES << 8);
    assert_output("ERROR  | --confine: refused connect to port 65535" CALL_HINT "\n");
}

static int listen_on(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = own_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return status_of_call(bind(fd, (struct sockaddr *)&address, sizeof address));
}

static int free_port;

static int listen_around(void)
{
    confine_child();
    if (listen_on(free_port) != 0)
        return 1;
    return listen_on(free_port == 65535 ? 65534 : free_port + 1) == EACCES ? 0 : 2;
}

static void a_worker_listens_where_it_is_to(void **state)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof address;
    (void)state;
    if (landlock_version() < LANDLOCK_VERSION_PORTS)
        skip();
    arrange();
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    free_port = ntohs(address.sin_port);
    config.test_input = (slice){ 0 };
    config.realtime_port = free_port;
    for (int linked = 0; linked < 2; linked++) { /* which connects anywhere */
        config.handler.http = linked ? NULL : "http://127.0.0.1:1";
        assert_int_equal(status_of(listen_around), 0);
    }
    assert_output("");
}

/* --- what is made for the list --------------------------------------------------------------- */

static int only_confine(void)
{
    confine_child();
    return 0;
}

static bool has_mode(const char *path, mode_t mode)
{
    struct stat status;
    return stat(path, &status) == 0 && status.st_mode == mode;
}

static void what_is_used_later_is_made(void **state)
{
    (void)state;
    arrange();
    mode_t before = umask(022);
    setenv("RP_SCRATCH_DIR", "made/scratch", 1);
    mkdir("made", 0700);
    config.test_result = "made/result";
    config.cache.folders = (struct config_list){ .texts = { "made/a/b:made/c", "made/d/e" },
                                                 .count = 2 };
    config.cache.volume = "made/volume";
    assert_int_equal(status_of(only_confine), 0);
    umask(before);
    assert_true(has_mode("made/scratch", S_IFDIR | 0700));
    assert_true(has_mode("made/result", S_IFREG | 0644));
    assert_true(has_mode("made/a/b", S_IFDIR | 0755));
    assert_true(has_mode("made/c", S_IFDIR | 0755) && has_mode("made/d/e", S_IFDIR | 0755));
    assert_false(has_mode("made/volume", S_IFDIR | 0755)); /* it is mounted, or there is none */
    unsetenv("RP_SCRATCH_DIR");
    setenv("TMPDIR", "made/usual", 1); /* nobody has asked for this one */
    assert_int_equal(status_of(only_confine), 0);
    unsetenv("TMPDIR");
    assert_int_equal(access("made/usual", F_OK), -1);
}

static int upload_here(void)
{
    confine_child();
    if (mkdir("local_upload", 0700) != 0)
        return 1;
    return open_at(AT_FDCWD, "local_upload/file", O_WRONLY | O_CREAT);
}

/* Its folder is made by the first of them. */
static void a_local_test_uploads_to_a_folder_beside_it(void **state)
{
    struct err err;
    (void)state;
    if (landlock_version() == 0)
        skip();
    arrange();
    remove_tree(AT_FDCWD, "local_upload", &err);
    assert_int_equal(status_of(upload_here), 0);
    remove_tree(AT_FDCWD, "local_upload", &err);
    config.take_url = SLICE_LITERAL("https://jobs.example/");
    config.test_input = (slice){ 0 };
    assert_int_equal(status_of(upload_here), 1 << 8); /* there are none */
    assert_output(NULL);
}

/* --- --confine ------------------------------------------------------------------------------- */

static const struct flag_case {
    const char *mode, *write;
    int rc;
    const char *text;
} flag_cases[] = {
    { NULL, NULL, 0, "" },
    { "off", NULL, 0, "" },
    { "", NULL, 1, "" },
    { "on", NULL, 1, "" },
    { "log", NULL, 1, "" },
    { "maybe", NULL, ERR_CONFIG, "--confine=maybe: it must be on, log or off" },
    { "on", "write:out/file", 1, "" },
    { "on", "write:none/deep", ERR_CONFIG,
      "--confine-write: none/deep does not exist; create it, or name its folder" },
    { "on", "out/file/x", 1, "" }, /* another error is that of the list */
    { "log", "none", 0, "" },
    { "off", "none", 0, "" },
};
static const struct flag_case *flag_case;

static int check_flags(void)
{
    struct err err = { 0 };
    config.confine.mode = flag_case->mode;
    config.confine.write = (struct config_list){ .texts = { flag_case->write },
                                                 .count = flag_case->write != NULL };
    int rc = confine_check(&config, &program, &err);
    return rc != flag_case->rc ? 1 : strcmp(err.text, flag_case->text) != 0 ? 2 : 0;
}

/* With --confine=log, what would be an error is kept for the log. */
static void flags_are_checked(void **state)
{
    (void)state;
    arrange();
    for (size_t i = 0; i < COUNT(flag_cases); i++) {
        flag_case = &flag_cases[i];
        if (status_of(check_flags) != 0)
            fail_msg("case %zu", i);
    }
}

static void a_driver_in_the_process_is_refused(void **state)
{
    static const char part = 0;
    struct err err = { 0 };
    (void)state;
    arrange();
    program.gpu = (const void *)&part;
    assert_int_equal(confine_check(&config, &program, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "--isolate"));
    config.handler.isolate = true;
    assert_int_equal(confine_check(&config, &program, &err), 1);
    config.handler.isolate = false;
    config.handler.http = "http://127.0.0.1:1";
    assert_int_equal(confine_check(&config, &program, &err), 1);
}

static sem_t is_over;

static void *wait_until_it_is_over(void *argument)
{
    sem_wait(&is_over);
    return argument;
}

static void threads_that_are_there_are_refused(void **state)
{
    pthread_t thread;
    struct err err = { 0 };
    (void)state;
    arrange();
    sem_init(&is_over, 0, 0);
    assert_int_equal(pthread_create(&thread, NULL, wait_until_it_is_over, NULL), 0);
    int rc = confine_check(&config, &program, &err);
    sem_post(&is_over);
    pthread_join(thread, NULL);
    assert_int_equal(rc, ERR_CONFIG);
    assert_non_null(strstr(err.text, "had 2 threads before rp_start"));
}

static char many_paths[AUDIT_ENTRIES_MAX * 8];

static int confine_too_much(void)
{
    struct err err = { 0 };
    dup2(output, STDOUT_FILENO);
    int rc = confine_check(&config, &program, &err);
    if (rc == 1)
        rc = confine(&config, &program, &err);
    confine_tell();
    return rc == ERR_CONFIG ? 7 : rc;
}

/* Where nothing is refused, nor is the start. */
static void lists_have_a_most(void **state)
{
    (void)state;
    arrange();
    for (size_t i = 0; i < AUDIT_ENTRIES_MAX; i++)
        snprintf(many_paths + strlen(many_paths), 8, "%zu:", i);
    config.confine.read = (struct config_list){ .texts = { many_paths }, .count = 1 };
    assert_int_equal(status_of(confine_too_much), 7 << 8);
    assert_output("");
    config.confine.mode = "log";
    assert_int_equal(status_of(confine_too_much), 0);
    assert_output("WARN   | --confine=log: nothing is checked, and --confine=on would be an "
                  "error: --confine: there are more than 128 hosts, ports and files\n");
}

static int tell(void)
{
    confine_child();
    confine_tell();
    return 0;
}

/* Somebody else listens to what this process asks: there can be only one. */
static int confine_after_another(void)
{
    static struct filter filter;
    static struct filter_rules allowed;
    memset(allowed.verdicts, FILTER_ALLOWED, sizeof allowed.verdicts);
    allowed.asks = true;
    if (!filter_build(&filter, &allowed) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        filter_install_asking(&filter) < 0)
        return 1;
    return tell();
}

static void a_trial_that_cannot_be_is_told(void **state)
{
    char expected[300];
    (void)state;
    arrange();
    config.confine.mode = "log";
    assert_int_equal(status_of(confine_after_another), 0);
    snprintf(expected, sizeof expected,
             "WARN   | --confine=log: nothing is checked, and --confine=on would be an error: "
             "--confine=log: this kernel or the container's runtime has no filters that ask "
             "(seccomp, Linux 5.5): %s\n",
             strerror(EBUSY));
    assert_output(expected);
}

static void the_log_says_what_is_held(void **state)
{
    static struct audit audit;
    static struct filter_rules rules;
    char expected[300];
    size_t calls = 0;
    int version = landlock_version();
    (void)state;
    if (version < LANDLOCK_VERSION_PORTS)
        skip();
    arrange();
    audit_collect(&audit, &config, &program);
    confine_rules(&rules, &audit, version);
    for (size_t i = 0; i < FILTER_CALLS; i++)
        calls += rules.verdicts[i] != FILTER_REFUSED;
    assert_int_equal(status_of(tell), 0);
    snprintf(expected, sizeof expected,
             "DEBUG  | Confined to %zu system calls (--confine); Landlock: version %d.\n", calls,
             version);
    assert_output(expected);
    config.confine.mode = "log";
    assert_int_equal(status_of(tell), 0);
    snprintf(expected, sizeof expected,
             "DEBUG  | Nothing is refused (--confine=log); the log says what --confine=on would "
             "refuse, with its %zu system calls and Landlock's version %d.\n",
             calls, version);
    assert_output(expected);
    config.confine.mode = "off";
    confine_tell();
}

/* --- the filter's rules ---------------------------------------------------------------------- */

static struct filter_rules rules;

static void make_rules(int landlock)
{
    static struct audit audits[16]; /* kept, as the texts of entries are */
    static size_t used;
    assert_true(used < COUNT(audits));
    audit_collect(&audits[used], &config, &program);
    memset(&rules, 0xa5, sizeof rules);
    confine_rules(&rules, &audits[used++], landlock);
}

#define SAYS(call, verdict) assert_int_equal(rules.verdicts[SYS_##call], FILTER_##verdict)

static void rules_are_those_of_what_is_done(void **state)
{
    (void)state;
    make_rules(LANDLOCK_VERSION_PORTS);
    SAYS(read, ALLOWED);
    SAYS(clone, THREAD);
    SAYS(socket, SOCKET);
    SAYS(connect, ALLOWED); /* anywhere */
    SAYS(bind, REFUSED);
    SAYS(execve, REFUSED);
    SAYS(seccomp, REFUSED);
    SAYS(process_vm_readv, REFUSED);
    SAYS(landlock_restrict_self, REFUSED);
    SAYS(ptrace, REFUSED);
    SAYS(nanosleep, ALLOWED); /* the handler's */
    SAYS(openat, WATCHED);
    SAYS(renameat, WATCHED);
    SAYS(rt_sigprocmask, WATCHED);
    assert_true(rules.own_address == own_call_address());
    assert_false(rules.unix_sockets || rules.asks);
    make_rules(0); /* nothing holds files */
    SAYS(openat, ALLOWED);
    SAYS(rt_sigprocmask, WATCHED);
    config.confine.mode = "log";
    make_rules(1);
    SAYS(openat, WATCHED);
    SAYS(rt_sigprocmask, ALLOWED);
    assert_true(rules.asks);
    make_rules(0);
    SAYS(openat, ALLOWED);
}

static void rules_of_a_server(void **state)
{
    (void)state;
    config.handler.http = "http+unix:/run/socket";
    config.handler.program = "no-such-program";
    make_rules(LANDLOCK_VERSION_PORTS - 1);
    SAYS(connect, ALLOWED);
    SAYS(openat, ALLOWED);
    SAYS(rt_sigprocmask, ALLOWED);
    SAYS(nanosleep, REFUSED);
    SAYS(execve, REFUSED); /* other threads do that */
    SAYS(kill, ALLOWED);
    assert_true(rules.unix_sockets);
    make_rules(LANDLOCK_VERSION_PORTS);
    SAYS(connect, WATCHED);
    SAYS(openat, ALLOWED);
    config.handler.http = "http://127.0.0.1:1";
    config.confine.mode = "log";
    make_rules(LANDLOCK_VERSION_PORTS);
    assert_false(rules.unix_sockets);
    SAYS(openat, WATCHED);
    SAYS(mkdirat, WATCHED);
    config.handler.program = NULL;
    make_rules(LANDLOCK_VERSION_PORTS);
    SAYS(mkdirat, WATCHED); /* --confine-write */
    config.confine.write.count = 0;
    make_rules(LANDLOCK_VERSION_PORTS);
    SAYS(mkdirat, REFUSED); /* what no role has is not watched either */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_kernel_refuses_what_is_not_listed, begin),
        cmocka_unit_test_setup(a_trial_says_the_same, begin),
        cmocka_unit_test_setup(modes_of_files_are_told_from_the_list, begin),
        cmocka_unit_test_setup(calls_beyond_the_list_are_refused, begin),
        cmocka_unit_test_setup(a_trial_tells_of_the_first_program_of_a_process, begin),
        cmocka_unit_test_setup(the_workers_own_sockets_are_let_through, begin),
        cmocka_unit_test_setup(the_last_line_says_so, begin),
        cmocka_unit_test_setup(a_trial_tells_of_some_files_of_a_folder, begin),
        cmocka_unit_test_setup(signals_can_be_blocked_but_for_one, begin),
        cmocka_unit_test_setup(connections_are_held_to_ports, begin),
        cmocka_unit_test_setup(a_server_at_a_path_allows_no_port, begin),
        cmocka_unit_test_setup(a_worker_listens_where_it_is_to, begin),
        cmocka_unit_test_setup(what_is_used_later_is_made, begin),
        cmocka_unit_test_setup(a_local_test_uploads_to_a_folder_beside_it, begin),
        cmocka_unit_test_setup(flags_are_checked, begin),
        cmocka_unit_test_setup(a_driver_in_the_process_is_refused, begin),
        cmocka_unit_test_setup(threads_that_are_there_are_refused, begin),
        cmocka_unit_test_setup(lists_have_a_most, begin),
        cmocka_unit_test_setup(a_trial_that_cannot_be_is_told, begin),
        cmocka_unit_test_setup(the_log_says_what_is_held, begin),
        cmocka_unit_test_setup(rules_are_those_of_what_is_done, begin),
        cmocka_unit_test_setup(rules_of_a_server, begin),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
