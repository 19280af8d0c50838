#include "source/endpoint_store.h"

#include <stdlib.h>
#include <time.h>

#include "base/hash.h"
#include "base/limits.h"
#include "json/json.h"

#define BUCKET_COUNT (sizeof((struct store *)0)->buckets / sizeof((struct store *)0)->buckets[0])
#define JOB_OVERHEAD_BYTES 8192 /* of a job that waits: its record, its delivery and its arena */

const char *store_state_name(enum store_state state)
{
    static const char *const names[STORE_STATES] = { "IN_QUEUE", "IN_PROGRESS", "COMPLETED",
                                                     "FAILED",   "CANCELLED",   "TIMED_OUT" };
    return names[state];
}

void store_lock(struct store *store)
{
    pthread_mutex_lock(&store->lock);
}

void store_unlock(struct store *store)
{
    pthread_mutex_unlock(&store->lock);
}

/* --- lists ----------------------------------------------------------------------------------- */

static void list_init(struct store_list *list)
{
    list->first = NULL;
    list->end = &list->first;
}

static void append(struct store_list *list, struct store_job *job)
{
    job->next = NULL;
    *list->end = job;
    list->end = &job->next;
}

static struct store_job *pop(struct store_list *list)
{
    struct store_job *job = list->first;
    if (job == NULL)
        return NULL;
    list->first = job->next;
    if (list->first == NULL)
        list->end = &list->first;
    return job;
}

static void take_out(struct store_list *list, const struct store_job *job)
{
    struct store_job **link = &list->first;
    while (*link != NULL && *link != job)
        link = &(*link)->next;
    if (*link == NULL)
        return;
    *link = job->next;
    if (*link == NULL)
        list->end = link;
}

void store_init(struct store *store)
{
    *store = (struct store){ .next_ms = DEADLINE_NEVER };
    pthread_mutex_init(&store->lock, NULL);
    flag_cond_init(&store->timer);
    list_init(&store->queue);
    list_init(&store->low);
    list_init(&store->ended[0]);
    list_init(&store->ended[1]);
}

/* --- ids -------------------------------------------------------------------------------------- */

/* Ids are random, and made here. */
static struct store_job **bucket_of(struct store *store, slice id)
{
    return &store->buckets[hash_bytes(id, 0) % BUCKET_COUNT];
}

struct store_job *store_find(struct store *store, slice id)
{
    struct store_job *job = *bucket_of(store, id);
    while (job != NULL && !slice_is(id, job->id))
        job = job->bucket_next;
    return job;
}

static void link_job(struct store *store, struct store_job *job)
{
    struct store_job **bucket = bucket_of(store, slice_from(job->id));
    job->bucket_next = *bucket;
    *bucket = job;
    job->older = store->newest;
    if (job->older != NULL)
        job->older->newer = job;
    store->newest = job;
}

static void unlink_job(struct store *store, struct store_job *job)
{
    struct store_job **bucket = bucket_of(store, slice_from(job->id));
    while (*bucket != job)
        bucket = &(*bucket)->bucket_next;
    *bucket = job->bucket_next;
    if (job->older != NULL)
        job->older->newer = job->newer;
    if (job->newer != NULL)
        job->newer->older = job->older;
    else
        store->newest = job->older;
}

/* --- memory ----------------------------------------------------------------------------------- */

static size_t bytes_of(const struct store_job *job)
{
    size_t bytes = sizeof *job + job->request.cap + job->result.cap + job->progress.cap +
                   job->parts.cap + job->log.cap + job->part_room * sizeof *job->part_ends;
    return job->delivery != NULL ? bytes + JOB_OVERHEAD_BYTES + job->delivery->body.cap : bytes;
}

static void account(struct store *store, struct store_job *job)
{
    store->bytes -= job->bytes;
    job->bytes = bytes_of(job);
    store->bytes += job->bytes;
}

static void release_delivery(struct store_job *job)
{
    if (job->delivery != NULL)
        delivery_release(job->delivery);
    job->delivery = NULL;
    job->job = NULL;
}

void store_job_free(struct store_job *job)
{
    release_delivery(job);
    buf_free(&job->request);
    buf_free(&job->result);
    buf_free(&job->progress);
    buf_free(&job->parts);
    buf_free(&job->log);
    free(job->part_ends);
    free(job->webhook);
    free(job);
}

struct store_job *store_hold(struct store_job *job)
{
    job->references++;
    return job;
}

void store_drop(struct store *store, struct store_job *job)
{
    if (--job->references > 0)
        return;
    store->bytes -= job->bytes;
    store_job_free(job);
}

/* --- watchers --------------------------------------------------------------------------------- */

void store_watch(struct store_watcher **list, struct store_watcher *watcher)
{
    watcher->next = *list;
    *list = watcher;
}

void store_unwatch(struct store_watcher **list, struct store_watcher *watcher)
{
    while (*list != watcher)
        list = &(*list)->next;
    *list = watcher->next;
}

static void wake_list(const struct store_watcher *watcher)
{
    for (; watcher != NULL; watcher = watcher->next)
        wake_signal(watcher->wake);
}

