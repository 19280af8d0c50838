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
#define TLS_MAX_RSA_BYTES 512 /* 4096 bits: BearSSL's largest */

/*
 * Of several ways to compute RSA the smallest: with 64-bit products it would save 35 us a check.
 * Most of a handshake's time goes to P-256 and Curve25519, which are 64-bit arithmetic.
 */
#define TLS_RSA_VERIFY br_rsa_i31_pkcs1_vrfy
#define TLS_EC (&curves_ec)
#define TLS_ECDSA_VERIFY br_ecdsa_i31_vrfy_asn1

extern const br_ec_impl curves_ec; /* vendor/curves.c: a stand-in for br_ec_all_m31 */

/* Fills in versions, suites, hashes and ciphers of a zeroed client; not its X.509 engine. */
void tls_crypto_client(br_ssl_client_context *client);

#endif
