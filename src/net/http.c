#include "net/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/limits.h"
#include "base/version.h"
#include "net/http_connection.h"

struct http_client {
    struct buf head; /* of the request being sent, kept for the next one */
    struct buf url;  /* where a redirect led to */
    struct http_connection connection;
};

int http_client_new(struct http_client **out, const struct http_net *net, struct err *err)
{
    struct http_client *client = malloc(sizeof *client);
    if (client == NULL)
        return err_set(err, ERR_MEMORY, "no memory for an HTTP client");
    buf_init(&client->head, 4u * HTTP1_HEAD_MAX_BYTES, "request head");
    buf_init(&client->url, URL_MAX_BYTES, "redirect");
    http_connection_init(&client->connection, net);
    *out = client;
    return 0;
}

void http_client_free(struct http_client *client)
{
    if (client == NULL)
        return;
    http_connection_close(&client->connection);
    if (client->head.ptr != NULL)
        explicit_bzero(client->head.ptr, client->head.cap); /* it held the API key */
    buf_free(&client->head);
    buf_free(&client->url);
    free(client);
}

/* --- the request ------------------------------------------------------------------------- */

static size_t body_bytes(const struct http_request *request)
{
    size_t total = 0;
    for (size_t i = 0; i < request->body_count; i++)
        total += request->body[i].len;
    return total;
}

/* "/path?query" for the server itself, the whole URL for a proxy. */
static int put_request_line(struct buf *head, const struct http_request *request,
                            const struct url *url, bool absolute, struct err *err)
{
    struct buf target;
    buf_init(&target, URL_MAX_BYTES + 16, "request target");
    char host[URL_HOST_MAX_BYTES + 16];
    bool default_port = url->port == (url->tls ? 443 : 80);
    int len = snprintf(host, sizeof host, url->host_is_ipv6 ? "[%.*s]" : "%.*s",
                       SLICE_ARG(url->host));
    if (!default_port)
        len += snprintf(host + len, sizeof host - (size_t)len, ":%u", (unsigned)url->port);
    slice host_port = { host, (size_t)len };
    int rc = 0;
    if (absolute) {
        rc = buf_add_text(&target, url->tls ? "https://" : "http://", err);
        if (rc == 0)
            rc = buf_add_slice(&target, host_port, err);
    }
    if (rc == 0 && (url->target.len == 0 || url->target.ptr[0] != '/'))
        rc = buf_add(&target, "/", 1, err);
    if (rc == 0)
        rc = buf_add_slice(&target, url->target, err);
    if (rc == 0)
        rc = http1_put_request(head, request->method, buf_slice(&target), host_port, err);
    buf_free(&target);
    return rc;
}

static int put_proxy_credentials(struct buf *head, const struct http_net *net,
                                 const struct url *url, struct err *err)
{
    struct url proxy;
    if (!proxy_for(&net->proxy, url, &proxy) || proxy.user.len == 0)
        return 0;
    struct buf credentials;
    buf_init(&credentials, URL_MAX_BYTES * 2, "proxy credentials");
    int rc = proxy_put_credentials(&credentials, &proxy, err);
    if (rc == 0)
        rc = http1_put_field(head, "Proxy-Authorization", buf_slice(&credentials), err);
    if (credentials.ptr != NULL)
        explicit_bzero(credentials.ptr, credentials.len);
    buf_free(&credentials);
    return rc;
}

static int put_length(struct buf *head, const struct http_request *request, struct err *err)
{
    if (request->body == NULL)
        return 0;
    char length[24];
    int len = snprintf(length, sizeof length, "%zu", body_bytes(request));
    return http1_put_field(head, "Content-Length", (slice){ length, (size_t)len }, err);
}

static int put_head(struct http_client *client, const struct http_request *request,
                    const struct url *url, struct err *err)
{
    struct buf *head = &client->head;
    bool absolute = client->connection.through_proxy;
    head->len = 0;
    int rc = put_request_line(head, request, url, absolute, err);
    for (size_t i = 0; rc == 0 && i < request->field_count; i++) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", SLICE_ARG(request->fields[i].name));
        rc = http1_put_field(head, name, request->fields[i].value, err);
    }
    if (rc == 0 && absolute)
        rc = put_proxy_credentials(head, client->connection.net, url, err);
    if (rc == 0)
        rc = put_length(head, request, err);
    return rc == 0 ? http1_put_end(head, err) : rc;
}

