/*
 * job/rp_job.h - the rp_job of the public API (worker.h). Each slot has one and uses it for one job
 * after the other; its memory is reset between them, not freed. It belongs to the slot's thread.
 */
#ifndef JOB_RP_JOB_H
#define JOB_RP_JOB_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/log_tail.h"
#include "codec/lines.h"
#include "config/config.h"
#include "job/debugger.h"
#include "job/handler.h"
#include "job/job.h"
#include "job/result.h"
#include "job/sender.h"
#include "job/source.h"
#include "worker.h"
#include "json/json.h"

struct gpu_block;
struct scratch;

struct rp_job {
    const struct config *config;
    struct sender sender; /* of stream parts and progress */
    struct job *task;     /* the job as it was taken; NULL between jobs */
    struct arena arena;

    struct json_doc doc; /* of task->text; made on first use */
    bool doc_made;

    /* The outcome so far. */
    struct buf output;     /* written by rp_return and rp_write */
    slice external_output; /* instead of output: JSON text in the job's memory; ptr NULL: none */
    bool has_output;
    bool external_is_valid; /* external_output is known to be valid JSON */
    bool has_failed;
    struct buf message;       /* of the failure */
    const char *failure_type; /* a constant; NULL: the message alone is the error */
    struct buf traceback;     /* of the failure; may be empty */
    bool refresh;
    bool handler_lost;        /* run has returned HANDLER_LOST or HANDLER_LOST_BEFORE */
    bool not_begun;           /* HANDLER_LOST_BEFORE */
    struct log_tail log_tail; /* of this job's handler; used with LOG_CAPTURE_ALL */
    struct debugger debugger;
    int64_t ready_delay_ms; /* from the start of the process until this slot was ready */
    bool sends_beside;      /* rp_job_run does not wait for the sender: whoever posts does */
    bool is_stream;         /* the handler yields parts; always set with config->stream */
    bool keeps_parts;       /* as the job's output; never where job->wants_no_list */
    bool upload_failed;     /* with --upload-above: the output is to be posted as it is */
    bool is_opaque;         /* "error" and "refresh_worker" in the output have no meaning */
    struct buf parts;       /* with keeps_parts: all parts, as a JSON array without its "]" */

    /* The job's folder, if it has asked for one. The function is a pointer so that a program whose
     * handler never asks is linked without it. */
    struct scratch *scratch;
    void (*end_scratch)(struct scratch *scratch);

    struct gpu_block *gpu_blocks; /* device memory; freed by the GPU part (gpu/part.h) */
};

/* config and reply_channel are not copied; they must outlive it. Allocates nothing yet. */
void rp_job_init(struct rp_job *self, const struct config *config,
                 struct reply_channel *reply_channel);

/* Frees everything. Blocks until the sender's thread has ended. */
void rp_job_free(struct rp_job *self);

/*
 * Runs the handler on the job, on the calling thread, waits until its parts and updates are sent
 * (but see sends_beside), and seals the result, which can always be posted, unless the job was
 * stopped meanwhile. Blocks. The result's pieces are valid until rp_job_end.
 */
void rp_job_run(struct rp_job *self, struct job *job, const struct handler *handler, void *state,
                struct result *result);

/* Fails the job with a text of any length, unless it has failed already. Returns RP_FAILED. */
int rp_job_fail(struct rp_job *self, const char *text);

/*
 * Two steps of rp_job_run, for a process that runs the handler but seals nothing
 * (linked/isolated_main.h). begin prepares for a job. finish_sending blocks until the handler's
 * parts and updates are sent, and fails the job if a part could not be delivered.
 */
void rp_job_begin(struct rp_job *self, struct job *job);
void rp_job_finish_sending(struct rp_job *self);

/* The handler has printed this line for the job: kept for its error (RUNPOD_LOG_CAPTURE=all). */
void rp_job_capture(struct rp_job *self, slice line);

/* Frees what belongs to the current job and is not a part of its sealed result. */
void rp_job_trim(struct rp_job *self);

/* Frees everything that belongs to the current job. */
void rp_job_end(struct rp_job *self);

/*
 * rp_yield and rp_progress for text that exists already. json must be valid JSON. 0, or a negative
 * error; a part that cannot be delivered fails the job. Blocking as in worker.h.
 */
int rp_yield_json(struct rp_job *self, slice json, struct err *err);

/*
 * The output is a stream, even without a part; keeps_parts: and the list of its parts is the final
 * output, as with --aggregate-stream. To be called before the first part.
 */
void rp_job_stream(struct rp_job *self, bool keeps_parts);

/* rp_yield_json for a string that continues the one before: queued pieces may be joined. */
int rp_yield_text(struct rp_job *self, slice json, struct err *err);
int rp_progress_json(struct rp_job *self, slice json, struct err *err);

/*
 * Set the output to valid JSON that lies in the memory of a buffer or line reader, without a copy:
 * the job takes that memory and gives its own in exchange, so the buffer or reader is empty and
 * usable again. The second: ERR_MEMORY, as lines_give.
 */
void rp_return_buf(struct rp_job *self, struct buf *buf, slice json);
int rp_return_lines(struct rp_job *self, struct lines *lines, slice json, struct err *err);

/*
 * Fails the job, unless it has failed already. message and traceback are copied; where they are too
 * long, the end of the message and the start of the traceback are left out. type is a constant.
 * Without a type the error is the message alone instead of the error object.
 */
void rp_fail_text(struct rp_job *self, const char *type, slice message, slice traceback);

/* The failure of a job that exceeds --execution-timeout: its type, and its text (seconds). */
extern const char rp_timeout_error[];
#define RP_TIMEOUT_FORMAT "The job ran longer than the execution timeout of %g s."

#endif
