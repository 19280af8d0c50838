/*
 * safetensors: the input is a whole file. One that is accepted has tensors that cover its data,
 * each within the file, and as large as its shape says.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/safetensors.h"
#include "must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t check_tensor(const struct safetensors *file, const struct tensor *tensor, slice bytes)
{
    const char *begin = (const char *)tensor->bytes;
    uint64_t elements = 1;
    float value;
    must(begin >= bytes.ptr && begin + tensor->size_bytes <= bytes.ptr + bytes.len);
    for (unsigned i = 0; i < tensor->rank; i++)
        elements *= tensor->shape[i];
    if (tensor->type != TENSOR_OTHER)
        must(elements * tensor_element_bytes(tensor->type) == tensor->size_bytes);
    if (tensor->type != TENSOR_OTHER && elements > 0)
        tensor_read(tensor, elements - 1, 1, &value);
    if (memchr(tensor->name.ptr, '\0', tensor->name.len) == NULL) {
        struct tensor found;
        char *name = strndup(tensor->name.ptr, tensor->name.len);
        int rc = safetensors_find(file, name, tensor->rank, tensor->shape, &found, NULL);
        must((rc == 0) == (tensor->type != TENSOR_OTHER));
        free(name);
    }
    return tensor->size_bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct safetensors file;
    struct err err;
    uint64_t header = 0;
    size_t covered = 0;
    slice bytes = { (const char *)data, size };
    if (safetensors_open(&file, bytes, &err) != 0)
        return 0;
    for (unsigned i = 0; i < 8; i++)
        header |= (uint64_t)data[i] << (8 * i);
    for (size_t i = 0; i < file.count; i++)
        covered += check_tensor(&file, &file.tensors[i], bytes);
    must(covered == size - 8 - header);
    safetensors_close(&file);
    return 0;
}
