/*
 * Attention, a head of a sequence at a time. The scores are computed with one key a row and the
 * queries side by side, so that the softmax goes down the columns of a panel and its result is the
 * right-hand side of the second product as it is.
 */
#include <math.h>
#include <stdalign.h>
#include <string.h>

#include "handlers/sentiment/network_private.h"

/* One piece of work: some panels of queries of one head and sequence. */
struct piece {
    size_t start, length;    /* of the sequence, in tokens */
    size_t q_token, q_count; /* queries, in tokens of q */
    size_t head_row;         /* of the head, in q and out */
};

struct run {
    struct network *network;
    const struct attention *attention;
    size_t chunk; /* queries of one piece of work, at most */
};

static const float zeros[KERNEL_ROWS_MAX];

static size_t score_rows(const struct network *network)
{
    return NETWORK_TOKENS_MAX + network->kernels->rows;
}

static size_t head_size(const struct network *network)
{
    return network->config.dim / network->config.heads;
}

size_t attention_scratch_floats(const struct network *network)
{
    size_t panel = network->kernels->panel;
    size_t scratch = ATTENTION_PANELS * panel * (head_size(network) + score_rows(network));
    size_t rows = 2 * network->config.dim; /* for the embeddings */
    return ((scratch > rows ? scratch : rows) + KERNEL_ALIGN - 1) / KERNEL_ALIGN * KERNEL_ALIGN;
}

static bool find_piece(const struct run *run, size_t index, struct piece *piece)
{
    const struct attention *attention = run->attention;
    const struct network *network = run->network;
    *piece = (struct piece){ .start = 0 };
    for (size_t s = 0; s < attention->sequences; s++) {
        size_t length = attention->lengths[s];
        size_t queries = attention->first_only ? 1 : length;
        size_t chunks = (queries + run->chunk - 1) / run->chunk;
        if (index < chunks * network->config.heads) {
            size_t from = index % chunks * run->chunk;
            piece->length = length;
            piece->q_token = attention->first_only ? s : piece->start + from;
            piece->q_count = queries - from < run->chunk ? queries - from : run->chunk;
            piece->head_row = index / chunks * head_size(network);
            return true;
        }
        index -= chunks * network->config.heads;
        piece->start += length;
    }
    return false;
}

/* The piece's queries, scaled, as panels of their own; unused columns are zero. */
static void gather_queries(const struct run *run, const struct piece *piece, float *to)
{
    const struct kernels *kernels = run->network->kernels;
    size_t size = head_size(run->network), width = kernels->panel;
    float scale = 1.0f / sqrtf((float)size);
    memset(to, 0, matrix_floats(kernels, size, piece->q_count) * sizeof *to);
    for (size_t i = 0; i < piece->q_count; i++) {
        const float *from = matrix_token(kernels, run->attention->q, run->attention->q_features,
                                         piece->q_token + i) +
                            piece->head_row * width;
        float *query = matrix_token(kernels, to, size, i);
        for (size_t f = 0; f < size; f++)
            query[f * width] = from[f * width] * scale;
    }
}

/* Up to a block's rows of keys, one key a row. */
static void pack_keys(const struct run *run, const struct piece *piece, size_t first, float *to)
{
    const struct kernels *kernels = run->network->kernels;
    size_t size = head_size(run->network), width = kernels->panel;
    for (size_t r = 0; r < kernels->rows; r++, to += KERNEL_STRIDE) {
        if (first + r >= piece->length) {
            memset(to, 0, size * sizeof *to);
            continue;
        }
        const float *from = matrix_token(kernels, run->attention->kv, run->attention->kv_features,
                                         piece->start + first + r) +
                            (run->attention->k_row + piece->head_row) * width;
        for (size_t f = 0; f < size; f++)
            to[f] = from[f * width];
    }
}

/* Up to a block's rows of features of the values, one feature a row. */
static void pack_values(const struct run *run, const struct piece *piece, size_t feature,
                        size_t first, size_t depth, float *to)
{
    const struct kernels *kernels = run->network->kernels;
    size_t width = kernels->panel, features = head_size(run->network) - feature;
    size_t rows = features < kernels->rows ? features : kernels->rows;
    memset(to + rows * KERNEL_STRIDE, 0, (kernels->rows - rows) * KERNEL_STRIDE * sizeof *to);
    for (size_t k = 0; k < depth; k++) {
        const float *from = matrix_token(kernels, run->attention->kv, run->attention->kv_features,
                                         piece->start + first + k) +
                            (run->attention->v_row + piece->head_row + feature) * width;
        for (size_t r = 0; r < rows; r++)
            to[r * KERNEL_STRIDE + k] = from[r * width];
    }
}

