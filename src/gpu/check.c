/*
 * The GPU's fitness check: the CUDA version, the driver's start, and on every device memory and a
 * small computation whose results the CPU repeats (source: the SDK's checks and their variables).
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/flag.h"
#include "base/log.h"
#include "base/thread.h"
#include "gpu/gpu_private.h"
#include "gpu/part.h"
#include "loader/loader.h"

#define TEST_BYTES (16u << 20) /* allocated, filled and read back on every device */
#define TEST_BYTE 0xa5
#define COMPUTE_THREADS 32768u
#define COMPUTE_BLOCK 256u  /* threads per block */
#define COMPUTE_STEPS 1000u /* by each thread */

/*
 * Each thread advances a linear congruential generator that starts from the thread's number. Being
 * integers, the results are exactly the CPU's.
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

/* A running check, on a thread of its own. */
struct gpu_step {
    const struct config *config;
    struct flag done;
    struct gpu_check_result result; /* name is NULL until something has failed */
    const struct cuda *cuda;
    int device;                 /* the one being checked */
    _Atomic(const char *) step; /* what the driver is doing, for a time-out's reason */
};

/* Keeps the first reason: later failures follow from it. Returns false. */
static bool unfit(struct gpu_step *check, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool unfit(struct gpu_step *check, const char *name, const char *format, ...)
{
    struct gpu_check_result *result = &check->result;
    va_list args;
    if (result->name != NULL)
        return false;
    result->name = name;
    va_start(args, format);
    vsnprintf(result->reason, sizeof result->reason, format, args);
    va_end(args);
    return false;
}

/* True for CUDA_SUCCESS; any other result is the reason, with the device and the call. */
static bool passed(struct gpu_step *check, const char *name, const char *call, int result)
{
    char what[64];
    struct err err;
    if (result == CUDA_SUCCESS)
        return true;
    snprintf(what, sizeof what, "GPU %d: %s", check->device, call);
    cuda_error(check->cuda, result, what, &err);
    return unfit(check, name, "%s", err.text);
}

static bool check_version(struct gpu_step *check)
{
    int least = (int)check->config->gpu.min_cuda_version, version = check->cuda->version;
    if (version >= least)
        return true;
    return unfit(check, "cuda_version_check",
                 "CUDA version too old: the driver supports %d.%d, %d.%d is required "
                 "(RUNPOD_MIN_CUDA_VERSION)",
                 version / 1000, version % 1000 / 10, least / 1000, least % 1000 / 10);
}

/* --- memory --------------------------------------------------------------------------------- */

static bool holds_byte(const unsigned char *bytes, size_t count, unsigned char wanted)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != wanted)
            return false;
    return true;
}

static bool use_memory(struct gpu_step *check, cuda_address memory, unsigned char *copy)
{
    static const char name[] = "gpu_memory_check";
    const struct cuda *cuda = check->cuda;
    if (!passed(check, name, "cuMemsetD8", cuda->fill(memory, TEST_BYTE, TEST_BYTES)) ||
        !passed(check, name, "cuMemcpyDtoH", cuda->read(copy, memory, TEST_BYTES)))
        return false;
    return holds_byte(copy, TEST_BYTES, TEST_BYTE) ||
           unfit(check, name, "GPU %d: its memory does not read back what was written",
                 check->device);
}

static bool check_memory(struct gpu_step *check)
{
    const struct cuda *cuda = check->cuda;
    cuda_address memory = 0;
    unsigned char *copy = malloc(TEST_BYTES);
    atomic_store(&check->step, "allocating memory");
    if (copy == NULL)
        return unfit(check, "gpu_memory_check", "no host memory for the check");
    bool fit = passed(check, "gpu_memory_check", "cuMemAlloc", cuda->alloc(&memory, TEST_BYTES));
    if (fit) {
        fit = use_memory(check, memory, copy);
        fit = passed(check, "gpu_memory_check", "cuMemFree", cuda->free(memory)) && fit;
    }
    free(copy);
    return fit;
}

/* --- computation ---------------------------------------------------------------------------- */

bool gpu_results_match(const uint32_t *results, uint32_t count, uint32_t steps)
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

