#include "job/child_side.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "job/child_source.h"
#include "job/gpu_part.h"
#include "job/linked.h"
#include "job/rp_job.h"

struct side {
    const struct config *config;
    const rp_config *handlers;
    struct source *source;
    pthread_mutex_t lock;
    struct job *job; /* of now, under the lock; NULL where there is none */
    bool is_lost;    /* no other job can run in this process */
};

bool child_side_wanted(void)
{
    bool wanted = getenv(CHILD_SIDE_VARIABLE) != NULL;
    unsetenv(CHILD_SIDE_VARIABLE);
    return wanted;
}

static void set_job(struct side *side, struct job *job)
{
    pthread_mutex_lock(&side->lock);
    side->job = job;
    pthread_mutex_unlock(&side->lock);
}

static void run_job(struct side *side, rp_job *job, struct job *next, struct outlet *outlet)
{
    const rp_config *handlers = side->handlers;
    rp_job_begin(job, next);
    set_job(side, next);
    int status = linked_call(handlers, job);
    set_job(side, NULL);
    rp_job_finish_sending(job);
    child_source_answer(outlet, job, status);
    rp_job_end(job);
    job_release(next);
    side->is_lost = status == HANDLER_LOST;
}

static int run_jobs(struct side *side)
{
    struct outlet outlet;
    struct taken taken = { 0 };
    struct err err;
    rp_job job;
    const struct source_ops *ops = side->source->ops;
    if (ops->open(side->source, &outlet, &err) != 0)
        return 1;
    rp_job_init(&job, side->config, &outlet);
    child_source_ready(&outlet);
    while (!taken.ended && !side->is_lost) {
        ops->take(side->source, 1, false, &taken);
        for (struct job *next = taken.jobs, *after; next != NULL; next = after) {
            after = next->next;
            run_job(side, &job, next, &outlet);
        }
    }
    rp_job_free(&job);
    return side->is_lost ? 1 : side->source->exit_status;
}

static void *handler_main(void *argument)
{
    struct side *side = argument;
    const rp_config *handlers = side->handlers;
    int status = handlers->setup != NULL ? handlers->setup(handlers->user) : 0;
    if (status != 0)
        log_write(LOG_ERROR, NULL, "The handler's setup failed with %d.", status);
    exit(status != 0 ? 1 : run_jobs(side)); // NOLINT(concurrency-mt-unsafe)
    return NULL;
}

/* The protocol's descriptors are hidden from the handler: what it prints is for the log. */
static int take_streams(struct side *side, struct err *err)
{
    int in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3),
        out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (in < 0 || out < 0)
        return err_set(err, ERR_MEMORY, "no descriptor left for an isolated handler");
    if (nothing >= 0)
        dup2(nothing, STDIN_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    return child_source_new(&side->source, in, out, err);
}

static int start_handler(struct side *side, struct err *err)
{
    pthread_attr_t attr;
    pthread_t thread;
    size_t stack_bytes = config_stack_bytes(side->handlers);
    pthread_attr_init(&attr);
    int errnum = pthread_attr_setstacksize(&attr, stack_bytes);
    if (errnum == 0)
        errnum = pthread_create(&thread, &attr, handler_main, side);
    pthread_attr_destroy(&attr);
    return errnum == 0 ? 0 : err_system(err, ERR_MEMORY, errnum, "cannot start a thread");
}

int child_side_run(const struct config *config, const rp_config *handlers)
{
    static struct side side = { .lock = PTHREAD_MUTEX_INITIALIZER };
    struct err err = { 0 };
    sigset_t signals;
    int number;
    side.config = config;
    side.handlers = handlers;
    if (handlers->gpu != NULL)
        handlers->gpu->begin(config);
    log_init(config->log_level, true);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (take_streams(&side, &err) != 0 || start_handler(&side, &err) != 0) {
        log_write(LOG_ERROR, NULL, "%s", err.text);
        return 1;
    }
    for (;;) {
        sigwait(&signals, &number);
        pthread_mutex_lock(&side.lock);
        if (side.job == NULL)
            _exit(0);
        job_stop(side.job, JOB_STOPPED);
        pthread_mutex_unlock(&side.lock);
    }
}
