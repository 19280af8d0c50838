#include "gpu/cuda.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "loader/loader.h"

#define LIBRARY "libcuda.so.1"

/* Where each call is in struct cuda. Pointers to functions have one representation here. */
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

/* cuGetProcAddress and its second version, which has one more parameter; either may be missing. */
typedef int get_function(const char *name, void **function, int version, uint64_t flags);
typedef int get_function_v2(const char *name, void **function, int version, uint64_t flags,
                            int *status);
struct getter {
    struct loader_lib *lib;
    get_function *get;
    get_function_v2 *get_v2;
};

/* Stores a data pointer as a function pointer: POSIX allows it, ISO C has no cast for it. */
static void store_pointer(void *to, void *pointer)
{
    memcpy(to, &pointer, sizeof pointer);
}

static void *get_address(const struct getter *getter, const struct call *call)
{
    void *address = NULL;
    int status = 0, result = CUDA_SUCCESS;
    if (getter->get_v2 != NULL)
        result = getter->get_v2(call->name, &address, CUDA_ABI, 0, &status);
    else if (getter->get != NULL)
        result = getter->get(call->name, &address, CUDA_ABI, 0);
    return result == CUDA_SUCCESS && address != NULL ? address
                                                     : loader_symbol(getter->lib, call->symbol);
}

static int bind_calls(struct cuda *cuda, struct loader_lib *lib, struct err *err)
{
    struct getter getter = { .lib = lib };
    store_pointer(&getter.get_v2, loader_symbol(lib, "cuGetProcAddress_v2"));
    store_pointer(&getter.get, loader_symbol(lib, "cuGetProcAddress"));
    for (size_t i = 0; i < CALL_COUNT; i++) {
        void *address = get_address(&getter, &calls[i]);
        if (address == NULL && calls[i].needed) {
            err_set(err, ERR_PEER, "%s lacks %s: it is not a CUDA driver, or it is too old",
                    cuda->path, calls[i].symbol);
            return ERR_PEER;
        }
        store_pointer((char *)cuda + calls[i].offset, address);
    }
    return 0;
}

/* What to do about results that come from how the machine or container is set up. */
static const char *advice(int result)
{
    static const struct {
        int result;
        const char *text;
    } known[] = {
        { CUDA_NO_DEVICE, "was the container started with --gpus all?" },
        { CUDA_NO_COMPILER,
          "libnvidia-ptxjitcompiler.so.1 is not in the container: set "
          "NVIDIA_DRIVER_CAPABILITIES=compute,utility, or ship a cubin beside PTX" },
        { CUDA_OPERATING_SYSTEM, "is /proc mounted, and may this user open /dev/nvidia*?" },
        { CUDA_SYSTEM_NOT_READY, "machines with NVSwitch need the fabric manager on the host" },
        { CUDA_DRIVER_MISMATCH,
          "the library's version differs from that of the driver in the kernel" },
        { CUDA_NO_COMPATIBILITY, "this libcuda is from a compatibility package, for data-centre "
                                 "GPUs only: remove it to use the host's own" },
        { CUDA_UNKNOWN,
          "a device node that is missing or not allowed, or a GPU that has fallen off "
          "the bus: see dmesg on the host" },
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].result == result)
            return known[i].text;
    return NULL;
}

static int init_driver(struct cuda *cuda, struct err *err)
{
    char what[ERR_TEXT_BYTES];
    int result = cuda->driver_version(&cuda->version);
    if (result == CUDA_SUCCESS && cuda->version < CUDA_OLDEST)
        return err_set(err, ERR_PEER,
                       "%s supports CUDA %d.%d; the worker needs a driver for %d.%d or later",
                       cuda->path, cuda->version / 1000, cuda->version % 1000 / 10,
                       CUDA_OLDEST / 1000, CUDA_OLDEST % 1000 / 10);
    if (result == CUDA_SUCCESS)
        result = cuda->init(0);
    if (result == CUDA_SUCCESS)
        result = cuda->get_count(&cuda->device_count);
    if (result == CUDA_SUCCESS && cuda->device_count < 1)
        result = CUDA_NO_DEVICE;
    cuda->init_result = result;
    if (result == CUDA_SUCCESS)
        return 0;
    snprintf(what, sizeof what, "driver found (%.200s, CUDA %d.%d), %s", cuda->path,
             cuda->version / 1000, cuda->version % 1000 / 10,
             result == CUDA_NO_DEVICE ? "but no device" : "but it does not start");
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
        return err_wrap(err, explicit_path != NULL && *explicit_path != '\0'
                                 ? "--libcuda or RP_LIBCUDA"
                                 : "no driver (was the container started with --gpus all?)");
    cuda->path = path;
    begun = clock_now_us();
    rc = loader_open(path, &lib, err);
    if (rc == 0)
        rc = bind_calls(cuda, lib, err);
    if (rc == 0)
        cuda->lib = lib;
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
    if (cuda == NULL || cuda->error_name(result, &name) != CUDA_SUCCESS || name == NULL)
        name = "unknown error";
    if (cuda == NULL)
        text = "no driver that has a text for it is loaded";
    else if (cuda->error_text(result, &text) != CUDA_SUCCESS || text == NULL)
        text = "the driver has no text for it";
    const char *hint = advice(result);
    return err_set(err, result == CUDA_OUT_OF_MEMORY ? ERR_MEMORY : ERR_PEER,
                   "%s: %s (%d): %s%s%s%s", what, name, result, text, hint != NULL ? " (" : "",
                   hint != NULL ? hint : "", hint != NULL ? ")" : "");
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
        999, /* UNKNOWN: seen when a GPU has fallen off the bus */
    };
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++)
        if (results[i] == result)
            return true;
    return false;
}
