/* The routes of jobs: run, runsync, status, status-sync, stream, cancel, retry, purge, requests. */
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "codec/url.h"
#include "source/endpoint_private.h"
#include "json/json.h"

/* --- waiting ---------------------------------------------------------------------------------- */

bool endpoint_job_ended(const struct store_job *job, void *owner)
{
    (void)owner;
    return store_has_ended(job);
}

bool endpoint_wait(struct endpoint_request *request, struct store_job *job,
                   bool (*done)(const struct store_job *job, void *owner), void *owner,
                   deadline_ms deadline)
{
    struct store *store = &request->endpoint->store;
    struct store_watcher watcher = { .wake = server_own_wake(request->exchange, NULL),
                                     .for_end = done == endpoint_job_ended };
    enum server_event event = SERVER_WOKEN;
    store_lock(store);
    if (done(job, owner)) { /* the usual case of a look-up costs no descriptor */
        store_unlock(store);
        return true;
    }
    if (watcher.wake == NULL) {
        store_unlock(store);
        return false;
    }
    store_watch(&job->watchers, &watcher);
    while (event == SERVER_WOKEN && !done(job, owner) && !server_is_stopping(request->exchange)) {
        store_unlock(store);
        event = server_wait(request->exchange, watcher.wake, deadline);
        if (event == SERVER_WOKEN)
            wake_lower(watcher.wake);
        store_lock(store);
    }
    store_unwatch(&job->watchers, &watcher);
    store_unlock(store);
    return event != SERVER_GONE;
}

/* --- submitting ------------------------------------------------------------------------------- */

/* The object gets its id as its last member, so that it counts even where the client sent one. */
static int add_id(struct buf *body, const char *id, struct err *err)
{
    slice text = json_trim(buf_slice(body));
    if (text.len < 2 || text.ptr[0] != '{' || text.ptr[text.len - 1] != '}')
        return err_set(err, ERR_INPUT, "The request must be a JSON object like {\"input\": {}}.");
    bool empty = json_trim((slice){ text.ptr + 1, text.len - 2 }).len == 0;
    buf_truncate(body, (size_t)(text.ptr + text.len - 1 - body->ptr));
    return json_add(body, err, "%s\"id\": \"%s\"}", empty ? "" : ", ", id);
}

static int read_ms(slice policy, const char *name, int64_t *ms, struct err *err)
{
    slice value;
    if (!json_member(policy, name, &value) || json_type(value) == RP_NULL)
        return 0;
    if (json_int(value, ms, NULL) == 0 && *ms >= 1 && *ms <= LIMIT_ENDPOINT_POLICY_MS)
        return 0;
    return err_set(err, ERR_INPUT, "policy.%s must be a number of milliseconds from 1 to %lld",
                   name, (long long)LIMIT_ENDPOINT_POLICY_MS);
}

static int read_policy(struct store_job *job, slice object, struct err *err)
{
    slice policy, low;
    job->ttl_ms = LIMIT_ENDPOINT_TTL_MS;
    job->execution_ms = LIMIT_ENDPOINT_EXECUTION_MS;
    if (!json_member(object, "policy", &policy) || json_type(policy) == RP_NULL)
        return 0;
    if (json_type(policy) != RP_OBJECT)
        return err_set(err, ERR_INPUT, "policy must be an object");
    bool has_low = json_member(policy, "lowPriority", &low);
    job->is_low = has_low && slice_is(low, "true");
    if (has_low && json_type(low) != RP_BOOL && json_type(low) != RP_NULL)
        return err_set(err, ERR_INPUT, "policy.lowPriority must be true or false");
    int rc = read_ms(policy, "ttl", &job->ttl_ms, err);
    return rc == 0 ? read_ms(policy, "executionTimeout", &job->execution_ms, err) : rc;
}

static int read_webhook(struct store_job *job, slice object, struct err *err)
{
    slice value, text;
    struct url url;
    if (!json_member(object, "webhook", &value) || json_type(value) == RP_NULL)
        return 0;
    int rc = json_string(value, &job->delivery->arena, &text, err);
    if (rc == 0 && text.len > 0)
        rc = url_parse(text, &url, err);
    if (rc != 0)
        return err_wrap(err, "webhook");
    job->webhook = text.len > 0 ? strndup(text.ptr, text.len) : NULL;
    return text.len > 0 && job->webhook == NULL ? err_set(err, ERR_MEMORY, "out of memory") : 0;
}

static int read_request(struct store_job *job, struct buf *body, struct err *err)
{
    int rc = delivery_new(&job->delivery, SIZE_MAX, err);
    if (rc != 0)
        return rc;
    buf_free(&job->delivery->body);
    job->delivery->body = *body;
    job->delivery->body.max = SIZE_MAX;
    *body = (struct buf){ 0 };
    rc = add_id(&job->delivery->body, job->id, err);
    if (rc == 0)
        rc = delivery_read(job->delivery, NULL, &job->job, err);
    if (rc != 0)
        return rc;
    job->job->client_chose_id = true; /* a job that is run again has the id of the one before */
    if (job->job->defect != NULL || json_type(job->job->input) == RP_NULL)
        rc = err_set(err, ERR_INPUT, "The request has no input: send {\"input\": {...}}.");
    if (rc == 0)
        rc = read_policy(job, job->job->text, err);
    if (rc == 0)
        rc = read_webhook(job, job->job->text, err);
    if (rc != 0)
        job_release(job->job);
    return rc;
}

