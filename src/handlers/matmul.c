/*
 * matmul: multiplies two n x n matrices of 32-bit floats, on a GPU if there is one:
 *     {"n": 256, "seed": 7}  ->  {"n", "checksum", "ms", "gflops", "max_error", "device"}
 * Both matrices are filled from the seed (default 1). Every element of the GPU's product is
 * compared with the CPU's, computed in double precision: max_error is the largest difference,
 * divided by the bound that rounding allows (n times half a unit in the last place of the sum of
 * magnitudes). The job fails if it exceeds 1.
 */
#include <math.h>
#include <string.h>
#include <time.h>

#include "rp_gpu.h"
#include "worker.h"

#define TILE 16u
#define N_MAX 2048

/*
 * Each block computes a tile of 16 x 16. Its threads copy the operands' tiles into shared memory,
 * with zeros beyond the edges of the matrices.
 */
static const char kernels[] =
    ".version 6.0\n"
    ".target sm_70\n"
    ".address_size 64\n"
    ".visible .entry matmul(.param .u64 a, .param .u64 b, .param .u64 c, .param .u32 n)\n"
    "{\n"
    "    .reg .pred %in, %row_in, %col_in, %more;\n"
    "    .reg .b32 %n, %x, %y, %row, %col, %k, %i, %t, %sa, %sb, %own_a, %own_b, %row_a, %col_b;\n"
    "    .reg .f32 %sum, %p, %q;\n"
    "    .reg .b64 %a, %b, %c, %at;\n"
    "    .shared .align 4 .b8 tile_a[1024];\n"
    "    .shared .align 4 .b8 tile_b[1024];\n"
    "    ld.param.u64 %a, [a];\n"
    "    ld.param.u64 %b, [b];\n"
    "    ld.param.u64 %c, [c];\n"
    "    ld.param.u32 %n, [n];\n"
    "    cvta.to.global.u64 %a, %a;\n"
    "    cvta.to.global.u64 %b, %b;\n"
    "    cvta.to.global.u64 %c, %c;\n"
    "    mov.u32 %x, %tid.x;\n"
    "    mov.u32 %y, %tid.y;\n"
    "    mov.u32 %t, %ctaid.y;\n"
    "    mad.lo.u32 %row, %t, 16, %y;\n"
    "    mov.u32 %t, %ctaid.x;\n"
    "    mad.lo.u32 %col, %t, 16, %x;\n"
    "    setp.lt.u32 %row_in, %row, %n;\n"
    "    setp.lt.u32 %col_in, %col, %n;\n"
    "    mov.u32 %sa, tile_a;\n"
    "    mov.u32 %sb, tile_b;\n"
    "    mad.lo.u32 %row_a, %y, 64, %sa;\n" /* row y of tile_a, column x of tile_b, and */
    "    mad.lo.u32 %col_b, %x, 4, %sb;\n"  /* this thread's own element in both */
    "    mad.lo.u32 %own_a, %x, 4, %row_a;\n"
    "    mad.lo.u32 %own_b, %y, 64, %col_b;\n"
    "    mov.f32 %sum, 0f00000000;\n"
    "    mov.u32 %k, 0;\n"
    "TILES:\n"
    "    mov.f32 %p, 0f00000000;\n"
    "    mov.f32 %q, 0f00000000;\n"
    "    add.u32 %t, %k, %x;\n" /* a[row][k + x] */
    "    setp.lt.and.u32 %in, %t, %n, %row_in;\n"
    "    mad.lo.u32 %t, %row, %n, %t;\n"
    "    mul.wide.u32 %at, %t, 4;\n"
    "    add.u64 %at, %a, %at;\n"
    "    @%in ld.global.f32 %p, [%at];\n"
    "    add.u32 %t, %k, %y;\n" /* b[k + y][col] */
    "    setp.lt.and.u32 %in, %t, %n, %col_in;\n"
    "    mad.lo.u32 %t, %t, %n, %col;\n"
    "    mul.wide.u32 %at, %t, 4;\n"
    "    add.u64 %at, %b, %at;\n"
    "    @%in ld.global.f32 %q, [%at];\n"
    "    st.shared.f32 [%own_a], %p;\n"
    "    st.shared.f32 [%own_b], %q;\n"
    "    bar.sync 0;\n"
    "    mov.u32 %sa, %row_a;\n"
    "    mov.u32 %sb, %col_b;\n"
    "    mov.u32 %i, 0;\n"
    "INNER:\n"
    "    ld.shared.f32 %p, [%sa];\n"
    "    ld.shared.f32 %q, [%sb];\n"
    "    fma.rn.f32 %sum, %p, %q, %sum;\n"
    "    add.u32 %sa, %sa, 4;\n"
    "    add.u32 %sb, %sb, 64;\n"
    "    add.u32 %i, %i, 1;\n"
    "    setp.lt.u32 %more, %i, 16;\n"
    "    @%more bra INNER;\n"
    "    bar.sync 0;\n"
    "    add.u32 %k, %k, 16;\n"
    "    setp.lt.u32 %more, %k, %n;\n"
    "    @%more bra TILES;\n"
    "    and.pred %in, %row_in, %col_in;\n"
    "    mad.lo.u32 %t, %row, %n, %col;\n"
    "    mul.wide.u32 %at, %t, 4;\n"
    "    add.u64 %at, %c, %at;\n"
    "    @%in st.global.f32 [%at], %sum;\n"
    "    ret;\n"
    "}\n";

