/* What the job API says of a job. */
#include "base/limits.h"
#include "source/endpoint_private.h"
#include "json/json.h"

/* Clients expect a string. */
void endpoint_put_error(struct buf *out, slice error)
{
    json_put_lossy(out, error, NULL);
}

void endpoint_put_error_member(struct buf *out, slice error)
{
    buf_add_text(out, ", \"error\": ", NULL);
    if (json_type(error) == RP_STRING)
        buf_add_slice(out, error, NULL);
    else
        endpoint_put_error(out, error);
}

static int64_t waited_ms(const struct store_job *job)
{
    if (job->begun_ms > 0)
        return job->begun_ms - job->arrived_ms;
    return (job->ended_ms > 0 ? job->ended_ms : clock_now_ms()) - job->arrived_ms;
}

static int64_t ran_ms(const struct store_job *job)
{
    if (job->begun_ms == 0)
        return 0;
    return (job->ended_ms > 0 ? job->ended_ms : clock_now_ms()) - job->begun_ms;
}

void endpoint_put_times(struct buf *out, const struct store_job *job)
{
    json_add(out, NULL, ", \"delayTime\": %lld", (long long)waited_ms(job));
    if (job->begun_ms > 0)
        json_add(out, NULL, ", \"executionTime\": %lld", (long long)ran_ms(job));
    json_add(out, NULL, ", \"retries\": %u", job->retries);
}

static void put_output(struct buf *out, const struct store_job *job)
{
    slice output = job->output;
    if (job->state == STORE_IN_PROGRESS && job->progress.len > 0)
        output = buf_slice(&job->progress);
    if (output.ptr != NULL) {
        buf_add_text(out, ", \"output\": ", NULL);
        buf_add_slice(out, output, NULL);
    }
    if (job->error.ptr != NULL)
        endpoint_put_error_member(out, job->error);
    else if (job->state == STORE_TIMED_OUT)
        buf_add_text(out, ", \"error\": \"The job exceeded its ttl or executionTimeout.\"", NULL);
    else if (job->state == STORE_FAILED)
        buf_add_text(out, ", \"error\": \"Out of memory for the result.\"", NULL);
}

void endpoint_put_name(struct buf *out, const struct store_job *job)
{
    json_add(out, NULL, "{\"id\": \"%s\", \"status\": \"%s\"", job->id,
             store_state_name(job->state));
}

void endpoint_put_status(const struct endpoint *endpoint, struct buf *out,
                         const struct store_job *job)
{
    endpoint_put_name(out, job);
    if (job->state != STORE_IN_QUEUE || job->retries > 0)
        endpoint_put_times(out, job);
    put_output(out, job);
    if (job->begun_ms > 0) {
        buf_add_text(out, ", \"workerId\": ", NULL);
        endpoint_put_error(out, endpoint->config->worker_id);
    }
    buf_add_text(out, "}", NULL);
}

void endpoint_put_summary(struct buf *out, const struct store_job *job)
{
    endpoint_put_name(out, job);
    endpoint_put_times(out, job);
    json_add(out, NULL, ", \"createdAt\": %lld, \"sync\": %B}", (long long)job->arrived_unix_ms,
             (int)job->is_sync);
}

void endpoint_put_list(const struct endpoint *endpoint, struct buf *out)
{
    const struct store_job *job = endpoint->store.newest;
    buf_add_text(out, "[", NULL);
    for (size_t i = 0; job != NULL && i < LIMIT_ENDPOINT_LIST; i++, job = job->older) {
        buf_add_text(out, i > 0 ? ", " : "", NULL);
        endpoint_put_summary(out, job);
    }
    buf_add_text(out, "]", NULL);
}
