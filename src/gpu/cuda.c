#include "gpu/cuda.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "gpu/loader.h"

#define LIBRARY "libcuda.so.1"

/* Where each call stands in struct cuda. All pointers to functions are alike on the systems here. */
static const struct call {
    const char *name;
    const char *symbol;
    size_t offset;
    bool needed;
} calls[] = {
#define CUDA_ROW(field, name, symbol, needed, parameters) \
    { name, symbol, offsetof(struct cuda, field), needed },
    CUDA_CALLS(CUDA_ROW)
#undef CUDA_ROW
};
#define CALL_COUNT (sizeof calls / sizeof calls[0])

/* cuGetProcAddress, and its second version with one more parameter; both may be absent. */
typedef int get_function(const char *name, void **function, int version, uint64_t flags);
typedef int get_function_v2(const char *name, void **function, int version, uint64_t flags,
                            int *status);
struct getter {
    struct loader_lib *lib;
    get_function *get;
    get_function_v2 *get_v2;
};

/* A pointer to data as one to a function: POSIX wants it to work, ISO C has no words for it. */
static void take_pointer(void *to, void *pointer)
{
    memcpy(to, &pointer, sizeof pointer);
}

static void *get_address(const struct getter *getter, const struct call *call)
{
    void *address = NULL;
    int status = 0, rc = CUDA_NO_DEVICE;
    if (getter->get_v2 != NULL)
        rc = getter->get_v2(call->name, &address, CUDA_ABI, 0, &status);
    else if (getter->get != NULL)
        rc = getter->get(call->name, &address, CUDA_ABI, 0);
    return rc == CUDA_SUCCESS && address != NULL ? address
                                                 : loader_symbol(getter->lib, call->symbol);
}

static int bind_calls(struct cuda *cuda, struct loader_lib *lib, struct err *err)
{
    struct getter getter = { .lib = lib };
    take_pointer(&getter.get_v2, loader_symbol(lib, "cuGetProcAddress_v2"));
    take_pointer(&getter.get, loader_symbol(lib, "cuGetProcAddress"));
    for (size_t i = 0; i < CALL_COUNT; i++) {
        void *address = get_address(&getter, &calls[i]);
        if (address == NULL && calls[i].needed) {
            err_set(err, ERR_PEER, "%s has no %s: no CUDA driver, or one that is too old",
                    cuda->path, calls[i].symbol);
            return ERR_PEER;
        }
        take_pointer((char *)cuda + calls[i].offset, address);
    }
    return 0;
}

/* What a person can do about results of cuInit that are known to come from how things are set up. */
static const char *advice(int result)
{
    switch (result) {
    case CUDA_NO_DEVICE: return " (was the container started with --gpus all?)";
    case CUDA_DRIVER_MISMATCH:
        return " (this file's version is not that of the driver in the kernel)";
    default: return "";
    }
}

static int init_driver(struct cuda *cuda, struct err *err)
{
    char what[ERR_TEXT_BYTES];
    int result = cuda->driver_version(&cuda->version);
    if (result == CUDA_SUCCESS && cuda->version < CUDA_OLDEST)
        return err_set(err, ERR_PEER, "%s is for CUDA %d.%d; this worker needs %d.%d or later",
                       cuda->path, cuda->version / 1000, cuda->version % 1000 / 10,
                       CUDA_OLDEST / 1000, CUDA_OLDEST % 1000 / 10);
    if (result == CUDA_SUCCESS)
        result = cuda->init(0);
    if (result == CUDA_SUCCESS)
        result = cuda->get_count(&cuda->device_count);
    if (result == CUDA_SUCCESS && cuda->device_count < 1)
        result = CUDA_NO_DEVICE;
    if (result == CUDA_SUCCESS)
        return 0;
    snprintf(what, sizeof what, "driver present (%.200s, CUDA %d.%d), %s%s", cuda->path,
             cuda->version / 1000, cuda->version % 1000 / 10,
             result == CUDA_NO_DEVICE ? "no device" : "it does not start", advice(result));
    cuda->device_count = 0;
    return cuda_error(cuda, result, what, err);
}

static int open_driver(struct cuda *cuda, const char *explicit_path, struct err *err)
{
    static char path[LOADER_PATH_BYTES];
    struct loader_lib *lib;
    int64_t begun = clock_now_us();
    int rc = loader_find(LIBRARY, explicit_path, path, sizeof path, err);
    cuda->find_us = clock_now_us() - begun;
    if (rc != 0)
        return rc;
    cuda->path = path;
    begun = clock_now_us();
    rc = loader_open(path, &lib, err);
    if (rc == 0)
        rc = bind_calls(cuda, lib, err);
    cuda->load_us = clock_now_us() - begun;
    if (rc != 0)
        return rc;
    begun = clock_now_us();
    rc = init_driver(cuda, err);
    cuda->init_us = clock_now_us() - begun;
    return rc;
}

int cuda_open(const char *explicit_path, const struct cuda **cuda, struct err *err)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct cuda driver = { .path = "" };
    static struct err outcome;
    static bool is_open;
    pthread_mutex_lock(&lock);
    if (!is_open)
        open_driver(&driver, explicit_path, &outcome);
    is_open = true;
    pthread_mutex_unlock(&lock);
    *cuda = &driver;
    if (outcome.code != 0 && err != NULL)
        *err = outcome;
    return outcome.code;
}

int cuda_error(const struct cuda *cuda, int result, const char *what, struct err *err)
{
    const char *name = NULL, *text = NULL;
    if (cuda->error_name(result, &name) != CUDA_SUCCESS || name == NULL)
        name = "unknown error";
    if (cuda->error_text(result, &text) != CUDA_SUCCESS || text == NULL)
        text = "the driver has no text for it";
    return err_set(err, result == CUDA_OUT_OF_MEMORY ? ERR_MEMORY : ERR_PEER, "%s: %s (%d): %s",
                   what, name, result, text);
}

bool cuda_is_sticky(int result)
{
    static const short results[] = {
        214, /* ECC_UNCORRECTABLE */
        220, /* NVLINK_UNCORRECTABLE */
        226, /* CONTAINED */
        700, /* ILLEGAL_ADDRESS */
        702, /* LAUNCH_TIMEOUT */
        709, /* CONTEXT_IS_DESTROYED */
        710, /* ASSERT */
        714, /* HARDWARE_STACK_ERROR */
        715, /* ILLEGAL_INSTRUCTION */
        716, /* MISALIGNED_ADDRESS */
        717, /* INVALID_ADDRESS_SPACE */
        718, /* INVALID_PC */
        719, /* LAUNCH_FAILED */
        721, /* TENSOR_MEMORY_LEAK */
        999, /* UNKNOWN: seen after a GPU has fallen off the bus */
    };
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++)
        if (results[i] == result)
            return true;
    return false;
}
