/* Responses: what handlers send, and what the server itself answers where none can. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>

#include "base/date.h"
#include "base/limits.h"
#include "base/log.h"
#include "http/server_private.h"
#include "json/json.h"

#define ERROR_BODY_BYTES (64u * 1024u) /* of {"error": "message"} */

static struct server_connection *connection_of(struct server_exchange *exchange)
{
    return (struct server_connection *)(void *)exchange;
}

static void put_date(struct http1_writer *head)
{
    static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    const struct date now = date_of(time(NULL));
    char text[96]; /* room for the digits of any int, which the compiler counts on */
    snprintf(text, sizeof text, "%s, %02u %s %d %02u:%02u:%02u GMT", days[now.weekday], now.day,
             months[now.month - 1], now.year, now.hour, now.minute, now.second);
    http1_put_field(head, SLICE_LITERAL("Date"), slice_from(text));
}

void server_put_connection(const struct server_connection *c, struct http1_writer *head)
{
    if (c->closing)
        http1_put_field(head, SLICE_LITERAL("Connection"), SLICE_LITERAL("close"));
    else if (c->request.minor_version == 0)
        http1_put_field(head, SLICE_LITERAL("Connection"), SLICE_LITERAL("keep-alive"));
}

/* How the client finds the end of the body. */
static void put_framing(const struct server_connection *c, struct http1_writer *head,
                        const struct server_response *response, size_t body_bytes)
{
    if (c->streaming && c->chunked)
        http1_put_field(head, SLICE_LITERAL("Transfer-Encoding"), SLICE_LITERAL("chunked"));
    else if (!c->streaming && response->status != 204)
        http1_put_length(head, body_bytes);
}

static int put_head(struct server_connection *c, const struct server_response *response,
                    size_t body_bytes, struct err *err)
{
    struct http1_writer head = { .out = &c->out };
    buf_clear(&c->out);
    http1_put_status(&head, response->status);
    put_date(&head);
    if (response->content_type != NULL)
        http1_put_field(&head, SLICE_LITERAL("Content-Type"), slice_from(response->content_type));
    put_framing(c, &head, response, body_bytes);
    server_put_connection(c, &head);
    for (size_t i = 0; i < response->field_count; i++)
        http1_put_field(&head, response->fields[i].name, response->fields[i].value);
    return http1_put_end(&head, err);
}

/*
 * Sends the parts, which are used up. A client that takes nothing for LIMIT_BODY_IDLE_MS is given
 * up, and so is one that takes longer than LIMIT_BODY_MS in all.
 */
static int send_parts(struct server_connection *c, slice *parts, size_t count, struct err *err)
{
    const deadline_ms whole = clock_deadline(LIMIT_BODY_MS);
    struct transport *stream = c->stream;
    ptrdiff_t sent = 0;
    while (!slice_parts_skip(parts, count, (size_t)sent)) {
        deadline_ms deadline = clock_earlier(whole, clock_deadline(LIMIT_BODY_IDLE_MS));
        sent = stream->ops->write_some(stream, parts, count, false, deadline, err);
        if (sent < 0)
            return (int)sent;
    }
    return 0;
}

/* Sends in the face of a shutdown, too: what has begun is finished. */
static int send_out(struct server_connection *c, slice *parts, size_t count, struct err *err)
{
    c->wake = NULL;
    int rc = send_parts(c, parts, count, err);
    c->wake = c->stopping;
    c->closing |= rc != 0;
    c->streaming &= rc == 0;
    return rc;
}

/* A body that is here already need not end the connection, although nobody reads it. */
static void skip_small_body(struct server_connection *c)
{
    size_t here = c->in.len - c->used;
    if (c->request.body != HTTP1_BODY_LENGTH || c->request.content_length > here)
        return;
    c->used += (size_t)c->request.content_length;
    c->unread = false;
}

/* Checks and writes the head of the one response that the request has; it goes to c->out. */
static int begin_response(struct server_connection *c, const struct server_response *response,
                          size_t body_bytes, struct err *err)
{
    if (c->responded)
        return err_set(err, ERR_INPUT, "this request already has its response");
    if (c->unread && !c->closing)
        skip_small_body(c);
    c->closing |= c->unread || server_has_stopped(c);
    int rc = put_head(c, response, body_bytes, err);
    c->responded = rc == 0;
    return rc;
}

int server_respond(struct server_exchange *exchange, const struct server_response *response,
                   struct err *err)
{
    struct server_connection *c = connection_of(exchange);
    slice parts[1 + SERVER_BODY_PARTS_MAX];
    size_t bytes = 0, count = 1;
    if (response->body_count > SERVER_BODY_PARTS_MAX)
        return err_set(err, ERR_INPUT, "a response body of %zu parts, over the limit of %d",
                       response->body_count, SERVER_BODY_PARTS_MAX);
    for (size_t i = 0; i < response->body_count; i++) {
        parts[count++] = response->body[i];
        bytes += response->body[i].len;
    }
    int rc = begin_response(c, response, bytes, err);
    if (rc != 0)
        return rc;
    parts[0] = buf_slice(&c->out);
    return send_out(c, parts, slice_is(c->request.method, "HEAD") ? 1 : count, err);
}

/* --- in pieces ------------------------------------------------------------------------------ */

int server_stream_begin(struct server_exchange *exchange, const struct server_response *response,
                        struct err *err)
{
    struct server_connection *c = connection_of(exchange);
    bool kept = c->closing;
    if (c->responded || response->body_count > 0 || response->status == 204)
        return err_set(err, ERR_INPUT, "a response in pieces starts with a head alone");
    c->streaming = true;
    c->chunked = c->request.minor_version == 1;
    c->closing |= !c->chunked; /* to HTTP/1.0, only the connection's end marks the body's */
    int rc = begin_response(c, response, 0, err);
    if (rc != 0) {
        c->streaming = false;
        c->closing = kept;
        return rc;
    }
    slice part = buf_slice(&c->out);
    return send_out(c, &part, 1, err);
}

