/*
 * job/http_setting.h - where the server is that a handler is (job/http_handler.h), and how it is
 * treated.
 */
#ifndef JOB_HTTP_SETTING_H
#define JOB_HTTP_SETTING_H

#include "base/err.h"
#include "base/slice.h"
#include "job/child.h"
#include "job/config.h"
#include "net/http.h"

/* Where the server is and how it is treated. Filled in by http_setting_init; outlives the slots. */
struct http_setting {
    const struct config *config;
    struct child_setting child; /* the server's program; without one, somebody else runs it */
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

#endif
