/*
 * CUDA C++ at run time: compiles the job's source with NVIDIA's own compiler library, NVRTC, from
 * an image without glibc, and runs it. Example and proof of rp_gpu_library.
 *
 * Input:  {"source": "extern \"C\" __global__ void f(float *x, unsigned n) { ... }",
 *          "kernel": "f", "data": [1, 2, 3]}
 * Output: {"data": [...], "log": "...", "compile_ms": 45.1, "device": "..."}
 * The kernel gets the data and their count, one thread each, and writes its results over them.
 *
 * MUST NOT FACE STRANGERS: the source runs on the GPU with all that the process may do there, and
 * it can hang the device or read its memory.
 *
 * The image needs libnvrtc.so.12 and libnvrtc-builtins.so.12.9 (or another pair) in /cuda/lib:
 * docker/cuda.Dockerfile. LD_LIBRARY_PATH names another folder. NVRTC_NAME another file.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rp_gpu.h"
#include "worker.h"

#define COUNT_MAX 1000000
#define BLOCK 256
#define LOG_BYTES 4096

typedef struct program *program;

/* The part of NVRTC's API that is used here (nvrtc.h). */
static struct {
    int (*create)(program *made, const char *source, const char *name, int headers,
                  const char *const *header_texts, const char *const *header_names);
    int (*compile)(program made, int options, const char *const *texts);
    int (*log_size)(program made, size_t *bytes);
    int (*log)(program made, char *text);
    int (*ptx_size)(program made, size_t *bytes);
    int (*ptx)(program made, char *text);
    int (*destroy)(program *made);
    const char *(*error)(int result);
} nvrtc;

static rp_gpu *gpu; /* NULL: compiles for sm_80 and returns the size of the code */
static char no_gpu[400];

static int bind(rp_gpu_lib *library)
{
    const struct {
        const char *name;
        void *function;
    } wanted[] = {
        { "nvrtcCreateProgram", &nvrtc.create },       { "nvrtcCompileProgram", &nvrtc.compile },
        { "nvrtcGetProgramLogSize", &nvrtc.log_size }, { "nvrtcGetProgramLog", &nvrtc.log },
        { "nvrtcGetPTXSize", &nvrtc.ptx_size },        { "nvrtcGetPTX", &nvrtc.ptx },
        { "nvrtcDestroyProgram", &nvrtc.destroy },     { "nvrtcGetErrorString", &nvrtc.error },
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        void *address = rp_gpu_symbol(library, wanted[i].name);
        if (address == NULL)
            return RP_FAILED;
        memcpy(wanted[i].function, &address, sizeof address);
    }
    return RP_OK;
}

static int setup(void *user)
{
    rp_gpu_lib *library;
    const char *name = getenv("NVRTC_NAME"); // NOLINT(concurrency-mt-unsafe): one thread so far
    (void)user;
    int rc = rp_gpu_open(0, &gpu);
    if (rc == RP_MISSING) {
        gpu = NULL;
        strncpy(no_gpu, rp_gpu_error(), sizeof no_gpu - 1);
        rp_log(NULL, RP_WARN, "No GPU: sources are compiled and not run. %s", no_gpu);
    } else if (rc != RP_OK) {
        return rc;
    }
    rc = rp_gpu_library(name != NULL ? name : "libnvrtc.so.12", &library);
    return rc == RP_OK ? bind(library) : rc;
}

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* The compiler's messages, in the job's memory; "" where there are none to be had. */
static const char *messages(rp_job *job, program made)
{
    size_t bytes = 0; /* with the NUL */
    char *text = nvrtc.log_size(made, &bytes) == 0 ? rp_alloc(job, bytes + 1) : NULL;
    if (text == NULL || nvrtc.log(made, text) != 0)
        return "";
    text[bytes < LOG_BYTES ? bytes : LOG_BYTES] = '\0';
    return text;
}

/* What a program was compiled to, in the job's memory; NULL if the job has been failed. */
static char *ptx_of(rp_job *job, program made)
{
    size_t bytes = 0;
    int result = nvrtc.ptx_size(made, &bytes);
    char *ptx = result == 0 ? rp_alloc(job, bytes) : NULL;
    if (ptx != NULL)
        result = nvrtc.ptx(made, ptx);
    if (result != 0)
        rp_fail(job, "the compiled code: %s", nvrtc.error(result));
    else if (ptx == NULL)
        rp_fail(job, "the compiled code does not fit into the job's memory");
    return result == 0 ? ptx : NULL;
}

