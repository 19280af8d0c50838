/* http/server: routes, bodies, responses, and what happens on the other end of a connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "http/server_private.h"

#define BODY_MAX 1000

/* --- the handlers ------------------------------------------------------------------------- */

/* Answers with what it got: method, path, query, arguments, body. */
static void tell(struct server_exchange *exchange, void *owner)
{
    char text[512];
    (void)owner;
    const struct http1_request *request = exchange->request;
    int len = snprintf(text, sizeof text, "%.*s %.*s ?%.*s (%.*s)(%.*s) ",
                       SLICE_ARG(request->method), SLICE_ARG(request->path),
                       SLICE_ARG(request->query), SLICE_ARG(exchange->args[0]),
                       SLICE_ARG(exchange->args[1]));
    const slice parts[] = { { text, (size_t)len }, buf_slice(&exchange->body), { 0 } };
    const struct http1_field field = { SLICE_LITERAL("X-Y"), SLICE_LITERAL("z") };
    const struct server_response response = { 200, "text/plain", &field, 1, parts, 3 };
    struct err err;
    assert_int_equal(server_respond(exchange, &response, &err), 0);
    assert_int_equal(server_respond(exchange, &response, &err), ERR_INPUT);
}

static void say_nothing(struct server_exchange *exchange, void *owner)
{
    (void)exchange;
    (void)owner;
}

struct owner {
    struct wake wake;
    struct flag begun;
    struct flag ended;
    enum server_event event;
};

static void wait_there(struct server_exchange *exchange, void *argument)
{
    struct owner *owner = argument;
    flag_raise(&owner->begun);
    owner->event = server_wait(exchange, &owner->wake, DEADLINE_NEVER);
    if (owner->event == SERVER_GONE)
        server_hang_up(exchange);
    else
        tell(exchange, NULL);
    flag_raise(&owner->ended);
}

static void wait_in_vain(struct server_exchange *exchange, void *argument)
{
    struct owner *owner = argument;
    owner->event = server_wait(exchange, &owner->wake, clock_deadline(1));
    tell(exchange, NULL);
}

/* Responds with the body's size, where its bytes are what the test sends. */
static void measure(struct server_exchange *exchange, void *owner)
{
    char text[24];
    (void)owner;
    for (size_t i = 0; i < exchange->body.len; i++)
        assert_int_equal(exchange->body.ptr[i], 'a' + i % 23);
    int len = snprintf(text, sizeof text, "%zu", exchange->body.len);
    const slice part = { text, (size_t)len };
    const struct server_response response = { 200, "text/plain", NULL, 0, &part, 1 };
    assert_int_equal(server_respond(exchange, &response, NULL), 0);
}

/* Tries responses that cannot be sent, and leaves it at that. */
static void misbehave(struct server_exchange *exchange, void *owner)
{
    struct err err;
    (void)owner;
    const slice parts[SERVER_BODY_PARTS_MAX + 1] = { { 0 } };
    const struct http1_field field = { SLICE_LITERAL("X"), SLICE_LITERAL("a\nb") };
    struct server_response response = { .status = 200, .fields = &field, .field_count = 1 };
    assert_int_equal(server_respond(exchange, &response, &err), ERR_INPUT);
    response = (struct server_response){ .status = 99 };
    assert_int_equal(server_respond(exchange, &response, &err), ERR_INPUT);
    response = (struct server_response){ 200, "a/b", NULL, 0, parts, SERVER_BODY_PARTS_MAX + 1 };
    assert_int_equal(server_respond(exchange, &response, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, "9 parts, over the limit of 8"));
}

static void leave_empty(struct server_exchange *exchange, void *owner)
{
    (void)owner;
    const struct server_response response = { .status = 204 };
    assert_int_equal(server_respond(exchange, &response, NULL), 0);
}

/* In pieces, the last of which is what the request's query says. */
static void stream(struct server_exchange *exchange, void *owner)
{
    struct err err;
    (void)owner;
    const struct http1_field field = { SLICE_LITERAL("X-Y"), SLICE_LITERAL("z") };
    const slice part = SLICE_LITERAL("x");
    struct server_response response = { 200, "text/event-stream", &field, 1, &part, 1 };
    assert_int_equal(server_stream_write(exchange, part, &err), ERR_INPUT);
    assert_int_equal(server_stream_end(exchange, &err), ERR_INPUT);
    assert_int_equal(server_stream_begin(exchange, &response, &err), ERR_INPUT);
    response.body_count = 0;
    assert_int_equal(server_stream_begin(exchange, &response, &err), 0);
    assert_int_equal(server_stream_begin(exchange, &response, &err), ERR_INPUT);
    assert_int_equal(server_respond(exchange, &response, &err), ERR_INPUT);
    assert_int_equal(server_stream_write(exchange, SLICE_LITERAL("one "), &err), 0);
    assert_int_equal(server_stream_write(exchange, (slice){ 0 }, &err), 0);
    assert_int_equal(server_stream_write(exchange, exchange->request->query, &err), 0);
    if (slice_is(exchange->request->query, "half"))
        return;
    assert_int_equal(server_stream_end(exchange, &err), 0);
    assert_int_equal(server_stream_end(exchange, &err), ERR_INPUT);
}

/* A response in pieces whose head cannot be sent: it has not begun, and another may be sent. */
static void stream_badly(struct server_exchange *exchange, void *owner)
{
    struct err err;
    const struct http1_field field = { SLICE_LITERAL("X"), SLICE_LITERAL("a\nb") };
    const struct server_response bad = { 200, "text/plain", &field, 1, NULL, 0 };
    const struct server_response empty = { 204, NULL, NULL, 0, NULL, 0 };
    assert_int_equal(server_stream_begin(exchange, &bad, &err), ERR_INPUT);
    assert_int_equal(server_stream_begin(exchange, &empty, &err), ERR_INPUT);
    assert_int_equal(server_stream_write(exchange, SLICE_LITERAL("x"), &err), ERR_INPUT);
    assert_int_equal(server_stream_end(exchange, &err), ERR_INPUT);
    tell(exchange, owner);
}

