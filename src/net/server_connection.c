#include "net/server_connection.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include "base/limits.h"
#include "codec/chars.h"
#include "codec/json.h"
#include "net/tcp.h"

#define HEAD_ROOM_BYTES (HTTP1_HEAD_MAX_BYTES + 64) /* a head, and what shows that it is too long */
#define RAW_BYTES HEAD_ROOM_BYTES                   /* read at a time of a chunked body */
#define IN_BYTES (HEAD_ROOM_BYTES + RAW_BYTES)      /* a head, and then what lay behind its body */
#define PARSE_ALWAYS_BYTES \
    256 /* so short a head is looked at whatever came, a longer one by line */
#define BODY_STEP_BYTES \
    (256u * 1024u) /* a body's buffer grows with what has come, not with promises */

static struct server_connection *connection_of(struct server_exchange *exchange)
{
    return (struct server_connection *)(void *)exchange;
}

static bool is_stopping(const struct server_connection *c)
{
    return wake_wait(c->stopping, 0);
}

/* --- answers ------------------------------------------------------------------------------- */

static int put_date(struct buf *out, struct err *err)
{
    char text[40];
    struct tm now;
    time_t seconds = time(NULL);
    gmtime_r(&seconds, &now);
    size_t len = strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &now);
    return http1_put_field(out, SLICE_LITERAL("Date"), (slice){ text, len }, err);
}

static int put_length(struct buf *out, size_t bytes, struct err *err)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%zu", bytes);
    return http1_put_field(out, SLICE_LITERAL("Content-Length"), (slice){ text, (size_t)len }, err);
}

static int put_connection(const struct server_connection *c, struct buf *out, struct err *err)
{
    if (c->closing)
        return http1_put_field(out, SLICE_LITERAL("Connection"), SLICE_LITERAL("close"), err);
    if (c->request.minor_version == 0)
        return http1_put_field(out, SLICE_LITERAL("Connection"), SLICE_LITERAL("keep-alive"), err);
    return 0;
}

static int put_extra_field(struct buf *out, const struct http1_field *field, struct err *err)
{
    return http1_put_field(out, field->name, field->value, err);
}

static int put_head(struct server_connection *c, const struct server_answer *answer, size_t bytes,
                    struct err *err)
{
    struct buf *out = &c->out;
    out->len = 0;
    int rc = http1_put_status(out, answer->status, err);
    if (rc == 0)
        rc = put_date(out, err);
    if (rc == 0 && answer->content_type != NULL)
        rc = http1_put_field(out, SLICE_LITERAL("Content-Type"), slice_from(answer->content_type),
                             err);
    if (rc == 0 && answer->status != 204)
        rc = put_length(out, bytes, err);
    if (rc == 0)
        rc = put_connection(c, out, err);
    for (size_t i = 0; rc == 0 && i < answer->field_count; i++)
        rc = put_extra_field(out, &answer->fields[i], err);
    return rc == 0 ? http1_put_end(out, err) : rc;
}

int server_answer(struct server_exchange *exchange, const struct server_answer *answer,
                  struct err *err)
{
    struct server_connection *c = connection_of(exchange);
    slice parts[1 + SERVER_BODY_PARTS_MAX];
    size_t bytes = 0, count = 1;
    if (c->answered || answer->body_count > SERVER_BODY_PARTS_MAX)
        return err_set(err, ERR_INPUT, "this request cannot be answered so");
    for (size_t i = 0; i < answer->body_count; i++) {
        parts[count++] = answer->body[i];
        bytes += answer->body[i].len;
    }
    c->closing |= is_stopping(c);
    int rc = put_head(c, answer, bytes, err);
    if (rc != 0)
        return rc;
    c->answered = true;
    c->wake = NULL;
    parts[0] = buf_slice(&c->out);
    if (slice_is(c->request.method, "HEAD"))
        count = 1;
    rc = c->stream->ops->write(c->stream, parts, count, clock_deadline(LIMIT_BODY_MS), err);
    c->wake = c->stopping;
    c->closing |= rc != 0;
    return rc;
}

int server_answer_error(struct server_exchange *exchange, int status, slice message,
                        const struct http1_field *fields, size_t field_count, struct err *err)
{
    struct buf body;
    buf_init(&body, 64u * 1024u, "error");
    int rc = buf_add_text(&body, "{\"error\": ", err);
    if (rc == 0)
        rc = json_put_lossy(&body, message, err);
    if (rc == 0)
        rc = buf_add_text(&body, "}", err);
    const slice part = buf_slice(&body);
    const struct server_answer answer = { .status = status,
                                          .content_type = "application/json",
                                          .fields = fields,
                                          .field_count = field_count,
                                          .body = &part,
                                          .body_count = 1 };
    if (rc == 0)
        rc = server_answer(exchange, &answer, err);
    buf_free(&body);
    return rc;
}

