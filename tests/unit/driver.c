#include "driver.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "gpu/gpu_private.h"
#include "library.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { FIRST_DEVICE = 100, CONTEXT = 0xc0, MEMORY_AT = 0x100000, MEMORY_BYTES = 17 << 20 };

struct driver driver;

static char said[8192];
static unsigned char memory[MEMORY_BYTES];
static size_t memory_used, blocks;
static size_t streams, events;

/* Remembers the call, and returns what it ends with. */
static int asked(const char *call, const char *format, ...)
{
    size_t len = strlen(said);
    va_list args;
    len += (size_t)snprintf(said + len, sizeof said - len, "%s", call);
    va_start(args, format);
    if (len < sizeof said)
        len += (size_t)vsnprintf(said + len, sizeof said - len, format, args);
    va_end(args);
    if (len + 2 <= sizeof said)
        memcpy(said + len, ";", 2);
    if (driver.failing == NULL || strcmp(driver.failing, call) != 0)
        return CUDA_SUCCESS;
    return driver.passes > 0 ? (driver.passes--, CUDA_SUCCESS) : driver.result;
}

const char *driver_said(void)
{
    static char last[sizeof said];
    memcpy(last, said, sizeof last);
    said[0] = '\0';
    return last;
}

/* Handles are small numbers. */
static size_t of(const void *handle)
{
    return (size_t)(uintptr_t)handle;
}

static void *handle(size_t number)
{
    return (void *)(uintptr_t)number;
}

/* --- devices -------------------------------------------------------------------------------- */

static int init(unsigned flags)
{
    while (driver.hangs)
        pause();
    if (driver.crashes)
        raise(SIGKILL);
    return asked("init", " %u", flags);
}

static int driver_version(int *version)
{
    *version = driver.version;
    return asked("driver_version", "");
}

static int error_name(int result, const char **name)
{
    *name = result == CUDA_OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_TEST";
    return CUDA_SUCCESS;
}

static int error_text(int result, const char **text)
{
    (void)result;
    *text = "a test";
    return CUDA_SUCCESS;
}

static int get_count(int *count)
{
    *count = driver.devices;
    return asked("get_count", "");
}

static int device_get(cuda_device *device, int index)
{
    *device = FIRST_DEVICE + index;
    return asked("device_get", " %d", index);
}

static int device_name(char *name, int size, cuda_device device)
{
    snprintf(name, (size_t)size, device == FIRST_DEVICE ? "First" : "Second MIG 1g");
    return asked("device_name", " %d", device);
}

static int device_memory(size_t *bytes, cuda_device device)
{
    *bytes = (size_t)80 << 30;
    return asked("device_memory", " %d", device);
}

/* Only the first device has pools. */
static int device_attribute(int *value, int attribute, cuda_device device)
{
    *value = attribute == CUDA_CAPABILITY_MAJOR ? 8
             : attribute == CUDA_MEMORY_POOLS   ? device == FIRST_DEVICE
                                                : 6;
    return asked("device_attribute", " %d", attribute);
}

static int device_uuid(struct cuda_uuid *uuid, cuda_device device)
{
    memset(uuid, device, sizeof *uuid);
    return asked("device_uuid", "");
}

static int context_retain(cuda_context *context, cuda_device device)
{
    *context = handle((size_t)(CONTEXT + device - FIRST_DEVICE));
    return asked("context_retain", " %d", device);
}

static int context_release(cuda_device device)
{
    return asked("context_release", " %d", device);
}

static int context_set(cuda_context context)
{
    return context == NULL ? asked("context_set", " none")
                           : asked("context_set", " %zu", of(context) - CONTEXT);
}

static int context_wait(void)
{
    return asked("context_wait", "");
}

static int pool_of_device(void **pool, cuda_device device)
{
    *pool = handle(0xb0);
    return asked("pool", " %d", device);
}

static int pool_set(void *pool, int attribute, void *value)
{
    return asked("pool_set", " %zx %d=%llx", of(pool), attribute,
                 *(const unsigned long long *)value);
}

