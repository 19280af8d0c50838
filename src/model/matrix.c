#include "model/matrix.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKS_MAX 4 /* of one piece of work: their copy stays in the second cache */

int vector_open(float **out, const struct safetensors *file, const char *name, size_t count,
                size_t extra, struct err *err)
{
    struct tensor tensor;
    uint64_t shape[] = { count };
    int rc = safetensors_find(file, name, 1, shape, &tensor, err);
    if (rc != 0)
        return rc;
    *out = calloc(count + extra, sizeof **out);
    if (*out == NULL)
        return err_set(err, ERR_MEMORY, "out of memory for tensor %s", name);
    tensor_read(&tensor, 0, count, *out);
    return 0;
}

int linear_open(struct linear *linear, const struct safetensors *file, const char *name,
                size_t inputs, size_t outputs, struct err *err)
{
    char full[200];
    uint64_t shape[] = { outputs, inputs };
    *linear = (struct linear){ .inputs = inputs, .outputs = outputs };
    snprintf(full, sizeof full, "%s.weight", name);
    int rc = safetensors_find(file, full, 2, shape, &linear->weight, err);
    if (rc != 0)
        return rc;
    snprintf(full, sizeof full, "%s.bias", name);
    return vector_open(&linear->bias, file, full, outputs, KERNEL_ROWS_MAX, err);
}

void linear_close(struct linear *linear)
{
    free(linear->bias);
    linear->bias = NULL;
}

size_t matrix_floats(const struct kernels *kernels, size_t features, size_t tokens)
{
    return (tokens + kernels->panel - 1) / kernels->panel * kernels->panel * features;
}

void matrix_read(const struct kernels *kernels, const struct tensor *tensor, size_t first,
                 size_t count, float *out)
{
    const unsigned char *from = tensor->bytes + first * tensor_element_bytes(tensor->type);
    switch (tensor->type) {
    case TENSOR_F32: memcpy(out, from, count * sizeof *out); break;
    case TENSOR_F16: kernels->widen_f16(from, count, out); break;
    case TENSOR_BF16: kernels->widen_bf16(from, count, out); break;
    case TENSOR_OTHER: break; /* safetensors_find lets none through */
    }
}

/* --- products --------------------------------------------------------------------------------- */

struct job_of_product {
    const struct kernels *kernels;
    const struct product *product;
    size_t outputs;         /* of all layers */
    size_t blocks_per_work; /* 1 to BLOCKS_MAX */
};

/* Rows of one layer, less than `rows` at its end. */
struct row_block {
    const struct linear *layer;
    size_t row, rows; /* in the layer */
    size_t out_row;
};

static size_t blocks_of(const struct linear *layer, const struct kernels *kernels)
{
    return (layer->outputs + kernels->rows - 1) / kernels->rows;
}

/* Block number `index` of all layers. False: there are not so many. */
static bool find_block(const struct job_of_product *job, size_t index, struct row_block *block)
{
    size_t out_row = 0;
    for (unsigned i = 0; i < job->product->count; i++) {
        const struct linear *layer = job->product->layers[i];
        size_t blocks = blocks_of(layer, job->kernels);
        if (index < blocks) {
            size_t row = index * job->kernels->rows, left = layer->outputs - row;
            *block = (struct row_block){ layer, row,
                                         left < job->kernels->rows ? left : job->kernels->rows,
                                         out_row + row };
            return true;
        }
        index -= blocks;
        out_row += layer->outputs;
    }
    return false;
}

static void pack(const struct kernels *kernels, const struct row_block *block, size_t first,
                 size_t depth, float *to)
{
    for (size_t r = 0; r < kernels->rows; r++, to += KERNEL_STRIDE) {
        if (r < block->rows)
            matrix_read(kernels, &block->layer->weight,
                        (block->row + r) * block->layer->inputs + first, depth, to);
        else
            memset(to, 0, depth * sizeof *to);
    }
}

