/* A pass on a GPU, a launch a step: see network.c for the same on the CPU. */
#include "handlers/sentiment/network_gpu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "handlers/sentiment/gpu_kernels.inc"
#include "handlers/sentiment/network_gpu_private.h"

#define TENSOR_CAPABILITY 80 /* mma of 16 x 8 x 16 halves */
#define NORM_THREADS 128u    /* these are in the kernels' text, too */
#define TENSOR_THREADS 128u
#define SINGLE_THREADS 256u
#define ATTEND_THREADS 64u
#define ATTEND_QUERIES 16u
#define LOG2_E 1.44269504f

enum activation { ACTIVATION_NONE, ACTIVATION_GELU, ACTIVATION_RELU };

int gpu_failed(struct err *err)
{
    return err_set(err, ERR_PEER, "%s", rp_gpu_error());
}

/* --- opening ---------------------------------------------------------------------------------- */

static int load_kernels(struct network_gpu *gpu)
{
    rp_gpu_module *common, *tensor;
    int rc = rp_gpu_load(gpu->device, kernels_common, &common);
    const struct {
        const char *name;
        rp_gpu_kernel **kernel;
    } wanted[] = {
        { "convert", &gpu->convert },   { "embed", &gpu->embed },
        { "add_norm", &gpu->add_norm }, { "gather", &gpu->gather },
        { "attend", &gpu->attend },     { "multiply_single", &gpu->multiply },
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted && rc == RP_OK; i++)
        rc = rp_gpu_find(common, wanted[i].name, wanted[i].kernel);
    if (rc != RP_OK || !gpu->is_half)
        return rc;
    rc = rp_gpu_load(gpu->device, kernels_tensor, &tensor);
    return rc == RP_OK ? rp_gpu_find(tensor, "multiply_tensor", &gpu->multiply) : rc;
}

static int allocate_host(struct network_gpu *gpu)
{
    void *tokens = NULL, *logits = NULL;
    int rc = rp_gpu_host_alloc(gpu->device, sizeof *gpu->host_tokens, &tokens);
    if (rc == RP_OK)
        rc = rp_gpu_host_alloc(gpu->device,
                               NETWORK_SEQUENCES_MAX * GPU_PAD * sizeof *gpu->host_logits, &logits);
    gpu->host_tokens = tokens;
    gpu->host_logits = logits;
    return rc;
}

int network_gpu_open(struct network_gpu **out, const struct network *network, rp_gpu *device,
                     struct err *err)
{
    struct network_gpu *gpu = calloc(1, sizeof *gpu);
    struct gpu_layer *layers = calloc(network->config.layers, sizeof *layers);
    int rc;
    if (gpu == NULL || layers == NULL) {
        free(gpu);
        free(layers);
        return err_set(err, ERR_MEMORY, "out of memory for the layers");
    }
    *gpu = (struct network_gpu){ .network = network, .device = device, .layers = layers };
    gpu->dim = gpu_padded(network->config.dim);
    gpu->is_half = rp_gpu_about(device)->capability >= TENSOR_CAPABILITY;
    if (load_kernels(gpu) != RP_OK || allocate_host(gpu) != RP_OK)
        rc = gpu_failed(err);
    else
        rc = gpu_weights_open(gpu, err);
    *out = gpu;
    return rc;
}

const char *network_gpu_name(const struct network_gpu *gpu)
{
    return rp_gpu_about(gpu->device)->name;
}

const char *network_gpu_precision(const struct network_gpu *gpu)
{
    return gpu->is_half ? "half" : "single";
}

size_t network_gpu_bytes(const struct network_gpu *gpu)
{
    return gpu->bytes;
}

/* --- steps ------------------------------------------------------------------------------------ */

/* The tokens of a pass, and what of them the host has to know for its launches. */
struct gpu_pass {
    struct network_gpu *gpu;
    unsigned tokens, sequences, longest;
};

static int embed(const struct gpu_pass *pass)
{
    struct network_gpu *gpu = pass->gpu;
    uint32_t words_type = gpu->network->words.type, dim = (uint32_t)gpu->network->config.dim;
    uint32_t positions_type = gpu->network->positions.type;
    rp_gpu_ptr ids = gpu->tokens + offsetof(struct gpu_tokens, ids);
    rp_gpu_ptr places = gpu->tokens + offsetof(struct gpu_tokens, places);
    return rp_gpu_launch(gpu->embed, RP_GPU_DIM(pass->tokens), RP_GPU_DIM(NORM_THREADS), 0,
                         RP_GPU_ARGS(&gpu->words, &words_type, &gpu->positions, &positions_type,
                                     &ids, &places, &gpu->x, &gpu->norm.weight, &gpu->norm.bias,
                                     &dim, &gpu->dim));
}

