/*
 * upstream/response.c, stream.c and error.c, as far as no socket is needed: what becomes of a
 * response whose bytes have come, and of an exchange that failed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "upstream/upstream_private.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define MAX_BYTES (1u << 20)

/* A slot with a job, in front of a server that somebody else runs. */
struct bench {
    struct config config;
    struct upstream_setting setting;
    struct upstream upstream;
    struct source source;
    struct reply_channel reply_channel;
    struct rp_job rp_job;
    struct job job;
    struct upstream_slot slot;
};

/* --- the bench -------------------------------------------------------------------------------- */

static int accept_part(struct reply_channel *reply_channel, struct job *job, slice json,
                       struct err *err)
{
    (void)reply_channel;
    (void)job;
    (void)json;
    (void)err;
    return 0;
}

static void begin(struct bench *bench)
{
    static const struct source_ops ops = { .stream = accept_part };
    struct err err;
    *bench = (struct bench){ .source = { .ops = &ops } };
    bench->config.result_max_bytes = MAX_BYTES;
    bench->config.aggregate_stream = true; /* parts are kept, one by one */
    bench->config.handler.stream_interval_ms = 100;
    bench->setting.config = &bench->config;
    bench->setting.ready.name = "/health";
    bench->reply_channel.source = &bench->source;
    assert_int_equal(upstream_init(&bench->upstream, &bench->setting, &upstream_system_clock, &err),
                     0);
    upstream_mark_ready(&bench->upstream);
    flag_init(&bench->job.stop);
    rp_job_init(&bench->rp_job, &bench->config, &bench->reply_channel);
    rp_job_begin(&bench->rp_job, &bench->job);
    struct upstream_slot *slot = &bench->slot;
    slot->upstream = &bench->upstream;
    slot->setting = &bench->setting;
    slot->job = &bench->rp_job;
    slot->response = (struct http_response){ .connected = true, .status = 200 };
    assert_int_equal(wake_init(&slot->waiter.wake, &err), 0);
    buf_init(&slot->body, MAX_BYTES, "body");
    buf_init(&slot->text, MAX_BYTES, "text");
}

static void end(struct bench *bench)
{
    struct err err;
    sender_finish(&bench->rp_job.sender, &err);
    rp_job_free(&bench->rp_job);
    wake_free(&bench->slot.waiter.wake);
    buf_free(&bench->slot.body);
    buf_free(&bench->slot.text);
    upstream_free(&bench->upstream);
}

static void set_type(struct bench *bench, const char *type)
{
    snprintf(bench->slot.response.content_type, HTTP_CONTENT_TYPE_BYTES, "%s", type);
}

static bool holds(slice text, const char *part)
{
    return memmem(text.ptr, text.len, part, strlen(part)) != NULL;
}

/* The job failed with this code, and with a message that holds the text. */
static void check_failure(const struct bench *bench, int code, const char *type, const char *text)
{
    char end_text[96];
    slice message = buf_slice(&bench->rp_job.message);
    assert_true(bench->rp_job.has_failed);
    assert_int_equal(json_check(message, NULL, NULL), 0);
    snprintf(end_text, sizeof end_text, "\", \"type\": \"%s\", \"code\": %d}}", type, code);
    if (!holds(message, text) || !holds(message, end_text) ||
        !holds(message, "{\"error\": {\"message\": \""))
        fail_msg("%.*s: without %s, %s", SLICE_ARG(message), text, end_text);
}

static void check_parts(const struct bench *bench, const char *expected)
{
    slice parts = buf_slice(&bench->rp_job.parts);
    if (!slice_is(parts, expected))
        fail_msg("%.*s, not %s", SLICE_ARG(parts), expected);
}

/* --- outputs ---------------------------------------------------------------------------------- */

