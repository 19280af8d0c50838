/*
 * audit/refusal.h - what happens to a system call that the filter does not let through: it fails,
 * and a line in the log says which it was, and what allows it.
 */
#ifndef AUDIT_REFUSAL_H
#define AUDIT_REFUSAL_H

/*
 * Sets the action of SIGSYS, which the filter raises (audit/filter.h). A refused call fails with
 * EPERM. A watched one is made, and the line written if it fails with EACCES, as those do that are
 * not on the kernel's list (audit/landlock.h). rt_sigprocmask, to be watched too, blocks any signal
 * but this, which the calling thread has unblocked from here on. Once, before the filter is
 * installed.
 */
void refusal_install(void);

#endif
