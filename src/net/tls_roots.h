/*
 * net/tls_roots.h - roots of trust, kept in the compact form the build makes of them.
 *
 * The blob is one anchor after the other, all numbers big-endian:
 *
 *   u16 length, subject name (DER) | u8 kind | key
 *   kind 1, RSA: u16 length, modulus | u8 length, exponent
 *   kind 2, EC:  u8 curve (BearSSL's BR_EC_ number) | u16 length, point
 *
 * TLS_ROOTS_PINNED added to the kind marks a certificate of SSL_CERT_FILE that is not a CA's: it
 * vouches for itself alone, as a server's certificate. The blob built in has none of those.
 *
 * Walking the blob is cheap (a few hundred hops), happens once a full handshake, and picks the
 * one or two anchors that can matter. So there is no decoded copy to keep and none to lock.
 */
#ifndef NET_TLS_ROOTS_H
#define NET_TLS_ROOTS_H

#include <stdbool.h>
#include <stddef.h>

#include <bearssl.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

#define TLS_ROOTS_RSA 1
#define TLS_ROOTS_EC 2
#define TLS_ROOTS_PINNED 0x80

#define TLS_BUNDLE_FILE_BYTES (8u << 20) /* largest SSL_CERT_FILE: ten times the usual bundle */

/* Built in: made from the distribution's root certificates (vendor/roots.c). */
extern const unsigned char tls_roots_blob[];
extern const size_t tls_roots_blob_len;
extern const unsigned tls_roots_count;

struct tls_roots {
    slice blob;       /* valid for as long as the roots are used */
    bool from_a_file; /* SSL_CERT_FILE, not built in: for the texts of errors */
};

/*
 * Takes the next anchor off the front of *blob. It points into the blob, which BearSSL only
 * reads. False at the end, and where the rest is no whole anchor.
 */
bool tls_roots_next(slice *blob, br_x509_trust_anchor *anchor);

/*
 * Appends an anchor for every certificate of a PEM file to the blob, which grows by less than the
 * file's size. Sections that are no
 * certificates are passed over, so are certificates with keys BearSSL cannot use. ERR_CONFIG,
 * naming SSL_CERT_FILE and the path, where the file cannot be read, is larger than
 * TLS_BUNDLE_FILE_BYTES, is broken PEM, or holds no usable certificate. Blocks on the file.
 */
int tls_bundle_load(struct buf *blob, const char *path, struct err *err);

#endif
