/*
 * model/kernels and model/matrix: every instruction set of this machine, and AVX-512's kernels
 * emulated, against double precision; widths that fill no block, no panel and no step of the sum.
 */
#include <math.h>
#include <sched.h>
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/limits.h"
#include "guard.h"
#include "model/matrix.h"
#include "model/pool.h"

extern const struct kernels kernels_emulated;

static const char *const names[] = { "avx512", "avx2", "portable" };

/* Set number i, or NULL if this machine does not have it. */
static const struct kernels *set(size_t i)
{
    return i < 3 ? kernels_choose(names[i]) : i == 3 ? &kernels_emulated : NULL;
}

/* Numbers from -1 to 1. */
static float number(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (float)(int32_t)*state / 2147483648.0f;
}

static void close_to(float got, double wanted, double tolerance, const char *what,
                     const struct kernels *kernels)
{
    if (!(fabs((double)got - wanted) <= tolerance))
        fail_msg("%s, %s: %.9g instead of %.9g", kernels->name, what, (double)got, wanted);
}

static float *floats(size_t count)
{
    size_t bytes = (count * sizeof(float) + KERNEL_ALIGN - 1) / KERNEL_ALIGN * KERNEL_ALIGN;
    float *memory = aligned_alloc(KERNEL_ALIGN, bytes == 0 ? KERNEL_ALIGN : bytes);
    assert_non_null(memory);
    memset(memory, 0x7f, bytes); /* huge numbers: what is not meant to be read would show */
    return memory;
}

/* --- functions -------------------------------------------------------------------------------- */

static void test_gelu(void **state)
{
    alignas(KERNEL_ALIGN) float values[KERNEL_PANEL_MAX];
    (void)state;
    for (size_t s = 0; s < 4; s++) {
        const struct kernels *kernels = set(s);
        if (kernels == NULL)
            continue;
        for (double x = -30; x < 30; x += 0.037) {
            for (unsigned i = 0; i < kernels->panel; i++)
                values[i] = (float)(x + i * 0.001);
            kernels->gelu(values, kernels->panel);
            for (unsigned i = 0; i < kernels->panel; i++) {
                double at = (double)(float)(x + i * 0.001);
                double wanted = 0.5 * at * erfc(-at / sqrt(2));
                close_to(values[i], wanted, 1e-35 + 8e-7 * fabs(wanted) * (1 + at * at / 4), "gelu",
                         kernels);
            }
        }
    }
}

/* The tolerance above tells the error function from its usual approximation. */
static void test_gelu_is_not_tanh(void **state)
{
    (void)state;
    double at = 1, tanh_form = 0.5 * at * (1 + tanh(sqrt(2 / M_PI) * (at + 0.044715 * at)));
    assert_true(fabs(tanh_form - 0.5 * erfc(-at / sqrt(2))) > 1e-4);
}

static void test_softmax(void **state)
{
    enum { ROWS = 37 };
    (void)state;
    for (size_t s = 0; s < 4; s++) {
        const struct kernels *kernels = set(s);
        if (kernels == NULL)
            continue;
        unsigned width = kernels->panel;
        float *values = floats(ROWS * width), before[ROWS];
        uint32_t seed = 1;
        /* Column by column further apart: from even to all but one underflowing to zero. */
        for (size_t i = 0; i < ROWS * width; i++)
            values[i] = number(&seed) * (float)(i % width) * 20 + 1000;
        for (size_t r = 0; r < ROWS; r++)
            before[r] = values[r * width + width - 1];
        kernels->softmax(values, ROWS);
        double most = -1e30, sum = 0;
        for (size_t r = 0; r < ROWS; r++)
            most = fmax(most, (double)before[r]);
        for (size_t r = 0; r < ROWS; r++)
            sum += exp((double)before[r] - most);
        for (size_t r = 0; r < ROWS; r++)
            close_to(values[r * width + width - 1], exp((double)before[r] - most) / sum, 1e-6,
                     "softmax", kernels);
        for (size_t i = 0; i < ROWS * width; i++)
            assert_true(values[i] == 0 || values[i] > 1e-37f); /* none is denormal */
        close_to(values[0], 1.0 / ROWS, 1e-7, "softmax of equal numbers", kernels);
        free(values);
    }
}

