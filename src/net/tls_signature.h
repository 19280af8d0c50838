/*
 * net/tls_signature.h - keys and signatures of certificates, by BearSSL's primitives. Pure.
 *
 * Accepted: RSA PKCS#1 v1.5 of 2048 to 4096 bits, ECDSA on P-256, P-384 and P-521, each with
 * SHA-256, SHA-384 or SHA-512.
 */
#ifndef NET_TLS_SIGNATURE_H
#define NET_TLS_SIGNATURE_H

#include <bearssl.h>

#include "net/tls_der.h"

/*
 * Reads a certificate's public key. *key points into the certificate. Returns 0, or
 * BR_ERR_X509_UNSUPPORTED (another kind of key or curve), BR_ERR_X509_INVALID_VALUE (malformed),
 * BR_ERR_X509_WEAK_PUBLIC_KEY or BR_ERR_X509_LIMIT_EXCEEDED (an RSA key too short or too long).
 */
unsigned tls_signature_key(const struct der_certificate *certificate, br_x509_pkey *key);

/*
 * Checks that the key made the certificate's signature. Returns 0, or BR_ERR_X509_UNSUPPORTED,
 * BR_ERR_X509_WRONG_KEY_TYPE, BR_ERR_X509_BAD_SIGNATURE. Costs up to a few milliseconds.
 */
unsigned tls_signature_check(const struct der_certificate *certificate, const br_x509_pkey *key);

/* True where the signature algorithm is one that tls_signature_check accepts. */
bool tls_signature_is_known(slice signature_oid);

#endif