/* One block and one panel. The last rows of a layer go by way of a whole block of their own. */
static void multiply_block(const struct job_of_product *job, const struct row_block *block,
                           const float *packed, size_t first, size_t depth, size_t panel,
                           const struct kernel_next *next)
{
    const struct kernels *kernels = job->kernels;
    const struct product *product = job->product;
    size_t width = kernels->panel, inputs = block->layer->inputs;
    const float *in = product->in + (panel * inputs + first) * width;
    float *out = product->out + (panel * job->outputs + block->out_row) * width;
    const float *start = first == 0 ? block->layer->bias + block->row : NULL;
    int half = product->tokens - panel * width <= width / 2;
    alignas(KERNEL_ALIGN) float whole[KERNEL_ROWS_MAX * KERNEL_PANEL_MAX];
    size_t bytes = block->rows * width * sizeof *out;
    float *to = out;
    if (block->rows < kernels->rows) {
        memset(whole, 0, sizeof whole);
        memcpy(whole, out, bytes);
        to = whole;
    }
    kernels->tile(packed, in, to, start, depth, half, next);
    if (to != out)
        memcpy(out, whole, bytes);
    if (product->gelu && first + depth == inputs)
        kernels->gelu(out, block->rows * width);
}

/* The weights that follow those of block `i` and column `first`: the next block's, or columns'. */
static bool find_next(const struct row_block *blocks, size_t count, size_t i, size_t first,
                      size_t depth, struct kernel_next *next)
{
    const struct row_block *block = &blocks[i + 1 < count ? i + 1 : 0];
    size_t inputs = block->layer->inputs;
    size_t element = tensor_element_bytes(block->layer->weight.type);
    if (i + 1 == count)
        first += depth;
    next->row_bytes = inputs * element;
    next->bytes = block->layer->weight.bytes + (block->row * inputs + first) * element;
    return first < inputs;
}

static void multiply_work(void *argument, size_t index, unsigned thread)
{
    alignas(KERNEL_ALIGN) float packed[BLOCKS_MAX][KERNEL_ROWS_MAX * KERNEL_STRIDE];
    const struct job_of_product *job = argument;
    struct row_block blocks[BLOCKS_MAX];
    size_t count = 0, inputs = job->product->layers[0]->inputs;
    size_t width = job->kernels->panel, panels = (job->product->tokens + width - 1) / width;
    (void)thread;
    while (count < job->blocks_per_work &&
           find_block(job, index * job->blocks_per_work + count, &blocks[count]))
        count++;
    for (size_t first = 0, depth; first < inputs; first += depth) {
        depth = inputs - first < KERNEL_DEPTH ? inputs - first : KERNEL_DEPTH;
        for (size_t i = 0; i < count; i++) {
            struct kernel_next next;
            bool more = find_next(blocks, count, i, first, depth, &next);
            pack(job->kernels, &blocks[i], first, depth, packed[i]);
            multiply_block(job, &blocks[i], packed[i], first, depth, 0, more ? &next : NULL);
        }
        for (size_t panel = 1; panel < panels; panel++)
            for (size_t i = 0; i < count; i++)
                multiply_block(job, &blocks[i], packed[i], first, depth, panel, NULL);
    }
}

void matrix_multiply(const struct kernels *kernels, struct pool *pool,
                     const struct product *product)
{
    struct job_of_product job = { .kernels = kernels, .product = product };
    size_t blocks = 0;
    for (unsigned i = 0; i < product->count; i++) {
        blocks += blocks_of(product->layers[i], kernels);
        job.outputs += product->layers[i]->outputs;
    }
    /* At least four pieces for each thread, so that none waits long for the last. */
    job.blocks_per_work = blocks / (4 * (size_t)pool_size(pool));
    if (job.blocks_per_work < 1)
        job.blocks_per_work = 1;
    if (job.blocks_per_work > BLOCKS_MAX)
        job.blocks_per_work = BLOCKS_MAX;
    pool_run(pool, multiply_work, &job, (blocks + job.blocks_per_work - 1) / job.blocks_per_work);
}
