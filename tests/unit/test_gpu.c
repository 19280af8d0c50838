/*
 * The room gpu: what it makes of a driver's answers. The driver is a table of functions of this
 * file; tests/blackbox/test_gpu.py has a complete one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/limits.h"
#include "gpu/cuda.h"
#include "gpu/gpu_private.h"
#include "json_same.h"
#include "json/json.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* --- the driver ----------------------------------------------------------------------------- */

static const char *failing; /* the call that returns 999; NULL: none */
static const char *device_name;
static int pools; /* the attribute; -1: this driver does not know it */

static int answer(const char *call)
{
    return failing != NULL && strcmp(failing, call) == 0 ? 999 : CUDA_SUCCESS;
}

static int error_name(int result, const char **name)
{
    *name = result == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS" : result == 2 ? "CUDA_ERROR_OUT" : NULL;
    return result == 4711 ? 1 : CUDA_SUCCESS; /* 4712: says that all is well, and gives nothing */
}

static int error_text(int result, const char **text)
{
    *text = result == 700 ? "an illegal memory access" : NULL;
    return result == 4711 ? 1 : CUDA_SUCCESS;
}

static int device_get(cuda_device *device, int index)
{
    *device = index + 100;
    return answer("cuDeviceGet");
}

static int get_name(char *name, int size, cuda_device device)
{
    assert_int_equal(device, 103);
    memset(name, '#', (size_t)size); /* the API promises no NUL where it just fits */
    memcpy(name, device_name, strnlen(device_name, (size_t)size));
    if (strlen(device_name) < (size_t)size)
        name[strlen(device_name)] = '\0';
    return answer("cuDeviceGetName");
}

static int get_memory(size_t *bytes, cuda_device device)
{
    (void)device;
    *bytes = (size_t)80 << 30;
    return answer("cuDeviceTotalMem");
}

static int get_attribute(int *value, int attribute, cuda_device device)
{
    (void)device;
    switch (attribute) {
    case CUDA_CAPABILITY_MAJOR: *value = 12; break;
    case CUDA_CAPABILITY_MINOR: *value = 1; break;
    case CUDA_MULTIPROCESSORS: *value = 132; break;
    case CUDA_MAX_THREADS_PER_BLOCK: *value = 1024; break;
    default: *value = pools; return pools < 0 ? 1 : CUDA_SUCCESS;
    }
    return answer("cuDeviceGetAttribute");
}

static int get_uuid(struct cuda_uuid *uuid, cuda_device device)
{
    (void)device;
    for (size_t i = 0; i < CUDA_UUID_BYTES; i++)
        uuid->bytes[i] = (unsigned char)(0xf0 + i);
    return answer("cuDeviceGetUuid");
}

static int get_own_uuid(struct cuda_uuid *uuid, cuda_device device)
{
    int rc = get_uuid(uuid, device);
    uuid->bytes[0] = 1;
    return rc == CUDA_SUCCESS ? answer("cuDeviceGetUuid_v2") : rc;
}

static int alloc_async(cuda_address *address, size_t bytes, cuda_stream stream)
{
    (void)address;
    (void)bytes;
    (void)stream;
    return CUDA_SUCCESS;
}

static int free_async(cuda_address address, cuda_stream stream)
{
    (void)address;
    (void)stream;
    return CUDA_SUCCESS;
}

static struct cuda driver;

static int make_driver(void **state)
{
    (void)state;
    failing = NULL;
    device_name = "NVIDIA H100 80GB HBM3";
    pools = 1;
    driver = (struct cuda){ .path = "/usr/lib64/libcuda.so.1",
                            .version = 12020,
                            .error_name = error_name,
                            .error_text = error_text,
                            .device_get = device_get,
                            .device_name = get_name,
                            .device_memory = get_memory,
                            .device_attribute = get_attribute,
                            .device_uuid = get_uuid,
                            .alloc_async = alloc_async,
                            .free_async = free_async };
    return 0;
}

/* --- errors --------------------------------------------------------------------------------- */

