/*
 * The room gpu: what each function of rp_gpu.h asks of the driver (driver.h), in which order, and
 * what it makes of an error. Stream 1 is this thread's first on the first device, s2 its second
 * there, s3 the first on the second device, which has no pools.
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "driver.h"
#include "gpu/gpu_private.h"
#include "in_child.h"
#include "job/rp_job.h"
#include "library.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static char folder[] = "/tmp/gpu-calls-XXXXXX";
static struct config config;
static rp_gpu *first, *second;
static rp_gpu_module *module;
static rp_gpu_kernel *kernel;

#define SAID(text) assert_string_equal(driver_said(), text)

static int begin(void **state)
{
    (void)state;
    log_init(LOG_NOTSET, false);
    if (mkdtemp(folder) == NULL)
        return -1;
    driver_begin(folder, false);
    config.gpu.libcuda = folder;
    return 0;
}

static int end(void **state)
{
    char command[64];
    (void)state;
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static int fresh(void **state)
{
    (void)state;
    driver.failing = NULL;
    driver.passes = 0;
    driver.result = 1;
    rp_gpu_use_stream(0);
    driver_said();
    return 0;
}

static void failed(int rc, const char *text)
{
    assert_int_equal(rc, RP_FAILED);
    if (strstr(rp_gpu_error(), text) == NULL)
        fail_msg("no \"%s\" in \"%s\"", text, rp_gpu_error());
}

/* Run with one call of the driver failing: its error is the function's. */
#define FAILS(call, function, text) \
    do {                            \
        driver.failing = (call);    \
        failed((function), (text)); \
        driver.failing = NULL;      \
        driver_said();              \
    } while (0)

/* --- devices: the first tests, in this order ------------------------------------------------- */

static void a_program_without_the_part(void **state)
{
    rp_gpu *gpu = (rp_gpu *)&config;
    (void)state;
    failed(rp_gpu_open(0, &gpu), "rp_config.gpu is not set to &rp_gpu_part");
    assert_null(gpu);
    assert_int_equal(rp_gpu_count(), 0);
    assert_null(rp_gpu_call("cuInit"));
    failed(rp_gpu_result(1, "early"),
           "early: unknown error (1): no driver that has a text for it is loaded");
    gpu_begin(&config);
}

static void devices_are_opened_once(void **state)
{
    rp_gpu *again = NULL;
    (void)state;
    assert_int_equal(rp_gpu_count(), 2);
    assert_false(gpu_is_running());
    FAILS("context_retain", rp_gpu_open(0, &first), "open GPU 0: cuDevicePrimaryCtxRetain: ");
    assert_null(first);
    FAILS("device_get", rp_gpu_open(0, &first), "open GPU 0: cuDeviceGet: CUDA_ERROR_TEST (1)");
    assert_false(gpu_is_running());
    assert_int_equal(rp_gpu_open(0, &first), RP_OK);
    SAID("device_get 0;device_name 100;device_memory 100;device_attribute 75;device_attribute 76;"
         "device_attribute 16;device_attribute 1;device_attribute 115;device_uuid;"
         "context_retain 100;pool 100;pool_set b0 4=ffffffffffffffff;");
    assert_true(gpu_is_running());
    assert_int_equal(rp_gpu_open(0, &again), RP_OK);
    assert_ptr_equal(again, first);
    SAID("");
    assert_int_equal(rp_gpu_open(1, &second), RP_OK);
    assert_null(strstr(driver_said(), "pool"));
    assert_string_equal(rp_gpu_about(first)->name, "First");
    assert_string_equal(rp_gpu_about(second)->name, "Second MIG 1g");
    assert_string_equal(rp_gpu_about(NULL)->name, "");
    assert_string_equal(rp_gpu_about(NULL)->driver_path, "");
    assert_int_equal(rp_gpu_about(NULL)->capability, 0);
}

static void devices_that_are_not_there(void **state)
{
    static const int none[] = { -1, 2, 64 };
    (void)state;
    for (size_t i = 0; i < COUNT(none); i++) {
        char text[128];
        rp_gpu *gpu = first;
        snprintf(text, sizeof text,
                 "GPU %d does not exist: the driver reports 2 device(s), counted from 0", none[i]);
        assert_int_equal(rp_gpu_open(none[i], &gpu), RP_MISSING);
        assert_null(gpu);
        assert_string_equal(rp_gpu_error(), text);
    }
    assert_null(rp_gpu_stream(NULL));
    assert_string_equal(rp_gpu_error(), "the rp_gpu is NULL: rp_gpu_open has opened no device");
}

/* --- streams -------------------------------------------------------------------------------- */

