/*
 * A handler that does with the GPU what its input says, for the tests: {"do": "poke"} and so on. On
 * a real GPU as well as on tests/gpu/fakedevice.c, which knows the kernel "poke" by its name.
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
                              "}\n";

static rp_gpu *gpu;
static rp_gpu_module *module;
static rp_gpu_kernel *poke;

static int setup(void *user)
{
    (void)user;
    int rc = rp_gpu_open(0, &gpu);
    if (rc == RP_OK)
        rc = rp_gpu_load(gpu, kernels, &module);
    if (rc == RP_OK)
        rc = rp_gpu_find(module, "poke", &poke);
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
    { "poke", do_poke },     { "illegal", do_illegal },   { "fill_up", do_fill_up },
    { "load", do_load },     { "find", do_find },         { "memory", do_memory },
    { "copies", do_copies }, { "launches", do_launches },
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
    return rp_start(
        argc, argv,
        &(rp_config){ .handler = run, .setup = setup, .gpu = &rp_gpu_part, .gpu_required = true });
}