static int send_request(struct http_client *client, const struct http_request *request,
                        const struct url *url, struct err *err)
{
    int rc = put_head(client, request, url, err);
    if (rc != 0)
        return rc;
    slice parts[8] = { buf_slice(&client->head) };
    if (request->body_count >= sizeof parts / sizeof parts[0])
        return err_set(err, ERR_INPUT, "a request body of %zu parts", request->body_count);
    for (size_t i = 0; i < request->body_count; i++)
        parts[i + 1] = request->body[i];
    struct transport *stream = client->connection.stream;
    return stream->ops->write(stream, parts, request->body_count + 1,
                              clock_deadline(request->send_ms), err);
}

/* --- the answer -------------------------------------------------------------------------- */

/* A pause in the body may last LIMIT_BODY_IDLE_MS, the whole of it until `deadline`. */
static ptrdiff_t read_body(struct http_connection *connection, void *bytes, size_t size,
                           deadline_ms deadline, struct err *err)
{
    size_t held = connection->rx_end - connection->rx_start;
    if (held > 0) {
        size_t part = held < size ? held : size;
        memcpy(bytes, connection->rx + connection->rx_start, part);
        connection->rx_start += part;
        return (ptrdiff_t)part;
    }
    deadline_ms idle = clock_earlier(deadline, clock_deadline(LIMIT_BODY_IDLE_MS));
    struct transport *stream = connection->stream;
    return stream->ops->read(stream, bytes, size, idle, err);
}

static int read_length_body(struct http_connection *connection, uint64_t length, struct buf *body,
                            deadline_ms deadline, struct err *err)
{
    if (length > body->max)
        return err_set(err, ERR_LIMIT, "an answer of %llu bytes is over the limit of %zu for %s",
                       (unsigned long long)length, body->max, body->what);
    int rc = buf_reserve(body, (size_t)length, err);
    while (rc == 0 && body->len < length) {
        ptrdiff_t count = read_body(connection, body->ptr + body->len, (size_t)length - body->len,
                                    deadline, err);
        if (count < 0)
            return (int)count;
        if (count == 0)
            return err_set(err, ERR_RETRY, "connection closed after %zu of %llu bytes", body->len,
                           (unsigned long long)length);
        body->len += (size_t)count;
    }
    return rc;
}

