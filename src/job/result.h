/*
 * job/result.h - from what a handler made to the body that is posted, as the SDK shapes it:
 * {"output": X}, {"error": "..."}, both, and "stopPod": true. Pure but for its scratch buffer.
 */
#ifndef JOB_RESULT_H
#define JOB_RESULT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "job/config.h"

#define RESULT_PARTS_MAX 4

/*
 * A sealed result: the parts, one after the other, are the body. They point into the handler's
 * output and into scratch, and are valid until either changes.
 */
struct result {
    slice parts[RESULT_PARTS_MAX];
    size_t count;
    size_t bytes;   /* of all parts */
    bool is_error;  /* the body has an "error" member */
    bool stop_pod;  /* the body says so; no more jobs are to be taken */
    bool is_stream; /* the last post of a streaming handler; set by who seals */
    struct buf scratch;
};

/* An empty result that never grows beyond max_bytes. */
void result_init(struct result *result, size_t max_bytes);
void result_free(struct result *result);

/*
 * Seals an output. The output must be JSON text that json_check has passed. An object loses its
 * members "error" and "refresh_worker", which become "error" (unless it is what Python calls
 * false) and "stopPod"; an object that is then empty is left out. ERR_LIMIT past the limit.
 */
int result_seal_output(struct result *result, slice output, bool stop_pod, struct err *err);

/* True where the output is an object with a member "error" that is not what Python calls false. */
bool result_has_error(slice output, slice *error);

/* Where a failure comes from, for the error object. */
struct failure {
    const char *type; /* "HandlerError" and the like */
    slice message;    /* any bytes; what is not UTF-8 is replaced */
    slice traceback;  /* may be empty */
};

/*
 * Seals a failure: "error" is a string that holds a JSON object of error_type, error_message,
 * error_traceback, hostname, worker_id and runpod_version, as clients of the SDK's worker expect.
 * Always leaves a body that can be posted, a shorter one where memory is out.
 */
void result_seal_failure(struct result *result, const struct failure *failure,
                         const struct config *config, bool stop_pod);

/* Seals a failure whose error is plain text: what the worker itself has to say. */
void result_seal_error_text(struct result *result, slice text, bool stop_pod);

#endif
