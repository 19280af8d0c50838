/* base/flag: flags that are raised once, and what wakes those that wait. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/flag.h"

#define PAST 1 /* a time long ago */

static bool is_free(struct flag *flag)
{
    return pthread_mutex_trylock(&flag->lock) == 0 && pthread_mutex_unlock(&flag->lock) == 0;
}

static void a_wake_is_lowered_again(void **state)
{
    struct wake wake;
    struct err err;
    (void)state;
    assert_int_equal(wake_init(&wake, &err), 0);
    assert_false(wake_wait(&wake, PAST));
    wake_lower(&wake); /* does not block where there is nothing to lower */
    wake_signal(&wake);
    wake_signal(&wake);
    assert_true(wake_wait(&wake, PAST));
    assert_true(wake_wait(&wake, DEADLINE_NEVER)); /* it stays */
    wake_lower(&wake);
    assert_false(wake_wait(&wake, PAST));
    int fd = wake.fd;
    wake_free(&wake);
    assert_int_equal(wake.fd, -1);
    assert_int_equal(close(fd), -1);
}

static void a_flag_stays_raised(void **state)
{
    struct flag flag;
    (void)state;
    flag_init(&flag);
    assert_false(flag_is_raised(&flag));
    assert_false(flag_wait(&flag, PAST));
    assert_true(is_free(&flag));
    flag_raise(&flag);
    flag_raise(&flag);
    assert_true(is_free(&flag));
    assert_true(flag_is_raised(&flag));
    assert_true(flag_wait(&flag, PAST));
    assert_true(flag_wait(&flag, DEADLINE_NEVER));
    assert_true(is_free(&flag));
}

static void a_flag_signals_what_is_linked_to_it(void **state)
{
    struct flag flag;
    struct wake one, two;
    struct err err;
    (void)state;
    assert_int_equal(wake_init(&one, &err), 0);
    assert_int_equal(wake_init(&two, &err), 0);
    flag_init(&flag);
    assert_null(flag_link(&flag, &one));
    assert_ptr_equal(flag_link(&flag, &two), &one);
    assert_true(is_free(&flag));
    assert_false(wake_wait(&one, PAST) || wake_wait(&two, PAST));
    flag_raise(&flag);
    assert_false(wake_wait(&one, PAST)); /* not linked any more */
    assert_true(wake_wait(&two, PAST));
    assert_ptr_equal(flag_link(&flag, &one), &two); /* it is raised already */
    assert_true(wake_wait(&one, PAST));
    assert_ptr_equal(flag_link(&flag, NULL), &one);
    assert_null(flag_link(&flag, NULL));
    wake_lower(&one);
    flag_raise(&flag);
    assert_false(wake_wait(&one, PAST));
    wake_free(&one);
    wake_free(&two);
}

static void *raise_it(void *flag)
{
    flag_raise(flag);
    return NULL;
}

/* However the threads run: one that waits comes back. */
static void a_flag_ends_the_wait_of_another_thread(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        struct flag flag;
        pthread_t thread;
        flag_init(&flag);
        assert_int_equal(pthread_create(&thread, NULL, raise_it, &flag), 0);
        assert_true(flag_wait(&flag, DEADLINE_NEVER));
        pthread_join(thread, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wake_is_lowered_again),
        cmocka_unit_test(a_flag_stays_raised),
        cmocka_unit_test(a_flag_signals_what_is_linked_to_it),
        cmocka_unit_test(a_flag_ends_the_wait_of_another_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
