/*
 * source/realtime.h - jobs that are requests to a port of the worker's own, each answered with its
 * result: realtime mode (source: the SDK's realtime endpoint), and load-balancing endpoints.
 */
#ifndef SOURCE_REALTIME_H
#define SOURCE_REALTIME_H

#include <stddef.h>

#include "base/err.h"
#include "base/flag.h"
#include "config/config.h"
#include "job/source.h"
#include "source/endpoint.h"

/*
 * Serves POST /<endpoint id>/realtime on config->realtime_port from the first take on; a body
 * {"id", "input"} is answered with the job's result object, or with server-sent events where the
 * request accepts those. With `api`, /run, /runsync, /status, /stream, /cancel, /health and /ping
 * are those of the job API, with a queue of their own. Signalling wake ends a take. `slots` is how
 * many jobs may run at the same time, LIMIT_CONCURRENCY where that changes: a take without a job
 * ends after LIMIT_ASK_MS then. config, wake and api are not copied and must outlive the
 * source. ERR_CONFIG where the port cannot be used, ERR_MEMORY.
 *
 * A job needs an input that is not null; its id is the client's own, or a random UUID. A client
 * that closes its connection stops its job. Without events, stream parts are collected into the
 * output and progress is only logged. With LIMIT_REALTIME_WAITING requests waiting for a slot,
 * further ones are answered 503.
 */
int source_realtime_new(struct source **source, const struct config *config, size_t slots,
                        const struct wake *wake, const struct endpoint_beside *api,
                        struct err *err);

/*
 * The same for a load-balancing endpoint (--serve): serves on the ports of source/front.h at once.
 * POST / takes the input and answers with the output, or with status 500 and the result of a
 * failure; POST /run and /runsync take a job and answer as /runsync of the job API, at the end;
 * each with events instead where the request accepts them. Requests beyond those that can run now
 * are answered 503. ERR_CONFIG names the port; ERR_MEMORY.
 */
int source_serve_new(struct source **source, const struct config *config, size_t slots,
                     const struct wake *wake, struct err *err);

#endif
