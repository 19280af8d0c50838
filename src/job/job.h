/*
 * job/job.h - what the platform hands out, read in place: a delivery is the body of one answer, a
 * job is a piece of it.
 */
#ifndef JOB_JOB_H
#define JOB_JOB_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/flag.h"
#include "base/log.h"
#include "base/slice.h"
#include "codec/json.h"

/* The bytes that one or several jobs lie in. Ends when the last of its jobs is released. */
struct delivery {
    struct buf body;
    struct arena arena; /* the jobs, and ids that had to be decoded */
    atomic_size_t jobs; /* not yet released, and the taker while it reads */
};

struct job {
    struct delivery *delivery;
    struct job *next;       /* in the list it was taken in, then in the queue */
    struct job *held_next;  /* in the table of all jobs held (app/job_table.h) */
    struct job **held_link; /* what points to this one there */
    slice text;             /* the job object, checked JSON, inside the delivery's body */
    slice input;            /* its input, any JSON value, inside text */
    slice id;               /* decoded; a number's text as it stands */
    slice batch_id;         /* decoded; empty where none */
    struct json_info info;  /* of text; values is 0 where not counted yet */
    bool own_id;            /* its client chose the id: another job may have the same */
    const char *defect;     /* NULL, or why the job cannot run: it is answered with this error */
    struct flag stop;       /* raised when the job is to end early, */
    atomic_int why;         /* an enum job_stop: and why */
    int64_t begun_ms;       /* when a slot took it; 0 before. Under the job table's lock */
};

enum job_stop {
    JOB_GOES_ON,
    JOB_STOPPED,   /* by the platform, or its client left: nobody waits for a result */
    JOB_TIMED_OUT, /* it ran longer than it may: its client is told so */
    JOB_ABANDONED, /* the worker ends now: what is not delivered yet never will be by it */
};

/* An empty delivery with the taker's share in it. ERR_MEMORY. */
int delivery_new(struct delivery **delivery, size_t max_bytes, struct err *err);

/* Gives up the taker's share. The delivery ends once all of its jobs are released too. */
void delivery_release(struct delivery *delivery);

/*
 * Reads the jobs in the delivery's body: one job object, or an array of them. *jobs is a list in
 * the order of the body. Elements that can never be answered (no object, no usable id) are logged
 * as errors and left out; a job without input gets a defect. `local_id`, where not NULL, is the
 * id of a job that has none. ERR_INPUT where the body is not JSON, or neither object nor array,
 * ERR_MEMORY. Blocks only on the log.
 */
int delivery_read(struct delivery *delivery, const char *local_id, struct job **jobs,
                  struct err *err);

/* Ends a job; its slices are invalid after that. From any thread. */
void job_release(struct job *job);

/* Raises the job's stop flag. The first reason stays, but for a time-out. From any thread. */
void job_stop(struct job *job, enum job_stop why);

/* True where nobody waits for the job's result any more: no result is to be posted. */
bool job_is_stopped(const struct job *job);

/* Sleeps until the deadline, or until the job is stopped or abandoned (true). */
bool job_wait_stopped(struct job *job, deadline_ms deadline);

/*
 * Appends the id as the value of an HTTP field: ordinary ids as they are; one that holds a byte
 * which a field must not, percent-encoded. As buf_add.
 */
int job_put_field_id(const struct job *job, struct buf *out, struct err *err);

/* The job's name in the log. */
struct log_tag job_tag(const struct job *job);

#endif
