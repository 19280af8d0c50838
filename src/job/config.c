#include "job/config.h"

#include <stdlib.h>

#include "base/limits.h"
#include "codec/url.h"

static slice from_environment(const char *name)
{
    return slice_from(getenv(name));
}

/* The small name wins over the capital one, as in curl. */
static const char *either_case(const char *small, const char *capital)
{
    const char *value = getenv(small);
    return value != NULL && value[0] != '\0' ? value : getenv(capital);
}

/* A whole number in a range, times `unit`; left as it is where the variable is not set. */
static int read_number(const char *name, int64_t min, int64_t max, int64_t unit, int64_t *value,
                       struct err *err)
{
    slice text = from_environment(name);
    if (text.len == 0)
        return 0;
    int64_t number = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c < '0' || c > '9' || number > max)
            number = max + 1;
        else
            number = number * 10 + (c - '0');
    }
    if (number < min || number > max)
        return err_set(err, ERR_CONFIG,
                       "%s is \"%.64s\"; it must be a whole number from %lld to %lld", name,
                       text.ptr, (long long)min, (long long)max);
    *value = number * unit;
    return 0;
}

static int read_numbers(struct config *config, struct err *err)
{
    int64_t result_mb = LIMIT_RESULT_MB, retry_s = LIMIT_RESULT_RETRY_S,
            grace_s = LIMIT_SHUTDOWN_GRACE_S, realtime_port = 0;
    config->ping_ms = LIMIT_PING_MS;
    int rc = read_number("RUNPOD_PING_INTERVAL", 100, 3600000, 1, &config->ping_ms, err);
    if (rc == 0)
        rc = read_number("RP_MAX_RESULT_MB", 1, 1000, 1, &result_mb, err);
    if (rc == 0)
        rc = read_number("RP_RESULT_RETRY_S", 0, 86400, 1, &retry_s, err);
    if (rc == 0)
        rc = read_number("RP_SHUTDOWN_GRACE_S", 0, 86400, 1, &grace_s, err);
    if (rc == 0)
        rc = read_number("RUNPOD_REALTIME_PORT", 0, 65535, 1, &realtime_port, err);
    if (rc == 0 && realtime_port != 0)
        rc = err_set(err, ERR_CONFIG,
                     "RUNPOD_REALTIME_PORT: realtime mode is not supported by this version");
    config->result_max_bytes = (size_t)result_mb * 1000000;
    config->result_retry_ms = retry_s * 1000;
    config->shutdown_grace_ms = grace_s * 1000;
    return rc;
}

int config_set_log_level(struct config *config, const char *name, const char *value,
                         struct err *err)
{
    if (log_parse_level(slice_from(value), &config->log_level))
        return 0;
    return err_set(err, ERR_CONFIG,
                   "%s is \"%.32s\"; it must be NOTSET, TRACE, DEBUG, INFO, WARN, ERROR or 0 to 5",
                   name, value);
}

static int read_log_level(struct config *config, struct err *err)
{
    static const char *const names[] = { "RUNPOD_LOG_LEVEL", "RUNPOD_DEBUG_LEVEL" };
    config->log_level = LOG_DEBUG;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);
        if (value != NULL && value[0] != '\0')
            return config_set_log_level(config, names[i], value, err);
    }
    return 0;
}

int config_from_environment(struct config *config, struct err *err)
{
    *config = (struct config){
        .take_url = from_environment("RUNPOD_WEBHOOK_GET_JOB"),
        .output_url = from_environment("RUNPOD_WEBHOOK_POST_OUTPUT"),
        .ping_url = from_environment("RUNPOD_WEBHOOK_PING"),
        .api_key = from_environment("RUNPOD_AI_API_KEY"),
        .worker_id = from_environment("RUNPOD_POD_ID"),
        .pod_hostname = from_environment("RUNPOD_POD_HOSTNAME"),
        .endpoint_id = from_environment("RUNPOD_ENDPOINT_ID"),
        .ca_file = getenv("SSL_CERT_FILE"),
        .proxy = { .https_proxy = either_case("https_proxy", "HTTPS_PROXY"),
                   .http_proxy = either_case("http_proxy", "HTTP_PROXY"),
                   .no_proxy = either_case("no_proxy", "NO_PROXY") },
    };
    config->has_pod_id = config->worker_id.len > 0;
    if (!config->has_pod_id) {
        random_uuid(config->random_id);
        config->worker_id = slice_from(config->random_id);
    }
    config->log_json_lines = config->endpoint_id.len > 0;
    int rc = read_log_level(config, err);
    return rc == 0 ? read_numbers(config, err) : rc;
}

static int check_url(const char *name, slice text, struct err *err)
{
    struct url url;
    if (text.len == 0 || url_parse(text, &url, err) == 0)
        return 0;
    err_wrap(err, "%s", name);
    return err->code = ERR_CONFIG;
}

/* The key is a field of every request: what cannot be one is a mistake, often a trailing newline. */
static int check_api_key(slice key, struct err *err)
{
    for (size_t i = 0; i < key.len; i++)
        if ((unsigned char)key.ptr[i] < 0x20 || key.ptr[i] == 0x7f)
            return err_set(err, ERR_CONFIG,
                           "RUNPOD_AI_API_KEY holds a control character at byte "
                           "%zu (a line break at its end?)",
                           i);
    return 0;
}

int config_check(const struct config *config, struct err *err)
{
    int rc = check_api_key(config->api_key, err);
    if (rc != 0 || config_is_local(config))
        return rc;
    rc = check_url("RUNPOD_WEBHOOK_GET_JOB", config->take_url, err);
    if (rc == 0)
        rc = check_url("RUNPOD_WEBHOOK_POST_OUTPUT", config->output_url, err);
    if (rc == 0)
        rc = check_url("RUNPOD_WEBHOOK_PING", config->ping_url, err);
    if (rc == 0 && config->output_url.len == 0)
        rc = err_set(err, ERR_CONFIG,
                     "RUNPOD_WEBHOOK_POST_OUTPUT is not set, so results could "
                     "not be delivered");
    return rc == 0 ? proxy_check(&config->proxy, err) : rc;
}
