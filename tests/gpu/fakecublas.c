/*
 * A fake libcublas.so.12, made for glibc as NVIDIA's is: one product of matrices, on the host. Like
 * the real one it takes the driver that the process has loaded by its name, and works on the stream
 * that it is given, with the context of the thread.
 *   FAKE_CUBLAS_FAIL=CALL   that call fails
 *   FAKE_CUBLAS_WRONG=1     one element of each product is wrong
 */
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

enum { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, EXECUTION_FAILED = 13 };

struct handle {
    void *stream;
    int (*read)(void *to, uint64_t from, size_t bytes, void *stream);
    int (*write)(uint64_t to, const void *from, size_t bytes, void *stream);
    int (*wait)(void *stream);
};

static int fails(const char *call)
{
    const char *failing = getenv("FAKE_CUBLAS_FAIL");
    return failing != NULL && strcmp(failing, call) == 0;
}

static int find(void *driver, const char *name, void *function)
{
    void *address = dlsym(driver, name);
    memcpy(function, &address, sizeof address);
    return address != NULL;
}

EXPORT int cublasCreate_v2(struct handle **handle)
{
    struct handle *made = calloc(1, sizeof *made);
    void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    *handle = NULL;
    if (fails(__func__) || driver == NULL || !find(driver, "cuMemcpyDtoHAsync_v2", &made->read) ||
        !find(driver, "cuMemcpyHtoDAsync_v2", &made->write) ||
        !find(driver, "cuStreamSynchronize", &made->wait)) {
        free(made);
        return NOT_INITIALIZED;
    }
    *handle = made;
    return SUCCESS;
}

EXPORT int cublasSetStream_v2(struct handle *handle, void *stream)
{
    handle->stream = stream;
    return fails(__func__) ? NOT_INITIALIZED : SUCCESS;
}

/* Column-major, c = a * b, of matrices without gaps. */
static void multiply(int m, int n, int k, const float *a, const float *b, float *c)
{
    for (int column = 0; column < n; column++)
        for (int row = 0; row < m; row++) {
            double sum = 0;
            for (int i = 0; i < k; i++)
                sum += (double)a[i * m + row] * (double)b[column * k + i];
            c[column * m + row] = (float)sum;
        }
    if (getenv("FAKE_CUBLAS_WRONG") != NULL)
        c[m - 1] += 1;
}

static int run(struct handle *handle, int m, int n, int k, const float *a, const float *b, float *c)
{
    size_t a_bytes = (size_t)m * (size_t)k * sizeof(float);
    size_t b_bytes = (size_t)k * (size_t)n * sizeof(float);
    size_t c_bytes = (size_t)m * (size_t)n * sizeof(float);
    float *host = malloc(a_bytes + b_bytes + c_bytes), *host_b = host + m * k;
    int failed = handle->read(host, (uintptr_t)a, a_bytes, handle->stream) != 0 ||
                 handle->read(host_b, (uintptr_t)b, b_bytes, handle->stream) != 0 ||
                 handle->wait(handle->stream) != 0;
    if (!failed) {
        multiply(m, n, k, host, host_b, host_b + k * n);
        failed = handle->write((uintptr_t)c, host_b + k * n, c_bytes, handle->stream) != 0 ||
                 handle->wait(handle->stream) != 0;
    }
    free(host);
    return failed ? EXECUTION_FAILED : SUCCESS;
}

EXPORT int cublasSgemm_v2(struct handle *handle, int transpose_a, int transpose_b, int m, int n,
                          int k, const float *alpha, const float *a, int a_rows, const float *b,
                          int b_rows, const float *beta, float *c, int c_rows)
{
    if (fails(__func__))
        return EXECUTION_FAILED;
    if (transpose_a != 0 || transpose_b != 0 || *alpha != 1 || *beta != 0 || a_rows != m ||
        b_rows != k || c_rows != m)
        return INVALID_VALUE;
    return run(handle, m, n, k, a, b, c);
}
