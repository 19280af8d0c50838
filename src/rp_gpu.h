/*
 * rp_gpu.h - GPU access for handlers of worker.h, through NVIDIA's own driver. No CUDA library has
 * to be in the image.
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
 *         if (rp_gpu_alloc(gpu, job, bytes, &data) != RP_OK ||
 *             rp_gpu_write(gpu, data, in, bytes) != RP_OK ||
 *             rp_gpu_launch(twice, RP_GPU_DIM(blocks), RP_GPU_DIM(256), 0,
 *                           RP_GPU_ARGS(&data, &count)) != RP_OK ||
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
 * rp_config.gpu = &rp_gpu_part links the GPU part in: the loader for the driver's library and the
 * table of glibc names that the library imports. It adds 247 KB (build/worker-gpu has 863 KB,
 * build/worker 616 KB), which is why a handler has to ask for it. It also adds what the worker
 * itself does with a GPU: the fitness checks, --gpu-info, and ending a worker whose GPU has failed.
 *
 * Besides the contract of worker.h, all functions here follow these rules:
 *
 *  - Threads. Any thread with a stack of at least 8 MiB may call them: the one that runs setup,
 *    the handlers' threads, and your own if you give them such a stack. No function has to be
 *    called first on a new thread: each makes the device current on the calling thread.
 *  - Order. Each thread has a CUDA stream of its own per device, made on first use and destroyed
 *    when the thread ends (and more if it wants: rp_gpu_use_stream). Operations of one stream run
 *    in the order of the calls; operations of different threads may overlap. Device memory that one
 *    thread has written may be used by another one after the first has returned from rp_gpu_wait,
 *    rp_gpu_read or rp_gpu_write.
 *  - Errors. Functions that return int return RP_OK or RP_FAILED, unless their comment says more;
 *    rp_gpu_error() then has the reason. Values returned through pointers are valid only after
 *    RP_OK. Errors of a kernel or an asynchronous copy are reported by a later call of the
 *    same thread, in rp_gpu_wait at the latest. An rp_gpu that is NULL, as rp_gpu_open leaves it
 *    if there is no device, is an error, not a crash.
 *  - Lost devices. After an error that leaves the CUDA context unusable (an illegal address in a
 *    kernel, an uncorrectable memory error) every function that uses a device fails. Each running
 *    job fails with the CUDA error, whatever its handler returns; the worker takes no more jobs,
 *    asks to be replaced and exits with status 1.
 *  - Sizes are in bytes. Pointers to host memory must not be NULL unless the size is 0.
 *
 * Not supported: sharing a GPU between processes with MPS. Features without a function here
 * (textures, unified memory, virtual memory, peers) are available through rp_gpu_call.
 */
#ifndef RP_GPU_H
#define RP_GPU_H

#include "worker.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The value for rp_config.gpu. */
extern const struct rp_gpu_part rp_gpu_part;

/* --- devices -------------------------------------------------------------------------------- */

/* An opened device. Belongs to the worker and lives as long as the process. */
typedef struct rp_gpu rp_gpu;

/*
 * Opens the device of that index, counted from 0; call it in setup. Opening a device again yields
 * the same pointer.
 *
 * The first call loads the driver, libcuda.so.1. It is taken from --libcuda or RP_LIBCUDA (a file
 * or a folder) if either is set, else from the first of these folders that has it: those of
 * LD_LIBRARY_PATH, /usr/lib64, /usr/lib/x86_64-linux-gnu, nvidia/current in that,
 * /usr/local/nvidia/lib64, /usr/local/nvidia/lib, /usr/lib/wsl/lib, /run/opengl-driver/lib,
 * /usr/lib, /lib64, /lib; last from where /etc/ld.so.cache says. Blocks: up to about two seconds
 * the first time, while the driver initializes.
 *
 * RP_OK.
 * RP_MISSING: this machine has no driver, no device or no device of that index; rp_gpu_error()
 *     says which. A handler that can do without a GPU may go on.
 * RP_FAILED: a driver is installed but cannot be loaded or does not start, the device cannot be
 *     used, or rp_config.gpu is not set.
 * *gpu is NULL unless RP_OK is returned.
 */
int rp_gpu_open(int index, rp_gpu **gpu);