/* Whatever the bits that say nothing are: a bias and a shift must not make a number of them. */
static void test_no_number_stays_none(void **state)
{
    static const uint32_t all_bits[] = { 0x7fc00000, 0x7fc00001, 0xffc00001, 0x7fc000ff,
                                         0x7fffffff, 0xffffffff, 0x7f800001 };
    (void)state;
    for (size_t s = 0; s < 4; s++)
        for (size_t i = 0; i < sizeof all_bits / sizeof *all_bits && set(s) != NULL; i++) {
            const struct kernels *kernels = set(s);
            unsigned width = kernels->panel;
            float *values = floats(2 * width), none;
            memcpy(&none, &all_bits[i], sizeof none);
            for (unsigned v = 0; v < 2 * width; v++)
                values[v] = v % 2 == 0 ? none : 1.0f;
            kernels->gelu(values, width);
            kernels->softmax(values, 2);
            for (unsigned v = 0; v < 2 * width; v++)
                if (isnan(values[v]) != (v % 2 == 0))
                    fail_msg("%s, %08x at %u: %g", kernels->name, all_bits[i], v,
                             (double)values[v]);
            free(values);
        }
}

static void test_layer_norm(void **state)
{
    enum { FEATURES = 53 };
    (void)state;
    for (size_t s = 0; s < 4; s++) {
        const struct kernels *kernels = set(s);
        if (kernels == NULL)
            continue;
        unsigned width = kernels->panel;
        float *values = floats(FEATURES * width), *add = floats(FEATURES * width);
        float weight[FEATURES], bias[FEATURES];
        double x[FEATURES], mean = 0, variance = 0;
        uint32_t seed = 3;
        for (size_t f = 0; f < FEATURES; f++) {
            weight[f] = number(&seed);
            bias[f] = number(&seed);
            for (unsigned i = 0; i < width; i++) {
                values[f * width + i] = number(&seed) * 1e-3f;
                add[f * width + i] = number(&seed) * 1e-3f;
            }
            x[f] = (double)values[f * width + 1] + (double)add[f * width + 1];
            mean += x[f] / FEATURES;
        }
        for (size_t f = 0; f < FEATURES; f++)
            variance += (x[f] - mean) * (x[f] - mean) / FEATURES;
        kernels->layer_norm(values, add, weight, bias, FEATURES, 1e-12f);
        for (size_t f = 0; f < FEATURES; f++)
            close_to(values[f * width + 1],
                     (x[f] - mean) / sqrt(variance + 1e-12) * (double)weight[f] + (double)bias[f],
                     2e-6, "LayerNorm", kernels);
        free(values);
        free(add);
    }
}

static void test_widen(void **state)
{
    static const struct {
        uint16_t half;
        float f16, bf16;
    } cases[] = {
        { 0x0000, 0.0f, 0.0f },
        { 0x8000, -0.0f, -0.0f },
        { 0x3c00, 1.0f, 0x1p-7f },
        { 0xc000, -2.0f, -2.0f },
        { 0x0001, 0x1p-24f, 0x1p-133f },
        { 0x03ff, 0x1.ff8p-15f, 0x1.fep-120f },
        { 0x7bff, 65504.0f, 0x1.fep120f },
    };
    (void)state;
    for (size_t s = 0; s < 4; s++) {
        const struct kernels *kernels = set(s);
        if (kernels == NULL)
            continue;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            char bytes[3] = { 0 };
            float f16, bf16;
            memcpy(bytes + 1, &cases[i].half, 2);
            slice odd = guard_copy(bytes, 3); /* at an odd address, up to the end of the memory */
            kernels->widen_f16((const unsigned char *)odd.ptr + 1, 1, &f16);
            kernels->widen_bf16((const unsigned char *)odd.ptr + 1, 1, &bf16);
            assert_memory_equal(&f16, &cases[i].f16, 4);
            assert_memory_equal(&bf16, &cases[i].bf16, 4);
            guard_free(odd);
        }
        uint16_t infinite = 0xfc00, not_a_number = 0x7e01;
        float out;
        kernels->widen_f16((const unsigned char *)&infinite, 1, &out);
        assert_true(isinf(out) && out < 0);
        kernels->widen_f16((const unsigned char *)&not_a_number, 1, &out);
        assert_true(isnan(out));
    }
}

/* --- products --------------------------------------------------------------------------------- */

struct sizes {
    size_t inputs, outputs[2], tokens;
};

static struct linear make_linear(size_t inputs, size_t outputs, uint32_t seed, slice *memory)
{
    size_t count = inputs * outputs;
    float *weights = malloc(count * sizeof *weights);
    struct linear linear = { .inputs = inputs, .outputs = outputs };
    linear.bias = calloc(outputs + KERNEL_ROWS_MAX, sizeof *linear.bias);
    assert_true(weights != NULL && linear.bias != NULL);
    for (size_t i = 0; i < count; i++)
        weights[i] = number(&seed);
    for (size_t i = 0; i < outputs; i++)
        linear.bias[i] = number(&seed);
    /* Not even two bytes' alignment, and nothing behind it. */
    *memory = guard_copy((const char *)weights, count * sizeof *weights);
    free(weights);
    linear.weight = (struct tensor){ .bytes = (const unsigned char *)memory->ptr,
                                     .size_bytes = memory->len,
                                     .type = TENSOR_F32,
                                     .rank = 2,
                                     .shape = { outputs, inputs } };
    return linear;
}

