/*
 * base/thread.h - starting a thread. Nobody joins threads here: they end with the process, or tell
 * by other means that they have ended.
 */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <stddef.h>

#include "base/err.h"

/*
 * Starts a detached thread with a stack of stack_bytes, of which only what is touched costs
 * memory. argument is linked. ERR_MEMORY where the system has no more threads.
 */
int thread_start(void *(*run)(void *), void *argument, size_t stack_bytes, struct err *err);

#endif
