/*
 * A product of matrices by cuBLAS, NVIDIA's own library, from an image without glibc.
 *
 * Input:  {"n": 1024}      two n x n matrices of small whole numbers, which need no rounding
 * Output: {"n": 1024, "first_ms": 80.2, "ms": 0.2, "gflops": 9000.1, "max_error": 0, "device":
 * "..."} max_error compares the first column with the CPU. Fails where it is not 0.
 *
 * The image needs libcublas.so.12, libcublasLt.so.12 and libgcc_s.so.1 in /cuda/lib: 855 MB of
 * cuBLAS 12.9, see docker/cuda.Dockerfile. CUBLAS_NAME is the name of another one.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rp_gpu.h"
#include "worker.h"

#define N_MAX 8192
#define TIMES 10

typedef struct blas *blas;

/* The part of cuBLAS's API that is used here (cublas_v2.h). */
static struct {
    int (*create)(blas *handle);
    int (*set_stream)(blas handle, void *stream);
    int (*sgemm)(blas handle, int transpose_a, int transpose_b, int m, int n, int k,
                 const float *alpha, const float *a, int a_rows, const float *b, int b_rows,
                 const float *beta, float *c, int c_rows);
} cublas;

static rp_gpu *gpu;
static rp_gpu_lib *library;
static _Thread_local blas handle; /* one a thread, as it is bound to the thread's stream */

static int bind(const char *name, void *function)
{
    void *address = rp_gpu_symbol(library, name);
    memcpy(function, &address, sizeof address);
    return address != NULL ? RP_OK : RP_FAILED;
}

static int setup(void *user)
{
    const char *name = getenv("CUBLAS_NAME"); // NOLINT(concurrency-mt-unsafe): one thread so far
    (void)user;
    if (rp_gpu_open(0, &gpu) != RP_OK ||
        rp_gpu_library(name != NULL ? name : "libcublas.so.12", &library) != RP_OK)
        return RP_FAILED;
    return bind("cublasCreate_v2", &cublas.create) == RP_OK &&
                   bind("cublasSetStream_v2", &cublas.set_stream) == RP_OK &&
                   bind("cublasSgemm_v2", &cublas.sgemm) == RP_OK
               ? RP_OK
               : RP_FAILED;
}

/* This thread's handle, on its stream and context. */
static int open_blas(rp_job *job)
{
    void *stream = rp_gpu_stream(gpu);
    if (stream == NULL)
        return rp_gpu_fail(job);
    int result = handle != NULL ? 0 : cublas.create(&handle);
    if (result == 0)
        result = cublas.set_stream(handle, stream);
    return result == 0 ? RP_OK : rp_fail(job, "cuBLAS does not start: status %d", result);
}

static float element(size_t i, size_t salt)
{
    return (float)((i * 2654435761u + salt) >> 7 & 7);
}

/* Column-major, as cuBLAS has it. 0 if the job has been failed. */
static rp_gpu_ptr matrix(rp_job *job, size_t n, size_t salt, float *host)
{
    rp_gpu_ptr memory;
    for (size_t i = 0; i < n * n; i++)
        host[i] = element(i, salt);
    if (rp_gpu_alloc(gpu, job, n * n * sizeof *host, &memory) != RP_OK ||
        rp_gpu_write(gpu, memory, host, n * n * sizeof *host) != RP_OK) {
        rp_gpu_fail(job);
        return 0;
    }
    return memory;
}

static int multiply(rp_job *job, size_t n, rp_gpu_ptr a, rp_gpu_ptr b, rp_gpu_ptr c, int times,
                    double *ms)
{
    const float one = 1, zero = 0;
    int size = (int)n, result = 0;
    if (rp_gpu_timer_start(gpu) != RP_OK)
        return rp_gpu_fail(job);
    for (int i = 0; i < times && result == 0; i++)
        result = cublas.sgemm(handle, 0, 0, size, size, size, &one, (const float *)(uintptr_t)a,
                              size, (const float *)(uintptr_t)b, size, &zero, (float *)(uintptr_t)c,
                              size);
    if (result != 0)
        return rp_fail(job, "cublasSgemm: status %d", result);
    if (rp_gpu_timer_stop(gpu, ms) != RP_OK)
        return rp_gpu_fail(job);
    *ms /= times;
    return RP_OK;
}

/* The first column of c = a * b; a's and b's elements are those of matrix(). */
static double error_of(size_t n, const float *column)
{
    double worst = 0;
    for (size_t row = 0; row < n; row++) {
        double sum = 0;
        for (size_t k = 0; k < n; k++)
            sum += (double)element(k * n + row, 1) * (double)element(k, 2);
        worst = fmax(worst, fabs(sum - (double)column[row]));
    }
    return worst;
}

static int run(rp_job *job, void *user)
{
    int64_t n;
    double first_ms = 0, ms = 1;
    (void)user;
    if (rp_get_int(rp_input(job), "n", &n) != RP_OK || n < 1 || n > N_MAX)
        return rp_fail(job, "input.n must be a whole number from 1 to %d", N_MAX);
    size_t size = (size_t)n;
    float *host = malloc(size * size * sizeof *host);
    if (host == NULL)
        return rp_fail(job, "no memory for matrices of that size");
    int rc = open_blas(job);
    rp_gpu_ptr a = rc == RP_OK ? matrix(job, size, 1, host) : 0;
    rp_gpu_ptr b = a != 0 ? matrix(job, size, 2, host) : 0;
    rp_gpu_ptr c = b != 0 ? matrix(job, size, 3, host) : 0;
    rc = c != 0 ? multiply(job, size, a, b, c, 1, &first_ms) : RP_FAILED;
    if (rc == RP_OK)
        rc = multiply(job, size, a, b, c, TIMES, &ms);
    if (rc == RP_OK && rp_gpu_read(gpu, host, c, size * sizeof *host) != RP_OK)
        rc = rp_gpu_fail(job);
    double worst = rc == RP_OK ? error_of(size, host) : 0;
    free(host);
    if (rc != RP_OK)
        return rc;
    if (worst > 0)
        return rp_fail(job, "the GPU's product differs from the CPU's by %g", worst);
    return rp_return(job,
                     "{\"n\": %zu, \"first_ms\": %.3f, \"ms\": %.3f, \"gflops\": %.1f, "
                     "\"max_error\": %g, \"device\": %Q}",
                     size, first_ms, ms, 2e-6 * (double)size * (double)size * (double)size / ms,
                     worst, rp_gpu_about(gpu)->name);
}

int main(int argc, char **argv)
{
    return rp_start(argc, argv,
                    &(rp_config){ .handler = run, .setup = setup, .gpu = &rp_gpu_part });
}
