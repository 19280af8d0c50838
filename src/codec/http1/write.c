/* Heads, written so that nothing can break out of its line. */
#include <stdio.h>

#include "codec/byte_class.h"
#include "codec/http1.h"

/* Appends pieces unless something went wrong before. */
static void add(struct http1_writer *head, const slice *pieces, size_t count)
{
    if (head->err.code == 0)
        buf_add_slices(head->out, pieces, count, &head->err);
}

const char *http1_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        { 100, "Continue" },
        { 200, "OK" },
        { 202, "Accepted" },
        { 204, "No Content" },
        { 307, "Temporary Redirect" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 408, "Request Timeout" },
        { 409, "Conflict" },
        { 413, "Content Too Large" },
        { 415, "Unsupported Media Type" },
        { 417, "Expectation Failed" },
        { 421, "Misdirected Request" },
        { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" },
        { 500, "Internal Server Error" },
        { 501, "Not Implemented" },
        { 503, "Service Unavailable" },
    };
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "";
}

void http1_put_status(struct http1_writer *head, int status)
{
    http1_put_status_reason(head, status, slice_from(http1_reason(status)));
}

void http1_put_status_reason(struct http1_writer *head, int status, slice reason)
{
    char line[32];
    int len = snprintf(line, sizeof line, "HTTP/1.1 %d ", status);
    const slice pieces[] = { { line, (size_t)len }, reason, SLICE_LITERAL("\r\n") };
    if (head->err.code == 0 && (status < 100 || status > 599))
        err_set(&head->err, ERR_INPUT, "%d is not an HTTP status", status);
    if (head->err.code == 0 && byte_class_span(reason, BYTE_CLASS_FIELD) != reason.len)
        err_set(&head->err, ERR_INPUT, "a reason phrase holds a control character");
    add(head, pieces, 3);
}

/* NULL, or why the request line cannot be sent. */
static const char *check_request(slice method, slice target, slice host_port)
{
    if (!byte_class_all(method, BYTE_CLASS_TOKEN))
        return "the request method is not a token";
    if (!byte_class_all(target, BYTE_CLASS_VISIBLE))
        return "the request target is empty or holds a byte that must be percent-encoded";
    if (!byte_class_all(host_port, BYTE_CLASS_VISIBLE))
        return "the request host is empty or holds an invalid byte";
    return NULL;
}

void http1_put_request_slice(struct http1_writer *head, slice method, slice target, slice host_port)
{
    const slice pieces[] = { method,    SLICE_LITERAL(" "),
                             target,    SLICE_LITERAL(" HTTP/1.1\r\nHost: "),
                             host_port, SLICE_LITERAL("\r\n") };
    const char *trouble = check_request(method, target, host_port);
    if (head->err.code == 0 && trouble != NULL)
        err_set(&head->err, ERR_INPUT, "%s", trouble);
    add(head, pieces, sizeof pieces / sizeof *pieces);
}

void http1_put_request(struct http1_writer *head, const char *method, slice target, slice host_port)
{
    http1_put_request_slice(head, slice_from(method), target, host_port);
}

void http1_put_field(struct http1_writer *head, slice name, slice value)
{
    const slice pieces[] = { name, SLICE_LITERAL(": "), value, SLICE_LITERAL("\r\n") };
    if (head->err.code == 0 && !byte_class_all(name, BYTE_CLASS_TOKEN))
        err_set(&head->err, ERR_INPUT, "a header field's name is not a token");
    if (head->err.code == 0 && byte_class_span(value, BYTE_CLASS_FIELD) != value.len)
        err_set(&head->err, ERR_INPUT,
                "the value of header field %.*s holds a line break or control character",
                SLICE_ARG(name));
    add(head, pieces, sizeof pieces / sizeof *pieces);
}

void http1_put_length(struct http1_writer *head, uint64_t bytes)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)bytes);
    http1_put_field(head, SLICE_LITERAL("Content-Length"), (slice){ digits, (size_t)len });
}

int http1_put_end(struct http1_writer *head, struct err *err)
{
    const slice line = SLICE_LITERAL("\r\n");
    add(head, &line, 1);
    if (head->err.code != 0 && err != NULL)
        *err = head->err;
    return head->err.code;
}
