/*
 * net/tls_verify.h - checks a server's certificates, and explains in words what is wrong with them.
 *
 * This is an X.509 engine in BearSSL's sense (a vtable first in a context): it gathers the chain
 * during the handshake and has net/tls_path.h check it at the end. The reason for a refusal becomes
 * a text with names and dates.
 *
 * Memory: the chain, until tls_verify_free. A context belongs to one thread.
 */
#ifndef NET_TLS_VERIFY_H
#define NET_TLS_VERIFY_H

#include <stdint.h>

#include <bearssl.h>

#include "base/buf.h"
#include "base/err.h"
#include "net/tls_path.h"
#include "net/tls_roots.h"

#define TLS_CHAIN_BYTES (64u * 1024u) /* all certificates a server sends; usually 3 to 6 KB */

/* Fills in peer; recognizes IPv4 and IPv6 addresses. host is linked. */
void tls_peer_init(struct tls_peer *peer, const char *host);

struct tls_verify {
    const br_x509_class *vtable; /* first: BearSSL calls through a pointer to it */
    struct tls_peer peer;
    struct tls_roots roots;
    int64_t now;                         /* seconds since 1970, UTC: when the check takes place */
    struct buf chain;                    /* the certificates, one after the other */
    size_t ends[TLS_CHAIN_CERTIFICATES]; /* of each, within chain */
    size_t count;                        /* certificates kept; those beyond the last are ignored */
    struct err err;                      /* set where the chain was refused: for people */
    br_x509_pkey key;                    /* the server's, where it was not; points into chain */
    unsigned usages;
};

/* Prepares a check. The host's text and the blob of the roots are linked until it is freed. */
void tls_verify_init(struct tls_verify *verify, const struct tls_peer *peer,
                     const struct tls_roots *roots, int64_t now);

/* Frees the chain, which the server's key points into. */
void tls_verify_free(struct tls_verify *verify);

#endif
