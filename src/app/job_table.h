/*
 * app/job_table.h - all jobs this worker holds, from the moment they are taken until their result
 * is settled: first queued, then running. What the heartbeat reports, what the stop channel
 * searches, and what a shutdown waits for. All functions may be called from any thread.
 */
#ifndef APP_JOB_TABLE_H
#define APP_JOB_TABLE_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/clock.h"
#include "job/job.h"

/* A slot's place to wait for its next job, each with a semaphore: no slot is woken for nothing. */
struct job_waiter {
    struct job_waiter *next;
    sem_t served;
    struct job *job; /* what it got; NULL: there will be no more */
};

struct job_table {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* fewer jobs held, or closed: for the taker and the shutdown */
    size_t watchers;        /* threads that wait for that */
    struct job *held;       /* all of them, by held_next */
    size_t held_count;
    struct job *queue_first; /* those nobody runs yet, by next, oldest first */
    struct job **queue_end;
    size_t queue_count;
    struct job_waiter *waiters; /* slots in job_table_next, the last to come first */
    size_t waiting;             /* how many */
    bool closed;                /* no more jobs are to be taken */
    bool ended;                 /* and none will come: the taker has gone */
};

void job_table_init(struct job_table *table);

/*
 * Takes over a list of jobs. One whose id is already here is released: it runs once,
 * unless its id is its client's own choice. Returns how
 * many jobs are queued for which no slot waited.
 */
size_t job_table_add(struct job_table *table, struct job *jobs);

void job_waiter_init(struct job_waiter *waiter);

/*
 * The next queued job; blocks until there is one. NULL once none is left and none will come. The
 * waiter is one thread's own, linked until this returns, and used again for the next job.
 */
struct job *job_table_next(struct job_table *table, struct job_waiter *waiter);

/* Removes a job whose result is settled, and releases it. */
void job_table_settle(struct job_table *table, struct job *job);

/*
 * Blocks until fewer than `slots` jobs are held, and sets *room to how many more may be taken; to 0
 * where the deadline has passed. False once the table is closed.
 */
bool job_table_wait_room(struct job_table *table, size_t slots, deadline_ms deadline, size_t *room);

/* No more jobs are to be taken; those held, or on their way here, are run to their end. */
void job_table_close(struct job_table *table);

/* The taker's last word: it will add no more jobs. */
void job_table_end(struct job_table *table);

/* Blocks until no job is held and none will come, or the deadline has passed. True where so. */
bool job_table_wait_empty(struct job_table *table, deadline_ms deadline);

bool job_table_is_busy(struct job_table *table);

/* Raises the stop flag of the job with that id. False where there is none. */
bool job_table_stop(struct job_table *table, slice id);

/* Tells all jobs that the worker ends now: nothing more is tried for them. */
void job_table_abandon(struct job_table *table);

/* Tells all jobs that began to run at that time or before that they have run too long. How many. */
size_t job_table_stop_begun_before(struct job_table *table, int64_t begun_ms);

/* Appends the ids of all jobs held, with commas between. Errors as buf_add. */
int job_table_ids(struct job_table *table, struct buf *out, struct err *err);

#endif
