/*
 * Calls a function of rp_gpu.h that no other one was called before, for the tests: {"call": NAME}.
 * With FIRST_ON=thread in the environment, setup has opened and made everything, and the call is
 * the first one of a thread of its own; else nothing is open, and devices, modules and the like are
 * NULL. The output says what the call returned: {"ok": true, "why": "..."}. Without "call" it is
 * a list of {"name", "needs": whether it needs more than a device}.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "rp_gpu.h"
#include "worker.h"

static const char kernels[] = ".version 6.0\n"
                              ".target sm_70\n"
                              ".address_size 64\n"
                              ".visible .entry nothing()\n"
                              "{\n"
                              "    ret;\n"
                              "}\n";
static const rp_gpu_image image = { 0, kernels };
static const rp_gpu_launch_options options;

static rp_gpu *gpu;
static rp_gpu_module *module, *spare;
static rp_gpu_kernel *kernel;
static rp_gpu_event *event;
static rp_gpu_graph *graph;
static rp_gpu_lib *library;
static rp_gpu_ptr memory;
static void *pinned;
static char *plain, registered[4096];

/* What the calls give. */
static union {
    rp_gpu *gpu;
    rp_gpu_module *module;
    rp_gpu_kernel *kernel;
    rp_gpu_event *event;
    rp_gpu_graph *graph;
    rp_gpu_lib *library;
    rp_gpu_ptr memory;
    void *host;
    uint64_t bytes;
    unsigned blocks;
    double ms;
} got;
static char bytes[8];

static const char *driver(void)
{
    const char *path = getenv("RP_LIBCUDA"); // NOLINT(concurrency-mt-unsafe): nobody sets it
    return path != NULL ? path : "libcuda.so.1";
}

static int always(void)
{
    return RP_OK;
}

#define FOUND(pointer) ((pointer) != NULL ? RP_OK : RP_FAILED)
#define ONE RP_GPU_DIM(1), RP_GPU_DIM(1), 0

/* X(function, needs more than a device, what is called) */
#define CALLS(X)                                                                             \
    X(rp_gpu_open, false, rp_gpu_open(0, &got.gpu))                                          \
    X(rp_gpu_count, false, rp_gpu_count() > 0 ? RP_OK : RP_FAILED)                           \
    X(rp_gpu_about, false, FOUND(rp_gpu_about(gpu)->name))                                   \
    X(rp_gpu_memory, false, rp_gpu_memory(gpu, &got.bytes))                                  \
    X(rp_gpu_load, false, rp_gpu_load(gpu, kernels, &got.module))                            \
    X(rp_gpu_load_best, false, rp_gpu_load_best(gpu, &image, 1, &got.module))                \
    X(rp_gpu_find, true, rp_gpu_find(module, "nothing", &got.kernel))                        \
    X(rp_gpu_unload, false, (rp_gpu_unload(spare), always()))                                \
    X(rp_gpu_global, true, rp_gpu_global(module, "table", &got.memory, NULL))                \
    X(rp_gpu_launch, true, rp_gpu_launch(kernel, ONE, NULL))                                 \
    X(rp_gpu_launch_with, true, rp_gpu_launch_with(kernel, ONE, NULL, &options))             \
    X(rp_gpu_occupancy, true, rp_gpu_occupancy(kernel, 32, 0, &got.blocks))                  \
    X(rp_gpu_alloc, false, rp_gpu_alloc(gpu, NULL, 8, &got.memory))                          \
    X(rp_gpu_free, false, (rp_gpu_free(gpu, NULL, memory), always()))                        \
    X(rp_gpu_host_alloc, false, rp_gpu_host_alloc(gpu, 8, &got.host))                        \
    X(rp_gpu_host_free, false, (rp_gpu_host_free(gpu, pinned), always()))                    \
    X(rp_gpu_host_register, false, rp_gpu_host_register(gpu, registered, sizeof registered)) \
    X(rp_gpu_host_unregister, false, (rp_gpu_host_unregister(gpu, plain), always()))         \
    X(rp_gpu_write, false, rp_gpu_write(gpu, memory, bytes, sizeof bytes))                   \
    X(rp_gpu_read, false, rp_gpu_read(gpu, bytes, memory, sizeof bytes))                     \
    X(rp_gpu_write_async, false, rp_gpu_write_async(gpu, memory, registered, 8))             \
    X(rp_gpu_read_async, false, rp_gpu_read_async(gpu, registered, memory, 8))               \
    X(rp_gpu_copy, false, rp_gpu_copy(gpu, memory, memory + 4, 4))                           \
    X(rp_gpu_fill, false, rp_gpu_fill(gpu, memory, 1, 8))                                    \
    X(rp_gpu_wait, false, rp_gpu_wait(gpu))                                                  \
    X(rp_gpu_timer_start, false, rp_gpu_timer_start(gpu))                                    \
    X(rp_gpu_timer_stop, false, rp_gpu_timer_stop(gpu, &got.ms))                             \
    X(rp_gpu_use_stream, false, rp_gpu_use_stream(1))                                        \
    X(rp_gpu_event_new, false, rp_gpu_event_new(gpu, &got.event))                            \
    X(rp_gpu_event_free, false, (rp_gpu_event_free(event), always()))                        \
    X(rp_gpu_event_record, true, rp_gpu_event_record(event))                                 \
    X(rp_gpu_event_order, true, rp_gpu_event_order(event))                                   \
    X(rp_gpu_capture_begin, false, rp_gpu_capture_begin(gpu))                                \
    X(rp_gpu_capture_end, false, rp_gpu_capture_end(gpu, &got.graph))                        \
    X(rp_gpu_graph_launch, true, rp_gpu_graph_launch(graph))                                 \
    X(rp_gpu_graph_free, false, (rp_gpu_graph_free(graph), always()))                        \
    X(rp_gpu_call, false, FOUND(rp_gpu_call("cuDriverGetVersion")))                          \
    X(rp_gpu_stream, false, FOUND(rp_gpu_stream(gpu)))                                       \
    X(rp_gpu_context, false, FOUND(rp_gpu_context(gpu)))                                     \
    X(rp_gpu_result, false, rp_gpu_result(2, "made up"))                                     \
    X(rp_gpu_library, false, rp_gpu_library(driver(), &got.library))                         \
    X(rp_gpu_symbol, true, FOUND(rp_gpu_symbol(library, "cuInit")))                          \
    X(rp_gpu_error, false, rp_gpu_error()[0] == '\0' ? RP_OK : RP_FAILED)