static int read_chunked_body(struct http_connection *connection, struct buf *body,
                             deadline_ms deadline, struct err *err)
{
    struct http1_chunks chunks = { 0 };
    while (!chunks.done) {
        if (connection->rx_start == connection->rx_end) {
            deadline_ms idle = clock_earlier(deadline, clock_deadline(LIMIT_BODY_IDLE_MS));
            ptrdiff_t count = http_connection_fill(connection, idle, err);
            if (count < 0)
                return (int)count;
            if (count == 0)
                return err_set(err, ERR_RETRY, "connection closed within a chunked body");
        }
        slice data;
        ptrdiff_t used = http1_chunks_feed(&chunks, connection->rx + connection->rx_start,
                                           connection->rx_end - connection->rx_start, &data, err);
        if (used < 0)
            return (int)used;
        connection->rx_start += (size_t)used;
        int rc = buf_add_slice(body, data, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int read_body_to_close(struct http_connection *connection, struct buf *body,
                              deadline_ms deadline, struct err *err)
{
    for (;;) {
        int rc = buf_reserve(body, 1, err);
        if (rc != 0)
            return rc;
        ptrdiff_t count = read_body(connection, body->ptr + body->len, body->cap - body->len,
                                    deadline, err);
        if (count <= 0)
            return (int)count;
        body->len += (size_t)count;
    }
}

static int read_whole_body(struct http_connection *connection,
                           const struct http1_response *response, struct buf *body, int64_t body_ms,
                           struct err *err)
{
    deadline_ms deadline = clock_deadline(body_ms);
    switch (response->body) {
    case HTTP1_BODY_LENGTH:
        return read_length_body(connection, response->content_length, body, deadline, err);
    case HTTP1_BODY_CHUNKED: return read_chunked_body(connection, body, deadline, err);
    case HTTP1_BODY_CLOSE: return read_body_to_close(connection, body, deadline, err);
    case HTTP1_BODY_NONE: break;
    }
    return 0;
}

static void note_answer(const struct http1_response *response, struct http_answer *answer)
{
    slice value;
    *answer = (struct http_answer){ .status = response->status };
    if (http1_field(response, "Content-Type", &value))
        snprintf(answer->content_type, sizeof answer->content_type, "%.*s", SLICE_ARG(value));
    if (http1_field(response, "Content-Encoding", &value))
        answer->encoded = !slice_is_nocase(value, "identity") && value.len > 0;
    if (http1_field(response, "Retry-After", &value))
        answer->has_retry_after = http1_retry_after(value, (int64_t)time(NULL),
                                                    &answer->retry_after_ms);
}

/* --- one hop, and the way along redirects -------------------------------------------------- */

/* A server that refuses a body may answer and close before it has read all of it. */
static int read_early_answer(struct http_connection *connection, struct http1_response *response,
                             const struct err *send_err, struct err *err)
{
    if (http_connection_read_head(connection, false, clock_deadline(0), response, err) == 0) {
        response->keep_alive = false;
        return 0;
    }
    *err = *send_err;
    return send_err->code;
}

/* Sends the request and reads the answer's head, once. ERR_STALE: worth a new connection. */
static int attempt(struct http_client *client, const struct http_request *request,
                   const struct url *url, struct http1_response *response, struct err *err)
{
    struct http_connection *connection = &client->connection;
    bool reused;
    connection->wake = request->wake;
    connection->answering = request->answering;
    int64_t connect_ms = request->connect_ms != 0 ? request->connect_ms : LIMIT_CONNECT_MS;
    int rc = http_connection_open(connection, url, &reused, clock_deadline(connect_ms), err);
    if (rc != 0)
        return rc;
    rc = send_request(client, request, url, err);
    if (rc == ERR_RETRY) {
        const struct err send_err = *err;
        rc = read_early_answer(connection, response, &send_err, err);
    } else if (rc == 0) {
        bool head = strcmp(request->method, "HEAD") == 0;
        deadline_ms first = clock_deadline(request->answer_ms);
        rc = http_connection_read_head(connection, head, first, response, err);
    }
    bool nothing_read = connection->rx_end == 0;
    if (rc != 0)
        http_connection_close(connection);
    if (rc == ERR_STALE || (rc == ERR_RETRY && nothing_read))
        rc = err->code = reused ? ERR_STALE : ERR_RETRY;
    return rc;
}

static bool is_redirect(const struct http_request *request, int status)
{
    return status == 301 || status == 302 || status == 307 || status == 308 ||
           (status == 303 && strcmp(request->method, "GET") == 0);
}

/* Plain http may lead to https on the same host; everything else must stay where it is. */
static bool may_follow(const struct url *from, const struct url *to)
{
    if (url_same_origin(from, to))
        return true;
    bool same_host = from->host.len == to->host.len &&
                     strncasecmp(from->host.ptr, to->host.ptr, to->host.len) == 0;
    return same_host && !from->tls && to->tls && to->port == 443;
}

/* Sets *url to where the answer's Location leads; its text then lives in client->url. */
static int follow(struct http_client *client, const struct http1_response *response,
                  struct url *url, struct err *err)
{
    slice location;
    if (!http1_field(response, "Location", &location))
        return err_set(err, ERR_PEER, "a redirect (%d) without Location", response->status);
    struct buf target;
    buf_init(&target, URL_MAX_BYTES, "redirect");
    struct url next;
    int rc = url_resolve(url, location, &target, err);
    if (rc == 0)
        rc = url_parse(buf_slice(&target), &next, err);
    if (rc == 0 && !may_follow(url, &next))
        rc = err_set(err, ERR_PEER, "redirected to another host (%.*s), which is not followed",
                     SLICE_ARG(next.host));
    if (rc != 0) {
        buf_free(&target);
        return err->code = ERR_PEER;
    }
    buf_free(&client->url);
    client->url = target;
    *url = next;
    return 0;
}

/*
 * One request to *url with its whole answer. *again: it was a redirect, and *url is where to.
 * The head's slices end with the first read of the body, so all that is needed is taken before.
 */
static int hop(struct http_client *client, const struct http_request *request, struct url *url,
               struct http_answer *answer, struct buf *body, bool *again, struct err *err)
{
    struct http1_response response;
    *answer = (struct http_answer){ 0 };
    int rc = attempt(client, request, url, &response, err);
    if (rc == ERR_STALE)
        rc = attempt(client, request, url, &response, err);
    if (rc != 0)
        return rc;
    note_answer(&response, answer);
    *again = is_redirect(request, response.status);
    if (*again)
        rc = follow(client, &response, url, err);
    body->len = 0;
    if (rc == 0)
        rc = read_whole_body(&client->connection, &response, body, request->body_ms, err);
    if (rc != 0 || !response.keep_alive)
        http_connection_close(&client->connection);
    return rc;
}

int http_exchange(struct http_client *client, const struct http_request *request,
                  struct http_answer *answer, struct buf *body, struct err *err)
{
    struct url url;
    int rc = url_parse(request->url, &url, err);
    bool again = true;
    for (int hops = 0; rc == 0 && again; hops++) {
        if (hops > LIMIT_REDIRECTS)
            return err_set(err, ERR_PEER, "more than %d redirects", LIMIT_REDIRECTS);
        rc = hop(client, request, &url, answer, body, &again, err);
    }
    return rc;
}
