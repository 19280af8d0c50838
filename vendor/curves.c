/*
 * P-256 and Curve25519 for BearSSL, in 64-bit arithmetic: a br_ec_impl over the field and group
 * operations that the ring package carries. The field arithmetic is fiat-crypto's, generated from
 * proofs in Coq; P-256's group operations (BoringSSL's) were transcribed to Coq and proven there.
 * Nothing here is arithmetic of our own: this file decodes and encodes points and calls those.
 * Secrets are handled in constant time. Other curves are BearSSL's own (ec_prime_i31).
 *
 * Measured on an AMD EPYC: to check a P-256 signature takes 265 us (BearSSL's 31-bit code: 640, and
 * 410 at -O3), a product on Curve25519 29 us (103, 63). It costs 8 KB.
 */
#define OPENSSL_NO_ASM 1
#define OPENSSL_SMALL 1
#ifndef NDEBUG
#define NDEBUG 1 /* as ring releases itself: its assertions bring stdio and texts, 2 KB */
#endif
#define CRYPTO_memcmp memcmp /* called by Ed25519 alone, which is not used */

#include <stdint.h>
#include <string.h>

#include <bearssl.h>

#include <crypto/curve25519/curve25519.c>
#include <crypto/fipsmodule/ec/p256.c>

#define FIELD_BYTES 32
#define POINT_BYTES 65 /* 0x04, x, y: big-endian */
#define SUPPORTED_CURVES \
    (1u << BR_EC_secp256r1 | 1u << BR_EC_secp384r1 | 1u << BR_EC_secp521r1 | 1u << BR_EC_curve25519)

extern const br_ec_impl curves_ec; /* for src/net/tls_crypto.h */

/* --- P-256: field elements are in Montgomery's domain, words from the least to the most --- */

typedef Limb felem[P256_LIMBS];
typedef Limb jacobian[3][P256_LIMBS];

/* Modulus p and coefficient b (SEC 2, section 2.4.2); 2^512 modulo p, to enter the domain. */
static const unsigned char modulus[FIELD_BYTES] = {
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
};
static const unsigned char coefficient_b[FIELD_BYTES] = {
    0x5a, 0xc6, 0x35, 0xd8, 0xaa, 0x3a, 0x93, 0xe7, 0xb3, 0xeb, 0xbd, 0x55, 0x76, 0x98, 0x86, 0xbc,
    0x65, 0x1d, 0x06, 0xb0, 0xcc, 0x53, 0xb0, 0xf6, 0x3b, 0xce, 0x3c, 0x3e, 0x27, 0xd2, 0x60, 0x4b,
};
static const felem domain = { 0x0000000000000003, 0xfffffffbffffffff, 0xfffffffffffffffe,
                              0x00000004fffffffd };
static const felem one = { 1 };

static void read_words(felem words, const unsigned char bytes[FIELD_BYTES])
{
    memset(words, 0, sizeof(felem));
    for (size_t i = 0; i < FIELD_BYTES; i++)
        words[P256_LIMBS - 1 - i / 8] = words[P256_LIMBS - 1 - i / 8] << 8 | bytes[i];
}

static void write_words(unsigned char bytes[FIELD_BYTES], const felem words)
{
    for (size_t i = 0; i < FIELD_BYTES; i++)
        bytes[i] = (unsigned char)(words[P256_LIMBS - 1 - i / 8] >> (8 * (7 - i % 8)));
}

static void read_field(felem out, const unsigned char bytes[FIELD_BYTES])
{
    felem words;
    read_words(words, bytes);
    p256_mul_mont(out, words, domain);
}

static void write_field(unsigned char bytes[FIELD_BYTES], const felem in)
{
    felem words;
    p256_mul_mont(words, in, one);
    write_words(bytes, words);
}