void server_hang_up(struct server_exchange *exchange)
{
    struct server_connection *c = connection_of(exchange);
    c->answered = c->closing = true;
}

enum server_event server_wait(struct server_exchange *exchange, const struct wake *wake,
                              deadline_ms deadline)
{
    struct pollfd entries[] = {
        { .fd = connection_of(exchange)->fd, .events = POLLRDHUP },
        { .fd = wake->fd, .events = POLLIN },
    };
    int rc;
    do {
        rc = poll(entries, 2, clock_left_ms(deadline));
    } while (rc < 0 && errno == EINTR);
    if (entries[1].revents != 0)
        return SERVER_WOKEN;
    return rc > 0 ? SERVER_GONE : SERVER_TIMEOUT;
}

/* --- refusing ------------------------------------------------------------------------------ */

/* Answers with an error. `whole`: the request has been read to its end, so others may follow. */
static void refuse(struct server_connection *c, int status, const char *message, bool whole)
{
    const struct http1_field retry = { SLICE_LITERAL("Retry-After"), SLICE_LITERAL("1") };
    c->closing |= !whole;
    c->unread |= !whole;
    server_answer_error(&c->exchange, status, slice_from(message), &retry, status == 503 ? 1 : 0,
                        NULL);
}

static void refuse_large(struct server_connection *c)
{
    char text[96];
    snprintf(text, sizeof text, "The request is larger than the limit of %zu bytes.",
             c->setting->body_max_bytes);
    refuse(c, 413, text, false);
}

static bool has_body(const struct http1_request *request)
{
    return request->body == HTTP1_BODY_CHUNKED || request->content_length > 0;
}

/* The status that tells a client about trouble with its request; 0 where nobody would hear it. */
static int status_for(int code)
{
    switch (code) {
    case ERR_TIMEOUT: return 408;
    case ERR_CANCELLED:
    case ERR_MEMORY: return 503;
    case ERR_PEER: return 400;
    default: return 0;
    }
}

static void refuse_for(struct server_connection *c, int code, const char *text)
{
    int status = status_for(code);
    if (code == ERR_TIMEOUT)
        text = "The request took too long to arrive.";
    else if (code == ERR_CANCELLED)
        text = "The worker is shutting down.";
    c->closing = true;
    if (status != 0)
        refuse(c, status, text, false);
}

/* --- reading a request --------------------------------------------------------------------- */

/* How many bytes came, or an error: the end of the stream is one too. */
static ptrdiff_t read_some(struct server_connection *c, char *to, size_t most, deadline_ms deadline,
                           struct err *err)
{
    ptrdiff_t count = c->stream->ops->read(c->stream, to, most, deadline, err);
    return count != 0 ? count : err_set(err, ERR_RETRY, "the client closed its connection");
}

/* Is it worth looking again at a head of which `fresh` bytes are new? */
static bool may_be_whole(const struct buf *in, size_t fresh)
{
    return in->len <= PARSE_ALWAYS_BYTES || in->len >= HTTP1_HEAD_MAX_BYTES ||
           memchr(in->ptr + in->len - fresh, '\n', fresh) != NULL;
}

/*
 * Reads a head to its end. Its size; 0 where the connection ended between two requests; or an
 * error.
 */
static ptrdiff_t read_head(struct server_connection *c, struct err *err)
{
    bool begun = c->in.len > 0;
    deadline_ms deadline = clock_deadline(begun ? LIMIT_SERVER_HEAD_MS : LIMIT_SERVER_IDLE_MS);
    for (size_t fresh = c->in.len;;) {
        ptrdiff_t size = 0;
        if (begun && may_be_whole(&c->in, fresh))
            size = http1_parse_request(c->in.ptr, c->in.len, &c->request, err);
        if (size != 0)
            return size;
        ptrdiff_t count = read_some(c, c->in.ptr + c->in.len, HEAD_ROOM_BYTES - c->in.len, deadline,
                                    err);
        if (count < 0)
            return begun ? count : 0;
        c->in.len += (size_t)count;
        if (!begun)
            deadline = clock_deadline(LIMIT_SERVER_HEAD_MS);
        begun = true;
        fresh = (size_t)count;
    }
}

static deadline_ms next_deadline(deadline_ms whole)
{
    return clock_earlier(whole, clock_deadline(LIMIT_BODY_IDLE_MS));
}

