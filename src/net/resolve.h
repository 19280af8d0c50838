/*
 * net/resolve.h - from a host's name to its addresses.
 */
#ifndef NET_RESOLVE_H
#define NET_RESOLVE_H

#include "base/clock.h"
#include "base/err.h"
#include "base/flag.h"
#include "base/slice.h"
#include "net/address.h"

/*
 * Finds the addresses of host, best first: by RFC 6724 (rules 1, 2, 5, 6 and 8), and those with a
 * route alternating between IPv6 and IPv4 (RFC 8305, section 4).
 *
 * An address as text, an IPv6 one perhaps with a zone ("fe80::1%eth0"), needs no look-up and never
 * blocks. A name is looked up in /etc/hosts; then "localhost" and the names below it are the
 * loopback (RFC 6761); then the servers of /etc/resolv.conf are asked, or 127.0.0.1 where it names
 * none. Both files are read each time; nothing is cached.
 *
 * Like glibc, unlike musl: the addresses of one family are used whatever comes of the other's
 * query; a truncated answer is repeated over TCP; a server that fails, refuses or is silent is
 * passed over, and "no such name" counts only from the first server that works; a search domain
 * that fails does not end the search. Unlike both: the next server is asked after LIMIT_DNS_STEP_MS
 * while the first may still answer, and once one family has an address with a route, the other has
 * that long.
 *
 * Blocks, at most until the deadline or the wake-up (which may be NULL), and as long as
 * resolv.conf's timeout and attempts allow. ERR_RETRY, ERR_TIMEOUT, ERR_INPUT (not a valid name),
 * ERR_CANCELLED, ERR_MEMORY; the texts name host.
 */
int address_resolve(struct address_list *list, slice host, uint16_t port, const struct wake *wake,
                    deadline_ms deadline, struct err *err);

#endif
