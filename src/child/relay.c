#include "child/relay.h"

#include "base/limits.h"
#include "child/text.h"

static void relay_line(struct child *child, slice line)
{
    if (line.len > 0)
        child_add_to_tail(child, line);
    child_log_line(child, line);
}

static void relay_lines(struct child *child)
{
    slice line;
    while (lines_next(&child->out, &line))
        relay_line(child, line);
}

static void relay_rest(struct child *child)
{
    slice line;
    if (lines_rest(&child->out, &line))
        relay_line(child, line);
    child_log_errors(child, true);
}

int child_relay(struct child *child, const struct wake *wake, deadline_ms deadline)
{
    int event = 0;
    while (event == 0) {
        struct err err;
        int events = child_step(child, wake, deadline, &err);
        if (events < 0)
            lines_clear(&child->out, LIMIT_KEEP_BYTES); /* a line over the limit */
        relay_lines(child);
        if (events > 0 && (events & CHILD_ENDED) != 0)
            event = CHILD_ENDED;
        else if (events > 0 && (events & CHILD_WOKEN) != 0)
            event = CHILD_WOKEN;
        else if (clock_left_ms(deadline) == 0)
            event = CHILD_DEADLINE;
    }
    if (event != CHILD_WOKEN)
        relay_rest(child);
    return event;
}
