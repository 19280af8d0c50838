/*
 * loader/libc_checked: each function does what its unchecked twin does, up to a destination that
 * just fits; one byte, or one wide character, more ends the program and says why.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

#include "loader/libc_private.h"

enum { FLAG = 1 }; /* what a compiler passes to the checked printf family */

/* --- a child that says something, and perhaps ends ------------------------------------------ */

static int says; /* the pipe from the child's standard output and error */
static pid_t child;

/* True in the child. */
static bool in_child(void)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        return true;
    }
    close(ends[1]);
    says = ends[0];
    return false;
}

/* The child's wait status; what it has said goes into the text. */
static int ended(char *text, size_t room)
{
    int status;
    size_t len = 0;
    ssize_t more;
    while (len < room - 1 && (more = read(says, text + len, room - 1 - len)) > 0)
        len += (size_t)more;
    text[len] = '\0';
    close(says);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void assert_ended_for_an_overrun(const char *call)
{
    char text[256];
    int status = ended(text, sizeof text);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT ||
        strcmp(text, "a library would overrun its own buffer: the program exits\n") != 0)
        fail_msg("%s: status %#x, %s", call, (unsigned)status, text);
}

#define OVERRUNS(call)                      \
    do {                                    \
        if (in_child()) {                   \
            (void)(call);                   \
            _exit(0);                       \
        }                                   \
        assert_ended_for_an_overrun(#call); \
    } while (0)

/* --- bytes and texts ------------------------------------------------------------------------ */

static char to[16];

static void fill(const char *text)
{
    memset(to, '#', sizeof to);
    memcpy(to, text, strlen(text) + 1);
}

/* The destination begins with these bytes, and those behind are as they were. */
static void assert_bytes(const char *bytes, size_t count)
{
    assert_memory_equal(to, bytes, count);
    for (size_t i = count; i < sizeof to; i++)
        assert_int_equal(to[i], '#');
}

static void blocks_are_copied_and_set(void **state)
{
    (void)state;
    fill("");
    assert_ptr_equal(libc_memcpy_chk(to, "abcd", 4, 4), to);
    assert_bytes("abcd", 4);
    assert_ptr_equal(libc_memmove_chk(to + 1, to, 4, 4), to + 1);
    assert_bytes("aabcd", 5);
    assert_ptr_equal(libc_memcpy_chk(to, to + 1, 4, 4), to); /* as programs for old glibc do it */
    assert_bytes("abcdd", 5);
    assert_ptr_equal(libc_mempcpy_chk(to, "xyz", 3, 3), to + 3);
    assert_bytes("xyzdd", 5);
    assert_ptr_equal(libc_memset_chk(to, 'm', 6, 6), to);
    assert_bytes("mmmmmm", 6);
    libc_explicit_bzero_chk(to + 1, 5, 5);
    assert_bytes("m\0\0\0\0\0", 6);
    assert_ptr_equal(libc_memcpy_chk(to, "n", 1, SIZE_MAX), to);
    assert_bytes("n\0\0\0\0\0", 6);
    OVERRUNS(libc_memcpy_chk(to, "abcd", 4, 3));
    OVERRUNS(libc_memmove_chk(to, "abcd", 4, 3));
    OVERRUNS(libc_mempcpy_chk(to, "abcd", 4, 3));
    OVERRUNS(libc_memset_chk(to, 0, 4, 3));
    OVERRUNS(libc_explicit_bzero_chk(to, 4, 3));
}

static void texts_are_copied(void **state)
{
    (void)state;
    fill("");
    assert_ptr_equal(libc_strcpy_chk(to, "text", 5), to);
    assert_bytes("text", 5);
    assert_ptr_equal(libc_stpcpy_chk(to, "abc", 4), to + 3);
    assert_bytes("abc\0", 5);
    fill("");
    assert_ptr_equal(libc_strncpy_chk(to, "ab", 4, 4), to); /* filled up with NULs */
    assert_bytes("ab\0", 4);
    assert_ptr_equal(libc_stpncpy_chk(to, "xyzu", 3, 3), to + 3);
    assert_bytes("xyz\0", 4);
    assert_ptr_equal(libc_stpncpy_chk(to, "x", 3, 3), to + 1);
    OVERRUNS(libc_strcpy_chk(to, "text", 4));
    OVERRUNS(libc_stpcpy_chk(to, "text", 4));
    OVERRUNS(libc_strncpy_chk(to, "a", 4, 3));
    OVERRUNS(libc_stpncpy_chk(to, "a", 4, 3));
}

static void texts_are_appended(void **state)
{
    (void)state;
    fill("ab");
    assert_ptr_equal(libc_strcat_chk(to, "cd", 5), to);
    assert_bytes("abcd", 5);
    assert_ptr_equal(libc_strncat_chk(to, "efgh", 2, 7), to); /* always with a NUL */
    assert_bytes("abcdef", 7);
    assert_ptr_equal(libc_strncat_chk(to, "g", 100, 8), to);
    assert_bytes("abcdefg", 8);
    fill("ab");
    OVERRUNS(libc_strcat_chk(to, "cd", 4));
    OVERRUNS(libc_strncat_chk(to, "cdef", 2, 4));
}

/* --- wide characters ------------------------------------------------------------------------ */

static wchar_t wide[16];

static void assert_wide(const wchar_t *expected, size_t count)
{
    assert_memory_equal(wide, expected, count * sizeof *wide);
    for (size_t i = count; i < sizeof wide / sizeof *wide; i++)
        assert_int_equal(wide[i], L'#');
}

static void wide_blocks_are_copied_and_set(void **state)
{
    (void)state;
    wmemset(wide, L'#', sizeof wide / sizeof *wide);
    assert_ptr_equal(libc_wmemcpy_chk(wide, L"abcd", 4, 4), wide);
    assert_wide(L"abcd", 4);
    assert_ptr_equal(libc_wmemmove_chk(wide + 1, wide, 4, 4), wide + 1);
    assert_wide(L"aabcd", 5);
    assert_ptr_equal(libc_wmemset_chk(wide, L'm', 6, 6), wide);
    assert_wide(L"mmmmmm", 6);
    OVERRUNS(libc_wmemcpy_chk(wide, L"abcd", 4, 3));
    OVERRUNS(libc_wmemmove_chk(wide, L"abcd", 4, 3));
    OVERRUNS(libc_wmemset_chk(wide, 0, 4, 3));
}

static void wide_texts_are_copied_and_appended(void **state)
{
    (void)state;
    wmemset(wide, L'#', sizeof wide / sizeof *wide);
    assert_ptr_equal(libc_wcscpy_chk(wide, L"ab", 3), wide);
    assert_wide(L"ab", 3);
    assert_ptr_equal(libc_wcscat_chk(wide, L"cd", 5), wide);
    assert_wide(L"abcd", 5);
    assert_ptr_equal(libc_wcsncpy_chk(wide, L"xy", 4, 4), wide);
    assert_wide(L"xy\0\0", 5);
    OVERRUNS(libc_wcscpy_chk(wide, L"abc", 3));
    OVERRUNS(libc_wcsncpy_chk(wide, L"a", 4, 3));
    OVERRUNS(libc_wcscat_chk(wide, L"cd", 4));
    OVERRUNS(libc_wcscat_chk(wide, L"", 1)); /* what is there does not fit already */
}

static void texts_become_wide_and_narrow(void **state)
{
    mbstate_t shift = { 0 };
    const char *from = "pqr";
    const wchar_t *wide_from = L"stuv";
    (void)state;
    assert_int_equal(libc_mbstowcs_chk(wide, "abc", 4, 4), 3);
    assert_int_equal(wmemcmp(wide, L"abc", 4), 0);
    assert_int_equal(libc_wcstombs_chk(to, L"xyz", 4, 4), 3);
    assert_string_equal(to, "xyz");
    assert_int_equal(libc_mbsrtowcs_chk(wide, &from, 4, &shift, 4), 3);
    assert_int_equal(wmemcmp(wide, L"pqr", 4), 0);
    assert_null(from);
    from = "pqr";
    assert_int_equal(libc_mbsnrtowcs_chk(wide, &from, 2, 4, &shift, 4), 2);
    assert_string_equal(from, "r");
    assert_int_equal(libc_wcsnrtombs_chk(to, &wide_from, 3, 4, &shift, 4), 3);
    assert_memory_equal(to, "stu", 3);
    assert_int_equal(*wide_from, L'v');
    OVERRUNS(libc_mbstowcs_chk(wide, "abc", 4, 3));
    OVERRUNS(libc_wcstombs_chk(to, L"abc", 4, 3));
    OVERRUNS(libc_mbsrtowcs_chk(wide, &from, 4, &shift, 3));
    OVERRUNS(libc_mbsnrtowcs_chk(wide, &from, 1, 4, &shift, 3));
    OVERRUNS(libc_wcsnrtombs_chk(to, &wide_from, 1, 4, &shift, 3));
}

static void one_character_becomes_narrow(void **state)
{
    mbstate_t shift = { 0 };
    (void)state;
    fill("");
    assert_int_equal(libc_wcrtomb_chk(to, L'a', &shift, 1), 1);
    assert_bytes("a", 1);
    assert_int_equal(libc_wcrtomb_chk(NULL, L'a', &shift, 0), 1);
    errno = 0;
    assert_true(libc_wcrtomb_chk(to, (wchar_t)0x110000, &shift, 0) == (size_t)-1);
    assert_int_equal(errno, EILSEQ);
    OVERRUNS(libc_wcrtomb_chk(to, L'a', &shift, 0));
}

/* --- printf --------------------------------------------------------------------------------- */

static void texts_are_formatted_into_memory(void **state)
{
    char *made = NULL;
    (void)state;
    fill("");
    assert_int_equal(libc_sprintf_chk(to, FLAG, 5, "%d-%s", 12, "x"), 4);
    assert_bytes("12-x", 5);
    assert_int_equal(libc_sprintf_chk(to, FLAG, SIZE_MAX, "%d", 7), 1);
    assert_bytes("7\0-x", 5);
    assert_int_equal(libc_snprintf_chk(to, 4, FLAG, 4, "%s", "abcdef"), 6); /* cut, as asked for */
    assert_bytes("abc\0", 5);
    assert_int_equal(libc_asprintf_chk(&made, FLAG, "%d and %d", 1, 2), 7);
    assert_string_equal(made, "1 and 2");
    free(made);
    OVERRUNS(libc_sprintf_chk(to, FLAG, 4, "%s", "text"));
    OVERRUNS(libc_snprintf_chk(to, 5, FLAG, 4, "%s", ""));
}

static void texts_are_formatted_into_files(void **state)
{
    char text[256];
    (void)state;
    if (in_child()) {
        bool right = libc_printf_chk(FLAG, "%d,", 1) == 2;
        fflush(stdout);
        right &= libc_dprintf_chk(STDERR_FILENO, FLAG, "%d,", 22) == 3;
        right &= libc_fprintf_chk(stderr, FLAG, "%d,", 333) == 4;
        fflush(stderr);
        openlog("name", LOG_PERROR, LOG_USER);
        libc_syslog_chk(LOG_DEBUG, FLAG, "%d", 4444);
        _exit(right ? 3 : 4);
    }
    int status = ended(text, sizeof text);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 3);
    assert_string_equal(text, "1,22,333,name: 4444\n");
}

