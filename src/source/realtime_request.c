/* Requests with jobs: read, put into the queue, answered. On the threads of their connections. */
#include <stdio.h>

#include "base/limits.h"
#include "base/random.h"
#include "source/realtime_private.h"
#include "json/json.h"

/* --- reading a request --------------------------------------------------------------------- */

/* Inserts an id before the members of the job object, which has at least one. */
static int add_id(struct buf *body, const char *id, struct err *err)
{
    char member[RANDOM_UUID_BYTES + 16];
    size_t len = (size_t)snprintf(member, sizeof member, "\"id\": \"%s\", ", id);
    int rc = buf_reserve(body, len, err);
    if (rc != 0)
        return rc;
    const char *brace = memchr(body->ptr, '{', body->len);
    size_t at = (size_t)(brace - body->ptr) + 1;
    memmove(body->ptr + at + len, body->ptr + at, body->len - at);
    memcpy(body->ptr + at, member, len);
    body->len += len;
    return 0;
}

static int check_job(const struct job *job, struct err *err)
{
    if (job->defect != NULL)
        return err_set(err, ERR_INPUT, "%s", job->defect);
    if (json_type(job->input) == RP_NULL)
        return err_set(err, ERR_INPUT, "Job has missing field(s): input is null.");
    return 0;
}

/* A body that is an input becomes a job object. */
static int wrap_input(struct buf *body, struct err *err)
{
    const slice start = SLICE_LITERAL("{\"input\": ");
    int rc = json_check(buf_slice(body), NULL, err);
    if (rc != 0) {
        err_wrap(err, "the body must be JSON, the handler's input");
        return rc;
    }
    rc = buf_reserve(body, start.len + 1, err);
    if (rc != 0)
        return rc;
    memmove(body->ptr + start.len, body->ptr, body->len);
    memcpy(body->ptr, start.ptr, start.len);
    body->len += start.len;
    return buf_add(body, "}", 1, err);
}

/* Reads the job in the delivery's body, and adds an id if it has none. */
static int read_job(struct delivery *delivery, struct job **job, struct err *err)
{
    char id[RANDOM_UUID_BYTES];
    random_uuid(id);
    *job = NULL;
    if (json_type(buf_slice(&delivery->body)) != RP_OBJECT)
        return err_set(err, ERR_INPUT,
                       "The request must be a JSON object like {\"id\": ..., \"input\": ...}.");
    int rc = delivery_read(delivery, id, job, err);
    if (rc == 0)
        rc = check_job(*job, err);
    if (rc == 0 && (*job)->id.ptr == id) {
        job_release(*job);
        *job = NULL;
        rc = add_id(&delivery->body, id, err);
        if (rc == 0)
            rc = delivery_read(delivery, NULL, job, err);
    }
    if (rc != 0 && *job != NULL) {
        job_release(*job);
        *job = NULL;
    }
    return rc;
}

/* --- who may ask ------------------------------------------------------------------------------ */

bool realtime_admit(const struct http1_request *request, void *owner)
{
    const struct realtime *realtime = owner;
    slice token, wanted = realtime->config->realtime_token;
    return wanted.len == 0 ||
           (http1_request_bearer(request, &token) && slice_equal_secret(token, wanted));
}

/* --- pending requests ------------------------------------------------------------------------ */

/* Adds a request to the queue. False if that is full or closed. */
static bool enqueue(struct realtime *realtime, struct pending_request *pending_request)
{
    pthread_mutex_lock(&realtime->lock);
    bool room = !realtime->closed &&
                (realtime->has_front
                     ? realtime->waiting + realtime->running < realtime->requests_max
                     : realtime->waiting < LIMIT_REALTIME_WAITING);
    if (room) {
        pending_request->arrived_ms = clock_now_ms();
        *realtime->pending_end = pending_request;
        realtime->pending_end = &pending_request->next;
        realtime->waiting++;
        wake_signal(&realtime->arrival);
    }
    pthread_mutex_unlock(&realtime->lock);
    return room;
}

struct pending_request *realtime_find(struct realtime *realtime, const struct job *job)
{
    struct pending_request *pending_request = realtime->pending_requests;
    while (pending_request != NULL && pending_request->job != job)
        pending_request = pending_request->next;
    return pending_request;
}

/* Removes a request from the list: only its own thread uses it after that. */
static void remove_request(struct realtime *realtime, struct pending_request *pending_request)
{
    pthread_mutex_lock(&realtime->lock);
    while (pending_request->answering)
        pthread_cond_wait(&realtime->copied, &realtime->lock);
    struct pending_request **link = &realtime->pending_requests;
    while (*link != pending_request)
        link = &(*link)->next;
    *link = pending_request->next;
    if (pending_request->next == NULL)
        realtime->pending_end = link;
    if (!pending_request->taken)
        realtime->waiting--;
    else if (!pending_request->answered)
        realtime->running--;
    pthread_cond_broadcast(&realtime->copied); /* a part may wait for room */
    pthread_mutex_unlock(&realtime->lock);
}

/* The output alone. The result has none where it was an empty object. */
static slice plain_output(slice result)
{
    slice output;
    return json_member(result, "output", &output) ? output : SLICE_LITERAL("{}");
}

/* What comes before the members of the result object, in place of its brace. */
static void put_status(struct buf *out, const struct pending_request *pending_request,
                       slice members)
{
    slice id = pending_request->job->id;
    json_add(out, NULL, "{\"id\": %.*Q, \"status\": \"%s\"%s", (int)id.len, id.ptr,
             pending_request->is_error ? "FAILED" : "COMPLETED", members.len > 1 ? ", " : "");
}

