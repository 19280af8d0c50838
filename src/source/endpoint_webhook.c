/*
 * Webhooks: the status of a job that has ended, posted to the URL that came with it. One thread
 * does it, so that a slow receiver delays other calls, but neither jobs nor clients.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/thread.h"
#include "base/version.h"
#include "http/client.h"
#include "source/endpoint_private.h"

struct webhook_call {
    struct webhook_call *next;
    char *url;
    char id[STORE_ID_BYTES];
    struct buf body;
    unsigned tries;
    deadline_ms due;
};

static void free_call(struct webhook_call *call)
{
    buf_free(&call->body);
    free(call->url);
    free(call);
}

/* One try. 0 where the receiver has answered 200. */
static int try_call(struct http_client *client, const struct webhook_call *call, struct err *err)
{
    const struct http1_field fields[] = {
        { SLICE_LITERAL("User-Agent"), SLICE_LITERAL(WORKER_USER_AGENT) },
        { SLICE_LITERAL("Content-Type"), SLICE_LITERAL("application/json") },
        { SLICE_LITERAL("Accept-Encoding"), SLICE_LITERAL("identity") },
    };
    const slice body = buf_slice(&call->body);
    const struct http_request request = {
        .method = "POST",
        .url = slice_from(call->url),
        .fields = fields,
        .field_count = sizeof fields / sizeof fields[0],
        .body = &body,
        .body_count = 1,
        .send_ms = LIMIT_ENDPOINT_WEBHOOK_MS,
        .first_byte_ms = LIMIT_ENDPOINT_WEBHOOK_MS,
        .body_ms = LIMIT_ENDPOINT_WEBHOOK_MS,
        .until = clock_deadline(LIMIT_ENDPOINT_WEBHOOK_MS),
    };
    struct http_response response = { 0 };
    struct buf reply;
    buf_init(&reply, LIMIT_REPLY_BYTES, "the response of a webhook");
    int rc = http_exchange(client, &request, &response, &reply, err);
    buf_free(&reply);
    if (rc == 0 && response.status != 200)
        rc = err_set(err, ERR_RETRY, "it answered %d, not 200", response.status);
    return rc;
}

/* The call that is due first, taken off the list, or NULL. */
static struct webhook_call *take_first(struct endpoint *endpoint)
{
    struct webhook_call **first = &endpoint->calls;
    for (struct webhook_call **link = first; *link != NULL; link = &(*link)->next)
        if ((*link)->due < (*first)->due)
            first = link;
    struct webhook_call *call = *first;
    if (call != NULL)
        *first = call->next;
    return call;
}

static void put_back(struct endpoint *endpoint, struct webhook_call *call)
{
    call->next = endpoint->calls;
    endpoint->calls = call;
}

/* Tries it once. True where it is to be tried again. Without the lock. */
static bool make_call(struct http_client *client, struct webhook_call *call)
{
    struct err err = { 0 };
    const struct log_tag tag = { .job_id = slice_from(call->id) };
    if (try_call(client, call, &err) == 0)
        return false;
    bool again = ++call->tries < LIMIT_ENDPOINT_WEBHOOK_TRIES;
    log_write(LOG_WARN, &tag, "Webhook: %s%s", err.text,
              again ? "; trying again in 10 s" : "; given up");
    call->due = clock_deadline(LIMIT_ENDPOINT_WEBHOOK_PAUSE_MS);
    return again;
}

/* Waits for a call that is due. At the end of the worker those that failed are not tried again. */
static struct webhook_call *next_call(struct endpoint *endpoint)
{
    for (;;) {
        struct webhook_call *call = take_first(endpoint);
        if (call != NULL && (call->due <= clock_now_ms() || endpoint->closed))
            return call;
        deadline_ms until = call != NULL ? call->due : DEADLINE_NEVER;
        if (call != NULL)
            put_back(endpoint, call);
        flag_cond_wait(&endpoint->called, &endpoint->store.lock, until);
    }
}

static void *caller_main(void *argument)
{
    struct endpoint *endpoint = argument;
    struct http_client *client;
    struct err err;
    while (http_client_new(&client, endpoint->net, &err) != 0)
        clock_sleep(clock_deadline(LIMIT_RETRY_FIRST_MS));
    store_lock(&endpoint->store);
    for (;;) {
        struct webhook_call *call = next_call(endpoint);
        bool dropped = endpoint->closed && call->tries > 0;
        store_unlock(&endpoint->store);
        bool again = !dropped && make_call(client, call);
        store_lock(&endpoint->store);
        if (again) {
            put_back(endpoint, call);
            continue;
        }
        free_call(call);
        endpoint->call_count--;
        pthread_cond_broadcast(&endpoint->idle);
    }
    return NULL;
}

static struct webhook_call *new_call(const struct endpoint *endpoint, const struct store_job *job)
{
    struct webhook_call *call = calloc(1, sizeof *call);
    if (call == NULL)
        return NULL;
    memcpy(call->id, job->id, sizeof call->id);
    call->url = strdup(job->webhook);
    buf_init(&call->body, SIZE_MAX, "a webhook's call");
    endpoint_put_status(endpoint, &call->body, job);
    if (call->url != NULL && buf_error(&call->body, NULL) == 0)
        return call;
    free_call(call);
    return NULL;
}

void endpoint_call_webhook(struct endpoint *endpoint, const struct store_job *job)
{
    struct webhook_call *call;
    if (job->webhook == NULL || endpoint->net == NULL ||
        endpoint->call_count >= LIMIT_ENDPOINT_WEBHOOKS || (call = new_call(endpoint, job)) == NULL)
        return;
    if (!endpoint->caller_runs)
        endpoint->caller_runs = thread_start(caller_main, endpoint, LIMIT_STACK_SERVICE_BYTES,
                                             NULL) == 0;
    if (!endpoint->caller_runs) {
        free_call(call);
        return;
    }
    put_back(endpoint, call);
    endpoint->call_count++;
    pthread_cond_broadcast(&endpoint->called);
}