/* --- reading -------------------------------------------------------------------------------- */

static void files_are_read(void **state)
{
    char text[] = "line\nand more";
    FILE *file = fmemopen(text, strlen(text), "r");
    (void)state;
    fill("");
    assert_ptr_equal(libc_fgets_chk(to, 6, 6, file), to);
    assert_bytes("line\n", 6);
    assert_int_equal(libc_fread_chk(to, 6, 2, 3, file), 3);
    assert_bytes("and mo", 6);
    OVERRUNS(libc_fgets_chk(to, 5, 6, file));
    OVERRUNS(libc_fgets_chk(to, 0, 1, file));
    OVERRUNS(libc_fread_chk(to, 5, 2, 3, file));
    OVERRUNS(libc_fread_chk(to, 4, SIZE_MAX / 2 + 2, 2, file)); /* 2, where it wraps */
    assert_ptr_equal(libc_fgets_chk(to, 5, 5, file), to);
    assert_string_equal(to, "re");
    assert_null(libc_fgets_chk(to, 0, -1, file));
    fclose(file);
}

static void descriptors_are_read(void **state)
{
    char name[] = "/tmp/libc-checked-XXXXXX";
    int fd = mkstemp(name);
    (void)state;
    fill("");
    assert_int_equal(write(fd, "abcdef", 6), 6);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(libc_read_chk(fd, to, 3, 3), 3);
    assert_bytes("abc", 3);
    assert_int_equal(libc_pread_chk(fd, to, 3, 2, 3), 3);
    assert_bytes("cde", 3);
    OVERRUNS(libc_read_chk(fd, to, 3, 2));
    OVERRUNS(libc_pread_chk(fd, to, 3, 2, 2));
    close(fd);
    unlink(name);
}

