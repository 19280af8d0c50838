#include "app/cli.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/version.h"
#include "codec/json.h"

struct parse {
    struct config *config;
    enum cli_action *action;
    struct err *err;
};

struct flag_row {
    const char *name;
    const char *value_name; /* NULL where the flag takes no value */
    int (*apply)(const struct parse *parse, const char *name, const char *value);
    const char *help; /* NULL for what is accepted only because the SDK has it */
};

/* An empty object counts as no test input, as in the SDK. */
static bool is_empty_object(slice text)
{
    slice name, value;
    size_t pos = 0;
    return json_check(text, NULL, NULL) == 0 && json_type(text) == RP_OBJECT &&
           !json_next_member(text, &pos, &name, &value);
}

static int set_test_input(const struct parse *parse, const char *name, const char *value)
{
    (void)name;
    slice text = slice_from(value);
    parse->config->test_input = is_empty_object(text) ? (slice){ 0 } : text;
    return 0;
}

static int set_test_output(const struct parse *parse, const char *name, const char *value)
{
    (void)name;
    parse->config->test_output = slice_from(value);
    return 0;
}

static int set_log_level(const struct parse *parse, const char *name, const char *value)
{
    return config_set_log_level(parse->config, name, value, parse->err);
}

static int set_handler(const struct parse *parse, const char *name, const char *value)
{
    parse->config->handler_program = value;
    parse->config->handler_once = strcmp(name, "--handler-once") == 0;
    return 0;
}

static int set_handler_ready(const struct parse *parse, const char *name, const char *value)
{
    parse->config->handler_ready = strcmp(value, "line") == 0;
    return parse->config->handler_ready ? 0 : err_set(parse->err, ERR_CONFIG, "%s: line", name);
}

static int set_isolate(const struct parse *parse, const char *name, const char *value)
{
    (void)name;
    (void)value;
    parse->config->isolate = true;
    return 0;
}

static int set_pass_key(const struct parse *parse, const char *name, const char *value)
{
    (void)name;
    (void)value;
    parse->config->pass_api_key = true;
    return 0;
}

static int set_seconds(const struct parse *parse, const char *name, const char *value)
{
    char *end;
    double seconds = strtod(value, &end);
    int64_t ms = (int64_t)(seconds * 1000);
    if (*end != '\0' || !(seconds > 0 && seconds < 1e6))
        return err_set(parse->err, ERR_CONFIG, "%s must be a number of seconds", name);
    if (strcmp(name, "--execution-timeout") == 0)
        parse->config->execution_timeout_ms = ms;
    else if (strcmp(name, "--ready-timeout") == 0)
        parse->config->ready_timeout_ms = ms;
    else
        parse->config->kill_grace_ms = ms;
    return 0;
}

static int ignore(const struct parse *parse, const char *name, const char *value)
{
    (void)parse;
    (void)name;
    (void)value;
    return 0;
}

static int refuse(const struct parse *parse, const char *name, const char *value)
{
    (void)value;
    return err_set(parse->err, ERR_CONFIG, "%s is not supported by this version", name);
}

static int print_version(const struct parse *parse, const char *name, const char *value)
{
    (void)name;
    (void)value;
    puts(WORKER_USER_AGENT);
    *parse->action = CLI_DONE;
    return 0;
}

static int print_help(const struct parse *parse, const char *name, const char *value);