int server_stream_write(struct server_exchange *exchange, slice piece, struct err *err)
{
    struct server_connection *c = connection_of(exchange);
    char size[20];
    if (!c->streaming)
        return err_set(err, ERR_INPUT, "no response in pieces has begun");
    if (piece.len == 0 || slice_is(c->request.method, "HEAD"))
        return 0;
    if (!c->chunked)
        return send_out(c, &piece, 1, err);
    int len = snprintf(size, sizeof size, "%zx\r\n", piece.len);
    slice parts[] = { { size, (size_t)len }, piece, SLICE_LITERAL("\r\n") };
    return send_out(c, parts, 3, err);
}

int server_stream_end(struct server_exchange *exchange, struct err *err)
{
    struct server_connection *c = connection_of(exchange);
    slice last = SLICE_LITERAL("0\r\n\r\n");
    if (!c->streaming)
        return err_set(err, ERR_INPUT, "no response in pieces has begun");
    c->streaming = false;
    if (!c->chunked || slice_is(c->request.method, "HEAD"))
        return 0;
    return send_out(c, &last, 1, err);
}

bool server_is_stopping(const struct server_exchange *exchange)
{
    return server_has_stopped((const struct server_connection *)(const void *)exchange);
}

bool server_has_stopped(const struct server_connection *c)
{
    return c->stopped != NULL ? atomic_load(c->stopped) : wake_wait(c->stopping, 0);
}

/* --- errors --------------------------------------------------------------------------------- */

int server_respond_error(struct server_exchange *exchange, int status, slice message,
                         const struct http1_field *fields, size_t field_count, struct err *err)
{
    struct buf body;
    buf_init(&body, ERROR_BODY_BYTES, "the error message");
    buf_add_text(&body, "{\"error\": ", NULL);
    json_put_lossy(&body, message, NULL);
    buf_add_text(&body, "}", NULL);
    int rc = buf_error(&body, err);
    log_mask(body.ptr, body.len);
    const slice part = buf_slice(&body);
    const struct server_response response = { .status = status,
                                              .content_type = "application/json",
                                              .fields = fields,
                                              .field_count = field_count,
                                              .body = &part,
                                              .body_count = 1 };
    if (rc == 0)
        rc = server_respond(exchange, &response, err);
    buf_free(&body);
    return rc;
}

void server_hang_up(struct server_exchange *exchange)
{
    struct server_connection *c = connection_of(exchange);
    c->responded = c->closing = true;
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

const struct wake *server_own_wake(struct server_exchange *exchange, struct err *err)
{
    struct server_connection *c = connection_of(exchange);
    if (c->own.fd < 0 && wake_init(&c->own, err) != 0)
        return NULL;
    return &c->own;
}

/* --- the memory of all bodies ------------------------------------------------------ */

int server_claim(struct server_connection *c, size_t bytes, struct err *err)
{
    size_t max = c->memory->max_bytes, used = atomic_load(&c->memory->used_bytes);
    do {
        if (max != 0 && (used >= max || bytes > max - used))
            return err_set(err, ERR_MEMORY,
                           "This worker holds too many large requests; try again.");
    } while (!atomic_compare_exchange_weak(&c->memory->used_bytes, &used, used + bytes));
    c->held_bytes += bytes;
    return 0;
}

void server_release(struct server_connection *c)
{
    atomic_fetch_sub(&c->memory->used_bytes, atomic_exchange(&c->held_bytes, 0));
}

void server_hold(struct server_exchange *exchange, size_t bytes)
{
    struct server_connection *c = connection_of(exchange);
    atomic_fetch_add(&c->memory->used_bytes, bytes);
    c->held_bytes += bytes;
}

/* --- refusing ------------------------------------------------------------------------------ */

void server_refuse(struct server_connection *c, int status, const char *message, bool whole)
{
    const struct http1_field retry = { SLICE_LITERAL("Retry-After"), SLICE_LITERAL("1") };
    c->closing |= !whole;
    c->unread |= !whole;
    server_respond_error(&c->exchange, status, slice_from(message), &retry, status == 503 ? 1 : 0,
                         NULL);
}

void server_refuse_unauthorized(struct server_connection *c)
{
    const struct http1_field scheme = { SLICE_LITERAL("WWW-Authenticate"),
                                        SLICE_LITERAL("Bearer") };
    c->unread = server_has_body(&c->request);
    c->closing |= c->unread;
    server_respond_error(&c->exchange, 401,
                         SLICE_LITERAL("This worker requires its token: Authorization: Bearer ..."),
                         &scheme, 1, NULL);
}

void server_refuse_large(struct server_connection *c)
{
    char text[96];
    snprintf(text, sizeof text, "The request is larger than the limit of %zu bytes.",
             c->setting->body_max_bytes);
    server_refuse(c, 413, text, false);
}

void server_refuse_for(struct server_connection *c, int code, const char *text)
{
    c->closing = true;
    switch (code) {
    case ERR_TIMEOUT: server_refuse(c, 408, "The request took too long to arrive.", false); break;
    case ERR_CANCELLED: server_refuse(c, 503, "The worker is shutting down.", false); break;
    case ERR_MEMORY: server_refuse(c, 503, text, false); break;
    case ERR_PEER: server_refuse(c, 400, text, false); break;
    default: break; /* the connection is broken: nobody would read it */
    }
}
