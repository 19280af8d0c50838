/* Request heads, as a server must read them: strictly. */
#include <string.h>

#include "codec/byte_class.h"
#include "codec/http1/head.h"

static const struct http1_kind request_kind = { .name = "request", .lf_ends_lines = false };

/* What follows the target; v: minor version. */
static const char line_tail[] = " HTTP/1.v\r\n";
#define TAIL_VERSION_AT 8

static int refuse_line(slice head, struct err *err)
{
    return err_set(err, ERR_PEER,
                   "the request does not start with \"METHOD target HTTP/1.1\": "
                   "\"%.*s\"",
                   SLICE_ARG(http1_excerpt(head)));
}

/* Refuses what cannot become a request line, however little of it has come. */
static int check_start(slice head, struct err *err)
{
    slice rest = head;
    if (rest.len > HTTP1_HEAD_MAX_BYTES)
        rest.len = HTTP1_HEAD_MAX_BYTES;
    size_t method_len = byte_class_span(rest, BYTE_CLASS_TOKEN);
    rest = slice_skip(rest, method_len);
    if (rest.len == 0)
        return 0;
    if (method_len == 0 || rest.ptr[0] != ' ')
        return refuse_line(head, err);
    rest = slice_skip(rest, 1);
    size_t target_len = byte_class_span(rest, BYTE_CLASS_VISIBLE);
    rest = slice_skip(rest, target_len);
    if (rest.len > 0 && target_len == 0)
        return refuse_line(head, err);
    for (size_t i = 0; i < rest.len && line_tail[i] != '\0'; i++) {
        char c = rest.ptr[i];
        if (line_tail[i] == 'v' ? c != '0' && c != '1' : c != line_tail[i])
            return refuse_line(head, err);
    }
    return 0;
}

/*
 * Where the path starts in a target, or the end of a target without one (RFC 9112, section 3.2).
 * Sets *host to a whole URL's.
 */
static size_t find_path(slice method, slice target, slice *host)
{
    static const slice schemes[] = { SLICE_LITERAL("http://"), SLICE_LITERAL("https://") };
    if (target.ptr[0] == '/')
        return 0;
    if (slice_is(target, "*") && slice_is(method, "OPTIONS"))
        return 0;
    for (size_t i = 0; i < 2; i++) {
        size_t len = schemes[i].len;
        if (!slice_starts_nocase(target, schemes[i]))
            continue;
        slice rest = slice_skip(target, len);
        *host = (slice){ rest.ptr, byte_class_until(rest, "/?") };
        if (host->len > 0)
            return len + host->len;
    }
    return target.len;
}

static int read_target(struct http1_request *request, struct err *err)
{
    slice target = request->target;
    request->host = (slice){ 0 };
    slice rest = slice_skip(target, find_path(request->method, target, &request->host));
    size_t path_len = byte_class_until(rest, "?");
    if (path_len == 0 || memchr(target.ptr, '#', target.len) != NULL)
        return err_set(err, ERR_PEER, "the request's target has no path: \"%.*s\"",
                       SLICE_ARG(http1_excerpt(target)));
    request->path = (slice){ rest.ptr, path_len };
    request->query = path_len < rest.len ? slice_skip(rest, path_len + 1) : (slice){ 0 };
    return 0;
}

/* Called for a well-formed line. */
static int read_request_line(slice line, struct http1_request *request, struct err *err)
{
    size_t method_len = byte_class_span(line, BYTE_CLASS_TOKEN);
    slice rest = slice_skip(line, method_len + 1);
    size_t target_len = byte_class_span(rest, BYTE_CLASS_VISIBLE);
    request->method = (slice){ line.ptr, method_len };
    request->target = (slice){ rest.ptr, target_len };
    request->minor_version = rest.ptr[target_len + TAIL_VERSION_AT] - '0';
    return read_target(request, err);
}

/* Only visible ASCII, and no user before it (RFC 9110, section 7.2). */
static bool is_host(slice host)
{
    return byte_class_span(host, BYTE_CLASS_VISIBLE) == host.len &&
           byte_class_until(host, "@") == host.len;
}

/* Exactly one Host in HTTP/1.1 (RFC 9112, section 3.2), at most one in HTTP/1.0. A URL's counts. */
static int read_host(struct http1_request *request, struct err *err)
{
    size_t hosts = 0;
    slice of_target = request->host;
    for (size_t i = 0; i < request->field_count; i++) {
        if (!slice_is_nocase(request->fields[i].name, "Host"))
            continue;
        request->host = request->fields[i].value;
        if (!is_host(request->host))
            return err_set(err, ERR_PEER, "the request's Host is invalid");
        hosts++;
    }
    if (hosts > 1 || (hosts == 0 && request->minor_version == 1))
        return err_set(err, ERR_PEER, "the request has %s Host",
                       hosts == 0 ? "no" : "more than one");
    if (of_target.ptr != NULL)
        request->host = of_target;
    if (!is_host(request->host))
        return err_set(err, ERR_PEER, "the host of the request's target is invalid");
    return 0;
}

static void settle(struct http1_request *request, const struct http1_framing *framing)
{
    slice expected;
    request->body = HTTP1_BODY_NONE;
    if (framing->chunked)
        request->body = HTTP1_BODY_CHUNKED;
    else if (framing->has_length)
        request->body = HTTP1_BODY_LENGTH;
    request->content_length = framing->length;
    request->keep_alive = http1_persists(framing, request->minor_version);
    request->expects_continue = request->minor_version == 1 &&
                                http1_request_field(request, "Expect", &expected) &&
                                slice_is_nocase(expected, "100-continue");
}

ptrdiff_t http1_parse_request(const char *bytes, size_t len, struct http1_request *request,
                              struct err *err)
{
    slice head = { bytes, len };
    struct http1_framing framing = { 0 };
    size_t blank = len > 0 && bytes[0] == '\r' ? 2 : 0; /* an empty line before the request */
    if (blank > 0 && len < 2)
        return 0;
    if (blank > 0 && bytes[1] != '\n')
        return refuse_line(head, err);
    head = slice_skip(head, blank);
    int rc = check_start(head, err);
    ptrdiff_t size = rc != 0 ? rc : http1_head_end(&request_kind, head, err);
    if (size <= 0)
        return size;
    head.len = (size_t)size;
    rc = read_request_line(http1_next_line(&head), request, err);
    if (rc == 0)
        rc = http1_read_fields(&request_kind, head, request->fields, &request->field_count,
                               &framing, err);
    if (rc == 0)
        rc = http1_check_framing(&request_kind, &framing, request->minor_version, err);
    if (rc == 0)
        rc = read_host(request, err);
    if (rc != 0)
        return rc;
    settle(request, &framing);
    return size + (ptrdiff_t)blank;
}
