/* The platform as a source: its life, and job-takes with their pauses. */
#include "source/platform.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "codec/url.h"
#include "http/retry.h"
#include "source/platform_private.h"
#include "json/json.h"

/* --- pauses: every take without a job ends in one of these ---------------------------------- */

static void pause_ms(struct platform *platform, uint32_t ms)
{
    wake_wait(platform->wake, clock_deadline(ms));
}

/* Doubling, with jitter. */
static void pause_after_failure(struct platform *platform)
{
    backoff_reset(&platform->idle);
    pause_ms(platform, backoff_next_ms(&platform->backoff, random_u32()));
}

/*
 * After a long poll without a job the next request follows at once. A platform that answers at once
 * is not asked thousands of times a second.
 */
static void pause_after_nothing(struct platform *platform, int64_t asked_ms)
{
    backoff_reset(&platform->backoff);
    if (clock_now_ms() - asked_ms >= LIMIT_EMPTY_MS)
        backoff_reset(&platform->idle);
    else
        pause_ms(platform, backoff_next_ms(&platform->idle, random_u32()));
}

static void log_failure(struct platform *platform, const char *text)
{
    log_write_repeated(&platform->repeat, LOG_ERROR, NULL, "Failed to get job. | %s", text);
}

/* --- one job-take ------------------------------------------------------------------------- */

static int put_take_url(struct platform *platform, size_t slots, bool busy, struct err *err)
{
    struct buf *url = &platform->url;
    char count[24];
    buf_clear(url);
    bool batch = slots > 1 && platform_take_url(url, platform->config, "/job-take-batch/", err);
    if (!batch) {
        buf_clear(url);
        *err = (struct err){ 0 };
        platform_take_url(url, platform->config, "/job-take/", err);
    }
    if (err->code != 0)
        return err->code;
    int len = snprintf(count, sizeof count, "%zu", slots);
    if (batch)
        url_add_query(url, "batch_size", (slice){ count, (size_t)len }, NULL);
    return url_add_query(url, "job_in_progress", busy ? SLICE_LITERAL("1") : SLICE_LITERAL("0"),
                         err);
}

/* Checks that a 2xx response is uncompressed JSON. ERR_PEER with the reason if not. */
static int check_answer(const struct http_response *answer, const struct buf *body, struct err *err)
{
    if (answer->encoded)
        return err_set(err, ERR_PEER,
                       "the response is compressed, although identity was requested");
    if (!http1_is_media_type(slice_from(answer->content_type), "application/json"))
        return err_set(err, ERR_PEER, "unexpected content type \"%s\"", answer->content_type);
    if (json_trim(buf_slice(body)).len == 0)
        return err_set(err, ERR_PEER, "the response is empty");
    return 0;
}

/* A gateway has ended the poll, and the platform had nothing to say: the next follows at once. */
static void ask_again(struct platform *platform, int64_t asked_ms, const char *how)
{
    backoff_reset(&platform->backoff);
    backoff_reset(&platform->idle);
    log_write_repeated(&platform->cut, LOG_INFO, NULL,
                       "A job-take was cut after %lld ms (%s); asking again.",
                       (long long)(clock_now_ms() - asked_ms), how);
    pause_ms(platform, platform_cut_pause_ms());
}

/* A gateway's way to end a poll without saying 204. */
static bool is_empty_after_hold(const struct buf *body, int64_t asked_ms)
{
    return clock_now_ms() - asked_ms >= LIMIT_HELD_MS && json_trim(buf_slice(body)).len == 0;
}

static void read_jobs(struct platform *platform, const struct http_response *answer,
                      struct delivery *delivery, int64_t asked_ms, struct taken *taken)
{
    struct err err = { 0 };
    int rc = check_answer(answer, &delivery->body, &err);
    if (rc == 0)
        rc = delivery_read(delivery, NULL, &taken->jobs, &err);
    if (rc != 0) {
        log_failure(platform, err.text);
        pause_after_failure(platform);
    } else if (taken->jobs == NULL) {
        pause_after_nothing(platform, asked_ms);
    } else {
        backoff_reset(&platform->backoff);
        backoff_reset(&platform->idle);
        log_repeat_reset(&platform->repeat);
    }
}