static const struct shape {
    const char *method;
    int status;
    const char *type;
    const char *body;
    bool binary;
    const char *output; /* NULL: the job fails, */
    const char *error;  /* with this in its message */
} shapes[] = {
    { "POST", 200, "application/json", " {\"a\": 1}\n", false, "{\"a\": 1}", NULL },
    { "POST", 200, "application/problem+json; charset=utf-8", "[1e400]", false, "[1e400]", NULL },
    { "POST", 200, "APPLICATION/JSON;x", "7", false, "7", NULL },
    { "POST", 200, "application/json", "{", false, NULL, "JSON" },
    { "POST", 200, "application/json", "", false, NULL, "JSON" },
    { "POST", 200, "application/json", "{\"a\": NaN}", false, NULL, "JSON" },
    { "POST", 200, "", "{\"a\": 1}", false, "{\"a\": 1}", NULL },
    { "POST", 200, "", "{a", false, "\"{a\"", NULL },
    { "POST", 200, "text/plain", "{\"a\": 1}", false, "\"{\\\"a\\\": 1}\"", NULL },
    { "POST", 200, "image/svg+xml", "<svg/>", false, "\"<svg/>\"", NULL },
    { "POST", 200, "application/rss+xml", "<r/>", false, "\"<r/>\"", NULL },
    { "POST", 200, "application/javascript", "f()", false, "\"f()\"", NULL },
    { "POST", 200, "text/plain", "", false, "\"\"", NULL },
    { "POST", 200, "text/plain", "a\xff", false, "\"a\xef\xbf\xbd\"", NULL },
    { "POST", 200, "application/json", "[\"a\xff\"]", false, "[\"a\xef\xbf\xbd\"]", NULL },
    { "POST", 200, "text/plain", "\xff\xfe\xfd\xfc", false, NULL, "--handler-binary" },
    { "POST", 200, "text/plain", "\xff\xfe\xfd\xfc", true,
      "{\"content_type\": \"text/plain\", \"base64\": \"//79/A==\"}", NULL },
    { "POST", 200, "application/xml;x", "<x/>", false, "\"<x/>\"", NULL },
    { "POST", 200, "Application/X-NDJSON", "{}\n", false, "\"{}\\n\"", NULL },
    { "POST", 200, "application/jsonl x", "{}", false, "\"{}\"", NULL },
    { "POST", 200, "application/json-lines", "{}", false, "\"{}\"", NULL },
    { "POST", 200, "application/xmlx", "<x/>", false, NULL, "application/xmlx" },
    { "POST", 200, "TEXT/x", "a", false, "\"a\"", NULL },
    { "POST", 200, "text/", "a", false, NULL, "text/" },
    { "POST", 200, ";charset=utf-8", "7", false, "7", NULL },
    { "POST", 200, "image/png", "abc", false, NULL, "image/png" },
    { "POST", 200, "image/png", "abc", true,
      "{\"content_type\": \"image/png\", \"base64\": \"YWJj\"}", NULL },
    { "POST", 200, "image/png", "", true, "{\"content_type\": \"image/png\", \"base64\": \"\"}",
      NULL },
    { "POST", 200, "image/png", "", false, "null", NULL },
    { "POST", 200, "", "", false, "null", NULL },
    { "POST", 204, "application/json", "", false, "null", NULL },
    { "POST", 205, "application/json", "", false, "null", NULL },
    { "HEAD", 200, "application/json", "", false, "null", NULL },
};

static void a_body_becomes_the_output(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(shapes); i++) {
        const struct shape *shape = &shapes[i];
        struct bench bench;
        begin(&bench);
        bench.slot.request.method = shape->method;
        bench.config.handler.binary = shape->binary;
        bench.slot.response.status = shape->status;
        set_type(&bench, shape->type);
        buf_add_text(&bench.slot.body, shape->body, NULL);
        int rc = upstream_response_return(&bench.slot);
        assert_int_equal(rc, shape->output != NULL ? RP_OK : RP_FAILED);
        const struct rp_job *job = &bench.rp_job;
        if (shape->output != NULL) {
            slice output = job->external_output.ptr != NULL ? job->external_output
                                                            : buf_slice(&job->output);
            if (!slice_is(output, shape->output))
                fail_msg("%s %s: %.*s", shape->type, shape->body, SLICE_ARG(output));
        } else {
            check_failure(&bench, 502, "BadGatewayError", shape->error);
        }
        end(&bench);
    }
}

/* In one part, and in the list of them. */
static const struct {
    int status;
    const char *type;
    const char *body;
    const char *parts;
} lists[] = {
    { 200, "application/json", "{\"a\": 1}", "[{\"a\": 1}" },
    { 200, "application/json", "null", "[null" },
    { 204, "", "", "[null" },
    { 200, "image/png", "", "[null" },
    { 200, "text/plain", "x", "[\"x\"" },
    { 200, "application/json", "{\"error\": null, \"a\": 1}", "[{\"error\": null, \"a\": 1}" },
};

