/*
 * Calls CUDA's own libraries, for the tests and the kit. Built twice (opener.h), so that results
 * and times can be compared.
 *
 *   cudalibs nvrtc LIBNVRTC FILE.cu sm_NN OUT.cubin [THREADS]   compiles CUDA C++ on each thread
 *   cudalibs cudart LIBCUDART                                   versions, devices, an allocation
 *   cudalibs gemm LIBCUDA LIBCUBLAS [N]                         products of matrices, fp32 and bf16
 *   cudalibs calls LIBCUDA [MIB]           first kernel, launches, copies and allocations, timed
 * Exit status 0; 1 with the reason on standard output; 2 for wrong arguments; 4 without a device.
 */
#include <pthread.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include "opener.h"

#define THREADS_MAX 16
#define STACK_BYTES (8u << 20)

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, 1 << 20);
    if (file == NULL || text == NULL || fread(text, 1, (1 << 20) - 1, file) == 0)
        die("the source cannot be read");
    fclose(file);
    return text;
}

/* --- NVRTC ---------------------------------------------------------------------------------- */

typedef struct program *program;
static struct {
    int (*create)(program *, const char *, const char *, int, const char *const *,
                  const char *const *);
    int (*compile)(program, int, const char *const *);
    int (*log_size)(program, size_t *);
    int (*log)(program, char *);
    int (*cubin_size)(program, size_t *);
    int (*cubin)(program, char *);
    int (*version)(int *, int *);
} nvrtc;

struct compiled {
    const char *source, *arch;
    char *cubin;
    size_t bytes;
    double ms;
};

static void *compile(void *argument)
{
    struct compiled *job = argument;
    char option[64], log[4096] = "";
    const char *options[] = { option };
    program made = NULL;
    size_t log_bytes = 0;
    enter();
    snprintf(option, sizeof option, "--gpu-architecture=%s", job->arch);
    double start = now_ms();
    int rc = nvrtc.create(&made, job->source, "kernel.cu", 0, NULL, NULL);
    if (rc == 0)
        rc = nvrtc.compile(made, 1, options);
    if (made != NULL && nvrtc.log_size(made, &log_bytes) == 0 && log_bytes < sizeof log)
        nvrtc.log(made, log);
    if (rc == 0)
        rc = nvrtc.cubin_size(made, &job->bytes);
    if (rc == 0)
        rc = (job->cubin = malloc(job->bytes)) != NULL ? nvrtc.cubin(made, job->cubin) : -1;
    job->ms = now_ms() - start;
    if (rc != 0) {
        printf("nvrtc %d: %s\n", rc, log);
        exit(1);
    }
    return NULL;
}

static int run_nvrtc(const char *path, const char *source, const char *arch, const char *out,
                     int count)
{
    static struct compiled jobs[THREADS_MAX];
    pthread_t threads[THREADS_MAX];
    pthread_attr_t attr;
    int major = 0, minor = 0;
    double start = now_ms();
    library *lib = open_library(path);
    double load_ms = now_ms() - start;
    WANT(lib, "nvrtcCreateProgram", nvrtc.create);
    WANT(lib, "nvrtcCompileProgram", nvrtc.compile);
    WANT(lib, "nvrtcGetProgramLogSize", nvrtc.log_size);
    WANT(lib, "nvrtcGetProgramLog", nvrtc.log);
    WANT(lib, "nvrtcGetCUBINSize", nvrtc.cubin_size);
    WANT(lib, "nvrtcGetCUBIN", nvrtc.cubin);
    WANT(lib, "nvrtcVersion", nvrtc.version);
    nvrtc.version(&major, &minor);
    char *text = read_file(source);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    for (int i = 0; i < count; i++) {
        jobs[i] = (struct compiled){ .source = text, .arch = arch };
        if (pthread_create(&threads[i], &attr, compile, &jobs[i]) != 0)
            die("no thread");
        if (i == 0) /* the first one alone: it also measures the library's own start */
            pthread_join(threads[0], NULL);
    }
    for (int i = 1; i < count; i++)
        pthread_join(threads[i], NULL);
    for (int i = 1; i < count; i++)
        if (jobs[i].bytes != jobs[0].bytes || memcmp(jobs[i].cubin, jobs[0].cubin, jobs[0].bytes))
            die("two threads have made different code");
    FILE *file = fopen(out, "wb");
    if (file == NULL || fwrite(jobs[0].cubin, 1, jobs[0].bytes, file) != jobs[0].bytes)
        die("the cubin cannot be written");
    fclose(file);
    compile(&jobs[0]);
    printf("nvrtc %d.%d cubin %zu bytes, load %.1f ms, compile %.1f ms\n", major, minor,
           jobs[0].bytes, load_ms, jobs[0].ms);
    return 0;
}

