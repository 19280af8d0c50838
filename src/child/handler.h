/*
 * child/handler.h - handlers in other languages: a program that is started once and given one job a
 * line (src/handlers/README.md has the protocol), or started anew for each job.
 *
 * Every slot has a child process of its own, and whatever that does costs at most the job it was
 * given: a crash, a signal, a malformed or endless result, a closed pipe, a missed deadline. The
 * job then fails with an error that says what happened and quotes the end of the child's log, the
 * child's whole process group is killed, and a new child is started: at once after the first death,
 * after a growing pause while it keeps dying. After max_deaths in a row the handler is lost
 * (job/handler.h).
 *
 * When a job is stopped or exceeds its time, its child gets SIGTERM. A child that then ends the job
 * with any final message within the grace period lives on; any other is killed.
 *
 * Between jobs one thread for all slots reads what idle children write, so that it reaches the log,
 * and notices those that die (child/watch.h).
 *
 * The files, each using only those above it:
 *
 *   setting   what a child is and how it is treated
 *   life      the child: its start, its end, its deaths
 *   text      what goes to the log, and the end of that log for error texts
 *   io        one step of input and output on all pipes at once
 *   message   what a line of standard output means
 *   outcome   how a job ends: with an output or an error
 *   folder    folders for the files of jobs
 *   links     files that an output names become links
 *   idle      outside of a job: getting ready, unsolicited messages, a death
 *   lines     one job for a child that gets a job a line
 *   once      one job for a child of its own
 *   relay     a program that takes no jobs: a server (src/upstream), a check
 *   check     such a check
 *   watch     the thread for idle children
 *   edition   --watch: how often the program has changed
 *   renew     --watch: processes of a program that has changed give way
 *   handler   the handler's operations
 */
#ifndef CHILD_HANDLER_H
#define CHILD_HANDLER_H

#include "job/handler.h"

/*
 * The handler's operations (job/handler.h); the setting is a prepared struct child_setting. open
 * fails with ERR_CONFIG if the program cannot be started, or max_deaths times in a row died or was
 * too slow before it was ready. SIGCHLD should be blocked in all threads, so that orphans are
 * reaped the moment they end.
 */
extern const struct handler_ops child_ops;

#endif