static void streams_are_made_when_they_are_used(void **state)
{
    (void)state;
    FAILS("context_set", rp_gpu_fill(first, 0x100000, 0, 16), "cuCtxSetCurrent: ");
    FAILS("stream_create", rp_gpu_fill(first, 0x100000, 0, 16), "cuStreamCreate: ");
    assert_int_equal(rp_gpu_fill(first, 0x100000, 7, 16), RP_OK);
    SAID("stream_create 1;fill_async 100000=7 16 s1;"); /* current since the failed try */
    assert_int_equal(rp_gpu_use_stream(RP_GPU_STREAMS_MAX - 1), RP_OK);
    failed(rp_gpu_use_stream(RP_GPU_STREAMS_MAX), "rp_gpu_use_stream: 16 is not below 16");
    assert_int_equal(rp_gpu_fill(first, 0x100000, 7, 16), RP_OK);
    SAID("stream_create 1;fill_async 100000=7 16 s2;");
    assert_int_equal(rp_gpu_use_stream(0), RP_OK);
    assert_int_equal(rp_gpu_fill(second, 0x100000, 7, 16), RP_OK);
    SAID("context_set 1;stream_create 1;fill_async 100000=7 16 s3;");
    assert_int_equal(rp_gpu_fill(first, 0x100000, 7, 16), RP_OK);
    SAID("context_set 0;fill_async 100000=7 16 s1;");
    gpu_finish_streams(); /* of both devices */
    const char *said = driver_said();
    assert_non_null(strstr(said, "stream_wait s1;"));
    assert_non_null(strstr(said, "stream_wait s2;"));
    assert_non_null(strstr(said, "context_set 1;stream_wait s3;"));
    gpu_finish_streams();
    SAID("");
    assert_int_equal(rp_gpu_use_stream(15), RP_OK);
    gpu_finish_streams(); /* the next job begins with the usual one */
    assert_int_equal(rp_gpu_fill(first, 0x100000, 7, 16), RP_OK);
    SAID("fill_async 100000=7 16 s1;");
    gpu_finish_streams();
    assert_ptr_equal(rp_gpu_context(second), (void *)0xc1);
    assert_ptr_equal(rp_gpu_context(first), (void *)0xc0);
    driver_said();
}

static void a_wait_is_for_what_has_something_to_do(void **state)
{
    (void)state;
    assert_int_equal(rp_gpu_wait(first), RP_OK);
    SAID("stream_wait s1;"); /* the chosen one always */
    assert_int_equal(rp_gpu_use_stream(15), RP_OK);
    assert_int_equal(rp_gpu_fill(first, 0x100000, 7, 16), RP_OK);
    assert_int_equal(rp_gpu_use_stream(0), RP_OK);
    assert_int_equal(rp_gpu_fill(second, 0x100000, 7, 16), RP_OK);
    driver_said();
    assert_int_equal(rp_gpu_wait(first), RP_OK);
    SAID("context_set 0;stream_wait s1;stream_wait s2;");
    assert_int_equal(rp_gpu_wait(first), RP_OK);
    SAID("stream_wait s1;");
    assert_int_equal(rp_gpu_wait(second), RP_OK);
    SAID("context_set 1;stream_wait s3;");
    assert_int_equal(rp_gpu_fill(first, 0x100000, 7, 16), RP_OK);
    assert_int_equal(rp_gpu_use_stream(15), RP_OK);
    driver_said();
    driver.failing = "stream_wait";
    driver.passes = 1;
    failed(rp_gpu_wait(first), "wait for GPU 0: CUDA_ERROR_TEST (1): a test");
    SAID("stream_wait s2;stream_wait s1;");
    driver.passes = 0;
    failed(rp_gpu_wait(first), "wait for GPU 0: ");
}

/* --- modules and launches ------------------------------------------------------------------- */

static void modules_are_loaded(void **state)
{
    rp_gpu_ptr memory = 5;
    size_t bytes = 0;
    (void)state;
    FAILS("module_load", rp_gpu_load(first, "image", &module),
          "load kernels on GPU 0: ptxas: line 3: CUDA_ERROR_TEST (1): a test");
    assert_null(strstr(rp_gpu_error(), "more"));
    assert_int_equal(rp_gpu_load(first, "image", &module), RP_OK);
    SAID("module_load image;");
    FAILS("module_function", rp_gpu_find(module, "none", &kernel), "kernel \"none\": CUDA_ERROR");
    assert_int_equal(rp_gpu_find(module, "k", &kernel), RP_OK);
    SAID("module_function 30 k;");
    assert_int_equal(rp_gpu_global(module, "v", &memory, &bytes), RP_OK);
    SAID("module_global 30 v;");
    assert_int_equal(memory, 0x777);
    assert_int_equal(bytes, 24);
    FAILS("module_global", rp_gpu_global(module, "w", &memory, NULL), "variable \"w\": ");
    assert_int_equal(memory, 0);
}

