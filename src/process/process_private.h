/*
 * process/process_private.h - what the files of process/process*.c share: the list of all running
 * processes (process_list.c), the launch of one (process_launch.c) and the search for what they
 * leave behind (process_sweep.c).
 */
#ifndef PROCESS_PROCESS_PRIVATE_H
#define PROCESS_PROCESS_PRIVATE_H

#include <stdint.h>

#include "process/process.h"

/*
 * Held while a process is started or reaped. In between it is on the list, so that its end is not
 * taken for an orphan's.
 */
void process_list_lock(void);
void process_list_unlock(void);

/* Closes the list: no more starts. Returns this worker's mark; NULL if nothing was ever started. */
const char *process_list_close(void);

/* Under the lock. _reap_orphans is process_reap_orphans. */
bool process_list_is_closed(void);
struct process *process_list_first(void);
void process_list_add(struct process *process);
void process_list_remove(struct process *process);
void process_list_reap_orphans(void);

/*
 * Makes the environment variable that marks a process and its descendants: this worker's mark and a
 * number. The first call makes the worker the reaper of orphans.
 */
void process_make_mark(char mark[PROCESS_MARK_BYTES]);

enum process_sweep_kind {
    SWEEP_LEFT, /* and descendants that descend from, and belong to, no running process */
    SWEEP_ALL,  /* and all descendants */
};

/*
 * Kills every process with the mark in its environment and those of that kind, until no more are
 * found (at most LIMIT_CHILD_LOOKS times over /proc), and reaps orphans.
 */
void process_sweep(const char *mark, enum process_sweep_kind kind);

/* When this process became the reaper of orphans, in clock ticks since the system's boot. */
uint64_t process_list_since(void);

/*
 * Loads the program into a new process with these standard streams, in a group of its own; mark is
 * the first variable of its environment. Under the lock. Errors as process_start.
 */
int process_launch(const struct process_plan *plan, char *mark, const int stdio[3], pid_t *pid,
                   struct err *err);

/* True if this process has no children, so no descendants either. */
bool process_has_no_children(void);

/* What needs more rights than the worker's other threads have: process_begin_starter. */
enum starter_work {
    STARTER_LAUNCHES, /* run with the list's lock held: may not wait for the other work */
    STARTER_SWEEPS,
    STARTER_WORKS,
};

#define PROCESS_LAUNCH_STACK_BYTES (32u * 1024u) /* of the new process, until it is a program */

/* Has run(argument) done by the thread for that work, and waits; without one, does it itself. */
void process_starter_run(enum starter_work work, void (*run)(void *), void *argument);

#endif
