/* One job's exchange with the server: the model's name, the request, the response. */
#include <stdio.h>

#include "base/log.h"
#include "base/random.h"
#include "codec/backoff.h"
#include "upstream/upstream_private.h"

/* 0 once the response's head is there. */
static int send_job(struct upstream_slot *slot, struct err *err)
{
    struct upstream_request *request = &slot->request;
    slice name = { 0 };
    int rc = request->wants_model ? upstream_find_model(slot, &name, err) : 0;
    if (rc != 0)
        return rc;
    if (name.len > 0) {
        upstream_request_set_model(request, name);
        request->wants_model = false;
    }
    bool is_operators = upstream_request_is_operators(request);
    const struct upstream_message message = {
        .method = request->method,
        .route = request->route,
        .body = request->body,
        .body_count = request->body_count,
        .filter = is_operators ? NULL : &slot->setting->routes,
    };
    return upstream_send(slot, &message, err);
}

/* What this says about the server; *what in a few words, where it is suspect. */
static enum upstream_outcome outcome_of(const struct upstream_slot *slot, int rc, char *what,
                                        size_t what_size)
{
    const struct job *job = slot->job->task;
    int status = slot->error_status != 0 ? slot->error_status : slot->response.status;
    if (rc == RP_OK)
        return UPSTREAM_ANSWERED;
    bool timed_out = flag_is_raised(&job->stop) && atomic_load(&job->why) == JOB_TIMED_OUT;
    if (flag_is_raised(&job->stop) && !timed_out)
        return UPSTREAM_NEUTRAL;
    if (timed_out)
        snprintf(what, what_size, "a time-out (--execution-timeout)");
    else if (status >= 500)
        snprintf(what, what_size, "status %d", status);
    else
        snprintf(what, what_size, "no complete response");
    return timed_out || status >= 500 || (slot->incomplete && (status < 300 || status > 499))
               ? UPSTREAM_SUSPECT
               : UPSTREAM_NEUTRAL;
}

/* The operator's own routes are not held to --handler-routes. */
static bool allows_route(const struct upstream_slot *slot)
{
    const struct upstream_request *request = &slot->request;
    return upstream_request_is_operators(request) ||
           route_filter_allows(&slot->setting->routes, slice_from(request->method), request->route);
}

/*
 * An input of no known form fails, with the forms named: that is easily mended. Only a server that
 * is in no state to say what it speaks is given the input as it is, where jobs may call its "/".
 */
static int check_form(struct upstream_slot *slot, struct err *err)
{
    enum upstream_api api = UPSTREAM_API_UNKNOWN;
    if (slot->request.form != UPSTREAM_FORM_NONE)
        return 0;
    bool allowed = allows_route(slot);
    int rc = allowed ? upstream_ask_api(slot, 0, &api, err) : 0;
    if (rc != 0 || (allowed && api == UPSTREAM_API_UNKNOWN))
        return rc;
    return err_set(
        err, ERR_INPUT,
        "it has none of the forms {\"openai_route\", \"openai_input\"}, {\"route\", "
        "\"body\", \"method\"}, {\"messages\"} and {\"prompt\"}. Other inputs need a URL "
        "with a path (--handler-http http://host:port/path) or --route");
}

/* 0 once the response's head is there, or the error; *refused: the connection was. */
static int send_checked(struct upstream_slot *slot, bool *refused, struct err *err)
{
    slot->incomplete = false;
    slot->error_status = 0;
    slot->response = (struct http_response){ 0 };
    int rc = check_form(slot, err);
    if (rc == 0)
        rc = send_job(slot, err);
    *refused = rc == ERR_RETRY && !slot->response.connected;
    if (*refused)
        upstream_refused(slot->upstream, slot->generation);
    return rc;
}

/* Sends the request and takes the response. *refused: it was not sent, and the job goes on. */
static int attempt(struct upstream_slot *slot, bool may_wait, bool *refused)
{
    struct err err = { 0 };
    char what[64] = "";
    slot->generation = upstream_job_begin(slot->upstream, &slot->waiter);
    int rc = send_checked(slot, refused, &err);
    *refused &= may_wait && !flag_is_raised(&slot->job->task->stop);
    if (*refused)
        rc = RP_FAILED;
    else if (rc == ERR_INPUT)
        rc = upstream_fail(slot, 400, "Invalid job input: %s.", err.text);
    else if (rc != 0)
        rc = upstream_fail_exchange(slot, &err);
    else
        rc = upstream_response_take(slot);
    if (rc == RP_OK)
        rc = upstream_fail_if_ended(slot);
    enum upstream_outcome outcome = UPSTREAM_NEUTRAL;
    if (!*refused)
        outcome = outcome_of(slot, rc, what, sizeof what);
    upstream_job_end(slot->upstream, &slot->waiter, slot->generation, outcome, what);
    return rc;
}

/* The server is lost, and the request was never sent. */
static int fail_before(struct upstream_slot *slot)
{
    upstream_fail_lost(slot);
    return HANDLER_LOST_BEFORE;
}

/* Until the request has been sent, or for too long; see upstream_exchange. */
static int try_until_sent(struct upstream_slot *slot)
{
    struct backoff backoff = { .first_ms = LIMIT_READY_FIRST_MS,
                               .longest_ms = LIMIT_READY_LONGEST_MS };
    struct flag *stop = &slot->job->task->stop;
    deadline_ms end = DEADLINE_NEVER;
    for (;;) {
        bool refused;
        struct err err;
        int rc = upstream_wait_ready(slot->upstream, &slot->waiter, stop, NULL, &err);
        if (rc != 0)
            return rc == ERR_CANCELLED ? RP_FAILED : fail_before(slot);
        rc = attempt(slot, clock_now_ms() < end, &refused);
        if (!refused)
            return rc;
        if (end == DEADLINE_NEVER)
            end = clock_deadline(slot->setting->config->handler.unhealthy_ms);
        if (flag_wait(stop, clock_deadline(backoff_next_ms(&backoff, random_u32()))))
            return RP_FAILED;
    }
}

/* Outputs of this job have the shape that the published workers give them. */
static bool wants_list(const struct upstream_slot *slot)
{
    enum upstream_form form = slot->request.form;
    if (slot->setting->shape == UPSTREAM_SHAPE_BY_FORM)
        return form == UPSTREAM_FORM_OPENAI || form == UPSTREAM_FORM_SHORTHAND;
    return slot->setting->shape == UPSTREAM_SHAPE_LIST;
}

int upstream_exchange(struct upstream_slot *slot)
{
    struct err err = { 0 };
    struct upstream_request *request = &slot->request;
    const struct upstream_setting *setting = slot->setting;
    const struct job *job = slot->job->task;
    int rc = upstream_request_read(request, job->input, &setting->forms, &slot->job->arena, &err);
    if (wants_list(slot))
        rp_job_stream(slot->job, true);
    if (rc != 0)
        return upstream_fail(slot, rc == ERR_INPUT ? 400 : 500, "Invalid job input: %s.", err.text);
    if (request->form != UPSTREAM_FORM_NONE && !allows_route(slot))
        return upstream_fail(slot, 403, "Jobs may not call %s %.*s (--handler-routes).",
                             request->method, SLICE_ARG(request->route));
    const struct log_tag tag = job_tag(job);
    if (request->drops_prompt)
        log_write(LOG_WARN, &tag, "The input has messages and a prompt: the prompt is left out.");
    buf_clear(&slot->request_id);
    job_put_field_id(job, &slot->request_id, NULL);
    return try_until_sent(slot);
}
