#include "handlers/sentiment/network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handlers/sentiment/network_private.h"

#define NORM_EPS 1e-12f /* DistilBERT's, fixed in its source */
#define PREFIX "distilbert."

/* --- opening ---------------------------------------------------------------------------------- */

static int open_norm(struct network *network, struct network_norm *norm, const char *name,
                     struct err *err)
{
    char full[120];
    snprintf(full, sizeof full, "%s.weight", name);
    int rc = vector_open(&norm->weight, &network->file, full, network->config.dim, 0, err);
    snprintf(full, sizeof full, "%s.bias", name);
    return rc != 0 ? rc
                   : vector_open(&norm->bias, &network->file, full, network->config.dim, 0, err);
}

static int open_table(struct network *network, const char *name, size_t rows, struct tensor *table,
                      struct err *err)
{
    uint64_t shape[] = { rows, network->config.dim };
    return safetensors_find(&network->file, name, 2, shape, table, err);
}

static int open_layer(struct network *network, size_t index, struct err *err)
{
    struct network_layer *layer = &network->layers[index];
    size_t dim = network->config.dim, hidden = network->config.hidden;
    const struct {
        const char *name;
        struct linear *linear;
        size_t inputs, outputs;
    } linears[] = {
        { "attention.q_lin", &layer->q, dim, dim }, { "attention.k_lin", &layer->k, dim, dim },
        { "attention.v_lin", &layer->v, dim, dim }, { "attention.out_lin", &layer->out, dim, dim },
        { "ffn.lin1", &layer->lin1, dim, hidden },  { "ffn.lin2", &layer->lin2, hidden, dim },
    };
    char name[100];
    int rc = 0;
    for (size_t i = 0; i < sizeof linears / sizeof *linears && rc == 0; i++) {
        snprintf(name, sizeof name, PREFIX "transformer.layer.%zu.%s", index, linears[i].name);
        rc = linear_open(linears[i].linear, &network->file, name, linears[i].inputs,
                         linears[i].outputs, err);
    }
    if (rc != 0)
        return rc;
    snprintf(name, sizeof name, PREFIX "transformer.layer.%zu.sa_layer_norm", index);
    rc = open_norm(network, &layer->attention_norm, name, err);
    if (rc != 0)
        return rc;
    snprintf(name, sizeof name, PREFIX "transformer.layer.%zu.output_layer_norm", index);
    return open_norm(network, &layer->output_norm, name, err);
}

static int open_weights(struct network *network, slice weights, struct err *err)
{
    const struct network_config *config = &network->config;
    int rc = safetensors_open(&network->file, weights, err);
    if (rc == 0)
        rc = open_table(network, PREFIX "embeddings.word_embeddings.weight", config->vocabulary,
                        &network->words, err);
    if (rc == 0)
        rc = open_table(network, PREFIX "embeddings.position_embeddings.weight", config->positions,
                        &network->positions, err);
    if (rc == 0)
        rc = open_norm(network, &network->norm, PREFIX "embeddings.LayerNorm", err);
    for (size_t i = 0; i < config->layers && rc == 0; i++)
        rc = open_layer(network, i, err);
    if (rc == 0)
        rc = linear_open(&network->pre_classifier, &network->file, "pre_classifier", config->dim,
                         config->dim, err);
    if (rc == 0)
        rc = linear_open(&network->classifier, &network->file, "classifier", config->dim,
                         config->labels, err);
    return rc;
}

/* --- memory ----------------------------------------------------------------------------------- */

static bool allocate(float **out, size_t count)
{
    size_t bytes = (count * sizeof **out + KERNEL_ALIGN - 1) / KERNEL_ALIGN * KERNEL_ALIGN;
    *out = aligned_alloc(KERNEL_ALIGN, bytes);
    return *out != NULL;
}

/* The widest of what lies in `wide`: queries, keys, values and result, or the hidden layer. */
static size_t wide_features(const struct network_config *config)
{
    size_t most = 4 * config->dim > config->hidden ? 4 * config->dim : config->hidden;
    return most > config->labels ? most : config->labels;
}

static int allocate_memory(struct network *network, struct err *err)
{
    const struct kernels *kernels = network->kernels;
    size_t dim = network->config.dim;
    size_t all = matrix_floats(kernels, 1, NETWORK_BUDGET_TOKENS);
    size_t firsts = matrix_floats(kernels, 1, NETWORK_SEQUENCES_MAX);
    network->scratch_floats = attention_scratch_floats(network);
    if (allocate(&network->x, dim * all) && allocate(&network->y, dim * all) &&
        allocate(&network->wide, wide_features(&network->config) * all) &&
        allocate(&network->first_x, dim * firsts) && allocate(&network->first_y, dim * firsts) &&
        allocate(&network->first_q, dim * firsts) &&
        allocate(&network->first_hidden, wide_features(&network->config) * firsts) &&
        allocate(&network->scratch, network->scratch_floats * pool_size(network->pool)))
        return 0;
    return err_set(err, ERR_MEMORY, "out of memory for the activations");
}

