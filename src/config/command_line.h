/*
 * config/command_line.h - the command line. Called by main before there are other threads.
 */
#ifndef CONFIG_COMMAND_LINE_H
#define CONFIG_COMMAND_LINE_H

#include "base/err.h"
#include "config/config.h"

enum command_line_action {
    COMMAND_LINE_RUN,  /* start the worker */
    COMMAND_LINE_DONE, /* help or version was printed: exit with status 0 */
};

/*
 * Reads the worker's flags into config, where they override the environment. Values follow as
 * "--flag value" or "--flag=value". Unknown arguments are left to the program; the first of them is
 * kept in config->unknown_argument. "--" ends the worker's arguments. --help and --version print to
 * standard output. argv is not copied. ERR_CONFIG naming the flag, or the topic of --help, that
 * cannot be used.
 */
int command_line_parse(int argc, char **argv, struct config *config,
                       enum command_line_action *action, struct err *err);

#endif