/*
 * The number of devices; 0 if there are none or the driver does not work, with the reason in
 * rp_gpu_error(). Blocks like rp_gpu_open when it is the first call.
 */
int rp_gpu_count(void);

typedef struct rp_gpu_facts {
    const char *name;          /* "NVIDIA H100 80GB HBM3" */
    char uuid[48];             /* "GPU-", or "MIG-" for a slice, and 8-4-4-4-12 hexadecimal
                                  digits; "" if not known */
    uint64_t memory_bytes;     /* total device memory */
    int capability;            /* compute capability times 10: 90 is 9.0, sm_90 */
    int multiprocessors;       /* number of streaming multiprocessors */
    int max_threads_per_block; /* the most threads a block may have; 1024 on today's devices */
    int cuda_version;          /* newest CUDA version the driver supports: 12020 is 12.2 */
    const char *driver_path;   /* the file that libcuda was loaded from */
} rp_gpu_facts;

/*
 * The facts of an opened device; for NULL, texts are "" and numbers 0. Never returns NULL; the
 * facts and their texts do not change and stay valid until the process ends. Does not block.
 */
const rp_gpu_facts *rp_gpu_about(const rp_gpu *gpu);

/*
 * Sets *free_bytes to the device memory that is free now; memory that other processes use counts
 * as used. Asks the driver, which takes a moment.
 */
int rp_gpu_memory(rp_gpu *gpu, uint64_t *free_bytes);

/* An address in device memory; pass it to kernels as a 64-bit pointer. 0 is not an address. */
typedef uint64_t rp_gpu_ptr;

/* --- kernels -------------------------------------------------------------------------------- */

/* Loaded code, and a kernel in it. Both belong to the worker and live until rp_gpu_unload. */
typedef struct rp_gpu_module rp_gpu_module;
typedef struct rp_gpu_kernel rp_gpu_kernel;

/*
 * Loads a module; call it in setup. image is PTX text that ends with NUL, or the bytes of a cubin
 * or fatbin, whose headers tell their size. It is read during this call only. PTX is compiled for
 * the device by the driver: the call blocks for that, milliseconds to seconds. Each call loads
 * another copy, which stays: a job that loads code has to unload it.
 *
 * RP_FAILED: rp_gpu_error() has the CUDA error and the first line of the compiler's messages.
 */
int rp_gpu_load(rp_gpu *gpu, const void *image, rp_gpu_module **module);

/*
 * Finds the kernel (".entry" in PTX) of that name in a module; call it once, in setup. RP_FAILED if
 * there is none.
 */
int rp_gpu_find(rp_gpu_module *module, const char *name, rp_gpu_kernel **kernel);

/*
 * Unloads a module with its kernels and variables, for code that is made while the worker runs.
 * Waits for this thread's operations on the device; other threads, and graphs, must have finished
 * with the module. Ignores NULL.
 */
void rp_gpu_unload(rp_gpu_module *module);

/*
 * Loads the image that suits the device best: machine code (a cubin, or a fatbin of one
 * architecture) for its compute capability or for an earlier one of the same generation, else PTX.
 * Machine code need not be compiled: it starts at once, and works even if a container lacks the
 * driver's compiler (CUDA_ERROR_JIT_COMPILER_NOT_FOUND). Otherwise as rp_gpu_load.
 */
typedef struct rp_gpu_image {
    int capability;    /* of machine code, times 10: 90 is sm_90; 0 for PTX */
    const void *image; /* as rp_gpu_load's */
} rp_gpu_image;
int rp_gpu_load_best(rp_gpu *gpu, const rp_gpu_image *images, size_t count, rp_gpu_module **module);

/*
 * The device address of a variable of a module (".global" or ".const" in PTX), and its size, if
 * bytes is not NULL. Valid as long as the module. RP_FAILED if there is none: *memory is 0.
 */
int rp_gpu_global(rp_gpu_module *module, const char *name, rp_gpu_ptr *memory, size_t *bytes);

/* A size in up to three dimensions; 0 counts as 1. RP_GPU_DIM takes one to three numbers. */
typedef struct rp_gpu_dim {
    unsigned x, y, z;
} rp_gpu_dim;
#define RP_GPU_DIM(...) RP_GPU_DIM_OF(__VA_ARGS__, 1, 1, 1)
#ifdef __cplusplus
#define RP_GPU_DIM_OF(x, y, z, ...) (rp_gpu_dim{ (x), (y), (z) })
#else
#define RP_GPU_DIM_OF(x, y, z, ...) ((rp_gpu_dim){ (x), (y), (z) })
#endif

