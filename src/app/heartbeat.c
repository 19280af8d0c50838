#include "app/heartbeat.h"

#include "base/limits.h"
#include "base/version.h"
#include "codec/url.h"
#include "job/platform.h"

/* The SDK's pauses before its three retries, in ms. */
static const uint32_t retry_pauses_ms[] = { 0, 2000, 4000 };
#define RETRIES (sizeof retry_pauses_ms / sizeof retry_pauses_ms[0])

bool heartbeat_wanted(const struct config *config)
{
    if (config->api_key.len == 0)
        log_write(LOG_DEBUG, NULL, "RUNPOD_AI_API_KEY is not set, pings will not be sent.");
    else if (!config->has_pod_id)
        log_write(LOG_INFO, NULL, "RUNPOD_POD_ID is not set, pings will not be sent.");
    else if (config->ping_url.len == 0)
        log_write(LOG_ERROR, NULL, "RUNPOD_WEBHOOK_PING is not set, pings cannot be sent.");
    return config->api_key.len > 0 && config->has_pod_id && config->ping_url.len > 0;
}

/* The ping URL with the worker's id filled in. */
static int put_base_url(const struct config *config, struct buf *url, struct err *err)
{
    const struct url_placeholder placeholders[] = {
        { "$RUNPOD_POD_ID", config->worker_id },
        { "$ID", config->worker_id },
    };
    url->len = 0;
    return url_fill(url, config->ping_url, placeholders, 2, err);
}

static int put_ping_url(const struct heartbeat *heartbeat, struct buf *url, struct err *err)
{
    struct buf ids;
    buf_init(&ids, URL_MAX_BYTES, "ids of jobs in progress");
    int rc = put_base_url(heartbeat->config, url, err);
    if (rc == 0)
        rc = job_table_ids(heartbeat->table, &ids, err);
    if (rc == 0 && ids.len > 0)
        rc = url_add_query(url, "job_id", buf_slice(&ids), err);
    if (rc == 0)
        rc = url_add_query(url, "runpod_version", SLICE_LITERAL(WORKER_VERSION), err);
    buf_free(&ids);
    return rc;
}

/* One ping, once. 0 where the platform took it or would not take it a second time either. */
static int ping_once(const struct heartbeat *heartbeat, struct http_client *client, struct buf *url,
                     struct buf *reply, struct err *err)
{
    const struct platform_patience patience = { .answer_ms = 2 * heartbeat->config->ping_ms };
    struct http_answer answer;
    int rc = put_ping_url(heartbeat, url, err);
    if (rc == 0)
        rc = platform_get(client, heartbeat->config, buf_slice(url), patience, &answer, reply, err);
    if (rc == 0 && (answer.status == 429 || answer.status >= 500))
        rc = err_set(err, ERR_RETRY, "the platform answered %d", answer.status);
    if (rc == 0)
        log_write(LOG_TRACE, NULL, "Heartbeat sent: %d", answer.status);
    return rc;
}

static void ping(const struct heartbeat *heartbeat, struct http_client *client, struct buf *url,
                 struct buf *reply, struct log_repeat *repeat)
{
    struct err err = { 0 };
    int rc = ping_once(heartbeat, client, url, reply, &err);
    for (size_t i = 0; rc != 0 && i < RETRIES; i++) {
        clock_sleep(clock_deadline(retry_pauses_ms[i]));
        rc = ping_once(heartbeat, client, url, reply, &err);
    }
    if (rc == 0)
        log_repeat_reset(repeat);
    else
        log_write_repeated(repeat, LOG_ERROR, NULL, "Ping failed: %s", err.text);
}

void heartbeat_run(const struct heartbeat *heartbeat)
{
    struct http_client *client;
    struct buf url, reply;
    struct err err;
    struct log_repeat repeat = { 0 };
    buf_init(&url, URL_MAX_BYTES, "ping URL");
    buf_init(&reply, LIMIT_REPLY_BYTES, "answer to a ping");
    while (http_client_new(&client, heartbeat->net, &err) != 0)
        clock_sleep(clock_deadline(heartbeat->config->ping_ms));
    for (;;) {
        ping(heartbeat, client, &url, &reply, &repeat);
        clock_sleep(clock_deadline(heartbeat->config->ping_ms));
    }
}

void heartbeat_report_unhealthy(const struct config *config, const struct http_net *net,
                                const char *check, const char *reason)
{
    const struct platform_patience patience = { .connect_ms = LIMIT_REPORT_MS / 2,
                                                .answer_ms = LIMIT_REPORT_MS / 2 };
    struct http_client *client;
    struct http_answer answer;
    struct buf url, reply;
    struct err err = { 0 };
    if (config->api_key.len == 0 || config->ping_url.len == 0 ||
        http_client_new(&client, net, &err) != 0)
        return;
    buf_init(&url, URL_MAX_BYTES, "ping URL");
    buf_init(&reply, LIMIT_REPLY_BYTES, "answer to a ping");
    int rc = put_base_url(config, &url, &err);
    if (rc == 0)
        rc = url_add_query(&url, "status", SLICE_LITERAL("unhealthy"), &err);
    if (rc == 0)
        rc = url_add_query(&url, "check", slice_from(check), &err);
    if (rc == 0)
        rc = url_add_query(&url, "reason", slice_from(reason), &err);
    if (rc == 0)
        rc = url_add_query(&url, "runpod_version", SLICE_LITERAL(WORKER_VERSION), &err);
    if (rc == 0)
        rc = platform_get(client, config, buf_slice(&url), patience, &answer, &reply, &err);
    if (rc != 0)
        log_write(LOG_WARN, NULL, "The failed check could not be reported: %s", err.text);
    http_client_free(client);
    buf_free(&url);
    buf_free(&reply);
}