struct matrices {
    uint32_t n;
    size_t bytes; /* of each */
    float *a, *b, *c;
    double ms;        /* of the multiplication alone, without copies */
    double max_error; /* see above; 0 without a GPU */
};

static rp_gpu *gpu; /* NULL: the CPU does the work */
static rp_gpu_kernel *matmul;
static char no_gpu[400]; /* why there is no GPU, for the output */

static int setup(void *user)
{
    rp_gpu_module *module;
    (void)user;
    int rc = rp_gpu_open(0, &gpu);
    if (rc == RP_MISSING) {
        gpu = NULL;
        strncpy(no_gpu, rp_gpu_error(), sizeof no_gpu - 1);
        rp_log(NULL, RP_WARN, "No GPU, so the CPU does the work: %s", no_gpu);
        return 0;
    }
    if (rc == RP_OK)
        rc = rp_gpu_load(gpu, kernels, &module);
    if (rc == RP_OK)
        rc = rp_gpu_find(module, "matmul", &matmul);
    if (rc != RP_OK)
        rp_log(NULL, RP_ERROR, "The GPU does not work: %s", rp_gpu_error());
    return rc;
}

/* Numbers from -1 to 1 that depend on the seed alone. */
static void fill(float *numbers, size_t count, uint64_t seed)
{
    for (size_t i = 0; i < count; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        numbers[i] = (float)(int32_t)(seed >> 32) / 2147483648.0f;
    }
}

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* One row of the product and of its sums of magnitudes, in double, in the order of memory. */
static void multiply_row(const struct matrices *m, uint32_t row, double *sums, double *magnitudes)
{
    for (uint32_t col = 0; col < m->n; col++)
        sums[col] = magnitudes[col] = 0;
    for (uint32_t k = 0; k < m->n; k++) {
        double factor = (double)m->a[(size_t)row * m->n + k];
        const float *other = m->b + (size_t)k * m->n;
        for (uint32_t col = 0; col < m->n; col++) {
            double product = factor * (double)other[col];
            sums[col] += product;
            magnitudes[col] += fabs(product);
        }
    }
}

/* Multiplies on the CPU, to fill c or to compare with it. False if the job has been stopped. */
static bool multiply_on_cpu(const rp_job *job, struct matrices *m, bool compare)
{
    double sums[N_MAX], magnitudes[N_MAX]; /* 32 KiB of a handler's 8 MiB */
    double begun = now_ms();
    for (uint32_t row = 0; row < m->n; row++) {
        float *c = m->c + (size_t)row * m->n;
        multiply_row(m, row, sums, magnitudes);
        for (uint32_t col = 0; col < m->n; col++) {
            double bound = (double)m->n * magnitudes[col] * 0x1p-24;
            double error = fabs((double)c[col] - sums[col]);
            if (!compare)
                c[col] = (float)sums[col];
            else if (!(error <= m->max_error * bound)) /* NaN too */
                m->max_error = bound > 0 && error < INFINITY ? error / bound : INFINITY;
        }
        if (rp_job_stopped(job))
            return false;
    }
    if (!compare)
        m->ms = now_ms() - begun;
    return true;
}

