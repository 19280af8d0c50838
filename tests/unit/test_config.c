/* config/: options, environment and command line as a configuration, and the text of --help. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "config/command_line.h"
#include "config/environment.h"
#include "config/help.h"
#include "config/options.h"
#include "config/secrets.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct option *by_variable(const char *name)
{
    for (size_t i = 0; i < option_count; i++)
        if (strcmp(option_text(&options[i], OPTION_VARIABLE), name) == 0)
            return &options[i];
    fail_msg("no option %s", name);
    return NULL;
}

/* --- one value ----------------------------------------------------------------------------- */

static const struct value {
    const char *variable;
    const char *text;
    int64_t expected; /* -1: refused */
} values[] = {
    { "RP_CONCURRENCY", "1", 1 },
    { "RP_CONCURRENCY", "1000", 1000 },
    { "RP_CONCURRENCY", "007", 7 },
    { "RP_CONCURRENCY", "0", -1 },
    { "RP_CONCURRENCY", "1001", -1 },
    { "RP_CONCURRENCY", "", -1 },
    { "RP_CONCURRENCY", "-1", -1 },
    { "RP_CONCURRENCY", "+1", -1 },
    { "RP_CONCURRENCY", "1.0", -1 },
    { "RP_CONCURRENCY", " 1", -1 },
    { "RP_CONCURRENCY", "1e2", -1 },
    { "RP_CONCURRENCY", "18446744073709551617", -1 },
    { "RP_RESULT_RETRY_S", "0", 0 },
    { "RP_RESULT_RETRY_S", "86400", 86400000 },
    { "RP_RESULT_RETRY_S", "86401", -1 },
    { "RP_MAX_RESULT_MB", "20", 20000000 },
    { "RP_KILL_GRACE", "0", 0 },
    { "RP_KILL_GRACE", "0.125", 125 },
    { "RP_KILL_GRACE", "0.1250000", 125 },
    { "RP_KILL_GRACE", "2.5", 2500 },
    { "RP_KILL_GRACE", "3600.000", 3600000 },
    { "RP_KILL_GRACE", "3600.001", -1 },
    { "RP_KILL_GRACE", "0.0001", -1 },
    { "RP_KILL_GRACE", "1.0019", -1 },
    { "RP_KILL_GRACE", "1.00x", -1 },
    { "RP_KILL_GRACE", "1.999", 1999 },
    { "RP_KILL_GRACE", ".5", -1 },
    { "RP_KILL_GRACE", "5.", 5000 },
    { "RP_KILL_GRACE", "5s", -1 },
    { "RP_KILL_GRACE", "-1", -1 },
    { "RP_KILL_GRACE", "nan", -1 },
    { "RP_KILL_GRACE", "", -1 },
    { "RUNPOD_MIN_MEMORY_GB", "0.5", 500 },
    { "RUNPOD_MIN_MEMORY_GB", "999999999", -1 },
    { "RUNPOD_MIN_CUDA_VERSION", "12.2", 12020 },
    { "RUNPOD_MIN_CUDA_VERSION", "12.10", 12100 },
    { "RUNPOD_MIN_CUDA_VERSION", "12", 12000 },
    { "RUNPOD_MIN_CUDA_VERSION", "0.99", 990 },
    { "RUNPOD_MIN_CUDA_VERSION", "1000", 1000000 },
    { "RUNPOD_MIN_CUDA_VERSION", "1001", -1 },
    { "RUNPOD_MIN_CUDA_VERSION", "12.", -1 },
    { "RUNPOD_MIN_CUDA_VERSION", "12.100", -1 },
    { "RUNPOD_MIN_CUDA_VERSION", "12.2.1", -1 },
    { "RUNPOD_MIN_CUDA_VERSION", "v12", -1 },
    { "RUNPOD_MIN_CUDA_VERSION", "", -1 },
};

static void numbers_are_read_exactly_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(values); i++) {
        const struct value *each = &values[i];
        const struct option *option = by_variable(each->variable);
        struct config config = { 0 };
        struct err err = { 0 };
        int64_t *at = (int64_t *)(void *)((char *)&config + option->offset);
        *at = -2;
        int rc = option_set(&config, option, each->variable, each->text, &err);
        if (rc != (each->expected < 0 ? ERR_CONFIG : 0) ||
            *at != (each->expected < 0 ? -2 : each->expected))
            fail_msg("%s=%s: %d, %lld", each->variable, each->text, rc, (long long)*at);
        if (rc != 0) {
            assert_non_null(strstr(err.text, each->variable));
            assert_non_null(strstr(err.text, "must be"));
        }
    }
}

