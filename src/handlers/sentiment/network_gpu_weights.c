/*
 * The way of the weights to the device: file, page-locked memory, device, and there a kernel that
 * converts them and lays them out. While one piece is on its way, the next one is read.
 */
#include <string.h>

#include "handlers/sentiment/network_gpu_private.h"

#define PIECE_BYTES (4u << 20)
#define PIECES 2u
#define CONVERT_THREADS 256u

struct staging {
    void *host[PIECES];
    rp_gpu_ptr device[PIECES];
    unsigned turn; /* the piece, and the stream, that comes next */
};

/* --- the plan --------------------------------------------------------------------------------- */

/* Device memory of the network's own. While the plan is measured, its addresses begin at 0. */
static rp_gpu_ptr place(struct network_gpu *gpu, size_t bytes)
{
    rp_gpu_ptr at = gpu->next;
    gpu->next += (bytes + 255) / 256 * 256;
    return at;
}

static rp_gpu_ptr place_floats(struct network_gpu *gpu, size_t rows, size_t columns)
{
    return place(gpu, rows * columns * sizeof(float));
}

static void place_linear(struct network_gpu *gpu, struct gpu_linear *linear, size_t inputs,
                         size_t outputs)
{
    linear->inputs = gpu_padded(inputs);
    linear->outputs = gpu_padded(outputs);
    linear->weight = place(gpu, (size_t)linear->inputs * linear->outputs * (gpu->is_half ? 2 : 4));
    linear->bias = place_floats(gpu, 1, linear->outputs);
}

static void place_norm(struct network_gpu *gpu, struct gpu_norm *norm)
{
    norm->weight = place_floats(gpu, 1, gpu->dim);
    norm->bias = place_floats(gpu, 1, gpu->dim);
}

static void place_weights(struct network_gpu *gpu)
{
    const struct network *network = gpu->network;
    size_t dim = network->config.dim, hidden = network->config.hidden;
    gpu->words = place(gpu, network->words.size_bytes);
    gpu->positions = place(gpu, network->positions.size_bytes);
    place_norm(gpu, &gpu->norm);
    for (size_t i = 0; i < network->config.layers; i++) {
        struct gpu_layer *layer = &gpu->layers[i];
        place_linear(gpu, &layer->qkv, dim, 3 * (size_t)gpu->dim);
        place_linear(gpu, &layer->out, dim, dim);
        place_linear(gpu, &layer->lin1, dim, hidden);
        place_linear(gpu, &layer->lin2, hidden, dim);
        place_norm(gpu, &layer->attention_norm);
        place_norm(gpu, &layer->output_norm);
    }
    place_linear(gpu, &gpu->pre_classifier, dim, dim);
    place_linear(gpu, &gpu->classifier, dim, network->config.labels);
}

static void place_activations(struct network_gpu *gpu)
{
    uint32_t hidden = gpu_padded(gpu->network->config.hidden);
    gpu->x = place_floats(gpu, NETWORK_BUDGET_TOKENS, gpu->dim);
    gpu->y = place_floats(gpu, NETWORK_BUDGET_TOKENS, gpu->dim);
    gpu->attended = place_floats(gpu, NETWORK_BUDGET_TOKENS, gpu->dim);
    gpu->wide = place_floats(gpu, NETWORK_BUDGET_TOKENS,
                             3 * gpu->dim > hidden ? 3 * (size_t)gpu->dim : hidden);
    gpu->first_x = place_floats(gpu, NETWORK_SEQUENCES_MAX, gpu->dim);
    gpu->first_y = place_floats(gpu, NETWORK_SEQUENCES_MAX, gpu->dim);
    gpu->first_q = place_floats(gpu, NETWORK_SEQUENCES_MAX, gpu->dim);
    gpu->logits = place_floats(gpu, NETWORK_SEQUENCES_MAX, GPU_PAD);
    gpu->tokens = place(gpu, sizeof(struct gpu_tokens));
}

