/*
 * net/tcp.h - TCP connections with deadlines.
 */
#ifndef NET_TCP_H
#define NET_TCP_H

#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/flag.h"
#include "base/slice.h"
#include "net/resolve.h"
#include "net/transport.h"

/*
 * Connects to host (a DNS name, an IPv4 or IPv6 address as text) and port. Every address of the
 * name is tried, in the resolver's order: the next one starts when the last has failed or has
 * not answered within LIMIT_CONNECT_STAGGER_MS (RFC 8305), and the first to answer wins.
 *
 * `wake` points to the caller's choice of a wake-up, looked at before every wait for as long as
 * the connection lives: *wake may be NULL (none) and may be changed by the thread that uses the
 * connection. Data that has arrived wins over a wake-up.
 *
 * filter, where not NULL, judges every address of the name first, written as text or resolved: if
 * it refuses a single one, nothing is connected to, and its error is returned. There is no second
 * look-up, so an address that was judged is the one connected to.
 *
 * Blocks until connected or the deadline; a name look-up is bounded by resolv.conf's timeout and
 * attempts instead (10 s by default). On success *tcp is the caller's, to be closed through its
 * ops. ERR_RETRY or ERR_TIMEOUT naming host or
 * address, ERR_CANCELLED, ERR_MEMORY.
 */
int tcp_connect(struct transport **tcp, slice host, uint16_t port,
                const struct address_filter *filter, const struct wake *const *wake,
                deadline_ms deadline, struct err *err);

/* The same to a Unix socket, whose path is at most UNIX_PATH_MAX_BYTES long. Never blocks. */
#define UNIX_PATH_MAX_BYTES 107
int tcp_connect_unix(struct transport **tcp, const char *path, const struct wake *const *wake,
                     struct err *err);

/*
 * The same for a connection that a peer has opened: takes over fd and makes it blocking. Also
 * closes fd where it fails: ERR_MEMORY.
 */
int tcp_adopt(struct transport **tcp, int fd, const struct wake *const *wake, struct err *err);

#endif