static void where_parts_are_wanted_the_output_is_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(lists); i++) {
        struct bench bench;
        begin(&bench);
        bench.slot.request.method = "POST";
        bench.slot.response.status = lists[i].status;
        bench.rp_job.is_stream = bench.rp_job.keeps_parts = true;
        set_type(&bench, lists[i].type);
        buf_add_text(&bench.slot.body, lists[i].body, NULL);
        assert_int_equal(upstream_response_return(&bench.slot), RP_OK);
        check_parts(&bench, lists[i].parts);
        end(&bench);
    }
}

/* A JSON string, and base64, take more room than the body did. */
static void an_output_may_be_too_large_where_its_body_was_not(void **state)
{
    static const char *const types[] = { "text/plain", "image/png" };
    (void)state;
    for (size_t i = 0; i < COUNT(types); i++) {
        struct bench bench;
        begin(&bench);
        bench.slot.request.method = "POST";
        bench.config.handler.binary = true;
        set_type(&bench, types[i]);
        while (bench.slot.body.len < MAX_BYTES)
            buf_add_text(&bench.slot.body, "\n", NULL);
        assert_int_equal(upstream_response_return(&bench.slot), RP_FAILED);
        check_failure(&bench, 502, "BadGatewayError",
                      "\"The server's response cannot be returned: ");
        end(&bench);
    }
}

/* What looks like a success is the job's failure, in the same shape as any other. */
static void an_error_inside_a_200_is_an_error(void **state)
{
    static const struct {
        const char *body;
        int code;
        const char *type, *message;
    } inside[] = {
        { "{\"error\": {\"message\": \"no\", \"type\": \"T\", \"code\": 503}}", 503, "T",
          "\"no\"" },
        { "{\"error\": {\"message\": \"no\", \"code\": 200}}", 500, "InternalServerError",
          "\"no\"" },
        { "{\"error\": {\"message\": \"no\", \"code\": \"x\"}}", 500, "InternalServerError",
          "\"no\"" },
        { "{\"error\": \"no\", \"a\": 1}", 500, "InternalServerError", "\"no (POST /x)\"" },
        { "{\"error\": {\"message\": \"no\"}}", 500, "InternalServerError", "\"no\"" },
        { "{\"error\": {\"message\": \"no\", \"code\": 399}}", 500, "InternalServerError",
          "\"no\"" },
        { "{\"error\": {\"message\": \"no\", \"code\": 400}}", 400, "BadRequestError", "\"no\"" },
        { "{\"error\": {\"message\": \"no\", \"code\": 599}}", 599, "InternalServerError",
          "\"no\"" },
        { "{\"error\": {\"message\": \"no\", \"code\": 600}}", 500, "InternalServerError",
          "\"no\"" },
    };
    (void)state;
    for (size_t i = 0; i < 2 * COUNT(inside); i++) {
        struct bench bench;
        begin(&bench);
        bench.slot.request.method = "POST";
        bench.slot.request.route = SLICE_LITERAL("/x?a=b");
        bench.rp_job.is_stream = i % 2 == 1;
        set_type(&bench, "application/json");
        buf_add_text(&bench.slot.body, inside[i / 2].body, NULL);
        assert_int_equal(upstream_response_return(&bench.slot), RP_FAILED);
        check_failure(&bench, inside[i / 2].code, inside[i / 2].type, inside[i / 2].message);
        assert_int_equal(bench.slot.error_status, inside[i / 2].code);
        end(&bench);
    }
}

/* An "error" that is none must not be taken for one later, and refresh_worker must be seen. */
static void an_error_that_is_none_is_hidden(void **state)
{
    static const struct {
        const char *body;
        bool opaque;
    } bodies[] = {
        { "{\"error\": null}", true },
        { "{\"error\": null, \"refresh_worker\": true}", false },
        { "{\"refresh_worker\": true}", false },
        { "{\"a\": 1}", false },
        { "[{\"error\": 1}]", false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct bench bench;
        begin(&bench);
        bench.slot.request.method = "POST";
        set_type(&bench, "application/json");
        buf_add_text(&bench.slot.body, bodies[i].body, NULL);
        assert_int_equal(upstream_response_return(&bench.slot), RP_OK);
        assert_int_equal(bench.rp_job.is_opaque, bodies[i].opaque);
        end(&bench);
    }
}

static const struct {
    const char *type;
    int status;
    bool has_length;
    bool wanted;
    bool stream;
} streams[] = {
    { "text/event-stream", 200, true, false, true },
    { "text/event-stream; charset=utf-8", 200, false, false, true },
    { "text/event-stream", 204, false, true, false },
    { "application/x-ndjson", 200, false, false, true },
    { "application/jsonl", 200, false, false, true },
    { "application/x-ndjson", 200, true, true, false },
    { "application/json", 200, false, false, false },
    { "application/json", 200, false, true, true },
    { "application/json", 200, true, true, false },
    { "text/plain", 200, false, true, true },
    { "", 200, false, false, false },
};

static void what_is_passed_on_as_it_comes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(streams); i++) {
        struct http_response response = { .status = streams[i].status,
                                          .has_length = streams[i].has_length };
        const struct upstream_request request = { .wants_stream = streams[i].wanted };
        snprintf(response.content_type, HTTP_CONTENT_TYPE_BYTES, "%s", streams[i].type);
        if (upstream_is_stream(&response, &request) != streams[i].stream)
            fail_msg("number %zu (%s)", i, streams[i].type);
    }
}

