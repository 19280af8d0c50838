/*
 * app/fitness.h - is this machine fit for work? The program's own checks, then memory, disk,
 * network and the GPU (source: the SDK's automatic system checks and their variables).
 */
#ifndef APP_FITNESS_H
#define APP_FITNESS_H

#include <stdbool.h>

#include "job/config.h"
#include "net/http.h"
#include "worker.h"

/*
 * Runs all checks, one after the other, and blocks for as long as they take. True where all passed.
 * Else the failure has been logged and, where heartbeats go, reported with one ping of at most
 * 2 s: the worker is to end with exit status 1.
 *
 * The network check connects to the host of the job-take URL (or its proxy), not to a public
 * address as the SDK does: many places forbid that, and it is the platform that must be reached.
 */
bool fitness_run(const struct config *config, const struct http_net *net, const rp_config *program);

#endif
