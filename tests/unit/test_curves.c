/* vendor/curves.c: the results of BearSSL's own curves, whatever the points and multipliers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/tls_crypto.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define ROUNDS 40
#define POINT_BYTES 65
#define SCALAR_BYTES 32

static const br_ec_impl *const ours = TLS_EC, *const theirs = &br_ec_all_m31;

/* The order of P-256's group (SEC 2, section 2.4.2), big-endian. */
static const unsigned char order[SCALAR_BYTES] = {
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
};

/* Numbers that look random and are the same on every run. */
static void fill(unsigned char *bytes, size_t count)
{
    static uint64_t state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = (unsigned char)(state >> 40);
    }
}

static void fill_scalar(unsigned char scalar[SCALAR_BYTES])
{
    fill(scalar, SCALAR_BYTES);
    scalar[0] &= 0x7f;
    scalar[SCALAR_BYTES - 1] |= 1;
}

static void assert_same_mulgen(int curve, const unsigned char *scalar, size_t len,
                               unsigned char point[POINT_BYTES])
{
    unsigned char other[POINT_BYTES];
    size_t size = theirs->mulgen(point, scalar, len, curve);
    assert_int_equal(ours->mulgen(other, scalar, len, curve), size);
    assert_memory_equal(other, point, size);
}

static void assert_same_mul(int curve, const unsigned char *scalar, size_t len,
                            const unsigned char *point, size_t size)
{
    unsigned char a[POINT_BYTES], b[POINT_BYTES];
    memcpy(a, point, size);
    memcpy(b, point, size);
    uint32_t result = theirs->mul(a, size, scalar, len, curve);
    assert_int_equal(ours->mul(b, size, scalar, len, curve), result);
    if (result != 0)
        assert_memory_equal(b, a, size);
}

static void products(void **state)
{
    (void)state;
    static const int curves[] = { BR_EC_secp256r1, BR_EC_curve25519, BR_EC_secp384r1 };
    for (size_t i = 0; i < COUNT(curves) * ROUNDS; i++) {
        int curve = curves[i % COUNT(curves)];
        unsigned char scalar[SCALAR_BYTES], point[2 * POINT_BYTES], other[2 * POINT_BYTES];
        fill_scalar(scalar);
        size_t len = i % 5 == 0 ? 1 + i % SCALAR_BYTES : SCALAR_BYTES;
        const unsigned char *start = scalar + (SCALAR_BYTES - len);
        if (curve == BR_EC_secp384r1) { /* BearSSL's, passed through */
            size_t size = theirs->mulgen(point, start, len, curve);
            assert_int_equal(ours->mulgen(other, start, len, curve), size);
            assert_memory_equal(other, point, size);
            continue;
        }
        assert_same_mulgen(curve, start, len, point);
        fill_scalar(scalar);
        assert_same_mul(curve, scalar, SCALAR_BYTES, point,
                        curve == BR_EC_curve25519 ? SCALAR_BYTES : POINT_BYTES);
    }
}

static void multipliers_at_the_edges(void **state)
{
    (void)state;
    unsigned char point[POINT_BYTES], scalar[SCALAR_BYTES];
    for (int i = 1; i <= 40; i++) {
        unsigned char small = (unsigned char)i;
        assert_same_mulgen(BR_EC_secp256r1, &small, 1, point);
        assert_same_mul(BR_EC_secp256r1, &small, 1, point, sizeof point);
        memcpy(scalar, order, sizeof scalar);
        scalar[SCALAR_BYTES - 1] = (unsigned char)(scalar[SCALAR_BYTES - 1] - i);
        assert_same_mulgen(BR_EC_secp256r1, scalar, sizeof scalar, point);
        assert_same_mul(BR_EC_secp256r1, scalar, sizeof scalar, point, sizeof point);
    }
    assert_int_equal(ours->mulgen(point, order, sizeof order, BR_EC_secp256r1), 0); /* infinity */
    assert_int_equal(ours->mulgen(point, point, SCALAR_BYTES + 1, BR_EC_secp256r1), 0);
}

/* x25519 takes any 32 bytes for a point. */
static void any_point_of_curve25519(void **state)
{
    (void)state;
    static const unsigned char ends[] = { 0x00, 0x01, 0x7f, 0x80, 0xec, 0xed, 0xff };
    for (size_t i = 0; i < COUNT(ends) * COUNT(ends); i++) {
        unsigned char scalar[SCALAR_BYTES], point[SCALAR_BYTES];
        fill_scalar(scalar);
        memset(point, i % 2 == 0 ? 0x00 : 0xff, sizeof point);
        point[0] = ends[i % COUNT(ends)];
        point[SCALAR_BYTES - 1] = ends[i / COUNT(ends)];
        assert_same_mul(BR_EC_curve25519, scalar, sizeof scalar, point, sizeof point);
    }
}