/* --- errors of the server --------------------------------------------------------------------- */

static const struct {
    int status;
    const char *body;
    const char *message;
    const char *type;
} errors[] = {
    { 400, "{\"error\": {\"message\": \"no\", \"type\": \"Own\"}}", "\"no\"", "Own" },
    { 404, "{\"error\": {\"message\": \"no\"}}", "\"no\"", "NotFoundError" },
    { 500, "{\"error\": \"out of memory\"}", "\"out of memory\"", "InternalServerError" },
    { 503, "{\"error\": {\"detail\": \"busy\"}}", "\"busy\"", "ServiceUnavailableError" },
    { 422, "{\"detail\": \"bad field\"}", "\"bad field\"", "UnprocessableEntityError" },
    { 422, "{\"message\": \"bad\", \"type\": \"T\"}", "\"bad\"", "T" },
    { 422, "{\"detail\": [{\"loc\": 1}]}", "\"{\\\"detail\\\": [{\\\"loc\\\": 1}]}\"",
      "UnprocessableEntityError" },
    { 418, "teapot", "\"teapot\"", "BadRequestError" },
    { 429, "  slow down\n", "\"slow down\"", "RateLimitError" },
    { 504, "", "empty body", "TimeoutError" },
    { 413, "[1]", "\"[1]\"", "BadRequestError" },
    { 499, "no", "\"no\"", "BadRequestError" },
    { 599, "no", "\"no\"", "InternalServerError" },
    { 401, "no", "\"no\"", "AuthenticationError" },
    { 403, "no", "\"no\"", "PermissionDeniedError" },
    { 408, "no", "\"no\"", "TimeoutError" },
    { 409, "no", "\"no\"", "ConflictError" },
    { 502, "no", "\"no\"", "BadGatewayError" },
    { 400, "{\"error\": {\"message\": \"\", \"detail\": \"why\"}}", "\"why\"", "BadRequestError" },
    { 400, "{\"error\": {\"message\": \"m\", \"type\": \"\"}}", "\"m\"", "BadRequestError" },
    { 400, "{\"error\": {\"message\": \"m\", \"type\": 5}}", "\"m\"", "BadRequestError" },
    { 500, "\xff\xfe", "\xef\xbf\xbd", "InternalServerError" },
};

static void an_error_of_the_server_is_the_jobs(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(errors); i++) {
        struct bench bench;
        begin(&bench);
        bench.slot.response.status = errors[i].status;
        buf_add_text(&bench.slot.body, errors[i].body, NULL);
        assert_int_equal(upstream_fail_status(&bench.slot), RP_FAILED);
        check_failure(&bench, errors[i].status, errors[i].type, errors[i].message);
        end(&bench);
    }
}

