#include "net/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/limits.h"
#include "base/version.h"
#include "net/http_body.h"
#include "net/http_connection.h"

struct http_client {
    struct buf head; /* of the request being sent, kept for the next one */
    struct buf url;  /* where a redirect led to */
    struct http_connection connection;
    struct http_body body; /* of the answer being read */
    bool keep_alive;       /* the connection may be used again after it */
};

int http_client_new(struct http_client **out, const struct http_net *net, struct err *err)
{
    struct http_client *client = malloc(sizeof *client);
    if (client == NULL)
        return err_set(err, ERR_MEMORY, "no memory for an HTTP client");
    buf_init(&client->head, 4u * HTTP1_HEAD_MAX_BYTES, "request head");
    buf_init(&client->url, URL_MAX_BYTES, "redirect");
    http_connection_init(&client->connection, net);
    client->body = (struct http_body){ .kind = HTTP1_BODY_NONE };
    client->keep_alive = false;
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

/* The earlier of a limit of the request's and the end of it all. */
static deadline_ms bounded(const struct http_request *request, int64_t limit_ms)
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
static int put_request_line(struct buf *head, const struct http_request *request,
                            const struct url *url, bool absolute, struct err *err)
{
    char host[URL_HOST_MAX_BYTES + 16];
    bool default_port = url->port == (url->tls ? 443 : 80);
    int len = snprintf(host, sizeof host, url->host_is_ipv6 ? "[%.*s]" : "%.*s",
                       SLICE_ARG(url->host));
    if (!default_port)
        len += snprintf(host + len, sizeof host - (size_t)len, ":%u", (unsigned)url->port);
    slice host_port = { host, (size_t)len };
    if (!absolute && url->target.len > 0 && url->target.ptr[0] == '/')
        return http1_put_request(head, request->method, url->target, host_port, err);
    struct buf target;
    int rc = 0;
    buf_init(&target, URL_MAX_BYTES + 16, "request target");
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
        rc = http1_put_field(head, SLICE_LITERAL("Proxy-Authorization"), buf_slice(&credentials),
                             err);
    if (credentials.ptr != NULL)
        explicit_bzero(credentials.ptr, credentials.len);
    buf_free(&credentials);
    return rc;
}

static int put_length(struct buf *head, const struct http_request *request, struct err *err)
{
    if (request->body == NULL && request->source == NULL)
        return 0;
    char length[24];
    int len = snprintf(length, sizeof length, "%llu", (unsigned long long)body_bytes(request));
    return http1_put_field(head, SLICE_LITERAL("Content-Length"), (slice){ length, (size_t)len },
                           err);
}

static int put_fields(struct buf *head, const struct http1_field *fields, size_t count,
                      struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = http1_put_field(head, fields[i].name, fields[i].value, err);
    return rc;
}

static int put_head(struct http_client *client, const struct http_request *request,
                    const struct url *url, bool at_home, struct err *err)
{
    struct buf *head = &client->head;
    bool absolute = client->connection.through_proxy;
    head->len = 0;
    int rc = put_request_line(head, request, url, absolute, err);
    if (rc == 0)
        rc = put_fields(head, request->fields, request->field_count, err);
    if (rc == 0 && at_home)
        rc = put_fields(head, request->home_fields, request->home_field_count, err);
    if (rc == 0 && absolute)
        rc = put_proxy_credentials(head, client->connection.net, url, err);
    if (rc == 0)
        rc = put_length(head, request, err);
    return rc == 0 ? http1_put_end(head, err) : rc;
}

/* Sends the source's bytes a piece at a time, none of which may take LIMIT_BODY_IDLE_MS. */
static int send_source(struct transport *stream, const struct http_body_source *source,
                       deadline_ms deadline, struct err *err)
{
    char piece[16384]; /* what one TLS record holds */
    for (uint64_t sent = 0; sent < source->bytes;) {
        uint64_t left = source->bytes - sent;
        slice part = { piece, left < sizeof piece ? (size_t)left : sizeof piece };
        int rc = source->read_at(source, sent, piece, part.len, err);
        deadline_ms idle = clock_earlier(deadline, clock_deadline(LIMIT_BODY_IDLE_MS));
        if (rc == 0)
            rc = stream->ops->write(stream, &part, 1, idle, err);
        if (rc != 0)
            return rc;
        sent += part.len;
    }
    return 0;
}

static int send_request(struct http_client *client, const struct http_request *request,
                        const struct url *url, bool at_home, struct err *err)
{
    int rc = put_head(client, request, url, at_home, err);
    if (rc != 0)
        return rc;
    slice parts[8] = { buf_slice(&client->head) };
    if (request->body_count >= sizeof parts / sizeof parts[0])
        return err_set(err, ERR_INPUT, "a request body of %zu parts", request->body_count);
    for (size_t i = 0; i < request->body_count; i++)
        parts[i + 1] = request->body[i];
    struct transport *stream = client->connection.stream;
    deadline_ms deadline = bounded(request, request->send_ms);
    rc = stream->ops->write(stream, parts, request->body_count + 1, deadline, err);
    if (rc == 0 && request->source != NULL)
        rc = send_source(stream, request->source, deadline, err);
    return rc;
}

/* --- the answer -------------------------------------------------------------------------- */

static void copy_wanted(const struct http1_response *response, const struct http_request *request)
{
    for (size_t i = 0; i < request->wanted_count; i++) {
        struct http_wanted *wanted = &request->wanted[i];
        slice value;
        wanted->text[0] = '\0';
        if (http1_field(response, wanted->name, &value) && value.len < wanted->size)
            snprintf(wanted->text, wanted->size, "%.*s", SLICE_ARG(value));
    }
}

static void note_answer(const struct http1_response *response, struct http_answer *answer)
{
    slice value;
    *answer = (struct http_answer){ .connected = true,
                                    .status = response->status,
                                    .has_length = response->body == HTTP1_BODY_LENGTH,
                                    .until_close = response->body == HTTP1_BODY_CLOSE,
                                    .length = response->content_length };
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
                   const struct url *url, bool at_home, struct http_answer *answer,
                   struct http1_response *response, struct err *err)
{
    struct http_connection *connection = &client->connection;
    bool reused;
    connection->wake = request->wake;
    connection->answering = request->answering;
    connection->parts_gently = request->parts_gently;
    connection->filter = request->filter;
    int64_t connect_ms = request->connect_ms != 0 ? request->connect_ms : LIMIT_CONNECT_MS;
    int rc = http_connection_open(connection, url, bounded(request, connect_ms), &reused, err);
    if (rc != 0)
        return rc;
    answer->connected = true;
    rc = send_request(client, request, url, at_home, err);
    if (rc == ERR_RETRY) {
        const struct err send_err = *err;
        rc = read_early_answer(connection, response, &send_err, err);
    } else if (rc == 0) {
        bool head = strcmp(request->method, "HEAD") == 0;
        deadline_ms first = bounded(request, request->answer_ms);
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
static bool may_follow(const struct http_request *request, const struct url *from,
                       const struct url *to)
{
    if (url_same_origin(from, to))
        return true;
    if (request->any_host)
        return !from->tls || to->tls;
    bool same_host = from->host.len == to->host.len &&
                     strncasecmp(from->host.ptr, to->host.ptr, to->host.len) == 0;
    return same_host && !from->tls && to->tls && to->port == 443;
}

/* Sets *url to where the answer's Location leads; its text then lives in client->url. */
static int follow(struct http_client *client, const struct http_request *request,
                  const struct http1_response *response, struct url *url, struct err *err)
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
    if (rc == 0 && !may_follow(request, url, &next))
        rc = err_set(err, ERR_PEER, "redirected to another host or to http (%.*s), not followed",
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

/* A redirect's body is of no use to anybody; a short one is read to keep the connection. */
static void skip_body(struct http_client *client)
{
    char piece[1024];
    struct err err;
    for (size_t skipped = 0; skipped < LIMIT_REPLY_BYTES;) {
        ptrdiff_t count = http_read(client, piece, sizeof piece, &err);
        if (count <= 0)
            break;
        skipped += (size_t)count;
    }
    http_end(client);
}

/*
 * One request to *url up to its answer's head. *again: it was a redirect, and *url is where to.
 * The head's slices end with the first read of the body, so all that is needed is taken before.
 */
static int hop(struct http_client *client, const struct http_request *request, struct url *url,
               bool at_home, struct http_answer *answer, bool *again, struct err *err)
{
    struct http1_response response;
    *answer = (struct http_answer){ 0 };
    int rc = attempt(client, request, url, at_home, answer, &response, err);
    if (rc == ERR_STALE)
        rc = attempt(client, request, url, at_home, answer, &response, err);
    if (rc != 0)
        return rc;
    note_answer(&response, answer);
    copy_wanted(&response, request);
    http_body_begin(&client->body, &response, bounded(request, request->body_ms),
                    request->idle_ms != 0 ? request->idle_ms : LIMIT_BODY_IDLE_MS);
    client->keep_alive = response.keep_alive;
    client->connection.wake = request->wake_always ? request->wake : NULL;
    *again = is_redirect(request, response.status);
    if (!*again)
        return 0;
    rc = follow(client, request, &response, url, err);
    if (rc == 0)
        skip_body(client);
    else
        http_connection_close(&client->connection);
    return rc;
}

int http_open(struct http_client *client, const struct http_request *request,
              struct http_answer *answer, struct err *err)
{
    struct url home;
    int most = request->any_host ? LIMIT_ANY_REDIRECTS : LIMIT_REDIRECTS;
    *answer = (struct http_answer){ 0 };
    int rc = url_parse(request->url, &home, err);
    struct url url = home;
    bool again = true;
    for (int hops = 0; rc == 0 && again; hops++) {
        if (hops > most)
            return err_set(err, ERR_PEER, "more than %d redirects", most);
        rc = hop(client, request, &url, url_same_origin(&home, &url), answer, &again, err);
    }
    return rc;
}

ptrdiff_t http_read(struct http_client *client, void *bytes, size_t size, struct err *err)
{
    return http_read_until(client, bytes, size, DEADLINE_NEVER, err);
}

ptrdiff_t http_read_until(struct http_client *client, void *bytes, size_t size, deadline_ms until,
                          struct err *err)
{
    return http_body_read(&client->body, &client->connection, bytes, size, until, err);
}

void http_end(struct http_client *client)
{
    if (!client->keep_alive || !http_body_has_ended(&client->body))
        http_connection_close(&client->connection);
    client->connection.wake = NULL;
}

/* Of a body whose length is known just as much memory is taken as it needs. */
static int read_whole(struct http_client *client, const struct http_answer *answer,
                      struct buf *body, struct err *err)
{
    if (answer->has_length && answer->length > body->max)
        return err_set(err, ERR_LIMIT, "an answer of %llu bytes is over the limit of %zu for %s",
                       (unsigned long long)answer->length, body->max, body->what);
    int rc = buf_reserve(body, (size_t)answer->length, err);
    while (rc == 0 && !http_body_has_ended(&client->body)) {
        bool full = body->len == body->max; /* then only the end may come, which a byte will tell */
        if (!full)
            rc = buf_reserve(body, 1, err);
        if (rc != 0)
            break;
        char extra;
        ptrdiff_t count = http_read(client, full ? &extra : body->ptr + body->len,
                                    full ? 1 : body->cap - body->len, err);
        if (count < 0)
            return (int)count;
        if (count > 0 && full)
            return buf_reserve(body, 1, err);
        body->len += (size_t)count;
    }
    return rc;
}

int http_read_all(struct http_client *client, const struct http_answer *answer, struct buf *body,
                  struct err *err)
{
    body->len = 0;
    int rc = read_whole(client, answer, body, err);
    http_end(client);
    return rc;
}

int http_exchange(struct http_client *client, const struct http_request *request,
                  struct http_answer *answer, struct buf *body, struct err *err)
{
    int rc = http_open(client, request, answer, err);
    return rc == 0 ? http_read_all(client, answer, body, err) : rc;
}
