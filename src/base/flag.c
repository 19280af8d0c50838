#include "base/flag.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

void flag_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

bool flag_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, deadline_ms deadline)
{
    if (deadline == DEADLINE_NEVER)
        return pthread_cond_wait(cond, lock) == 0;
    struct timespec until = { .tv_sec = (time_t)(deadline / 1000),
                              .tv_nsec = (long)(deadline % 1000) * 1000000 };
    return pthread_cond_timedwait(cond, lock, &until) != ETIMEDOUT;
}

void flag_init(struct flag *flag)
{
    pthread_mutex_init(&flag->lock, NULL);
    flag_cond_init(&flag->raised_cond);
    flag->attached = NULL;
    atomic_init(&flag->raised, false);
}

void flag_raise(struct flag *flag)
{
    pthread_mutex_lock(&flag->lock);
    atomic_store_explicit(&flag->raised, true, memory_order_release);
    pthread_cond_broadcast(&flag->raised_cond);
    if (flag->attached != NULL)
        wake_signal(flag->attached);
    pthread_mutex_unlock(&flag->lock);
}

const struct wake *flag_link(struct flag *flag, const struct wake *wake)
{
    pthread_mutex_lock(&flag->lock);
    const struct wake *before = flag->attached;
    flag->attached = wake;
    if (wake != NULL && flag_is_raised(flag))
        wake_signal(wake);
    pthread_mutex_unlock(&flag->lock);
    return before;
}

bool flag_wait(struct flag *flag, deadline_ms deadline)
{
    pthread_mutex_lock(&flag->lock);
    while (!flag_is_raised(flag))
        if (!flag_cond_wait(&flag->raised_cond, &flag->lock, deadline))
            break;
    pthread_mutex_unlock(&flag->lock);
    return flag_is_raised(flag);
}

int wake_init(struct wake *wake, struct err *err)
{
    wake->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake->fd < 0)
        return err_system(err, ERR_MEMORY, errno, "cannot make an eventfd");
    return 0;
}

void wake_signal(const struct wake *wake)
{
    const uint64_t one = 1;
    ssize_t written = write(wake->fd, &one, sizeof one);
    (void)written; /* fails only when the counter is full, and then it is readable as well */
}

void wake_lower(const struct wake *wake)
{
    uint64_t count;
    ssize_t got = read(wake->fd, &count, sizeof count);
    (void)got; /* fails only where it is not signalled, which is the goal */
}

void wake_free(struct wake *wake)
{
    close(wake->fd);
    wake->fd = -1;
}

bool wake_wait(const struct wake *wake, deadline_ms deadline)
{
    struct pollfd entry = { .fd = wake->fd, .events = POLLIN };
    int rc;
    do {
        rc = poll(&entry, 1, clock_left_ms(deadline));
    } while (rc < 0 && errno == EINTR);
    return rc > 0;
}