static void the_request_is_named_where_the_server_does_not(void **state)
{
    static const struct {
        int status;
        const char *body, *message;
    } named[] = {
        { 405, "{\"detail\": \"Method Not Allowed\"}", "\"Method Not Allowed (GET /v1/x)\"" },
        { 404, "{\"error\": {\"message\": \"File Not Found\"}}", "\"File Not Found (GET /v1/x)\"" },
        { 405, "{\"error\": {\"message\": \"Not Here\"}}", "\"Not Here (GET /v1/x)\"" },
        { 400, "{\"message\": \"too long\"}", "\"too long (GET /v1/x)\"" },
        { 400, "{\"error\": {\"message\": \"too long\"}}", "\"too long\"" },
        { 502, "<html>", "\"<html> (GET /v1/x)\"" },
        { 500, "", "an empty body (GET /v1/x)\"" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(named); i++) {
        struct bench bench;
        begin(&bench);
        bench.slot.request.method = "GET";
        bench.slot.request.route = SLICE_LITERAL("/v1/x?key=secret");
        bench.slot.response.status = named[i].status;
        buf_add_text(&bench.slot.body, named[i].body, NULL);
        assert_int_equal(upstream_fail_status(&bench.slot), RP_FAILED);
        if (!holds(buf_slice(&bench.rp_job.message), named[i].message))
            fail_msg("%.*s", SLICE_ARG(buf_slice(&bench.rp_job.message)));
        end(&bench);
    }
}

static void the_param_of_an_error_is_kept(void **state)
{
    struct bench bench;
    (void)state;
    begin(&bench);
    bench.slot.response.status = 400;
    buf_add_text(
        &bench.slot.body,
        "{\"error\": {\"message\": \"m\", \"type\": \"T\", \"param\": \"n\", \"code\": 400}}",
        NULL);
    assert_int_equal(upstream_fail_status(&bench.slot), RP_FAILED);
    assert_true(slice_is(buf_slice(&bench.rp_job.message),
                         "{\"error\": {\"message\": \"m\", \"type\": \"T\", \"param\": \"n\", "
                         "\"code\": 400}}"));
    end(&bench);
}

/* Each byte is six in JSON: the message is cut until the whole error is within its limit. */
static void a_long_error_is_cut_to_the_limit(void **state)
{
    struct bench bench;
    (void)state;
    begin(&bench);
    bench.slot.response.status = 500;
    for (size_t i = 0; i < LIMIT_SERVER_ERROR_BYTES; i++)
        buf_add(&bench.slot.body, "\x01", 1, NULL);
    assert_int_equal(upstream_fail_status(&bench.slot), RP_FAILED);
    check_failure(&bench, 500, "InternalServerError", "\\u0001 ... (cut by the worker)\"");
    assert_true(bench.rp_job.message.len <= LIMIT_ERROR_BYTES);
    assert_true(bench.rp_job.message.len > LIMIT_ERROR_BYTES / 4);
    end(&bench);
}

/* A JSON body is whole where it can be read; any other that fills the limit may not be. */
static void only_what_was_cut_says_so(void **state)
{
    (void)state;
    for (size_t short_by = 0; short_by < 2; short_by++) {
        struct bench bench;
        begin(&bench);
        bench.slot.response.status = 500;
        buf_add_text(&bench.slot.body, "x", NULL);
        while (bench.slot.body.len < LIMIT_SERVER_ERROR_BYTES - short_by)
            buf_add_text(&bench.slot.body, " ", NULL);
        assert_int_equal(upstream_fail_status(&bench.slot), RP_FAILED);
        check_failure(&bench, 500, "InternalServerError",
                      short_by == 0 ? "\"x ... (cut by the worker)\"" : "\"x\"");
        end(&bench);
    }
    struct bench bench;
    begin(&bench);
    bench.slot.response.status = 500;
    buf_add_text(&bench.slot.body, "{\"message\": \"x\"}", NULL);
    while (bench.slot.body.len < LIMIT_SERVER_ERROR_BYTES)
        buf_add_text(&bench.slot.body, " ", NULL);
    assert_int_equal(upstream_fail_status(&bench.slot), RP_FAILED);
    check_failure(&bench, 500, "InternalServerError", "\"x\"");
    end(&bench);
}

/* What is too long of an error's other members is cut, or left out where a part makes no sense. */
static void the_type_and_the_param_of_an_error_have_limits(void **state)
{
    char body[1024], type[102] = "", param[302] = "";
    (void)state;
    memset(type, 't', sizeof type - 1);
    memset(param, '7', sizeof param - 1);
    for (int long_param = 0; long_param < 2; long_param++) {
        struct bench bench;
        begin(&bench);
        bench.slot.response.status = 400;
        param[300 + long_param] = '\0';
        snprintf(body, sizeof body,
                 "{\"error\": {\"message\": \"m\", \"type\": \"%s\", \"param\": %s}}", type, param);
        buf_add_text(&bench.slot.body, body, NULL);
        assert_int_equal(upstream_fail_status(&bench.slot), RP_FAILED);
        slice message = buf_slice(&bench.rp_job.message);
        assert_false(holds(message, type));
        assert_true(holds(message, type + 1));
        assert_int_equal(holds(message, "\"param\": 77"), long_param == 0);
        end(&bench);
        memset(param, '7', sizeof param - 1);
    }
}

/* --- exchanges that fail ---------------------------------------------------------------------- */

static const struct {
    int error;
    bool connected;
    int status;
    int code;
    const char *type;
    const char *text;
} failures[] = {
    { ERR_TIMEOUT, false, 0, 504, "TimeoutError", "--handler-connect-timeout" },
    { ERR_TIMEOUT, true, 0, 504, "TimeoutError", "--handler-first-byte-timeout" },
    { ERR_TIMEOUT, true, 200, 504, "TimeoutError", "--handler-idle-timeout" },
    { ERR_LIMIT, true, 200, 502, "BadGatewayError", "too large" },
    { ERR_RETRY, true, 0, 502, "BadGatewayError", "the cause" },
    { ERR_PEER, true, 0, 502, "BadGatewayError", "Invalid response from the server: the cause" },
    { ERR_TRUST, false, 0, 502, "BadGatewayError", "the cause" },
};

static void a_failed_exchange_names_the_limit(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(failures); i++) {
        struct bench bench;
        struct err err;
        begin(&bench);
        bench.slot.response.connected = failures[i].connected;
        bench.slot.response.status = failures[i].status;
        err_set(&err, failures[i].error, "the cause");
        assert_int_equal(upstream_fail_exchange(&bench.slot, &err), RP_FAILED);
        check_failure(&bench, failures[i].code, failures[i].type, failures[i].text);
        assert_int_equal(bench.upstream.state, UPSTREAM_READY);
        assert_int_equal(bench.slot.incomplete, failures[i].error != ERR_LIMIT);
        end(&bench);
    }
}

