/* model/safetensors: files that are well, and everything that can be wrong with one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "guard.h"
#include "model/safetensors.h"

/* Length, header and `data` bytes of data, of which byte i is i, right before unreadable memory. */
static slice make_file(const char *header, size_t data)
{
    static char text[4096];
    size_t len = strlen(header);
    memset(text, 0, 8);
    text[0] = (char)(len & 0xff);
    text[1] = (char)(len >> 8);
    memcpy(text + 8, header, len);
    for (size_t i = 0; i < data; i++)
        text[8 + len + i] = (char)i;
    return guard_copy(text, 8 + len + data);
}

static void refused(const char *header, size_t data, const char *words)
{
    struct safetensors file;
    struct err err = { 0 };
    slice bytes = make_file(header, data);
    assert_int_equal(safetensors_open(&file, bytes, &err), ERR_INPUT);
    if (strstr(err.text, words) == NULL)
        fail_msg("\"%s\" instead of \"...%s...\"", err.text, words);
    guard_free(bytes);
}

#define TENSOR(dtype, shape, offsets) \
    "{\"a\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
#define TWO(first, second)                                            \
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":" first \
    "},\"b\":{\"dtype\":\"F32\","                                     \
    "\"shape\":[1],\"data_offsets\":" second "}}"

static void test_bad_tensors(void **state)
{
    (void)state;
    refused(TENSOR("F32", "[2]", "[0,4]"), 4, "tensor a: takes 4 bytes");
    refused(TENSOR("F32", "[1]", "[0,8]"), 8, "another number");
    refused(TENSOR("F32", "[1]", "[0,4]"), 3,
            "tensor a: ends at byte 4 of the data, but the file "
            "has only 3");
    refused(TENSOR("F32", "[1]", "[4,0]"), 4, "ascending");
    refused(TENSOR("F32", "[1]", "[0]"), 4, "data_offsets");
    refused(TENSOR("F32", "[1]", "[0,4,8]"), 4, "data_offsets");
    refused(TENSOR("F32", "[1]", "[-4,0]"), 4, "data_offsets");
    refused(TENSOR("F32", "[1]", "[0,4.5]"), 4, "data_offsets");
    refused(TENSOR("F32", "[1]", "[18446744073709551612,18446744073709551616]"), 4, "data_offsets");
    refused(TENSOR("F32", "[-1]", "[0,4]"), 4, "-1, which is not a size");
    refused(TENSOR("F32", "[\"1\"]", "[0,4]"), 4, "not a size");
    refused(TENSOR("F32", "[4294967296,4294967296,4294967296]", "[0,0]"), 0, "exceeds 64 bits");
    refused(TENSOR("F32", "[4611686018427387904]", "[0,0]"), 0, "another number");
    refused(TENSOR("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, "more than 8 dimensions");
    refused(TENSOR("F32", "4", "[0,4]"), 4, "no \"shape\"");
    refused(TENSOR("Q4", "[1]", "[0,4]"), 4, "the dtype \"Q4\", which is unknown");
    refused("{\"a\":7}", 0, "not described by an object");
    refused("{\"a\":{\"shape\":[0],\"data_offsets\":[0,0]}}", 0, "no \"dtype\"");
    refused("{\"a\":{\"dtype\":7,\"shape\":[0],\"data_offsets\":[0,0]}}", 0, "no \"dtype\"");
    refused("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "no \"shape\"");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "data_offsets");
    refused(TENSOR("F32", "[1]", "{\"a\":0,\"b\":4}"), 4, "data_offsets");
    refused(TENSOR("F32", "[1]", "[]"), 4, "data_offsets");
    refused(TENSOR("F16", "[1]", "[0,4]"), 4, "another number");
    refused(TENSOR("F32", "[2]", "[0,4]"), 4, "but its shape and dtype F32 need another");
    refused("{\"b\":7,\"a\":7}", 0, "tensor b");
}

static void test_bad_places(void **state)
{
    (void)state;
    refused(TWO("[0,4]", "[2,6]"), 8, "tensor b overlaps the one before it, at byte 2");
    refused(TWO("[0,4]", "[0,4]"), 4, "overlaps");
    refused(TWO("[0,4]", "[8,12]"), 12, "tensor b starts after a gap, at byte 8");
    refused(TWO("[4,8]", "[8,12]"), 12, "tensor a starts after a gap");
    refused(TWO("[0,4]", "[4,8]"), 9, "1 bytes at the end of the file belong to no tensor");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
            "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
            8, "tensor a occurs twice");
}

