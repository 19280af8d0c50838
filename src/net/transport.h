/*
 * net/transport.h - a byte stream to one peer, plain or TLS behind the same three calls.
 *
 * All calls block until done, until the deadline, or until the wake-up is signalled. A transport
 * belongs to one thread at a time.
 */
#ifndef NET_TRANSPORT_H
#define NET_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/slice.h"

struct transport;

struct transport_ops {
    /*
     * Reads at least one and at most `size` bytes. Returns how many, 0 at the end of the stream,
     * or ERR_TIMEOUT, ERR_RETRY (reset), ERR_PEER, ERR_TRUST, ERR_CANCELLED. Over TLS an end without
     * close_notify is ERR_RETRY "cut off", since it may be an attacker's.
     */
    ptrdiff_t (*read)(struct transport *self, void *bytes, size_t size, deadline_ms deadline,
                      struct err *err);

    /* Writes all parts, in order, and flushes. Returns 0, or errors as read. */
    int (*write)(struct transport *self, const slice *parts, size_t count, deadline_ms deadline,
                 struct err *err);

    /*
     * False where the idle stream is of no further use: the peer closed it, or bytes are waiting
     * that nobody asked for. Never blocks.
     */
    bool (*usable)(struct transport *self);

    /*
     * Tells the peer that nothing more will be written, below TLS: its close_notify would have what
     * still comes thrown away. Reading goes on. Never blocks.
     */
    void (*finish_writing)(struct transport *self);

    /* Ends the stream at once (best-effort close_notify over TLS) and frees everything. */
    void (*close)(struct transport *self);
};

struct transport {
    const struct transport_ops *ops;
};

#endif
