/*
 * net/tls_path.h - finds a path of certificates from a server's to a root of trust, and checks it.
 *
 * Path building goes back and tries the next issuer where one does not do: servers send their chain
 * in disorder, with strangers, and with two versions of an intermediate. What a certificate on the
 * path must satisfy (RFC 5280, section 6, as far as a TLS client needs it):
 *
 *   all           signature, dates, no unknown critical extension, key of 2048 bits or a NIST curve
 *   authorities   CA, keyCertSign, path length (self-issued ones do not count), purpose includes
 *                 servers, name constraints over everything below them
 *   the server's  the host as a DNS name or address in subjectAltName (RFC 9525: a common name does
 *                 not count), purpose includes servers, digitalSignature where there is a key usage
 *
 * A root of SSL_CERT_FILE is checked like any other authority, except for its own signature; it may
 * be an intermediate. A certificate of that file is also trusted as a server's own, byte for byte.
 * Built-in roots are trusted as they are. Revocation is not checked.
 *
 * The work is bounded whatever a server sends: TLS_PATH_SIGNATURES signature checks, TLS_PATH_STEPS
 * candidates, TLS_PATH_NAME_CHECKS comparisons with name constraints.
 */
#ifndef NET_TLS_PATH_H
#define NET_TLS_PATH_H

#include <stdbool.h>
#include <stdint.h>

#include "net/tls_der.h"
#include "net/tls_roots.h"

#define TLS_CHAIN_CERTIFICATES 48 /* kept of what a server sends; usually 2 to 4 */
#define TLS_PATH_ANCHORS 32       /* roots that bear the name of an issuer in the chain */
#define TLS_PATH_DEPTH 12         /* certificates on a path, without the root */
#define TLS_PATH_SIGNATURES 64    /* 2 to 200 ms of CPU, by the kind of key */
#define TLS_PATH_STEPS 2000
#define TLS_PATH_NAME_CHECKS 100000

/* Reasons for a refusal that BearSSL has no number for; it gives the others (BR_ERR_X509_...). */
enum tls_path_refusal {
    TLS_PATH_NAMES_FORBIDDEN = 128, /* name constraints exclude a name of a certificate */
    TLS_PATH_NO_SIGNING,            /* the server's key may not sign, by its key usage */
    TLS_PATH_TOO_MUCH_WORK,         /* a limit of the search was reached */
};

/* Whom the certificate must be for. */
struct tls_peer {
    const char *host; /* DNS name without a dot at its end, or an address; not empty; linked */
    unsigned char address[16]; /* its bytes where host is an IP address */
    size_t address_bytes;      /* 4, 16, or 0 for a name */
};

/* What is checked, and how far the check came. */
struct tls_path {
    const struct tls_peer *peer;
    struct tls_roots roots;
    int64_t now; /* seconds since 1970, UTC */

    /* Of the path that came furthest, where the chain was refused: */
    struct der_certificate certificates[TLS_PATH_DEPTH + 1]; /* the server's own first */
    size_t count;           /* of them; 0 where the server's certificate cannot be read */
    size_t at_fault;        /* which one the reason is about */
    bool issuer_name_known; /* a root bears the name of an issuer on the path */
};

/*
 * Checks a chain: bytes of `count` certificates, at least 1, the server's own first. The first four
 * fields of path are the caller's. Returns 0, or a BR_ERR_X509_ number or enum tls_path_refusal.
 * *usages gets BearSSL's usages of the server's key, which points into the chain.
 * Allocates 33 KB for as long as it takes.
 */
unsigned tls_path_check(struct tls_path *path, const slice *chain, size_t count, br_x509_pkey *key,
                        unsigned *usages);

#endif
