/*
 * app/heartbeat.h - tells the platform at fixed intervals that the worker is alive and which jobs
 * are in progress.
 */
#ifndef APP_HEARTBEAT_H
#define APP_HEARTBEAT_H

#include <stdbool.h>

#include "app/job_table.h"
#include "config/config.h"
#include "http/client.h"

/* True if heartbeats are to be sent: with an API key, a pod id and a ping URL. Logs why not. */
bool heartbeat_wanted(const struct config *config);

/* Not copied; all must outlive the process's threads. The last two belong to heartbeat_run. */
struct heartbeat {
    const struct config *config;
    const struct http_net *net;
    struct job_table *table;
    size_t first;    /* the place in the table of the first job that the next ping names */
    bool noted_long; /* it was logged that not all jobs fit into a ping */
};

/* Sends heartbeats for the life of the process; never returns. */
void heartbeat_run(struct heartbeat *heartbeat);

/*
 * Reports a failed fitness check or start with one ping. Blocks for at most LIMIT_REPORT_MS. A
 * failure is logged. Does nothing without an API key or a ping URL.
 */
void heartbeat_report_unhealthy(const struct config *config, const struct http_net *net,
                                const char *check, const char *reason);

/*
 * Put the URL of a heartbeat, with the ids of the jobs in progress, or of the report of a failed
 * check in place of url's content. Where the ids of all jobs do not fit into URL_MAX_BYTES, those
 * that do are sent, the next ping goes on with the others, and a warning is logged once. ERR_LIMIT
 * where the URL is too long without ids, ERR_MEMORY.
 */
int heartbeat_put_url(struct heartbeat *heartbeat, struct buf *url, struct err *err);
int heartbeat_put_report_url(const struct config *config, const char *check, const char *reason,
                             struct buf *url, struct err *err);

#endif
