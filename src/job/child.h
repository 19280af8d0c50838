/*
 * job/child.h - handlers in other languages: a program that is started once and given a job a line
 * (src/handlers/README.md has the protocol), or started anew for each job.
 *
 * Every slot has a child of its own. Whatever a child does, it costs the job it was given: a crash,
 * a signal, a broken or endless answer, a closed pipe, a deadline. The job then fails with an error
 * that says what happened and the child's last words, the child's whole group is killed, and a new
 * one takes its place: at once after the first death, with a growing pause while it keeps dying, and
 * after max_deaths in a row the handler is lost (job/handler.h).
 *
 * A job that is stopped, or takes too long, gets its child a SIGTERM. One that ends the job in time,
 * with any final line, lives on; any other is killed once the grace is over.
 *
 * Between jobs one thread for all slots reads what idle children say, so that it reaches the log,
 * and notices those that die.
 */
#ifndef JOB_CHILD_H
#define JOB_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "job/command.h"
#include "job/handler.h"

enum child_mode {
    CHILD_LINES, /* one process, a job a line */
    CHILD_ONCE,  /* a process a job: standard input to standard output */
};

/* What a child is and how it is treated. Linked; must outlive the slots. */
struct child_setting {
    const char *program; /* command line */
    enum child_mode mode;
    bool ready;               /* no job before the child has said {"ready": true} */
    bool pass_api_key;        /* leave RUNPOD_AI_API_KEY in its environment */
    int64_t ready_timeout_ms; /* from its start to "ready"; 0: none */
    int64_t kill_grace_ms;    /* from SIGTERM to SIGKILL */
    unsigned max_deaths;      /* of one slot's children in a row: then the handler is lost */
    size_t output_max_bytes;  /* of one output */

    bool one_output; /* standard error is standard output, as 2>&1 does */

    bool isolated;          /* the child is this very binary (child_prepare_isolated) */
    struct command command; /* made by child_prepare; its own */
};

/*
 * Makes a setting with a program ready for use, as command_prepare does, with its errors: behind
 * --handler-once for CHILD_ONCE, else --handler. Before there are threads.
 */
int child_prepare(struct child_setting *setting, struct err *err);

/*
 * The same for --isolate: the children are this binary with these arguments and a private variable
 * that has rp_start run child_side_run (job/child_side.h) in them. argv is linked.
 */
int child_prepare_isolated(struct child_setting *setting, char **argv, struct err *err);

/*
 * Runs a prepared program once and waits for it, with nothing on its standard input; all that it
 * says goes to the log. timeout_ms 0: it has all the time. 0 where it exits with status 0. 1 where it does not, or not in time: then
 * `reason` says how it ended and its last line. ERR_CONFIG, ERR_MEMORY where it cannot be started,
 * ERR_CANCELLED where the worker is ending. Whatever is left of it is killed.
 */
int child_check(const struct child_setting *setting, int64_t timeout_ms, char *reason, size_t size,
                struct err *err);

/*
 * Handlers as job/handler.h asks for, with a prepared child_setting. open: ERR_CONFIG where the
 * program cannot be started, or has died max_deaths times before it was ready, or was not ready in
 * time. SIGCHLD should be blocked in all threads, so that orphans are reaped the moment they end.
 */
extern const struct handler_ops child_ops;

#endif