static void an_unloaded_module_is_waited_for(void **state)
{
    rp_gpu_module *other = NULL;
    rp_gpu_kernel *found = NULL;
    (void)state;
    assert_int_equal(rp_gpu_load(first, "other", &other), RP_OK);
    assert_int_equal(rp_gpu_find(other, "a", &found), RP_OK);
    assert_int_equal(rp_gpu_find(other, "b", &found), RP_OK);
    assert_int_equal(rp_gpu_launch(found, RP_GPU_DIM(1), RP_GPU_DIM(1), 0, RP_GPU_ARGS(NULL)),
                     RP_OK);
    assert_int_equal(rp_gpu_fill(second, 0x100000, 0, 1), RP_OK);
    driver_said();
    rp_gpu_unload(other); /* which the other device does not use */
    SAID("context_set 0;stream_wait s1;module_unload 30;");
    gpu_finish_streams();
    SAID("context_set 1;stream_wait s3;");
    assert_ptr_equal(rp_gpu_context(first), (void *)0xc0);
    driver_said();
    rp_gpu_unload(NULL);
    SAID("");
}

static void launches_have_whole_sizes(void **state)
{
    const rp_gpu_dim none = { 0, 0, 0 }, some = { 2, 3, 4 };
    rp_gpu_launch_options options = { .cooperative = false };
    void **arguments = RP_GPU_ARGS(NULL);
    unsigned blocks = 0;
    (void)state;
    assert_int_equal(rp_gpu_launch(kernel, none, none, 0, arguments), RP_OK);
    assert_int_equal(rp_gpu_launch(kernel, some, (rp_gpu_dim){ 5, 6, 7 }, 48 << 10, arguments),
                     RP_OK);
    SAID("launch f0 1,1,1 1,1,1 0 s1;launch f0 2,3,4 5,6,7 49152 s1;");
    assert_int_equal(rp_gpu_launch_with(kernel, none, some, 8, arguments, &options), RP_OK);
    options.cooperative = true;
    assert_int_equal(rp_gpu_launch_with(kernel, some, none, 0, arguments, &options), RP_OK);
    SAID("launch_with f0 1,1,1 2,3,4 8 s1;launch_with f0 2,3,4 1,1,1 0 s1 2=1,0,0;");
    options = (rp_gpu_launch_options){ .cluster = { 0, 0, 2 } };
    assert_int_equal(rp_gpu_launch_with(kernel, some, none, 0, arguments, &options), RP_OK);
    options = (rp_gpu_launch_options){ .cluster = { 0, 2, 0 }, .cooperative = true };
    assert_int_equal(rp_gpu_launch_with(kernel, some, none, 0, arguments, &options), RP_OK);
    options = (rp_gpu_launch_options){ .cluster = { 2, 0, 0 } };
    assert_int_equal(rp_gpu_launch_with(kernel, some, none, 0, arguments, &options), RP_OK);
    SAID("launch_with f0 2,3,4 1,1,1 0 s1 4=1,1,2;"
         "launch_with f0 2,3,4 1,1,1 0 s1 4=1,2,1 2=1,0,0;"
         "launch_with f0 2,3,4 1,1,1 0 s1 4=2,1,1;");
    assert_int_equal(rp_gpu_occupancy(kernel, 96, 16, &blocks), RP_OK);
    assert_int_equal(blocks, 5);
    SAID("occupancy f0 96 16;");
    FAILS("launch", rp_gpu_launch(kernel, some, some, 0, arguments), "launch k: CUDA_ERROR_TEST");
    FAILS("launch_with", rp_gpu_launch_with(kernel, some, some, 0, arguments, &options),
          "launch k: CUDA_ERROR_TEST");
    FAILS("occupancy", rp_gpu_occupancy(kernel, 96, 16, &blocks), "occupancy of k: ");
    gpu_finish_streams();
    SAID("stream_wait s1;");
}

/* In errors; the driver is asked for all of it. */
static void a_long_name_is_cut(void **state)
{
    char name[81], said[128], text[128];
    rp_gpu_kernel *found = NULL;
    (void)state;
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    snprintf(said, sizeof said, "module_function 30 %s;", name);
    assert_int_equal(rp_gpu_find(module, name, &found), RP_OK);
    SAID(said);
    driver.failing = "launch";
    assert_int_equal(rp_gpu_launch(found, RP_GPU_DIM(1), RP_GPU_DIM(1), 0, RP_GPU_ARGS(NULL)),
                     RP_FAILED);
    snprintf(text, sizeof text, "launch %.63s: CUDA_ERROR_TEST (1): a test", name);
    assert_string_equal(rp_gpu_error(), text);
    gpu_finish_streams();
}

