/* The platform source: results, stream parts and progress, posted with retries. */
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/version.h"
#include "codec/url.h"
#include "http/retry.h"
#include "source/platform_private.h"
#include "source/result_store.h"

/* Delivers results: a reply channel's connection, and buffers for its requests. */
struct post_state {
    struct http_client *client;
    struct buf url;
    struct buf request_id;
    struct buf reply;
    struct result refusal; /* the error posted in place of a refused result */
};

int platform_open(struct source *source, struct reply_channel *reply_channel, struct err *err)
{
    struct platform *platform = platform_of(source);
    struct post_state *state = malloc(sizeof *state);
    if (state == NULL)
        return err_set(err, ERR_MEMORY, "out of memory for a slot");
    int rc = http_client_new(&state->client, platform->net, err);
    if (rc != 0) {
        free(state);
        return rc;
    }
    buf_init(&state->url, URL_MAX_BYTES, "result URL");
    buf_init(&state->request_id, 4 * LIMIT_JOB_ID_BYTES, "X-Request-ID");
    buf_init(&state->reply, LIMIT_REPLY_BYTES, "response to a result");
    result_init(&state->refusal, LIMIT_REPLY_BYTES);
    reply_channel->state = state;
    return 0;
}

static void close_channel(struct reply_channel *reply_channel)
{
    struct post_state *state = reply_channel->state;
    http_client_free(state->client);
    buf_free(&state->url);
    buf_free(&state->request_id);
    buf_free(&state->reply);
    result_free(&state->refusal);
    free(state);
}

static int put_post_url(struct buf *out, const struct config *config, slice template, slice id,
                        bool is_stream, struct err *err)
{
    const struct url_placeholder placeholders[] = {
        { "$RUNPOD_POD_ID", config->worker_id },
        { "$ID", id },
    };
    buf_clear(out);
    slice value = is_stream ? SLICE_LITERAL("true") : SLICE_LITERAL("false");
    url_fill(out, template, placeholders, 2, NULL);
    return url_add_query(out, "isStream", value, err);
}

/* Prepares the URL and the X-Request-ID of a post about a job. */
static int prepare(struct reply_channel *reply_channel, const struct job *job, slice template,
                   bool is_stream, struct err *err)
{
    struct post_state *state = reply_channel->state;
    const struct config *config = platform_of(reply_channel->source)->config;
    int rc = put_post_url(&state->url, config, template, job->id, is_stream, err);
    buf_clear(&state->request_id);
    return rc == 0 ? job_put_field_id(job, &state->request_id, err) : rc;
}

/* One try. */
static int post_once(struct reply_channel *reply_channel, const slice *parts, size_t count,
                     int64_t answer_ms, struct http_response *answer, struct err *err)
{
    struct post_state *state = reply_channel->state;
    const struct config *config = platform_of(reply_channel->source)->config;
    const struct http1_field fields[] = {
        { SLICE_LITERAL("Authorization"), config->api_key },
        { SLICE_LITERAL("User-Agent"), SLICE_LITERAL(WORKER_USER_AGENT) },
        { SLICE_LITERAL("Content-Type"), SLICE_LITERAL("application/x-www-form-urlencoded") },
        { SLICE_LITERAL("charset"), SLICE_LITERAL("utf-8") },
        { SLICE_LITERAL("X-Request-ID"), buf_slice(&state->request_id) },
        { SLICE_LITERAL("Accept-Encoding"), SLICE_LITERAL("identity") },
    };
    const struct http_request request = {
        .method = "POST",
        .url = buf_slice(&state->url),
        .fields = fields,
        .field_count = sizeof fields / sizeof fields[0],
        .body = parts,
        .body_count = count,
        .send_ms = LIMIT_BODY_MS,
        .first_byte_ms = answer_ms,
        .body_ms = answer_ms,
    };
    return http_exchange(state->client, &request, answer, &state->reply, err);
}

static bool is_delivered(int status)
{
    return status >= 200 && status <= 299;
}

/*
 * Posts until it is delivered (0), refused for good (ERR_PEER, *status set), the next try would be
 * past the deadline or the worker ends (ERR_TIMEOUT), or the job is stopped (ERR_CANCELLED).
 */
static int post_with_retries(struct reply_channel *reply_channel, struct job *job,
                             const slice *parts, size_t count, deadline_ms deadline, int *status,
                             struct err *err)
{
    struct backoff backoff = { .first_ms = LIMIT_RETRY_FIRST_MS,
                               .longest_ms = LIMIT_RETRY_LONGEST_MS };
    struct log_repeat repeat = { 0 };
    const struct log_tag tag = job_tag(job);
    for (;;) {
        struct http_response answer = { 0 };
        int rc = post_once(reply_channel, parts, count, LIMIT_REPLY_MS, &answer, err);
        *status = answer.status; /* it counts even if reading the body failed */
        if (is_delivered(*status))
            return 0;
        if (rc == 0)
            err_set(err, ERR_RETRY, "the platform answered %d", *status);
        if (*status != 0 && !http1_is_transient(*status))
            return err->code = ERR_PEER;
        if (rc == ERR_INPUT || rc == ERR_MEMORY)
            return rc;
        uint32_t pause_ms = backoff_next_ms(&backoff, random_u32());
        deadline_ms next = clock_deadline(http_retry_pause_ms(&answer, pause_ms));
        if (next > deadline)
            return err->code = ERR_TIMEOUT;
        log_write_repeated(&repeat, LOG_WARN, &tag, "Not delivered yet, retrying: %s", err->text);
        if (job_wait_stopped(job, next))
            return job_is_stopped(job) ? err_set(err, ERR_CANCELLED, "the job was stopped")
                                       : (err->code = ERR_TIMEOUT);
    }
}

