/* The fake driver: calls that handlers make through the rarer functions of rp_gpu.h. */
#include <stdlib.h>
#include <string.h>

#include "fakedevice.h"

#define EXPORT __attribute__((visibility("default")))

int cuLaunchKernel(struct function *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                   unsigned by, unsigned bz, unsigned shared_bytes, struct stream *stream,
                   void **arguments, void **extra);

/* NVIDIA's libraries ask for tables that are not documented. */
EXPORT int cuGetExportTable(const void **table, const void *name)
{
    ENTER(0);
    (void)name;
    *table = NULL;
    return NOT_FOUND;
}

/* --- launches ------------------------------------------------------------------------------- */

EXPORT int cuFuncSetAttribute(struct function *function, int attribute, int value)
{
    ENTER(2);
    trace("attribute %d = %d", attribute, value);
    if (attribute != 8 || value < 0 || value > shared_bytes_optin())
        return INVALID_VALUE;
    function->shared_bytes_max = (size_t)value + ptx_shared_bytes(function->kernel);
    return SUCCESS;
}

/* The layouts of CUDA 12's cuda.h, written down apart from the worker's. */
struct attribute {
    unsigned id, unused;
    unsigned value[16];
};
_Static_assert(sizeof(struct attribute) == 72, "CUlaunchAttribute");

struct config {
    unsigned grid[3], block[3], shared_bytes;
    struct stream *stream;
    struct attribute *attributes;
    unsigned count;
};
_Static_assert(sizeof(struct config) == 56, "CUlaunchConfig");

EXPORT int cuLaunchKernelEx(const struct config *config, struct function *function,
                            void **arguments, void **extra)
{
    ENTER(2);
    for (unsigned i = 0; i < config->count; i++)
        trace("launch attribute %u: %u %u %u", config->attributes[i].id,
              config->attributes[i].value[0], config->attributes[i].value[1],
              config->attributes[i].value[2]);
    return cuLaunchKernel(function, config->grid[0], config->grid[1], config->grid[2],
                          config->block[0], config->block[1], config->block[2],
                          config->shared_bytes, config->stream, arguments, extra);
}

EXPORT int cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, struct function *function,
                                                       int threads, size_t shared_bytes)
{
    ENTER(2);
    (void)function;
    (void)shared_bytes;
    *blocks = 2048 / threads;
    return SUCCESS;
}

EXPORT int cuModuleGetGlobal_v2(uint64_t *address, size_t *bytes, struct module *module,
                                const char *name)
{
    ENTER(2);
    (void)module;
    if (strcmp(name, "table") != 0)
        return NOT_FOUND;
    *bytes = 64;
    return allocate(address, 64);
}

/* --- memory --------------------------------------------------------------------------------- */

EXPORT int cuMemHostRegister_v2(void *memory, size_t bytes, unsigned flags)
{
    ENTER(2);
    return memory != NULL && bytes > 0 && flags == 0 ? SUCCESS : INVALID_VALUE;
}

EXPORT int cuMemHostUnregister(void *memory)
{
    ENTER(2);
    return memory != NULL ? SUCCESS : INVALID_VALUE;
}

EXPORT int cuDeviceGetDefaultMemPool(void **pool, int device)
{
    ENTER(1);
    *pool = &fake_used[device];
    return SUCCESS;
}

EXPORT int cuMemPoolSetAttribute(void *pool, int attribute, void *value)
{
    ENTER(1);
    trace("pool attribute %d = %llu", attribute, *(unsigned long long *)value);
    return pool != NULL ? SUCCESS : INVALID_VALUE;
}

/* --- order and graphs ----------------------------------------------------------------------- */

/*
 * Waits here instead of on the device: stricter than the real one, with the same outcome. For an
 * event that was never recorded it does nothing.
 */
EXPORT int cuStreamWaitEvent(struct stream *stream, struct event *event, unsigned flags)
{
    ENTER(2);
    while (event->is_recorded && __atomic_load_n(&event->at.tv_sec, __ATOMIC_ACQUIRE) == 0)
        nanosleep(&(struct timespec){ 0, 100000 }, NULL);
    return stream != NULL && flags == 0 ? SUCCESS : INVALID_VALUE;
}

EXPORT int cuStreamBeginCapture_v2(struct stream *stream, int mode)
{
    ENTER(2);
    if (stream == NULL || mode < 0 || mode > 2 || stream->captured != NULL)
        return INVALID_VALUE;
    stream->captured = calloc(1, sizeof *stream->captured);
    return SUCCESS;
}

EXPORT int cuStreamEndCapture(struct stream *stream, struct graph **graph)
{
    ENTER(2);
    *graph = stream->captured;
    stream->captured = NULL;
    return *graph != NULL ? SUCCESS : INVALID_VALUE;
}

EXPORT int cuGraphInstantiateWithFlags(struct graph **executable, struct graph *graph,
                                       unsigned long long flags)
{
    ENTER(2);
    if (flags != 0)
        return INVALID_VALUE;
    size_t bytes = graph->count * sizeof *graph->works;
    *executable = malloc(sizeof **executable);
    **executable = (struct graph){ .works = malloc(bytes), .count = graph->count };
    if (bytes > 0)
        memcpy((*executable)->works, graph->works, bytes);
    return SUCCESS;
}

EXPORT int cuGraphLaunch(struct graph *executable, struct stream *stream)
{
    ENTER(2);
    for (size_t i = 0; i < executable->count; i++)
        give(stream, &executable->works[i]);
    return SUCCESS;
}

EXPORT int cuGraphDestroy(struct graph *graph)
{
    ENTER(2);
    free(graph->works);
    free(graph);
    return SUCCESS;
}

EXPORT int cuGraphExecDestroy(struct graph *executable)
{
    ENTER(2);
    free(executable->works);
    free(executable);
    return SUCCESS;
}