static bool compute(struct gpu_step *check, cuda_function function, cuda_address memory)
{
    static const char name[] = "gpu_compute_check";
    static uint32_t results[COMPUTE_THREADS];
    const struct cuda *cuda = check->cuda;
    uint32_t steps = COMPUTE_STEPS;
    void *arguments[] = { &memory, &steps };
    int64_t limit_ms = check->config->gpu.benchmark_ms, begun_ms = clock_now_ms();
    if (!passed(check, name, "cuLaunchKernel",
                cuda->launch(function, COMPUTE_THREADS / COMPUTE_BLOCK, 1, 1, COMPUTE_BLOCK, 1, 1,
                             0, NULL, arguments, NULL)) ||
        !passed(check, name, "cuCtxSynchronize", cuda->context_wait()) ||
        !passed(check, name, "cuMemcpyDtoH", cuda->read(results, memory, sizeof results)))
        return false;
    int64_t took_ms = clock_now_ms() - begun_ms;
    if (took_ms > limit_ms)
        return unfit(check, name,
                     "GPU %d is too slow: a small computation took %lld ms, the limit is %lld ms "
                     "(RUNPOD_GPU_BENCHMARK_TIMEOUT)",
                     check->device, (long long)took_ms, (long long)limit_ms);
    return gpu_results_match(results, COMPUTE_THREADS, COMPUTE_STEPS) ||
           unfit(check, name, "GPU %d computes wrong results", check->device);
}

static bool check_compute(struct gpu_step *check)
{
    static const char name[] = "gpu_compute_check";
    const struct cuda *cuda = check->cuda;
    cuda_module module;
    cuda_function function;
    cuda_address memory;
    atomic_store(&check->step, "computing");
    if (!passed(check, name, "cuModuleLoadDataEx",
                cuda->module_load(&module, kernel_ptx, 0, NULL, NULL)))
        return false;
    bool fit = passed(check, name, "cuModuleGetFunction",
                      cuda->module_function(&function, module, "rp_check")) &&
               passed(check, name, "cuMemAlloc",
                      cuda->alloc(&memory, COMPUTE_THREADS * sizeof(uint32_t)));
    if (fit) {
        fit = compute(check, function, memory);
        fit = passed(check, name, "cuMemFree", cuda->free(memory)) && fit;
    }
    return passed(check, name, "cuModuleUnload", cuda->module_unload(module)) && fit;
}

/* --- the whole check ------------------------------------------------------------------------ */

static bool check_device(struct gpu_step *check)
{
    static const char name[] = "cuda_init_check";
    const struct cuda *cuda = check->cuda;
    cuda_device device;
    cuda_context context;
    atomic_store(&check->step, "initialising");
    if (!passed(check, name, "cuDeviceGet", cuda->device_get(&device, check->device)) ||
        !passed(check, name, "cuDevicePrimaryCtxRetain", cuda->context_retain(&context, device)))
        return false;
    bool fit = passed(check, name, "cuCtxSetCurrent", cuda->context_set(context)) &&
               check_memory(check) && check_compute(check);
    /* Frees the context's memory, unless a handler has opened the device too. */
    cuda->context_set(NULL);
    return passed(check, name, "cuDevicePrimaryCtxRelease", cuda->context_release(device)) && fit;
}

static void *check_main(void *argument)
{
    struct gpu_step *check = argument;
    struct err err = { 0 };
    bool fit = cuda_open(check->config->gpu.libcuda, &check->cuda, &err) == 0;
    loader_enter();
    /* If the driver is too old, that explains more than the failures that follow from it. */
    if (check->cuda->version != 0 && !check_version(check))
        fit = false;
    else if (!fit)
        unfit(check, "cuda_init_check", "%s", err.text);
    for (; fit && check->device < check->cuda->device_count; check->device++) {
        fit = check_device(check);
        if (!fit)
            break;
    }
    check->result.fit = fit;
    flag_raise(&check->done);
    return NULL;
}

/*
 * Device nodes alone prove nothing: libcuda makes them when it is started as root, on a machine
 * without a GPU too, and they stay. The kernel's module has its own folder in /proc; WSL has none.
 */
bool gpu_has_kernel_driver(const char *root)
{
    static const struct {
        const char *node, *proof;
    } devices[] = {
        { "/dev/nvidiactl", "/proc/driver/nvidia" },
        { "/dev/nvidia0", "/proc/driver/nvidia" },
        { "/dev/dxg", "/dev/dxg" },
    };
    char node[PATH_MAX], proof[PATH_MAX];
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
        snprintf(node, sizeof node, "%s%s", root, devices[i].node);
        snprintf(proof, sizeof proof, "%s%s", root, devices[i].proof);
        if (access(node, F_OK) == 0 && access(proof, F_OK) == 0)
            return true;
    }
    return false;
}

/* Somebody has named or mounted the driver's library, or the kernel has its module. */
static bool is_expected(const struct config *config)
{
    char path[LOADER_PATH_BYTES];
    return config->gpu.libcuda != NULL || gpu_has_kernel_driver("") ||
           loader_find("libcuda.so.1", NULL, path, sizeof path, NULL) == 0;
}

static void report_hang(struct gpu_step *check, int64_t timeout_ms, struct gpu_check_result *result)
{
    result->fit = false;
    result->hangs = true;
    result->name = "cuda_init_check";
    snprintf(result->reason, sizeof result->reason,
             "the GPU driver did not answer within %lld s while %s (RUNPOD_GPU_TEST_TIMEOUT)",
             (long long)timeout_ms / 1000, atomic_load(&check->step));
}

