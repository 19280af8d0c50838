/*
 * base/thread.h - starting a thread. Threads are never joined: they end with the process, or signal
 * their end by other means.
 */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <stddef.h>

#include "base/err.h"

/*
 * Starts a detached thread that runs run(argument), with a stack of stack_bytes, of which only the
 * pages in use cost memory. ERR_MEMORY if the system cannot create another thread.
 */
int thread_start(void *(*run)(void *), void *argument, size_t stack_bytes, struct err *err);

#endif
