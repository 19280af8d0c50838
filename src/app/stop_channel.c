#include "app/stop_channel.h"

#include "base/limits.h"
#include "codec/backoff.h"
#include "codec/url.h"
#include "http/retry.h"
#include "source/platform_request.h"
#include "json/json.h"

struct poller {
    const struct stop_channel *channel;
    struct http_client *client;
    struct buf url;
    struct buf body;
    struct arena arena;
    struct backoff backoff;
    struct log_repeat repeat;       /* failures */
    struct log_repeat odd, unknown; /* ids that are not strings, or not those of jobs held */
};

/* True if that has stopped a job. */
static bool stop_one(struct poller *poller, slice value)
{
    slice id;
    if (json_type(value) != RP_STRING || json_string(value, &poller->arena, &id, NULL) != 0) {
        log_write_repeated(&poller->odd, LOG_WARN, NULL,
                           "The stop channel sent a job id that is not a string.");
        return false;
    }
    const struct log_tag tag = { .job_id = id };
    enum job_stopped outcome = job_table_stop(poller->channel->table, id);
    if (outcome == JOB_STOPPED_NOW)
        log_write(LOG_INFO, &tag, "Stopping job.");
    else if (outcome == JOB_NOT_HELD)
        log_write_repeated(&poller->unknown, LOG_DEBUG, &tag,
                           "Ignored a stop for a job that this worker does not hold.");
    return outcome == JOB_STOPPED_NOW;
}

/* Stops the jobs that a response names; false if that was none. */
static bool stop_named(struct poller *poller)
{
    slice ids, id, text = buf_slice(&poller->body);
    bool any = false;
    if (json_check(text, NULL, NULL) != 0 || json_type(text) != RP_OBJECT)
        return false;
    if (!json_member(text, "jobsToStop", &ids) || json_type(ids) != RP_ARRAY)
        return false;
    for (size_t pos = 0; json_next_element(ids, &pos, &id);)
        any |= stop_one(poller, id);
    arena_reset(&poller->arena);
    return any;
}

/* The pause before the next request, in ms. */
static uint32_t pause_after(struct poller *poller, int rc, const struct http_response *answer,
                            int64_t asked_ms, const struct err *err)
{
    bool held = clock_now_ms() - asked_ms >= LIMIT_EMPTY_MS;
    if (rc == ERR_TIMEOUT && clock_now_ms() - asked_ms >= LIMIT_POLL_MS)
        return 0;
    if (platform_poll_was_cut(rc, answer, asked_ms)) {
        backoff_reset(&poller->backoff);
        log_repeat_reset(&poller->repeat);
        return platform_cut_pause_ms();
    }
    if (rc == 0 && answer->status == 429)
        return http_retry_after_ms(answer);
    if (rc == 0 && answer->status >= 200 && answer->status <= 299) {
        backoff_reset(&poller->backoff);
        log_repeat_reset(&poller->repeat);
        slice type = slice_from(answer->content_type);
        bool json = answer->status != 204 && http1_is_media_type(type, "application/json");
        bool some = json && stop_named(poller);
        return some || held ? 0 : LIMIT_EMPTY_MS;
    }
    if (rc == 0)
        log_write_repeated(&poller->repeat, LOG_WARN, NULL,
                           "The stop channel answered %d; retrying.", answer->status);
    else
        log_write_repeated(&poller->repeat, LOG_WARN, NULL, "The stop channel failed: %s",
                           err->text);
    return backoff_next_ms(&poller->backoff, random_u32());
}

static int start(struct poller *poller, const struct stop_channel *channel, struct err *err)
{
    *poller = (struct poller){
        .channel = channel,
        .backoff = { .first_ms = 2 * LIMIT_EMPTY_MS, .longest_ms = LIMIT_RETRY_LONGEST_MS },
    };
    buf_init(&poller->url, URL_MAX_BYTES, "stop URL");
    buf_init(&poller->body, LIMIT_STOP_BYTES, "response of the stop channel");
    arena_init(&poller->arena, LIMIT_STOP_BYTES);
    if (!platform_take_url(&poller->url, channel->config, "/job-stop/", err))
        return err_set(err, ERR_CONFIG,
                       "RUNPOD_WEBHOOK_GET_JOB does not contain /job-take/, so there is no URL to "
                       "ask for stopped jobs: the platform cannot stop a job early");
    return http_client_new(&poller->client, channel->net, err);
}

void stop_channel_run(const struct stop_channel *channel)
{
    struct poller poller;
    struct err err = { 0 };
    if (start(&poller, channel, &err) != 0) {
        log_write(LOG_WARN, NULL, "%s", err.text);
        buf_free(&poller.url);
        return;
    }
    for (;;) {
        struct http_response answer = { 0 };
        int64_t asked_ms = clock_now_ms();
        const struct platform_patience patience = { .answer_ms = LIMIT_POLL_MS };
        int rc = platform_get(poller.client, channel->config, buf_slice(&poller.url), patience,
                              &answer, &poller.body, &err);
        clock_sleep(clock_deadline(pause_after(&poller, rc, &answer, asked_ms, &err)));
    }
}
