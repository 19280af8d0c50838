/*
 * The other side of the launch figure: what tests/blackbox/handlers/gpu.c does for {"do": "launches"},
 * as an ordinary glibc program.
 *     gpu_launch LIBCUDA        prints [us a launch, us a launch that is waited for]
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LAUNCHES = 1000 };

static const char kernels[] = ".version 6.0\n.target sm_70\n.address_size 64\n"
                              ".visible .entry poke(.param .u64 at, .param .u32 value)\n{\n"
                              "    .reg .b32 %v;\n    .reg .b64 %a;\n"
                              "    ld.param.u64 %a, [at];\n    ld.param.u32 %v, [value];\n"
                              "    st.global.u32 [%a], %v;\n    ret;\n}\n";

static void *library;

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

int main(int argc, char **argv)
{
    void *context, *module, *function, *stream;
    uint64_t at;
    uint32_t value = 1;
    int device;
    void *arguments[] = { &at, &value };
    library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
    if (library == NULL)
        return fprintf(stderr, "%s\n",
                       argc > 1 ? dlerror() : "the path of libcuda.so.1 is missing"),
               1;
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
    int (*launch)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                  void *, void **, void **) = find("cuLaunchKernel");
    int (*wait)(void *) = find("cuStreamSynchronize");
    double times[2];
    for (int way = 0; way < 2; way++) {
        times[way] = now_us();
        for (int i = 0; i < LAUNCHES; i++) {
            good(launch(function, 1, 1, 1, 1, 1, 1, 0, stream, arguments, NULL), "cuLaunchKernel");
            if (way == 1)
                good(wait(stream), "cuStreamSynchronize");
        }
        good(wait(stream), "cuStreamSynchronize");
        times[way] = (now_us() - times[way]) / LAUNCHES;
    }
    printf("[%.3f, %.3f]\n", times[0], times[1]);
    return 0;
}