/* Pointers to the kernel's arguments, in the order and of the types that the kernel declares. */
#ifdef __cplusplus
extern "C++" {
template <typename... type> struct rp_gpu_pointers {
    void *all[sizeof...(type)];
};
template <typename... type> inline rp_gpu_pointers<type...> rp_gpu_pointers_to(type *...argument)
{
    return { { argument... } };
}
}
#define RP_GPU_ARGS(...) (rp_gpu_pointers_to(__VA_ARGS__).all)
#else
#define RP_GPU_ARGS(...) ((void *[]){ __VA_ARGS__ })
#endif

/*
 * Starts a kernel with `grid` blocks of `block` threads each and shared_bytes of dynamic shared
 * memory per block: up to 48 KiB together with the kernel's static shared memory on all devices, up
 * to 227 KiB on some (163 on sm_80, 99 on sm_86 and sm_89, 227 on sm_90). More than 48 KiB of
 * dynamic memory is requested at the kernel's first launch with it. The arguments are copied before
 * the call returns. Does not wait for the kernel.
 *
 * RP_FAILED: the launch was refused (a block too large, too much shared memory), or an earlier
 * operation of this thread has failed. An error of this kernel is reported by a later call.
 */
int rp_gpu_launch(rp_gpu_kernel *kernel, rp_gpu_dim grid, rp_gpu_dim block, size_t shared_bytes,
                  void **arguments);

/* Launches in special ways. All zero: as rp_gpu_launch. */
typedef struct rp_gpu_launch_options {
    rp_gpu_dim cluster; /* blocks of a cluster, which share memory (sm_90 on); { 0, 0, 0 }: none */
    bool cooperative;   /* all blocks run at once and may wait for each other */
} rp_gpu_launch_options;

/* As rp_gpu_launch. Also RP_FAILED on drivers before CUDA 11.8, whatever the options are. */
int rp_gpu_launch_with(rp_gpu_kernel *kernel, rp_gpu_dim grid, rp_gpu_dim block,
                       size_t shared_bytes, void **arguments, const rp_gpu_launch_options *options);

/*
 * How many blocks of that size a multiprocessor runs at once: what a grid should be a multiple of.
 */
int rp_gpu_occupancy(rp_gpu_kernel *kernel, unsigned block_threads, size_t shared_bytes,
                     unsigned *blocks);

/* --- memory --------------------------------------------------------------------------------- */

/*
 * Allocates device memory, uninitialized, aligned to 256 bytes.
 * With a job, the memory is for the handler's own thread; it is freed when the handler returns,
 * unless rp_gpu_free has freed it before. With job NULL, it may be used by all threads and lives
 * until rp_gpu_free. May block while the driver gets memory from the system; memory that a job
 * frees stays in the device's pool for the next one, if the driver has pools (CUDA 11.2 and later).
 *
 * RP_FAILED: *memory is 0. Running out of device memory fails the job that wanted it; the device
 * and the worker remain usable.
 */
int rp_gpu_alloc(rp_gpu *gpu, rp_job *job, size_t bytes, rp_gpu_ptr *memory);

/*
 * Frees memory from rp_gpu_alloc before the job ends; pass the same gpu and job. Operations that
 * this thread has already started may still use it, on any of its streams. May wait for them.
 * Ignores 0, and memory that does not belong to the job.
 */
void rp_gpu_free(rp_gpu *gpu, rp_job *job, rp_gpu_ptr memory);

/*
 * Allocates page-locked host memory, uninitialized: the device reads and writes it directly, so
 * copies to and from it are faster, and the asynchronous ones below need it. It may be used by all
 * threads and lives until rp_gpu_host_free, which ignores NULL. Both may block for a moment.
 * RP_FAILED: *memory is NULL.
 */
int rp_gpu_host_alloc(rp_gpu *gpu, size_t bytes, void **memory);
void rp_gpu_host_free(rp_gpu *gpu, void *memory);

/*
 * Makes your own host memory page-locked, so that it can be used like rp_gpu_host_alloc's.
 * Unregister it before it is freed. Both block while the kernel goes through its pages.
 */
