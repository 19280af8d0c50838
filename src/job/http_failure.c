#include <stdarg.h>
#include <stdio.h>

#include "base/limits.h"
#include "codec/borders.h"
#include "job/http_slot.h"

#define MESSAGE_BYTES 2800u /* of an error's message: leaves room for escapes and the rest */

static const struct {
    int code;
    const char *type;
} types[] = {
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
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].code == code)
            return slice_from(types[i].type);
    return code >= 500 ? SLICE_LITERAL("InternalServerError") : SLICE_LITERAL("BadRequestError");
}

/* Escapes may make a text up to six times as long: it is cut until all of it fits. */
static int fail(struct http_slot *slot, slice message, slice type, int code)
{
    struct buf *text = &slot->text;
    size_t limit = MESSAGE_BYTES;
    do {
        slice start = message;
        if (start.len > limit)
            start = (slice){ start.ptr, borders_whole_characters((slice){ start.ptr, limit }) };
        text->len = 0;
        if (buf_add_text(text, "{\"error\": {\"message\": ", NULL) != 0 ||
            json_put_lossy(text, start, NULL) != 0 ||
            buf_add_text(text, ", \"type\": ", NULL) != 0 ||
            json_put_lossy(text, type, NULL) != 0 ||
            json_add(text, NULL, ", \"code\": %d}}", code) != 0)
            return rp_job_fail(slot->job, "no memory for an error");
        limit /= 2;
    } while (text->len > LIMIT_ERROR_BYTES && limit > 0);
    rp_fail_text(slot->job, NULL, buf_slice(text), (slice){ 0 });
    return RP_FAILED;
}

int http_fail(struct http_slot *slot, int code, const char *format, ...)
{
    char message[MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return fail(slot, slice_from(message), type_of(code), code);
}

/* --- trouble on the way ----------------------------------------------------------------------- */

/* Which limit it was that passed. */
static const char *limit_of(const struct http_slot *slot)
{
    if (!slot->answer.connected)
        return "--handler-connect-timeout";
    return slot->answer.status == 0 ? "--handler-first-byte-timeout" : "--handler-idle-timeout";
}

/* What is known of the server's end, where there is one behind the trouble; to be freed. */
static struct buf told_of_end(struct http_slot *slot, int64_t patience_ms)
{
    struct buf told;
    buf_init(&told, 2 * LIMIT_CHILD_TAIL_BYTES, "how the server ended");
    http_server_suspect(&slot->waiter, &slot->job->job->stop, slot->life, slot->answer.connected,
                        patience_ms, &told);
    return told;
}

int http_fail_exchange(struct http_slot *slot, const struct err *err)
{
    struct buf told = { 0 };
    const struct job *job = slot->job->job;
    if (flag_is_raised(&job->stop))
        return RP_FAILED; /* nobody waits for it, or rp_job_run says why it was cut short */
    if (err->code == ERR_TIMEOUT)
        return http_fail(slot, 504, "The server took too long (%s): %s", limit_of(slot), err->text);
    if (err->code == ERR_LIMIT)
        return http_fail(slot, 502, "The server's answer is too large: %s", err->text);
    if (err->code == ERR_RETRY)
        told = told_of_end(slot, LIMIT_SERVER_END_MS);
    int rc = http_fail(slot, 502, "The server gave no whole answer: %s%s%.*s", err->text,
                       told.len > 0 ? "\n" : "", SLICE_ARG(buf_slice(&told)));
    buf_free(&told);
    return rc;
}

int http_fail_if_ended(struct http_slot *slot)
{
    if (!slot->answer.until_close)
        return RP_OK;
    struct buf told = told_of_end(slot, LIMIT_SERVER_CLOSED_MS);
    int rc = told.len > 0 ? http_fail(slot, 502, "The server's answer broke off: %.*s",
                                      SLICE_ARG(buf_slice(&told)))
                          : RP_OK;
    buf_free(&told);
    return rc;
}

/* --- answers that are errors ------------------------------------------------------------------- */

static bool string_member(const struct http_slot *slot, slice object, const char *name, slice *text)
{
    slice value;
    return json_member(object, name, &value) && json_type(value) == RP_STRING &&
           json_string(value, &slot->job->arena, text, NULL) == 0 && text->len > 0;
}

int http_fail_status(struct http_slot *slot)
{
    slice body = json_trim(buf_slice(&slot->body)), error = body, message = body;
    int code = slot->answer.status;
    slice type = type_of(code);
    if (json_check(body, NULL, NULL) == 0 && json_type(body) == RP_OBJECT) {
        /* {"error": {"message", "type"}}, {"error": "text"}, {"message"}, {"detail"} */
        if (json_member(body, "error", &error) && json_type(error) != RP_OBJECT)
            string_member(slot, body, "error", &message);
        else if (!string_member(slot, error, "message", &message))
            string_member(slot, error, "detail", &message);
        string_member(slot, error, "type", &type);
    }
    if (message.len == 0)
        return http_fail(slot, code, "The server answered %d without a word.", code);
    return fail(slot, message, type, code);
}
