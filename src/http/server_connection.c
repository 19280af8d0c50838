/* One connection, from its first request to its end. */
#include <sys/socket.h>

#include "base/limits.h"
#include "http/server_private.h"
#include "net/tcp.h"

/* A head, and then what lay behind its body. */
#define IN_BYTES (SERVER_HEAD_ROOM_BYTES + SERVER_RAW_BYTES)

/* The request goes to the handler with its body unread; one that stays so ends the connection. */
static void relay(struct server_connection *c)
{
    c->unread = server_has_body(&c->request);
    c->setting->relay(&c->exchange, c->setting->owner);
    if (!c->responded)
        server_refuse(c, 500, "The worker did not answer this request.", !c->unread);
    c->closing |= c->unread;
}

/* True where the request has been refused for its head, with its body unread. */
static bool refuse_unread(struct server_connection *c)
{
    if (c->setting->refuses == NULL)
        return false;
    c->unread = server_has_body(&c->request);
    if (c->setting->refuses(&c->exchange, c->setting->owner))
        return true;
    c->unread = false;
    return false;
}

/* Serves one request whose head has been read. */
static void serve(struct server_connection *c)
{
    struct err err = { 0 };
    if (c->setting->admit != NULL && !c->setting->admit(&c->request, c->setting->owner)) {
        server_refuse_unauthorized(c);
        return;
    }
    const struct server_route *route = server_find_route(c);
    if (route == NULL && c->setting->relay != NULL)
        relay(c);
    if (route == NULL || refuse_unread(c) || server_refuse_head(c))
        return;
    int rc = server_read_body(c, &c->used, &err);
    if (rc == ERR_LIMIT) {
        server_refuse_large(c);
    } else if (rc != 0) {
        server_refuse_for(c, rc, err.text);
    } else {
        route->handle(&c->exchange, c->setting->owner);
        c->closing |= c->streaming; /* never ended: the client must not take it for whole */
        if (!c->responded)
            server_refuse(c, 500, "The worker did not answer this request.", true);
    }
}

void server_connection_begin(struct server_connection *c, size_t size)
{
    c->responded = c->streaming = false;
    c->exchange = (struct server_exchange){ .request = &c->request };
    /* A request that is here already is still served. */
    c->closing = server_has_stopped(c) || (size > 0 && !c->request.keep_alive);
    c->unread = size > 0 && server_has_body(&c->request);
    c->used = size;
}

void server_connection_end(struct server_connection *c)
{
    c->closing |= c->unread;
    buf_free(&c->exchange.body);
    server_release(c);
    c->in.len -= c->used;
    memmove(c->in.ptr, c->in.ptr + c->used, c->in.len);
}

/* One request. False at the end of the connection. */
static bool serve_next(struct server_connection *c)
{
    struct err err = { 0 };
    c->request = (struct http1_request){ 0 };
    server_connection_begin(c, 0);
    ptrdiff_t size = server_read_head(c, &err);
    if (size == 0)
        return false;
    if (size == ERR_LIMIT) {
        server_refuse(c, 431, "The request head is too large.", false);
        return false;
    }
    if (size < 0) {
        server_refuse_for(c, (int)size, err.text);
        return false;
    }
    c->used = (size_t)size;
    c->closing |= !c->request.keep_alive;
    if (c->setting->drain_ms > 0)
        c->wake = NULL; /* what has begun arrives whole */
    serve(c);
    c->wake = c->stopping;
    server_connection_end(c);
    return !c->closing;
}

/* The rest of a request that has begun in a loop. False at the end of the connection. */
static bool finish_pending(struct server_connection *c)
{
    struct server_pending *pending = c->pending;
    if (pending == NULL)
        return true;
    c->pending = NULL;
    pending->finish(pending);
    if (!c->responded)
        server_refuse(c, 500, "The worker did not answer this request.", !c->unread);
    server_connection_end(c);
    return !c->closing;
}

/*
 * Lets the peer read its response: closing with bytes unread would reset the connection and may
 * destroy a response that is on its way (RFC 9112, section 9.6).
 */
static void linger(struct server_connection *c)
{
    deadline_ms deadline = clock_deadline(LIMIT_SERVER_LINGER_MS);
    size_t left = LIMIT_SERVER_LINGER_BYTES;
    shutdown(c->fd, SHUT_WR);
    c->wake = NULL;
    while (left > 0) {
        size_t most = left < SERVER_HEAD_ROOM_BYTES ? left : SERVER_HEAD_ROOM_BYTES;
        ptrdiff_t count = server_read(c, c->in.ptr, most, deadline, NULL);
        if (count < 0)
            return;
        left -= (size_t)count;
    }
}

bool server_connection_open(struct server_connection *c)
{
    struct err err;
    c->own.fd = -1;
    c->is_open = tcp_adopt(&c->stream, c->fd, &c->wake, &err) == 0;
    if (!c->is_open) {
        c->fd = -1; /* it has been closed */
        return false;
    }
    tcp_set_quick(c->stream, LIMIT_SERVER_QUICK_MS);
    buf_init(&c->in, IN_BYTES, "request");
    buf_init(&c->out, 2 * HTTP1_HEAD_MAX_BYTES, "response head");
    return buf_reserve(&c->in, IN_BYTES, &err) == 0;
}

void server_connection_close(struct server_connection *c)
{
    c->leave(c);
    if (!c->is_open)
        return;
    c->stream->ops->close(c->stream);
    if (c->own.fd >= 0)
        wake_free(&c->own);
    buf_free(&c->in);
    buf_free(&c->out);
}

void server_connection_run(struct server_connection *c)
{
    c->wake = c->stopping;
    if (c->is_open ? c->in.cap > 0 : server_connection_open(c)) {
        if (c->refused)
            server_refuse(c, 503, "This worker has too many connections.", false);
        if (!c->refused && finish_pending(c))
            while (serve_next(c))
                continue;
        if (c->unread)
            linger(c);
    }
    server_connection_close(c);
}
