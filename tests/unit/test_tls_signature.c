/* net/tls_signature: the keys that certificates may have, and whose signature is checked how. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "certificate.h"
#include "net/tls_crypto.h"
#include "net/tls_signature.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define S(text) SLICE_LITERAL(text)
#define OID_RSA S("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01")
#define OID_EC S("\x2a\x86\x48\xce\x3d\x02\x01")
#define P256 S("\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07")
#define P384 S("\x06\x05\x2b\x81\x04\x00\x22")
#define P521 S("\x06\x05\x2b\x81\x04\x00\x23")
#define SECP256K1 S("\x06\x05\x2b\x81\x04\x00\x0a")

/* --- RSA -------------------------------------------------------------------------------------- */

static size_t put_number(unsigned char *to, size_t bytes)
{
    const unsigned char head[] = { 0x02, 0x82, (unsigned char)(bytes >> 8), (unsigned char)bytes };
    memcpy(to, head, sizeof head);
    memset(to + sizeof head, 0x55, bytes);
    return sizeof head + bytes;
}

/* What becomes of a key with numbers of so many bytes, and more behind them or behind it all. */
static unsigned read_rsa(size_t modulus, size_t exponent, size_t inside, size_t behind,
                         br_x509_pkey *key)
{
    static unsigned char bytes[4096];
    size_t len = 4;
    len += put_number(bytes + len, modulus);
    len += put_number(bytes + len, exponent);
    memset(bytes + len, 0, 2);
    len += inside;
    const unsigned char head[] = { 0x30, 0x82, (unsigned char)((len - 4) >> 8),
                                   (unsigned char)(len - 4) };
    memcpy(bytes, head, sizeof head);
    memset(bytes + len, 0, 2);
    const struct der_certificate certificate = {
        .key_oid = OID_RSA, .key_bits = { (const char *)bytes, len + behind }
    };
    return tls_signature_key(&certificate, key);
}

static void rsa_keys_have_2048_to_4096_bits(void **state)
{
    br_x509_pkey key = { 0 };
    (void)state;
    assert_int_equal(read_rsa(TLS_MIN_RSA_BYTES, 3, 0, 0, &key), 0);
    assert_int_equal(key.key_type, BR_KEYTYPE_RSA);
    assert_int_equal(key.key.rsa.nlen, 256);
    assert_int_equal(key.key.rsa.elen, 3);
    assert_int_equal(read_rsa(TLS_MAX_RSA_BYTES, 3, 0, 0, &key), 0);
    assert_int_equal(key.key.rsa.nlen, 512);
    assert_int_equal(read_rsa(TLS_MIN_RSA_BYTES - 1, 3, 0, 0, &key), BR_ERR_X509_WEAK_PUBLIC_KEY);
    assert_int_equal(read_rsa(TLS_MAX_RSA_BYTES + 1, 3, 0, 0, &key), BR_ERR_X509_LIMIT_EXCEEDED);
    assert_int_equal(read_rsa(256, 256, 0, 0, &key), 0);
    assert_int_equal(read_rsa(256, 257, 0, 0, &key), BR_ERR_X509_LIMIT_EXCEEDED);
}

static void an_rsa_key_is_two_numbers_and_nothing_more(void **state)
{
    br_x509_pkey key;
    (void)state;
    assert_int_equal(read_rsa(256, 3, 2, 0, &key), BR_ERR_X509_INVALID_VALUE);
    assert_int_equal(read_rsa(256, 3, 0, 2, &key), BR_ERR_X509_INVALID_VALUE);
    static const slice bits[] = { S(""), S("\x30\x00"), S("\x30\x03\x02\x01\x03") };
    for (size_t i = 0; i < COUNT(bits); i++) {
        const struct der_certificate certificate = { .key_oid = OID_RSA, .key_bits = bits[i] };
        assert_int_equal(tls_signature_key(&certificate, &key), BR_ERR_X509_INVALID_VALUE);
    }
}

/* --- elliptic curves -------------------------------------------------------------------------- */

