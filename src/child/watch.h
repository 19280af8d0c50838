/*
 * child/watch.h - one thread for all children between jobs: reads what they write, so that it
 * reaches the log and no pipe fills up, replaces those that die, and reaps orphans
 * (process/process.h).
 */
#ifndef CHILD_WATCH_H
#define CHILD_WATCH_H

#include "base/err.h"
#include "child/life.h"

/* Starts the watching thread, which lives as long as the process, on the first call. ERR_MEMORY. */
int child_watch_init(struct err *err);

/*
 * Hands a child over to the watching thread; takes it back, and with it the ownership. A taken
 * child's process may have changed or ended. take blocks while the thread is busy.
 */
void child_watch_give(struct child *child);
void child_watch_take(struct child *child);

#endif