/* Reads a body of known length, of which some may be behind the head. */
static int read_plain_body(struct server_connection *c, size_t *used, deadline_ms deadline,
                           struct err *err)
{
    struct buf *body = &c->exchange.body;
    size_t size = (size_t)c->request.content_length;
    size_t here = c->in.len - *used < size ? c->in.len - *used : size;
    int rc = buf_add(body, c->in.ptr + *used, here, err);
    *used += here;
    while (rc == 0 && body->len < size) {
        size_t left = size - body->len;
        rc = buf_reserve(body, left < BODY_STEP_BYTES ? left : BODY_STEP_BYTES, err);
        if (rc != 0)
            break;
        size_t room = body->cap - body->len;
        ptrdiff_t count = read_some(c, body->ptr + body->len, room < left ? room : left,
                                    next_deadline(deadline), err);
        if (count < 0)
            return (int)count;
        body->len += (size_t)count;
    }
    return rc;
}

/* Decodes the `fresh` raw bytes behind the body's end into the body. *taken: those it was of. */
static int decode(struct http1_chunks *chunks, struct buf *body, size_t fresh, size_t *taken,
                  struct err *err)
{
    const char *raw = body->ptr + body->len;
    for (*taken = 0; *taken < fresh && !chunks->done;) {
        slice data;
        ptrdiff_t count = http1_chunks_feed(chunks, raw + *taken, fresh - *taken, &data, err);
        if (count < 0)
            return err->code = ERR_PEER;
        memmove(body->ptr + body->len, data.ptr, data.len);
        body->len += data.len;
        *taken += (size_t)count;
    }
    return 0;
}

/*
 * Reads a chunked body: raw bytes go to the end of the body's buffer and are decoded there. What
 * lies behind the body is the next request's, and moves to the connection's own buffer.
 */
static int read_chunked_body(struct server_connection *c, size_t *used, deadline_ms deadline,
                             struct err *err)
{
    struct buf *body = &c->exchange.body;
    struct http1_chunks chunks = { 0 };
    size_t fresh = c->in.len - *used, taken;
    int rc = buf_reserve(body, RAW_BYTES, err);
    if (rc == 0)
        memcpy(body->ptr, c->in.ptr + *used, fresh);
    *used = c->in.len;
    while (rc == 0) {
        const char *raw = body->ptr + body->len;
        rc = decode(&chunks, body, fresh, &taken, err);
        if (rc == 0 && body->len > c->setting->body_max_bytes)
            rc = err_set(err, ERR_LIMIT, "a chunked body is too large");
        if (rc == 0 && chunks.done)
            return buf_add(&c->in, raw + taken, fresh - taken, err);
        if (rc == 0)
            rc = buf_reserve(body, RAW_BYTES, err);
        if (rc != 0)
            break;
        ptrdiff_t count = read_some(c, body->ptr + body->len, RAW_BYTES, next_deadline(deadline),
                                    err);
        if (count < 0)
            return (int)count;
        fresh = (size_t)count;
    }
    return rc;
}

static int send_continue(struct server_connection *c, struct err *err)
{
    const slice line = SLICE_LITERAL("HTTP/1.1 100 Continue\r\n\r\n");
    return c->stream->ops->write(c->stream, &line, 1, clock_deadline(LIMIT_SERVER_HEAD_MS), err);
}

/* Reads the request's body. *used: how much of the connection's buffer belongs to the request. */
static int read_body(struct server_connection *c, size_t *used, struct err *err)
{
    deadline_ms deadline = clock_deadline(LIMIT_BODY_MS);
    int rc = 0;
    if (!has_body(&c->request))
        return 0;
    /* The decoder's raw bytes are in the buffer, too. */
    buf_init(&c->exchange.body, c->setting->body_max_bytes + RAW_BYTES, "request");
    if (c->request.expects_continue && c->in.len == *used)
        rc = send_continue(c, err);
    if (rc != 0)
        return rc;
    return c->request.body == HTTP1_BODY_CHUNKED ? read_chunked_body(c, used, deadline, err)
                                                 : read_plain_body(c, used, deadline, err);
}

/* --- routes -------------------------------------------------------------------------------- */

/* True where the path is the route's; its "*"s become args. */
static bool matches(const char *route, slice path, slice args[SERVER_ARGS_MAX])
{
    slice pattern = slice_from(route);
    size_t count = 0;
    while (pattern.len > 0 && path.len > 0) {
        size_t pattern_len = 1 + chars_until(slice_skip(pattern, 1), "/");
        size_t path_len = 1 + chars_until(slice_skip(path, 1), "/");
        slice wanted = { pattern.ptr, pattern_len }, segment = { path.ptr, path_len };
        if (slice_is(wanted, "/*") && segment.len > 1 && count < SERVER_ARGS_MAX)
            args[count++] = slice_skip(segment, 1);
        else if (!slice_equal(wanted, segment))
            return false;
        pattern = slice_skip(pattern, pattern_len);
        path = slice_skip(path, path_len);
    }
    return pattern.len == 0 && path.len == 0;
}

