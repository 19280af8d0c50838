#include "net/http_connection.h"

#include <stdio.h>

#include "base/limits.h"
#include "net/tcp.h"

void http_connection_init(struct http_connection *connection, const struct http_net *net)
{
    connection->net = net;
    connection->stream = NULL;
    connection->wake = NULL;
    connection->answering = NULL;
    connection->parts_gently = false;
    connection->filter = connection->judged = NULL;
    connection->through_proxy = false;
    connection->rx_start = connection->rx_end = 0;
    buf_init(&connection->host, URL_HOST_MAX_BYTES, "host");
}

void http_connection_close(struct http_connection *connection)
{
    if (connection->stream != NULL)
        connection->stream->ops->close(connection->stream);
    connection->stream = NULL;
    connection->rx_start = connection->rx_end = 0;
    buf_free(&connection->host);
}

static int note_origin(struct http_connection *connection, const struct url *url, struct err *err)
{
    connection->port = url->port;
    connection->tls = url->tls;
    return buf_add_slice(&connection->host, url->host, err);
}

static bool leads_to(const struct http_connection *connection, const struct url *url)
{
    return connection->port == url->port && connection->tls == url->tls &&
           slice_equal(buf_slice(&connection->host), url->host);
}

ptrdiff_t http_connection_fill(struct http_connection *connection, deadline_ms deadline,
                               struct err *err)
{
    if (connection->rx_start == connection->rx_end)
        connection->rx_start = connection->rx_end = 0;
    size_t room = sizeof connection->rx - connection->rx_end;
    if (room == 0)
        return err_set(err, ERR_LIMIT, "the answer's head is larger than %zu bytes",
                       sizeof connection->rx);
    struct transport *stream = connection->stream;
    ptrdiff_t count = stream->ops->read(stream, connection->rx + connection->rx_end, room, deadline,
                                        err);
    if (count > 0)
        connection->rx_end += (size_t)count;
    return count;
}

/* Moves what is in rx to its front, so that a whole head has room. */
static void compact(struct http_connection *connection)
{
    size_t len = connection->rx_end - connection->rx_start;
    memmove(connection->rx, connection->rx + connection->rx_start, len);
    connection->rx_start = 0;
    connection->rx_end = len;
}

/* The wake-up has come: the peer is told, and asked for what is on its way. */
static void part(struct http_connection *connection)
{
    connection->wake = NULL;
    connection->stream->ops->finish_writing(connection->stream);
}

static int read_one_head(struct http_connection *connection, bool to_head_request,
                         deadline_ms first, struct http1_response *response, struct err *err)
{
    compact(connection);
    deadline_ms deadline = first;
    bool parting = false;
    for (;;) {
        if (connection->rx_end > 0) {
            ptrdiff_t size = http1_parse_response(connection->rx, connection->rx_end,
                                                  to_head_request, response, err);
            if (size < 0)
                return (int)size;
            if (size > 0) {
                connection->rx_start = (size_t)size;
                return 0;
            }
        }
        bool begun = connection->rx_end > 0;
        ptrdiff_t count = http_connection_fill(connection, deadline, err);
        if (count == ERR_CANCELLED && !begun && connection->parts_gently && !parting) {
            parting = true;
            part(connection);
            deadline = clock_deadline(LIMIT_PARTING_MS);
            continue;
        }
        if (count <= 0 && parting && !begun)
            return err_set(err, ERR_CANCELLED, "given up");
        if (count < 0)
            return err_wrap(err, begun ? "reading the answer" : "waiting for the answer");
        if (count == 0)
            return begun ? err_set(err, ERR_RETRY, "connection closed within the answer's head")
                         : err_set(err, ERR_STALE, "connection closed before any answer");
        if (!begun) {
            connection->wake = NULL; /* an answer has begun: see http.h */
            if (connection->answering != NULL)
                atomic_store(connection->answering, true);
            deadline = clock_deadline(LIMIT_BODY_IDLE_MS);
        }
    }
}

int http_connection_read_head(struct http_connection *connection, bool to_head_request,
                              deadline_ms first, struct http1_response *response, struct err *err)
{
    const struct wake *wake = connection->wake;
    for (;;) {
        connection->wake = wake; /* a 1xx is no answer yet */
        int rc = read_one_head(connection, to_head_request, first, response, err);
        if (rc != 0)
            return rc;
        if (response->status == 101)
            return err_set(err, ERR_PEER, "the server switched protocols unasked");
        if (response->status >= 200)
            return 0;
    }
}

