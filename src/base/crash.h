/*
 * base/crash.h - a last line in the log when the process itself crashes: the signal, the address
 * and the job that the thread was at work on.
 *
 * For SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT. The signal then takes its usual course: the
 * process dies of it, and a core dump shows the place of the fault. A signal that already has an
 * action of somebody else's (a sanitizer's, a library's) keeps it, and a GPU driver or handler that
 * sets one later replaces this one. Lines logged before are waited for, at most a second.
 */
#ifndef BASE_CRASH_H
#define BASE_CRASH_H

#include <stdbool.h>

#include "base/slice.h"

/* Sets the actions. json_lines: the form of the line, as for log_init. Call once, at the start. */
void crash_install(bool json_lines);

/*
 * Gives the calling thread a stack of its own for the handler, so that an overflow of the thread's
 * own stack is reported too. The memory is kept to the process's end: for threads that last. Does
 * nothing before crash_install, or where there is no memory.
 */
void crash_prepare_thread(void);

/* The job that the calling thread works on; empty: none. Not copied: valid until the next call. */
void crash_set_job(slice id);

/* That id. Async-signal-safe. */
slice crash_job(void);

#endif
