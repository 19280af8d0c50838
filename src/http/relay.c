#include "http/relay.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/limits.h"
#include "http/relay_private.h"
#include "net/tcp.h"

/* --- its life --------------------------------------------------------------------------------- */

int relay_new(struct relay **out, const struct relay_setting *setting, struct err *err)
{
    struct relay *relay = calloc(1, sizeof *relay);
    if (relay == NULL)
        return err_set(err, ERR_MEMORY, "out of memory for a connection to the server");
    relay->setting = setting;
    http_connection_init(&relay->connection, &setting->net);
    buf_init(&relay->head, 4u * HTTP1_HEAD_MAX_BYTES, "request head");
    buf_init(&relay->forwarded, 2u * HTTP1_HEAD_MAX_BYTES, "X-Forwarded-For");
    *out = relay;
    return 0;
}

void relay_free(struct relay *relay)
{
    if (relay == NULL)
        return;
    http_connection_close(&relay->connection);
    buf_free(&relay->head);
    buf_free(&relay->forwarded);
    free(relay);
}

/* --- who broke off ---------------------------------------------------------------------------- */

static int client_left(struct relay *relay, struct err *err)
{
    relay->result->client_left = true;
    return err_set(err, ERR_CANCELLED, "the client has left");
}

/* The client's request cannot be read: it hears so, unless its response has begun. */
static int refuse_client(struct relay *relay, int code, struct err *err)
{
    if (!relay->client->responded)
        server_refuse_for(relay->client, code, err->text);
    return client_left(relay, err);
}

/* --- from the client -------------------------------------------------------------------------- */

/* What came behind a head lies in the client's buffer, and comes first. */
static size_t take_received(struct server_connection *c, char *to, size_t size)
{
    size_t here = c->in.len - c->used, part = here < size ? here : size;
    memcpy(to, c->in.ptr + c->used, part);
    return part;
}

/* The first `taken` of the `count` bytes that were read are gone; the others are the next's. */
static int keep_rest(struct server_connection *c, bool was_received, const char *bytes,
                     size_t count, size_t taken, struct err *err)
{
    if (was_received) {
        c->used += taken;
        return 0;
    }
    c->in.len = c->used;
    return buf_add(&c->in, bytes + taken, count - taken, err);
}

static bool wants_request(const struct relay *relay)
{
    return !relay->request.ended && !relay->refused && !relay_pipe_waits(&relay->request);
}

static bool has_received(const struct relay *relay)
{
    return relay->client->in.len > relay->client->used;
}

/* The client sends no more: the end of its half of a tunnel, else it has left. */
static int end_request(struct relay *relay, struct err *err)
{
    if (relay->phase != RELAY_TUNNEL)
        return client_left(relay, err);
    relay_pipe_close(&relay->request);
    relay->connection.stream->ops->finish_writing(relay->connection.stream);
    return 0;
}

/* Reads the next piece of the request's body. */
static int read_request(struct relay *relay, struct err *err)
{
    struct server_connection *c = relay->client;
    struct relay_pipe *pipe = &relay->request;
    size_t size, used;
    char *room = relay_pipe_room(pipe, &size);
    bool received = has_received(relay);
    if (size > SERVER_RAW_BYTES && pipe->body == HTTP1_BODY_CHUNKED)
        size = SERVER_RAW_BYTES; /* what lies behind the body has room in c->in */
    ptrdiff_t count = received ? (ptrdiff_t)take_received(c, room, size)
                               : tcp_receive(c->stream, room, size, 0, err);
    if (count == ERR_TIMEOUT)
        return 0;
    if (count < 0)
        return client_left(relay, err);
    if (count == 0)
        return end_request(relay, err);
    relay->client_ms = relay->now_ms;
    int rc = relay_pipe_take(pipe, (size_t)count, &used, err);
    if (rc == 0)
        rc = keep_rest(c, received, room, (size_t)count, used, err);
    c->unread = !pipe->ended && relay->phase != RELAY_TUNNEL;
    return rc != 0 ? refuse_client(relay, rc, err) : 0;
}

/* --- from the server -------------------------------------------------------------------------- */

/* From here on all bytes go both ways. */
static void begin_tunnel(struct relay *relay)
{
    relay->phase = RELAY_TUNNEL;
    relay->client->closing = true;
    relay_pipe_begin(&relay->request, relay->connection.stream, HTTP1_BODY_CLOSE, 0);
    relay_pipe_begin(&relay->response, relay->client->stream, HTTP1_BODY_CLOSE, 0);
}