static const struct flag_row rows[] = {
    { "--test_input", "JSON", set_test_input, "run this one job here, print its result, exit" },
    { "--test_output", "JSON", set_test_output, "exit 1 unless the test's result equals this" },
    { "--handler", "PROGRAM", set_handler, "give jobs to this program, one a line" },
    { "--handler-once", "PROGRAM", set_handler, "start this program for each job" },
    { "--handler-ready", "line", set_handler_ready, "wait until it says {\"ready\": true}" },
    { "--isolate", NULL, set_isolate, "run the linked handler in a child process" },
    { "--execution-timeout", "S", set_seconds, "the longest a job may take" },
    { "--ready-timeout", "S", set_seconds, "the longest a program may take to be ready" },
    { "--kill-grace", "S", set_seconds, "from SIGTERM to SIGKILL" },
    { "--pass-api-key", NULL, set_pass_key, "leave RUNPOD_AI_API_KEY in its environment" },
    { "--rp_log_level", "LEVEL", set_log_level, "NOTSET TRACE DEBUG INFO WARN ERROR, or 0 to 5" },
    { "--rp_debugger", NULL, ignore, NULL },
    { "--rp_serve_api", NULL, refuse, NULL },
    { "--rp_api_host", "HOST", ignore, NULL },
    { "--rp_api_port", "PORT", ignore, NULL },
    { "--rp_api_concurrency", "N", ignore, NULL },
    { "--version", NULL, print_version, "print the version and exit" },
    { "--help", NULL, print_help, "print this and exit" },
};
#define ROW_COUNT (sizeof rows / sizeof rows[0])

static int print_help(const struct parse *parse, const char *name, const char *value)
{
    (void)name;
    (void)value;
    puts("A RunPod Serverless worker in one static binary, version " WORKER_VERSION ".\n\nFlags:");
    for (size_t i = 0; i < ROW_COUNT; i++) {
        char left[48];
        snprintf(left, sizeof left, "%s %s", rows[i].name,
                 rows[i].value_name != NULL ? rows[i].value_name : "");
        if (rows[i].help != NULL)
            printf("  %-22s %s\n", left, rows[i].help);
    }
    puts("\nVariables (the platform sets those it needs):\n"
         "  RUNPOD_WEBHOOK_GET_JOB, ..._POST_OUTPUT, ..._PING    URLs; without the first, the\n"
         "                         worker runs ./test_input.json\n"
         "  RUNPOD_AI_API_KEY, RUNPOD_POD_ID, RUNPOD_ENDPOINT_ID, RUNPOD_PING_INTERVAL (ms)\n"
         "  RUNPOD_LOG_LEVEL       as --rp_log_level\n"
         "  RP_MAX_RESULT_MB       largest result that is posted (20)\n"
         "  RP_RESULT_RETRY_S      how long a result is tried to be delivered (300)\n"
         "  RP_SHUTDOWN_GRACE_S    how long a running job may go on after SIGTERM (30)\n"
         "  SSL_CERT_FILE          PEM file of authorities, instead of the built-in ones\n"
         "  HTTPS_PROXY, HTTP_PROXY, NO_PROXY");
    *parse->action = CLI_DONE;
    return 0;
}

/* The row for an argument; *value is set to what follows '=' in it, or NULL. */
static const struct flag_row *find_row(const char *argument, const char **value)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        size_t len = strlen(rows[i].name);
        if (strncmp(argument, rows[i].name, len) != 0)
            continue;
        if (argument[len] != '\0' && argument[len] != '=')
            continue;
        *value = argument[len] == '=' ? argument + len + 1 : NULL;
        return &rows[i];
    }
    return NULL;
}

int cli_parse(int argc, char **argv, struct config *config, enum cli_action *action,
              struct err *err)
{
    const struct parse parse = { config, action, err };
    *action = CLI_RUN;
    for (int i = 1; i < argc && *action == CLI_RUN; i++) {
        const char *value;
        const struct flag_row *row = find_row(argv[i], &value);
        if (row == NULL)
            continue;
        if (row->value_name == NULL && value != NULL)
            return err_set(err, ERR_CONFIG, "%s takes no value", row->name);
        if (row->value_name != NULL && value == NULL) {
            if (i + 1 == argc)
                return err_set(err, ERR_CONFIG, "%s needs a value: %s", row->name, row->value_name);
            value = argv[++i];
        }
        int rc = row->apply(&parse, row->name, value);
        if (rc != 0)
            return rc;
    }
    return 0;
}
