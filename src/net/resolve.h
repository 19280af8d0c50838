/*
 * net/resolve.h - from a host's name to its addresses.
 */
#ifndef NET_RESOLVE_H
#define NET_RESOLVE_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/limits.h"
#include "base/slice.h"

#define ADDRESS_LIST_MAX 8    /* more addresses of one name are not tried */
#define ADDRESS_TEXT_BYTES 64 /* "[ipv6 address]:port" */

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    };
    socklen_t size;
};

struct address_list {
    struct address items[ADDRESS_LIST_MAX];
    size_t count; /* at least 1 on success */
};

/*
 * The addresses of host in the resolver's order (RFC 6724). An address as text needs no resolver
 * and never blocks; a name asks /etc/hosts and the servers of /etc/resolv.conf and blocks as long
 * as that file's timeout and attempts say (musl: 5 s, twice). ERR_RETRY naming the host.
 */
int address_resolve(struct address_list *list, slice host, uint16_t port, struct err *err);

/*
 * Who judges addresses before anything is sent to them: 0 to go on, or an error that says why not
 * (ERR_INPUT by custom). Its owner may put it into a larger struct. Called by the thread that
 * connects.
 */
struct address_filter {
    int (*judge)(const struct address_filter *self, const struct address *address, struct err *err);
};

/* Writes the address and port as people write them: "10.0.0.1:443", "[::1]:443". */
void address_text(const struct address *address, char text[ADDRESS_TEXT_BYTES]);

#endif
