/*
 * model/pool.h - threads that share a computation and sleep in between.
 *
 * A pool is used by one thread at a time, which works too. Its threads spin for some microseconds
 * between two runs, as a pass through a network is a chain of runs, then they sleep. They end with
 * the process.
 */
#ifndef MODEL_POOL_H
#define MODEL_POOL_H

#include <stddef.h>

#include "base/err.h"

struct pool;

/*
 * How many threads are worth having: the processors that the calling thread may use (its affinity),
 * but no more than the CPU time its control group is given (cgroup v2's cpu.max, v1's
 * cpu.cfs_quota_us), rounded up. 1 to LIMIT_POOL_THREADS. Reads files of the kernel.
 * root: "" or, in tests, a folder with sys/fs/cgroup in it.
 */
unsigned pool_threads(const char *root);

/* That CPU time, in processors; 0 if there is no limit, or one of more than LIMIT_POOL_THREADS. */
unsigned pool_quota(const char *root);

/* A pool of so many threads, the caller's included: 1 to LIMIT_POOL_THREADS. ERR_MEMORY. */
int pool_new(struct pool **pool, unsigned threads, struct err *err);

/* The number of threads, the caller's included. */
unsigned pool_size(const struct pool *pool);

/*
 * One piece of work: number `index` of a run, on thread `thread` (0 to pool_size - 1, no two at the
 * same time with the same).
 */
typedef void pool_work(void *argument, size_t index, unsigned thread);

/*
 * Calls work(argument, index, thread) for every index from 0 to count - 1, in any order. Blocks
 * until all calls have returned; what they wrote is visible then.
 */
void pool_run(struct pool *pool, pool_work *work, void *argument, size_t count);

#endif
