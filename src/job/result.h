/*
 * job/result.h - turns a handler's output into the body that is posted, in the SDK's form:
 * {"output": X}, {"error": "..."}, or both, with "stopPod": true. Pure, but for its own buffer.
 * A struct result belongs to one thread at a time. Nothing here blocks.
 */
#ifndef JOB_RESULT_H
#define JOB_RESULT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "config/config.h"

#define RESULT_PIECES_MAX 4

/*
 * A sealed result: its pieces, one after the other, are the body. They point into the handler's
 * output and into scratch, and are valid until either changes.
 */
struct result {
    slice pieces[RESULT_PIECES_MAX];
    size_t count;
    size_t bytes;   /* of all pieces */
    bool is_error;  /* the body has an "error" member */
    bool stop_pod;  /* the body has "stopPod": no more jobs are to be taken */
    bool is_stream; /* the last post of a streaming handler; set by the caller */
    struct buf scratch;
};

/* An empty result, with bodies of at most max_bytes. Allocates nothing yet. */
void result_init(struct result *result, size_t max_bytes);
void result_free(struct result *result);

/*
 * Seals an output, which must be valid JSON (json_check). The members "error" and "refresh_worker"
 * of an object are taken out of it and become "error" (unless Python considers it false) and
 * "stopPod"; an object that is empty then is omitted. ERR_LIMIT past the maximum; ERR_MEMORY.
 */
int result_seal_output(struct result *result, slice output, bool stop_pod, struct err *err);

/* The same, but "error" and "refresh_worker" in the output mean nothing: it is posted as it is. */
int result_seal_opaque(struct result *result, slice output, bool stop_pod, struct err *err);

/* True, with *error set, if output is an object with an "error" that Python considers true. */
bool result_has_error(slice output, slice *error);

/* True if a piece of it lies in these bytes. */
bool result_lies_in(const struct result *result, slice bytes);

/* A failure, for the error object. Not copied; used only during the call. */
struct failure {
    const char *type; /* "HandlerError", for example */
    slice message;    /* any bytes; invalid UTF-8 is replaced */
    slice traceback;  /* may be empty */
    slice logs;       /* the end of what the handler has printed; empty: no such member */
    const char *hook; /* not NULL: the handler could not be started; which part of the start */
};

/*
 * Seals a failure: "error" is a string that holds a JSON object with error_type, error_message,
 * error_traceback, hostname, worker_id and runpod_version, as clients of the SDK's worker expect,
 * and logs, cut to the last LIMIT_CAPTURE_BYTES. With a hook it also has that and the event
 * "prestart_failed", and no hostname (source: the SDK's change 570). Always succeeds; out of memory
 * the body is a shorter one.
 */
void result_seal_failure(struct result *result, const struct failure *failure,
                         const struct config *config, bool stop_pod);

/* Seals a failure whose "error" is plain text: errors of the worker itself. Always succeeds. */
void result_seal_error_text(struct result *result, slice text, bool stop_pod);

#endif