static void send_result(struct server_exchange *exchange,
                        const struct pending_request *pending_request)
{
    struct err err = { 0 };
    const struct log_tag tag = job_tag(pending_request->job);
    slice body = buf_slice(&pending_request->body), parts[2] = { { 0 } };
    struct buf status;
    buf_init(&status, LIMIT_REPLY_BYTES, "the job's status");
    server_hold(exchange, body.len);
    if (pending_request->form == REALTIME_FORM_PLAIN && !pending_request->is_error && body.len > 0)
        parts[1] = plain_output(body);
    else if (pending_request->form == REALTIME_FORM_STATUS && body.len > 0)
        put_status(&status, pending_request, parts[1] = slice_skip(body, 1));
    else
        parts[1] = body;
    parts[0] = buf_slice(&status);
    bool failed = pending_request->form == REALTIME_FORM_PLAIN && pending_request->is_error;
    const struct server_response answer = { .status = failed ? 500 : 200,
                                            .content_type = "application/json",
                                            .body = parts,
                                            .body_count = 2 };
    int rc = body.len == 0 ? server_respond_error(exchange, 500,
                                                  SLICE_LITERAL("Out of memory for the result."),
                                                  NULL, 0, &err)
                           : server_respond(exchange, &answer, &err);
    if (rc != 0)
        log_write(LOG_WARN, &tag, "The client did not read its result: %s", err.text);
    buf_free(&status);
}

static void give_up(struct server_exchange *exchange, const struct pending_request *pending_request)
{
    const struct log_tag tag = job_tag(pending_request->job);
    log_write(LOG_INFO, &tag, "The client has disconnected: stopping its job.");
    server_hang_up(exchange);
}

/* Waits for the outcome of a request in the queue, and responds. */
static void await_result(struct realtime *realtime, struct server_exchange *exchange,
                         struct pending_request *pending_request)
{
    bool events = pending_request->events.wanted, here = true;
    if (events)
        here = realtime_send_events(realtime, exchange, pending_request);
    else
        server_wait(exchange, &pending_request->done, DEADLINE_NEVER);
    remove_request(realtime, pending_request);
    bool answered = pending_request->answered;
    if (events && here)
        realtime_end_events(exchange, pending_request);
    else if (answered && !events)
        send_result(exchange, pending_request);
    else if (pending_request->rejected && !events)
        front_refuse(exchange, "The worker is shutting down.");
    else
        give_up(exchange, pending_request);
    if (answered)
        return;
    if (pending_request->taken)
        job_stop(pending_request->job, JOB_STOPPED);
    else
        job_release(pending_request->job);
}

static const char *why_full(const struct realtime *realtime)
{
    return realtime->has_front
               ? "This worker has as many requests as it can take (--concurrency), or is shutting "
                 "down."
               : "Too many requests are waiting for this worker, or it is shutting down.";
}

static void receive(struct realtime *realtime, struct server_exchange *exchange,
                    struct delivery *delivery, enum realtime_form form)
{
    struct err err = { 0 };
    struct pending_request pending_request = { .exchange = exchange, .form = form };
    struct realtime_events *events = &pending_request.events;
    buf_move(&delivery->body, &exchange->body);
    int rc = form == REALTIME_FORM_PLAIN ? wrap_input(&delivery->body, &err) : 0;
    if (rc == 0)
        rc = read_job(delivery, &pending_request.job, &err);
    if (rc == 0 && (rc = wake_init(&pending_request.done, &err)) != 0)
        job_release(pending_request.job);
    if (rc != 0) {
        server_respond_error(exchange, rc == ERR_MEMORY ? 503 : 400, slice_from(err.text), NULL, 0,
                             NULL);
        return;
    }
    pending_request.job->client_chose_id = true;
    events->wanted = realtime_wants_events(exchange->request);
    pending_request.job->wants_no_list = events->wanted;
    buf_init(&events->waiting, SIZE_MAX, "events");
    buf_init(&events->out, SIZE_MAX, "events");
    buf_init(&pending_request.body, SIZE_MAX,
             "result"); /* a result is limited where it is sealed */
    if (enqueue(realtime, &pending_request)) {
        await_result(realtime, exchange, &pending_request);
    } else {
        front_refuse(exchange, why_full(realtime));
        job_release(pending_request.job);
    }
    wake_free(&pending_request.done);
    buf_free(&events->waiting);
    buf_free(&events->out);
    buf_free(&pending_request.body);
}

/* On a port that others reach, or with a token, pages are clients as any. */
bool realtime_refuses(struct server_exchange *exchange, void *owner)
{
    const struct realtime *realtime = owner;
    bool is_named = http1_request_has_own_name(exchange->request, realtime->config->realtime_host);
    if (realtime->config->realtime_token.len > 0 || !server_is_local(realtime->server) ||
        (is_named && http1_request_is_same_origin(exchange->request)))
        return false;
    if (is_named)
        server_respond_error(exchange, 403,
                             SLICE_LITERAL("Web pages of another origin may not run jobs on this "
                                           "machine without a token (--realtime-token-file)."),
                             NULL, 0, NULL);
    else
        server_respond_error(exchange, 421,
                             SLICE_LITERAL("Requests must name this worker by its address, "
                                           "localhost or --realtime-host (a protection against DNS "
                                           "rebinding), or carry a token (--realtime-token-file)."),
                             NULL, 0, NULL);
    return true;
}

void realtime_serve(struct realtime *realtime, struct server_exchange *exchange,
                    enum realtime_form form)
{
    struct delivery *delivery;
    struct err err = { 0 };
    if (delivery_new(&delivery, LIMIT_REQUEST_BYTES, &err) != 0) {
        front_refuse(exchange, err.text);
        return;
    }
    receive(realtime, exchange, delivery, form);
    delivery_release(delivery);
}
