/* rp_gpu.h: devices, and what has gone wrong. */
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "gpu/loader.h"
#include "job/gpu_inside.h"

static const struct config *the_config; /* NULL: rp_config.gpu is not set */
static const struct cuda *the_cuda;     /* set under the lock, before a device is given out */
static struct rp_gpu devices[GPU_DEVICES_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* over the two above */

static _Thread_local struct err thread_error;

/* The first sticky error. Written once by who sets is_lost to 1, read once it is 2. */
static atomic_int is_lost;
static struct err lost_error;

void gpu_begin(const struct config *config)
{
    the_config = config;
}

/* --- errors -------------------------------------------------------------------------------- */

const char *rp_gpu_error(void)
{
    return thread_error.text;
}

int gpu_complain(int code, const char *format, ...)
{
    char text[ERR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    err_set(&thread_error, ERR_PEER, "%s", text);
    return code;
}

static void lose(const struct err *err)
{
    int not_lost = 0;
    if (!atomic_compare_exchange_strong(&is_lost, &not_lost, 1))
        return;
    lost_error = *err;
    atomic_store(&is_lost, 2);
    log_write(LOG_ERROR, NULL, "The GPU has failed for good: %s", err->text);
}

const char *gpu_lost(void)
{
    switch (atomic_load(&is_lost)) {
    case 0: return NULL;
    case 1: return "CUDA_ERROR: the GPU has failed just now";
    default: return lost_error.text;
    }
}

int gpu_result(int result, const char *format, ...)
{
    char what[ERR_TEXT_BYTES / 2];
    va_list args;
    if (result == CUDA_SUCCESS)
        return RP_OK;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    cuda_error(the_cuda, result, what, &thread_error);
    if (cuda_is_sticky(result))
        lose(&thread_error);
    return RP_FAILED;
}

/* --- the driver ---------------------------------------------------------------------------- */

const struct cuda *gpu_cuda(void)
{
    return the_cuda;
}

int gpu_driver(const struct cuda **cuda)
{
    if (the_config == NULL) {
        gpu_complain(RP_FAILED, "rp_config.gpu is not set to &rp_gpu_part (see rp_gpu.h)");
        return RP_FAILED;
    }
    if (cuda_open(the_config->gpu.libcuda, cuda, &thread_error) != 0)
        return (*cuda)->path[0] == '\0' || (*cuda)->start_result == CUDA_NO_DEVICE ? RP_MISSING
                                                                                   : RP_FAILED;
    loader_enter();
    return RP_OK;
}

static void write_uuid(char *text, size_t size, const unsigned char *b)
{
    snprintf(text, size, "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
             b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
             b[14], b[15]);
}

int gpu_describe(const struct cuda *cuda, int index, struct rp_gpu *gpu, const char **call)
{
    int major = 0, minor = 0, pools = 0;
    size_t bytes = 0;
    struct cuda_uuid uuid;
    *gpu = (struct rp_gpu){ .index = index };
    gpu->facts = (rp_gpu_facts){ .name = gpu->name,
                                 .cuda_version = cuda->version,
                                 .driver_path = cuda->path };
    const struct {
        int attribute;
        int *value;
    } wanted[] = {
        { CUDA_CAPABILITY_MAJOR, &major },
        { CUDA_CAPABILITY_MINOR, &minor },
        { CUDA_MULTIPROCESSORS, &gpu->facts.multiprocessors },
        { CUDA_MAX_THREADS_PER_BLOCK, &gpu->facts.max_threads_per_block },
    };
    *call = "cuDeviceGet";
    int result = cuda->device_get(&gpu->device, index);
    if (result == CUDA_SUCCESS) {
        *call = "cuDeviceGetName";
        result = cuda->device_name(gpu->name, (int)sizeof gpu->name - 1, gpu->device);
    }
    if (result == CUDA_SUCCESS) {
        *call = "cuDeviceTotalMem";
        result = cuda->device_memory(&bytes, gpu->device);
    }
    for (size_t i = 0; result == CUDA_SUCCESS && i < sizeof wanted / sizeof wanted[0]; i++) {
        *call = "cuDeviceGetAttribute";
        result = cuda->device_attribute(wanted[i].value, wanted[i].attribute, gpu->device);
    }
    if (result != CUDA_SUCCESS)
        return result;
    gpu->facts.memory_bytes = bytes;
    gpu->facts.capability = major * 10 + minor;
    /* Drivers before 11.2 do not know the attribute. */
    if (cuda->device_attribute(&pools, CUDA_MEMORY_POOLS, gpu->device) == CUDA_SUCCESS)
        gpu->has_pools = pools != 0 && cuda->alloc_async != NULL && cuda->free_async != NULL;
    if (cuda->device_uuid != NULL && cuda->device_uuid(&uuid, gpu->device) == CUDA_SUCCESS)
        write_uuid(gpu->facts.uuid, sizeof gpu->facts.uuid, uuid.bytes);
    return CUDA_SUCCESS;
}

/* --- rp_gpu.h ------------------------------------------------------------------------------ */

int rp_gpu_count(void)
{
    const struct cuda *cuda;
    return gpu_driver(&cuda) == RP_OK ? cuda->device_count : 0;
}

static int open_device(const struct cuda *cuda, int index, struct rp_gpu *gpu)
{
    const char *call;
    cuda_context context = NULL;
    int result = gpu_describe(cuda, index, gpu, &call);
    if (result == CUDA_SUCCESS) {
        call = "cuDevicePrimaryCtxRetain";
        result = cuda->context_retain(&context, gpu->device);
    }
    if (result != CUDA_SUCCESS)
        return gpu_result(result, "open GPU %d: %s", index, call);
    gpu->context = context;
    log_write(LOG_INFO, NULL, "GPU %d is %s, sm_%d, %llu MiB; CUDA %d.%d by %s", index, gpu->name,
              gpu->facts.capability, (unsigned long long)(gpu->facts.memory_bytes >> 20),
              cuda->version / 1000, cuda->version % 1000 / 10, cuda->path);
    return RP_OK;
}

int rp_gpu_open(int index, rp_gpu **gpu)
{
    const struct cuda *cuda;
    int rc = gpu_driver(&cuda);
    *gpu = NULL;
    if (rc != RP_OK)
        return rc;
    if (index < 0 || index >= cuda->device_count || index >= GPU_DEVICES_MAX)
        return gpu_complain(RP_MISSING, "there is no GPU %d: the driver knows %d", index,
                            cuda->device_count);
    pthread_mutex_lock(&lock);
    the_cuda = cuda;
    if (devices[index].context == NULL)
        rc = open_device(cuda, index, &devices[index]);
    pthread_mutex_unlock(&lock);
    if (rc == RP_OK)
        *gpu = &devices[index];
    return rc;
}

const rp_gpu_facts *rp_gpu_about(const rp_gpu *gpu)
{
    return &gpu->facts;
}

int rp_gpu_memory(rp_gpu *gpu, uint64_t *free_bytes)
{
    size_t available = 0, total = 0;
    if (gpu_enter(gpu) == NULL)
        return RP_FAILED;
    int rc = gpu_result(the_cuda->memory_info(&available, &total), "cuMemGetInfo");
    *free_bytes = available;
    return rc;
}