/* c = activation(a * weights + bias), with c_columns from row to row of c. */
static int multiply(struct network_gpu *gpu, rp_gpu_ptr a, struct gpu_linear linear, rp_gpu_ptr c,
                    uint32_t c_columns, unsigned rows, enum activation activation)
{
    uint32_t mode = activation;
    return rp_gpu_launch(
        gpu->multiply, RP_GPU_DIM(linear.outputs / GPU_PAD, gpu_padded(rows) / GPU_PAD),
        RP_GPU_DIM(gpu->is_half ? TENSOR_THREADS : SINGLE_THREADS), 0,
        RP_GPU_ARGS(&a, &linear.weight, &linear.bias, &c, &c_columns, &linear.inputs, &mode));
}

/* x = LayerNorm(x + y) */
static int add_norm(struct network_gpu *gpu, struct gpu_norm norm, rp_gpu_ptr x, rp_gpu_ptr y,
                    unsigned rows)
{
    uint32_t dim = (uint32_t)gpu->network->config.dim;
    return rp_gpu_launch(gpu->add_norm, RP_GPU_DIM(rows), RP_GPU_DIM(NORM_THREADS), 0,
                         RP_GPU_ARGS(&x, &y, &norm.weight, &norm.bias, &dim, &gpu->dim));
}

/*
 * Keys and values of all tokens are in `wide`; the queries are there, too, or those of the
 * sequences' first tokens in first_q.
 */
static int attend(const struct gpu_pass *pass, bool first_only)
{
    struct network_gpu *gpu = pass->gpu;
    const struct network_config *config = &gpu->network->config;
    uint32_t size = (uint32_t)(config->dim / config->heads), wide = 3 * gpu->dim;
    uint32_t q_columns = first_only ? gpu->dim : wide, only = first_only;
    rp_gpu_ptr q = first_only ? gpu->first_q : gpu->wide;
    rp_gpu_ptr k = gpu->wide + gpu->dim * sizeof(float), v = k + gpu->dim * sizeof(float);
    rp_gpu_ptr starts = gpu->tokens + offsetof(struct gpu_tokens, starts);
    float scale = LOG2_E / sqrtf((float)size);
    unsigned chunks = first_only ? 1 : (pass->longest + ATTEND_QUERIES - 1) / ATTEND_QUERIES;
    size_t columns = (size < 8 ? 8 : size) + pass->longest;
    return rp_gpu_launch(gpu->attend, RP_GPU_DIM((unsigned)config->heads, chunks, pass->sequences),
                         RP_GPU_DIM(ATTEND_THREADS), columns * ATTEND_QUERIES * sizeof(float),
                         RP_GPU_ARGS(&q, &k, &v, &gpu->attended, &starts, &q_columns, &wide,
                                     &gpu->dim, &size, &only, &scale));
}

static int gather_first(const struct gpu_pass *pass)
{
    struct network_gpu *gpu = pass->gpu;
    rp_gpu_ptr starts = gpu->tokens + offsetof(struct gpu_tokens, starts);
    return rp_gpu_launch(gpu->gather, RP_GPU_DIM(pass->sequences), RP_GPU_DIM(NORM_THREADS), 0,
                         RP_GPU_ARGS(&gpu->x, &starts, &gpu->first_x, &gpu->dim));
}

/* --- a pass ----------------------------------------------------------------------------------- */

/* Both halves of a layer behind the attention: x becomes the layer's output. */
static int finish_layer(struct network_gpu *gpu, const struct gpu_layer *layer, rp_gpu_ptr x,
                        rp_gpu_ptr y, unsigned rows)
{
    uint32_t hidden = layer->lin1.outputs;
    if (multiply(gpu, gpu->attended, layer->out, y, gpu->dim, rows, ACTIVATION_NONE) != RP_OK ||
        add_norm(gpu, layer->attention_norm, x, y, rows) != RP_OK ||
        multiply(gpu, x, layer->lin1, gpu->wide, hidden, rows, ACTIVATION_GELU) != RP_OK ||
        multiply(gpu, gpu->wide, layer->lin2, y, gpu->dim, rows, ACTIVATION_NONE) != RP_OK)
        return RP_FAILED;
    return add_norm(gpu, layer->output_norm, x, y, rows);
}

