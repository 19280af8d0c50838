/* http/relay_head: what of a head is passed on, and what the relay writes itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/relay_private.h"

static struct relay relay;
static struct relay_setting setting;
static struct server_connection client;
static struct http1_response response;
static struct wake stopping;
static atomic_bool stopped;
static struct err err;

static int begin(void **state)
{
    (void)state;
    setting = (struct relay_setting){ .url = { .host = SLICE_LITERAL("server.test") } };
    relay = (struct relay){ .setting = &setting, .client = &client };
    client = (struct server_connection){ .fd = -1, .stopping = &stopping, .stopped = &stopped };
    strcpy(client.peer, "192.0.2.7");
    buf_init(&relay.head, 4096, "head");
    buf_init(&relay.forwarded, 4096, "forwarded");
    buf_init(&client.out, 4096, "out");
    return 0;
}

static int end(void **state)
{
    (void)state;
    atomic_store(&stopped, false);
    buf_free(&relay.head);
    buf_free(&relay.forwarded);
    buf_free(&client.out);
    return 0;
}

static void check_request(const char *text, const char *expected)
{
    assert_int_equal(http1_parse_request(text, strlen(text), &client.request, &err), strlen(text));
    assert_int_equal(relay_put_request(&relay, &err), 0);
    if (!slice_is(buf_slice(&relay.head), expected))
        fail_msg("%.*s is not %s", SLICE_ARG(buf_slice(&relay.head)), expected);
}

#define FOR "X-Forwarded-For: 192.0.2.7\r\n"

static void the_target_is_the_servers(void **state)
{
    (void)state;
    check_request("GET /a?b=c HTTP/1.1\r\nHost: h:81\r\n\r\n",
                  "GET /a?b=c HTTP/1.1\r\nHost: h:81\r\n" FOR "\r\n");
    check_request("GET http://x.test:82/a?b HTTP/1.1\r\nHost: h\r\n\r\n",
                  "GET /a?b HTTP/1.1\r\nHost: x.test:82\r\n" FOR "\r\n");
    check_request("GET /?u=http://x.test/ HTTP/1.1\r\nHost: h\r\n\r\n",
                  "GET /?u=http://x.test/ HTTP/1.1\r\nHost: h\r\n" FOR "\r\n");
    check_request("GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: server.test\r\n" FOR "\r\n");
    check_request("GET / HTTP/1.0\r\nHost:\r\n\r\n",
                  "GET / HTTP/1.1\r\nHost: server.test\r\n" FOR "\r\n");
}

/* What concerns the client's connection ends here, be it named in Connection alone. */
static void fields_of_the_connection_are_left_out(void **state)
{
    (void)state;
    check_request("GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nConnection: close, b\r\nB: 2\r\n"
                  "connection: C\r\nC: 3\r\nCC: 4\r\nKeep-Alive: 5\r\nTE: trailers\r\n"
                  "Proxy-Connection: x\r\nTrailer: y\r\nUpgrade: h2c\r\nHTTP2-Settings: z\r\n"
                  "Proxy-Authorization: kept\r\n\r\n",
                  "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nCC: 4\r\nProxy-Authorization: kept\r\n" FOR
                  "\r\n");
    check_request("GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nA: 1\r\n\r\n",
                  "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\n" FOR "\r\n");
}

static void the_length_is_written_anew(void **state)
{
    (void)state;
    check_request("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 007\r\n"
                  "Expect: 100-continue\r\n\r\n",
                  "POST / HTTP/1.1\r\nHost: h\r\n" FOR "Content-Length: 7\r\n\r\n");
    check_request("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n",
                  "POST / HTTP/1.1\r\nHost: h\r\n" FOR "Transfer-Encoding: chunked\r\n\r\n");
}

static void the_clients_address_comes_last(void **state)
{
    (void)state;
    check_request("GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.1.1.1\r\nA: 1\r\n"
                  "X-Forwarded-For:\r\nx-forwarded-for: 2.2.2.2, ::3\r\n\r\n",
                  "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\n"
                  "X-Forwarded-For: 1.1.1.1, 2.2.2.2, ::3, 192.0.2.7\r\n\r\n");
}

/* A descriptor of a connection that was made to this address; -1 where the machine has none. */
static int accept_from(const struct sockaddr *to, socklen_t size, int family)
{
    struct sockaddr_storage own = { 0 };
    socklen_t own_size = size;
    int listener = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, to, size) != 0)
        return -1;
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&own, &own_size), 0);
    const in_port_t port = family == AF_INET6 || to->sa_family == AF_INET6
                               ? ((struct sockaddr_in6 *)&own)->sin6_port
                               : ((struct sockaddr_in *)&own)->sin_port;
    struct sockaddr_in v4 = { .sin_family = AF_INET,
                              .sin_port = port,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int peer = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = family == AF_INET ? connect(peer, (struct sockaddr *)&v4, sizeof v4)
                               : connect(peer, (struct sockaddr *)&own, own_size);
    assert_int_equal(rc, 0);
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    close(listener);
    close(peer);
    return fd;
}

