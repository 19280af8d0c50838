/*
 * The relay: whatever a server answers, in whatever pieces, the client gets one well-formed
 * response at most, which is whole or ends with the connection. Nothing of the server's bytes
 * becomes a second one.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "http/relay.h"
#include "http/server_private.h"
#include "must.h"

#define INPUT_MAX \
    60000 /* so that all of the response fits into the socket: nobody reads meanwhile */
#define OUTPUT_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- the server: one answer a connection ------------------------------------------------------ */

static struct {
    int listener;
    char path[64];
    pthread_mutex_t lock;
    uint8_t answer[INPUT_MAX]; /* a copy: a connection given up may still be served */
    size_t size, step;
} server = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void hear_request(int fd)
{
    static const char end[] = "\r\n\r\n";
    char c;
    for (size_t matched = 0; matched < 4 && recv(fd, &c, 1, 0) == 1;)
        matched = c == end[matched] ? matched + 1 : c == '\r';
}

static void *serve_all(void *unused)
{
    (void)unused;
    for (;;) {
        int fd = accept(server.listener, NULL, NULL);
        must(fd >= 0);
        hear_request(fd);
        pthread_mutex_lock(&server.lock);
        for (size_t at = 0; at < server.size; at += server.step) {
            size_t len = server.size - at < server.step ? server.size - at : server.step;
            if (send(fd, server.answer + at, len, MSG_NOSIGNAL) < 0)
                break;
        }
        pthread_mutex_unlock(&server.lock);
        close(fd);
    }
    return NULL;
}

static void start_server(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    pthread_t thread;
    snprintf(server.path, sizeof server.path, "/tmp/fuzz-relay-%d", (int)getpid());
    memcpy(address.sun_path, server.path, sizeof server.path);
    server.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unlink(server.path);
    must(bind(server.listener, (struct sockaddr *)&address, sizeof address) == 0);
    must(listen(server.listener, 16) == 0);
    must(pthread_create(&thread, NULL, serve_all, NULL) == 0);
}

/* --- the relay -------------------------------------------------------------------------------- */

static struct relay_setting setting;

static void handle(struct server_exchange *exchange, void *owner)
{
    struct err err = { 0 };
    struct relay *relay;
    struct relay_result result;
    (void)owner;
    must(relay_new(&relay, &setting, &err) == 0);
    int rc = relay_pass(relay, exchange, &result, &err);
    if (rc != 0 && !result.client_left && result.status == 0)
        server_respond_error(exchange, 502, slice_from(err.text), NULL, 0, NULL);
    relay_free(relay);
}

#define CHUNKED \
    "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"

static const char *const requests[] = {
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
    CHUNKED "5\r\nhello\r\n0\r\n\r\n",
};

static void leave(struct server_connection *connection)
{
    (void)connection;
}

static void run_connection(int fd)
{
    struct err err;
    struct wake stopping;
    struct server_memory memory = { .max_bytes = 0 };
    static const struct server_setting server_setting = { .relay = handle, .connections_max = 1 };
    must(wake_init(&stopping, &err) == 0);
    struct server_connection *connection = calloc(1, sizeof *connection);
    must(connection != NULL);
    connection->setting = &server_setting;
    connection->stopping = &stopping;
    connection->fd = fd;
    connection->memory = &memory;
    connection->leave = leave;
    server_connection_run(connection);
    free(connection);
    wake_free(&stopping);
}

/* --- what the client gets --------------------------------------------------------------------- */

static void check_chunks(slice body)
{
    struct http1_chunks chunks = { 0 };
    while (body.len > 0) {
        slice data;
        ptrdiff_t used = http1_chunks_feed(&chunks, body.ptr, body.len, &data, NULL);
        must(used > 0); /* well-formed, and nothing behind the end */
        body = slice_skip(body, (size_t)used);
    }
}

static void check_response(slice out, bool to_head)
{
    struct http1_response response;
    ptrdiff_t head = http1_parse_response(out.ptr, out.len, to_head, &response, NULL);
    must(head > 0 && response.status >= 200);
    slice body = slice_skip(out, (size_t)head);
    if (response.body == HTTP1_BODY_CHUNKED)
        check_chunks(body);
    else if (response.body == HTTP1_BODY_LENGTH)
        must(body.len <= response.content_length);
    else if (response.body == HTTP1_BODY_NONE)
        must(body.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char out[OUTPUT_MAX];
    static bool started;
    size_t len = 0;
    ssize_t count;
    int fds[2];
    if (size < 1 || size > INPUT_MAX)
        return 0;
    if (!started)
        start_server();
    started = true;
    setting = (struct relay_setting){ .net.unix_path = server.path,
                                      .url = { .host = SLICE_LITERAL("a"), .port = 80 } };
    const char *request = requests[data[0] % 5];
    pthread_mutex_lock(&server.lock);
    memcpy(server.answer, data + 1, size - 1);
    server.size = size - 1;
    server.step = data[0] < 128 ? size : (size_t)(data[0] - 127) * 8;
    pthread_mutex_unlock(&server.lock);
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    must(send(fds[0], request, strlen(request), 0) == (ssize_t)strlen(request));
    run_connection(fds[1]);
    while (len < sizeof out && (count = recv(fds[0], out + len, sizeof out - len, 0)) > 0)
        len += (size_t)count;
    check_response((slice){ out, len }, data[0] % 5 == 1);
    close(fds[0]);
    return 0;
}
