/*
 * app/metrics.h - GET /metrics on a port of its own (--metrics-port): the numbers of this worker
 * for Prometheus, in every mode that takes more than one job. They hold nothing of the jobs
 * themselves, so no key is asked for.
 */
#ifndef APP_METRICS_H
#define APP_METRICS_H

#include "app/job_table.h"
#include "base/err.h"
#include "config/config.h"
#include "http/server.h"
#include "job/source.h"

/* Set by the caller: table and source. Must live until the process exits. */
struct metrics {
    struct job_table *table;
    struct source *source;
    struct server *server;
    struct server_setting setting;
};

/*
 * Listens on config->metrics and answers from now on until the process exits, on threads of its
 * own. Blocks while a host name is looked up. ERR_CONFIG where the address cannot be used,
 * ERR_MEMORY.
 */
int metrics_serve(struct metrics *metrics, const struct config *config, struct err *err);

#endif
