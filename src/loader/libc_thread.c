#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/libc_own.h"
#include "gpu/tls.h"

#define GLIBC_STACK_BYTES (8u << 20) /* of a thread whose creator asks for no size */

/* --- mutexes: the kind of a static initializer ------------------------------------------------- */

/* Where the kind lies, in ints: glibc's place is one that musl leaves alone. */
enum { MUSL_KIND = 0, GLIBC_KIND = 4 };
enum { GLIBC_RECURSIVE = 1, GLIBC_ERRORCHECK = 2 }; /* musl's numbers too; 3, adaptive, is normal */

/*
 * PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP and its like put the kind where musl does not look. Two
 * threads that lock for the first time at once both write the same.
 */
static pthread_mutex_t *adopt(pthread_mutex_t *mutex)
{
    int *words = (int *)(void *)mutex;
    int kind = __atomic_load_n(&words[GLIBC_KIND], __ATOMIC_RELAXED);
    if ((kind == GLIBC_RECURSIVE || kind == GLIBC_ERRORCHECK) &&
        __atomic_load_n(&words[MUSL_KIND], __ATOMIC_RELAXED) == 0)
        __atomic_store_n(&words[MUSL_KIND], kind, __ATOMIC_RELAXED);
    return mutex;
}

int libc_mutex_lock(pthread_mutex_t *mutex)
{
    return pthread_mutex_lock(adopt(mutex));
}

int libc_mutex_trylock(pthread_mutex_t *mutex)
{
    return pthread_mutex_trylock(adopt(mutex));
}

int libc_mutex_timedlock(pthread_mutex_t *mutex, const struct timespec *until)
{
    return pthread_mutex_timedlock(adopt(mutex), until);
}

int libc_mutexattr_settype(pthread_mutexattr_t *attr, int type)
{
    enum { GLIBC_ADAPTIVE = 3 };
    return pthread_mutexattr_settype(attr, type == GLIBC_ADAPTIVE ? 0 : type);
}

/* --- waiting by another clock than musl's functions use ------------------------------------------ */

/* The same moment by the other clock. A jump of one of them meanwhile is not noticed. */
static struct timespec convert(const struct timespec *until, clockid_t from, clockid_t to)
{
    struct timespec from_now, to_now, result;
    if (from == to)
        return *until;
    clock_gettime(from, &from_now);
    clock_gettime(to, &to_now);
    result.tv_sec = to_now.tv_sec + (until->tv_sec - from_now.tv_sec);
    result.tv_nsec = to_now.tv_nsec + (until->tv_nsec - from_now.tv_nsec);
    while (result.tv_nsec < 0) {
        result.tv_nsec += 1000000000;
        result.tv_sec--;
    }
    while (result.tv_nsec >= 1000000000) {
        result.tv_nsec -= 1000000000;
        result.tv_sec++;
    }
    return result;
}

static bool is_known(clockid_t clock)
{
    return clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC;
}

int libc_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock, const struct timespec *until)
{
    if (!is_known(clock))
        return EINVAL;
    struct timespec real = convert(until, clock, CLOCK_REALTIME);
    return pthread_mutex_timedlock(adopt(mutex), &real);
}

int libc_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *mutex, clockid_t clock,
                        const struct timespec *until)
{
    enum { MUSL_COND_CLOCK = 4 }; /* in ints: the clock that the condition waits by */
    if (!is_known(clock))
        return EINVAL;
    clockid_t its = ((const int *)(const void *)cond)[MUSL_COND_CLOCK];
    struct timespec when = convert(until, clock, its);
    return pthread_cond_timedwait(cond, mutex, &when);
}

int libc_rwlock_clockrdlock(pthread_rwlock_t *lock, clockid_t clock, const struct timespec *until)
{
    if (!is_known(clock))
        return EINVAL;
    struct timespec real = convert(until, clock, CLOCK_REALTIME);
    return pthread_rwlock_timedrdlock(lock, &real);
}

int libc_rwlock_clockwrlock(pthread_rwlock_t *lock, clockid_t clock, const struct timespec *until)
{
    if (!is_known(clock))
        return EINVAL;
    struct timespec real = convert(until, clock, CLOCK_REALTIME);
    return pthread_rwlock_timedwrlock(lock, &real);
}

int libc_sem_clockwait(sem_t *sem, clockid_t clock, const struct timespec *until)
{
    if (!is_known(clock)) {
        errno = EINVAL;
        return -1;
    }
    struct timespec real = convert(until, clock, CLOCK_REALTIME);
    return sem_timedwait(sem, &real);
}

/* --- threads -------------------------------------------------------------------------------------- */

int libc_attr_init(pthread_attr_t *attr)
{
    int rc = pthread_attr_init(attr);
    return rc == 0 ? pthread_attr_setstacksize(attr, GLIBC_STACK_BYTES) : rc;
}

/* A hint on where to start: the thread starts where its creator runs instead. */
int libc_attr_setaffinity(pthread_attr_t *attr, size_t size, const cpu_set_t *set)
{
    (void)attr;
    (void)size;
    (void)set;
    return 0;
}

struct start {
    void *(*run)(void *);
    void *argument;
};

static void *run_entered(void *start_of_it)
{
    struct start start = *(struct start *)start_of_it;
    free(start_of_it);
    tls_enter();
    return start.run(start.argument);
}

int libc_thread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                       void *argument)
{
    struct start *start = malloc(sizeof *start);
    pthread_attr_t usual;
    if (start == NULL)
        return EAGAIN;
    *start = (struct start){ run, argument };
    if (attr == NULL)
        libc_attr_init(&usual);
    int rc = pthread_create(thread, attr == NULL ? &usual : attr, run_entered, start);
    if (attr == NULL)
        pthread_attr_destroy(&usual);
    if (rc != 0)
        free(start);
    return rc;
}

int libc_yield(void)
{
    return sched_yield();
}

/* Libraries are never unloaded, so whose handlers these are does not matter. */
int libc_register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void),
                         void *library)
{
    (void)library;
    return pthread_atfork(prepare, parent, child);
}

/* --- destructors of a thread's C++ objects ---------------------------------------------------------- */

struct destructor {
    struct destructor *next;
    void (*destroy)(void *);
    void *object;
};

static pthread_key_t destructor_key;

static void destroy_all(void *first)
{
    for (struct destructor *next, *each = first; each != NULL; each = next) {
        next = each->next;
        each->destroy(each->object);
        free(each);
    }
}

/* exit(3) does not end the main thread in the way that runs a key's destructors. */
static void destroy_at_exit(void)
{
    void *first = pthread_getspecific(destructor_key);
    pthread_setspecific(destructor_key, NULL);
    destroy_all(first);
}

static void make_destructor_key(void)
{
    if (pthread_key_create(&destructor_key, destroy_all) != 0 || atexit(destroy_at_exit) != 0)
        abort();
}

int libc_thread_atexit(void (*destroy)(void *), void *object, void *library)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct destructor *fresh = malloc(sizeof *fresh);
    (void)library;
    pthread_once(&once, make_destructor_key);
    if (fresh == NULL)
        return -1;
    *fresh = (struct destructor){ pthread_getspecific(destructor_key), destroy, object };
    return pthread_setspecific(destructor_key, fresh);
}
