#include "job/source_platform.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "codec/json.h"
#include "codec/url.h"

struct platform *platform_of(struct source *source)
{
    return (struct platform *)(void *)source;
}

/* --- pauses: every way not to get a job ends in one of these ------------------------------ */

static void pause_ms(struct platform *platform, uint32_t ms)
{
    wake_wait(platform->wake, clock_deadline(ms));
}

/* Trouble: longer and longer. */
static void pause_after_failure(struct platform *platform)
{
    backoff_reset(&platform->idle);
    pause_ms(platform, backoff_next_ms(&platform->backoff, random_u32()));
}

/*
 * Nothing to do: ask again at once, since the platform held the request as long as it liked; but
 * one that answers at once, again and again, is not asked thousands of times a second.
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
    url->len = 0;
    bool batch = slots > 1 && platform_take_url(url, platform->config, "/job-take-batch/", err);
    if (!batch) {
        url->len = 0;
        *err = (struct err){ 0 };
        platform_take_url(url, platform->config, "/job-take/", err);
    }
    int rc = err->code;
    int len = snprintf(count, sizeof count, "%zu", slots);
    if (rc == 0 && batch)
        rc = url_add_query(url, "batch_size", (slice){ count, (size_t)len }, err);
    if (rc == 0)
        rc = url_add_query(url, "job_in_progress", busy ? SLICE_LITERAL("1") : SLICE_LITERAL("0"),
                           err);
    return rc;
}

/* Is this 2xx answer JSON that can be read? ERR_PEER with a reason for people if not. */
static int check_answer(const struct http_answer *answer, const struct buf *body, struct err *err)
{
    if (answer->encoded)
        return err_set(err, ERR_PEER, "the answer is compressed, though identity was asked for");
    if (!http1_is_media_type(slice_from(answer->content_type), "application/json"))
        return err_set(err, ERR_PEER, "unexpected content type \"%s\"", answer->content_type);
    if (json_trim(buf_slice(body)).len == 0)
        return err_set(err, ERR_PEER, "the answer has no content");
    return 0;
}

static void read_jobs(struct platform *platform, const struct http_answer *answer,
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

static void handle_answer(struct platform *platform, const struct http_answer *answer,
                          struct delivery *delivery, int64_t asked_ms, struct taken *taken)
{
    char text[64];
    if (answer->status >= 200 && answer->status <= 299 && answer->status != 204) {
        read_jobs(platform, answer, delivery, asked_ms, taken);
    } else if (answer->status == 204 || answer->status == 400) {
        log_repeat_reset(&platform->repeat);
        pause_after_nothing(platform, asked_ms);
    } else if (answer->status == 429) {
        log_write_repeated(&platform->repeat, LOG_WARN, NULL, "Too many job-takes (429), waiting.");
        pause_ms(platform, platform_too_many_ms(answer));
    } else {
        snprintf(text, sizeof text, "the platform answered %d", answer->status);
        log_failure(platform, text);
        pause_after_failure(platform);
    }
}

static void platform_take(struct source *source, size_t slots, bool busy, struct taken *taken)
{
    struct platform *platform = platform_of(source);
    struct delivery *delivery;
    struct http_answer answer;
    struct err err = { 0 };
    *taken = (struct taken){ 0 };
    if (!platform->kept_sent)
        platform_send_kept(source);
    platform->kept_sent = true;
    int64_t asked_ms = clock_now_ms();
    if (delivery_new(&delivery, LIMIT_TAKE_BYTES, &err) != 0 ||
        put_take_url(platform, slots, busy, &err) != 0) {
        log_failure(platform, err.text);
        pause_after_failure(platform);
        return;
    }
    const struct platform_patience patience = { .answer_ms = LIMIT_POLL_MS,
                                                .wake = platform->wake,
                                                .answering = &source->answering };
    int rc = platform_get(platform->client, platform->config, buf_slice(&platform->url), patience,
                          &answer, &delivery->body, &err);
    if (rc == 0) {
        handle_answer(platform, &answer, delivery, asked_ms, taken);
    } else if (rc == ERR_TIMEOUT && clock_now_ms() - asked_ms >= LIMIT_POLL_MS) {
        log_write(LOG_DEBUG, NULL, "Job-take timed out after %d s; asking again.",
                  LIMIT_POLL_MS / 1000);
    } else if (rc != ERR_CANCELLED) {
        log_failure(platform, err.text);
        pause_after_failure(platform);
    }
    delivery_release(delivery);
}

static void platform_free(struct source *source)
{
    struct platform *platform = platform_of(source);
    http_client_free(platform->client);
    buf_free(&platform->url);
    free(platform);
}

static const struct source_ops platform_ops = {
    .take = platform_take,
    .open = platform_open,
    .close = platform_close,
    .post = platform_post,
    .stream = platform_stream,
    .progress = platform_progress,
    .free = platform_free,
};

int source_platform_new(struct source **source, const struct config *config,
                        const struct http_net *net, const struct wake *wake, struct err *err)
{
    struct platform *platform = malloc(sizeof *platform);
    if (platform == NULL)
        return err_set(err, ERR_MEMORY, "no memory for the platform's client");
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