/* Writes until the client has gone. */
static void stream_on(struct server_exchange *exchange, void *argument)
{
    struct owner *owner = argument;
    struct err err;
    const struct server_response response = { 200, "text/plain", NULL, 0, NULL, 0 };
    int rc = server_stream_begin(exchange, &response, &err);
    while (rc == 0)
        rc = server_stream_write(exchange, SLICE_LITERAL("and on "), &err);
    assert_int_equal(rc, ERR_RETRY);
    assert_int_equal(server_stream_write(exchange, SLICE_LITERAL("x"), &err), ERR_INPUT);
    flag_raise(&owner->ended);
}

static const struct server_route routes[] = {
    { "GET, HEAD", "/stream", stream },
    { "GET", "/stream/on", stream_on },
    { "GET", "/stream/badly", stream_badly },
    { "*", "/any/**", tell },
    { "GET", "/", tell },
    { "POST", "/run", tell },
    { "GET, POST, HEAD", "/status/*", tell },
    { "GET", "/v2/*/status/*", tell },
    { "GET", "/nothing", say_nothing },
    { "POST", "/wait", wait_there },
    { "POST", "/wait/in/vain", wait_in_vain },
    { "POST", "/measure", measure },
    { "GET", "/misbehave", misbehave },
    { "GET", "/empty", leave_empty },
};

/* --- a client ------------------------------------------------------------------------------- */

struct fixture {
    struct server_setting setting;
    struct server *server;
    struct owner owner;
};

static struct fixture fixture;
static struct server_pending *(*begin_relay)(struct server_exchange *exchange, void *owner);
static server_handler *relay;

static void begin_with(slice host, size_t connections, size_t body_max_bytes)
{
    struct err err = { 0 };
    fixture = (struct fixture){ 0 };
    assert_int_equal(wake_init(&fixture.owner.wake, &err), 0);
    flag_init(&fixture.owner.begun);
    flag_init(&fixture.owner.ended);
    fixture.setting = (struct server_setting){
        .host = host,
        .routes = routes,
        .route_count = sizeof routes / sizeof *routes,
        .owner = &fixture.owner,
        .connections_max = connections,
        .body_max_bytes = body_max_bytes,
        .begin_relay = begin_relay,
        .relay = relay,
    };
    assert_int_equal(server_new(&fixture.server, &fixture.setting, &err), 0);
    assert_int_equal(server_start(fixture.server, &err), 0);
}

static void begin(slice host, size_t connections)
{
    begin_with(host, connections, BODY_MAX);
}

static void end(void)
{
    server_stop(fixture.server);
    assert_true(server_wait_ended(fixture.server, clock_deadline(30000)));
    server_free(fixture.server);
    wake_free(&fixture.owner.wake);
}

