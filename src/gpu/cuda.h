/*
 * gpu/cuda.h - the calls of the CUDA Driver API that the worker makes. They are declared here with
 * their documented names and values (source: NVIDIA's CUDA Driver API reference), without any of
 * NVIDIA's headers, and the loader binds them to the real libcuda.
 *
 * A driver that has cuGetProcAddress (CUDA 11.3 and later) is asked for each call in version
 * CUDA_ABI. An older driver is searched for the symbols that the headers of that version map the
 * calls to (cuMemAlloc is cuMemAlloc_v2). Drivers older than CUDA_OLDEST are refused.
 *
 * Threads: any thread with a stack of LOADER_STACK_BYTES that has called loader_enter.
 */
#ifndef GPU_CUDA_H
#define GPU_CUDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define CUDA_ABI 11030    /* the declarations below are CUDA 11.3's */
#define CUDA_OLDEST 11000 /* the first to have cuDevicePrimaryCtxRelease_v2 and sm_80 */
#define CUDA_UUID_BYTES 16

/* The results that this code tells apart. All results but CUDA_SUCCESS are positive. */
enum cuda_result {
    CUDA_SUCCESS = 0,
    CUDA_OUT_OF_MEMORY = 2,
    CUDA_NO_DEVICE = 100,
    CUDA_NO_COMPILER = 221, /* JIT_COMPILER_NOT_FOUND */
    CUDA_OPERATING_SYSTEM = 304,
    CUDA_SYSTEM_NOT_READY = 802,
    CUDA_DRIVER_MISMATCH = 803,
    CUDA_NO_COMPATIBILITY = 804, /* COMPAT_NOT_SUPPORTED_ON_DEVICE */
    CUDA_UNKNOWN = 999,
};

/* CU_DEVICE_ATTRIBUTE_... */
enum cuda_attribute {
    CUDA_MAX_THREADS_PER_BLOCK = 1,
    CUDA_MULTIPROCESSORS = 16,
    CUDA_CAPABILITY_MAJOR = 75,
    CUDA_CAPABILITY_MINOR = 76,
    CUDA_MEMORY_POOLS = 115,
};

/* CU_JIT_... */
enum cuda_jit {
    CUDA_JIT_ERROR_LOG = 5,
    CUDA_JIT_ERROR_LOG_BYTES = 6,
};

#define CUDA_STREAM_NON_BLOCKING 1u /* no implicit waits between it and the default stream */

typedef int cuda_device;
typedef uint64_t cuda_address; /* in device memory */
typedef struct cuda_context *cuda_context;
typedef struct cuda_module *cuda_module;
typedef struct cuda_function *cuda_function;
typedef struct cuda_stream *cuda_stream; /* NULL: the default stream */
typedef struct cuda_event *cuda_event;
struct cuda_uuid {
    unsigned char bytes[CUDA_UUID_BYTES];
};

/*
 * Every call: X(member, name for cuGetProcAddress, symbol in older drivers, needed, parameters).
 * A call that is not needed is NULL if the driver lacks it.
 */
