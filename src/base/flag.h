/*
 * base/flag.h - two ways for one thread to tell others that something has happened, once.
 *
 * A flag is waited for by sleeping on it; a wake can also be waited for beside a socket, since it
 * is a file descriptor. Neither is lowered again, but for wake_lower. All functions may be called from any
 * thread; raise never blocks for long.
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
    const struct wake *linked; /* signalled too when the flag is raised; NULL for none */
    atomic_bool raised;
};

/* A lowered flag. Needs no clean-up once nobody waits on it any more. */
void flag_init(struct flag *flag);
void flag_raise(struct flag *flag);

static inline bool flag_is_raised(const struct flag *flag)
{
    return atomic_load_explicit(&flag->raised, memory_order_acquire);
}

/* Sleeps until the flag is raised or the deadline has passed; true where it is raised. */
bool flag_wait(struct flag *flag, deadline_ms deadline);

struct wake {
    int fd; /* an eventfd, readable once signalled */
};

/* ERR_MEMORY where the system has no descriptor left. */
int wake_init(struct wake *wake, struct err *err);
void wake_signal(const struct wake *wake);
void wake_lower(const struct wake *wake); /* for one that has a single waiter, who may wait again */

/* Closes the descriptor; nobody may wait on it or signal it any more. */
void wake_free(struct wake *wake);

/* Sleeps until signalled or the deadline has passed; true where it is signalled. */
bool wake_wait(const struct wake *wake, deadline_ms deadline);

/*
 * Has the wake signalled when the flag is raised, at once where it is already: for a thread that
 * waits beside a socket. One wake a flag; NULL unlinks it, after which it is not touched again.
 */
void flag_link(struct flag *flag, const struct wake *wake);

/* pthread condition variables here count on the monotonic clock, as deadlines do. */
void flag_cond_init(pthread_cond_t *cond);

/* Waits on a condition made by flag_cond_init until the deadline. False once that has passed. */
bool flag_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, deadline_ms deadline);

#endif