static struct store_job *make_job(struct buf *body, bool is_sync, struct err *err)
{
    char uuid[RANDOM_UUID_BYTES];
    struct store_job *job = calloc(1, sizeof *job);
    if (job == NULL) {
        err_set(err, ERR_MEMORY, "out of memory for a job");
        return NULL;
    }
    random_uuid(uuid);
    snprintf(job->id, sizeof job->id, "%s%s", is_sync ? "sync-" : "", uuid);
    job->is_sync = is_sync;
    if (read_request(job, body, err) == 0)
        return job;
    store_job_free(job);
    return NULL;
}

/* Adds the job, and tells the worker. The HTTP status of a refusal, or 0. */
static int add_job(struct endpoint *endpoint, struct store_job *job, struct err *err)
{
    int status = 503;
    store_lock(&endpoint->store);
    int rc = endpoint->closed ? err_set(err, ERR_CANCELLED, "The worker is shutting down.")
                              : store_add(&endpoint->store, job, &status, err);
    if (rc == 0)
        store_hold(job);
    store_unlock(&endpoint->store);
    if (rc == 0)
        endpoint_tell_arrival(endpoint);
    return rc == 0 ? 0 : status;
}

struct store_job *endpoint_submit(struct endpoint_request *request, struct buf *body, bool is_sync)
{
    struct err err = { 0 };
    struct store_job *job = make_job(body, is_sync, &err);
    int status = job == NULL ? (err.code == ERR_MEMORY ? 503 : 400)
                             : add_job(request->endpoint, job, &err);
    if (status == 0)
        return job;
    if (job != NULL) {
        job_release(job->job);
        store_job_free(job);
    }
    endpoint_refuse(request, status, err.text);
    return NULL;
}

void endpoint_drop(struct endpoint *endpoint, struct store_job *job)
{
    store_lock(&endpoint->store);
    store_drop(&endpoint->store, job);
    store_unlock(&endpoint->store);
}

/* It waits now, or did when it was put into the queue: it may have ended since. */
static void respond_queued(struct endpoint_request *request, const struct store_job *job)
{
    struct buf out;
    buf_init(&out, LIMIT_REPLY_BYTES, "a response");
    json_add(&out, NULL, "{\"id\": \"%s\", \"status\": \"IN_QUEUE\"}", job->id);
    endpoint_respond(request, 200, &out);
    buf_free(&out);
}

void endpoint_run(struct endpoint_request *request)
{
    struct buf *body = &request->exchange->body;
    if (body->len > LIMIT_ENDPOINT_RUN_BYTES) {
        endpoint_refuse(request, 413,
                        "The request is larger than 10 MiB, the limit of /run; /runsync takes 20.");
        return;
    }
    struct store_job *job = endpoint_submit(request, body, false);
    if (job == NULL)
        return;
    respond_queued(request, job);
    endpoint_drop(request->endpoint, job);
}

/* --- looking up ------------------------------------------------------------------------------- */

/* The job that the path names, with a reference; NULL where it has answered 404. */
static struct store_job *look_up(struct endpoint_request *request)
{
    struct store *store = &request->endpoint->store;
    store_lock(store);
    struct store_job *job = store_find(store, request->id);
    if (job != NULL)
        store_hold(job);
    store_unlock(store);
    if (job == NULL)
        endpoint_refuse(request, 404,
                        "There is no job with this id; jobs of /run are kept for 30 minutes after "
                        "their end, those of /runsync for 1.");
    return job;
}

static void respond_status(struct endpoint_request *request, const struct store_job *job)
{
    struct buf out;
    buf_init(&out, SIZE_MAX, "a response");
    store_lock(&request->endpoint->store);
    endpoint_put_status(request->endpoint, &out, job);
    store_unlock(&request->endpoint->store);
    endpoint_respond(request, 200, &out);
    buf_free(&out);
}

/* Answers with the job's status once it has ended, or after ?wait= ms; gives the job back. */
static void respond_ended(struct endpoint_request *request, struct store_job *job)
{
    int64_t wait_ms = endpoint_query_number(request, "wait", LIMIT_ENDPOINT_WAIT_MS,
                                            LIMIT_ENDPOINT_WAIT_MIN_MS, LIMIT_ENDPOINT_WAIT_MAX_MS);
    if (endpoint_wait(request, job, endpoint_job_ended, NULL, clock_deadline(wait_ms)))
        respond_status(request, job);
    else
        server_hang_up(request->exchange);
    endpoint_drop(request->endpoint, job);
}

