/*
 * A fake libcuda.so.1 that has devices, for machines without a GPU. The system's compiler builds it
 * for glibc, so the worker's loader loads it as it does the real one. Device memory is host memory,
 * each stream is a thread that works through its queue, and kernels are interpreted (ptx.h).
 * It refuses what the real one would: a call without a context on the thread, addresses that are
 * not allocated, a stack that is too small.
 *
 * Variables set what it does:
 *   FAKE_CUDA_DEVICES=N      devices (1); 0: cuInit returns CUDA_ERROR_NO_DEVICE
 *   FAKE_CUDA_VERSION=N      12020 is 12.2
 *   FAKE_CUDA_CAPABILITY=N   90 is 9.0
 *   FAKE_CUDA_MEMORY=N       bytes of each device (1 GiB)
 *   FAKE_CUDA_FAIL=CALL=R@N,...   the N-th CALL returns R (1 is the first; 0: all of them)
 *   FAKE_CUDA_STICKY=CALL=R@N     from the N-th CALL on, all that need a context return R
 *   FAKE_CUDA_HANG=CALL      never returns
 *   FAKE_CUDA_CRASH=CALL     aborts the process
 *   FAKE_CUDA_SLOW=CALL=MS   takes that long
 *   FAKE_CUDA_WRONG=1        the first value that a launch stores in global memory is wrong
 *   FAKE_CUDA_FORGETS=1      one byte of filled memory is wrong
 *   FAKE_CUDA_POOLS=1        cuMemAllocAsync is supported
 *   FAKE_CUDA_SLICE=1        each device is a slice of one (MIG)
 *   FAKE_CUDA_GETTER=0       cuGetProcAddress knows nothing
 *   FAKE_CUDA_TRACE=FILE     gets a line for each call, and at the end what is still allocated
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fakedevice.h"

#define EXPORT __attribute__((visibility("default")))

static const struct {
    int result;
    const char *name, *text;
} errors[] = {
    { 0, "CUDA_SUCCESS", "no error" },
    { 1, "CUDA_ERROR_INVALID_VALUE", "invalid argument" },
    { 2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory" },
    { 3, "CUDA_ERROR_NOT_INITIALIZED", "initialization error" },
    { 100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected" },
    { 101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal" },
    { 200, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid" },
    { 201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context" },
    { 214, "CUDA_ERROR_ECC_UNCORRECTABLE", "uncorrectable ECC error encountered" },
    { 218, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed" },
    { 221, "CUDA_ERROR_JIT_COMPILER_NOT_FOUND", "PTX JIT compiler library not found" },
    { 500, "CUDA_ERROR_NOT_FOUND", "named symbol not found" },
    { 700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered" },
    { 716, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address" },
    { 719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure" },
    { 801, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported" },
    { 803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
      "system has unsupported display driver / cuda driver combination" },
    { 999, "CUDA_ERROR_UNKNOWN", "unknown error" },
};

/* --- the API -------------------------------------------------------------------------------- */

EXPORT int cuInit(unsigned flags)
{
    ENTER(0);
    if (flags != 0)
        return INVALID_VALUE;
    if (device_count() == 0)
        return NO_DEVICE;
    fake_initialized = 1;
    return SUCCESS;
}

EXPORT int cuDriverGetVersion(int *version)
{
    ENTER(0);
    *version = (int)number("FAKE_CUDA_VERSION", 12020);
    return SUCCESS;
}

EXPORT int cuGetErrorName(int result, const char **name)
{
    *name = NULL;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (errors[i].result == result)
            *name = errors[i].name;
    return *name != NULL ? SUCCESS : INVALID_VALUE;
}

EXPORT int cuGetErrorString(int result, const char **text)
{
    *text = NULL;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (errors[i].result == result)
            *text = errors[i].text;
    return *text != NULL ? SUCCESS : INVALID_VALUE;
}

EXPORT int cuDeviceGetCount(int *count)
{
    ENTER(1);
    *count = device_count();
    return SUCCESS;
}

