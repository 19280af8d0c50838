/*
 * job/rp_job.h - inside of the public API (worker.h): what a handler's job is made of. One for
 * each slot, used for one job after the other; memory is reset between them, not freed.
 */
#ifndef JOB_RP_JOB_H
#define JOB_RP_JOB_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "codec/json.h"
#include "job/config.h"
#include "job/job.h"
#include "job/result.h"
#include "job/source.h"
#include "worker.h"

struct scratch;

struct rp_job {
    const struct config *config;
    struct outlet *outlet;
    struct job *job; /* of now */
    struct arena arena;

    struct json_doc doc; /* over job->text; made when first asked for */
    bool doc_made;

    /* The outcome so far. */
    struct buf output; /* what rp_return and rp_write made */
    slice linked;      /* instead of output: JSON text in the job's memory; ptr NULL if none */
    bool has_output;
    bool linked_checked; /* linked is known to be valid JSON */
    bool has_failed;
    struct buf message; /* of the failure */
    char traceback[256];
    bool refresh;

    /* The job's folder, once it has asked for it. By pointer, so that a handler which never asks is
     * linked without it. */
    struct scratch *scratch;
    void (*end_scratch)(struct scratch *scratch);
};

/* Links config and outlet for the life of the slot. Allocates nothing. */
void rp_job_init(struct rp_job *self, const struct config *config, struct outlet *outlet);
void rp_job_free(struct rp_job *self);

/*
 * Runs the handler on the job, on the calling thread, and seals what came of it: always a result
 * that can be posted. result's parts are valid until rp_job_end.
 */
void rp_job_run(struct rp_job *self, struct job *job, rp_handler *handler, void *user,
                struct result *result);

/* Fails the job, where it has not failed yet, with a text of any length. Returns RP_FAILED. */
int rp_job_fail(struct rp_job *self, const char *text);

/* Makes self->scratch, where there is none yet. Blocks; errors as scratch_new. */
int rp_job_scratch(struct rp_job *self, struct err *err);

/* Ends everything that belongs to the job of now. */
void rp_job_end(struct rp_job *self);

#endif