void endpoint_runsync(struct endpoint_request *request)
{
    struct buf *body = &request->exchange->body;
    if (body->len > LIMIT_ENDPOINT_RUNSYNC_BYTES) { /* the realtime port takes larger ones */
        endpoint_refuse(request, 413, "The request is larger than 20 MiB, the limit of /runsync.");
        return;
    }
    struct store_job *job = endpoint_submit(request, body, true);
    if (job != NULL)
        respond_ended(request, job);
}

void endpoint_status_sync(struct endpoint_request *request)
{
    struct store_job *job = look_up(request);
    if (job != NULL)
        respond_ended(request, job);
}

void endpoint_status(struct endpoint_request *request)
{
    struct store_job *job = look_up(request);
    if (job == NULL)
        return;
    respond_status(request, job);
    endpoint_drop(request->endpoint, job);
}

/* --- streams ---------------------------------------------------------------------------------- */

static bool has_news(const struct store_job *job, void *owner)
{
    (void)owner;
    return store_has_ended(job) || job->streamed < job->part_count;
}

/* The parts that nobody has fetched yet, with the status: with the final one at the latest. */
static void put_news(struct buf *out, struct store_job *job)
{
    json_add(out, NULL, "{\"id\": \"%s\", \"status\": \"%s\", \"stream\": [", job->id,
             store_state_name(job->state));
    for (bool first = true; job->streamed < job->part_count; first = false) {
        buf_add_text(out, first ? "{\"output\": " : ", {\"output\": ", NULL);
        buf_add_slice(out, store_part(job, job->streamed++), NULL);
        buf_add_text(out, "}", NULL);
    }
    buf_add_text(out, "]", NULL);
    if (job->error.ptr != NULL)
        endpoint_put_error_member(out, job->error);
    endpoint_put_times(out, job);
    buf_add_text(out, "}", NULL);
}

void endpoint_stream(struct endpoint_request *request)
{
    struct buf out;
    struct store_job *job = look_up(request);
    if (job == NULL)
        return;
    bool here = endpoint_wait(request, job, has_news, NULL,
                              clock_deadline(LIMIT_ENDPOINT_STREAM_MS));
    if (here) {
        buf_init(&out, SIZE_MAX, "a response");
        store_lock(&request->endpoint->store);
        put_news(&out, job);
        store_unlock(&request->endpoint->store);
        endpoint_respond(request, 200, &out);
        buf_free(&out);
    } else {
        server_hang_up(request->exchange);
    }
    endpoint_drop(request->endpoint, job);
}

/* --- cancel, retry, purge, list --------------------------------------------------------------- */

static void respond_state(struct endpoint_request *request, const struct store_job *job)
{
    struct buf out;
    buf_init(&out, LIMIT_REPLY_BYTES, "a response");
    store_lock(&request->endpoint->store);
    endpoint_put_name(&out, job);
    store_unlock(&request->endpoint->store);
    buf_add_text(&out, "}", NULL);
    endpoint_respond(request, 200, &out);
    buf_free(&out);
}

void endpoint_cancel(struct endpoint_request *request)
{
    struct endpoint *endpoint = request->endpoint;
    struct store_job *job = look_up(request);
    if (job == NULL)
        return;
    store_lock(&endpoint->store);
    if (!store_has_ended(job)) {
        store_end(&endpoint->store, job, STORE_CANCELLED);
        endpoint_call_webhook(endpoint, job);
        pthread_cond_broadcast(&endpoint->idle);
    }
    store_unlock(&endpoint->store);
    respond_state(request, job);
    endpoint_drop(endpoint, job);
}

void endpoint_retry(struct endpoint_request *request)
{
    struct endpoint *endpoint = request->endpoint;
    struct err err = { 0 };
    struct store_job *job = look_up(request);
    if (job == NULL)
        return;
    store_lock(&endpoint->store);
    int rc = endpoint->closed ? err_set(&err, ERR_CANCELLED, "The worker is shutting down.")
                              : store_retry(&endpoint->store, job, &err);
    store_unlock(&endpoint->store);
    if (rc == 0) {
        endpoint_tell_arrival(endpoint);
        respond_queued(request, job);
    } else {
        endpoint_refuse(request, rc == ERR_INPUT ? 409 : rc == ERR_LIMIT ? 429 : 503, err.text);
    }
    endpoint_drop(endpoint, job);
}

void endpoint_purge(struct endpoint_request *request)
{
    struct buf out;
    buf_init(&out, LIMIT_REPLY_BYTES, "a response");
    store_lock(&request->endpoint->store);
    size_t removed = store_purge(&request->endpoint->store);
    store_unlock(&request->endpoint->store);
    json_add(&out, NULL, "{\"removed\": %zu, \"status\": \"completed\"}", removed);
    endpoint_respond(request, 200, &out);
    buf_free(&out);
}

void endpoint_requests(struct endpoint_request *request)
{
    struct buf out;
    buf_init(&out, SIZE_MAX, "a response");
    buf_add_text(&out, "{\"requests\": ", NULL);
    store_lock(&request->endpoint->store);
    endpoint_put_list(request->endpoint, &out);
    store_unlock(&request->endpoint->store);
    buf_add_text(&out, "}", NULL);
    endpoint_respond(request, 200, &out);
    buf_free(&out);
}
