#include "http/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/limits.h"
#include "base/text.h"
#include "base/version.h"
#include "http/body.h"
#include "http/client_private.h"

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

/* --- the response ------------------------------------------------------------------------ */

static void copy_captures(const struct http1_response *head, const struct http_request *request)
{
    for (size_t i = 0; i < request->capture_count; i++) {
        struct http_capture *capture = &request->captures[i];
        slice value;
        capture->text[0] = '\0';
        if (http1_field(head, capture->name, &value) && value.len < capture->size)
            snprintf(capture->text, capture->size, "%.*s", SLICE_ARG(value));
    }
}

static void describe(const struct http1_response *head, struct http_response *response)
{
    slice value;
    *response = (struct http_response){ .connected = true,
                                        .status = head->status,
                                        .has_length = head->body == HTTP1_BODY_LENGTH,
                                        .until_close = head->body == HTTP1_BODY_CLOSE,
                                        .length = head->content_length };
    if (http1_field(head, "Content-Type", &value))
        snprintf(response->content_type, sizeof response->content_type, "%.*s", SLICE_ARG(value));
    if (http1_field(head, "Content-Encoding", &value))
        response->encoded = !slice_is_nocase(value, "identity") && value.len > 0;
    if (http1_field(head, "Retry-After", &value))
        response->has_retry_after = http1_retry_after(value, (int64_t)time(NULL),
                                                      &response->retry_after_ms);
}

/* --- one hop, and the way along redirects -------------------------------------------------- */

/*
 * Reads the response to a request that could not be sent to its end. A server that refuses a body
 * may respond and close before it has read all of it: send_err says how sending ended then.
 */
static int read_early_response(struct http_connection *connection, struct http1_response *head,
                               const struct err *send_err, struct err *err)
{
    const deadline_ms soon = clock_deadline(LIMIT_EARLY_MS);
    const struct http_head_deadlines deadlines = { soon, soon };
    if (http_connection_read_head(connection, false, deadlines, head, err) == 0) {
        head->keep_alive = false;
        return 0;
    }
    *err = *send_err;
    return send_err->code;
}

static int read_head(struct http_client *client, const struct http_request *request, bool early,
                     struct http1_response *head, struct err *err)
{
    const struct http_head_deadlines deadlines = {
        .first = http_bounded(request, request->first_byte_ms),
        .whole = http_bounded(request, LIMIT_TRANSFER_MS),
    };
    bool is_head_request = strcmp(request->method, "HEAD") == 0;
    int rc = http_connection_read_head(&client->connection, is_head_request, deadlines, head, err);
    if (rc == 0 && early)
        head->keep_alive = false;
    return rc;
}

/* Readies the connection for one request. */
static void prepare(struct http_connection *connection, const struct http_request *request)
{
    connection->wake = request->wake;
    connection->wake_in_head = request->wake_in_body;
    connection->interim_count = 0;
    connection->response_begun = request->response_begun;
    connection->half_close_on_wake = request->half_close_on_wake;
    connection->filter = request->filter;
}

/* Sends the request and reads the response's head, once. ERR_STALE: worth a new connection. */
static int attempt(struct http_client *client, const struct http_request *request,
                   const struct url *url, bool at_home, struct http_response *response,
                   struct http1_response *head, struct err *err)
{
    struct http_connection *connection = &client->connection;
    bool reused;
    prepare(connection, request);
    int64_t connect_ms = request->connect_ms != 0 ? request->connect_ms : LIMIT_CONNECT_MS;
    int rc = http_connection_open(connection, url, http_bounded(request, connect_ms), &reused, err);
    if (rc != 0)
        return rc;
    response->connected = true;
    rc = http_client_send(client, request, url, at_home, err);
    if (rc >= 0 && request->sent != NULL && !flag_is_raised(request->sent))
        flag_raise(request->sent);
    if (rc == ERR_RETRY) {
        const struct err send_err = *err;
        rc = read_early_response(connection, head, &send_err, err);
    } else if (rc >= 0) {
        rc = read_head(client, request, rc == HTTP_SENT_PARTLY, head, err);
    }
    bool nothing_read = connection->rx_end == 0;
    if (rc != 0)
        http_connection_close(connection);
    if (rc == ERR_STALE || (rc == ERR_RETRY && nothing_read))
        rc = err->code = reused ? ERR_STALE : ERR_RETRY;
    return rc;
}

bool http_is_redirect(const char *method, int status)
{
    return status == 301 || status == 302 || status == 307 || status == 308 ||
           (status == 303 && strcmp(method, "GET") == 0);
}

/* Plain http may become https on the same host; anything else must keep its origin. */
static bool may_follow(const struct http_request *request, const struct url *from,
                       const struct url *to)
{
    if (url_same_origin(from, to))
        return true;
    if (request->keep_origin)
        return false;
    if (request->follow_any_host)
        return !from->tls || to->tls;
    bool same_host = from->host.len == to->host.len &&
                     strncasecmp(from->host.ptr, to->host.ptr, to->host.len) == 0;
    return same_host && !from->tls && to->tls && to->port == 443;
}

