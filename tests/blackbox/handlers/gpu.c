/*
 * A handler that does with the GPU what its input says, for the tests: {"do": "poke"} and so on. On
 * a real GPU as well as on the fake driver, tests/gpu/fakedevice.c.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rp_gpu.h"
#include "worker.h"

static const char kernels[] = ".version 6.0\n"
                              ".target sm_70\n"
                              ".address_size 64\n"
                              ".visible .entry poke(.param .u64 at, .param .u32 value)\n"
                              "{\n"
                              "    .reg .b32 %v;\n"
                              "    .reg .b64 %a;\n"
                              "    ld.param.u64 %a, [at];\n"
                              "    ld.param.u32 %v, [value];\n"
                              "    st.global.u32 [%a], %v;\n"
                              "    ret;\n"
                              "}\n"
                              ".visible .entry spin(.param .u32 ms)\n"
                              "{\n"
                              "    .reg .pred %p;\n"
                              "    .reg .b32 %m;\n"
                              "    .reg .b64 %t, %n;\n"
                              "    ld.param.u32 %m, [ms];\n"
                              "    mul.wide.u32 %n, %m, 1000000;\n"
                              "    mov.u64 %t, %globaltimer;\n"
                              "    add.u64 %n, %n, %t;\n"
                              "LOOP:\n"
                              "    mov.u64 %t, %globaltimer;\n"
                              "    setp.lt.u64 %p, %t, %n;\n"
                              "    @%p bra LOOP;\n"
                              "    ret;\n"
                              "}\n";

static rp_gpu *gpu;
static rp_gpu_module *module;
static rp_gpu_kernel *poke, *spin;

static int setup(void *user)
{
    (void)user;
    int rc = rp_gpu_open(0, &gpu);
    if (rc == RP_OK)
        rc = rp_gpu_load(gpu, kernels, &module);
    if (rc == RP_OK)
        rc = rp_gpu_find(module, "poke", &poke);
    if (rc == RP_OK)
        rc = rp_gpu_find(module, "spin", &spin);
    return rc;
}

static int do_poke(rp_job *job)
{
    rp_gpu_ptr at;
    uint32_t value = 42, read = 0;
    if (rp_gpu_alloc(gpu, job, sizeof value, &at) != RP_OK ||
        rp_gpu_launch(poke, RP_GPU_DIM(1), RP_GPU_DIM(1), 0, RP_GPU_ARGS(&at, &value)) != RP_OK ||
        rp_gpu_read(gpu, &read, at, sizeof read) != RP_OK)
        return rp_gpu_fail(job);
    return rp_return(job, "%u", read);
}

/* A handler that is careless: it neither waits for its kernel nor looks at what came of it. */
static int do_illegal(rp_job *job)
{
    rp_gpu_ptr at = 16;
    uint32_t value = 1;
    rp_gpu_launch(poke, RP_GPU_DIM(1), RP_GPU_DIM(1), 0, RP_GPU_ARGS(&at, &value));
    return rp_return(job, "\"all is well\"");
}

static int do_fill_up(rp_job *job)
{
    rp_gpu_ptr at;
    for (unsigned count = 0; count < 100000; count++)
        if (rp_gpu_alloc(gpu, job, 64u << 20, &at) != RP_OK)
            return rp_gpu_fail(job);
    return rp_return(job, "\"there is no end to it\"");
}

static int do_load(rp_job *job)
{
    rp_gpu_module *other;
    return rp_gpu_load(gpu, ".version 6.0\n.target sm_70\nnonsense\n", &other) != RP_OK
               ? rp_gpu_fail(job)
               : rp_return(job, "\"compiled\"");
}

/* Keeps the device busy for that many milliseconds. */
static int do_spin(rp_job *job)
{
    int64_t ms = 20000;
    rp_get_int(rp_input(job), "ms", &ms);
    uint32_t count = (uint32_t)ms;
    if (rp_gpu_launch(spin, RP_GPU_DIM(1), RP_GPU_DIM(1), 0, RP_GPU_ARGS(&count)) != RP_OK ||
        rp_gpu_wait(gpu) != RP_OK)
        return rp_gpu_fail(job);
    return rp_return(job, "\"spun\"");
}

static int do_find(rp_job *job)
{
    rp_gpu_kernel *other;
    return rp_gpu_find(module, "nobody", &other) != RP_OK ? rp_gpu_fail(job)
                                                          : rp_return(job, "\"found\"");
}

static int do_memory(rp_job *job)
{
    uint64_t bytes;
    return rp_gpu_memory(gpu, &bytes) != RP_OK ? rp_gpu_fail(job)
                                               : rp_return(job, "%llu", (unsigned long long)bytes);
}

