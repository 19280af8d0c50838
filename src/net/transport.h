/*
 * net/transport.h - a byte stream to one peer: plain and TLS behind the same calls.
 *
 * All calls block until done, until the deadline, or until the wake-up is signalled. They look at
 * both on every step, not only before waiting: a peer that never stops sending (or taking) does not
 * hold a call beyond them. A transport belongs to one thread at a time.
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
     * or ERR_TIMEOUT, ERR_RETRY (reset), ERR_PEER, ERR_TRUST, ERR_CANCELLED. Over TLS an end
     * without close_notify is ERR_RETRY "cut off": an attacker may have caused it. Once the
     * deadline has passed it is ERR_TIMEOUT, even where bytes have arrived. After ERR_TIMEOUT or
     * ERR_CANCELLED it may be called again: nothing is lost.
     */
    ptrdiff_t (*read)(struct transport *self, void *bytes, size_t size, deadline_ms deadline,
                      struct err *err);

    /* Writes all parts, in order, and flushes. Returns 0, or errors as read. */
    int (*write)(struct transport *self, const slice *parts, size_t count, deadline_ms deadline,
                 struct err *err);

    /*
     * Writes the parts as far as the peer takes them. Returns how many of their bytes were taken:
     * all of them, or fewer at the deadline; where `yields` is set also fewer, maybe 0, once the
     * peer takes no more for now but has sent something that can be read. ERR_TIMEOUT where nothing
     * was taken until the deadline; other errors as read. What was taken may not have left yet:
     * reads send the rest along.
     */
    ptrdiff_t (*write_some)(struct transport *self, const slice *parts, size_t count, bool yields,
                            deadline_ms deadline, struct err *err);

    /*
     * False where the idle stream cannot be used again: the peer closed it, or sent bytes that
     * nobody asked for. Never blocks.
     */
    bool (*usable)(struct transport *self);

    /*
     * Closes the sending half, below TLS: after a close_notify the peer would discard what it has
     * not sent yet. Reading goes on. Never blocks.
     */
    void (*finish_writing)(struct transport *self);

    /* Ends the stream at once (best-effort close_notify over TLS) and frees everything. */
    void (*close)(struct transport *self);
};

struct transport {
    const struct transport_ops *ops;
};

#endif
