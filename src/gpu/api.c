/* rp_gpu.h: modules, memory and what becomes of both when a job ends. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/gpu_private.h"
#include "job/rp_job.h"
#include "rp_gpu.h"

/* --- kernels -------------------------------------------------------------------------------- */

int gpu_load(struct rp_gpu *gpu, const void *image, cuda_module *module)
{
    char log[GPU_JIT_LOG_BYTES] = "";
    int names[] = { CUDA_JIT_ERROR_LOG, CUDA_JIT_ERROR_LOG_BYTES };
    void *values[] = { log, (void *)(uintptr_t)(sizeof log - 1) };
    int result = gpu_cuda()->module_load(module, image, 2, names, values);
    log[strcspn(log, "\n")] = '\0'; /* the messages that follow are consequences */
    return gpu_result(result, "load kernels on GPU %d%s%.160s", gpu->index,
                      log[0] != '\0' ? ": " : "", log);
}

int rp_gpu_load(rp_gpu *gpu, const void *image, rp_gpu_module **module)
{
    if (gpu_enter(gpu) == NULL)
        return RP_FAILED;
    struct rp_gpu_module *loaded = calloc(1, sizeof *loaded);
    if (loaded == NULL)
        return gpu_set_error(RP_FAILED, "no memory for a module's description");
    loaded->gpu = gpu;
    if (gpu_load(gpu, image, &loaded->module) != RP_OK) {
        free(loaded);
        return RP_FAILED;
    }
    *module = loaded;
    return RP_OK;
}

static pthread_mutex_t kernels_lock = PTHREAD_MUTEX_INITIALIZER; /* guards modules' lists */

static void add_kernel(struct rp_gpu_module *module, struct rp_gpu_kernel *kernel)
{
    pthread_mutex_lock(&kernels_lock);
    kernel->next = module->kernels;
    module->kernels = kernel;
    pthread_mutex_unlock(&kernels_lock);
}

int rp_gpu_find(rp_gpu_module *module, const char *name, rp_gpu_kernel **kernel)
{
    if (gpu_enter(module->gpu) == NULL)
        return RP_FAILED;
    struct rp_gpu_kernel *found = calloc(1, sizeof *found);
    if (found == NULL)
        return gpu_set_error(RP_FAILED, "no memory for a kernel's description");
    found->gpu = module->gpu;
    memcpy(found->name, name, strnlen(name, sizeof found->name - 1));
    if (gpu_result(gpu_cuda()->module_function(&found->function, module->module, name),
                   "kernel \"%.64s\"", name) != RP_OK) {
        free(found);
        return RP_FAILED;
    }
    add_kernel(module, found);
    *kernel = found;
    return RP_OK;
}

void rp_gpu_unload(rp_gpu_module *module)
{
    if (module == NULL)
        return;
    if (gpu_enter(module->gpu) != NULL) {
        gpu_wait_busy(module->gpu, NULL);
        gpu_result(gpu_cuda()->module_unload(module->module), "unload kernels");
    }
    for (struct rp_gpu_kernel *kernel = module->kernels, *next; kernel != NULL; kernel = next) {
        next = kernel->next;
        free(kernel);
    }
    free(module);
}

/* --- memory of the device ------------------------------------------------------------------- */

int rp_gpu_memory(rp_gpu *gpu, uint64_t *free_bytes)
{
    size_t available = 0, total = 0;
    if (gpu_enter(gpu) == NULL)
        return RP_FAILED;
    int rc = gpu_result(gpu_cuda()->memory_info(&available, &total), "cuMemGetInfo");
    *free_bytes = available;
    return rc;
}

static int alloc_block(struct gpu_stream *stream, size_t bytes, struct gpu_block *block)
{
    const struct cuda *cuda = gpu_cuda();
    block->gpu = stream->gpu;
    block->is_pooled = stream->gpu->has_pools;
    block->stream = stream->index;
    int result = block->is_pooled ? cuda->alloc_async(&block->memory, bytes, stream->stream)
                                  : cuda->alloc(&block->memory, bytes);
    return gpu_result(result, "allocate %zu bytes on GPU %d", bytes, stream->gpu->index);
}

/* The driver waits by itself for what may use the memory, but its documentation does not say so. */
static void free_at_once(struct rp_gpu *gpu, cuda_address memory)
{
    if (gpu_enter(gpu) == NULL)
        return;
    gpu_wait_busy(gpu, NULL);
    gpu_result(gpu_cuda()->free(memory), "free memory");
}