EXPORT int cuDeviceGet(int *device, int index)
{
    ENTER(1);
    *device = index;
    return index >= 0 && index < device_count() ? SUCCESS : INVALID_DEVICE;
}

EXPORT int cuDeviceGetName(char *name, int size, int device)
{
    ENTER(1);
    const char *slice = number("FAKE_CUDA_SLICE", 0) != 0 ? " MIG 1g.10gb" : "";
    snprintf(name, (size_t)size, "Fake GPU %d%s", device, slice);
    return SUCCESS;
}

EXPORT int cuDeviceTotalMem_v2(size_t *bytes, int device)
{
    ENTER(1);
    (void)device;
    *bytes = (size_t)number("FAKE_CUDA_MEMORY", 1 << 30);
    return SUCCESS;
}

EXPORT int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    ENTER(1);
    (void)device;
    const struct {
        int attribute, value;
    } known[] = {
        { 1, 1024 }, /* threads of a block, and along x, y, z */
        { 2, 1024 },
        { 3, 1024 },
        { 4, 64 },
        { 5, INT_MAX }, /* blocks of a grid along x, y, z */
        { 6, 65535 },
        { 7, 65535 },
        { 8, 48 << 10 }, /* bytes of shared memory of a block */
        { 10, 32 },      /* threads of a warp */
        { 12, 65536 },   /* registers of a block */
        { 16, 132 },     /* multiprocessors */
        { 39, 2048 },    /* threads of a multiprocessor */
        { 75, capability() / 10 },
        { 76, capability() % 10 },
        { 81, shared_bytes_optin() + 1024 }, /* of shared memory of a multiprocessor */
        { 82, 65536 },                       /* registers of one */
        { 97, shared_bytes_optin() },
        { 115, (int)number("FAKE_CUDA_POOLS", 0) },
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].attribute == attribute) {
            *value = known[i].value;
            return SUCCESS;
        }
    return INVALID_VALUE;
}

EXPORT int cuDeviceGetUuid(unsigned char *uuid, int device)
{
    ENTER(1);
    for (int i = 0; i < 16; i++)
        uuid[i] = (unsigned char)(i * 16 + device);
    return SUCCESS;
}

EXPORT int cuDevicePrimaryCtxRetain(void **context, int device)
{
    ENTER(1);
    pthread_mutex_lock(&fake_lock);
    fake_retained[device]++;
    pthread_mutex_unlock(&fake_lock);
    *context = (void *)(uintptr_t)(device + 1);
    return SUCCESS;
}

EXPORT int cuDevicePrimaryCtxRelease_v2(int device)
{
    ENTER(1);
    pthread_mutex_lock(&fake_lock);
    int left = --fake_retained[device];
    pthread_mutex_unlock(&fake_lock);
    return left >= 0 ? SUCCESS : INVALID_CONTEXT;
}

EXPORT int cuCtxSetCurrent(void *context)
{
    ENTER(1);
    fake_current = (int)(uintptr_t)context;
    return SUCCESS;
}

EXPORT int cuCtxSynchronize(void)
{
    ENTER(2);
    drain_all();
    return get_sticky();
}

/* The assembler's words, on standard error and into the log that the caller may have given. */
static int refuse_image(const char *why, unsigned count, const int *names, void **values)
{
    char text[512];
    snprintf(text, sizeof text,
             "ptxas application ptx input, %s\nptxas fatal   : Ptx assembly aborted due to errors",
             why);
    dprintf(2, "fake GPU: %s\n", text);
    for (unsigned i = 0; i + 1 < count; i++)
        if (names[i] == 5) /* the error log's buffer; its size comes next */
            snprintf(values[i], (size_t)(uintptr_t)values[i + 1], "%s", text);
    return INVALID_PTX;
}

