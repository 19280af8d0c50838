/*
 * model/matrix.h - products of weights with the activations of many tokens.
 *
 * Activations lie in panels (model/kernels.h): those of tokens 0 to panel - 1 first, feature after
 * feature, then those of the next tokens. The last panel is whole, too: what its unused columns
 * hold has no meaning and no influence.
 *
 * Weights stay in the file's mapping, in the file's dtype and at any address. They are copied and
 * converted block by block, in the cache, on the way to the multiplication.
 */
#ifndef MODEL_MATRIX_H
#define MODEL_MATRIX_H

#include <stdbool.h>

#include "base/err.h"
#include "model/kernels.h"
#include "model/pool.h"
#include "model/safetensors.h"

/* A linear layer: out = weight * in + bias. */
struct linear {
    struct tensor weight; /* [outputs, inputs] */
    float *bias;          /* owned; KERNEL_ROWS_MAX zeros behind it */
    size_t inputs, outputs;
};

/*
 * Takes "<name>.weight" and "<name>.bias" from the file, of that shape. Errors as
 * safetensors_find; ERR_MEMORY.
 */
int linear_open(struct linear *linear, const struct safetensors *file, const char *name,
                size_t inputs, size_t outputs, struct err *err);

/* Frees the bias. */
void linear_close(struct linear *linear);

/* A tensor of one dimension as floats, with `extra` zeros behind them; the caller frees them. */
int vector_open(float **out, const struct safetensors *file, const char *name, size_t count,
                size_t extra, struct err *err);

/* Floats for `tokens` tokens of so many features, in whole panels. */
size_t matrix_floats(const struct kernels *kernels, size_t features, size_t tokens);

/* Where feature 0 of a token is; feature f is at [f * kernels->panel] from there. */
static inline float *matrix_token(const struct kernels *kernels, float *activations,
                                  size_t features, size_t token)
{
    return activations + token / kernels->panel * features * kernels->panel +
           token % kernels->panel;
}

struct product {
    const struct linear *layers[3]; /* all of the same inputs; their outputs follow each other */
    unsigned count;
    const float *in;
    float *out; /* not the same as in */
    size_t tokens;
    bool gelu; /* applied to the outputs */
};

/*
 * Computes it, on all threads of the pool. Each output is summed in an order that depends on the
 * number of inputs alone: neither on the tokens beside it nor on the threads.
 */
void matrix_multiply(const struct kernels *kernels, struct pool *pool,
                     const struct product *product);

/*
 * Elements first to first + count - 1 of the tensor as floats, by the kernels' conversion. The
 * range must lie in the tensor.
 */
void matrix_read(const struct kernels *kernels, const struct tensor *tensor, size_t first,
                 size_t count, float *out);

#endif
