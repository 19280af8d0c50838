/* http/client, connection and body, against a server on loopback that follows a script. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/limits.h"
#include "http/client.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define OK "HTTP/1.1 200 OK\r\n"
#define SOON_MS 30 /* for what never happens */

/* --- a server that follows a script ----------------------------------------------------------- */

enum then {
    KEEP,      /* read the next request on this connection */
    CLOSE,     /* close it: the next step has another */
    AWAIT,     /* wait until the client closes its half, then send `late` and close */
    HEAD_ONLY, /* as CLOSE, but without reading the request's body: the client sees a reset */
    STAY       /* without reading the body, until the client closes or the wake says that it has */
};

/* One request and what comes back. */
struct step {
    const char *reply; /* NULL: nothing */
    enum then then;
    const char *late;
    bool wakes; /* the wake-up is signalled after reply */
};

struct record {
    char text[2048]; /* the request: its head and the start of its body */
    size_t body_bytes;
    unsigned connection; /* the how-manieth, from 1 */
};

static struct script {
    const struct step *steps;
    size_t count;
    int listener;
    uint16_t port;
    pthread_t thread;
    struct wake wake;
    struct flag served; /* all steps are done */
    struct record records[8];
    size_t requests;
    unsigned connections;
} script;

/* Reads a body in blocks, and keeps as much of it as fits behind the head's `len` bytes. */
static bool read_body(int fd, struct record *record, size_t len, uint64_t bytes)
{
    char block[65536];
    while (record->body_bytes < bytes) {
        const size_t left = bytes - record->body_bytes, room = sizeof record->text - 1 - len;
        ssize_t count = recv(fd, block, left < sizeof block ? left : sizeof block, 0);
        if (count <= 0)
            return false;
        const size_t kept = (size_t)count < room ? (size_t)count : room;
        memcpy(record->text + len, block, kept);
        len += kept;
        record->body_bytes += (size_t)count;
    }
    return true;
}

/* Reads one request; false at the end of the connection. */
static bool read_request(int fd, struct record *record, bool head_only)
{
    struct http1_request request;
    size_t len = 0;
    ptrdiff_t head = 0;
    *record = (struct record){ .connection = script.connections };
    while (head == 0) {
        if (len == sizeof record->text - 1 || recv(fd, record->text + len, 1, 0) <= 0)
            return false;
        head = http1_parse_request(record->text, ++len, &request, NULL);
        if (head < 0) { /* CONNECT, which our parser refuses */
            request.content_length = 0;
            head = strstr(record->text, "\r\n\r\n") != NULL;
        }
    }
    return head_only || read_body(fd, record, len, request.content_length);
}

static void say(int fd, const char *text)
{
    if (text != NULL)
        send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void follow(const struct step *step, int *fd)
{
    char byte;
    say(*fd, step->reply);
    if (step->wakes)
        wake_signal(&script.wake);
    if (step->then == STAY) {
        struct pollfd entries[] = { { .fd = *fd, .events = POLLRDHUP },
                                    { .fd = script.wake.fd, .events = POLLIN } };
        poll(entries, 2, 30000);
        wake_lower(&script.wake);
    }
    while (step->then == AWAIT && recv(*fd, &byte, 1, 0) > 0)
        continue;
    say(*fd, step->late);
    if (step->then == KEEP)
        return;
    close(*fd);
    *fd = -1;
}

static void *server_main(void *argument)
{
    int fd = -1;
    (void)argument;
    for (size_t i = 0; i < script.count;) {
        if (fd < 0) {
            fd = accept(script.listener, NULL, NULL);
            if (fd < 0)
                break; /* the test is over */
            script.connections++;
        }
        const struct step *step = &script.steps[i];
        if (read_request(fd, &script.records[i], step->then >= HEAD_ONLY)) {
            script.requests = ++i;
            follow(step, &fd);
        } else {
            close(fd);
            fd = -1;
        }
    }
    flag_raise(&script.served);
    if (fd >= 0)
        close(fd);
    return NULL;
}

/* --- a client --------------------------------------------------------------------------------- */

static struct http_net net;
static struct http_client *client;
static struct http_request request;
static struct http_response response;
static struct buf body;
static struct err err;
static char url[256];

static void set_url(const char *path)
{
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", (unsigned)script.port, path);
    request.url = slice_from(url);
}

static void begin_script(const struct step *steps, size_t count)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    script = (struct script){ .steps = steps, .count = count };
    flag_init(&script.served);
    assert_int_equal(wake_init(&script.wake, &err), 0);
    script.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(script.listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(script.listener, 8), 0);
    assert_int_equal(getsockname(script.listener, (struct sockaddr *)&address, &size), 0);
    script.port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&script.thread, NULL, server_main, NULL), 0);

    net = (struct http_net){ 0 };
    assert_int_equal(http_client_new(&client, &net, &err), 0);
    request = (struct http_request){
        .method = "GET", .send_ms = 30000, .first_byte_ms = 30000, .body_ms = 30000
    };
    set_url("/a?b=c");
    buf_init(&body, 1000, "test");
}

#define BEGIN(...)                                      \
    static const struct step steps[] = { __VA_ARGS__ }; \
    begin_script(steps, COUNT(steps))

static void end(void)
{
    http_client_free(client);
    shutdown(script.listener, SHUT_RDWR);
    pthread_join(script.thread, NULL);
    close(script.listener);
    wake_free(&script.wake);
    buf_free(&body);
}

static int exchange(void)
{
    err = (struct err){ 0 };
    return http_exchange(client, &request, &response, &body, &err);
}

