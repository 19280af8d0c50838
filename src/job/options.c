#include "job/options.h"

#include <stdlib.h>

#include "base/limits.h"

#define AT(member) offsetof(struct config, member)

/* clang-format off */
const struct option options[] = {
    { "--test_input", NULL, OPTION_SLICE, AT(test_input), .value_name = "JSON",
      .help = "run this one job here, print its result, exit" },
    { "--test_output", NULL, OPTION_SLICE, AT(test_output), .value_name = "JSON",
      .help = "exit 1 unless the test's result equals this" },
    { "--concurrency", "RP_CONCURRENCY", OPTION_NUMBER, AT(concurrency), 1, LIMIT_CONCURRENCY, 1, 0,
      "N", "jobs that run at the same time (1)" },
    { "--handler", "RP_HANDLER", OPTION_TEXT, AT(handler.program), .value_name = "PROGRAM",
      .help = "give jobs to this program, one a line" },
    { "--handler-once", "RP_HANDLER_ONCE", OPTION_TEXT, AT(handler.once), .value_name = "PROGRAM",
      .help = "start this program for each job" },
    { "--handler-http", "RP_HANDLER_HTTP", OPTION_TEXT, AT(handler.http), .value_name = "URL",
      .help = "pass jobs to this server, which --handler starts if given" },
    { "--handler-ready", "RP_HANDLER_READY", OPTION_TEXT, AT(handler.ready), .value_name = "HOW",
      .help = "no job before: line: {\"ready\": true}; /PATH: 2xx (/health)" },
    { "--handler-ready-timeout", "RP_HANDLER_READY_TIMEOUT", OPTION_DECIMAL,
      AT(handler.ready_timeout_ms), 0, 86400, 1000, LIMIT_CHILD_READY_S, "S",
      "how long that may take (600)" },
    { "--handler-deaths", "RP_HANDLER_DEATHS", OPTION_NUMBER, AT(handler.deaths), 1, 1000, 1,
      LIMIT_CHILD_DEATHS, "N", "end the worker after so many deaths in a row (5)" },
    { "--handler-connect-timeout", "RP_HANDLER_CONNECT_TIMEOUT", OPTION_DECIMAL,
      AT(handler.connect_ms), 1, 86400, 1000, LIMIT_SERVER_CONNECT_S, "S",
      "reach the server (10)" },
    { "--handler-first-byte-timeout", "RP_HANDLER_FIRST_BYTE_TIMEOUT", OPTION_DECIMAL,
      AT(handler.first_byte_ms), 1, 86400, 1000, LIMIT_SERVER_FIRST_BYTE_S, "S",
      "wait for its answer (300)" },
    { "--handler-idle-timeout", "RP_HANDLER_IDLE_TIMEOUT", OPTION_DECIMAL, AT(handler.idle_ms), 1,
      86400, 1000, LIMIT_SERVER_PAUSE_S, "S",
      "silence within it (60)" },
    { "--handler-unhealthy-timeout", "RP_HANDLER_UNHEALTHY_TIMEOUT", OPTION_DECIMAL,
      AT(handler.unhealthy_ms), 1, 86400, 1000, LIMIT_SERVER_UNHEALTHY_S, "S",
      "replace a server that is unhealthy for so long (60)" },
    { "--handler-binary", "RP_HANDLER_BINARY", OPTION_SWITCH, AT(handler.binary),
      .help = "pass on bytes that are no text, as base64" },
    { "--served-model", "RP_SERVED_MODEL", OPTION_TEXT, AT(handler.served_model),
      .value_name = "NAME", .help = "the model of requests that name none (/v1/models)" },
    { "--stream-interval", "RP_STREAM_INTERVAL", OPTION_NUMBER, AT(handler.stream_interval_ms), 0,
      60000, 1, LIMIT_STREAM_INTERVAL_MS, "MS", "gather a stream's events for so long (50)" },
    { "--kill-grace", "RP_KILL_GRACE", OPTION_DECIMAL, AT(handler.kill_grace_ms), 0, 3600,
      1000, LIMIT_CHILD_GRACE_S, "S", "from SIGTERM to SIGKILL for the program (5)" },
    { "--fitness", "RP_FITNESS", OPTION_TEXT, AT(fitness.program), .value_name = "PROGRAM",
      .help = "take no job unless this program ends with status 0" },
    { "--fitness-timeout", "RP_FITNESS_TIMEOUT", OPTION_DECIMAL, AT(fitness.program_timeout_ms), 0,
      86400, 1000, LIMIT_FITNESS_S, "S", "how long that may take (60)" },
    { "--isolate", "RP_ISOLATE", OPTION_SWITCH, AT(handler.isolate),
      .help = "run the linked handler in a process of its own" },
    { "--pass-api-key", "RP_PASS_API_KEY", OPTION_SWITCH, AT(handler.pass_api_key),
      .help = "leave RUNPOD_AI_API_KEY in the program's environment" },
    { "--stream", "RP_STREAM", OPTION_SWITCH, AT(stream),
      .help = "the handler streams: its output comes in parts" },
    { "--aggregate-stream", "RP_AGGREGATE_STREAM", OPTION_SWITCH, AT(aggregate_stream),
      .help = "the parts of a stream are also the job's output" },
    { "--refresh-worker", "RP_REFRESH_WORKER", OPTION_SWITCH, AT(refresh_worker),
      .help = "end after one job and be replaced by a fresh worker" },
    { "--execution-timeout", "RP_EXECUTION_TIMEOUT", OPTION_DECIMAL, AT(execution_timeout_ms), 0,
      86400, 1000, 0, "S", "fail a job that runs longer, in seconds (0: no limit)" },
    { NULL, "RP_MAX_RESULT_MB", OPTION_NUMBER, AT(result_max_bytes), 1, 1000, 1000000,
      LIMIT_RESULT_MB, "MB", "largest result that is posted (20)" },
    { NULL, "RP_RESULT_RETRY_S", OPTION_NUMBER, AT(result_retry_ms), 0, 86400, 1000,
      LIMIT_RESULT_RETRY_S, "S", "how long a result is tried to be delivered (300)" },
    { NULL, "RP_SHUTDOWN_GRACE_S", OPTION_NUMBER, AT(shutdown_grace_ms), 0, 86400, 1000,
      LIMIT_SHUTDOWN_GRACE_S, "S", "how long jobs may go on after SIGTERM (30)" },
    { "--result-dir", "RP_RESULT_DIR", OPTION_TEXT, AT(result_dir), .value_name = "DIR",
      .help = "keep results that cannot be delivered, send them at the next start" },
    { "--rp_debugger", NULL, OPTION_SWITCH, AT(debugger),
      .help = "add checkpoints and system information to results" },
    { "--rp_log_level", "RUNPOD_LOG_LEVEL", OPTION_LEVEL, AT(log_level), .value_name = "LEVEL",
      .help = "NOTSET TRACE DEBUG INFO WARN ERROR, or 0 to 5" },

    /* The platform's. */
    { .variable = "RUNPOD_WEBHOOK_GET_JOB", .kind = OPTION_SLICE, .offset = AT(take_url) },
    { .variable = "RUNPOD_WEBHOOK_POST_OUTPUT", .kind = OPTION_SLICE, .offset = AT(output_url) },
    { .variable = "RUNPOD_WEBHOOK_POST_STREAM", .kind = OPTION_SLICE, .offset = AT(stream_url) },
    { .variable = "RUNPOD_WEBHOOK_PING", .kind = OPTION_SLICE, .offset = AT(ping_url) },
    { .variable = "RUNPOD_PING_INTERVAL", .kind = OPTION_NUMBER, .offset = AT(ping_ms), .min = 100,
      .max = 3600000, .unit = 1, .fallback = LIMIT_PING_MS },
    { .variable = "RUNPOD_AI_API_KEY", .kind = OPTION_SLICE, .offset = AT(api_key) },
    { .variable = "RUNPOD_POD_ID", .kind = OPTION_SLICE, .offset = AT(worker_id) },
    { .variable = "RUNPOD_POD_HOSTNAME", .kind = OPTION_SLICE, .offset = AT(pod_hostname) },
    { .variable = "RUNPOD_ENDPOINT_ID", .kind = OPTION_SLICE, .offset = AT(endpoint_id) },
    { NULL, "RUNPOD_REALTIME_PORT", OPTION_NUMBER, AT(realtime_port), 0, 65535, 1, 0, "PORT",
      "serve POST /<endpoint id>/realtime here instead of polling" },
    { NULL, "RUNPOD_REALTIME_CONCURRENCY", OPTION_NUMBER, AT(realtime_concurrency), 1,
      LIMIT_CONCURRENCY, 1, 0, "N", "jobs at the same time there (as --concurrency)" },

    /* Fitness checks. */
    { .variable = "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS", .kind = OPTION_SWITCH,
      .offset = AT(fitness.skip) },
    { .variable = "RUNPOD_MIN_MEMORY_GB", .kind = OPTION_DECIMAL,
      .offset = AT(fitness.min_memory_milli_gib), .max = 1000000, .unit = 1000, .fallback = 4 },
    { .variable = "RUNPOD_MIN_DISK_PERCENT", .kind = OPTION_DECIMAL,
      .offset = AT(fitness.min_disk_milli_percent), .max = 100, .unit = 1000, .fallback = 10 },
    { .variable = "RUNPOD_NETWORK_CHECK_TIMEOUT", .kind = OPTION_NUMBER,
      .offset = AT(fitness.network_timeout_ms), .min = 1, .max = 3600, .unit = 1000,
      .fallback = 5 },

    /* The GPU, in programs that are linked with it (rp_gpu.h). */
    { "--libcuda", "RP_LIBCUDA", OPTION_TEXT, AT(gpu.libcuda), .value_name = "PATH",
      .help = "the GPU driver's libcuda.so.1, or its folder" },
    { "--gpu-info", NULL, OPTION_SWITCH, AT(gpu.info),
      .help = "print the GPU driver and its devices, exit: 0, 3 no driver, 4 no device" },
    { "--json", NULL, OPTION_SWITCH, AT(gpu.info_json), .help = "the same as JSON" },
    { .variable = "RUNPOD_SKIP_GPU_CHECK", .kind = OPTION_SWITCH, .offset = AT(gpu.skip_check) },
    { .variable = "RUNPOD_MIN_CUDA_VERSION", .kind = OPTION_VERSION,
      .offset = AT(gpu.min_cuda_version), .max = 1000, .unit = 1, .fallback = 11080 },
    { .variable = "RUNPOD_GPU_BENCHMARK_TIMEOUT", .kind = OPTION_NUMBER,
      .offset = AT(gpu.benchmark_ms), .min = 1, .max = 3600, .unit = 1000, .fallback = 2 },
    { .variable = "RUNPOD_GPU_TEST_TIMEOUT", .kind = OPTION_NUMBER, .offset = AT(gpu.test_ms),
      .min = 1, .max = 3600, .unit = 1000, .fallback = 30 },

    /* Known everywhere. */
    { NULL, "SSL_CERT_FILE", OPTION_TEXT, AT(ca_file), .value_name = "FILE",
      .help = "PEM file of authorities, instead of the built-in ones" },
    { .variable = "HTTPS_PROXY", .kind = OPTION_TEXT, .offset = AT(proxy.https_proxy) },
    { .variable = "https_proxy", .kind = OPTION_TEXT, .offset = AT(proxy.https_proxy) },
    { .variable = "HTTP_PROXY", .kind = OPTION_TEXT, .offset = AT(proxy.http_proxy) },
    { .variable = "http_proxy", .kind = OPTION_TEXT, .offset = AT(proxy.http_proxy) },
    { .variable = "NO_PROXY", .kind = OPTION_TEXT, .offset = AT(proxy.no_proxy) },
    { .variable = "no_proxy", .kind = OPTION_TEXT, .offset = AT(proxy.no_proxy) },
};
/* clang-format on */
const size_t option_count = sizeof options / sizeof options[0];

