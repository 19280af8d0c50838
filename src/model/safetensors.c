#include "model/safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "json/json.h"

enum { LENGTH_BYTES = 8 };

static const struct {
    const char *name;
    unsigned bits;
    enum tensor_type type;
} types[] = {
    { "F32", 32, TENSOR_F32 },      { "F16", 16, TENSOR_F16 },   { "BF16", 16, TENSOR_BF16 },
    { "F64", 64, TENSOR_OTHER },    { "I64", 64, TENSOR_OTHER }, { "U64", 64, TENSOR_OTHER },
    { "I32", 32, TENSOR_OTHER },    { "U32", 32, TENSOR_OTHER }, { "I16", 16, TENSOR_OTHER },
    { "U16", 16, TENSOR_OTHER },    { "I8", 8, TENSOR_OTHER },   { "U8", 8, TENSOR_OTHER },
    { "BOOL", 8, TENSOR_OTHER },    { "C64", 64, TENSOR_OTHER }, { "F8_E4M3", 8, TENSOR_OTHER },
    { "F8_E5M2", 8, TENSOR_OTHER },
};

size_t tensor_element_bytes(enum tensor_type type)
{
    static const size_t bytes[] = { [TENSOR_F32] = 4, [TENSOR_F16] = 2, [TENSOR_BF16] = 2 };
    return type == TENSOR_OTHER ? 0 : bytes[type];
}

/* --- one tensor ------------------------------------------------------------------------------- */

/* A whole number from 0 to INT64_MAX, which covers every file. */
static bool read_size(slice number, uint64_t *out)
{
    int64_t value;
    if (json_int(number, &value, NULL) != 0 || value < 0)
        return false;
    *out = (uint64_t)value;
    return true;
}

static int read_shape(struct tensor *tensor, slice object, uint64_t *elements, struct err *err)
{
    slice shape, size;
    if (!json_member(object, "shape", &shape) || json_type(shape) != RP_ARRAY)
        return err_set(err, ERR_INPUT, "has no \"shape\", which must be an array of sizes");
    *elements = 1;
    for (size_t pos = 0; json_next_element(shape, &pos, &size); tensor->rank++) {
        if (tensor->rank == TENSOR_RANK_MAX)
            return err_set(err, ERR_INPUT, "has more than %d dimensions", TENSOR_RANK_MAX);
        uint64_t *dimension = &tensor->shape[tensor->rank];
        if (!read_size(size, dimension))
            return err_set(err, ERR_INPUT, "has a shape with %.*s, which is not a size",
                           SLICE_ARG(size));
        if (__builtin_mul_overflow(*elements, *dimension, elements))
            return err_set(err, ERR_INPUT, "has a shape whose product exceeds 64 bits");
    }
    return 0;
}

static int read_type(struct tensor *tensor, slice object, unsigned *bits, struct err *err)
{
    slice name;
    if (!json_member(object, "dtype", &name) || json_type(name) != RP_STRING)
        return err_set(err, ERR_INPUT, "has no \"dtype\", which must be a string");
    tensor->type_name = (slice){ name.ptr + 1, name.len - 2 };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (slice_is(tensor->type_name, types[i].name)) {
            tensor->type = types[i].type;
            *bits = types[i].bits;
            return 0;
        }
    return err_set(err, ERR_INPUT, "has the dtype %.*s, which is unknown", SLICE_ARG(name));
}

static bool read_offsets(slice object, uint64_t offsets[2])
{
    slice array, number;
    size_t count = 0;
    if (!json_member(object, "data_offsets", &array) || json_type(array) != RP_ARRAY)
        return false;
    for (size_t pos = 0; json_next_element(array, &pos, &number); count++)
        if (count == 2 || !read_size(number, &offsets[count]))
            return false;
    return count == 2 && offsets[0] <= offsets[1];
}

