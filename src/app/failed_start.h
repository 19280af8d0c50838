/*
 * app/failed_start.h - a handler that cannot be started, or is lost for good: why, and how the
 * platform and the clients of jobs are told.
 *
 * The platform gets one ping, and each job that the handler has not begun an error in the form of
 * the SDK's change 570 (tests/CONTRACT.md, "A start-up that fails"). Nothing of this happens in
 * local, realtime and development runs, where whoever started the worker reads its log.
 *
 * Any function may be called by any thread.
 */
#ifndef APP_FAILED_START_H
#define APP_FAILED_START_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/buf.h"
#include "config/config.h"
#include "http/client.h"
#include "job/result.h"

/* Not copied; must live until the process exits. */
struct failed_start {
    const struct config *config;
    const struct http_net *net;

    pthread_mutex_t lock;
    atomic_bool is_set; /* from then on nothing of what follows changes */
    bool in_service;    /* the handler had been ready before */
    char message[1024];
    struct buf last_words; /* the last lines that the handler has printed, as errors if it can */
    struct buf logs;       /* more of them, for errors; empty where they are not wanted */
};

void failed_start_init(struct failed_start *self, const struct config *config,
                       const struct http_net *net);

/*
 * Notes the reason, with what the handler has printed last. The first one counts: false for a later
 * one. Does not block.
 */
bool failed_start_set(struct failed_start *self, const char *why, bool in_service);

bool failed_start_is_set(const struct failed_start *self);

/* True if it is set, and the handler had never been ready: there is nobody to run any job. */
bool failed_start_is_total(const struct failed_start *self);

/* Once it is set: one ping with status=unhealthy. Blocks for at most LIMIT_REPORT_MS. */
void failed_start_report(struct failed_start *self);

/* Once it is set: seals the error of a job that was not begun. Always succeeds. */
void failed_start_seal(const struct failed_start *self, struct result *result, bool stop_pod);

#endif
