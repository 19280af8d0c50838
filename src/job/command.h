/*
 * job/command.h - a command line from a flag or a variable, made ready to be started: cut into words
 * (codec/words.h), its program found.
 */
#ifndef JOB_COMMAND_H
#define JOB_COMMAND_H

#include "base/err.h"

/* All zero is none. Lives as long as the worker. */
struct command {
    char *path; /* of the program */
    char **argv;
    char *words; /* what argv points into */
};

/*
 * Makes a command of a line. A program without a slash is looked up in PATH, as a shell does.
 * ERR_CONFIG with what is wrong, behind the name of the flag it came from; ERR_MEMORY. Before there
 * are threads, since it reads the environment.
 */
int command_prepare(struct command *command, const char *line, const char *flag, struct err *err);

#endif
