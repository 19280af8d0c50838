/*
 * app/fitness.h - is this machine fit for work? The program's own checks, then --fitness, then
 * memory, disk, network and the GPU (source: the SDK's automatic system checks and their variables).
 */
#ifndef APP_FITNESS_H
#define APP_FITNESS_H

#include "job/config.h"
#include "net/http.h"
#include "worker.h"

/*
 * Looks up the program of --fitness, if there is one. Before there are threads, once. ERR_CONFIG
 * names the flag.
 */
int fitness_prepare(const struct config *config, struct err *err);

/*
 * Runs all checks, one after the other, and blocks for as long as they take. 0 where all passed.
 * Else the exit status that the worker is to end with: 1 for a machine that is not fit, which has
 * been logged and, where heartbeats go, reported with one ping of at most 2 s; 2 for a --fitness
 * that cannot be started, which has been logged.
 *
 * The network check connects to the host of the job-take URL (or its proxy), not to a public
 * address as the SDK does: many places forbid that, and it is the platform that must be reached.
 */
int fitness_run(const struct config *config, const struct http_net *net, const rp_config *program);

#endif
