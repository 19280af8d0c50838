/*
 * source/events.h - server-sent events, as the worker writes them (source: the HTML standard,
 * "Server-sent events"). Pure.
 */
#ifndef SOURCE_EVENTS_H
#define SOURCE_EVENTS_H

#include "base/buf.h"
#include "base/slice.h"

/* A comment, which keeps a connection alive and is not an event. */
#define EVENTS_ALIVE ": still here\n\n"

/*
 * Around an event's data, which the caller appends: one or more JSON values. `name` is the event's
 * type, NULL for none. begin returns where the data starts, for end. Errors stick to the buffer.
 */
size_t events_begin(struct buf *out, const char *name);
void events_end(struct buf *out, size_t start);

/* One whole event. */
void events_put(struct buf *out, const char *name, slice json);

#endif