EXPORT int cuModuleLoadDataEx(struct module **module, const void *image, unsigned count, int *names,
                              void **values)
{
    ENTER(2);
    char why[256];
    const char *text = image, *target = strstr(text, ".target sm_");
    if (strstr(text, ".version ") == NULL || strncmp(text,
                                                     "\x7f"
                                                     "ELF",
                                                     4) == 0)
        return INVALID_IMAGE;
    if (target != NULL && atoi(target + strlen(".target sm_")) > capability())
        return refuse_image("line 2; fatal   : .target is of a later architecture than the device",
                            count, names, values);
    struct ptx_module *code = ptx_open(text, why, sizeof why);
    if (code == NULL)
        return refuse_image(why, count, names, values);
    *module = malloc(sizeof **module);
    (*module)->code = code;
    return SUCCESS;
}

EXPORT int cuModuleLoadData(struct module **module, const void *image)
{
    return cuModuleLoadDataEx(module, image, 0, NULL, NULL);
}

EXPORT int cuModuleUnload(struct module *module)
{
    ENTER(2);
    ptx_close(module->code);
    free(module);
    return SUCCESS;
}

EXPORT int cuModuleGetFunction(struct function **function, struct module *module, const char *name)
{
    ENTER(2);
    const struct ptx_kernel *kernel = ptx_find(module->code, name);
    if (kernel == NULL)
        return NOT_FOUND;
    *function = calloc(1, sizeof **function);
    (*function)->kernel = kernel;
    (*function)->shared_bytes_max = 48 << 10;
    return SUCCESS;
}

EXPORT int cuMemGetInfo_v2(size_t *free_bytes, size_t *total_bytes)
{
    ENTER(2);
    *total_bytes = (size_t)number("FAKE_CUDA_MEMORY", 1 << 30);
    pthread_mutex_lock(&fake_lock);
    *free_bytes = *total_bytes - fake_used[fake_current - 1];
    pthread_mutex_unlock(&fake_lock);
    return SUCCESS;
}

EXPORT int cuMemAlloc_v2(uint64_t *address, size_t bytes)
{
    ENTER(2);
    return allocate(address, bytes);
}

/* As the real one, after what may still use the memory. */
EXPORT int cuMemFree_v2(uint64_t address)
{
    ENTER(2);
    drain_all();
    return release(address);
}

EXPORT int cuMemAllocAsync(uint64_t *address, size_t bytes, struct stream *stream)
{
    ENTER(2);
    trace("allocate on stream %d", stream != NULL ? stream->number : 0);
    return number("FAKE_CUDA_POOLS", 0) ? allocate(address, bytes) : NOT_SUPPORTED;
}

EXPORT int cuMemFreeAsync(uint64_t address, struct stream *stream)
{
    ENTER(2);
    trace("free on stream %d", stream != NULL ? stream->number : 0);
    return give(stream, &(struct work){ .run = run_release, .to = address });
}

EXPORT int cuMemAllocHost_v2(void **memory, size_t bytes)
{
    ENTER(2);
    *memory = malloc(bytes);
    return SUCCESS;
}

EXPORT int cuMemFreeHost(void *memory)
{
    ENTER(2);
    free(memory);
    return SUCCESS;
}

EXPORT int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, struct stream *stream)
{
    ENTER(2);
    return give(stream,
                &(struct work){
                    .run = run_write, .to = to, .host = (void *)(uintptr_t)from, .bytes = bytes });
}

EXPORT int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, struct stream *stream)
{
    ENTER(2);
    return give(stream,
                &(struct work){ .run = run_read, .from = from, .host = to, .bytes = bytes });
}

EXPORT int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, struct stream *stream)
{
    ENTER(2);
    return give(stream, &(struct work){ .run = run_copy, .to = to, .from = from, .bytes = bytes });
}

EXPORT int cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes, struct stream *stream)
{
    ENTER(2);
    return give(stream,
                &(struct work){ .run = run_fill, .to = to, .value = value, .bytes = bytes });
}

EXPORT int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t bytes)
{
    ENTER(2);
    return give(NULL,
                &(struct work){
                    .run = run_write, .to = to, .host = (void *)(uintptr_t)from, .bytes = bytes });
}

EXPORT int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes)
{
    ENTER(2);
    return give(NULL, &(struct work){ .run = run_read, .from = from, .host = to, .bytes = bytes });
}

