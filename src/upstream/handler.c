/* The handler's operations: the server's start with the first slot, and a slot's life. */
#include "upstream/handler.h"

#include <stdlib.h>

#include "base/log.h"
#include "codec/byte_class.h"
#include "upstream/upstream_private.h"

/* What handler.setting points to; lives as long as the worker. */
struct shared_server {
    struct upstream_setting setting;
    struct upstream upstream;
    struct upstream *server; /* &upstream: the operations get the rest as const */
};

/* --- the server ------------------------------------------------------------------------------- */

static int start_threads(struct upstream *upstream, struct err *err)
{
    int rc = 0;
    upstream->started = true;
    if (upstream_has_program(upstream))
        rc = upstream_program_start(upstream, err);
    else
        upstream_mark_starting(upstream);
    if (rc == 0)
        rc = upstream_health_start(upstream, err);
    return rc == 0 ? upstream_poll_start(upstream, err) : rc;
}

/* The first slot starts it. */
static int start_once(struct upstream *upstream, bool *is_first, struct err *err)
{
    pthread_mutex_lock(&upstream->lock);
    *is_first = !upstream->started;
    int rc = upstream->started ? 0 : start_threads(upstream, err);
    pthread_mutex_unlock(&upstream->lock);
    return rc;
}

static void upstream_on_loss(const void *setting, handler_lost *lost, void *owner)
{
    const struct shared_server *shared = setting;
    pthread_mutex_lock(&shared->server->lock);
    shared->server->on_lost_owner = owner;
    shared->server->on_lost = lost;
    pthread_mutex_unlock(&shared->server->lock);
}

/* --- how many jobs suit it -------------------------------------------------------------------- */

int upstream_choose_concurrency(struct config *config, struct err *err)
{
    const char *text = config->handler.max_concurrency;
    uint64_t number;
    bool is_realtime = config_is_realtime(config) && config->realtime_concurrency != 0;
    bool is_serving = config_is_serving(config);
    config->concurrency_source = is_realtime               ? "RUNPOD_REALTIME_CONCURRENCY"
                                 : config->concurrency > 0 ? "--concurrency"
                                 : text != NULL            ? "MAX_CONCURRENCY"
                                 : is_serving              ? "the default with --serve"
                                                           : NULL;
    if (is_realtime || config->concurrency > 0)
        return 0;
    if (text == NULL) {
        config->concurrency = is_serving ? LIMIT_SERVE_CONCURRENCY : LIMIT_SERVER_CONCURRENCY;
        return 0;
    }
    if (!byte_class_decimal(slice_from(text), LIMIT_CONCURRENCY, &number) || number == 0)
        return err_set(err, ERR_CONFIG,
                       "MAX_CONCURRENCY or RUNPOD_MAX_CONCURRENCY is \"%.32s\"; it must be a whole "
                       "number from 1 to %d (--concurrency wins over both)",
                       text, LIMIT_CONCURRENCY);
    config->concurrency = (int64_t)number;
    return 0;
}

/* By the first slot, once the server is ready. */
static void choose_for_server(struct upstream_slot *slot)
{
    const struct config *config = slot->setting->config;
    struct upstream *upstream = slot->upstream;
    struct err err = { 0 };
    enum upstream_api api;
    if (config_is_local(config))
        return;
    if (config->concurrency_source != NULL) {
        log_write(LOG_INFO, NULL, "Concurrency: %lld (%s).", (long long)config->concurrency,
                  config->concurrency_source);
        return;
    }
    upstream_ask_api(slot, clock_deadline(LIMIT_READY_ASK_MS), &api, &err);
    bool is_openai = api == UPSTREAM_API_OPENAI;
    upstream->concurrency = is_openai ? LIMIT_SERVER_CONCURRENCY : 1;
    log_write(LOG_INFO, NULL,
              "Concurrency: %zu, since the server %s the OpenAI API (%s). --concurrency N or "
              "MAX_CONCURRENCY sets another one.",
              upstream->concurrency, is_openai ? "speaks" : "does not speak",
              config->handler.served_model != NULL ? "--served-model" : "/v1/models");
}