_Static_assert(NETWORK_BUDGET_TOKENS % GPU_PAD == 0 && NETWORK_SEQUENCES_MAX % GPU_PAD == 0 &&
                   NETWORK_LABELS_MAX <= GPU_PAD,
               "rows are whole tiles, and the labels one");

/* Everything in one piece, so that what does not fit is said at once and in whole. */
static int allocate(struct network_gpu *gpu, struct err *err)
{
    gpu->next = 0;
    place_weights(gpu);
    place_activations(gpu);
    gpu->bytes = gpu->next;
    if (rp_gpu_alloc(gpu->device, NULL, gpu->bytes, &gpu->memory) != RP_OK)
        return err_set(err, ERR_MEMORY, "the model needs %zu MB of device memory: %s",
                       (gpu->bytes + 999999) / 1000000, rp_gpu_error());
    gpu->next = gpu->memory;
    place_weights(gpu);
    place_activations(gpu);
    if (rp_gpu_fill(gpu->device, gpu->memory, 0, gpu->bytes) != RP_OK ||
        rp_gpu_wait(gpu->device) != RP_OK)
        return gpu_failed(err);
    return 0;
}

/* --- copies ----------------------------------------------------------------------------------- */

/* A piece of page-locked memory that nobody reads any more, on a stream of its own. */
static int next_piece(struct network_gpu *gpu, struct staging *staging, unsigned *piece)
{
    uint32_t nothing;
    *piece = staging->turn++ % PIECES;
    if (rp_gpu_use_stream(*piece) != RP_OK)
        return RP_FAILED;
    /* A read waits for its own stream alone. */
    return rp_gpu_read(gpu->device, &nothing, staging->device[*piece], sizeof nothing);
}

/* A tensor as it is in the file. */
static int copy_table(struct network_gpu *gpu, struct staging *staging, const struct tensor *tensor,
                      rp_gpu_ptr to)
{
    for (size_t at = 0, bytes; at < tensor->size_bytes; at += bytes) {
        unsigned piece;
        bytes = tensor->size_bytes - at < PIECE_BYTES ? tensor->size_bytes - at : PIECE_BYTES;
        if (next_piece(gpu, staging, &piece) != RP_OK)
            return RP_FAILED;
        memcpy(staging->host[piece], tensor->bytes + at, bytes);
        if (rp_gpu_write_async(gpu->device, to + at, staging->host[piece], bytes) != RP_OK)
            return RP_FAILED;
    }
    return RP_OK;
}

/* Elements first to first + count - 1 of a matrix, which lie in a piece on the device. */
static int convert(struct network_gpu *gpu, const struct linear *from, size_t first, uint32_t count,
                   rp_gpu_ptr piece, rp_gpu_ptr to, uint32_t stride)
{
    uint32_t type = from->weight.type, half = gpu->is_half, columns = (uint32_t)from->inputs;
    uint32_t column = (uint32_t)(first % from->inputs);
    to += first / from->inputs * stride * (gpu->is_half ? 2 : 4);
    return rp_gpu_launch(
        gpu->convert, RP_GPU_DIM((count + CONVERT_THREADS - 1) / CONVERT_THREADS),
        RP_GPU_DIM(CONVERT_THREADS), 0,
        RP_GPU_ARGS(&piece, &to, &type, &half, &column, &count, &columns, &stride));
}

