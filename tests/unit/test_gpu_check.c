/*
 * The room gpu: how the driver is opened, the fitness check and --gpu-info, on the driver of
 * driver.h. Each case has a process of its own, since the driver is opened once in each.
 */
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "driver.h"
#include "gpu/cuda.h"
#include "gpu/gpu_private.h"
#include "gpu/part.h"
#include "loader/loader.h"
#include "json/json.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static char folder[] = "/tmp/gpu-check-XXXXXX";

/* What a child has to tell. */
static struct {
    struct gpu_check_result result;
    char said[4096], text[16384];
    int rc, count;
} * told;

static struct config config;

static int begin(void **state)
{
    (void)state;
    told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return told != MAP_FAILED && mkdtemp(folder) != NULL ? 0 : -1;
}

static int end(void **state)
{
    char path[64];
    (void)state;
    snprintf(path, sizeof path, "%s/libcuda.so.1", folder);
    unlink(path);
    munmap(told, sizeof *told);
    return rmdir(folder);
}

static int fresh(void **state)
{
    (void)state;
    driver_begin(folder, false);
    config = (struct config){ .gpu.libcuda = folder };
    config.gpu.min_cuda_version = 12020;
    config.gpu.benchmark_ms = 60000;
    config.gpu.test_ms = 60000;
    memset(told, 0, sizeof *told);
    return 0;
}

static void in_child(void (*run)(void))
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        run();
        fflush(NULL);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void keep_what_was_said(void)
{
    snprintf(told->said, sizeof told->said, "%s", driver_said());
}

static void assert_has(const char *text, const char *words)
{
    if (strstr(text, words) == NULL)
        fail_msg("no \"%s\" in \"%s\"", words, text);
}

static void check(void)
{
    log_init(LOG_NOTSET, false);
    gpu_check(&config, true, &told->result);
    keep_what_was_said();
}

/* --- opening the driver --------------------------------------------------------------------- */

static void open_it(void)
{
    const struct cuda *cuda = NULL;
    struct err err = { 0 };
    told->rc = cuda_open(folder, &cuda, &err);
    snprintf(told->text, sizeof told->text, "%s", err.text);
    told->count = cuda->device_count;
    if (cuda_open("/no/such/place", &cuda, NULL) != told->rc) /* the same once more */
        told->rc = 4711;
    keep_what_was_said();
}

static void a_driver_is_opened_once(void **state)
{
    (void)state;
    for (int is_older = 0; is_older < 2; is_older++) {
        driver_begin(folder, is_older != 0);
        in_child(open_it);
        assert_int_equal(told->rc, 0);
        assert_int_equal(told->count, 2);
        assert_string_equal(told->said, "driver_version;init 0;get_count;");
    }
}