const struct option *option_find(const char *flag)
{
    const struct option *option = options;
    while (option->flag == NULL || strcmp(option->flag, flag) != 0)
        option++;
    return option;
}

static void *field(struct config *config, const struct option *option)
{
    return (char *)config + option->offset;
}

static int set_number(int64_t *out, const struct option *option, const char *name,
                      const char *value, struct err *err)
{
    int64_t number = *value == '\0' ? option->max + 1 : 0;
    for (const char *at = value; *at != '\0' && number <= option->max; at++)
        number = *at >= '0' && *at <= '9' ? number * 10 + (*at - '0') : option->max + 1;
    if (number < option->min || number > option->max)
        return err_set(err, ERR_CONFIG,
                       "%s is \"%.64s\"; it must be a whole number from %lld to %lld", name, value,
                       (long long)option->min, (long long)option->max);
    *out = number * option->unit;
    return 0;
}

/* Up to three decimals after a dot, in thousandths; zeros may follow. -1 for anything else. */
static int64_t read_thousandths(const char *at)
{
    int64_t value = 0, unit = 1000;
    for (at++; *at >= '0' && *at <= '9' && unit > 1; at++)
        value += (*at - '0') * (unit /= 10);
    return at[strspn(at, "0")] == '\0' ? value : -1;
}

