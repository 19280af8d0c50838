/*
 * gpu/gpu_private.h - what the files behind rp_gpu.h share: devices, and each thread's stream on
 * them.
 *
 * Errors are kept per thread, as rp_gpu_error() returns them. Unless a comment says otherwise, the
 * functions may be called from any thread with a stack of LOADER_STACK_BYTES, and int results are
 * RP_OK or RP_FAILED with the thread's error set.
 */
#ifndef GPU_GPU_PRIVATE_H
#define GPU_GPU_PRIVATE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "config/config.h"
#include "gpu/cuda.h"
#include "rp_gpu.h"

#define GPU_DEVICES_MAX 64 /* today's machines have up to 16 */
#define GPU_NAME_BYTES 128 /* with the NUL; devices' names are shorter */
#define GPU_JIT_LOG_BYTES 2048

struct rp_gpu {
    int index;
    cuda_device device;
    cuda_context context; /* the device's primary one, retained when it is opened; NULL before */
    bool has_pools;       /* memory can be allocated and freed in the order of a stream */
    char name[GPU_NAME_BYTES];
    rp_gpu_facts facts;
};

/* One thread's stream on one device: made on first use, destroyed when the thread ends. */
struct gpu_stream {
    struct rp_gpu *gpu;
    cuda_stream stream;
    cuda_event start, stop; /* the timer's; NULL until the thread uses it */
    bool is_busy;           /* has operations that nobody has waited for */
    bool is_lent;           /* rp_gpu_stream has told its handle: it may be busy at any time */
    bool is_captured;       /* between rp_gpu_capture_begin and _end */
    unsigned index;         /* as rp_gpu_use_stream counts them */
    struct gpu_stream *next;
};

struct rp_gpu_module {
    struct rp_gpu *gpu;
    cuda_module module;
    struct rp_gpu_kernel *kernels; /* found in it */
};

struct rp_gpu_kernel {
    struct rp_gpu *gpu;
    cuda_function function;
    _Atomic size_t shared_bytes; /* dynamic shared memory it may have; 0: the usual 48 KiB */
    char name[64];               /* for errors; longer names are cut */
    struct rp_gpu_kernel *next;  /* of the module */
};

/* Device memory of a job. */
struct gpu_block {
    struct rp_gpu *gpu;
    cuda_address memory;
    bool is_pooled;
    unsigned stream; /* the thread's stream that it was allocated on, as rp_gpu_use_stream's */
    struct gpu_block *next;
};

/*
 * The driver, opened by the first call; later calls have the same outcome. RP_OK; RP_MISSING if
 * there is no driver or no device; RP_FAILED if the driver cannot be loaded or does not start, or
 * if rp_config.gpu is not set. Blocks as cuda_open.
 */
int gpu_driver(const struct cuda **cuda);

/*
 * Fills gpu with what is known of a device without a context. Returns 0, or a CUDA result with
 * *call set to the name of the call that returned it.
 */
int gpu_describe(const struct cuda *cuda, int index, struct rp_gpu *gpu, const char **call);

/*
 * Sets *function, a pointer to a function, to the driver's of that name as it exports it. RP_FAILED
 * where this driver lacks it.
 */
int gpu_need(const char *symbol, void *function);

/*
 * Makes the device current and returns the stream on it that this thread has chosen; NULL with the
 * error set if there is none, which a device of NULL is too.
 */
struct gpu_stream *gpu_enter(struct rp_gpu *gpu);

/* The same for the thread's stream of that index, which need not be the chosen one. */
struct gpu_stream *gpu_enter_stream(struct rp_gpu *gpu, unsigned index);

/* Waits for this thread's current stream on the device. */
int gpu_wait_current(struct rp_gpu *gpu);

/*
 * Waits for this thread's streams on the device that have something to do, but for `except` (may be
 * NULL) and for one that is captured, which runs nothing. Errors count as gpu_result's.
 */
void gpu_wait_busy(const struct rp_gpu *gpu, const struct gpu_stream *except);

/* Ends the stream's capture; *recorded is NULL where nothing can be used. RP_OK or RP_FAILED. */
int gpu_end_capture(struct gpu_stream *stream, void **recorded);

/* Frees what a capture has recorded; NULL is ignored. */
void gpu_drop_recording(void *recorded);

/* The driver once it has started, else NULL; never NULL after gpu_enter. */
const struct cuda *gpu_cuda(void);

/*
 * RP_OK for a result of 0. Otherwise sets the thread's error to "<what>: NAME (number): text",
 * marks the GPU as lost if the result is sticky, and returns RP_FAILED. Without a driver, too.
 */
int gpu_result(int result, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Sets the thread's error and returns `code`. */
int gpu_set_error(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Why the GPU is lost; NULL while it is not. */
const char *gpu_lost(void);

/*
 * Waits for this thread's unfinished operations on all devices, and goes back to stream 0. Errors
 * count as gpu_result's.
 */
void gpu_finish_streams(void);

/* Loads a module; the error includes the first line of the PTX compiler's messages. */
int gpu_load(struct rp_gpu *gpu, const void *image, cuda_module *module);

/* What --gpu-info prints. */
struct gpu_report {
    const struct cuda *cuda;
    char file[PATH_MAX];      /* libcuda's file with links resolved, or "" */
    const char *file_version; /* "535.261.03" if the file's name contains it, else "" */
    struct rp_gpu devices[GPU_DEVICES_MAX];
    int count;
    int64_t devices_us; /* time it took to describe the devices */
    struct err err;     /* why there is no device, or why the list is not complete */
    int status;         /* exit status */
};

/* Appends the report as JSON. 0, or ERR_LIMIT or ERR_MEMORY of the buffer. Pure. */
int gpu_report_json(const struct gpu_report *report, struct buf *out, struct err *err);

/* The driver's version in its file's name, "535.261.03", linked to path, or "". */
const char *gpu_file_version(const char *path);

/*
 * Repeats the fitness check's computation on the CPU: true if each results[i] is what the kernel
 * computes for thread i in that many steps. Pure.
 */
bool gpu_results_match(const uint32_t *results, uint32_t count, uint32_t steps);

/*
 * Whether this machine is set up for a GPU: the kernel has the driver's module and a device node of
 * it, or there is WSL's /dev/dxg. root: "" or, in tests, a folder with dev and proc in it.
 */
bool gpu_has_kernel_driver(const char *root);

/* The members of struct rp_gpu_part. */
struct gpu_check_result;
void gpu_begin(const struct config *config);
void gpu_prepare_check(void);
int gpu_info(const struct config *config);
void gpu_check(const struct config *config, bool required, struct gpu_check_result *result);
bool gpu_end_job(rp_job *job);
bool gpu_is_running(void);
void gpu_leave(void);
void gpu_end(void);

#endif