static bool allows(const char *methods, slice method)
{
    slice list = slice_from(methods), one;
    while (chars_next(&list, ',', &one))
        if (slice_equal(one, method))
            return true;
    return false;
}

/* The route of the request; NULL where it has been refused. */
static const struct server_route *find_route(struct server_connection *c)
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
    if (other == NULL) {
        refuse(c, 404, "There is nothing at this path.", !has_body(request));
        return NULL;
    }
    c->unread = has_body(request);
    c->closing |= c->unread;
    const struct http1_field allow = { SLICE_LITERAL("Allow"), slice_from(other->methods) };
    server_answer_error(&c->exchange, 405, SLICE_LITERAL("This path has another method."), &allow,
                        1, NULL);
    return NULL;
}

/* Does the head ask for something that is not to be had? Then it has been refused. */
static bool refuse_head(struct server_connection *c)
{
    slice value;
    bool whole = !has_body(&c->request);
    if (http1_request_field(&c->request, "Content-Encoding", &value) && value.len > 0 &&
        !slice_is_nocase(value, "identity"))
        refuse(c, 415, "A compressed request is not supported.", whole);
    else if (http1_request_field(&c->request, "Expect", &value) && !c->request.expects_continue &&
             c->request.minor_version == 1)
        refuse(c, 417, "This expectation is not supported.", whole);
    else if (c->request.content_length > c->setting->body_max_bytes)
        refuse_large(c);
    else
        return false;
    return true;
}

/* --- the connection ------------------------------------------------------------------------ */

/* Answers one request whose head has been read. */
static void serve(struct server_connection *c, size_t *used)
{
    struct err err = { 0 };
    const struct server_route *route = find_route(c);
    if (route == NULL || refuse_head(c))
        return;
    int rc = read_body(c, used, &err);
    if (rc == ERR_LIMIT) {
        refuse_large(c);
    } else if (rc != 0) {
        refuse_for(c, rc, err.text);
    } else {
        route->handle(&c->exchange, c->setting->owner);
        if (!c->answered)
            refuse(c, 500, "The worker has no answer to this request.", true);
    }
}

/* One request, or the end of the connection (false). */
static bool serve_next(struct server_connection *c)
{
    struct err err = { 0 };
    c->answered = false;
    c->request = (struct http1_request){ 0 };
    c->exchange = (struct server_exchange){ .request = &c->request };
    c->closing = is_stopping(c); /* but a request that is here already gets its answer */
    ptrdiff_t size = read_head(c, &err);
    if (size == 0)
        return false;
    if (size == ERR_LIMIT) {
        refuse(c, 431, "The request's head is too large.", false);
        return false;
    }
    if (size < 0) {
        refuse_for(c, (int)size, err.text);
        return false;
    }
    size_t used = (size_t)size;
    c->closing |= !c->request.keep_alive;
    serve(c, &used);
    buf_free(&c->exchange.body);
    c->in.len -= used;
    memmove(c->in.ptr, c->in.ptr + used, c->in.len);
    return !c->closing;
}

/*
 * Lets the peer read its answer: to close with bytes unread would reset the connection, and an
 * answer on its way would be lost with it (RFC 9112, section 9.6).
 */
static void linger(struct server_connection *c)
{
    deadline_ms deadline = clock_deadline(LIMIT_SERVER_LINGER_MS);
    size_t left = LIMIT_SERVER_LINGER_BYTES;
    shutdown(c->fd, SHUT_WR);
    c->wake = NULL;
    while (left > 0) {
        size_t most = left < HEAD_ROOM_BYTES ? left : HEAD_ROOM_BYTES;
        ptrdiff_t count = c->stream->ops->read(c->stream, c->in.ptr, most, deadline, NULL);
        if (count <= 0)
            return;
        left -= (size_t)count;
    }
}

void server_connection_run(struct server_connection *c)
{
    struct err err;
    c->wake = c->stopping;
    if (tcp_adopt(&c->stream, c->fd, &c->wake, &err) != 0)
        return;
    buf_init(&c->in, IN_BYTES, "request");
    buf_init(&c->out, 2 * HTTP1_HEAD_MAX_BYTES, "answer's head");
    if (buf_reserve(&c->in, IN_BYTES, &err) == 0) {
        if (c->refused)
            refuse(c, 503, "This worker has too many connections.", false);
        while (!c->refused && serve_next(c))
            continue;
        if (c->unread)
            linger(c);
    }
    c->stream->ops->close(c->stream);
    buf_free(&c->in);
    buf_free(&c->out);
}
