/*
 * job/gpu_inside.h - what the files behind rp_gpu.h share: devices, and the order each thread has
 * on them.
 */
#ifndef JOB_GPU_INSIDE_H
#define JOB_GPU_INSIDE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "gpu/cuda.h"
#include "job/config.h"
#include "rp_gpu.h"

#define GPU_DEVICES_MAX 64 /* machines of today have up to 16 */
#define GPU_NAME_BYTES 128 /* the API's names are shorter */
#define GPU_JIT_LOG_BYTES 2048

struct rp_gpu {
    int index;
    cuda_device device;
    cuda_context context; /* the device's primary one, retained once opened; NULL before */
    bool has_pools;       /* memory can be had in a stream's order */
    char name[GPU_NAME_BYTES];
    rp_gpu_facts facts;
};

/* One thread's order on one device: made when first needed, ended with the thread. */
struct gpu_lane {
    struct rp_gpu *gpu;
    cuda_stream stream;
    cuda_event start, stop; /* NULL until the thread times something */
    bool is_busy;           /* something was asked for that nobody has waited for */
    struct gpu_lane *next;
};

/* Device memory of a job. */
struct gpu_block {
    struct rp_gpu *gpu;
    cuda_address memory;
    bool is_pooled;
    struct gpu_block *next;
};

/*
 * The driver, opened when first asked for; the outcome is this thread's error then. RP_OK,
 * RP_MISSING where there is no driver or no device, RP_FAILED where the driver that is there cannot
 * be loaded or does not start, or rp_config.gpu is not set.
 */
int gpu_driver(const struct cuda **cuda);

/* Reads what is known of a device without a context. 0, or a CUDA result with *call as its name. */
int gpu_describe(const struct cuda *cuda, int index, struct rp_gpu *gpu, const char **call);

/* This thread's lane on the device, which is then current. NULL with this thread's error set. */
struct gpu_lane *gpu_enter(struct rp_gpu *gpu);

/* The driver once a device is open; never NULL after gpu_enter. */
const struct cuda *gpu_cuda(void);

/*
 * RP_OK for a result of 0. Else the thread's error becomes "<what>: NAME (number): text", a sticky
 * result marks the GPU as lost, and RP_FAILED is returned.
 */
int gpu_result(int result, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Sets the thread's error, and returns the code it is given. */
int gpu_complain(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Why the GPU is lost; NULL while it is not. */
const char *gpu_lost(void);

/* Waits for what this thread has left unfinished, on all devices. */
void gpu_finish_lanes(void);

/* Loads a module with the JIT's complaints in the thread's error. */
int gpu_load(struct rp_gpu *gpu, const void *image, cuda_module *module);

/* What --gpu-info tells. */
struct gpu_report {
    const struct cuda *cuda;
    char file[PATH_MAX];      /* the driver's, links followed; "" where there is none */
    const char *file_version; /* "535.261.03" as the file's name has it, or "" */
    struct rp_gpu devices[GPU_DEVICES_MAX];
    int count;
    int64_t devices_us; /* how long asking for the devices took */
    struct err err;     /* why there is no device, or not all is known */
    int status;         /* exit status */
};

/* Adds it as JSON. 0, or ERR_LIMIT or ERR_MEMORY of the buffer. */
int gpu_report_json(const struct gpu_report *info, struct buf *out, struct err *err);

/* The driver's version in the name of its file, "535.261.03"; "" where it has none. Linked. */
const char *gpu_file_version(const char *path);

/*
 * The computation of the fitness check, done again: is results[i], for each i of count, what the
 * check's kernel makes of i in so many steps?
 */
bool gpu_results_right(const uint32_t *results, uint32_t count, uint32_t steps);

/* The members of struct rp_gpu_part. */
struct gpu_verdict;
void gpu_begin(const struct config *config);
int gpu_info(const struct config *config);
void gpu_check(const struct config *config, bool required, struct gpu_verdict *verdict);
bool gpu_settle(rp_job *job);

#endif
