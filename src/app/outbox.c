#include "app/outbox.h"

#include <stdlib.h>

#include "base/limits.h"
#include "source/result_store.h"

void outbox_init(struct outbox *outbox)
{
    pthread_mutex_init(&outbox->lock, NULL);
    flag_cond_init(&outbox->returned);
    pthread_cond_init(&outbox->room, NULL);
    outbox->unused = NULL;
    outbox->parcels = outbox->slots = outbox->stored = outbox->stored_bytes = 0;
}

bool outbox_has_room(size_t stored, size_t stored_bytes, size_t bytes)
{
    return stored == 0 || (stored < LIMIT_UNDELIVERED && stored_bytes < LIMIT_UNDELIVERED_BYTES &&
                           bytes <= LIMIT_UNDELIVERED_BYTES - stored_bytes);
}

/* --- parcels -------------------------------------------------------------------------------- */

static struct parcel *make(struct outbox *outbox, struct err *err)
{
    const struct config *config = outbox->config;
    struct parcel *parcel = calloc(1, sizeof *parcel);
    if (parcel == NULL) {
        err_set(err, ERR_MEMORY, "out of memory for a job's result");
        return NULL;
    }
    if (source_open_channel(outbox->source, &parcel->reply_channel, err) != 0) {
        free(parcel);
        return NULL;
    }
    parcel->outbox = outbox;
    rp_job_init(&parcel->job, config, &parcel->reply_channel);
    parcel->job.sends_beside = !outbox->source->ops->delivers_at_once;
    result_init(&parcel->result, (size_t)config->result_max_bytes);
    return parcel;
}

static void put_unused(struct outbox *outbox, struct parcel *parcel)
{
    parcel->next = outbox->unused;
    outbox->unused = parcel;
    pthread_cond_signal(&outbox->returned);
}

int outbox_grow(struct outbox *outbox, struct err *err)
{
    struct parcel *parcel = make(outbox, err);
    if (parcel == NULL)
        return err->code;
    pthread_mutex_lock(&outbox->lock);
    outbox->parcels++;
    outbox->slots++;
    put_unused(outbox, parcel);
    pthread_mutex_unlock(&outbox->lock);
    return 0;
}

/* Under the lock. NULL if none was returned until the deadline. */
static struct parcel *pop_unused(struct outbox *outbox, deadline_ms deadline)
{
    while (outbox->unused == NULL)
        if (!flag_cond_wait(&outbox->returned, &outbox->lock, deadline))
            break;
    struct parcel *parcel = outbox->unused;
    if (parcel != NULL)
        outbox->unused = parcel->next;
    return parcel;
}

struct parcel *outbox_take(struct outbox *outbox)
{
    struct err err;
    pthread_mutex_lock(&outbox->lock);
    bool many = outbox->parcels >= outbox->slots + LIMIT_PARCELS_SPARE;
    struct parcel *parcel = outbox->unused != NULL || many
                                ? pop_unused(outbox, clock_deadline(LIMIT_PARCEL_MS))
                                : NULL;
    if (parcel == NULL && (parcel = make(outbox, &err)) != NULL)
        outbox->parcels++;
    if (parcel == NULL)
        parcel = pop_unused(outbox, DEADLINE_NEVER);
    pthread_mutex_unlock(&outbox->lock);
    parcel->bytes = 0;
    parcel->settled = false;
    return parcel;
}

void outbox_give_back(struct parcel *parcel)
{
    struct outbox *outbox = parcel->outbox;
    pthread_mutex_lock(&outbox->lock);
    put_unused(outbox, parcel);
    pthread_mutex_unlock(&outbox->lock);
}

/* --- delivering ------------------------------------------------------------------------------ */

/* Stores a result that could not be delivered for the next start, if --result-dir is set. */
static void keep_result(const struct parcel *parcel, const char *why)
{
    const struct outbox *outbox = parcel->outbox;
    const struct log_tag tag = job_tag(parcel->task);
    const char *dir = outbox->config->result_dir;
    struct err err = { 0 };
    outbox->undelivered(outbox->owner); /* before the line: a signal that follows it is later */
    if (dir == NULL)
        log_write(LOG_ERROR, &tag, "The result could not be delivered and is lost: %s", why);
    else if (result_store_save(dir, parcel->task->id, &parcel->result, &err) == 0)
        log_write(LOG_ERROR, &tag, "The result could not be delivered and is kept in %s: %s", dir,
                  why);
    else
        log_write(LOG_ERROR, &tag, "The result could neither be delivered (%s) nor kept: %s", why,
                  err.text);
}

