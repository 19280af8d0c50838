#include "job/environment.h"

#include <stdlib.h>

#include "base/clock.h"
#include "codec/url.h"
#include "job/options.h"

int config_from_environment(struct config *config, struct err *err)
{
    int rc = options_from_environment(config, err);
    config->started_ms = clock_now_ms();
    const char *older = getenv("RUNPOD_DEBUG_LEVEL"); /* the name before RUNPOD_LOG_LEVEL */
    if (rc == 0 && getenv("RUNPOD_LOG_LEVEL") == NULL && older != NULL && older[0] != '\0')
        rc = option_set(config, option_find("--rp_log_level"), "RUNPOD_DEBUG_LEVEL", older, err);
    config->has_pod_id = config->worker_id.len > 0;
    if (!config->has_pod_id) {
        random_uuid(config->random_id);
        config->worker_id = slice_from(config->random_id);
    }
    config->log_json_lines = config->endpoint_id.len > 0;
    return rc;
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

/* Realtime mode: of the platform only the heartbeat is left. */
static int check_realtime(const struct config *config, struct err *err)
{
    if (config->endpoint_id.len == 0)
        return err_set(err, ERR_CONFIG,
                       "RUNPOD_REALTIME_PORT is set, but RUNPOD_ENDPOINT_ID is not, "
                       "so there would be no path to serve");
    int rc = check_url("RUNPOD_WEBHOOK_PING", config->ping_url, err);
    return rc == 0 ? proxy_check(&config->proxy, err) : rc;
}

int config_check(const struct config *config, struct err *err)
{
    int rc = check_api_key(config->api_key, err);
    if (rc != 0 || config_is_local(config))
        return rc;
    if (config_is_realtime(config))
        return check_realtime(config, err);
    rc = check_url("RUNPOD_WEBHOOK_GET_JOB", config->take_url, err);
    if (rc == 0)
        rc = check_url("RUNPOD_WEBHOOK_POST_OUTPUT", config->output_url, err);
    if (rc == 0)
        rc = check_url("RUNPOD_WEBHOOK_POST_STREAM", config->stream_url, err);
    if (rc == 0)
        rc = check_url("RUNPOD_WEBHOOK_PING", config->ping_url, err);
    if (rc == 0 && config->output_url.len == 0)
        rc = err_set(err, ERR_CONFIG,
                     "RUNPOD_WEBHOOK_POST_OUTPUT is not set, so results could "
                     "not be delivered");
    return rc == 0 ? proxy_check(&config->proxy, err) : rc;
}