static float weight_at(const struct linear *linear, size_t row, size_t column)
{
    float weight;
    memcpy(&weight, linear->weight.bytes + (row * linear->inputs + column) * sizeof weight,
           sizeof weight);
    return weight;
}

static double expected(const struct kernels *kernels, const struct linear *linear, float *in,
                       size_t row, size_t token)
{
    const float *x = matrix_token(kernels, in, linear->inputs, token);
    double sum = (double)linear->bias[row];
    for (size_t k = 0; k < linear->inputs; k++)
        sum += (double)weight_at(linear, row, k) * (double)x[k * kernels->panel];
    return sum;
}

static void check_product(const struct kernels *kernels, struct pool *pool, struct sizes sizes)
{
    slice memory[2];
    struct linear first = make_linear(sizes.inputs, sizes.outputs[0], 1, &memory[0]);
    struct linear second = make_linear(sizes.inputs, sizes.outputs[1], 2, &memory[1]);
    size_t outputs = sizes.outputs[0] + sizes.outputs[1];
    float *in = floats(matrix_floats(kernels, sizes.inputs, sizes.tokens));
    float *out = floats(matrix_floats(kernels, outputs, sizes.tokens));
    uint32_t seed = 5;
    for (size_t i = 0; i < matrix_floats(kernels, sizes.inputs, sizes.tokens); i++)
        in[i] = number(&seed);
    struct product product = { { &first, &second }, 2, in, out, sizes.tokens, false };
    matrix_multiply(kernels, pool, &product);
    for (size_t t = 0; t < sizes.tokens; t++)
        for (size_t r = 0; r < outputs; r++) {
            const struct linear *linear = r < sizes.outputs[0] ? &first : &second;
            size_t row = r < sizes.outputs[0] ? r : r - sizes.outputs[0];
            close_to(matrix_token(kernels, out, outputs, t)[r * kernels->panel],
                     expected(kernels, linear, in, row, t),
                     2e-6 * sqrt((double)sizes.inputs) + 1e-6, "product", kernels);
        }
    free(in);
    free(out);
    linear_close(&first);
    linear_close(&second);
    guard_free(memory[0]);
    guard_free(memory[1]);
}

static void test_products(void **state)
{
    static const struct sizes cases[] = {
        { 1, { 1, 1 }, 1 },     { 5, { 14, 6 }, 3 },     { 35, { 53, 13 }, 33 },
        { 256, { 7, 28 }, 16 }, { 257, { 15, 29 }, 17 }, { 768, { 3, 5 }, 32 },
        { 513, { 61, 1 }, 65 },
    };
    static struct pool *pool;
    struct err err;
    (void)state;
    assert_int_equal(pool_new(&pool, 3, &err), 0);
    for (size_t s = 0; s < 4; s++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases && set(s) != NULL; i++)
            check_product(set(s), pool, cases[i]);
}

static void test_choice(void **state)
{
    (void)state;
    assert_non_null(kernels_choose(NULL));
    assert_ptr_equal(kernels_choose("portable"), &kernels_portable);
    assert_null(kernels_choose("avx9"));
    assert_null(kernels_choose(""));
}

/* --- the pool --------------------------------------------------------------------------------- */

struct counts {
    _Atomic(unsigned) calls[100];
    _Atomic(unsigned) busy[4];
};

static void count_call(void *argument, size_t index, unsigned thread)
{
    struct counts *counts = argument;
    assert_true(index < 100 && thread < 4);
    assert_int_equal(counts->busy[thread]++, 0);
    counts->calls[index]++;
    counts->busy[thread]--;
}

static void test_pool(void **state)
{
    static struct pool *pools[5]; /* they stay until the end */
    struct err err;
    (void)state;
    for (unsigned threads = 1; threads <= 4; threads++) {
        static struct counts counts;
        memset(&counts, 0, sizeof counts);
        assert_int_equal(pool_new(&pools[threads], threads, &err), 0);
        assert_int_equal(pool_size(pools[threads]), threads);
        for (unsigned run = 1; run <= 300; run++) {
            pool_run(pools[threads], count_call, &counts, run % 101);
            pool_run(pools[threads], count_call, &counts, 0);
        }
        unsigned sum = 0, wanted = 0;
        for (size_t i = 0; i < 100; i++)
            sum += counts.calls[i];
        for (unsigned run = 1; run <= 300; run++)
            wanted += run % 101;
        assert_int_equal(sum, wanted);
    }
}

