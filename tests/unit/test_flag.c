/* base/flag: flags that are raised once, and what wakes those that wait. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/flag.h"

#define PAST 1 /* a time long ago */

/* Nothing that was there before is left. */
static void init(struct flag *flag)
{
    memset(flag, 0xa5, sizeof *flag);
    flag_init(flag);
}

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
    init(&flag);
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
    init(&flag);
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
        init(&flag);
        assert_int_equal(pthread_create(&thread, NULL, raise_it, &flag), 0);
        assert_true(flag_wait(&flag, DEADLINE_NEVER));
        pthread_join(thread, NULL);
    }
}

static volatile sig_atomic_t alarms;

static void count_alarm(int number)
{
    (void)number;
    alarms++;
}

/* What else ends a system call, and deadlines that are not there yet. */
static void waits_last_until_the_deadline(void **state)
{
    const struct sigaction action = { .sa_handler = count_alarm };
    const struct itimerval often = { { 0, 2000 }, { 0, 2000 } }, never = { { 0, 0 }, { 0, 0 } };
    struct flag flag;
    struct wake wake;
    struct err err;
    (void)state;
    init(&flag);
    assert_int_equal(wake_init(&wake, &err), 0);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < 5 || alarms == 0; i++) {
        deadline_ms deadline = clock_deadline(7);
        assert_false(flag_wait(&flag, deadline));
        assert_int_equal(clock_left_ms(deadline), 0);
        deadline = clock_deadline(7);
        assert_false(wake_wait(&wake, deadline));
        assert_int_equal(clock_left_ms(deadline), 0);
    }
    setitimer(ITIMER_REAL, &never, NULL);
    signal(SIGALRM, SIG_DFL);
    wake_free(&wake);
}

static struct {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    int turn;
} shared = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void *take_turns(void *argument)
{
    pthread_mutex_lock(&shared.lock);
    while (shared.turn < 20) {
        shared.turn++;
        pthread_cond_broadcast(&shared.cond);
        while (shared.turn % 2 == 1)
            pthread_cond_wait(&shared.cond, &shared.lock);
    }
    pthread_mutex_unlock(&shared.lock);
    return argument;
}

/* False means that the deadline has passed, and nothing else. */
static void a_condition_says_whether_it_was_in_time(void **state)
{
    pthread_t other;
    (void)state;
    flag_cond_init(&shared.cond);
    pthread_mutex_lock(&shared.lock);
    assert_false(flag_cond_wait(&shared.cond, &shared.lock, PAST));
    assert_int_equal(pthread_create(&other, NULL, take_turns, NULL), 0);
    while (shared.turn < 19) {
        deadline_ms deadline = shared.turn % 4 == 0 ? DEADLINE_NEVER : clock_deadline(600000);
        while (shared.turn % 2 == 0)
            assert_true(flag_cond_wait(&shared.cond, &shared.lock, deadline));
        shared.turn++;
        pthread_cond_broadcast(&shared.cond);
    }
    pthread_mutex_unlock(&shared.lock);
    pthread_join(other, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wake_is_lowered_again),
        cmocka_unit_test(a_flag_stays_raised),
        cmocka_unit_test(a_flag_signals_what_is_linked_to_it),
        cmocka_unit_test(a_flag_ends_the_wait_of_another_thread),
        cmocka_unit_test(waits_last_until_the_deadline),
        cmocka_unit_test(a_condition_says_whether_it_was_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
