#include "codec/http1.h"

#include <stdio.h>

#include "codec/chars.h"

/* Appends pieces, all of them or none. */
static int add_all(struct buf *out, const slice *pieces, size_t count, struct err *err)
{
    size_t before = out->len;
    for (size_t i = 0; i < count; i++) {
        int rc = buf_add_slice(out, pieces[i], err);
        if (rc != 0) {
            out->len = before;
            return rc;
        }
    }
    return 0;
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

int http1_put_status(struct buf *out, int status, struct err *err)
{
    char line[64];
    if (status < 100 || status > 599)
        return err_set(err, ERR_INPUT, "there is no status %d", status);
    int len = snprintf(line, sizeof line, "HTTP/1.1 %d %s\r\n", status, http1_reason(status));
    return buf_add(out, line, (size_t)len, err);
}

int http1_put_request(struct buf *out, const char *method, slice target, slice host_port,
                      struct err *err)
{
    const slice pieces[] = {
        slice_from(method), SLICE_LITERAL(" "),   target, SLICE_LITERAL(" HTTP/1.1\r\nHost: "),
        host_port,          SLICE_LITERAL("\r\n")
    };
    if (!chars_all(slice_from(method), CHARS_TOKEN))
        return err_set(err, ERR_INPUT, "a request's method is no token");
    if (!chars_all(target, CHARS_VISIBLE))
        return err_set(err, ERR_INPUT,
                       "a request's target is empty or holds a byte to be percent-encoded");
    if (!chars_all(host_port, CHARS_VISIBLE))
        return err_set(err, ERR_INPUT, "a request's host is empty or holds an invalid byte");
    return add_all(out, pieces, sizeof pieces / sizeof *pieces, err);
}

int http1_put_field(struct buf *out, slice name, slice value, struct err *err)
{
    const slice pieces[] = { name, SLICE_LITERAL(": "), value, SLICE_LITERAL("\r\n") };
    if (!chars_all(name, CHARS_TOKEN))
        return err_set(err, ERR_INPUT, "a field's name is no token");
    if (chars_span(value, CHARS_FIELD) != value.len)
        return err_set(err, ERR_INPUT,
                       "the value of field %.*s holds a line break or control character",
                       SLICE_ARG(name));
    return add_all(out, pieces, sizeof pieces / sizeof *pieces, err);
}

int http1_put_end(struct buf *out, struct err *err)
{
    return buf_add_slice(out, SLICE_LITERAL("\r\n"), err);
}