/* Of an IPv4 client, too, that has come to a socket for both protocols. */
static void the_clients_address_is_that_of_its_connection(void **state)
{
    const struct sockaddr_in v4 = { .sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    struct sockaddr_in6 mapped = { .sin6_family = AF_INET6 };
    (void)state;
    inet_pton(AF_INET6, "::ffff:127.0.0.1", &mapped.sin6_addr);
    const int fds[] = {
        accept_from((const struct sockaddr *)&v4, sizeof v4, AF_INET),
        accept_from((const struct sockaddr *)&mapped, sizeof mapped, AF_INET),
        accept_from((const struct sockaddr *)&v6, sizeof v6, AF_INET6),
    };
    for (size_t i = 0; i < 3; i++) {
        client.fd = fds[i];
        client.peer[0] = '\0';
        if (client.fd < 0)
            continue;
        check_request("GET / HTTP/1.1\r\nHost: h\r\n\r\n",
                      i < 2 ? "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n"
                            : "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: ::1\r\n\r\n");
        close(client.fd);
    }
    assert_true(fds[0] >= 0);
}

static void only_whole_handshakes_ask_for_a_websocket(void **state)
{
    static const struct {
        const char *text;
        bool upgrades;
    } cases[] = {
        { "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", true },
        { "GET / HTTP/1.1\r\nHost: h\r\nConnection: x, upgrade\r\nUpgrade: WebSocket\r\n\r\n",
          true },
        { "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n", false },
        { "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n\r\n", false },
        { "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", false },
        { "POST / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
          false },
        { "GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", false },
        { "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
          "Content-Length: 1\r\n\r\n",
          false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *text = cases[i].text;
        assert_true(http1_parse_request(text, strlen(text), &client.request, &err) > 0);
        assert_int_equal(relay_put_request(&relay, &err), 0);
        assert_int_equal(relay.upgrades, cases[i].upgrades);
        buf_add(&relay.head, "", 1, NULL);
        assert_int_equal(strstr(relay.head.ptr, "Connection: Upgrade\r\nUpgrade: websocket\r\n") !=
                             NULL,
                         cases[i].upgrades);
    }
}

/* Also where it is the list of addresses that does not: the server must not miss the client's. */
static void what_does_not_fit_is_an_error(void **state)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n";
    (void)state;
    relay.forwarded.max = 10;
    assert_true(http1_parse_request(text, strlen(text), &client.request, &err) > 0);
    err = (struct err){ 0 };
    assert_int_equal(relay_put_request(&relay, &err), ERR_LIMIT);
    assert_int_equal(err.code, ERR_LIMIT);
}

/* --- responses -------------------------------------------------------------------------------- */

static void check_response(int minor_version, const char *text, const char *expected)
{
    client.request = (struct http1_request){ .minor_version = minor_version, .keep_alive = true };
    client.closing = false;
    relay.response.packs = false;
    assert_int_equal(http1_parse_response(text, strlen(text), false, &response, &err),
                     strlen(text));
    assert_int_equal(relay_put_response(&relay, &response, &err), 0);
    if (!slice_is(buf_slice(&client.out), expected))
        fail_msg("%.*s is not %s", SLICE_ARG(buf_slice(&client.out)), expected);
}

static void a_response_keeps_its_fields_and_its_reason(void **state)
{
    (void)state;
    check_response(1,
                   "HTTP/1.1 299 My Own\r\nServer: x\r\nX-Forwarded-For: a\r\nHost: b\r\n"
                   "Connection: c, close\r\nC: d\r\nTrailer: e\r\nContent-Length: 05\r\n\r\n",
                   "HTTP/1.1 299 My Own\r\nServer: x\r\nX-Forwarded-For: a\r\nHost: b\r\n"
                   "Content-Length: 5\r\n\r\n");
    assert_false(client.closing || relay.response.packs);
}

/* To HTTP/1.0 only the connection's end can mark that of a body whose length nobody knows. */
static void bodies_of_unknown_length_are_packed_for_who_knows_chunks(void **state)
{
    static const char *const unknown[] = {
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\n",
    };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        check_response(1, unknown[i], "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert_true(relay.response.packs);
        assert_false(client.closing);
        check_response(0, unknown[i], "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        assert_false(relay.response.packs);
        assert_true(client.closing);
    }
    check_response(0, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n",
                   "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n");
    assert_false(client.closing);
}

static void the_length_of_an_absent_body_is_passed_on(void **state)
{
    (void)state;
    check_response(1, "HTTP/1.1 304 x\r\nContent-Length: 7\r\n\r\n",
                   "HTTP/1.1 304 x\r\nContent-Length: 7\r\n\r\n");
    check_response(1, "HTTP/1.1 204 x\r\nContent-Length: 7\r\n\r\n", "HTTP/1.1 204 x\r\n\r\n");
    check_response(1, "HTTP/1.1 304 x\r\n\r\n", "HTTP/1.1 304 x\r\n\r\n");
}

static void a_tunnel_is_agreed_to(void **state)
{
    (void)state;
    relay.phase = RELAY_TUNNEL;
    check_response(1,
                   "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n"
                   "Sec-WebSocket-Accept: x\r\n\r\n",
                   "HTTP/1.1 101 Switching\r\nSec-WebSocket-Accept: x\r\nConnection: Upgrade\r\n"
                   "Upgrade: websocket\r\n\r\n");
}

static void a_server_that_stops_says_so(void **state)
{
    (void)state;
    atomic_store(&stopped, true);
    check_response(1, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                   "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_true(client.closing);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_target_is_the_servers),
        TEST(fields_of_the_connection_are_left_out),
        TEST(the_length_is_written_anew),
        TEST(the_clients_address_comes_last),
        TEST(the_clients_address_is_that_of_its_connection),
        TEST(only_whole_handshakes_ask_for_a_websocket),
        TEST(what_does_not_fit_is_an_error),
        TEST(a_response_keeps_its_fields_and_its_reason),
        TEST(bodies_of_unknown_length_are_packed_for_who_knows_chunks),
        TEST(the_length_of_an_absent_body_is_passed_on),
        TEST(a_tunnel_is_agreed_to),
        TEST(a_server_that_stops_says_so),
    };
    return cmocka_run_group_tests_name("relay head", tests, NULL, NULL);
}
