#include "codec/pace.h"

static int64_t lead_ms(const struct pace *pace, int64_t way_ms)
{
    int64_t least = pace->interval_ms / PACE_LEAD_PART;
    int64_t most = pace->interval_ms / PACE_LEAD_PART_MAX;
    int64_t lead = way_ms > least ? way_ms : least;
    return lead < most ? lead : most;
}

void pace_came(struct pace *pace, int64_t now_ms, int64_t way_ms)
{
    if (pace->waits)
        return;
    pace->waits = true;
    pace->due_ms = now_ms;
    if (now_ms < pace->quiet_ms)
        pace->due_ms += pace->interval_ms - lead_ms(pace, way_ms);
}

bool pace_is_due(const struct pace *pace, int64_t now_ms)
{
    return pace->waits && now_ms >= pace->due_ms;
}

void pace_went(struct pace *pace, int64_t now_ms)
{
    pace->waits = false;
    pace->quiet_ms = now_ms + pace->interval_ms;
}
