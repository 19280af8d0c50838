/*
 * job/process_inside.h - the list of all processes; private to job/process*.c.
 */
#ifndef JOB_PROCESS_INSIDE_H
#define JOB_PROCESS_INSIDE_H

#include "job/process.h"

/*
 * Held while a process is started or reaped: between the two it is on the list, so that nobody
 * takes its end for an orphan's.
 */
void process_list_lock(void);
void process_list_unlock(void);

/* Under the lock. */
bool process_list_is_closed(void);
void process_list_add(struct process *process);
void process_list_remove(struct process *process);
void process_list_reap_orphans(void);

/* The text that marks descendants: "NAME=" and this worker's own part, which `mark` starts with. */
void process_make_mark(char mark[PROCESS_MARK_BYTES]);

/* Kills everything in whose environment the text stands, until nothing is found. */
void process_sweep(const char *mark);

/* True where this process has no child at all, so no descendant either. */
bool process_has_no_child(void);

#endif
