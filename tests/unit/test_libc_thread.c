/* loader/libc_thread: kinds of mutexes, waits by a clock, stacks, and the end of a thread. */
#include <errno.h>
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

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { RECURSIVE = 1, ERRORCHECK = 2, ADAPTIVE = 3 }; /* glibc's kinds */

/* --- mutexes -------------------------------------------------------------------------------- */

/* As glibc's static initializers leave it. */
static pthread_mutex_t mutex_of_glibc(int kind)
{
    enum { KIND_AT = 16 };
    pthread_mutex_t mutex;
    memset(&mutex, 0, sizeof mutex);
    memcpy((char *)&mutex + KIND_AT, &kind, sizeof kind);
    return mutex;
}

static const struct timespec past = { .tv_sec = 1 };

static int lock_until(pthread_mutex_t *mutex)
{
    return libc_mutex_timedlock(mutex, &past);
}

static int lock_until_by_clock(pthread_mutex_t *mutex)
{
    return libc_mutex_clocklock(mutex, CLOCK_MONOTONIC, &past);
}

/* However it is locked first, the kind of its initializer counts. */
static void a_static_mutex_is_of_its_kind(void **state)
{
    static int (*const ways[])(pthread_mutex_t *) = { libc_mutex_lock, libc_mutex_trylock,
                                                      lock_until, lock_until_by_clock };
    (void)state;
#ifdef __GLIBC__ /* whose mutexes have the kind there, and the lock where musl has the kind */
    skip();
#endif
    for (size_t i = 0; i < COUNT(ways); i++) {
        pthread_mutex_t recursive = mutex_of_glibc(RECURSIVE);
        pthread_mutex_t checked = mutex_of_glibc(ERRORCHECK);
        pthread_mutex_t adaptive = mutex_of_glibc(ADAPTIVE), plain = mutex_of_glibc(0);
        assert_int_equal(ways[i](&recursive), 0);
        assert_int_equal(libc_mutex_trylock(&recursive), 0);
        assert_int_equal(pthread_mutex_unlock(&recursive), 0);
        assert_int_equal(pthread_mutex_unlock(&recursive), 0);
        assert_int_equal(pthread_mutex_unlock(&recursive), EPERM);
        assert_int_equal(ways[i](&checked), 0);
        assert_int_equal(libc_mutex_lock(&checked), EDEADLK);
        assert_int_equal(pthread_mutex_unlock(&checked), 0);
        assert_int_equal(pthread_mutex_unlock(&checked), EPERM);
        assert_int_equal(ways[i](&adaptive), 0);
        assert_int_equal(libc_mutex_trylock(&adaptive), EBUSY);
        assert_int_equal(pthread_mutex_unlock(&adaptive), 0);
        assert_int_equal(ways[i](&plain), 0);
        assert_int_equal(libc_mutex_trylock(&plain), EBUSY);
        assert_int_equal(pthread_mutex_unlock(&plain), 0);
    }
}

static void an_attribute_knows_the_adaptive_kind(void **state)
{
    pthread_mutexattr_t attr;
    int type = -1;
    (void)state;
    assert_int_equal(pthread_mutexattr_init(&attr), 0);
    assert_int_equal(libc_mutexattr_settype(&attr, RECURSIVE), 0);
    assert_int_equal(pthread_mutexattr_gettype(&attr, &type), 0);
    assert_int_equal(type, PTHREAD_MUTEX_RECURSIVE);
    assert_int_equal(libc_mutexattr_settype(&attr, ADAPTIVE), 0);
    assert_int_equal(pthread_mutexattr_gettype(&attr, &type), 0);
    assert_int_equal(type, PTHREAD_MUTEX_NORMAL);
    assert_int_equal(libc_mutexattr_settype(&attr, 4), EINVAL);
    pthread_mutexattr_destroy(&attr);
}

/* --- waits by a clock ----------------------------------------------------------------------- */

static const clockid_t clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC };

/* A time by that clock so many seconds from now, with these nanoseconds. */
static struct timespec seconds_from_now(clockid_t clock, int seconds, long nanoseconds)
{
    struct timespec when;
    assert_int_equal(clock_gettime(clock, &when), 0);
    return (struct timespec){ when.tv_sec + seconds, nanoseconds };
}

