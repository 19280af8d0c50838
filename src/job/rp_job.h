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
#include "codec/lines.h"
#include "job/config.h"
#include "job/job.h"
#include "job/result.h"
#include "job/source.h"
#include "worker.h"

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
    const char *fail_type; /* of the error object; NULL for HandlerError */
    char traceback[256];
    bool refresh;
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

/* --- for handlers that are no C functions (job/child.h): their texts are checked JSON --- */

/* One stream part. Blocks while the platform is slow. 0, or ERR_CANCELLED and what outlets say. */
int rp_yield_json(rp_job *job, slice json, struct err *err);

/* One progress update. Errors as rp_yield_json. */
int rp_progress_json(rp_job *job, slice json, struct err *err);

/*
 * Returns JSON that lies inside the memory of `lines`, which the job takes over, giving its own in
 * exchange (lines_give): no copy, and the reader is free again. ERR_MEMORY.
 */
int rp_return_lines(rp_job *job, struct lines *lines, slice json, struct err *err);

/* Fails the job with that error_type, unless it has failed before. type is linked, the rest copied. */
void rp_fail_text(rp_job *job, const char *type, slice message, slice traceback);
const char *rp_job_fail_type(const rp_job *job);

/* Readable once the job is stopped; valid until rp_job_end. */
struct wake *rp_job_stop_wake(rp_job *job);

/* Ends everything that belongs to the job of now. */
void rp_job_end(struct rp_job *self);

#endif