static void assert_exchange(int status, const char *expected)
{
    int rc = exchange();
    if (rc != 0)
        fail_msg("%d: %s", rc, err.text);
    assert_int_equal(response.status, status);
    if (!slice_is(buf_slice(&body), expected))
        fail_msg("%.*s is not %s", SLICE_ARG(buf_slice(&body)), expected);
}

static void assert_fails(int code, const char *text)
{
    int rc = exchange();
    if (rc != code || strstr(err.text, text) == NULL)
        fail_msg("%d: %s, not %d: %s", rc, err.text, code, text);
}

static void assert_request(size_t index, const char *text)
{
    if (strstr(script.records[index].text, text) == NULL)
        fail_msg("request %zu does not hold %s: %s", index, text, script.records[index].text);
}

/* --- connections ------------------------------------------------------------------------------ */

static void a_connection_is_used_again(void **state)
{
    (void)state;
    BEGIN({ .reply = OK "Content-Length: 3\r\n\r\none" },
          { .reply = OK "Transfer-Encoding: chunked\r\n\r\n2\r\ntw\r\n1\r\no\r\n0\r\n\r\n" },
          { .reply = "HTTP/1.1 204 No Content\r\n\r\n" },
          { .reply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" });
    assert_exchange(200, "one");
    assert_exchange(200, "two");
    assert_exchange(204, "");
    assert_exchange(200, "");
    assert_request(0, "GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:");
    end();
    assert_int_equal(script.connections, 1);
}

static void a_connection_closed_while_idle_is_opened_again(void **state)
{
    (void)state;
    BEGIN({ .reply = OK "Content-Length: 3\r\n\r\none", CLOSE },
          { .reply = OK "Content-Length: 3\r\n\r\ntwo", CLOSE });
    assert_exchange(200, "one");
    assert_exchange(200, "two");
    end();
    assert_int_equal(script.connections, 2);
}

/* The server closes only when the second request is there already. */
static void a_stale_connection_is_opened_again(void **state)
{
    (void)state;
    BEGIN({ .reply = OK "Content-Length: 3\r\n\r\none" }, { .reply = NULL, CLOSE },
          { .reply = OK "Content-Length: 3\r\n\r\ntwo" });
    assert_exchange(200, "one");
    assert_exchange(200, "two");
    end();
    assert_int_equal(script.connections, 2);
    assert_int_equal(script.requests, 3);
}

/* One that has begun to respond has had the request: it is not sent again. */
static void a_kept_connection_that_ends_within_a_head_is_an_error(void **state)
{
    (void)state;
    BEGIN({ .reply = OK "Content-Length: 3\r\n\r\none" }, { .reply = "HTTP/1.1 20", CLOSE },
          { .reply = OK "Content-Length: 5\r\n\r\nthree" });
    assert_exchange(200, "one");
    assert_fails(ERR_RETRY, "connection closed within the response head");
    assert_exchange(200, "three");
    end();
    assert_int_equal(script.connections, 2);
}

/* On a new connection the same is an error: the request may have had its effect. */
static void a_new_connection_closed_without_a_response_is_an_error(void **state)
{
    (void)state;
    BEGIN({ .reply = NULL, CLOSE }, { .reply = OK "\r\n" });
    assert_fails(ERR_RETRY, "connection closed before any response");
    assert_true(response.connected);
    assert_int_equal(response.status, 0);
    end();
    assert_int_equal(script.requests, 1);
}

static void some_responses_end_the_connection(void **state)
{
    (void)state;
    BEGIN({ .reply = OK "Connection: close\r\nContent-Length: 1\r\n\r\n1", AWAIT },
          { .reply = "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n2", AWAIT },
          { .reply = OK "\r\nuntil the end", CLOSE }, { .reply = OK "Content-Length: 1\r\n\r\n4" });
    assert_exchange(200, "1");
    assert_exchange(200, "2");
    assert_exchange(200, "until the end");
    assert_true(response.until_close && !response.has_length);
    assert_exchange(200, "4");
    end();
    assert_int_equal(script.connections, 4);
}

static void bytes_nobody_asked_for_end_the_connection(void **state)
{
    (void)state;
    BEGIN({ .reply = OK "Content-Length: 1\r\n\r\n1" OK "Content-Length: 5\r\n\r\nstale", AWAIT },
          { .reply = OK "Content-Length: 1\r\n\r\n2" });
    assert_exchange(200, "1");
    assert_exchange(200, "2");
    end();
    assert_int_equal(script.connections, 2);
}

static void a_refused_connection_is_an_error(void **state)
{
    (void)state;
    BEGIN({ .reply = OK "\r\n", CLOSE });
    assert_exchange(200, "");
    assert_true(flag_wait(&script.served, clock_deadline(30000)));
    shutdown(script.listener, SHUT_RDWR);
    struct flag sent;
    flag_init(&sent);
    request.sent = &sent;
    assert_fails(ERR_RETRY, "127.0.0.1");
    assert_false(response.connected || flag_is_raised(&sent));
    end();
}

static void a_unix_socket_may_stand_for_every_host(void **state)
{
    (void)state;
    char folder[] = "/tmp/test_http.XXXXXX";
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    BEGIN({ .reply = OK "Content-Length: 1\r\n\r\n1" });
    assert_non_null(mkdtemp(folder));
    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", folder);
    int local = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(local, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(local, 1), 0);
    net.unix_path = address.sun_path;
    request.url = slice_from("http://a.test/x");
    request.first_byte_ms = SOON_MS; /* nobody accepts there */
    assert_fails(ERR_TIMEOUT, "waiting for the response");
    int fd = accept(local, NULL, NULL);
    assert_true(fd >= 0 && read_request(fd, &script.records[1], false));
    assert_request(1, "GET /x HTTP/1.1\r\nHost: a.test\r\n");
    close(fd);
    close(local);
    unlink(address.sun_path);
    rmdir(folder);
    end();
}

/* --- requests --------------------------------------------------------------------------------- */

static void bodies_and_fields_are_sent(void **state)
{
    (void)state;
    const slice parts[] = { SLICE_LITERAL("ab"), SLICE_LITERAL(""), SLICE_LITERAL("c") };
    const struct http1_field fields[] = { { SLICE_LITERAL("X-One"), SLICE_LITERAL("1") },
                                          { SLICE_LITERAL("X-Two"), SLICE_LITERAL("") } };
    BEGIN({ .reply = OK "Content-Length: 0\r\n\r\n" }, { .reply = OK "Content-Length: 0\r\n\r\n" });
    request.method = "POST";
    request.body = parts;
    request.body_count = 3;
    request.fields = fields;
    request.field_count = 2;
    assert_exchange(200, "");
    request.body_count = 0;
    set_url("");
    assert_exchange(200, "");
    assert_request(0, "X-One: 1\r\nX-Two: \r\nContent-Length: 3\r\n\r\nabc");
    assert_request(1, "POST / HTTP/1.1\r\n");
    assert_request(1, "Content-Length: 0\r\n\r\n");
    end();
}

#define SOURCE_BYTES 5000011u

struct source {
    struct http_body_source source; /* first */
    uint64_t fails_at;
};

static int read_at(const struct http_body_source *self, uint64_t offset, void *bytes, size_t size,
                   struct err *error)
{
    const struct source *source = (const struct source *)(const void *)self;
    if (offset >= source->fails_at)
        return err_set(error, ERR_INPUT, "the file is gone");
    memset(bytes, 'x', size);
    return 0;
}

static void large_bodies_come_from_a_source(void **state)
{
    (void)state;
    struct source source = { { SOURCE_BYTES, read_at }, UINT64_MAX };
    BEGIN({ .reply = OK "Content-Length: 0\r\n\r\n" }, { .reply = NULL, AWAIT });
    request.method = "PUT";
    request.source = &source.source;
    assert_exchange(200, "");
    assert_int_equal(script.records[0].body_bytes, SOURCE_BYTES);
    source.fails_at = 100000;
    assert_fails(ERR_INPUT, "the file is gone");
    end();
}

/* The server closes with most of the body unread, which resets the connection. */
static void a_response_before_the_end_of_the_body_is_taken(void **state)
{
    (void)state;
    struct source source = { { 50u << 20, read_at }, UINT64_MAX };
    BEGIN({ .reply = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno", HEAD_ONLY },
          { .reply = OK "Content-Length: 0\r\n\r\n" });
    request.method = "PUT";
    request.source = &source.source;
    assert_exchange(413, "no");
    request.source = NULL;
    assert_exchange(200, "");
    end();
    assert_int_equal(script.connections, 2);
}

static void a_reset_within_the_body_is_an_error(void **state)
{
    (void)state;
    struct source source = { { 50u << 20, read_at }, UINT64_MAX };
    BEGIN({ .then = HEAD_ONLY });
    request.method = "PUT";
    request.source = &source.source;
    assert_fails(ERR_RETRY, "");
    assert_int_equal(response.status, 0);
    end();
}

static void what_cannot_be_sent_is_not_sent(void **state)
{
    (void)state;
    const slice parts[HTTP_BODY_PARTS_MAX + 1] = { { 0 } };
    const struct http1_field bad = { SLICE_LITERAL("X"), SLICE_LITERAL("a\r\nb: c") };
    BEGIN({ .reply = OK "\r\n" });
    request.fields = &bad;
    request.field_count = 1;
    assert_fails(ERR_INPUT, "field X");
    request.field_count = 0;
    request.body = parts;
    request.body_count = COUNT(parts);
    assert_fails(ERR_INPUT, "8 parts, over the limit of 7");
    request.body = NULL;
    request.body_count = 0;
    request.url = slice_from("ftp://127.0.0.1/");
    assert_fails(ERR_INPUT, "http");
    assert_false(response.connected);
    end();
    assert_int_equal(script.requests, 0);
}

static void a_head_request_has_no_body(void **state)
{
    (void)state;
    BEGIN({ .reply = OK "Content-Length: 1000000\r\n\r\n" },
          { .reply = OK "Content-Length: 1\r\n\r\n2" });
    request.method = "HEAD";
    assert_exchange(200, "");
    request.method = "GET";
    assert_exchange(200, "2");
    end();
    assert_int_equal(script.connections, 1);
}

/* --- responses -------------------------------------------------------------------------------- */

static void interim_responses_are_skipped(void **state)
{
    (void)state;
    BEGIN({ .reply = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" OK
                     "Content-Length: 1\r\n\r\n1" },
          { .reply = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", AWAIT });
    assert_exchange(200, "1");
    assert_fails(ERR_PEER, "switched protocols");
    end();
}

static void what_a_head_says_is_handed_on(void **state)
{
    (void)state;
    char etag[16], long_one[4], missing[4] = "x";
    struct http_capture captures[] = { { "ETag", etag, sizeof etag },
                                       { "X-Long", long_one, sizeof long_one },
                                       { "X-Missing", missing, sizeof missing } };
    BEGIN({ .reply = "HTTP/1.1 503 Busy\r\nETag: \"1\"\r\nX-Long: long\r\nRetry-After: 7\r\n"
                     "Content-Type: text/plain; charset=utf-8\r\nContent-Encoding: gzip\r\n"
                     "Content-Length: 2\r\n\r\nno" },
          { .reply = OK "Content-Encoding: identity\r\nContent-Length: 0\r\n\r\n" },
          { .reply = OK "Content-Encoding:\r\nContent-Length: 0\r\n\r\n" });
    request.captures = captures;
    request.capture_count = COUNT(captures);
    assert_exchange(503, "no");
    assert_string_equal(etag, "\"1\"");
    assert_string_equal(long_one, "");
    assert_string_equal(missing, "");
    assert_string_equal(response.content_type, "text/plain; charset=utf-8");
    assert_true(response.encoded && response.has_length && !response.until_close);
    assert_int_equal(response.length, 2);
    assert_true(response.has_retry_after);
    assert_int_equal(response.retry_after_ms, 7000);
    assert_exchange(200, "");
    assert_false(response.encoded || response.has_retry_after);
    assert_string_equal(response.content_type, "");
    assert_exchange(200, "");
    assert_false(response.encoded);
    end();
}

static const struct {
    const char *reply;
    int code;
    const char *text;
    int status;
} broken[] = {
    { "HTTP/1.1 20", ERR_RETRY, "connection closed within the response head", 0 },
    { "SSH-2.0-OpenSSH\r\n", ERR_PEER, "does not start with an HTTP/1.1 status line", 0 },
    { OK "Content-Length: 5\r\n\r\nabc", ERR_RETRY, "after 3 of 5 bytes", 200 },
    { OK "Transfer-Encoding: chunked\r\n\r\n5\r\nabc", ERR_RETRY, "within a chunked body", 200 },
    { OK "Transfer-Encoding: chunked\r\n\r\nx\r\n", ERR_PEER, "malformed chunked body", 200 },
    { OK "Content-Length: 1001\r\n\r\n", ERR_LIMIT, "1001 bytes is over the limit of 1000", 200 },
};

static void broken_responses_are_errors(void **state)
{
    (void)state;
    struct step steps[COUNT(broken)];
    for (size_t i = 0; i < COUNT(broken); i++)
        steps[i] = (struct step){ .reply = broken[i].reply, .then = CLOSE };
    begin_script(steps, COUNT(steps));
    for (size_t i = 0; i < COUNT(broken); i++) {
        assert_fails(broken[i].code, broken[i].text);
        assert_int_equal(response.status, broken[i].status);
    }
    end();
    assert_int_equal(script.connections, COUNT(broken));
}

static void heads_and_bodies_have_limits(void **state)
{
    (void)state;
    static char full[1200], over[1200], head[HTTP1_HEAD_MAX_BYTES + 100];
    char thousand[1001] = { 0 };
    memset(thousand, 'x', 1000);
    snprintf(full, sizeof full, OK "Transfer-Encoding: chunked\r\n\r\n3e8\r\n%s\r\n0\r\n\r\n",
             thousand);
    snprintf(over, sizeof over, OK "Transfer-Encoding: chunked\r\n\r\n3e9\r\n%sx\r\n0\r\n\r\n",
             thousand);
    memset(head, 'x', sizeof head - 1);
    memcpy(head, OK "X: ", sizeof OK + 2);
    const struct step steps[] = { { .reply = full },
                                  { .reply = over, AWAIT },
                                  { .reply = head, AWAIT } };
    begin_script(steps, COUNT(steps));
    assert_exchange(200, thousand);
    assert_fails(ERR_LIMIT, "test is larger than the limit of 1000 bytes");
    assert_int_equal(response.status, 200);
    assert_fails(ERR_LIMIT, "head is larger than");
    end();
}

/* Chunks larger than what is received at a time. */
static void large_chunked_bodies_are_read_whole(void **state)
{
    (void)state;
    enum { CHUNK_BYTES = 30011 };
    static char reply[2 * CHUNK_BYTES + 100];
    int len = snprintf(reply, sizeof reply, OK "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 2; i++) {
        len += snprintf(reply + len, sizeof reply - (size_t)len, "%x\r\n", CHUNK_BYTES);
        memset(reply + len, 'a' + i, CHUNK_BYTES);
        len += CHUNK_BYTES;
        len += snprintf(reply + len, sizeof reply - (size_t)len, "\r\n%s",
                        i == 1 ? "0\r\n\r\n" : "");
    }
    const struct step steps[] = { { .reply = reply }, { .reply = OK "Content-Length: 0\r\n\r\n" } };
    begin_script(steps, COUNT(steps));
    body.max = 2 * CHUNK_BYTES;
    assert_int_equal(exchange(), 0);
    assert_int_equal(body.len, 2 * CHUNK_BYTES);
    for (size_t i = 0; i < body.len; i++)
        assert_int_equal(body.ptr[i], i < CHUNK_BYTES ? 'a' : 'b');
    assert_exchange(200, "");
    end();
    assert_int_equal(script.connections, 1);
}

static void bodies_are_read_in_steps(void **state)
{
    (void)state;
    char bytes[4];
    BEGIN({ .reply = OK "Content-Length: 6\r\n\r\nabcdef" },
          { .reply = OK "Content-Length: 6\r\n\r\nghi", AWAIT },
          { .reply = OK "Content-Length: 1\r\n\r\n3" });
    assert_int_equal(http_open(client, &request, &response, &err), 0);
    assert_int_equal(http_read(client, bytes, 4, &err), 4);
    assert_memory_equal(bytes, "abcd", 4);
    assert_int_equal(http_read(client, bytes, 4, &err), 2);
    assert_int_equal(http_read(client, bytes, 4, &err), 0);
    http_end(client);
    assert_int_equal(http_open(client, &request, &response, &err), 0);
    assert_int_equal(http_read(client, bytes, 3, &err), 3);
    /* Nothing comes, and the body may still be read afterwards. */
    for (int i = 0; i < 2; i++)
        assert_int_equal(http_read_until(client, bytes, 3, clock_deadline(SOON_MS), &err),
                         ERR_TIMEOUT);
    http_end(client); /* in the middle: the connection is closed */
    assert_exchange(200, "3");
    end();
    assert_int_equal(script.connections, 2);
}

/* --- time-outs and wake-ups ------------------------------------------------------------------- */

static void every_phase_has_a_limit(void **state)
{
    (void)state;
    struct source source = { { 50u << 20, read_at }, UINT64_MAX };
    BEGIN({ .reply = NULL, AWAIT }, { .reply = OK "Content-Length: 2\r\n\r\n1", AWAIT },
          { .reply = OK "Content-Length: 2\r\n\r\n1", AWAIT });
    request.first_byte_ms = SOON_MS;
    assert_fails(ERR_TIMEOUT, "waiting for the response: timed out");
    request.first_byte_ms = 30000;
    request.idle_ms = SOON_MS;
    assert_fails(ERR_TIMEOUT, "timed out");
    assert_int_equal(response.status, 200);
    request.idle_ms = 0;
    request.body_ms = SOON_MS;
    assert_fails(ERR_TIMEOUT, "timed out");
    request.body_ms = 30000;
    request.send_ms = SOON_MS; /* the script is over: nobody reads */
    request.source = &source.source;
    assert_fails(ERR_TIMEOUT, "timed out");
    end();
}

/*
 * Wherever the request is then: on a slow machine it has not been sent, so that each gets a server
 * of its own, which may not have seen it. Without that limit there would be a response after 30 s.
 */
static void a_point_in_time_limits_every_phase(void **state)
{
    (void)state;
    static const struct step steps[] = { { NULL, STAY, OK "Content-Length: 1\r\n\r\n1", false },
                                         { OK "Content-Length: 2\r\n\r\n1", STAY, "2", false } };
    for (size_t i = 0; i < COUNT(steps); i++) {
        begin_script(&steps[i], 1);
        request.first_byte_ms = request.body_ms = request.idle_ms = 60000;
        request.until = clock_deadline(10 * SOON_MS);
        assert_fails(ERR_TIMEOUT, "timed out");
        end();
    }
}

static void a_wake_up_cancels_waiting(void **state)
{
    (void)state;
    BEGIN({ .reply = NULL, AWAIT, .wakes = true });
    request.wake = &script.wake;
    assert_fails(ERR_CANCELLED, "waiting for the response: cancelled");
    end();
}

/* Whatever comes of it then. */
static void a_request_that_was_sent_says_so(void **state)
{
    (void)state;
    struct flag sent;
    flag_init(&sent);
    BEGIN({ .reply = NULL, AWAIT, .wakes = true });
    request.wake = &script.wake;
    request.sent = &sent;
    assert_fails(ERR_CANCELLED, "waiting for the response: cancelled");
    assert_true(flag_is_raised(&sent));
    end();
}

static void a_response_that_has_begun_is_not_cancelled(void **state)
{
    (void)state;
    atomic_bool begun = false;
    BEGIN({ .reply = OK "Content-Length: 1\r\n\r\n", KEEP, "1", .wakes = true });
    request.wake = &script.wake;
    request.response_begun = &begun;
    assert_exchange(200, "1");
    assert_true(atomic_load(&begun));
    end();
}

static void a_wake_up_in_the_body_cancels_where_asked(void **state)
{
    (void)state;
    BEGIN({ .reply = OK "Content-Length: 2\r\n\r\n1", AWAIT, .wakes = true });
    request.wake = &script.wake;
    request.wake_in_body = true;
    assert_fails(ERR_CANCELLED, "cancelled");
    assert_int_equal(response.status, 200);
    end();
}

/*
 * The script waits for the end of our half before it answers. It has LIMIT_HALF_CLOSE_MS for that,
 * which a server's thread may sleep through on a slow machine: so it has several tries.
 */
static void a_half_closed_connection_still_brings_the_response(void **state)
{
    (void)state;
    static const struct step step = { NULL, AWAIT, OK "Content-Length: 1\r\n\r\n1", .wakes = true };
    int rc = ERR_CANCELLED;
    for (int tries = 0; rc == ERR_CANCELLED && tries < 50; tries++) {
        begin_script(&step, 1);
        request.wake = &script.wake;
        request.half_close_on_wake = true;
        rc = exchange();
        assert_true(rc != 0 || slice_is(buf_slice(&body), "1"));
        end();
    }
    assert_int_equal(rc, 0);
    assert_int_equal(response.status, 200);
}

static void a_half_closed_connection_without_a_response_is_cancelled(void **state)
{
    (void)state;
    BEGIN({ .reply = NULL, AWAIT, .wakes = true });
    request.wake = &script.wake;
    request.half_close_on_wake = true;
    assert_fails(ERR_CANCELLED, "cancelled");
    end();
}

/* --- redirects -------------------------------------------------------------------------------- */

static const struct {
    const char *method;
    const char *head;
    int rc;
    const char *text; /* of the error, or of the second request */
} redirects[] = {
    { "GET", "301 x\r\nLocation: /b", 0, "GET /b HTTP/1.1" },
    { "POST", "302 x\r\nLocation: ?q", 0, "POST /a?q HTTP/1.1" },
    { "PUT", "307 x\r\nLocation: b", 0, "PUT /b HTTP/1.1" },
    { "DELETE", "308 x\r\nLocation: ../b#c", 0, "DELETE /b HTTP/1.1" },
    { "GET", "303 x\r\nLocation: /b", 0, "GET /b HTTP/1.1" },
    { "GET", "301 x", ERR_PEER, "a redirect (301) without Location" },
    { "GET", "301 x\r\nLocation: http://other.test/", ERR_PEER, "another host or to http (http" },
    { "GET", "301 x\r\nLocation: //127.0.0.1:1/", ERR_PEER, "another host or to http (http" },
    { "GET", "301 x\r\nLocation: ftp://127.0.0.1/", ERR_PEER, "http" },
};

static void redirects_stay_on_the_host(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(redirects); i++) {
        char reply[256];
        snprintf(reply, sizeof reply, "HTTP/1.1 %s\r\nContent-Length: 4\r\n\r\ngone",
                 redirects[i].head);
        const struct step steps[] = { { .reply = reply },
                                      { .reply = OK "Content-Length: 2\r\n\r\nok" } };
        const slice part = SLICE_LITERAL("data");
        begin_script(steps, COUNT(steps));
        request.method = redirects[i].method;
        request.body = &part;
        request.body_count = 1;
        if (redirects[i].rc == 0) {
            assert_exchange(200, "ok");
            assert_request(1, redirects[i].text);
            assert_request(1, "\r\n\r\ndata");
        } else {
            assert_fails(redirects[i].rc, redirects[i].text);
            assert_int_equal(response.status, 301);
        }
        end();
        assert_int_equal(script.connections, 1);
    }
}

/* A redirect's short body is read, so that the connection goes on; a long one is left. */
static void a_redirects_long_body_ends_the_connection(void **state)
{
    (void)state;
    static char reply[LIMIT_REPLY_BYTES + 2000];
    const int sizes[] = { LIMIT_REPLY_BYTES - 1000, LIMIT_REPLY_BYTES + 1000 };
    for (unsigned i = 0; i < 2; i++) {
        int len = snprintf(reply, sizeof reply,
                           "HTTP/1.1 302 x\r\nLocation: /b\r\nContent-Length: %d\r\n\r\n",
                           sizes[i]);
        memset(reply + len, 'x', (size_t)sizes[i]);
        reply[len + sizes[i]] = '\0';
        const struct step steps[] = { { .reply = reply },
                                      { .reply = OK "Content-Length: 1\r\n\r\n1" } };
        begin_script(steps, COUNT(steps));
        assert_exchange(200, "1");
        end();
        assert_int_equal(script.connections, 1 + i);
    }
}

/* The same host may ask for https, at its usual port. */
static void a_redirect_to_https_is_followed_at_its_port(void **state)
{
    (void)state;
    BEGIN({ .reply = "HTTP/1.1 301 x\r\nLocation: https://127.0.0.1:444/\r\n\r\n", CLOSE },
          { .reply = "HTTP/1.1 301 x\r\nLocation: https://127.0.0.1/\r\n\r\n", CLOSE },
          { .reply = "HTTP/1.1 301 x\r\nLocation: https://127.0.0.2/\r\n\r\n", CLOSE });
    assert_fails(ERR_PEER, "another host or to http (https://127.0.0.1:444)");
    assert_fails(ERR_INPUT, "https to 127.0.0.1 is not possible"); /* followed, but without TLS */
    assert_fails(ERR_PEER, "another host or to http (https://127.0.0.2:443)");
    end();
}

static void redirects_are_handed_on_where_asked(void **state)
{
    (void)state;
    BEGIN({ .reply = "HTTP/1.1 302 x\r\nLocation: /b\r\nContent-Length: 4\r\n\r\nback" });
    request.keep_redirects = true;
    assert_exchange(302, "back");
    end();
}

static void other_statuses_are_not_followed(void **state)
{
    (void)state;
    BEGIN({ .reply = "HTTP/1.1 303 x\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n" },
          { .reply = "HTTP/1.1 304 x\r\nLocation: /b\r\n\r\n" });
    request.method = "POST";
    assert_exchange(303, "");
    request.method = "GET";
    assert_exchange(304, "");
    end();
}

static void redirects_end_somewhere(void **state)
{
    (void)state;
    struct step steps[LIMIT_REDIRECTS + 2];
    for (size_t i = 0; i < COUNT(steps); i++)
        steps[i] = (struct step){
            .reply = "HTTP/1.1 307 x\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n"
        };
    begin_script(steps, COUNT(steps));
    assert_fails(ERR_PEER, "more than 3 redirects");
    end();
    assert_int_equal(script.requests, 1 + LIMIT_REDIRECTS);
}

static void redirects_to_any_host_end_somewhere(void **state)
{
    (void)state;
    struct step steps[LIMIT_ANY_REDIRECTS + 2];
    for (size_t i = 0; i < COUNT(steps); i++)
        steps[i] = (struct step){
            .reply = "HTTP/1.1 307 x\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n"
        };
    begin_script(steps, COUNT(steps));
    request.follow_any_host = true;
    assert_fails(ERR_PEER, "more than 5 redirects");
    end();
    assert_int_equal(script.requests, 1 + LIMIT_ANY_REDIRECTS);
}

/* Fields for the origin go nowhere else, and come again where the way leads back. */
static void other_hosts_are_followed_where_asked(void **state)
{
    (void)state;
    const struct http1_field secret = { SLICE_LITERAL("Authorization"), SLICE_LITERAL("key") };
    const struct http1_field plain = { SLICE_LITERAL("X-Plain"), SLICE_LITERAL("1") };
    char away[128], back[128];
    struct step steps[] = { { .reply = away, CLOSE },
                            { .reply = back, CLOSE },
                            { .reply = OK "Content-Length: 0\r\n\r\n" } };
    begin_script(steps, COUNT(steps));
    snprintf(away, sizeof away, "HTTP/1.1 302 x\r\nLocation: http://localhost:%u/there\r\n\r\n",
             (unsigned)script.port);
    snprintf(back, sizeof back, "HTTP/1.1 302 x\r\nLocation: http://127.0.0.1:%u/home\r\n\r\n",
             (unsigned)script.port);
    request.fields = &plain;
    request.field_count = 1;
    request.origin_fields = &secret;
    request.origin_field_count = 1;
    request.follow_any_host = true;
    assert_exchange(200, "");
    assert_request(0, "Authorization: key");
    assert_request(1, "GET /there HTTP/1.1\r\nHost: localhost:");
    assert_request(1, "X-Plain: 1");
    assert_null(strstr(script.records[1].text, "Authorization"));
    assert_request(2, "GET /home HTTP/1.1\r\nHost: 127.0.0.1:");
    assert_request(2, "Authorization: key");
    end();
}

/* --- filters and proxies ---------------------------------------------------------------------- */

static int refuse(const struct address_filter *self, const struct address *address,
                  struct err *error)
{
    (void)self;
    (void)address;
    return err_set(error, ERR_INPUT, "not this address");
}

/* An open connection was not judged by it, so it is not used either. */
static void a_filter_judges_each_connection(void **state)
{
    (void)state;
    const struct address_filter filter = { refuse };
    BEGIN({ .reply = OK "Content-Length: 0\r\n\r\n" });
    assert_exchange(200, "");
    request.filter = &filter;
    assert_fails(ERR_INPUT, "not this address");
    end();
    assert_int_equal(script.requests, 1);
}

static char proxy[64];

static void use_proxy(void)
{
    snprintf(proxy, sizeof proxy, "http://u:p%%20@127.0.0.1:%u", (unsigned)script.port);
    net.proxy = (struct proxy_config){ .http_proxy = proxy, .https_proxy = proxy };
}

static void a_proxy_gets_whole_urls(void **state)
{
    (void)state;
    const struct address_filter filter = { refuse };
    BEGIN({ .reply = OK "Content-Length: 1\r\n\r\n1" },
          { .reply = OK "Content-Length: 1\r\n\r\n2", CLOSE },
          { .reply = OK "Content-Length: 1\r\n\r\n3" });
    use_proxy();
    request.url = slice_from("http://a.test:81/x?y");
    assert_exchange(200, "1");
    request.url = slice_from("http://a.test:81?y");
    assert_exchange(200, "2");
    assert_request(0, "GET http://a.test:81/x?y HTTP/1.1\r\nHost: a.test:81\r\n");
    assert_request(0, "Proxy-Authorization: Basic dTpwIA==\r\n");
    assert_request(1, "GET http://a.test:81/?y HTTP/1.1\r\n");
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", (unsigned)script.port);
    request.url = slice_from("http://[::1]:82/x");
    assert_exchange(200, "3");
    assert_request(2, "GET http://[::1]:82/x HTTP/1.1\r\nHost: [::1]:82\r\n");
    assert_null(strstr(script.records[2].text, "Proxy-Authorization"));
    request.filter = &filter;
    assert_fails(ERR_INPUT, "cannot be checked behind a proxy");
    end();
}

static void a_tunnel_that_is_refused_is_an_error(void **state)
{
    (void)state;
    BEGIN({ .reply = "HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", CLOSE },
          { .reply = "HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n", CLOSE },
          { .reply = "HTTP/1.1 200 OK\r\n\r\nSSH-2.0", CLOSE }, { .reply = NULL, CLOSE },
          { .reply = "HTTP/1.1 300 No\r\nContent-Length: 0\r\n\r\n", CLOSE });
    use_proxy();
    assert_int_equal(tls_context_new(&net.tls, NULL, &err), 0);
    request.url = slice_from("https://a.test/x?secret");
    assert_fails(ERR_RETRY, "the proxy answered 407 to CONNECT; give it user:password");
    assert_fails(ERR_RETRY, "the proxy answered 502 to CONNECT");
    assert_fails(ERR_PEER, "the proxy sent bytes before the tunnel was used");
    assert_fails(ERR_RETRY, "proxy 127.0.0.1:");
    request.url = slice_from("https://[::1]:444/");
    assert_fails(ERR_RETRY, "the proxy answered 300 to CONNECT");
    assert_request(4, "CONNECT [::1]:444 HTTP/1.1\r\nHost: [::1]:444\r\n");
    assert_request(0, "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n");
    assert_request(0, "Proxy-Authorization: Basic dTpwIA==\r\n");
    assert_null(strstr(script.records[0].text, "secret"));
    end();
    tls_context_free(net.tls);
}

/* --- peers that go too far -------------------------------------------------------------------- */

static void https_without_tls_settings_is_an_error(void **state)
{
    (void)state;
    BEGIN({ .reply = NULL, CLOSE });
    request.url = slice_from("https://127.0.0.1/");
    assert_fails(ERR_INPUT, "https to 127.0.0.1 is not possible");
    net.unix_path = "/nowhere";
    assert_fails(ERR_INPUT, "https is not possible over a Unix socket");
    assert_false(response.connected);
    end();
    assert_int_equal(script.connections, 0);
}

static void redirects_may_have_to_keep_their_origin(void **state)
{
    (void)state;
    BEGIN({ .reply = "HTTP/1.1 301 x\r\nLocation: https://127.0.0.1/\r\n\r\n", CLOSE },
          { .reply = "HTTP/1.1 301 x\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n" },
          { .reply = OK "Content-Length: 1\r\n\r\n1" });
    request.keep_origin = true;
    assert_fails(ERR_PEER, "redirected to another origin (https://127.0.0.1:443)");
    assert_exchange(200, "1");
    end();
}

#define INTERIM "HTTP/1.1 103 x\r\n\r\n"

static void interim_responses_are_counted(void **state)
{
    (void)state;
    char many[(LIMIT_INTERIM_RESPONSES + 1) * sizeof INTERIM + 100] = "", some[sizeof many] = "";
    for (int i = 0; i < LIMIT_INTERIM_RESPONSES; i++)
        strcat(some, INTERIM);
    snprintf(many, sizeof many, "%s%s%s", some, INTERIM, OK "Content-Length: 0\r\n\r\n");
    strcat(some, OK "Content-Length: 1\r\n\r\n1");
    struct step steps[] = { { .reply = some }, { .reply = some }, { .reply = many, CLOSE } };
    begin_script(steps, COUNT(steps));
    assert_exchange(200, "1");
    assert_exchange(200, "1");
    assert_fails(ERR_PEER, "more than 100 interim (1xx) responses");
    end();
}

/* Neither reads the body nor closes. What it has not read keeps the client's end from it, too. */
static void an_early_response_of_a_server_that_stays_is_taken(void **state)
{
    (void)state;
    struct source source = { { 50u << 20, read_at }, UINT64_MAX };
    char *large = calloc(1, 50u << 20);
    const slice part = { large, 50u << 20 };
    BEGIN({ .reply = INTERIM "HTTP/1.1 413 x\r\nContent-Length: 2\r\n\r\nno", STAY },
          { .reply = OK "Content-Length: 2\r\n\r\nhm", STAY },
          { .reply = OK "Content-Length: 0\r\n\r\n" });
    request.method = "PUT";
    request.source = &source.source;
    assert_exchange(413, "no");
    wake_signal(&script.wake);
    request.source = NULL;
    request.body = &part;
    request.body_count = 1;
    assert_exchange(200, "hm");
    wake_signal(&script.wake);
    request.body_count = 0;
    assert_exchange(200, "");
    end();
    assert_int_equal(script.connections, 3);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_is_used_again),
        cmocka_unit_test(a_connection_closed_while_idle_is_opened_again),
        cmocka_unit_test(a_stale_connection_is_opened_again),
        cmocka_unit_test(a_kept_connection_that_ends_within_a_head_is_an_error),
        cmocka_unit_test(a_new_connection_closed_without_a_response_is_an_error),
        cmocka_unit_test(some_responses_end_the_connection),
        cmocka_unit_test(bytes_nobody_asked_for_end_the_connection),
        cmocka_unit_test(a_refused_connection_is_an_error),
        cmocka_unit_test(a_unix_socket_may_stand_for_every_host),
        cmocka_unit_test(bodies_and_fields_are_sent),
        cmocka_unit_test(large_bodies_come_from_a_source),
        cmocka_unit_test(a_response_before_the_end_of_the_body_is_taken),
        cmocka_unit_test(a_reset_within_the_body_is_an_error),
        cmocka_unit_test(what_cannot_be_sent_is_not_sent),
        cmocka_unit_test(a_head_request_has_no_body),
        cmocka_unit_test(interim_responses_are_skipped),
        cmocka_unit_test(what_a_head_says_is_handed_on),
        cmocka_unit_test(broken_responses_are_errors),
        cmocka_unit_test(heads_and_bodies_have_limits),
        cmocka_unit_test(large_chunked_bodies_are_read_whole),
        cmocka_unit_test(bodies_are_read_in_steps),
        cmocka_unit_test(every_phase_has_a_limit),
        cmocka_unit_test(a_point_in_time_limits_every_phase),
        cmocka_unit_test(a_wake_up_cancels_waiting),
        cmocka_unit_test(a_request_that_was_sent_says_so),
        cmocka_unit_test(a_response_that_has_begun_is_not_cancelled),
        cmocka_unit_test(a_wake_up_in_the_body_cancels_where_asked),
        cmocka_unit_test(a_half_closed_connection_still_brings_the_response),
        cmocka_unit_test(a_half_closed_connection_without_a_response_is_cancelled),
        cmocka_unit_test(redirects_stay_on_the_host),
        cmocka_unit_test(a_redirects_long_body_ends_the_connection),
        cmocka_unit_test(a_redirect_to_https_is_followed_at_its_port),
        cmocka_unit_test(redirects_are_handed_on_where_asked),
        cmocka_unit_test(other_statuses_are_not_followed),
        cmocka_unit_test(redirects_end_somewhere),
        cmocka_unit_test(redirects_to_any_host_end_somewhere),
        cmocka_unit_test(other_hosts_are_followed_where_asked),
        cmocka_unit_test(a_filter_judges_each_connection),
        cmocka_unit_test(a_proxy_gets_whole_urls),
        cmocka_unit_test(a_tunnel_that_is_refused_is_an_error),
        cmocka_unit_test(https_without_tls_settings_is_an_error),
        cmocka_unit_test(redirects_may_have_to_keep_their_origin),
        cmocka_unit_test(interim_responses_are_counted),
        cmocka_unit_test(an_early_response_of_a_server_that_stays_is_taken),
    };
    return cmocka_run_group_tests_name("http_client", tests, NULL, NULL);
}