/* --- cudart --------------------------------------------------------------------------------- */

static int run_cudart(const char *path)
{
    int (*runtime_version)(int *), (*driver_version)(int *), (*get_count)(int *), (*last)(void);
    int (*device_alloc)(void **, size_t);
    const char *(*name)(int);
    int runtime = 0, driver = 0, count = 0;
    void *memory = NULL;
    library *lib = open_library(path);
    WANT(lib, "cudaRuntimeGetVersion", runtime_version);
    WANT(lib, "cudaDriverGetVersion", driver_version);
    WANT(lib, "cudaGetDeviceCount", get_count);
    WANT(lib, "cudaMalloc", device_alloc);
    WANT(lib, "cudaGetLastError", last);
    WANT(lib, "cudaGetErrorName", name);
    runtime_version(&runtime);
    driver_version(&driver);
    int counted = get_count(&count);
    int allocated = device_alloc(&memory, 1 << 20);
    printf("cudart %d driver %d count %d %d %s malloc %d %s last %d\n", runtime, driver, counted,
           count, name(counted), allocated, name(allocated), last());
    return counted == 0 ? 0 : 4;
}

/*
 * --- the driver and cuBLAS
 * ---------------------------------------------------------------------------------
 */

static struct {
    int (*init)(unsigned);
    int (*retain)(void **, int);
    int (*set)(void *);
    int (*alloc)(uint64_t *, size_t);
    int (*write)(uint64_t, const void *, size_t);
    int (*read)(void *, uint64_t, size_t);
    int (*wait)(void);
    int (*load)(void **, const void *, unsigned, int *, void **);
    int (*find)(void **, void *, const char *);
    int (*launch)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                  void *, void **, void **);
    int (*free)(uint64_t);
    int (*host_alloc)(void **, size_t);
    int (*stream)(void **, unsigned);
    int (*stream_wait)(void *);
} cuda;

static struct {
    int (*create)(void **);
    int (*version)(void *, int *);
    int (*sgemm)(void *, int, int, int, int, int, const float *, const float *, int, const float *,
                 int, const float *, float *, int);
    int (*gemm_ex)(void *, int, int, int, int, int, const void *, const void *, int, int,
                   const void *, int, int, const void *, void *, int, int, int, int);
} blas;

static void must(int rc, const char *what)
{
    if (rc == 0)
        return;
    printf("%s: %d\n", what, rc);
    exit(rc == 100 ? 4 : 1);
}

static void bind_gemm(library *driver, library *lib)
{
    WANT(driver, "cuInit", cuda.init);
    WANT(driver, "cuDevicePrimaryCtxRetain", cuda.retain);
    WANT(driver, "cuCtxSetCurrent", cuda.set);
    WANT(driver, "cuMemAlloc_v2", cuda.alloc);
    WANT(driver, "cuMemcpyHtoD_v2", cuda.write);
    WANT(driver, "cuMemcpyDtoH_v2", cuda.read);
    WANT(driver, "cuCtxSynchronize", cuda.wait);
    WANT(lib, "cublasCreate_v2", blas.create);
    WANT(lib, "cublasGetVersion_v2", blas.version);
    WANT(lib, "cublasSgemm_v2", blas.sgemm);
    WANT(lib, "cublasGemmEx", blas.gemm_ex);
}

/* Whole numbers below 8: a product of 4,096 has no rounding in fp32, and each is exact in bf16. */
static float element(size_t i, size_t salt)
{
    return (float)((i * 2654435761u + salt) >> 7 & 7);
}

static float *device_matrix(int n, size_t salt, float *host)
{
    uint64_t memory = 0;
    size_t count = (size_t)n * (size_t)n;
    for (size_t i = 0; i < count; i++)
        host[i] = element(i, salt);
    must(cuda.alloc(&memory, count * sizeof(float)), "cuMemAlloc");
    must(cuda.write(memory, host, count * sizeof(float)), "cuMemcpyHtoD");
    return (float *)(uintptr_t)memory;
}

/* The first row of column-major c = a * b, against the CPU. */
static double worst_error(int n, const float *a, const float *b, const float *c)
{
    double worst = 0;
    for (int column = 0; column < n; column++) {
        double sum = 0;
        for (int k = 0; k < n; k++)
            sum += (double)a[(size_t)k * (size_t)n] *
                   (double)b[(size_t)column * (size_t)n + (size_t)k];
        double error = sum - (double)c[(size_t)column * (size_t)n];
        worst = error > worst ? error : -error > worst ? -error : worst;
    }
    return worst;
}

