/*
 * net/resolve_ask.h - the queries for one name; part of a look-up (resolve.h).
 */
#ifndef NET_RESOLVE_ASK_H
#define NET_RESOLVE_ASK_H

#include <stdbool.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/flag.h"
#include "codec/dns.h"
#include "net/address.h"

/* What all queries of one look-up share. */
struct resolver {
    struct dns_config config;
    struct address servers[DNS_SERVERS_MAX];
    bool silent[DNS_SERVERS_MAX]; /* another server answered an earlier name; asked last */
    size_t server_count;          /* at least 1 */
    const struct wake *wake;      /* or NULL */
    deadline_ms deadline;
};

enum resolve_outcome {
    RESOLVE_FOUND,
    RESOLVE_NO_NAME, /* said by the first server that works */
    RESOLVE_NO_DATA, /* the same server: the name has no address */
    RESOLVE_FAILED,
};

/* Why a name was not resolved, for the error's text. */
struct resolve_failure {
    size_t server;
    unsigned rcode; /* what that server answered, or 0 */
    int errnum;     /* the system's error for it, or 0; both 0: no server answered */
};

/*
 * Asks all servers for both kinds of addresses of one name, until limit or the look-up's deadline.
 * A patient call waits that long for the servers before one that says no, and then believes it.
 * Addresses, with `port`, are appended to list. Returns a resolve_outcome (failure is filled in
 * with RESOLVE_FAILED), or a negative error: ERR_CANCELLED, ERR_MEMORY. Blocks.
 */
int resolve_ask(struct resolver *resolver, slice name, deadline_ms limit, bool patient,
                uint16_t port, struct address_list *list, struct resolve_failure *failure,
                struct err *err);

#endif