/* Asks the proxy for a tunnel (RFC 9110, section 9.3.6). */
static int open_tunnel(struct http_connection *connection, const struct url *url,
                       const struct url *proxy, deadline_ms deadline, struct err *err)
{
    char target[URL_HOST_MAX_BYTES + 16];
    int len = snprintf(target, sizeof target, url->host_is_ipv6 ? "[%.*s]:%u" : "%.*s:%u",
                       SLICE_ARG(url->host), (unsigned)url->port);
    slice authority = { target, (size_t)len };
    struct buf head, credentials;
    buf_init(&head, HTTP1_HEAD_MAX_BYTES, "proxy request");
    buf_init(&credentials, URL_MAX_BYTES * 2, "proxy credentials");
    struct err *const e = err;
    int rc = http1_put_request(&head, "CONNECT", authority, authority, e);
    if (rc == 0 && proxy->user.len > 0) {
        rc = proxy_put_credentials(&credentials, proxy, e);
        if (rc == 0)
            rc = http1_put_field(&head, SLICE_LITERAL("Proxy-Authorization"),
                                 buf_slice(&credentials), e);
    }
    if (rc == 0)
        rc = http1_put_end(&head, e);
    const slice whole = buf_slice(&head);
    if (rc == 0)
        rc = connection->stream->ops->write(connection->stream, &whole, 1, deadline, e);
    struct http1_response response;
    if (rc == 0)
        rc = http_connection_read_head(connection, true, deadline, &response, e);
    if (rc == 0 && (response.status < 200 || response.status > 299))
        rc = err_set(e, ERR_RETRY, "the proxy answered %d to CONNECT%s", response.status,
                     response.status == 407 ? "; give it user:password in the proxy's URL" : "");
    if (rc == 0 && connection->rx_start != connection->rx_end)
        rc = err_set(e, ERR_PEER, "the proxy sent bytes before the tunnel was used");
    if (credentials.ptr != NULL)
        explicit_bzero(credentials.ptr, credentials.len);
    buf_free(&head);
    buf_free(&credentials);
    return rc == ERR_STALE ? (err->code = ERR_RETRY) : rc;
}

static int open_stream(struct http_connection *connection, const struct url *url,
                       deadline_ms deadline, struct err *err)
{
    struct url proxy;
    bool by_proxy = proxy_for(&connection->net->proxy, url, &proxy);
    slice host = by_proxy ? proxy.host : url->host;
    uint16_t port = by_proxy ? proxy.port : url->port;
    const struct wake *wake = connection->wake;
    if (connection->net->unix_path != NULL)
        return tcp_connect_unix(&connection->stream, connection->net->unix_path, &connection->wake,
                                err);
    if (by_proxy && connection->filter != NULL)
        return err_set(err, ERR_INPUT, "behind a proxy its address cannot be checked");
    int rc = tcp_connect(&connection->stream, host, port, connection->filter, &connection->wake,
                         deadline, err);
    if (rc == 0 && by_proxy && url->tls)
        rc = open_tunnel(connection, url, &proxy, deadline, err);
    if (rc != 0 && by_proxy)
        err_wrap(err, "proxy %.*s:%u", SLICE_ARG(host), (unsigned)port);
    connection->wake = wake; /* reading the proxy's answer switched it off */
    if (rc == 0 && url->tls) {
        struct transport *secure;
        rc = tls_connect(&secure, connection->net->tls, connection->stream, url->host, url->port,
                         deadline, err);
        if (rc == 0)
            connection->stream = secure;
    }
    connection->through_proxy = by_proxy && !url->tls;
    return rc;
}

int http_connection_open(struct http_connection *connection, const struct url *url,
                         deadline_ms deadline, bool *reused, struct err *err)
{
    struct transport *stream = connection->stream;
    *reused = stream != NULL && connection->rx_start == connection->rx_end &&
              connection->judged == connection->filter && leads_to(connection, url) &&
              stream->ops->usable(stream);
    if (*reused)
        return 0;
    http_connection_close(connection);
    connection->judged = connection->filter;
    int rc = open_stream(connection, url, deadline, err);
    if (rc == 0)
        rc = note_origin(connection, url, err);
    if (rc != 0)
        http_connection_close(connection);
    return rc;
}
