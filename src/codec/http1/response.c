/* Response heads. */
#include "codec/byte_class.h"
#include "codec/http1/head.h"

static const struct http1_kind response_kind = { .name = "response", .lf_ends_lines = true };

/* v: minor version, s: first digit of a status, d: digit, e: end of the status; else itself. */
static const char status_line_start[] = "HTTP/1.v sdde";
#define VERSION_AT 7
#define STATUS_AT 9
#define STATUS_END 12

static bool fits(char wanted, char c)
{
    switch (wanted) {
    case 'v': return c == '0' || c == '1';
    case 's': return c >= '1' && c <= '5';
    case 'd': return byte_class_in(c, BYTE_CLASS_DIGIT);
    case 'e': return c == ' ' || c == '\r' || c == '\n';
    default: return c == wanted;
    }
}

/* Refuses what cannot become a status line, however little of it has come. */
static int check_start(slice head, struct err *err)
{
    for (size_t i = 0; i < head.len && status_line_start[i] != '\0'; i++)
        if (!fits(status_line_start[i], head.ptr[i]))
            return err_set(err, ERR_PEER,
                           "the response does not start with an HTTP/1.1 status line: \"%.*s\"",
                           SLICE_ARG(http1_excerpt(head)));
    return 0;
}

/* Called for a line that starts well. The space after the status is required, but often missing. */
static void read_status_line(slice line, struct http1_response *response)
{
    const char *digits = line.ptr + STATUS_AT;
    response->minor_version = line.ptr[VERSION_AT] - '0';
    response->status = (digits[0] - '0') * 100 + (digits[1] - '0') * 10 + digits[2] - '0';
    response->reason = slice_skip(line, line.len > STATUS_END ? STATUS_END + 1 : STATUS_END);
}

/* RFC 9112, section 6.3 (length of the body) and section 9.3 (persistence). */
static void settle(struct http1_response *response, const struct http1_framing *framing,
                   bool to_head_request)
{
    bool bare_status = response->status < 200 || response->status == 204;
    if (to_head_request || bare_status || response->status == 304)
        response->body = HTTP1_BODY_NONE;
    else if (framing->chunked)
        response->body = HTTP1_BODY_CHUNKED;
    else
        response->body = framing->has_length ? HTTP1_BODY_LENGTH : HTTP1_BODY_CLOSE;
    response->content_length = response->body == HTTP1_BODY_LENGTH ? framing->length : 0;
    bool body_in_doubt = bare_status && (framing->chunked || framing->length > 0);
    response->keep_alive = http1_persists(framing, response->minor_version) && !body_in_doubt &&
                           response->body != HTTP1_BODY_CLOSE;
}

ptrdiff_t http1_parse_response(const char *bytes, size_t len, bool to_head_request,
                               struct http1_response *response, struct err *err)
{
    slice head = { bytes, len };
    struct http1_framing framing = { 0 };
    int rc = check_start(head, err);
    ptrdiff_t size = rc != 0 ? rc : http1_head_end(&response_kind, head, err);
    if (size <= 0)
        return size;
    head.len = (size_t)size;
    read_status_line(http1_next_line(&head), response);
    rc = http1_read_fields(&response_kind, head, response->fields, &response->field_count, &framing,
                           err);
    if (rc == 0)
        rc = http1_check_framing(&response_kind, &framing, response->minor_version, err);
    if (rc != 0)
        return rc;
    settle(response, &framing, to_head_request);
    return size;
}