static int do_copies(rp_job *job)
{
    rp_gpu_ptr first, second;
    char *host;
    double ms = -1;
    if (rp_gpu_alloc(gpu, job, 8, &first) != RP_OK || rp_gpu_alloc(gpu, job, 8, &second) != RP_OK ||
        rp_gpu_host_alloc(gpu, 8, (void **)&host) != RP_OK || rp_gpu_timer_start(gpu) != RP_OK)
        return rp_gpu_fail(job);
    memcpy(host, "abcdefg", 8);
    int rc = rp_gpu_write_async(gpu, first, host, 8);
    if (rc == RP_OK)
        rc = rp_gpu_fill(gpu, first + 1, 'x', 2);
    if (rc == RP_OK)
        rc = rp_gpu_copy(gpu, second, first, 8);
    if (rc == RP_OK)
        rc = rp_gpu_timer_stop(gpu, &ms);
    memset(host, 0, 8);
    if (rc == RP_OK)
        rc = rp_gpu_read_async(gpu, host, second, 8);
    if (rc == RP_OK)
        rc = rp_gpu_wait(gpu);
    rc = rc != RP_OK ? rp_gpu_fail(job)
                     : rp_return(job, "{\"text\": %Q, \"timed\": %B}", host, ms >= 0);
    rp_gpu_host_free(gpu, host);
    rp_gpu_free(gpu, job, first);
    return rc;
}

static int poke_on(unsigned stream, rp_gpu_ptr at, uint32_t value)
{
    int rc = rp_gpu_use_stream(stream);
    return rc == RP_OK
               ? rp_gpu_launch(poke, RP_GPU_DIM(1), RP_GPU_DIM(1), 0, RP_GPU_ARGS(&at, &value))
               : rc;
}

/* Stream 1 writes, stream 2 copies that after an event, and both are waited for. */
static int do_streams(rp_job *job)
{
    rp_gpu_ptr at;
    rp_gpu_event *event;
    uint32_t read[2] = { 0, 0 };
    if (rp_gpu_alloc(gpu, job, sizeof read, &at) != RP_OK || rp_gpu_wait(gpu) != RP_OK ||
        rp_gpu_event_new(gpu, &event) != RP_OK)
        return rp_gpu_fail(job);
    int rc = poke_on(1, at, 7);
    if (rc == RP_OK)
        rc = rp_gpu_event_record(event);
    if (rc == RP_OK)
        rc = rp_gpu_use_stream(2);
    if (rc == RP_OK)
        rc = rp_gpu_event_order(event);
    if (rc == RP_OK)
        rc = rp_gpu_copy(gpu, at + 4, at, 4);
    if (rc == RP_OK)
        rc = rp_gpu_wait(gpu);
    if (rc == RP_OK)
        rc = rp_gpu_read(gpu, read, at, sizeof read);
    rp_gpu_event_free(event);
    bool refused = rp_gpu_use_stream(RP_GPU_STREAMS_MAX) != RP_OK;
    return rc != RP_OK ? rp_gpu_fail(job)
                       : rp_return(job, "[%u, %u, %B]", read[0], read[1], refused);
}

/* Frees memory that a kernel is yet to use: {"allocated", "used", "freed"} are streams. */
static int do_free_early(rp_job *job)
{
    int64_t allocated = 0, used = 0, freed = 0;
    uint32_t ms = 50;
    rp_gpu_ptr at = 0;
    rp_get_int(rp_input(job), "allocated", &allocated);
    rp_get_int(rp_input(job), "used", &used);
    rp_get_int(rp_input(job), "freed", &freed);
    if (rp_gpu_use_stream((unsigned)allocated) != RP_OK ||
        rp_gpu_alloc(gpu, job, sizeof ms, &at) != RP_OK || rp_gpu_wait(gpu) != RP_OK ||
        rp_gpu_use_stream((unsigned)used) != RP_OK ||
        rp_gpu_launch(spin, RP_GPU_DIM(1), RP_GPU_DIM(1), 0, RP_GPU_ARGS(&ms)) != RP_OK ||
        poke_on((unsigned)used, at, 1) != RP_OK || rp_gpu_use_stream((unsigned)freed) != RP_OK)
        return rp_gpu_fail(job);
    rp_gpu_free(gpu, job, at);
    return rp_gpu_wait(gpu) != RP_OK ? rp_gpu_fail(job) : rp_return(job, "\"freed\"");
}