EXPORT int cuMemcpyDtoD_v2(uint64_t to, uint64_t from, size_t bytes)
{
    ENTER(2);
    return give(NULL, &(struct work){ .run = run_copy, .to = to, .from = from, .bytes = bytes });
}

EXPORT int cuMemsetD8_v2(uint64_t to, unsigned char value, size_t bytes)
{
    ENTER(2);
    return give(NULL, &(struct work){ .run = run_fill, .to = to, .value = value, .bytes = bytes });
}

EXPORT int cuStreamCreate(struct stream **stream, unsigned flags)
{
    ENTER(2);
    if (flags > 1)
        return INVALID_VALUE;
    static int count;
    *stream = calloc(1, sizeof **stream);
    (*stream)->number = __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
    pthread_mutex_init(&(*stream)->lock, NULL);
    pthread_cond_init(&(*stream)->changed, NULL);
    (*stream)->end = &(*stream)->first;
    return pthread_create(&(*stream)->thread, NULL, stream_main, *stream) == 0 ? SUCCESS
                                                                               : OUT_OF_MEMORY;
}

EXPORT int cuStreamSynchronize(struct stream *stream)
{
    ENTER(2);
    return drain(stream);
}

EXPORT int cuStreamDestroy_v2(struct stream *stream)
{
    ENTER(2);
    pthread_mutex_lock(&stream->lock);
    stream->is_ending = 1;
    pthread_cond_broadcast(&stream->changed);
    pthread_mutex_unlock(&stream->lock);
    pthread_join(stream->thread, NULL);
    free(stream);
    return SUCCESS;
}

EXPORT int cuEventCreate(struct event **event, unsigned flags)
{
    ENTER(2);
    (void)flags;
    *event = calloc(1, sizeof **event);
    return SUCCESS;
}

EXPORT int cuEventRecord(struct event *event, struct stream *stream)
{
    ENTER(2);
    event->at.tv_sec = 0;
    event->is_recorded = 1;
    return give(stream, &(struct work){ .run = run_record, .event = event });
}

/* The tests' events come last on their streams, so waiting for the stream suffices. */
EXPORT int cuEventSynchronize(struct event *event)
{
    ENTER(2);
    while (__atomic_load_n(&event->at.tv_sec, __ATOMIC_ACQUIRE) == 0)
        nanosleep(&(struct timespec){ 0, 100000 }, NULL);
    return drain(NULL);
}

EXPORT int cuEventElapsedTime(float *ms, struct event *start, struct event *stop)
{
    ENTER(2);
    *ms = (float)((double)(stop->at.tv_sec - start->at.tv_sec) * 1e3 +
                  (double)(stop->at.tv_nsec - start->at.tv_nsec) / 1e6);
    return SUCCESS;
}

EXPORT int cuEventDestroy_v2(struct event *event)
{
    ENTER(2);
    free(event);
    return SUCCESS;
}

EXPORT int cuLaunchKernel(struct function *function, unsigned gx, unsigned gy, unsigned gz,
                          unsigned bx, unsigned by, unsigned bz, unsigned shared_bytes,
                          struct stream *stream, void **arguments, void **extra)
{
    ENTER(2);
    const struct ptx_kernel *kernel = function->kernel;
    if (extra != NULL || bx * by * bz > 1024 || bx * by * bz == 0 || gx == 0 || gy == 0 ||
        gz == 0 || gy > 65535 || gz > 65535 || bz > 64 ||
        shared_bytes + ptx_shared_bytes(kernel) > function->shared_bytes_max)
        return INVALID_VALUE;
    struct work work = { .run = run_launch,
                         .launch = { .kernel = kernel,
                                     .grid = { gx, gy, gz },
                                     .block = { bx, by, bz },
                                     .shared_bytes = shared_bytes } };
    trace("launch %s %u,%u,%u %u,%u,%u", ptx_name(kernel), gx, gy, gz, bx, by, bz);
    ptx_pack(kernel, arguments, work.launch.params);
    int result = give(stream, &work);
    return stream == NULL ? SUCCESS : result; /* what it did is told by the next call */
}

