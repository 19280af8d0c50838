/*
 * OpenAI's routes: a request becomes a job with openai_route and openai_input, as the platform
 * makes it, and the client gets the output as its response, or the parts as its events.
 */
#include "base/limits.h"
#include "codec/route.h"
#include "source/endpoint_private.h"
#include "source/events.h"
#include "json/json.h"

#define JSON_TYPE "application/json"

/* The text of a failure: "error" of a result may be a string that holds an error object. */
static void put_message(struct buf *out, slice error)
{
    struct arena arena;
    slice text, message;
    arena_init(&arena, 4 * LIMIT_ERROR_BYTES);
    if (json_type(error) != RP_STRING || json_check(error, NULL, NULL) != 0 ||
        json_string(error, &arena, &text, NULL) != 0)
        endpoint_put_error(out, error);
    else if (json_check(text, NULL, NULL) == 0 && json_member(text, "error_message", &message) &&
             json_type(message) == RP_STRING)
        buf_add_slice(out, message, NULL);
    else
        endpoint_put_error(out, text);
    arena_free(&arena);
}

/* An error in the form that OpenAI's clients read. */
static void put_openai_error(struct buf *out, slice error)
{
    buf_add_text(out, "{\"error\": {\"message\": ", NULL);
    put_message(out, error);
    buf_add_text(out, ", \"type\": \"server_error\", \"param\": null, \"code\": null}}", NULL);
}

static void refuse(struct endpoint_request *request, int status, slice message)
{
    struct buf out;
    buf_init(&out, SIZE_MAX, "an error");
    put_openai_error(&out, message);
    endpoint_respond(request, status, &out);
    buf_free(&out);
}

static slice why_not(const struct store_job *job)
{
    if (job->error.ptr != NULL)
        return job->error;
    return job->state == STORE_TIMED_OUT ? SLICE_LITERAL("The job exceeded its time.")
                                         : SLICE_LITERAL("The job was cancelled.");
}

/* --- the job --------------------------------------------------------------------------------- */

/* The request's text for the queue. ERR_INPUT for a route or a body that cannot be passed on. */
static int put_job(struct endpoint_request *request, struct buf *out, struct err *err)
{
    slice query = request->exchange->request->query, body = buf_slice(&request->exchange->body);
    bool posts = slice_is(request->exchange->request->method, "POST");
    buf_init(out, SIZE_MAX, "a request");
    buf_add_slice(out, request->rest, NULL);
    buf_add_text(out, query.len > 0 ? "?" : "", NULL);
    int rc = buf_add_slice(out, query, err);
    if (rc == 0)
        rc = route_check(buf_slice(out), err);
    if (rc == 0 && posts && (rc = json_check(body, NULL, err)) != 0)
        err_wrap(err, "The request is not JSON");
    if (rc != 0)
        return rc;
    buf_clear(out);
    buf_add_text(out, "{\"input\": {\"openai_route\": \"", NULL);
    buf_add_slice(out, request->rest, NULL); /* its characters need no escapes in JSON */
    buf_add_text(out, query.len > 0 ? "?" : "", NULL);
    buf_add_slice(out, query, NULL);
    buf_add_text(out, posts ? "\", \"openai_input\": " : "\"", NULL);
    buf_add_slice(out, posts ? body : (slice){ 0 }, NULL);
    buf_add_text(out, "}}", NULL);
    return buf_error(out, err);
}

/* The client has gone: nobody would read what the model goes on to write. */
static void cancel(struct endpoint_request *request, struct store_job *job)
{
    struct endpoint *endpoint = request->endpoint;
    store_lock(&endpoint->store);
    store_end(&endpoint->store, job, STORE_CANCELLED);
    pthread_cond_broadcast(&endpoint->idle);
    store_unlock(&endpoint->store);
    server_hang_up(request->exchange);
}

/* --- one answer ------------------------------------------------------------------------------ */

/* The only element of a list, or the value itself: streaming handlers yield their answer. */
static slice sole_element(slice output)
{
    slice element, more;
    size_t pos = 0;
    if (json_type(output) == RP_ARRAY && json_next_element(output, &pos, &element) &&
        !json_next_element(output, &pos, &more))
        return element;
    return output;
}

