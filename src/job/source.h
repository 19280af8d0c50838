/*
 * job/source.h - the interface of where jobs come from and results go to. Every way to run the
 * worker is the same loop over another source: the platform, a local test, or requests to a port of
 * the worker's own. Each source's constructor is in that source's header (source/).
 */
#ifndef JOB_SOURCE_H
#define JOB_SOURCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/slice.h"
#include "job/job.h"
#include "job/result.h"

struct source;

/* A way back to the source: the parts, progress and result of one job at a time. */
struct reply_channel {
    struct source *source;
    void *state; /* of the source */
};

/* The outcome of a take. */
struct taken {
    struct job *jobs; /* a list, owned by the caller; NULL if none came */
    bool ended;       /* there will be no more */
};

struct source_ops {
    /* post does not wait for a peer, so that a slot may call it between two jobs. */
    bool delivers_at_once;

    /*
     * Asks for up to `slots` jobs. Blocks until some have come, or none came this time, or a
     * failure was logged and its pause is over: the caller just calls again. `busy` tells the
     * source that a job is running. Called by one thread, the taker. Returns early once the
     * source's wake is signalled, but never drops a job that the platform has assigned.
     */
    void (*take)(struct source *source, size_t slots, bool busy, struct taken *taken);

    /*
     * Instead of take, which is NULL then, for a source that has its jobs in memory: up to `slots`
     * of those that wait, as a list; NULL where none does. Does not block; one call at a time.
     */
    struct job *(*take_now)(struct source *source, size_t slots);

    /*
     * With take_now: sets a function that the source calls, on any thread and without a lock, when
     * a job has come. From now on jobs are taken. Called once.
     */
    void (*on_arrival)(struct source *source, void (*arrived)(void *owner), void *owner);

    /*
     * May be NULL. Asks once more, for one job, after all other takes: for at most
     * LIMIT_LAST_TAKE_MS, which the source's wake does not cut short. No failure is an error.
     * Called by the taker.
     */
    void (*take_last)(struct source *source, struct taken *taken);

    /*
     * May be NULL: a reply channel has no state. Sets that of a new one, which nobody closes: it
     * lives as long as the process. Any thread. ERR_MEMORY.
     */
    int (*open)(struct source *source, struct reply_channel *reply_channel, struct err *err);

    /*
     * Delivers a result. Blocks, possibly for minutes, until it is delivered (0) or certain that it
     * cannot be: the error, which the caller logs; ERR_CANCELLED if the job was stopped. NULL where
     * no result goes this way.
     */
    int (*post)(struct reply_channel *reply_channel, struct job *job, const struct result *result,
                struct err *err);

    /*
     * Delivers one part of a stream, blocking and retrying as post does. json must be valid JSON,
     * as checked by json_check. Errors as post.
     */
    int (*stream)(struct reply_channel *reply_channel, struct job *job, slice json,
                  struct err *err);

    /*
     * Sends one progress update: a single try, which blocks for at most LIMIT_PROGRESS_MS. json
     * must be valid JSON. 0, or an error that the caller logs.
     */
    int (*progress)(struct reply_channel *reply_channel, const struct job *job, slice json,
                    struct err *err);

    /*
     * May be NULL. Called once no more jobs are to be taken: rejects those that wait, and blocks
     * until every result, posted or still to be posted, has reached its client.
     */
    void (*drain)(struct source *source);

    /*
     * May be NULL. Appends the numbers of the source's jobs as Prometheus text, where it knows more
     * of them than the slots do. Any thread.
     */
    void (*put_metrics)(struct source *source, struct buf *out);

    /* May be NULL. How many jobs wait in the source and were not taken yet. Any thread. */
    size_t (*count_queued)(struct source *source);
};

struct source {
    const struct source_ops *ops;
    struct flag *asked; /* the owner's; take raises it once its request was sent; NULL for none */
    int exit_status;    /* of the worker, once the source has ended */
    atomic_bool
        answering; /* take is reading a response, which may hold jobs; reset by the caller */
};

/* A new reply channel of the source. Errors as ops->open. */
static inline int source_open_channel(struct source *source, struct reply_channel *reply_channel,
                                      struct err *err)
{
    *reply_channel = (struct reply_channel){ .source = source };
    return source->ops->open == NULL ? 0 : source->ops->open(source, reply_channel, err);
}

#endif