/* Unloads a module whose kernel has been asked for, and not waited for. */
static int do_unload(rp_job *job)
{
    rp_gpu_module *loaded;
    rp_gpu_kernel *kernel;
    rp_gpu_ptr at;
    uint32_t value = 5, read = 0;
    if (rp_gpu_load(gpu, kernels, &loaded) != RP_OK)
        return rp_gpu_fail(job);
    int rc = rp_gpu_find(loaded, "poke", &kernel);
    if (rc == RP_OK)
        rc = rp_gpu_alloc(gpu, job, sizeof value, &at);
    if (rc == RP_OK)
        rc = rp_gpu_launch(kernel, RP_GPU_DIM(1), RP_GPU_DIM(1), 0, RP_GPU_ARGS(&at, &value));
    rp_gpu_unload(loaded);
    rp_gpu_unload(NULL);
    if (rc != RP_OK || rp_gpu_read(gpu, &read, at, sizeof read) != RP_OK)
        return rp_gpu_fail(job);
    return rp_return(job, "%u", read);
}

/* A recording does nothing until it is launched, and then each time. */
static int do_graph(rp_job *job)
{
    rp_gpu_ptr at;
    rp_gpu_graph *graph = NULL;
    uint32_t value = 9, read[3] = { 0, 0, 0 };
    if (rp_gpu_alloc(gpu, job, 4, &at) != RP_OK || rp_gpu_fill(gpu, at, 0, 4) != RP_OK ||
        rp_gpu_wait(gpu) != RP_OK || rp_gpu_capture_begin(gpu) != RP_OK)
        return rp_gpu_fail(job);
    int rc = rp_gpu_launch(poke, RP_GPU_DIM(1), RP_GPU_DIM(1), 0, RP_GPU_ARGS(&at, &value));
    if (rc == RP_OK)
        rc = rp_gpu_capture_end(gpu, &graph);
    for (int i = 0; rc == RP_OK && i < 3; i++) {
        rc = i > 0 ? rp_gpu_graph_launch(graph) : RP_OK;
        if (rc == RP_OK)
            rc = rp_gpu_read(gpu, &read[i], at, 4);
        if (rc == RP_OK && i == 1)
            rc = rp_gpu_fill(gpu, at, 0, 4);
    }
    rp_gpu_graph_free(graph);
    return rc != RP_OK ? rp_gpu_fail(job)
                       : rp_return(job, "[%u, %u, %u]", read[0], read[1], read[2]);
}

/* A handler that returns while its stream is captured. */
static int do_forget_capture(rp_job *job)
{
    return rp_gpu_capture_begin(gpu) != RP_OK ? rp_gpu_fail(job) : rp_return(job, "\"captured\"");
}

static int do_launch_ways(rp_job *job)
{
    const rp_gpu_launch_options options = { .cluster = { 1, 1, 1 }, .cooperative = true };
    const rp_gpu_launch_options tall = { .cluster = { 0, 2, 0 } };
    rp_gpu_ptr at;
    uint32_t value = 11, read = 0;
    unsigned blocks = 0;
    if (rp_gpu_alloc(gpu, job, sizeof value, &at) != RP_OK ||
        rp_gpu_launch(poke, RP_GPU_DIM(1), RP_GPU_DIM(1), 64 << 10, RP_GPU_ARGS(&at, &value)) !=
            RP_OK ||
        rp_gpu_launch(poke, RP_GPU_DIM(1), RP_GPU_DIM(1), 64 << 10, RP_GPU_ARGS(&at, &value)) !=
            RP_OK ||
        rp_gpu_occupancy(poke, 256, 0, &blocks) != RP_OK ||
        rp_gpu_launch_with(poke, RP_GPU_DIM(1), RP_GPU_DIM(1), 0, RP_GPU_ARGS(&at, &value),
                           &options) != RP_OK ||
        rp_gpu_launch_with(poke, RP_GPU_DIM(1, 2), RP_GPU_DIM(1), 0, RP_GPU_ARGS(&at, &value),
                           &tall) != RP_OK ||
        rp_gpu_read(gpu, &read, at, sizeof read) != RP_OK)
        return rp_gpu_fail(job);
    return rp_return(job, "[%u, %B]", read, blocks > 0);
}

/* The image for an older device, for this one's generation, for a later one, and PTX. */
static int do_images(rp_job *job)
{
    static const char refused[] = "no image at all";
    const rp_gpu_image for_others[] = { { 10, refused }, { 1999, refused }, { 0, kernels } };
    rp_gpu_module *loaded;
    rp_gpu_ptr memory;
    size_t bytes;
    if (rp_gpu_load_best(gpu, for_others, 3, &loaded) != RP_OK)
        return rp_gpu_fail(job);
    bool none = rp_gpu_load_best(gpu, for_others, 2, &loaded) != RP_OK;
    bool unknown = rp_gpu_global(loaded, "nobody", &memory, &bytes) != RP_OK;
    return rp_return(job, "[%B, %B]", none, unknown);
}

