#include "linked/linked.h"

#include <stdatomic.h>

#include "base/crash.h"
#include "gpu/part.h"
#include "job/rp_job.h"

static atomic_bool setting_up;

bool linked_is_setting_up(void)
{
    return atomic_load(&setting_up);
}

int linked_setup(const rp_config *config, struct err *err)
{
    int status = config->setup != NULL ? config->setup(config->user) : 0;
    const char *why = status != 0 && config->gpu != NULL ? config->gpu->error() : "";
    if (status == 0)
        return 0;
    return err_set(err, ERR_CONFIG, "The handler's setup returned %d.%s%s", status,
                   *why != '\0' ? " The GPU's last error: " : "", why);
}

static int linked_open(const void *setting, void **state, struct err *err)
{
    const struct linked_setting *linked = setting;
    const rp_config *config = linked->config;
    int rc = 0;
    pthread_mutex_lock(linked->lock);
    if (!*linked->is_set_up) {
        atomic_store(&setting_up, true);
        rc = linked_setup(config, err);
        atomic_store(&setting_up, false);
    }
    *linked->is_set_up = true;
    pthread_mutex_unlock(linked->lock);
    *state = (void *)(uintptr_t)config;
    return rc;
}

static int call(const rp_config *config, rp_job *job)
{
    const struct rp_gpu_part *gpu = config->gpu;
    if (gpu == NULL)
        return config->handler(job, config->user);
    if (gpu->end_job(job))
        return HANDLER_LOST_BEFORE; /* it was taken before the GPU failed */
    int status = config->handler(job, config->user);
    return gpu->end_job(job) ? HANDLER_LOST : status;
}

int linked_call(const rp_config *config, rp_job *job)
{
    crash_prepare_thread();
    crash_set_job(job->task->id);
    int status = call(config, job);
    crash_set_job((slice){ 0 });
    return status;
}

static int linked_run(rp_job *job, void *state)
{
    return linked_call(state, job);
}

static void linked_close(void *state)
{
    const rp_config *config = state;
    if (config->gpu != NULL)
        config->gpu->leave();
}

const struct handler_ops linked_ops = {
    .open = linked_open,
    .run = linked_run,
    .close = linked_close,
};
