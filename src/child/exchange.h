/*
 * child/exchange.h - the talk about one job with a program that gets a job a line: what its lines
 * do to the job. Reads and waits for nothing.
 */
#ifndef CHILD_EXCHANGE_H
#define CHILD_EXCHANGE_H

#include <stdbool.h>

#include "base/clock.h"
#include "child/life.h"
#include "job/rp_job.h"

enum ending { NOT_ASKED, STOPPED, TIMED_OUT };

struct exchange {
    struct child *child; /* its `job` and `out` are used */
    rp_job *job;
    enum ending ending;        /* whether and why the child was asked to end the job */
    deadline_ms deadline;      /* of the grace period, once it was asked */
    deadline_ms exit_deadline; /* for a process that has closed its standard input or output */
    deadline_ms hint_at;       /* when the log says what ends a job */
    bool has_text;             /* it has printed lines that are not messages */
    bool mended;               /* of bad UTF-8, and the log says so */
    struct buf copy;           /* a line that was mended */
    bool part_refused;         /* a part was not sent: so are the rest, and one warning is enough */
    bool finished;
    int rc; /* RP_OK or RP_FAILED, once finished */
};

/* Begins one; child and job are linked. exchange_free frees what it holds. */
void exchange_init(struct exchange *exchange, struct child *child, rp_job *job);
void exchange_free(struct exchange *exchange);

/* Ends it: RP_OK, or RP_FAILED with the job failed. */
void exchange_finish(struct exchange *exchange, int rc);

/*
 * Handles the complete lines in child->out, up to a final message; with `all` an unfinished last
 * line, too. Blocks while too many parts wait to be sent.
 */
void exchange_handle_lines(struct exchange *exchange, bool all);

/* At hint_at: says in the log what ends a job, unless the program knows. */
void exchange_hint(struct exchange *exchange);

/*
 * The job on one line: line breaks become blanks, in place, since the bytes are the job's own. JSON
 * has them only as white space; in strings they are escaped.
 */
slice exchange_join_lines(slice text);

#endif