/* clang-format off */
#define CUDA_CALLS(X) \
    X(init, "cuInit", "cuInit", true, (unsigned flags)) \
    X(driver_version, "cuDriverGetVersion", "cuDriverGetVersion", true, (int *version)) \
    X(error_name, "cuGetErrorName", "cuGetErrorName", true, (int result, const char **name)) \
    X(error_text, "cuGetErrorString", "cuGetErrorString", true, (int result, const char **text)) \
    X(get_count, "cuDeviceGetCount", "cuDeviceGetCount", true, (int *count)) \
    X(device_get, "cuDeviceGet", "cuDeviceGet", true, (cuda_device *device, int index)) \
    X(device_name, "cuDeviceGetName", "cuDeviceGetName", true, \
      (char *name, int size, cuda_device device)) \
    X(device_memory, "cuDeviceTotalMem", "cuDeviceTotalMem_v2", true, \
      (size_t *bytes, cuda_device device)) \
    X(device_attribute, "cuDeviceGetAttribute", "cuDeviceGetAttribute", true, \
      (int *value, int attribute, cuda_device device)) \
    X(device_uuid, "cuDeviceGetUuid", "cuDeviceGetUuid", false, \
      (struct cuda_uuid *uuid, cuda_device device)) \
    X(device_own_uuid, "cuDeviceGetUuid_v2", "cuDeviceGetUuid_v2", false, \
      (struct cuda_uuid *uuid, cuda_device device)) \
    X(context_retain, "cuDevicePrimaryCtxRetain", "cuDevicePrimaryCtxRetain", true, \
      (cuda_context *context, cuda_device device)) \
    X(context_release, "cuDevicePrimaryCtxRelease", "cuDevicePrimaryCtxRelease_v2", true, \
      (cuda_device device)) \
    X(context_set, "cuCtxSetCurrent", "cuCtxSetCurrent", true, (cuda_context context)) \
    X(context_wait, "cuCtxSynchronize", "cuCtxSynchronize", true, (void)) \
    X(module_load, "cuModuleLoadDataEx", "cuModuleLoadDataEx", true, \
      (cuda_module *module, const void *image, unsigned options, int *names, void **values)) \
    X(module_unload, "cuModuleUnload", "cuModuleUnload", true, (cuda_module module)) \
    X(module_function, "cuModuleGetFunction", "cuModuleGetFunction", true, \
      (cuda_function *function, cuda_module module, const char *name)) \
    X(memory_info, "cuMemGetInfo", "cuMemGetInfo_v2", true, \
      (size_t *free_bytes, size_t *total_bytes)) \
    X(alloc, "cuMemAlloc", "cuMemAlloc_v2", true, (cuda_address *address, size_t bytes)) \
    X(free, "cuMemFree", "cuMemFree_v2", true, (cuda_address address)) \
    X(alloc_async, "cuMemAllocAsync", "cuMemAllocAsync", false, \
      (cuda_address *address, size_t bytes, cuda_stream stream)) \
    X(free_async, "cuMemFreeAsync", "cuMemFreeAsync", false, \
      (cuda_address address, cuda_stream stream)) \
    X(host_alloc, "cuMemAllocHost", "cuMemAllocHost_v2", true, (void **memory, size_t bytes)) \
    X(host_free, "cuMemFreeHost", "cuMemFreeHost", true, (void *memory)) \
    X(write, "cuMemcpyHtoD", "cuMemcpyHtoD_v2", true, \
      (cuda_address to, const void *from, size_t bytes)) \
    X(read, "cuMemcpyDtoH", "cuMemcpyDtoH_v2", true, (void *to, cuda_address from, size_t bytes)) \
    X(copy, "cuMemcpyDtoD", "cuMemcpyDtoD_v2", true, \
      (cuda_address to, cuda_address from, size_t bytes)) \
    X(fill, "cuMemsetD8", "cuMemsetD8_v2", true, \
      (cuda_address to, unsigned char value, size_t bytes)) \
    X(write_async, "cuMemcpyHtoDAsync", "cuMemcpyHtoDAsync_v2", true, \
      (cuda_address to, const void *from, size_t bytes, cuda_stream stream)) \
    X(read_async, "cuMemcpyDtoHAsync", "cuMemcpyDtoHAsync_v2", true, \
      (void *to, cuda_address from, size_t bytes, cuda_stream stream)) \
    X(copy_async, "cuMemcpyDtoDAsync", "cuMemcpyDtoDAsync_v2", true, \
      (cuda_address to, cuda_address from, size_t bytes, cuda_stream stream)) \
    X(fill_async, "cuMemsetD8Async", "cuMemsetD8Async", true, \
      (cuda_address to, unsigned char value, size_t bytes, cuda_stream stream)) \
    X(stream_create, "cuStreamCreate", "cuStreamCreate", true, \
      (cuda_stream *stream, unsigned flags)) \
    X(stream_wait, "cuStreamSynchronize", "cuStreamSynchronize", true, (cuda_stream stream)) \
    X(stream_destroy, "cuStreamDestroy", "cuStreamDestroy_v2", true, (cuda_stream stream)) \
    X(event_create, "cuEventCreate", "cuEventCreate", true, (cuda_event *event, unsigned flags)) \
    X(event_record, "cuEventRecord", "cuEventRecord", true, \
      (cuda_event event, cuda_stream stream)) \
    X(event_wait, "cuEventSynchronize", "cuEventSynchronize", true, (cuda_event event)) \
    X(event_elapsed, "cuEventElapsedTime", "cuEventElapsedTime", true, \
      (float *ms, cuda_event start, cuda_event stop)) \
    X(event_destroy, "cuEventDestroy", "cuEventDestroy_v2", true, (cuda_event event)) \
    X(launch, "cuLaunchKernel", "cuLaunchKernel", true, \
      (cuda_function function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned \
       block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes, cuda_stream stream, \
       void **arguments, void **extra))
/* clang-format on */

/* The driver: one per process. It does not change once cuda_open has returned it. */
struct cuda {
    struct loader_lib *lib; /* NULL if none was loaded */
    const char *path;       /* the file that was loaded; "" if none was found */
    int version;            /* newest CUDA version it supports: 12020 is 12.2; 0 if not known */
    int init_result;        /* CUDA_SUCCESS, CUDA_NO_DEVICE, ... */
    int device_count;
    int64_t find_us, load_us, init_us; /* time that these steps took */
    // NOLINTNEXTLINE(bugprone-macro-parentheses): a declaration
#define CUDA_DECLARE(field, name, symbol, needed, parameters) int(*field) parameters;
    CUDA_CALLS(CUDA_DECLARE)
#undef CUDA_DECLARE
};

/*
 * Finds libcuda.so.1 (loader_find with explicit_path), loads it, binds the calls and initializes
 * the driver. The first call does this and blocks for it (about 0.1 to 2 s with a GPU); later calls
 * return the same outcome. *cuda is always set, lives as long as the process, and after a failure
 * only its facts may be used, not its calls.
 * ERR_CONFIG, ERR_INPUT, ERR_LIMIT, ERR_MEMORY as loader_find and loader_open: no driver could be
 * loaded. ERR_PEER: the driver is too old, or its own error says why it does not work, most often
 * CUDA_NO_DEVICE.
 */
int cuda_open(const char *explicit_path, const struct cuda **cuda, struct err *err);

/*
 * Sets the error to "<what>: CUDA_ERROR_NAME (700): the driver's text", followed by advice where
 * the cause is how the machine or the container is set up, and returns its code: ERR_MEMORY for
 * CUDA_OUT_OF_MEMORY, otherwise ERR_PEER. Without a driver (NULL) only the number is told.
 */
int cuda_error(const struct cuda *cuda, int result, const char *what, struct err *err);

/*
 * True for results that leave the context unusable until the process ends: illegal address, launch
 * failure, uncorrectable ECC and NVLink errors and the like (the API reference: "the process must
 * be terminated and relaunched").
 */
bool cuda_is_sticky(int result);

#endif
