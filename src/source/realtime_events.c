/*
 * Server-sent events: parts of a stream and progress of a job go to the client of its request as
 * they come. Nothing is sent before the first of them, so that a job that fails at once is answered
 * with an error status; but a client does not go without a sign of life for long.
 */
#include "base/limits.h"
#include "codec/byte_class.h"
#include "source/events.h"
#include "source/realtime_private.h"
#include "json/json.h"

bool realtime_wants_events(const struct http1_request *request)
{
    slice list, entry;
    if (!http1_request_field(request, "Accept", &list))
        return false;
    while (byte_class_next(&list, ',', &entry)) {
        slice type = { entry.ptr, byte_class_until(entry, ";") };
        if (slice_is_nocase(byte_class_trim(type), "text/event-stream"))
            return true;
    }
    return false;
}

/* --- by the slots ----------------------------------------------------------------------------- */

static bool is_full(const struct pending_request *pending_request, slice json)
{
    size_t waiting = pending_request->events.waiting.len;
    return waiting > 0 && waiting + json.len > LIMIT_STREAM_BYTES;
}

/* As much again is sent while this waits. Under the lock. */
static void count_memory(struct pending_request *pending_request)
{
    struct realtime_events *events = &pending_request->events;
    if (events->waiting.len <= events->counted_bytes)
        return;
    server_hold(pending_request->exchange, 2 * (events->waiting.len - events->counted_bytes));
    events->counted_bytes = events->waiting.len;
}

int realtime_add_event(struct realtime *realtime, const struct job *job, const char *name,
                       slice json, struct err *err)
{
    struct pending_request *found;
    bool full = false;
    int rc = 0;
    pthread_mutex_lock(&realtime->lock);
    while ((found = realtime_find(realtime, job)) != NULL && (full = is_full(found, json)) &&
           name == NULL && !flag_is_raised(&job->stop)) /* which signals nothing here */
        flag_cond_wait(&realtime->copied, &realtime->lock, clock_deadline(LIMIT_WATCH_MS));
    if (found == NULL) {
        rc = err_set(err, ERR_CANCELLED, "the client has disconnected");
    } else if (full && name == NULL) {
        rc = err_set(err, ERR_TIMEOUT, "the client reads too slowly");
    } else if (found->events.wanted && !full) {
        events_put(&found->events.waiting, name, json);
        rc = buf_error(&found->events.waiting, err);
        count_memory(found);
        found->events.had_parts |= name == NULL;
        wake_signal(&found->done);
    }
    pthread_mutex_unlock(&realtime->lock);
    return rc;
}

/* --- on the connection's thread --------------------------------------------------------------- */

/* Moves what waits to `out`, which is empty. True where nothing more will come. */
static bool take_waiting(struct realtime *realtime, struct pending_request *pending_request)
{
    struct realtime_events *events = &pending_request->events;
    pthread_mutex_lock(&realtime->lock);
    struct buf waiting = events->waiting;
    events->waiting = events->out;
    events->out = waiting;
    bool over = pending_request->answered || pending_request->rejected;
    pthread_cond_broadcast(&realtime->copied);
    pthread_mutex_unlock(&realtime->lock);
    return over;
}

/* Sends `out` and clears it. False where the client has gone. */
static bool send_out(struct server_exchange *exchange, struct realtime_events *events)
{
    const struct http1_field fields[] = {
        { SLICE_LITERAL("Cache-Control"), SLICE_LITERAL("no-store") },
        { SLICE_LITERAL("X-Accel-Buffering"), SLICE_LITERAL("no") }, /* read by nginx */
    };
    const struct server_response head = {
        .status = 200, .content_type = "text/event-stream", .fields = fields, .field_count = 2
    };
    if (buf_error(&events->out, NULL) != 0 ||
        (!events->begun && server_stream_begin(exchange, &head, NULL) != 0))
        return false;
    events->begun = true;
    bool here = server_stream_write(exchange, buf_slice(&events->out), NULL) == 0;
    buf_reset(&events->out, LIMIT_KEEP_BYTES);
    return here;
}

bool realtime_send_events(struct realtime *realtime, struct server_exchange *exchange,
                          struct pending_request *pending_request)
{
    struct realtime_events *events = &pending_request->events;
    bool here = true;
    while (here) {
        enum server_event event = server_wait(exchange, &pending_request->done,
                                              clock_deadline(LIMIT_ENDPOINT_ALIVE_MS));
        if (event == SERVER_GONE)
            return false;
        if (event == SERVER_WOKEN)
            wake_lower(&pending_request->done);
        if (take_waiting(realtime, pending_request))
            return true;
        if (event == SERVER_TIMEOUT)
            buf_add_text(&events->out, EVENTS_ALIVE, NULL);
        here = events->out.len == 0 || send_out(exchange, events);
    }
    return false;
}

/* What the job has ended with, and that this is the end. */
static void put_result(struct buf *out, const struct pending_request *pending_request,
                       slice failure)
{
    slice id = pending_request->job->id, output;
    if (failure.len > 0)
        events_put(out, "error", failure);
    else if (!pending_request->is_stream && !pending_request->events.had_parts)
        events_put(out, NULL,
                   json_member(buf_slice(&pending_request->body), "output", &output)
                       ? output
                       : SLICE_LITERAL("{}"));
    size_t start = events_begin(out, "end");
    json_add(out, NULL, "{\"id\": %.*Q, \"status\": \"%s\"}", (int)id.len, id.ptr,
             failure.len > 0 ? "FAILED" : "COMPLETED");
    events_end(out, start);
}

/* The object with the error, empty where the job has not failed. *status: of an answer with it. */
static slice failure_of(const struct pending_request *pending_request, int *status)
{
    slice body = buf_slice(&pending_request->body);
    *status = pending_request->answered ? 500 : 503;
    if (!pending_request->answered)
        return SLICE_LITERAL("{\"error\": \"The worker is shutting down.\"}");
    if (body.len == 0)
        return SLICE_LITERAL("{\"error\": \"Out of memory for the result.\"}");
    return pending_request->is_error ? body : (slice){ 0 };
}

void realtime_end_events(struct server_exchange *exchange, struct pending_request *pending_request)
{
    struct realtime_events *events = &pending_request->events;
    const struct log_tag tag = job_tag(pending_request->job);
    struct server_response answer = { .content_type = "application/json" };
    const slice failure = failure_of(pending_request, &answer.status);
    bool ok = true;
    if (failure.len > 0 && !events->begun && events->out.len == 0) {
        answer.body = &failure;
        answer.body_count = 1;
        ok = server_respond(exchange, &answer, NULL) == 0;
    } else {
        server_hold(exchange, 2 * pending_request->body.len); /* it is copied */
        put_result(&events->out, pending_request, failure);
        ok = send_out(exchange, events) && server_stream_end(exchange, NULL) == 0;
    }
    if (!ok)
        log_text(LOG_WARN, &tag, SLICE_LITERAL("The client did not read its result to the end."));
}