static void errors_have_the_drivers_words(void **state)
{
    static const struct {
        int result, code;
        const char *text;
    } cases[] = {
        { 700, ERR_PEER, "x: CUDA_ERROR_ILLEGAL_ADDRESS (700): an illegal memory access" },
        { 2, ERR_MEMORY, "x: CUDA_ERROR_OUT (2): the driver has no text for it" },
        { 4711, ERR_PEER, "x: unknown error (4711): the driver has no text for it" },
        { 4712, ERR_PEER, "x: unknown error (4712): the driver has no text for it" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct err err = { 0 };
        assert_int_equal(cuda_error(&driver, cases[i].result, "x", &err), cases[i].code);
        assert_int_equal(err.code, cases[i].code);
        assert_string_equal(err.text, cases[i].text);
    }
}

/* Where it may be the machine's or the container's, what to look at. */
static void errors_of_a_set_up_come_with_advice(void **state)
{
    static const struct {
        int result;
        const char *advice;
    } cases[] = {
        { 100, " (was the container started with --gpus all?)" },
        { 221, " (libnvidia-ptxjitcompiler.so.1 is not in the container: set "
               "NVIDIA_DRIVER_CAPABILITIES=compute,utility, or ship a cubin beside PTX)" },
        { 304, " (is /proc mounted, and may this user open /dev/nvidia*?)" },
        { 802, " (machines with NVSwitch need the fabric manager on the host)" },
        { 803, " (the library's version differs from that of the driver in the kernel)" },
        { 804,
          " (this libcuda is from a compatibility package, for data-centre GPUs only: remove it "
          "to use the host's own)" },
        { 999, " (a device node that is missing or not allowed, or a GPU that has fallen off the "
               "bus: see dmesg on the host)" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char expected[ERR_TEXT_BYTES];
        struct err err = { 0 };
        cuda_error(&driver, cases[i].result, "x", &err);
        snprintf(expected, sizeof expected,
                 "x: unknown error (%d): the driver has no text for it%s", cases[i].result,
                 cases[i].advice);
        assert_string_equal(err.text, expected);
    }
}

static void only_some_errors_are_for_good(void **state)
{
    static const int sticky[] = { 214, 220, 226, 700, 702, 709, 710, 714,
                                  715, 716, 717, 718, 719, 721, 999 };
    size_t count = 0;
    (void)state;
    for (int result = -1; result < 2000; result++)
        count += cuda_is_sticky(result);
    assert_int_equal(count, COUNT(sticky));
    for (size_t i = 0; i < COUNT(sticky); i++)
        if (!cuda_is_sticky(sticky[i]))
            fail_msg("%d is for good", sticky[i]);
}

/* --- devices -------------------------------------------------------------------------------- */

static void a_device_is_described(void **state)
{
    struct rp_gpu gpu;
    const char *call;
    (void)state;
    assert_int_equal(gpu_describe(&driver, 3, &gpu, &call), 0);
    assert_int_equal(gpu.index, 3);
    assert_int_equal(gpu.device, 103);
    assert_null(gpu.context);
    assert_true(gpu.has_pools);
    assert_string_equal(gpu.facts.name, "NVIDIA H100 80GB HBM3");
    assert_string_equal(gpu.facts.uuid, "GPU-f0f1f2f3-f4f5-f6f7-f8f9-fafbfcfdfeff");
    assert_true(gpu.facts.memory_bytes == UINT64_C(85899345920));
    assert_int_equal(gpu.facts.capability, 121);
    assert_int_equal(gpu.facts.multiprocessors, 132);
    assert_int_equal(gpu.facts.max_threads_per_block, 1024);
    assert_int_equal(gpu.facts.cuda_version, 12020);
    assert_string_equal(gpu.facts.driver_path, "/usr/lib64/libcuda.so.1");
}

static void a_long_name_is_cut(void **state)
{
    char name[3 * GPU_NAME_BYTES];
    struct rp_gpu gpu;
    const char *call;
    (void)state;
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    device_name = name;
    assert_int_equal(gpu_describe(&driver, 3, &gpu, &call), 0);
    assert_int_equal(strlen(gpu.facts.name), GPU_NAME_BYTES - 1);
}

/* The call that knows a slice's own identity is asked where there is one. */
static void a_slices_own_identity_is_told(void **state)
{
    struct rp_gpu gpu;
    const char *call;
    (void)state;
    driver.device_own_uuid = get_own_uuid;
    device_name = "NVIDIA H100 80GB HBM3 MIG 1g.10gb";
    assert_int_equal(gpu_describe(&driver, 3, &gpu, &call), 0);
    assert_string_equal(gpu.facts.uuid, "MIG-01f1f2f3-f4f5-f6f7-f8f9-fafbfcfdfeff");
    failing = "cuDeviceGetUuid_v2";
    assert_int_equal(gpu_describe(&driver, 3, &gpu, &call), 0);
    assert_string_equal(gpu.facts.uuid, "");
}

static void what_an_old_driver_lacks_is_no_failure(void **state)
{
    struct rp_gpu gpu;
    const char *call;
    (void)state;
    failing = "cuDeviceGetUuid";
    assert_int_equal(gpu_describe(&driver, 3, &gpu, &call), 0);
    assert_string_equal(gpu.facts.uuid, "");
    driver.device_uuid = NULL;
    pools = -1;
    assert_int_equal(gpu_describe(&driver, 3, &gpu, &call), 0);
    assert_string_equal(gpu.facts.uuid, "");
    assert_false(gpu.has_pools);
    pools = 1;
    driver.free_async = NULL;
    assert_int_equal(gpu_describe(&driver, 3, &gpu, &call), 0);
    assert_false(gpu.has_pools);
    driver.free_async = free_async;
    driver.alloc_async = NULL;
    assert_int_equal(gpu_describe(&driver, 3, &gpu, &call), 0);
    assert_false(gpu.has_pools);
}

static void a_call_that_fails_is_named(void **state)
{
    static const char *const calls[] = { "cuDeviceGet", "cuDeviceGetName", "cuDeviceTotalMem",
                                         "cuDeviceGetAttribute" };
    (void)state;
    for (size_t i = 0; i < COUNT(calls); i++) {
        struct rp_gpu gpu;
        const char *call = "none";
        failing = calls[i];
        assert_int_equal(gpu_describe(&driver, 3, &gpu, &call), 999);
        assert_string_equal(call, calls[i]);
    }
}

/* --- --gpu-info ----------------------------------------------------------------------------- */

static void the_file_tells_the_drivers_version(void **state)
{
    static const struct {
        const char *path, *version;
    } cases[] = {
        { "/usr/lib64/libcuda.so.535.261.03", "535.261.03" },
        { "libcuda.so.580.65", "580.65" },
        { "libcuda.so.9.1", "9.1" },
        { "/usr/lib64/libcuda.so.1", "" },
        { "/usr/lib64/libcuda.so", "" },
        { "/libcuda.so.535.261/libcuda.so.1", "" },
        { "/opt/my-libcuda.so.535.261", "" },
        { "/opt/cuda.so.1.2", "" },
        { "", "" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_string_equal(gpu_file_version(cases[i].path), cases[i].version);
}

static void assert_report(const struct gpu_report *report, const char *expected)
{
    struct buf out;
    struct err err = { 0 };
    buf_init(&out, LIMIT_MIB, "test");
    assert_int_equal(gpu_report_json(report, &out, &err), 0);
    assert_int_equal(json_check(buf_slice(&out), NULL, &err), 0);
    if (!json_same(buf_slice(&out), slice_from(expected)))
        fail_msg("%.*s\nis not\n%s", SLICE_ARG(buf_slice(&out)), expected);
    buf_free(&out);
}

static struct gpu_report report; /* too large for a stack */

static void a_report_without_devices(void **state)
{
    (void)state;
    driver = (struct cuda){ .path = "", .find_us = 7 };
    report = (struct gpu_report){ .cuda = &driver, .file_version = "", .status = 3 };
    err_set(&report.err, ERR_CONFIG, "no \"libcuda\" in \\ or \xff");
    assert_report(&report, "{\"driver\": {\"file\": \"\", \"version\": \"\", \"cuda\": \"\", "
                           "\"cuda_version\": 0}, \"devices\": [], \"ms\": {\"find\": 0.007, "
                           "\"load\": 0, \"initialise\": 0, \"devices\": 0}, \"error\": "
                           "\"no \\\"libcuda\\\" in \\\\ or \\ufffd\"}");
}

static void a_report_of_two_devices(void **state)
{
    const char *call;
    (void)state;
    driver.find_us = 1;
    driver.load_us = 1500;
    driver.init_us = 2000000;
    report = (struct gpu_report){ .cuda = &driver, .count = 2, .devices_us = 30 };
    strcpy(report.file, "/x/libcuda.so.535.261.03");
    report.file_version = gpu_file_version(report.file);
    assert_int_equal(gpu_describe(&driver, 3, &report.devices[0], &call), 0);
    device_name = "a \"b\" \xc5\xbe \x80";
    driver.device_uuid = NULL;
    assert_int_equal(gpu_describe(&driver, 3, &report.devices[1], &call), 0);
    assert_report(
        &report,
        "{\"driver\": {\"file\": \"/x/libcuda.so.535.261.03\", \"version\": \"535.261.03\", "
        "\"cuda\": \"12.2\", \"cuda_version\": 12020}, \"devices\": [{\"index\": 0, \"name\": "
        "\"NVIDIA H100 80GB HBM3\", \"uuid\": \"GPU-f0f1f2f3-f4f5-f6f7-f8f9-fafbfcfdfeff\", "
        "\"memory_bytes\": 85899345920, \"compute_capability\": \"12.1\", \"multiprocessors\": "
        "132, \"max_threads_per_block\": 1024}, {\"index\": 1, \"name\": \"a \\\"b\\\" \xc5\xbe "
        "\\ufffd\", \"uuid\": \"\", \"memory_bytes\": 85899345920, \"compute_capability\": "
        "\"12.1\", \"multiprocessors\": 132, \"max_threads_per_block\": 1024}], \"ms\": "
        "{\"find\": 0.001, \"load\": 1.5, \"initialise\": 2000, \"devices\": 0.03}, \"error\": "
        "null}");
}

static void a_report_that_does_not_fit_is_an_error(void **state)
{
    struct err err = { 0 };
    struct buf out;
    (void)state;
    report = (struct gpu_report){ .cuda = &driver, .file_version = "" };
    for (size_t max = 0; max < 100; max += 9) {
        buf_init(&out, max, "test");
        assert_int_equal(gpu_report_json(&report, &out, &err), ERR_LIMIT);
        buf_free(&out);
    }
}

/* --- the fitness check's computation -------------------------------------------------------- */

static void right_results_are_told_from_wrong_ones(void **state)
{
    /* x * 1664525 + 1013904223 in 32 bits, three times over, from 0, 1, 2 and 3 on. */
    static const uint32_t right[] = { 3519870697u, 2165703038u, 811535379u, 3752335016u };
    uint32_t results[COUNT(right)];
    (void)state;
    assert_true(gpu_results_match(right, COUNT(right), 3));
    assert_false(gpu_results_match(right, COUNT(right), 2));
    assert_true(gpu_results_match((const uint32_t[]){ 0, 1, 2 }, 3, 0));
    for (size_t i = 0; i < COUNT(right); i++) {
        memcpy(results, right, sizeof right);
        results[i] ^= 1u << 31;
        assert_false(gpu_results_match(results, COUNT(right), 3));
    }
}

/* --- whether a GPU is to be expected -------------------------------------------------------- */

/* Device nodes are files here: only that they exist counts. */
static void make_path(const char *root, const char *path, bool is_folder)
{
    char full[128];
    snprintf(full, sizeof full, "%s/%s", root, path);
    FILE *file = is_folder ? NULL : fopen(full, "w");
    if (is_folder ? mkdir(full, 0700) != 0 : file == NULL || fclose(file) != 0)
        fail_msg("cannot make %s", full);
}

static void remove_path(const char *root, const char *path)
{
    char full[128];
    snprintf(full, sizeof full, "%s/%s", root, path);
    assert_int_equal(remove(full), 0);
}

static void device_nodes_without_the_kernels_driver_are_stale(void **state)
{
    static const char *const nodes[] = { "dev/nvidiactl", "dev/nvidia0" };
    char root[] = "/tmp/gpu-root-XXXXXX";
    (void)state;
    assert_non_null(mkdtemp(root));
    make_path(root, "dev", true);
    make_path(root, "proc", true);
    make_path(root, "proc/driver", true);
    assert_false(gpu_has_kernel_driver(root));
    for (size_t i = 0; i < COUNT(nodes); i++) {
        make_path(root, nodes[i], false);
        assert_false(gpu_has_kernel_driver(root));
        make_path(root, "proc/driver/nvidia", true);
        assert_true(gpu_has_kernel_driver(root));
        remove_path(root, nodes[i]);
        assert_false(gpu_has_kernel_driver(root)); /* the machine's driver, a container without */
        remove_path(root, "proc/driver/nvidia");
    }
    make_path(root, "dev/dxg", false);
    assert_true(gpu_has_kernel_driver(root));
    remove_path(root, "dev/dxg");
    remove_path(root, "proc/driver");
    remove_path(root, "proc");
    remove_path(root, "dev");
    assert_int_equal(rmdir(root), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(errors_have_the_drivers_words, make_driver),
        cmocka_unit_test_setup(errors_of_a_set_up_come_with_advice, make_driver),
        cmocka_unit_test(only_some_errors_are_for_good),
        cmocka_unit_test_setup(a_device_is_described, make_driver),
        cmocka_unit_test_setup(a_long_name_is_cut, make_driver),
        cmocka_unit_test_setup(a_slices_own_identity_is_told, make_driver),
        cmocka_unit_test_setup(what_an_old_driver_lacks_is_no_failure, make_driver),
        cmocka_unit_test_setup(a_call_that_fails_is_named, make_driver),
        cmocka_unit_test(the_file_tells_the_drivers_version),
        cmocka_unit_test_setup(a_report_without_devices, make_driver),
        cmocka_unit_test_setup(a_report_of_two_devices, make_driver),
        cmocka_unit_test_setup(a_report_that_does_not_fit_is_an_error, make_driver),
        cmocka_unit_test(right_results_are_told_from_wrong_ones),
        cmocka_unit_test(device_nodes_without_the_kernels_driver_are_stale),
    };
    return cmocka_run_group_tests_name("gpu", tests, NULL, NULL);
}
