/*
 * job/http_handler.h - handlers that are HTTP servers: an inference server, or anything else with a
 * port. The worker may start the server itself; it waits until the server is healthy, turns each
 * job into a request and the answer into the job's output.
 *
 * Every slot has a kept-alive connection of its own. A job that is stopped closes it, which these
 * servers take as abort. What becomes of an input and of an answer is told in src/handlers/README.md.
 */
#ifndef JOB_HTTP_HANDLER_H
#define JOB_HTTP_HANDLER_H

#include "job/handler.h"
#include "job/http_setting.h"

/*
 * Handlers as job/handler.h asks for, with a struct http_setting. open: blocks until the server is
 * healthy; ERR_CONFIG where it is not in time, or has died handler.deaths times in a row.
 */
extern const struct handler_ops http_ops;

#endif
