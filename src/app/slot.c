#include "app/slot.h"

#include "base/limits.h"
#include "base/thread.h"
#include "job/result_store.h"
#include "job/rp_job.h"

struct slot {
    const struct slot_context *context;
    struct outlet outlet;
    struct job_waiter waiter;
    struct rp_job job;
    struct result result;
    void *state; /* the handler's */
};

/* A result that nobody takes: kept for the next start where there is a folder for it. */
static void keep_result(struct slot *slot, const struct job *job, const struct log_tag *tag,
                        const char *why)
{
    struct err err = { 0 };
    const char *dir = slot->context->config->result_dir;
    if (dir == NULL)
        log_write(LOG_ERROR, tag, "The result could not be delivered and is lost: %s", why);
    else if (result_store_save(dir, job->id, &slot->result, &err) == 0)
        log_write(LOG_ERROR, tag, "The result could not be delivered and is kept in %s: %s", dir,
                  why);
    else
        log_write(LOG_ERROR, tag, "The result could not be delivered (%s) nor kept: %s", why,
                  err.text);
    slot->context->undelivered(slot->context->owner);
}

static void deliver(struct slot *slot, struct job *job, const struct log_tag *tag)
{
    struct err err = { 0 };
    const struct slot_context *context = slot->context;
    if (slot->result.stop_pod && context->stop_taking != NULL) {
        log_write(LOG_INFO, tag, "refresh_worker flag set, stopping pod after job.");
        context->stop_taking(context->owner);
    }
    int rc = context->source->ops->post(&slot->outlet, job, &slot->result, &err);
    if (rc == ERR_CANCELLED)
        log_write(LOG_INFO, tag, "Job stopped.");
    else if (rc != 0)
        keep_result(slot, job, tag, err.text);
}

static void run_job(struct slot *slot, struct job *job)
{
    const struct slot_context *context = slot->context;
    const struct log_tag tag = job_tag(job);
    if (job_is_stopped(job)) {
        log_write(LOG_INFO, &tag, "Job stopped before it began.");
        job_table_settle(context->table, job);
        return;
    }
    log_text(LOG_INFO, &tag, SLICE_LITERAL("Started."));
    rp_job_run(&slot->job, job, context->handler, slot->state, &slot->result);
    if (slot->job.handler_lost)
        context->lost(context->owner);
    if (job_is_stopped(job))
        log_write(LOG_INFO, &tag, "Job stopped.");
    else
        deliver(slot, job, &tag);
    rp_job_end(&slot->job);
    job_table_settle(context->table, job);
    if (context->config->refresh_worker)
        context->end_after_jobs(context->owner);
}

static int open_slot(struct slot *slot, struct err *err)
{
    const struct slot_context *context = slot->context;
    int rc = context->source->ops->open(context->source, &slot->outlet, err);
    if (rc != 0)
        return rc;
    rp_job_init(&slot->job, context->config, &slot->outlet);
    result_init(&slot->result, (size_t)context->config->result_max_bytes);
    rc = context->handler->ops->open(context->handler->setting, &slot->state, err);
    slot->job.ready_delay_ms = clock_now_ms() - context->config->started_ms;
    return rc;
}

static void close_slot(struct slot *slot)
{
    const struct slot_context *context = slot->context;
    context->handler->ops->close(slot->state);
    result_free(&slot->result);
    rp_job_free(&slot->job);
    context->source->ops->close(&slot->outlet);
}

static void *slot_main(void *argument)
{
    const struct slot_context *context = argument;
    struct slot slot = { .context = context };
    struct err err = { 0 };
    struct job *job;
    job_waiter_init(&slot.waiter);
    if (open_slot(&slot, &err) != 0) {
        log_write(LOG_ERROR, NULL, "%s", err.text);
        context->finish(context->owner, 1);
        return NULL; /* the process ends now: nothing to free */
    }
    context->opened(context->owner);
    while ((job = job_table_next(context->table, &slot.waiter)) != NULL)
        run_job(&slot, job);
    close_slot(&slot);
    return NULL;
}

int slot_start(const struct slot_context *context, struct err *err)
{
    return thread_start(slot_main, (void *)(uintptr_t)context, context->stack_bytes, err);
}
