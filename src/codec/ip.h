/*
 * codec/ip.h - IP addresses and ranges as text, and which addresses are public: for hosts written
 * as addresses, for NO_PROXY, and for callers that are given addresses by strangers. Pure.
 */
#ifndef CODEC_IP_H
#define CODEC_IP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/slice.h"

#define IP_V4_BYTES 4
#define IP_V6_BYTES 16

/* An address in network order. */
struct ip {
    unsigned char bytes[IP_V6_BYTES];
    size_t size; /* IP_V4_BYTES or IP_V6_BYTES */
};

/* The addresses that share the first `bits` bits with start. */
struct ip_range {
    struct ip start;
    unsigned bits;
};

/*
 * Reads an address: four decimal numbers ("10.0.0.1") or IPv6 text without brackets and without a
 * zone (RFC 4291, section 2.2). False for anything else.
 */
bool ip_parse(slice text, struct ip *ip);

/*
 * As ip_parse, and also reads the other forms of IPv4 that getaddrinfo accepts: fewer parts, octal
 * and hexadecimal ("127.1", "0x7f.1", "2130706433"; inet_aton(3)).
 */
bool ip_parse_host(slice text, struct ip *ip);

/* Reads "10.0.0.0/8", "fd00::/8", or an address, a range of one. False for anything else. */
bool ip_parse_range(slice text, struct ip_range *range);

/* True where the range holds the address. An IPv4 address mapped into IPv6 counts as IPv4. */
bool ip_in_range(const struct ip *ip, const struct ip_range *range);

/*
 * A list of ranges as text, separated by commas or white space; NULL is an empty one. The check
 * returns 0, or ERR_CONFIG naming the first element that is not a range; ip_in_ranges skips those.
 *
 * ip_in_ranges is true where a range holds the address, or an IPv4 address embedded in it: mapped
 * (RFC 4291), NAT64 (64:ff9b::/96, RFC 6052; 64:ff9b:1::/48, RFC 8215, in its last four bytes),
 * 6to4 (RFC 3056), Teredo (RFC 4380: the client's and the server's) and ISATAP (RFC 5214).
 */
int ip_check_ranges(const char *list, struct err *err);
bool ip_in_ranges(const struct ip *ip, const char *list);

/*
 * True for public unicast addresses. False for everything that the IANA special-purpose address
 * registries do not call globally reachable (RFC 6890): private, loopback, link-local (with cloud
 * metadata at 169.254.169.254), shared (CGNAT; metadata at 100.100.100.200), unique local (metadata
 * at fd00:ec2::254), documentation, benchmarking, multicast, reserved, unspecified; and for
 * services of clouds to their own machines on addresses that look public (Azure's 168.63.129.16).
 * An IPv6 address with IPv4 addresses embedded (see ip_in_ranges) is judged by all of them. False
 * for a size other than the two.
 */
bool ip_is_public(const struct ip *ip);

#endif
