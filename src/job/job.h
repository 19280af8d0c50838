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
    struct job *next;      /* in the list it was taken in, then in the queue */
    struct job *held_next; /* in the table of all jobs held (app/job_table.h) */
    slice text;            /* the job object, checked JSON, inside the delivery's body */
    slice input;           /* its input, any JSON value, inside text */
    slice id;              /* decoded; a number's text as it stands */
    slice batch_id;        /* decoded; empty where none */
    struct json_info info; /* of text; values is 0 where not counted yet */
    const char *defect;    /* NULL, or why the job cannot run: it is answered with this error */
    struct wake stop_wake; /* signalled with stop */
    struct flag stop;      /* raised when the platform wants the job stopped */
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

/* Tells whoever runs the job that it is to end. From any thread that keeps it from its release. */
void job_stop(struct job *job);

/* Ends a job; its slices are invalid after that. From any thread. */
void job_release(struct job *job);

/* The job's name in the log. */
struct log_tag job_tag(const struct job *job);

#endif