static int run_layer(const struct gpu_pass *pass, const struct gpu_layer *layer)
{
    struct network_gpu *gpu = pass->gpu;
    if (multiply(gpu, gpu->x, layer->qkv, gpu->wide, 3 * gpu->dim, pass->tokens, ACTIVATION_NONE) !=
            RP_OK ||
        attend(pass, false) != RP_OK)
        return RP_FAILED;
    return finish_layer(gpu, layer, gpu->x, gpu->y, pass->tokens);
}

/* Rows first to first + count - 1 of a layer. */
static struct gpu_linear part_of(const struct network_gpu *gpu, struct gpu_linear linear,
                                 uint32_t first, uint32_t count)
{
    linear.weight += (size_t)first * linear.inputs * (gpu->is_half ? 2 : 4);
    linear.bias += first * sizeof(float);
    linear.outputs = count;
    return linear;
}

/* Of the last layer only the first token's output is used; keys and values are all tokens'. */
static int run_last_layer(const struct gpu_pass *pass, const struct gpu_layer *layer)
{
    struct network_gpu *gpu = pass->gpu;
    uint32_t dim = gpu->dim;
    if (multiply(gpu, gpu->x, part_of(gpu, layer->qkv, dim, 2 * dim),
                 gpu->wide + dim * sizeof(float), 3 * dim, pass->tokens,
                 ACTIVATION_NONE) != RP_OK ||
        gather_first(pass) != RP_OK ||
        multiply(gpu, gpu->first_x, part_of(gpu, layer->qkv, 0, dim), gpu->first_q, dim,
                 pass->sequences, ACTIVATION_NONE) != RP_OK ||
        attend(pass, true) != RP_OK)
        return RP_FAILED;
    return finish_layer(gpu, layer, gpu->first_x, gpu->first_y, pass->sequences);
}

static int classify(const struct gpu_pass *pass)
{
    struct network_gpu *gpu = pass->gpu;
    if (multiply(gpu, gpu->first_x, gpu->pre_classifier, gpu->first_y, gpu->dim, pass->sequences,
                 ACTIVATION_RELU) != RP_OK ||
        multiply(gpu, gpu->first_y, gpu->classifier, gpu->logits, GPU_PAD, pass->sequences,
                 ACTIVATION_NONE) != RP_OK)
        return RP_FAILED;
    return rp_gpu_read_async(gpu->device, gpu->host_logits, gpu->logits,
                             pass->sequences * GPU_PAD * sizeof(float));
}

static struct gpu_pass describe(struct network_gpu *gpu, const uint32_t *ids, const size_t *lengths,
                                size_t sequences)
{
    struct gpu_pass pass = { .gpu = gpu, .sequences = (unsigned)sequences };
    struct gpu_tokens *tokens = gpu->host_tokens;
    for (size_t s = 0; s < sequences; s++) {
        tokens->starts[s] = pass.tokens;
        for (size_t i = 0; i < lengths[s]; i++)
            tokens->places[pass.tokens++] = (uint32_t)i;
        if (lengths[s] > pass.longest)
            pass.longest = (unsigned)lengths[s];
    }
    tokens->starts[sequences] = pass.tokens;
    memcpy(tokens->ids, ids, pass.tokens * sizeof *ids);
    return pass;
}

static int run(const struct gpu_pass *pass)
{
    struct network_gpu *gpu = pass->gpu;
    size_t last = gpu->network->config.layers - 1;
    int rc = rp_gpu_write_async(gpu->device, gpu->tokens, gpu->host_tokens,
                                sizeof *gpu->host_tokens);
    if (rc == RP_OK)
        rc = embed(pass);
    for (size_t i = 0; i < last && rc == RP_OK; i++)
        rc = run_layer(pass, &gpu->layers[i]);
    if (rc == RP_OK)
        rc = run_last_layer(pass, &gpu->layers[last]);
    return rc == RP_OK ? classify(pass) : rc;
}

int network_gpu_run(struct network_gpu *gpu, const uint32_t *ids, const size_t *lengths,
                    size_t sequences, float *logits, struct err *err)
{
    struct gpu_pass pass = describe(gpu, ids, lengths, sequences);
    size_t labels = gpu->network->config.labels;
    int rc = run(&pass);
    if (rc != RP_OK)
        gpu_failed(err);
    /* Waits after a failure, too: what was asked for before must not write into the next pass. */
    if (rp_gpu_wait(gpu->device) != RP_OK && rc == RP_OK)
        rc = gpu_failed(err);
    for (size_t s = 0; rc == RP_OK && s < sequences; s++)
        memcpy(logits + s * labels, gpu->host_logits + s * GPU_PAD, labels * sizeof *logits);
    return rc == RP_OK ? 0 : ERR_PEER;
}
