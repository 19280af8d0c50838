/*
 * app/job_table.h - all jobs that this worker holds, from the moment they are taken until their
 * result is delivered or given up: queued, running, then sealed, when their slot is free again. The
 * heartbeat reports them, the stop channel searches them, and a shutdown waits for them. Any
 * function may be called by any thread.
 */
#ifndef APP_JOB_TABLE_H
#define APP_JOB_TABLE_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/clock.h"
#include "job/job.h"

/* A slot that waits for its next job. Each has a semaphore, so that only one is woken per job. */
struct job_waiter {
    struct job_waiter *next;
    sem_t served;
    struct job *job;      /* its job; NULL: there will be no more, or it was recalled */
    atomic_bool recalled; /* by job_table_recall; lowered by the slot */
};

#define JOB_TABLE_BUCKETS 1024 /* a power of two: a job for each slot, and a few more */

struct job_table {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* fewer jobs held, or closed: for the taker and the shutdown */
    size_t watchers;        /* threads that wait on changed */
    struct job *held;       /* all of them, by held_next */
    size_t held_count;
    size_t sealed_count; /* of those held */
    uint32_t seed;       /* of the hash of ids, so that nobody can choose ids that collide */
    struct job *by_id[JOB_TABLE_BUCKETS]; /* those held, by same_hash */
    struct job *queue_first;              /* those not running yet, by next, oldest first */
    struct job **queue_end;
    size_t queue_count;
    struct job_waiter *waiters; /* slots in job_table_next, the latest first */
    size_t waiting;             /* how many */
    bool closed;                /* no more jobs are to be taken */
    bool ended;                 /* the taker has ended: no more will be added */
};

void job_table_init(struct job_table *table);

struct job_added {
    size_t accepted;
    size_t duplicates; /* jobs whose id is held already; released, unless its client chose the id */
    size_t unserved;   /* queued jobs for which no slot is waiting */
};

/*
 * Adds a list of jobs, which the table owns from now on. Duplicates are logged in one line, with
 * the id of the first; `repeat` belongs to the caller's thread.
 */
struct job_added job_table_add(struct job_table *table, struct job *jobs,
                               struct log_repeat *repeat);

void job_waiter_init(struct job_waiter *waiter);

/*
 * The next queued job; blocks until there is one. NULL once the queue is empty and no more jobs
 * will come, or with waiter->recalled. The waiter belongs to the calling thread, which passes the
 * same one each time.
 */
struct job *job_table_next(struct job_table *table, struct job_waiter *waiter);

/*
 * Has job_table_next return NULL, now or when it is called next, with waiter->recalled set: the
 * slot is no longer ready for a job. One that has been given to it already stays with it.
 */
void job_table_recall(struct job_table *table, struct job_waiter *waiter);

/* The first queued job that is to end, for a slot that is not ready; NULL: none is. */
struct job *job_table_next_stopped(struct job_table *table);

/* The job's result is sealed: its slot is free. No execution timeout counts any more. */
void job_table_seal(struct job_table *table, struct job *job);

/* Removes a job whose result was delivered or given up, and releases it. */
void job_table_remove(struct job_table *table, struct job *job);

/*
 * Blocks until fewer than `slots` jobs are held that are not sealed and sets *room to how many more
 * may be taken, or to 0 once the deadline has passed. False once the table is closed.
 */
bool job_table_wait_room(struct job_table *table, size_t slots, deadline_ms deadline, size_t *room);

/* The same without waiting: how many more may be taken; 0 once the table is closed. */
size_t job_table_room(struct job_table *table, size_t slots);

/* No more jobs are to be taken. Those held, or about to be added, still run to their end. */
void job_table_close(struct job_table *table);

/* Called by the taker when it ends: no more jobs will be added. */
void job_table_end(struct job_table *table);

/* Blocks until no job is held and none will be added: true. False once the deadline has passed. */
bool job_table_wait_empty(struct job_table *table, deadline_ms deadline);

bool job_table_is_busy(struct job_table *table);

/* How many jobs wait for a slot. */
size_t job_table_queued(struct job_table *table);

/* How many jobs are held. */
size_t job_table_count(struct job_table *table);

/* Stops the jobs with that id (JOB_STOPPED). */
enum job_stopped { JOB_NOT_HELD, JOB_STOPPED_BEFORE, JOB_STOPPED_NOW };
enum job_stopped job_table_stop(struct job_table *table, slice id);

/* Stops all jobs because the worker is ending (JOB_ABANDONED): their results are not retried. */
void job_table_abandon(struct job_table *table);

/* Stops all jobs that began at that time or before (JOB_TIMED_OUT). Returns how many. */
size_t job_table_stop_begun_before(struct job_table *table, int64_t begun_ms);

/*
 * Appends the ids of the jobs held, with commas between, as far as they take at most max_bytes in a
 * URL's query. *first is the place of the first job to be named: where not all fit, it is moved
 * behind the last one that was, so that the next call goes on from there. Returns how many were
 * left out. The buffer's error sticks.
 */
size_t job_table_ids(struct job_table *table, size_t max_bytes, size_t *first, struct buf *out);

#endif
