#include "app/heartbeat.h"

#include "base/limits.h"
#include "codec/url.h"
#include "source/platform_request.h"

/* The SDK's pauses before its three retries, in ms. */
static const uint32_t retry_pauses_ms[] = { 0, 2000, 4000 };
#define RETRIES (sizeof retry_pauses_ms / sizeof retry_pauses_ms[0])

bool heartbeat_wanted(const struct config *config)
{
    if (config->api_key.len == 0)
        log_write(LOG_DEBUG, NULL, "RUNPOD_AI_API_KEY is not set: no heartbeats are sent.");
    else if (!config->has_pod_id)
        log_write(LOG_INFO, NULL, "RUNPOD_POD_ID is not set: no heartbeats are sent.");
    else if (config->ping_url.len == 0)
        log_write(LOG_ERROR, NULL, "RUNPOD_WEBHOOK_PING is not set: no heartbeats can be sent.");
    return config->api_key.len > 0 && config->has_pod_id && config->ping_url.len > 0;
}

/* The ping URL with the worker's id filled in. */
static void put_base_url(const struct config *config, struct buf *url)
{
    const struct url_placeholder placeholders[] = {
        { "$RUNPOD_POD_ID", config->worker_id },
        { "$ID", config->worker_id },
    };
    buf_clear(url);
    url_fill(url, config->ping_url, placeholders, 2, NULL);
}

#define ID_NAME_BYTES (sizeof "&job_id=" - 1)
#define VERSION_NAME_BYTES (sizeof "&runpod_version=" - 1)

/* Adds the ids of as many jobs as fit. Without memory for them the ping goes out without ids. */
static void put_ids(struct heartbeat *heartbeat, struct buf *url)
{
    struct buf ids;
    size_t version_bytes = VERSION_NAME_BYTES +
                           url_encoded_bytes(heartbeat->config->contract_version);
    size_t fixed = url->len + ID_NAME_BYTES + version_bytes;
    size_t room = fixed < URL_MAX_BYTES ? URL_MAX_BYTES - fixed : 0;
    buf_init(&ids, URL_MAX_BYTES, "ids of jobs in progress");
    size_t left_out = job_table_ids(heartbeat->table, room, &heartbeat->first, &ids);
    if (ids.len > 0 && buf_error(&ids, NULL) == 0)
        url_add_query(url, "job_id", buf_slice(&ids), NULL);
    if (left_out > 0 && !heartbeat->noted_long)
        log_write(LOG_WARN, NULL,
                  "The ids of %zu jobs in progress do not fit into one heartbeat of %d bytes; they "
                  "are named in turn.",
                  left_out, URL_MAX_BYTES);
    heartbeat->noted_long |= left_out > 0;
    buf_free(&ids);
}

int heartbeat_put_url(struct heartbeat *heartbeat, struct buf *url, struct err *err)
{
    put_base_url(heartbeat->config, url);
    put_ids(heartbeat, url);
    url_add_query(url, "runpod_version", heartbeat->config->contract_version, NULL);
    return buf_error(url, err);
}

/* One try. 0 if the platform has taken the ping, or has answered that a retry is of no use. */
static int ping_once(struct heartbeat *heartbeat, struct http_client *client, struct buf *url,
                     struct buf *reply, struct err *err)
{
    const int64_t answer_ms = 2 * heartbeat->config->ping_ms;
    const struct platform_patience patience = {
        .answer_ms = answer_ms, .until = clock_deadline(LIMIT_CONNECT_MS + answer_ms)
    };
    struct http_response answer;
    int rc = heartbeat_put_url(heartbeat, url, err);
    if (rc == 0)
        rc = platform_get(client, heartbeat->config, buf_slice(url), patience, &answer, reply, err);
    /* The platform's own rule for pings (tests/CONTRACT.md), not that of http1_is_transient. */
    if (rc == 0 && (answer.status == 429 || answer.status >= 500))
        rc = err_set(err, ERR_RETRY, "the platform answered %d", answer.status);
    if (rc == 0)
        log_write(LOG_TRACE, NULL, "Heartbeat sent: %d", answer.status);
    return rc;
}

static void ping(struct heartbeat *heartbeat, struct http_client *client, struct buf *url,
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
        log_write_repeated(repeat, LOG_ERROR, NULL, "Heartbeat failed: %s", err.text);
}

void heartbeat_run(struct heartbeat *heartbeat)
{
    struct http_client *client;
    struct buf url, reply;
    struct err err;
    struct log_repeat repeat = { 0 };
    buf_init(&url, URL_MAX_BYTES, "heartbeat URL");
    buf_init(&reply, LIMIT_REPLY_BYTES, "response to a heartbeat");
    while (http_client_new(&client, heartbeat->net, &err) != 0)
        clock_sleep(clock_deadline(heartbeat->config->ping_ms));
    for (;;) {
        ping(heartbeat, client, &url, &reply, &repeat);
        clock_sleep(clock_deadline(heartbeat->config->ping_ms));
    }
}

int heartbeat_put_report_url(const struct config *config, const char *check, const char *reason,
                             struct buf *url, struct err *err)
{
    put_base_url(config, url);
    url_add_query(url, "status", SLICE_LITERAL("unhealthy"), NULL);
    url_add_query(url, "check", slice_from(check), NULL);
    url_add_query(url, "reason", slice_from(reason), NULL);
    url_add_query(url, "runpod_version", config->contract_version, NULL);
    return buf_error(url, err);
}

void heartbeat_report_unhealthy(const struct config *config, const struct http_net *net,
                                const char *check, const char *reason)
{
    const struct platform_patience patience = { .connect_ms = LIMIT_REPORT_MS / 2,
                                                .answer_ms = LIMIT_REPORT_MS / 2,
                                                .until = clock_deadline(LIMIT_REPORT_MS) };
    struct http_client *client;
    struct http_response answer;
    struct buf url, reply;
    struct err err = { 0 };
    if (config->api_key.len == 0 || config->ping_url.len == 0 ||
        http_client_new(&client, net, &err) != 0)
        return;
    buf_init(&url, URL_MAX_BYTES, "heartbeat URL");
    buf_init(&reply, LIMIT_REPLY_BYTES, "response to a heartbeat");
    int rc = heartbeat_put_report_url(config, check, reason, &url, &err);
    if (rc == 0)
        rc = platform_get(client, config, buf_slice(&url), patience, &answer, &reply, &err);
    if (rc != 0)
        log_write(LOG_WARN, NULL, "The failure could not be reported: %s", err.text);
    http_client_free(client);
    buf_free(&url);
    buf_free(&reply);
}
