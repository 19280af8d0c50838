#include "app/stop_channel.h"

#include "base/limits.h"
#include "codec/backoff.h"
#include "codec/json.h"
#include "codec/url.h"
#include "job/platform.h"

struct poller {
    const struct stop_channel *channel;
    struct http_client *client;
    struct buf url;
    struct buf body;
    struct arena arena;
    struct backoff backoff;
    struct log_repeat repeat;
};

static void stop_one(struct poller *poller, slice value)
{
    slice id;
    if (json_type(value) != RP_STRING || json_string(value, &poller->arena, &id, NULL) != 0) {
        log_write(LOG_WARN, NULL, "The stop channel named a job by something that is no string.");
        return;
    }
    const struct log_tag tag = { .job_id = id };
    if (job_table_stop(poller->channel->table, id))
        log_write(LOG_INFO, &tag, "Stopping job.");
    else
        log_write(LOG_DEBUG, &tag, "Asked to stop a job that is not here.");
}

/* Stops the jobs an answer names; false where it is malformed or names none. */
static bool stop_named(struct poller *poller)
{
    slice ids, id, text = buf_slice(&poller->body);
    bool any = false;
    if (json_check(text, NULL, NULL) != 0 || json_type(text) != RP_OBJECT)
        return false;
    if (!json_member(text, "jobsToStop", &ids) || json_type(ids) != RP_ARRAY)
        return false;
    for (size_t pos = 0; json_next_element(ids, &pos, &id); any = true)
        stop_one(poller, id);
    arena_reset(&poller->arena);
    return any;
}

/* How long to wait before asking again, in ms. */
static uint32_t pause_after(struct poller *poller, int rc, const struct http_answer *answer,
                            int64_t asked_ms, const struct err *err)
{
    bool held = clock_now_ms() - asked_ms >= LIMIT_EMPTY_MS;
    if (rc == ERR_TIMEOUT && clock_now_ms() - asked_ms >= LIMIT_POLL_MS)
        return 0;
    if (rc == 0 && answer->status == 429)
        return platform_too_many_ms(answer);
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
                           "The stop channel answered %d; asking again.", answer->status);
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
    buf_init(&poller->body, LIMIT_STOP_BYTES, "answer of the stop channel");
    arena_init(&poller->arena, LIMIT_STOP_BYTES);
    if (!platform_take_url(&poller->url, channel->config, "/job-stop/", err))
        return err_set(err, ERR_CONFIG,
                       "RUNPOD_WEBHOOK_GET_JOB has no /job-take/ in it, so there "
                       "is no stop channel: jobs cannot be stopped");
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
        struct http_answer answer = { 0 };
        int64_t asked_ms = clock_now_ms();
        const struct platform_patience patience = { .answer_ms = LIMIT_POLL_MS };
        int rc = platform_get(poller.client, channel->config, buf_slice(&poller.url), patience,
                              &answer, &poller.body, &err);
        clock_sleep(clock_deadline(pause_after(&poller, rc, &answer, asked_ms, &err)));
    }
}
