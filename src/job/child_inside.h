/*
 * job/child_inside.h - a slot's child from the inside; private to job/child*.c.
 *
 *   child.c          the handler's operations: start, restart, deaths, the end
 *   child_io.c       one step of talking: all pipes at once
 *   child_text.c     what goes to the log, and the last words
 *   child_message.c  what a line means
 *   child_lines.c    a job with a child that has one line a job
 *   child_once.c     a job with a child of its own
 *   child_watch.c    children between jobs
 *   child_attend.c   one without jobs: a server, a check
 */
#ifndef JOB_CHILD_INSIDE_H
#define JOB_CHILD_INSIDE_H

#include "base/clock.h"
#include "base/flag.h"
#include "base/limits.h"
#include "base/log.h"
#include "codec/backoff.h"
#include "codec/lines.h"
#include "job/child.h"
#include "job/process.h"
#include "job/rp_job.h"

struct child {
    const struct child_setting *setting;
    struct process process;
    rp_job *job;      /* of now; NULL between jobs */
    struct wake stop; /* signalled when the job of now is to end */

    struct lines out;
    struct lines err;
    char tail[LIMIT_CHILD_TAIL_BYTES]; /* the newest lines of err */
    size_t tail_len;

    slice input;         /* not yet sent */
    bool input_feed;     /* a line feed follows it */
    bool input_close;    /* and then the end */
    const char *dropped; /* up to here the job's input is given back; NULL: none of it */

    bool ready;
    int status;      /* how the last one ended, as waitpid tells */
    unsigned deaths; /* in a row */
    struct backoff backoff;
    deadline_ms start_after;

    struct child *idle_next; /* in the list of child_watch.c, under its lock */
    bool idle;
};

/* --- child_io.c --- */

enum child_event {
    CHILD_STOPPED = 1, /* the wake was signalled */
    CHILD_LATE = 2,    /* the deadline has passed */
    CHILD_ENDED = 4,   /* it is dead, its group too; all it has said is in `out` */
    CHILD_SILENT = 8,  /* it lives, but has closed its standard output */
};

/*
 * Waits until there is something to do and does it: sends input, reads what can be read; lines of
 * standard error go to the log. Returns a set of events, maybe none; or ERR_LIMIT for a line that
 * is too long, ERR_MEMORY. wake may be NULL.
 */
int child_step(struct child *child, const struct wake *wake, deadline_ms deadline, struct err *err);

/* Reads what is there without waiting; what child_step does for a dead child. */
int child_drain(struct child *child, struct err *err);

/* What is to be sent from now on, by child_step. Linked until it is sent or the child is ended. */
void child_send(struct child *child, slice input, bool then_close);
bool child_has_unsent(const struct child *child);

/*
 * Gives the memory of a large input back to the system as it is sent: from then on it reads as
 * zeros. The rest of the job (its id, for one) stays.
 */
void child_drop_sent(struct child *child);

/* --- child_text.c --- */

struct log_tag child_tag(const struct child *child);

/* A line of standard output that is no message. */
void child_log_line(struct child *child, slice line);

/* A {"log": ..., "level": ...} of raw values. */
void child_log_value(struct child *child, slice value, slice level);

/* Adds a line to its last words: the newest lines stay, whole ones. */
void child_add_words(struct child *child, slice line);

/* Its last lines, without the last line feed; valid until more are added or it is started anew. */
slice child_last_words(const struct child *child);

/* Logs what is complete on standard error, and adds it; `all`: what is not complete, too. */
void child_log_errors(struct child *child, bool all);

/*
 * Fails the job: what happened and the child's last words. Nothing without a job.
 */
void child_fail(struct child *child, const char *type, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* --- child.c --- */

/*
 * A child without a process. Linked: the setting. Standard output comes in lines of so many bytes;
 * `line` is what to call one in errors. child_free gives back what it has; not for one under watch.
 */
void child_init(struct child *child, const struct child_setting *setting, size_t line_max_bytes,
                const char *line);
void child_free(struct child *child);

/* Starts a process in the place of none. Errors as process_start. */
int child_start(struct child *child, struct err *err);

/*
 * Ends the process, whatever it does; `status` says how it ended. Ours: the worker wanted it so,
 * it counts for nothing. Otherwise it is one more death.
 */
void child_end(struct child *child, bool ours);

/* One more death, with the pause that costs. */
void child_count_death(struct child *child);

/* True where there were as many in a row as the setting allows. */
bool child_keeps_dying(const struct child *child);

/* A job was answered: deaths are no longer in a row. */
void child_succeeded(struct child *child);

/* Fails the job as one that ran too long. */
void child_fail_late(struct child *child);

/* --- child_lines.c, child_once.c: one job; as handler_ops.run --- */

int child_run_line(struct child *child, rp_job *job);
int child_run_once(struct child *child, rp_job *job);

/*
 * Waits until the child is there and, where asked for, ready; starts it where there is none. Gives
 * up when the job, if there is one, is stopped: ERR_CANCELLED. ERR_TIMEOUT, ERR_RETRY for a death.
 */
int child_make_ready(struct child *child, struct err *err);

/* Acts on what a child says outside of a job. */
void child_hear_strays(struct child *child);

/* Ends a process that has ended by itself without a job, and says so in the log. */
void child_bury(struct child *child);

/* Answers the job with JSON that has been checked, inside `lines`, whose memory the job takes. */
int child_answer(struct child *child, struct lines *lines, slice json);

/* --- child_attend.c --- */

/*
 * For a process that answers no jobs: passes all that it says on to the log, and to its last words,
 * until it has ended (CHILD_ENDED), the deadline has passed (CHILD_LATE), or the wake is signalled
 * (CHILD_STOPPED), which is for the caller to lower; NULL for none.
 */
int child_attend(struct child *child, const struct wake *wake, deadline_ms deadline);

/* --- child_watch.c --- */

/* The first call starts the watching thread. ERR_MEMORY. */
int child_watch_init(struct err *err);

/* Puts a child under watch, takes it back: it belongs to one thread at a time. */
void child_watch_give(struct child *child);
void child_watch_take(struct child *child);

/* Around a process's life: its pipes come and go. */
void child_watch_add(struct child *child);
void child_watch_remove(struct child *child);

#endif
