#include "net/digest.h"

#include <bearssl.h>
#include <string.h>

_Static_assert(sizeof(br_sha256_context) <= sizeof(struct digest), "a digest holds BearSSL's");

static br_sha256_context *context_of(struct digest *digest)
{
    return (br_sha256_context *)(void *)digest;
}

void digest_begin(struct digest *digest)
{
    br_sha256_init(context_of(digest));
}

void digest_add(struct digest *digest, const void *bytes, size_t size)
{
    br_sha256_update(context_of(digest), bytes, size);
}

void digest_get(const struct digest *digest, uint8_t hash[DIGEST_BYTES])
{
    br_sha256_out((const br_sha256_context *)(const void *)digest, hash);
}

void digest_of(slice text, uint8_t hash[DIGEST_BYTES])
{
    struct digest digest;
    digest_begin(&digest);
    digest_add(&digest, text.ptr, text.len);
    digest_get(&digest, hash);
}

void digest_hmac(const void *key, size_t key_size, slice text, uint8_t mac[DIGEST_BYTES])
{
    br_hmac_key_context prepared;
    br_hmac_context context;
    br_hmac_key_init(&prepared, &br_sha256_vtable, key, key_size);
    br_hmac_init(&context, &prepared, 0);
    br_hmac_update(&context, text.ptr, text.len);
    br_hmac_out(&context, mac);
    explicit_bzero(&prepared, sizeof prepared);
    explicit_bzero(&context, sizeof context);
}

void digest_hex(const uint8_t hash[DIGEST_BYTES], char hex[DIGEST_HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        hex[2 * i] = digits[hash[i] >> 4];
        hex[2 * i + 1] = digits[hash[i] & 15];
    }
    hex[DIGEST_HEX_BYTES - 1] = '\0';
}
