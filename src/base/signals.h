/*
 * base/signals.h - signals that one thread waits for, among threads that do not block them: those
 * of another language's runtime may have been there before the worker's.
 */
#ifndef BASE_SIGNALS_H
#define BASE_SIGNALS_H

#include <signal.h>

/*
 * The calling thread is the one that waits for these signals, by sigwait or a signalfd, for as long
 * as the process lives: it blocks them, and so do the threads that it starts from here on. Another
 * thread that takes one passes it on. At most one thread for each signal.
 */
void signals_wait_here(const sigset_t *signals);

#endif
