/*
 * config/options.h - everything that can be set from outside, in one table: flag, variable, kind,
 * range, default, help. The environment is read first; flags override it.
 */
#ifndef CONFIG_OPTIONS_H
#define CONFIG_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "config/config.h"

enum option_kind {
    OPTION_SLICE,   /* a slice in config; an empty value counts as not set */
    OPTION_TEXT,    /* a const char * in config */
    OPTION_LIST,    /* a struct config_list in config: the flag may be repeated */
    OPTION_NUMBER,  /* an int64_t in config: a whole number from min to max, times unit */
    OPTION_DECIMAL, /* an int64_t in config, in thousandths: three decimals at most, min to max */
    OPTION_VERSION, /* an int64_t in config: "12.2" or "12", as 12020 */
    OPTION_SWITCH,  /* a bool in config: the flag alone; a variable is 1, true, yes, on or 0, ... */
    OPTION_CHOICE,  /* a const char * in config: --flag=WORD; the flag alone is an empty word */
    OPTION_LEVEL,   /* an enum log_level in config */
    OPTION_USED_LATER, /* a variable that is read where it is used; here only for --help */
};

/* What --help TOPIC shows together. */
enum option_topic {
    TOPIC_LOCAL,
    TOPIC_API,
    TOPIC_SERVE,
    TOPIC_HANDLERS,
    TOPIC_SERVERS,
    TOPIC_PLATFORM,
    TOPIC_FILES,
    TOPIC_GPU,
    TOPIC_COUNT,
};

/* Packed: every program has all rows, and each pointer would cost it a relocation of 24 bytes. */
struct option {
    const char *texts; /* flag, variable, value's name and help, each with its NUL: see below */
    uint8_t topic;     /* enum option_topic */
    uint8_t kind;      /* enum option_kind */
    uint16_t offset;   /* in struct config */
    uint8_t parts;     /* of enum config_part: it needs one of these; 0: none */
    bool common;       /* shown by --help without a topic */
    int32_t min, max, unit;
    int32_t fallback; /* the default of numbers, before the unit; under min: none */
};

#define OPTION_NO_FALLBACK (-1) /* the number is negative where nothing sets it; 0 is a value */

/* The texts of a row; "" where it has none. */
enum option_text {
    OPTION_FLAG,       /* with its dashes; "": set by a variable only */
    OPTION_VARIABLE,   /* "": set by a flag only */
    OPTION_VALUE_NAME, /* in --help; "" for switches */
    OPTION_HELP,       /* "": not shown there */
};

static inline const char *option_text(const struct option *option, enum option_text which)
{
    const char *text = option->texts;
    for (int i = 0; i < (int)which; i++)
        text += strlen(text) + 1;
    return text;
}

extern const struct option options[]; /* in the order of --help */
extern const size_t option_count;

#define OPTION_LEVEL_DEFAULT LOG_DEBUG

/* The option with that flag, which must be in the table. */
const struct option *option_find(const char *flag);

/* True if the program has one of the parts that the option needs. */
bool option_is_there(const struct option *option, const struct config *config);

/*
 * Fills in the error of an option, called `name`, that needs one of those parts, which this program
 * has not: ERR_CONFIG.
 */
int option_refuse(const char *name, unsigned parts, struct err *err);

/*
 * Sets one option; the value is not copied. `name` is the flag or variable it came by, for errors.
 * ERR_CONFIG where the value cannot be used, or the option needs a part that is not there.
 */
int option_set(struct config *config, const struct option *option, const char *name,
               const char *value, struct err *err);

/*
 * Sets everything but absent_parts to its default (numbers from the table, switches off, texts not
 * set), then what the environment sets. Values are not copied. ERR_CONFIG naming the variable that
 * cannot be used. Of variables that need a part which is not there, the worker's own (RP_...) and
 * RUNPOD_REALTIME_PORT are such; others, which a platform or a machine with a GPU may set for
 * everybody, do nothing.
 */
int options_from_environment(struct config *config, struct err *err);

#endif
