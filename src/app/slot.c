#include "app/slot.h"

#include <stdatomic.h>
#include <stdio.h>

#include "base/thread.h"
#include "job/stats.h"

struct slot {
    const struct slot_context *context;
    struct job_waiter waiter;
    void *state; /* of the handler */
    int64_t ready_delay_ms;
};

/* Before the slot is free: with stopPod no further job is to be taken for it. */
static void note_refresh(const struct slot_context *context, const struct result *result,
                         const struct log_tag *tag)
{
    if (!result->stop_pod || context->stop_taking == NULL)
        return;
    log_write(LOG_INFO, tag, "refresh_worker flag set, stopping pod after job.");
    context->stop_taking(context->owner);
}

/* A job that was stopped has no result; what is queued of its stream may still be under way. */
static void end_stopped(struct parcel *parcel, struct job *job, const struct log_tag *tag)
{
    if (!sender_is_idle(&parcel->job.sender)) {
        outbox_send(parcel, job);
        return;
    }
    struct err err;
    sender_finish(&parcel->job.sender, &err); /* forgets the failure of a part */
    log_write(LOG_INFO, tag, "Job stopped.");
    rp_job_end(&parcel->job);
    job_table_remove(parcel->outbox->table, job);
    outbox_give_back(parcel);
}

static enum stats_end end_of(const struct job *job, const struct result *result)
{
    int why = atomic_load(&job->why);
    if (why == JOB_STOPPED || why == JOB_ABANDONED)
        return STATS_CANCELLED;
    if (!result->is_error)
        return STATS_COMPLETED;
    return why == JOB_TIMED_OUT ? STATS_TIMED_OUT : STATS_FAILED;
}

/* The text of a job's failure, up to its first line break. */
static void tell_loss(const struct slot_context *context, const rp_job *job)
{
    char why[ERR_TEXT_BYTES];
    slice text = buf_slice(&job->message);
    snprintf(why, sizeof why, "%.*s", SLICE_ARG(text));
    context->lost(context->owner, text.len > 0 ? why : "The handler is lost.");
}

static void run_in_parcel(struct slot *slot, struct job *job, const struct log_tag *tag)
{
    const struct slot_context *context = slot->context;
    struct parcel *parcel = outbox_take(context->outbox);
    const int64_t begun_ms = clock_now_ms();
    stats_job_began(begun_ms - job->taken_ms);
    parcel->job.ready_delay_ms = slot->ready_delay_ms;
    rp_job_run(&parcel->job, job, context->handler, slot->state, &parcel->result);
    stats_job_ended(end_of(job, &parcel->result), clock_now_ms() - begun_ms);
    if (parcel->job.handler_lost)
        tell_loss(context, &parcel->job);
    if (job_is_stopped(job)) {
        end_stopped(parcel, job, tag);
        return;
    }
    if (parcel->job.not_begun && failed_start_is_set(context->failed))
        failed_start_seal(context->failed, &parcel->result, parcel->job.refresh);
    note_refresh(context, &parcel->result, tag);
    outbox_send(parcel, job);
}

static void fail_in_parcel(const struct slot_context *context, struct job *job,
                           const struct log_tag *tag)
{
    struct parcel *parcel = outbox_take(context->outbox);
    rp_job_begin(&parcel->job, job);
    failed_start_seal(context->failed, &parcel->result, false);
    log_write(LOG_ERROR, tag, "The job fails, since the worker could not start: %s",
              context->failed->message);
    outbox_send(parcel, job);
}

static void run_job(struct slot *slot, struct job *job)
{
    const struct slot_context *context = slot->context;
    const struct log_tag tag = job_tag(job); /* valid only until the job is handed over */
    if (job_is_stopped(job)) {
        log_write(LOG_INFO, &tag, "Job stopped before it started.");
        job_table_remove(context->table, job);
        return;
    }
    if (failed_start_is_total(context->failed)) {
        fail_in_parcel(context, job, &tag);
        return;
    }
    log_text(LOG_INFO, &tag, SLICE_LITERAL("Started."));
    run_in_parcel(slot, job, &tag);
    if (context->config->refresh_worker)
        context->end_after_jobs(context->owner);
}

static int open_handler(struct slot *slot, struct err *err)
{
    const struct slot_context *context = slot->context;
    int rc = context->handler->ops->open(context->handler->setting, &slot->state, err);
    slot->ready_delay_ms = clock_now_ms() - context->config->started_ms;
    return rc;
}

static atomic_flag open_failed = ATOMIC_FLAG_INIT;

static void recall(void *owner)
{
    struct slot *slot = owner;
    job_table_recall(slot->context->table, &slot->waiter);
}

/* The next job; NULL: there will be no more. A slot that is not ready takes one that is to end. */
static struct job *next_job(struct slot *slot)
{
    struct job_table *table = slot->context->table;
    const struct handler_ops *ops = slot->context->handler->ops;
    struct job *job;
    do {
        atomic_store(&slot->waiter.recalled, false);
        while (ops->prepare != NULL && !ops->prepare(slot->state, clock_deadline(LIMIT_WATCH_MS)))
            if ((job = job_table_next_stopped(table)) != NULL)
                return job;
        job = job_table_next(table, &slot->waiter);
    } while (job == NULL && atomic_load(&slot->waiter.recalled));
    return job;
}

/* The first one ends the worker: the others fail for the same reason. */
static void log_open_failure(const struct err *err)
{
    if (!err->is_logged && !atomic_flag_test_and_set(&open_failed))
        log_write(LOG_ERROR, NULL, "%s", err->text);
}

static void *slot_main(void *argument)
{
    const struct slot_context *context = argument;
    struct slot slot = { .context = context };
    struct err err = { 0 };
    struct job *job;
    job_waiter_init(&slot.waiter);
    if (outbox_grow(context->outbox, &err) != 0) {
        log_open_failure(&err);
        context->finish(context->owner, 1);
        return NULL; /* the process exits now: nothing needs to be freed */
    }
    if (open_handler(&slot, &err) != 0) {
        log_open_failure(&err);
        context->lost(context->owner, err.text);
        return NULL;
    }
    context->opened(context->owner);
    if (context->handler->ops->on_unready != NULL)
        context->handler->ops->on_unready(slot.state, recall, &slot);
    while ((job = next_job(&slot)) != NULL) {
        run_job(&slot, job);
        if (context->freed != NULL)
            context->freed(context->owner);
    }
    context->handler->ops->close(slot.state);
    return NULL;
}

void slot_fail_jobs(const struct slot_context *context)
{
    struct slot slot = { .context = context };
    struct err err = { 0 };
    struct job *job;
    job_waiter_init(&slot.waiter);
    if (outbox_grow(context->outbox, &err) != 0) {
        log_write(LOG_ERROR, NULL, "%s", err.text);
        return;
    }
    while ((job = job_table_next(context->table, &slot.waiter)) != NULL)
        run_job(&slot, job);
}

int slot_start(const struct slot_context *context, struct err *err)
{
    return thread_start(slot_main, (void *)(uintptr_t)context, context->stack_bytes, err);
}
