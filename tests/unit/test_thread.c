/* base/thread, base/signals: threads as they are asked for, and signals that one waits for. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/signals.h"
#include "base/thread.h"

static sem_t done;

static struct {
    void *argument;
    size_t stack_bytes;
    int detached;
} seen;

static void *look(void *argument)
{
    pthread_attr_t attr;
    seen.argument = argument;
    if (pthread_getattr_np(pthread_self(), &attr) == 0) {
        pthread_attr_getstacksize(&attr, &seen.stack_bytes);
        pthread_attr_getdetachstate(&attr, &seen.detached);
        pthread_attr_destroy(&attr);
    }
    sem_post(&done);
    return NULL;
}

static void threads_have_their_stack_and_are_never_joined(void **state)
{
    struct err err = { 0 };
    (void)state;
    sem_init(&done, 0, 0);
    assert_int_equal(thread_start(look, &seen, LIMIT_MIB, &err), 0);
    sem_wait(&done);
    assert_ptr_equal(seen.argument, &seen);
    assert_in_range(seen.stack_bytes, LIMIT_MIB, 2 * LIMIT_MIB);
    assert_int_equal(seen.detached, PTHREAD_CREATE_DETACHED);
}

static void a_thread_that_cannot_be_is_an_error(void **state)
{
    struct err err = { 0 };
    (void)state;
    assert_int_equal(thread_start(look, NULL, 1, &err), ERR_MEMORY); /* no stack is so small */
    assert_memory_equal(err.text, "cannot start a thread: ", 23);
}

/* --- signals ----------------------------------------------------------------------------- */

#define FIRST SIGHUP /* the lowest number there is */

static int taken[2];

static void *wait_for_both(void *argument)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, FIRST);
    sigaddset(&signals, SIGUSR1);
    signals_wait_here(&signals);
    sem_post(&done);
    for (int i = 0; i < 2; i++) {
        sigwait(&signals, &taken[i]);
        sem_post(&done);
    }
    return argument;
}

/* This thread blocks none: a signal that it takes reaches the one that waits. */
static void signals_reach_the_thread_that_waits(void **state)
{
    struct sigaction before, after;
    pthread_t waiter;
    (void)state;
    sem_init(&done, 0, 0);
    sigaction(SIGUSR2, NULL, &before);
    assert_int_equal(pthread_create(&waiter, NULL, wait_for_both, NULL), 0);
    sem_wait(&done);
    sigaction(SIGUSR2, NULL, &after);
    assert_ptr_equal(after.sa_handler, before.sa_handler); /* nobody has asked for it */
    errno = 77;
    pthread_kill(pthread_self(), SIGUSR1);
    assert_int_equal(errno, 77);
    while (sem_wait(&done) != 0) {}
    assert_int_equal(taken[0], SIGUSR1);
    pthread_kill(pthread_self(), FIRST);
    while (sem_wait(&done) != 0) {}
    assert_int_equal(taken[1], FIRST);
    pthread_join(waiter, NULL);
    signal(FIRST, SIG_DFL);
    signal(SIGUSR1, SIG_DFL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_have_their_stack_and_are_never_joined),
        cmocka_unit_test(a_thread_that_cannot_be_is_an_error),
        cmocka_unit_test(signals_reach_the_thread_that_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
