/* The request: its head, its body, and a peer that responds before it has taken all of them. */
#include <stdio.h>

#include "base/limits.h"
#include "base/text.h"
#include "http/client_private.h"

deadline_ms http_bounded(const struct http_request *request, int64_t limit_ms)
{
    deadline_ms deadline = clock_deadline(limit_ms);
    return request->until == 0 ? deadline : clock_earlier(deadline, request->until);
}

static uint64_t body_bytes(const struct http_request *request)
{
    uint64_t total = request->source != NULL ? request->source->bytes : 0;
    for (size_t i = 0; request->body != NULL && i < request->body_count; i++)
        total += request->body[i].len;
    return total;
}

/* "/path?query" for the server itself, the whole URL for a proxy. */
static void put_request_line(struct http1_writer *head, const struct http_request *request,
                             const struct url *url, bool absolute)
{
    char host[URL_HOST_MAX_BYTES + 16];
    bool default_port = url->port == (url->tls ? 443 : 80);
    struct text text = TEXT_OVER(host);
    text_add(&text, url->host_is_ipv6 ? "[%.*s]" : "%.*s", SLICE_ARG(url->host));
    if (!default_port)
        text_add(&text, ":%u", (unsigned)url->port);
    slice host_port = text_slice(&text);
    struct buf target;
    buf_init(&target, 2 * URL_MAX_BYTES, "request target");
    if (absolute) {
        buf_add_text(&target, url->tls ? "https://" : "http://", NULL);
        buf_add_slice(&target, host_port, NULL);
    }
    if (url->target.len == 0 || url->target.ptr[0] != '/')
        buf_add_text(&target, "/", NULL);
    buf_add_slice(&target, url->target, NULL);
    if (buf_error(&target, &head->err) == 0)
        http1_put_request(head, request->method, buf_slice(&target), host_port);
    buf_free(&target);
}

static void put_fields(struct http1_writer *head, const struct http1_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++)
        http1_put_field(head, fields[i].name, fields[i].value);
}

static int put_head(struct http_client *client, const struct http_request *request,
                    const struct url *url, bool at_home, struct err *err)
{
    struct http1_writer head = { .out = &client->head };
    struct url proxy;
    bool absolute = client->connection.through_proxy;
    buf_clear(&client->head);
    put_request_line(&head, request, url, absolute);
    put_fields(&head, request->fields, request->field_count);
    if (at_home)
        put_fields(&head, request->origin_fields, request->origin_field_count);
    if (absolute && proxy_for(&client->connection.net->proxy, url, &proxy))
        http_put_proxy_credentials(&head, &proxy);
    if (request->body != NULL || request->source != NULL)
        http1_put_length(&head, body_bytes(request));
    return http1_put_end(&head, err);
}

/*
 * Sends all of the parts. The peer may respond before that, which *responded keeps: it then gets
 * LIMIT_EARLY_MS to take more, again and again as long as it does. HTTP_SENT, HTTP_SENT_PARTLY, or
 * an error.
 */
static int send_parts(struct http_connection *connection, slice *parts, size_t count,
                      bool *responded, deadline_ms deadline, struct err *err)
{
    struct transport *stream = connection->stream;
    for (;;) {
        deadline_ms limit = deadline;
        if (*responded)
            limit = clock_earlier(deadline, clock_deadline(LIMIT_EARLY_MS));
        ptrdiff_t sent = stream->ops->write_some(stream, parts, count, !*responded, limit, err);
        if (sent == ERR_TIMEOUT && *responded)
            return HTTP_SENT_PARTLY;
        if (sent < 0)
            return (int)sent;
        if (slice_parts_skip(parts, count, (size_t)sent))
            return HTTP_SENT;
        if (*responded)
            continue;
        int rc = http_connection_look_for_head(connection, deadline, err);
        if (rc < 0)
            return rc;
        *responded = rc == 1;
    }
}

/* The same for the source's bytes, a piece at a time, none of which may take LIMIT_BODY_IDLE_MS. */
static int send_source(struct http_connection *connection, const struct http_body_source *source,
                       bool *responded, deadline_ms deadline, struct err *err)
{
    char piece[16384]; /* what one TLS record holds */
    for (uint64_t sent = 0; sent < source->bytes;) {
        uint64_t left = source->bytes - sent;
        slice part = { piece, left < sizeof piece ? (size_t)left : sizeof piece };
        sent += part.len;
        int rc = source->read_at(source, sent - part.len, piece, part.len, err);
        deadline_ms idle = clock_earlier(deadline, clock_deadline(LIMIT_BODY_IDLE_MS));
        if (rc == 0)
            rc = send_parts(connection, &part, 1, responded, idle, err);
        if (rc != HTTP_SENT)
            return rc;
    }
    return HTTP_SENT;
}

int http_client_send(struct http_client *client, const struct http_request *request,
                     const struct url *url, bool at_home, struct err *err)
{
    int rc = put_head(client, request, url, at_home, err);
    if (rc != 0)
        return rc;
    slice parts[1 + HTTP_BODY_PARTS_MAX] = { buf_slice(&client->head) };
    size_t count = request->body != NULL ? request->body_count : 0;
    if (count > HTTP_BODY_PARTS_MAX)
        return err_set(err, ERR_INPUT, "a request body of %zu parts, over the limit of %d", count,
                       HTTP_BODY_PARTS_MAX);
    for (size_t i = 0; i < count; i++)
        parts[i + 1] = request->body[i];
    bool responded = false;
    deadline_ms deadline = http_bounded(request, request->send_ms);
    rc = send_parts(&client->connection, parts, count + 1, &responded, deadline, err);
    if (rc == HTTP_SENT && request->source != NULL)
        rc = send_source(&client->connection, request->source, &responded, deadline, err);
    return rc;
}