static double time_sgemm(void *handle, int n, const float *a, const float *b, float *c, int times)
{
    const float one = 1, zero = 0;
    double start = now_ms();
    for (int i = 0; i < times; i++)
        must(blas.sgemm(handle, 0, 0, n, n, n, &one, a, n, b, n, &zero, c, n), "cublasSgemm");
    must(cuda.wait(), "cuCtxSynchronize");
    return (now_ms() - start) / times;
}

/* Only the time: what lies in the memory does not matter to it. */
static double time_bf16(void *handle, int n, const void *a, const void *b, void *c, int times)
{
    enum { BF16 = 14, FP32_COMPUTE = 68, DEFAULT = -1 };
    const float one = 1, zero = 0;
    double start = now_ms();
    for (int i = 0; i < times; i++)
        must(blas.gemm_ex(handle, 0, 0, n, n, n, &one, a, BF16, n, b, BF16, n, &zero, c, BF16, n,
                          FP32_COMPUTE, DEFAULT),
             "cublasGemmEx");
    must(cuda.wait(), "cuCtxSynchronize");
    return (now_ms() - start) / times;
}

static int run_gemm(const char *driver, const char *path, int n)
{
    void *context = NULL, *handle = NULL;
    int version = 0;
    size_t bytes = (size_t)n * (size_t)n * sizeof(float);
    double start = now_ms(), flops = 2e-9 * n * n * n;
    bind_gemm(open_library(driver), open_library(path));
    double load_ms = now_ms() - start;
    must(cuda.init(0), "cuInit");
    must(cuda.retain(&context, 0), "cuDevicePrimaryCtxRetain");
    must(cuda.set(context), "cuCtxSetCurrent");
    float *host[3] = { malloc(bytes), malloc(bytes), malloc(bytes) };
    if (host[0] == NULL || host[1] == NULL || host[2] == NULL)
        die("no memory");
    float *a = device_matrix(n, 1, host[0]), *b = device_matrix(n, 2, host[1]);
    float *c = device_matrix(n, 3, host[2]);
    start = now_ms();
    must(blas.create(&handle), "cublasCreate");
    blas.version(handle, &version);
    time_sgemm(handle, n, a, b, c, 1);
    double first_ms = now_ms() - start;
    double fp32_ms = time_sgemm(handle, n, a, b, c, 10);
    must(cuda.read(host[2], (uint64_t)(uintptr_t)c, bytes), "cuMemcpyDtoH");
    double worst = worst_error(n, host[0], host[1], host[2]);
    time_bf16(handle, n, a, b, c, 1);
    double bf16_ms = time_bf16(handle, n, a, b, c, 10);
    printf("cublas %d n %d load %.1f ms, create and first sgemm %.1f ms, fp32 %.3f ms %.1f "
           "TFLOP/s, worst error %g, bf16 %.3f ms %.1f TFLOP/s\n",
           version, n, load_ms, first_ms, fp32_ms, flops / fp32_ms, worst, bf16_ms,
           flops / bf16_ms);
    return worst == 0 ? 0 : 1;
}

/* --- the driver's calls, timed -------------------------------------------------------------- */

static const char kernels[] = ".version 6.0\n"
                              ".target sm_70\n"
                              ".address_size 64\n"
                              ".visible .entry poke(.param .u64 at, .param .u32 value)\n"
                              "{\n"
                              "    .reg .b32 %v;\n"
                              "    .reg .b64 %a;\n"
                              "    ld.param.u64 %a, [at];\n"
                              "    ld.param.u32 %v, [value];\n"
                              "    st.global.u32 [%a], %v;\n"
                              "    ret;\n"
                              "}\n";

static void bind_calls(library *driver)
{
    WANT(driver, "cuInit", cuda.init);
    WANT(driver, "cuDevicePrimaryCtxRetain", cuda.retain);
    WANT(driver, "cuCtxSetCurrent", cuda.set);
    WANT(driver, "cuMemAlloc_v2", cuda.alloc);
    WANT(driver, "cuMemFree_v2", cuda.free);
    WANT(driver, "cuMemcpyHtoD_v2", cuda.write);
    WANT(driver, "cuMemcpyDtoH_v2", cuda.read);
    WANT(driver, "cuModuleLoadDataEx", cuda.load);
    WANT(driver, "cuModuleGetFunction", cuda.find);
    WANT(driver, "cuLaunchKernel", cuda.launch);
    WANT(driver, "cuMemAllocHost_v2", cuda.host_alloc);
    WANT(driver, "cuStreamCreate", cuda.stream);
    WANT(driver, "cuStreamSynchronize", cuda.stream_wait);
}