/* A job with a part that was not delivered has failed, whatever its handler made of it. */
static void fail_stream(struct parcel *parcel, const struct err *why)
{
    const struct log_tag tag = job_tag(parcel->task);
    const struct failure failure = { .type = "StreamError", .message = slice_from(why->text) };
    bool is_stream = parcel->result.is_stream;
    log_write(LOG_ERROR, &tag, "StreamError: %s", why->text);
    result_seal_failure(&parcel->result, &failure, parcel->outbox->config, parcel->result.stop_pod);
    parcel->result.is_stream = is_stream;
}

static void post(struct parcel *parcel, const struct err *stream_failure)
{
    struct err err = { 0 };
    struct job *job = parcel->task;
    const struct log_tag tag = job_tag(job);
    int rc = ERR_CANCELLED;
    if (!job_is_stopped(job)) {
        if (stream_failure->code != 0 && !parcel->result.is_error)
            fail_stream(parcel, stream_failure);
        rc = parcel->outbox->source->ops->post(&parcel->reply_channel, job, &parcel->result, &err);
    }
    if (rc == ERR_CANCELLED)
        log_write(LOG_INFO, &tag, "Job stopped.");
    else if (rc != 0)
        keep_result(parcel, err.text);
}

/* The job leaves the table last: whoever waits for that may end the process. */
static void settle(struct parcel *parcel)
{
    struct outbox *outbox = parcel->outbox;
    struct job *job = parcel->task;
    rp_job_end(&parcel->job);
    pthread_mutex_lock(&outbox->lock);
    parcel->settled = true;
    if (parcel->bytes > 0) {
        outbox->stored--;
        outbox->stored_bytes -= parcel->bytes;
        put_unused(outbox, parcel);
    }
    pthread_cond_broadcast(&outbox->room);
    pthread_mutex_unlock(&outbox->lock);
    job_table_remove(outbox->table, job);
}

/* On the sender's thread, once all parts of the job's stream are sent. */
static void deliver(void *owner, const struct err *stream_failure)
{
    struct parcel *parcel = owner;
    post(parcel, stream_failure);
    settle(parcel);
}

/* Under the lock: frees the slot if the store has room for the result. */
static bool store(struct parcel *parcel)
{
    struct outbox *outbox = parcel->outbox;
    size_t bytes = parcel->result.bytes + parcel->task->text.len + sizeof *parcel->task;
    if (!outbox_has_room(outbox->stored, outbox->stored_bytes, bytes))
        return false;
    parcel->bytes = bytes; /* never 0, which says that it is not stored */
    outbox->stored++;
    outbox->stored_bytes += bytes;
    job_table_seal(outbox->table, parcel->task);
    return true;
}

/* The thread that delivers it gives it back, if it is stored; else the slot's thread does, here. */
static void wait_for_room(struct parcel *parcel)
{
    struct outbox *outbox = parcel->outbox;
    pthread_mutex_lock(&outbox->lock);
    while (!parcel->settled && !store(parcel))
        pthread_cond_wait(&outbox->room, &outbox->lock);
    if (parcel->settled)
        put_unused(outbox, parcel);
    pthread_mutex_unlock(&outbox->lock);
}

static void deliver_here(struct parcel *parcel)
{
    struct err err = { 0 };
    sender_finish(&parcel->job.sender, &err);
    deliver(parcel, &err);
}

void outbox_send(struct parcel *parcel, struct job *job)
{
    struct outbox *outbox = parcel->outbox;
    struct err err = { 0 };
    bool beside = parcel->job.sends_beside, stored = false;
    parcel->task = job;
    rp_job_trim(&parcel->job);
    if (!result_lies_in(&parcel->result, job->text))
        job_drop_text(job);
    if (beside) {
        pthread_mutex_lock(&outbox->lock);
        stored = store(parcel);
        pthread_mutex_unlock(&outbox->lock);
        beside = sender_then(&parcel->job.sender, deliver, parcel, &err) == 0;
    }
    if (!beside)
        deliver_here(parcel);
    if (!stored)
        wait_for_room(parcel);
}
