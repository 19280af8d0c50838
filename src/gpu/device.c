/* rp_gpu.h: the driver, devices and errors. */
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "gpu/gpu_private.h"
#include "loader/loader.h"

enum { POOL_KEEPS_BYTES = 4 }; /* CU_MEMPOOL_ATTR_RELEASE_THRESHOLD */

static const struct config *the_config;       /* NULL: rp_config.gpu is not set */
static _Atomic(const struct cuda *) the_cuda; /* NULL until the driver has started */
static struct rp_gpu devices[GPU_DEVICES_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards devices */

static _Thread_local struct err thread_error;

/*
 * The first sticky error. The thread that moves the state from IN_USE to FAILING writes it; others
 * read it once the state is LOST.
 */
enum { IN_USE, FAILING, LOST };
static atomic_int state;
static struct err lost_error;

void gpu_begin(const struct config *config)
{
    the_config = config;
}

const struct cuda *gpu_cuda(void)
{
    return atomic_load_explicit(&the_cuda, memory_order_acquire);
}

/* --- errors --------------------------------------------------------------------------------- */

const char *rp_gpu_error(void)
{
    return thread_error.text;
}

int gpu_set_error(int code, const char *format, ...)
{
    char text[ERR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    err_set(&thread_error, ERR_PEER, "%s", text);
    return code;
}

static void mark_lost(const struct err *err)
{
    int in_use = IN_USE;
    if (!atomic_compare_exchange_strong(&state, &in_use, FAILING))
        return;
    lost_error = *err;
    atomic_store(&state, LOST);
    log_write(LOG_ERROR, NULL, "The GPU has failed for good and the worker will exit: %s",
              err->text);
}

const char *gpu_lost(void)
{
    switch (atomic_load(&state)) {
    case IN_USE: return NULL;
    case FAILING: return "CUDA_ERROR: the GPU has just failed";
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
    loader_enter(); /* rp_gpu_result may be a thread's first call */
    cuda_error(gpu_cuda(), result, what, &thread_error);
    if (cuda_is_sticky(result))
        mark_lost(&thread_error);
    return RP_FAILED;
}

/* --- the driver ----------------------------------------------------------------------------- */

int gpu_driver(const struct cuda **cuda)
{
    if (the_config == NULL) {
        gpu_set_error(RP_FAILED, "rp_config.gpu is not set to &rp_gpu_part (see rp_gpu.h)");
        return RP_FAILED;
    }
    if (cuda_open(the_config->gpu.libcuda, cuda, &thread_error) != 0)
        return (*cuda)->path[0] == '\0' || (*cuda)->init_result == CUDA_NO_DEVICE ? RP_MISSING
                                                                                  : RP_FAILED;
    atomic_store(&the_cuda, *cuda);
    loader_enter();
    return RP_OK;
}

/* A slice of a GPU (MIG) has an identity of its own, by which the scheduler knows it. */
static bool is_slice(const char *name)
{
    return strstr(name, " MIG ") != NULL;
}

static void write_uuid(const char *name, char *text, size_t size, const unsigned char *b)
{
    snprintf(text, size, "%s-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
             is_slice(name) ? "MIG" : "GPU", b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8],
             b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

/* The second version of the call tells a slice's own identity, the first that of the whole GPU. */
static bool get_uuid(const struct cuda *cuda, cuda_device device, struct cuda_uuid *uuid)
{
    if (cuda->device_own_uuid != NULL)
        return cuda->device_own_uuid(uuid, device) == CUDA_SUCCESS;
    return cuda->device_uuid != NULL && cuda->device_uuid(uuid, device) == CUDA_SUCCESS;
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
    /* Drivers before CUDA 11.2 do not know this attribute. */
    if (cuda->device_attribute(&pools, CUDA_MEMORY_POOLS, gpu->device) == CUDA_SUCCESS)
        gpu->has_pools = pools != 0 && cuda->alloc_async != NULL && cuda->free_async != NULL;
    if (get_uuid(cuda, gpu->device, &uuid))
        write_uuid(gpu->name, gpu->facts.uuid, sizeof gpu->facts.uuid, uuid.bytes);
    return CUDA_SUCCESS;
}

static atomic_bool is_running;

bool gpu_is_running(void)
{
    return atomic_load(&is_running);
}

void *rp_gpu_call(const char *name)
{
    const struct cuda *cuda;
    if (gpu_driver(&cuda) != RP_OK)
        return NULL;
    void *address = loader_symbol(cuda->lib, name);
    if (address == NULL)
        gpu_set_error(RP_FAILED, "%s has no function %.64s (CUDA %d.%d)", cuda->path, name,
                      cuda->version / 1000, cuda->version % 1000 / 10);
    return address;
}

int gpu_need(const char *symbol, void *function)
{
    void *address = rp_gpu_call(symbol);
    memcpy(function, &address, sizeof address); /* ISO C has no cast for it */
    return address != NULL ? RP_OK : RP_FAILED;
}

/* --- rp_gpu.h ------------------------------------------------------------------------------- */

int rp_gpu_count(void)
{
    const struct cuda *cuda;
    return gpu_driver(&cuda) == RP_OK ? cuda->device_count : 0;
}

/*
 * Keeps memory that is freed in the device's pool instead of giving it back to the system at the
 * next wait. A driver that cannot is left as it is.
 */
static void keep_pool(struct rp_gpu *gpu)
{
    int (*get)(void **, cuda_device), (*set)(void *, int, void *);
    void *pool = NULL;
    uint64_t all = UINT64_MAX;
    const struct cuda *cuda;
    if (gpu_driver(&cuda) != RP_OK)
        return;
    void *get_at = rp_gpu_call("cuDeviceGetDefaultMemPool");
    void *set_at = rp_gpu_call("cuMemPoolSetAttribute");
    memcpy(&get, &get_at, sizeof get);
    memcpy(&set, &set_at, sizeof set);
    if (get != NULL && set != NULL && get(&pool, gpu->device) == CUDA_SUCCESS)
        set(pool, POOL_KEEPS_BYTES, &all);
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
    atomic_store(&is_running, true);
    if (gpu->has_pools)
        keep_pool(gpu);
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
        return gpu_set_error(
            RP_MISSING, "GPU %d does not exist: the driver reports %d device(s), counted from 0",
            index, cuda->device_count);
    pthread_mutex_lock(&lock);
    if (devices[index].context == NULL)
        rc = open_device(cuda, index, &devices[index]);
    pthread_mutex_unlock(&lock);
    if (rc == RP_OK)
        *gpu = &devices[index];
    return rc;
}

const rp_gpu_facts *rp_gpu_about(const rp_gpu *gpu)
{
    static const rp_gpu_facts none = { .name = "", .driver_path = "" };
    return gpu != NULL ? &gpu->facts : &none;
}