/* A final head, of which `rest` bytes of the body have come with it. */
static int begin_response(struct relay *relay, const struct http1_response *head, size_t rest,
                          struct err *err)
{
    struct server_connection *c = relay->client;
    struct relay_pipe *pipe = &relay->response;
    size_t size, used = 0;
    if (head->status == 101) {
        begin_tunnel(relay);
    } else {
        relay->phase = RELAY_BODY;
        relay_pipe_begin(pipe, c->stream, head->body, head->content_length);
    }
    int rc = relay_put_response(relay, head, err);
    if (rc != 0)
        return rc;
    relay->keeps = head->keep_alive && relay->phase == RELAY_BODY;
    char *room = relay_pipe_room(pipe, &size);
    memmove(room, room + relay->head_bytes - rest, rest);
    if (rest > 0 && !pipe->ended)
        rc = relay_pipe_take(pipe, rest, &used, err);
    relay->keeps &= used == rest; /* nobody has asked for what is there then */
    pipe->head = buf_slice(&c->out);
    c->responded = rc == 0;
    if (rc == 0)
        relay->result->status = head->status;
    return rc;
}

/* 1 for a head that another must follow, 0 for the one that counts. */
static int judge(struct relay *relay, const struct http1_response *head, struct err *err)
{
    return head->status == 101 && relay->upgrades
               ? 0
               : http_connection_judge_head(&relay->connection, head, err);
}

/* Parses what has come of the head. */
static int parse_head(struct relay *relay, struct err *err)
{
    struct http1_response head;
    bool to_head = slice_is(relay->client->request.method, "HEAD");
    char *room = relay->response.bytes + RELAY_FRONT_BYTES;
    while (relay->head_bytes > 0) {
        ptrdiff_t size = http1_parse_response(room, relay->head_bytes, to_head, &head, err);
        if (size <= 0)
            return (int)size;
        size_t rest = relay->head_bytes - (size_t)size;
        int rc = judge(relay, &head, err);
        if (rc == 0)
            return begin_response(relay, &head, rest, err);
        if (rc < 0)
            return rc;
        memmove(room, room + size, rest);
        relay->head_bytes = rest;
    }
    return 0;
}

static int read_head(struct relay *relay, int wait_ms, struct err *err)
{
    char *room = relay->response.bytes + RELAY_FRONT_BYTES + relay->head_bytes;
    ptrdiff_t count = tcp_receive(relay->connection.stream, room,
                                  RELAY_PIECE_BYTES - relay->head_bytes, wait_ms, err);
    if (count == ERR_TIMEOUT)
        return 0;
    if (count < 0)
        return (int)count;
    if (count == 0)
        return err_set(err, ERR_RETRY, "connection closed %s",
                       relay->head_bytes > 0 ? "within the response head" : "before any response");
    relay->head_bytes += (size_t)count;
    return parse_head(relay, err);
}

/* The server's stream has ended. */
static int end_response(struct relay *relay, struct err *err)
{
    if (relay->response.body != HTTP1_BODY_CLOSE)
        return err_set(err, ERR_RETRY, "connection closed within the response");
    relay_pipe_close(&relay->response);
    relay->client->unread |= relay->phase == RELAY_TUNNEL; /* the client may be sending */
    return 0;
}

static int read_response(struct relay *relay, struct err *err)
{
    struct relay_pipe *pipe = &relay->response;
    size_t size, used;
    relay->heard_ms = relay->now_ms;
    if (relay->phase == RELAY_HEAD)
        return read_head(relay, 0, err);
    char *room = relay_pipe_room(pipe, &size);
    ptrdiff_t count = tcp_receive(relay->connection.stream, room, size, 0, err);
    if (count == ERR_TIMEOUT)
        return 0;
    if (count < 0)
        return (int)count;
    if (count == 0)
        return end_response(relay, err);
    int rc = relay_pipe_take(pipe, (size_t)count, &used, err);
    relay->keeps &= used == (size_t)count;
    return rc;
}

static bool wants_response(const struct relay *relay)
{
    return !relay->response.ended && !relay_pipe_waits(&relay->response);
}

/* --- sending ---------------------------------------------------------------------------------- */

