/*
 * app/outbox.h - delivers results, and what is left of a job's stream, beside the next job.
 *
 * Everything about one job goes out in order, through one parcel: the job's memory, its sealed
 * result, a connection and a thread of its own. A slot runs a job in a parcel and hands it over
 * with the result sealed; the slot is free again at once, while the job counts as in progress until
 * its result is settled (delivered, kept in --result-dir, or given up). At most LIMIT_UNDELIVERED
 * jobs of LIMIT_UNDELIVERED_BYTES together are stored like that; a slot that finds the store full
 * waits until its own result is settled or there is room. Parcels are used again, the latest first,
 * so that an idle worker has few connections.
 *
 * Sources that deliver at once (struct source_ops) need no outbox: the slot's thread posts.
 */
#ifndef APP_OUTBOX_H
#define APP_OUTBOX_H

#include <pthread.h>
#include <stddef.h>

#include "app/job_table.h"
#include "base/err.h"
#include "config/config.h"
#include "job/rp_job.h"
#include "job/source.h"

struct outbox;

struct parcel {
    struct outbox *outbox;
    struct parcel *next; /* in the list of those not in use */
    struct reply_channel reply_channel;
    struct rp_job job;    /* its memory, and the sender of its parts */
    struct result result; /* sealed; its pieces point into the job's memory */
    struct job *task;     /* the job that is delivered */
    size_t bytes;         /* counted in the outbox; 0: it is not stored there */
    bool settled;         /* its job is over; under the outbox's lock, like bytes */
};

/* Not copied; must live until the process exits. */
struct outbox {
    const struct config *config;
    struct source *source;
    struct job_table *table;
    void *owner;
    void (*undelivered)(void *owner); /* a result could not be delivered; any thread */

    pthread_mutex_t lock;
    pthread_cond_t returned; /* a parcel is not in use any more */
    pthread_cond_t room;     /* a parcel is settled */
    struct parcel *unused;   /* the latest first */
    size_t parcels;          /* in all */
    size_t slots;            /* as many of them were added for slots */
    size_t stored;           /* jobs whose slot is free while they are delivered */
    size_t stored_bytes;
};

/* Initializes the lock and the counters; the other members are the caller's. */
void outbox_init(struct outbox *outbox);

/* Adds a parcel, one for each slot at least, so that outbox_take ends. ERR_MEMORY. */
int outbox_grow(struct outbox *outbox, struct err *err);

/*
 * A parcel for the next job. Where more are in use than there are slots and LIMIT_PARCELS_SPARE, it
 * blocks for LIMIT_PARCEL_MS before it makes another one, so that a burst of small jobs does not
 * leave a thread for each; where there is no memory for another one, until one is returned.
 */
struct parcel *outbox_take(struct outbox *outbox);

/* Gives back a parcel whose job was not run, or has ended without anything to deliver. */
void outbox_give_back(struct parcel *parcel);

/*
 * Delivers the result in the parcel, which then belongs to the outbox, as does the job: it is
 * removed from the table once it is settled. Nothing is posted for a job that was stopped. Blocks
 * while the store is full, and where the source delivers at once or no thread can be started, until
 * the job is settled.
 */
void outbox_send(struct parcel *parcel, struct job *job);

/*
 * True if a result of that many bytes may be stored beside those that are: always where there are
 * none. Pure.
 */
bool outbox_has_room(size_t stored, size_t stored_bytes, size_t bytes);

#endif
