#include "job/http_handler.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/version.h"
#include "codec/json.h"
#include "job/http_slot.h"

#define MODELS_ROUTE "/v1/models"

/* --- the model's name -------------------------------------------------------------------------- */

static struct {
    pthread_mutex_t lock; /* of the one that asks */
    atomic_bool known;    /* or known not to be told; from then on nothing here changes */
    struct buf json;      /* a string; empty where there is none */
} model = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* POST, PUT, PATCH: without a body they say that it is empty (RFC 9110, 8.6). */
static bool is_for_a_body(const char *method)
{
    return method[0] == 'P';
}

static int send_request(struct http_slot *slot, const char *method, slice route, const slice *body,
                        size_t body_count, struct err *err)
{
    const struct config *config = slot->setting->config;
    const struct http1_field fields[] = {
        { SLICE_LITERAL("User-Agent"), SLICE_LITERAL(WORKER_USER_AGENT) },
        { SLICE_LITERAL("Accept-Encoding"), SLICE_LITERAL("identity") },
        { SLICE_LITERAL("X-Request-ID"), buf_slice(&slot->request_id) },
        { SLICE_LITERAL("Content-Type"), SLICE_LITERAL("application/json") },
    };
    slot->url.len = 0;
    int rc = buf_add_slice(&slot->url, slot->setting->origin, err);
    if (rc == 0)
        rc = buf_add_slice(&slot->url, route, err);
    if (rc != 0)
        return rc;
    const struct http_request request = {
        .method = method,
        .url = buf_slice(&slot->url),
        .fields = fields,
        .field_count = body_count > 0 ? 4 : 3,
        .body = body_count > 0 || is_for_a_body(method) ? body : NULL,
        .body_count = body_count,
        .connect_ms = config->handler.connect_ms,
        .send_ms = LIMIT_BODY_MS,
        .answer_ms = config->handler.first_byte_ms,
        .body_ms = LIMIT_TRANSFER_MS,
        .idle_ms = config->handler.idle_ms,
        .wake = &slot->waiter.wake,
        .wake_always = true,
    };
    return http_open(slot->client, &request, &slot->answer, err);
}

/* The first model that the server names. */
static void read_models(slice text)
{
    slice data, first, id;
    size_t pos = 0;
    if (json_check(text, NULL, NULL) == 0 && json_type(text) == RP_OBJECT &&
        json_member(text, "data", &data) && json_type(data) == RP_ARRAY &&
        json_next_element(data, &pos, &first) && json_type(first) == RP_OBJECT &&
        json_member(first, "id", &id) && json_type(id) == RP_STRING)
        buf_add_slice(&model.json, id, NULL);
}

/*
 * Under the lock. Afterwards the model is known, unless the server is in trouble: it may tell the
 * next job.
 */
static int ask_for_model(struct http_slot *slot, struct err *err)
{
    const char *served = slot->setting->config->handler.served_model;
    int rc;
    buf_init(&model.json, LIMIT_REPLY_BYTES, "model's name");
    if (served != NULL) {
        rc = json_put_lossy(&model.json, slice_from(served), err);
    } else {
        rc = send_request(slot, "GET", SLICE_LITERAL(MODELS_ROUTE), NULL, 0, err);
        if (rc == 0)
            rc = http_read_all(slot->client, &slot->answer, &slot->body, err);
        if (rc == 0 && slot->answer.status <= 299)
            read_models(json_trim(buf_slice(&slot->body)));
    }
    atomic_store(&model.known, rc == 0 && (served != NULL || slot->answer.status < 500));
    return rc;
}

/*
 * 0 with the model, if there is one; or what kept the server from answering. While another job asks
 * a slow server, this one can be stopped.
 */
static int find_model(struct http_slot *slot, slice *name, struct err *err)
{
    while (!atomic_load(&model.known)) {
        if (pthread_mutex_trylock(&model.lock) == 0) {
            int rc = atomic_load(&model.known) ? 0 : ask_for_model(slot, err);
            pthread_mutex_unlock(&model.lock);
            if (rc != 0)
                return rc;
            break;
        }
        if (flag_wait(&slot->job->job->stop, clock_deadline(LIMIT_MODEL_LOOK_MS)))
            return err_set(err, ERR_CANCELLED, "the job was stopped");
    }
    if (atomic_load(&model.known))
        *name = buf_slice(&model.json);
    return 0;
}

/* --- one job ------------------------------------------------------------------------------------ */

