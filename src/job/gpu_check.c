/*
 * The fitness of a GPU: the CUDA version, the driver's start, memory on every device, and a small
 * computation whose result is known (source: the SDK's checks and their variables).
 */
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/flag.h"
#include "base/log.h"
#include "base/thread.h"
#include "gpu/loader.h"
#include "job/gpu_inside.h"
#include "job/gpu_part.h"

#define TEST_BYTES (16u << 20) /* allocated, filled and read back on every device */
#define TEST_BYTE 0xa5
#define THREADS 32768u /* of the computation: in blocks of 256 */
#define BLOCK 256u
#define STEPS 1000u /* of each thread */

/*
 * Each thread steps a linear congruential generator from its own number on: integers alone, so that
 * the CPU must come to the very same ones.
 */
static const char kernel_ptx[] = ".version 6.0\n"
                                 ".target sm_70\n"
                                 ".address_size 64\n"
                                 ".visible .entry rp_check(.param .u64 out, .param .u32 steps)\n"
                                 "{\n"
                                 "    .reg .pred %p;\n"
                                 "    .reg .b32 %x, %i, %n, %t, %b, %d;\n"
                                 "    .reg .b64 %o, %a;\n"
                                 "    ld.param.u64 %o, [out];\n"
                                 "    ld.param.u32 %n, [steps];\n"
                                 "    mov.u32 %t, %tid.x;\n"
                                 "    mov.u32 %b, %ctaid.x;\n"
                                 "    mov.u32 %d, %ntid.x;\n"
                                 "    mad.lo.u32 %t, %b, %d, %t;\n"
                                 "    mov.u32 %x, %t;\n"
                                 "    mov.u32 %i, 0;\n"
                                 "LOOP:\n"
                                 "    mad.lo.u32 %x, %x, 1664525, 1013904223;\n"
                                 "    add.u32 %i, %i, 1;\n"
                                 "    setp.lt.u32 %p, %i, %n;\n"
                                 "    @%p bra LOOP;\n"
                                 "    mul.wide.u32 %a, %t, 4;\n"
                                 "    cvta.to.global.u64 %o, %o;\n"
                                 "    add.u64 %a, %o, %a;\n"
                                 "    st.global.u32 [%a], %x;\n"
                                 "    ret;\n"
                                 "}\n";

/* One run of the checks, on a thread of its own. */
struct run {
    const struct config *config;
    struct flag done;
    struct gpu_verdict verdict; /* name: NULL until a check has failed */
    const struct cuda *cuda;
    int device;                 /* that is being looked at */
    _Atomic(const char *) step; /* what is going on */
};

/* The first reason stays: what fails after it fails because of it. */
static bool unfit(struct run *run, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool unfit(struct run *run, const char *name, const char *format, ...)
{
    struct gpu_verdict *verdict = &run->verdict;
    va_list args;
    if (verdict->name != NULL)
        return false;
    verdict->name = name;
    va_start(args, format);
    vsnprintf(verdict->reason, sizeof verdict->reason, format, args);
    va_end(args);
    return false;
}

/* True for a result of 0; else the device and the call are named. */
static bool passed(struct run *run, const char *name, const char *call, int result)
{
    char what[64];
    struct err err;
    if (result == CUDA_SUCCESS)
        return true;
    snprintf(what, sizeof what, "GPU %d: %s", run->device, call);
    cuda_error(run->cuda, result, what, &err);
    return unfit(run, name, "%s", err.text);
}

static bool check_version(struct run *run)
{
    int least = (int)run->config->gpu.min_cuda_version, version = run->cuda->version;
    if (version >= least)
        return true;
    return unfit(
        run, "cuda_version_check",
        "CUDA version too old: the driver has %d.%d, %d.%d required (RUNPOD_MIN_CUDA_VERSION)",
        version / 1000, version % 1000 / 10, least / 1000, least % 1000 / 10);
}

/* --- memory -------------------------------------------------------------------------------- */

static bool holds_byte(const unsigned char *bytes, size_t count, unsigned char wanted)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != wanted)
            return false;
    return true;
}

static bool use_memory(struct run *run, cuda_address memory, unsigned char *copy)
{
    static const char name[] = "gpu_memory_check";
    const struct cuda *cuda = run->cuda;
    if (!passed(run, name, "cuMemsetD8", cuda->fill(memory, TEST_BYTE, TEST_BYTES)) ||
        !passed(run, name, "cuMemcpyDtoH", cuda->read(copy, memory, TEST_BYTES)))
        return false;
    return holds_byte(copy, TEST_BYTES, TEST_BYTE) ||
           unfit(run, name, "GPU %d: its memory gives back other bytes than were written",
                 run->device);
}

static bool check_memory(struct run *run)
{
    const struct cuda *cuda = run->cuda;
    cuda_address memory = 0;
    unsigned char *copy = malloc(TEST_BYTES);
    atomic_store(&run->step, "allocating memory");
    if (copy == NULL)
        return unfit(run, "gpu_memory_check", "no memory on the host for the check");
    bool fit = passed(run, "gpu_memory_check", "cuMemAlloc", cuda->alloc(&memory, TEST_BYTES));
    if (fit) {
        fit = use_memory(run, memory, copy);
        fit = passed(run, "gpu_memory_check", "cuMemFree", cuda->free(memory)) && fit;
    }
    free(copy);
    return fit;
}

/* --- computation --------------------------------------------------------------------------- */

bool gpu_results_right(const uint32_t *results, uint32_t count, uint32_t steps)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t x = i;
        for (uint32_t step = 0; step < steps; step++)
            x = x * 1664525u + 1013904223u;
        if (results[i] != x)
            return false;
    }
    return true;
}

