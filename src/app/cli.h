/*
 * app/cli.h - the command line.
 */
#ifndef APP_CLI_H
#define APP_CLI_H

#include "base/err.h"
#include "job/config.h"

enum cli_action {
    CLI_RUN,  /* go on */
    CLI_DONE, /* help or version was printed: exit 0 */
};

/*
 * Reads the flags it knows into config, over what the environment said; unknown ones are left to
 * the program, and the first of them is noted. Values follow as "--flag value" or "--flag=value".
 * Links argv. ERR_CONFIG naming the flag that cannot be used.
 */
int cli_parse(int argc, char **argv, struct config *config, enum cli_action *action,
              struct err *err);

#endif
