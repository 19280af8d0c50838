#include "app/worker.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "app/heartbeat.h"
#include "app/job_table.h"
#include "app/stop_channel.h"
#include "base/limits.h"
#include "job/child.h"
#include "job/rp_job.h"
#include "job/source.h"

#define SLOTS 1 /* jobs that run at the same time */

struct worker {
    const struct config *config;
    const rp_config *handlers;
    struct child_setting *child;
    struct source *source;
    struct job_table table;
    struct flag ready;    /* setup is done: jobs may be taken */
    struct wake taking;   /* signalled: give up the open job-take */
    struct wake finished; /* signalled: main is to end the worker */
    atomic_int exit_status;
    struct heartbeat heartbeat;
    struct stop_channel stop_channel;
};

static void finish(struct worker *worker, int exit_status)
{
    if (exit_status != 0)
        atomic_store(&worker->exit_status, exit_status);
    wake_signal(&worker->finished);
}

/* No more jobs: neither the open job-take nor another one. */
static void stop_taking(struct worker *worker)
{
    job_table_close(&worker->table);
    wake_signal(&worker->taking);
}

/* --- the taker ----------------------------------------------------------------------------- */

static void *taker_main(void *argument)
{
    struct worker *worker = argument;
    struct source *source = worker->source;
    struct taken taken = { 0 };
    flag_wait(&worker->ready, DEADLINE_NEVER);
    while (!taken.ended) {
        size_t room = job_table_wait_room(&worker->table, SLOTS);
        if (room == 0)
            break;
        source->ops->take(source, room, job_table_is_busy(&worker->table), &taken);
        job_table_add(&worker->table, taken.jobs);
    }
    /* Told to take no more, a worker of the platform stays until the platform ends it. */
    if (!config_is_local(worker->config))
        return NULL;
    job_table_close(&worker->table);
    job_table_wait_empty(&worker->table, DEADLINE_NEVER);
    finish(worker, source->exit_status);
    return NULL;
}

/* --- a slot -------------------------------------------------------------------------------- */

struct slot {
    struct worker *worker;
    struct outlet outlet;
    struct rp_job job;
    struct result result;
    void *child;
};

/* Ends the worker once what it holds is delivered. */
static void *fatal_main(void *argument)
{
    struct worker *worker = argument;
    stop_taking(worker);
    job_table_wait_empty(&worker->table, DEADLINE_NEVER);
    finish(worker, 1);
    return NULL;
}

static int start_thread(void *(*run)(void *), struct worker *worker, size_t stack_bytes,
                        struct err *err);

static void be_fatal(void *user, const char *why)
{
    log_write(LOG_ERROR, NULL, "%s Ending the worker.", why);
    start_thread(fatal_main, user, LIMIT_STACK_SERVICE_BYTES, NULL);
}

static void deliver(struct slot *slot, struct job *job, const struct log_tag *tag)
{
    struct err err = { 0 };
    struct outlet *outlet = &slot->outlet;
    if (slot->result.stop_pod) {
        log_write(LOG_INFO, tag, "refresh_worker flag set, stopping pod after job.");
        stop_taking(slot->worker);
    }
    int rc = outlet->source->ops->post(outlet, job, &slot->result, &err);
    if (rc == ERR_CANCELLED)
        log_write(LOG_INFO, tag, "Job stopped.");
    else if (rc != 0)
        log_write(LOG_ERROR, tag, "The result could not be delivered and is lost: %s", err.text);
}

static void run_job(struct slot *slot, struct job *job)
{
    const rp_config *handlers = slot->worker->handlers;
    const struct log_tag tag = job_tag(job);
    log_write(LOG_INFO, &tag, "Started.");
    slot->job.refresh = handlers->refresh_worker;
    bool child = slot->child != NULL;
    rp_job_run(&slot->job, job, child ? child_ops.run : handlers->handler,
               child ? slot->child : handlers->user, &slot->result);
    if (flag_is_raised(&job->stop))
        log_write(LOG_INFO, &tag, "Job stopped.");
    else
        deliver(slot, job, &tag);
    rp_job_end(&slot->job);
    job_table_settle(&slot->worker->table, job);
    if (handlers->refresh_worker) {
        stop_taking(slot->worker);
        finish(slot->worker, 0);
    }
}

/* True where the worker may go on: handlers are set up once, before the first job is taken. */
static bool set_up(struct worker *worker)
{
    const rp_config *handlers = worker->handlers;
    int status = handlers->setup != NULL ? handlers->setup(handlers->user) : 0;
    if (status != 0) {
        log_write(LOG_ERROR, NULL, "The handler's setup failed with %d.", status);
        finish(worker, 1);
        return false;
    }
    flag_raise(&worker->ready);
    return true;
}