static void assert_same_muladd(const unsigned char *a, const unsigned char *b,
                               const unsigned char *x, const unsigned char *y)
{
    unsigned char mine[POINT_BYTES], other[POINT_BYTES];
    memcpy(mine, a, sizeof mine);
    memcpy(other, a, sizeof other);
    const int curve = BR_EC_secp256r1;
    uint32_t result = theirs->muladd(other, b, sizeof other, x, SCALAR_BYTES, y, SCALAR_BYTES,
                                     curve);
    assert_int_equal(ours->muladd(mine, b, sizeof mine, x, SCALAR_BYTES, y, SCALAR_BYTES, curve),
                     result);
    if (result != 0)
        assert_memory_equal(mine, other, sizeof mine);
}

static void sums(void **state)
{
    (void)state;
    unsigned char a[POINT_BYTES], b[POINT_BYTES], x[SCALAR_BYTES], y[SCALAR_BYTES];
    for (int i = 0; i < ROUNDS; i++) {
        fill_scalar(x);
        fill_scalar(y);
        theirs->mulgen(a, x, sizeof x, BR_EC_secp256r1);
        theirs->mulgen(b, y, sizeof y, BR_EC_secp256r1);
        assert_same_muladd(a, b, x, y);
        assert_same_muladd(a, NULL, y, x);
        assert_same_muladd(a, b, y, x); /* twice the same product: a doubling */
        assert_same_muladd(a, NULL, x, x);
    }
    static const unsigned char one[SCALAR_BYTES] = { [SCALAR_BYTES - 1] = 1 };
    unsigned char minus_one[SCALAR_BYTES];
    memcpy(minus_one, order, sizeof minus_one);
    minus_one[SCALAR_BYTES - 1]--;
    theirs->mulgen(a, one, sizeof one, BR_EC_secp256r1);
    assert_same_muladd(a, NULL, one, one);
    assert_same_muladd(a, NULL, one, minus_one); /* the point at infinity */
}

static void points_off_the_curve_are_refused(void **state)
{
    (void)state;
    unsigned char point[POINT_BYTES], scalar[SCALAR_BYTES];
    fill_scalar(scalar);
    theirs->mulgen(point, scalar, sizeof scalar, BR_EC_secp256r1);
    for (size_t i = 0; i < sizeof point; i++) {
        unsigned char changed[POINT_BYTES];
        memcpy(changed, point, sizeof changed);
        changed[i] ^= 0x10;
        assert_int_equal(ours->mul(changed, sizeof changed, scalar, sizeof scalar, BR_EC_secp256r1),
                         0);
        memcpy(changed, point, sizeof changed);
        changed[i] ^= 0x01;
        assert_int_equal(ours->muladd(changed, NULL, sizeof changed, scalar, sizeof scalar, scalar,
                                      sizeof scalar, BR_EC_secp256r1),
                         0);
    }
    memset(point + 1, 0xff, sizeof point - 1); /* no elements of the field */
    assert_int_equal(ours->mul(point, sizeof point, scalar, sizeof scalar, BR_EC_secp256r1), 0);
    assert_int_equal(ours->mul(point, 64, scalar, sizeof scalar, BR_EC_secp256r1), 0);
    assert_int_equal(ours->mul(point, 31, scalar, sizeof scalar, BR_EC_curve25519), 0);
}

static void generators_orders_and_offsets(void **state)
{
    (void)state;
    static const int curves[] = { BR_EC_secp256r1, BR_EC_secp384r1, BR_EC_secp521r1,
                                  BR_EC_curve25519 };
    assert_int_equal(ours->supported_curves, theirs->supported_curves);
    for (size_t i = 0; i < COUNT(curves); i++) {
        size_t size, other_size;
        const unsigned char *mine = ours->generator(curves[i], &size);
        const unsigned char *other = theirs->generator(curves[i], &other_size);
        assert_int_equal(size, other_size);
        assert_memory_equal(mine, other, size);
        mine = ours->order(curves[i], &size);
        other = theirs->order(curves[i], &other_size);
        assert_int_equal(size, other_size);
        assert_memory_equal(mine, other, size);
        assert_int_equal(ours->xoff(curves[i], &size), theirs->xoff(curves[i], &other_size));
        assert_int_equal(size, other_size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products),
        cmocka_unit_test(multipliers_at_the_edges),
        cmocka_unit_test(any_point_of_curve25519),
        cmocka_unit_test(sums),
        cmocka_unit_test(points_off_the_curve_are_refused),
        cmocka_unit_test(generators_orders_and_offsets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
