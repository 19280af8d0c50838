/*
 * codec/ip.h - which IP addresses are somebody's on the public Internet, and which lead into the
 * machine, its network or nowhere. For those who are given addresses by strangers. Pure.
 */
#ifndef CODEC_IP_H
#define CODEC_IP_H

#include <stdbool.h>
#include <stddef.h>

#define IP_V4_BYTES 4
#define IP_V6_BYTES 16

/*
 * True where the address, in network order, is a public unicast one. False for everything in the
 * IANA special-purpose address registries that is not globally reachable (RFC 6890): private,
 * loopback, link-local (cloud metadata at 169.254.169.254 among it), shared (CGNAT), unique local
 * (metadata at fd00:ec2::254), documentation, benchmarking, multicast, reserved, unspecified. An
 * IPv6 address that carries an IPv4 address (mapped, NAT64's 64:ff9b::/96, 6to4) is judged by
 * that one. size is IP_V4_BYTES or IP_V6_BYTES; false for any other.
 */
bool ip_is_public(const unsigned char *address, size_t size);

#endif