/* PTX in the job's memory; NULL if the job has been failed. */
static char *compile(rp_job *job, const char *source, const char **log)
{
    char architecture[48];
    const char *options[] = { architecture };
    program made = NULL;
    snprintf(architecture, sizeof architecture, "--gpu-architecture=compute_%d",
             gpu != NULL ? rp_gpu_about(gpu)->capability : 80);
    int result = nvrtc.create(&made, source, "job.cu", 0, NULL, NULL);
    if (result != 0) {
        rp_fail(job, "%s", nvrtc.error(result));
        return NULL;
    }
    result = nvrtc.compile(made, 1, options);
    *log = messages(job, made);
    if (result != 0)
        rp_fail(job, "%s: %s", nvrtc.error(result), *log);
    char *ptx = result == 0 ? ptx_of(job, made) : NULL;
    nvrtc.destroy(&made);
    return ptx;
}

static int read_data(rp_job *job, float **numbers, uint32_t *count)
{
    rp_value list = rp_get(rp_input(job), "data");
    size_t length = rp_count(list), at = 0;
    if (rp_type_of(list) != RP_ARRAY || length == 0 || length > COUNT_MAX)
        return rp_fail(job, "input.data must be a list of 1 to %d numbers", COUNT_MAX);
    *numbers = rp_alloc(job, length * sizeof **numbers);
    if (*numbers == NULL)
        return rp_fail(job, "input.data does not fit into the job's memory");
    for (rp_iter it = rp_each(list); rp_next(&it);) {
        double number;
        if (rp_to_double(it.value, &number) != RP_OK || !isfinite((float)number))
            return rp_fail(job, "input.data[%zu] is not a number that fits a 32-bit float", at);
        (*numbers)[at++] = (float)number;
    }
    *count = (uint32_t)length;
    return RP_OK;
}

static int run_kernel(rp_job *job, rp_gpu_module *module, const char *name, float *data,
                      uint32_t count)
{
    rp_gpu_kernel *kernel;
    rp_gpu_ptr memory;
    size_t bytes = count * sizeof *data;
    if (rp_gpu_find(module, name, &kernel) != RP_OK ||
        rp_gpu_alloc(gpu, job, bytes, &memory) != RP_OK ||
        rp_gpu_write(gpu, memory, data, bytes) != RP_OK ||
        rp_gpu_launch(kernel, RP_GPU_DIM((count + BLOCK - 1) / BLOCK), RP_GPU_DIM(BLOCK), 0,
                      RP_GPU_ARGS(&memory, &count)) != RP_OK ||
        rp_gpu_read(gpu, data, memory, bytes) != RP_OK)
        return rp_gpu_fail(job);
    return RP_OK;
}

/* The code is the job's alone, so it is unloaded with it. */
static int run_ptx(rp_job *job, const char *ptx, const char *name, float *data, uint32_t count)
{
    rp_gpu_module *module;
    if (rp_gpu_load(gpu, ptx, &module) != RP_OK)
        return rp_gpu_fail(job);
    int rc = run_kernel(job, module, name, data, count);
    rp_gpu_unload(module);
    return rc;
}

static char *text_of(rp_job *job, const char *name)
{
    rp_str text;
    if (rp_get_str(rp_input(job), name, &text) != RP_OK) {
        rp_fail(job, "input.%s must be a string", name);
        return NULL;
    }
    char *copy = rp_alloc(job, text.len + 1);
    if (copy == NULL) {
        rp_fail(job, "input.%s does not fit into the job's memory", name);
        return NULL;
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return copy;
}

static int run(rp_job *job, void *user)
{
    float *data = NULL;
    uint32_t count = 0;
    const char *log = "";
    (void)user;
    const char *source = text_of(job, "source");
    const char *kernel = source != NULL ? text_of(job, "kernel") : NULL;
    if (kernel == NULL || read_data(job, &data, &count) != RP_OK)
        return RP_FAILED;
    double begun_ms = now_ms();
    const char *ptx = compile(job, source, &log);
    if (ptx == NULL)
        return RP_FAILED;
    double compile_ms = now_ms() - begun_ms;
    if (gpu == NULL)
        return rp_return(job,
                         "{\"ptx_bytes\": %zu, \"log\": %Q, \"compile_ms\": %.1f, "
                         "\"no_gpu\": %Q}",
                         strlen(ptx), log, compile_ms, no_gpu);
    if (run_ptx(job, ptx, kernel, data, count) != RP_OK)
        return RP_FAILED;
    rp_write(job, "{\"data\": [");
    for (uint32_t i = 0; i < count; i++)
        rp_write(job, i > 0 ? ", %.9g" : "%.9g", (double)data[i]);
    return rp_write(job, "], \"log\": %Q, \"compile_ms\": %.1f, \"device\": %Q}", log, compile_ms,
                    rp_gpu_about(gpu)->name);
}

int main(int argc, char **argv)
{
    return rp_start(argc, argv,
                    &(rp_config){ .handler = run, .setup = setup, .gpu = &rp_gpu_part });
}
