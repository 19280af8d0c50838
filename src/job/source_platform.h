/*
 * job/source_platform.h - inside of the platform source: taking jobs is in source_platform.c,
 * delivering results in platform_post.c.
 */
#ifndef JOB_SOURCE_PLATFORM_H
#define JOB_SOURCE_PLATFORM_H

#include "base/log.h"
#include "codec/backoff.h"
#include "job/platform.h"
#include "job/source.h"

struct platform {
    struct source source; /* first, so that a source pointer is a platform pointer */
    const struct config *config;
    const struct http_net *net;
    const struct wake *wake;

    /* The taker's. */
    struct http_client *client;
    struct buf url;
    struct backoff backoff; /* after failures */
    struct backoff idle;    /* after empty answers that came at once */
    bool kept_sent;         /* what --result-dir had at the start */
    struct log_repeat repeat;
};

struct platform *platform_of(struct source *source);

/* See struct source_ops. */
int platform_open(struct source *source, struct outlet *outlet, struct err *err);
void platform_close(struct outlet *outlet);
int platform_post(struct outlet *outlet, struct job *job, const struct result *result,
                  struct err *err);
int platform_stream(struct outlet *outlet, struct job *job, slice json, struct err *err);
/* Sends what --result-dir has kept, until there is none or one cannot be delivered. Blocks. */
void platform_send_kept(struct source *source);
int platform_progress(struct outlet *outlet, const struct job *job, slice json, struct err *err);

#endif
