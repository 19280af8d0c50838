/*
 * tests/unit/tls_server.h - a TLS server in memory, behind the transport that a client is given.
 *
 * What the client writes runs through BearSSL's server at once; what that answers waits to be
 * read. Nothing blocks: a read with nothing to give is ERR_TIMEOUT. Knobs make it misbehave.
 */
#ifndef TESTS_UNIT_TLS_SERVER_H
#define TESTS_UNIT_TLS_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include <bearssl.h>

#include "base/buf.h"
#include "certificate.h"
#include "net/transport.h"

struct tls_server {
    struct transport transport; /* what the client reads and writes */
    br_ssl_server_context server;
    br_x509_certificate chain[2];
    unsigned char certificates[2][CERTIFICATE_BYTES];
    unsigned char buffer[BR_SSL_BUFSIZE_BIDI];
    struct buf received; /* plain bytes from the client */
    struct buf outgoing; /* records for the client, not yet read */
    size_t outgoing_done;

    size_t read_most;  /* knob: bytes a read gives at most; 0: no limit */
    size_t write_most; /* knob: bytes a write that yields takes at most; 0: no limit */
    size_t fail_at;    /* knob: this read or write, counted from 1, fails with ERR_CANCELLED */
    size_t corrupt_at; /* knob: this byte to the client, counted from 1, has a wrong bit */
    bool cut;          /* knob: the stream ends where nothing is left to read... */
    size_t cut_after;  /* knob: ...or after so many bytes; 0: no such limit */
    size_t calls;      /* reads and writes so far */
    size_t writes;     /* writes so far */
    size_t bytes_to_client;
    bool closed; /* the client has closed the transport */
};

/*
 * Makes a server with a certificate of these specs; `issuer` is its issuer's, sent after it, or
 * NULL. The cache, which may be NULL, is linked. Free with tls_server_free.
 */
void tls_server_init(struct tls_server *server, const struct certificate_spec *spec,
                     const struct certificate_spec *issuer, br_ssl_session_cache_lru *cache);
void tls_server_free(struct tls_server *server);

/* Has the server send plain bytes. */
void tls_server_send(struct tls_server *server, const void *bytes, size_t count);

/* Has it send close_notify. */
void tls_server_end(struct tls_server *server);

/* Has raw bytes on their way to the client, whatever they are. */
void tls_server_send_raw(struct tls_server *server, const void *bytes, size_t count);

/*
 * Talks over a connected socket instead, on a thread of its own: the handshake, and then records
 * without a byte of data, as fast as they are taken, until the client has closed its end.
 */
void tls_server_flood(struct tls_server *server, int fd);

/* True where the client has ended TLS by close_notify. */
bool tls_server_was_ended(const struct tls_server *server);

#endif
