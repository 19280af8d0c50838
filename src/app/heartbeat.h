/*
 * app/heartbeat.h - tells the platform at fixed intervals that the worker lives and what it does.
 */
#ifndef APP_HEARTBEAT_H
#define APP_HEARTBEAT_H

#include <stdbool.h>

#include "app/job_table.h"
#include "job/config.h"
#include "net/http.h"

/* True where there is somebody to tell: with an API key, a pod id and a ping URL. Logs if not. */
bool heartbeat_wanted(const struct config *config);

struct heartbeat {
    const struct config *config;
    const struct http_net *net;
    struct job_table *table;
};

/* Sends heartbeats for as long as the process lives: never returns. Everything is linked. */
void heartbeat_run(const struct heartbeat *heartbeat);

/*
 * Tells the platform, once, that a fitness check has failed. Blocks for at most LIMIT_REPORT_MS.
 * Nothing is told without an API key or a ping URL.
 */
void heartbeat_report_unhealthy(const struct config *config, const struct http_net *net,
                                const char *check, const char *reason);

#endif
