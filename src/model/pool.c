#include "model/pool.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/thread.h"

/* futex(2): the kernel's headers are not part of musl. */
enum { WAIT_PRIVATE = 128 | 0, WAKE_PRIVATE = 128 | 1 };

#define SPINS 4000 /* some 30 microseconds, longer than most gaps between two runs of a pass */
#define STACK_BYTES (256u * 1024u)

struct pool {
    unsigned threads; /* the caller's included */
    _Atomic(unsigned) started;
    /* The run: written by the caller before `run` grows. */
    pool_work *work;
    void *argument;
    size_t count;
    _Atomic(size_t) next;
    _Atomic(uint32_t) run;      /* number of the current run; a futex */
    _Atomic(uint32_t) busy;     /* threads that have not finished it; a futex */
    _Atomic(uint32_t) sleepers; /* threads that wait for the next run in the kernel */
    _Atomic(uint32_t) caller_sleeps;
};

static void futex(_Atomic(uint32_t) *word, int operation, uint32_t value)
{
    syscall(SYS_futex, word, operation, value, NULL, NULL, 0);
}

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

/* Waits until *word is no longer `value`: first spinning, then asleep. */
static void wait_change(_Atomic(uint32_t) *word, uint32_t value, _Atomic(uint32_t) *sleepers)
{
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(word, memory_order_acquire) != value)
            return;
        relax();
    }
    atomic_fetch_add(sleepers, 1);
    while (atomic_load(word) == value)
        futex(word, WAIT_PRIVATE, value);
    atomic_fetch_sub(sleepers, 1);
}

static void take_part(struct pool *pool, unsigned thread)
{
    for (;;) {
        size_t index = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
        if (index >= pool->count)
            return;
        pool->work(pool->argument, index, thread);
    }
}

static void *thread_main(void *argument)
{
    struct pool *pool = argument;
    unsigned self = atomic_fetch_add(&pool->started, 1);
    for (uint32_t run = 0;; run++) {
        wait_change(&pool->run, run, &pool->sleepers);
        take_part(pool, self);
        if (atomic_fetch_sub(&pool->busy, 1) == 1 && atomic_load(&pool->caller_sleeps) > 0)
            futex(&pool->busy, WAKE_PRIVATE, 1);
    }
    return NULL;
}

int pool_new(struct pool **out, unsigned threads, struct err *err)
{
    struct pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL)
        return err_set(err, ERR_MEMORY, "out of memory for a pool of threads");
    pool->threads = 1;
    atomic_store(&pool->started, 1);
    for (; pool->threads < threads; pool->threads++) {
        int rc = thread_start(thread_main, pool, STACK_BYTES, err);
        if (rc != 0) {
            if (pool->threads == 1)
                free(pool); /* else it stays: threads that have started look at it */
            return rc;
        }
    }
    *out = pool;
    return 0;
}

unsigned pool_size(const struct pool *pool)
{
    return pool->threads;
}

static void wait_for_others(struct pool *pool)
{
    uint32_t left;
    while ((left = atomic_load_explicit(&pool->busy, memory_order_acquire)) != 0)
        wait_change(&pool->busy, left, &pool->caller_sleeps);
}

void pool_run(struct pool *pool, pool_work *work, void *argument, size_t count)
{
    if (pool->threads == 1 || count <= 1) {
        for (size_t i = 0; i < count; i++)
            work(argument, i, 0);
        return;
    }
    pool->work = work;
    pool->argument = argument;
    pool->count = count;
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    atomic_store_explicit(&pool->busy, pool->threads - 1, memory_order_relaxed);
    atomic_fetch_add(&pool->run, 1);
    if (atomic_load(&pool->sleepers) > 0)
        futex(&pool->run, WAKE_PRIVATE, INT32_MAX);
    take_part(pool, 0);
    wait_for_others(pool);
}

/* --- how many --------------------------------------------------------------------------------- */

static bool read_text(const char *root, const char *name, char *text, size_t size)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/sys/fs/cgroup/%s", root, name) >= (int)sizeof path)
        return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    if (got <= 0)
        return false;
    text[got] = '\0';
    return true;
}

/* Processors' worth of time by a quota and its period in microseconds; 0: no limit. */
static unsigned processors_of(const char *quota, const char *period)
{
    long long time_us = strtoll(quota, NULL, 10), each_us = strtoll(period, NULL, 10);
    if (time_us <= 0 || each_us <= 0 || time_us / each_us >= LIMIT_POOL_THREADS)
        return 0;
    return (unsigned)((time_us + each_us - 1) / each_us);
}

/* In a container, its own group is the root of what it sees. */
unsigned pool_quota(const char *root)
{
    char text[64], period[64];
    if (read_text(root, "cpu.max", text, sizeof text)) {
        const char *space = strchr(text, ' ');
        return space == NULL ? 0 : processors_of(text, space + 1);
    }
    if (read_text(root, "cpu/cpu.cfs_quota_us", text, sizeof text) &&
        read_text(root, "cpu/cpu.cfs_period_us", period, sizeof period))
        return processors_of(text, period);
    return 0;
}

unsigned pool_threads(const char *root)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    int allowed = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    unsigned count = allowed < 1 ? 1 : (unsigned)allowed, limit = pool_quota(root);
    if (limit > 0 && limit < count)
        count = limit;
    return count > LIMIT_POOL_THREADS ? LIMIT_POOL_THREADS : count;
}
