/* net/server: routes, bodies, answers, and what happens on the other end of a connection. */
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
#include <unistd.h>

#include "net/server.h"

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
    const struct server_answer answer = { 200, "text/plain", &field, 1, parts, 3 };
    struct err err;
    assert_int_equal(server_answer(exchange, &answer, &err), 0);
    assert_int_equal(server_answer(exchange, &answer, &err), ERR_INPUT);
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

static const struct server_route routes[] = {
    { "GET", "/", tell },
    { "POST", "/run", tell },
    { "GET, POST, HEAD", "/status/*", tell },
    { "GET", "/v2/*/status/*", tell },
    { "GET", "/nothing", say_nothing },
    { "POST", "/wait", wait_there },
};

/* --- a client ------------------------------------------------------------------------------- */

struct fixture {
    struct server_setting setting;
    struct server *server;
    struct owner owner;
};

static struct fixture fixture;

static void begin(slice host, size_t connections)
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
        .body_max_bytes = BODY_MAX,
    };
    assert_int_equal(server_new(&fixture.server, &fixture.setting, &err), 0);
    assert_int_equal(server_start(fixture.server, &err), 0);
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
    { "GET /" H "\r\n", 200, "X-Y: z\r\n" },
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
    say(fd, "HEAD /status/x" H "\r\n");
    assert_int_equal(hear(fd, true, text, sizeof text), 200);
    assert_string_equal(body_of(text), "");
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
    static char large[40000];
    char text[4096];
    (void)state;
    begin(SLICE_LITERAL("127.0.0.1"), 4);
    memset(large, 'x', sizeof large - 1);
    int fd = dial();
    say(fd, "GET /" H "A: ");
    send(fd, large, sizeof large - 1, MSG_NOSIGNAL);
    assert_int_equal(hear(fd, false, text, sizeof text), 431);
    close(fd);
    fd = dial();
    say(fd, "POST /run" H "Transfer-Encoding: chunked\r\n\r\n3e9\r\n");
    send(fd, large, 1001, MSG_NOSIGNAL);
    say(fd, "\r\n0\r\n\r\n");
    assert_int_equal(hear(fd, false, text, sizeof text), 413);
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
    close(fd);
    end();
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
    say(first, "GET /" H "\r\n");
    assert_int_equal(hear(first, false, text, sizeof text), 200);
    int second = dial();
    assert_int_equal(hear(second, false, text, sizeof text), 503);
    assert_non_null(strstr(text, "Retry-After: "));
    close(second);
    say(first, "GET /" H "\r\n");
    assert_int_equal(hear(first, false, text, sizeof text), 200);
    close(first);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_find_their_handlers),
        cmocka_unit_test(some_requests_end_the_connection),
        cmocka_unit_test(heads_and_chunks_have_limits),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(expectations_are_met),
        cmocka_unit_test(waiting_ends_when_the_client_goes),
        cmocka_unit_test(stopping_finishes_what_has_begun),
        cmocka_unit_test(one_connection_too_many_is_told_so),
        cmocka_unit_test(a_port_that_is_taken_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
