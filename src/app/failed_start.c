#include "app/failed_start.h"

#include <stdio.h>
#include <string.h>

#include "app/heartbeat.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/log_tail.h"
#include "base/text.h"
#include "base/utf8.h"

void failed_start_init(struct failed_start *self, const struct config *config,
                       const struct http_net *net)
{
    self->config = config;
    self->net = net;
    pthread_mutex_init(&self->lock, NULL);
    atomic_init(&self->is_set, false);
    buf_init(&self->last_words, LIMIT_CHILD_TAIL_BYTES, "last words");
    buf_init(&self->logs, LIMIT_CAPTURE_BYTES, "logs");
}

/*
 * What a handler printed once it was ready may be about other clients' jobs: then only its last
 * words are told, as in any error of a job.
 */
static bool wants_logs(const struct config *config, bool in_service)
{
    return config->log_capture == LOG_CAPTURE_ALL ||
           (config->log_capture == LOG_CAPTURE_AUTO && !in_service);
}

bool failed_start_set(struct failed_start *self, const char *why, bool in_service)
{
    pthread_mutex_lock(&self->lock);
    bool is_first = !atomic_load(&self->is_set);
    if (is_first) {
        self->in_service = in_service;
        snprintf(self->message, sizeof self->message, "%.*s", (int)strcspn(why, "\n"), why);
        log_mask(self->message, strlen(self->message));
        log_tail_put(&log_tail_of_errors, LIMIT_CHILD_TAIL_BYTES, &self->last_words);
        if (self->last_words.len == 0)
            log_tail_put(&log_tail_of_handlers, LIMIT_CHILD_TAIL_BYTES, &self->last_words);
        if (wants_logs(self->config, in_service))
            log_tail_put(&log_tail_of_handlers, LIMIT_CAPTURE_BYTES, &self->logs);
        atomic_store(&self->is_set, true);
    }
    pthread_mutex_unlock(&self->lock);
    return is_first;
}

bool failed_start_is_set(const struct failed_start *self)
{
    return atomic_load(&self->is_set);
}

bool failed_start_is_total(const struct failed_start *self)
{
    return atomic_load(&self->is_set) && !self->in_service;
}

/* Which part of the start it was, by the flag that names it. */
static const char *hook_of(const struct config *config)
{
    if (config->handler.http != NULL)
        return "handler_http";
    return config->handler.program != NULL || config->handler.once != NULL ? "handler" : "setup";
}

static slice last_line(slice text)
{
    const char *feed = text.len > 0 ? memrchr(text.ptr, '\n', text.len) : NULL;
    return feed != NULL ? slice_skip(text, (size_t)(feed + 1 - text.ptr)) : text;
}

/* "MESSAGE: LAST WORDS"; where it is too long, each loses its end. */
static void put_reason(const struct failed_start *self, char reason[LIMIT_REASON_BYTES])
{
    struct text text = text_over(reason, LIMIT_REASON_BYTES);
    slice words = last_line(buf_slice(&self->last_words));
    size_t message_bytes = words.len > 0 ? LIMIT_REASON_BYTES / 2 : LIMIT_REASON_BYTES - 1;
    if (words.len < LIMIT_REASON_BYTES / 2)
        message_bytes = LIMIT_REASON_BYTES - 4 - words.len;
    text_add(&text, "%.*s", SLICE_ARG(utf8_head(slice_from(self->message), message_bytes)));
    if (words.len > 0)
        text_add(&text, ": %.*s", SLICE_ARG(words));
    text_truncate(&text, utf8_whole(text_slice(&text)).len);
}

void failed_start_report(struct failed_start *self)
{
    char reason[LIMIT_REASON_BYTES];
    put_reason(self, reason);
    heartbeat_report_unhealthy(self->config, self->net, hook_of(self->config), reason);
}

void failed_start_seal(const struct failed_start *self, struct result *result, bool stop_pod)
{
    bool tells_words = self->config->log_capture != LOG_CAPTURE_OFF;
    const struct failure failure = {
        .type = self->in_service ? "HandlerLost" : "StartError",
        .message = slice_from(self->message),
        .traceback = tells_words ? buf_slice(&self->last_words) : (slice){ 0 },
        .logs = buf_slice(&self->logs),
        .hook = hook_of(self->config),
    };
    result_seal_failure(result, &failure, self->config, stop_pod);
}
