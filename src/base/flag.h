/*
 * base/flag.h - two ways to signal a one-time event to other threads.
 *
 * A thread sleeps on a flag; a wake is a file descriptor, so a thread can poll it beside a socket.
 * A flag is never lowered again, a wake only by wake_lower. All functions may be called from any
 * thread; raising and signalling do not block.
 */
#ifndef BASE_FLAG_H
#define BASE_FLAG_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/err.h"

struct wake;

struct flag {
    pthread_mutex_t lock;
    pthread_cond_t raised_cond;
    const struct wake *attached; /* also signalled when the flag is raised; NULL for none */
    atomic_bool raised;
};

/* Initializes a lowered flag. It needs no clean-up once no thread waits on it. */
void flag_init(struct flag *flag);
void flag_raise(struct flag *flag);

static inline bool flag_is_raised(const struct flag *flag)
{
    return atomic_load_explicit(&flag->raised, memory_order_acquire);
}

/* Blocks until the flag is raised or the deadline has passed; true if it is raised. */
bool flag_wait(struct flag *flag, deadline_ms deadline);

struct wake {
    int fd; /* an eventfd, readable once signalled */
};

/* ERR_MEMORY where the system has no file descriptor left. */
int wake_init(struct wake *wake, struct err *err);
void wake_signal(const struct wake *wake);

/* Makes it unsignalled again; only for a wake with a single waiting thread, called by that one. */
void wake_lower(const struct wake *wake);

/* Closes the descriptor. No thread may be waiting on it, nor use it later. */
void wake_free(struct wake *wake);

/* Blocks until it is signalled or the deadline has passed; true if it is signalled. */
bool wake_wait(const struct wake *wake, deadline_ms deadline);

/*
 * Attaches a wake that is signalled when the flag is raised, or at once if it is raised already:
 * for a thread that waits on a socket too. A flag has at most one. NULL detaches it; when that call
 * returns the wake is no longer used. Returns the one that was attached before; NULL for none.
 */
const struct wake *flag_link(struct flag *flag, const struct wake *wake);

/* Initializes a condition variable that uses the monotonic clock, as deadlines do. */
void flag_cond_init(pthread_cond_t *cond);

/* Waits on such a condition variable. False once the deadline has passed. */
bool flag_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, deadline_ms deadline);

#endif