/* z^(p-2), by Fermat's little theorem: the exponent is public. */
static void invert(felem out, const felem z)
{
    felem result;
    unsigned char exponent[FIELD_BYTES];
    memcpy(exponent, modulus, sizeof exponent);
    exponent[FIELD_BYTES - 1] = (unsigned char)(exponent[FIELD_BYTES - 1] - 2);
    memcpy(result, z, sizeof result); /* the highest bit */
    for (size_t bit = 1; bit < 8 * FIELD_BYTES; bit++) {
        p256_sqr_mont(result, result);
        if ((exponent[bit / 8] >> (7 - bit % 8) & 1) != 0)
            p256_mul_mont(result, result, z);
    }
    memcpy(out, result, sizeof result);
}

/* y^2 = x^3 - 3x + b */
static int is_on_curve(const felem x, const felem y)
{
    felem left, right, b;
    read_field(b, coefficient_b);
    p256_sqr_mont(left, y);
    p256_sqr_mont(right, x);
    p256_mul_mont(right, right, x);
    for (int i = 0; i < 3; i++)
        fiat_p256_sub(right, right, x);
    fiat_p256_add(right, right, b);
    return memcmp(left, right, sizeof left) == 0;
}

/* Points that come from outside are public. */
static int read_point(felem x, felem y, const unsigned char *point, size_t len)
{
    if (len != POINT_BYTES || point[0] != 0x04 || memcmp(point + 1, modulus, FIELD_BYTES) >= 0 ||
        memcmp(point + 1 + FIELD_BYTES, modulus, FIELD_BYTES) >= 0)
        return 0;
    read_field(x, point + 1);
    read_field(y, point + 1 + FIELD_BYTES);
    return is_on_curve(x, y);
}

/* 0 for the point at infinity, which has no encoding. */
static uint32_t write_point(unsigned char point[POINT_BYTES], jacobian p)
{
    felem inverse, square, x, y;
    invert(inverse, p[2]);
    p256_sqr_mont(square, inverse);
    p256_mul_mont(x, p[0], square);
    p256_mul_mont(y, p[1], square);
    p256_mul_mont(y, y, inverse);
    point[0] = 0x04;
    write_field(point + 1, x);
    write_field(point + 1 + FIELD_BYTES, y);
    return (p[2][0] | p[2][1] | p[2][2] | p[2][3]) != 0;
}

/* A multiplier is big-endian; leading zeros may be left out. */
static void read_scalar(felem scalar, const unsigned char *bytes, size_t len)
{
    unsigned char whole[FIELD_BYTES] = { 0 };
    memcpy(whole + sizeof whole - len, bytes, len);
    read_words(scalar, whole);
    explicit_bzero(whole, sizeof whole);
}

static uint32_t p256_mul(unsigned char *point, size_t len, const unsigned char *x, size_t x_len)
{
    felem at_x, at_y, scalar;
    jacobian product;
    if (x_len > FIELD_BYTES || !read_point(at_x, at_y, point, len))
        return 0;
    read_scalar(scalar, x, x_len);
    p256_point_mul(product, scalar, at_x, at_y);
    explicit_bzero(scalar, sizeof scalar);
    return write_point(point, product);
}

static size_t p256_mulgen(unsigned char *point, const unsigned char *x, size_t x_len)
{
    felem scalar;
    jacobian product;
    if (x_len > FIELD_BYTES)
        return 0;
    read_scalar(scalar, x, x_len);
    p256_point_mul_base(product, scalar);
    explicit_bzero(scalar, sizeof scalar);
    return write_point(point, product) != 0 ? POINT_BYTES : 0;
}