static void poke(void *function, void *stream, uint64_t at, uint32_t value)
{
    void *arguments[] = { &at, &value };
    must(cuda.launch(function, 1, 1, 1, 1, 1, 1, 0, stream, arguments, NULL), "cuLaunchKernel");
}

static double time_launches(void *function, void *stream, uint64_t at, int waits)
{
    enum { TIMES = 1000 };
    double start = now_ms();
    for (int i = 0; i < TIMES; i++) {
        poke(function, stream, at, 1);
        if (waits)
            must(cuda.stream_wait(stream), "cuStreamSynchronize");
    }
    must(cuda.stream_wait(stream), "cuStreamSynchronize");
    return (now_ms() - start) * 1000 / TIMES;
}

/* GB/s to the device and back, the best of three. */
static void time_copies(size_t bytes, double rates[2])
{
    void *host = NULL;
    uint64_t memory = 0;
    must(cuda.host_alloc(&host, bytes), "cuMemAllocHost");
    memset(host, 1, bytes);
    must(cuda.alloc(&memory, bytes), "cuMemAlloc");
    for (int i = 0; i < 6; i++) {
        double start = now_ms();
        must(i % 2 == 0 ? cuda.write(memory, host, bytes) : cuda.read(host, memory, bytes), "copy");
        double rate = (double)bytes / 1e6 / (now_ms() - start);
        rates[i % 2] = rate > rates[i % 2] ? rate : rates[i % 2];
    }
    must(cuda.free(memory), "cuMemFree");
}

static double time_allocations(void)
{
    enum { TIMES = 100 };
    double start = now_ms();
    for (int i = 0; i < TIMES; i++) {
        uint64_t memory;
        must(cuda.alloc(&memory, 16 << 20), "cuMemAlloc");
        must(cuda.free(memory), "cuMemFree");
    }
    return (now_ms() - start) * 1000 / TIMES;
}

static int run_calls(const char *driver, size_t bytes)
{
    void *context, *module, *function, *stream;
    uint64_t at;
    uint32_t read = 0;
    double rates[2] = { 0, 0 }, start = now_ms();
    bind_calls(open_library(driver));
    must(cuda.init(0), "cuInit");
    must(cuda.retain(&context, 0), "cuDevicePrimaryCtxRetain");
    must(cuda.set(context), "cuCtxSetCurrent");
    must(cuda.load(&module, kernels, 0, NULL, NULL), "cuModuleLoadDataEx");
    must(cuda.find(&function, module, "poke"), "cuModuleGetFunction");
    must(cuda.stream(&stream, 1), "cuStreamCreate");
    must(cuda.alloc(&at, sizeof read), "cuMemAlloc");
    poke(function, stream, at, 42);
    must(cuda.stream_wait(stream), "cuStreamSynchronize");
    must(cuda.read(&read, at, sizeof read), "cuMemcpyDtoH");
    double first_ms = now_ms() - start;
    if (read != 42)
        die("the first kernel has not written what it should");
    double launch_us = time_launches(function, stream, at, 0);
    double wait_us = time_launches(function, stream, at, 1);
    time_copies(bytes, rates);
    printf("{\"first_ms\": %.1f, \"launch_us\": %.2f, \"wait_us\": %.2f, \"to_gb_s\": %.2f, "
           "\"back_gb_s\": %.2f, \"alloc_us\": %.1f}\n",
           first_ms, launch_us, wait_us, rates[0], rates[1], time_allocations());
    return 0;
}

int main(int argc, char **argv)
{
    if (argc >= 3 && strcmp(argv[1], "calls") == 0)
        return run_calls(argv[2], (size_t)(argc > 3 ? atoi(argv[3]) : 256) << 20);
    if (argc >= 6 && strcmp(argv[1], "nvrtc") == 0) {
        int count = argc > 6 ? atoi(argv[6]) : 1;
        return run_nvrtc(argv[2], argv[3], argv[4], argv[5],
                         count < 1 || count > THREADS_MAX ? THREADS_MAX : count);
    }
    if (argc == 3 && strcmp(argv[1], "cudart") == 0)
        return run_cudart(argv[2]);
    if (argc >= 4 && strcmp(argv[1], "gemm") == 0)
        return run_gemm(argv[2], argv[3], argc > 4 ? atoi(argv[4]) : 2048);
    printf("wrong arguments, see the comment in cudalibs.c\n");
    return 2;
}
