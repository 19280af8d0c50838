/*
 * model/kernels.h - the inner loops, in one build for each instruction set.
 *
 * All of them work on panels: `panel` tokens side by side, feature after feature, so that a vector
 * register holds one feature of several tokens and nothing is ever summed across a register.
 * Feature f of a panel's token t is at [f * panel + t]. What a token's result is does not depend on
 * the tokens beside it, nor on their number: that makes a batch equal to single passes, bit by bit.
 *
 * Panels and blocks are aligned to KERNEL_ALIGN bytes. Pure functions without state.
 */
#ifndef MODEL_KERNELS_H
#define MODEL_KERNELS_H

#include <stddef.h>
#include <stdint.h>

enum {
    KERNEL_ALIGN = 64,
    KERNEL_DEPTH = 256,  /* the most that one tile sums up */
    KERNEL_STRIDE = 272, /* floats from row to row of a block; not a power of two, for the cache */
    KERNEL_PANEL_MAX = 32, /* tokens */
    KERNEL_ROWS_MAX = 14,  /* rows of a block */
};

/* Weights that are needed next: a tile has their rows brought into the cache meanwhile. */
struct kernel_next {
    const unsigned char *bytes; /* of the first row */
    size_t row_bytes;           /* from row to row; hints only: rows may lie behind the end */
};

struct kernels {
    const char *name;
    unsigned panel; /* tokens: two vectors */
    unsigned rows;  /* of a block */

    /*
     * c = start + a * b. a: `rows` rows of `depth` floats (at most KERNEL_DEPTH), KERNEL_STRIDE
     * apart. b: depth rows of a panel. c: `rows` rows of a panel. start: one float for each row, or
     * NULL for what c holds. half: only the first vector of the panel. next may be NULL.
     */
    void (*tile)(const float *a, const float *b, float *c, const float *start, size_t depth,
                 int half, const struct kernel_next *next);

    /* values[i] = GELU(values[i]), by the error function; count is a multiple of the panel. */
    void (*gelu)(float *values, size_t count);

    /*
     * values = LayerNorm(values + add) over the `features` rows of a panel, for each token alone.
     * add may be NULL.
     */
    void (*layer_norm)(float *values, const float *add, const float *weight, const float *bias,
                       size_t features, float eps);

    /* Softmax over the `rows` rows of a panel, for each column alone. */
    void (*softmax)(float *values, size_t rows);

    /* Floats of `count` halves or bfloat16s at any address. */
    void (*widen_f16)(const unsigned char *bytes, size_t count, float *out);
    void (*widen_bf16)(const unsigned char *bytes, size_t count, float *out);
};

extern const struct kernels kernels_portable;
#if defined(__x86_64__)
extern const struct kernels kernels_avx2, kernels_avx512;
#endif

/*
 * Those of the best instruction set that this machine has, or of the one called `name` ("avx512",
 * "avx2", "portable"). NULL if there is no such set, or the machine does not have it.
 */
const struct kernels *kernels_choose(const char *name);

#endif