/* A request that was given up tells why, and with what last words the server went. */
static void a_request_is_given_up_with_its_server(void **state)
{
    (void)state;
    for (int is_lost = 0; is_lost < 2; is_lost++) {
        struct bench bench;
        struct err err;
        begin(&bench);
        if (is_lost == 1) {
            upstream_mark_down(&bench.upstream, "was killed", SLICE_LITERAL("no memory"));
            upstream_mark_lost(&bench.upstream, "It ended: ", "killed", " (--handler-deaths)");
        }
        err_set(&err, ERR_CANCELLED, "cancelled");
        assert_int_equal(upstream_fail_exchange(&bench.slot, &err), RP_FAILED);
        if (is_lost == 1)
            check_failure(&bench, 503, "ServiceUnavailableError",
                          "\"It ended: killed (--handler-deaths). Its last lines:\\nno memory\"");
        else
            check_failure(&bench, 502, "BadGatewayError", "\"The request was given up.\"");
        end(&bench);
    }
}

static void a_stopped_job_gets_no_error_of_the_exchange(void **state)
{
    struct bench bench;
    struct err err;
    (void)state;
    begin(&bench);
    flag_raise(&bench.job.stop);
    err_set(&err, ERR_CANCELLED, "given up");
    assert_int_equal(upstream_fail_exchange(&bench.slot, &err), RP_FAILED);
    assert_false(bench.rp_job.has_failed);
    end(&bench);
}

/* The connection's end is the only end of the body: it may be the server's death. */
static void a_response_that_looks_complete_may_be_cut_off(void **state)
{
    static char path[] = "/server";
    struct bench bench;
    (void)state;
    begin(&bench);
    bench.setting.child.command.path = path;
    bench.slot.generation = bench.upstream.generation;
    upstream_mark_down(&bench.upstream, "exited with status 9", SLICE_LITERAL("boom"));
    assert_int_equal(upstream_fail_if_ended(&bench.slot), RP_OK); /* it had a length */
    bench.slot.response.until_close = true;
    assert_int_equal(upstream_fail_if_ended(&bench.slot), RP_FAILED);
    check_failure(&bench, 502, "BadGatewayError", "exited with status 9");
    end(&bench);
}

/* --- streams ---------------------------------------------------------------------------------- */

/* More of the body comes, at this time. */
static int add(struct upstream_stream *stream, const char *text, int64_t now_ms)
{
    buf_add_text(&stream->slot->body, text, NULL);
    return upstream_stream_add(stream, now_ms);
}

