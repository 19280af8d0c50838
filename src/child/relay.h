/*
 * child/relay.h - the output of a program that takes no jobs, a server or a check, to the log.
 */
#ifndef CHILD_RELAY_H
#define CHILD_RELAY_H

#include "base/clock.h"
#include "base/flag.h"
#include "child/io.h"
#include "child/life.h"

/*
 * Passes all that the child writes on to the log, and to the tail of its log, until it has ended
 * (CHILD_ENDED), the deadline has passed (CHILD_DEADLINE) or the wake is signalled (CHILD_WOKEN),
 * which the caller lowers; NULL for none. Blocks; returns which of these it was.
 */
int child_relay(struct child *child, const struct wake *wake, deadline_ms deadline);

#endif