static size_t upstream_concurrency(const void *setting, size_t otherwise)
{
    struct upstream *server = ((const struct shared_server *)setting)->server;
    size_t suits = server->concurrency;
    return upstream_polled(server, suits > 0 && suits < otherwise ? suits : otherwise);
}

/* --- a slot ----------------------------------------------------------------------------------- */

static void upstream_close(void *state)
{
    struct upstream_slot *slot = state;
    http_client_free(slot->client);
    wake_free(&slot->waiter.wake);
    buf_free(&slot->url);
    buf_free(&slot->request_id);
    buf_free(&slot->body);
    buf_free(&slot->text);
    free(slot);
}

static int upstream_open(const void *setting, void **state, struct err *err)
{
    struct upstream *upstream = ((const struct shared_server *)setting)->server;
    struct upstream_slot *slot = calloc(1, sizeof *slot);
    bool is_first = false;
    if (slot == NULL)
        return err_set(err, ERR_MEMORY, "no memory for a slot");
    slot->upstream = upstream;
    slot->setting = upstream->setting;
    size_t max_bytes = (size_t)slot->setting->config->result_max_bytes;
    buf_init(&slot->url, URL_MAX_BYTES, "URL of the handler's server");
    buf_init(&slot->request_id, 4 * LIMIT_JOB_ID_BYTES, "X-Request-ID");
    buf_init(&slot->body, max_bytes, "the response of the handler's server (RP_MAX_RESULT_MB)");
    buf_init(&slot->text, max_bytes, "the output (RP_MAX_RESULT_MB)");
    int rc = wake_init(&slot->waiter.wake, err);
    if (rc == 0)
        rc = http_client_new(&slot->client, &slot->setting->net, err);
    if (rc == 0)
        rc = start_once(upstream, &is_first, err);
    if (rc == 0)
        rc = upstream_wait_ready(upstream, &slot->waiter, NULL, NULL, err);
    if (rc == 0 && is_first)
        choose_for_server(slot);
    if (rc != 0)
        upstream_close(slot);
    else
        *state = slot;
    return rc;
}

static int upstream_run(rp_job *job, void *state)
{
    struct upstream_slot *slot = state;
    slot->job = job;
    flag_link(&job->task->stop, &slot->waiter.wake);
    int rc = upstream_exchange(slot);
    flag_link(&job->task->stop, NULL);
    if (flag_is_raised(&job->task->stop))
        wake_lower(&slot->waiter.wake);
    buf_reset(&slot->body, LIMIT_KEEP_BYTES);
    buf_reset(&slot->text, LIMIT_KEEP_BYTES);
    if (rc == RP_OK || rc == HANDLER_LOST_BEFORE || !upstream_is_lost(slot->upstream))
        return rc;
    return HANDLER_LOST;
}

struct upstream *upstream_of(const struct handler *handler)
{
    return ((const struct shared_server *)handler->setting)->server;
}

static const struct handler_ops upstream_ops = {
    .open = upstream_open,
    .run = upstream_run,
    .close = upstream_close,
    .on_loss = upstream_on_loss,
    .concurrency = upstream_concurrency,
};

int upstream_handler_init(struct handler *handler, const struct config *config, struct err *err)
{
    struct shared_server *shared = calloc(1, sizeof *shared);
    if (shared == NULL)
        return err_set(err, ERR_MEMORY, "no memory for the handler");
    int rc = upstream_setting_init(&shared->setting, config, err);
    if (rc == 0)
        rc = upstream_init(&shared->upstream, &shared->setting, &upstream_system_clock, err);
    if (rc != 0) {
        free(shared);
        return rc;
    }
    shared->server = &shared->upstream;
    *handler = (struct handler){ .ops = &upstream_ops, .setting = shared };
    return 0;
}