static void points_are_as_long_as_their_curve_wants(void **state)
{
    static const struct {
        slice parameters;
        int curve;
        size_t bytes;
    } curves[] = {
        { P256, BR_EC_secp256r1, 65 },
        { P384, BR_EC_secp384r1, 97 },
        { P521, BR_EC_secp521r1, 133 },
    };
    char point[140] = { 4 };
    br_x509_pkey key;
    (void)state;
    for (size_t i = 0; i < COUNT(curves); i++) {
        struct der_certificate certificate = { .key_oid = OID_EC,
                                               .key_parameters = curves[i].parameters,
                                               .key_bits = { point, curves[i].bytes } };
        assert_int_equal(tls_signature_key(&certificate, &key), 0);
        assert_int_equal(key.key_type, BR_KEYTYPE_EC);
        assert_int_equal(key.key.ec.curve, curves[i].curve);
        assert_int_equal(key.key.ec.qlen, curves[i].bytes);
        certificate.key_bits.len++;
        assert_int_equal(tls_signature_key(&certificate, &key), BR_ERR_X509_INVALID_VALUE);
        certificate.key_bits.len -= 2;
        assert_int_equal(tls_signature_key(&certificate, &key), BR_ERR_X509_INVALID_VALUE);
    }
}

static void other_keys_are_not_known(void **state)
{
    char point[65] = { 4 };
    struct der_certificate certificate = { .key_oid = OID_EC,
                                           .key_parameters = SECP256K1,
                                           .key_bits = { point, sizeof point } };
    br_x509_pkey key;
    (void)state;
    assert_int_equal(tls_signature_key(&certificate, &key), BR_ERR_X509_UNSUPPORTED);
    certificate.key_parameters = P256;
    point[0] = 2; /* compressed */
    assert_int_equal(tls_signature_key(&certificate, &key), BR_ERR_X509_INVALID_VALUE);
    certificate.key_oid = S("\x2b\x65\x70"); /* Ed25519 */
    assert_int_equal(tls_signature_key(&certificate, &key), BR_ERR_X509_UNSUPPORTED);
}

/* --- signatures ------------------------------------------------------------------------------- */

static struct certificate_key signer, other;

static unsigned check(const struct certificate_spec *spec, br_x509_pkey *key, slice oid)
{
    static unsigned char bytes[CERTIFICATE_BYTES];
    struct der_certificate certificate;
    assert_true(der_certificate(certificate_make(bytes, spec), &certificate));
    if (oid.len > 0)
        certificate.signature_oid = oid;
    return tls_signature_check(&certificate, key);
}

static void a_signature_is_its_signers(void **state)
{
    struct certificate_spec spec = {
        .issuer = "a", .subject = "b", .key = &other, .signer = &signer
    };
    br_x509_pkey key = { .key_type = BR_KEYTYPE_EC, .key.ec = signer.public };
    (void)state;
    assert_int_equal(check(&spec, &key, S("")), 0);
    assert_int_equal(check(&spec, &key, S("\x2a\x86\x48\xce\x3d\x04\x03\x03")), /* SHA-384 */
                     BR_ERR_X509_BAD_SIGNATURE);
    assert_int_equal(check(&spec, &key, S("\x2a\x86\x48\xce\x3d\x04\x01")), /* SHA-1 */
                     BR_ERR_X509_UNSUPPORTED);
    assert_int_equal(check(&spec, &key, S("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b")), /* RSA */
                     BR_ERR_X509_WRONG_KEY_TYPE);
    spec.flaw = CERTIFICATE_BAD_SIGNATURE;
    assert_int_equal(check(&spec, &key, S("")), BR_ERR_X509_BAD_SIGNATURE);
    spec.flaw = CERTIFICATE_SOUND;
    key.key.ec = other.public;
    assert_int_equal(check(&spec, &key, S("")), BR_ERR_X509_BAD_SIGNATURE);
}

static int make_keys(void **state)
{
    (void)state;
    certificate_key_make(&signer, 1);
    certificate_key_make(&other, 2);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rsa_keys_have_2048_to_4096_bits),
        cmocka_unit_test(an_rsa_key_is_two_numbers_and_nothing_more),
        cmocka_unit_test(points_are_as_long_as_their_curve_wants),
        cmocka_unit_test(other_keys_are_not_known),
        cmocka_unit_test(a_signature_is_its_signers),
    };
    return cmocka_run_group_tests(tests, make_keys, NULL);
}
