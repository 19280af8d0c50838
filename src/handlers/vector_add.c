/*
 * vector_add: adds two lists of numbers, on a GPU if there is one:
 *     {"a": [1, 2, 3], "b": [10, 20, 30]}  ->  {"sum": [11, 22, 33], "device": "NVIDIA ..."}
 * The numbers are rounded to 32-bit floats. The GPU's sums must equal the CPU's, since
 * IEEE 754 leaves an addition only one correct result; the job fails otherwise.
 */
#include <math.h>
#include <string.h>

#include "rp_gpu.h"
#include "worker.h"

#define BLOCK 256u
#define COUNT_MAX 10000000 /* elements; more do not fit into a job's memory as JSON */

static const char kernels[] =
    ".version 6.0\n"
    ".target sm_70\n"
    ".address_size 64\n"
    ".visible .entry vector_add(.param .u64 a, .param .u64 b, .param .u64 sum, .param .u32 count)\n"
    "{\n"
    "    .reg .pred %done;\n"
    "    .reg .b32 %i, %n, %t, %block, %size;\n"
    "    .reg .f32 %x, %y;\n"
    "    .reg .b64 %a, %b, %s, %at;\n"
    "    mov.u32 %t, %tid.x;\n"
    "    mov.u32 %block, %ctaid.x;\n"
    "    mov.u32 %size, %ntid.x;\n"
    "    mad.lo.u32 %i, %block, %size, %t;\n"
    "    ld.param.u32 %n, [count];\n"
    "    setp.ge.u32 %done, %i, %n;\n"
    "    @%done ret;\n"
    "    ld.param.u64 %a, [a];\n"
    "    ld.param.u64 %b, [b];\n"
    "    ld.param.u64 %s, [sum];\n"
    "    cvta.to.global.u64 %a, %a;\n"
    "    cvta.to.global.u64 %b, %b;\n"
    "    cvta.to.global.u64 %s, %s;\n"
    "    mul.wide.u32 %at, %i, 4;\n"
    "    add.u64 %a, %a, %at;\n"
    "    add.u64 %b, %b, %at;\n"
    "    add.u64 %s, %s, %at;\n"
    "    ld.global.f32 %x, [%a];\n"
    "    ld.global.f32 %y, [%b];\n"
    "    add.rn.f32 %x, %x, %y;\n"
    "    st.global.f32 [%s], %x;\n"
    "    ret;\n"
    "}\n";

static rp_gpu *gpu; /* NULL: the CPU does the work */
static rp_gpu_kernel *vector_add;
static char no_gpu[400]; /* why there is no GPU, for the output */

/* A machine without a GPU will do; a GPU that does not work will not. */
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
        rc = rp_gpu_find(module, "vector_add", &vector_add);
    if (rc != RP_OK)
        rp_log(NULL, RP_ERROR, "The GPU does not work: %s", rp_gpu_error());
    return rc;
}

/* A list of the input as floats in the job's memory; NULL if the job has been failed. */
static float *read_list(rp_job *job, const char *name, uint32_t *count)
{
    rp_value list = rp_get(rp_input(job), name);
    size_t length = rp_count(list), at = 0;
    if (rp_type_of(list) != RP_ARRAY || length == 0 || length > COUNT_MAX) {
        rp_fail(job, "input.%s must be a list of 1 to %d numbers", name, COUNT_MAX);
        return NULL;
    }
    float *numbers = rp_alloc(job, length * sizeof *numbers);
    if (numbers == NULL)
        rp_fail(job, "input.%s does not fit into the job's memory", name);
    for (rp_iter it = rp_each(list); numbers != NULL && rp_next(&it);) {
        double number;
        if (rp_to_double(it.value, &number) != RP_OK || !isfinite((float)number)) {
            rp_fail(job, "input.%s[%zu] is not a number that fits a 32-bit float", name, at);
            return NULL;
        }
        numbers[at++] = (float)number;
    }
    *count = (uint32_t)length;
    return numbers;
}

static int add_on_gpu(rp_job *job, const float *a, const float *b, float *sum, uint32_t count)
{
    size_t bytes = count * sizeof(float);
    rp_gpu_ptr x, y, z;
    if (rp_gpu_alloc(gpu, job, bytes, &x) != RP_OK || rp_gpu_alloc(gpu, job, bytes, &y) != RP_OK ||
        rp_gpu_alloc(gpu, job, bytes, &z) != RP_OK || rp_gpu_write(gpu, x, a, bytes) != RP_OK ||
        rp_gpu_write(gpu, y, b, bytes) != RP_OK ||
        rp_gpu_launch(vector_add, RP_GPU_DIM((count + BLOCK - 1) / BLOCK), RP_GPU_DIM(BLOCK), 0,
                      RP_GPU_ARGS(&x, &y, &z, &count)) != RP_OK ||
        rp_gpu_read(gpu, sum, z, bytes) != RP_OK)
        return rp_gpu_fail(job);
    for (uint32_t i = 0; i < count; i++)
        if (sum[i] != a[i] + b[i])
            return rp_fail(job, "The GPU's sum %u is %g; the CPU's is %g.", i, (double)sum[i],
                           (double)(a[i] + b[i]));
    return RP_OK;
}

static int run(rp_job *job, void *user)
{
    uint32_t a_count, b_count;
    (void)user;
    const float *a = read_list(job, "a", &a_count);
    const float *b = a != NULL ? read_list(job, "b", &b_count) : NULL;
    if (b == NULL)
        return RP_FAILED;
    if (a_count != b_count)
        return rp_fail(job, "input.a has %u numbers, input.b %u", a_count, b_count);
    float *sum = rp_alloc(job, a_count * sizeof *sum);
    if (sum == NULL)
        return rp_fail(job, "the lists do not fit into the job's memory");
    if (gpu == NULL)
        for (uint32_t i = 0; i < a_count; i++)
            sum[i] = a[i] + b[i];
    else if (add_on_gpu(job, a, b, sum, a_count) != RP_OK)
        return RP_FAILED;
    rp_write(job, "{\"sum\": [");
    for (uint32_t i = 0; i < a_count; i++)
        rp_write(job, i > 0 ? ", %.9g" : "%.9g", (double)sum[i]);
    if (gpu != NULL)
        return rp_write(job, "], \"device\": %Q}", rp_gpu_about(gpu)->name);
    return rp_write(job, "], \"device\": \"CPU\", \"no_gpu\": %Q}", no_gpu);
}

int main(int argc, char **argv)
{
    return rp_start(argc, argv,
                    &(rp_config){ .handler = run, .setup = setup, .gpu = &rp_gpu_part });
}
