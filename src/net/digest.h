/*
 * net/digest.h - SHA-256 and HMAC-SHA-256 (FIPS 180-4, RFC 2104), over BearSSL. Pure: no
 * allocation, no I/O; a struct digest belongs to one thread at a time.
 */
#ifndef NET_DIGEST_H
#define NET_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define DIGEST_BYTES 32
#define DIGEST_HEX_BYTES 65 /* 64 lower-case hexadecimal digits and NUL */

/* A SHA-256 over data that comes in pieces. */
struct digest {
    uint64_t state[16]; /* private to digest.c */
};

void digest_begin(struct digest *digest);
void digest_add(struct digest *digest, const void *bytes, size_t size);

/* The hash of all that was added; more may be added afterwards. */
void digest_get(const struct digest *digest, uint8_t hash[DIGEST_BYTES]);

/* A hash of one piece. */
void digest_of(slice text, uint8_t hash[DIGEST_BYTES]);

/* The message authentication code of text under a key of any size; mac may overwrite the key. */
void digest_hmac(const void *key, size_t key_size, slice text, uint8_t mac[DIGEST_BYTES]);

/* hash in hexadecimal. */
void digest_hex(const uint8_t hash[DIGEST_BYTES], char hex[DIGEST_HEX_BYTES]);

#endif
