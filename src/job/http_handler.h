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

#include "base/err.h"
#include "codec/url.h"
#include "job/child.h"
#include "job/config.h"
#include "job/handler.h"
#include "net/http.h"

/* Where the server is and how it is treated. Filled in by http_setting_init; outlives the slots. */
struct http_setting {
    const struct config *config;
    struct child_setting child; /* the server's program; child.path NULL: somebody else runs it */
    struct http_net net;
    slice origin;           /* "http://host:port": routes are put behind it */
    slice path;             /* of inputs that name no route */
    const char *ready_path; /* is asked until it answers 2xx */

    void (*lost)(void *owner); /* see handler_ops.on_loss; NULL: nobody wants to know */
    void *lost_owner;
};

/*
 * Reads config->handler: the URL (http:, https:, or http+unix:/path/of/a/socket), the program if
 * there is one, paths. Before there are threads. config is linked. ERR_CONFIG names the flag.
 */
int http_setting_init(struct http_setting *setting, const struct config *config, struct err *err);

/*
 * Handlers as job/handler.h asks for, with a struct http_setting. open: blocks until the server is
 * healthy; ERR_CONFIG where it is not in time, or has died handler.deaths times in a row.
 */
extern const struct handler_ops http_ops;

#endif