/* A variable of a module: its memory and, where it is asked for, its size. */
static int do_variable(rp_job *job)
{
    rp_gpu_module *loaded;
    rp_gpu_ptr memory, same;
    size_t bytes = 0;
    if (rp_gpu_load(gpu, kernels, &loaded) != RP_OK ||
        rp_gpu_global(loaded, "table", &memory, &bytes) != RP_OK ||
        rp_gpu_global(loaded, "table", &same, NULL) != RP_OK)
        return rp_gpu_fail(job);
    return rp_return(job, "[%zu, %B]", bytes, memory != 0 && same != 0);
}

static int do_call(rp_job *job)
{
    int (*version)(int *) = rp_gpu_call("cuDriverGetVersion");
    int number = 0;
    if (version == NULL || rp_gpu_context(gpu) == NULL ||
        rp_gpu_result(version(&number), "the version") != RP_OK)
        return rp_gpu_fail(job);
    if (rp_gpu_call("cuNobody") != NULL || rp_gpu_stream(gpu) == NULL ||
        rp_gpu_result(2, "made up") == RP_OK)
        return rp_fail(job, "a call that is not there was found");
    return rp_return(job, "{\"version\": %d, \"why\": %Q}", number, rp_gpu_error());
}

static int do_register(rp_job *job)
{
    char *memory = calloc(1, 65536);
    rp_gpu_ptr at;
    int rc = memory != NULL ? rp_gpu_host_register(gpu, memory, 65536) : RP_FAILED;
    if (rc == RP_OK)
        rc = rp_gpu_alloc(gpu, job, 8, &at);
    if (rc == RP_OK)
        rc = rp_gpu_fill(gpu, at, 'y', 8);
    if (rc == RP_OK)
        rc = rp_gpu_read_async(gpu, memory, at, 8);
    if (rc == RP_OK)
        rc = rp_gpu_wait(gpu);
    rp_gpu_host_unregister(gpu, memory);
    rc = rc == RP_OK ? rp_return(job, "%Q", memory) : rp_gpu_fail(job);
    free(memory);
    return rc;
}

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* For tests/bench/gpu.py: a launch with nothing waiting, and one that is waited for, in us. */
static int do_launches(rp_job *job)
{
    enum { LAUNCHES = 1000 };
    rp_gpu_ptr at;
    uint32_t value = 1;
    double times[2];
    int rc = rp_gpu_alloc(gpu, job, sizeof value, &at);
    for (int way = 0; rc == RP_OK && way < 2; way++) {
        times[way] = now_us();
        for (int i = 0; rc == RP_OK && i < LAUNCHES; i++) {
            rc = rp_gpu_launch(poke, RP_GPU_DIM(1), RP_GPU_DIM(1), 0, RP_GPU_ARGS(&at, &value));
            if (rc == RP_OK && way == 1)
                rc = rp_gpu_wait(gpu);
        }
        if (rc == RP_OK)
            rc = rp_gpu_wait(gpu);
        times[way] = (now_us() - times[way]) / LAUNCHES;
    }
    return rc != RP_OK ? rp_gpu_fail(job) : rp_return(job, "[%.3f, %.3f]", times[0], times[1]);
}

static const struct {
    const char *name;
    int (*run)(rp_job *job);
} deeds[] = {
    { "poke", do_poke },
    { "illegal", do_illegal },
    { "fill_up", do_fill_up },
    { "load", do_load },
    { "find", do_find },
    { "memory", do_memory },
    { "copies", do_copies },
    { "launches", do_launches },
    { "spin", do_spin },
    { "streams", do_streams },
    { "free_early", do_free_early },
    { "unload", do_unload },
    { "graph", do_graph },
    { "forget_capture", do_forget_capture },
    { "launch_ways", do_launch_ways },
    { "images", do_images },
    { "variable", do_variable },
    { "call", do_call },
    { "register", do_register },
};

static int run(rp_job *job, void *user)
{
    rp_str name;
    (void)user;
    if (rp_get_str(rp_input(job), "do", &name) == RP_OK)
        for (size_t i = 0; i < sizeof deeds / sizeof deeds[0]; i++)
            if (name.len == strlen(deeds[i].name) && memcmp(name.ptr, deeds[i].name, name.len) == 0)
                return deeds[i].run(job);
    return rp_return(job, "\"nothing done\"");
}

int main(int argc, char **argv)
{
    return rp_start(argc, argv,
                    &(rp_config){ .handler = run,
                                  .setup = setup,
                                  RP_ALL_PARTS,
                                  .gpu = &rp_gpu_part,
                                  .gpu_required = true });
}