/* A server that takes no more may have responded already: reading tells. */
static void send_request(struct relay *relay)
{
    bool sent;
    if (relay_pipe_send(&relay->request, &sent, NULL) != 0) {
        relay->refused = true;
        relay->request.head = (slice){ 0 };
        relay->request.start = relay->request.end;
    }
    if (relay->request.ended && !relay_pipe_waits(&relay->request) && relay->asked_ms == 0)
        relay->asked_ms = relay->now_ms;
}

static int send_response(struct relay *relay, struct err *err)
{
    bool sent;
    if (relay_pipe_send(&relay->response, &sent, err) != 0)
        return client_left(relay, err);
    if (sent)
        relay->client_ms = relay->now_ms;
    return 0;
}

/* Sends all that waits, and what is there already of the request's body. */
static int send_waiting(struct relay *relay, struct err *err)
{
    int rc = relay_pipe_waits(&relay->response) ? send_response(relay, err) : 0;
    while (rc == 0) {
        if (relay_pipe_waits(&relay->request))
            send_request(relay);
        if (!wants_request(relay) || !has_received(relay))
            break;
        rc = read_request(relay, err);
    }
    return rc;
}

/* What the client may still want to send does not matter then, in a tunnel either. */
static bool is_done(const struct relay *relay)
{
    return relay->phase != RELAY_HEAD && relay->response.ended &&
           !relay_pipe_waits(&relay->response);
}

/* --- waiting ---------------------------------------------------------------------------------- */

enum limit {
    LIMIT_OF_ALL,
    LIMIT_OF_FIRST_BYTE,
    LIMIT_OF_SILENCE,
    LIMIT_OF_CLIENT,
    LIMIT_COUNT,
};

static deadline_ms after(int64_t since_ms, int64_t limit_ms)
{
    return limit_ms > 0 ? since_ms + limit_ms : DEADLINE_NEVER;
}

/* The point in time of each limit, as things are. */
static void find_limits(const struct relay *relay, deadline_ms limits[LIMIT_COUNT])
{
    const struct relay_setting *setting = relay->setting;
    bool tunnel = relay->phase == RELAY_TUNNEL;
    bool half_open = tunnel && relay->request.ended; /* the client has closed its half */
    bool waits_for_client = (!tunnel && wants_request(relay)) || relay_pipe_waits(&relay->response);
    limits[LIMIT_OF_ALL] = tunnel ? DEADLINE_NEVER : relay->whole;
    limits[LIMIT_OF_FIRST_BYTE] = relay->phase == RELAY_HEAD && relay->asked_ms > 0 &&
                                          relay->head_bytes == 0
                                      ? after(relay->asked_ms, setting->first_byte_ms)
                                      : DEADLINE_NEVER;
    limits[LIMIT_OF_SILENCE] = relay->phase == RELAY_BODY && wants_response(relay)
                                   ? after(relay->heard_ms, setting->idle_ms)
                                   : DEADLINE_NEVER;
    if (half_open)
        limits[LIMIT_OF_SILENCE] = relay->now_ms + LIMIT_BODY_IDLE_MS;
    limits[LIMIT_OF_CLIENT] = waits_for_client ? relay->client_ms + LIMIT_BODY_IDLE_MS
                                               : DEADLINE_NEVER;
}

/* Which limit has passed. */
static int explain_limit(struct relay *relay, const deadline_ms limits[LIMIT_COUNT],
                         struct err *err)
{
    static const char *const names[] = {
        [LIMIT_OF_ALL] = "--execution-timeout",
        [LIMIT_OF_FIRST_BYTE] = "--handler-first-byte-timeout",
        [LIMIT_OF_SILENCE] = "--handler-idle-timeout",
        [LIMIT_OF_CLIENT] = "the client",
    };
    int first = 0;
    for (int i = 1; i < LIMIT_COUNT; i++)
        if (limits[i] < limits[first])
            first = i;
    err_set(err, ERR_TIMEOUT, "timed out (%s)", names[first]);
    bool held_up = wants_request(relay) || relay_pipe_waits(&relay->response);
    bool clients = first == LIMIT_OF_CLIENT || (first == LIMIT_OF_ALL && held_up);
    return clients ? refuse_client(relay, ERR_TIMEOUT, err) : ERR_TIMEOUT;
}

/*
 * Waits until either side can go on. Sides that are not waited for are left out: a connection that
 * has ended would be reported again and again.
 */
