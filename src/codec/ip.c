#include "codec/ip.h"

#include <string.h>

struct block {
    unsigned char start[IP_V6_BYTES];
    unsigned bits;
};

/* What is not public, from the IANA IPv4 Special-Purpose Address Registry, and classes D and E. */
static const struct block v4_blocks[] = {
    { { 0 }, 8 },             /* "this network" (RFC 791) */
    { { 10 }, 8 },            /* private (RFC 1918) */
    { { 100, 64 }, 10 },      /* shared: CGNAT (RFC 6598) */
    { { 127 }, 8 },           /* loopback (RFC 1122) */
    { { 169, 254 }, 16 },     /* link-local, cloud metadata (RFC 3927) */
    { { 172, 16 }, 12 },      /* private (RFC 1918) */
    { { 192, 0, 0 }, 24 },    /* protocol assignments (RFC 6890) */
    { { 192, 0, 2 }, 24 },    /* documentation (RFC 5737) */
    { { 192, 88, 99 }, 24 },  /* 6to4 relays, given up (RFC 7526) */
    { { 192, 168 }, 16 },     /* private (RFC 1918) */
    { { 198, 18 }, 15 },      /* benchmarking (RFC 2544) */
    { { 198, 51, 100 }, 24 }, /* documentation (RFC 5737) */
    { { 203, 0, 113 }, 24 },  /* documentation (RFC 5737) */
    { { 224 }, 3 },           /* multicast, reserved, broadcast (RFC 5771, RFC 1112) */
};

/* What is not public within 2000::/3; outside of that nothing is. */
static const struct block v6_blocks[] = {
    { { 0x20, 0x01 }, 23 },             /* protocol assignments, Teredo among them (RFC 2928) */
    { { 0x20, 0x01, 0x0d, 0xb8 }, 32 }, /* documentation (RFC 3849) */
    { { 0x3f, 0xff }, 20 },             /* documentation (RFC 9637) */
};

static const struct block global_unicast = { { 0x20 }, 3 };              /* RFC 4291 */
static const struct block mapped = { { [10] = 0xff, [11] = 0xff }, 96 }; /* RFC 4291, 2.5.5.2 */
static const struct block nat64 = { { 0x00, 0x64, 0xff, 0x9b }, 96 };    /* RFC 6052 */
static const struct block six_to_four = { { 0x20, 0x02 }, 16 };          /* RFC 3056 */

static bool is_in(const unsigned char *address, const struct block *block)
{
    size_t whole = block->bits / 8;
    unsigned rest = block->bits % 8;
    if (memcmp(address, block->start, whole) != 0)
        return false;
    return rest == 0 || (address[whole] ^ block->start[whole]) >> (8 - rest) == 0;
}

static bool is_in_any(const unsigned char *address, const struct block *blocks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_in(address, &blocks[i]))
            return true;
    return false;
}

static bool is_public_v4(const unsigned char *address)
{
    return !is_in_any(address, v4_blocks, sizeof v4_blocks / sizeof v4_blocks[0]);
}

static bool is_public_v6(const unsigned char *address)
{
    if (is_in(address, &mapped) || is_in(address, &nat64))
        return is_public_v4(address + 12);
    if (is_in(address, &six_to_four))
        return is_public_v4(address + 2);
    return is_in(address, &global_unicast) &&
           !is_in_any(address, v6_blocks, sizeof v6_blocks / sizeof v6_blocks[0]);
}

bool ip_is_public(const unsigned char *address, size_t size)
{
    if (size == IP_V4_BYTES)
        return is_public_v4(address);
    return size == IP_V6_BYTES && is_public_v6(address);
}
