/* rp_gpu.h: launches, and what a module can do besides the usual. */
#include <stdlib.h>
#include <string.h>

#include "gpu/gpu_private.h"
#include "rp_gpu.h"

#define SHARED_USUAL (48u << 10) /* what every kernel may have without being asked for more */

enum { ATTRIBUTE_SHARED_BYTES = 8 };                 /* CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_... */
enum { LAUNCH_COOPERATIVE = 2, LAUNCH_CLUSTER = 4 }; /* CU_LAUNCH_ATTRIBUTE_... */

/* --- shared memory -------------------------------------------------------------------------- */

/* Lets a kernel have that much dynamic shared memory. Costs a comparison up to 48 KiB. */
static int allow_shared(struct rp_gpu_kernel *kernel, size_t shared_bytes)
{
    int (*set)(cuda_function, int, int);
    if (shared_bytes <= SHARED_USUAL || shared_bytes <= kernel->shared_bytes)
        return RP_OK;
    if (shared_bytes > INT32_MAX)
        return gpu_set_error(RP_FAILED, "launch %s: %zu bytes of shared memory are too many",
                             kernel->name, shared_bytes);
    if (gpu_need("cuFuncSetAttribute", &set) != RP_OK ||
        gpu_result(set(kernel->function, ATTRIBUTE_SHARED_BYTES, (int)shared_bytes),
                   "launch %s with %zu bytes of shared memory", kernel->name,
                   shared_bytes) != RP_OK)
        return RP_FAILED;
    kernel->shared_bytes = shared_bytes;
    return RP_OK;
}

/* --- launches ------------------------------------------------------------------------------- */

static unsigned at_least_one(unsigned count)
{
    return count > 0 ? count : 1;
}

int rp_gpu_launch(rp_gpu_kernel *kernel, rp_gpu_dim grid, rp_gpu_dim block, size_t shared_bytes,
                  void **arguments)
{
    struct gpu_stream *stream = gpu_enter(kernel->gpu);
    if (stream == NULL)
        return RP_FAILED;
    if (allow_shared(kernel, shared_bytes) != RP_OK)
        return RP_FAILED;
    stream->is_busy = true;
    return gpu_result(gpu_cuda()->launch(kernel->function, at_least_one(grid.x),
                                         at_least_one(grid.y), at_least_one(grid.z),
                                         at_least_one(block.x), at_least_one(block.y),
                                         at_least_one(block.z), (unsigned)shared_bytes,
                                         stream->stream, arguments, NULL),
                      "launch %s", kernel->name);
}

/* --- launches with attributes --------------------------------------------------------------- */

/* CUlaunchAttribute and CUlaunchConfig of the Driver API, CUDA 11.8 and later. */
struct launch_attribute {
    int id;
    char padding[4];
    union {
        unsigned cluster[3];
        int cooperative;
        char size[64];
    } value;
};

struct launch_config {
    rp_gpu_dim grid, block;
    unsigned shared_bytes;
    cuda_stream stream;
    const struct launch_attribute *attributes;
    unsigned attribute_count;
};

static rp_gpu_dim whole(rp_gpu_dim dim)
{
    return (rp_gpu_dim){ dim.x > 0 ? dim.x : 1, dim.y > 0 ? dim.y : 1, dim.z > 0 ? dim.z : 1 };
}

