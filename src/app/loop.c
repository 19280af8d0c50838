#include "app/loop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "app/fitness.h"
#include "app/heartbeat.h"
#include "app/job_table.h"
#include "app/slot.h"
#include "app/stop_channel.h"
#include "base/limits.h"
#include "base/thread.h"
#include "job/source.h"

struct worker {
    const struct config *config;
    const rp_config *program;
    const struct http_net *net;
    struct source *source;
    struct job_table table;
    struct flag opened;    /* the handler is ready */
    atomic_size_t to_open; /* slots that are to be ready before it is */
    struct flag ready;     /* and the machine is fit: jobs may be taken */
    struct wake taking;    /* signalled: give up the open job-take */
    struct wake finished;  /* signalled: main is to end the worker */
    atomic_int exit_status;
    atomic_int undelivered; /* results that nobody has taken */
    atomic_bool draining;   /* a thread of drain_main is there */
    struct slot_context slots;
    size_t slots_started; /* set by main, then the taker's alone */
    struct heartbeat heartbeat;
    struct stop_channel stop_channel;
};

static void finish(void *owner, int exit_status)
{
    struct worker *worker = owner;
    if (exit_status != 0)
        atomic_store(&worker->exit_status, exit_status);
    wake_signal(&worker->finished);
}

/* No more jobs: neither the open job-take nor another one. */
static void stop_taking(void *owner)
{
    struct worker *worker = owner;
    job_table_close(&worker->table);
    wake_signal(&worker->taking);
}

/* Tells main, which waits for signals, that no job is left and all results have gone out. */
static void *drain_main(void *argument)
{
    struct worker *worker = argument;
    if (worker->source->ops->drain != NULL)
        worker->source->ops->drain(worker->source);
    job_table_wait_empty(&worker->table, DEADLINE_NEVER);
    finish(worker, 0);
    return NULL;
}

/* No more jobs; once those that are here have ended, main is woken. */
static void end_after_jobs(void *owner)
{
    struct worker *worker = owner;
    struct err err;
    stop_taking(worker);
    if (!atomic_exchange(&worker->draining, true) &&
        thread_start(drain_main, worker, LIMIT_STACK_SERVICE_BYTES, &err) != 0)
        finish(worker, 0);
}

static void end_for_good(void *owner)
{
    struct worker *worker = owner;
    log_write(LOG_ERROR, NULL, "No handler is left. Ending the worker, so that it is replaced.");
    atomic_store(&worker->exit_status, 1);
    end_after_jobs(worker);
}

static void count_undelivered(void *owner)
{
    struct worker *worker = owner;
    atomic_fetch_add(&worker->undelivered, 1);
}

static void slot_opened(void *owner)
{
    struct worker *worker = owner;
    if (atomic_fetch_sub(&worker->to_open, 1) == 1)
        flag_raise(&worker->opened);
}

/* --- the taker ----------------------------------------------------------------------------- */

/* How many jobs may run from now on. */
static size_t ask_concurrency(const struct worker *worker, size_t concurrency)
{
    if (worker->program->modify_concurrency == NULL)
        return concurrency;
    int answer = worker->program->modify_concurrency((int)concurrency, worker->program->user);
    if (answer < 1 || answer > LIMIT_CONCURRENCY)
        answer = answer < 1 ? 1 : LIMIT_CONCURRENCY;
    if ((size_t)answer != concurrency)
        log_write(LOG_DEBUG, NULL, "Concurrency is now %d.", answer);
    return (size_t)answer;
}

/*
 * Waits for a free slot. A program that wants more or fewer of them is asked before each job-take,
 * and now and then while all are busy: more may be wanted because they are. False at the end.
 */
static bool wait_room(struct worker *worker, size_t *concurrency, size_t *room)
{
    bool asks = worker->program->modify_concurrency != NULL;
    bool open = true;
    for (*room = 0; open && *room == 0;) {
        *concurrency = ask_concurrency(worker, *concurrency);
        deadline_ms deadline = asks ? clock_deadline(LIMIT_ASK_MS) : DEADLINE_NEVER;
        open = job_table_wait_room(&worker->table, *concurrency, deadline, room);
    }
    return open;
}

/* Threads are started when there are jobs for them: an idle worker has one slot. */
static void start_slots(struct worker *worker, size_t unserved, size_t concurrency)
{
    struct err err;
    for (; unserved > 0 && worker->slots_started < concurrency; unserved--) {
        if (slot_start(&worker->slots, &err) != 0) {
            log_write(LOG_ERROR, NULL, "%s; the slots there are go on.", err.text);
            return;
        }
        worker->slots_started++;
    }
}