static bool compute(struct run *run, cuda_function function, cuda_address memory)
{
    static const char name[] = "gpu_compute_check";
    static uint32_t results[THREADS];
    const struct cuda *cuda = run->cuda;
    uint32_t steps = STEPS;
    void *arguments[] = { &memory, &steps };
    int64_t limit_ms = run->config->gpu.benchmark_ms, begun_ms = clock_now_ms();
    if (!passed(
            run, name, "cuLaunchKernel",
            cuda->launch(function, THREADS / BLOCK, 1, 1, BLOCK, 1, 1, 0, NULL, arguments, NULL)) ||
        !passed(run, name, "cuCtxSynchronize", cuda->context_wait()) ||
        !passed(run, name, "cuMemcpyDtoH", cuda->read(results, memory, sizeof results)))
        return false;
    int64_t took_ms = clock_now_ms() - begun_ms;
    if (took_ms > limit_ms)
        return unfit(run, name,
                     "GPU %d is too slow: a small computation took %lld ms, %lld allowed "
                     "(RUNPOD_GPU_BENCHMARK_TIMEOUT)",
                     run->device, (long long)took_ms, (long long)limit_ms);
    return gpu_results_right(results, THREADS, STEPS) ||
           unfit(run, name, "GPU %d computes wrong results", run->device);
}

static bool check_compute(struct run *run)
{
    static const char name[] = "gpu_compute_check";
    const struct cuda *cuda = run->cuda;
    cuda_module module;
    cuda_function function;
    cuda_address memory;
    atomic_store(&run->step, "computing");
    if (!passed(run, name, "cuModuleLoadDataEx",
                cuda->module_load(&module, kernel_ptx, 0, NULL, NULL)))
        return false;
    bool fit = passed(run, name, "cuModuleGetFunction",
                      cuda->module_function(&function, module, "rp_check")) &&
               passed(run, name, "cuMemAlloc", cuda->alloc(&memory, THREADS * sizeof(uint32_t)));
    if (fit) {
        fit = compute(run, function, memory);
        fit = passed(run, name, "cuMemFree", cuda->free(memory)) && fit;
    }
    return passed(run, name, "cuModuleUnload", cuda->module_unload(module)) && fit;
}

/* --- all of it ----------------------------------------------------------------------------- */

static bool check_device(struct run *run)
{
    static const char name[] = "cuda_init_check";
    const struct cuda *cuda = run->cuda;
    cuda_device device;
    cuda_context context;
    atomic_store(&run->step, "initialising");
    if (!passed(run, name, "cuDeviceGet", cuda->device_get(&device, run->device)) ||
        !passed(run, name, "cuDevicePrimaryCtxRetain", cuda->context_retain(&context, device)))
        return false;
    bool fit = passed(run, name, "cuCtxSetCurrent", cuda->context_set(context)) &&
               check_memory(run) && check_compute(run);
    /* A handler that has opened the device keeps it; else the context's memory is given back. */
    cuda->context_set(NULL);
    return passed(run, name, "cuDevicePrimaryCtxRelease", cuda->context_release(device)) && fit;
}

static void *run_main(void *argument)
{
    struct run *run = argument;
    struct err err = { 0 };
    bool fit = cuda_open(run->config->gpu.libcuda, &run->cuda, &err) == 0;
    loader_enter();
    /* An old driver's version says more than what fails because of it. */
    if (run->cuda->version != 0 && !check_version(run))
        fit = false;
    else if (!fit)
        unfit(run, "cuda_init_check", "%s", err.text);
    for (; fit && run->device < run->cuda->device_count; run->device++) {
        fit = check_device(run);
        if (!fit)
            break;
    }
    run->verdict.fit = fit;
    flag_raise(&run->done);
    return NULL;
}

/* Where the driver's kernel module has made devices, or its libraries have been put here. */
static bool is_expected(const struct config *config)
{
    static const char *const nodes[] = { "/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg" };
    char path[LOADER_PATH_BYTES];
    if (config->gpu.libcuda != NULL)
        return true;
    for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++)
        if (access(nodes[i], F_OK) == 0)
            return true;
    return loader_find("libcuda.so.1", NULL, path, sizeof path, NULL) == 0;
}

static void say_hung(struct run *run, int64_t timeout_ms, struct gpu_verdict *verdict)
{
    verdict->fit = false;
    verdict->hangs = true;
    verdict->name = "cuda_init_check";
    snprintf(verdict->reason, sizeof verdict->reason,
             "the GPU's driver did not answer within %lld s while %s (RUNPOD_GPU_TEST_TIMEOUT)",
             (long long)timeout_ms / 1000, atomic_load(&run->step));
}

void gpu_check(const struct config *config, bool required, struct gpu_verdict *verdict)
{
    /* Not on this stack: the thread may never come back. */
    static struct run run;
    struct err err;
    *verdict = (struct gpu_verdict){ .fit = true };
    if (!required && !is_expected(config))
        return;
    run.config = config;
    run.step = "starting";
    flag_init(&run.done);
    if (thread_start(run_main, &run, LOADER_STACK_BYTES, &err) != 0) {
        unfit(&run, "cuda_init_check", "%s", err.text);
        *verdict = run.verdict;
    } else if (flag_wait(&run.done, clock_deadline(config->gpu.test_ms))) {
        *verdict = run.verdict;
        if (verdict->fit)
            log_write(LOG_DEBUG, NULL, "Fitness check passed: %d GPU(s), CUDA %d.%d",
                      run.cuda->device_count, run.cuda->version / 1000,
                      run.cuda->version % 1000 / 10);
    } else {
        say_hung(&run, config->gpu.test_ms, verdict);
    }
}