/* In this process; what the other one does, too. Returns how many devices there are. */
static int check_here(const struct config *config, struct gpu_check_result *result, int *version)
{
    /* Not on the stack: the thread may outlive this call. */
    static struct gpu_step check;
    struct err err;
    check.config = config;
    check.step = "starting";
    flag_init(&check.done);
    if (thread_start(check_main, &check, LOADER_STACK_BYTES, &err) != 0) {
        unfit(&check, "cuda_init_check", "%s", err.text);
        *result = check.result;
        return 0;
    }
    if (!flag_wait(&check.done, clock_deadline(config->gpu.test_ms))) {
        report_hang(&check, config->gpu.test_ms, result);
        return 0;
    }
    *result = check.result;
    *version = check.cuda->version;
    return check.cuda->device_count;
}

/* --- in a process of its own ---------------------------------------------------------------- */

/* What the other process answers. It was forked and runs no other program: pointers are valid. */
struct answer {
    struct gpu_check_result result;
    int device_count, version;
};

static int checker_fd = -1; /* a socket to it */
static pid_t checker;

static _Noreturn void checker_main(int fd)
{
    static struct answer answer;
    const struct config *config = NULL;
    prctl(PR_SET_DUMPABLE, 0); /* it has the API key in its memory */
    // NOLINTNEXTLINE(bugprone-sizeof-expression): the pointer itself goes over, memory is the same
    if (read(fd, &config, sizeof config) != sizeof config)
        _exit(0); /* the worker has ended or needs no check */
    log_init(LOG_WARN, false);
    answer.device_count = check_here(config, &answer.result, &answer.version);
    ssize_t written = write(fd, &answer, sizeof answer);
    _exit(written == sizeof answer ? 0 : 1); /* the driver's destructors have nothing to do */
}

void gpu_prepare_check(void)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return;
    checker = fork();
    if (checker == 0) {
        close(ends[0]);
        checker_main(ends[1]);
    }
    close(ends[1]);
    if (checker > 0)
        checker_fd = ends[0];
    else
        close(ends[0]);
}

/* Ends it, whatever it does. One that is stuck in the kernel is left to the system. */
static void end_checker(void)
{
    enum { PATIENCE_MS = 1000, STEP_MS = 5 };
    deadline_ms deadline = clock_deadline(PATIENCE_MS);
    close(checker_fd);
    checker_fd = -1;
    kill(checker, SIGKILL);
    while (waitpid(checker, NULL, WNOHANG) == 0 && clock_left_ms(deadline) > 0)
        clock_sleep(clock_deadline(STEP_MS));
}

/* The driver's own limit is test_ms; a process that does not answer by then is as good as hung. */
static int check_there(const struct config *config, struct gpu_check_result *result, int *version)
{
    enum { PATIENCE_MS = 1000 };
    static struct answer answer;
    struct pollfd wanted = { .fd = checker_fd, .events = POLLIN };
    deadline_ms deadline = clock_deadline(config->gpu.test_ms + PATIENCE_MS);
    ssize_t got = -1;
    int rc = -1;
    // NOLINTNEXTLINE(bugprone-sizeof-expression): see checker_main
    if (send(checker_fd, &config, sizeof config, MSG_NOSIGNAL) == sizeof config) {
        do
            rc = poll(&wanted, 1, clock_left_ms(deadline));
        while (rc < 0 && errno == EINTR);
        got = rc > 0 ? recv(checker_fd, &answer, sizeof answer, MSG_DONTWAIT) : -1;
    }
    end_checker();
    if (got != sizeof answer) {
        *result = (struct gpu_check_result){ .name = "cuda_init_check" };
        snprintf(result->reason, sizeof result->reason, "%s",
                 rc > 0 ? "the process that checks the GPU has crashed in the driver"
                        : "the process that checks the GPU does not answer");
        return 0;
    }
    *result = answer.result;
    result->hangs = false; /* this process has no driver to wait for */
    *version = answer.version;
    return answer.device_count;
}

void gpu_check(const struct config *config, bool required, struct gpu_check_result *result)
{
    int count = 0, version = 0;
    *result = (struct gpu_check_result){ .fit = true };
    if (!required && !is_expected(config)) {
        if (checker_fd >= 0)
            end_checker();
        return;
    }
    count = checker_fd >= 0 ? check_there(config, result, &version)
                            : check_here(config, result, &version);
    if (result->fit)
        log_write(LOG_DEBUG, NULL, "Fitness check passed: %d GPU(s), CUDA %d.%d", count,
                  version / 1000, version % 1000 / 10);
}