static int wait_for_either(struct relay *relay, struct pollfd sides[2], struct err *err)
{
    deadline_ms limits[LIMIT_COUNT], first = DEADLINE_NEVER;
    find_limits(relay, limits);
    for (int i = 0; i < LIMIT_COUNT; i++)
        first = clock_earlier(first, limits[i]);
    int client = (wants_request(relay) ? POLLIN : 0) |
                 (relay_pipe_waits(&relay->response) ? POLLOUT : 0) |
                 (relay->phase == RELAY_TUNNEL ? 0 : POLLRDHUP);
    int server = (wants_response(relay) ? POLLIN : 0) |
                 (relay_pipe_waits(&relay->request) ? POLLOUT : 0);
    sides[0] = (struct pollfd){ client != 0 ? relay->client->fd : -1, (short)client, 0 };
    sides[1] = (struct pollfd){ server != 0 ? tcp_fd(relay->connection.stream) : -1, (short)server,
                                0 };
    int rc = poll(sides, 2, first == DEADLINE_NEVER ? -1 : clock_left_ms(first));
    relay->now_ms = clock_now_ms();
    if (rc < 0 && errno != EINTR)
        return err_system(err, ERR_MEMORY, errno, "poll");
    /* Data keeps the other limits from passing; some that never ends would outlive this one. */
    if (relay->now_ms >= (rc == 0 ? first : limits[LIMIT_OF_ALL]))
        return explain_limit(relay, limits, err);
    return 0;
}

/* --- one exchange ----------------------------------------------------------------------------- */

static int read_ready(struct relay *relay, const struct pollfd sides[2], struct err *err)
{
    const short ended = POLLRDHUP | POLLHUP | POLLERR;
    int rc = 0;
    if (sides[1].revents != 0 && wants_response(relay))
        rc = read_response(relay, err);
    if (rc != 0 || sides[0].revents == 0)
        return rc;
    if (wants_request(relay))
        return read_request(relay, err);
    if (relay->phase != RELAY_TUNNEL && (sides[0].revents & ended) != 0 && !is_done(relay))
        return client_left(relay, err);
    return 0;
}

/* Many responses come soon: then the client need not be watched meanwhile. */
static int read_quick_head(struct relay *relay, struct err *err)
{
    int rc = send_waiting(relay, err);
    bool limited = relay->whole != DEADLINE_NEVER || relay->setting->first_byte_ms > 0;
    if (rc != 0 || relay->asked_ms == 0 || limited)
        return rc;
    rc = read_head(relay, LIMIT_SERVER_QUICK_MS, err);
    relay->heard_ms = relay->now_ms = clock_now_ms();
    return rc;
}

static int run(struct relay *relay, struct err *err)
{
    struct pollfd sides[2];
    for (;;) {
        int rc = send_waiting(relay, err);
        if (rc != 0 || is_done(relay))
            return rc;
        rc = wait_for_either(relay, sides, err);
        if (rc == 0)
            rc = read_ready(relay, sides, err);
        if (rc != 0)
            return rc;
    }
}

/* An idle connection may be about to be closed by the server, who would not see the request. */
static int open_connection(struct relay *relay, int64_t limit_ms, struct err *err)
{
    relay->now_ms = clock_now_ms();
    if (relay->now_ms - relay->used_ms > LIMIT_RELAY_IDLE_MS)
        http_connection_close(&relay->connection);
    int rc = http_connection_open(&relay->connection, &relay->setting->url,
                                  relay->now_ms + limit_ms, &relay->reused, err);
    relay->result->connected = rc == 0;
    relay->now_ms = clock_now_ms();
    return rc;
}

/* Readies the request: its head, and whatever of the body is there. */
static int begin_request(struct relay *relay, struct err *err)
{
    struct server_connection *c = relay->client;
    struct relay_pipe *pipe = &relay->request;
    relay->phase = RELAY_HEAD;
    relay->refused = relay->keeps = false;
    relay->connection.interim_count = 0;
    relay->head_bytes = 0;
    relay->asked_ms = 0;
    relay->heard_ms = relay->client_ms = relay->now_ms;
    relay_pipe_begin(&relay->response, c->stream, HTTP1_BODY_CLOSE, 0);
    relay_pipe_begin(pipe, relay->connection.stream, c->request.body, c->request.content_length);
    int rc = relay_put_request(relay, err);
    pipe->head = buf_slice(&relay->head);
    if (rc == 0 && !pipe->ended && has_received(relay))
        rc = read_request(relay, err);
    else if (rc == 0 && !pipe->ended && c->request.expects_continue &&
             server_send_continue(c, err) != 0)
        rc = client_left(relay, err);
    return rc;
}