static void wake_watchers(const struct store_job *job)
{
    for (const struct store_watcher *at = job->watchers; at != NULL; at = at->next)
        if (!at->for_end || store_has_ended(job))
            wake_signal(at->wake);
}

static void changed(struct store *store, struct store_job *job)
{
    account(store, job);
    wake_watchers(job);
    wake_list(store->watchers);
}

void store_wake_all(struct store *store)
{
    wake_list(store->watchers);
    for (struct store_job *job = store->newest; job != NULL; job = job->older)
        wake_list(job->watchers);
}

/* --- deadlines -------------------------------------------------------------------------------- */

static int64_t kept_ms(const struct store_job *job)
{
    return job->is_sync ? LIMIT_ENDPOINT_KEEP_RUNSYNC_MS : LIMIT_ENDPOINT_KEEP_RUN_MS;
}

static deadline_ms deadline_of(const struct store_job *job)
{
    if (store_has_ended(job))
        return job->ended_ms + kept_ms(job);
    deadline_ms ttl = job->arrived_ms + job->ttl_ms;
    return job->state == STORE_IN_PROGRESS ? clock_earlier(ttl, job->begun_ms + job->execution_ms)
                                           : ttl;
}

static void note_deadline(struct store *store, const struct store_job *job)
{
    deadline_ms deadline = deadline_of(job);
    if (deadline >= store->next_ms)
        return;
    store->next_ms = deadline;
    pthread_cond_signal(&store->timer);
}

/* The job that ended first of those kept; its list is set. */
static struct store_list *oldest_ended(struct store *store)
{
    struct store_list *run = &store->ended[0], *sync = &store->ended[1];
    if (run->first == NULL || sync->first == NULL)
        return run->first != NULL ? run : sync;
    return run->first->ended_ms <= sync->first->ended_ms ? run : sync;
}

static void forget(struct store *store, struct store_list *list)
{
    struct store_job *job = pop(list);
    unlink_job(store, job);
    store->ended_count--;
    store_drop(store, job);
}

static void make_room(struct store *store, size_t bytes)
{
    while (store->ended_count > 0 && (store->ended_count > LIMIT_ENDPOINT_ENDED ||
                                      store->bytes + bytes > LIMIT_ENDPOINT_BYTES))
        forget(store, oldest_ended(store));
}

void store_look_at_time(struct store *store)
{
    int64_t now_ms = clock_now_ms();
    for (size_t i = 0; i < 2; i++)
        while (store->ended[i].first != NULL && deadline_of(store->ended[i].first) <= now_ms)
            forget(store, &store->ended[i]);
    store->next_ms = DEADLINE_NEVER;
    for (struct store_job *job = store->newest, *older; job != NULL; job = older) {
        older = job->older;
        if (!store_has_ended(job) && deadline_of(job) <= now_ms)
            store_end(store, job, STORE_TIMED_OUT);
        store->next_ms = clock_earlier(store->next_ms, deadline_of(job));
    }
}

/* --- the way of a job ------------------------------------------------------------------------- */

static void enqueue(struct store *store, struct store_job *job)
{
    job->state = STORE_IN_QUEUE;
    append(job->is_low ? &store->low : &store->queue, job);
    store->queued++;
    note_deadline(store, job);
    changed(store, job);
}

static int64_t unix_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int store_add(struct store *store, struct store_job *job, int *status, struct err *err)
{
    size_t bytes = bytes_of(job);
    *status = 429;
    if (store->queued >= LIMIT_ENDPOINT_QUEUED)
        return err_set(err, ERR_LIMIT, "%d jobs are waiting already: try again later",
                       LIMIT_ENDPOINT_QUEUED);
    make_room(store, bytes);
    *status = 503;
    if (store->bytes + bytes > LIMIT_ENDPOINT_BYTES)
        return err_set(err, ERR_LIMIT, "the jobs take up %u MiB already: try again later",
                       LIMIT_ENDPOINT_BYTES / LIMIT_MIB);
    job->references = 1;
    job->arrived_ms = clock_now_ms();
    job->arrived_unix_ms = unix_ms();
    link_job(store, job);
    enqueue(store, job);
    return 0;
}

struct store_job *store_begin_next(struct store *store, int64_t before_ms)
{
    struct store_list *list = store->queue.first != NULL ? &store->queue : &store->low;
    struct store_job *job = list->first;
    if (job == NULL ||
        (before_ms != DEADLINE_NEVER && (list == &store->low || job->arrived_ms > before_ms)))
        return NULL;
    pop(list);
    store->queued--;
    store->running++;
    job->state = STORE_IN_PROGRESS;
    job->begun_ms = clock_now_ms();
    exposition_observe(&store->wait, job->begun_ms - job->arrived_ms);
    note_deadline(store, job);
    changed(store, job);
    return job;
}

/* What /retry needs is kept as text: the delivery is the slot's too, and costs more. */
static void keep_request(struct store_job *job)
{
    buf_init(&job->request, SIZE_MAX, "the request");
    buf_add_slice(&job->request, buf_slice(&job->delivery->body), NULL);
}