int network_open(struct network *network, slice config, slice weights,
                 const struct kernels *kernels, struct pool *pool, struct err *err)
{
    *network = (struct network){ .kernels = kernels, .pool = pool };
    arena_init(&network->arena, SIZE_MAX / 2);
    int rc = network_read_config(network, config, err);
    if (rc != 0) {
        err_wrap(err, "config.json");
    } else {
        network->layers = calloc(network->config.layers, sizeof *network->layers);
        rc = network->layers == NULL ? err_set(err, ERR_MEMORY, "out of memory for the layers")
                                     : open_weights(network, weights, err);
        if (rc != 0)
            err_wrap(err, "model.safetensors");
    }
    if (rc == 0)
        rc = allocate_memory(network, err);
    if (rc != 0)
        network_close(network);
    return rc;
}

static void close_norm(struct network_norm *norm)
{
    free(norm->weight);
    free(norm->bias);
}

static void close_layer(struct network_layer *layer)
{
    linear_close(&layer->q);
    linear_close(&layer->k);
    linear_close(&layer->v);
    linear_close(&layer->out);
    linear_close(&layer->lin1);
    linear_close(&layer->lin2);
    close_norm(&layer->attention_norm);
    close_norm(&layer->output_norm);
}

void network_close(struct network *network)
{
    float *memory[] = {
        network->x,       network->y,       network->wide,         network->first_x,
        network->first_y, network->first_q, network->first_hidden, network->scratch
    };
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        free(memory[i]);
    for (size_t i = 0; network->layers != NULL && i < network->config.layers; i++)
        close_layer(&network->layers[i]);
    free(network->layers);
    close_norm(&network->norm);
    linear_close(&network->pre_classifier);
    linear_close(&network->classifier);
    safetensors_close(&network->file);
    arena_free(&network->arena);
    *network = (struct network){ .kernels = NULL };
}

/* --- a pass ----------------------------------------------------------------------------------- */

struct pass {
    struct network *network;
    const uint32_t *ids;
    const size_t *lengths;
    size_t sequences, tokens;
    uint16_t position[NETWORK_BUDGET_TOKENS]; /* of each token in its sequence */
};

struct norm_job {
    struct network *network;
    const struct network_norm *norm;
    float *values;
    const float *add;
};

static void norm_work(void *argument, size_t panel, unsigned thread)
{
    const struct norm_job *job = argument;
    const struct network *network = job->network;
    size_t offset = panel * network->config.dim * network->kernels->panel;
    (void)thread;
    network->kernels->layer_norm(job->values + offset, job->add + offset, job->norm->weight,
                                 job->norm->bias, network->config.dim, NORM_EPS);
}

static size_t panels_of(const struct network *network, size_t tokens)
{
    return (tokens + network->kernels->panel - 1) / network->kernels->panel;
}

/* values = LayerNorm(values + add) */
static void add_and_norm(struct network *network, const struct network_norm *norm, float *values,
                         const float *add, size_t tokens)
{
    struct norm_job job = { .network = network, .norm = norm, .add = add };
    job.values = values;
    pool_run(network->pool, norm_work, &job, panels_of(network, tokens));
}

static void multiply(struct network *network, const struct linear *layer, const float *in,
                     float *out, size_t tokens, bool gelu)
{
    struct product product = {
        .layers = { layer }, .count = 1, .in = in, .tokens = tokens, .gelu = gelu
    };
    product.out = out;
    matrix_multiply(network->kernels, network->pool, &product);
}

/* The embeddings of one panel's tokens. */
static void embed_work(void *argument, size_t panel, unsigned thread)
{
    const struct pass *pass = argument;
    struct network *network = pass->network;
    const struct kernels *kernels = network->kernels;
    size_t dim = network->config.dim, width = kernels->panel;
    float *word = network->scratch + thread * network->scratch_floats, *position = word + dim;
    float *values = network->x + panel * dim * width;
    memset(values, 0, dim * width * sizeof *values);
    for (size_t i = 0; i < width && panel * width + i < pass->tokens; i++) {
        size_t token = panel * width + i;
        matrix_read(kernels, &network->words, pass->ids[token] * dim, dim, word);
        matrix_read(kernels, &network->positions, pass->position[token] * dim, dim, position);
        for (size_t f = 0; f < dim; f++)
            values[f * width + i] = word[f] + position[f];
    }
    kernels->layer_norm(values, NULL, network->norm.weight, network->norm.bias, dim, NORM_EPS);
}