/* Jobs are taken from the platform, which stops them, and asks for a machine that is fit. */
static bool is_polling(const struct worker *worker)
{
    return !config_is_local(worker->config) && !config_is_realtime(worker->config);
}

/* Before the first job: the handler is open and, on the platform, the machine is fit. */
static bool get_ready(struct worker *worker)
{
    flag_wait(&worker->opened, DEADLINE_NEVER);
    int status = 0;
    if (is_polling(worker))
        status = fitness_run(worker->config, worker->net, worker->program);
    if (status != 0) {
        finish(worker, status);
        return false;
    }
    flag_raise(&worker->ready);
    return true;
}

static void *taker_main(void *argument)
{
    struct worker *worker = argument;
    struct source *source = worker->source;
    struct taken taken = { 0 };
    size_t concurrency = (size_t)worker->config->concurrency, room;
    if (!get_ready(worker))
        return NULL;
    while (!taken.ended && wait_room(worker, &concurrency, &room)) {
        source->ops->take(source, room, job_table_is_busy(&worker->table), &taken);
        start_slots(worker, job_table_add(&worker->table, taken.jobs), concurrency);
        atomic_store(&source->answering, false);
    }
    job_table_end(&worker->table);
    /* Told to take no more, a worker of the platform stays until the platform ends it. */
    if (!config_is_local(worker->config) && !taken.ended)
        return NULL;
    job_table_wait_empty(&worker->table, DEADLINE_NEVER);
    finish(worker, source->exit_status);
    return NULL;
}

/* --- heartbeat and stop channel -------------------------------------------------------------- */

static void *heartbeat_main(void *argument)
{
    struct worker *worker = argument;
    flag_wait(&worker->ready, DEADLINE_NEVER);
    heartbeat_run(&worker->heartbeat);
    return NULL;
}

static void *stop_channel_main(void *argument)
{
    struct worker *worker = argument;
    flag_wait(&worker->ready, DEADLINE_NEVER);
    stop_channel_run(&worker->stop_channel);
    return NULL;
}

/* Stops jobs that run longer than they may. */
static void *watchdog_main(void *argument)
{
    struct worker *worker = argument;
    int64_t timeout_ms = worker->config->execution_timeout_ms;
    for (;;) {
        job_table_stop_begun_before(&worker->table, clock_now_ms() - timeout_ms);
        clock_sleep(clock_deadline(LIMIT_WATCH_MS));
    }
    return NULL;
}

/* --- main ---------------------------------------------------------------------------------- */

static int start_threads(struct worker *worker, struct err *err)
{
    const size_t stack = LIMIT_STACK_SERVICE_BYTES;
    const size_t slots = worker->slots_started; /* the taker's own once it runs */
    bool remote = !config_is_local(worker->config);
    int rc = thread_start(taker_main, worker, stack, err);
    for (size_t i = 0; rc == 0 && i < slots; i++)
        rc = slot_start(&worker->slots, err);
    if (rc == 0 && remote && heartbeat_wanted(worker->config))
        rc = thread_start(heartbeat_main, worker, stack, err);
    if (rc == 0 && is_polling(worker))
        rc = thread_start(stop_channel_main, worker, stack, err);
    if (rc == 0 && worker->config->execution_timeout_ms > 0)
        rc = thread_start(watchdog_main, worker, stack, err);
    return rc;
}

