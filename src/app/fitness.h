/*
 * app/fitness.h - checks that the machine is fit for work: memory, disk, network, cached models and
 * the GPU (source, but for the models: the SDK's automatic system checks), then the program's own
 * checks, those of the handler's program, and --fitness.
 */
#ifndef APP_FITNESS_H
#define APP_FITNESS_H

#include "base/flag.h"
#include "config/config.h"
#include "http/client.h"
#include "worker.h"

/* The name of the check that a model is in the platform's cache. */
#define FITNESS_MODEL_CHECK "model_check"

/*
 * fitness_check_machine: memory, disk, network, the models of --fitness-model and the GPU, before
 * the handler is started, whose memory and device they would else be measuring.
 * fitness_check_program: the program's own checks, those of the handler's program, then --fitness,
 * once the handler is ready.
 *
 * Each runs its checks one after the other and blocks while they run. Signalling wake, which says
 * that the worker is ending, cuts the network check short and leaves out what follows: no verdict,
 * 1.
 *
 * Returns 0 if all have passed, else the status with which the worker is to exit: 1 for an unfit
 * machine, which has been logged and, with a ping URL, reported by one ping of at most
 * LIMIT_REPORT_MS; 2 if the program of --fitness cannot be started, which has been logged.
 *
 * The network check connects to the host of the job-take URL (or its proxy), not to a public
 * address as the SDK does: many networks block that, and it is the platform that must be reached.
 */
int fitness_check_machine(const struct config *config, const struct http_net *net,
                          const rp_config *program, const struct wake *wake);
int fitness_check_program(const struct config *config, const struct http_net *net,
                          const rp_config *program, const struct wake *wake);

/*
 * Reports a check that has failed before the worker runs: a line, and with a ping URL one ping of
 * at most LIMIT_REPORT_MS. Blocks. Returns the exit status, 1.
 */
int fitness_report(const struct config *config, const struct http_net *net, const char *check,
                   const char *reason);

#endif
