/*
 * process/command.h - a command line from a flag or a variable, ready to be started: cut into words
 * as a shell does (codec/shell_words.h), models in its words found (files/model_cache.h), and its
 * program, too.
 */
#ifndef PROCESS_COMMAND_H
#define PROCESS_COMMAND_H

#include "base/err.h"

/* All zero: none. Never freed: it lives as long as the worker. */
struct command {
    char *path;    /* of the program */
    char **argv;   /* ends with NULL */
    char *storage; /* of argv's strings */
};

/*
 * Makes a command of a command line. A program whose name has no slash is looked up in PATH, as a
 * shell does. `flag` names the source of the line in errors: ERR_CONFIG for a line or a program
 * that cannot be used, ERR_INPUT where the cache lacks a model that a word asks for, ERR_MEMORY. To
 * be called before there are threads: it reads the environment. Blocks on the file system.
 */
int command_prepare(struct command *command, const char *line, const char *flag, struct err *err);

#endif
