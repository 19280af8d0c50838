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
#include "job/debugger.h"
#include "job/handler.h"
#include "job/job.h"
#include "job/result.h"
#include "job/sender.h"
#include "job/source.h"
#include "worker.h"

struct gpu_block;
struct scratch;

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
    bool handler_lost; /* the slot's handler cannot run another job (HANDLER_LOST) */
    struct debugger debugger;
    int64_t ready_delay_ms; /* from the process's start until this slot was ready */
    bool is_stream;         /* the handler yields parts; always so with config->stream */
    struct buf parts; /* all of them, as a JSON array without its end, if they are to be kept */

    /* The job's folder, once it has asked for it. By pointer, so that a handler which never asks is
     * linked without it. */
    struct scratch *scratch;
    void (*end_scratch)(struct scratch *scratch);

    struct gpu_block *gpu_blocks; /* device memory; ended by rp_gpu_part.settle (gpu_part.h) */
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

/* Fails the job, where it has not failed yet, with a text of any length. Returns RP_FAILED. */
int rp_job_fail(struct rp_job *self, const char *text);

/* Makes self->scratch, where there is none yet. Blocks; errors as scratch_new. */
int rp_job_scratch(struct rp_job *self, struct err *err);

/*
 * The parts of rp_job_run, for a process that runs the handler and seals nothing (child_side.h):
 * makes ready for a job; waits until all that the handler said along the way has been sent, and
 * fails the job where a part of its stream could not be.
 */
void rp_job_begin(struct rp_job *self, struct job *job);
void rp_job_finish_sending(struct rp_job *self);

/* Ends everything that belongs to the job of now. */
void rp_job_end(struct rp_job *self);

/*
 * What the functions of worker.h do, for text that is there already. json must be checked. 0, or a
 * negative error; a part that cannot be delivered fails the job.
 */
int rp_yield_json(struct rp_job *self, slice json, struct err *err);

/* The same for a string that is one piece of a text: what waits of it may go out as one part. */
int rp_yield_text(struct rp_job *self, slice json, struct err *err);
int rp_progress_json(struct rp_job *self, slice json, struct err *err);

/*
 * Returns JSON that lies inside the memory of `lines`, which the job takes over, giving its own in
 * exchange (lines_give): no copy, and the reader is free again. ERR_MEMORY.
 */
void rp_return_buf(struct rp_job *self, struct buf *buf, slice json); /* memory is exchanged */
int rp_return_lines(struct rp_job *self, struct lines *lines, slice json, struct err *err);

/*
 * Fails the job, unless it has failed already. Texts are copied, cut where they are too long; type
 * is linked. Without a type the client gets the message alone instead of the error object.
 */
void rp_fail_text(struct rp_job *self, const char *type, slice message, slice traceback);

/* What a job that ran too long fails with: the type, and the text for its timeout in seconds. */
extern const char rp_timeout_error[];
#define RP_TIMEOUT_FORMAT "The job ran longer than the execution timeout of %g s."

#endif