/* Whatever the nanoseconds of the two clocks add up to, they stay below a second. */
static void a_time_that_is_over_ends_the_wait(void **state)
{
    static const long nanoseconds[] = { 0, 1, 500000000, 999999999 };
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
    sem_t sem;
    (void)state;
    assert_int_equal(sem_init(&sem, 0, 0), 0);
    assert_int_equal(pthread_mutex_lock(&mutex), 0);
    for (size_t i = 0; i < COUNT(clocks); i++)
        for (size_t k = 0; k < COUNT(nanoseconds); k++) {
            struct timespec over = seconds_from_now(clocks[i], -2, nanoseconds[k]);
            assert_int_equal(libc_mutex_clocklock(&mutex, clocks[i], &over), ETIMEDOUT);
            assert_int_equal(pthread_rwlock_wrlock(&lock), 0);
            int rc = libc_rwlock_clockwrlock(&lock, clocks[i], &over);
            assert_true(rc == ETIMEDOUT || rc == EDEADLK); /* glibc sees whose lock it is */
            rc = libc_rwlock_clockrdlock(&lock, clocks[i], &over);
            assert_true(rc == ETIMEDOUT || rc == EDEADLK);
            assert_int_equal(pthread_rwlock_unlock(&lock), 0);
            assert_int_equal(libc_sem_clockwait(&sem, clocks[i], &over), -1);
            assert_int_equal(errno, ETIMEDOUT);
        }
    assert_int_equal(pthread_mutex_unlock(&mutex), 0);
    sem_destroy(&sem);
}

static void what_is_free_is_taken(void **state)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
    sem_t sem;
    (void)state;
    assert_int_equal(sem_init(&sem, 0, 2), 0);
    for (size_t i = 0; i < COUNT(clocks); i++) {
        struct timespec later = seconds_from_now(clocks[i], 3600, 0);
        assert_int_equal(libc_mutex_clocklock(&mutex, clocks[i], &later), 0);
        assert_int_equal(pthread_mutex_unlock(&mutex), 0);
        assert_int_equal(libc_rwlock_clockrdlock(&lock, clocks[i], &later), 0);
        assert_int_equal(pthread_rwlock_tryrdlock(&lock), 0);
        assert_int_equal(pthread_rwlock_unlock(&lock), 0);
        assert_int_equal(pthread_rwlock_unlock(&lock), 0);
        assert_int_equal(libc_rwlock_clockwrlock(&lock, clocks[i], &later), 0);
        assert_int_equal(pthread_rwlock_tryrdlock(&lock), EBUSY);
        assert_int_equal(pthread_rwlock_unlock(&lock), 0);
        assert_int_equal(libc_sem_clockwait(&sem, clocks[i], &later), 0);
    }
    sem_destroy(&sem);
}

static void a_clock_that_nobody_can_wait_by(void **state)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
    pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
    sem_t sem;
    (void)state;
    assert_int_equal(sem_init(&sem, 0, 1), 0);
    assert_int_equal(libc_mutex_clocklock(&mutex, CLOCK_BOOTTIME, &past), EINVAL);
    assert_int_equal(libc_cond_clockwait(&cond, &mutex, CLOCK_BOOTTIME, &past), EINVAL);
    assert_int_equal(libc_rwlock_clockrdlock(&lock, CLOCK_BOOTTIME, &past), EINVAL);
    assert_int_equal(libc_rwlock_clockwrlock(&lock, CLOCK_BOOTTIME, &past), EINVAL);
    errno = 0;
    assert_int_equal(libc_sem_clockwait(&sem, CLOCK_BOOTTIME, &past), -1);
    assert_int_equal(errno, EINVAL);
    sem_destroy(&sem);
}

/* A thread that waits for a condition until an hour from now. */
struct waiter {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    clockid_t clock;
    bool waits;
    int rc;
};

static void *wait_for_condition(void *argument)
{
    struct waiter *waiter = argument;
    struct timespec later = seconds_from_now(waiter->clock, 3600, 999999999);
    pthread_mutex_lock(&waiter->mutex);
    waiter->waits = true;
    while (waiter->waits && waiter->rc == 0)
        waiter->rc = libc_cond_clockwait(&waiter->cond, &waiter->mutex, waiter->clock, &later);
    pthread_mutex_unlock(&waiter->mutex);
    return NULL;
}

/* Signals it once it waits; the mutex is free only then. */
static void signal_waiter(struct waiter *waiter)
{
    bool waits = false;
    while (!waits) {
        pthread_mutex_lock(&waiter->mutex);
        waits = waiter->waits;
        waiter->waits = false;
        pthread_mutex_unlock(&waiter->mutex);
        sched_yield();
    }
    pthread_cond_signal(&waiter->cond);
}