static void *slot_main(void *argument)
{
    struct worker *worker = argument;
    struct slot slot = { .worker = worker };
    struct err err = { 0 };
    struct job *job;
    if (worker->source->ops->open(worker->source, &slot.outlet, &err) != 0) {
        log_write(LOG_ERROR, NULL, "%s", err.text);
        finish(worker, 1);
        return NULL;
    }
    rp_job_init(&slot.job, worker->config, &slot.outlet);
    result_init(&slot.result, worker->config->result_max_bytes);
    if (worker->child->path != NULL) {
        worker->child->fatal = be_fatal;
        worker->child->fatal_user = worker;
        if (child_ops.open(worker->child, &slot.child, &err) != 0) {
            log_write(LOG_ERROR, NULL, "%s", err.text);
            finish(worker, 1);
            return NULL;
        }
    }
    if (slot.child != NULL ? (flag_raise(&worker->ready), true) : set_up(worker))
        while ((job = job_table_next(&worker->table)) != NULL)
            run_job(&slot, job);
    result_free(&slot.result);
    rp_job_free(&slot.job);
    worker->source->ops->close(&slot.outlet);
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

/* --- main ---------------------------------------------------------------------------------- */

static int start_thread(void *(*run)(void *), struct worker *worker, size_t stack_bytes,
                        struct err *err)
{
    pthread_attr_t attr;
    pthread_t thread;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int errnum = pthread_attr_setstacksize(&attr, stack_bytes);
    if (errnum == 0)
        errnum = pthread_create(&thread, &attr, run, worker);
    pthread_attr_destroy(&attr);
    return errnum == 0 ? 0 : err_system(err, ERR_MEMORY, errnum, "cannot start a thread");
}

static int start_threads(struct worker *worker, struct err *err)
{
    const size_t stack = LIMIT_STACK_SERVICE_BYTES;
    size_t handler_stack = worker->handlers->stack_bytes;
    if (handler_stack == 0)
        handler_stack = LIMIT_STACK_HANDLER_BYTES;
    bool remote = !config_is_local(worker->config);
    int rc = start_thread(taker_main, worker, stack, err);
    if (rc == 0)
        rc = start_thread(slot_main, worker, handler_stack, err);
    if (rc == 0 && remote && heartbeat_wanted(worker->config))
        rc = start_thread(heartbeat_main, worker, stack, err);
    if (rc == 0 && remote)
        rc = start_thread(stop_channel_main, worker, stack, err);
    return rc;
}

/* Waits for a signal (returns its number) or the worker's own end (returns 0). */
static int wait_for_end(struct worker *worker, int signals_fd, deadline_ms deadline)
{
    struct pollfd entries[] = {
        { .fd = signals_fd, .events = POLLIN },
        { .fd = worker->finished.fd, .events = POLLIN },
    };
    struct signalfd_siginfo info;
    while (poll(entries, 2, clock_left_ms(deadline)) < 0 && errno == EINTR)
        continue;
    if (entries[0].revents != 0 && read(signals_fd, &info, sizeof info) == sizeof info)
        return (int)info.ssi_signo;
    return 0;
}

/* Jobs that end here without a result are named, so that nobody has to guess. */
static int report_undelivered(struct worker *worker)
{
    struct buf ids;
    buf_init(&ids, LIMIT_MIB, "ids");
    if (job_table_ids(&worker->table, &ids, NULL) == 0)
        log_write(LOG_ERROR, NULL, "Ending without the results of: %.*s",
                  SLICE_ARG(buf_slice(&ids)));
    buf_free(&ids);
    return 1;
}

/* Tells main, which waits for signals, that no job is left. */
static void *drain_main(void *argument)
{
    struct worker *worker = argument;
    job_table_wait_empty(&worker->table, DEADLINE_NEVER);
    wake_signal(&worker->finished);
    return NULL;
}

/* Lets running jobs finish and post, for as long as the grace lasts or until a second signal. */
static int drain(struct worker *worker, int signals_fd, int signal_number)
{
    struct err err;
    log_write(LOG_INFO, NULL, "%s received. Shutting down.",
              signal_number == SIGINT ? "SIGINT" : "SIGTERM");
    stop_taking(worker);
    if (!job_table_is_busy(&worker->table))
        return 0;
    if (start_thread(drain_main, worker, LIMIT_STACK_SERVICE_BYTES, &err) == 0)
        wait_for_end(worker, signals_fd, clock_deadline(worker->config->shutdown_grace_ms));
    return job_table_is_busy(&worker->table) ? report_undelivered(worker) : 0;
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
    int signal_number = wait_for_end(worker, signals_fd, DEADLINE_NEVER);
    return signal_number != 0 ? drain(worker, signals_fd, signal_number)
                              : atomic_load(&worker->exit_status);
}

int worker_run(const struct config *config, const struct http_net *net, const rp_config *handlers,
               struct child_setting *child, struct err *err)
{
    struct worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL) {
        err_set(err, ERR_MEMORY, "no memory for the worker");
        return 1;
    }
    worker->config = config;
    worker->handlers = handlers;
    worker->child = child;
    worker->heartbeat = (struct heartbeat){ config, net, &worker->table };
    worker->stop_channel = (struct stop_channel){ config, net, &worker->table };
    job_table_init(&worker->table);
    flag_init(&worker->ready);
    int rc = wake_init(&worker->taking, err);
    if (rc == 0)
        rc = wake_init(&worker->finished, err);
    if (rc == 0)
        rc = config_is_local(config)
                 ? source_local_new(&worker->source, config, err)
                 : source_platform_new(&worker->source, config, net, &worker->taking, err);
    /* Nothing is freed: threads may still be using it when the process exits, which is next. */
    return rc == 0 ? run(worker, err) : 1;
}
