/*
 * job/sender.h - what a handler says along the way, on its way to the platform: parts of a stream
 * and progress updates, sent by a thread of the slot's own while the handler goes on.
 *
 * Parts are never dropped: when LIMIT_STREAM_BYTES of them wait, the handler waits too. Pieces of a
 * text that wait are joined, so that a slow platform gets fewer and larger parts, not a queue that
 * grows. Of progress
 * updates that wait, LIMIT_PROGRESS_WAITING are kept and the newest replaces the last one. Order is
 * kept, and nothing of a job is sent after sender_finish. What waits of a job that the platform has
 * stopped is dropped.
 *
 * sender_stream, sender_progress and sender_finish are called by the slot's thread alone. The
 * thread that sends is started by the first of them and lives as long as the slot.
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

struct message; /* a part or an update that waits */

struct sender {
    struct outlet *outlet;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool started;          /* the thread is there */
    bool closing;          /* the thread is to end */
    bool sending;          /* a request is under way */
    struct job *job;       /* of what waits */
    struct message *first; /* oldest first */
    struct message **end;
    size_t waiting_bytes; /* of stream parts */
    size_t waiting_updates;
    struct err failure;     /* a part could not be delivered; code 0: none */
    _Atomic int64_t way_ms; /* how long the last part took until it was delivered; 0 before */
};

void sender_init(struct sender *sender, struct outlet *outlet);

/* Ends the thread. Nothing may wait. Blocks until it has gone. */
void sender_close(struct sender *sender);

/*
 * Queues a copy of a stream part; blocks while too many bytes wait. json must be checked; `is_text`:
 * it is a string, one piece of a text that may be cut anywhere between pieces. Returns 0; ERR_MEMORY; ERR_CANCELLED where the job is stopped; or what an earlier part met that could not
 * be delivered: the job has failed then.
 */
int sender_stream(struct sender *sender, struct job *job, slice json, bool is_text,
                  struct err *err);

/* Queues a copy of an update; never blocks for long. 0 or ERR_MEMORY. */
int sender_progress(struct sender *sender, struct job *job, slice json, struct err *err);

/*
 * Waits until all parts are delivered, and updates for at most LIMIT_PROGRESS_LAST_MS; drops what
 * is left of those. The outlet is the caller's again after that. Returns 0, or the trouble of the
 * first part that could not be delivered. Blocks.
 */
int sender_finish(struct sender *sender, struct err *err);

#endif
