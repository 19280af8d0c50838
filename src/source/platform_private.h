/*
 * source/platform_private.h - what the two halves of the platform source share: platform_take.c
 * takes jobs, platform_post.c delivers results.
 */
#ifndef SOURCE_PLATFORM_PRIVATE_H
#define SOURCE_PLATFORM_PRIVATE_H

#include "base/log.h"
#include "codec/backoff.h"
#include "job/source.h"
#include "source/platform_request.h"

struct platform {
    struct source source; /* first, so that a source pointer is a platform pointer */
    const struct config *config;
    const struct http_net *net;
    const struct wake *wake;

    /* Used by the taker alone. */
    struct http_client *client;
    struct buf url;
    struct backoff backoff;   /* after failures */
    struct backoff idle;      /* after empty answers that came at once */
    bool stored_sent;         /* the results in --result-dir have been sent */
    struct log_repeat repeat; /* failures */
    struct log_repeat cut;    /* long polls that a gateway has ended */
};

static inline struct platform *platform_of(struct source *source)
{
    return (struct platform *)(void *)source;
}

/* The functions of struct source_ops that deliver. */
int platform_open(struct source *source, struct reply_channel *reply_channel, struct err *err);
int platform_post(struct reply_channel *reply_channel, struct job *job, const struct result *result,
                  struct err *err);
int platform_stream(struct reply_channel *reply_channel, struct job *job, slice json,
                    struct err *err);
int platform_progress(struct reply_channel *reply_channel, const struct job *job, slice json,
                      struct err *err);

/*
 * Sends the results in --result-dir, one after the other, until none is left or one cannot be
 * delivered now. Blocks for as long as that takes. Failures are logged.
 */
void platform_send_stored(struct source *source);

#endif