/* What users rely on: the least and the most that each number may be, and what it is unset. */
static const struct range {
    const char *name; /* its variable; its flag where it has none */
    int64_t min, max, unset;
    int64_t unit; /* of the above: 1000 for seconds that are kept in ms */
} ranges[] = {
    { "--rp_api_port", 0, 65535, 8000, 1 },
    { "--rp_api_concurrency", 1, 1000, 0, 1 },
    { "RP_HANDLER_JOBS", 1, 1000, 1, 1 },
    { "RP_HANDLER_READY_TIMEOUT", 0, 86400, 420, 1000 },
    { "RUNPOD_INIT_TIMEOUT", 0, 86400, 0, 1000 },
    { "RP_HANDLER_DEATHS", 1, 1000, 5, 1 },
    { "RP_KILL_GRACE", 0, 3600, 5, 1000 },
    { "RP_CONCURRENCY", 1, 1000, 0, 1 },
    { "RP_EXECUTION_TIMEOUT", 0, 86400, 0, 1000 },
    { "RP_STREAM_INTERVAL", 0, 60000, 50, 1 },
    { "RP_HANDLER_CONNECT_TIMEOUT", 1, 86400, 10, 1000 },
    { "RP_HANDLER_FIRST_BYTE_TIMEOUT", 0, 86400, 0, 1000 },
    { "RP_HANDLER_IDLE_TIMEOUT", 0, 86400, 0, 1000 },
    { "RP_HANDLER_UNHEALTHY_TIMEOUT", 1, 86400, 60, 1000 },
    { "RP_HANDLER_CONCURRENCY_INTERVAL", 100, 3600000, 5000, 1 },
    { "RP_HANDLER_FAILURES", 0, 100000, 10, 1 },
    { "RUNPOD_PING_INTERVAL", 100, 3600000, 10000, 1 },
    { "RUNPOD_REALTIME_PORT", 0, 65535, 0, 1 },
    { "RUNPOD_REALTIME_CONCURRENCY", 1, 1000, 0, 1 },
    { "RP_REALTIME_MEMORY_MB", 1, 1000000, 256, 1000000 },
    { "RP_MAX_RESULT_MB", 1, 1000, 20, 1000000 },
    { "RP_RESULT_RETRY_S", 0, 86400, 300, 1000 },
    { "RP_SHUTDOWN_GRACE_S", 0, 86400, -1, 1000 },
    { "RP_FITNESS_TIMEOUT", 0, 86400, 60, 1000 },
    { "RUNPOD_MIN_MEMORY_GB", 0, 1000000, 4, 1000 },
    { "RUNPOD_MIN_DISK_PERCENT", 0, 100, 10, 1000 },
    { "RUNPOD_NETWORK_CHECK_TIMEOUT", 1, 3600, 5, 1000 },
    { "RP_METRICS_PORT", 0, 65535, -1, 1 },
    { "RP_UPLOAD_ABOVE", 0, 1000, 0, 1000 },
    { "RUNPOD_GPU_TEST_TIMEOUT", 1, 3600, 30, 1000 },
    { "RUNPOD_GPU_BENCHMARK_TIMEOUT", 1, 3600, 2, 1000 },
};

/* What the option is once it is set to that number; -2: it was refused. */
static int64_t set_to(const struct option *option, int64_t number)
{
    char text[32];
    struct config config = { 0 };
    struct err err = { 0 };
    snprintf(text, sizeof text, "%lld", (long long)number);
    if (option_set(&config, option, "X", text, &err) != 0)
        return -2;
    return *(int64_t *)(void *)((char *)&config + option->offset);
}

static void numbers_have_their_range_and_default(void **state)
{
    struct config config = { 0 };
    struct err err = { 0 };
    size_t count = 0;
    (void)state;
    assert_int_equal(config_from_environment(&config, &err), 0);
    for (size_t i = 0; i < COUNT(ranges); i++) {
        const struct range *each = &ranges[i];
        const struct option *option = each->name[0] == '-' ? option_find(each->name)
                                                           : by_variable(each->name);
        int64_t unset = *(int64_t *)(void *)((char *)&config + option->offset);
        if (set_to(option, each->min) != each->min * each->unit ||
            set_to(option, each->max) != each->max * each->unit ||
            (each->min > 0 && set_to(option, each->min - 1) != -2) ||
            set_to(option, each->max + 1) != -2)
            fail_msg("%s: another range", each->name);
        if (unset != each->unset * each->unit)
            fail_msg("%s: %lld", each->name, (long long)unset);
    }
    for (size_t i = 0; i < option_count; i++)
        count += options[i].kind == OPTION_NUMBER || options[i].kind == OPTION_DECIMAL;
    assert_int_equal(COUNT(ranges), count); /* all of them */
}

static void switches_take_words(void **state)
{
    static const char *const on[] = { "1", "true", "TRUE", "yes", "on" };
    static const char *const off[] = { "0", "false", "No", "off" };
    static const char *const bad[] = { "", "2", "enable", "y", "1 " };
    const struct option *option = by_variable("RP_STREAM");
    struct config config = { 0 };
    struct err err;
    (void)state;
    for (size_t i = 0; i < COUNT(on); i++) {
        config.stream = false;
        assert_int_equal(option_set(&config, option, "RP_STREAM", on[i], &err), 0);
        assert_true(config.stream);
    }
    for (size_t i = 0; i < COUNT(off); i++) {
        config.stream = true;
        assert_int_equal(option_set(&config, option, "RP_STREAM", off[i], &err), 0);
        assert_false(config.stream);
    }
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(option_set(&config, option, "RP_STREAM", bad[i], &err), ERR_CONFIG);
}

/* The table: what --help and the parsers take for granted. */
static void options_are_consistent(void **state)
{
    (void)state;
    for (size_t i = 0; i < option_count; i++) {
        const struct option *option = &options[i];
        bool is_number = option->kind == OPTION_NUMBER || option->kind == OPTION_DECIMAL;
        const char *flag = option_text(option, OPTION_FLAG);
        const char *variable = option_text(option, OPTION_VARIABLE);
        assert_true(flag[0] != '\0' || variable[0] != '\0');
        assert_true(flag[0] == '\0' || strncmp(flag, "--", 2) == 0);
        assert_true(flag[0] == '\0' || option_text(option, OPTION_HELP)[0] != '\0');
        assert_true(option->topic < TOPIC_COUNT);
        if (flag[0] != '\0')
            assert_true((option_text(option, OPTION_VALUE_NAME)[0] == '\0') ==
                        (option->kind == OPTION_SWITCH || option->kind == OPTION_CHOICE));
        if (is_number) {
            assert_true(option->min <= option->max && option->unit >= 1);
            assert_true(option->fallback >= option->min || option->fallback == 0 ||
                        option->fallback == OPTION_NO_FALLBACK);
            assert_true(option->fallback <= option->max);
        }
        for (size_t k = i + 1; k < option_count; k++) {
            assert_true(flag[0] == '\0' ||
                        strcmp(flag, option_text(&options[k], OPTION_FLAG)) != 0);
            assert_true(variable[0] == '\0' ||
                        strcmp(variable, option_text(&options[k], OPTION_VARIABLE)) != 0);
        }
    }
}

