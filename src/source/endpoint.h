/*
 * source/endpoint.h - the job API of the platform, served by the worker itself (--rp_serve_api): a
 * queue in memory, and in front of it the routes that the official clients use, a console for
 * people and metrics. The manual is source/README.md.
 */
#ifndef SOURCE_ENDPOINT_H
#define SOURCE_ENDPOINT_H

#include <stddef.h>

#include "base/err.h"
#include "base/flag.h"
#include "config/config.h"
#include "http/net.h"
#include "job/source.h"

/*
 * Binds config->api.port and serves at once; jobs wait until they are taken. `slots` is how many
 * jobs may run at the same time. config and net are not copied and must outlive the source. A
 * process has one such source. ERR_CONFIG where the address cannot be used, ERR_MEMORY.
 */
int source_endpoint_new(struct source **source, const struct config *config,
                        const struct http_net *net, size_t slots, struct err *err);

/* --- the job API as a part of another source, on that source's port --- */

struct endpoint;
struct server_exchange;

/*
 * What such a source calls: a table, so that it can be linked without the job API. The endpoint has
 * no server of its own, its webhooks are never called, since clients of such a port are anybody,
 * and it lives as long as the process. Any thread, unless it says otherwise.
 */
struct endpoint_beside {
    int (*make)(struct endpoint **endpoint, const struct config *config, struct err *err);

    /* From now on jobs are taken: as source_ops.on_arrival. */
    void (*begin)(struct endpoint *endpoint, void (*arrived)(void *owner), void *owner);

    /*
     * Up to `slots` jobs that wait and came no later than `before_ms` (monotonic), as a list; those
     * of low priority only with DEADLINE_NEVER. *more: others wait. Does not block.
     */
    struct job *(*take)(struct endpoint *endpoint, size_t slots, int64_t before_ms, bool *more);

    /* As source_ops.post, stream and progress. ERR_CANCELLED where the job is not one of these. */
    int (*end_job)(struct endpoint *endpoint, const struct job *job, const struct result *result,
                   struct err *err);
    int (*add_part)(struct endpoint *endpoint, const struct job *job, slice json, struct err *err);
    void (*set_progress)(struct endpoint *endpoint, const struct job *job, slice json);

    size_t (*count_queued)(struct endpoint *endpoint); /* jobs that take has not returned yet */

    /* Answers a request that the source's server has admitted. */
    void (*dispatch)(struct server_exchange *exchange, struct endpoint *endpoint);

    /*
     * The end, in this order. close_queue: no more jobs are accepted, those that wait are
     * cancelled; true where some run. wait_idle: blocks until none does. wake_clients, after
     * server_stop: those who wait for news are answered.
     */
    bool (*close_queue)(struct endpoint *endpoint);
    void (*wait_idle)(struct endpoint *endpoint);
    void (*wake_clients)(struct endpoint *endpoint);
};

extern const struct endpoint_beside source_endpoint_beside;

#endif