/* Without any result the job would never end, so its client gets an error that says why. */
static int post_refusal(struct reply_channel *reply_channel, struct job *job,
                        const struct result *result, deadline_ms deadline, struct err *err)
{
    struct post_state *state = reply_channel->state;
    int status;
    struct log_tag tag = job_tag(job);
    char text[ERR_TEXT_BYTES + 384];
    slice reply = buf_slice(&state->reply);
    log_mask(state->reply.ptr, reply.len); /* the job's client will read it */
    snprintf(text, sizeof text, "The platform refused the result of this job (%zu bytes): %s%s%.*s",
             result->bytes, err->text, reply.len > 0 ? ": " : "",
             reply.len < 200 ? (int)reply.len : 200, reply.ptr);
    log_write(LOG_ERROR, &tag, "%s", text);
    result_seal_error_text(&state->refusal, slice_from(text), result->stop_pod);
    int rc = post_with_retries(reply_channel, job, state->refusal.pieces, state->refusal.count,
                               deadline, &status, err);
    return rc == 0
               ? 0
               : err_wrap(err,
                          "the result was refused, and the error posted instead was not delivered");
}

int platform_post(struct reply_channel *reply_channel, struct job *job, const struct result *result,
                  struct err *err)
{
    const struct config *config = platform_of(reply_channel->source)->config;
    deadline_ms deadline = clock_deadline(config->result_retry_ms);
    const struct log_tag tag = job_tag(job);
    int status = 0;
    int rc = prepare(reply_channel, job, config->output_url, result->is_stream, err);
    if (rc == 0)
        rc = post_with_retries(reply_channel, job, result->pieces, result->count, deadline, &status,
                               err);
    if (rc == ERR_PEER && status != 0)
        rc = post_refusal(reply_channel, job, result, deadline, err);
    if (rc == 0)
        log_text(LOG_INFO, &tag, SLICE_LITERAL("Finished."));
    return rc;
}

static enum stored_outcome send_one(struct reply_channel *reply_channel,
                                    const struct stored_result *stored)
{
    struct job job = { .id = stored->id };
    struct result result = { .count = 1, .bytes = stored->body.len };
    struct err err = { 0 };
    const struct log_tag tag = job_tag(&job);
    flag_init(&job.stop);
    result.pieces[0] = stored->body;
    result.is_stream = stored->is_stream;
    log_write(LOG_INFO, &tag, "Sending a result that an earlier worker could not deliver.");
    int rc = platform_post(reply_channel, &job, &result, &err);
    if (rc == 0)
        return STORED_DELIVERED;
    log_write(LOG_ERROR, &tag, "Still not delivered: %s", err.text);
    return rc == ERR_PEER ? STORED_REFUSED : STORED_LATER;
}

void platform_send_stored(struct source *source)
{
    const struct config *config = platform_of(source)->config;
    struct stored_result stored;
    struct reply_channel reply_channel = { .source = source };
    struct err err = { 0 };
    enum stored_outcome outcome = STORED_DELIVERED;
    if (config->result_dir == NULL || platform_open(source, &reply_channel, &err) != 0 ||
        reply_channel.state == NULL)
        return;
    stored_result_init(&stored, 2 * (size_t)config->result_max_bytes);
    int rc = 1;
    while (outcome != STORED_LATER &&
           (rc = result_store_claim(config->result_dir, &stored, &err)) == 1) {
        outcome = send_one(&reply_channel, &stored);
        result_store_finish(&stored, outcome);
    }
    if (rc < 0)
        log_write(LOG_ERROR, NULL, "--result-dir: %s", err.text);
    stored_result_free(&stored);
    close_channel(&reply_channel);
}

int platform_stream(struct reply_channel *reply_channel, struct job *job, slice json,
                    struct err *err)
{
    const struct config *config = platform_of(reply_channel->source)->config;
    const slice parts[] = { SLICE_LITERAL("{\"output\": "), json, SLICE_LITERAL("}") };
    deadline_ms deadline = clock_deadline(config->result_retry_ms);
    int status;
    int rc = prepare(reply_channel, job, config->stream_url, false, err);
    return rc == 0 ? post_with_retries(reply_channel, job, parts, 3, deadline, &status, err) : rc;
}

int platform_progress(struct reply_channel *reply_channel, const struct job *job, slice json,
                      struct err *err)
{
    const slice parts[] = { SLICE_LITERAL("{\"status\": \"IN_PROGRESS\", \"output\": "), json,
                            SLICE_LITERAL("}") };
    struct http_response answer;
    slice template = platform_of(reply_channel->source)->config->output_url;
    int rc = prepare(reply_channel, job, template, false, err);
    if (rc == 0)
        rc = post_once(reply_channel, parts, 3, LIMIT_PROGRESS_MS, &answer, err);
    if (rc == 0 && !is_delivered(answer.status))
        rc = err_set(err, ERR_PEER, "the platform answered %d", answer.status);
    return rc;
}
