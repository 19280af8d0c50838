#include "app/metrics.h"

#include "base/limits.h"
#include "base/log.h"
#include "job/stats.h"

static void put_jobs(struct metrics *metrics, struct buf *out)
{
    struct stats_jobs jobs;
    struct source *source = metrics->source;
    if (source->ops->put_metrics != NULL) {
        source->ops->put_metrics(source, out);
        return;
    }
    stats_read_jobs(&jobs);
    jobs.queued = job_table_queued(metrics->table);
    if (source->ops->count_queued != NULL)
        jobs.queued += source->ops->count_queued(source);
    stats_put_jobs(out, &jobs);
}

static void respond(struct server_exchange *exchange, void *owner)
{
    struct buf out;
    buf_init(&out, LIMIT_MIB, "the metrics");
    put_jobs(owner, &out);
    stats_put_process(&out);
    const slice body = buf_slice(&out);
    const struct server_response response = {
        .status = 200, .content_type = EXPOSITION_TYPE, .body = &body, .body_count = 1
    };
    if (buf_error(&out, NULL) == 0)
        server_respond(exchange, &response, NULL);
    buf_free(&out);
}

int metrics_serve(struct metrics *metrics, const struct config *config, struct err *err)
{
    static const struct server_route route = { "GET", "/metrics", respond };
    slice host = config->metrics.host;
    metrics->setting = (struct server_setting){
        .host = host.len > 0 ? host : SLICE_LITERAL("localhost"),
        .port = (uint16_t)config->metrics.port,
        .routes = &route,
        .route_count = 1,
        .owner = metrics,
        .connections_max = LIMIT_METRICS_CONNECTIONS,
        .body_max_bytes = 0,
    };
    int rc = server_new(&metrics->server, &metrics->setting, err);
    if (rc == 0)
        rc = server_start(metrics->server, err);
    if (rc != 0) {
        err_wrap(err, "--metrics-port, --metrics-host");
        return err->code;
    }
    log_write(LOG_INFO, NULL, "Serving metrics on http://%.*s:%u/metrics",
              SLICE_ARG(metrics->setting.host), (unsigned)server_port(metrics->server));
    return 0;
}