static void sockets_are_read(void **state)
{
    int pair[2];
    struct sockaddr_storage peer;
    struct sockaddr *address = (struct sockaddr *)(void *)&peer;
    socklen_t size = sizeof peer;
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
    assert_int_equal(send(pair[0], "first", 5, 0), 5);
    assert_int_equal(send(pair[0], "other", 5, 0), 5);
    fill("");
    assert_int_equal(libc_recv_chk(pair[1], to, 5, 5, MSG_PEEK), 5);
    assert_int_equal(libc_recv_chk(pair[1], to, 5, 5, 0), 5);
    assert_bytes("first", 5);
    assert_int_equal(libc_recvfrom_chk(pair[1], to, 5, 5, MSG_DONTWAIT, address, &size), 5);
    assert_bytes("other", 5);
    assert_true(size < sizeof peer);
    assert_int_equal(libc_recvfrom_chk(pair[1], to, 5, 5, MSG_DONTWAIT, address, &size), -1);
    OVERRUNS(libc_recv_chk(pair[1], to, 5, 4, MSG_DONTWAIT));
    OVERRUNS(libc_recvfrom_chk(pair[1], to, 5, 4, MSG_DONTWAIT, address, &size));
    close(pair[0]);
    close(pair[1]);
}

static void links_are_read(void **state)
{
    char folder[] = "/tmp/libc-checked-XXXXXX", path[64], text[8];
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/link", folder);
    assert_int_equal(symlink("goal", path), 0);
    fill("");
    assert_int_equal(libc_readlink_chk(path, to, 3, 3), 3);
    assert_bytes("goa", 3);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(libc_readlinkat_chk(fd, "link", text, sizeof text, sizeof text), 4);
    assert_memory_equal(text, "goal", 4);
    OVERRUNS(libc_readlink_chk(path, to, 4, 3));
    OVERRUNS(libc_readlinkat_chk(fd, "link", to, 4, 3));
    close(fd);
    unlink(path);
    rmdir(folder);
}

