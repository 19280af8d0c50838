/*
 * source/platform_request.h - what requests to the platform have in common. A client belongs to one
 * thread at a time.
 */
#ifndef SOURCE_PLATFORM_REQUEST_H
#define SOURCE_PLATFORM_REQUEST_H

#include "base/buf.h"
#include "base/err.h"
#include "config/config.h"
#include "http/client.h"

/* The limits of one GET in ms, and what ends it early: see struct http_request. */
struct platform_patience {
    int64_t connect_ms; /* 0: LIMIT_CONNECT_MS */
    int64_t answer_ms;  /* until the response's first byte */
    deadline_ms until;  /* for all of it; 0: none but LIMIT_BODY_MS for the rest of the response */
    const struct wake *wake;
    struct flag *sent;
    atomic_bool *answering;
};

/* A GET with the worker's usual fields; the response replaces body. Blocks. As http_exchange. */
int platform_get(struct http_client *client, const struct config *config, slice url,
                 struct platform_patience patience, struct http_response *answer, struct buf *body,
                 struct err *err);

/*
 * True if an exchange is a long poll that was held open for LIMIT_HELD_MS and then ended without an
 * answer of the platform: a gateway's 408 or 5xx, or a connection that was closed or reset. That is
 * no reason to ask less often. rc and answer are those of platform_get.
 */
bool platform_poll_was_cut(int rc, const struct http_response *answer, int64_t asked_ms);

/* The pause before the next poll then, in ms: random, so that many workers do not ask in step. */
uint32_t platform_cut_pause_ms(void);

/*
 * Appends the job-take URL with the worker's id filled in and its "/job-take/" replaced by
 * `instead`: "/job-take-batch/" or "/job-stop/". False, with *out not to be used, if the template
 * has no "/job-take/" or the URL is too long (an error in err).
 */
bool platform_take_url(struct buf *out, const struct config *config, const char *instead,
                       struct err *err);

#endif
