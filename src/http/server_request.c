/* Request heads: reading them, finding their route, refusing what this server cannot do. */
#include "base/limits.h"
#include "codec/byte_class.h"
#include "http/server_private.h"

/* Heads up to this size are parsed after every read, so that garbage is refused at once. */
#define PARSE_ALWAYS_BYTES 256

/* --- heads --------------------------------------------------------------------------------- */

/* Parsing again is worth it only where a line ended in the `fresh` bytes that are new. */
static bool may_be_whole(const struct buf *in, size_t fresh)
{
    return in->len <= PARSE_ALWAYS_BYTES || in->len >= HTTP1_HEAD_MAX_BYTES ||
           memchr(in->ptr + in->len - fresh, '\n', fresh) != NULL;
}

/* The server has stopped: true where a connection may wait a little longer, until *deadline. */
static bool may_wait(struct server_connection *c, deadline_ms *deadline)
{
    if (c->draining || c->setting->drain_ms == 0)
        return false;
    c->draining = c->closing = true;
    c->wake = NULL;
    if (c->in.len == 0)
        *deadline = clock_deadline(c->setting->drain_ms);
    return true;
}

ptrdiff_t server_read_head(struct server_connection *c, struct err *err)
{
    bool begun = c->in.len > 0;
    deadline_ms deadline = clock_deadline(begun        ? LIMIT_SERVER_HEAD_MS
                                          : c->is_used ? LIMIT_SERVER_IDLE_MS
                                                       : LIMIT_SERVER_FIRST_BYTE_MS);
    if (!begun)
        atomic_store(&c->idle_since_ms, clock_now_ms());
    for (size_t fresh = c->in.len;;) {
        ptrdiff_t size = 0;
        if (begun && may_be_whole(&c->in, fresh))
            size = http1_parse_request(c->in.ptr, c->in.len, &c->request, err);
        if (size != 0)
            return size;
        ptrdiff_t count = server_read(c, c->in.ptr + c->in.len, SERVER_HEAD_ROOM_BYTES - c->in.len,
                                      deadline, err);
        if (count == ERR_CANCELLED && may_wait(c, &deadline))
            continue;
        atomic_store(&c->idle_since_ms, 0);
        if (count < 0)
            return begun ? count : 0;
        c->is_used = true;
        c->in.len += (size_t)count;
        if (!begun)
            deadline = clock_deadline(LIMIT_SERVER_HEAD_MS);
        begun = true;
        fresh = (size_t)count;
    }
}

bool server_refuse_head(struct server_connection *c)
{
    slice value;
    bool whole = !server_has_body(&c->request);
    if (http1_request_field(&c->request, "Content-Encoding", &value) && value.len > 0 &&
        !slice_is_nocase(value, "identity"))
        server_refuse(c, 415, "Compressed requests are not supported.", whole);
    else if (http1_request_field(&c->request, "Expect", &value) && !c->request.expects_continue &&
             c->request.minor_version == 1)
        server_refuse(c, 417, "The only Expect supported is 100-continue.", whole);
    else if (c->request.content_length > c->setting->body_max_bytes)
        server_refuse_large(c);
    else
        return false;
    return true;
}

/* --- routes -------------------------------------------------------------------------------- */

/* Compares segment by segment; what stands in the place of a "*" becomes one of the args. */
static bool matches(const char *route, slice path, slice args[SERVER_ARGS_MAX])
{
    slice pattern = slice_from(route);
    size_t count = 0;
    while (pattern.len > 0 && path.len > 0) {
        size_t pattern_len = 1 + byte_class_until(slice_skip(pattern, 1), "/");
        size_t path_len = 1 + byte_class_until(slice_skip(path, 1), "/");
        slice expected = { pattern.ptr, pattern_len }, segment = { path.ptr, path_len };
        if (slice_is(expected, "/**") && count < SERVER_ARGS_MAX) {
            args[count] = slice_skip(path, 1);
            return true;
        }
        if (slice_is(expected, "/*") && segment.len > 1 && count < SERVER_ARGS_MAX)
            args[count++] = slice_skip(segment, 1);
        else if (!slice_equal(expected, segment))
            return false;
        pattern = slice_skip(pattern, pattern_len);
        path = slice_skip(path, path_len);
    }
    return pattern.len == 0 && path.len == 0;
}

/* What answers GET answers HEAD, too: the body is left out (RFC 9110, section 9.1). */
static bool allows(const char *methods, slice method)
{
    slice list = slice_from(methods), one;
    while (byte_class_next(&list, ',', &one))
        if (slice_equal(one, method) || slice_is(one, "*") ||
            (slice_is(one, "GET") && slice_is(method, "HEAD")))
            return true;
    return false;
}

static void refuse_method(struct server_connection *c, const struct server_route *route)
{
    const struct http1_field allow = { SLICE_LITERAL("Allow"), slice_from(route->methods) };
    c->unread = server_has_body(&c->request);
    c->closing |= c->unread;
    server_respond_error(&c->exchange, 405,
                         SLICE_LITERAL("This path does not support this method."), &allow, 1, NULL);
}

const struct server_route *server_find_route(struct server_connection *c)
{
    const struct http1_request *request = &c->request;
    const struct server_route *other = NULL;
    for (size_t i = 0; i < c->setting->route_count; i++) {
        const struct server_route *route = &c->setting->routes[i];
        if (!matches(route->path, request->path, c->exchange.args))
            continue;
        if (allows(route->methods, request->method))
            return route;
        other = route;
    }
    if (c->setting->relay != NULL)
        return NULL;
    if (other != NULL)
        refuse_method(c, other);
    else
        server_refuse(c, 404, "There is nothing at this path.", !server_has_body(request));
    return NULL;
}
