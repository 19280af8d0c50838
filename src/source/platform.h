/*
 * source/platform.h - the platform as the source of jobs: taken with a long poll, results posted.
 */
#ifndef SOURCE_PLATFORM_H
#define SOURCE_PLATFORM_H

#include "base/err.h"
#include "base/flag.h"
#include "config/config.h"
#include "http/client.h"
#include "job/source.h"

/*
 * Allocates the source; take asks for jobs with a long poll, results are posted with retries. net,
 * config and wake are not copied and must outlive it. Signalling wake gives up the open job-take
 * and ends every pause of the taker. ERR_MEMORY.
 */
int source_platform_new(struct source **source, const struct config *config,
                        const struct http_net *net, const struct wake *wake, struct err *err);

#endif