static void events_go_out_when_they_are_due(void **state)
{
    struct bench bench;
    struct upstream_stream stream;
    (void)state;
    begin(&bench);
    upstream_stream_begin(&stream, &bench.slot, SLICE_LITERAL("text/event-stream"));
    assert_true(bench.rp_job.is_stream);
    assert_int_equal(add(&stream, "a\n\nb", 1000), 0);
    check_parts(&bench, "[\"a\\n\\n\""); /* the first at once */
    assert_int_equal(upstream_stream_ready(&stream), 0);
    assert_int_equal(add(&stream, "\n\nc\n\n", 1010), 0);
    check_parts(&bench, "[\"a\\n\\n\""); /* later ones wait for others */
    assert_int_equal(upstream_stream_ready(&stream), 6);
    assert_int_equal(add(&stream, "d", 1011), 0);
    assert_int_equal(upstream_stream_ready(&stream), 6); /* the border stays */
    assert_in_range(stream.flush.due_ms, 1011, 1110);
    assert_int_equal(upstream_stream_send(&stream, 6, stream.flush.due_ms), 0);
    check_parts(&bench, "[\"a\\n\\n\", \"b\\n\\nc\\n\\n\"");
    assert_true(slice_is(buf_slice(&bench.slot.body), "d"));
    assert_int_equal(add(&stream, "\n\n", 5000), 0); /* after a pause at once again */
    check_parts(&bench, "[\"a\\n\\n\", \"b\\n\\nc\\n\\n\", \"d\\n\\n\"");
    end(&bench);
}

/* A line feed may follow a CR: it may go out when nothing more is waited for. */
static void a_cr_at_the_end_is_ready_but_no_border_yet(void **state)
{
    struct bench bench;
    struct upstream_stream stream;
    (void)state;
    begin(&bench);
    upstream_stream_begin(&stream, &bench.slot, SLICE_LITERAL("text/event-stream"));
    assert_int_equal(add(&stream, "a\r\r", 1000), 0);
    check_parts(&bench, "");
    assert_int_equal(upstream_stream_ready(&stream), 3);
    assert_int_equal(add(&stream, "\nb", 1001), 0);
    check_parts(&bench, "[\"a\\r\\r\\n\"");
    end(&bench);
}

static void lines_and_characters_are_not_split(void **state)
{
    struct bench bench;
    struct upstream_stream stream;
    (void)state;
    begin(&bench);
    upstream_stream_begin(&stream, &bench.slot, SLICE_LITERAL("application/x-ndjson"));
    assert_int_equal(add(&stream, "{}\n{", 1000), 0);
    check_parts(&bench, "[\"{}\\n\"");
    end(&bench);
    begin(&bench);
    upstream_stream_begin(&stream, &bench.slot, SLICE_LITERAL("text/plain"));
    assert_int_equal(add(&stream, "a\xc5", 1000), 0);
    check_parts(&bench, "[\"a\"");
    assert_int_equal(add(&stream, "\xbe", 2000), 0);
    check_parts(&bench, "[\"a\", \"\xc5\xbe\"");
    end(&bench);
}

static void an_event_without_an_end_is_cut(void **state)
{
    static char letters[1025];
    struct bench bench;
    struct upstream_stream stream;
    (void)state;
    memset(letters, 'x', sizeof letters - 1);
    begin(&bench);
    upstream_stream_begin(&stream, &bench.slot, SLICE_LITERAL("text/event-stream"));
    for (size_t sent = 0; sent < LIMIT_GATHER_BYTES - 1024; sent += 1024)
        assert_int_equal(add(&stream, letters, 1000), 0);
    check_parts(&bench, "");
    letters[1023] = (char)0xc5; /* half a character stays */
    assert_int_equal(add(&stream, letters, 1000), 0);
    assert_true(slice_is(buf_slice(&bench.slot.body), "\xc5"));
    assert_int_equal(bench.rp_job.parts.len, LIMIT_GATHER_BYTES - 1 + 3); /* ["..." */
    end(&bench);
}

static void a_full_part_goes_out_before_it_is_due(void **state)
{
    static char letters[1025];
    struct bench bench;
    struct upstream_stream stream;
    (void)state;
    memset(letters, 'x', sizeof letters - 1);
    memcpy(letters + 1022, "\n\n", 2);
    begin(&bench);
    upstream_stream_begin(&stream, &bench.slot, SLICE_LITERAL("text/event-stream"));
    assert_int_equal(add(&stream, "a\n\n", 1000), 0);
    for (size_t sent = 0; sent < LIMIT_GATHER_BYTES - 1024; sent += 1024)
        assert_int_equal(add(&stream, letters, 1001), 0);
    check_parts(&bench, "[\"a\\n\\n\"");
    assert_int_equal(add(&stream, letters, 1001), 0);
    assert_int_equal(bench.slot.body.len, 0);
    end(&bench);
}

