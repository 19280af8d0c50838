/*
 * app/worker_private.h - the worker as app/loop.c makes it, for the files that share it:
 *
 *   app/loop.c      the taker and the other threads
 *   app/shutdown.c  main's: signals, and the end
 *   app/ready.c     the line of the log that says what the start took
 */
#ifndef APP_WORKER_PRIVATE_H
#define APP_WORKER_PRIVATE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "app/failed_start.h"
#include "app/heartbeat.h"
#include "app/job_table.h"
#include "app/metrics.h"
#include "app/outbox.h"
#include "app/slot.h"
#include "app/stop_channel.h"
#include "base/flag.h"
#include "job/source.h"

/* What the start took, in ms; -1: left out. */
struct start_times {
    int64_t machine_ms; /* the checks of the machine */
    int64_t restore_ms; /* the folders of --cache */
    int64_t open_ms;    /* until the handler was ready, from then on */
    int64_t checks_ms;  /* the program's own checks and --fitness */
    int64_t init_ms;    /* from the start of the process until the handler was ready */
};

struct worker {
    const struct config *config;
    const rp_config *program;
    const struct http_net *net;
    struct source *source;
    struct job_table table;
    struct outbox outbox;
    struct flag opened;          /* the handler is ready, or will never be */
    atomic_size_t slots_to_open; /* slots that must be ready before it is */
    struct flag ready;           /* the machine is fit too: jobs may be taken */
    struct flag asked;           /* the first job-take is on its way, or has failed */
    struct wake taking;          /* signalled: give up the open job-take */
    struct wake finished;        /* signalled: main is to end the worker */
    atomic_int exit_status;
    atomic_bool handler_lost;  /* no job can be run any more */
    atomic_int undelivered;    /* results that could not be delivered */
    atomic_bool draining;      /* drain_main was started */
    atomic_bool shutting_down; /* a signal has come */
    struct failed_start failed;
    struct slot_context slots;
    bool slots_exhausted; /* one could not be started: those there are have to do; the taker's */
    size_t slots_started; /* the taker's */
    bool took_any;        /* the taker's: there was a job */

    /* Of a source with take_now, whose jobs any thread takes; with the lock also slots_... */
    pthread_mutex_t take_lock;
    size_t concurrency;
    bool takes; /* between the taker's start and its end */
    struct metrics metrics;
    struct heartbeat heartbeat;
    struct stop_channel stop_channel;
};

/* --- app/shutdown.c: any thread --- */

/* Has main end the worker, with that exit status where it is not 0. `owner` is the worker. */
void worker_finish(void *owner, int exit_status);

/* Takes no more jobs, and gives up the open job-take. */
void worker_stop_taking(struct worker *worker);

/* Takes no more jobs and ends the worker once those held have ended. Does not block. */
void worker_end_after_jobs(struct worker *worker);

/* --- app/shutdown.c: main's --- */

/*
 * Waits for a signal (*signal_number) or the end of the worker (0). False at the deadline.
 * signals_fd is a signalfd for SIGTERM and SIGINT.
 */
bool worker_wait_for_end(struct worker *worker, int signals_fd, deadline_ms deadline,
                         int *signal_number);

/*
 * After a signal: lets running jobs finish and post, until RP_SHUTDOWN_GRACE_S is over or a second
 * signal comes; a local test is ended at once. Blocks. Returns the exit status.
 */
int worker_shut_down(struct worker *worker, int signals_fd, int signal_number);

/* --- app/ready.c --- */

/* Logs one JSON object: how long the start took, what was loaded, what was waited for. */
void worker_log_ready(const struct worker *worker, const struct start_times *times);

#endif