/* A becomes x*A + y*B; where B is NULL the generator stands for it. For signatures: all public. */
static uint32_t p256_muladd(unsigned char *a, const unsigned char *b, size_t len,
                            const unsigned char *x, size_t x_len, const unsigned char *y,
                            size_t y_len)
{
    felem at_x, at_y, scalar;
    jacobian left, right;
    if (x_len > FIELD_BYTES || y_len > FIELD_BYTES || !read_point(at_x, at_y, a, len))
        return 0;
    read_scalar(scalar, x, x_len);
    p256_point_mul(left, scalar, at_x, at_y);
    read_scalar(scalar, y, y_len);
    if (b == NULL)
        p256_point_mul_base(right, scalar);
    else if (read_point(at_x, at_y, b, len))
        p256_point_mul(right, scalar, at_x, at_y);
    else
        return 0;
    p256_point_add(left, left, right);
    return write_point(a, left);
}

/* --- Curve25519 (RFC 7748): multipliers are little-endian --- */

static uint32_t c25519_mul(unsigned char *point, size_t len, const unsigned char *x, size_t x_len)
{
    uint8_t scalar[FIELD_BYTES] = { 0 }, product[FIELD_BYTES];
    if (len != FIELD_BYTES || x_len > FIELD_BYTES)
        return 0;
    memcpy(scalar, x, x_len);
    x25519_sc_mask(scalar);
    x25519_scalar_mult_generic_masked(product, scalar, point);
    memcpy(point, product, sizeof product);
    explicit_bzero(scalar, sizeof scalar);
    return 1;
}

static size_t c25519_mulgen(unsigned char *point, const unsigned char *x, size_t x_len)
{
    memset(point, 0, FIELD_BYTES);
    point[0] = 9;
    return c25519_mul(point, FIELD_BYTES, x, x_len) != 0 ? FIELD_BYTES : 0;
}

/* --- by curve --- */

/* Curve25519's generator and order, big-endian as BearSSL has the order (RFC 7748, section 4.1). */
static const unsigned char c25519_generator[FIELD_BYTES] = { 9 };
static const unsigned char c25519_order[FIELD_BYTES] = {
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
};

static const unsigned char *generator(int curve, size_t *len)
{
    if (curve != BR_EC_curve25519)
        return br_ec_prime_i31.generator(curve, len);
    *len = FIELD_BYTES;
    return c25519_generator;
}

static const unsigned char *order(int curve, size_t *len)
{
    if (curve != BR_EC_curve25519)
        return br_ec_prime_i31.order(curve, len);
    *len = FIELD_BYTES;
    return c25519_order;
}

static size_t x_offset(int curve, size_t *len)
{
    if (curve != BR_EC_curve25519)
        return br_ec_prime_i31.xoff(curve, len);
    *len = FIELD_BYTES;
    return 0;
}

static uint32_t mul(unsigned char *point, size_t len, const unsigned char *x, size_t x_len,
                    int curve)
{
    switch (curve) {
    case BR_EC_secp256r1: return p256_mul(point, len, x, x_len);
    case BR_EC_curve25519: return c25519_mul(point, len, x, x_len);
    default: return br_ec_prime_i31.mul(point, len, x, x_len, curve);
    }
}

static size_t mulgen(unsigned char *point, const unsigned char *x, size_t x_len, int curve)
{
    switch (curve) {
    case BR_EC_secp256r1: return p256_mulgen(point, x, x_len);
    case BR_EC_curve25519: return c25519_mulgen(point, x, x_len);
    default: return br_ec_prime_i31.mulgen(point, x, x_len, curve);
    }
}

static uint32_t muladd(unsigned char *a, const unsigned char *b, size_t len, const unsigned char *x,
                       size_t x_len, const unsigned char *y, size_t y_len, int curve)
{
    switch (curve) {
    case BR_EC_secp256r1: return p256_muladd(a, b, len, x, x_len, y, y_len);
    case BR_EC_curve25519: return 0; /* nothing is signed with it */
    default: return br_ec_prime_i31.muladd(a, b, len, x, x_len, y, y_len, curve);
    }
}

const br_ec_impl curves_ec = {
    .supported_curves = SUPPORTED_CURVES,
    .generator = generator,
    .order = order,
    .xoff = x_offset,
    .mul = mul,
    .mulgen = mulgen,
    .muladd = muladd,
};
