/*
 * job/options.h - everything that can be set from outside, in one table: flag, variable, kind,
 * range, help. The environment is read first, flags win over it.
 */
#ifndef JOB_OPTIONS_H
#define JOB_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "job/config.h"

enum option_kind {
    OPTION_SLICE,   /* a slice in config; an empty value counts as not set */
    OPTION_TEXT,    /* a const char * in config */
    OPTION_NUMBER,  /* an int64_t in config: a whole number from min to max, times unit */
    OPTION_DECIMAL, /* an int64_t in config, in thousandths: up to three decimals, from min to max */
    OPTION_VERSION, /* an int64_t in config: "12.2" or "12", as 12020 */
    OPTION_SWITCH,  /* a bool in config: the flag alone; a variable is 1, true, yes, on or 0, ... */
    OPTION_LEVEL,   /* an enum log_level in config */
};

struct option {
    const char *flag;     /* with its dashes; NULL where there is only a variable */
    const char *variable; /* NULL where there is only a flag */
    enum option_kind kind;
    size_t offset; /* in struct config */
    int64_t min, max, unit;
    int64_t fallback;       /* of numbers and switches, before the unit */
    const char *value_name; /* in --help; NULL for switches */
    const char *help;       /* NULL: not shown there */
};

extern const struct option options[];
extern const size_t option_count;

/* The option with that flag; there is one. */
const struct option *option_find(const char *flag);

/*
 * Sets one option; the value is linked. `name` is the flag or variable it came by, for errors.
 * ERR_CONFIG where the value cannot be used.
 */
int option_set(struct config *config, const struct option *option, const char *name,
               const char *value, struct err *err);

/* Sets all defaults, then everything the environment has. ERR_CONFIG naming the variable. */
int options_from_environment(struct config *config, struct err *err);

#endif