static void text_that_is_not_utf8_is_mended_and_bytes_fail_the_stream(void **state)
{
    struct bench bench;
    struct upstream_stream stream;
    (void)state;
    begin(&bench);
    upstream_stream_begin(&stream, &bench.slot, SLICE_LITERAL("text/event-stream"));
    assert_int_equal(add(&stream, "a\n\n", 1000), 0);
    assert_int_equal(add(&stream, "b\xff\n\n", 2000), 0);
    check_parts(&bench, "[\"a\\n\\n\", \"b\xef\xbf\xbd\\n\\n\"");
    assert_true(stream.mended);
    assert_int_equal(add(&stream, "\xff\xfe\xfd\xfc\n\n", 3000), RP_FAILED);
    check_failure(&bench, 502, "BadGatewayError", "is binary, but a job's output is JSON or UTF-8");
    end(&bench);
}

/* Text is what says so, or says nothing. */
static void a_stream_of_text_is_mended(void **state)
{
    static const struct {
        const char *type;
        bool is_text;
    } types[] = { { "text/plain", true },
                  { "TEXT/x", true },
                  { "", true },
                  { "text/", false },
                  { "texts/x", false } };
    (void)state;
    for (size_t i = 0; i < COUNT(types); i++) {
        struct bench bench;
        struct upstream_stream stream;
        begin(&bench);
        set_type(&bench, types[i].type);
        upstream_stream_begin(&stream, &bench.slot, slice_from(types[i].type));
        assert_int_equal(add(&stream, "a\xff. ", 1000), types[i].is_text ? 0 : RP_FAILED);
        check_parts(&bench, types[i].is_text ? "[\"a\xef\xbf\xbd. \"" : "");
        end(&bench);
    }
}

static void a_stream_of_bytes_is_an_error(void **state)
{
    struct bench bench;
    struct upstream_stream stream;
    (void)state;
    begin(&bench);
    set_type(&bench, "audio/wav");
    upstream_stream_begin(&stream, &bench.slot, SLICE_LITERAL("audio/wav"));
    assert_int_equal(add(&stream, "RIFF", 1000), 0);
    assert_int_equal(add(&stream, "\xff\xfe", 2000), RP_FAILED);
    check_failure(&bench, 502, "BadGatewayError", "--handler-binary");
    end(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_becomes_the_output),
        cmocka_unit_test(where_parts_are_wanted_the_output_is_one),
        cmocka_unit_test(an_output_may_be_too_large_where_its_body_was_not),
        cmocka_unit_test(an_error_inside_a_200_is_an_error),
        cmocka_unit_test(an_error_that_is_none_is_hidden),
        cmocka_unit_test(what_is_passed_on_as_it_comes),
        cmocka_unit_test(an_error_of_the_server_is_the_jobs),
        cmocka_unit_test(the_request_is_named_where_the_server_does_not),
        cmocka_unit_test(the_param_of_an_error_is_kept),
        cmocka_unit_test(a_long_error_is_cut_to_the_limit),
        cmocka_unit_test(only_what_was_cut_says_so),
        cmocka_unit_test(the_type_and_the_param_of_an_error_have_limits),
        cmocka_unit_test(a_failed_exchange_names_the_limit),
        cmocka_unit_test(a_request_is_given_up_with_its_server),
        cmocka_unit_test(a_stopped_job_gets_no_error_of_the_exchange),
        cmocka_unit_test(a_response_that_looks_complete_may_be_cut_off),
        cmocka_unit_test(events_go_out_when_they_are_due),
        cmocka_unit_test(a_cr_at_the_end_is_ready_but_no_border_yet),
        cmocka_unit_test(lines_and_characters_are_not_split),
        cmocka_unit_test(an_event_without_an_end_is_cut),
        cmocka_unit_test(a_full_part_goes_out_before_it_is_due),
        cmocka_unit_test(text_that_is_not_utf8_is_mended_and_bytes_fail_the_stream),
        cmocka_unit_test(a_stream_of_text_is_mended),
        cmocka_unit_test(a_stream_of_bytes_is_an_error),
    };
    log_init(LOG_NOTSET, false);
    return cmocka_run_group_tests_name("upstream response", tests, NULL, NULL);
}
