/*
 * What the benchmark platform hands out, takes in and counts: the routes, the jobs and the report.
 * One mock a process, one thread.
 */
#ifndef BENCH_DESK_H
#define BENCH_DESK_H

#include <stddef.h>

#include "conn.h"

enum { DESK_JOBS_MAX = 1000000 }; /* since the last reset */

struct mock_config {
    long jobs;         /* to hand out, at most DESK_JOBS_MAX; then job-takes are held open */
    int status;        /* answer every request at once with this; 0: as the real platform does */
    const char *input; /* every job's input, JSON; linked, not copied */
    size_t input_len;
};

/* Sets the mock up, or changes it, and forgets all counts. No connection may be open. Returns 0, or
 * -1 out of memory. */
int mock_reset(const struct mock_config *config);

/* Frees the mock's memory. */
void mock_close(void);

/* Answers the request that `c` has read, or holds it (conn_owner(c)->held). Returns 0, or -1 when
 * the connection is to be dropped. */
int mock_answer(struct conn *c);

/* The same for a request that is held: there may be something to say to it now. */
int mock_answer_held(struct conn *c);

/* Hands out so many more jobs. Returns 0, or -1 where that are too many. */
int mock_more(long more);

/* From here to mock_stopped() an answer to a held job-stop names all jobs without a result that
 * were not named yet. mock_stopped() prints the event. */
void mock_stop(void);
void mock_stopped(void);

/* The last byte of an answer went out on `c`. */
void mock_sent(struct conn *c);

/* A connection was accepted; one was dropped; one failed for want of memory or the like. */
void mock_opened(void);
void mock_dropped(void);
void mock_fault(void);

/* Prints the report, one JSON object on one line: now_ns; connections (accepted, open, faults,
 * resumed TLS sessions); requests and first_ns by route; of the connection that brought the
 * first job-take, the time spent here in its handshake and whether it resumed a session, and how
 * many full handshakes were made by then; jobs handed out and results by kind; latency_ns from
 * hand-out to result; of the parts that begin with an event of eventserver.c how many there were
 * (timed_parts), how old the event was at most when the part had come (oldest_part_ns; with an
 * answer's first event oldest_first_ns), when the first event was made; jobs_per_s from the first
 * hand-out to the last result; the first jobs one by one. Returns 0, or -1 out of memory. */
int mock_report(void);

#endif