static void respond_whole(struct endpoint_request *request, struct store_job *job)
{
    struct buf out;
    if (!endpoint_wait(request, job, endpoint_job_ended, NULL, DEADLINE_NEVER)) {
        cancel(request, job);
        return;
    }
    buf_init(&out, SIZE_MAX, "a response");
    store_lock(&request->endpoint->store);
    int status = job->state == STORE_COMPLETED ? 200 : 500;
    if (status == 200)
        buf_add_slice(
            &out, job->output.ptr != NULL ? sole_element(job->output) : SLICE_LITERAL("{}"), NULL);
    else
        put_openai_error(&out, why_not(job));
    store_unlock(&request->endpoint->store);
    endpoint_respond(request, status, &out);
    buf_free(&out);
}

/* --- events ---------------------------------------------------------------------------------- */

struct progress {
    size_t parts;
    bool begun;
    bool closed; /* the last event was [DONE] */
    struct arena arena;
    struct buf out;
};

static bool has_more(const struct store_job *job, void *owner)
{
    const struct progress *progress = owner;
    return store_has_ended(job) || job->part_count > progress->parts;
}

/* Strings are events as the handler's server has sent them; anything else becomes one. */
static void put_event(struct progress *progress, slice value)
{
    const slice done = SLICE_LITERAL("data: [DONE]");
    slice text;
    arena_reset(&progress->arena);
    if (json_type(value) == RP_STRING && json_string(value, &progress->arena, &text, NULL) == 0) {
        buf_add_slice(&progress->out, text, NULL);
        progress->closed = slice_ends_nocase(json_trim(text), done);
        return;
    }
    events_put(&progress->out, NULL, value);
}

/* What follows the parts of a job that has ended. */
static void put_end(struct progress *progress, const struct store_job *job)
{
    if (job->state != STORE_COMPLETED) {
        buf_add_text(&progress->out, "data: ", NULL);
        put_openai_error(&progress->out, why_not(job));
        buf_add_text(&progress->out, "\n\n", NULL);
    } else if (job->part_count == 0 && job->output.ptr != NULL) {
        put_event(progress, sole_element(job->output)); /* of a handler that does not stream */
    }
    if (!progress->closed)
        buf_add_text(&progress->out, "data: [DONE]\n\n", NULL);
}

/* Sends what is new. *over: that was all. False where the client has gone. */
static bool send_more(struct endpoint_request *request, const struct store_job *job,
                      struct progress *progress, bool *over)
{
    buf_clear(&progress->out);
    store_lock(&request->endpoint->store);
    bool failed = store_has_ended(job) && job->state != STORE_COMPLETED;
    if (failed && !progress->begun && job->part_count == 0) {
        put_openai_error(&progress->out, why_not(job));
        store_unlock(&request->endpoint->store);
        endpoint_respond(request, 500, &progress->out);
        *over = true;
        return true;
    }
    for (; progress->parts < job->part_count; progress->parts++)
        put_event(progress, store_part(job, progress->parts));
    *over = store_has_ended(job) || server_is_stopping(request->exchange);
    if (*over)
        put_end(progress, job);
    store_unlock(&request->endpoint->store);
    if (!progress->begun && !endpoint_begin_events(request))
        return false;
    progress->begun = true;
    return buf_error(&progress->out, NULL) == 0 &&
           server_stream_write(request->exchange, buf_slice(&progress->out), NULL) == 0;
}

static void respond_events(struct endpoint_request *request, struct store_job *job)
{
    struct progress progress = { 0 };
    bool over = false, here = true;
    arena_init(&progress.arena, LIMIT_ENDPOINT_PARTS_BYTES);
    buf_init(&progress.out, SIZE_MAX, "events");
    while (here && !over) {
        here = endpoint_wait(request, job, has_more, &progress, DEADLINE_NEVER) &&
               send_more(request, job, &progress, &over);
    }
    if (!here)
        cancel(request, job);
    else if (progress.begun)
        server_stream_end(request->exchange, NULL);
    buf_free(&progress.out);
    arena_free(&progress.arena);
}

static bool wants_events(slice body)
{
    slice stream;
    return json_type(body) == RP_OBJECT && json_member(body, "stream", &stream) &&
           slice_is(stream, "true");
}

void endpoint_openai(struct endpoint_request *request)
{
    struct buf text;
    struct err err = { 0 };
    int rc = put_job(request, &text, &err);
    bool streams = rc == 0 && wants_events(buf_slice(&request->exchange->body));
    struct store_job *job = NULL;
    if (rc != 0)
        refuse(request, rc == ERR_INPUT ? 400 : 503, slice_from(err.text));
    else
        job = endpoint_submit(request, &text, true);
    buf_free(&text);
    if (job == NULL)
        return;
    if (streams)
        respond_events(request, job);
    else
        respond_whole(request, job);
    endpoint_drop(request->endpoint, job);
}