/* --- modules and launches ------------------------------------------------------------------- */

static int module_load(cuda_module *module, const void *image, unsigned options, int *names,
                       void **values)
{
    *module = handle(0x30);
    if (options > 0) {
        assert_int_equal(names[0], CUDA_JIT_ERROR_LOG);
        assert_int_equal(names[1], CUDA_JIT_ERROR_LOG_BYTES);
        assert_int_equal(of(values[1]), GPU_JIT_LOG_BYTES - 1); /* the NUL is the caller's */
        if (driver.failing != NULL)
            snprintf(values[0], of(values[1]), "ptxas: line 3\nmore\n");
    }
    return asked("module_load", " %.16s", (const char *)image);
}

static int module_unload(cuda_module module)
{
    return asked("module_unload", " %zx", of(module));
}

static int module_function(cuda_function *function, cuda_module module, const char *name)
{
    *function = handle(strcmp(name, "rp_check") == 0 ? 0xcc : 0xf0);
    return asked("module_function", " %zx %s", of(module), name);
}

static int module_global(cuda_address *address, size_t *bytes, cuda_module module, const char *name)
{
    int rc = asked("module_global", " %zx %s", of(module), name);
    *address = rc == CUDA_SUCCESS ? 0x777 : 0;
    *bytes = 24;
    return rc;
}

static unsigned char *at(cuda_address address)
{
    assert_true(address >= MEMORY_AT && address < MEMORY_AT + sizeof memory);
    return memory + (address - MEMORY_AT);
}

static void compute(void **arguments, uint32_t threads)
{
    uint32_t steps = *(const uint32_t *)arguments[1];
    unsigned char *out = at(*(const cuda_address *)arguments[0]);
    for (uint32_t i = 0; i < threads; i++) {
        uint32_t x = i;
        for (uint32_t step = 0; step < steps; step++)
            x = x * 1664525u + 1013904223u;
        x ^= driver.spoils_results && i + 1 == threads;
        memcpy(out + i * sizeof x, &x, sizeof x);
    }
}

static int launch(cuda_function function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                  unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                  cuda_stream stream, void **arguments, void **extra)
{
    assert_null(extra);
    if (of(function) == 0xcc)
        compute(arguments, grid_x * block_x);
    return asked("launch", " %zx %u,%u,%u %u,%u,%u %u s%zu", of(function), grid_x, grid_y, grid_z,
                 block_x, block_y, block_z, shared_bytes, of(stream));
}

/* CUlaunchConfig and its attributes, as NVIDIA's reference has them. */
struct launch_config {
    unsigned grid[3], block[3], shared_bytes;
    cuda_stream stream;
    const struct {
        int id, padding;
        unsigned value[16];
    } * attributes;
    unsigned count;
};

static int launch_with(const struct launch_config *config, cuda_function function, void **arguments,
                       void **extra)
{
    char text[128] = "";
    assert_non_null(arguments);
    assert_null(extra);
    for (unsigned i = 0; i < config->count; i++) {
        const unsigned *value = config->attributes[i].value;
        size_t len = strlen(text);
        snprintf(text + len, sizeof text - len, " %d=%u,%u,%u", config->attributes[i].id, value[0],
                 value[1], value[2]);
    }
    return asked("launch_with", " %zx %u,%u,%u %u,%u,%u %u s%zu%s", of(function), config->grid[0],
                 config->grid[1], config->grid[2], config->block[0], config->block[1],
                 config->block[2], config->shared_bytes, of(config->stream), text);
}

static int function_set(cuda_function function, int attribute, int value)
{
    return asked("function_set", " %zx %d=%d", of(function), attribute, value);
}

static int occupancy(int *count, cuda_function function, int threads, size_t shared_bytes)
{
    *count = 5;
    return asked("occupancy", " %zx %d %zu", of(function), threads, shared_bytes);
}

/* --- memory --------------------------------------------------------------------------------- */