static void handle_answer(struct platform *platform, const struct http_response *answer,
                          struct delivery *delivery, int64_t asked_ms, struct taken *taken)
{
    char text[64];
    snprintf(text, sizeof text, "the platform answered %d", answer->status);
    if (platform_poll_was_cut(0, answer, asked_ms)) {
        ask_again(platform, asked_ms, text);
    } else if (answer->status >= 200 && answer->status <= 299 && answer->status != 204) {
        if (is_empty_after_hold(&delivery->body, asked_ms)) {
            ask_again(platform, asked_ms, "the answer is empty");
            return;
        }
        read_jobs(platform, answer, delivery, asked_ms, taken);
    } else if (answer->status == 204 || answer->status == 400) {
        log_repeat_reset(&platform->repeat);
        pause_after_nothing(platform, asked_ms);
    } else if (answer->status == 429) {
        log_write_repeated(&platform->repeat, LOG_WARN, NULL, "Too many job-takes (429), waiting.");
        pause_ms(platform, http_retry_after_ms(answer));
    } else {
        log_failure(platform, text);
        pause_after_failure(platform);
    }
}

static void platform_take(struct source *source, size_t slots, bool busy, struct taken *taken)
{
    struct platform *platform = platform_of(source);
    struct delivery *delivery;
    struct http_response answer = { 0 };
    struct err err = { 0 };
    *taken = (struct taken){ 0 };
    if (!platform->stored_sent)
        platform_send_stored(source);
    platform->stored_sent = true;
    int64_t asked_ms = clock_now_ms();
    if (delivery_new(&delivery, LIMIT_TAKE_BYTES, &err) != 0 ||
        put_take_url(platform, slots, busy, &err) != 0) {
        log_failure(platform, err.text);
        pause_after_failure(platform);
        return;
    }
    const struct platform_patience patience = { .answer_ms = LIMIT_POLL_MS,
                                                .wake = platform->wake,
                                                .sent = source->asked,
                                                .answering = &source->answering };
    int rc = platform_get(platform->client, platform->config, buf_slice(&platform->url), patience,
                          &answer, &delivery->body, &err);
    if (rc == 0) {
        handle_answer(platform, &answer, delivery, asked_ms, taken);
    } else if (rc == ERR_TIMEOUT && clock_now_ms() - asked_ms >= LIMIT_POLL_MS) {
        log_write(LOG_DEBUG, NULL, "Job-take timed out after %d s; retrying.",
                  LIMIT_POLL_MS / 1000);
    } else if (platform_poll_was_cut(rc, &answer, asked_ms)) {
        ask_again(platform, asked_ms, err.text);
    } else if (rc != ERR_CANCELLED) {
        log_failure(platform, err.text);
        pause_after_failure(platform);
    }
    delivery_release(delivery);
}

/* A response that has begun by then is still read: the job in it is this worker's. */
static void platform_take_last(struct source *source, struct taken *taken)
{
    struct platform *platform = platform_of(source);
    struct delivery *delivery;
    struct http_response answer = { 0 };
    struct err err = { 0 };
    const struct platform_patience patience = {
        .connect_ms = LIMIT_LAST_TAKE_MS,
        .answer_ms = LIMIT_LAST_TAKE_MS,
        .until = clock_deadline(LIMIT_LAST_TAKE_MS + LIMIT_ANSWER_MS),
        .answering = &source->answering,
    };
    *taken = (struct taken){ 0 };
    if (delivery_new(&delivery, LIMIT_TAKE_BYTES, &err) != 0)
        return;
    int rc = put_take_url(platform, 1, false, &err);
    if (rc == 0)
        rc = platform_get(platform->client, platform->config, buf_slice(&platform->url), patience,
                          &answer, &delivery->body, &err);
    if (rc == 0 && answer.status == 200)
        rc = check_answer(&answer, &delivery->body, &err);
    if (rc == 0 && answer.status == 200)
        rc = delivery_read(delivery, NULL, &taken->jobs, &err);
    if (rc != 0)
        log_write(LOG_DEBUG, NULL, "No job was taken: %s", err.text);
    delivery_release(delivery);
}

static const struct source_ops platform_ops = {
    .take = platform_take,
    .take_last = platform_take_last,
    .open = platform_open,
    .post = platform_post,
    .stream = platform_stream,
    .progress = platform_progress,
};

int source_platform_new(struct source **source, const struct config *config,
                        const struct http_net *net, const struct wake *wake, struct err *err)
{
    struct platform *platform = malloc(sizeof *platform);
    if (platform == NULL)
        return err_set(err, ERR_MEMORY, "out of memory for the platform's client");
    *platform = (struct platform){
        .source = { .ops = &platform_ops },
        .config = config,
        .net = net,
        .wake = wake,
        .backoff = { .first_ms = LIMIT_RETRY_FIRST_MS, .longest_ms = LIMIT_RETRY_LONGEST_MS },
        .idle = { .first_ms = LIMIT_EMPTY_MS / 16, .longest_ms = LIMIT_EMPTY_MS },
    };
    buf_init(&platform->url, URL_MAX_BYTES, "job-take URL");
    int rc = http_client_new(&platform->client, net, err);
    if (rc != 0) {
        free(platform);
        return rc;
    }
    *source = &platform->source;
    return 0;
}