/* --- the environment ------------------------------------------------------------------------ */

static int clear_environment(void **state)
{
    (void)state;
    clearenv();
    return 0;
}

static void defaults_come_from_the_table(void **state)
{
    struct config config = { 0 };
    struct err err = { 0 };
    (void)state;
    int64_t before_ms = clock_now_ms();
    assert_int_equal(config_from_environment(&config, &err), 0);
    assert_in_range(config.started_ms, before_ms, clock_now_ms());
    assert_int_equal(config.log_level, LOG_DEBUG);
    assert_true(config.result_max_bytes == 20000000);
    assert_true(config.result_retry_ms == 300000);
    assert_true(config.shutdown_grace_ms < 0); /* no limit */
    assert_true(config.ping_ms == 10000);
    assert_true(config.concurrency == 0 && config.execution_timeout_ms == 0);
    assert_true(config.fitness.min_memory_milli_gib == 4000);
    assert_true(config.gpu.min_cuda_version == 11080);
    assert_false(config.stream || config.log_json_lines || config.has_pod_id);
    assert_int_equal(config.take_url.len, 0);
    assert_null(config.handler.program);
    assert_int_equal(config.worker_id.len, RANDOM_UUID_BYTES - 1);
    assert_true(config_is_local(&config));
}

static void the_environment_sets_options(void **state)
{
    struct config config = { 0 };
    struct err err = { 0 };
    (void)state;
    setenv("RUNPOD_POD_ID", "pod-1", 1);
    setenv("RUNPOD_ENDPOINT_ID", "ep", 1);
    setenv("RP_HANDLER", "", 1); /* empty counts as not set */
    setenv("RP_CONCURRENCY", "4", 1);
    setenv("https_proxy", "http://p:1", 1);
    assert_int_equal(config_from_environment(&config, &err), 0);
    assert_true(slice_is(config.worker_id, "pod-1"));
    assert_true(config.has_pod_id && config.log_json_lines);
    assert_null(config.handler.program);
    assert_true(config.concurrency == 4);
    assert_string_equal(config.proxy.https_proxy, "http://p:1");
    setenv("RP_CONCURRENCY", "many", 1);
    assert_int_equal(config_from_environment(&config, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "RP_CONCURRENCY"));
}

static void the_older_log_variable_yields_to_the_newer(void **state)
{
    struct config config = { 0 };
    struct err err = { 0 };
    (void)state;
    setenv("RUNPOD_DEBUG_LEVEL", "WARN", 1);
    assert_int_equal(config_from_environment(&config, &err), 0);
    assert_int_equal(config.log_level, LOG_WARN);
    setenv("RUNPOD_LOG_LEVEL", "info", 1);
    assert_int_equal(config_from_environment(&config, &err), 0);
    assert_int_equal(config.log_level, LOG_INFO);
    unsetenv("RUNPOD_LOG_LEVEL");
    setenv("RUNPOD_DEBUG_LEVEL", "LOUD", 1);
    assert_int_equal(config_from_environment(&config, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "RUNPOD_DEBUG_LEVEL"));
}

static const struct check {
    const char *name, *value;
    const char *error; /* NULL: it is fine */
} checks[] = {
    { "RUNPOD_WEBHOOK_GET_JOB", "ftp://x/", "RUNPOD_WEBHOOK_GET_JOB" },
    { "RUNPOD_WEBHOOK_POST_OUTPUT", "not a url", "RUNPOD_WEBHOOK_POST_OUTPUT" },
    { "RUNPOD_WEBHOOK_POST_OUTPUT", "", "RUNPOD_WEBHOOK_POST_OUTPUT" },
    { "RUNPOD_WEBHOOK_POST_STREAM", "x:y", "RUNPOD_WEBHOOK_POST_STREAM" },
    { "RUNPOD_WEBHOOK_PING", "http://", "RUNPOD_WEBHOOK_PING" },
    { "RUNPOD_AI_API_KEY", "key\n", "byte 3" },
    { "RUNPOD_AI_API_KEY", "k\x7f", "byte 1" },
    { "RUNPOD_AI_API_KEY", "\x1fk", "byte 0" },
    { "RUNPOD_AI_API_KEY", "Bearer k", NULL },
    { "RUNPOD_AI_API_KEY", "k\xc3\xa4", NULL },
    { "RUNPOD_REALTIME_PORT", "80", "RUNPOD_ENDPOINT_ID" },
    { "HTTPS_PROXY", "socks5://p", "HTTPS_PROXY" },
    { "RUNPOD_POD_ID", "any\nthing", NULL },
};

static void what_cannot_be_used_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(checks); i++) {
        struct config config = { 0 };
        struct err err = { 0 };
        clearenv();
        setenv("RUNPOD_WEBHOOK_GET_JOB", "https://h/job-take/$ID", 1);
        setenv("RUNPOD_WEBHOOK_POST_OUTPUT", "https://h/job-done/$ID", 1);
        setenv(checks[i].name, checks[i].value, 1);
        assert_int_equal(config_from_environment(&config, &err), 0);
        int rc = config_check(&config, &err);
        assert_int_equal(rc, checks[i].error == NULL ? 0 : ERR_CONFIG);
        if (checks[i].error != NULL && strstr(err.text, checks[i].error) == NULL)
            fail_msg("%s=%s: %s", checks[i].name, checks[i].value, err.text);
    }
}

