#include "codec/flush_timer.h"

static int64_t lead_ms(const struct flush_timer *timer, int64_t way_ms)
{
    int64_t least = timer->interval_ms / FLUSH_TIMER_LEAD_PART;
    int64_t most = timer->interval_ms / FLUSH_TIMER_LEAD_PART_MAX;
    int64_t lead = way_ms > least ? way_ms : least;
    return lead < most ? lead : most;
}

void flush_timer_arrived(struct flush_timer *timer, int64_t now_ms, int64_t way_ms)
{
    if (timer->waits)
        return;
    timer->waits = true;
    timer->due_ms = now_ms;
    if (now_ms < timer->quiet_ms)
        timer->due_ms += timer->interval_ms - lead_ms(timer, way_ms);
}

bool flush_timer_is_due(const struct flush_timer *timer, int64_t now_ms)
{
    return timer->waits && now_ms >= timer->due_ms;
}

void flush_timer_flushed(struct flush_timer *timer, int64_t now_ms)
{
    timer->waits = false;
    timer->quiet_ms = now_ms + timer->interval_ms;
}
