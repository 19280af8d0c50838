/* Threads and locks with glibc's contracts: mutex kinds, clocks, stack sizes, destructors. */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "loader/libc_private.h"
#include "loader/thread_storage.h"

/* Of a thread whose creator sets no size: glibc's 8 MiB, unless a library has set another. */
static _Atomic size_t default_stack_bytes = 8u << 20;

/* --- mutexes: the kind of a static initializer ---------------------------------------------- */

/* The offset of the kind in ints. musl does not use glibc's. */
enum { MUSL_KIND = 0, GLIBC_KIND = 4 };
enum {
    GLIBC_RECURSIVE = 1,
    GLIBC_ERRORCHECK = 2
}; /* the same in musl; 3, adaptive, becomes normal */

/*
 * glibc's static initializers, as PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP, store the kind where musl
 * does not look: copies it. Threads that lock for the first time at once write the same value.
 */
static pthread_mutex_t *copy_kind(pthread_mutex_t *mutex)
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
    return pthread_mutex_lock(copy_kind(mutex));
}

int libc_mutex_trylock(pthread_mutex_t *mutex)
{
    return pthread_mutex_trylock(copy_kind(mutex));
}

int libc_mutex_timedlock(pthread_mutex_t *mutex, const struct timespec *until)
{
    return pthread_mutex_timedlock(copy_kind(mutex), until);
}

int libc_mutexattr_settype(pthread_mutexattr_t *attr, int type)
{
    enum { GLIBC_ADAPTIVE = 3 };
    return pthread_mutexattr_settype(attr, type == GLIBC_ADAPTIVE ? 0 : type);
}

/* --- waiting by a clock that musl's functions do not use ------------------------------------ */

/* A time of one clock in terms of another. Ignores later jumps of either clock. */
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

static bool is_known_clock(clockid_t clock)
{
    return clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC;
}

int libc_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock, const struct timespec *until)
{
    if (!is_known_clock(clock))
        return EINVAL;
    struct timespec real = convert(until, clock, CLOCK_REALTIME);
    return pthread_mutex_timedlock(copy_kind(mutex), &real);
}

int libc_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *mutex, clockid_t clock,
                        const struct timespec *until)
{
    enum { MUSL_COND_CLOCK = 4 }; /* the offset in ints of the condition's clock */
    if (!is_known_clock(clock))
        return EINVAL;
    clockid_t cond_clock = ((const int *)(const void *)cond)[MUSL_COND_CLOCK];
    struct timespec when = convert(until, clock, cond_clock);
    return pthread_cond_timedwait(cond, mutex, &when);
}

int libc_rwlock_clockrdlock(pthread_rwlock_t *lock, clockid_t clock, const struct timespec *until)
{
    if (!is_known_clock(clock))
        return EINVAL;
    struct timespec real = convert(until, clock, CLOCK_REALTIME);
    return pthread_rwlock_timedrdlock(lock, &real);
}

int libc_rwlock_clockwrlock(pthread_rwlock_t *lock, clockid_t clock, const struct timespec *until)
{
    if (!is_known_clock(clock))
        return EINVAL;
    struct timespec real = convert(until, clock, CLOCK_REALTIME);
    return pthread_rwlock_timedwrlock(lock, &real);
}

int libc_sem_clockwait(sem_t *sem, clockid_t clock, const struct timespec *until)
{
    if (!is_known_clock(clock)) {
        errno = EINVAL;
        return -1;
    }
    struct timespec real = convert(until, clock, CLOCK_REALTIME);
    return sem_timedwait(sem, &real);
}

/* --- threads -------------------------------------------------------------------------------- */

int libc_attr_init(pthread_attr_t *attr)
{
    int rc = pthread_attr_init(attr);
    return rc == 0 ? pthread_attr_setstacksize(attr, default_stack_bytes) : rc;
}

/* For the threads of libraries. musl's function would change those of this program. */
int libc_setattr_default(const pthread_attr_t *attr)
{
    size_t bytes;
    int rc = pthread_attr_getstacksize(attr, &bytes);
    if (rc == 0)
        default_stack_bytes = bytes;
    return rc;
}

/* Affinity is a hint: ignored, the thread starts with that of its creator. */
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

static void *run_entered(void *argument)
{
    struct start start = *(struct start *)argument;
    free(argument);
    thread_storage_enter();
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

/* musl's functions of these names only answer ENOSYS. */
int libc_sched_getparam(pid_t process, struct sched_param *param)
{
    return (int)syscall(SYS_sched_getparam, process, param);
}

int libc_sched_setparam(pid_t process, const struct sched_param *param)
{
    return (int)syscall(SYS_sched_setparam, process, param);
}

int libc_sched_getscheduler(pid_t process)
{
    return (int)syscall(SYS_sched_getscheduler, process);
}

int libc_sched_setscheduler(pid_t process, int policy, const struct sched_param *param)
{
    return (int)syscall(SYS_sched_setscheduler, process, policy, param);
}

/* Libraries are never unloaded, so it does not matter whose handlers these are. */
int libc_register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void),
                         void *library)
{
    (void)library;
    return pthread_atfork(prepare, parent, child);
}

/* --- what a thread cleans up when it is cancelled or exits ----------------------------------- */

#ifndef __GLIBC__ /* for which the tests are built, and where the table only has names */
/*
 * In C, glibc's pthread_cleanup_push jumps: it keeps its place in a buffer, and the thread's end
 * comes back to each place, the newest first; the caller then cleans up and asks for the next one.
 * musl keeps a list of functions instead, so that each place gets one that jumps to it. glibc's
 * buffer has the place, whose head is as large as musl's, and four words for the C library.
 */
struct unwind_buf {
    long place[sizeof(((struct __jmp_buf_tag *)0)->__jb) / sizeof(long)];
    long saves_mask; /* 0 */
    struct __ptcb entry;
    void *unused;
};

static _Thread_local void *exit_result = PTHREAD_CANCELED;

static void jump_back(void *buf)
{
    longjmp(buf, 1);
}

void libc_register_cancel(void *buf)
{
    struct unwind_buf *own = buf;
    _pthread_cleanup_push(&own->entry, jump_back, buf);
}

void libc_unregister_cancel(void *buf)
{
    struct unwind_buf *own = buf;
    _pthread_cleanup_pop(&own->entry, 0);
}

void libc_thread_exit(void *result)
{
    exit_result = result;
    pthread_exit(result);
}

void libc_unwind_next(void *buf)
{
    (void)buf; /* musl has taken it off its list */
    pthread_exit(exit_result);
}
#endif

/* --- destructors of a thread's C++ objects -------------------------------------------------- */

struct destructor {
    struct destructor *next;
    void (*destroy)(void *);
    void *object;
};

static pthread_key_t destructor_key;

/*
 * Each is off the list before it runs, so that what it registers itself runs next, as in glibc.
 * first is the key's value, which a thread's end has taken from it.
 */
static void destroy_all(void *first)
{
    struct destructor *each = first;
    while (each != NULL) {
        pthread_setspecific(destructor_key, each->next);
        each->destroy(each->object);
        free(each);
        each = pthread_getspecific(destructor_key);
    }
}

/* exit(3) does not run the destructors of keys for the main thread. */
static void destroy_at_exit(void)
{
    destroy_all(pthread_getspecific(destructor_key));
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