static int read_tensor(struct tensor *tensor, slice object, slice data, struct err *err)
{
    uint64_t elements = 0, offsets[2], bits;
    unsigned element_bits = 0;
    if (json_type(object) != RP_OBJECT)
        return err_set(err, ERR_INPUT, "is not described by an object");
    int rc = read_type(tensor, object, &element_bits, err);
    if (rc == 0)
        rc = read_shape(tensor, object, &elements, err);
    if (rc != 0)
        return rc;
    if (!read_offsets(object, offsets))
        return err_set(err, ERR_INPUT,
                       "has no \"data_offsets\", which must be two numbers in ascending order");
    if (offsets[1] > data.len)
        return err_set(err, ERR_INPUT,
                       "ends at byte %" PRIu64 " of the data, but the file has only %zu bytes of "
                       "it: is it complete?",
                       offsets[1], data.len);
    if (__builtin_mul_overflow(elements, (uint64_t)element_bits, &bits) ||
        bits / 8 != offsets[1] - offsets[0])
        return err_set(err, ERR_INPUT,
                       "takes %" PRIu64 " bytes by its data_offsets, but its shape and dtype %.*s "
                       "need another number",
                       offsets[1] - offsets[0], SLICE_ARG(tensor->type_name));
    tensor->bytes = (const unsigned char *)data.ptr + offsets[0];
    tensor->size_bytes = (size_t)(offsets[1] - offsets[0]);
    return 0;
}

/* --- all of them ------------------------------------------------------------------------------ */