/* What is checked of a job API, by its key, its host and whether it is open. */
static void the_job_api_is_closed_to_others_without_a_key(void **state)
{
    static const struct {
        const char *host, *key;
        bool open, is_refused;
    } cases[] = {
        { "", "", false, false },          { "localhost", "", false, false },
        { "LocalHost", "", false, false }, { "127.0.0.1", "", false, false },
        { "127.9.9.9", "", false, false }, { "::1", "", false, false },
        { "[::1]", "", false, false },     { "ip6-localhost", "", false, false },
        { "0.0.0.0", "", false, true },    { "::", "", false, true },
        { "128.0.0.1", "", false, true },  { "7f00::1", "", false, true },
        { "host", "", false, true },       { "localhost.example", "", false, true },
        { "0.0.0.0", "", true, false },    { "0.0.0.0", "key", false, false },
        { "", "a key", false, true },      { "", "key\n", false, true },
        { "", "k\x7f", false, true },      { "", "!~", false, false },
        { "", "k\xc3\xa4", false, true },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct config config = { .api = { .serve = true,
                                          .host = slice_from(cases[i].host),
                                          .key = slice_from(cases[i].key),
                                          .open = cases[i].open } };
        struct err err = { 0 };
        if (config_check(&config, &err) != (cases[i].is_refused ? ERR_CONFIG : 0))
            fail_msg("host %s, key %s: %s", cases[i].host, cases[i].key, err.text);
    }
    struct config config = { .api.serve = true, .serve.on = true };
    struct err err = { 0 };
    assert_int_equal(config_check(&config, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "exclude each other"));
    config.serve.on = false;
    config.proxy.http_proxy = "ftp://p";
    assert_int_equal(config_check(&config, &err), ERR_CONFIG);
}

static void to_watch_takes_a_handler_of_its_own(void **state)
{
    struct config config = { .watch = true };
    struct err err = { 0 };
    (void)state;
    assert_int_equal(config_check(&config, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "--rp_serve_api"));
    config.api.serve = true;
    assert_int_equal(config_check(&config, &err), 0);
    config.handler.http = "http://127.0.0.1:1";
    assert_int_equal(config_check(&config, &err), ERR_CONFIG);
    config.handler.program = "/run";
    assert_int_equal(config_check(&config, &err), 0);
    config = (struct config){ .denied_downloads = "10.0.0.0/8, 10/8" };
    assert_int_equal(config_check(&config, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "--deny-downloads"));
}