/* --- how many threads ------------------------------------------------------------------------- */

static char root[] = "/tmp/pool-root-XXXXXX";

static const char *in_root(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", root, name);
    return path;
}

/* A folder like the kernel's, for all tests. */
static int make_root(void **state)
{
    static const char *const folders[] = { "sys", "sys/fs", "sys/fs/cgroup", "sys/fs/cgroup/cpu" };
    (void)state;
    if (mkdtemp(root) == NULL)
        return -1;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (mkdir(in_root(folders[i]), 0700) != 0)
            return -1;
    return 0;
}

static int remove_root(void **state)
{
    static const char *const paths[] = { "sys/fs/cgroup/cpu.max",
                                         "sys/fs/cgroup/cpu/cpu.cfs_quota_us",
                                         "sys/fs/cgroup/cpu/cpu.cfs_period_us",
                                         "sys/fs/cgroup/cpu",
                                         "sys/fs/cgroup",
                                         "sys/fs",
                                         "sys",
                                         "" };
    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        remove(in_root(paths[i]));
    return access(root, F_OK) == 0 ? -1 : 0;
}

/* A file of the control group; NULL: there is none. */
static void say(const char *name, const char *text)
{
    char path[64];
    snprintf(path, sizeof path, "sys/fs/cgroup/%s", name);
    remove(in_root(path));
    FILE *file = text != NULL ? fopen(in_root(path), "w") : NULL;
    if (text != NULL && (file == NULL || fputs(text, file) < 0 || fclose(file) != 0))
        fail_msg("cannot write %s", in_root(path));
}

static void test_quota(void **state)
{
    static const struct {
        const char *max, *quota, *period;
        unsigned processors;
    } cases[] = {
        { NULL, NULL, NULL, 0 },
        { "max 100000\n", NULL, NULL, 0 },
        { "100000 100000\n", NULL, NULL, 1 },
        { "1 100000\n", NULL, NULL, 1 },
        { "100001 100000\n", NULL, NULL, 2 },
        { "150000 50000\n", NULL, NULL, 3 },
        { "6300001 100000\n", NULL, NULL, 64 },
        { "6400000 100000\n", NULL, NULL, 0 },
        { "9223372036854775807 1\n", NULL, NULL, 0 },
        { "100000\n", NULL, NULL, 0 },
        { "0 100000\n", NULL, NULL, 0 },
        { "100000 0\n", NULL, NULL, 0 },
        { "-100000 -100000\n", NULL, NULL, 0 },
        { "", NULL, NULL, 0 },
        { "nonsense\n", NULL, NULL, 0 },
        { NULL, "-1\n", "100000\n", 0 },
        { NULL, "250000\n", "100000\n", 3 },
        { NULL, "250000\n", NULL, 0 },
        { NULL, NULL, "100000\n", 0 },
        { "max 100000\n", "250000\n", "100000\n", 0 }, /* the second version's is in force */
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        say("cpu.max", cases[i].max);
        say("cpu/cpu.cfs_quota_us", cases[i].quota);
        say("cpu/cpu.cfs_period_us", cases[i].period);
        if (pool_quota(root) != cases[i].processors)
            fail_msg("case %zu: %u instead of %u", i, pool_quota(root), cases[i].processors);
    }
}

/* Those that the affinity allows, or the quota where that is less. */
static void test_threads(void **state)
{
    cpu_set_t all, one;
    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    unsigned allowed = (unsigned)CPU_COUNT(&all);
    unsigned most = allowed < LIMIT_POOL_THREADS ? allowed : LIMIT_POOL_THREADS;
    assert_int_equal(pool_threads("/nowhere"), most);
    say("cpu.max", "6300000 100000\n");
    assert_int_equal(pool_threads(root), most < 63 ? most : 63);
    say("cpu.max", "50000 100000\n");
    assert_int_equal(pool_threads(root), 1);
    CPU_ZERO(&one);
    for (int cpu = 0; CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &all))
            CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(pool_threads("/nowhere"), 1);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_gelu),
        cmocka_unit_test(test_softmax),
        cmocka_unit_test(test_gelu_is_not_tanh),
        cmocka_unit_test(test_no_number_stays_none),
        cmocka_unit_test(test_layer_norm),
        cmocka_unit_test(test_widen),
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_pool),
        cmocka_unit_test(test_quota),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