static void test_bad_headers(void **state)
{
    struct safetensors file;
    struct err err = { 0 };
    (void)state;
    refused("[]", 0, "not a JSON object");
    refused("{\"a\":", 0, "its header");
    slice empty = guard_copy("", 0), brief = guard_copy("\1\0\0\0\0\0\0", 7);
    slice cut = guard_copy("\3\0\0\0\0\0\0\0{}", 10);
    slice huge = guard_copy("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10);
    assert_int_equal(safetensors_open(&file, empty, &err), ERR_INPUT);
    assert_int_equal(safetensors_open(&file, brief, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, "has 7 bytes"));
    assert_int_equal(safetensors_open(&file, cut, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, "3 bytes long, but the file ends after 2"));
    assert_int_equal(safetensors_open(&file, huge, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, "more than 100000000"));
    guard_free(empty);
    guard_free(brief);
    guard_free(cut);
    guard_free(huge);
}

static void test_good_file(void **state)
{
    static const char header[] =
        "{\"__metadata__\":{\"format\":\"pt\"},"
        "\"b\\u002fc\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[10,18]},"
        "\"a\":{\"dtype\":\"BF16\",\"shape\":[5,1],\"data_offsets\":[0,10]},"
        "\"none\":{\"dtype\":\"F32\",\"shape\":[0,3],\"data_offsets\":[10,10]}}  ";
    static const uint64_t shape[] = { 5, 1 }, one[] = { 1 }, wrong[] = { 5, 2 }, none[] = { 0, 3 };
    struct safetensors file;
    struct tensor tensor;
    struct err err = { 0 };
    float values[5];
    slice bytes = make_file(header, 18);
    (void)state;
    assert_int_equal(safetensors_open(&file, bytes, &err), 0);
    assert_int_equal(file.count, 3);
    assert_int_equal(safetensors_find(&file, "a", 2, shape, &tensor, &err), 0);
    tensor_read(&tensor, 0, 5, values);
    assert_memory_equal((char *)&values[2] + 2, "\4\5", 2); /* elements are bytes 4 and 5 of it */
    assert_int_equal(safetensors_find(&file, "none", 2, none, &tensor, &err), 0);
    assert_int_equal(tensor.size_bytes, 0);
    assert_int_equal(safetensors_find(&file, "c", 1, one, &tensor, &err), ERR_INPUT);
    assert_string_equal(err.text, "tensor c is missing");
    assert_int_equal(safetensors_find(&file, "b/c", 1, one, &tensor, &err), ERR_INPUT);
    assert_string_equal(err.text, "tensor b/c has the dtype I64; F32, F16 and BF16 can be used");
    assert_int_equal(safetensors_find(&file, "a", 2, wrong, &tensor, &err), ERR_INPUT);
    assert_string_equal(err.text, "tensor a has the shape [5, 1], but config.json asks for [5, 2]");
    assert_int_equal(safetensors_find(&file, "a", 1, one, &tensor, &err), ERR_INPUT);
    safetensors_close(&file);
    guard_free(bytes);
}

static const char *three_of(const char *dtype, size_t bytes)
{
    static char header[200];
    snprintf(header, sizeof header,
             "{\"a\":{\"dtype\":\"%s\",\"shape\":[3],\"data_offsets\":[0,%zu]}}", dtype, bytes);
    return header;
}

/* Of those that no network here can use, too, a file may have some: their sizes must be right. */
static void test_every_dtype(void **state)
{
    static const struct {
        const char *name;
        size_t bytes;
        bool is_usable;
    } dtypes[] = {
        { "F32", 4, true },   { "F16", 2, true },      { "BF16", 2, true },     { "F64", 8, false },
        { "I64", 8, false },  { "U64", 8, false },     { "I32", 4, false },     { "U32", 4, false },
        { "I16", 2, false },  { "U16", 2, false },     { "I8", 1, false },      { "U8", 1, false },
        { "BOOL", 1, false }, { "F8_E4M3", 1, false }, { "F8_E5M2", 1, false }, { "C64", 8, false },
    };
    static const uint64_t shape[] = { 3 };
    (void)state;
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        size_t bytes = 3 * dtypes[i].bytes;
        struct safetensors file;
        struct tensor tensor;
        struct err err = { 0 };
        slice made = make_file(three_of(dtypes[i].name, bytes), bytes);
        assert_int_equal(safetensors_open(&file, made, &err), 0);
        assert_int_equal(safetensors_find(&file, "a", 1, shape, &tensor, &err),
                         dtypes[i].is_usable ? 0 : ERR_INPUT);
        safetensors_close(&file);
        guard_free(made);
        refused(three_of(dtypes[i].name, bytes + 1), bytes + 1, "another number");
        refused(three_of(dtypes[i].name, bytes - 1), bytes - 1, "another number");
    }
}

/* One tensor of the type with this data. */
static void read_values(const char *type, const char *data, size_t bytes, size_t first,
                        const float *values, size_t count)
{
    char header[200];
    struct safetensors file;
    struct tensor tensor;
    struct err err = { 0 };
    float out[16];
    size_t size = strcmp(type, "F32") == 0 ? 4 : 2;
    const uint64_t shape[] = { bytes / size };
    snprintf(header, sizeof header,
             "{\"a\":{\"dtype\":\"%s\",\"shape\":[%zu],\"data_offsets\":[0,%zu]}}", type,
             bytes / size, bytes);
    slice made = make_file(header, bytes), copy = guard_copy(made.ptr, made.len);
    guard_free(made);
    memcpy((char *)(size_t)copy.ptr + copy.len - bytes, data, bytes);
    assert_int_equal(safetensors_open(&file, copy, &err), 0);
    assert_int_equal(safetensors_find(&file, "a", 1, shape, &tensor, &err), 0);
    assert_int_equal(tensor_element_bytes(tensor.type), size);
    tensor_read(&tensor, first, count, out);
    assert_memory_equal(out, values, count * sizeof *out);
    safetensors_close(&file);
    guard_free(copy);
}

