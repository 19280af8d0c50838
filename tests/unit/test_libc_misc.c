/* loader/libc_misc: glibc's contracts where musl's differ, and functions that musl lacks. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "in_child.h"
#include "loader/libc_private.h"

static char folder[] = "/tmp/libc-misc-XXXXXX";

static const char *in_folder(const char *name)
{
    static char paths[2][64];
    static unsigned next;
    char *path = paths[next++ % 2];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

/* A file of 5 bytes, a folder with another, a link to the file, and one that leads nowhere. */
static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL || mkdir(in_folder("sub"), 0700) != 0 ||
        symlink("file", in_folder("link")) != 0 || symlink("nowhere", in_folder("broken")) != 0)
        return -1;
    int file = open(in_folder("file"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    int inner = open(in_folder("sub/inner"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (file < 0 || inner < 0 || write(file, "12345", 5) != 5)
        return -1;
    return close(file) == 0 ? close(inner) : -1;
}

static int remove_folder(void **state)
{
    char command[64];
    (void)state;
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

/* --- texts ---------------------------------------------------------------------------------- */

static void an_errors_text_is_cut_to_fit(void **state)
{
    char text[16], whole[64];
    (void)state;
    memset(text, '#', sizeof text);
    assert_string_equal(libc_strerror_r(ENOENT, text, 8), "No such");
    assert_int_equal(text[8], '#');
    assert_string_equal(libc_strerror_r(ENOENT, text, 1), "");
    assert_int_equal(text[1], 'o');
    assert_ptr_equal(libc_strerror_r(ENOENT, text, 0), text);
    assert_int_equal(text[0], '\0');
    assert_string_equal(libc_strerror_r(ENOENT, whole, sizeof whole), strerror(ENOENT));
}

static void a_paths_last_part(void **state)
{
    (void)state;
    assert_string_equal(libc_basename("/usr/lib/libx.so"), "libx.so");
    assert_string_equal(libc_basename("plain"), "plain");
    assert_string_equal(libc_basename("folder/"), ""); /* of POSIX: "folder" */
    assert_string_equal(libc_basename(""), "");
}

static void a_byte_is_found_wherever_it_is(void **state)
{
    static const char bytes[] = { 'a', '\0', (char)0xff, 'b' };
    (void)state;
    assert_ptr_equal(libc_rawmemchr(bytes, 'a'), bytes);
    assert_ptr_equal(libc_rawmemchr(bytes, 0), bytes + 1);
    assert_ptr_equal(libc_rawmemchr(bytes, 0xff), bytes + 2);
    assert_ptr_equal(libc_rawmemchr(bytes, 0x100 + 'b'), bytes + 3);
}

static void the_release_is_told(void **state)
{
    (void)state;
    assert_string_equal(libc_version(), "2.31");
    assert_string_equal(libc_release(), "stable");
    assert_int_equal(libc_single_threaded, 0);
    assert_true(libc_isnan(NAN));
    assert_false(libc_isnan(INFINITY));
}

/* --- what is only there so that libraries load ---------------------------------------------- */

static void what_there_is_not_answers_as_if_there_were_nothing(void **state)
{
    static const struct libc_mallinfo none;
    static const struct libc_mallinfo2 none2;
    void *frames[4];
    char from[] = "a", to[4], *in = from, *out = to;
    size_t in_bytes = 1, out_bytes = sizeof to;
    (void)state;
    struct libc_mallinfo info = libc_mallinfo();
    struct libc_mallinfo2 info2 = libc_mallinfo2();
    assert_memory_equal(&info, &none, sizeof none);
    assert_memory_equal(&info2, &none2, sizeof none2);
    assert_int_equal(libc_mallopt(1, 2), 1);
    assert_int_equal(libc_malloc_trim(0), 0);
    assert_int_equal(libc_backtrace(frames, 4), 0);
    char **symbols = libc_backtrace_symbols(frames, 0);
    assert_non_null(symbols);
    free(symbols);
    libc_backtrace_symbols_fd(frames, 4, -1);
    errno = 0;
    assert_int_equal((intptr_t)libc_iconv_open("UTF-8", "LATIN1"), -1);
    assert_int_equal(errno, EINVAL);
    assert_true(libc_iconv(NULL, &in, &in_bytes, &out, &out_bytes) == (size_t)-1);
    assert_int_equal(errno, EBADF);
    errno = 0;
    assert_int_equal(libc_iconv_close(NULL), -1);
    assert_int_equal(errno, EBADF);
}

/* --- walking a tree ------------------------------------------------------------------------- */

static struct visits {
    char seen[512];
    const char *stops_at;
} visits;

/* Appends "NAME TYPE," of what nftw shows. */
static int visit(const char *path, const struct stat *info, int type, struct FTW *where)
{
    size_t len = strlen(visits.seen);
    (void)info;
    snprintf(visits.seen + len, sizeof visits.seen - len, "%s %d,", path + where->base, type);
    return visits.stops_at != NULL && strcmp(path + where->base, visits.stops_at) == 0 ? 7 : 0;
}

static void assert_seen(const char *what)
{
    if (strstr(visits.seen, what) == NULL)
        fail_msg("no %s in %s", what, visits.seen);
}

/* glibc: file 0, folder 1, link 4, folder after its contents 5, link to nowhere 6. */
static void a_trees_files_have_glibcs_numbers(void **state)
{
    (void)state;
    visits = (struct visits){ .stops_at = NULL };
    assert_int_equal(libc_nftw(folder, visit, 4, FTW_PHYS), 0);
    assert_seen("file 0,");
    assert_seen("inner 0,");
    assert_seen("sub 1,");
    assert_seen("link 4,");
    assert_seen("broken 4,");
    visits = (struct visits){ .stops_at = NULL };
    assert_int_equal(libc_nftw(folder, visit, 4, FTW_DEPTH), 0);
    assert_seen("inner 0,sub 5,");
    assert_seen("link 0,");
    assert_seen("broken 6,");
    visits = (struct visits){ .stops_at = "inner" };
    assert_int_equal(libc_nftw(folder, visit, 4, FTW_PHYS), 7);
    assert_seen("inner 0,");
}

static int outer_visits;

/* A visitor that itself walks a tree, with another visitor. */
static int visit_and_walk(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)path;
    (void)info;
    (void)type;
    (void)where;
    outer_visits++;
    return libc_nftw(in_folder("sub"), visit, 4, FTW_PHYS);
}

static void a_walk_within_a_walk(void **state)
{
    (void)state;
    visits = (struct visits){ .stops_at = NULL };
    assert_int_equal(libc_nftw(folder, visit_and_walk, 4, FTW_PHYS), 0);
    assert_int_equal(outer_visits, 6);
    assert_string_equal(visits.seen,
                        "sub 1,inner 0,sub 1,inner 0,sub 1,inner 0,sub 1,inner 0,sub 1,inner 0,"
                        "sub 1,inner 0,");
}

/* --- files ---------------------------------------------------------------------------------- */

static void files_are_described(void **state)
{
    struct stat info;
    (void)state;
    assert_int_equal(libc_xstat(1, in_folder("link"), &info), 0);
    assert_true(S_ISREG(info.st_mode) && info.st_size == 5);
    assert_int_equal(libc_lxstat(1, in_folder("link"), &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(libc_fxstat(1, fd, &info), 0);
    assert_true(S_ISDIR(info.st_mode));
    assert_int_equal(libc_fxstatat(1, fd, "link", &info, 0), 0);
    assert_true(S_ISREG(info.st_mode));
    assert_int_equal(libc_fxstatat(1, fd, "link", &info, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_int_equal(libc_xstat(1, in_folder("not-there"), &info), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(libc_xmknod(0, in_folder("fifo"), S_IFIFO | 0600, &(dev_t){ 0 }), 0);
    assert_int_equal(libc_xstat(1, in_folder("fifo"), &info), 0);
    assert_true(S_ISFIFO(info.st_mode));
    assert_int_equal(unlink(in_folder("fifo")), 0);
    close(fd);
}

static void a_file_is_not_replaced_unasked(void **state)
{
    enum { NO_REPLACE = 1 };
    (void)state;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(libc_renameat2(fd, "link", fd, "file", NO_REPLACE), -1);
    assert_int_equal(errno, EEXIST);
    assert_int_equal(libc_renameat2(fd, "link", fd, "moved", NO_REPLACE), 0);
    assert_int_equal(libc_renameat2(fd, "moved", fd, "link", 0), 0);
    close(fd);
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static int close_some(void)
{
    for (int fd = 60; fd < 64; fd++)
        if (dup2(STDIN_FILENO, fd) != fd)
            return 1;
    if (libc_close_range(61, 61, 0) != 0 || !is_open(60) || is_open(61) || !is_open(62))
        return 2;
    libc_closefrom(62);
    return is_open(60) && !is_open(62) && !is_open(63) ? 0 : 3;
}

static int close_all(void)
{
    libc_closefrom(-5);
    return is_open(STDIN_FILENO) || is_open(STDOUT_FILENO) || is_open(STDERR_FILENO);
}

static void descriptors_are_closed_from_one_on(void **state)
{
    (void)state;
    assert_int_equal(status_of(close_some), 0);
    assert_int_equal(status_of(close_all), 0);
}

/* The kernel's struct statx, whose header only glibc has. */
static void a_file_is_described_at_length(void **state)
{
    enum { BASIC = 0x7ff, NOFOLLOW = AT_SYMLINK_NOFOLLOW };
    struct {
        uint32_t mask, block_bytes;
        uint64_t attributes;
        uint32_t links, user, group;
        uint16_t mode, spare;
        uint64_t inode, size, more[26];
    } at_length;
    struct stat info;
    (void)state;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int flags = 0; flags <= NOFOLLOW; flags += NOFOLLOW) {
        memset(&at_length, 0, sizeof at_length);
        assert_int_equal(libc_statx(fd, "link", flags, BASIC, &at_length), 0);
        assert_int_equal(fstatat(fd, "link", &info, flags), 0);
        assert_int_equal(at_length.mask & BASIC, BASIC);
        assert_int_equal(at_length.mode, info.st_mode);
        assert_int_equal(at_length.inode, info.st_ino);
        assert_int_equal(at_length.size, info.st_size);
    }
    assert_int_equal(libc_statx(fd, "none", 0, BASIC, &at_length), -1);
    assert_int_equal(errno, ENOENT);
    close(fd);
}

static void a_process_has_a_descriptor(void **state)
{
    (void)state;
    int fd = libc_pidfd_open(getpid(), 0);
    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        skip(); /* Linux before 5.3, or a filter that does not know it */
    assert_true(is_open(fd));
    close(fd);
    assert_int_equal(libc_pidfd_open(-1, 0), -1);
    assert_int_equal(errno, EINVAL);
}

/* --- messages of a socket ------------------------------------------------------------------- */

static void the_next_header_of_a_message(void **state)
{
    union {
        struct cmsghdr head;
        char bytes[2 * CMSG_SPACE(5)];
    } control = { .bytes = "" };
    struct msghdr message = { .msg_control = &control, .msg_controllen = sizeof control };
    struct cmsghdr *first = &control.head;
    struct cmsghdr *second = (struct cmsghdr *)(void *)(control.bytes + CMSG_SPACE(5));
    (void)state;
    first->cmsg_len = CMSG_LEN(5);
    second->cmsg_len = CMSG_LEN(5);
    assert_ptr_equal(libc_cmsg_nxthdr(&message, first), second);
    assert_null(libc_cmsg_nxthdr(&message, second));
    message.msg_controllen = CMSG_SPACE(5) + sizeof(struct cmsghdr);
    assert_ptr_equal(libc_cmsg_nxthdr(&message, first), second);
    message.msg_controllen--;
    assert_null(libc_cmsg_nxthdr(&message, first));
    message.msg_controllen = sizeof control;
    first->cmsg_len = sizeof(struct cmsghdr); /* a message without contents */
    assert_ptr_equal(libc_cmsg_nxthdr(&message, first), first + 1);
    first->cmsg_len = sizeof(struct cmsghdr) - 1; /* damaged: it would go on forever */
    assert_null(libc_cmsg_nxthdr(&message, first));
    first->cmsg_len = 0;
    assert_null(libc_cmsg_nxthdr(&message, first));
}

/* --- processors ----------------------------------------------------------------------------- */

/* The numbers of a kernel's list, as "0-3,8"; 0 where there is none. */
static int count_numbers(const char *path)
{
    int first, last, count = 0;
    char end = ',';
    FILE *file = fopen(path, "r");
    while (file != NULL && end == ',' && fscanf(file, "%d", &first) == 1) {
        last = first;
        if (fscanf(file, "%c", &end) == 1 && end == '-' && fscanf(file, "%d%c", &last, &end) != 2)
            end = '\n';
        for (int i = first; i <= last; i++)
            count++;
    }
    if (file != NULL)
        fclose(file);
    return count;
}

static int bind_and_count(void)
{
    int before = libc_nprocs();
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0)
        return 1;
    return libc_nprocs() == before ? 0 : 2;
}

static void the_machines_processors_are_counted(void **state)
{
    int online = count_numbers("/sys/devices/system/cpu/online");
    int possible = count_numbers("/sys/devices/system/cpu/possible");
    (void)state;
    if (online == 0 || possible == 0)
        skip();
    assert_int_equal(libc_nprocs(), online);
    assert_int_equal(libc_nprocs_conf(), possible);
    assert_int_equal(libc_sysconf(_SC_NPROCESSORS_ONLN), online);
    assert_int_equal(libc_sysconf(_SC_NPROCESSORS_CONF), possible);
    assert_int_equal(libc_sysconf(_SC_PAGESIZE), sysconf(_SC_PAGESIZE));
    assert_int_equal(status_of(bind_and_count), 0);
}

static void a_set_of_processors_is_empty(void **state)
{
    (void)state;
    cpu_set_t *set = libc_cpualloc(100);
    assert_int_equal(CPU_COUNT_S(CPU_ALLOC_SIZE(100), set), 0);
    free(set);
}

static void the_processor_and_the_thread(void **state)
{
    unsigned cpu = UINT_MAX, node = UINT_MAX;
    (void)state;
    assert_int_equal(libc_getcpu(&cpu, &node), 0);
    assert_true(cpu < (unsigned)libc_nprocs_conf());
    assert_true(node < 4096);
    assert_int_equal(libc_tgkill(getpid(), getpid(), 0), 0);
    assert_int_equal(libc_tgkill(getpid(), INT_MAX, 0), -1);
    assert_int_equal(errno, ESRCH);
}

/* --- signals and chance --------------------------------------------------------------------- */

static volatile sig_atomic_t calls;
static volatile sig_atomic_t was_blocked;

static void on_signal(int number)
{
    sigset_t blocked;
    sigprocmask(SIG_BLOCK, NULL, &blocked);
    was_blocked = sigismember(&blocked, number);
    calls++;
}

static void a_handler_of_system_v_runs_once(void **state)
{
    struct sigaction now;
    (void)state;
    assert_ptr_equal(libc_sysv_signal(SIGUSR1, SIG_IGN), SIG_DFL);
    assert_ptr_equal(libc_sysv_signal(SIGUSR1, on_signal), SIG_IGN);
    raise(SIGUSR1);
    assert_int_equal(calls, 1);
    assert_false(was_blocked);
    assert_int_equal(sigaction(SIGUSR1, NULL, &now), 0);
    assert_ptr_equal(now.sa_handler, SIG_DFL);
    assert_ptr_equal(libc_sysv_signal(SIGKILL, on_signal), SIG_ERR);
}

static void numbers_by_chance_differ(void **state)
{
    unsigned first = libc_arc4random(), all_same = 1;
    (void)state;
    for (int i = 0; i < 8; i++)
        all_same &= libc_arc4random() == first;
    assert_false(all_same);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_errors_text_is_cut_to_fit),
        cmocka_unit_test(a_paths_last_part),
        cmocka_unit_test(a_byte_is_found_wherever_it_is),
        cmocka_unit_test(the_release_is_told),
        cmocka_unit_test(what_there_is_not_answers_as_if_there_were_nothing),
        cmocka_unit_test(a_trees_files_have_glibcs_numbers),
        cmocka_unit_test(a_walk_within_a_walk),
        cmocka_unit_test(files_are_described),
        cmocka_unit_test(a_file_is_not_replaced_unasked),
        cmocka_unit_test(descriptors_are_closed_from_one_on),
        cmocka_unit_test(a_file_is_described_at_length),
        cmocka_unit_test(a_process_has_a_descriptor),
        cmocka_unit_test(the_next_header_of_a_message),
        cmocka_unit_test(the_machines_processors_are_counted),
        cmocka_unit_test(a_set_of_processors_is_empty),
        cmocka_unit_test(the_processor_and_the_thread),
        cmocka_unit_test(a_handler_of_system_v_runs_once),
        cmocka_unit_test(numbers_by_chance_differ),
    };
    return cmocka_run_group_tests_name("libc_misc", tests, make_folder, remove_folder);
}