int rp_gpu_host_register(rp_gpu *gpu, void *memory, size_t bytes);
void rp_gpu_host_unregister(rp_gpu *gpu, void *memory);

/*
 * Copies host memory to the device, or device memory to the host, after all earlier operations of
 * this thread. Blocks until the copy is done. Any host memory will do.
 */
int rp_gpu_write(rp_gpu *gpu, rp_gpu_ptr to, const void *from, size_t bytes);
int rp_gpu_read(rp_gpu *gpu, void *to, rp_gpu_ptr from, size_t bytes);

/*
 * The same without waiting. The host memory must come from rp_gpu_host_alloc or be registered by
 * rp_gpu_host_register, and must not be touched until rp_gpu_wait has returned.
 */
int rp_gpu_write_async(rp_gpu *gpu, rp_gpu_ptr to, const void *from, size_t bytes);
int rp_gpu_read_async(rp_gpu *gpu, void *to, rp_gpu_ptr from, size_t bytes);

/*
 * Copies within device memory, where the two ranges must not overlap, and sets every byte of a
 * range to a value. Neither waits.
 */
int rp_gpu_copy(rp_gpu *gpu, rp_gpu_ptr to, rp_gpu_ptr from, size_t bytes);
int rp_gpu_fill(rp_gpu *gpu, rp_gpu_ptr to, unsigned char value, size_t bytes);

/* --- waiting and timing --------------------------------------------------------------------- */

/*
 * Blocks until all operations of this thread on the device are done. RP_FAILED if any of them has
 * failed. The worker does this for every job after its handler has returned.
 */
int rp_gpu_wait(rp_gpu *gpu);

/*
 * Measures on the device itself how long the operations of a stream between two calls take. Each
 * stream has one timer: choose the same one for both calls. rp_gpu_timer_start does not wait.
 * rp_gpu_timer_stop blocks until the operations are done and sets *ms to milliseconds, with a
 * resolution of about 0.5 us; RP_FAILED if the stream's timer was never started.
 */
int rp_gpu_timer_start(rp_gpu *gpu);
int rp_gpu_timer_stop(rp_gpu *gpu, double *ms);

/* --- more than one stream ------------------------------------------------------------------- */

/*
 * Chooses which of this thread's streams its next calls use, on every device: 0 to
 * RP_GPU_STREAMS_MAX - 1. A thread, and each job, starts with 0. Operations on different streams
 * may overlap; put events between those that depend on each other. Memory from rp_gpu_alloc with a
 * job is usable on the stream it was allocated on, and on others after an event or rp_gpu_wait.
 * rp_gpu_wait waits for all of this thread's streams, rp_gpu_read and rp_gpu_write for the chosen
 * one. Does not block.
 */
#define RP_GPU_STREAMS_MAX 16u
int rp_gpu_use_stream(unsigned index);

/* A point in a stream. May be used by all threads and lives until rp_gpu_event_free. */
typedef struct rp_gpu_event rp_gpu_event;

/*
 * Creates an event without a point: there is nothing to wait for until it is recorded.
 * RP_FAILED: *event is NULL. rp_gpu_event_free does not wait for the point; it ignores NULL.
 * Neither blocks.
 */
int rp_gpu_event_new(rp_gpu *gpu, rp_gpu_event **event);
void rp_gpu_event_free(rp_gpu_event *event);

/*
 * rp_gpu_event_record sets the event to the point after all earlier operations of this thread's
 * chosen stream, on the event's device. rp_gpu_event_order makes all later operations of this
 * thread's chosen stream wait for that point, on the device: neither call blocks.
 */
int rp_gpu_event_record(rp_gpu_event *event);
int rp_gpu_event_order(rp_gpu_event *event);

/* --- graphs --------------------------------------------------------------------------------- */

/*
 * Operations that are recorded once and started again and again with one call, which costs a few
 * microseconds however many they are. Operations that this thread starts on its stream between
 * capture_begin and capture_end are recorded, not run: launches, asynchronous copies, fills.
 * Allocate memory before, free it after, and do not wait in between. The addresses and arguments
 * are part of the recording, so the memory and the kernels must stay valid as long as it is
 * launched. Needs CUDA 11.4. A graph may be launched by all threads, one at a time, and lives until
 * rp_gpu_graph_free.
 */
