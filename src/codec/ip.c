#include "codec/ip.h"

#include <arpa/inet.h>
#include <string.h>

#include "codec/byte_class.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

struct block {
    unsigned char start[IP_V6_BYTES];
    unsigned bits;
};

/* What is not public, from the IANA IPv4 Special-Purpose Address Registry, and classes D and E. */
static const struct block v4_blocks[] = {
    { { 0 }, 8 },             /* "this network" (RFC 791) */
    { { 10 }, 8 },            /* private (RFC 1918) */
    { { 100, 64 }, 10 },      /* shared: CGNAT (RFC 6598); Alibaba's metadata: 100.100.100.200 */
    { { 127 }, 8 },           /* loopback (RFC 1122) */
    { { 169, 254 }, 16 },     /* link-local, cloud metadata (RFC 3927) */
    { { 172, 16 }, 12 },      /* private (RFC 1918) */
    { { 192, 0, 0 }, 24 },    /* protocol assignments (RFC 6890); Oracle's metadata: 192.0.0.192 */
    { { 192, 0, 2 }, 24 },    /* documentation (RFC 5737) */
    { { 192, 88, 99 }, 24 },  /* 6to4 relays, deprecated (RFC 7526) */
    { { 192, 168 }, 16 },     /* private (RFC 1918) */
    { { 198, 18 }, 15 },      /* benchmarking (RFC 2544) */
    { { 198, 51, 100 }, 24 }, /* documentation (RFC 5737) */
    { { 203, 0, 113 }, 24 },  /* documentation (RFC 5737) */
    { { 224 }, 3 },           /* multicast, reserved, broadcast (RFC 5771, RFC 1112) */

    /* In no registry: what clouds serve to their own machines on addresses that look public. */
    { { 168, 63, 129, 16 }, 32 }, /* Azure's wire server: "What is IP address 168.63.129.16?" */
    { { 161, 26 }, 16 },          /* IBM Cloud's service network: "Service endpoints for VPC" */
    { { 166, 8 }, 14 },           /* the same page */
};

/* What is not public within 2000::/3; outside of that nothing is. */
static const struct block v6_blocks[] = {
    { { 0x20, 0x01 }, 23 },             /* protocol assignments, Teredo among them (RFC 2928) */
    { { 0x20, 0x01, 0x0d, 0xb8 }, 32 }, /* documentation (RFC 3849) */
    { { 0x3f, 0xff }, 20 },             /* documentation (RFC 9637) */
};

static const struct block global_unicast = { { 0x20 }, 3 }; /* RFC 4291 */

/* IPv6 addresses with an IPv4 address inside, and where that is. */
static const struct carrier {
    struct block block;
    unsigned char offset;
    unsigned char flipped; /* 0xff where its bits are stored inverted, else 0 */
    bool replaces;         /* only the IPv4 address counts */
} carriers[] = {
    { { { [10] = 0xff, [11] = 0xff }, 96 }, 12, 0, true },            /* mapped */
    { { { 0x00, 0x64, 0xff, 0x9b }, 96 }, 12, 0, true },              /* NAT64 */
    { { { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 }, 48 }, 12, 0, false }, /* NAT64, local use */
    { { { 0x20, 0x02 }, 16 }, 2, 0, true },                           /* 6to4 */
    { { { 0x20, 0x01 }, 32 }, 4, 0, false },                          /* Teredo's server */
    { { { 0x20, 0x01 }, 32 }, 12, 0xff, false },                      /* Teredo's client */
};

static bool same_start(const unsigned char *a, const unsigned char *b, unsigned bits)
{
    size_t whole = bits / 8;
    unsigned rest = bits % 8;
    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

static bool is_in(const unsigned char *address, const struct block *block)
{
    return same_start(address, block->start, block->bits);
}

static bool is_in_any(const unsigned char *address, const struct block *blocks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_in(address, &blocks[i]))
            return true;
    return false;
}

static void take_v4(struct ip *out, const unsigned char *bytes, unsigned char flipped)
{
    *out = (struct ip){ .size = IP_V4_BYTES };
    for (size_t i = 0; i < IP_V4_BYTES; i++)
        out->bytes[i] = bytes[i] ^ flipped;
}

/* ISATAP (RFC 5214, section 6.1): an interface identifier, in any prefix. */
static bool is_isatap(const unsigned char *address)
{
    static const unsigned char mark[] = { 0, 0, 0x5e, 0xfe };
    unsigned char first = address[8] & 0xfdu; /* the bit that says "globally unique" may be set */
    return first == mark[0] && memcmp(address + 9, mark + 1, sizeof mark - 1) == 0;
}

#define CARRIED_MAX 3

/* Finds the IPv4 addresses in an IPv6 one. *replaced: only they count. */
static size_t carried(const struct ip *ip, struct ip found[CARRIED_MAX], bool *replaced)
{
    size_t count = 0;
    *replaced = false;
    if (ip->size != IP_V6_BYTES)
        return 0;
    for (size_t i = 0; i < COUNT(carriers); i++) {
        if (!is_in(ip->bytes, &carriers[i].block))
            continue;
        take_v4(&found[count++], ip->bytes + carriers[i].offset, carriers[i].flipped);
        *replaced = *replaced || carriers[i].replaces;
    }
    if (!*replaced && is_isatap(ip->bytes))
        take_v4(&found[count++], ip->bytes + 12, 0);
    return count;
}

