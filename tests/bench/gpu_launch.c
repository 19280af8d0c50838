/*
 * The other side of the figures of a kernel: what tests/blackbox/handlers/gpu.c does for
 * {"do": "poke"} and {"do": "launches"}, as an ordinary glibc program.
 *     gpu_launch LIBCUDA
 * Prints what a first kernel has written, once it is read back: 42; then, on a second line,
 * [us a launch, us a launch that is waited for].
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LAUNCHES = 1000, WRITTEN = 42 };

static const char kernels[] = ".version 6.0\n.target sm_70\n.address_size 64\n"
                              ".visible .entry poke(.param .u64 at, .param .u32 value)\n{\n"
                              "    .reg .b32 %v;\n    .reg .b64 %a;\n"
                              "    ld.param.u64 %a, [at];\n    ld.param.u32 %v, [value];\n"
                              "    st.global.u32 [%a], %v;\n    ret;\n}\n";

static void *library;
static void *function, *stream;
static uint64_t at;
static int (*launch_kernel)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                            unsigned, void *, void **, void **);
static int (*wait_stream)(void *);

static void *find(const char *name)
{
    void *found = dlsym(library, name);
    if (found == NULL) {
        fprintf(stderr, "no %s\n", name);
        exit(1);
    }
    return found;
}

static void good(int result, const char *what)
{
    if (result != 0) {
        fprintf(stderr, "%s: %d\n", what, result);
        exit(1);
    }
}

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void open_device(void)
{
    void *context, *module;
    int device;
    good(((int (*)(unsigned))find("cuInit"))(0), "cuInit");
    good(((int (*)(int *, int))find("cuDeviceGet"))(&device, 0), "cuDeviceGet");
    good(((int (*)(void **, int))find("cuDevicePrimaryCtxRetain"))(&context, device),
         "cuDevicePrimaryCtxRetain");
    good(((int (*)(void *))find("cuCtxSetCurrent"))(context), "cuCtxSetCurrent");
    good(((int (*)(void **, const void *, unsigned, int *, void **))find("cuModuleLoadDataEx"))(
             &module, kernels, 0, NULL, NULL),
         "cuModuleLoadDataEx");
    good(((int (*)(void **, void *, const char *))find("cuModuleGetFunction"))(&function, module,
                                                                               "poke"),
         "cuModuleGetFunction");
    good(((int (*)(void **, unsigned))find("cuStreamCreate"))(&stream, 1), "cuStreamCreate");
    good(((int (*)(uint64_t *, size_t))find("cuMemAlloc_v2"))(&at, 4), "cuMemAlloc");
    launch_kernel = find("cuLaunchKernel");
    wait_stream = find("cuStreamSynchronize");
}

static void launch(uint32_t value)
{
    void *arguments[] = { &at, &value };
    good(launch_kernel(function, 1, 1, 1, 1, 1, 1, 0, stream, arguments, NULL), "cuLaunchKernel");
}

static void first_result(void)
{
    uint32_t value = 0;
    int (*read)(void *, uint64_t, size_t, void *) = find("cuMemcpyDtoHAsync_v2");
    launch(WRITTEN);
    good(read(&value, at, sizeof value, stream), "cuMemcpyDtoHAsync");
    good(wait_stream(stream), "cuStreamSynchronize");
    printf("%u\n", value);
    fflush(stdout);
}

/* Microseconds for each of many launches. */
static double time_launches(int is_waited_for)
{
    double begun = now_us();
    for (int i = 0; i < LAUNCHES; i++) {
        launch(1);
        if (is_waited_for)
            good(wait_stream(stream), "cuStreamSynchronize");
    }
    good(wait_stream(stream), "cuStreamSynchronize");
    return (now_us() - begun) / LAUNCHES;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: gpu_launch LIBCUDA\n");
        return 2;
    }
    library = dlopen(argv[1], RTLD_NOW);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    open_device();
    first_result();
    double alone = time_launches(0);
    printf("[%.3f, %.3f]\n", alone, time_launches(1));
    return 0;
}
