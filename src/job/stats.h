/*
 * job/stats.h - what the worker has done since its start, as numbers for a monitor. One set a
 * process; any thread may call any of these, and none blocks for longer than a few instructions of
 * another thread take, but for stats_put_process, which reads a file of /proc.
 */
#ifndef JOB_STATS_H
#define JOB_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "codec/exposition.h"

enum stats_end {
    STATS_COMPLETED,
    STATS_FAILED,
    STATS_CANCELLED, /* stopped: its result is not wanted */
    STATS_TIMED_OUT,
    STATS_ENDS,
};

/* Numbers of jobs. The job API fills one in from its own queue (source/endpoint_info.c). */
struct stats_jobs {
    uint64_t finished[STATS_ENDS];
    size_t queued, running;
    struct exposition_histogram wait, execution;
};

/* A slot has begun a job that came wait_ms before; a job ended, execution_ms after its begin. */
void stats_job_began(int64_t wait_ms);
void stats_job_ended(enum stats_end end, int64_t execution_ms);

/* A handler's program has died, or its server was counted as dead. */
void stats_handler_died(void);

/* How many jobs may run at the same time; whether any are taken. */
void stats_set_slots(size_t slots);
void stats_set_ready(bool ready);

/* The jobs of all slots so far. `queued` is not known here: 0. */
void stats_read_jobs(struct stats_jobs *jobs);

/* Appends them as Prometheus text. */
void stats_put_jobs(struct buf *out, const struct stats_jobs *jobs);

/* Appends what concerns the process: slots, readiness, deaths of handlers, memory. */
void stats_put_process(struct buf *out);

#endif
