#include "http/connection.h"

#include <stdio.h>

#include "base/limits.h"
#include "net/tcp.h"

void http_connection_init(struct http_connection *connection, const struct http_net *net)
{
    connection->net = net;
    connection->stream = NULL;
    connection->wake = NULL;
    connection->response_begun = NULL;
    connection->half_close_on_wake = connection->wake_in_head = false;
    connection->interim_count = 0;
    connection->filter = connection->stream_filter = NULL;
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

static int set_origin(struct http_connection *connection, const struct url *url, struct err *err)
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
        return err_set(err, ERR_LIMIT, "the response head is larger than %zu bytes",
                       sizeof connection->rx);
    struct transport *stream = connection->stream;
    ptrdiff_t count = stream->ops->read(stream, connection->rx + connection->rx_end, room, deadline,
                                        err);
    if (count > 0)
        connection->rx_end += (size_t)count;
    return count;
}

/* Moves the bytes in rx to its front, so that a whole head has room. */
static void compact(struct http_connection *connection)
{
    size_t len = connection->rx_end - connection->rx_start;
    memmove(connection->rx, connection->rx + connection->rx_start, len);
    connection->rx_start = 0;
    connection->rx_end = len;
}

/* Tells the peer that we leave. What it has sent already can still be read. */
static void half_close(struct http_connection *connection)
{
    connection->wake = NULL;
    connection->stream->ops->finish_writing(connection->stream);
}

/* Parses what is in rx. Returns 1 where it is a whole head, 0 where more must come, or an error. */
static int parse_head(struct http_connection *connection, bool to_head_request,
                      struct http1_response *head, struct err *err)
{
    ptrdiff_t size = 0;
    if (connection->rx_end > 0)
        size = http1_parse_response(connection->rx, connection->rx_end, to_head_request, head, err);
    if (size < 0)
        return (int)size;
    connection->rx_start = (size_t)size;
    return size > 0;
}

/* Why reading a head ended with `count`, which is an error or the end of the stream. */
static int explain(const struct http_connection *connection, ptrdiff_t count, bool half_closed,
                   struct err *err)
{
    bool begun = connection->rx_end > 0;
    if (half_closed && !begun)
        return err_set(err, ERR_CANCELLED, "cancelled");
    if (count < 0)
        return err_wrap(err, begun ? "reading the response" : "waiting for the response");
    return begun ? err_set(err, ERR_RETRY, "connection closed within the response head")
                 : err_set(err, ERR_STALE, "connection closed before any response");
}

/* The response has begun: it may carry a job, so that it is not given up for a wake-up. */
static void note_first_byte(struct http_connection *connection)
{
    if (!connection->wake_in_head)
        connection->wake = NULL;
    if (connection->response_begun != NULL)
        atomic_store(connection->response_begun, true);
}

static int read_one_head(struct http_connection *connection, bool to_head_request,
                         struct http_head_deadlines deadlines, struct http1_response *head,
                         struct err *err)
{
    compact(connection);
    bool half_closed = false, begun = false;
    deadline_ms deadline = deadlines.first;
    for (;;) {
        if (!begun && connection->rx_end > 0) {
            begun = true;
            note_first_byte(connection);
            deadline = clock_earlier(deadlines.whole, clock_deadline(LIMIT_BODY_IDLE_MS));
        }
        int rc = parse_head(connection, to_head_request, head, err);
        if (rc != 0)
            return rc < 0 ? rc : 0;
        ptrdiff_t count = http_connection_fill(connection, deadline, err);
        if (count == ERR_CANCELLED && !begun && connection->half_close_on_wake && !half_closed) {
            half_closed = true;
            half_close(connection);
            deadline = clock_deadline(LIMIT_HALF_CLOSE_MS);
            continue;
        }
        if (count <= 0)
            return explain(connection, count, half_closed, err);
    }
}

int http_connection_judge_head(struct http_connection *connection,
                               const struct http1_response *head, struct err *err)
{
    if (head->status == 101)
        return err_set(err, ERR_PEER, "the server switched protocols without being asked");
    if (head->status >= 200)
        return 0;
    if (++connection->interim_count <= LIMIT_INTERIM_RESPONSES)
        return 1;
    return err_set(err, ERR_PEER, "more than %d interim (1xx) responses to one request",
                   LIMIT_INTERIM_RESPONSES);
}

int http_connection_read_head(struct http_connection *connection, bool to_head_request,
                              struct http_head_deadlines deadlines, struct http1_response *head,
                              struct err *err)
{
    const struct wake *wake = connection->wake;
    for (;;) {
        connection->wake = wake; /* a 1xx does not begin the response */
        int rc = read_one_head(connection, to_head_request, deadlines, head, err);
        if (rc == 0)
            rc = http_connection_judge_head(connection, head, err);
        if (rc <= 0)
            return rc;
    }
}

int http_connection_look_for_head(struct http_connection *connection, deadline_ms deadline,
                                  struct err *err)
{
    struct http1_response head;
    deadline = clock_earlier(deadline, clock_deadline(LIMIT_EARLY_LOOK_MS));
    ptrdiff_t count = http_connection_fill(connection, deadline, err);
    if (count == ERR_TIMEOUT)
        return 0;
    if (count <= 0)
        return explain(connection, count, false, err);
    for (;;) {
        int rc = parse_head(connection, false, &head, err);
        if (rc <= 0)
            return rc;
        rc = http_connection_judge_head(connection, &head, err);
        if (rc == 0)
            connection->rx_start = 0; /* to be read once more */
        if (rc <= 0)
            return rc < 0 ? rc : 1;
        compact(connection);
    }
}

