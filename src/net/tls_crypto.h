/*
 * net/tls_crypto.h - which of BearSSL's algorithms are used, and which implementation of each.
 *
 * BearSSL links only what is named, so this list is also what TLS costs in the binary: no CBC, no
 * CCM, no DES, no TLS before 1.2, no server. On x86-64 the implementation is chosen by what the
 * processor can do; elsewhere portable constant-time code runs. All functions are pure set-up.
 */
#ifndef NET_TLS_CRYPTO_H
#define NET_TLS_CRYPTO_H

#include <bearssl.h>

#define TLS_MIN_RSA_BYTES 256 /* 2048 bits: the least that public authorities may sign */

/* Fills in versions, suites, hashes and ciphers of a zeroed client; not its X.509 engine. */
void tls_crypto_client(br_ssl_client_context *client);

/* Makes a chain checker over these anchors, which are linked in, not copied. */
void tls_crypto_chain(br_x509_minimal_context *chain, const br_x509_trust_anchor *anchors,
                      size_t count);

#endif
