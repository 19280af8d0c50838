/*
 * app/stop_channel.h - a long poll that asks the platform which jobs are to be stopped.
 */
#ifndef APP_STOP_CHANNEL_H
#define APP_STOP_CHANNEL_H

#include "app/job_table.h"
#include "config/config.h"
#include "http/client.h"

/* Not copied; all must live until the process exits. */
struct stop_channel {
    const struct config *config;
    const struct http_net *net;
    struct job_table *table;
};

/*
 * Polls for the life of the process and stops the jobs that the platform names. Returns only if the
 * job-take URL has no "/job-take/" to make a stop URL of, or out of memory; that is logged.
 */
void stop_channel_run(const struct stop_channel *channel);

#endif