static int memory_info(size_t *free_bytes, size_t *total_bytes)
{
    *free_bytes = 1234;
    *total_bytes = 5678;
    return asked("memory_info", "");
}

static void take(cuda_address *address, size_t bytes)
{
    if (blocks++ == 0)
        memory_used = 0;
    *address = MEMORY_AT + memory_used;
    memory_used += (bytes + 0xff) & ~(size_t)0xff;
    assert_true(memory_used <= sizeof memory);
}

static int alloc(cuda_address *address, size_t bytes)
{
    int rc = asked("alloc", " %zu", bytes);
    if (rc == CUDA_SUCCESS)
        take(address, bytes);
    return rc;
}

static int alloc_async(cuda_address *address, size_t bytes, cuda_stream stream)
{
    int rc = asked("alloc_async", " %zu s%zu", bytes, of(stream));
    if (rc == CUDA_SUCCESS)
        take(address, bytes);
    return rc;
}

static int free_now(cuda_address address)
{
    blocks--;
    return asked("free", " %zx", (size_t)address);
}

static int free_async(cuda_address address, cuda_stream stream)
{
    blocks--;
    return asked("free_async", " %zx s%zu", (size_t)address, of(stream));
}

static int host_alloc(void **host, size_t bytes)
{
    int rc = asked("host_alloc", " %zu", bytes);
    if (rc == CUDA_SUCCESS)
        *host = malloc(bytes);
    return rc;
}

static int host_free(void *host)
{
    free(host);
    return asked("host_free", "");
}

static int host_register(void *host, size_t bytes, unsigned flags)
{
    (void)host;
    return asked("host_register", " %zu %u", bytes, flags);
}

static int host_unregister(void *host)
{
    (void)host;
    return asked("host_unregister", "");
}

static int read_now(void *to, cuda_address from, size_t bytes)
{
    memcpy(to, at(from), bytes);
    if (driver.spoils_memory)
        ((unsigned char *)to)[bytes - 1] ^= 1;
    return asked("read", " %zx %zu", (size_t)from, bytes);
}

static int fill(cuda_address to, unsigned char value, size_t bytes)
{
    memset(at(to), value, bytes);
    return asked("fill", " %zx=%x %zu", (size_t)to, value, bytes);
}

static int write_async(cuda_address to, const void *from, size_t bytes, cuda_stream stream)
{
    memcpy(at(to), from, bytes);
    return asked("write_async", " %zx %zu s%zu", (size_t)to, bytes, of(stream));
}

static int read_async(void *to, cuda_address from, size_t bytes, cuda_stream stream)
{
    memcpy(to, at(from), bytes);
    return asked("read_async", " %zx %zu s%zu", (size_t)from, bytes, of(stream));
}

static int copy_async(cuda_address to, cuda_address from, size_t bytes, cuda_stream stream)
{
    memcpy(at(to), at(from), bytes);
    return asked("copy_async", " %zx %zx %zu s%zu", (size_t)to, (size_t)from, bytes, of(stream));
}

static int fill_async(cuda_address to, unsigned char value, size_t bytes, cuda_stream stream)
{
    memset(at(to), value, bytes);
    return asked("fill_async", " %zx=%x %zu s%zu", (size_t)to, value, bytes, of(stream));
}

/* --- streams, events, graphs ---------------------------------------------------------------- */

static int stream_create(cuda_stream *stream, unsigned flags)
{
    int rc = asked("stream_create", " %u", flags);
    if (rc == CUDA_SUCCESS)
        *stream = handle(++streams);
    return rc;
}

static int stream_wait(cuda_stream stream)
{
    return asked("stream_wait", " s%zu", of(stream));
}

static int stream_destroy(cuda_stream stream)
{
    return asked("stream_destroy", " s%zu", of(stream));
}

static int event_create(cuda_event *event, unsigned flags)
{
    int rc = asked("event_create", " %u", flags);
    if (rc == CUDA_SUCCESS)
        *event = handle(++events);
    return rc;
}

