/*
 * job/source.h - where jobs come from and results go to. Every way to run the worker is the same
 * loop over another source: the platform, a local test, requests to a port of the worker's own.
 */
#ifndef JOB_SOURCE_H
#define JOB_SOURCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/flag.h"
#include "base/slice.h"
#include "job/config.h"
#include "job/job.h"
#include "job/result.h"
#include "net/http.h"

struct source;

/* One slot's way back to the source: results and progress of one job at a time. */
struct outlet {
    struct source *source;
    void *state; /* the source's own */
};

/* What taking has brought. */
struct taken {
    struct job *jobs; /* a list, NULL where there are none now; the caller's */
    bool ended;       /* there will never be more */
};

struct source_ops {
    /*
     * Asks for up to `slots` jobs and blocks until there are some, or nothing came, or trouble
     * has been logged and its pause is over: the caller just asks again. `busy`: some job is
     * running. One thread. Returns early once the source's wake-up is signalled, but never drops
     * a job that has been handed out.
     */
    void (*take)(struct source *source, size_t slots, bool busy, struct taken *taken);

    /* Opens and closes a slot's outlet. ERR_MEMORY. */
    int (*open)(struct source *source, struct outlet *outlet, struct err *err);
    void (*close)(struct outlet *outlet);

    /*
     * Delivers a result; blocks, maybe for minutes, until it is settled. Returns 0; or what the
     * trouble was (logged by the caller) once it is certain that it cannot be delivered. Gives up
     * when the job's stop flag is raised (ERR_CANCELLED).
     */
    int (*post)(struct outlet *outlet, struct job *job, const struct result *result,
                struct err *err);

    /*
     * Delivers one part of a stream, with retries as post: 0, or the trouble once it is certain.
     * json must be checked. Blocks.
     */
    int (*stream)(struct outlet *outlet, struct job *job, slice json, struct err *err);

    /* Sends one progress update: one try, at most LIMIT_PROGRESS_MS. json must be checked. */
    int (*progress)(struct outlet *outlet, const struct job *job, slice json, struct err *err);

    /*
     * NULL, or: no more jobs are going to be taken. Turns away those that wait, and blocks until
     * every result that was posted, or is still to be, has reached its client.
     */
    void (*drain)(struct source *source);

    void (*free)(struct source *source);
};

struct source {
    const struct source_ops *ops;
    int exit_status;       /* of the worker, once the source has ended */
    atomic_bool answering; /* take reads an answer, which may hold jobs; lowered by the caller */
};

/*
 * The platform, as CONTRACT.md has it. net, config and wake are linked; raising wake gives up
 * the open job-take and every pause of it. ERR_MEMORY.
 */
int source_platform_new(struct source **source, const struct config *config,
                        const struct http_net *net, const struct wake *wake, struct err *err);

/*
 * One job from --test_input or test_input.json, whose result goes to the log and, with
 * --test_output, is compared; exit_status tells how it went. ERR_MEMORY.
 */
int source_local_new(struct source **source, const struct config *config, struct err *err);

/*
 * Realtime mode: POST /<endpoint id>/realtime on config->realtime_port with {"id", "input"} is
 * answered with the job's result object (source: the SDK's realtime endpoint). Serves from the
 * first take on; signalling wake ends a take. `slots`: how many jobs may run at a time. ERR_CONFIG
 * where the port cannot be had, ERR_MEMORY.
 *
 * A job needs an input that is not null; its id is the client's, a random UUID where there is none.
 * A client that closes its connection stops its job. Parts of a stream are collected into the
 * output, progress goes nowhere. More than LIMIT_REALTIME_WAITING requests that wait for a slot are
 * answered 503.
 */
int source_realtime_new(struct source **source, const struct config *config, size_t slots,
                        const struct wake *wake, struct err *err);

#endif
