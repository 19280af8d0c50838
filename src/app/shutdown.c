/* The end of the worker: signals, jobs that may finish, and those that may not. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "app/worker_private.h"
#include "base/limits.h"
#include "base/text.h"
#include "base/thread.h"
#include "gpu/part.h"

void worker_finish(void *owner, int exit_status)
{
    struct worker *worker = owner;
    if (exit_status != 0)
        atomic_store(&worker->exit_status, exit_status);
    wake_signal(&worker->finished);
}

void worker_stop_taking(struct worker *worker)
{
    job_table_close(&worker->table);
    wake_signal(&worker->taking);
}

/* Wakes main once all jobs have ended and all results have been delivered. */
static void *drain_main(void *argument)
{
    struct worker *worker = argument;
    if (worker->source->ops->drain != NULL)
        worker->source->ops->drain(worker->source);
    if (failed_start_is_total(&worker->failed))
        slot_fail_jobs(&worker->slots);
    job_table_wait_empty(&worker->table, DEADLINE_NEVER);
    worker_finish(worker, 0);
    return NULL;
}

void worker_end_after_jobs(struct worker *worker)
{
    struct err err;
    worker_stop_taking(worker);
    if (!atomic_exchange(&worker->draining, true) &&
        thread_start(drain_main, worker, LIMIT_STACK_SERVICE_BYTES, &err) != 0)
        worker_finish(worker, 0);
}

bool worker_wait_for_end(struct worker *worker, int signals_fd, deadline_ms deadline,
                         int *signal_number)
{
    struct pollfd entries[] = {
        { .fd = signals_fd, .events = POLLIN },
        { .fd = worker->finished.fd, .events = POLLIN },
    };
    struct signalfd_siginfo info;
    int rc;
    *signal_number = 0;
    do {
        rc = poll(entries, 2, clock_left_ms(deadline));
    } while (rc < 0 && errno == EINTR);
    if (rc > 0 && entries[0].revents != 0 && read(signals_fd, &info, sizeof info) == sizeof info)
        *signal_number = (int)info.ssi_signo;
    return rc > 0;
}

/* --- jobs that are left --------------------------------------------------------------------- */

static void report_unfinished(struct worker *worker)
{
    struct buf ids;
    size_t first = 0;
    buf_init(&ids, LIMIT_MIB, "ids");
    size_t left_out = job_table_ids(&worker->table, LIMIT_MIB, &first, &ids);
    if (ids.len > 0)
        log_write(LOG_ERROR, NULL, "Exiting without the results of these jobs%s: %.*s",
                  left_out > 0 ? " and others" : "", SLICE_ARG(buf_slice(&ids)));
    buf_free(&ids);
}

/*
 * Handlers still run. In a process that uses a GPU, exit would call the driver's destructors while
 * its kernels run, which may wait for them or crash: the system takes the device back either way.
 */
static void leave_jobs(struct worker *worker)
{
    const struct rp_gpu_part *gpu = worker->program->gpu;
    report_unfinished(worker);
    if (gpu != NULL && gpu->is_running()) {
        log_flush(LIMIT_LOG_FLUSH_MS);
        _exit(1);
    }
}

/* --- what is waited for --------------------------------------------------------------------- */

#define IDS_BYTES 400 /* of the ids in a line; then "and others" */

struct drain {
    struct worker *worker;
    int signals_fd;
    bool drains; /* the source has clients of its own, who wait for results */
    int64_t begun_ms;
    deadline_ms end; /* of the grace */
};

/* "2 jobs (a,b)", or whom else it waits for. */
static void put_waited_for(const struct drain *drain, struct buf *out)
{
    size_t first = 0, count = job_table_count(&drain->worker->table);
    if (count == 0) {
        buf_add_text(out, drain->drains ? "clients to get their results" : "the open job-take",
                     NULL);
        return;
    }
    buf_add_format(out, "%zu job%s (", count, count == 1 ? "" : "s");
    if (job_table_ids(&drain->worker->table, IDS_BYTES, &first, out) > 0)
        buf_add_text(out, " and others", NULL);
    buf_add_text(out, ") to end and be delivered", NULL);
}

static void put_time(const struct drain *drain, char *text, size_t size)
{
    int64_t waited_s = (clock_now_ms() - drain->begun_ms) / 1000;
    struct text out = text_over(text, size);
    if (waited_s > 0)
        text_add(&out, "%lld s so far, ", (long long)waited_s);
    if (drain->end == DEADLINE_NEVER)
        text_add(&out, "no time limit (RP_SHUTDOWN_GRACE_S is not set)");
    else
        text_add(&out, "%lld s left of RP_SHUTDOWN_GRACE_S",
                 (long long)((clock_left_ms(drain->end) + 999) / 1000));
}

