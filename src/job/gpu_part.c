/* The table by which rp_config.gpu links the GPU in; nothing else refers to these functions. */
#include "job/gpu_part.h"

#include "job/gpu_inside.h"

const struct rp_gpu_part rp_gpu_part = {
    .begin = gpu_begin,
    .info = gpu_info,
    .check = gpu_check,
    .settle = gpu_settle,
};