static void a_driver_that_is_of_no_use(void **state)
{
    static const struct {
        const char *failing, *lacking, *text;
        int version, devices;
    } cases[] = {
        { "driver_version", NULL,
          "CUDA 12.2), but it does not start: CUDA_ERROR_TEST (304): a test "
          "(is /proc mounted, and may this user open /dev/nvidia*?)",
          12020, 2 },
        { "init", NULL, "but it does not start", 12020, 2 },
        { "get_count", NULL, "but it does not start", 12020, 2 },
        { NULL, NULL,
          "but no device: CUDA_ERROR_TEST (100): a test (was the container started with "
          "--gpus all?)",
          12020, 0 },
        { NULL, NULL, "supports CUDA 10.2; the worker needs a driver for 11.0 or later", 10020, 2 },
        { NULL, "cuCtxSetCurrent", "lacks cuCtxSetCurrent: it is not a CUDA driver, or it", 12020,
          2 },
        { NULL, "cuMemAlloc", "lacks cuMemAlloc_v2: ", 12020, 2 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        fresh(NULL);
        driver.failing = cases[i].failing;
        driver.result = CUDA_OPERATING_SYSTEM;
        driver.lacking = cases[i].lacking;
        driver.version = cases[i].version;
        driver.devices = cases[i].devices;
        in_child(open_it);
        assert_int_equal(told->rc, ERR_PEER);
        assert_has(told->text, cases[i].text);
        assert_has(told->text, folder);
        assert_int_equal(told->count, 0);
    }
}

/* However the driver says that it does not know a call: the library's own is taken. */
static void a_call_that_only_the_library_exports(void **state)
{
    (void)state;
    for (int lacks = REFUSES; lacks <= MISLEADS; lacks++)
        for (int is_older = 0; is_older < 2; is_older++) {
            fresh(NULL);
            driver_begin(folder, is_older != 0);
            driver.lacking = "cuMemFree";
            driver.lacks = lacks;
            in_child(check);
            assert_true(told->result.fit);
            assert_has(told->said, ";free 100000;");
            assert_null(strstr(told->said, "nobody expects"));
        }
}

static void the_oldest_driver_and_what_it_lacks(void **state)
{
    (void)state;
    driver.version = CUDA_OLDEST;
    driver.lacking = "cuMemAllocAsync";
    in_child(open_it);
    assert_int_equal(told->rc, 0);
    assert_int_equal(told->count, 2);
}

static void open_nothing(void)
{
    const struct cuda *cuda = NULL;
    struct err err = { 0 };
    told->rc = cuda_open("/no/such/place", &cuda, &err);
    snprintf(told->text, sizeof told->text, "%s", err.text);
    told->count = (int)strlen(cuda->path);
}

static void a_driver_that_is_not_there(void **state)
{
    (void)state;
    in_child(open_nothing);
    assert_int_equal(told->rc, ERR_CONFIG);
    assert_string_equal(told->text,
                        "--libcuda or RP_LIBCUDA: /no/such/place: No such file or directory");
    assert_int_equal(told->count, 0);
}

/* What a handler that can do without a GPU goes by. */
static void open_device(void)
{
    rp_gpu *gpu = NULL;
    log_init(LOG_NOTSET, false);
    gpu_begin(&config);
    told->rc = rp_gpu_open(0, &gpu);
    told->count = gpu != NULL ? 1 : 0;
    keep_what_was_said();
}

/* Its pool keeps what it keeps by itself. */
static void a_pool_that_cannot_be_set(void **state)
{
    (void)state;
    driver.failing = "pool";
    driver.result = 1;
    in_child(open_device);
    assert_int_equal(told->rc, RP_OK);
    assert_has(told->said, ";pool 100;");
    assert_null(strstr(told->said, "pool_set"));
    driver_begin(folder, true);
    in_child(open_device);
    assert_int_equal(told->rc, RP_OK);
    assert_null(strstr(told->said, "pool_set"));
}

static void open_one_too_many(void)
{
    rp_gpu *gpu = NULL;
    gpu_begin(&config);
    told->rc = rp_gpu_open(GPU_DEVICES_MAX, &gpu);
    told->count = gpu != NULL ? 1 : 0;
}

static void a_missing_device_is_told_from_a_broken_one(void **state)
{
    (void)state;
    in_child(open_device);
    assert_int_equal(told->rc, RP_OK);
    assert_int_equal(told->count, 1);
    driver.devices = 0;
    in_child(open_device);
    assert_int_equal(told->rc, RP_MISSING);
    assert_int_equal(told->count, 0);
    fresh(NULL);
    config.gpu.libcuda = "/no/such/place";
    in_child(open_device);
    assert_int_equal(told->rc, RP_MISSING);
    fresh(NULL);
    driver.failing = "init";
    driver.result = 1;
    in_child(open_device);
    assert_int_equal(told->rc, RP_FAILED);
    assert_int_equal(told->count, 0);
}

/* --- the end of the process ------------------------------------------------------------------ */

static pthread_t survivor;
static sem_t is_in_use, may_end;

static void *outlive_the_driver(void *gpu)
{
    rp_gpu_wait(gpu);
    sem_post(&is_in_use);
    while (sem_wait(&may_end) != 0)
        continue;
    return NULL;
}

/* The first handler that is registered is the last to run: when the driver's own have run, too. */
static void end_the_survivor(void)
{
    sem_post(&may_end);
    pthread_join(survivor, NULL);
    keep_what_was_said();
    _exit(0);
}

static void exit_before_a_thread(void)
{
    rp_gpu *gpu = NULL;
    sem_init(&is_in_use, 0, 0);
    sem_init(&may_end, 0, 0);
    if (atexit(end_the_survivor) != 0)
        _exit(1);
    log_init(LOG_NOTSET, false);
    gpu_begin(&config);
    if (rp_gpu_open(0, &gpu) != RP_OK ||
        pthread_create(&survivor, NULL, outlive_the_driver, gpu) != 0)
        _exit(2);
    while (sem_wait(&is_in_use) != 0)
        continue;
    told->count = strstr(driver_said(), "stream_create 1;") != NULL;
    exit(0);
}

static void a_thread_that_ends_after_exit_leaves_the_driver_alone(void **state)
{
    (void)state;
    in_child(exit_before_a_thread);
    assert_int_equal(told->count, 1);
    assert_string_equal(told->said, "");
}

/* --- the fitness check ---------------------------------------------------------------------- */

/* The same by another process, whose calls nobody sees here. */
static void have_it_checked(void)
{
    gpu_prepare_check();
    check();
}

static void a_fit_machine_is_used_and_left(void **state)
{
    (void)state;
    in_child(check);
    assert_true(told->result.fit);
    assert_false(told->result.hangs);
    assert_null(told->result.name);
    assert_string_equal(
        told->said, "driver_version;init 0;get_count;"
                    "device_get 0;context_retain 100;context_set 0;"
                    "alloc 16777216;fill 100000=a5 16777216;read 100000 16777216;free 100000;"
                    "module_load .version 6.0\n.ta;module_function 30 rp_check;alloc 131072;"
                    "launch cc 128,1,1 256,1,1 0 s0;context_wait;read 100000 131072;free 100000;"
                    "module_unload 30;context_set none;context_release 100;"
                    "device_get 1;context_retain 101;context_set 1;"
                    "alloc 16777216;fill 100000=a5 16777216;read 100000 16777216;free 100000;"
                    "module_load .version 6.0\n.ta;module_function 30 rp_check;alloc 131072;"
                    "launch cc 128,1,1 256,1,1 0 s0;context_wait;read 100000 131072;free 100000;"
                    "module_unload 30;context_set none;context_release 101;");
    in_child(have_it_checked);
    assert_true(told->result.fit);
    assert_string_equal(told->said, "");
}

static void a_call_that_fails_is_the_reason(void **state)
{
    static const struct {
        const char *call;
        unsigned passes;
        const char *name, *text;
    } cases[] = {
        { "device_get", 0, "cuda_init_check", "GPU 0: cuDeviceGet: CUDA_ERROR_TEST (1): a test" },
        { "device_get", 1, "cuda_init_check", "GPU 1: cuDeviceGet: " },
        { "context_retain", 0, "cuda_init_check", "GPU 0: cuDevicePrimaryCtxRetain: " },
        { "context_set", 0, "cuda_init_check", "GPU 0: cuCtxSetCurrent: " },
        { "context_release", 0, "cuda_init_check", "GPU 0: cuDevicePrimaryCtxRelease: " },
        { "alloc", 0, "gpu_memory_check", "GPU 0: cuMemAlloc: " },
        { "fill", 0, "gpu_memory_check", "GPU 0: cuMemsetD8: " },
        { "read", 0, "gpu_memory_check", "GPU 0: cuMemcpyDtoH: " },
        { "free", 0, "gpu_memory_check", "GPU 0: cuMemFree: " },
        { "module_load", 0, "gpu_compute_check", "GPU 0: cuModuleLoadDataEx: " },
        { "module_function", 0, "gpu_compute_check", "GPU 0: cuModuleGetFunction: " },
        { "alloc", 1, "gpu_compute_check", "GPU 0: cuMemAlloc: " },
        { "launch", 0, "gpu_compute_check", "GPU 0: cuLaunchKernel: " },
        { "context_wait", 0, "gpu_compute_check", "GPU 0: cuCtxSynchronize: " },
        { "read", 1, "gpu_compute_check", "GPU 0: cuMemcpyDtoH: " },
        { "free", 1, "gpu_compute_check", "GPU 0: cuMemFree: " },
        { "module_unload", 0, "gpu_compute_check", "GPU 0: cuModuleUnload: " },
        { "module_unload", 1, "gpu_compute_check", "GPU 1: cuModuleUnload: " },
        { "init", 0, "cuda_init_check", "but it does not start: CUDA_ERROR_TEST (1)" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        for (int beside = 0; beside < 2; beside++) {
            fresh(NULL);
            driver.failing = cases[i].call;
            driver.passes = cases[i].passes;
            driver.result = 1;
            in_child(beside != 0 ? have_it_checked : check);
            assert_false(told->result.fit);
            assert_false(told->result.hangs);
            assert_string_equal(told->result.name, cases[i].name);
            assert_has(told->result.reason, cases[i].text);
        }
}

/* Whatever fails, what was taken before is given back. */
static void what_was_taken_is_given_back(void **state)
{
    static const struct {
        const char *call;
        unsigned passes;
        const char *end;
    } cases[] = {
        { "read", 0, ";read 100000 16777216;free 100000;context_set none;context_release 100;" },
        { "module_load", 0, ".ta;context_set none;context_release 100;" },
        { "alloc", 1, ";alloc 131072;module_unload 30;context_set none;context_release 100;" },
        { "launch", 0, "s0;free 100000;module_unload 30;context_set none;context_release 100;" },
        { "context_set", 0, ";context_set 0;context_set none;context_release 100;" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        fresh(NULL);
        driver.failing = cases[i].call;
        driver.passes = cases[i].passes;
        driver.result = 1;
        in_child(check);
        size_t len = strlen(told->said), end_len = strlen(cases[i].end);
        assert_true(len > end_len);
        assert_string_equal(told->said + len - end_len, cases[i].end);
    }
}

static void wrong_results_are_the_reason(void **state)
{
    (void)state;
    driver.spoils_memory = true;
    in_child(check);
    assert_false(told->result.fit);
    assert_string_equal(told->result.name, "gpu_memory_check");
    assert_string_equal(told->result.reason,
                        "GPU 0: its memory does not read back what was written");
    fresh(NULL);
    driver.spoils_results = true;
    in_child(check);
    assert_false(told->result.fit);
    assert_string_equal(told->result.name, "gpu_compute_check");
    assert_string_equal(told->result.reason, "GPU 0 computes wrong results");
    driver.failing = "free"; /* what follows from it */
    driver.passes = 1;
    driver.result = 1;
    in_child(check);
    assert_string_equal(told->result.reason, "GPU 0 computes wrong results");
    fresh(NULL);
    config.gpu.benchmark_ms = -1;
    in_child(check);
    assert_string_equal(told->result.name, "gpu_compute_check");
    assert_has(told->result.reason, "GPU 0 is too slow: a small computation took ");
    assert_has(told->result.reason, " ms, the limit is -1 ms (RUNPOD_GPU_BENCHMARK_TIMEOUT)");
}

static void an_old_driver_explains_more_than_what_follows_from_it(void **state)
{
    (void)state;
    config.gpu.min_cuda_version = 13010;
    driver.version = 12010;
    driver.failing = "init";
    driver.result = 1;
    in_child(check);
    assert_false(told->result.fit);
    assert_string_equal(told->result.name, "cuda_version_check");
    assert_string_equal(told->result.reason,
                        "CUDA version too old: the driver supports 12.1, 13.1 is required "
                        "(RUNPOD_MIN_CUDA_VERSION)");
}

static void a_driver_that_does_not_answer(void **state)
{
    (void)state;
    driver.hangs = true;
    config.gpu.test_ms = 0;
    in_child(check);
    assert_false(told->result.fit);
    assert_true(told->result.hangs);
    assert_string_equal(told->result.name, "cuda_init_check");
    assert_string_equal(told->result.reason, "the GPU driver did not answer within 0 s while "
                                             "starting (RUNPOD_GPU_TEST_TIMEOUT)");
    in_child(have_it_checked);
    assert_false(told->result.fit);
    assert_false(told->result.hangs); /* in another process */
    assert_has(told->result.reason, "the GPU driver did not answer within 0 s");
}

static void a_driver_that_crashes_beside_the_worker(void **state)
{
    (void)state;
    driver.crashes = true;
    in_child(have_it_checked);
    assert_false(told->result.fit);
    assert_false(told->result.hangs);
    assert_string_equal(told->result.name, "cuda_init_check");
    assert_string_equal(told->result.reason,
                        "the process that checks the GPU has crashed in the driver");
}

/* The other process has been told of another limit: its own copy of this one's memory. */
static void lose_patience(void)
{
    gpu_prepare_check();
    config.gpu.test_ms = -1000;
    check();
    told->rc = waitpid(-1, NULL, WNOHANG);
}

static void a_driver_that_hangs_beside_the_worker_is_ended(void **state)
{
    (void)state;
    driver.hangs = true;
    in_child(lose_patience);
    assert_false(told->result.fit);
    assert_false(told->result.hangs);
    assert_string_equal(told->result.name, "cuda_init_check");
    assert_string_equal(told->result.reason, "the process that checks the GPU does not answer");
    assert_int_equal(told->rc, -1); /* there is no such process any more */
}

static void check_what_is_expected(void)
{
    log_init(LOG_NOTSET, false);
    gpu_check(&config, false, &told->result);
    keep_what_was_said();
}

/* By its place: LD_LIBRARY_PATH is where a container's runtime may put it. */
static void a_driver_that_is_found_is_checked(void **state)
{
    (void)state;
    config.gpu.libcuda = NULL;
    driver.failing = "alloc";
    driver.result = 1;
    setenv("LD_LIBRARY_PATH", folder, 1);
    in_child(check_what_is_expected);
    unsetenv("LD_LIBRARY_PATH");
    assert_false(told->result.fit);
    assert_has(told->said, "alloc 16777216;");
}

static void prepare_for_nothing(void)
{
    char path[PATH_MAX];
    told->count = gpu_has_kernel_driver("") ||
                  loader_find("libcuda.so.1", NULL, path, sizeof path, NULL) == 0;
    gpu_prepare_check();
    check_what_is_expected();
    told->rc = waitpid(-1, NULL, WNOHANG);
}

static void a_machine_without_a_gpu_is_fit(void **state)
{
    (void)state;
    config.gpu.libcuda = NULL;
    in_child(prepare_for_nothing);
    if (told->count != 0)
        skip();
    assert_true(told->result.fit);
    assert_null(told->result.name);
    assert_string_equal(told->said, "");
    assert_int_equal(told->rc, -1); /* the process that was to check it has ended */
}

static void a_driver_that_somebody_has_named_is_checked(void **state)
{
    (void)state;
    driver.failing = "alloc";
    driver.result = 1;
    in_child(check_what_is_expected);
    assert_false(told->result.fit);
    assert_has(told->said, "alloc 16777216;");
}

/* --- --gpu-info ----------------------------------------------------------------------------- */

static void print(void)
{
    char path[64];
    snprintf(path, sizeof path, "%s/out", folder);
    if (freopen(path, "w", stdout) == NULL)
        _exit(1);
    told->rc = gpu_info(&config);
}

/* Returns what is printed. */
static const char *all_printed(void)
{
    char path[64];
    in_child(print);
    snprintf(path, sizeof path, "%s/out", folder);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    told->text[fread(told->text, 1, sizeof told->text - 1, file)] = '\0';
    fclose(file);
    unlink(path);
    return told->text;
}

/* The same down to the line of times. */
static const char *printed(void)
{
    assert_has(all_printed(), "time     find ");
    *strstr(told->text, "time     ") = '\0';
    return told->text;
}

static void a_persons_view_of_the_devices(void **state)
{
    char expected[512];
    (void)state;
    snprintf(expected, sizeof expected,
             "driver   %s/libcuda.so.1\nCUDA     12.2\n"
             "GPU 0    First, 81920 MiB, compute capability 8.6, 6 multiprocessors, "
             "GPU-64646464-6464-6464-6464-646464646464\n"
             "GPU 1    Second MIG 1g, 81920 MiB, compute capability 8.6, 6 multiprocessors, "
             "MIG-65656565-6565-6565-6565-656565656565\n",
             folder);
    assert_string_equal(printed(), expected);
    assert_int_equal(told->rc, 0);
}

/* The usual link leads to a file whose name tells its version. */
static void the_file_behind_the_link_is_named(void **state)
{
    char link[64], file[64], expected[256];
    (void)state;
    snprintf(link, sizeof link, "%s/libcuda.so.1", folder);
    snprintf(file, sizeof file, "%s/libcuda.so.535.261.03", folder);
    assert_int_equal(rename(link, file), 0);
    assert_int_equal(symlink("libcuda.so.535.261.03", link), 0);
    snprintf(expected, sizeof expected, "driver   %s\nversion  535.261.03\nCUDA     12.2\n", file);
    assert_has(printed(), expected);
    assert_int_equal(unlink(link), 0);
    assert_int_equal(unlink(file), 0);
}

static void a_persons_view_of_what_is_wrong(void **state)
{
    (void)state;
    driver.failing = "device_memory";
    driver.passes = 1;
    driver.result = 1;
    assert_has(printed(), "GPU 0    First, ");
    assert_has(told->text, "no GPU   GPU 1: cuDeviceTotalMem: CUDA_ERROR_TEST (1): a test\n");
    assert_int_equal(told->rc, 1);
    fresh(NULL);
    driver.devices = 0;
    assert_has(printed(), "no GPU   driver found (");
    assert_int_equal(told->rc, 4);
    fresh(NULL);
    config.gpu.libcuda = "/no/such/place";
    assert_string_equal(printed(), "no GPU   --libcuda or RP_LIBCUDA: /no/such/place: No such file "
                                   "or directory\n");
    assert_int_equal(told->rc, 3);
}

static void more_devices_than_there_is_room_for(void **state)
{
    char last[16];
    (void)state;
    driver.devices = GPU_DEVICES_MAX + 1;
    in_child(open_one_too_many);
    assert_int_equal(told->rc, RP_MISSING);
    assert_int_equal(told->count, 0);
    snprintf(last, sizeof last, "\nGPU %d ", GPU_DEVICES_MAX - 1);
    assert_has(printed(), last);
    assert_null(strstr(told->text, "no GPU"));
    assert_null(strstr(strstr(told->text, last) + 1, "\nGPU "));
    assert_int_equal(told->rc, 0);
}

/* What is in it is test_gpu.c's matter. */
static void a_programs_view_of_the_devices(void **state)
{
    struct err err = { 0 };
    (void)state;
    config.gpu.info_json = true;
    slice text = slice_from(all_printed());
    assert_int_equal(json_check(text, NULL, &err), 0);
    assert_has(text.ptr, "{\"driver\": {");
    assert_has(text.ptr, "\"name\": \"Second MIG 1g\"");
    assert_int_equal(told->rc, 0);
    driver.devices = 0;
    assert_has(all_printed(), "\"devices\": []");
    assert_int_equal(told->rc, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_driver_is_opened_once, fresh),
        cmocka_unit_test_setup(a_driver_that_is_of_no_use, fresh),
        cmocka_unit_test_setup(a_call_that_only_the_library_exports, fresh),
        cmocka_unit_test_setup(the_oldest_driver_and_what_it_lacks, fresh),
        cmocka_unit_test_setup(a_driver_that_is_not_there, fresh),
        cmocka_unit_test_setup(a_pool_that_cannot_be_set, fresh),
        cmocka_unit_test_setup(more_devices_than_there_is_room_for, fresh),
        cmocka_unit_test_setup(a_missing_device_is_told_from_a_broken_one, fresh),
        cmocka_unit_test_setup(a_thread_that_ends_after_exit_leaves_the_driver_alone, fresh),
        cmocka_unit_test_setup(a_fit_machine_is_used_and_left, fresh),
        cmocka_unit_test_setup(a_call_that_fails_is_the_reason, fresh),
        cmocka_unit_test_setup(what_was_taken_is_given_back, fresh),
        cmocka_unit_test_setup(wrong_results_are_the_reason, fresh),
        cmocka_unit_test_setup(an_old_driver_explains_more_than_what_follows_from_it, fresh),
        cmocka_unit_test_setup(a_driver_that_does_not_answer, fresh),
        cmocka_unit_test_setup(a_driver_that_crashes_beside_the_worker, fresh),
        cmocka_unit_test_setup(a_driver_that_hangs_beside_the_worker_is_ended, fresh),
        cmocka_unit_test_setup(a_driver_that_is_found_is_checked, fresh),
        cmocka_unit_test_setup(a_machine_without_a_gpu_is_fit, fresh),
        cmocka_unit_test_setup(a_driver_that_somebody_has_named_is_checked, fresh),
        cmocka_unit_test_setup(a_persons_view_of_the_devices, fresh),
        cmocka_unit_test_setup(the_file_behind_the_link_is_named, fresh),
        cmocka_unit_test_setup(a_persons_view_of_what_is_wrong, fresh),
        cmocka_unit_test_setup(a_programs_view_of_the_devices, fresh),
    };
    return cmocka_run_group_tests_name("gpu_check", tests, begin, end);
}
