/*
 * job/job.h - jobs, read in place: a delivery is the body of one response of the source, and a job
 * is a section of it.
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
#include "json/json.h"

#define JOB_LOCAL_ID "local_test" /* the id of a local job that names none; the SDK's */

/*
 * The bytes that hold one or several jobs. Freed when the last of its jobs is released; the body
 * once none of them needs its text.
 */
struct delivery {
    struct buf body;
    struct arena arena;    /* the jobs, and decoded ids */
    atomic_size_t jobs;    /* references: one per job not released, and the taker's */
    atomic_size_t readers; /* of those the ones that still need the body */
};

struct job {
    struct delivery *delivery;
    struct job *next;       /* in the list of jobs taken, then in the queue */
    struct job *same_hash;  /* in the table's index of ids */
    struct job *held_next;  /* in the table of all jobs held (app/job_table.h) */
    struct job **held_link; /* the pointer to this job in that table */
    slice text;             /* the job object, checked JSON, inside the delivery's body */
    slice input;            /* its input, any JSON value, inside text */
    slice id;               /* decoded; a number's text as it stands */
    slice batch_id;         /* decoded; empty if it has none */
    slice s3_config;        /* its "s3Config", any JSON value, inside text; ptr NULL: none */
    struct json_info info;  /* of text; values is 0 until they are counted */
    bool lacks_id;          /* text has no id: the one here is the worker's own */
    bool client_chose_id;   /* so another job may have the same id */
    bool wants_no_list;     /* a stream's parts are all that is wanted, not the list of them, too */
    bool names_scratch;     /* text has a member "scratch", which the worker adds for programs */
    bool has_no_text;       /* it was dropped (job_drop_text) */
    const char *defect;     /* NULL, or why it cannot run: the error it is answered with */
    struct flag stop;       /* raised when the job is to end early */
    atomic_int why;         /* an enum job_stop: why it was raised */
    int64_t taken_ms;       /* when it came to the worker; set once, by the table */
    int64_t begun_ms;       /* when a slot took it; 0 before, and once it is sealed, */
    bool sealed;            /* that is, its slot is free again; both under the table's lock */
};

enum job_stop {
    JOB_GOES_ON,
    JOB_STOPPED,   /* by the platform, or its client has left: a result is not wanted */
    JOB_TIMED_OUT, /* it exceeded --execution-timeout: its result is an error that says so */
    JOB_ABANDONED, /* the worker is ending: nothing more is delivered */
};

/* An empty delivery of at most max_bytes, with the taker's reference. ERR_MEMORY. */
int delivery_new(struct delivery **delivery, size_t max_bytes, struct err *err);

/* Drops the taker's reference. The delivery is freed once all of its jobs are released too. */
void delivery_release(struct delivery *delivery);

/*
 * Reads the jobs in the delivery's body: one job object, or an array of them. *jobs is a list in
 * the order of the body, each with a reference to the delivery. Elements that cannot be answered
 * (not an object, or without a usable id) are logged as errors and skipped, and so is what follows
 * the first LIMIT_JOBS_AN_ANSWER jobs, which the platform still has; a job without input
 * gets a defect. `local_id`, where not NULL, is the id of a job that has none. ERR_INPUT if the
 * body is not JSON, or neither object nor array; ERR_MEMORY. Blocks only on the log.
 */
int delivery_read(struct delivery *delivery, const char *local_id, struct job **jobs,
                  struct err *err);

/*
 * For a job whose handler has returned: if its text is a large one, that is dropped, with the input
 * and s3_config in it (all empty then). By the job's own thread.
 */
void job_drop_text(struct job *job);

/* Drops the job's reference; its slices are invalid after that. May be called from any thread. */
void job_release(struct job *job);

/* Raises the job's stop flag. The first reason counts, but any replaces a timeout. Any thread. */
void job_stop(struct job *job, enum job_stop why);

/* True if the job's result is no longer wanted: none is posted. */
bool job_is_stopped(const struct job *job);

/* Blocks until the deadline, or until the job is stopped or abandoned (true). */
bool job_wait_stopped(struct job *job, deadline_ms deadline);

/*
 * Appends the id as the value of an HTTP field: percent-encoded if it holds a byte that a field
 * may not. Errors as buf_add.
 */
int job_put_field_id(const struct job *job, struct buf *out, struct err *err);

/* The tag of the job's log lines. Its slices are those of the job. */
struct log_tag job_tag(const struct job *job);

#endif
