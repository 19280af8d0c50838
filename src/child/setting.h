/*
 * child/setting.h - what a child is and how it is treated.
 */
#ifndef CHILD_SETTING_H
#define CHILD_SETTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "process/command.h"

enum child_mode {
    CHILD_LINES, /* one process for all jobs: a job a line */
    CHILD_ONCE,  /* a process for each job: standard input to standard output */
};

/* Not copied by what uses it: must outlive the slots. */
struct child_setting {
    const char *program; /* its command line; NULL for none */
    enum child_mode mode;
    bool ready;               /* no job before the child has sent {"ready": true} */
    bool watches;             /* --watch: replaced when a file of its program changes */
    bool scratch;             /* it gets folders for files, and may name files to upload */
    bool pass_api_key;        /* leave RUNPOD_AI_API_KEY in its environment */
    int64_t ready_timeout_ms; /* from its first start to "ready", all tries; 0: no limit */
    int64_t kill_grace_ms;    /* from SIGTERM to SIGKILL */
    unsigned jobs;            /* that a process gets at a time; more than 1: child/shared.h */
    unsigned max_deaths;      /* of one slot's children in a row, after which the handler is lost */
    size_t output_max_bytes;  /* the largest output of a job */

    bool one_output; /* standard error goes where standard output goes, as with 2>&1 */

    bool isolated;            /* the child is this very binary: it logs as the worker does */
    const char *env_extra;    /* added to its environment, "NAME=value"; NULL for nothing */
    const char *env_replaced; /* the name of one that is not inherited; NULL for none */
    struct command command;   /* made from program by child_prepare; owned */
};

/*
 * Prepares setting->command from setting->program. Errors as command_prepare, which name the flag:
 * --handler-once for CHILD_ONCE, else --handler. To be called before there are threads, since it
 * reads the environment.
 */
int child_prepare(struct child_setting *setting, struct err *err);

/*
 * Prepares a setting for --isolate: the children are this very binary, with these arguments and
 * this variable ("NAME=value") in their environment, by which they know what they are. With
 * `watches` they are whatever has its path when they are started. argv and env_extra are not
 * copied. ERR_MEMORY.
 */
int child_prepare_isolated(struct child_setting *setting, char **argv, const char *env_extra,
                           struct err *err);

#endif
