/*
 * child/edition.h - with --watch, the number of times that a file of the handler's program has
 * changed. A process that was started under another number is outdated. Without --watch it stays 0.
 * Any thread.
 */
#ifndef CHILD_EDITION_H
#define CHILD_EDITION_H

#include <stdbool.h>

#include "base/clock.h"

unsigned child_edition(void);

/* Counts a change, wakes all who wait for one, and calls the listeners, on the calling thread. */
void child_edition_change(void);

/* Blocks until the edition is another one than this (true), or until the deadline. */
bool child_edition_wait(unsigned edition, deadline_ms deadline);

/* Called after every change, one at a time. Set by the caller, who keeps it until unlisten. */
struct child_edition_listener {
    void (*changed)(void *owner);
    void *owner;
    struct child_edition_listener *next;
};

void child_edition_listen(struct child_edition_listener *listener);

/* Blocks while the listeners are being called. */
void child_edition_unlisten(struct child_edition_listener *listener);

#endif
