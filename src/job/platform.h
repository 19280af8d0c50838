/*
 * job/platform.h - what all requests to the platform have in common.
 */
#ifndef JOB_PLATFORM_H
#define JOB_PLATFORM_H

#include "base/buf.h"
#include "base/err.h"
#include "job/config.h"
#include "net/http.h"

/* How long one GET may take, and what else ends it: see struct http_request. */
struct platform_patience {
    int64_t connect_ms; /* 0: LIMIT_CONNECT_MS */
    int64_t answer_ms;  /* until the answer's first byte */
    const struct wake *wake;
    atomic_bool *answering;
};

/* A GET with the worker's usual fields. Blocks. Errors as http_exchange. */
int platform_get(struct http_client *client, const struct config *config, slice url,
                 struct platform_patience patience, struct http_answer *answer, struct buf *body,
                 struct err *err);

/*
 * Appends the job-take URL with the worker's id filled in and its "/job-take/" replaced:
 * "/job-take-batch/" and "/job-stop/" are the others. False where the template has no such part
 * (then *out is not to be used).
 */
bool platform_take_url(struct buf *out, const struct config *config, const char *instead,
                       struct err *err);

/* How long to wait after a 429: its Retry-After within reason, else the SDK's 5 s. */
uint32_t platform_too_many_ms(const struct http_answer *answer);

#endif
