/*
 * net/tls_verify.h - checks a server's certificates, and says in words what is wrong with them.
 *
 * This is an X.509 engine in BearSSL's sense (a vtable first in a context) around BearSSL's own
 * "minimal" engine. It gathers the whole chain first, then gives the minimal engine only those
 * anchors whose name occurs in it, and adds what that engine does not do:
 *
 *   - a host that is an IP address must be in the certificate as an address (RFC 9110, 4.3.5);
 *   - a name must be in subjectAltName; a common name alone does not count (RFC 9525, 6.3);
 *   - extKeyUsage, where there is one, must allow a TLS server (RFC 5280, 4.2.1.12);
 *   - the first fault becomes a text with names and dates.
 *
 * A wildcard stands for exactly the leftmost label of a name. Revocation is not checked.
 * Memory: the chain, for as long as the check takes. A context belongs to one thread.
 */
#ifndef NET_TLS_VERIFY_H
#define NET_TLS_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#include <bearssl.h>

#include "base/buf.h"
#include "base/err.h"
#include "net/tls_roots.h"

#define TLS_CHAIN_BYTES (64u * 1024u) /* all certificates a server sends; usually 3 to 6 KB */
#define TLS_CHAIN_CERTIFICATES 10     /* those after the tenth are not looked at */

/* Whom the certificate must be for. */
struct tls_peer {
    const char *host; /* DNS name without a dot at its end, or an address; not empty; linked */
    unsigned char address[16]; /* its bytes where host is an IP address */
    size_t address_bytes;      /* 4, 16, or 0 for a name */
};

/* Sees whether host, which is linked, is an IPv4 or IPv6 address as text. */
void tls_peer_init(struct tls_peer *peer, const char *host);

struct tls_verify {
    const br_x509_class *vtable; /* first: BearSSL calls through a pointer to it */
    struct tls_peer peer;
    struct tls_roots roots;
    int64_t now;                         /* seconds since 1970, UTC: when the check takes place */
    struct buf chain;                    /* the certificates, one after the other */
    size_t ends[TLS_CHAIN_CERTIFICATES]; /* of each, within chain */
    size_t count;                        /* certificates kept */
    struct err err;                      /* set where the chain was refused: for people */
    br_x509_minimal_context minimal;     /* holds the server's key afterwards */
};

/* Prepares a check. The host's text and the blob of the roots are linked until it is freed. */
void tls_verify_init(struct tls_verify *verify, const struct tls_peer *peer,
                     const struct tls_roots *roots, int64_t now);

/* Frees what is left of the chain. */
void tls_verify_free(struct tls_verify *verify);

#endif