static bool is_public_itself(const struct ip *ip)
{
    if (ip->size == IP_V4_BYTES)
        return !is_in_any(ip->bytes, v4_blocks, COUNT(v4_blocks));
    return ip->size == IP_V6_BYTES && is_in(ip->bytes, &global_unicast) &&
           !is_in_any(ip->bytes, v6_blocks, COUNT(v6_blocks));
}

bool ip_is_public(const struct ip *ip)
{
    struct ip inner[CARRIED_MAX];
    bool replaced;
    size_t count = carried(ip, inner, &replaced);
    for (size_t i = 0; i < count; i++)
        if (!is_public_itself(&inner[i]))
            return false;
    return replaced || is_public_itself(ip);
}

/* --- text --- */

#define TEXT_BYTES 64 /* longer than any address */

static bool terminate(slice text, char out[TEXT_BYTES])
{
    if (text.len == 0 || text.len >= TEXT_BYTES || memchr(text.ptr, '\0', text.len) != NULL)
        return false;
    memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    return true;
}

bool ip_parse(slice text, struct ip *ip)
{
    char copy[TEXT_BYTES];
    *ip = (struct ip){ 0 };
    if (!terminate(text, copy))
        return false;
    if (inet_pton(AF_INET, copy, ip->bytes) == 1)
        ip->size = IP_V4_BYTES;
    else if (inet_pton(AF_INET6, copy, ip->bytes) == 1)
        ip->size = IP_V6_BYTES;
    return ip->size > 0;
}

/* Takes a number: decimal, octal after "0", hexadecimal after "0x"; of 32 bits at most. */
static bool take_number(slice *text, uint64_t *number)
{
    unsigned base = text->len > 0 && text->ptr[0] == '0' ? 8 : 10;
    size_t digits = 0;
    if (base == 8 && text->len > 1 && (text->ptr[1] | 0x20) == 'x') {
        base = 16;
        *text = slice_skip(*text, 2);
    }
    for (*number = 0; text->len > 0 && byte_class_in(text->ptr[0], BYTE_CLASS_HEX); digits++) {
        unsigned digit = byte_class_hex_value(text->ptr[0]);
        *number = *number * base + digit;
        if (digit >= base || *number > UINT32_MAX)
            return false;
        *text = slice_skip(*text, 1);
    }
    return digits > 0;
}

/* The last number fills the bytes that are left. */
static bool fill(struct ip *ip, size_t from, uint64_t number)
{
    if (number >> (8 * (IP_V4_BYTES - from)) != 0)
        return false;
    for (size_t at = IP_V4_BYTES; at > from; number >>= 8)
        ip->bytes[--at] = (unsigned char)number;
    ip->size = IP_V4_BYTES;
    return true;
}

bool ip_parse_host(slice text, struct ip *ip)
{
    uint64_t number;
    if (ip_parse(text, ip))
        return true;
    for (size_t at = 0; at < IP_V4_BYTES && take_number(&text, &number); at++) {
        if (text.len == 0)
            return fill(ip, at, number);
        if (number > UINT8_MAX || text.ptr[0] != '.')
            return false;
        ip->bytes[at] = (unsigned char)number;
        text = slice_skip(text, 1);
    }
    return false;
}

bool ip_parse_range(slice text, struct ip_range *range)
{
    slice address = { text.ptr, byte_class_until(text, "/") };
    uint64_t bits;
    if (!ip_parse(address, &range->start))
        return false;
    range->bits = (unsigned)range->start.size * 8;
    if (address.len == text.len)
        return true;
    if (!byte_class_decimal(slice_skip(text, address.len + 1), range->bits, &bits))
        return false;
    range->bits = (unsigned)bits;
    return true;
}

static bool holds(const struct ip_range *range, const struct ip *ip)
{
    return ip->size == range->start.size && same_start(ip->bytes, range->start.bytes, range->bits);
}

static bool is_mapped(const struct ip *ip)
{
    return ip->size == IP_V6_BYTES && is_in(ip->bytes, &carriers[0].block);
}

bool ip_in_range(const struct ip *ip, const struct ip_range *range)
{
    struct ip plain = *ip;
    struct ip_range plain_range = *range;
    if (is_mapped(ip))
        take_v4(&plain, ip->bytes + 12, 0);
    if (is_mapped(&range->start) && range->bits >= 96) {
        take_v4(&plain_range.start, range->start.bytes + 12, 0);
        plain_range.bits -= 96;
    }
    return holds(range, ip) || holds(&plain_range, &plain);
}

/* --- lists of ranges --- */

static const char separators[] = ", \t\r\n";

int ip_check_ranges(const char *list, struct err *err)
{
    slice rest = slice_from(list), element;
    struct ip_range range;
    while (byte_class_next_word(&rest, separators, &element))
        if (!ip_parse_range(element, &range))
            return err_set(err, ERR_CONFIG,
                           "\"%.*s\" is not an address or a range such as 10.0.0.0/8",
                           element.len < 64 ? (int)element.len : 64, element.ptr);
    return 0;
}

static bool is_listed(const struct ip *ip, const char *list)
{
    slice rest = slice_from(list), element;
    struct ip_range range;
    while (byte_class_next_word(&rest, separators, &element))
        if (ip_parse_range(element, &range) && ip_in_range(ip, &range))
            return true;
    return false;
}

bool ip_in_ranges(const struct ip *ip, const char *list)
{
    struct ip inner[CARRIED_MAX];
    bool replaced;
    if (is_listed(ip, list))
        return true;
    size_t count = carried(ip, inner, &replaced);
    for (size_t i = 0; i < count; i++)
        if (is_listed(&inner[i], list))
            return true;
    return false;
}
