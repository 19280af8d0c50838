/*
 * codec/flush_timer.h - when to send what is being gathered, so that nothing arrives later than an
 * interval after it came in, and a fast source does not cause a message for each piece.
 *
 * The first piece goes out at once, and so does one that comes after a quiet interval. Any other
 * waits for more, up to an interval after it came, less a lead for the time that sending takes.
 * Pure: the caller passes the time and does the waiting.
 */
#ifndef CODEC_FLUSH_TIMER_H
#define CODEC_FLUSH_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#define FLUSH_TIMER_LEAD_PART 5 /* the lead is at least 1/5 of the interval, for late wake-ups, */
#define FLUSH_TIMER_LEAD_PART_MAX 2 /* and at most 1/2: slow sending must not end all gathering */

/* Starts with all but interval_ms zero. Times are those of one clock, and above 0. */
struct flush_timer {
    int64_t interval_ms;
    bool waits;       /* something waits to go out */
    int64_t due_ms;   /* when it goes out; meaningless where nothing waits */
    int64_t quiet_ms; /* from this time on a piece goes out at once */
};

/*
 * A piece has come; no effect while one waits already. way_ms: how long the last message took to be
 * delivered, 0 where unknown.
 */
void flush_timer_arrived(struct flush_timer *timer, int64_t now_ms, int64_t way_ms);

/* True where what waits must go out now. */
bool flush_timer_is_due(const struct flush_timer *timer, int64_t now_ms);

/* Everything that waited has gone out. */
void flush_timer_flushed(struct flush_timer *timer, int64_t now_ms);

#endif
