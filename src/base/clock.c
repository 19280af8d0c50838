#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <time.h>

int64_t clock_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_now_ms(void)
{
    return clock_now_us() / 1000;
}

deadline_ms clock_deadline(int64_t timeout_ms)
{
    int64_t now = clock_now_ms();
    return timeout_ms > DEADLINE_NEVER - now ? DEADLINE_NEVER : now + timeout_ms;
}

int clock_left_ms(deadline_ms deadline)
{
    if (deadline == DEADLINE_NEVER)
        return INT_MAX;
    int64_t left = deadline - clock_now_ms();
    if (left <= 0)
        return 0;
    return left > INT_MAX ? INT_MAX : (int)left;
}

void clock_sleep(deadline_ms deadline)
{
    const struct timespec until = { .tv_sec = (time_t)(deadline / 1000),
                                    .tv_nsec = (long)(deadline % 1000) * 1000000 };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        continue;
}