static void the_systems_names_are_told(void **state)
{
    static char path[PATH_MAX], expected[PATH_MAX];
    (void)state;
    assert_non_null(getcwd(expected, sizeof expected));
    assert_ptr_equal(libc_getcwd_chk(path, sizeof path, sizeof path), path);
    assert_string_equal(path, expected);
    memset(path, 0, sizeof path);
    assert_non_null(realpath("/tmp", expected));
    assert_ptr_equal(libc_realpath_chk("/../tmp/.", path, sizeof path), path);
    assert_string_equal(path, expected);
    assert_int_equal(gethostname(expected, sizeof expected), 0);
    assert_int_equal(libc_gethostname_chk(path, sizeof path, sizeof path), 0);
    assert_string_equal(path, expected);
    size_t size = confstr(_CS_PATH, expected, sizeof expected);
    assert_true(size > 1);
    assert_int_equal(libc_confstr_chk(_CS_PATH, path, sizeof path, sizeof path), size);
    assert_string_equal(path, expected);
    OVERRUNS(libc_getcwd_chk(path, sizeof path, sizeof path - 1));
    OVERRUNS(libc_realpath_chk("/", path, sizeof path - 1)); /* a path may be that long */
    OVERRUNS(libc_gethostname_chk(path, sizeof path, sizeof path - 1));
    OVERRUNS(libc_confstr_chk(_CS_PATH, path, sizeof path, sizeof path - 1));
}

