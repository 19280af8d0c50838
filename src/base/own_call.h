/*
 * base/own_call.h - system calls of the worker's own code that a filter has to tell from those of a
 * handler's: all are made at one address, which a seccomp filter sees (audit/filter.h).
 */
#ifndef BASE_OWN_CALL_H
#define BASE_OWN_CALL_H

#include <stdint.h>

/*
 * Makes the system call. Blocks as it does. Returns what the kernel returns: a negative errno after
 * an error. errno itself stays. Async-signal-safe.
 */
long own_call(long number, const long arguments[6]);

/* The address that the kernel sees those calls come from. */
uintptr_t own_call_address(void);

/* socket(2): -1 with errno set after an error. */
int own_socket(int domain, int type, int protocol);

/*
 * open(2) of a file that is there: -1 with errno set after an error. Where calls are watched
 * (audit/refusal.h) it costs no signal, and says nothing of a file that is not on the list.
 */
int own_open(const char *path, int flags);

#endif
