#include "linked/isolated_main.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/signals.h"
#include "base/thread.h"
#include "gpu/part.h"
#include "job/rp_job.h"
#include "linked/isolated_source.h"
#include "linked/linked.h"

struct isolated {
    const struct config *config;
    const rp_config *handlers;
    struct source *source;
    pthread_mutex_t lock;
    struct job *job; /* the current one, under the lock; NULL between jobs */
    bool is_lost;    /* this process can run no other job */
};

bool isolated_main_wanted(void)
{
    bool wanted = getenv(ISOLATED_VARIABLE) != NULL;
    unsetenv(ISOLATED_VARIABLE);
    return wanted;
}

static void set_job(struct isolated *isolated, struct job *job)
{
    pthread_mutex_lock(&isolated->lock);
    isolated->job = job;
    pthread_mutex_unlock(&isolated->lock);
}

static void run_job(struct isolated *isolated, rp_job *job, struct job *next,
                    struct reply_channel *reply_channel)
{
    const rp_config *handlers = isolated->handlers;
    rp_job_begin(job, next);
    set_job(isolated, next);
    int status = linked_call(handlers, job);
    set_job(isolated, NULL);
    rp_job_finish_sending(job);
    isolated_source_send_result(reply_channel, job, status);
    rp_job_end(job);
    job_release(next);
    isolated->is_lost = status == HANDLER_LOST || status == HANDLER_LOST_BEFORE;
}

static int run_jobs(struct isolated *isolated)
{
    struct reply_channel reply_channel;
    struct taken taken = { 0 };
    struct err err;
    rp_job job;
    if (source_open_channel(isolated->source, &reply_channel, &err) != 0)
        return 1;
    rp_job_init(&job, isolated->config, &reply_channel);
    isolated_source_send_ready(&reply_channel);
    while (!taken.ended && !isolated->is_lost) {
        isolated->source->ops->take(isolated->source, 1, false, &taken);
        for (struct job *next = taken.jobs, *after; next != NULL; next = after) {
            after = next->next;
            run_job(isolated, &job, next, &reply_channel);
        }
    }
    rp_job_free(&job);
    return isolated->is_lost ? 1 : isolated->source->exit_status;
}

static void *handler_main(void *argument)
{
    struct isolated *isolated = argument;
    const rp_config *handlers = isolated->handlers;
    struct err err = { 0 };
    int rc = linked_setup(handlers, &err);
    if (rc != 0)
        log_write(LOG_ERROR, NULL, "%s", err.text);
    exit(rc != 0 ? 1 : run_jobs(isolated)); // NOLINT(concurrency-mt-unsafe)
    return NULL;
}

/* Hides the protocol's descriptors from the handler: what it prints goes to the log. */
static int take_streams(struct isolated *isolated, struct err *err)
{
    int in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3),
        out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (in < 0 || out < 0)
        return err_system(err, ERR_MEMORY, errno, "cannot duplicate the standard streams");
    if (nothing >= 0)
        dup2(nothing, STDIN_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    return isolated_source_new(&isolated->source, in, out, err);
}

int isolated_main_run(const struct config *config, const rp_config *handlers)
{
    static struct isolated isolated = { .lock = PTHREAD_MUTEX_INITIALIZER };
    struct err err = { 0 };
    sigset_t signals;
    int number;
    isolated.config = config;
    isolated.handlers = handlers;
    if (handlers->gpu != NULL)
        handlers->gpu->begin(config);
    log_init(config->log_level, true);
    crash_install(true);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    signals_wait_here(&signals);
    signal(SIGPIPE, SIG_IGN);
    if (take_streams(&isolated, &err) != 0 ||
        thread_start(handler_main, &isolated, config_stack_bytes(handlers), &err) != 0) {
        log_write(LOG_ERROR, NULL, "%s", err.text);
        return 1;
    }
    for (;;) {
        sigwait(&signals, &number);
        pthread_mutex_lock(&isolated.lock);
        if (isolated.job == NULL)
            _exit(0);
        job_stop(isolated.job, JOB_STOPPED);
        pthread_mutex_unlock(&isolated.lock);
    }
}
