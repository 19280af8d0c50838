/*
 * handlers/sentiment/network.h - DistilBERT for classification: ids of tokens to logits.
 *
 * Everything about its size comes from config.json; the weights are read from the mapping of
 * model.safetensors, names with the prefix "distilbert." as published. A network is used by one
 * thread at a time, whose work is shared by the pool.
 */
#ifndef HANDLERS_SENTIMENT_NETWORK_H
#define HANDLERS_SENTIMENT_NETWORK_H

#include "model/matrix.h"

#define NETWORK_TOKENS_MAX 512     /* of a sequence */
#define NETWORK_BUDGET_TOKENS 1024 /* of a pass: 18 MB of activations at the published size */
#define NETWORK_SEQUENCES_MAX 64   /* of a pass */
#define NETWORK_LABELS_MAX 64

struct network_config {
    size_t dim, heads, layers, hidden, positions, vocabulary;
    size_t labels;
    slice label[NETWORK_LABELS_MAX]; /* lower-cased ASCII; as long as the network */
};

struct network_norm {
    float *weight, *bias;
};

struct network_layer {
    struct linear q, k, v, out, lin1, lin2;
    struct network_norm attention_norm, output_norm;
};

struct network {
    struct network_config config;
    const struct kernels *kernels;
    struct pool *pool;
    struct arena arena; /* texts of the configuration */
    struct safetensors file;
    struct tensor words, positions;
    struct network_norm norm;
    struct network_layer *layers;
    struct linear pre_classifier, classifier;
    float *x, *y, *wide;                               /* activations of all tokens */
    float *first_x, *first_y, *first_q, *first_hidden; /* of each sequence's first token */
    float *scratch;                                    /* scratch_floats for each thread */
    size_t scratch_floats;
};

/*
 * Reads the configuration, finds and checks every tensor, and allocates all memory that a pass
 * needs. weights: the bytes of model.safetensors, which stay mapped; config: the text of
 * config.json, copied where needed. Kernels and pool are linked. ERR_INPUT says what is wrong, and
 * in which of the two files; ERR_MEMORY.
 */
int network_open(struct network *network, slice config, slice weights,
                 const struct kernels *kernels, struct pool *pool, struct err *err);

/* Frees everything. The pool and the mapping stay. */
void network_close(struct network *network);

/*
 * One pass. ids: those of all sequences, one after the other; lengths: how many each has, 1 to the
 * smaller of config.positions and NETWORK_TOKENS_MAX. At most NETWORK_BUDGET_TOKENS tokens and
 * NETWORK_SEQUENCES_MAX sequences. Every id is less than config.vocabulary. logits: config.labels
 * for each sequence. Blocks.
 */
void network_run(struct network *network, const uint32_t *ids, const size_t *lengths,
                 size_t sequences, float *logits);

#endif
