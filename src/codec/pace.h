/*
 * codec/pace.h - when what is being gathered goes out, so that none of it arrives later than an
 * interval after it came, and a fast source does not mean a message for each piece.
 *
 * The first piece of all goes out at once, and so does one that comes when nothing has gone out for
 * an interval. Any other one waits for company: up to an interval from its own coming, less the
 * lead that getting there takes. Pure: the caller brings the time and does the waiting.
 */
#ifndef CODEC_PACE_H
#define CODEC_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define PACE_LEAD_PART 5     /* the lead is at least a fifth of the interval: for late wake-ups */
#define PACE_LEAD_PART_MAX 2 /* and at most half of it: a slow way must not end all gathering */

/* All zero but interval_ms is a start. Times are those of any one clock that begins above 0. */
struct pace {
    int64_t interval_ms;
    bool waits;       /* something does */
    int64_t due_ms;   /* then it goes out; where nothing waits, nothing */
    int64_t quiet_ms; /* from then on a piece goes out at once */
};

/*
 * A piece has come that may go out; of no effect while one waits already. way_ms: how long the
 * last message took to get there, 0 where that is not known.
 */
void pace_came(struct pace *pace, int64_t now_ms, int64_t way_ms);

/* True where what waits is to go out now. */
bool pace_is_due(const struct pace *pace, int64_t now_ms);

/* All that waited has gone out. */
void pace_went(struct pace *pace, int64_t now_ms);

#endif