/* The condition has a clock of its own: in musl at the same place for all of them. */
static void a_condition_is_waited_for_by_either_clock(void **state)
{
    (void)state;
#ifdef __GLIBC__ /* whose conditions keep the clock elsewhere */
    skip();
#endif
    for (size_t i = 0; i < 4; i++) {
        struct waiter waiter = { .mutex = PTHREAD_MUTEX_INITIALIZER, .clock = clocks[i % 2] };
        struct timespec over = seconds_from_now(waiter.clock, -2, 999999999);
        pthread_condattr_t attr;
        pthread_t thread;
        pthread_condattr_init(&attr);
        assert_int_equal(pthread_condattr_setclock(&attr, clocks[i / 2]), 0);
        pthread_cond_init(&waiter.cond, &attr);
        pthread_condattr_destroy(&attr);
        pthread_mutex_lock(&waiter.mutex);
        assert_int_equal(libc_cond_clockwait(&waiter.cond, &waiter.mutex, waiter.clock, &over),
                         ETIMEDOUT);
        pthread_mutex_unlock(&waiter.mutex);
        assert_int_equal(pthread_create(&thread, NULL, wait_for_condition, &waiter), 0);
        signal_waiter(&waiter);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(waiter.rc, 0);
    }
}

/* --- threads -------------------------------------------------------------------------------- */

static void *stack_bytes(void *sum)
{
    pthread_attr_t attr;
    size_t bytes = 0;
    if (pthread_getattr_np(pthread_self(), &attr) == 0)
        pthread_attr_getstacksize(&attr, &bytes);
    pthread_attr_destroy(&attr);
    *(size_t *)sum = bytes;
    return sum;
}

/* Of a thread that is started so: its stack's size, to the MiB. */
static size_t stack_mib(const pthread_attr_t *attr)
{
    pthread_t thread;
    size_t bytes = 0;
    void *result = NULL;
    assert_int_equal(libc_thread_create(&thread, attr, stack_bytes, &bytes), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, &bytes);
    return bytes >> 20;
}

static size_t mib_of(const pthread_attr_t *attr)
{
    size_t bytes = 0;
    assert_int_equal(pthread_attr_getstacksize(attr, &bytes), 0);
    return bytes >> 20;
}

static void threads_have_glibcs_stacks(void **state)
{
    pthread_attr_t attr, other;
    (void)state;
    assert_int_equal(libc_attr_init(&attr), 0);
    assert_int_equal(mib_of(&attr), 8);
    assert_int_equal(pthread_attr_setstacksize(&attr, 3u << 20), 0);
    assert_int_equal(stack_mib(&attr), 3); /* first: glibc gives a small one a larger one's */
    assert_int_equal(stack_mib(NULL), 8);
    assert_int_equal(libc_attr_setaffinity(&attr, sizeof(cpu_set_t), &(cpu_set_t){ 0 }), 0);
    assert_int_equal(libc_setattr_default(&attr), 0);
    assert_int_equal(libc_attr_init(&other), 0);
    assert_int_equal(mib_of(&other), 3);
    assert_int_equal(stack_mib(NULL), 3);
    pthread_attr_destroy(&other);
    pthread_attr_destroy(&attr);
}

static void a_thread_that_cannot_be_started(void **state)
{
    pthread_attr_t attr;
    pthread_t thread;
    size_t bytes = 0;
    (void)state;
    assert_int_equal(libc_attr_init(&attr), 0);
    assert_int_equal(pthread_attr_setstacksize(&attr, (size_t)1 << 47), 0);
    assert_int_equal(libc_thread_create(&thread, &attr, stack_bytes, &bytes), EAGAIN);
    assert_int_equal(bytes, 0);
    pthread_attr_destroy(&attr);
}

static int change_policy(void)
{
    struct sched_param param = { .sched_priority = 99 };
    if (libc_sched_getscheduler(0) != SCHED_OTHER || libc_sched_getparam(0, &param) != 0 ||
        param.sched_priority != 0)
        return 1;
    if (libc_sched_setscheduler(0, SCHED_BATCH, &param) != 0 ||
        libc_sched_getscheduler(0) != SCHED_BATCH || libc_sched_setparam(0, &param) != 0)
        return 2;
    param.sched_priority = 5;
    return libc_sched_setparam(0, &param) == -1 && errno == EINVAL ? 0 : 3;
}

static void the_kernels_policy_is_told_and_set(void **state)
{
    (void)state;
    assert_int_equal(status_of(change_policy), 0);
    assert_int_equal(libc_yield(), 0);
}

static int prepared, in_parent, in_child;

static void prepare(void)
{
    prepared++;
}

static void parent(void)
{
    in_parent++;
}

static void child(void)
{
    in_child++;
}

