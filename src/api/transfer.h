/*
 * api/transfer.h - what downloads and uploads of a job have in common: their own HTTP client, one
 * deadline over all tries, an end when the job is stopped, and which failures are retried.
 *
 * The connections are separate from the platform's, and the API key is not used here. A transfer
 * lasts for one call of worker.h and belongs to the handler's thread.
 */
#ifndef API_TRANSFER_H
#define API_TRANSFER_H

#include "codec/backoff.h"
#include "http/client.h"
#include "job/rp_job.h"

struct transfer {
    struct rp_job *job;
    struct http_client *client;
    struct wake wake;           /* signalled when the job is stopped */
    const struct wake *handler; /* the handler's own, which gets its place back; NULL for none */
    bool ignore_stop;           /* continue even then, to clean up */
    deadline_ms until;
    struct backoff backoff;
};

/* Starts a transfer of at most timeout_s. ERR_CONFIG naming SSL_CERT_FILE or a proxy variable,
 * ERR_MEMORY. Blocks on the file system. */
int transfer_begin(struct transfer *transfer, struct rp_job *job, uint32_t timeout_s,
                   struct err *err);
void transfer_end(struct transfer *transfer);

/*
 * The same for one of several transfers side by side, which the job's stop does not reach: the
 * caller signals each one's wake. transfer_restart gives it the time for another file.
 */
int transfer_open(struct transfer *transfer, struct rp_job *job, struct err *err);
void transfer_restart(struct transfer *transfer, uint32_t timeout_s);
void transfer_close(struct transfer *transfer);

/* Sets the request's time limits and its wake. */
void transfer_request(const struct transfer *transfer, struct http_request *request);

/*
 * Sets the error for a status that is not success: ERR_RETRY if a retry may succeed (timeout, too
 * many requests, failure of the server), else ERR_PEER.
 */
int transfer_status_error(int status, struct err *err);

/*
 * Called after a failed try. Blocks for the pause before the next try and returns true; or returns
 * false if there is to be none: `tries` were made (counted in backoff.failures), the error is not
 * transient (ERR_RETRY, ERR_TIMEOUT), the pause would end past the deadline, or the job was stopped
 * (err->code is ERR_CANCELLED then).
 */
bool transfer_retry(struct transfer *transfer, const struct http_response *answer, unsigned tries,
                    struct err *err);

/*
 * Reports a transfer's error to the handler: fails the job and returns RP_FAILED; or, if reason is
 * not NULL, sets *reason to the text, in the job's memory, and returns RP_WRONG. The text starts
 * with "<what>: ".
 */
int transfer_fail(struct rp_job *job, rp_str *reason, const char *what, const struct err *err);

/* Copies the bytes into the job's memory, NUL-terminated. NULL with ERR_MEMORY in err. */
const char *transfer_copy(struct rp_job *job, slice bytes, struct err *err);

#endif
