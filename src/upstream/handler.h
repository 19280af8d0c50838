/*
 * upstream/handler.h - handlers that are HTTP servers: an inference server, or anything else with a
 * port. The worker may start the server itself; it waits until the server is healthy, makes each
 * job a request and the response the job's output.
 *
 * Every slot has a kept-alive connection of its own. A job that is stopped closes it, which
 * inference servers take as an abort. The rules for inputs and responses are in
 * src/handlers/README.md.
 */
#ifndef UPSTREAM_HANDLER_H
#define UPSTREAM_HANDLER_H

#include "config/config.h"
#include "job/handler.h"
#include "job/source.h"

/*
 * Makes the handler that config->handler.http asks for. Before there are threads; opens nothing
 * yet, but reads files (certificates, the program). config is linked; what the handler refers to
 * lives as long as the worker. ERR_CONFIG names the flag; ERR_MEMORY.
 *
 * Its operations are as job/handler.h asks for. open: the first one starts the server; each blocks
 * until the server is healthy. ERR_CONFIG where it is not in time, or has died handler.deaths times
 * in a row.
 */
int upstream_handler_init(struct handler *handler, const struct config *config, struct err *err);

/*
 * Sets config->concurrency where no flag or variable of ours does: from MAX_CONCURRENCY or
 * RUNPOD_MAX_CONCURRENCY, which the published workers read, else LIMIT_SERVER_CONCURRENCY, which
 * the handler lowers where the server does not speak the OpenAI API. Says in concurrency_source
 * which. ERR_CONFIG names the variable.
 */
int upstream_choose_concurrency(struct config *config, struct err *err);

/*
 * The source of a load-balancing endpoint (--serve) in front of that handler's server: it gives no
 * jobs, but passes requests on, up to config->concurrency at a time. Serves at once. config,
 * handler and wake are linked; a take lasts until wake is signalled. ERR_CONFIG names the port;
 * ERR_MEMORY.
 */
int upstream_pass_new(struct source **source, const struct config *config,
                      const struct handler *handler, const struct wake *wake, struct err *err);

#endif