static int look_in_child(void)
{
    return prepared == 1 && in_parent == 0 && in_child == 1 ? 0 : 1;
}

static void handlers_of_fork_run(void **state)
{
    (void)state;
    assert_int_equal(libc_register_atfork(prepare, parent, child, NULL), 0);
    assert_int_equal(status_of(look_in_child), 0);
    assert_int_equal(prepared, 1);
    assert_int_equal(in_parent, 1);
    assert_int_equal(in_child, 0);
}

/* --- what a thread cleans up ---------------------------------------------------------------- */

static char said[64];

static void say(const char *text)
{
    assert_true(strlen(said) + strlen(text) < sizeof said);
    strcat(said, text);
}

#ifndef __GLIBC__
/* As glibc's pthread_cleanup_push is compiled in C: a place to come back to, then the next one. */
static void *clean_up_twice(void *cancels)
{
    jmp_buf outer, inner, popped;
    if (setjmp(outer) != 0) {
        say("outer ");
        libc_unwind_next(outer);
    }
    libc_register_cancel(outer);
    if (setjmp(inner) != 0) {
        say("inner ");
        libc_unwind_next(inner);
    }
    libc_register_cancel(inner);
    if (setjmp(popped) != 0) {
        say("popped ");
        libc_unwind_next(popped);
    }
    libc_register_cancel(popped);
    libc_unregister_cancel(popped);
    if (cancels == NULL)
        libc_thread_exit(said);
    pthread_cancel(pthread_self());
    pthread_testcancel();
    return NULL;
}
#endif

static void places_to_clean_up_are_come_back_to(void **state)
{
    (void)state;
#ifdef __GLIBC__
    skip();
#else
    static void *const results[] = { said, PTHREAD_CANCELED };
    for (size_t i = 0; i < COUNT(results); i++) {
        pthread_t thread;
        void *result = NULL;
        said[0] = '\0';
        assert_int_equal(libc_thread_create(&thread, NULL, clean_up_twice, i == 0 ? NULL : said),
                         0);
        assert_int_equal(pthread_join(thread, &result), 0);
        assert_string_equal(said, "inner outer ");
        assert_ptr_equal(result, results[i]);
    }
#endif
}

static void destroy(void *object)
{
    say(object);
}

/* The destructor of one that needs another, which exists from then on. */
static void destroy_and_make(void *object)
{
    static char late[] = "late ";
    libc_thread_atexit(destroy, late, NULL);
    say(object);
}

static char objects[][8] = { "first ", "second ", "third " };

static void make_objects(void)
{
    libc_thread_atexit(destroy, objects[0], NULL);
    libc_thread_atexit(destroy_and_make, objects[1], NULL);
    libc_thread_atexit(destroy, objects[2], NULL);
}

static void *have_objects(void *unused)
{
    make_objects();
    return unused;
}

/* As in C++: the newest first, one that another's destructor has made before those older. */
static const char destroyed[] = "third second late first ";

static void the_newest_object_of_a_thread_is_destroyed_first(void **state)
{
    pthread_t thread;
    (void)state;
    said[0] = '\0';
    assert_int_equal(pthread_create(&thread, NULL, have_objects, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_string_equal(said, destroyed);
}

static void report(void)
{
    _exit(strcmp(said, destroyed) == 0 ? 0 : 1);
}

static int exit_with_objects(void)
{
    said[0] = '\0';
    atexit(report); /* runs after the objects' destructors */
    make_objects();
    exit(2);
}

static void those_of_the_main_thread_at_exit(void **state)
{
    (void)state;
    assert_int_equal(status_of(exit_with_objects), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_of_the_main_thread_at_exit), /* before others register the handler */
        cmocka_unit_test(a_static_mutex_is_of_its_kind),
        cmocka_unit_test(an_attribute_knows_the_adaptive_kind),
        cmocka_unit_test(a_time_that_is_over_ends_the_wait),
        cmocka_unit_test(what_is_free_is_taken),
        cmocka_unit_test(a_clock_that_nobody_can_wait_by),
        cmocka_unit_test(a_condition_is_waited_for_by_either_clock),
        cmocka_unit_test(threads_have_glibcs_stacks),
        cmocka_unit_test(a_thread_that_cannot_be_started),
        cmocka_unit_test(the_kernels_policy_is_told_and_set),
        cmocka_unit_test(handlers_of_fork_run),
        cmocka_unit_test(places_to_clean_up_are_come_back_to),
        cmocka_unit_test(the_newest_object_of_a_thread_is_destroyed_first),
    };
    return cmocka_run_group_tests_name("libc_thread", tests, NULL, NULL);
}
