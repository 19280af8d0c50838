/*
 * upstream/setting.h - where the server of an HTTP handler is, and what the worker runs for it.
 */
#ifndef UPSTREAM_SETTING_H
#define UPSTREAM_SETTING_H

#include "base/err.h"
#include "base/slice.h"
#include "child/setting.h"
#include "config/config.h"
#include "http/client.h"
#include "upstream/request.h"
#include "upstream/route_filter.h"

#define READY_STATUSES_MAX 16

/* How the server shows that it is ready, and healthy. */
struct upstream_ready {
    const char *name;                 /* for logs and errors: as given */
    slice path;                       /* empty: a connection is enough */
    int statuses[READY_STATUSES_MAX]; /* of its route */
    size_t status_count;              /* 0: 200 to 299 but 204 */
};

/* The shape of outputs. */
enum upstream_shape {
    UPSTREAM_SHAPE_BY_FORM, /* a list for the forms of the OpenAI API, else plain */
    UPSTREAM_SHAPE_PLAIN,   /* a response's own */
    UPSTREAM_SHAPE_LIST     /* a stream of parts, and the list of them */
};

/* Filled in by upstream_setting_init; outlives the slots. */
struct upstream_setting {
    const struct config *config; /* linked: time limits and switches are read from it */
    struct child_setting child;  /* the server's program; command.path NULL: it runs elsewhere */
    struct http_net net;
    struct route_filter routes;  /* that jobs may call */
    slice origin;                /* "http://host:port"; routes are appended to it */
    struct upstream_forms forms; /* of inputs */
    struct upstream_ready ready;
    enum upstream_shape shape;
    char port_variable[16]; /* "PORT=8081", for the program of a load-balancing endpoint */
};

/*
 * Reads config->handler: the URL (http:, https:, or http+unix:/path/of/a/socket), the paths, and
 * the program if there is one. Before there are threads; reads files. config is linked. ERR_CONFIG
 * names the flag; ERR_MEMORY.
 */
int upstream_setting_init(struct upstream_setting *setting, const struct config *config,
                          struct err *err);

/* True where the health route's status says that the server is ready. */
bool upstream_ready_accepts(const struct upstream_ready *ready, int status);

#endif
