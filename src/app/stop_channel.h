/*
 * app/stop_channel.h - asks the platform, beside the work, which jobs it wants stopped.
 */
#ifndef APP_STOP_CHANNEL_H
#define APP_STOP_CHANNEL_H

#include "app/job_table.h"
#include "job/config.h"
#include "net/http.h"

struct stop_channel {
    const struct config *config;
    const struct http_net *net;
    struct job_table *table;
};

/*
 * Long-polls for as long as the process lives, raising the stop flags of jobs named there. Returns
 * only where the job-take URL has no "/job-take/" to make a stop URL of, which is logged.
 */
void stop_channel_run(const struct stop_channel *channel);

#endif
