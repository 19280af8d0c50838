#include "tls_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFERED_MAX (64u << 20)

static struct tls_server *server_of(struct transport *transport)
{
    return (struct tls_server *)(void *)transport;
}

static void keep(struct buf *buf, const void *bytes, size_t count)
{
    struct err err;
    if (buf_add(buf, bytes, count, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
}

/* Takes out of the engine what it has, plain bytes and records. */
static void drain(struct tls_server *server)
{
    br_ssl_engine_context *engine = &server->server.eng;
    const unsigned char *bytes;
    size_t count;
    for (bool more = true; more;) {
        more = false;
        if ((bytes = br_ssl_engine_recvapp_buf(engine, &count)) != NULL) {
            keep(&server->received, bytes, count);
            br_ssl_engine_recvapp_ack(engine, count);
            more = true;
        }
        if ((bytes = br_ssl_engine_sendrec_buf(engine, &count)) != NULL) {
            keep(&server->outgoing, bytes, count);
            br_ssl_engine_sendrec_ack(engine, count);
            more = true;
        }
    }
}

static void take(struct tls_server *server, slice bytes)
{
    while (bytes.len > 0) {
        size_t room;
        unsigned char *into = br_ssl_engine_recvrec_buf(&server->server.eng, &room);
        if (into == NULL)
            return; /* it has failed, or the client has ended TLS: nobody listens */
        size_t count = bytes.len < room ? bytes.len : room;
        memcpy(into, bytes.ptr, count);
        br_ssl_engine_recvrec_ack(&server->server.eng, count);
        bytes = slice_skip(bytes, count);
        drain(server);
    }
}

static bool fails(struct tls_server *server)
{
    return ++server->calls == server->fail_at;
}

static int server_write(struct transport *self, const slice *parts, size_t count,
                        deadline_ms deadline, struct err *err)
{
    (void)deadline;
    struct tls_server *server = server_of(self);
    server->writes++;
    if (fails(server))
        return err_set(err, ERR_CANCELLED, "made to fail");
    for (size_t i = 0; i < count; i++)
        take(server, parts[i]);
    return 0;
}

static ptrdiff_t server_write_some(struct transport *self, const slice *parts, size_t count,
                                   bool yields, deadline_ms deadline, struct err *err)
{
    const size_t most = yields ? server_of(self)->write_most : 0;
    slice part = parts[0];
    if (most != 0 && part.len > most)
        part.len = most;
    int rc = count == 0 ? 0 : server_write(self, &part, 1, deadline, err);
    return rc == 0 ? (ptrdiff_t)part.len : rc;
}

static ptrdiff_t server_read(struct transport *self, void *bytes, size_t size, deadline_ms deadline,
                             struct err *err)
{
    (void)deadline;
    struct tls_server *server = server_of(self);
    size_t count = server->outgoing.len - server->outgoing_done;
    if (fails(server))
        return err_set(err, ERR_CANCELLED, "made to fail");
    if (server->cut_after != 0 && count > server->cut_after - server->bytes_to_client)
        count = server->cut_after - server->bytes_to_client;
    if (count == 0)
        return server->cut ? 0 : err_set(err, ERR_TIMEOUT, "timed out");
    count = count < size ? count : size;
    if (server->read_most != 0 && count > server->read_most)
        count = server->read_most;
    unsigned char *into = bytes;
    memcpy(into, server->outgoing.ptr + server->outgoing_done, count);
    size_t wrong = server->corrupt_at - 1 - server->bytes_to_client;
    if (server->corrupt_at > server->bytes_to_client && wrong < count)
        into[wrong] ^= 0x10;
    server->outgoing_done += count;
    server->bytes_to_client += count;
    return (ptrdiff_t)count;
}

static bool server_usable(struct transport *self)
{
    struct tls_server *server = server_of(self);
    return server->outgoing_done == server->outgoing.len && !server->cut;
}

static void server_close(struct transport *self)
{
    server_of(self)->closed = true;
}

static const struct transport_ops server_ops = {
    .read = server_read,
    .write = server_write,
    .write_some = server_write_some,
    .usable = server_usable,
    .close = server_close,
};

void tls_server_init(struct tls_server *server, const struct certificate_spec *spec,
                     const struct certificate_spec *issuer, br_ssl_session_cache_lru *cache)
{
    memset(server, 0, sizeof *server);
    server->transport.ops = &server_ops;
    buf_init(&server->received, BUFFERED_MAX, "received");
    buf_init(&server->outgoing, BUFFERED_MAX, "outgoing");
    server->chain[0].data = server->certificates[0];
    server->chain[0].data_len = certificate_make(server->certificates[0], spec).len;
    if (issuer != NULL) {
        server->chain[1].data = server->certificates[1];
        server->chain[1].data_len = certificate_make(server->certificates[1], issuer).len;
    }
    br_ssl_server_init_full_ec(&server->server, server->chain, issuer != NULL ? 2 : 1,
                               BR_KEYTYPE_EC, &spec->key->private);
    br_ssl_engine_set_buffer(&server->server.eng, server->buffer, sizeof server->buffer, 1);
    if (cache != NULL)
        br_ssl_server_set_cache(&server->server, &cache->vtable);
    br_ssl_server_reset(&server->server);
}

void tls_server_free(struct tls_server *server)
{
    buf_free(&server->received);
    buf_free(&server->outgoing);
}

void tls_server_send(struct tls_server *server, const void *bytes, size_t count)
{
    br_ssl_engine_context *engine = &server->server.eng;
    const unsigned char *from = bytes;
    while (count > 0) {
        size_t room;
        unsigned char *into = br_ssl_engine_sendapp_buf(engine, &room);
        if (into == NULL) {
            fprintf(stderr, "the server cannot send\n");
            abort();
        }
        room = room < count ? room : count;
        memcpy(into, from, room);
        br_ssl_engine_sendapp_ack(engine, room);
        br_ssl_engine_flush(engine, 0);
        drain(server);
        from += room;
        count -= room;
    }
}

void tls_server_end(struct tls_server *server)
{
    br_ssl_engine_close(&server->server.eng);
    drain(server);
}

void tls_server_send_raw(struct tls_server *server, const void *bytes, size_t count)
{
    keep(&server->outgoing, bytes, count);
}

/* Writes what the engine has made. False once nobody reads it. */
static bool pass_on(struct tls_server *server, int fd)
{
    size_t done = 0;
    drain(server);
    while (done < server->outgoing.len) {
        ssize_t count = send(fd, server->outgoing.ptr + done, server->outgoing.len - done,
                             MSG_NOSIGNAL);
        if (count < 0)
            return false;
        done += (size_t)count;
    }
    buf_clear(&server->outgoing);
    return true;
}

void tls_server_flood(struct tls_server *server, int fd)
{
    br_ssl_engine_context *engine = &server->server.eng;
    char bytes[4096];
    while ((br_ssl_engine_current_state(engine) & BR_SSL_SENDAPP) == 0) {
        ssize_t count = read(fd, bytes, sizeof bytes);
        if (count <= 0)
            return;
        take(server, (slice){ bytes, (size_t)count });
        if (!pass_on(server, fd))
            return;
    }
    do {
        br_ssl_engine_flush(engine, 1);
    } while (pass_on(server, fd));
}

bool tls_server_was_ended(const struct tls_server *server)
{
    return br_ssl_engine_current_state(&server->server.eng) == BR_SSL_CLOSED &&
           br_ssl_engine_last_error(&server->server.eng) == BR_ERR_OK;
}
