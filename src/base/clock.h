/*
 * base/clock.h - time and deadlines, all on the monotonic clock, all in milliseconds.
 *
 * A deadline is a point in time, so passing one down through several calls bounds their sum.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define DEADLINE_NEVER INT64_MAX

typedef int64_t deadline_ms; /* a point on the monotonic clock, or DEADLINE_NEVER */

/* Milliseconds since some fixed point in the past (CLOCK_MONOTONIC). */
int64_t clock_now_ms(void);

/* The same clock in microseconds, for measuring durations. */
int64_t clock_now_us(void);

/* The deadline `timeout_ms` from now; DEADLINE_NEVER where the sum would overflow. */
deadline_ms clock_deadline(int64_t timeout_ms);

/* Milliseconds until the deadline: 0 once it has passed, at most INT_MAX (for poll). */
int clock_left_ms(deadline_ms deadline);

/* Sleeps until the deadline. Blocks. */
void clock_sleep(deadline_ms deadline);

/* The earlier of two deadlines. */
static inline deadline_ms clock_earlier(deadline_ms a, deadline_ms b)
{
    return a < b ? a : b;
}

#endif
