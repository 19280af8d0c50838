/*
 * rp_gpu.h - a GPU for a handler of worker.h: NVIDIA's own driver, without any library of CUDA in
 * the image.
 *
 *     static rp_gpu *gpu;
 *     static rp_gpu_kernel *twice;
 *
 *     static int setup(void *user)
 *     {
 *         rp_gpu_module *module;
 *         (void)user;
 *         if (rp_gpu_open(0, &gpu) == RP_OK && rp_gpu_load(gpu, ptx, &module) == RP_OK)
 *             return rp_gpu_find(module, "twice", &twice);
 *         return -1;
 *     }
 *
 *     static int run(rp_job *job, void *user)
 *     {
 *         rp_gpu_ptr data;
 *         ...
 *         if (rp_gpu_alloc(gpu, job, bytes, &data) != RP_OK || rp_gpu_write(gpu, data, in, bytes) != RP_OK ||
 *             rp_gpu_launch(twice, RP_GPU_DIM(blocks), RP_GPU_DIM(256), 0, RP_GPU_ARGS(&data, &count)) != RP_OK ||
 *             rp_gpu_read(gpu, out, data, bytes) != RP_OK)
 *             return rp_gpu_fail(job);
 *         return rp_return(job, ...);
 *     }
 *
 *     int main(int argc, char **argv)
 *     {
 *         return rp_start(argc, argv,
 *                         &(rp_config){ .handler = run, .setup = setup, .gpu = &rp_gpu_part });
 *     }
 *
 * rp_config.gpu = &rp_gpu_part links this in: a loader for the driver's library and the names of
 * glibc that it imports, 242 KB (build/worker-gpu has 646 KB, build/worker 404 KB). A handler without
 * it (echo) carries none of that, which is why it is a member of rp_config and not always there. It
 * also brings the worker's own use of the GPU: the fitness checks, --gpu-info, and the end of a worker
 * whose GPU has failed.
 *
 * The contract of all functions here, beside worker.h's:
 *  - They may be called from any thread with a stack of 8 MiB: setup's, a handler's, or one of your
 *    own that has such a stack. They make the device current on it by themselves.
 *  - Each thread has an order of its own: what it asks of a GPU happens one after the other, beside
 *    what other threads ask. Device memory that one thread has filled may be used by another one
 *    once rp_gpu_wait (or a rp_gpu_read) has returned.
 *  - Functions that return int return RP_OK or RP_FAILED, unless they say more, and rp_gpu_error()
 *    then tells why.
 *  - A failure of the device itself (an illegal address in a kernel, an uncorrectable memory error)
 *    is for good: every job that runs then fails with its CUDA name, whatever its handler returns,
 *    and the worker takes no more, asks to be replaced and ends with status 1.
 *
 * Not here: graphs, textures, unified memory, more than one process on a GPU by MPS.
 */
#ifndef RP_GPU_H
#define RP_GPU_H

#include "worker.h"

/* For rp_config.gpu. */
extern const struct rp_gpu_part rp_gpu_part;

/* --- devices -------------------------------------------------------------------------------- */

typedef struct rp_gpu rp_gpu;

/*
 * Opens a device, from 0 on; call it in setup. The same one twice is the same pointer. It is found
 * through libcuda.so.1: the flag --libcuda or the variable RP_LIBCUDA (a file or a folder), or else
 * the folders of LD_LIBRARY_PATH, /usr/lib64, /usr/lib/x86_64-linux-gnu, /usr/local/nvidia/lib64,
 * /usr/lib/wsl/lib and a few more. Blocks, for a second or so the first time.
 *
 * RP_OK. RP_MISSING where this machine has no such GPU: rp_gpu_error() says whether it is the
 * driver or the device that is not there; a handler may go on without. RP_FAILED where there is one
 * that does not work, or rp_config.gpu is not set. *gpu is NULL without success.
 */
int rp_gpu_open(int index, rp_gpu **gpu);

/* How many devices there are; 0 where there is no GPU, and rp_gpu_error() says why. Blocks. */
int rp_gpu_count(void);

typedef struct rp_gpu_facts {
    const char *name;      /* "NVIDIA H100 80GB HBM3" */
    char uuid[48];         /* "GPU-8-4-4-4-12 hexadecimal digits"; "" where not known */
    uint64_t memory_bytes; /* in all */
    int capability;        /* compute capability: 90 is 9.0, sm_90 */
    int multiprocessors;
    int max_threads_per_block; /* 1024 */
    int cuda_version;          /* of the driver: 12020 is CUDA 12.2 */
    const char *driver_path;   /* libcuda's file */
} rp_gpu_facts;

/* Linked; valid until the process ends. */
const rp_gpu_facts *rp_gpu_about(const rp_gpu *gpu);

