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
#include "job/debugger.h"
#include "job/handler.h"
#include "job/job.h"
#include "job/result.h"
#include "job/sender.h"
#include "job/source.h"
#include "worker.h"

struct rp_job {
    const struct config *config;
    struct sender sender; /* what the handler says along the way */
    struct job *job;      /* of now */
    struct arena arena;

    struct json_doc doc; /* over job->text; made when first asked for */
    bool doc_made;

    /* The outcome so far. */
    struct buf output; /* what rp_return and rp_write made */
    slice linked;      /* instead of output: JSON text in the job's memory; ptr NULL if none */
    bool has_output;
    bool linked_checked; /* linked is known to be valid JSON */
    bool has_failed;
    struct buf message;       /* of the failure */
    const char *failure_type; /* linked: a constant; NULL: the message stands alone */
    char traceback[256];
    bool refresh;
    struct debugger debugger;
    int64_t ready_delay_ms; /* from the process's start until this slot was ready */
    bool is_stream;         /* the handler yields parts; always so with config->stream */
    struct buf parts; /* all of them, as a JSON array without its end, if they are to be kept */
};

/* Links config and outlet for the life of the slot. Allocates nothing. */
void rp_job_init(struct rp_job *self, const struct config *config, struct outlet *outlet);

/* Blocks until the sender's thread has ended. */
void rp_job_free(struct rp_job *self);

/*
 * Runs the handler on the job, on the calling thread, waits until all that it said along the way
 * has been sent, and seals what came of it: always a result that can be posted, unless the platform
 * has stopped the job meanwhile. Blocks. result's parts are valid until rp_job_end.
 */
void rp_job_run(struct rp_job *self, struct job *job, const struct handler *handler, void *state,
                struct result *result);

/* Ends everything that belongs to the job of now. */
void rp_job_end(struct rp_job *self);

/*
 * What the functions of worker.h do, for text that is there already. json must be checked. 0, or a
 * negative error; a part that cannot be delivered fails the job.
 */
int rp_yield_json(struct rp_job *self, slice json, struct err *err);
int rp_progress_json(struct rp_job *self, slice json, struct err *err);

/*
 * Fails the job, unless it has failed already. Texts are copied, cut where they are too long; type
 * is linked. Without a type the client gets the message alone instead of the error object.
 */
void rp_fail_text(struct rp_job *self, const char *type, slice message, slice traceback);

#endif
