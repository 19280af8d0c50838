/*
 * worker.h: downloads side by side. Each lane is a thread with a connection of its own, which takes
 * the next URL of the list; the handler's thread waits, and passes a stop of the job on.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/download.h"
#include "api/scratch.h"
#include "base/limits.h"
#include "base/thread.h"

struct list;

struct lane {
    struct list *list;
    struct transfer transfer;
};

struct list {
    const rp_str *urls;
    size_t count;
    const rp_download_options *options;
    rp_file *files;
    struct lane lanes[LIMIT_DOWNLOADS_MAX];
    size_t lane_count;    /* that are open */
    atomic_size_t next;   /* URL to be taken */
    struct wake event;    /* the job is stopped, or a thread has ended */
    pthread_mutex_t lock; /* of the job's memory, and of the following */
    size_t running;       /* lanes whose thread has not ended */
    struct err failure;   /* the first one; code 0: none */
    char what[DOWNLOAD_WHAT_BYTES];
};

static void cancel(const struct list *list)
{
    for (size_t i = 0; i < list->lane_count; i++)
        wake_signal(&list->lanes[i].transfer.wake);
}

static void note_failure(struct list *list, const char *what, const struct err *err)
{
    pthread_mutex_lock(&list->lock);
    if (list->failure.code == 0) {
        list->failure = *err;
        snprintf(list->what, sizeof list->what, "%s", what);
    }
    pthread_mutex_unlock(&list->lock);
    cancel(list);
}

/* Under the lock, since the list is gone once the handler's thread has seen the last one end. */
static void count_ended(struct list *list, size_t threads)
{
    pthread_mutex_lock(&list->lock);
    list->running -= threads;
    wake_signal(&list->event);
    pthread_mutex_unlock(&list->lock);
}

static bool all_have_ended(struct list *list)
{
    pthread_mutex_lock(&list->lock);
    bool ended = list->running == 0;
    pthread_mutex_unlock(&list->lock);
    return ended;
}

static void *lane_main(void *argument)
{
    struct lane *lane = argument;
    struct list *list = lane->list;
    struct err err = { 0 };
    char what[DOWNLOAD_WHAT_BYTES];
    for (size_t at; (at = atomic_fetch_add(&list->next, 1)) < list->count;) {
        transfer_restart(&lane->transfer, download_timeout_s(list->options));
        if (download_run(&lane->transfer, &list->lock, list->urls[at], list->options,
                         &list->files[at], what, &err) != 0) {
            note_failure(list, what, &err);
            break;
        }
        if (wake_wait(&lane->transfer.wake, 0))
            break;
    }
    count_ended(list, 1);
    return NULL;
}

static int open_lanes(struct list *list, rp_job *job, struct err *err)
{
    const rp_download_options *options = list->options;
    size_t wanted = options != NULL && options->at_once != 0 ? options->at_once : LIMIT_DOWNLOADS;
    if (wanted > LIMIT_DOWNLOADS_MAX)
        wanted = LIMIT_DOWNLOADS_MAX;
    if (wanted > list->count)
        wanted = list->count;
    for (int rc = 0; list->lane_count < wanted; list->lane_count++) {
        struct lane *lane = &list->lanes[list->lane_count];
        lane->list = list;
        rc = transfer_open(&lane->transfer, job, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Lanes that get no thread leave their share to the others. */
static int start_threads(struct list *list, struct err *err)
{
    int rc = 0;
    size_t started = 0;
    list->running = list->lane_count;
    for (; rc == 0 && started < list->lane_count; started += rc == 0)
        rc = thread_start(lane_main, &list->lanes[started], LIMIT_STACK_SERVICE_BYTES, err);
    count_ended(list, list->lane_count - started);
    return started > 0 ? 0 : rc;
}

static void wait_for_threads(struct list *list, const struct flag *stop)
{
    while (!all_have_ended(list)) {
        wake_wait(&list->event, DEADLINE_NEVER);
        wake_lower(&list->event);
        if (flag_is_raised(stop))
            cancel(list);
    }
}

static int run(struct list *list, rp_job *job, struct err *err)
{
    int rc = open_lanes(list, job, err);
    if (rc == 0) {
        const struct wake *handler = flag_link(&job->task->stop, &list->event);
        rc = start_threads(list, err);
        wait_for_threads(list, &job->task->stop);
        flag_link(&job->task->stop, handler);
    }
    for (size_t i = 0; i < list->lane_count; i++)
        transfer_close(&list->lanes[i].transfer);
    if (rc == 0 && list->failure.code != 0) {
        *err = list->failure;
        rc = err->code;
    }
    return rc;
}

int rp_download_list(rp_job *job, const rp_str *urls, size_t count,
                     const rp_download_options *options, rp_file *files)
{
    struct err err = { 0 };
    struct list *list = calloc(1, sizeof *list);
    rp_str *reason = options != NULL ? options->reason : NULL;
    if (list == NULL) {
        err_set(&err, ERR_MEMORY, "no memory for a list of downloads");
        return transfer_fail(job, reason, "Downloads", &err);
    }
    list->urls = urls;
    list->count = count;
    list->options = options;
    list->files = files;
    snprintf(list->what, sizeof list->what, "Downloads");
    pthread_mutex_init(&list->lock, NULL);
    int rc = scratch_ensure(job, &err);
    if (rc == 0)
        rc = wake_init(&list->event, &err);
    if (rc == 0) {
        rc = run(list, job, &err);
        wake_free(&list->event);
    }
    rc = rc == 0 ? RP_OK : transfer_fail(job, reason, list->what, &err);
    free(list);
    return rc;
}
