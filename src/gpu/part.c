/* The table by which rp_config.gpu links the GPU part in; nothing else refers to its functions. */
#include "gpu/part.h"

#include "gpu/gpu_private.h"

const struct rp_gpu_part rp_gpu_part = {
    .begin = gpu_begin,
    .prepare_check = gpu_prepare_check,
    .info = gpu_info,
    .check = gpu_check,
    .end_job = gpu_end_job,
    .error = rp_gpu_error,
    .is_running = gpu_is_running,
    .leave = gpu_leave,
    .end = gpu_end,
};