static int multiply_on_gpu(rp_job *job, struct matrices *m)
{
    unsigned tiles = (m->n + TILE - 1) / TILE;
    rp_gpu_ptr a, b, c;
    if (rp_gpu_alloc(gpu, job, m->bytes, &a) != RP_OK ||
        rp_gpu_alloc(gpu, job, m->bytes, &b) != RP_OK ||
        rp_gpu_alloc(gpu, job, m->bytes, &c) != RP_OK ||
        rp_gpu_write(gpu, a, m->a, m->bytes) != RP_OK ||
        rp_gpu_write(gpu, b, m->b, m->bytes) != RP_OK || rp_gpu_timer_start(gpu) != RP_OK ||
        rp_gpu_launch(matmul, RP_GPU_DIM(tiles, tiles), RP_GPU_DIM(TILE, TILE), 0,
                      RP_GPU_ARGS(&a, &b, &c, &m->n)) != RP_OK ||
        rp_gpu_timer_stop(gpu, &m->ms) != RP_OK || rp_gpu_read(gpu, m->c, c, m->bytes) != RP_OK)
        return rp_gpu_fail(job);
    if (!multiply_on_cpu(job, m, true))
        return rp_fail(job, "stopped");
    if (!(m->max_error <= 1))
        return rp_fail(job,
                       "The GPU's product is wrong: its error is %g times what rounding allows.",
                       m->max_error);
    return RP_OK;
}

static int write_result(rp_job *job, const struct matrices *m)
{
    double checksum = 0, operations = 2.0 * m->n * m->n * m->n;
    for (size_t i = 0; i < (size_t)m->n * m->n; i++)
        checksum += (double)m->c[i];
    rp_write(job, "{\"n\": %u, \"checksum\": %.6g, \"ms\": %.3f, \"gflops\": %.2f, ", m->n,
             checksum, m->ms, m->ms > 0 ? operations / m->ms / 1e6 : 0.0);
    if (gpu == NULL)
        return rp_write(job, "\"device\": \"CPU\", \"no_gpu\": %Q}", no_gpu);
    return rp_write(job, "\"max_error\": %.3g, \"device\": %Q}", m->max_error,
                    rp_gpu_about(gpu)->name);
}

static int run(rp_job *job, void *user)
{
    int64_t n = 0, seed = 1;
    rp_value input = rp_input(job);
    (void)user;
    if (rp_get_int(input, "n", &n) != RP_OK || n < 1 || n > N_MAX)
        return rp_fail(job, "input.n must be an integer from 1 to %d", N_MAX);
    if (rp_get_int(input, "seed", &seed) < 0)
        return rp_fail(job, "input.seed must be an integer");
    size_t count = (size_t)(n * n);
    struct matrices m = { .n = (uint32_t)n, .bytes = count * sizeof(float) };
    m.a = rp_alloc(job, m.bytes);
    m.b = rp_alloc(job, m.bytes);
    m.c = rp_alloc(job, m.bytes);
    if (m.a == NULL || m.b == NULL || m.c == NULL)
        return rp_fail(job, "three matrices of that size do not fit into the job's memory");
    fill(m.a, count, (uint64_t)seed);
    fill(m.b, count, ~(uint64_t)seed);
    if (gpu != NULL && multiply_on_gpu(job, &m) != RP_OK)
        return RP_FAILED;
    if (gpu == NULL && !multiply_on_cpu(job, &m, false))
        return rp_fail(job, "stopped");
    return write_result(job, &m);
}

int main(int argc, char **argv)
{
    return rp_start(argc, argv,
                    &(rp_config){ .handler = run, .setup = setup, .gpu = &rp_gpu_part });
}