static void log_waiting(const struct drain *drain)
{
    struct buf what;
    char time[96];
    buf_init(&what, 4 * IDS_BYTES, "what is waited for");
    put_waited_for(drain, &what);
    put_time(drain, time, sizeof time);
    if (buf_error(&what, NULL) == 0)
        log_write(LOG_INFO, NULL, "Waiting for %.*s: %s. A second signal ends the worker at once.",
                  SLICE_ARG(buf_slice(&what)), time);
    buf_free(&what);
}

/* True at the worker's end or a signal, false at the deadline. Says what it waits for. */
static bool wait_and_tell(const struct drain *drain, deadline_ms deadline)
{
    int second_signal;
    for (;;) {
        deadline_ms next = clock_deadline(LIMIT_STILL_WAITING_MS);
        if (worker_wait_for_end(drain->worker, drain->signals_fd, clock_earlier(next, deadline),
                                &second_signal))
            return true;
        if (clock_left_ms(deadline) == 0)
            return false;
        log_waiting(drain);
    }
}

/* --- after a signal ------------------------------------------------------------------------- */

static void wait_for_jobs(const struct drain *drain)
{
    struct job_table *table = &drain->worker->table;
    deadline_ms first = drain->end;
    if (!drain->drains && !job_table_is_busy(table))
        first = clock_earlier(first, clock_deadline(LIMIT_ANSWER_MS));
    int second_signal;
    worker_end_after_jobs(drain->worker);
    if (drain->drains && worker_wait_for_end(drain->worker, drain->signals_fd,
                                             clock_deadline(LIMIT_TAKER_MS), &second_signal))
        return; /* there was nothing to wait for, mostly */
    log_waiting(drain);
    if (!wait_and_tell(drain, first) && job_table_is_busy(table))
        wait_and_tell(drain, drain->end);
}

/* The grace is over, or somebody is impatient. */
static int abandon_jobs(const struct drain *drain)
{
    struct worker *worker = drain->worker;
    /* Handlers are told to end; results that are not delivered yet are stored or named now. */
    job_table_abandon(&worker->table);
    if (!job_table_wait_empty(&worker->table, clock_deadline(LIMIT_ABANDON_MS)))
        leave_jobs(worker);
    else if (drain->drains)
        wake_wait(&worker->finished, clock_deadline(LIMIT_ABANDON_MS));
    return 1;
}

/*
 * Of a worker that has ended its jobs, or has none: a result that was lost since the signal is a
 * failure, and so are a start that failed and a handler that was lost.
 */
static int final_status(const struct worker *worker, int undelivered_before)
{
    bool lost_any = atomic_load(&worker->undelivered) > undelivered_before;
    bool lost_handler = failed_start_is_set(&worker->failed) || atomic_load(&worker->handler_lost);
    return lost_any || lost_handler ? 1 : 0;
}

static const char *name_of(int signal_number)
{
    return signal_number == SIGINT ? "SIGINT" : "SIGTERM";
}

/* Whoever runs a test at a terminal wants it to end: nobody else waits for its result. */
static int end_local(struct worker *worker, int signal_number)
{
    log_write(LOG_INFO, NULL, "%s received. Stopping the local test.", name_of(signal_number));
    leave_jobs(worker);
    return 1;
}

int worker_shut_down(struct worker *worker, int signals_fd, int signal_number)
{
    int64_t grace_ms = worker->config->shutdown_grace_ms;
    int undelivered_before = atomic_load(&worker->undelivered);
    atomic_store(&worker->shutting_down, true);
    if (config_is_local(worker->config))
        return end_local(worker, signal_number);
    log_write(LOG_INFO, NULL, "%s received. Shutting down.", name_of(signal_number));
    bool drains = worker->source->ops->drain != NULL;
    worker_stop_taking(worker);
    /* A taker that hangs in a name look-up is not waited for; one that reads a response is. */
    if (!drains &&
        (job_table_wait_empty(&worker->table, clock_deadline(LIMIT_TAKER_MS)) ||
         (!job_table_is_busy(&worker->table) && !atomic_load(&worker->source->answering))))
        return final_status(worker, undelivered_before);
    const struct drain drain = {
        .worker = worker,
        .signals_fd = signals_fd,
        .drains = drains,
        .begun_ms = clock_now_ms(),
        .end = grace_ms < 0 ? DEADLINE_NEVER : clock_deadline(grace_ms),
    };
    wait_for_jobs(&drain);
    if (job_table_is_busy(&worker->table))
        return abandon_jobs(&drain);
    if (drains && !wake_wait(&worker->finished, 0)) {
        log_write(LOG_ERROR, NULL, "Exiting before all results have reached their clients.");
        return 1;
    }
    return final_status(worker, undelivered_before);
}
