/* The heads that the relay writes: a request's for the server, a response's for the client. */
#include <arpa/inet.h>
#include <stdio.h>

#include "codec/byte_class.h"
#include "http/relay_private.h"
#include "net/address.h"

/* --- fields that concern one connection ------------------------------------------------------- */

/* The relay writes these itself where they are needed, or they end here. */
static bool is_of_connection(slice name)
{
    static const char *const names[] = {
        "Connection",        "Keep-Alive", "Proxy-Connection", "TE",     "Trailer",
        "Transfer-Encoding", "Upgrade",    "Content-Length",   "Expect", "HTTP2-Settings",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_is_nocase(name, names[i]))
            return true;
    return false;
}

/* True where a Connection field names the field. */
static bool is_named(const struct http1_field *fields, size_t count, slice name)
{
    for (size_t i = 0; i < count; i++) {
        slice options = fields[i].value, option;
        if (!slice_is_nocase(fields[i].name, "Connection"))
            continue;
        while (byte_class_next(&options, ',', &option))
            if (option.len == name.len && strncasecmp(option.ptr, name.ptr, name.len) == 0)
                return true;
    }
    return false;
}

/* True where a Connection field names anything but what the relay knows. */
static bool names_others(const struct http1_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        slice options = fields[i].value, option;
        if (!slice_is_nocase(fields[i].name, "Connection"))
            continue;
        while (byte_class_next(&options, ',', &option))
            if (!slice_is_nocase(option, "close") && !slice_is_nocase(option, "keep-alive") &&
                !slice_is_nocase(option, "upgrade"))
                return true;
    }
    return false;
}

/* Appends the fields that are for the other end; a request's Host and addresses come extra. */
static void put_fields(struct http1_writer *head, const struct http1_field *fields, size_t count,
                       bool of_request)
{
    bool others = names_others(fields, count);
    for (size_t i = 0; i < count; i++) {
        slice name = fields[i].name;
        bool extra = of_request &&
                     (slice_is_nocase(name, "Host") || slice_is_nocase(name, "X-Forwarded-For"));
        if (extra || is_of_connection(name) || (others && is_named(fields, count, name)))
            continue;
        http1_put_field(head, name, fields[i].value);
    }
}

static void put_upgrade(struct http1_writer *head)
{
    http1_put_field(head, SLICE_LITERAL("Connection"), SLICE_LITERAL("Upgrade"));
    http1_put_field(head, SLICE_LITERAL("Upgrade"), SLICE_LITERAL("websocket"));
}

/* --- the request ------------------------------------------------------------------------------ */

/* A WebSocket's opening handshake (RFC 6455, section 4.1). */
static bool asks_for_websocket(const struct http1_request *request)
{
    slice protocol;
    return request->minor_version == 1 && !server_has_body(request) &&
           slice_is(request->method, "GET") && http1_request_field(request, "Upgrade", &protocol) &&
           slice_is_nocase(protocol, "websocket") &&
           is_named(request->fields, request->field_count, SLICE_LITERAL("upgrade"));
}

/* The client's address, without a port; once a connection. */
static slice client_address(struct server_connection *c)
{
    struct address address = { .size = sizeof address.v6 };
    if (c->peer[0] != '\0' || getpeername(c->fd, &address.any, &address.size) != 0)
        return slice_from(c->peer);
    const struct in6_addr *v6 = &address.v6.sin6_addr;
    if (address.any.sa_family == AF_INET)
        inet_ntop(AF_INET, &address.v4.sin_addr, c->peer, sizeof c->peer);
    else if (address.any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(v6))
        inet_ntop(AF_INET, v6->s6_addr + 12, c->peer, sizeof c->peer);
    else if (address.any.sa_family == AF_INET6)
        inet_ntop(AF_INET6, v6, c->peer, sizeof c->peer);
    return slice_from(c->peer);
}

/* What came in X-Forwarded-For, and the client's address behind it. */
static void put_forwarded(struct relay *relay, struct http1_writer *head)
{
    const struct http1_request *request = &relay->client->request;
    struct buf *value = &relay->forwarded;
    buf_clear(value);
    for (size_t i = 0; i < request->field_count; i++) {
        if (!slice_is_nocase(request->fields[i].name, "X-Forwarded-For") ||
            request->fields[i].value.len == 0)
            continue;
        buf_add_slice(value, request->fields[i].value, NULL);
        buf_add_text(value, ", ", NULL);
    }
    buf_add_slice(value, client_address(relay->client), NULL);
    if (buf_error(value, head->err.code == 0 ? &head->err : NULL) == 0)
        http1_put_field(head, SLICE_LITERAL("X-Forwarded-For"), buf_slice(value));
}

/* Path and query, without the URL around them. */
static slice target_of(const struct http1_request *request)
{
    const char *end = request->target.ptr + request->target.len;
    return (slice){ request->path.ptr, (size_t)(end - request->path.ptr) };
}

int relay_put_request(struct relay *relay, struct err *err)
{
    const struct http1_request *request = &relay->client->request;
    struct http1_writer head = { .out = &relay->head };
    slice host = request->host.len > 0 ? request->host : relay->setting->url.host;
    relay->upgrades = asks_for_websocket(request);
    buf_clear(&relay->head);
    http1_put_request_slice(&head, request->method, target_of(request), host);
    put_fields(&head, request->fields, request->field_count, true);
    put_forwarded(relay, &head);
    if (request->body == HTTP1_BODY_CHUNKED)
        http1_put_field(&head, SLICE_LITERAL("Transfer-Encoding"), SLICE_LITERAL("chunked"));
    else if (request->body == HTTP1_BODY_LENGTH)
        http1_put_length(&head, request->content_length);
    if (relay->upgrades)
        put_upgrade(&head);
    return http1_put_end(&head, err);
}

/* --- the response ----------------------------------------------------------------------------- */

/* The length of a body that does not come, after HEAD or with 304. */
static void put_absent_length(struct http1_writer *out, const struct http1_response *head)
{
    slice length;
    if (head->status != 204 && http1_field(head, "Content-Length", &length))
        http1_put_field(out, SLICE_LITERAL("Content-Length"), length);
}

static void put_framing(struct relay *relay, struct http1_writer *out,
                        const struct http1_response *head)
{
    struct server_connection *c = relay->client;
    bool unknown = head->body == HTTP1_BODY_CHUNKED || head->body == HTTP1_BODY_CLOSE;
    relay->response.packs = unknown && c->request.minor_version == 1;
    c->closing |= unknown && !relay->response.packs;
    if (relay->response.packs)
        http1_put_field(out, SLICE_LITERAL("Transfer-Encoding"), SLICE_LITERAL("chunked"));
    else if (head->body == HTTP1_BODY_LENGTH)
        http1_put_length(out, head->content_length);
    else if (head->body == HTTP1_BODY_NONE)
        put_absent_length(out, head);
}

int relay_put_response(struct relay *relay, const struct http1_response *head, struct err *err)
{
    struct server_connection *c = relay->client;
    struct http1_writer out = { .out = &c->out };
    c->closing |= server_has_stopped(c);
    buf_clear(&c->out);
    http1_put_status_reason(&out, head->status, head->reason);
    put_fields(&out, head->fields, head->field_count, false);
    if (relay->phase == RELAY_TUNNEL) {
        put_upgrade(&out);
    } else {
        put_framing(relay, &out, head);
        server_put_connection(c, &out);
    }
    return http1_put_end(&out, err);
}
