/*
 * job/process.h - programs the worker starts: each in a process group of its own, with pipes to it,
 * and never anything of them left behind.
 *
 * A process is started without copying the worker's memory (clone with CLONE_VM and CLONE_VFORK, as
 * posix_spawn does), with all signals at their defaults and unblocked, with no descriptor but its
 * three, and is killed by the kernel when the thread that started it ends (PR_SET_PDEATHSIG, see
 * prctl(2)): whoever starts one ends it on the same thread or lives as long as the worker.
 *
 * The worker becomes the reaper of what its processes leave behind (PR_SET_CHILD_SUBREAPER). From
 * then on every child of this process has to be started here, since others' are reaped as orphans.
 * A process's descendants that left its group are found by a mark in their environment, where
 * there is a /proc.
 */
#ifndef JOB_PROCESS_H
#define JOB_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/clock.h"
#include "base/err.h"

#define PROCESS_MARK_BYTES 64

/* What to start. Linked for the duration of a call. */
struct process_plan {
    const char *path; /* of the program; no search */
    char *const *argv;
    const char *const *without; /* names of variables it does not inherit; NULL for none */
    const char *extra;          /* one more "NAME=value"; NULL for none */
    bool one_output; /* standard error goes into standard output's pipe, in the order it is said */
};

/* A running process. All zero is none. One thread at a time. */
struct process {
    pid_t pid; /* also of its group; 0 where there is none */
    int pidfd; /* readable once it has ended; -1 where the kernel has none (before 5.3) */
    int in;    /* our ends of its standard streams: non-blocking, -1 once closed */
    int out;
    int err;
    struct process *next; /* in the list of all of them */
    char mark[PROCESS_MARK_BYTES];
};

/*
 * Starts it; waits until the program has been loaded, which is the file system's time. ERR_CONFIG
 * where it cannot be run, ERR_MEMORY where the system has no descriptor or process left,
 * ERR_CANCELLED once process_end_all was called.
 */
int process_start(struct process *process, const struct process_plan *plan, struct err *err);

/* Sends a signal to its whole group. */
void process_signal(const struct process *process, int signal_number);

/* True once it has ended by itself or by a signal; process_end is still to be called. */
bool process_has_ended(const struct process *process);

/* Sleeps until it has ended or the deadline has passed; true where it has ended. */
bool process_wait(const struct process *process, deadline_ms deadline);

/*
 * Kills whatever is left of it: the process, its group, descendants that left the group; closes
 * the pipes. Returns how it ended, as waitpid tells, or -1 where the kernel cannot end it now (it
 * hangs in a driver): it is reaped later. Blocks for the moment that takes, at most some seconds.
 */
int process_end(struct process *process);

/* Closes one of the pipes' ends. */
void process_close(int *fd);

/* "exited with status 3", "was killed by signal 11 (SIGSEGV)". size at least 64. */
void process_describe(int status, char *text, size_t size);

/* Reaps orphans of processes that are gone; cheap, for whoever learns of SIGCHLD. Any thread. */
void process_reap_orphans(void);

/*
 * The worker's end: no more starts; SIGTERM for every group, SIGKILL after the grace for what is
 * left of all of them. Leaves the structs of other threads alone. Any thread, once.
 */
void process_end_all(int64_t grace_ms);

/*
 * After that, as the very last: killed is not gone yet, and what was left without a parent is this
 * process's child by now. Reaps all, other threads' too, for at most LIMIT_CHILD_KILL_MS.
 */
void process_reap_all(void);

/* True once that has begun: processes end because they were told to. Any thread. */
bool process_all_are_ending(void);

#endif
