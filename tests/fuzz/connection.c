#include "connection.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/server_private.h"

/* --- one connection --------------------------------------------------------------------------- */

void fuzz_send(int fd, const uint8_t *data, size_t size, size_t step)
{
    for (size_t at = 0; at < size; at += step) {
        size_t len = size - at < step ? size - at : step;
        must(send(fd, data + at, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len);
    }
    shutdown(fd, SHUT_WR);
}

static void leave(struct server_connection *connection)
{
    (void)connection;
}

static void serve(const struct server_setting *setting, int fd, bool refused)
{
    struct err err;
    struct wake stopping;
    atomic_bool stops = false;
    struct server_memory memory = { .max_bytes = 0 };
    must(wake_init(&stopping, &err) == 0);
    struct server_connection *connection = calloc(1, sizeof *connection);
    must(connection != NULL);
    connection->setting = setting;
    connection->stopping = &stopping;
    connection->stopped = &stops;
    connection->fd = fd;
    connection->refused = refused;
    connection->memory = &memory;
    connection->leave = leave;
    server_connection_run(connection);
    free(connection);
    wake_free(&stopping);
}

struct reader {
    int fd;
    char *out;
    size_t size, len;
};

/* Beside the server, which would else wait for room in the socket. */
static void *read_all(void *argument)
{
    struct reader *reader = argument;
    ssize_t count = 1;
    while (count > 0 && reader->len < reader->size) {
        count = recv(reader->fd, reader->out + reader->len, reader->size - reader->len, 0);
        reader->len += count > 0 ? (size_t)count : 0;
    }
    must(reader->len < reader->size);
    return NULL;
}

size_t fuzz_serve(const struct server_setting *setting, bool refused, const uint8_t *data,
                  size_t size, size_t step, char *out, size_t out_size)
{
    int fds[2];
    pthread_t thread;
    must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
    struct reader reader = { .fd = fds[0], .out = out, .size = out_size };
    fuzz_send(fds[0], data, size, step);
    must(pthread_create(&thread, NULL, read_all, &reader) == 0);
    serve(setting, fds[1], refused);
    pthread_join(thread, NULL);
    close(fds[0]);
    return reader.len;
}

/* --- responses -------------------------------------------------------------------------------- */

/* Puts a chunked body together in place. Returns the size of it all; *whole: it has its end. */
static size_t join_chunks(slice text, slice *body, bool *whole)
{
    struct http1_chunks chunks = { 0 };
    char *to = (char *)(uintptr_t)text.ptr; /* the target's own buffer */
    size_t at = 0;
    *body = (slice){ to, 0 };
    while (at < text.len && !chunks.done) {
        slice data;
        ptrdiff_t used = http1_chunks_feed(&chunks, text.ptr + at, text.len - at, &data, NULL);
        must(used > 0);
        memmove(to + body->len, data.ptr, data.len);
        body->len += data.len;
        at += (size_t)used;
    }
    *whole = chunks.done;
    return at;
}

/* After a head: another response, or the body. No body of the handlers begins like a response. */
static size_t read_body(const struct http1_response *response, slice rest, slice *body, bool *whole)
{
    *body = (slice){ rest.ptr, 0 };
    *whole = false;
    if (rest.len == 0 || (rest.len > 5 && memcmp(rest.ptr, "HTTP/", 5) == 0))
        return 0;
    if (response->body == HTTP1_BODY_CHUNKED)
        return join_chunks(rest, body, whole);
    body->len = response->body == HTTP1_BODY_CLOSE ? rest.len : (size_t)response->content_length;
    must(body->len <= rest.len);
    *whole = response->body != HTTP1_BODY_CLOSE;
    return body->len;
}

void fuzz_check_responses(slice out,
                          void (*look)(const struct http1_response *response, slice body))
{
    while (out.len > 0) {
        struct http1_response response;
        slice body;
        bool whole;
        ptrdiff_t head = http1_parse_response(out.ptr, out.len, false, &response, NULL);
        must(head > 0);
        must(response.status == 100 || response.status >= 200);
        out = slice_skip(out, (size_t)head);
        size_t size = read_body(&response, out, &body, &whole);
        if (whole && look != NULL)
            look(&response, body);
        out = slice_skip(out, size);
    }
}
