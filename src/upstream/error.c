/* From a failure to the job's error. */
#include <stdarg.h>
#include <stdio.h>

#include "base/utf8.h"
#include "codec/byte_class.h"
#include "upstream/upstream_private.h"

#define MESSAGE_BYTES 2800u /* of an error's message: leaves room for escapes, type and code */
#define TYPE_BYTES 100u
#define PARAM_BYTES 300u
#define NOTE_ROUTE_BYTES 200u

static const struct {
    int code;
    const char *type;
} error_types[] = {
    { 400, "BadRequestError" },
    { 401, "AuthenticationError" },
    { 403, "PermissionDeniedError" },
    { 404, "NotFoundError" },
    { 408, "TimeoutError" },
    { 409, "ConflictError" },
    { 422, "UnprocessableEntityError" },
    { 429, "RateLimitError" },
    { 502, "BadGatewayError" },
    { 503, "ServiceUnavailableError" },
    { 504, "TimeoutError" },
};

static slice type_of(int code)
{
    for (size_t i = 0; i < sizeof error_types / sizeof error_types[0]; i++)
        if (error_types[i].code == code)
            return slice_from(error_types[i].type);
    return code >= 500 ? SLICE_LITERAL("InternalServerError") : SLICE_LITERAL("BadRequestError");
}

struct server_error {
    slice message;
    slice type;
    slice param; /* JSON; empty for none */
    int code;
    bool is_cut;      /* the message is only the start of what the server said */
    bool names_route; /* the message alone does not say what was asked for */
};

/* Behind a message, within its quotes. */
static void put_notes(struct upstream_slot *slot, const struct server_error *report, bool is_cut)
{
    const struct upstream_request *request = &slot->request;
    struct buf *text = &slot->text;
    struct buf note;
    buf_init(&note, 4 * ROUTE_MAX_BYTES, "note");
    if (is_cut)
        buf_add_text(&note, " ... (cut by the worker)", NULL);
    if (report->names_route && request->method != NULL) {
        slice path = { request->route.ptr, byte_class_until(request->route, "?") };
        buf_add_text(&note, " (", NULL);
        buf_add_text(&note, request->method, NULL);
        buf_add_text(&note, " ", NULL);
        buf_add_slice(&note, utf8_head(path, NOTE_ROUTE_BYTES), NULL);
        buf_add_text(&note, ")", NULL);
    }
    if (note.len > 0 && buf_error(text, NULL) == 0 && buf_error(&note, NULL) == 0) {
        size_t quote = text->len - 1;
        json_put_lossy(text, buf_slice(&note), NULL);
        if (buf_error(text, NULL) == 0) { /* ..."" note" becomes one string */
            memmove(text->ptr + quote, text->ptr + quote + 2, text->len - quote - 2);
            buf_truncate(text, text->len - 2);
        }
    }
    buf_free(&note);
}

/* Escapes can make a text up to six times as long: it is cut until all of it fits. */
static int fail(struct upstream_slot *slot, const struct server_error *report)
{
    struct buf *text = &slot->text;
    size_t limit = MESSAGE_BYTES;
    do {
        slice head = utf8_head(report->message, limit);
        buf_clear(text);
        buf_add_text(text, "{\"error\": {\"message\": ", NULL);
        json_put_lossy(text, head, NULL);
        put_notes(slot, report, report->is_cut || head.len < report->message.len);
        buf_add_text(text, ", \"type\": ", NULL);
        json_put_lossy(text, utf8_head(report->type, TYPE_BYTES), NULL);
        if (report->param.len > 0 && report->param.len <= PARAM_BYTES) {
            buf_add_text(text, ", \"param\": ", NULL);
            buf_add_slice(text, report->param, NULL);
        }
        json_add(text, NULL, ", \"code\": %d}}", report->code);
        if (buf_error(text, NULL) != 0)
            return rp_job_fail(slot->job, "out of memory for an error text");
        limit /= 2;
    } while (text->len > LIMIT_ERROR_BYTES && limit > 0);
    rp_fail_text(slot->job, NULL, buf_slice(text), (slice){ 0 });
    return RP_FAILED;
}