#define DEFINE(function, needs, call) \
    static int first_##function(void) \
    {                                 \
        return call;                  \
    }
CALLS(DEFINE)

static const struct first {
    const char *name;
    bool needs;
    int (*call)(void);
} calls[] = {
#define ROW(function, needs, call) { #function, needs, first_##function },
    CALLS(ROW)
#undef ROW
};

static const char *where(void)
{
    const char *value = getenv("FIRST_ON"); // NOLINT(concurrency-mt-unsafe): nobody sets it
    return value != NULL ? value : "";
}

static int make_graph(void)
{
    return rp_gpu_capture_begin(gpu) == RP_OK ? rp_gpu_capture_end(gpu, &graph) : RP_FAILED;
}

static int setup(void *user)
{
    (void)user;
    if (strcmp(where(), "thread") != 0)
        return RP_OK;
    plain = registered;
    if (rp_gpu_open(0, &gpu) != RP_OK || rp_gpu_load(gpu, kernels, &module) != RP_OK ||
        rp_gpu_load(gpu, kernels, &spare) != RP_OK ||
        rp_gpu_find(module, "nothing", &kernel) != RP_OK ||
        rp_gpu_event_new(gpu, &event) != RP_OK || make_graph() != RP_OK ||
        rp_gpu_library(driver(), &library) != RP_OK ||
        rp_gpu_alloc(gpu, NULL, 8, &memory) != RP_OK || rp_gpu_host_alloc(gpu, 8, &pinned) != RP_OK)
        return RP_FAILED;
    return RP_OK;
}

struct outcome {
    const struct first *first;
    int rc;
    char error[300];
};

static void *call(void *argument)
{
    struct outcome *outcome = argument;
    outcome->rc = outcome->first->call();
    strncpy(outcome->error, rp_gpu_error(), sizeof outcome->error - 1);
    return NULL;
}

static int call_on_thread(struct outcome *outcome)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 8u << 20);
    int rc = pthread_create(&thread, &attributes, call, outcome);
    pthread_attr_destroy(&attributes);
    return rc == 0 ? pthread_join(thread, NULL) : rc;
}

static int list(rp_job *job)
{
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        rp_write(job, "%s{\"name\": %Q, \"needs\": %B}", i == 0 ? "[" : ", ", calls[i].name,
                 calls[i].needs);
    return rp_write(job, "]");
}

static int run(rp_job *job, void *user)
{
    struct outcome outcome = { .first = NULL };
    rp_str name;
    (void)user;
    if (rp_get_str(rp_input(job), "call", &name) != RP_OK)
        return list(job);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        if (name.len == strlen(calls[i].name) && memcmp(name.ptr, calls[i].name, name.len) == 0)
            outcome.first = &calls[i];
    if (outcome.first == NULL)
        return rp_fail(job, "no such call");
    if (strcmp(where(), "thread") != 0)
        call(&outcome);
    else if (call_on_thread(&outcome) != 0)
        return rp_fail(job, "no thread");
    return rp_return(job, "{\"ok\": %B, \"why\": %Q}", outcome.rc == RP_OK, outcome.error);
}

int main(int argc, char **argv)
{
    return rp_start(argc, argv,
                    &(rp_config){ .handler = run, .setup = setup, .gpu = &rp_gpu_part });
}