typedef struct rp_gpu_graph rp_gpu_graph;

int rp_gpu_capture_begin(rp_gpu *gpu);
int rp_gpu_capture_end(rp_gpu *gpu, rp_gpu_graph **graph); /* *graph is NULL unless RP_OK */
int rp_gpu_graph_launch(rp_gpu_graph *graph);              /* on this thread's stream */
void rp_gpu_graph_free(rp_gpu_graph *graph);               /* ignores NULL; after it has run */

/* --- the whole driver ----------------------------------------------------------------------- */

/*
 * Any function of the CUDA Driver API, by the name that libcuda exports: the suffix gives the
 * version ("cuMemAlloc_v2"; cuda.h maps the plain names). Store it in a function pointer of the
 * type that NVIDIA's reference gives. NULL with rp_gpu_error() set: no driver, or one without
 * it. Blocks like rp_gpu_open when it is the first call; later a search of 0.2 us.
 *
 *     int (*get_limit)(size_t *bytes, int limit) = rp_gpu_call("cuCtxGetLimit");
 *     if (get_limit == NULL || rp_gpu_context(gpu) == NULL ||
 *         rp_gpu_result(get_limit(&bytes, 0), "the limit of stacks") != RP_OK)
 *         return rp_gpu_fail(job);
 */
void *rp_gpu_call(const char *name);

/*
 * This thread's CUstream on a device, and the device's primary CUcontext, which the call makes
 * current. Ask for one of them before calling what rp_gpu_call has returned: it prepares the
 * thread. They belong to the worker: do not destroy them. NULL with rp_gpu_error() set if the
 * device is lost.
 */
void *rp_gpu_stream(rp_gpu *gpu);
void *rp_gpu_context(rp_gpu *gpu);

/*
 * RP_OK for CUresult 0. Otherwise RP_FAILED, with rp_gpu_error() set to "<what>: " and the error's
 * name, or only its number if no driver has been loaded; an error that leaves the context
 * unusable ends the worker, as in the functions above.
 */
int rp_gpu_result(int result, const char *what);

/* --- CUDA's libraries ----------------------------------------------------------------------- */

/* A loaded library. Belongs to the worker and lives as long as the process. */
typedef struct rp_gpu_lib rp_gpu_lib;

/*
 * Loads a library that was built for glibc, from the image: NVRTC, cudart, cuBLAS and the like, or
 * one of your own. Call it in setup. A name without a slash is searched for in /cuda/lib, then
 * where libcuda.so.1 is searched for; so are the libraries that it needs, but next to it first.
 * Neither glibc nor libstdc++ has to be in the image, unless the library takes functions from
 * libstdc++.so.6 or libgcc_s.so.1: then those files must be present (cuBLAS: only libgcc_s;
 * cuDNN: both, and libz). src/gpu/README.md lists the tested versions. Needs no device.
 * Blocks while the file is read: cuBLAS takes 0.1 s from a warm cache.
 * The library may free memory from malloc(3) that you give it. You must not free what it has
 * allocated: its memory comes from another heap, so it must have a function for that.
 * Loading a file again yields the same library; there is no way to unload one.
 *
 * RP_FAILED: rp_gpu_error() names the file and what is wrong with it. *library is NULL.
 */
int rp_gpu_library(const char *name, rp_gpu_lib **library);

/*
 * The address of a function or variable of a library or of those it needs; NULL with rp_gpu_error()
 * set if there is none. Threads that call the function need a stack of 8 MiB, as for those in this
 * header, and must have called rp_gpu_symbol, rp_gpu_stream or rp_gpu_context before.
 */
void *rp_gpu_symbol(rp_gpu_lib *library, const char *name);

/* --- errors --------------------------------------------------------------------------------- */

/*
 * Why the last call that failed on this thread did so, for example
 * "allocate 64 bytes on GPU 0: CUDA_ERROR_OUT_OF_MEMORY (2): out of memory". Never NULL; "" if no
 * call has failed. Valid until the next call of this thread. Does not block.
 */
const char *rp_gpu_error(void);

/* Fails the job with rp_gpu_error() as its error; returns RP_FAILED for the handler to return. */
#define rp_gpu_fail(job) rp_fail((job), "%s", rp_gpu_error())

#ifdef __cplusplus
}
#endif

#endif
