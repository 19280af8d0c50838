/*
 * config/environment.h - reads the configuration from the environment, and checks it. Called by
 * main before there are other threads.
 */
#ifndef CONFIG_ENVIRONMENT_H
#define CONFIG_ENVIRONMENT_H

#include "base/err.h"
#include "config/config.h"

/*
 * Fills in the defaults and everything that the environment sets; values are not copied. ERR_CONFIG
 * naming the variable that cannot be used, and what its value must be.
 */
int config_from_environment(struct config *config, struct err *err);

/*
 * Reads the key of --api-key-file, where it is given, into memory that lives as long as the
 * process. ERR_CONFIG naming the file.
 */
int config_read_files(struct config *config, struct err *err);

/*
 * Checks what depends on flags and environment together, and reads the realtime token's file.
 * ERR_CONFIG naming the variable.
 */
int config_check(struct config *config, struct err *err);

/*
 * The folder that scratch folders are made in: RP_SCRATCH_DIR, TMPDIR or /tmp, the first that is
 * set. *is_chosen: by RP_SCRATCH_DIR. Of the environment; any thread.
 */
const char *environment_scratch_folder(bool *is_chosen);

#endif