/* More than 48 KiB are asked for once, and again only for still more. */
static void shared_memory_is_asked_for(void **state)
{
    const rp_gpu_dim one = { 1, 1, 1 };
    const rp_gpu_launch_options options = { .cooperative = false };
    void **arguments = RP_GPU_ARGS(NULL);
    unsigned blocks = 0;
    (void)state;
    FAILS("function_set", rp_gpu_launch(kernel, one, one, 49153, arguments),
          "launch k with 49153 bytes of shared memory: ");
    assert_int_equal(rp_gpu_launch(kernel, one, one, 49153, arguments), RP_OK);
    SAID("function_set f0 8=49153;launch f0 1,1,1 1,1,1 49153 s1;");
    assert_int_equal(rp_gpu_launch(kernel, one, one, 49153, arguments), RP_OK);
    SAID("launch f0 1,1,1 1,1,1 49153 s1;");
    assert_int_equal(rp_gpu_launch(kernel, one, one, 49154, arguments), RP_OK);
    assert_int_equal(rp_gpu_launch(kernel, one, one, 49153, arguments), RP_OK);
    SAID("function_set f0 8=49154;launch f0 1,1,1 1,1,1 49154 s1;"
         "launch f0 1,1,1 1,1,1 49153 s1;");
    assert_int_equal(rp_gpu_launch_with(kernel, one, one, 49155, arguments, &options), RP_OK);
    assert_int_equal(rp_gpu_occupancy(kernel, 96, 49156, &blocks), RP_OK);
    SAID("function_set f0 8=49155;launch_with f0 1,1,1 1,1,1 49155 s1;"
         "function_set f0 8=49156;occupancy f0 96 49156;");
    FAILS("function_set", rp_gpu_launch_with(kernel, one, one, 49157, arguments, &options),
          "launch k with 49157 bytes of shared memory: ");
    FAILS("function_set", rp_gpu_occupancy(kernel, 96, 49157, &blocks),
          "launch k with 49157 bytes of shared memory: ");
    failed(rp_gpu_launch(kernel, one, one, (size_t)INT32_MAX + 1, arguments),
           "launch k: 2147483648 bytes of shared memory are too many");
    SAID("");
    FAILS("function_set", rp_gpu_launch(kernel, one, one, INT32_MAX, arguments),
          "launch k with 2147483647 bytes of shared memory: ");
}