/* Waits until a signal comes (*signal_number), the worker has ended (0), or the deadline: false. */
static bool wait_for_end(struct worker *worker, int signals_fd, deadline_ms deadline,
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

/* Jobs that end here without a result are named, so that nobody has to guess. */
static void report_unfinished(struct worker *worker)
{
    struct buf ids;
    buf_init(&ids, LIMIT_MIB, "ids");
    if (job_table_ids(&worker->table, &ids, NULL) == 0)
        log_write(LOG_ERROR, NULL, "Ending without the results of: %.*s",
                  SLICE_ARG(buf_slice(&ids)));
    buf_free(&ids);
}

/* Lets running jobs finish and post, for as long as the grace lasts or until a second signal. */
static int drain(struct worker *worker, int signals_fd, int signal_number)
{
    int second_signal, undelivered_before = atomic_load(&worker->undelivered);
    log_write(LOG_INFO, NULL, "%s received. Shutting down.",
              signal_number == SIGINT ? "SIGINT" : "SIGTERM");
    bool drains = worker->source->ops->drain != NULL;
    stop_taking(worker);
    /* A taker that hangs in a name look-up is not waited for; one that reads an answer is. */
    if (!drains &&
        (job_table_wait_empty(&worker->table, clock_deadline(LIMIT_TAKER_MS)) ||
         (!job_table_is_busy(&worker->table) && !atomic_load(&worker->source->answering))))
        return 0;
    deadline_ms end = clock_deadline(worker->config->shutdown_grace_ms), first = end;
    if (!drains && !job_table_is_busy(&worker->table))
        first = clock_earlier(end, clock_deadline(LIMIT_ANSWER_MS));
    end_after_jobs(worker);
    if (!wait_for_end(worker, signals_fd, first, &second_signal) &&
        job_table_is_busy(&worker->table))
        wait_for_end(worker, signals_fd, end, &second_signal);
    if (job_table_is_busy(&worker->table)) {
        /* What is finished and not delivered yet is kept or named now; handlers are told to end. */
        job_table_abandon(&worker->table);
        if (!job_table_wait_empty(&worker->table, clock_deadline(LIMIT_ABANDON_MS)))
            report_unfinished(worker);
        else if (drains)
            wake_wait(&worker->finished, clock_deadline(LIMIT_ABANDON_MS));
        return 1;
    }
    if (drains && !wake_wait(&worker->finished, 0)) {
        log_write(LOG_ERROR, NULL, "Ending while results are still on their way.");
        return 1;
    }
    return atomic_load(&worker->undelivered) > undelivered_before ? 1 : 0;
}

static int run(struct worker *worker, struct err *err)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    int signals_fd = signalfd(-1, &signals, SFD_CLOEXEC);
    if (signals_fd < 0) {
        err_system(err, ERR_MEMORY, errno, "cannot make a signalfd");
        return 1;
    }
    if (start_threads(worker, err) != 0)
        return 1;
    int signal_number;
    while (!wait_for_end(worker, signals_fd, DEADLINE_NEVER, &signal_number))
        continue;
    return signal_number != 0 ? drain(worker, signals_fd, signal_number)
                              : atomic_load(&worker->exit_status);
}

static void fill_in(struct worker *worker, const struct config *config, const struct http_net *net,
                    const rp_config *program, const struct handler *handler)
{
    /* Nobody replaces a realtime worker at its own wish: it tells, and serves on, as the SDK's. */
    bool goes_on = config_is_realtime(config) && !config->refresh_worker;
    worker->config = config;
    worker->program = program;
    worker->net = net;
    worker->heartbeat = (struct heartbeat){ config, net, &worker->table };
    worker->stop_channel = (struct stop_channel){ config, net, &worker->table };
    worker->slots = (struct slot_context){ .config = config,
                                           .table = &worker->table,
                                           .handler = handler,
                                           .stack_bytes = config_stack_bytes(program),
                                           .owner = worker,
                                           .opened = slot_opened,
                                           .stop_taking = goes_on ? NULL : stop_taking,
                                           .undelivered = count_undelivered,
                                           .end_after_jobs = end_after_jobs,
                                           .finish = finish,
                                           .lost = end_for_good };
    if (handler->ops->on_loss != NULL)
        handler->ops->on_loss(handler->setting, end_for_good, worker);
    worker->slots_started = handler->opens_all && !config_is_local(config)
                                ? (size_t)config->concurrency
                                : 1;
    atomic_init(&worker->to_open, worker->slots_started);
    job_table_init(&worker->table);
    flag_init(&worker->opened);
    flag_init(&worker->ready);
}

static int make_source(struct worker *worker, struct err *err)
{
    const struct config *config = worker->config;
    const struct wake *wake = &worker->taking;
    size_t slots = worker->program->modify_concurrency != NULL ? LIMIT_CONCURRENCY
                                                               : (size_t)config->concurrency;
    if (config_is_local(config))
        return source_local_new(&worker->source, config, err);
    if (config_is_realtime(config))
        return source_realtime_new(&worker->source, config, slots, wake, err);
    return source_platform_new(&worker->source, config, worker->net, wake, err);
}

int worker_run(const struct config *config, const struct http_net *net, const rp_config *program,
               const struct handler *handler, struct err *err)
{
    struct worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL) {
        err_set(err, ERR_MEMORY, "no memory for the worker");
        return 1;
    }
    fill_in(worker, config, net, program, handler);
    int rc = wake_init(&worker->taking, err);
    if (rc == 0)
        rc = wake_init(&worker->finished, err);
    if (rc == 0)
        rc = make_source(worker, err);
    worker->slots.source = worker->source;
    /* Nothing is freed: threads may still be using it when the process exits, which is next. */
    return rc == 0 ? run(worker, err) : 1;
}