static int event_record(cuda_event event, cuda_stream stream)
{
    return asked("event_record", " e%zu s%zu", of(event), of(stream));
}

static int event_wait(cuda_event event)
{
    return asked("event_wait", " e%zu", of(event));
}

static int event_elapsed(float *ms, cuda_event start, cuda_event stop)
{
    *ms = driver.elapsed_ms;
    return asked("event_elapsed", " e%zu e%zu", of(start), of(stop));
}

static int event_destroy(cuda_event event)
{
    return asked("event_destroy", " e%zu", of(event));
}

static int stream_order(cuda_stream stream, cuda_event event, unsigned flags)
{
    return asked("stream_order", " s%zu e%zu %u", of(stream), of(event), flags);
}

static int capture_begin(cuda_stream stream, int mode)
{
    return asked("capture_begin", " s%zu %d", of(stream), mode);
}

static int capture_end(cuda_stream stream, void **recorded)
{
    int rc = asked("capture_end", " s%zu", of(stream));
    *recorded = rc == CUDA_SUCCESS ? handle(0x91) : NULL;
    return rc;
}

static int graph_make(void **executable, void *recorded, unsigned long long flags)
{
    *executable = handle(0x92);
    return asked("graph_make", " %zx %llu", of(recorded), flags);
}

static int graph_destroy(void *recorded)
{
    return asked("graph_destroy", " %zx", of(recorded));
}

static int graph_launch(void *executable, cuda_stream stream)
{
    return asked("graph_launch", " %zx s%zu", of(executable), of(stream));
}

static int graph_free(void *executable)
{
    return asked("graph_free", " %zx", of(executable));
}

/* --- what the library exports --------------------------------------------------------------- */

#define ADDRESS(function) ((void *)(uintptr_t)(function))

/* The calls of cuda.h that are asked for; the others are there and must not be called. */
static int not_expected(void)
{
    return asked("a call that nobody expects", "");
}

static void *call_of(const char *name)
{
    const struct {
        const char *name;
        void *address;
    } calls[] = {
        { "cuInit", ADDRESS(init) },
        { "cuDriverGetVersion", ADDRESS(driver_version) },
        { "cuGetErrorName", ADDRESS(error_name) },
        { "cuGetErrorString", ADDRESS(error_text) },
        { "cuDeviceGetCount", ADDRESS(get_count) },
        { "cuDeviceGet", ADDRESS(device_get) },
        { "cuDeviceGetName", ADDRESS(device_name) },
        { "cuDeviceTotalMem", ADDRESS(device_memory) },
        { "cuDeviceGetAttribute", ADDRESS(device_attribute) },
        { "cuDeviceGetUuid", ADDRESS(device_uuid) },
        { "cuDeviceGetUuid_v2", NULL },
        { "cuDevicePrimaryCtxRetain", ADDRESS(context_retain) },
        { "cuDevicePrimaryCtxRelease", ADDRESS(context_release) },
        { "cuCtxSetCurrent", ADDRESS(context_set) },
        { "cuCtxSynchronize", ADDRESS(context_wait) },
        { "cuModuleLoadDataEx", ADDRESS(module_load) },
        { "cuModuleUnload", ADDRESS(module_unload) },
        { "cuModuleGetFunction", ADDRESS(module_function) },
        { "cuMemGetInfo", ADDRESS(memory_info) },
        { "cuMemAlloc", ADDRESS(alloc) },
        { "cuMemFree", ADDRESS(free_now) },
        { "cuMemAllocAsync", ADDRESS(alloc_async) },
        { "cuMemFreeAsync", ADDRESS(free_async) },
        { "cuMemAllocHost", ADDRESS(host_alloc) },
        { "cuMemFreeHost", ADDRESS(host_free) },
        { "cuMemcpyDtoH", ADDRESS(read_now) },
        { "cuMemsetD8", ADDRESS(fill) },
        { "cuMemcpyHtoDAsync", ADDRESS(write_async) },
        { "cuMemcpyDtoHAsync", ADDRESS(read_async) },
        { "cuMemcpyDtoDAsync", ADDRESS(copy_async) },
        { "cuMemsetD8Async", ADDRESS(fill_async) },
        { "cuStreamCreate", ADDRESS(stream_create) },
        { "cuStreamSynchronize", ADDRESS(stream_wait) },
        { "cuStreamDestroy", ADDRESS(stream_destroy) },
        { "cuEventCreate", ADDRESS(event_create) },
        { "cuEventRecord", ADDRESS(event_record) },
        { "cuEventSynchronize", ADDRESS(event_wait) },
        { "cuEventElapsedTime", ADDRESS(event_elapsed) },
        { "cuEventDestroy", ADDRESS(event_destroy) },
        { "cuLaunchKernel", ADDRESS(launch) },
    };
    if (driver.lacking != NULL && strcmp(driver.lacking, name) == 0)
        return NULL;
    for (size_t i = 0; i < COUNT(calls); i++)
        if (strcmp(calls[i].name, name) == 0)
            return calls[i].address;
    return ADDRESS(not_expected);
}

