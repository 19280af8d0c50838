#include "job/linked.h"

#include "job/gpu_part.h"

static int linked_open(const void *setting, void **state, struct err *err)
{
    const struct linked_setting *linked = setting;
    const rp_config *config = linked->config;
    int status = 0;
    pthread_mutex_lock(linked->lock);
    if (config->setup != NULL && !*linked->is_set_up)
        status = config->setup(config->user);
    *linked->is_set_up = true;
    pthread_mutex_unlock(linked->lock);
    *state = (void *)(uintptr_t)config;
    return status == 0 ? 0
                       : err_set(err, ERR_CONFIG, "The handler's setup failed with %d.", status);
}

int linked_call(const rp_config *config, rp_job *job)
{
    const struct rp_gpu_part *gpu = config->gpu;
    if (gpu == NULL)
        return config->handler(job, config->user);
    if (gpu->settle(job))
        return HANDLER_LOST; /* it was here before the GPU failed: nothing good can come of it */
    int status = config->handler(job, config->user);
    return gpu->settle(job) ? HANDLER_LOST : status;
}

static int linked_run(rp_job *job, void *state)
{
    return linked_call(state, job);
}

static void linked_close(void *state)
{
    (void)state;
}

const struct handler_ops linked_ops = {
    .open = linked_open,
    .run = linked_run,
    .close = linked_close,
};
