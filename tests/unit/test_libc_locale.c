/* loader/libc_locale: there is only "C", and it looks as glibc's headers say. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "loader/libc_private.h"

#define GLOBAL ((struct libc_locale *)-1)

/* glibc's struct, as code that was compiled for it reads it, and some of its character classes. */
struct glibc_locale {
    void *data[13];
    const unsigned short *classes;
    const int *lower, *upper;
    const char *names[13];
};
enum { UPPER = 1 << 8, LOWER = 1 << 9, ALPHA = 1 << 10, DIGIT = 1 << 11, SPACE = 1 << 13 };

static bool is_c(struct libc_locale *locale)
{
    const struct glibc_locale *as_glibc = (const void *)locale;
    for (size_t i = 0; i < 13; i++)
        if (as_glibc->names[i] == NULL || strcmp(as_glibc->names[i], "C") != 0)
            return false;
    return (as_glibc->classes['a'] & (UPPER | LOWER | ALPHA | DIGIT | SPACE)) == (LOWER | ALPHA) &&
           (as_glibc->classes['Z'] & (UPPER | LOWER | ALPHA | DIGIT | SPACE)) == (UPPER | ALPHA) &&
           (as_glibc->classes['7'] & (UPPER | LOWER | ALPHA | DIGIT | SPACE)) == DIGIT &&
           (as_glibc->classes['\n'] & (UPPER | LOWER | ALPHA | DIGIT | SPACE)) == SPACE &&
           as_glibc->lower['Q'] == 'q' && as_glibc->lower['q'] == 'q' &&
           as_glibc->upper['q'] == 'Q' && as_glibc->upper['7'] == '7';
}

/* In a process of its own, where nothing has been filled in yet. */
static bool is_c_at_first(struct libc_locale *(*make)(void))
{
    int status = -1;
    pid_t child = fork();
    if (child == 0)
        _exit(is_c(make()) ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static struct libc_locale *make_new(void)
{
    return libc_newlocale(1 << 6, "C", NULL);
}

static struct libc_locale *make_copy(void)
{
    return libc_duplocale(GLOBAL);
}

static void a_locale_is_c_however_it_is_made(void **state)
{
    (void)state;
    assert_true(is_c_at_first(make_new));
    assert_true(is_c_at_first(make_copy));
}

static void others_are_not_there(void **state)
{
    static const char *const none[] = { "de_DE.UTF-8", "C.UTF-8", "CC", "c" };
    (void)state;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        errno = 0;
        assert_null(libc_newlocale(1, none[i], NULL));
        assert_int_equal(errno, ENOENT);
    }
    assert_null(libc_newlocale(1, NULL, NULL));
    assert_int_equal(errno, EINVAL);
    assert_non_null(libc_newlocale(1, "", NULL));
    assert_non_null(libc_newlocale(1, "POSIX", NULL));
    libc_freelocale(libc_newlocale(1, "C", NULL));
    assert_true(is_c(libc_newlocale(1, "C", NULL)));
}

static void *current(void *unused)
{
    (void)unused;
    return libc_uselocale(NULL);
}

static void each_thread_uses_its_own(void **state)
{
    struct libc_locale *locale = libc_newlocale(1, "C", NULL);
    pthread_t thread;
    void *theirs;
    (void)state;
    assert_ptr_equal(libc_uselocale(NULL), GLOBAL);
    assert_ptr_equal(libc_uselocale(locale), GLOBAL);
    assert_ptr_equal(libc_uselocale(NULL), locale);
    assert_int_equal(pthread_create(&thread, NULL, current, NULL), 0);
    assert_int_equal(pthread_join(thread, &theirs), 0);
    assert_ptr_equal(theirs, GLOBAL);
    assert_ptr_equal(libc_uselocale(GLOBAL), locale);
    assert_ptr_equal(libc_uselocale(NULL), GLOBAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_locale_is_c_however_it_is_made),
        cmocka_unit_test(others_are_not_there),
        cmocka_unit_test(each_thread_uses_its_own),
    };
    return cmocka_run_group_tests_name("libc_locale", tests, NULL, NULL);
}
