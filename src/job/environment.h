/*
 * job/environment.h - from the environment to a configuration, and whether it can be used.
 */
#ifndef JOB_ENVIRONMENT_H
#define JOB_ENVIRONMENT_H

#include "base/err.h"
#include "job/config.h"

/*
 * Fills in everything that comes from the environment and the defaults. ERR_CONFIG naming the
 * variable that cannot be used and what it should look like.
 */
int config_from_environment(struct config *config, struct err *err);

/* Checks what can only be checked when flags and environment are known. ERR_CONFIG. */
int config_check(const struct config *config, struct err *err);

#endif