int rp_gpu_launch_with(rp_gpu_kernel *kernel, rp_gpu_dim grid, rp_gpu_dim block,
                       size_t shared_bytes, void **arguments, const rp_gpu_launch_options *options)
{
    int (*launch)(const struct launch_config *, cuda_function, void **, void **);
    struct launch_attribute attributes[2] = { { .id = 0 } };
    unsigned count = 0;
    struct gpu_stream *stream = gpu_enter(kernel->gpu);
    if (stream == NULL || allow_shared(kernel, shared_bytes) != RP_OK ||
        gpu_need("cuLaunchKernelEx", &launch) != RP_OK)
        return RP_FAILED;
    if (options->cluster.x > 0 || options->cluster.y > 0 || options->cluster.z > 0) {
        rp_gpu_dim cluster = whole(options->cluster);
        attributes[count].id = LAUNCH_CLUSTER;
        memcpy(attributes[count++].value.cluster, &cluster, sizeof cluster);
    }
    if (options->cooperative) {
        attributes[count].id = LAUNCH_COOPERATIVE;
        attributes[count++].value.cooperative = 1;
    }
    const struct launch_config config = { whole(grid),    whole(block), (unsigned)shared_bytes,
                                          stream->stream, attributes,   count };
    stream->is_busy = true;
    return gpu_result(launch(&config, kernel->function, arguments, NULL), "launch %s",
                      kernel->name);
}

int rp_gpu_occupancy(rp_gpu_kernel *kernel, unsigned block_threads, size_t shared_bytes,
                     unsigned *blocks)
{
    int (*ask)(int *, cuda_function, int, size_t);
    int count = 0;
    if (gpu_enter(kernel->gpu) == NULL || allow_shared(kernel, shared_bytes) != RP_OK ||
        gpu_need("cuOccupancyMaxActiveBlocksPerMultiprocessor", &ask) != RP_OK)
        return RP_FAILED;
    int rc = gpu_result(ask(&count, kernel->function, (int)block_threads, shared_bytes),
                        "occupancy of %s", kernel->name);
    *blocks = (unsigned)count;
    return rc;
}

/* --- modules -------------------------------------------------------------------------------- */

int rp_gpu_global(rp_gpu_module *module, const char *name, rp_gpu_ptr *memory, size_t *bytes)
{
    int (*get)(cuda_address *, size_t *, cuda_module, const char *);
    size_t size = 0;
    *memory = 0;
    if (gpu_enter(module->gpu) == NULL || gpu_need("cuModuleGetGlobal_v2", &get) != RP_OK)
        return RP_FAILED;
    int rc = gpu_result(get(memory, &size, module->module, name), "variable \"%.64s\"", name);
    if (bytes != NULL)
        *bytes = size;
    return rc;
}

/* Machine code runs on devices of the same major capability and the same or a higher minor one. */
static bool fits(int capability, int device)
{
    return capability / 10 == device / 10 && capability <= device;
}

int rp_gpu_load_best(rp_gpu *gpu, const rp_gpu_image *images, size_t count, rp_gpu_module **module)
{
    const rp_gpu_image *best = NULL;
    int device = rp_gpu_about(gpu)->capability;
    if (gpu_enter(gpu) == NULL)
        return RP_FAILED;
    for (size_t i = 0; i < count; i++) {
        bool is_ptx = images[i].capability == 0;
        if ((is_ptx && best == NULL) || (!is_ptx && fits(images[i].capability, device) &&
                                         (best == NULL || images[i].capability > best->capability)))
            best = &images[i];
    }
    if (best == NULL)
        return gpu_set_error(RP_FAILED, "none of the %zu images runs on GPU %d (sm_%d)", count,
                             gpu->index, device);
    return rp_gpu_load(gpu, best->image, module);
}

/* --- memory --------------------------------------------------------------------------------- */

int rp_gpu_host_register(rp_gpu *gpu, void *memory, size_t bytes)
{
    int (*lock)(void *, size_t, unsigned);
    if (gpu_enter(gpu) == NULL || gpu_need("cuMemHostRegister_v2", &lock) != RP_OK)
        return RP_FAILED;
    return gpu_result(lock(memory, bytes, 0), "register %zu bytes of host memory", bytes);
}

void rp_gpu_host_unregister(rp_gpu *gpu, void *memory)
{
    int (*unlock)(void *);
    if (memory != NULL && gpu_enter(gpu) != NULL &&
        gpu_need("cuMemHostUnregister", &unlock) == RP_OK)
        gpu_result(unlock(memory), "unregister host memory");
}