static int exchange(struct http_slot *slot, struct http_call *call)
{
    struct err err = { 0 };
    slice name = { 0 };
    int rc = call->wants_model ? find_model(slot, &name, &err) : 0;
    if (rc == 0 && name.len > 0)
        http_call_set_model(call, name);
    if (rc == 0)
        rc = send_request(slot, call->method,
                          call->route.len > 0 ? call->route : slot->setting->path, call->body,
                          call->body_count, &err);
    if (rc != 0)
        return http_fail_exchange(slot, &err);
    rc = http_answer_take(slot, call);
    return rc == RP_OK ? http_fail_if_ended(slot) : rc;
}

/* What the end of the exchange says of the server. */
static enum http_outcome outcome_of(const struct http_slot *slot, int rc)
{
    const struct job *job = slot->job->job;
    int status = slot->answer.status;
    if (rc == RP_OK)
        return HTTP_WELL;
    bool cut_short = flag_is_raised(&job->stop) && atomic_load(&job->why) != JOB_TIMED_OUT;
    bool refused = status >= 300 && status <= 499;
    return cut_short || refused ? HTTP_NOTHING : HTTP_SUSPICIOUS;
}

static int run_call(struct http_slot *slot)
{
    struct err err = { 0 };
    struct http_call call;
    const struct job *job = slot->job->job;
    int rc = http_call_read(&call, job->input, &slot->job->arena, &err);
    if (rc != 0)
        return http_fail(slot, rc == ERR_INPUT ? 400 : 500, "The job's input: %s.", err.text);
    slot->request_id.len = 0;
    job_put_field_id(job, &slot->request_id, NULL);
    slot->body.len = 0;
    rc = http_server_wait(&slot->waiter, &job->stop, &slot->body, &err);
    if (rc == ERR_CANCELLED)
        return RP_FAILED;
    if (rc != 0)
        return http_fail(slot, 503, "%s%.*s", err.text, SLICE_ARG(buf_slice(&slot->body)));
    slot->life = http_server_enter();
    rc = exchange(slot, &call);
    http_server_leave(outcome_of(slot, rc));
    return rc;
}

static int http_run(rp_job *job, void *state)
{
    struct http_slot *slot = state;
    slot->job = job;
    slot->answer = (struct http_answer){ 0 };
    flag_link(&job->job->stop, &slot->waiter.wake);
    int rc = run_call(slot);
    flag_link(&job->job->stop, NULL);
    if (flag_is_raised(&job->job->stop))
        wake_lower(&slot->waiter.wake);
    buf_reset(&slot->body, LIMIT_KEEP_BYTES);
    buf_reset(&slot->text, LIMIT_KEEP_BYTES);
    return rc != RP_OK && http_server_is_lost() ? HANDLER_LOST : rc;
}

/* --- a slot --------------------------------------------------------------------------------------- */

static void http_close(void *state)
{
    struct http_slot *slot = state;
    http_client_free(slot->client);
    wake_free(&slot->waiter.wake);
    buf_free(&slot->url);
    buf_free(&slot->request_id);
    buf_free(&slot->body);
    buf_free(&slot->text);
    free(slot);
}

static int http_open_slot(const void *setting, void **state, struct err *err)
{
    struct http_setting *shared = (struct http_setting *)(uintptr_t)setting;
    struct http_slot *slot = calloc(1, sizeof *slot);
    if (slot == NULL)
        return err_set(err, ERR_MEMORY, "no memory for a slot");
    slot->setting = shared;
    size_t max_bytes = (size_t)shared->config->result_max_bytes;
    buf_init(&slot->url, URL_MAX_BYTES, "URL of the handler's server");
    buf_init(&slot->request_id, 4 * LIMIT_JOB_ID_BYTES, "X-Request-ID");
    buf_init(&slot->body, max_bytes, "an answer of the handler's server (RP_MAX_RESULT_MB)");
    buf_init(&slot->text, max_bytes, "the output (RP_MAX_RESULT_MB)");
    int rc = wake_init(&slot->waiter.wake, err);
    if (rc == 0)
        rc = http_client_new(&slot->client, &shared->net, err);
    if (rc == 0)
        rc = http_server_start(shared, err);
    if (rc == 0)
        rc = http_server_wait(&slot->waiter, NULL, NULL, err);
    if (rc != 0)
        http_close(slot);
    else
        *state = slot;
    return rc;
}

static void http_on_loss(const void *setting, void (*lost)(void *owner), void *owner)
{
    struct http_setting *shared = (struct http_setting *)(uintptr_t)setting;
    shared->lost_owner = owner;
    shared->lost = lost;
}

const struct handler_ops http_ops = {
    .open = http_open_slot,
    .run = http_run,
    .close = http_close,
    .on_loss = http_on_loss,
};