static int get_call(const char *name, void **function, int version, uint64_t flags)
{
    assert_int_equal(version, CUDA_ABI);
    assert_int_equal(flags, 0);
    *function = call_of(name);
    if (*function != NULL || driver.lacks == STAYS_SILENT)
        return CUDA_SUCCESS;
    if (driver.lacks == MISLEADS)
        *function = ADDRESS(not_expected);
    return 500; /* CUDA_ERROR_NOT_FOUND */
}

static int get_call_v2(const char *name, void **function, int version, uint64_t flags, int *status)
{
    assert_non_null(status);
    return get_call(name, function, version, flags);
}

void driver_begin(const char *folder, bool is_older)
{
    static struct library lib;
    char path[128];
    const struct {
        const char *name;
        void *address;
    } exports[] = {
        { "cuGetProcAddress", ADDRESS(get_call) },
        { is_older ? "cuNothing" : "cuGetProcAddress_v2", ADDRESS(get_call_v2) },
        { "cuDeviceGetDefaultMemPool", ADDRESS(pool_of_device) },
        { is_older ? "cuLittle" : "cuMemPoolSetAttribute", ADDRESS(pool_set) },
        { "cuMemFree_v2", ADDRESS(free_now) },
        { "cuModuleGetGlobal_v2", ADDRESS(module_global) },
        { "cuLaunchKernelEx", ADDRESS(launch_with) },
        { "cuFuncSetAttribute", ADDRESS(function_set) },
        { "cuOccupancyMaxActiveBlocksPerMultiprocessor", ADDRESS(occupancy) },
        { "cuMemHostRegister_v2", ADDRESS(host_register) },
        { "cuMemHostUnregister", ADDRESS(host_unregister) },
        { "cuStreamWaitEvent", ADDRESS(stream_order) },
        { "cuStreamBeginCapture_v2", ADDRESS(capture_begin) },
        { "cuStreamEndCapture", ADDRESS(capture_end) },
        { "cuGraphInstantiateWithFlags", ADDRESS(graph_make) },
        { "cuGraphDestroy", ADDRESS(graph_destroy) },
        { "cuGraphLaunch", ADDRESS(graph_launch) },
        { "cuGraphExecDestroy", ADDRESS(graph_free) },
    };
    library_begin(&lib, "libcuda.so.1");
    for (size_t i = 0; i < COUNT(exports); i++) {
        unsigned symbol = library_symbol(&lib, exports[i].name, STT_FUNC, STB_GLOBAL,
                                         (uint64_t)(uintptr_t)exports[i].address);
        lib.image.symbols[symbol].st_shndx = SHN_ABS;
    }
    snprintf(path, sizeof path, "%s/libcuda.so.1", folder);
    library_write(&lib, path);
    driver = (struct driver){ .version = 12020, .devices = 2 };
    said[0] = '\0';
}
