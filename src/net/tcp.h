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
 * name is tried, in the resolver's order: the next one starts when the last has failed or has not
 * answered within LIMIT_CONNECT_STAGGER_MS (RFC 8305; sooner where the deadline would not do for
 * all of them), and the first to answer wins.
 *
 * `wake` points to the wake-up that interrupts connecting and, for as long as the connection lives,
 * every wait of a read or write. *wake may be NULL (none), and the thread that uses the connection
 * may change it. Data that has arrived wins over a wake-up.
 *
 * filter, where not NULL, judges every address first, whether host is one or resolves to it: if it
 * refuses a single one, nothing is connected to, and its error is returned. The name is not looked
 * up a second time, so the address connected to is one that was judged.
 *
 * Blocks until connected, the deadline, or the wake-up, the name's look-up included. On success
 * *tcp is the caller's, to be closed through its ops. ERR_RETRY or ERR_TIMEOUT naming host or
 * address, ERR_INPUT (not a host name, or what the filter says), ERR_CANCELLED, ERR_MEMORY.
 */
int tcp_connect(struct transport **tcp, slice host, uint16_t port,
                const struct address_filter *filter, const struct wake *const *wake,
                deadline_ms deadline, struct err *err);

/* The same for addresses that the caller has resolved: at least one. Errors name them and host. */
int tcp_connect_list(struct transport **tcp, const struct address_list *addresses, slice host,
                     const struct wake *const *wake, deadline_ms deadline, struct err *err);

/* The same to a Unix socket, without blocking. ERR_INPUT past UNIX_PATH_MAX_BYTES of path. */
#define UNIX_PATH_MAX_BYTES 107
int tcp_connect_unix(struct transport **tcp, const char *path, const struct wake *const *wake,
                     struct err *err);

/*
 * A transport over a connection that is already open: takes over fd and makes it blocking. On
 * failure (ERR_MEMORY) fd is closed.
 */
int tcp_adopt(struct transport **tcp, int fd, const struct wake *const *wake, struct err *err);

/*
 * For one thread that moves bytes between several connections and polls their descriptors itself.
 * Neither call looks at a wake-up. tcp_receive waits for wait_ms at most, 0: not at all; the bytes
 * read, 0 at the end of the stream, ERR_TIMEOUT where nothing has come, ERR_RETRY. tcp_send_now
 * never waits: the bytes taken, 0 where the system takes none now, ERR_RETRY. At most
 * TCP_PARTS_MAX parts.
 */
#define TCP_PARTS_MAX 2
int tcp_fd(const struct transport *tcp);
ptrdiff_t tcp_receive(struct transport *tcp, void *bytes, size_t size, int wait_ms,
                      struct err *err);
ptrdiff_t tcp_send_now(struct transport *tcp, const slice *parts, size_t count, struct err *err);

/*
 * Reads that wait for a reply look at the wake-up only after the first quick_ms: where the reply
 * comes sooner, as it does on a busy connection, that is one system call less.
 */
void tcp_set_quick(struct transport *tcp, int quick_ms);

#endif
