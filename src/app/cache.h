/*
 * app/cache.h - the folders of --cache: restored from the network volume before the handler starts,
 * saved to it once the handler is ready. Without a volume, or with a cache that cannot be used, the
 * log says so, and the worker starts as if it had none.
 */
#ifndef APP_CACHE_H
#define APP_CACHE_H

#include <stdbool.h>

#include "base/flag.h"
#include "config/config.h"

/* ERR_CONFIG naming the flag where --cache is set and cannot be used as it is. */
int cache_check(const struct config *config, struct err *err);

/*
 * Restores, and blocks until that is done, or `stop` is signalled, which is linked: false where
 * that has ended it. Called once, on the thread that calls cache_save later. Does nothing without
 * --cache.
 */
bool cache_restore(const struct config *config, const struct wake *stop);

/* Starts saving, on a thread of its own. Does nothing without --cache. */
void cache_save(const struct config *config);

/*
 * At the end of the process, on any thread: waits until saving has ended, wait_s at the most. What
 * is not saved by then is not, and half-written files are removed from the volume, for which it
 * waits LIMIT_CACHE_CLEAN_MS at the most. A restore that still goes on is ended in the same way.
 */
void cache_wait(int wait_s);

#endif