static void ports_and_a_path_of_a_load_balancer(void **state)
{
    static const struct {
        const char *port, *health, *path;
        int read, read_health; /* -1: refused */
    } cases[] = {
        { NULL, NULL, NULL, LIMIT_SERVE_PORT, LIMIT_SERVE_PORT },
        { "8000", NULL, "/health", 8000, 8000 },
        { "8000", "8001", "/", 8000, 8001 },
        { "0", "65535", NULL, 0, 65535 },
        { "65536", NULL, NULL, -1, -1 },
        { "8000", "65536", NULL, 8000, -1 },
        { "", NULL, NULL, -1, -1 },
        { "80x", NULL, NULL, -1, -1 },
        { NULL, NULL, "health", -1, -1 },
        { NULL, NULL, "/a?b", -1, -1 },
        { NULL, NULL, "/a#b", -1, -1 },
        { NULL, NULL, "/a*", -1, -1 },
        { NULL, NULL, "/a b", -1, -1 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct config config = { .serve = { .on = true,
                                            .port_text = cases[i].port,
                                            .health_text = cases[i].health,
                                            .health_path = cases[i].path } };
        struct err err = { 0 };
        int rc = config_check(&config, &err);
        if (rc != (cases[i].read_health < 0 ? ERR_CONFIG : 0))
            fail_msg("case %zu: %s", i, err.text);
        if (rc == 0) {
            assert_int_equal(config.serve.port, cases[i].read);
            assert_int_equal(config.serve.health_port, cases[i].read_health);
            assert_string_equal(config.serve.health_path,
                                cases[i].path != NULL ? cases[i].path : "/ping");
        }
    }
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* One token, with white space around it, that a client can send. */
static void a_realtime_token_is_read(void **state)
{
    static const char *const cases[][2] = {
        { "token", "token" },  { " \r\n token\n", "token" },
        { "two words", NULL }, { "", NULL },
        { " \n", NULL },       { "t\xc3\xa4", NULL },
        { "!~\n", "!~" },      { "t\x7f", NULL },
    };
    char path[] = "/tmp/test-config-XXXXXX";
    (void)state;
    close(mkstemp(path));
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct config config = { .realtime_port = 80,
                                 .endpoint_id = SLICE_LITERAL("ep"),
                                 .realtime_token_file = path };
        struct err err = { 0 };
        write_file(path, cases[i][0]);
        int rc = config_check(&config, &err);
        if (rc != (cases[i][1] != NULL ? 0 : ERR_CONFIG))
            fail_msg("\"%s\": %s", cases[i][0], err.text);
        if (rc == 0) {
            write_file(path, "another");
            assert_true(slice_is(config.realtime_token, cases[i][1]));
        }
    }
    remove(path);
    struct config config = { .realtime_port = 80, .endpoint_id = SLICE_LITERAL("ep") };
    struct err err = { 0 };
    assert_int_equal(config_check(&config, &err), 0);
    config.realtime_token_file = path;
    assert_int_equal(config_check(&config, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "--realtime-token-file"));
    config.realtime_token_file = NULL;
    config.ping_url = SLICE_LITERAL("ftp://h");
    assert_int_equal(config_check(&config, &err), ERR_CONFIG);
    config.ping_url = (slice){ 0 };
    config.proxy.http_proxy = "ftp://p";
    assert_int_equal(config_check(&config, &err), ERR_CONFIG);
    config.proxy.http_proxy = NULL;
    config.realtime_token = SLICE_LITERAL("a b");
    assert_int_equal(config_check(&config, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "byte 1"));
}

/* In a child, since each file that is read is kept for good: the error, or 0 and the key. */
static void check_key_file(struct config config, const char *error, const char *key)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        struct err err = { 0 };
        int rc = config_read_files(&config, &err);
        bool good = error == NULL ? rc == 0
                                  : rc == ERR_CONFIG && strstr(err.text, error) != NULL &&
                                        strstr(err.text, "--api-key-file") != NULL;
        _exit(good && slice_is(config.api.key, key) ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void the_key_of_the_job_api_is_read(void **state)
{
    char path[] = "/tmp/test-config-XXXXXX";
    struct config config = { .api = { .key_file = path, .key = SLICE_LITERAL("before") } };
    (void)state;
    close(mkstemp(path));
    check_key_file(config, NULL, "before"); /* there is no job API */
    config.api.serve = true;
    check_key_file(config, "holds no key", "");
    write_file(path, " key\r\n");
    check_key_file(config, NULL, "key");
    remove(path);
    check_key_file(config, path, "");
    config.api.key_file = NULL;
    check_key_file(config, NULL, "before");
}

static void the_capture_and_the_version_are_read(void **state)
{
    static const char *const words[] = { "auto", "ALL", "off" };
    char version[LIMIT_VERSION_BYTES + 2];
    struct config config = { 0 };
    struct err err = { 0 };
    (void)state;
    for (size_t i = 0; i < COUNT(words); i++) {
        setenv("RUNPOD_LOG_CAPTURE", words[i], 1);
        assert_int_equal(config_from_environment(&config, &err), 0);
        assert_int_equal(config.log_capture, i);
    }
    setenv("RUNPOD_LOG_CAPTURE", "of", 1);
    assert_int_equal(config_from_environment(&config, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "RUNPOD_LOG_CAPTURE is \"of\""));
    unsetenv("RUNPOD_LOG_CAPTURE");
    memset(version, 'v', sizeof version);
    version[LIMIT_VERSION_BYTES + 1] = '\0';
    setenv("RP_CONTRACT_VERSION", version, 1);
    assert_int_equal(config_from_environment(&config, &err), ERR_CONFIG);
    setenv("RP_CONTRACT_VERSION", version + 1, 1);
    assert_int_equal(config_from_environment(&config, &err), 0);
    assert_int_equal(config.contract_version.len, LIMIT_VERSION_BYTES);
    unsetenv("RP_CONTRACT_VERSION");
    assert_int_equal(config_from_environment(&config, &err), 0);
    assert_true(config.contract_version.len > 0);
}

static void scratch_folders_are_chosen_or_the_usual(void **state)
{
    bool is_chosen = true;
    (void)state;
    assert_string_equal(environment_scratch_folder(&is_chosen), "/tmp");
    assert_false(is_chosen);
    setenv("TMPDIR", "", 1);
    setenv("RP_SCRATCH_DIR", "", 1);
    assert_string_equal(environment_scratch_folder(&is_chosen), "/tmp");
    setenv("TMPDIR", "/usual", 1);
    assert_string_equal(environment_scratch_folder(&is_chosen), "/usual");
    assert_false(is_chosen);
    setenv("RP_SCRATCH_DIR", "/chosen", 1);
    assert_string_equal(environment_scratch_folder(&is_chosen), "/chosen");
    assert_true(is_chosen);
}

/* --- parts that the program is built without ------------------------------------------------- */

static void variables_of_absent_parts(void **state)
{
    static const struct {
        const char *variable, *value;
        unsigned part;
        bool is_refused; /* others are set for every container */
    } cases[] = {
        { "RP_HANDLER", "/run", PART_PROGRAMS | PART_SERVERS, true },
        { "RUNPOD_REALTIME_PORT", "80", PART_REALTIME, true },
        { "RP_LIBCUDA", "/lib", PART_GPU, false },
        { "RUNPOD_MIN_CUDA_VERSION", "x", PART_GPU, false },
        { "RUNPOD_API_KEY", "key", PART_JOB_API, false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct config config = { .absent_parts = cases[i].part };
        struct err err = { 0 };
        clearenv();
        setenv(cases[i].variable, cases[i].value, 1);
        int rc = config_from_environment(&config, &err);
        if (rc != (cases[i].is_refused ? ERR_CONFIG : 0))
            fail_msg("%s: %s", cases[i].variable, err.text);
        if (rc != 0)
            assert_non_null(strstr(err.text, "is built without its part"));
        assert_int_equal(config.absent_parts, cases[i].part);
        assert_int_equal(config.api.key.len, 0);
    }
}

static void an_option_is_there_with_any_of_its_parts(void **state)
{
    const struct option option = { .parts = PART_GPU | PART_AUDIT }, plain = { .parts = 0 };
    struct config config = { .absent_parts = PART_GPU };
    struct err err;
    (void)state;
    assert_true(option_is_there(&option, &config) && option_is_there(&plain, &config));
    config.absent_parts = PART_GPU | PART_AUDIT;
    assert_false(option_is_there(&option, &config));
    assert_true(option_is_there(&plain, &config));
    assert_int_equal(option_refuse("--x", PART_GPU, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "set .gpu = &rp_gpu_part"));
    assert_non_null(strstr(err.text, "use build/worker-gpu"));
    assert_int_equal(option_refuse("--x", PART_STORAGE, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "set .storage = &rp_storage_part"));
    assert_null(strstr(err.text, "worker-gpu"));
    assert_int_equal(option_refuse("--sbom", PART_SBOM, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "bill of materials"));
}

/* Flags replace the variable, and are added to one another. */
static void lists_are_added_up(void **state)
{
    const struct option *option = option_find("--confine-read");
    struct config config = { 0 };
    struct config_list *list = &config.confine.read;
    struct err err;
    const char *variable = option_text(option, OPTION_VARIABLE);
    (void)state;
    assert_int_equal(option_set(&config, option, variable[0] ? variable : "RP_X", "v", &err), 0);
    assert_int_equal(list->count, 1);
    assert_string_equal(list->texts[0], "v");
    for (size_t i = 0; i < CONFIG_LIST_MAX; i++) {
        assert_int_equal(option_set(&config, option, "--confine-read", i == 0 ? "a" : "b", &err),
                         0);
        assert_int_equal(list->count, i + 1);
    }
    assert_string_equal(list->texts[0], "a");
    assert_string_equal(list->texts[1], "b");
    assert_int_equal(option_set(&config, option, "--confine-read", "c", &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "more than 32 times"));
    assert_int_equal(list->count, CONFIG_LIST_MAX);
}

/* --- secrets --------------------------------------------------------------------------------- */

static bool is_masked(const char *text)
{
    char copy[100];
    size_t len = strlen(text);
    memcpy(copy, text, len + 1);
    log_mask(copy, len);
    return strcmp(copy, text) != 0;
}

static void every_form_of_a_secret_is_masked(void **state)
{
    static const char *const secrets[] = {
        "platform-key",
        "realtime-token",
        "api-key-of-clients",
        "bucket-secret",
        "proxy%2Dpassword",
        "proxy-password", /* as written and decoded */
        "dXNlcjpwcm94eS1wYXNzd29yZA==",
        "second-password",
    };
    struct config config = { .api_key = SLICE_LITERAL("platform-key"),
                             .realtime_token = SLICE_LITERAL("realtime-token"),
                             .api.key = SLICE_LITERAL("api-key-of-clients"),
                             .proxy = { .https_proxy = "http://user:proxy%2Dpassword@p:1",
                                        .http_proxy = "http://user:second-password@p:1" } };
    (void)state;
    setenv("BUCKET_SECRET_ACCESS_KEY", "bucket-secret", 1);
    setenv("RUNPOD_API_KEY", "inherited-key", 1);
    for (size_t i = 0; i < COUNT(secrets); i++)
        assert_false(is_masked(secrets[i]));
    config_add_secrets(&config);
    for (size_t i = 0; i < COUNT(secrets); i++)
        if (!is_masked(secrets[i]))
            fail_msg("%s", secrets[i]);
    assert_false(is_masked("inherited-key")); /* another key is used */
    config = (struct config){ .proxy.http_proxy = "http://only-a-user@p:1" };
    config_add_secrets(&config);
    assert_true(is_masked("inherited-key"));
    assert_false(is_masked("only-a-user"));
}

static void a_local_test_needs_no_urls(void **state)
{
    struct config config = { 0 };
    struct err err = { 0 };
    (void)state;
    setenv("RUNPOD_WEBHOOK_GET_JOB", "nonsense", 1);
    setenv("RUNPOD_REALTIME_PORT", "8080", 1);
    assert_int_equal(config_from_environment(&config, &err), 0);
    config.test_input = SLICE_LITERAL("{\"input\": 1}");
    assert_true(config_is_local(&config) && !config_is_realtime(&config));
    assert_int_equal(config_check(&config, &err), 0);
    config.test_input = (slice){ 0 };
    assert_true(config_is_realtime(&config) && !config_is_local(&config));
}

/* --- the command line ------------------------------------------------------------------------ */

static int parse(struct config *config, struct err *err, int argc, ...)
{
    static char *argv[16];
    enum command_line_action action;
    va_list words;
    argv[0] = "worker";
    va_start(words, argc);
    for (int i = 1; i <= argc; i++)
        argv[i] = va_arg(words, char *);
    va_end(words);
    argv[argc + 1] = NULL;
    int rc = command_line_parse(argc + 1, argv, config, &action, err);
    assert_int_equal(action, COMMAND_LINE_RUN);
    return rc;
}

static void flags_override_the_environment(void **state)
{
    struct config config = { 0 };
    struct err err = { 0 };
    (void)state;
    setenv("RP_CONCURRENCY", "4", 1);
    setenv("RP_STREAM", "1", 1);
    assert_int_equal(config_from_environment(&config, &err), 0);
    assert_int_equal(
        parse(&config, &err, 4, "--concurrency=7", "--stream=0", "--handler", "/run me"), 0);
    assert_true(config.concurrency == 7);
    assert_false(config.stream);
    assert_string_equal(config.handler.program, "/run me");
    assert_int_equal(parse(&config, &err, 1, "--stream"), 0);
    assert_true(config.stream);
}

/* A choice takes its word after '=' alone: the next argument is not its own. */
static void a_choice_needs_no_word(void **state)
{
    struct config config = { 0 };
    struct err err = { 0 };
    (void)state;
    assert_int_equal(parse(&config, &err, 2, "--audit", "json"), 0);
    assert_string_equal(config.audit, "");
    assert_string_equal(config.unknown_argument, "json");
    assert_int_equal(parse(&config, &err, 1, "--audit=json"), 0);
    assert_string_equal(config.audit, "json");
    config = (struct config){ .absent_parts = PART_AUDIT };
    assert_int_equal(parse(&config, &err, 1, "--audit"), ERR_CONFIG);
    assert_non_null(strstr(err.text, "rp_audit_part"));
}

static void unknown_arguments_are_left_to_the_program(void **state)
{
    struct config config = { 0 };
    struct err err = { 0 };
    (void)state;
    assert_int_equal(parse(&config, &err, 4, "--model", "x", "--stream", "--streams"), 0);
    assert_true(config.stream);
    assert_string_equal(config.unknown_argument, "--model");
    config = (struct config){ 0 };
    assert_int_equal(parse(&config, &err, 3, "--", "--stream", "--rp_serve_api"), 0);
    assert_false(config.stream);
    assert_null(config.unknown_argument);
}

static void flags_that_cannot_be_used_are_named(void **state)
{
    struct config config = { 0 };
    struct err err = { 0 };
    (void)state;
    assert_int_equal(parse(&config, &err, 1, "--concurrency"), ERR_CONFIG);
    assert_non_null(strstr(err.text, "--concurrency needs a value: N"));
    assert_int_equal(parse(&config, &err, 2, "--concurrency", "0"), ERR_CONFIG);
    assert_non_null(strstr(err.text, "--concurrency"));
    assert_int_equal(parse(&config, &err, 1, "--stream=maybe"), ERR_CONFIG);
    assert_non_null(strstr(err.text, "--stream"));
    assert_int_equal(parse(&config, &err, 2, "--rp_api_port", "80"), 0);
    assert_int_equal(config.api.port, 80);
    assert_int_equal(parse(&config, &err, 1, "--rp_api_port"), ERR_CONFIG);
}

static void an_empty_object_is_no_test_input(void **state)
{
    struct config config = { 0 };
    struct err err = { 0 };
    (void)state;
    assert_int_equal(parse(&config, &err, 2, "--test_input", " { } "), 0);
    assert_int_equal(config.test_input.len, 0);
    assert_int_equal(parse(&config, &err, 2, "--test_input", "{\"input\": 1}"), 0);
    assert_true(slice_is(config.test_input, "{\"input\": 1}"));
    assert_int_equal(parse(&config, &err, 2, "--test_input", "{"), 0);
    assert_true(slice_is(config.test_input, "{"));
}

/* --- help ----------------------------------------------------------------------------------- */

static const char *help(const char *topic, struct buf *out)
{
    const struct config config = { 0 };
    struct err err = { 0 };
    buf_init(out, 1000000, "help");
    assert_int_equal(help_put(out, &config, topic, &err), 0);
    assert_int_equal(buf_add(out, "", 1, NULL), 0);
    return out->ptr;
}

static void assert_screen(const char *text, size_t max_lines)
{
    size_t lines = 0;
    for (const char *end; (end = strchr(text, '\n')) != NULL; text = end + 1, lines++)
        if ((size_t)(end - text) > HELP_LINE_CHARS)
            fail_msg("too long: %.*s", (int)(end - text), text);
    assert_true(lines <= max_lines);
}

static void every_option_is_in_the_help_of_its_topic(void **state)
{
    static const char *const topics[] = {
        [TOPIC_LOCAL] = "local",       [TOPIC_API] = "api",         [TOPIC_SERVE] = "serve",
        [TOPIC_HANDLERS] = "handlers", [TOPIC_SERVERS] = "servers", [TOPIC_PLATFORM] = "platform",
        [TOPIC_FILES] = "files",       [TOPIC_GPU] = "gpu",
    };
    struct buf overview, all;
    (void)state;
    assert_screen(help(NULL, &overview), 50);
    assert_screen(help("all", &all), 1000);
    for (size_t i = 0; i < option_count; i++) {
        const struct option *option = &options[i];
        struct buf text;
        const char *flag = option_text(option, OPTION_FLAG),
                   *told = option_text(option, OPTION_HELP);
        const char *variable = option_text(option, OPTION_VARIABLE);
        if (told[0] == '\0')
            continue;
        const char *name = flag[0] != '\0' ? flag : variable;
        assert_screen(help(topics[option->topic], &text), 50);
        assert_non_null(strstr(text.ptr, name));
        assert_non_null(strstr(text.ptr, told));
        assert_non_null(strstr(all.ptr, told));
        assert_non_null(strstr(text.ptr, variable));
        assert_true((strstr(overview.ptr, told) != NULL) == option->common);
        buf_free(&text);
    }
    for (size_t i = 0; i < COUNT(topics); i++)
        assert_non_null(strstr(overview.ptr, topics[i]));
    buf_free(&overview);
    buf_free(&all);
}

/* The help of an option begins in the same column, beside its name where there is room. */
static const char *after_help(const char *all, const struct option *option)
{
    enum { NAME_CHARS = 30, COLUMN = 33 };
    char beginning[300];
    const char *flag = option_text(option, OPTION_FLAG), *told = option_text(option, OPTION_HELP);
    const char *value = flag[0] != '\0' ? option_text(option, OPTION_VALUE_NAME) : "";
    int len = snprintf(beginning, sizeof beginning, "\n  %s%s%s",
                       flag[0] != '\0' ? flag : option_text(option, OPTION_VARIABLE),
                       value[0] != '\0' ? " " : "", value);
    if (len > NAME_CHARS + 3)
        snprintf(beginning + len, sizeof beginning - (size_t)len, "\n%*s%s", COLUMN, "", told);
    else
        snprintf(beginning + len, sizeof beginning - (size_t)len, "%*s%s", COLUMN + 1 - len, "",
                 told);
    const char *at = strstr(all, beginning);
    if (at == NULL)
        fail_msg("not in the help: %s", beginning);
    return at + strlen(beginning);
}

/* What the table knows beside it is on the same line where it fits. */
static void help_takes_no_more_lines_than_it_needs(void **state)
{
    size_t own_lines = 0, beside = 0;
    struct buf all;
    (void)state;
    help("all", &all);
    for (size_t i = 0; i < option_count; i++) {
        if (option_text(&options[i], OPTION_HELP)[0] == '\0')
            continue;
        const char *rest = after_help(all.ptr, &options[i]);
        size_t blanks = strspn(rest, "\n ");
        if (rest[blanks] != '(') { /* there is nothing beside */
            assert_int_equal(rest[0], '\n');
            continue;
        }
        assert_true(rest[blanks + 1] != ')');
        beside += rest[0] == ' ';
        if (rest[0] == ' ')
            continue;
        assert_int_equal(blanks, 34);
        assert_true(33 + strlen(option_text(&options[i], OPTION_HELP)) + 1 +
                        strcspn(rest + blanks, "\n") >
                    HELP_LINE_CHARS);
        own_lines++;
    }
    assert_true(own_lines > 5 && beside > 5);
    buf_free(&all);
}

/* Nor is its topic named. */
static void help_has_nothing_of_an_absent_part(void **state)
{
    const struct config config = { .absent_parts = PART_GPU };
    struct buf text;
    struct err err = { 0 };
    (void)state;
    buf_init(&text, 1000000, "help");
    assert_int_equal(help_put(&text, &config, "gpu", &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "--help gpu: this program is built without its part \"gpu\""));
    assert_int_equal(text.len, 0);
    assert_int_equal(help_put(&text, &config, NULL, &err), 0);
    assert_int_equal(buf_add(&text, "", 1, NULL), 0);
    assert_null(strstr(text.ptr, "gpu"));
    assert_null(strstr(text.ptr, "GPU"));
    buf_free(&text);
}

static void help_tells_range_and_default(void **state)
{
    struct buf text;
    (void)state;
    help("all", &text);
    assert_non_null(strstr(text.ptr, "(RP_KILL_GRACE; 0 to 3600 s; default 5)"));
    assert_non_null(strstr(text.ptr, "(RP_STREAM_INTERVAL; 0 to 60000 ms; default 50)"));
    assert_non_null(strstr(text.ptr, "(1 to 1000 MB; default 20)"));
    assert_non_null(strstr(text.ptr, "(RUNPOD_LOG_LEVEL; default DEBUG)"));
    assert_non_null(strstr(text.ptr, "(default 11.8)"));
    assert_non_null(strstr(text.ptr, "(RP_CONCURRENCY; 1 to 1000)"));
    buf_free(&text);
}

/* Names in a column of their own; what does not fit goes on in the next line. */
static void help_has_two_columns(void **state)
{
    static const char *const texts[] = {
        "\n  --stream                       the handler streams: its output comes in parts "
        "(RP_STREAM)\n",
        "\n  --handler-first-byte-timeout S until the first byte of the response; 0: no limit\n"
        "                                 (RP_HANDLER_FIRST_BYTE_TIMEOUT; 0 to 86400 s; default "
        "0)\n",
        "\n  --handler-concurrency-interval MS\n"
        "                                 the pause between two polls\n"
        "                                 (RP_HANDLER_CONCURRENCY_INTERVAL; ",
        "\n  --rp_api_port PORT             the port; 0: a free one, which the log names\n"
        "                                 (0 to 65535; default 8000)\n",
        "\n  RUNPOD_SKIP_AUTO_SYSTEM_CHECKS skip the checks of memory, disk, network and GPU\n",
        "\n  --handler-once PROGRAM         start this program once for each job "
        "(RP_HANDLER_ONCE)\n",
    };
    struct buf all, overview;
    (void)state;
    help("all", &all);
    for (size_t i = 0; i < COUNT(texts); i++)
        if (strstr(all.ptr, texts[i]) == NULL)
            fail_msg("not in the help: %s", texts[i]);
    help(NULL, &overview); /* without what is in parentheses */
    assert_non_null(strstr(overview.ptr, "\n  --stream                       the handler streams: "
                                         "its output comes in parts\n"));
    buf_free(&all);
    buf_free(&overview);
}

static void an_unknown_topic_names_the_topics(void **state)
{
    const struct config config = { 0 };
    struct buf text;
    struct err err = { 0 };
    (void)state;
    buf_init(&text, 1000000, "help");
    assert_int_equal(help_put(&text, &config, "nonsense", &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "nonsense"));
    assert_non_null(
        strstr(err.text, "local, api, serve, handlers, servers, platform, files, gpu or all"));
    assert_int_equal(help_put(&text, &config, "", &err), ERR_CONFIG);
    buf_free(&text);
}

#define IN_EMPTY_ENVIRONMENT(test) cmocka_unit_test_setup(test, clear_environment)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_exactly_or_refused),
        IN_EMPTY_ENVIRONMENT(numbers_have_their_range_and_default),
        cmocka_unit_test(switches_take_words),
        cmocka_unit_test(options_are_consistent),
        IN_EMPTY_ENVIRONMENT(defaults_come_from_the_table),
        IN_EMPTY_ENVIRONMENT(the_environment_sets_options),
        IN_EMPTY_ENVIRONMENT(the_older_log_variable_yields_to_the_newer),
        IN_EMPTY_ENVIRONMENT(what_cannot_be_used_is_named),
        IN_EMPTY_ENVIRONMENT(a_local_test_needs_no_urls),
        cmocka_unit_test(the_job_api_is_closed_to_others_without_a_key),
        cmocka_unit_test(to_watch_takes_a_handler_of_its_own),
        cmocka_unit_test(ports_and_a_path_of_a_load_balancer),
        cmocka_unit_test(a_realtime_token_is_read),
        cmocka_unit_test(the_key_of_the_job_api_is_read),
        IN_EMPTY_ENVIRONMENT(the_capture_and_the_version_are_read),
        IN_EMPTY_ENVIRONMENT(scratch_folders_are_chosen_or_the_usual),
        IN_EMPTY_ENVIRONMENT(variables_of_absent_parts),
        cmocka_unit_test(an_option_is_there_with_any_of_its_parts),
        cmocka_unit_test(lists_are_added_up),
        IN_EMPTY_ENVIRONMENT(every_form_of_a_secret_is_masked),
        IN_EMPTY_ENVIRONMENT(flags_override_the_environment),
        cmocka_unit_test(a_choice_needs_no_word),
        cmocka_unit_test(unknown_arguments_are_left_to_the_program),
        cmocka_unit_test(flags_that_cannot_be_used_are_named),
        cmocka_unit_test(an_empty_object_is_no_test_input),
        cmocka_unit_test(every_option_is_in_the_help_of_its_topic),
        cmocka_unit_test(help_takes_no_more_lines_than_it_needs),
        cmocka_unit_test(help_has_nothing_of_an_absent_part),
        cmocka_unit_test(help_tells_range_and_default),
        cmocka_unit_test(help_has_two_columns),
        cmocka_unit_test(an_unknown_topic_names_the_topics),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