/* Both halves of a layer behind the attention: x becomes the layer's output. */
static void finish_layer(struct network *network, const struct network_layer *layer,
                         const float *attended, float *x, float *y, float *hidden, size_t tokens)
{
    multiply(network, &layer->out, attended, y, tokens, false);
    add_and_norm(network, &layer->attention_norm, x, y, tokens);
    multiply(network, &layer->lin1, x, hidden, tokens, true);
    multiply(network, &layer->lin2, hidden, y, tokens, false);
    add_and_norm(network, &layer->output_norm, x, y, tokens);
}

static void run_layer(struct pass *pass, const struct network_layer *layer)
{
    struct network *network = pass->network;
    size_t dim = network->config.dim;
    float *attended = network->wide + matrix_floats(network->kernels, 3 * dim, pass->tokens);
    struct product product = {
        { &layer->q, &layer->k, &layer->v }, 3, network->x, network->wide, pass->tokens, false
    };
    struct attention attention = {
        network->wide, 3 * dim, false,    network->wide, 3 * dim,
        dim,           2 * dim, attended, pass->lengths, pass->sequences
    };
    matrix_multiply(network->kernels, network->pool, &product);
    attention_run(network, &attention);
    finish_layer(network, layer, attended, network->x, network->y, network->wide, pass->tokens);
}

static void gather_first(struct pass *pass)
{
    struct network *network = pass->network;
    size_t dim = network->config.dim, width = network->kernels->panel, token = 0;
    memset(network->first_x, 0,
           matrix_floats(network->kernels, dim, pass->sequences) * sizeof *network->first_x);
    for (size_t s = 0; s < pass->sequences; token += pass->lengths[s++]) {
        const float *from = matrix_token(network->kernels, network->x, dim, token);
        float *to = matrix_token(network->kernels, network->first_x, dim, s);
        for (size_t f = 0; f < dim; f++)
            to[f * width] = from[f * width];
    }
}

/* Of the last layer only the first token's output is used; keys and values are all tokens'. */
static void run_last_layer(struct pass *pass, const struct network_layer *layer)
{
    struct network *network = pass->network;
    size_t dim = network->config.dim;
    struct product product = {
        { &layer->k, &layer->v }, 2, network->x, network->wide, pass->tokens, false
    };
    /* The result replaces nothing that is still needed: first_y is written after it is read. */
    float *attended = network->first_hidden;
    struct attention attention = {
        network->first_q, dim,           true,           network->wide, 2 * dim, 0, dim,
        attended,         pass->lengths, pass->sequences
    };
    matrix_multiply(network->kernels, network->pool, &product);
    gather_first(pass);
    multiply(network, &layer->q, network->first_x, network->first_q, pass->sequences, false);
    attention_run(network, &attention);
    finish_layer(network, layer, attended, network->first_x, network->first_y,
                 network->first_hidden, pass->sequences);
}

static void classify(struct pass *pass, float *logits)
{
    struct network *network = pass->network;
    size_t labels = network->config.labels, width = network->kernels->panel;
    float *out = network->first_hidden;
    multiply(network, &network->pre_classifier, network->first_x, network->first_y, pass->sequences,
             false);
    for (size_t i = 0; i < matrix_floats(network->kernels, network->config.dim, pass->sequences);
         i++)
        if (network->first_y[i] < 0.0f)
            network->first_y[i] = 0.0f;
    multiply(network, &network->classifier, network->first_y, out, pass->sequences, false);
    for (size_t s = 0; s < pass->sequences; s++)
        for (size_t l = 0; l < labels; l++)
            logits[s * labels + l] = matrix_token(network->kernels, out, labels, s)[l * width];
}

void network_run(struct network *network, const uint32_t *ids, const size_t *lengths,
                 size_t sequences, float *logits)
{
    struct pass pass = { network, ids, lengths, sequences, 0, { 0 } };
    for (size_t s = 0; s < sequences; s++)
        for (size_t i = 0; i < lengths[s]; i++)
            pass.position[pass.tokens++] = (uint16_t)i;
    pool_run(network->pool, embed_work, &pass, panels_of(network, pass.tokens));
    for (size_t i = 0; i + 1 < network->config.layers; i++)
        run_layer(&pass, &network->layers[i]);
    run_last_layer(&pass, &network->layers[network->config.layers - 1]);
    classify(&pass, logits);
}
