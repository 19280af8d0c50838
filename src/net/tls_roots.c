#include "net/tls_roots.h"

#include <stdint.h>

/* Takes a big-endian number of `size` bytes. */
static bool take_number(slice *from, size_t size, size_t *number)
{
    if (from->len < size)
        return false;
    *number = 0;
    for (size_t i = 0; i < size; i++)
        *number = *number << 8 | (unsigned char)from->ptr[i];
    *from = slice_skip(*from, size);
    return true;
}

/* BearSSL's pointers are not const, though it only reads what an anchor points to. */
static bool take_counted(slice *from, size_t count_size, unsigned char **bytes, size_t *count)
{
    if (!take_number(from, count_size, count) || from->len < *count)
        return false;
    *bytes = (unsigned char *)(uintptr_t)from->ptr;
    *from = slice_skip(*from, *count);
    return true;
}

static bool take_key(slice *from, size_t kind, br_x509_pkey *key)
{
    size_t curve;
    switch (kind) {
    case TLS_ROOTS_RSA:
        key->key_type = BR_KEYTYPE_RSA;
        return take_counted(from, 2, &key->key.rsa.n, &key->key.rsa.nlen) &&
               take_counted(from, 1, &key->key.rsa.e, &key->key.rsa.elen);
    case TLS_ROOTS_EC:
        key->key_type = BR_KEYTYPE_EC;
        if (!take_number(from, 1, &curve))
            return false;
        key->key.ec.curve = (int)curve;
        return take_counted(from, 2, &key->key.ec.q, &key->key.ec.qlen);
    default: return false;
    }
}

static bool next_certificate(slice *blob, struct tls_anchor *anchor)
{
    if (!der_certificate(*blob, &anchor->certificate))
        return false;
    *blob = slice_skip(*blob, anchor->certificate.whole.len);
    return true;
}

bool tls_roots_next(struct tls_roots *roots, struct tls_anchor *anchor)
{
    slice rest = roots->blob;
    size_t digest, kind;
    anchor->from_a_file = roots->from_a_file;
    if (roots->from_a_file)
        return next_certificate(&roots->blob, anchor);
    if (!take_number(&rest, 4, &digest) || !take_number(&rest, 1, &kind) ||
        !take_key(&rest, kind, &anchor->key))
        return false;
    anchor->name_digest = (uint32_t)digest;
    roots->blob = rest;
    return true;
}
