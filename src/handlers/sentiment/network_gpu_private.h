/*
 * handlers/sentiment/network_gpu_private.h - what the files of the network on a GPU share.
 */
#ifndef HANDLERS_SENTIMENT_NETWORK_GPU_PRIVATE_H
#define HANDLERS_SENTIMENT_NETWORK_GPU_PRIVATE_H

#include "handlers/sentiment/network_gpu.h"

/* Widths and numbers of rows are multiples of it in device memory; what is beyond is zero. */
#define GPU_PAD 64u

/* A linear layer, or several of the same inputs whose outputs follow each other. */
struct gpu_linear {
    rp_gpu_ptr weight, bias;
    uint32_t inputs, outputs; /* multiples of GPU_PAD */
};

struct gpu_norm {
    rp_gpu_ptr weight, bias;
};

struct gpu_layer {
    struct gpu_linear qkv, out, lin1, lin2;
    struct gpu_norm attention_norm, output_norm;
};

/* What a pass is told of its tokens. */
struct gpu_tokens {
    uint32_t ids[NETWORK_BUDGET_TOKENS];
    uint32_t places[NETWORK_BUDGET_TOKENS];     /* of each token in its sequence */
    uint32_t starts[NETWORK_SEQUENCES_MAX + 1]; /* of each sequence; then the end of the last */
};

struct network_gpu {
    const struct network *network;
    rp_gpu *device;
    bool is_half; /* products by tensor cores */
    rp_gpu_kernel *convert, *embed, *add_norm, *gather, *attend, *multiply;
    rp_gpu_ptr memory, next; /* all of it; what is not given away yet */
    size_t bytes;
    rp_gpu_ptr words, positions; /* as in the file */
    struct gpu_norm norm;
    struct gpu_layer *layers;
    struct gpu_linear pre_classifier, classifier;
    uint32_t dim;                         /* a multiple of GPU_PAD, as are all rows */
    rp_gpu_ptr x, y, attended;            /* dim for each token */
    rp_gpu_ptr wide;                      /* queries, keys and values, or the hidden layer */
    rp_gpu_ptr first_x, first_y, first_q; /* dim for each sequence */
    rp_gpu_ptr logits, tokens;
    struct gpu_tokens *host_tokens; /* page-locked, as is the next one */
    float *host_logits;             /* GPU_PAD for each sequence */
};

static inline uint32_t gpu_padded(size_t count)
{
    return (uint32_t)((count + GPU_PAD - 1) / GPU_PAD * GPU_PAD);
}

/* The driver's reason for the last failure as the error; returns ERR_PEER. */
int gpu_failed(struct err *err);

/* Allocates the device's memory, zeroed, and copies the weights there. As network_gpu_open. */
int gpu_weights_open(struct network_gpu *gpu, struct err *err);

#endif