/* A layer to rows `row` and following of the device's. */
static int copy_linear(struct network_gpu *gpu, struct staging *staging, const struct linear *from,
                       const struct gpu_linear *to, uint32_t row)
{
    size_t element = tensor_element_bytes(from->weight.type), total = from->inputs * from->outputs;
    rp_gpu_ptr weight = to->weight + (size_t)row * to->inputs * (gpu->is_half ? 2 : 4);
    for (size_t first = 0, count; first < total; first += count) {
        unsigned piece;
        count = total - first < PIECE_BYTES / element ? total - first : PIECE_BYTES / element;
        if (next_piece(gpu, staging, &piece) != RP_OK)
            return RP_FAILED;
        memcpy(staging->host[piece], from->weight.bytes + first * element, count * element);
        if (rp_gpu_write_async(gpu->device, staging->device[piece], staging->host[piece],
                               count * element) != RP_OK ||
            convert(gpu, from, first, (uint32_t)count, staging->device[piece], weight,
                    to->inputs) != RP_OK)
            return RP_FAILED;
    }
    return rp_gpu_write(gpu->device, to->bias + row * sizeof(float), from->bias,
                        from->outputs * sizeof(float));
}

static int copy_norm(struct network_gpu *gpu, const struct network_norm *from,
                     const struct gpu_norm *to)
{
    size_t bytes = gpu->network->config.dim * sizeof(float);
    return rp_gpu_write(gpu->device, to->weight, from->weight, bytes) == RP_OK
               ? rp_gpu_write(gpu->device, to->bias, from->bias, bytes)
               : RP_FAILED;
}

static int copy_layer(struct network_gpu *gpu, struct staging *staging,
                      const struct network_layer *from, const struct gpu_layer *to)
{
    if (copy_linear(gpu, staging, &from->q, &to->qkv, 0) != RP_OK ||
        copy_linear(gpu, staging, &from->k, &to->qkv, gpu->dim) != RP_OK ||
        copy_linear(gpu, staging, &from->v, &to->qkv, 2 * gpu->dim) != RP_OK ||
        copy_linear(gpu, staging, &from->out, &to->out, 0) != RP_OK ||
        copy_linear(gpu, staging, &from->lin1, &to->lin1, 0) != RP_OK ||
        copy_linear(gpu, staging, &from->lin2, &to->lin2, 0) != RP_OK ||
        copy_norm(gpu, &from->attention_norm, &to->attention_norm) != RP_OK)
        return RP_FAILED;
    return copy_norm(gpu, &from->output_norm, &to->output_norm);
}

static int copy_all(struct network_gpu *gpu, struct staging *staging)
{
    const struct network *network = gpu->network;
    int rc = copy_table(gpu, staging, &network->words, gpu->words);
    if (rc == RP_OK)
        rc = copy_table(gpu, staging, &network->positions, gpu->positions);
    if (rc == RP_OK)
        rc = copy_norm(gpu, &network->norm, &gpu->norm);
    for (size_t i = 0; i < network->config.layers && rc == RP_OK; i++)
        rc = copy_layer(gpu, staging, &network->layers[i], &gpu->layers[i]);
    if (rc == RP_OK)
        rc = copy_linear(gpu, staging, &network->pre_classifier, &gpu->pre_classifier, 0);
    if (rc == RP_OK)
        rc = copy_linear(gpu, staging, &network->classifier, &gpu->classifier, 0);
    return rc == RP_OK ? rp_gpu_wait(gpu->device) : rc;
}

int gpu_weights_open(struct network_gpu *gpu, struct err *err)
{
    struct staging staging = { .turn = 0 };
    int rc = allocate(gpu, err), copied = RP_OK;
    if (rc != 0)
        return rc;
    for (unsigned i = 0; i < PIECES && copied == RP_OK; i++) {
        copied = rp_gpu_host_alloc(gpu->device, PIECE_BYTES, &staging.host[i]);
        if (copied == RP_OK)
            copied = rp_gpu_alloc(gpu->device, NULL, PIECE_BYTES, &staging.device[i]);
    }
    if (copied == RP_OK)
        copied = copy_all(gpu, &staging);
    if (copied != RP_OK)
        rc = gpu_failed(err);
    for (unsigned i = 0; i < PIECES; i++) {
        rp_gpu_host_free(gpu->device, staging.host[i]);
        rp_gpu_free(gpu->device, NULL, staging.device[i]);
    }
    rp_gpu_use_stream(0);
    return rc;
}