void store_end(struct store *store, struct store_job *job, enum store_state state)
{
    if (store_has_ended(job))
        return;
    if (job->state == STORE_IN_QUEUE) {
        take_out(job->is_low ? &store->low : &store->queue, job);
        store->queued--;
        job_release(job->job); /* no slot will do it */
    } else {
        store->running--;
        if (state == STORE_CANCELLED || state == STORE_TIMED_OUT)
            job_stop(job->job, JOB_STOPPED);
    }
    job->ended_ms = clock_now_ms();
    if (job->state == STORE_IN_PROGRESS)
        exposition_observe(&store->execution, job->ended_ms - job->begun_ms);
    job->state = state;
    if (state != STORE_COMPLETED)
        keep_request(job);
    release_delivery(job);
    store->finished[state]++;
    store->ended_count++;
    append(&store->ended[job->is_sync], job);
    note_deadline(store, job);
    changed(store, job);
}

int store_retry(struct store *store, struct store_job *job, struct err *err)
{
    if (job->state != STORE_FAILED && job->state != STORE_TIMED_OUT &&
        job->state != STORE_CANCELLED)
        return err_set(err, ERR_INPUT,
                       "only a job that has failed, timed out or been cancelled "
                       "can be retried; this one is %s",
                       store_state_name(job->state));
    if (store->queued >= LIMIT_ENDPOINT_QUEUED)
        return err_set(err, ERR_LIMIT, "%d jobs are waiting already: try again later",
                       LIMIT_ENDPOINT_QUEUED);
    struct delivery *delivery;
    int rc = delivery_new(&delivery, SIZE_MAX, err);
    if (rc != 0)
        return rc;
    rc = buf_add_slice(&delivery->body, buf_slice(&job->request), err);
    if (rc == 0)
        rc = delivery_read(delivery, NULL, &job->job, err);
    if (rc != 0) {
        delivery_release(delivery);
        return rc;
    }
    take_out(&store->ended[job->is_sync], job);
    store->ended_count--;
    job->delivery = delivery;
    job->job->client_chose_id = true; /* the stopped one may still be in its slot */
    job->retries++;
    store->retried++;
    job->arrived_ms = clock_now_ms();
    job->begun_ms = job->ended_ms = 0;
    job->output = job->error = (slice){ 0 };
    buf_free(&job->request);
    buf_free(&job->result);
    buf_free(&job->progress);
    buf_free(&job->parts);
    job->part_count = job->streamed = 0;
    enqueue(store, job);
    return 0;
}

size_t store_purge(struct store *store)
{
    size_t count = 0;
    for (; store->queued > 0; count++)
        store_end(store, store->queue.first != NULL ? store->queue.first : store->low.first,
                  STORE_CANCELLED);
    return count;
}

/* --- what a job leaves ------------------------------------------------------------------------ */

void store_set_result(struct store *store, struct store_job *job, struct buf *result, bool is_error)
{
    slice name, value;
    job->result = *result;
    *result = (struct buf){ 0 };
    for (size_t pos = 0; json_next_member(buf_slice(&job->result), &pos, &name, &value);) {
        if (slice_is(name, "output"))
            job->output = value;
        else if (slice_is(name, "error"))
            job->error = value;
    }
    store_end(store, job, is_error ? STORE_FAILED : STORE_COMPLETED);
}

static int make_part_room(struct store_job *job, struct err *err)
{
    if (job->part_count < job->part_room)
        return 0;
    size_t room = job->part_room == 0 ? 16 : job->part_room * 2;
    size_t *ends = realloc(job->part_ends, room * sizeof *ends);
    if (ends == NULL)
        return err_set(err, ERR_MEMORY, "out of memory for the parts of a stream");
    job->part_ends = ends;
    job->part_room = room;
    return 0;
}

int store_add_part(struct store *store, struct store_job *job, slice json, struct err *err)
{
    if (job->part_count == 0)
        buf_init(&job->parts, LIMIT_ENDPOINT_PARTS_BYTES, "the parts of the stream");
    int rc = make_part_room(job, err);
    if (rc == 0)
        rc = buf_add_slice(&job->parts, json, err);
    if (rc != 0)
        return rc;
    job->part_ends[job->part_count++] = job->parts.len;
    changed(store, job);
    return 0;
}

slice store_part(const struct store_job *job, size_t number)
{
    size_t start = number == 0 ? 0 : job->part_ends[number - 1];
    return (slice){ job->parts.ptr + start, job->part_ends[number] - start };
}

void store_set_progress(struct store *store, struct store_job *job, slice json)
{
    buf_free(&job->progress);
    buf_init(&job->progress, LIMIT_PROGRESS_BYTES, "progress");
    buf_add_slice(&job->progress, json, NULL);
    job->updates++;
    changed(store, job);
}

void store_add_log(struct store *store, struct store_job *job, slice line)
{
    if (job->log.max == 0)
        buf_init(&job->log, LIMIT_ENDPOINT_LOG_BYTES, "the log of a job");
    if (job->log.len + line.len + 1 > job->log.max)
        return;
    buf_add_slice(&job->log, line, NULL);
    buf_add_text(&job->log, "\n", NULL);
    account(store, job);
    wake_watchers(job);
}
