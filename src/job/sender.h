/*
 * job/sender.h - sends the parts of a stream and the progress updates of a job, on a thread of its
 * own for each slot, while the handler works on.
 *
 * Parts are never dropped: while LIMIT_STREAM_BYTES of them are queued, the handler waits. Queued
 * pieces of one text are joined, so that a slow platform gets fewer and larger parts. Of progress
 * updates LIMIT_PROGRESS_WAITING are queued; then a new one replaces the newest of them. Order is
 * kept, and nothing of a job is sent after sender_finish. What is queued for a job that the
 * platform has stopped is dropped.
 *
 * sender_stream, sender_progress, sender_finish and sender_then are called by one thread at a time,
 * the one that has the job. The first message starts the sender's thread, which lives as long as
 * the sender.
 */
#ifndef JOB_SENDER_H
#define JOB_SENDER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"
#include "job/job.h"
#include "job/source.h"

struct outgoing; /* a queued part or update */

/* What follows the last part: see sender_then. `failure` has code 0 if all parts were delivered. */
typedef void sender_next(void *owner, const struct err *failure);

struct sender {
    struct reply_channel *reply_channel;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool started;           /* the thread is running */
    bool closing;           /* the thread is to end */
    bool sending;           /* a request is under way */
    struct job *job;        /* that the queue belongs to */
    struct outgoing *first; /* the queue, oldest first */
    struct outgoing **end;
    size_t waiting_bytes; /* of queued parts */
    size_t waiting_updates;
    struct err failure;     /* why a part could not be delivered; code 0: none failed */
    sender_next *then;      /* called once the queue is empty; NULL: nothing */
    void *owner;            /* its first argument */
    deadline_ms patience;   /* with then: when the updates that still wait are dropped */
    _Atomic int64_t way_ms; /* how long the delivery of the last part took; 0 before the first */
};

/* reply_channel is not copied; it must outlive the sender. Starts no thread yet. */
void sender_init(struct sender *sender, struct reply_channel *reply_channel);

/* Ends the thread; the queue must be empty. Blocks until the thread has ended. */
void sender_close(struct sender *sender);

/*
 * Queues a copy of a part; blocks while too many bytes are queued. json must be valid JSON.
 * `is_text`: it is a string, and a piece of a text that may be joined with the one before. Returns
 * 0; ERR_MEMORY; ERR_CANCELLED if the job was stopped; or the error of an earlier part that could
 * not be delivered, with which the job has failed.
 */
int sender_stream(struct sender *sender, struct job *job, slice json, bool is_text,
                  struct err *err);

/* Queues a copy of a progress update. Does not wait for the platform. 0 or ERR_MEMORY. */
int sender_progress(struct sender *sender, struct job *job, slice json, struct err *err);

/*
 * Blocks until all parts are delivered, and for at most LIMIT_PROGRESS_LAST_MS for updates, the
 * rest of which is dropped. After that the reply channel is the caller's again, for the result.
 * Returns 0, or the error of the first part that could not be delivered.
 */
int sender_finish(struct sender *sender, struct err *err);

/*
 * sender_finish for a caller that does not wait: `then` is called on the sender's thread where
 * sender_finish would have returned. It may block, and may give the sender to another job. Does not
 * block. ERR_MEMORY where the thread cannot be started; then nothing is queued, nothing is called.
 */
int sender_then(struct sender *sender, sender_next *then, void *owner, struct err *err);

/* True if nothing is queued or under way, so that sender_finish would not block. */
bool sender_is_idle(struct sender *sender);

#endif