/* --- cuGetProcAddress ----------------------------------------------------------------------- */

#define CALL(name, symbol)   \
    {                        \
        name, (void *)symbol \
    }
static const struct {
    const char *name;
    void *address;
} exported[] = {
    CALL("cuInit", cuInit),
    CALL("cuDriverGetVersion", cuDriverGetVersion),
    CALL("cuGetErrorName", cuGetErrorName),
    CALL("cuGetErrorString", cuGetErrorString),
    CALL("cuDeviceGetCount", cuDeviceGetCount),
    CALL("cuDeviceGet", cuDeviceGet),
    CALL("cuDeviceGetName", cuDeviceGetName),
    CALL("cuDeviceTotalMem", cuDeviceTotalMem_v2),
    CALL("cuDeviceGetAttribute", cuDeviceGetAttribute),
    CALL("cuDeviceGetUuid", cuDeviceGetUuid),
    CALL("cuDevicePrimaryCtxRetain", cuDevicePrimaryCtxRetain),
    CALL("cuDevicePrimaryCtxRelease", cuDevicePrimaryCtxRelease_v2),
    CALL("cuCtxSetCurrent", cuCtxSetCurrent),
    CALL("cuCtxSynchronize", cuCtxSynchronize),
    CALL("cuModuleLoadData", cuModuleLoadData),
    CALL("cuModuleLoadDataEx", cuModuleLoadDataEx),
    CALL("cuModuleUnload", cuModuleUnload),
    CALL("cuModuleGetFunction", cuModuleGetFunction),
    CALL("cuMemGetInfo", cuMemGetInfo_v2),
    CALL("cuMemAlloc", cuMemAlloc_v2),
    CALL("cuMemFree", cuMemFree_v2),
    CALL("cuMemAllocAsync", cuMemAllocAsync),
    CALL("cuMemFreeAsync", cuMemFreeAsync),
    CALL("cuMemAllocHost", cuMemAllocHost_v2),
    CALL("cuMemFreeHost", cuMemFreeHost),
    CALL("cuMemcpyHtoD", cuMemcpyHtoD_v2),
    CALL("cuMemcpyDtoH", cuMemcpyDtoH_v2),
    CALL("cuMemcpyDtoD", cuMemcpyDtoD_v2),
    CALL("cuMemsetD8", cuMemsetD8_v2),
    CALL("cuMemcpyHtoDAsync", cuMemcpyHtoDAsync_v2),
    CALL("cuMemcpyDtoHAsync", cuMemcpyDtoHAsync_v2),
    CALL("cuMemcpyDtoDAsync", cuMemcpyDtoDAsync_v2),
    CALL("cuMemsetD8Async", cuMemsetD8Async),
    CALL("cuStreamCreate", cuStreamCreate),
    CALL("cuStreamSynchronize", cuStreamSynchronize),
    CALL("cuStreamDestroy", cuStreamDestroy_v2),
    CALL("cuEventCreate", cuEventCreate),
    CALL("cuEventRecord", cuEventRecord),
    CALL("cuEventSynchronize", cuEventSynchronize),
    CALL("cuEventElapsedTime", cuEventElapsedTime),
    CALL("cuEventDestroy", cuEventDestroy_v2),
    CALL("cuLaunchKernel", cuLaunchKernel),
};

EXPORT int cuGetProcAddress_v2(const char *name, void **function, int version, uint64_t flags,
                               int *status)
{
    (void)flags;
    trace("cuGetProcAddress %s %d", name, version);
    *function = NULL;
    *status = 1;
    for (size_t i = 0; number("FAKE_CUDA_GETTER", 1) && i < sizeof exported / sizeof exported[0];
         i++)
        if (strcmp(exported[i].name, name) == 0)
            *function = exported[i].address;
    if (*function == NULL)
        return NOT_FOUND;
    *status = 0;
    return SUCCESS;
}
