/* rp_gpu.h: kernels and memory. */
#include "rp_gpu.h"

#include <stdlib.h>
#include <string.h>

#include "job/gpu_inside.h"
#include "job/rp_job.h"

struct rp_gpu_module {
    struct rp_gpu *gpu;
    cuda_module module;
};

struct rp_gpu_kernel {
    struct rp_gpu *gpu;
    cuda_function function;
    char name[64]; /* for errors: cut where it is longer */
};

/* --- kernels ------------------------------------------------------------------------------- */

int gpu_load(struct rp_gpu *gpu, const void *image, cuda_module *module)
{
    char log[GPU_JIT_LOG_BYTES] = "";
    int names[] = { CUDA_JIT_ERROR_LOG, CUDA_JIT_ERROR_LOG_BYTES };
    void *values[] = { log, (void *)(uintptr_t)(sizeof log - 1) };
    int result = gpu_cuda()->module_load(module, image, 2, names, values);
    log[strcspn(log, "\n")] = '\0'; /* the rest follows from the first complaint */
    return gpu_result(result, "load kernels on GPU %d%s%.160s", gpu->index,
                      log[0] != '\0' ? ": " : "", log);
}

int rp_gpu_load(rp_gpu *gpu, const void *image, rp_gpu_module **module)
{
    if (gpu_enter(gpu) == NULL)
        return RP_FAILED;
    struct rp_gpu_module *loaded = malloc(sizeof *loaded);
    if (loaded == NULL)
        return gpu_complain(RP_FAILED, "no memory for a module");
    loaded->gpu = gpu;
    if (gpu_load(gpu, image, &loaded->module) != RP_OK) {
        free(loaded);
        return RP_FAILED;
    }
    *module = loaded;
    return RP_OK;
}

int rp_gpu_find(rp_gpu_module *module, const char *name, rp_gpu_kernel **kernel)
{
    if (gpu_enter(module->gpu) == NULL)
        return RP_FAILED;
    struct rp_gpu_kernel *found = calloc(1, sizeof *found);
    if (found == NULL)
        return gpu_complain(RP_FAILED, "no memory for a kernel");
    found->gpu = module->gpu;
    memcpy(found->name, name, strnlen(name, sizeof found->name - 1));
    if (gpu_result(gpu_cuda()->module_function(&found->function, module->module, name),
                   "kernel \"%.64s\"", name) != RP_OK) {
        free(found);
        return RP_FAILED;
    }
    *kernel = found;
    return RP_OK;
}

static unsigned least_one(unsigned count)
{
    return count > 0 ? count : 1;
}

int rp_gpu_launch(rp_gpu_kernel *kernel, rp_gpu_dim grid, rp_gpu_dim block, size_t shared_bytes,
                  void **arguments)
{
    struct gpu_lane *lane = gpu_enter(kernel->gpu);
    if (lane == NULL)
        return RP_FAILED;
    if (shared_bytes > UINT32_MAX)
        return gpu_complain(RP_FAILED, "launch %s: %zu bytes of shared memory", kernel->name,
                            shared_bytes);
    lane->is_busy = true;
    return gpu_result(gpu_cuda()->launch(kernel->function, least_one(grid.x), least_one(grid.y),
                                         least_one(grid.z), least_one(block.x), least_one(block.y),
                                         least_one(block.z), (unsigned)shared_bytes, lane->stream,
                                         arguments, NULL),
                      "launch %s", kernel->name);
}

/* --- memory of the device ------------------------------------------------------------------ */

static int alloc_block(struct gpu_lane *lane, size_t bytes, struct gpu_block *block)
{
    const struct cuda *cuda = gpu_cuda();
    block->gpu = lane->gpu;
    block->is_pooled = lane->gpu->has_pools;
    int result = block->is_pooled ? cuda->alloc_async(&block->memory, bytes, lane->stream)
                                  : cuda->alloc(&block->memory, bytes);
    return gpu_result(result, "allocate %zu bytes on GPU %d", bytes, lane->gpu->index);
}

static void free_block(struct gpu_block *block)
{
    struct gpu_lane *lane = gpu_enter(block->gpu);
    if (lane != NULL && block->is_pooled)
        gpu_result(gpu_cuda()->free_async(block->memory, lane->stream), "free memory");
    else if (lane != NULL)
        gpu_result(gpu_cuda()->free(block->memory), "free memory");
    free(block);
}