/* Device memory that is free now, with whatever other processes use counted as used. */
int rp_gpu_memory(rp_gpu *gpu, uint64_t *free_bytes);

/* --- kernels -------------------------------------------------------------------------------- */

typedef struct rp_gpu_module rp_gpu_module;
typedef struct rp_gpu_kernel rp_gpu_kernel;

/*
 * Loads kernels, in setup: PTX text (with its NUL), which the driver compiles for this very device,
 * or the bytes of a cubin or fatbin. Lives as long as the process. Blocks, for PTX for as long as
 * compiling takes. The compiler's complaints are in rp_gpu_error().
 */
int rp_gpu_load(rp_gpu *gpu, const void *image, rp_gpu_module **module);

/* The kernel of that name (".entry"). Lives as long as the process. */
int rp_gpu_find(rp_gpu_module *module, const char *name, rp_gpu_kernel **kernel);

typedef struct rp_gpu_dim {
    unsigned x, y, z; /* 0 counts as 1 */
} rp_gpu_dim;
/* RP_GPU_DIM(x), (x, y) or (x, y, z); those left out are 1. */
#define RP_GPU_DIM(...) RP_GPU_DIM_OF(__VA_ARGS__, 1, 1, 1)
#define RP_GPU_DIM_OF(x, y, z, ...) ((rp_gpu_dim){ (x), (y), (z) })

/* Pointers to the kernel's arguments, in its order, each of the type it declares. */
#define RP_GPU_ARGS(...) ((void *[]){ __VA_ARGS__ })

/*
 * Starts a kernel: `grid` blocks of `block` threads, with shared_bytes of dynamic shared memory.
 * The arguments are copied. Does not wait for the kernel; what it does wrong may be told by any
 * later call.
 */
int rp_gpu_launch(rp_gpu_kernel *kernel, rp_gpu_dim grid, rp_gpu_dim block, size_t shared_bytes,
                  void **arguments);

/* --- memory --------------------------------------------------------------------------------- */

typedef uint64_t rp_gpu_ptr; /* an address in the device's memory; passed to kernels as such */

/*
 * Device memory, not zeroed, aligned to 256 bytes. With a job: for this thread, until its handler
 * returns or rp_gpu_free. With NULL: for all threads, until rp_gpu_free. RP_FAILED where there is
 * not so much: a failure of the job, not of the device.
 */
int rp_gpu_alloc(rp_gpu *gpu, rp_job *job, size_t bytes, rp_gpu_ptr *memory);

/* Frees it early; job as it was given to rp_gpu_alloc. Memory 0 is ignored. */
void rp_gpu_free(rp_gpu *gpu, rp_job *job, rp_gpu_ptr memory);

/* Host memory that the device reaches by itself: copies of it are faster. Until rp_gpu_host_free. */
int rp_gpu_host_alloc(rp_gpu *gpu, size_t bytes, void **memory);
void rp_gpu_host_free(rp_gpu *gpu, void *memory);

/* Copy, after all that this thread has asked for, and wait until it is done. Block. */
int rp_gpu_write(rp_gpu *gpu, rp_gpu_ptr to, const void *from, size_t bytes);
int rp_gpu_read(rp_gpu *gpu, void *to, rp_gpu_ptr from, size_t bytes);

/* The same without waiting: the host's memory must be rp_gpu_host_alloc's, and left alone until
 * rp_gpu_wait. */
int rp_gpu_write_async(rp_gpu *gpu, rp_gpu_ptr to, const void *from, size_t bytes);
int rp_gpu_read_async(rp_gpu *gpu, void *to, rp_gpu_ptr from, size_t bytes);

/* Within the device, without waiting. */
int rp_gpu_copy(rp_gpu *gpu, rp_gpu_ptr to, rp_gpu_ptr from, size_t bytes);
int rp_gpu_fill(rp_gpu *gpu, rp_gpu_ptr to, unsigned char value, size_t bytes);

/* --- waiting and timing ---------------------------------------------------------------------- */

/* Waits until all that this thread has asked for is done. Blocks. */
int rp_gpu_wait(rp_gpu *gpu);

/*
 * The device's own time between two points in this thread's order. rp_gpu_timer_stop waits for the
 * second one and sets *ms. One timer a thread and device. Blocks.
 */
int rp_gpu_timer_start(rp_gpu *gpu);
int rp_gpu_timer_stop(rp_gpu *gpu, double *ms);

/* --- errors ---------------------------------------------------------------------------------- */

/*
 * Why the last call on this thread that failed did so: "allocate 64 bytes: CUDA_ERROR_OUT_OF_MEMORY
 * (2): out of memory". Valid until the next call on this thread; "" at first.
 */
const char *rp_gpu_error(void);

/* Fails the job with it; returns RP_FAILED. */
#define rp_gpu_fail(job) rp_fail((job), "%s", rp_gpu_error())

#endif