static int is_half(const struct run *run, const struct piece *piece, size_t panel)
{
    size_t width = run->network->kernels->panel;
    return piece->q_count - panel * width <= width / 2;
}

static void score(const struct run *run, const struct piece *piece, const float *queries,
                  float *scores, float *packed)
{
    const struct kernels *kernels = run->network->kernels;
    size_t size = head_size(run->network), width = kernels->panel;
    size_t panels = (piece->q_count + width - 1) / width;
    for (size_t key = 0; key < piece->length; key += kernels->rows) {
        pack_keys(run, piece, key, packed);
        for (size_t p = 0; p < panels; p++)
            kernels->tile(packed, queries + p * size * width,
                          scores + (p * score_rows(run->network) + key) * width, zeros, size,
                          is_half(run, piece, p), NULL);
    }
    for (size_t p = 0; p < panels; p++)
        kernels->softmax(scores + p * score_rows(run->network) * width, piece->length);
}

/* One block's rows of the head's output, for one panel of queries, to where they belong. */
static void put_out(const struct run *run, const struct piece *piece, size_t feature, size_t panel,
                    const float *block)
{
    const struct kernels *kernels = run->network->kernels;
    size_t width = kernels->panel, features = head_size(run->network) - feature;
    size_t rows = features < kernels->rows ? features : kernels->rows;
    size_t begin = panel * width,
           end = piece->q_count - begin < width ? piece->q_count : begin + width;
    for (size_t i = begin; i < end; i++) {
        float *to = matrix_token(kernels, run->attention->out, run->network->config.dim,
                                 piece->q_token + i) +
                    (piece->head_row + feature) * width;
        for (size_t r = 0; r < rows; r++)
            to[r * width] = block[r * width + i % width];
    }
}

static void weigh_values(const struct run *run, const struct piece *piece, const float *scores,
                         float *packed)
{
    alignas(KERNEL_ALIGN) float blocks[ATTENTION_PANELS][KERNEL_ROWS_MAX * KERNEL_PANEL_MAX];
    const struct kernels *kernels = run->network->kernels;
    size_t width = kernels->panel, panels = (piece->q_count + width - 1) / width, depth;
    for (size_t feature = 0; feature < head_size(run->network); feature += kernels->rows) {
        for (size_t first = 0; first < piece->length; first += depth) {
            depth = piece->length - first < KERNEL_DEPTH ? piece->length - first : KERNEL_DEPTH;
            pack_values(run, piece, feature, first, depth, packed);
            for (size_t p = 0; p < panels; p++)
                kernels->tile(packed, scores + (p * score_rows(run->network) + first) * width,
                              blocks[p], first == 0 ? zeros : NULL, depth, is_half(run, piece, p),
                              NULL);
        }
        for (size_t p = 0; p < panels; p++)
            put_out(run, piece, feature, p, blocks[p]);
    }
}

static void attention_work(void *argument, size_t index, unsigned thread)
{
    alignas(KERNEL_ALIGN) float packed[KERNEL_ROWS_MAX * KERNEL_STRIDE];
    const struct run *run = argument;
    const struct network *network = run->network;
    float *queries = network->scratch + thread * network->scratch_floats;
    float *scores = queries + ATTENTION_PANELS * network->kernels->panel * head_size(network);
    struct piece piece;
    if (!find_piece(run, index, &piece))
        return;
    gather_queries(run, &piece, queries);
    score(run, &piece, queries, scores, packed);
    weigh_values(run, &piece, scores, packed);
}

void attention_run(struct network *network, const struct attention *attention)
{
    struct run run = { network, attention, ATTENTION_PANELS * network->kernels->panel };
    size_t pieces = 0;
    for (size_t s = 0; s < attention->sequences; s++)
        pieces += attention->first_only ? 1 : (attention->lengths[s] + run.chunk - 1) / run.chunk;
    pool_run(network->pool, attention_work, &run, pieces * network->config.heads);
}