int upstream_fail(struct upstream_slot *slot, int code, const char *format, ...)
{
    char message[MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    const struct server_error report = { .message = slice_from(message),
                                         .type = type_of(code),
                                         .code = code };
    return fail(slot, &report);
}

/* --- exchanges that fail ---------------------------------------------------------------------- */

/* The flag of the time limit that has passed. */
static const char *expired_limit(const struct upstream_slot *slot)
{
    if (!slot->response.connected)
        return "--handler-connect-timeout";
    return slot->response.status == 0 ? "--handler-first-byte-timeout" : "--handler-idle-timeout";
}

/* How the server ended, where that is the cause; else empty. The caller frees it. */
static struct buf wait_for_exit(struct upstream_slot *slot, int64_t patience_ms)
{
    struct buf exit_report;
    buf_init(&exit_report, 2 * LIMIT_CHILD_TAIL_BYTES, "how the server ended");
    upstream_report_exit(slot->upstream, &slot->waiter, &slot->job->task->stop, slot->generation,
                         patience_ms, &exit_report);
    return exit_report;
}

int upstream_fail_lost(struct upstream_slot *slot)
{
    struct buf report;
    struct err err = { 0 };
    buf_init(&report, 2 * LIMIT_CHILD_TAIL_BYTES, "how the server ended");
    int rc = upstream_wait_ready(slot->upstream, &slot->waiter, &slot->job->task->stop, &report,
                                 &err);
    if (rc == ERR_CONFIG)
        upstream_fail(slot, 503, "%s%.*s", err.text, SLICE_ARG(buf_slice(&report)));
    else if (rc == 0)
        upstream_fail(slot, 502, "The request was given up.");
    buf_free(&report);
    return RP_FAILED;
}

int upstream_fail_exchange(struct upstream_slot *slot, const struct err *err)
{
    struct buf exit_report = { 0 };
    const struct job *job = slot->job->task;
    if (flag_is_raised(&job->stop))
        return RP_FAILED; /* nobody waits for a result, or rp_job_run gives the reason */
    if (err->code == ERR_CANCELLED)
        return upstream_fail_lost(slot);
    slot->incomplete = err->code != ERR_LIMIT && err->code != ERR_MEMORY;
    if (err->code == ERR_TIMEOUT)
        return upstream_fail(slot, 504, "The server took too long (%s): %s", expired_limit(slot),
                             err->text);
    if (err->code == ERR_LIMIT)
        return upstream_fail(slot, 502, "The server's response is too large: %s", err->text);
    if (err->code == ERR_PEER)
        return upstream_fail(slot, 502, "Invalid response from the server: %s", err->text);
    if (err->code == ERR_RETRY)
        exit_report = wait_for_exit(slot, LIMIT_SERVER_END_MS);
    int rc = upstream_fail(slot, 502, "No complete response from the server: %s%s%.*s", err->text,
                           exit_report.len > 0 ? "\n" : "", SLICE_ARG(buf_slice(&exit_report)));
    buf_free(&exit_report);
    return rc;
}

int upstream_fail_if_ended(struct upstream_slot *slot)
{
    if (!slot->response.until_close)
        return RP_OK;
    struct buf exit_report = wait_for_exit(slot, LIMIT_SERVER_CLOSED_MS);
    slot->incomplete = exit_report.len > 0;
    int rc = exit_report.len > 0
                 ? upstream_fail(slot, 502, "The server's response was cut off: %.*s",
                                 SLICE_ARG(buf_slice(&exit_report)))
                 : RP_OK;
    buf_free(&exit_report);
    return rc;
}

/* --- responses that are errors ---------------------------------------------------------------- */

static bool string_member(const struct upstream_slot *slot, slice object, const char *name,
                          slice *text)
{
    slice value, string;
    if (!json_member(object, name, &value) || json_type(value) != RP_STRING ||
        json_string(value, &slot->job->arena, &string, NULL) != 0 || string.len == 0)
        return false;
    *text = string;
    return true;
}

/* The code of an error inside a 200, where it is one that a status can be. */
static int code_inside(slice error)
{
    slice value;
    int64_t code = 0;
    if (json_type(error) == RP_OBJECT && json_member(error, "code", &value))
        json_int(value, &code, NULL);
    return code >= 400 && code <= 599 ? (int)code : 500;
}

/* {"error": {"message", "type", "param"}}, {"error": "text"}, {"message"}, {"detail"} */
static void read_report(const struct upstream_slot *slot, slice body, struct server_error *report)
{
    slice error = body;
    bool has_error = json_member(body, "error", &error);
    if (report->code < 400)
        report->code = code_inside(error);
    report->type = type_of(report->code);
    if (has_error && json_type(error) != RP_OBJECT) {
        string_member(slot, body, "error", &report->message);
        return;
    }
    if (!string_member(slot, error, "message", &report->message))
        string_member(slot, error, "detail", &report->message);
    report->names_route = !has_error || report->code == 404 || report->code == 405;
    string_member(slot, error, "type", &report->type);
    if (!json_member(error, "param", &report->param))
        report->param = (slice){ 0 };
}

int upstream_fail_status(struct upstream_slot *slot)
{
    slice body = json_trim(buf_slice(&slot->body));
    int code = slot->response.status;
    struct server_error report = { .message = body,
                                   .type = type_of(code),
                                   .code = code,
                                   .is_cut = slot->body.len >= LIMIT_SERVER_ERROR_BYTES,
                                   .names_route = true };
    if (json_check(body, NULL, NULL) == 0 && json_type(body) == RP_OBJECT) {
        report.is_cut = false;
        read_report(slot, body, &report);
    }
    slot->error_status = report.code;
    if (report.message.len > 0)
        return fail(slot, &report);
    report.message = SLICE_LITERAL("The server responded with an error and an empty body");
    return fail(slot, &report);
}