/* Sets *url to where the response's Location leads; its text then lives in client->url. */
static int follow(struct http_client *client, const struct http_request *request,
                  const struct http1_response *head, struct url *url, struct err *err)
{
    slice location;
    if (!http1_field(head, "Location", &location))
        return err_set(err, ERR_PEER, "a redirect (%d) without Location", head->status);
    struct buf target;
    buf_init(&target, URL_MAX_BYTES, "redirect");
    struct url next;
    int rc = url_resolve(url, location, &target, err);
    if (rc == 0)
        rc = url_parse(buf_slice(&target), &next, err);
    if (rc == 0 && !may_follow(request, url, &next))
        rc = err_set(err, ERR_PEER, "redirected to another %s (http%s://%.*s:%u), not followed",
                     request->keep_origin ? "origin" : "host or to http", next.tls ? "s" : "",
                     SLICE_ARG(next.host), (unsigned)next.port);
    if (rc != 0) {
        buf_free(&target);
        return err->code = ERR_PEER;
    }
    buf_free(&client->url);
    client->url = target;
    *url = next;
    return 0;
}

/* Closes the connection; there is nothing to be read any more. */
static void drop(struct http_client *client)
{
    http_connection_close(&client->connection);
    client->body = (struct http_body){ .kind = HTTP1_BODY_NONE };
}

void http_skip(struct http_client *client)
{
    char piece[1024];
    struct err err;
    const deadline_ms soon = clock_deadline(LIMIT_SKIP_MS);
    for (size_t skipped = 0; skipped < LIMIT_REPLY_BYTES;) {
        ptrdiff_t count = http_read_until(client, piece, sizeof piece, soon, &err);
        if (count <= 0)
            break;
        skipped += (size_t)count;
    }
    http_end(client);
}

/*
 * One request to *url, up to the response's head. *again: it was a redirect, and *url now is its
 * target. The head's slices die with the first read of the body, so what is needed is copied first.
 */
static int hop(struct http_client *client, const struct http_request *request, struct url *url,
               bool at_home, struct http_response *response, bool *again, struct err *err)
{
    struct http1_response head;
    *response = (struct http_response){ 0 };
    int rc = attempt(client, request, url, at_home, response, &head, err);
    if (rc == ERR_STALE)
        rc = attempt(client, request, url, at_home, response, &head, err);
    if (rc != 0)
        return rc;
    describe(&head, response);
    copy_captures(&head, request);
    http_body_begin(&client->body, &head, http_bounded(request, request->body_ms),
                    request->idle_ms != 0 ? request->idle_ms : LIMIT_BODY_IDLE_MS);
    client->keep_alive = head.keep_alive;
    client->connection.wake = request->wake_in_body ? request->wake : NULL;
    *again = !request->keep_redirects && http_is_redirect(request->method, head.status);
    if (!*again)
        return 0;
    rc = follow(client, request, &head, url, err);
    if (rc == 0)
        http_skip(client);
    else
        drop(client);
    return rc;
}

int http_open(struct http_client *client, const struct http_request *request,
              struct http_response *response, struct err *err)
{
    struct url home;
    int most = request->follow_any_host ? LIMIT_ANY_REDIRECTS : LIMIT_REDIRECTS;
    *response = (struct http_response){ 0 };
    int rc = url_parse(request->url, &home, err);
    struct url url = home;
    bool again = true;
    for (int hops = 0; rc == 0 && again; hops++) {
        if (hops > most)
            return err_set(err, ERR_PEER, "more than %d redirects", most);
        rc = hop(client, request, &url, url_same_origin(&home, &url), response, &again, err);
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
        drop(client);
    client->connection.wake = NULL;
}

/* Where the length is known, exactly that much memory is taken. */
static int read_whole(struct http_client *client, const struct http_response *response,
                      struct buf *body, struct err *err)
{
    if (response->has_length && response->length > body->max)
        return err_set(err, ERR_LIMIT,
                       "a response body of %llu bytes is over the limit of %zu for %s",
                       (unsigned long long)response->length, body->max, body->what);
    int rc = buf_reserve(body, (size_t)response->length, err);
    while (rc == 0 && !http_body_has_ended(&client->body)) {
        bool full = body->len ==
                    body->max; /* only the end may come now: one more byte is an error */
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

int http_read_all(struct http_client *client, const struct http_response *response,
                  struct buf *body, struct err *err)
{
    buf_clear(body);
    int rc = read_whole(client, response, body, err);
    http_end(client);
    return rc;
}

int http_exchange(struct http_client *client, const struct http_request *request,
                  struct http_response *response, struct buf *body, struct err *err)
{
    int rc = http_open(client, request, response, err);
    return rc == 0 ? http_read_all(client, response, body, err) : rc;
}
