/*
 * child/io.h - bytes to and from a child: one step of input and output on all pipes at once.
 */
#ifndef CHILD_IO_H
#define CHILD_IO_H

#include "base/clock.h"
#include "base/err.h"
#include "base/flag.h"
#include "base/slice.h"
#include "child/life.h"
#include "job/job.h"

enum child_event {
    CHILD_WOKEN = 1,          /* the wake was signalled */
    CHILD_DEADLINE = 2,       /* the deadline has passed */
    CHILD_ENDED = 4,          /* it and its group are dead; the rest of its output is in `out` */
    CHILD_OUTPUT_CLOSED = 8,  /* it is alive, but has closed its standard output */
    CHILD_INPUT_REFUSED = 16, /* it has closed its standard input and read nothing of the input */
};

/*
 * Sends input; blocks, unless that was the last of it, until a pipe is ready, the child has ended,
 * the wake (NULL for none) is signalled or the deadline has passed; then reads output. Lines of
 * standard error go to the log, standard output waits in child->out. Returns a set of enum
 * child_event, possibly empty; ERR_LIMIT for a line of standard output over its limit, ERR_MEMORY.
 */
int child_step(struct child *child, const struct wake *wake, deadline_ms deadline, struct err *err);

/* Reads what the pipes hold now, without blocking. 0, or errors as child_step. */
int child_drain(struct child *child, struct err *err);

/*
 * Has child_step send a job and a line feed, and then, if asked, close standard input.
 * `text` is its JSON object; one that came without an id gets it, and `folder`, where not NULL,
 * becomes its member "scratch". The bytes are not copied: they must stay until they are sent or the
 * child is ended. ERR_MEMORY; ERR_INPUT where the job has a member "scratch" of its own.
 */
int child_send_job(struct child *child, const struct job *task, const char *folder, slice text,
                   bool then_close, struct err *err);

/* True if the running child has closed a stream that the next job needs. Does not block. */
bool child_is_unusable(const struct child *child);

/* True while some of that is still to be sent, and the child has not closed its input. */
bool child_has_unsent(const struct child *child);

/*
 * Gives memory of the current job's input that has been sent back to the system, whole pages and in
 * large steps; these bytes read as zeros from then on. The rest of the job, its id among it, stays.
 */
void child_release_sent(struct child *child);

#endif
