/*
 * A response on the client's connection: whatever a server sends, in whatever pieces, reading its
 * head and body ends, and never brings more than was sent.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "connection.h"
#include "http/body.h"
#include "net/tcp.h"

#define INPUT_MAX 20000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_body(struct http_connection *connection, const struct http1_response *head,
                      deadline_ms deadline, size_t most, size_t piece)
{
    char bytes[512];
    struct http_body body;
    struct err err;
    size_t total = 0;
    ptrdiff_t count = 1;
    http_body_begin(&body, head, deadline, 1000);
    while (count > 0) {
        count = http_body_read(&body, connection, bytes, piece, DEADLINE_NEVER, &err);
        must(count <= (ptrdiff_t)piece && count != ERR_TIMEOUT);
        total += count > 0 ? (size_t)count : 0;
        must(total <= most);
    }
    must(count < 0 || http_body_has_ended(&body));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_connection connection;
    static const struct http_net net;
    int fds[2];
    struct err err;
    struct http1_response head;
    if (size < 1 || size > INPUT_MAX)
        return 0;
    size_t step = data[0] % 4 == 0 ? size : (size_t)(data[0] / 4) * 16 + 160;
    bool early = data[0] % 3 == 0;
    const deadline_ms deadline = clock_deadline(5000);
    must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
    fuzz_send(fds[0], data + 1, size - 1, step);
    http_connection_init(&connection, &net);
    must(tcp_adopt(&connection.stream, fds[1], &connection.wake, &err) == 0);
    int rc = early ? http_connection_look_for_head(&connection, deadline, &err) : 0;
    if (rc >= 0)
        rc = http_connection_read_head(
            &connection, false, (struct http_head_deadlines){ deadline, deadline }, &head, &err);
    must(rc <= 0 && rc != ERR_TIMEOUT);
    if (rc == 0) {
        must(head.status >= 200 && connection.interim_count <= LIMIT_INTERIM_RESPONSES);
        read_body(&connection, &head, deadline, size, 1 + data[0] % 511);
    }
    http_connection_close(&connection);
    close(fds[0]);
    return 0;
}