static int dial(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(server_port(fixture.server)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval patience = { .tv_sec = 30 };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Reads one answer into text, NUL-terminated; its status, or 0 at the end of the connection. */
static int hear(int fd, bool to_head, char *text, size_t size)
{
    struct http1_response response;
    size_t len = 0;
    ptrdiff_t head = 0;
    for (; head == 0; len++) {
        if (recv(fd, text + len, 1, 0) <= 0)
            return 0;
        head = http1_parse_response(text, len + 1, to_head, &response, NULL);
        assert_true(head >= 0);
    }
    for (uint64_t i = 0; i < response.content_length; i++)
        assert_int_equal(recv(fd, text + len++, 1, 0), 1);
    assert_true(len < size);
    text[len] = '\0';
    return response.status;
}

static const char *body_of(const char *text)
{
    return strstr(text, "\r\n\r\n") + 4;
}

/* --- tests ---------------------------------------------------------------------------------- */

#define H " HTTP/1.1\r\nHost: a\r\n"

static const struct {
    const char *request;
    int status;
    const char *holds;
} cases[] = {
    { "GET /?a=b" H "\r\n", 200, "GET / ?a=b ()() " },
    { "GET http://a/status/x" H "\r\n", 200, "GET /status/x ? (x)() " },
    { "POST /run" H "Content-Length: 3\r\n\r\nabc", 200, "POST /run ? ()() abc" },
    { "POST /run" H "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\nA: b\r\n\r\n",
      200, "()() abc" },
    { "GET /v2/e%20p/status/j" H "\r\n", 200, "(e%20p)(j)" },
    { "GET /v2//status/j" H "\r\n", 404, "{\"error\": \"" },
    { "GET /v2/e/status/" H "\r\n", 404, "error" },
    { "GET /v2/e/status/j/k" H "\r\n", 404, "error" },
    { "GET /status" H "\r\n", 404, "error" },
    { "GET /run/" H "\r\n", 404, "error" },
    { "GET /run" H "\r\n", 405, "\r\nAllow: POST\r\n" },
    { "DELETE /status/x" H "\r\n", 405, "\r\nAllow: GET, POST, HEAD\r\n" },
    { "get /" H "\r\n", 405, "\r\nAllow: GET\r\n" },
    { "GET /nothing" H "\r\n", 500, "error" },
    { "GET /misbehave" H "\r\n", 500, "The worker did not answer this request." },
    { "GET /empty" H "\r\n", 204, "HTTP/1.1 204 No Content\r\n" },
    { "GET /" H "Expect: x\r\n\r\n", 417, "100-continue" },
    { "GET /" H "Content-Encoding: gzip\r\n\r\n", 415, "Compressed" },
    { "GET /" H "Content-Encoding: identity\r\n\r\n", 200, "GET /" },
    { "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, "Connection: keep-alive\r\n" },
    { "GET /" H "\r\n", 200, "X-Y: z\r\n" },
    { "GET /" H "Content-Encoding:\r\n\r\n", 200, "GET /" },
    { "GET / HTTP/1.0\r\nConnection: keep-alive\r\nExpect: x\r\n\r\n", 200, "GET /" },
    { "GET /any/a/b" H "\r\n", 200, "GET /any/a/b ? (a/b)() " },
    { "BREW /any/" H "\r\n", 200, "BREW /any/ ? ()() " },
    { "GET /any" H "\r\n", 404, "error" },
    { "GET /anyone/a" H "\r\n", 404, "error" },
    { "GET /stream/badly" H "\r\n", 200, "GET /stream/badly ? ()() " },
    { "GET /stream/badly HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200,
      "Connection: keep-alive\r\n" },
    { "GET /" H "\r\n", 200, "Content-Type: text/plain\r\nContent-Length: 13\r\n" },
};

/* All of them on one connection, so each must leave it in order. */
static void requests_find_their_handlers(void **state)
{
    char text[4096];
    (void)state;
    begin(SLICE_LITERAL("127.0.0.1"), 4);
    int fd = dial();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        say(fd, cases[i].request);
        assert_int_equal(hear(fd, false, text, sizeof text), cases[i].status);
        if (strstr(text, cases[i].holds) == NULL)
            fail_msg("case %zu: %s", i, text);
    }
    say(fd, "GET /nowhere" H "\r\nGET /empty" H "\r\n");
    assert_int_equal(hear(fd, false, text, sizeof text), 404);
    assert_null(strstr(text, "Retry-After")); /* it would not help */
    assert_int_equal(hear(fd, false, text, sizeof text), 204);
    assert_null(strstr(text, "Content-Length"));
    say(fd, "HEAD /status/x" H "\r\n");
    assert_int_equal(hear(fd, true, text, sizeof text), 200);
    assert_non_null(strstr(text, "Content-Length: 23\r\n")); /* of what GET would get */
    assert_string_equal(body_of(text), "");
    say(fd, "HEAD /" H "\r\n"); /* the route names GET alone */
    assert_int_equal(hear(fd, true, text, sizeof text), 200);
    assert_string_equal(body_of(text), "");
    say(fd, "HEAD /run" H "\r\n");
    assert_int_equal(hear(fd, true, text, sizeof text), 405);
    close(fd);
    end();
}

/* Those after which the connection is closed. */
static const struct {
    const char *request;
    int status;
} last[] = {
    { "POST /run" H "Content-Length: 1001\r\n\r\n", 413 },
    { "POST /run" H "Content-Length: 9223372036854775807\r\n\r\n", 413 },
    { "POST /run" H "Expect: 100-continue\r\nContent-Length: 1001\r\n\r\n", 413 },
    { "POST /run" H "Transfer-Encoding: chunked\r\n\r\nx", 400 },
    { "POST /run" H "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\nx", 400 },
    { "POST /run" H "Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", 415 },
    { "POST /run" H "Expect: x\r\nContent-Length: 1\r\n\r\nx", 417 },
    { "POST /other" H "Content-Length: 1\r\n\r\nx", 404 },
    { "GET /run" H "Content-Length: 1\r\n\r\nx", 405 },
    { "GET / HTTP/1.1\r\n\r\n", 400 },
    { "\x16\x03\x01", 400 },
    { "GET / HTTP/1.0\r\n\r\n", 200 },
    { "GET /" H "Connection: close\r\n\r\n", 200 },
};

static void some_requests_end_the_connection(void **state)
{
    char text[4096];
    (void)state;
    begin(SLICE_LITERAL("127.0.0.1"), 4);
    for (size_t i = 0; i < sizeof last / sizeof *last; i++) {
        int fd = dial();
        say(fd, last[i].request);
        int status = hear(fd, false, text, sizeof text);
        if (status != last[i].status)
            fail_msg("case %zu: %d", i, status);
        assert_non_null(strstr(text, "Connection: close\r\n"));
        assert_int_equal(hear(fd, false, text, sizeof text), 0);
        close(fd);
    }
    end();
}

static void heads_and_chunks_have_limits(void **state)
{
    static char piece[40000];
    char text[4096];
    (void)state;
    begin(SLICE_LITERAL("127.0.0.1"), 4);
    memset(piece, 'x', sizeof piece - 1);
    int fd = dial();
    say(fd, "GET /" H "A: ");
    send(fd, piece, sizeof piece - 1, MSG_NOSIGNAL);
    assert_int_equal(hear(fd, false, text, sizeof text), 431);
    close(fd);
    fd = dial();
    say(fd, "POST /any/" H "Transfer-Encoding: chunked\r\n\r\n3e8\r\n");
    send(fd, piece, 1000, MSG_NOSIGNAL);
    say(fd, "\r\n0\r\n\r\n");
    assert_int_equal(hear(fd, false, text, sizeof text), 200);
    say(fd, "POST /run" H "Transfer-Encoding: chunked\r\n\r\n3e9\r\n");
    send(fd, piece, 1001, MSG_NOSIGNAL);
    say(fd, "\r\n0\r\n\r\n");
    assert_int_equal(hear(fd, false, text, sizeof text), 413);
    close(fd);
    end();
}

/* As RFC 9110, section 5.6.7, has it. */
static void responses_have_a_date(void **state)
{
    char text[4096], expected[64];
    struct tm utc;
    bool found = false;
    (void)state;
    begin(SLICE_LITERAL("127.0.0.1"), 4);
    int fd = dial();
    const time_t before = time(NULL);
    say(fd, "GET /" H "\r\n");
    assert_int_equal(hear(fd, false, text, sizeof text), 200);
    for (time_t at = before; at <= time(NULL) && !found; at++) {
        gmtime_r(&at, &utc);
        strftime(expected, sizeof expected, "\r\nDate: %a, %d %b %Y %H:%M:%S GMT\r\n", &utc);
        found = strstr(text, expected) != NULL;
    }
    if (!found)
        fail_msg("%s is not in %s", expected, text);
    close(fd);
    end();
}

/* Requests sent before the answers of those before them, all of them in one piece. */
static void pipelined_requests_are_answered_in_order(void **state)
{
    char text[4096];
    (void)state;
    begin(SLICE_LITERAL("127.0.0.1"), 4);
    int fd = dial();
    say(fd, "POST /run" H "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"
            "POST /run" H "Content-Length: 1\r\n\r\nb"
            "\r\nGET /?c" H "\r\n");
    const char *const bodies[] = { "POST /run ? ()() a", "POST /run ? ()() b", "GET / ?c ()() " };
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(hear(fd, false, text, sizeof text), 200);
        assert_string_equal(body_of(text), bodies[i]);
    }
    close(fd);
    end();
}

static void expectations_are_met(void **state)
{
    char text[4096];
    (void)state;
    begin(SLICE_LITERAL("127.0.0.1"), 4);
    int fd = dial();
    say(fd, "POST /run" H "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_int_equal(hear(fd, false, text, sizeof text), 100);
    say(fd, "ab");
    assert_int_equal(hear(fd, false, text, sizeof text), 200);
    assert_string_equal(body_of(text), "POST /run ? ()() ab");
    /* Nobody waits for it where the body is on its way. */
    say(fd, "POST /run" H "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nc");
    say(fd, "d");
    assert_int_equal(hear(fd, false, text, sizeof text), 200);
    assert_string_equal(body_of(text), "POST /run ? ()() cd");
    close(fd);
    end();
}

/* 30 s, and from then on 16 KiB/s on average; 30 s without a byte and 5 minutes in all at most. */
static void a_body_has_to_keep_coming(void **state)
{
    static const struct {
        size_t received;
        int64_t elapsed_ms, left_ms;
    } rows[] = {
        { 0, 0, 30000 },
        { 0, 29999, 1 },
        { 1, 30000, 0 },
        { 16383, 30500, 499 },
        { 16384, 30500, 500 },
        { 16384, 31000, 0 },
        { 163840, 12000, 28000 },
        { 16384 * 100, 0, 30000 },
        { 16384 * 100, 120000, 10000 },
        { 1u << 30, 0, 30000 },
        { 1u << 30, 299000, 1000 },
        { 1u << 30, 300000, 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const deadline_ms begun = 1000000, now = begun + rows[i].elapsed_ms;
        assert_int_equal(server_body_deadline(begun, rows[i].received, now), now + rows[i].left_ms);
    }
}

static void waiting_ends_when_the_client_goes(void **state)
{
    (void)state;
    begin(SLICE_LITERAL("127.0.0.1"), 4);
    int fd = dial();
    say(fd, "POST /wait" H "\r\n");
    assert_true(flag_wait(&fixture.owner.begun, clock_deadline(30000)));
    close(fd);
    assert_true(flag_wait(&fixture.owner.ended, clock_deadline(30000)));
    assert_int_equal(fixture.owner.event, SERVER_GONE);
    end();
}

/* Stopping closes idle connections at once and lets the one at work have its answer. */
static void stopping_finishes_what_has_begun(void **state)
{
    char text[4096];
    (void)state;
    begin((slice){ 0 }, 4);
    int idle = dial(), busy = dial();
    say(idle, "GET /" H "\r\n");
    assert_int_equal(hear(idle, false, text, sizeof text), 200);
    say(busy, "POST /wait" H "\r\n");
    assert_true(flag_wait(&fixture.owner.begun, clock_deadline(30000)));
    server_stop(fixture.server);
    assert_int_equal(hear(idle, false, text, sizeof text), 0);
    assert_false(server_wait_ended(fixture.server, clock_deadline(0)));
    wake_signal(&fixture.owner.wake);
    assert_int_equal(hear(busy, false, text, sizeof text), 200);
    assert_non_null(strstr(text, "Connection: close\r\n"));
    assert_int_equal(fixture.owner.event, SERVER_WOKEN);
    close(idle);
    close(busy);
    end();
}

static void one_connection_too_many_is_told_so(void **state)
{
    char text[4096];
    (void)state;
    begin(SLICE_LITERAL("localhost"), 1);
    int first = dial();
    say(first, "POST /wait" H "\r\n");
    assert_true(flag_wait(&fixture.owner.begun, clock_deadline(30000)));
    int second = dial();
    assert_int_equal(hear(second, false, text, sizeof text), 503);
    assert_non_null(strstr(text, "Retry-After: "));
    close(second);
    wake_signal(&fixture.owner.wake);
    assert_int_equal(hear(first, false, text, sizeof text), 200);
    close(first);
    end();
}

/* Idle connections do not lock others out: the one that has waited the longest is closed. */
static void the_oldest_idle_connection_gives_way(void **state)
{
    char text[4096];
    int idle[3];
    (void)state;
    begin(SLICE_LITERAL("localhost"), 4);
    int busy = dial();
    say(busy, "POST /wait" H "\r\n");
    assert_true(flag_wait(&fixture.owner.begun, clock_deadline(30000)));
    for (size_t i = 0; i < 3; i++) {
        idle[i] = dial();
        say(idle[i], "GET /" H "\r\n");
        assert_int_equal(hear(idle[i], false, text, sizeof text), 200);
        clock_sleep(clock_now_ms() + 2); /* so that their order can be told */
    }
    for (size_t i = 0; i < 2; i++) {
        int fresh = dial();
        say(fresh, "GET /" H "Connection: close\r\n\r\n");
        assert_int_equal(hear(fresh, false, text, sizeof text), 200);
        close(fresh);
    }
    assert_int_equal(recv(idle[0], text, 1, 0), 0);
    say(idle[2], "GET /" H "\r\n"); /* the newest was left alone */
    assert_int_equal(hear(idle[2], false, text, sizeof text), 200);
    wake_signal(&fixture.owner.wake);
    assert_int_equal(hear(busy, false, text, sizeof text), 200);
    for (size_t i = 0; i < 3; i++)
        close(idle[i]);
    close(busy);
    end();
}

static bool refuse_all(const struct http1_request *request, void *owner)
{
    (void)owner;
    slice value;
    return http1_request_field(request, "X-Admit", &value);
}

static void requests_that_are_not_admitted_are_told_so(void **state)
{
    char text[4096];
    (void)state;
    begin(SLICE_LITERAL("localhost"), 2);
    fixture.setting.admit = refuse_all;
    int fd = dial();
    say(fd, "GET /" H "\r\n");
    assert_int_equal(hear(fd, false, text, sizeof text), 401);
    assert_non_null(strstr(text, "WWW-Authenticate: Bearer\r\n"));
    say(fd, "GET /nowhere" H "\r\n"); /* not even what there is */
    assert_int_equal(hear(fd, false, text, sizeof text), 401);
    say(fd, "GET /" H "X-Admit: 1\r\n\r\n");
    assert_int_equal(hear(fd, false, text, sizeof text), 200);
    say(fd, "POST /run" H "Content-Length: 5\r\n\r\n"); /* before its body is read */
    assert_int_equal(hear(fd, false, text, sizeof text), 401);
    close(fd);
    end();
}

static bool refuse_politely(struct server_exchange *exchange, void *owner)
{
    slice value;
    (void)owner;
    if (http1_request_field(exchange->request, "X-Admit", &value))
        return false;
    server_respond_error(exchange, 403, SLICE_LITERAL("no"), NULL, 0, NULL);
    return true;
}

/* A body that has come with its head does not end the connection, one that may still come does. */
static void requests_are_refused_before_their_body_is_read(void **state)
{
    char text[4096];
    (void)state;
    begin(SLICE_LITERAL("localhost"), 2);
    fixture.setting.refuses = refuse_politely;
    int fd = dial();
    say(fd, "POST /run" H "Content-Length: 2\r\n\r\n{}");
    assert_int_equal(hear(fd, false, text, sizeof text), 403);
    assert_null(strstr(text, "Connection: close\r\n"));
    say(fd, "POST /run" H "X-Admit: 1\r\nContent-Length: 2\r\n\r\n{}");
    assert_int_equal(hear(fd, false, text, sizeof text), 200);
    say(fd, "GET /" H "\r\n");
    assert_int_equal(hear(fd, false, text, sizeof text), 403);
    say(fd, "POST /run" H "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_int_equal(hear(fd, false, text, sizeof text), 403);
    assert_non_null(strstr(text, "Connection: close\r\n"));
    assert_null(strstr(text, "100 Continue"));
    close(fd);
    end();
}

/* All bodies together have a limit; what they held is given back. */
static void bodies_share_their_memory(void **state)
{
    static char body[BODY_MAX];
    char text[4096], head[200];
    struct err err = { 0 };
    (void)state;
    memset(body, 'x', sizeof body);
    begin(SLICE_LITERAL("localhost"), 2);
    end();
    assert_int_equal(wake_init(&fixture.owner.wake, &err), 0);
    fixture.setting.memory_max_bytes = BODY_MAX + 100;
    fixture.setting.connections_max = 8; /* those of the first round may still be going */
    assert_int_equal(server_new(&fixture.server, &fixture.setting, &err), 0);
    assert_int_equal(server_start(fixture.server, &err), 0);
    snprintf(head, sizeof head, "POST /wait" H "Content-Length: %d\r\n\r\n", BODY_MAX);
    for (int round = 0; round < 2; round++) {
        flag_init(&fixture.owner.begun);
        int first = dial(), second = dial();
        say(first, head);
        assert_int_equal(send(first, body, sizeof body, MSG_NOSIGNAL), sizeof body);
        assert_true(flag_wait(&fixture.owner.begun, clock_deadline(30000)));
        say(second, "POST /run" H "Content-Length: 200\r\n\r\n");
        assert_int_equal(send(second, body, 200, MSG_NOSIGNAL), 200);
        assert_int_equal(hear(second, false, text, sizeof text), 503);
        assert_non_null(strstr(text, "too many large requests"));
        wake_signal(&fixture.owner.wake);
        assert_int_equal(hear(first, false, text, sizeof text), 200);
        wake_lower(&fixture.owner.wake);
        close(first);
        close(second);
    }
    end();
}

/* What is claimed may be as much as there is, and is given back once. */
static void memory_is_claimed_and_released(void **state)
{
    struct server_memory memory = { .max_bytes = 100 };
    struct server_connection one = { .memory = &memory }, two = { .memory = &memory };
    struct err err = { 0 };
    (void)state;
    assert_int_equal(server_claim(&one, 60, &err), 0);
    assert_int_equal(server_claim(&two, 41, &err), ERR_MEMORY);
    assert_int_equal(two.held_bytes, 0);
    assert_int_equal(server_claim(&two, 40, &err), 0);
    assert_int_equal(server_claim(&one, 1, &err), ERR_MEMORY);
    server_hold(&one.exchange, 10); /* is there already, limit or not */
    assert_int_equal(memory.used_bytes, 110);
    assert_int_equal(server_claim(&one, 0, &err), ERR_MEMORY);
    assert_int_equal(server_claim(&one, SIZE_MAX, &err), ERR_MEMORY);
    for (int i = 0; i < 2; i++) {
        server_release(&one);
        assert_int_equal(one.held_bytes, 0);
        assert_int_equal(memory.used_bytes, 40);
    }
    assert_int_equal(server_claim(&one, 60, &err), 0);
    server_release(&one);
    server_release(&two);
    assert_int_equal(memory.used_bytes, 0);
    memory.max_bytes = 0; /* no limit */
    assert_int_equal(server_claim(&one, 1u << 30, &err), 0);
}

static void a_server_knows_whether_it_is_local(void **state)
{
    (void)state;
    begin(SLICE_LITERAL("127.0.0.2"), 1);
    assert_true(server_is_local(fixture.server));
    end();
    begin(SLICE_LITERAL("localhost"), 1);
    assert_true(server_is_local(fixture.server));
    end();
    begin((slice){ 0 }, 1);
    assert_false(server_is_local(fixture.server));
    assert_int_not_equal(server_port(fixture.server), 0);
    end();
}

#define LARGE_BYTES 700001u

static char large[LARGE_BYTES];

static void fill_large(void)
{
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (char)('a' + i % 23);
}

static void send_all(int fd, const char *bytes, size_t size)
{
    for (size_t sent = 0; sent < size;) {
        ssize_t count = send(fd, bytes + sent, size - sent, MSG_NOSIGNAL);
        assert_true(count > 0);
        sent += (size_t)count;
    }
}

/* The client hears why, and then the end of the connection: no reset destroys the response. */
static void a_body_that_is_not_read_does_not_hide_the_response(void **state)
{
    char text[4096], byte;
    (void)state;
    begin(SLICE_LITERAL("127.0.0.1"), 4);
    fill_large();
    int fd = dial();
    say(fd, "POST /measure" H "Content-Length: 700001\r\n\r\n");
    send_all(fd, large, 60000); /* which the system takes, whether the server reads it or not */
    assert_int_equal(hear(fd, false, text, sizeof text), 413);
    assert_non_null(strstr(text, "Connection: close\r\n"));
    assert_non_null(strstr(text, "larger than the limit of 1000 bytes"));
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
    end();
}

/* Larger than what is read in one step, in one length and in chunks, with a request behind. */
static void large_bodies_arrive_whole(void **state)
{
    char text[4096], size[16];
    (void)state;
    begin_with(SLICE_LITERAL("127.0.0.1"), 4, LARGE_BYTES);
    fill_large();
    int fd = dial();
    say(fd, "POST /measure" H "Content-Length: 700001\r\n\r\n");
    send_all(fd, large, LARGE_BYTES);
    assert_int_equal(hear(fd, false, text, sizeof text), 200);
    assert_string_equal(body_of(text), "700001");
    say(fd, "POST /measure" H "Transfer-Encoding: chunked\r\n\r\n");
    for (size_t at = 0, len; at < LARGE_BYTES; at += len) {
        len = LARGE_BYTES - at < 30011 ? LARGE_BYTES - at : 30011;
        snprintf(size, sizeof size, "%zx\r\n", len);
        say(fd, size);
        send_all(fd, large + at, len);
        say(fd, "\r\n");
    }
    say(fd, "0\r\n\r\nGET /?next" H "\r\n");
    assert_int_equal(hear(fd, false, text, sizeof text), 200);
    assert_string_equal(body_of(text), "700001");
    assert_int_equal(hear(fd, false, text, sizeof text), 200);
    assert_string_equal(body_of(text), "GET / ?next ()() ");
    close(fd);
    end();
}

/* The 100 tells that its head has been read, and that its body is waited for. */
static void stopping_refuses_what_has_not_arrived(void **state)
{
    char text[4096];
    (void)state;
    begin(SLICE_LITERAL("127.0.0.1"), 4);
    int fd = dial();
    say(fd, "POST /run" H "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_int_equal(hear(fd, false, text, sizeof text), 100);
    server_stop(fixture.server);
    assert_int_equal(hear(fd, false, text, sizeof text), 503);
    assert_non_null(strstr(text, "The worker is shutting down."));
    close(fd);
    end();
}

/* With drain_ms an open connection has one more request served, and says so. */
static void draining_loses_no_request(void **state)
{
    char text[1024];
    (void)state;
    begin(SLICE_LITERAL("127.0.0.1"), 5);
    fixture.setting.drain_ms = 30000;
    int used = dial(), fresh = dial(), half = dial(), gone = dial();
    say(used, "GET /" H "\r\n");
    assert_int_equal(hear(used, false, text, sizeof text), 200);
    say(half, "POST /run" H "Content-Length: 4\r\n\r\nbo");
    server_stop(fixture.server);
    say(used, "GET /" H "\r\n");
    say(fresh, "GET /" H "\r\n");
    say(half, "dy");
    close(gone);
    for (int i = 0; i < 3; i++) {
        int fd = i == 0 ? used : i == 1 ? fresh : half;
        assert_int_equal(hear(fd, false, text, sizeof text), 200);
        assert_non_null(strstr(text, "Connection: close"));
        assert_int_equal(recv(fd, text, 1, 0), 0);
        close(fd);
    }
    end();
}

/* A handler for what no route takes, which may leave the body where it is. */
static void say_full(struct server_exchange *exchange, void *owner)
{
    (void)owner;
    assert_int_equal(exchange->body.len, 0);
    server_respond_error(exchange, 503, slice_from("full"), NULL, 0, NULL);
}

static void what_no_route_takes_may_have_a_handler(void **state)
{
    char text[1024];
    (void)state;
    begin(SLICE_LITERAL("127.0.0.1"), 5);
    fixture.setting.relay = say_full;
    int fd = dial();
    say(fd, "BREW /pot" H "Content-Length: 3\r\n\r\ntea"
            "GET /" H "\r\n"
            "POST /" H "Content-Length: 999999999\r\nContent-Encoding: br\r\n\r\n");
    assert_int_equal(hear(fd, false, text, sizeof text), 503);
    assert_null(strstr(text, "Connection: close"));
    assert_int_equal(hear(fd, false, text, sizeof text), 200);
    assert_int_equal(hear(fd, false, text, sizeof text), 503);
    assert_non_null(strstr(text, "Connection: close"));
    assert_int_equal(recv(fd, text, 1, 0), 0);
    close(fd);
    fd = dial(); /* where a chunked body ends is not known */
    say(fd, "BREW /pot" H "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n");
    assert_int_equal(hear(fd, false, text, sizeof text), 503);
    assert_non_null(strstr(text, "Connection: close"));
    assert_int_equal(recv(fd, text, 1, 0), 0);
    close(fd);
    end();
}

/* In the middle of a head and of a body: nobody is there to hear, and the server goes on. */
static void clients_may_go_at_any_time(void **state)
{
    char text[4096];
    (void)state;
    begin(SLICE_LITERAL("127.0.0.1"), 4);
    int head = dial(), content = dial(), chunked = dial();
    say(head, "GET /");
    say(content, "POST /run" H "Content-Length: 3\r\n\r\na");
    say(chunked, "POST /run" H "Transfer-Encoding: chunked\r\n\r\n3\r\na");
    const int fds[] = { head, content, chunked };
    for (size_t i = 0; i < 3; i++) {
        shutdown(fds[i], SHUT_WR);
        assert_int_equal(hear(fds[i], false, text, sizeof text), 0);
        close(fds[i]);
    }
    int fd = dial();
    say(fd, "GET /" H "\r\n");
    assert_int_equal(hear(fd, false, text, sizeof text), 200);
    close(fd);
    end();
}

static void waiting_has_a_deadline(void **state)
{
    char text[4096];
    (void)state;
    begin(SLICE_LITERAL("127.0.0.1"), 4);
    int fd = dial();
    say(fd, "POST /wait/in/vain" H "\r\n");
    assert_int_equal(hear(fd, false, text, sizeof text), 200);
    assert_int_equal(fixture.owner.event, SERVER_TIMEOUT);
    close(fd);
    end();
}

/* All that comes until the end of the connection. */
static void hear_out(int fd, char *text, size_t size)
{
    size_t len = 0;
    ssize_t count;
    while ((count = recv(fd, text + len, size - 1 - len, 0)) > 0)
        len += (size_t)count;
    text[len] = '\0';
}

static void a_response_may_come_in_pieces(void **state)
{
    char text[4096];
    (void)state;
    begin(SLICE_LITERAL("127.0.0.1"), 4);
    int fd = dial();
    say(fd, "GET /stream?two" H "\r\nHEAD /stream" H "\r\nGET /stream?half" H "\r\nGET /" H "\r\n");
    hear_out(fd, text, sizeof text);
    assert_non_null(strstr(text, "\r\nTransfer-Encoding: chunked\r\n"));
    assert_null(strstr(text, "Content-Length"));
    assert_non_null(strstr(text, "\r\n\r\n4\r\none \r\n3\r\ntwo\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(text, "\r\n\r\nHTTP/1.1 200 OK\r\n"));
    const char *end_of_all = "\r\n\r\n4\r\none \r\n4\r\nhalf\r\n";
    assert_string_equal(text + strlen(text) - strlen(end_of_all), end_of_all);
    close(fd);
    end();
}

static void a_response_in_pieces_ends_with_the_connection_in_http_1_0(void **state)
{
    char text[4096];
    (void)state;
    begin(SLICE_LITERAL("127.0.0.1"), 4);
    int fd = dial();
    say(fd, "GET /stream?two HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    hear_out(fd, text, sizeof text);
    assert_non_null(strstr(text, "\r\nConnection: close\r\n"));
    assert_null(strstr(text, "chunked"));
    assert_string_equal(body_of(text), "one two");
    close(fd);
    end();
}

static void a_client_that_goes_ends_a_response_in_pieces(void **state)
{
    char byte;
    (void)state;
    begin(SLICE_LITERAL("127.0.0.1"), 4);
    int fd = dial();
    say(fd, "GET /stream/on" H "\r\n");
    assert_int_equal(recv(fd, &byte, 1, 0), 1);
    close(fd);
    assert_true(flag_wait(&fixture.owner.ended, clock_deadline(30000)));
    end();
}

static void a_port_that_is_taken_is_an_error(void **state)
{
    struct server *other;
    struct err err = { 0 };
    (void)state;
    begin(SLICE_LITERAL("127.0.0.1"), 1);
    struct server_setting setting = fixture.setting;
    setting.port = server_port(fixture.server);
    assert_int_equal(server_new(&other, &setting, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "cannot listen on 127.0.0.1:"));
    end();
}

/* --- connections that share a thread ---------------------------------------------------------- */

/* The request at hand, which waits for the owner's wake-up. */
static struct held {
    struct server_pending pending; /* first */
    struct server_exchange *exchange;
    struct owner *owner;
} held;

static int steps_seen[2]; /* the handler writes what it does, a letter a time */

static void note_step(char letter)
{
    assert_int_equal(send(steps_seen[0], &letter, 1, MSG_NOSIGNAL), 1);
}

static void await_step(char letter)
{
    char found = 0;
    assert_int_equal(recv(steps_seen[1], &found, 1, 0), 1);
    assert_int_equal(found, letter);
}

static bool step_held(struct server_pending *self)
{
    struct held *one = (struct held *)(void *)self;
    wake_lower(&one->owner->wake);
    if (slice_is(one->exchange->request->query, "slow"))
        return false;
    tell(one->exchange, NULL);
    return true;
}

static void finish_held(struct server_pending *self)
{
    struct held *one = (struct held *)(void *)self;
    note_step('f');
    assert_true(wake_wait(&one->owner->wake, clock_deadline(30000)));
    wake_lower(&one->owner->wake);
    tell(one->exchange, NULL);
}

/* Its queries: none, now, slow. */
static struct server_pending *hold(struct server_exchange *exchange, void *owner)
{
    struct owner *own = owner;
    bool now = slice_is(exchange->request->query, "now");
    if (slice_is(exchange->request->query, "none"))
        return NULL;
    held = (struct held){ { now ? -1 : own->wake.fd, step_held, finish_held }, exchange, own };
    note_step('b');
    return &held.pending;
}

static void begin_loop(size_t connections)
{
    struct timeval patience = { .tv_sec = 30 };
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, steps_seen), 0);
    setsockopt(steps_seen[1], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    begin_relay = hold;
    relay = say_full;
    begin(SLICE_LITERAL("127.0.0.1"), connections);
    begin_relay = NULL;
    relay = NULL;
}

static void end_loop(void)
{
    end();
    close(steps_seen[0]);
    close(steps_seen[1]);
}

static void assert_answered(int fd, const char *body)
{
    char text[4096];
    wake_signal(&fixture.owner.wake);
    assert_int_equal(hear(fd, false, text, sizeof text), 200);
    assert_string_equal(body_of(text), body);
}

#define HELD(query) "GET /held?" query H "\r\n"

/* One after the other, be it sent when the one before waits or together with it. */
static void a_waiting_request_keeps_no_thread(void **state)
{
    char text[4096];
    (void)state;
    begin_loop(4);
    int fd = dial();
    say(fd, HELD("1"));
    await_step('b');
    say(fd, HELD("2"));
    assert_answered(fd, "GET /held ?1 ()() ");
    await_step('b');
    assert_answered(fd, "GET /held ?2 ()() ");
    say(fd, HELD("3") HELD("4"));
    for (int i = 3; i <= 4; i++) {
        await_step('b');
        assert_answered(fd, i == 3 ? "GET /held ?3 ()() " : "GET /held ?4 ()() ");
    }
    say(fd, "GET /held?5" H "Connection: close\r\n\r\n");
    await_step('b');
    wake_signal(&fixture.owner.wake);
    assert_int_equal(hear(fd, false, text, sizeof text), 200);
    assert_non_null(strstr(text, "Connection: close\r\n"));
    assert_int_equal(recv(fd, text, 1, 0), 0);
    close(fd);
    end_loop();
}

/* It is a thread's from then on. */
static void what_does_not_wait_quietly_gets_a_thread(void **state)
{
    (void)state;
    begin_loop(4);
    int slow = dial(), now = dial(), half = dial();
    say(slow, HELD("slow"));
    await_step('b');
    wake_signal(&fixture.owner.wake);
    await_step('f');
    assert_answered(slow, "GET /held ?slow ()() ");
    say(now, HELD("now"));
    await_step('b');
    await_step('f');
    assert_answered(now, "GET /held ?now ()() ");
    say(half, HELD("half"));
    await_step('b');
    shutdown(half, SHUT_WR);
    await_step('f');
    assert_answered(half, "GET /held ?half ()() ");
    assert_int_equal(recv(half, (char[1]){ 0 }, 1, 0), 0);
    say(now, HELD("later")); /* and the thread has its connection's next request */
    char text[4096];
    assert_int_equal(hear(now, false, text, sizeof text), 503);
    assert_string_equal(body_of(text), "{\"error\": \"full\"}");
    close(slow);
    close(now);
    close(half);
    end_loop();
}

static void other_requests_get_a_thread_at_once(void **state)
{
    static const struct {
        const char *first, *rest;
        int status;
    } ways[] = {
        { "GET /" H "\r\n", "", 200 },
        { "GET /?x HTTP/1.1\r\nHo", "st: a\r\n\r\n", 200 },
        { "POST /run" H "Content-Length: 4\r\n\r\nbo", "dy", 200 },
        { HELD("none"), "", 503 },
        { "GET /held?none HTTP/1.1\r\nHo", "st: a\r\n\r\n", 503 },
        { "\x16\x03\x01", "", 400 },
    };
    char text[4096];
    (void)state;
    begin_loop(10);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        int fd = dial();
        say(fd, ways[i].first);
        say(fd, ways[i].rest);
        assert_int_equal(hear(fd, false, text, sizeof text), ways[i].status);
        close(fd);
    }
    end_loop();
}

/* More of them than there may be, with those that are told that there are too many. */
static void connections_that_end_leave_their_place(void **state)
{
    (void)state;
    begin_loop(4);
    for (int i = 0; i < 30; i++) {
        int fd = dial();
        say(fd, HELD("1"));
        await_step('b');
        assert_answered(fd, "GET /held ?1 ()() ");
        close(fd);
    }
    end_loop();
}

static void stopping_has_waiting_requests_finished(void **state)
{
    char text[4096];
    (void)state;
    begin_loop(4);
    int idle = dial(), busy = dial();
    say(busy, HELD("1"));
    await_step('b');
    server_stop(fixture.server);
    await_step('f');
    assert_int_equal(recv(idle, text, 1, 0), 0);
    wake_signal(&fixture.owner.wake);
    assert_int_equal(hear(busy, false, text, sizeof text), 200);
    assert_non_null(strstr(text, "Connection: close\r\n"));
    assert_int_equal(recv(busy, text, 1, 0), 0);
    close(idle);
    close(busy);
    end_loop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_find_their_handlers),
        cmocka_unit_test(some_requests_end_the_connection),
        cmocka_unit_test(heads_and_chunks_have_limits),
        cmocka_unit_test(responses_have_a_date),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(expectations_are_met),
        cmocka_unit_test(waiting_ends_when_the_client_goes),
        cmocka_unit_test(stopping_finishes_what_has_begun),
        cmocka_unit_test(one_connection_too_many_is_told_so),
        cmocka_unit_test(the_oldest_idle_connection_gives_way),
        cmocka_unit_test(requests_that_are_not_admitted_are_told_so),
        cmocka_unit_test(requests_are_refused_before_their_body_is_read),
        cmocka_unit_test(bodies_share_their_memory),
        cmocka_unit_test(memory_is_claimed_and_released),
        cmocka_unit_test(a_server_knows_whether_it_is_local),
        cmocka_unit_test(a_body_that_is_not_read_does_not_hide_the_response),
        cmocka_unit_test(large_bodies_arrive_whole),
        cmocka_unit_test(stopping_refuses_what_has_not_arrived),
        cmocka_unit_test(draining_loses_no_request),
        cmocka_unit_test(what_no_route_takes_may_have_a_handler),
        cmocka_unit_test(clients_may_go_at_any_time),
        cmocka_unit_test(a_body_has_to_keep_coming),
        cmocka_unit_test(waiting_has_a_deadline),
        cmocka_unit_test(a_response_may_come_in_pieces),
        cmocka_unit_test(a_response_in_pieces_ends_with_the_connection_in_http_1_0),
        cmocka_unit_test(a_client_that_goes_ends_a_response_in_pieces),
        cmocka_unit_test(a_port_that_is_taken_is_an_error),
        cmocka_unit_test(a_waiting_request_keeps_no_thread),
        cmocka_unit_test(what_does_not_wait_quietly_gets_a_thread),
        cmocka_unit_test(other_requests_get_a_thread_at_once),
        cmocka_unit_test(connections_that_end_leave_their_place),
        cmocka_unit_test(stopping_has_waiting_requests_finished),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