static int compare_text(slice a, slice b)
{
    size_t least = a.len < b.len ? a.len : b.len;
    int order = least == 0 ? 0 : memcmp(a.ptr, b.ptr, least);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int by_name(const void *a, const void *b)
{
    return compare_text(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

static int by_place(const void *a, const void *b)
{
    const struct tensor *left = a, *right = b;
    if (left->bytes != right->bytes)
        return left->bytes < right->bytes ? -1 : 1;
    return (left->size_bytes > right->size_bytes) - (left->size_bytes < right->size_bytes);
}

/* Every byte of the data belongs to one tensor. */
static int check_places(struct safetensors *file, slice data, struct err *err)
{
    const char *covered = data.ptr;
    qsort(file->tensors, file->count, sizeof *file->tensors, by_place);
    for (size_t i = 0; i < file->count; i++) {
        const struct tensor *tensor = &file->tensors[i];
        const char *begin = (const char *)tensor->bytes;
        if (begin != covered)
            return err_set(err, ERR_INPUT,
                           begin < covered ? "tensor %.*s overlaps the one before it, at byte %td "
                                             "of the data"
                                           : "tensor %.*s starts after a gap, at byte %td of the "
                                             "data",
                           SLICE_ARG(tensor->name), begin - data.ptr);
        covered = begin + tensor->size_bytes;
    }
    if (covered != data.ptr + data.len)
        return err_set(err, ERR_INPUT, "%td bytes at the end of the file belong to no tensor",
                       data.ptr + data.len - covered);
    return 0;
}

static int check_names(struct safetensors *file, struct err *err)
{
    qsort(file->tensors, file->count, sizeof *file->tensors, by_name);
    for (size_t i = 1; i < file->count; i++)
        if (slice_equal(file->tensors[i - 1].name, file->tensors[i].name))
            return err_set(err, ERR_INPUT, "tensor %.*s occurs twice",
                           SLICE_ARG(file->tensors[i].name));
    return 0;
}

static int read_tensors(struct safetensors *file, slice header, slice data, struct err *err)
{
    slice name, value;
    for (size_t pos = 0; json_next_member(header, &pos, &name, &value);) {
        if (json_name_is(name, SLICE_LITERAL("__metadata__")))
            continue;
        struct tensor *tensor = &file->tensors[file->count++];
        *tensor = (struct tensor){ .name = { "", 0 } };
        int rc = json_string((slice){ name.ptr - 1, name.len + 2 }, &file->arena, &tensor->name,
                             err);
        if (rc == 0)
            rc = read_tensor(tensor, value, data, err);
        if (rc != 0)
            return err_wrap(err, "tensor %.*s", SLICE_ARG(name));
    }
    int rc = check_places(file, data, err);
    return rc != 0 ? rc : check_names(file, err);
}

/* Splits the file into header and data, and checks that the header is a JSON object. */
static int split(slice bytes, slice *header, slice *data, struct err *err)
{
    uint64_t length = 0;
    if (bytes.len < LENGTH_BYTES)
        return err_set(err, ERR_INPUT, "the file has %zu bytes: it is not a safetensors file",
                       bytes.len);
    for (unsigned i = 0; i < LENGTH_BYTES; i++)
        length |= (uint64_t)(unsigned char)bytes.ptr[i] << (8 * i);
    if (length > LIMIT_TENSOR_HEADER_BYTES)
        return err_set(err, ERR_INPUT,
                       "its header would be %" PRIu64 " bytes long, more than %u: it is not a "
                       "safetensors file",
                       length, LIMIT_TENSOR_HEADER_BYTES);
    if (length > bytes.len - LENGTH_BYTES)
        return err_set(err, ERR_INPUT,
                       "its header is %" PRIu64 " bytes long, but the file ends after %zu: is it "
                       "complete?",
                       length, bytes.len - LENGTH_BYTES);
    *header = (slice){ bytes.ptr + LENGTH_BYTES, (size_t)length };
    *data = slice_skip(bytes, LENGTH_BYTES + (size_t)length);
    int rc = json_check(*header, NULL, err);
    if (rc != 0)
        return err_wrap(err, "its header");
    if (json_type(*header) != RP_OBJECT)
        return err_set(err, ERR_INPUT, "its header is not a JSON object");
    *header = json_trim(*header);
    return 0;
}

int safetensors_open(struct safetensors *file, slice bytes, struct err *err)
{
    slice header = { "", 0 }, data = { "", 0 };
    *file = (struct safetensors){ .tensors = NULL };
    arena_init(&file->arena, SIZE_MAX / 2);
    int rc = split(bytes, &header, &data, err);
    if (rc != 0)
        return rc;
    file->tensors = arena_alloc(&file->arena, json_count_members(header) * sizeof *file->tensors);
    if (file->tensors == NULL)
        return err_set(err, ERR_MEMORY, "out of memory for the index of the tensors");
    rc = read_tensors(file, header, data, err);
    if (rc != 0)
        safetensors_close(file);
    return rc;
}

void safetensors_close(struct safetensors *file)
{
    arena_free(&file->arena);
    file->tensors = NULL;
    file->count = 0;
}

/* "[2, 768]" */
static const char *shape_text(unsigned rank, const uint64_t *shape, char *out, size_t size)
{
    struct text text = text_over(out, size);
    for (unsigned i = 0; i < rank; i++)
        text_add(&text, "%s%" PRIu64, i == 0 ? "" : ", ", shape[i]);
    return out;
}

static int other_shape(const struct tensor *tensor, unsigned rank, const uint64_t *shape,
                       struct err *err)
{
    char wanted[200], found[200];
    return err_set(err, ERR_INPUT, "tensor %.*s has the shape [%s], but config.json asks for [%s]",
                   SLICE_ARG(tensor->name),
                   shape_text(tensor->rank, tensor->shape, found, sizeof found),
                   shape_text(rank, shape, wanted, sizeof wanted));
}

int safetensors_find(const struct safetensors *file, const char *name, unsigned rank,
                     const uint64_t *shape, struct tensor *out, struct err *err)
{
    struct tensor key = { .name = slice_from(name) };
    const struct tensor *tensor = file->count == 0 ? NULL
                                                   : bsearch(&key, file->tensors, file->count,
                                                             sizeof *file->tensors, by_name);
    if (tensor == NULL)
        return err_set(err, ERR_INPUT, "tensor %s is missing", name);
    if (tensor->rank != rank || memcmp(tensor->shape, shape, rank * sizeof *shape) != 0)
        return other_shape(tensor, rank, shape, err);
    if (tensor->type == TENSOR_OTHER)
        return err_set(err, ERR_INPUT,
                       "tensor %s has the dtype %.*s; F32, F16 and BF16 can be used", name,
                       SLICE_ARG(tensor->type_name));
    *out = *tensor;
    return 0;
}

/* --- elements --------------------------------------------------------------------------------- */

static float half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = half & 0x7fffu, bits;
    float value;
    if (rest >= 0x7c00) { /* infinite or not a number */
        bits = 0x7f800000u | rest << 13;
    } else if (rest >= 0x0400) {
        bits = (rest << 13) + (112u << 23);
    } else {
        value = (float)rest * 0x1p-24f; /* subnormal */
        memcpy(&bits, &value, sizeof bits);
    }
    bits |= sign;
    memcpy(&value, &bits, sizeof value);
    return value;
}

void tensor_read(const struct tensor *tensor, uint64_t first, size_t count, float *out)
{
    const unsigned char *from = tensor->bytes + first * tensor_element_bytes(tensor->type);
    if (tensor->type == TENSOR_F32) {
        memcpy(out, from, count * sizeof *out);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, from + 2 * i, sizeof half);
        if (tensor->type == TENSOR_F16) {
            out[i] = half_to_float(half);
        } else {
            uint32_t bits = (uint32_t)half << 16;
            memcpy(&out[i], &bits, sizeof bits);
        }
    }
}
