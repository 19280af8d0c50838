/*
 * source/endpoint_store.h - the jobs of the job API: those that wait, those that run, and for a
 * while those that have ended. Bounded in number and bytes.
 *
 * All functions but store_init are called with the store's lock held, unless they say otherwise,
 * and none logs: the log's listener takes the lock. Nothing here blocks.
 */
#ifndef SOURCE_ENDPOINT_STORE_H
#define SOURCE_ENDPOINT_STORE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/flag.h"
#include "base/random.h"
#include "codec/exposition.h"
#include "job/job.h"
#include "job/result.h"

enum store_state {
    STORE_IN_QUEUE,
    STORE_IN_PROGRESS,
    STORE_COMPLETED,
    STORE_FAILED,
    STORE_CANCELLED,
    STORE_TIMED_OUT,
    STORE_STATES,
};

#define STORE_ID_BYTES (sizeof "sync-" - 1 + RANDOM_UUID_BYTES)

/* A thread that waits for news of one job, or of any. On that thread's stack. */
struct store_watcher {
    struct store_watcher *next;
    const struct wake *wake;
    bool for_end; /* of one job: signalled at its end alone */
};

struct store_job {
    struct store_job *bucket_next;
    struct store_job *older, *newer; /* of all, by their arrival */
    struct store_job *next;          /* in the list of those that wait, or have ended */
    unsigned references;             /* the store's, and one for each thread that uses it */

    char id[STORE_ID_BYTES];
    bool is_sync; /* of /runsync: kept for a shorter time */
    bool is_low;  /* policy.lowPriority: after all others */
    char *webhook;
    int64_t ttl_ms, execution_ms;

    enum store_state state;
    int64_t arrived_unix_ms;
    int64_t arrived_ms, begun_ms, ended_ms; /* monotonic; 0: not yet */
    unsigned retries;

    struct delivery *delivery; /* while it waits or runs */
    struct job *job;           /* inside the delivery */
    struct buf request;        /* its text, for /retry, once it has ended without success */

    struct buf result;   /* the object that the handler's slot has posted */
    slice output, error; /* inside result; ptr NULL where absent. The error is any JSON value */
    struct buf progress; /* the latest update, JSON */
    unsigned updates;    /* how many there were */
    struct buf parts;    /* of its stream, one JSON value after the other */
    size_t *part_ends;
    size_t part_count, part_room;
    size_t streamed; /* parts that /stream has handed out */
    struct buf log;  /* lines */

    size_t bytes; /* accounted for in the store */
    struct store_watcher *watchers;
};

struct store_list {
    struct store_job *first, **end;
};

struct store {
    pthread_mutex_t lock;
    pthread_cond_t timer;            /* a deadline may have come nearer */
    struct store_job *buckets[8192]; /* about as many as jobs: those kept have left the caches */
    struct store_job *newest;
    struct store_list queue, low;        /* waiting jobs, by priority */
    struct store_list ended[2];          /* of /run and of /runsync, each in order of expiry */
    size_t queued, running, ended_count; /* numbers of jobs */
    size_t bytes;                        /* that the jobs take up */
    uint64_t finished[STORE_STATES];     /* jobs that have ended in each state, ever */
    uint64_t retried;
    struct exposition_histogram wait, execution;
    struct store_watcher *watchers; /* of any job */
    deadline_ms next_ms;            /* the earliest deadline of any job, or earlier */
};

void store_init(struct store *store);

/* Takes and gives the lock. */
void store_lock(struct store *store);
void store_unlock(struct store *store);

/*
 * Adds a job, which then belongs to the store along with the reference to its delivery. ERR_LIMIT
 * where too many wait (`*status` 429) or the store is full (503): the job is not added.
 */
int store_add(struct store *store, struct store_job *job, int *status, struct err *err);

/* The job with that id, or NULL. Valid while the lock is held, or a reference is. */
struct store_job *store_find(struct store *store, slice id);

/* Another reference to the job; store_drop gives it back, and may free the job. */
struct store_job *store_hold(struct store_job *job);
void store_drop(struct store *store, struct store_job *job);

/*
 * The next waiting job that came no later than before_ms, now running; one of low priority only
 * with DEADLINE_NEVER. NULL where there is none.
 */
struct store_job *store_begin_next(struct store *store, int64_t before_ms);

/*
 * Ends a job that waits or runs; its slot is told to stop if it has one. Its result is set already,
 * or stays empty.
 */
void store_end(struct store *store, struct store_job *job, enum store_state state);

/* Puts a job that has ended without success back into the queue. ERR_INPUT, _LIMIT, _MEMORY. */
int store_retry(struct store *store, struct store_job *job, struct err *err);

/* Cancels all jobs that wait. Returns how many. */
size_t store_purge(struct store *store);

/* Sets the result, which moves out of *result, and ends the job in the state that it says. */
void store_set_result(struct store *store, struct store_job *job, struct buf *result,
                      bool is_error);

/* ERR_LIMIT, ERR_MEMORY. */
int store_add_part(struct store *store, struct store_job *job, slice json, struct err *err);
void store_set_progress(struct store *store, struct store_job *job, slice json);
void store_add_log(struct store *store, struct store_job *job, slice line);

/* A part, by its number. */
slice store_part(const struct store_job *job, size_t number);

/* Forgets jobs that were kept for long enough, and ends those whose time is over. */
void store_look_at_time(struct store *store);

/* Links and unlinks a watcher, whose wake is then signalled at every change. */
void store_watch(struct store_watcher **list, struct store_watcher *watcher);
void store_unwatch(struct store_watcher **list, struct store_watcher *watcher);

/* Signals all watchers there are. */
void store_wake_all(struct store *store);

static inline bool store_has_ended(const struct store_job *job)
{
    return job->state >= STORE_COMPLETED;
}

/* "IN_QUEUE" and so on. */
const char *store_state_name(enum store_state state);

/* Frees a job that was never added. Without the lock. */
void store_job_free(struct store_job *job);

#endif
