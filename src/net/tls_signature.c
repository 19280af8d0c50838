#include "net/tls_signature.h"

#include "net/tls_crypto.h"

#define OID_RSA SLICE_LITERAL("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01")
#define OID_EC SLICE_LITERAL("\x2a\x86\x48\xce\x3d\x02\x01")
#define POINT_UNCOMPRESSED 0x04

/* The hash's own OID with its length in front, as PKCS#1 v1.5 signatures hold it. */
static const struct {
    slice oid;
    unsigned char key_type;
    const br_hash_class *hash;
    const unsigned char *hash_oid;
} algorithms[] = {
    { SLICE_LITERAL("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b"), BR_KEYTYPE_RSA, &br_sha256_vtable,
      BR_HASH_OID_SHA256 },
    { SLICE_LITERAL("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c"), BR_KEYTYPE_RSA, &br_sha384_vtable,
      BR_HASH_OID_SHA384 },
    { SLICE_LITERAL("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d"), BR_KEYTYPE_RSA, &br_sha512_vtable,
      BR_HASH_OID_SHA512 },
    { SLICE_LITERAL("\x2a\x86\x48\xce\x3d\x04\x03\x02"), BR_KEYTYPE_EC, &br_sha256_vtable, NULL },
    { SLICE_LITERAL("\x2a\x86\x48\xce\x3d\x04\x03\x03"), BR_KEYTYPE_EC, &br_sha384_vtable, NULL },
    { SLICE_LITERAL("\x2a\x86\x48\xce\x3d\x04\x03\x04"), BR_KEYTYPE_EC, &br_sha512_vtable, NULL },
};
#define ALGORITHMS (sizeof algorithms / sizeof *algorithms)

static const struct {
    slice parameters;
    int curve;
    size_t point_bytes;
} curves[] = {
    { SLICE_LITERAL("\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"), BR_EC_secp256r1, 65 },
    { SLICE_LITERAL("\x06\x05\x2b\x81\x04\x00\x22"), BR_EC_secp384r1, 97 },
    { SLICE_LITERAL("\x06\x05\x2b\x81\x04\x00\x23"), BR_EC_secp521r1, 133 },
};

/* BearSSL's pointers are not const, though it only reads what a public key points to. */
static unsigned char *bytes_of(slice bytes)
{
    return (unsigned char *)(uintptr_t)bytes.ptr;
}

static unsigned read_rsa(slice bits, br_rsa_public_key *key)
{
    slice numbers, modulus, exponent;
    if (!der_expect(&bits, DER_SEQUENCE, &numbers) || bits.len > 0 ||
        !der_expect_unsigned(&numbers, &modulus) || !der_expect_unsigned(&numbers, &exponent) ||
        numbers.len > 0)
        return BR_ERR_X509_INVALID_VALUE;
    if (modulus.len < TLS_MIN_RSA_BYTES)
        return BR_ERR_X509_WEAK_PUBLIC_KEY;
    if (modulus.len > TLS_MAX_RSA_BYTES || exponent.len > modulus.len)
        return BR_ERR_X509_LIMIT_EXCEEDED;
    *key = (br_rsa_public_key){ bytes_of(modulus), modulus.len, bytes_of(exponent), exponent.len };
    return 0;
}

static unsigned read_ec(slice parameters, slice bits, br_ec_public_key *key)
{
    for (size_t i = 0; i < sizeof curves / sizeof *curves; i++) {
        if (!slice_equal(parameters, curves[i].parameters))
            continue;
        if (bits.len != curves[i].point_bytes || bits.ptr[0] != POINT_UNCOMPRESSED)
            return BR_ERR_X509_INVALID_VALUE;
        *key = (br_ec_public_key){ curves[i].curve, bytes_of(bits), bits.len };
        return 0;
    }
    return BR_ERR_X509_UNSUPPORTED;
}

unsigned tls_signature_key(const struct der_certificate *certificate, br_x509_pkey *key)
{
    if (slice_equal(certificate->key_oid, OID_RSA)) {
        key->key_type = BR_KEYTYPE_RSA;
        return read_rsa(certificate->key_bits, &key->key.rsa);
    }
    if (slice_equal(certificate->key_oid, OID_EC)) {
        key->key_type = BR_KEYTYPE_EC;
        return read_ec(certificate->key_parameters, certificate->key_bits, &key->key.ec);
    }
    return BR_ERR_X509_UNSUPPORTED;
}

static size_t find_algorithm(slice oid)
{
    size_t i = 0;
    while (i < ALGORITHMS && !slice_equal(oid, algorithms[i].oid))
        i++;
    return i;
}

bool tls_signature_is_known(slice signature_oid)
{
    return find_algorithm(signature_oid) < ALGORITHMS;
}

static bool check_rsa(slice signature, const br_rsa_public_key *key, const unsigned char *hash_oid,
                      const unsigned char *hash, size_t hash_bytes)
{
    unsigned char signed_hash[64];
    return TLS_RSA_VERIFY((const unsigned char *)signature.ptr, signature.len, hash_oid, hash_bytes,
                          key, signed_hash) != 0 &&
           memcmp(signed_hash, hash, hash_bytes) == 0;
}

unsigned tls_signature_check(const struct der_certificate *certificate, const br_x509_pkey *key)
{
    size_t i = find_algorithm(certificate->signature_oid);
    if (i == ALGORITHMS)
        return BR_ERR_X509_UNSUPPORTED;
    if (key->key_type != algorithms[i].key_type)
        return BR_ERR_X509_WRONG_KEY_TYPE;
    br_hash_compat_context context;
    unsigned char hash[64];
    const br_hash_class *class = algorithms[i].hash;
    size_t hash_bytes = class->desc >> BR_HASHDESC_OUT_OFF & BR_HASHDESC_OUT_MASK;
    class->init(&context.vtable);
    class->update(&context.vtable, certificate->tbs.ptr, certificate->tbs.len);
    class->out(&context.vtable, hash);
    slice signature = certificate->signature;
    bool good = key->key_type == BR_KEYTYPE_RSA
                    ? check_rsa(signature, &key->key.rsa, algorithms[i].hash_oid, hash, hash_bytes)
                    : TLS_ECDSA_VERIFY(TLS_EC, hash, hash_bytes, &key->key.ec, signature.ptr,
                                       signature.len) != 0;
    return good ? 0 : BR_ERR_X509_BAD_SIGNATURE;
}