/* --- opening ------------------------------------------------------------------------------- */

void http_put_proxy_credentials(struct http1_writer *head, const struct url *proxy)
{
    struct buf credentials;
    if (proxy->user.len == 0)
        return;
    buf_init(&credentials, URL_MAX_BYTES * 2, "proxy credentials");
    if (proxy_put_credentials(&credentials, proxy, &head->err) == 0)
        http1_put_field(head, SLICE_LITERAL("Proxy-Authorization"), buf_slice(&credentials));
    if (credentials.ptr != NULL)
        explicit_bzero(credentials.ptr, credentials.len);
    buf_free(&credentials);
}

static int put_connect(struct buf *out, const struct url *url, const struct url *proxy,
                       struct err *err)
{
    char target[URL_HOST_MAX_BYTES + 16];
    int len = snprintf(target, sizeof target, url->host_is_ipv6 ? "[%.*s]:%u" : "%.*s:%u",
                       SLICE_ARG(url->host), (unsigned)url->port);
    slice authority = { target, (size_t)len };
    struct http1_writer head = { .out = out };
    http1_put_request(&head, "CONNECT", authority, authority);
    http_put_proxy_credentials(&head, proxy);
    return http1_put_end(&head, err);
}

/* Sends the CONNECT request and reads the proxy's response. */
static int ask_proxy(struct http_connection *connection, slice request, deadline_ms deadline,
                     struct err *err)
{
    struct http1_response head;
    int rc = connection->stream->ops->write(connection->stream, &request, 1, deadline, err);
    if (rc == 0)
        rc = http_connection_read_head(
            connection, true, (struct http_head_deadlines){ deadline, deadline }, &head, err);
    if (rc == ERR_STALE)
        return err->code = ERR_RETRY;
    if (rc != 0)
        return rc;
    if (head.status > 299)
        return err_set(err, ERR_RETRY, "the proxy answered %d to CONNECT%s", head.status,
                       head.status == 407 ? "; give it user:password in the proxy's URL" : "");
    if (connection->rx_start != connection->rx_end)
        return err_set(err, ERR_PEER, "the proxy sent bytes before the tunnel was used");
    return 0;
}

/* Has the proxy make a tunnel (RFC 9110, section 9.3.6). */
static int open_tunnel(struct http_connection *connection, const struct url *url,
                       const struct url *proxy, deadline_ms deadline, struct err *err)
{
    struct buf request;
    buf_init(&request, 2u * HTTP1_HEAD_MAX_BYTES, "proxy request");
    int rc = put_connect(&request, url, proxy, err);
    if (rc == 0)
        rc = ask_proxy(connection, buf_slice(&request), deadline, err);
    if (request.ptr != NULL)
        explicit_bzero(request.ptr, request.len); /* it held the proxy's password */
    buf_free(&request);
    return rc;
}

static int start_tls(struct http_connection *connection, const struct url *url,
                     deadline_ms deadline, struct err *err)
{
    struct transport *secure;
    int rc = tls_connect(&secure, connection->net->tls, connection->stream, url->host, url->port,
                         deadline, err);
    if (rc == 0)
        connection->stream = secure;
    return rc;
}

/* The caller decides what is set up (http/net.h); a URL or a redirect may ask for more. */
static int check_possible(const struct http_net *net, const struct url *url, struct err *err)
{
    if (url->tls && net->unix_path != NULL)
        return err_set(err, ERR_INPUT, "https is not possible over a Unix socket");
    if (url->tls && net->tls == NULL)
        return err_set(err, ERR_INPUT, "https to %.*s is not possible: no TLS was set up for it",
                       SLICE_ARG(url->host));
    return 0;
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
        return err_set(err, ERR_INPUT, "its address cannot be checked behind a proxy");
    int rc = tcp_connect(&connection->stream, host, port, connection->filter, &connection->wake,
                         deadline, err);
    if (rc == 0 && by_proxy && url->tls)
        rc = open_tunnel(connection, url, &proxy, deadline, err);
    if (rc != 0 && by_proxy)
        err_wrap(err, "proxy %.*s:%u", SLICE_ARG(host), (unsigned)port);
    connection->wake = wake; /* reading the proxy's response switched it off */
    connection->through_proxy = by_proxy && !url->tls;
    return rc == 0 && url->tls ? start_tls(connection, url, deadline, err) : rc;
}

int http_connection_open(struct http_connection *connection, const struct url *url,
                         deadline_ms deadline, bool *reused, struct err *err)
{
    struct transport *stream = connection->stream;
    *reused = stream != NULL && connection->rx_start == connection->rx_end &&
              connection->stream_filter == connection->filter && leads_to(connection, url) &&
              stream->ops->usable(stream);
    if (*reused)
        return 0;
    http_connection_close(connection);
    connection->stream_filter = connection->filter;
    int rc = check_possible(connection->net, url, err);
    if (rc == 0)
        rc = open_stream(connection, url, deadline, err);
    if (rc == 0)
        rc = set_origin(connection, url, err);
    if (rc != 0)
        http_connection_close(connection);
    return rc;
}
