/*
 * child/life.h - one child process of a slot: its state, its start, its end, its deaths.
 *
 * A child belongs to one thread at a time: to its slot's during a job, to the watching thread
 * (child/watch.h) between jobs.
 */
#ifndef CHILD_LIFE_H
#define CHILD_LIFE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/flag.h"
#include "base/limits.h"
#include "base/slice.h"
#include "child/setting.h"
#include "codec/backoff.h"
#include "codec/lines.h"
#include "process/process.h"
#include "worker.h"

struct scratch;

struct child {
    const struct child_setting *setting;
    struct process process;
    rp_job *job;      /* the current one; NULL between jobs */
    struct wake stop; /* signalled when the current job is to end */

    struct scratch *folder; /* RP_SCRATCH of its programs (child/folder.h); NULL: none */
    char *folder_variable;  /* "RP_SCRATCH=...", for the next start; owned, NULL: none */

    struct lines out;                      /* standard output, up to what has been handled */
    struct lines err;                      /* standard error */
    char log_tail[LIMIT_CHILD_TAIL_BYTES]; /* its last log lines, for error texts */
    size_t log_tail_len;

    char *head;           /* to be sent before the input; owned, NULL for none */
    slice head_left;      /* of that */
    slice input;          /* still to be sent (child/io.h) */
    bool input_newline;   /* a line feed is to follow it */
    bool input_close;     /* and then the end of standard input */
    size_t input_sent;    /* bytes of it that are in the pipe, or read */
    bool input_refused;   /* standard input was closed before any of it was read */
    const char *released; /* the job's input has been given back up to here; NULL: none of it */

    bool ready;       /* it has sent {"ready": true} */
    bool halted;      /* with --watch: not started until its program has changed */
    unsigned edition; /* child/edition.h, when it was started */
    bool knows;       /* it has ended a job with a message: it knows the protocol */
    bool hinted;      /* the log has said how a job ends */
    int status;       /* how the last process ended, as waitpid tells; -1: it could not be killed */
    unsigned deaths;  /* in a row */
    struct backoff backoff;
    deadline_ms start_after; /* no earlier start, after deaths */
    deadline_ms ready_by;    /* it has to be ready by then, over all tries; 0: it is ready */
    deadline_ms next_note;   /* when the log says again what is waited for; 0: nothing is */
    int notes;               /* how often it has said so */
    struct err lost;         /* code not 0: why it will never be ready again */

    void (*unready)(void *owner); /* called when an idle child is no longer ready; NULL: not set */
    void *unready_owner;

    struct child *idle_next; /* in the list of child/watch.c, under its lock */
};

/*
 * A child without a process; allocates nothing. Lines of standard output may have line_max_bytes;
 * `line` names one in errors. Neither setting nor `line` is copied. child_free frees the buffers;
 * not while a process is running or the child is watched.
 */
void child_init(struct child *child, const struct child_setting *setting, size_t line_max_bytes,
                const char *line);
void child_free(struct child *child);

/* Starts the process; none may be running. Blocks and fails as process_start. */
int child_start(struct child *child, struct err *err);

/*
 * Ends the process as process_end does, sets `status` and clears all but the tail of its log, which
 * stays until the next start. Counts nothing: the caller knows whose fault the end is.
 */
void child_end(struct child *child);

/* A file of its program has changed since it was last started (--watch). */
bool child_is_outdated(const struct child *child);

/* Counts a death: from the second in a row on, the next start waits for a growing pause. */
void child_count_death(struct child *child);

/* True once there were as many deaths in a row as the setting allows (max_deaths). */
bool child_keeps_dying(const struct child *child);

/* The program works: deaths from now on are counted from zero. */
void child_reset_deaths(struct child *child);

#endif
