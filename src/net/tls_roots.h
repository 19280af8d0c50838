/*
 * net/tls_roots.h - roots of trust: those built in, or those of SSL_CERT_FILE.
 *
 * Built-in roots are a digest of the name and a key each, in the compact form the build makes of
 * them: one after the other, all numbers big-endian:
 *
 *   u32 tls_name_digest of the subject | u8 kind | key
 *   kind 1, RSA: u16 length, modulus | u8 length, exponent
 *   kind 2, EC:  u8 curve (BearSSL's BR_EC_ number) | u16 length, point
 *
 * The name only picks the keys to try, so 4 bytes do for its 104: it is the signature that counts.
 * Their dates and constraints are not looked at: the distribution's set of root certificates, which
 * the build reads, decides which roots are good. Roots of SSL_CERT_FILE are whole certificates in
 * DER, one after the other, and everything in them counts: dates, path length, purposes, names.
 *
 * Walking over all of them is cheap (some microseconds), happens once a full handshake, and picks
 * the one or two that can matter. So nothing decoded is kept, and nothing needs a lock.
 */
#ifndef NET_TLS_ROOTS_H
#define NET_TLS_ROOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bearssl.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "net/tls_der.h"

#define TLS_ROOTS_RSA 1
#define TLS_ROOTS_EC 2

#define TLS_BUNDLE_FILE_BYTES (8u << 20) /* largest SSL_CERT_FILE: ten times the usual bundle */

/* Built in: made from the distribution's root certificates (vendor/roots.c). */
extern const unsigned char tls_roots_blob[];
extern const size_t tls_roots_blob_len;
extern const unsigned tls_roots_count;

struct tls_roots {
    slice blob;       /* valid for as long as the roots are used */
    bool from_a_file; /* SSL_CERT_FILE: certificates; else the compact form */
};

/* One root of trust. It points into the blob. */
struct tls_anchor {
    bool from_a_file;                   /* decides what is filled in */
    uint32_t name_digest;               /* built in: tls_name_digest of the subject */
    br_x509_pkey key;                   /* built in; BearSSL only reads what it points to */
    struct der_certificate certificate; /* of SSL_CERT_FILE */
};

/* Takes the next root off the front of the blob. False at the end, and where the rest is broken. */
bool tls_roots_next(struct tls_roots *roots, struct tls_anchor *anchor);

/*
 * Appends the certificates of a PEM file to the blob, which grows by less than the file's size.
 * Sections "CERTIFICATE", "X509 CERTIFICATE" and "TRUSTED CERTIFICATE" count; the last kind is left
 * out where its trust settings exclude servers. Other sections are skipped, and so are certificates
 * that are malformed or have a key that cannot be used. A byte order mark, carriage returns and
 * blanks at the ends of lines do no harm. ERR_CONFIG, naming SSL_CERT_FILE and the path, where the
 * file cannot be read, is larger than TLS_BUNDLE_FILE_BYTES, is broken PEM, or holds no usable
 * certificate. Blocks on the file.
 */
int tls_bundle_load(struct buf *blob, const char *path, struct err *err);

#endif