/* --- the rest ------------------------------------------------------------------------------- */

static void descriptors_are_waited_for(void **state)
{
    struct timespec at_once = { 0 };
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    struct pollfd fds[] = { { ends[0], POLLIN, 0 }, { ends[1], POLLIN, 0 } };
    assert_int_equal(libc_poll_chk(fds, 2, 0, sizeof fds), 1);
    assert_int_equal(fds[0].revents, POLLIN);
    fds[0].revents = 0;
    assert_int_equal(libc_ppoll_chk(fds, 2, &at_once, NULL, sizeof fds), 1);
    assert_int_equal(fds[0].revents, POLLIN);
    OVERRUNS(libc_poll_chk(fds, 2, 0, sizeof fds - 1));
    OVERRUNS(libc_ppoll_chk(fds, 2, &at_once, NULL, sizeof fds - 1));
    close(ends[0]);
    close(ends[1]);
}

static void sets_of_descriptors_end_somewhere(void **state)
{
    (void)state;
    assert_int_equal(libc_fdelt_chk(0), 0);
    assert_int_equal(libc_fdelt_chk(63), 0);
    assert_int_equal(libc_fdelt_chk(64), 1);
    assert_int_equal(libc_fdelt_chk(FD_SETSIZE - 1), 15);
    OVERRUNS(libc_fdelt_chk(FD_SETSIZE));
    OVERRUNS(libc_fdelt_chk(-1));
    OVERRUNS(libc_chk_fail());
}

/* A file that may be made needs a mode, and there is none. */
static void files_are_opened_but_not_made(void **state)
{
    (void)state;
    int folder = libc_open_2("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(folder >= 0);
    int null = libc_openat_2(folder, "dev/null", O_WRONLY | O_CLOEXEC);
    assert_true(null >= 0);
    assert_int_equal(write(null, "x", 1), 1);
    close(null);
    int again = libc_openat_2(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(again >= 0);
    close(again);
    OVERRUNS(libc_open_2("/dev/null", O_WRONLY | O_CREAT));
    OVERRUNS(libc_open_2("/tmp", O_WRONLY | O_TMPFILE));
    OVERRUNS(libc_openat_2(folder, "dev/null", O_WRONLY | O_CREAT));
    OVERRUNS(libc_openat_2(folder, "tmp", O_WRONLY | O_TMPFILE));
    close(folder);
}

static void a_jump_arrives(void **state)
{
    static jmp_buf place;
    (void)state;
    int value = setjmp(place);
    if (value == 0)
        libc_longjmp_chk(place, 5);
    assert_int_equal(value, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_copied_and_set),
        cmocka_unit_test(texts_are_copied),
        cmocka_unit_test(texts_are_appended),
        cmocka_unit_test(wide_blocks_are_copied_and_set),
        cmocka_unit_test(wide_texts_are_copied_and_appended),
        cmocka_unit_test(texts_become_wide_and_narrow),
        cmocka_unit_test(one_character_becomes_narrow),
        cmocka_unit_test(texts_are_formatted_into_memory),
        cmocka_unit_test(texts_are_formatted_into_files),
        cmocka_unit_test(files_are_read),
        cmocka_unit_test(descriptors_are_read),
        cmocka_unit_test(sockets_are_read),
        cmocka_unit_test(links_are_read),
        cmocka_unit_test(the_systems_names_are_told),
        cmocka_unit_test(descriptors_are_waited_for),
        cmocka_unit_test(sets_of_descriptors_end_somewhere),
        cmocka_unit_test(files_are_opened_but_not_made),
        cmocka_unit_test(a_jump_arrives),
    };
    return cmocka_run_group_tests_name("libc_checked", tests, NULL, NULL);
}
