/*
 * model/safetensors.h - weights in the format "safetensors": 8 bytes with the length of a JSON
 * header, the header, the tensors (source: the format's description in its repository).
 *
 * The bytes are not copied: they must stay, and stay the same, until safetensors_close. They may be
 * at any address, and so may every tensor: published files have them at odd multiples of two bytes.
 * No I/O, no threads. A tensor whose type is not one of the three below is accepted until somebody
 * asks for it.
 */
#ifndef MODEL_SAFETENSORS_H
#define MODEL_SAFETENSORS_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

#define TENSOR_RANK_MAX 8

enum tensor_type { TENSOR_F32, TENSOR_F16, TENSOR_BF16, TENSOR_OTHER };

struct tensor {
    slice name;
    const unsigned char *bytes; /* row after row, the last dimension running fastest */
    size_t size_bytes;
    enum tensor_type type;
    slice type_name; /* as the file spells it */
    unsigned rank;
    uint64_t shape[TENSOR_RANK_MAX];
};

struct safetensors {
    struct arena arena;     /* owns what follows */
    struct tensor *tensors; /* sorted by name */
    size_t count;
};

/*
 * Reads the header and checks every tensor: its type's size, shape and place, and that together the
 * tensors cover the data once, without gaps. The same checks as the format's own library.
 *
 * 0; ERR_INPUT says what is wrong, of which tensor, in which byte; ERR_MEMORY. Time linear in the
 * header, times the logarithm of the number of tensors. Memory: about 150 bytes a tensor.
 */
int safetensors_open(struct safetensors *file, slice bytes, struct err *err);

/* Frees the index; tensors found in it are gone, too. */
void safetensors_close(struct safetensors *file);

/*
 * Sets *out to the tensor of that name, of that rank and shape, with a type that can be computed
 * with. ERR_INPUT says what is missing or different.
 */
int safetensors_find(const struct safetensors *file, const char *name, unsigned rank,
                     const uint64_t *shape, struct tensor *out, struct err *err);

/* Bytes of one element: 4 or 2; 0 for TENSOR_OTHER. */
size_t tensor_element_bytes(enum tensor_type type);

/*
 * Converts `count` elements from element `first` on to floats: exact for all three types. The range
 * must lie in the tensor.
 */
void tensor_read(const struct tensor *tensor, uint64_t first, size_t count, float *out);

#endif