/* "4", "4.0", "0.125": in thousandths, without going through a binary fraction. */
static int set_decimal(int64_t *out, const struct option *option, const char *name,
                       const char *value, struct err *err)
{
    size_t digits = strspn(value, "0123456789");
    const char *rest = value + digits;
    int64_t thousandths = *rest == '.' ? read_thousandths(rest) : *rest == '\0' ? 0 : -1;
    bool valid = digits > 0 && digits <= 9 && thousandths >= 0;
    int64_t number = valid ? strtoll(value, NULL, 10) * 1000 + thousandths : -1;
    if (number < option->min * 1000 || number > option->max * 1000)
        return err_set(err, ERR_CONFIG, "%s is \"%.64s\"; it must be a number from %lld to %lld",
                       name, value, (long long)option->min, (long long)option->max);
    *out = number;
    return 0;
}

/* MAJOR, or MAJOR.MINOR: no decimal fraction, 12.10 is later than 12.9. */
static int set_version(int64_t *out, const struct option *option, const char *name,
                       const char *value, struct err *err)
{
    char *end = NULL;
    bool valid = value[0] >= '0' && value[0] <= '9';
    long long major = valid ? strtoll(value, &end, 10) : -1, minor = 0;
    if (valid && *end == '.') {
        valid = end[1] >= '0' && end[1] <= '9';
        minor = valid ? strtoll(end + 1, &end, 10) : 0;
    }
    if (!valid || *end != '\0' || major > option->max || minor > 99)
        return err_set(err, ERR_CONFIG, "%s is \"%.64s\"; it must be a version such as 11.8", name,
                       value);
    *out = major * 1000 + minor * 10;
    return 0;
}

