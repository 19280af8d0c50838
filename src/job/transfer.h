/*
 * job/transfer.h - what downloads and uploads of a job have in common: a client of their own, one
 * deadline over all tries, an end when the job is stopped, and what counts as passing trouble.
 *
 * The connections are apart from the platform's: no key of the platform is known here. A transfer
 * lives within one call of worker.h, on the handler's thread.
 */
#ifndef JOB_TRANSFER_H
#define JOB_TRANSFER_H

#include "codec/backoff.h"
#include "job/rp_job.h"

struct transfer {
    struct rp_job *job;
    struct http_client *client;
    struct wake wake; /* signalled when the job is stopped */
    bool deaf;        /* goes on though it is: for cleaning up */
    deadline_ms until;
    struct backoff backoff;
};

/* ERR_MEMORY; ERR_CONFIG for an SSL_CERT_FILE that cannot be used. Blocks on that file. */
int transfer_begin(struct transfer *transfer, struct rp_job *job, uint32_t timeout_s,
                   struct err *err);
void transfer_end(struct transfer *transfer);

/* Sets what all requests of a transfer have in common: limits, wake-up. */
void transfer_request(const struct transfer *transfer, struct http_request *request);

/*
 * The error for a status that is none of success: ERR_RETRY where it may well be another one later
 * (time-out, too many, the server's own trouble), else ERR_PEER.
 */
int transfer_refused(int status, struct err *err);

/*
 * After a failed try, as err tells: sleeps before the next one and returns true; or returns false
 * where there is to be none: `tries` of them have been made, the trouble is no passing one
 * (ERR_RETRY, ERR_TIMEOUT), the deadline is near, or the job was stopped. backoff.failures counts.
 */
bool transfer_again(struct transfer *transfer, const struct http_answer *answer, unsigned tries,
                    struct err *err);

/*
 * What the caller returns for an error: RP_FAILED with the job failed; or, where reason is not
 * NULL, RP_WRONG with the text there, in the job's memory. "<what>: " stands before the text.
 */
int transfer_fail(struct rp_job *job, rp_str *reason, const char *what, const struct err *err);

/* A copy of the bytes in the job's memory, with NUL behind it. NULL and ERR_MEMORY. */
const char *transfer_copy(struct rp_job *job, slice bytes, struct err *err);

#endif