static void test_values(void **state)
{
    static const unsigned char halves[] = {
        0x00, 0x3c, 0x00, 0xc0, 0xff, 0x7b, 0x00, 0x04, 0xff, 0x03,
        0x01, 0x80, 0x00, 0x00, 0x00, 0x80, 0x00, 0x7c, 0x00, 0xfc,
    };
    static const float of_halves[] = {
        1.0f,      -2.0f, 65504.0f, 0x1p-14f,         0x3ffp-24f,
        -0x1p-24f, 0.0f,  -0.0f,    __builtin_inff(), -__builtin_inff()
    };
    static const unsigned char not_a_number[] = { 0x01, 0x7e };
    static const unsigned char brains[] = { 0x80, 0x3f, 0x49, 0x40, 0x00, 0xc0 };
    static const float of_brains[] = { 1.0f, 3.140625f, -2.0f }, singles[] = { 1.5f, -2.5f, 4.0f };
    uint32_t bits = 0x7fc02000;
    float nan;
    (void)state;
    memcpy(&nan, &bits, sizeof nan);
    read_values("F16", (const char *)halves, sizeof halves, 0, of_halves, 10);
    read_values("F16", (const char *)halves, sizeof halves, 8, of_halves + 8, 2);
    read_values("F16", (const char *)not_a_number, 2, 0, &nan, 1);
    read_values("BF16", (const char *)brains, sizeof brains, 0, of_brains, 3);
    read_values("BF16", (const char *)brains, sizeof brains, 2, of_brains + 2, 1);
    read_values("F32", (const char *)singles, sizeof singles, 0, singles, 3);
    read_values("F32", (const char *)singles, sizeof singles, 1, singles + 1, 2);
    assert_int_equal(tensor_element_bytes(TENSOR_OTHER), 0);
}

/* As many as there may be; and names of which one begins the other. */
static void test_dimensions_and_names(void **state)
{
    static const char header[] =
        "{\"ab\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]},"
        "\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[4,8]},"
        "\"abc\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]}}";
    static const uint64_t ones[] = { 1, 1, 1, 1, 1, 1, 1, 1 };
    struct safetensors file;
    struct tensor tensor;
    struct err err = { 0 };
    slice bytes = make_file(header, 12);
    (void)state;
    assert_int_equal(safetensors_open(&file, bytes, &err), 0);
    assert_int_equal(safetensors_find(&file, "ab", 8, ones, &tensor, &err), 0);
    assert_int_equal(tensor.bytes[0], 0);
    assert_int_equal(safetensors_find(&file, "a", 0, ones, &tensor, &err), 0);
    assert_int_equal(tensor.bytes[0], 4);
    assert_int_equal(tensor.size_bytes, 4);
    assert_int_equal(safetensors_find(&file, "abc", 1, ones, &tensor, &err), 0);
    assert_int_equal(tensor.bytes[0], 8);
    assert_int_equal(safetensors_find(&file, "ab", 7, ones, &tensor, &err), ERR_INPUT);
    assert_int_equal(safetensors_find(&file, "", 0, ones, &tensor, &err), ERR_INPUT);
    safetensors_close(&file);
    assert_int_equal(safetensors_find(&file, "a", 0, ones, &tensor, &err), ERR_INPUT);
    guard_free(bytes);
}

/* A file may have as long a header as is allowed, and end right behind it. */
static void test_longest_header(void **state)
{
    struct safetensors file;
    struct err err = { 0 };
    (void)state;
    slice cut = guard_copy("\x00\xe1\xf5\x05\0\0\0\0{}", 10); /* 100000000 */
    assert_int_equal(safetensors_open(&file, cut, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, "ends after 2"));
    guard_free(cut);
    cut = guard_copy("\x01\xe1\xf5\x05\0\0\0\0{}", 10);
    assert_int_equal(safetensors_open(&file, cut, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, "more than 100000000"));
    guard_free(cut);
    cut = guard_copy("\2\0\0\0\0\0\0\0{}", 10);
    assert_int_equal(safetensors_open(&file, cut, &err), 0);
    assert_int_equal(file.count, 0);
    safetensors_close(&file);
    guard_free(cut);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_file),
        cmocka_unit_test(test_bad_tensors),
        cmocka_unit_test(test_bad_places),
        cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_every_dtype),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_dimensions_and_names),
        cmocka_unit_test(test_longest_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