/*
 * cuMemFreeAsync comes after what its stream was asked for before, and after nothing else. So it is
 * the stream of the allocation, and the thread's other streams, which may use the memory too, are
 * waited for.
 */
static void free_in_order(const struct gpu_block *block)
{
    struct gpu_stream *stream = gpu_enter_stream(block->gpu, block->stream);
    if (stream == NULL)
        return;
    gpu_wait_busy(block->gpu, stream);
    gpu_result(gpu_cuda()->free_async(block->memory, stream->stream), "free memory");
}

static void free_block(struct gpu_block *block)
{
    if (block->is_pooled)
        free_in_order(block);
    else
        free_at_once(block->gpu, block->memory);
    free(block);
}

int rp_gpu_alloc(rp_gpu *gpu, rp_job *job, size_t bytes, rp_gpu_ptr *memory)
{
    struct gpu_stream *stream = gpu_enter(gpu);
    *memory = 0;
    if (stream == NULL)
        return RP_FAILED;
    if (job == NULL)
        return gpu_result(gpu_cuda()->alloc(memory, bytes), "allocate %zu bytes on GPU %d", bytes,
                          gpu->index);
    struct gpu_block *block = calloc(1, sizeof *block);
    if (block == NULL)
        return gpu_set_error(RP_FAILED, "no memory for a block's description");
    if (alloc_block(stream, bytes, block) != RP_OK) {
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
        free_at_once(gpu, memory);
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

/* --- memory of the host --------------------------------------------------------------------- */

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

/* --- copies --------------------------------------------------------------------------------- */

int rp_gpu_write_async(rp_gpu *gpu, rp_gpu_ptr to, const void *from, size_t bytes)
{
    struct gpu_stream *stream = gpu_enter(gpu);
    if (stream == NULL)
        return RP_FAILED;
    stream->is_busy = true;
    return gpu_result(gpu_cuda()->write_async(to, from, bytes, stream->stream),
                      "copy %zu bytes to GPU %d", bytes, gpu->index);
}

int rp_gpu_read_async(rp_gpu *gpu, void *to, rp_gpu_ptr from, size_t bytes)
{
    struct gpu_stream *stream = gpu_enter(gpu);
    if (stream == NULL)
        return RP_FAILED;
    stream->is_busy = true;
    return gpu_result(gpu_cuda()->read_async(to, from, bytes, stream->stream),
                      "copy %zu bytes from GPU %d", bytes, gpu->index);
}

int rp_gpu_write(rp_gpu *gpu, rp_gpu_ptr to, const void *from, size_t bytes)
{
    return rp_gpu_write_async(gpu, to, from, bytes) == RP_OK ? gpu_wait_current(gpu) : RP_FAILED;
}

int rp_gpu_read(rp_gpu *gpu, void *to, rp_gpu_ptr from, size_t bytes)
{
    return rp_gpu_read_async(gpu, to, from, bytes) == RP_OK ? gpu_wait_current(gpu) : RP_FAILED;
}

int rp_gpu_copy(rp_gpu *gpu, rp_gpu_ptr to, rp_gpu_ptr from, size_t bytes)
{
    struct gpu_stream *stream = gpu_enter(gpu);
    if (stream == NULL)
        return RP_FAILED;
    stream->is_busy = true;
    return gpu_result(gpu_cuda()->copy_async(to, from, bytes, stream->stream),
                      "copy %zu bytes within GPU %d", bytes, gpu->index);
}

int rp_gpu_fill(rp_gpu *gpu, rp_gpu_ptr to, unsigned char value, size_t bytes)
{
    struct gpu_stream *stream = gpu_enter(gpu);
    if (stream == NULL)
        return RP_FAILED;
    stream->is_busy = true;
    return gpu_result(gpu_cuda()->fill_async(to, value, bytes, stream->stream),
                      "fill %zu bytes on GPU %d", bytes, gpu->index);
}

/* --- the end of a job ----------------------------------------------------------------------- */

bool gpu_end_job(rp_job *job)
{
    gpu_finish_streams();
    while (job->gpu_blocks != NULL) {
        struct gpu_block *block = job->gpu_blocks;
        job->gpu_blocks = block->next;
        free_block(block);
    }
    const char *lost = gpu_lost();
    if (lost == NULL)
        return false;
    /* Even if the handler succeeded: what a lost device has computed cannot be trusted. */
    job->has_failed = false;
    rp_fail_text(job, "GpuError", slice_from(lost), (slice){ 0 });
    rp_refresh_worker(job);
    return true;
}
