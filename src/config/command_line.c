#include "config/command_line.h"

#include <unistd.h>

#include "base/io.h"
#include "base/version.h"
#include "config/help.h"
#include "config/options.h"
#include "json/json.h"

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
    const char *flag = option_text(option, OPTION_FLAG);
    if (option->kind == OPTION_SWITCH)
        return option_set(config, option, flag, value != NULL ? value : "1", err);
    if (option->kind == OPTION_CHOICE)
        return option_set(config, option, flag, value != NULL ? value : "", err);
    int rc = take_value(arguments, flag, option_text(option, OPTION_VALUE_NAME), &value, err);
    return rc == 0 ? option_set(config, option, flag, value, err) : rc;
}

static int apply_argument(struct arguments *arguments, struct config *config, struct err *err)
{
    const char *argument = arguments->words[arguments->at], *value;
    for (size_t i = 0; i < option_count; i++) {
        const char *flag = option_text(&options[i], OPTION_FLAG);
        if (flag[0] != '\0' && is_flag(argument, flag, &value))
            return apply_option(arguments, &options[i], value, config, err);
    }
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

static int print_help(const struct config *config, const char *topic, struct err *err)
{
    struct buf text;
    buf_init(&text, LIMIT_MIB, "help");
    int rc = help_put(&text, config, topic, err);
    if (rc == 0)
        io_write_all(STDOUT_FILENO, buf_slice(&text)); /* a failure could not be reported */
    buf_free(&text);
    return rc;
}

static void print_version(void)
{
    io_write_all(STDOUT_FILENO, SLICE_LITERAL(WORKER_USER_AGENT "\n"));
}

/* --help takes its topic after '=' or as the next argument, if that is not a flag. */
static int apply_help(const struct arguments *arguments, const struct config *config,
                      const char *topic, struct err *err)
{
    int next = arguments->at + 1;
    if (topic == NULL && next < arguments->count && arguments->words[next][0] != '-')
        topic = arguments->words[next];
    return print_help(config, topic, err);
}

int command_line_parse(int argc, char **argv, struct config *config,
                       enum command_line_action *action, struct err *err)
{
    struct arguments arguments = { .count = argc, .at = 1, .words = argv };
    const char *value;
    *action = COMMAND_LINE_RUN;
    for (; arguments.at < argc && strcmp(argv[arguments.at], "--") != 0; arguments.at++) {
        if (is_flag(argv[arguments.at], "--help", &value)) {
            *action = COMMAND_LINE_DONE;
            return apply_help(&arguments, config, value, err);
        }
        if (strcmp(argv[arguments.at], "--version") == 0) {
            *action = COMMAND_LINE_DONE;
            print_version();
            return 0;
        }
        int rc = apply_argument(&arguments, config, err);
        if (rc != 0)
            return rc;
    }
    if (is_empty_object(config->test_input))
        config->test_input = (slice){ 0 };
    return 0;
}