int rp_gpu_alloc(rp_gpu *gpu, rp_job *job, size_t bytes, rp_gpu_ptr *memory)
{
    struct gpu_lane *lane = gpu_enter(gpu);
    *memory = 0;
    if (lane == NULL)
        return RP_FAILED;
    if (job == NULL)
        return gpu_result(gpu_cuda()->alloc(memory, bytes), "allocate %zu bytes on GPU %d", bytes,
                          gpu->index);
    struct gpu_block *block = calloc(1, sizeof *block);
    if (block == NULL)
        return gpu_complain(RP_FAILED, "no memory for a block's description");
    if (alloc_block(lane, bytes, block) != RP_OK) {
        free(block);
        return RP_FAILED;
    }
    block->next = job->gpu_blocks;
    job->gpu_blocks = block;
    *memory = block->memory;
    return RP_OK;
}

void rp_gpu_free(rp_gpu *gpu, rp_job *job, rp_gpu_ptr memory)
{
    if (memory == 0)
        return;
    if (job == NULL) {
        if (gpu_enter(gpu) != NULL)
            gpu_result(gpu_cuda()->free(memory), "free memory");
        return;
    }
    struct gpu_block **at = &job->gpu_blocks;
    while (*at != NULL && ((*at)->gpu != gpu || (*at)->memory != memory))
        at = &(*at)->next;
    struct gpu_block *block = *at;
    if (block == NULL)
        return;
    *at = block->next;
    free_block(block);
}

/* --- memory of the host -------------------------------------------------------------------- */

int rp_gpu_host_alloc(rp_gpu *gpu, size_t bytes, void **memory)
{
    *memory = NULL;
    if (gpu_enter(gpu) == NULL)
        return RP_FAILED;
    return gpu_result(gpu_cuda()->host_alloc(memory, bytes), "allocate %zu bytes of host memory",
                      bytes);
}

void rp_gpu_host_free(rp_gpu *gpu, void *memory)
{
    if (memory != NULL && gpu_enter(gpu) != NULL)
        gpu_result(gpu_cuda()->host_free(memory), "free host memory");
}

/* --- copies -------------------------------------------------------------------------------- */

int rp_gpu_write_async(rp_gpu *gpu, rp_gpu_ptr to, const void *from, size_t bytes)
{
    struct gpu_lane *lane = gpu_enter(gpu);
    if (lane == NULL)
        return RP_FAILED;
    lane->is_busy = true;
    return gpu_result(gpu_cuda()->write_async(to, from, bytes, lane->stream),
                      "copy %zu bytes to GPU %d", bytes, gpu->index);
}

int rp_gpu_read_async(rp_gpu *gpu, void *to, rp_gpu_ptr from, size_t bytes)
{
    struct gpu_lane *lane = gpu_enter(gpu);
    if (lane == NULL)
        return RP_FAILED;
    lane->is_busy = true;
    return gpu_result(gpu_cuda()->read_async(to, from, bytes, lane->stream),
                      "copy %zu bytes from GPU %d", bytes, gpu->index);
}

int rp_gpu_write(rp_gpu *gpu, rp_gpu_ptr to, const void *from, size_t bytes)
{
    return rp_gpu_write_async(gpu, to, from, bytes) == RP_OK ? rp_gpu_wait(gpu) : RP_FAILED;
}

int rp_gpu_read(rp_gpu *gpu, void *to, rp_gpu_ptr from, size_t bytes)
{
    return rp_gpu_read_async(gpu, to, from, bytes) == RP_OK ? rp_gpu_wait(gpu) : RP_FAILED;
}

int rp_gpu_copy(rp_gpu *gpu, rp_gpu_ptr to, rp_gpu_ptr from, size_t bytes)
{
    struct gpu_lane *lane = gpu_enter(gpu);
    if (lane == NULL)
        return RP_FAILED;
    lane->is_busy = true;
    return gpu_result(gpu_cuda()->copy_async(to, from, bytes, lane->stream),
                      "copy %zu bytes within GPU %d", bytes, gpu->index);
}

int rp_gpu_fill(rp_gpu *gpu, rp_gpu_ptr to, unsigned char value, size_t bytes)
{
    struct gpu_lane *lane = gpu_enter(gpu);
    if (lane == NULL)
        return RP_FAILED;
    lane->is_busy = true;
    return gpu_result(gpu_cuda()->fill_async(to, value, bytes, lane->stream),
                      "fill %zu bytes on GPU %d", bytes, gpu->index);
}

/* --- the end of a job ---------------------------------------------------------------------- */

bool gpu_settle(rp_job *job)
{
    gpu_finish_lanes();
    while (job->gpu_blocks != NULL) {
        struct gpu_block *block = job->gpu_blocks;
        job->gpu_blocks = block->next;
        free_block(block);
    }
    const char *lost = gpu_lost();
    if (lost == NULL)
        return false;
    /* Whatever the handler made of it: what the device has computed is not to be believed. */
    job->has_failed = false;
    rp_fail_text(job, "GpuError", slice_from(lost), (slice){ 0 });
    rp_refresh_worker(job);
    return true;
}
