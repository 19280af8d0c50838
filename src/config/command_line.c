#include "app/cli.h"

#include <stdio.h>

#include "base/version.h"
#include "codec/json.h"
#include "job/options.h"

/* Flags of the SDK that are known here without doing anything; the first is refused. */
static const struct sdk_flag {
    const char *name;
    bool takes_value;
    bool refused;
} sdk_flags[] = {
    { "--rp_serve_api", false, true },
    { "--rp_api_host", true, false },
    { "--rp_api_port", true, false },
    { "--rp_api_concurrency", true, false },

};
#define SDK_FLAG_COUNT (sizeof sdk_flags / sizeof sdk_flags[0])

static void print_line(const char *name, const char *value_name, const char *help)
{
    char left[64];
    snprintf(left, sizeof left, "%s %s", name, value_name != NULL ? value_name : "");
    printf("  %-30s %s\n", left, help);
}

static void print_help(void)
{
    puts("A RunPod Serverless worker in one static binary, version " WORKER_VERSION ".\n\n"
         "Flags (each but the --test and --rp ones is also a variable: --stream is RP_STREAM=1):");
    for (size_t i = 0; i < option_count; i++)
        if (options[i].flag != NULL && options[i].help != NULL)
            print_line(options[i].flag, options[i].value_name, options[i].help);
    puts("  --version, --help              print it and exit\n\n"
         "Variables (the platform sets those it needs):\n"
         "  RUNPOD_WEBHOOK_GET_JOB, _POST_OUTPUT, _POST_STREAM, _PING    URLs; without the first,\n"
         "                           ./test_input.json is run\n"
         "  RUNPOD_AI_API_KEY, RUNPOD_POD_ID, RUNPOD_ENDPOINT_ID, RUNPOD_PING_INTERVAL (ms)");
    for (size_t i = 0; i < option_count; i++)
        if (options[i].flag == NULL && options[i].help != NULL)
            print_line(options[i].variable, NULL, options[i].help);
    puts("  HTTPS_PROXY, HTTP_PROXY, NO_PROXY");
}

/* True where the argument is the flag; *value is set to what follows '=' in it, or NULL. */
static bool is_flag(const char *argument, const char *flag, const char **value)
{
    size_t len = strlen(flag);
    if (strncmp(argument, flag, len) != 0 || (argument[len] != '\0' && argument[len] != '='))
        return false;
    *value = argument[len] == '=' ? argument + len + 1 : NULL;
    return true;
}

struct arguments {
    int count, at;
    char **words;
};

/* The flag's value: after '=', or the next argument. */
static int take_value(struct arguments *arguments, const char *flag, const char *value_name,
                      const char **value, struct err *err)
{
    if (*value != NULL)
        return 0;
    if (arguments->at + 1 >= arguments->count)
        return err_set(err, ERR_CONFIG, "%s needs a value: %s", flag, value_name);
    *value = arguments->words[++arguments->at];
    return 0;
}

static int apply_option(struct arguments *arguments, const struct option *option, const char *value,
                        struct config *config, struct err *err)
{
    if (option->kind == OPTION_SWITCH)
        return option_set(config, option, option->flag, value != NULL ? value : "1", err);
    int rc = take_value(arguments, option->flag, option->value_name, &value, err);
    return rc == 0 ? option_set(config, option, option->flag, value, err) : rc;
}

static int apply_sdk_flag(struct arguments *arguments, const struct sdk_flag *flag,
                          const char *value, struct err *err)
{
    if (flag->refused)
        return err_set(err, ERR_CONFIG, "%s is not supported by this version", flag->name);
    return flag->takes_value ? take_value(arguments, flag->name, "VALUE", &value, err) : 0;
}

static int apply_argument(struct arguments *arguments, struct config *config, struct err *err)
{
    const char *argument = arguments->words[arguments->at], *value;
    for (size_t i = 0; i < option_count; i++)
        if (options[i].flag != NULL && is_flag(argument, options[i].flag, &value))
            return apply_option(arguments, &options[i], value, config, err);
    for (size_t i = 0; i < SDK_FLAG_COUNT; i++)
        if (is_flag(argument, sdk_flags[i].name, &value))
            return apply_sdk_flag(arguments, &sdk_flags[i], value, err);
    if (config->unknown_argument == NULL)
        config->unknown_argument = argument;
    return 0;
}

/* An empty object counts as no test input, as in the SDK. */
static bool is_empty_object(slice text)
{
    slice name, value;
    size_t pos = 0;
    return json_check(text, NULL, NULL) == 0 && json_type(text) == RP_OBJECT &&
           !json_next_member(text, &pos, &name, &value);
}

int cli_parse(int argc, char **argv, struct config *config, enum cli_action *action,
              struct err *err)
{
    struct arguments arguments = { .count = argc, .at = 1, .words = argv };
    *action = CLI_RUN;
    for (; arguments.at < argc && strcmp(argv[arguments.at], "--") != 0; arguments.at++) {
        if (strcmp(argv[arguments.at], "--help") == 0)
            print_help();
        else if (strcmp(argv[arguments.at], "--version") == 0)
            puts(WORKER_USER_AGENT);
        else {
            int rc = apply_argument(&arguments, config, err);
            if (rc != 0)
                return rc;
            continue;
        }
        *action = CLI_DONE;
        return 0;
    }
    if (is_empty_object(config->test_input))
        config->test_input = (slice){ 0 };
    return 0;
}