/* The device is an sm_86. */
static void the_best_image_is_loaded(void **state)
{
    static const struct {
        int capabilities[4];
        const char *loaded; /* NULL: none fits */
    } cases[] = {
        { { 80, 86, 75, 0 }, "module_load B;" }, { { 86, 80, 0, 75 }, "module_load A;" },
        { { 0, 80, 90, 75 }, "module_load B;" }, { { 87, 90, 0, 100 }, "module_load C;" },
        { { 75, 0, 0, 90 }, "module_load B;" },  { { 75, 87, 90, 60 }, NULL },
        { { 80, 80, 0, 0 }, "module_load A;" },  { { 70, 80, 86, 85 }, "module_load C;" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        rp_gpu_module *loaded = NULL;
        rp_gpu_image images[4];
        for (size_t k = 0; k < 4; k++)
            images[k] = (rp_gpu_image){ cases[i].capabilities[k], &"A\0B\0C\0D"[2 * k] };
        int rc = rp_gpu_load_best(first, images, 4, &loaded);
        if (cases[i].loaded == NULL) {
            failed(rc, "none of the 4 images runs on GPU 0 (sm_86)");
            continue;
        }
        assert_int_equal(rc, RP_OK);
        SAID(cases[i].loaded);
        rp_gpu_unload(loaded);
        driver_said();
    }
}

/* --- memory --------------------------------------------------------------------------------- */

static void memory_of_the_program(void **state)
{
    rp_gpu_ptr memory = 0;
    uint64_t available = 0;
    void *host = NULL;
    char bytes[4] = "abc", back[4] = "";
    (void)state;
    assert_int_equal(rp_gpu_memory(first, &available), RP_OK);
    assert_int_equal(available, 1234);
    assert_int_equal(rp_gpu_alloc(first, NULL, 300, &memory), RP_OK);
    SAID("memory_info;alloc 300;");
    assert_int_equal(rp_gpu_write(first, memory, bytes, 4), RP_OK);
    assert_int_equal(rp_gpu_copy(first, memory + 16, memory, 4), RP_OK);
    assert_int_equal(rp_gpu_read(first, back, memory + 16, 4), RP_OK);
    assert_string_equal(back, "abc");
    SAID("write_async 100000 4 s1;stream_wait s1;copy_async 100010 100000 4 s1;"
         "read_async 100010 4 s1;stream_wait s1;");
    assert_int_equal(rp_gpu_fill(first, memory, 'x', 2), RP_OK);
    driver_said();
    rp_gpu_free(first, NULL, memory);
    SAID("stream_wait s1;free 100000;");
    rp_gpu_free(first, NULL, 0);
    SAID("");
    assert_int_equal(rp_gpu_host_alloc(first, 64, &host), RP_OK);
    assert_non_null(host);
    rp_gpu_host_free(first, host);
    rp_gpu_host_free(first, NULL);
    SAID("host_alloc 64;host_free;");
    assert_int_equal(rp_gpu_host_register(first, bytes, 4), RP_OK);
    rp_gpu_host_unregister(first, bytes);
    SAID("host_register 4 0;host_unregister;");
    rp_gpu_host_unregister(first, NULL);
    SAID("");
}

static void errors_of_memory(void **state)
{
    rp_gpu_ptr memory = 5;
    uint64_t available = 0;
    char bytes[4] = "abc";
    void *host = bytes;
    (void)state;
    FAILS("memory_info", rp_gpu_memory(first, &available), "cuMemGetInfo: ");
    driver.result = CUDA_OUT_OF_MEMORY;
    FAILS("alloc", rp_gpu_alloc(first, NULL, 300, &memory),
          "allocate 300 bytes on GPU 0: CUDA_ERROR_OUT_OF_MEMORY (2): a test");
    assert_int_equal(memory, 0);
    FAILS("host_alloc", rp_gpu_host_alloc(first, 64, &host), "allocate 64 bytes of host memory: ");
    assert_null(host);
    FAILS("host_register", rp_gpu_host_register(first, bytes, 4), "register 4 bytes of host");
    FAILS("write_async", rp_gpu_write(first, 0x100000, bytes, 4), "copy 4 bytes to GPU 0: ");
    FAILS("read_async", rp_gpu_read(first, bytes, 0x100000, 4), "copy 4 bytes from GPU 0: ");
    FAILS("stream_wait", rp_gpu_read(first, bytes, 0x100000, 4), "wait for GPU 0: ");
    FAILS("copy_async", rp_gpu_copy(first, 0x100000, 0x100000, 0), "copy 0 bytes within GPU 0: ");
    FAILS("fill_async", rp_gpu_fill(first, 0x100000, 0, 1), "fill 1 bytes on GPU 0: ");
    gpu_finish_streams();
}

/* On the first device it is the pool's, in the order of its stream; on the second it waits. */
static void memory_of_a_job(void **state)
{
    struct reply_channel reply_channel = { .source = NULL };
    struct rp_job job;
    rp_gpu_ptr a = 0, b = 0, c = 0;
    (void)state;
    rp_job_init(&job, &config, &reply_channel);
    driver.result = CUDA_OUT_OF_MEMORY;
    FAILS("alloc_async", rp_gpu_alloc(first, &job, 256, &a), "allocate 256 bytes on GPU 0: ");
    assert_int_equal(a, 0);
    assert_null(job.gpu_blocks);
    assert_int_equal(rp_gpu_alloc(first, &job, 256, &a), RP_OK);
    assert_int_equal(rp_gpu_alloc(first, &job, 256, &b), RP_OK);
    assert_int_equal(rp_gpu_alloc(second, &job, 256, &c), RP_OK);
    SAID("alloc_async 256 s1;alloc_async 256 s1;context_set 1;alloc 256;");
    assert_int_equal(rp_gpu_use_stream(15), RP_OK);
    assert_int_equal(rp_gpu_fill(first, b, 0, 1), RP_OK);
    assert_int_equal(rp_gpu_use_stream(0), RP_OK);
    assert_int_equal(rp_gpu_fill(first, a, 0, 1), RP_OK);
    driver_said();
    rp_gpu_free(first, &job, b); /* by the stream that it is of, when the other has done with it */
    SAID("stream_wait s2;free_async 100100 s1;");
    gpu_finish_streams();
    driver_said();
    rp_gpu_free(first, &job, b);      /* not any more */
    rp_gpu_free(second, &job, a);     /* the other device's */
    rp_gpu_free(first, &job, 0x1234); /* nobody's */
    SAID("");
    assert_int_equal(rp_gpu_fill(second, c, 0, 1), RP_OK);
    driver_said();
    assert_false(gpu_end_job(&job));
    SAID("stream_wait s3;free 100200;context_set 0;free_async 100000 s1;");
    assert_null(job.gpu_blocks);
    assert_false(gpu_end_job(&job));
    SAID("");
    assert_false(job.has_failed);
    rp_job_free(&job);
}

/* --- timers, events, graphs ----------------------------------------------------------------- */

static void the_timer_of_a_stream(void **state)
{
    double ms = 0;
    (void)state;
    failed(rp_gpu_timer_stop(first, &ms), "rp_gpu_timer_stop without rp_gpu_timer_start");
    assert_int_equal(rp_gpu_timer_start(first), RP_OK);
    SAID("event_create 0;event_create 0;event_record e1 s1;");
    driver.elapsed_ms = 1.5f;
    assert_int_equal(rp_gpu_timer_stop(first, &ms), RP_OK);
    SAID("event_record e2 s1;event_wait e2;event_elapsed e1 e2;");
    assert_true(ms == 1.5);
    assert_int_equal(rp_gpu_timer_start(first), RP_OK);
    SAID("event_record e1 s1;");
    FAILS("event_record", rp_gpu_timer_start(first), "cuEventRecord: ");
    FAILS("event_record", rp_gpu_timer_stop(first, &ms), "cuEventRecord: ");
    FAILS("event_wait", rp_gpu_timer_stop(first, &ms), "wait for GPU 0: ");
    FAILS("event_elapsed", rp_gpu_timer_stop(first, &ms), "cuEventElapsedTime: ");
    FAILS("event_create", rp_gpu_timer_start(second), "cuEventCreate: ");
}

static void events_order_streams(void **state)
{
    rp_gpu_event *event = (rp_gpu_event *)&config;
    (void)state;
    FAILS("event_create", rp_gpu_event_new(first, &event), "cuEventCreate: ");
    assert_null(event);
    assert_int_equal(rp_gpu_event_new(first, &event), RP_OK);
    assert_int_equal(rp_gpu_event_record(event), RP_OK);
    assert_int_equal(rp_gpu_use_stream(15), RP_OK);
    assert_int_equal(rp_gpu_event_order(event), RP_OK);
    SAID("event_create 2;event_record e3 s1;stream_order s2 e3 0;");
    gpu_finish_streams(); /* what waits for another has something to do */
    SAID("stream_wait s2;");
    FAILS("event_record", rp_gpu_event_record(event), "cuEventRecord: ");
    FAILS("stream_order", rp_gpu_event_order(event), "cuStreamWaitEvent: ");
    gpu_finish_streams();
    driver_said();
    rp_gpu_event_free(event);
    SAID("event_destroy e3;");
    rp_gpu_event_free(NULL);
    SAID("");
}

static void graphs_are_recorded_and_launched(void **state)
{
    rp_gpu_graph *graph = NULL;
    (void)state;
    failed(rp_gpu_capture_end(first, &graph), "rp_gpu_capture_end without rp_gpu_capture_begin");
    FAILS("capture_begin", rp_gpu_capture_begin(first), "begin to capture a graph: ");
    failed(rp_gpu_capture_end(first, &graph), "without rp_gpu_capture_begin");
    assert_int_equal(rp_gpu_capture_begin(first), RP_OK);
    assert_int_equal(rp_gpu_fill(first, 0x100000, 0, 1), RP_OK);
    SAID("capture_begin s1 1;fill_async 100000=0 1 s1;");
    gpu_wait_busy(first, NULL); /* what is recorded does not run */
    SAID("");
    assert_int_equal(rp_gpu_capture_end(first, &graph), RP_OK);
    SAID("capture_end s1;graph_make 91 0;graph_destroy 91;");
    gpu_finish_streams();
    driver_said();
    assert_int_equal(rp_gpu_graph_launch(graph), RP_OK);
    gpu_finish_streams();
    SAID("graph_launch 92 s1;stream_wait s1;");
    FAILS("graph_launch", rp_gpu_graph_launch(graph), "launch a graph: ");
    gpu_finish_streams();
    driver_said();
    rp_gpu_graph_free(graph);
    SAID("graph_free 92;");
    rp_gpu_graph_free(NULL);
    SAID("");
}

static void recordings_that_come_to_nothing(void **state)
{
    rp_gpu_graph *graph = (rp_gpu_graph *)&config;
    (void)state;
    assert_int_equal(rp_gpu_capture_begin(first), RP_OK);
    driver_said();
    driver.failing = "graph_make";
    failed(rp_gpu_capture_end(first, &graph), "make a graph: CUDA_ERROR_TEST (1): a test");
    assert_null(graph);
    SAID("capture_end s1;graph_make 91 0;graph_destroy 91;");
    assert_int_equal(rp_gpu_capture_begin(first), RP_OK);
    driver_said();
    driver.failing = "capture_end";
    failed(rp_gpu_capture_end(first, &graph), "capture a graph: ");
    SAID("capture_end s1;");
    driver.failing = NULL;
    assert_int_equal(rp_gpu_capture_begin(first), RP_OK);
    driver_said();
    gpu_finish_streams(); /* a job that ends in between */
    SAID("capture_end s1;graph_destroy 91;");
    failed(rp_gpu_capture_end(first, &graph), "without rp_gpu_capture_begin");
}

/* --- the whole driver, and libraries -------------------------------------------------------- */

static void any_call_by_its_name(void **state)
{
    int (*launch)(void *, void *) = NULL;
    (void)state;
    void *address = rp_gpu_call("cuGraphLaunch");
    assert_non_null(address);
    memcpy(&launch, &address, sizeof address);
    failed(rp_gpu_result(launch(NULL, NULL) + 1, "mine"), "mine: CUDA_ERROR_TEST (1): a test");
    assert_int_equal(rp_gpu_result(0, "mine"), RP_OK);
    assert_null(rp_gpu_call("cuNope"));
    assert_non_null(strstr(rp_gpu_error(), "libcuda.so.1 has no function cuNope (CUDA 12.2)"));
}

static void libraries_of_the_image(void **state)
{
    static struct library made;
    char path[64];
    rp_gpu_lib *library = (rp_gpu_lib *)&made;
    (void)state;
    failed(rp_gpu_library("libnone.so.1", &library), "no libnone.so.1 in /cuda/lib");
    assert_null(library);
    failed(rp_gpu_library("/no/such/lib.so", &library), "/no/such/lib.so: it cannot be opened");
    assert_null(library);
    library_begin(&made, "libmade.so.1");
    library_symbol(&made, "made", STT_OBJECT, STB_GLOBAL, LIBRARY_DATA(3));
    made.image.data[3] = 77;
    snprintf(path, sizeof path, "%s/libmade.so.1", folder);
    library_write(&made, path);
    assert_int_equal(rp_gpu_library(path, &library), RP_OK);
    const uint64_t *value = rp_gpu_symbol(library, "made");
    assert_non_null(value);
    assert_int_equal(*value, 77);
    assert_null(rp_gpu_symbol(library, "not_made"));
    assert_non_null(strstr(rp_gpu_error(), "libmade.so.1 has no not_made"));
}

/* --- threads -------------------------------------------------------------------------------- */

static void *use_and_end(void *unused)
{
    rp_gpu_fill(second, 0x100000, 0, 1);
    rp_gpu_timer_start(first);
    return unused;
}

static void a_threads_streams_end_with_it(void **state)
{
    pthread_t thread;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, use_and_end, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    SAID("context_set 1;stream_create 1;fill_async 100000=0 1 s4;"
         "context_set 0;stream_create 1;event_create 0;event_create 0;event_record e4 s5;"
         "context_set 0;event_destroy e4;event_destroy e5;stream_destroy s5;"
         "context_set 1;stream_destroy s4;");
}

static pthread_key_t user_key;

/* A destructor that runs when the thread's streams have ended, and uses the GPU once more. */
static void use_again(void *value)
{
    if (value == (void *)1)
        pthread_setspecific(user_key, (void *)2);
    else
        rp_gpu_fill(second, 0x100000, 0, 1);
}

static void *use_while_ending(void *unused)
{
    rp_gpu_fill(second, 0x100000, 0, 1);
    pthread_setspecific(user_key, (void *)1);
    return unused;
}

static void a_destructor_gets_a_stream_of_its_own(void **state)
{
    pthread_t thread;
    (void)state;
    assert_int_equal(pthread_key_create(&user_key, use_again), 0);
    assert_int_equal(pthread_create(&thread, NULL, use_while_ending, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    SAID("context_set 1;stream_create 1;fill_async 100000=0 1 s6;context_set 1;stream_destroy s6;"
         "context_set 1;stream_create 1;fill_async 100000=0 1 s7;context_set 1;stream_destroy s7;");
    pthread_key_delete(user_key);
}

static pthread_key_t last_key;
static sem_t has_left, may_end;
static volatile bool has_ended;

/* A driver's destructor, which takes its time in the second round, too. */
static void end_late(void *value)
{
    if (value == (void *)1) {
        while (sem_wait(&may_end) != 0)
            continue;
        pthread_setspecific(last_key, (void *)2);
        return;
    }
    for (int i = 0; i < 1000; i++)
        sched_yield();
    has_ended = true;
}

static void *leave(void *unused)
{
    pthread_setspecific(last_key, (void *)1);
    gpu_leave();
    sem_post(&has_left);
    return unused;
}

static void *leave_first(void *unused)
{
    gpu_leave();
    return unused;
}

/* Whichever of the keys is the older: its destructors run before the other's. */
static int end_of_a_process(bool has_left_before)
{
    pthread_t thread;
    sem_init(&has_left, 0, 0);
    sem_init(&may_end, 0, 0);
    if (has_left_before &&
        (pthread_create(&thread, NULL, leave_first, NULL) != 0 || pthread_join(thread, NULL) != 0))
        return 3;
    if (pthread_key_create(&last_key, end_late) != 0 ||
        pthread_create(&thread, NULL, leave, NULL) != 0)
        return 1;
    while (sem_wait(&has_left) != 0)
        continue;
    sem_post(&may_end);
    gpu_end();
    return has_ended ? 0 : 2;
}

/* Exit waits for the destructors of threads that are about to end. */
static void the_end_waits_for_threads_that_leave(void **state)
{
    int status;
    (void)state;
    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(end_of_a_process(i != 0));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
}

static volatile bool has_returned;

static void *leave_late(void *unused)
{
    sem_post(&has_left);
    gpu_leave();
    has_returned = true;
    return unused;
}

static int leave_after_the_end(void)
{
    pthread_t thread;
    gpu_end();
    sem_init(&has_left, 0, 0);
    if (pthread_create(&thread, NULL, leave_late, NULL) != 0)
        return 1;
    while (sem_wait(&has_left) != 0)
        continue;
    for (int i = 0; i < 1000; i++)
        sched_yield();
    return has_returned ? 2 : 0;
}

/* Its destructors would run beside those of the process. */
static void a_thread_that_leaves_after_the_end_stays(void **state)
{
    (void)state;
    assert_int_equal(status_of(leave_after_the_end), 0);
}

/* --- a device that is lost: last ------------------------------------------------------------ */

static sem_t is_in_use, is_lost;

static void *outlive_the_device(void *unused)
{
    rp_gpu_fill(first, 0x100000, 0, 1);
    sem_post(&is_in_use);
    while (sem_wait(&is_lost) != 0)
        continue;
    return unused;
}

static void a_lost_device_fails_the_job_and_all_that_follows(void **state)
{
    static const char reason[] = "wait for GPU 0: CUDA_ERROR_TEST (700): a test";
    struct reply_channel reply_channel = { .source = NULL };
    struct rp_job job;
    rp_gpu_ptr memory = 0;
    pthread_t thread, survivor;
    (void)state;
    sem_init(&is_in_use, 0, 0);
    sem_init(&is_lost, 0, 0);
    assert_int_equal(pthread_create(&survivor, NULL, outlive_the_device, NULL), 0);
    while (sem_wait(&is_in_use) != 0)
        continue;
    rp_job_init(&job, &config, &reply_channel);
    assert_int_equal(rp_gpu_alloc(first, &job, 256, &memory), RP_OK);
    assert_null(gpu_lost());
    assert_non_null(rp_gpu_stream(first)); /* from now on it is always waited for */
    driver_said();
    assert_int_equal(rp_gpu_wait(first), RP_OK);
    gpu_finish_streams();
    gpu_finish_streams();
    const char *said = driver_said();
    assert_non_null(strstr(said, "stream_wait s1;stream_wait s1;stream_wait s1;"));
    driver.failing = "stream_wait";
    driver.result = 700;
    assert_true(gpu_end_job(&job));
    assert_string_equal(gpu_lost(), reason);
    assert_true(job.has_failed);
    assert_true(job.refresh);
    assert_string_equal(job.failure_type, "GpuError");
    assert_true(slice_is(buf_slice(&job.message), reason));
    assert_null(job.gpu_blocks);
    driver.failing = NULL;
    driver_said();
    failed(rp_gpu_fill(second, 0x100000, 0, 1), reason);
    assert_null(rp_gpu_stream(first));
    assert_null(rp_gpu_context(first));
    failed(rp_gpu_result(701, "another"), "another: CUDA_ERROR_TEST (701)");
    failed(rp_gpu_result(719, "a second loss"), "a second loss: ");
    assert_string_equal(gpu_lost(), reason);
    gpu_finish_streams();
    assert_int_equal(pthread_create(&thread, NULL, use_and_end, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    sem_post(&is_lost);
    assert_int_equal(pthread_join(survivor, NULL), 0);
    rp_gpu_unload(module);
    SAID("");
    assert_true(gpu_end_job(&job)); /* whatever it has failed with by then */
    rp_job_free(&job);
    rp_job_init(&job, &config, &reply_channel);
    rp_fail(&job, "of its own");
    assert_true(gpu_end_job(&job));
    assert_string_equal(job.failure_type, "GpuError");
    assert_true(slice_is(buf_slice(&job.message), reason));
    rp_job_free(&job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_program_without_the_part, fresh),
        cmocka_unit_test_setup(devices_are_opened_once, fresh),
        cmocka_unit_test_setup(devices_that_are_not_there, fresh),
        cmocka_unit_test_setup(streams_are_made_when_they_are_used, fresh),
        cmocka_unit_test_setup(a_wait_is_for_what_has_something_to_do, fresh),
        cmocka_unit_test_setup(modules_are_loaded, fresh),
        cmocka_unit_test_setup(an_unloaded_module_is_waited_for, fresh),
        cmocka_unit_test_setup(launches_have_whole_sizes, fresh),
        cmocka_unit_test_setup(a_long_name_is_cut, fresh),
        cmocka_unit_test_setup(shared_memory_is_asked_for, fresh),
        cmocka_unit_test_setup(the_best_image_is_loaded, fresh),
        cmocka_unit_test_setup(memory_of_the_program, fresh),
        cmocka_unit_test_setup(errors_of_memory, fresh),
        cmocka_unit_test_setup(memory_of_a_job, fresh),
        cmocka_unit_test_setup(the_timer_of_a_stream, fresh),
        cmocka_unit_test_setup(events_order_streams, fresh),
        cmocka_unit_test_setup(graphs_are_recorded_and_launched, fresh),
        cmocka_unit_test_setup(recordings_that_come_to_nothing, fresh),
        cmocka_unit_test_setup(any_call_by_its_name, fresh),
        cmocka_unit_test_setup(libraries_of_the_image, fresh),
        cmocka_unit_test_setup(a_threads_streams_end_with_it, fresh),
        cmocka_unit_test_setup(a_destructor_gets_a_stream_of_its_own, fresh),
        cmocka_unit_test_setup(the_end_waits_for_threads_that_leave, fresh),
        cmocka_unit_test_setup(a_thread_that_leaves_after_the_end_stays, fresh),
        cmocka_unit_test_setup(a_lost_device_fails_the_job_and_all_that_follows, fresh),
    };
    return cmocka_run_group_tests_name("gpu_calls", tests, begin, end);
}
