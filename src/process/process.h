/*
 * process/process.h - programs that the worker starts: each in a process group of its own, with
 * pipes to it, and nothing of them left behind.
 *
 * A process is started without a copy of the worker's memory (clone with CLONE_VM and CLONE_VFORK,
 * as posix_spawn does), with all signals at their defaults and unblocked, and with the standard
 * descriptors only. The kernel kills it when the thread that started it ends (PR_SET_PDEATHSIG,
 * see prctl(2)): so that thread ends the process first, or lives as long as the worker.
 *
 * The worker becomes the reaper of orphans that its processes leave (PR_SET_CHILD_SUBREAPER). From
 * then on all its children have to be started here, since any other would be reaped as an orphan.
 * Descendants that have left the group are found, where there is a /proc, by a mark in their
 * environment, or as children of the worker that belong to no running program.
 */
#ifndef PROCESS_PROCESS_H
#define PROCESS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/clock.h"
#include "base/err.h"

#define PROCESS_MARK_BYTES 64

/*
 * Raises this process's soft limit of descriptors to the hard one; connections need many. Programs
 * start with the limit from before: some look at every number up to it. Once, before the first
 * start.
 */
void process_raise_descriptor_limit(void);

/*
 * From here on processes are started, and what they leave behind is looked for, by two threads of
 * their own, the second from the first look on. A process inherits what its starter may do: call
 * this before the calling thread gives up rights that programs are to have. Once, before the first
 * start. ERR_MEMORY.
 */
int process_begin_starter(struct err *err);

/*
 * Ends them: from here on the caller does it itself, with its own rights. For where no more is
 * started. Blocks until their work is done. Without them it does nothing.
 */
void process_end_starter(void);

/* What to start. Only used during the call. */
struct process_plan {
    const char *path; /* of the program; not looked up in PATH */
    char *const *argv;
    const char *const *env_without; /* variables it does not inherit, then NULL; or NULL */
    const char *env_extra[2];       /* variables more, "NAME=value"; NULL for none */
    const char *env_default;        /* one that is added unless the worker has it; or NULL */
    bool one_output;                /* standard error goes into standard output's pipe, in order */
};

/* A running process. All zero: none. Belongs to one thread at a time. */
struct process {
    pid_t pid; /* of the process and its group; 0: none */
    int pidfd; /* readable once it has ended; -1 before Linux 5.3, which has none */
    int in;    /* our ends of its standard streams: non-blocking, -1 once closed */
    int out;
    int err;
    struct process *next; /* in the list of all of them */
    char mark[PROCESS_MARK_BYTES];
};

/*
 * Starts a process; blocks until its program is loaded, which depends on the file system.
 * ERR_CONFIG if it cannot be run, ERR_MEMORY if the system has no more memory, descriptors or
 * processes, ERR_CANCELLED once process_end_all has been called. The plan is not kept.
 */
int process_start(struct process *process, const struct process_plan *plan, struct err *err);

/* Sends a signal to its whole group. No effect without a process. */
void process_signal(const struct process *process, int signal_number);

/* True once it has ended, by itself or by a signal; process_end is still to be called. */
bool process_has_ended(const struct process *process);

/*
 * True once a process that was not reaped yet has ended, or the kernel has begun to end it, which
 * comes before its descriptors are closed: proc(5). False without a /proc.
 */
bool process_is_ending(pid_t pid);

/* Blocks until it has ended or the deadline has passed; true if it has ended. */
bool process_wait(const struct process *process, deadline_ms deadline);

/*
 * Kills what is left of it: the process, its group, descendants that left the group; closes the
 * pipes. Returns how it ended, as waitpid tells; -1 without a process, or if the kernel cannot end
 * it now (it hangs in a driver): it is reaped later. Blocks for a moment, in that case for
 * LIMIT_CHILD_KILL_MS.
 */
int process_end(struct process *process);

/* Closes a descriptor, if it is not -1, and sets it to -1. */
void process_close(int *fd);

/* "exited with status 3", "was killed by signal 11 (SIGSEGV)". `size` of at least 64 bytes. */
void process_describe(int status, char *text, size_t size);

/* Reaps orphans that have ended. Cheap: to be called on every SIGCHLD. Any thread. */
void process_reap_orphans(void);

/*
 * For the worker's end: no more starts, SIGTERM to every group, and after grace_ms SIGKILL to what
 * is left of them and to all other descendants of the worker. Blocks until then, at most. Other
 * threads' structs stay as they are. Any thread, once.
 */
void process_end_all(int64_t grace_ms);

/*
 * After that, as the last step: waits until killed processes and orphans are gone, and reaps them
 * all, other threads' too. Blocks for at most LIMIT_CHILD_KILL_MS.
 */
void process_reap_all(void);

/* process_end_all, then process_reap_all. */
void process_finish(int64_t grace_ms);

/* True once process_end_all was called: processes end because of that. Any thread. */
bool process_all_are_ending(void);

#endif