static int set_switch(bool *out, const char *name, const char *value, struct err *err)
{
    static const char *const words[] = { "0", "1", "false", "true", "no", "yes", "off", "on" };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcasecmp(value, words[i]) == 0) {
            *out = i % 2 == 1;
            return 0;
        }
    }
    return err_set(err, ERR_CONFIG, "%s is \"%.32s\"; it must be 1 or 0 (or true, yes, on, ...)",
                   name, value);
}

static int set_level(enum log_level *out, const char *name, const char *value, struct err *err)
{
    if (log_parse_level(slice_from(value), out))
        return 0;
    return err_set(err, ERR_CONFIG,
                   "%s is \"%.32s\"; it must be NOTSET, TRACE, DEBUG, INFO, WARN, ERROR or 0 to 5",
                   name, value);
}

int option_set(struct config *config, const struct option *option, const char *name,
               const char *value, struct err *err)
{
    void *out = field(config, option);
    switch (option->kind) {
    case OPTION_SLICE: *(slice *)out = slice_from(value); return 0;
    case OPTION_TEXT: *(const char **)out = value; return 0;
    case OPTION_NUMBER: return set_number(out, option, name, value, err);
    case OPTION_DECIMAL: return set_decimal(out, option, name, value, err);
    case OPTION_VERSION: return set_version(out, option, name, value, err);
    case OPTION_SWITCH: return set_switch(out, name, value, err);
    case OPTION_LEVEL: return set_level(out, name, value, err);
    }
    return 0;
}

static void set_defaults(struct config *config)
{
    *config = (struct config){ .log_level = LOG_DEBUG };
    for (size_t i = 0; i < option_count; i++)
        if (options[i].kind == OPTION_NUMBER || options[i].kind == OPTION_DECIMAL ||
            options[i].kind == OPTION_VERSION)
            *(int64_t *)field(config, &options[i]) = options[i].fallback * options[i].unit;
}

int options_from_environment(struct config *config, struct err *err)
{
    set_defaults(config);
    for (size_t i = 0; i < option_count; i++) {
        const char *name = options[i].variable;
        const char *value = name != NULL ? getenv(name) : NULL;
        if (value == NULL || value[0] == '\0')
            continue;
        int rc = option_set(config, &options[i], name, value, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}