static bool may_repeat(const struct relay *relay)
{
    static const char *const methods[] = { "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE" };
    const struct http1_request *request = &relay->client->request;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (slice_is(request->method, methods[i]))
            return !server_has_body(request);
    return false;
}

/* The kept-alive connection had been closed: the server has seen nothing. */
static bool was_stale(const struct relay *relay, int rc)
{
    return rc == ERR_RETRY && relay->reused && relay->phase == RELAY_HEAD && relay->head_bytes == 0;
}

/* Keeps the connection, or closes it. */
static void end_attempt(struct relay *relay, int rc)
{
    bool sent = relay->request.ended && !relay->refused && !relay_pipe_waits(&relay->request);
    if (rc != 0 || !relay->keeps || !sent)
        http_connection_close(&relay->connection);
    relay->used_ms = relay->now_ms;
}

static int attempt(struct relay *relay, struct err *err)
{
    int64_t limit_ms = relay->setting->connect_ms;
    int rc = open_connection(relay, limit_ms > 0 ? limit_ms : LIMIT_CONNECT_MS, err);
    if (rc != 0)
        return rc;
    rc = begin_request(relay, err);
    if (rc == 0)
        rc = read_quick_head(relay, err);
    if (rc == 0)
        rc = run(relay, err);
    end_attempt(relay, rc);
    return rc;
}

/* After an attempt: maybe one more, and what its failure means for the client's connection. */
static int settle(struct relay *relay, int rc, struct err *err)
{
    struct server_connection *c = relay->client;
    if (was_stale(relay, rc) && may_repeat(relay))
        rc = attempt(relay, err);
    if (rc != 0 && (c->responded || relay->result->client_left))
        c->closing = c->responded = true;
    c->closing |= rc != 0 && c->unread; /* nobody knows how much of the body has been read */
    return rc;
}

static void prepare(struct relay *relay, struct server_exchange *exchange,
                    struct relay_result *result)
{
    *result = (struct relay_result){ 0 };
    relay->client = (struct server_connection *)(void *)exchange;
    relay->result = result;
    relay->whole = relay->setting->whole_ms > 0 ? clock_deadline(relay->setting->whole_ms)
                                                : DEADLINE_NEVER;
}

int relay_pass(struct relay *relay, struct server_exchange *exchange, struct relay_result *result,
               struct err *err)
{
    prepare(relay, exchange, result);
    return settle(relay, attempt(relay, err), err);
}

/* --- in steps --------------------------------------------------------------------------------- */

/* True where all of the request is here, and no limit but those of every server applies. */
static bool is_simple(const struct relay *relay)
{
    const struct server_connection *c = relay->client;
    const struct http1_request *request = &c->request;
    return request->body != HTTP1_BODY_CHUNKED && !request->expects_continue &&
           request->content_length <= c->in.len - c->used && relay->whole == DEADLINE_NEVER &&
           relay->setting->first_byte_ms == 0 && relay->setting->idle_ms == 0;
}

bool relay_begin(struct relay *relay, struct server_exchange *exchange, struct relay_result *result,
                 int *fd)
{
    prepare(relay, exchange, result);
    if (!is_simple(relay) || open_connection(relay, LIMIT_RELAY_OPEN_MS, &relay->err) != 0)
        return false;
    relay->rc = begin_request(relay, &relay->err);
    if (relay->rc == 0)
        relay->rc = send_waiting(relay, &relay->err);
    bool waits = relay->rc == 0 && relay->asked_ms > 0 && !relay->upgrades;
    *fd = waits ? tcp_fd(relay->connection.stream) : -1;
    return true;
}

bool relay_step(struct relay *relay)
{
    relay->now_ms = clock_now_ms();
    relay->rc = read_response(relay, &relay->err);
    if (relay->rc == 0)
        relay->rc = send_waiting(relay, &relay->err);
    if (relay->rc != 0 || !is_done(relay))
        return false;
    end_attempt(relay, 0);
    return true;
}

int relay_finish(struct relay *relay, struct err *err)
{
    int rc = relay->rc;
    *err = relay->err;
    relay->now_ms = clock_now_ms();
    if (rc == 0)
        rc = run(relay, err);
    end_attempt(relay, rc);
    return settle(relay, rc, err);
}
